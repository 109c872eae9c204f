//! `scripts/test`: sums up what `cargo test` prints, and keeps its exit code.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the script with a `cargo` that prints the results of three test binaries and ends with this exit code.
fn script(code: i32) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let cargo = folder.path().join("cargo");
    let content = format!(
        "#!/bin/sh\n\
         echo \"arguments: $*\"\n\
         echo 'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s'\n\
         echo 'test result: ok. 1030 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s'\n\
         echo 'test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s'\n\
         exit {code}\n"
    );
    std::fs::write(&cargo, content).expect("written");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o700)).expect("permitted");
    let path = std::env::var("PATH").expect("a path");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test");
    let mut command = Command::new(script);
    command.args(["--lib", "name"]).env("PATH", format!("{}:{path}", folder.path().display()));
    command.output().expect("ended")
}

#[test]
fn sums_up_all_test_binaries() {
    let output = script(0);
    let stdout = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, "arguments: test --lib name"), "{stdout}");
    assert_eq!(lines[4], "all passed: 1047 passed, 2 failed, 1 ignored in 3 test binaries");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_failure_keeps_its_exit_code() {
    // A binary that crashed has no counts: only the exit code is certain.
    let output = script(101);
    let stdout = String::from_utf8(output.stdout).expect("text");
    let last = stdout.lines().last().expect("lines");
    assert!(last.starts_with("FAILED (exit code 101): 1047 passed, 2 failed, 1 ignored in 3 test binaries"), "{last}");
    assert_eq!(output.status.code(), Some(101));
}
