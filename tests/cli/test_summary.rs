//! `scripts/test`: sums up what `cargo test` prints, and keeps its exit code.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the script with a `cargo` that prints the results of two test binaries, then runs this shell script.
fn script(end: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let cargo = folder.path().join("cargo");
    let content = format!(
        "#!/bin/sh\n\
         echo \"arguments: $*\"\n\
         echo 'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s'\n\
         echo 'test result: ok. 1030 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s'\n\
         {end}\n"
    );
    std::fs::write(&cargo, content).expect("written");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o700)).expect("permitted");
    let path = std::env::var("PATH").expect("a path");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test");
    let mut command = Command::new(script);
    command.args(["--lib", "name"]).env("PATH", format!("{}:{path}", folder.path().display()));
    command.output().expect("ended")
}

/// The result of a third binary, in which tests fail.
const FAILED: &str = "echo 'test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out'";

fn last_line(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout.lines().last().expect("lines").to_owned()
}

#[test]
fn sums_up_all_test_binaries() {
    let output = script("exit 0");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(stdout.lines().next(), Some("arguments: test --lib name"), "{stdout}");
    assert!(!stdout.contains("exit code of cargo"), "{stdout}");
    assert_eq!(last_line(&output), "all passed: 1042 passed, 0 failed, 1 ignored in 2 test binaries");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_failure_keeps_its_exit_code() {
    // A binary that crashed has no counts: only the exit code is certain.
    let output = script(&format!("{FAILED}\nexit 101"));
    let last = last_line(&output);
    assert!(last.starts_with("FAILED (exit code 101): 1047 passed, 2 failed, 1 ignored in 3 test binaries"), "{last}");
    assert_eq!(output.status.code(), Some(101));
}

#[test]
fn an_unfinished_last_line_does_not_hide_a_failure() {
    let output = script("printf 'the process ended inside of a line'; exit 101");
    let last = last_line(&output);
    assert!(last.starts_with("FAILED (exit code 101): 1042 passed, 0 failed, 1 ignored in 2 test binaries"), "{last}");
    assert_eq!(output.status.code(), Some(101));
}

#[test]
fn a_failed_test_is_a_failure_whatever_cargo_says() {
    let output = script(&format!("{FAILED}\nexit 0"));
    let last = last_line(&output);
    assert!(last.starts_with("FAILED (exit code 1): 1047 passed, 2 failed, 1 ignored in 3 test binaries"), "{last}");
    assert_eq!(output.status.code(), Some(1));
}
