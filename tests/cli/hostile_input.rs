//! Control characters in arguments and in files never reach the terminal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::hostile::{HOSTILE, assert_printable};
use super::{foodstream, texts};

/// The output is safe and contains the escaped text.
fn assert_escaped(folder: &std::path::Path, args: &[&str], code: i32, color: bool) {
    let mut command = foodstream(folder, args);
    if color {
        command.env("FORCE_COLOR", "1").env("CLICOLOR_FORCE", "1");
    }
    let output = command.output().expect("ended");
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert_printable(&stdout, &format!("stdout of {args:?}"));
    assert_printable(&stderr, &format!("stderr of {args:?}"));
    assert!(format!("{stdout}{stderr}").contains(r"\u{1b}]52;c;eHh4"), "{args:?}: {stdout}{stderr}");
}

#[test]
fn arguments_are_escaped() {
    let folder = tempfile::tempdir().expect("a folder");
    let flag = format!("--{HOSTILE}");
    for args in [
        &[HOSTILE][..],
        &["help", HOSTILE],
        &["produce", HOSTILE],
        &["produce", &flag],
        &["lag", "--group", "a", "--watch", HOSTILE],
        &["produce", "--count", HOSTILE],
        &["produce", "--start-time", HOSTILE],
        &["replay", "--to-datetime", HOSTILE],
        &["replay", "--topic", HOSTILE],
        &["replay", "--from-file", HOSTILE],
        &["lag", "--fail-if", HOSTILE],
        &["broker", "--listen", HOSTILE],
        &["completions", HOSTILE],
        &["produce", "--output", HOSTILE],
        &["produce", "--prefix", HOSTILE],
        &["lag", "-b", HOSTILE],
        &["lag", "-X", &format!("linger.ms={HOSTILE}")],
        &["lag", "-F", HOSTILE],
        &["scenario", "check", HOSTILE],
    ] {
        assert_escaped(folder.path(), args, 2, false);
        assert_escaped(folder.path(), args, 2, true);
    }
    let text = texts(&foodstream(folder.path(), &["lag", "-X", HOSTILE]).output().expect("ended")).1;
    assert_eq!(text.lines().next(), Some("error: -X number 1: no value"), "it may be a secret");
}

#[test]
fn own_colours_remain() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = foodstream(folder.path(), &["produce", "--color", "always", "--nosuch"]).output().expect("ended");
    assert!(texts(&output).1.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "), "{:?}", texts(&output).1);
    let output = foodstream(folder.path(), &["lag", "--color", "always", "-b", "a:b:c"]).output().expect("ended");
    assert!(texts(&output).1.starts_with("\u{1b}[1;31merror\u{1b}[0m: "), "{:?}", texts(&output).1);
}

#[test]
fn text_of_files_is_escaped() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).expect("written");
    // One line, as names of settings and topics are.
    let in_a_line = HOSTILE.replace(['\r', '\n'], " ");
    write("client.properties", &format!("linger.ms={in_a_line}\n"));
    assert_escaped(folder.path(), &["lag", "-F", "client.properties", "-b", "127.0.0.1:1"], 2, false);
    write("plan.csv", &format!("order-events,0,\"{HOSTILE}\"\n"));
    assert_escaped(folder.path(), &["replay", "--from-file", "plan.csv", "-b", "127.0.0.1:1"], 2, false);
    // A script's text is shown with one mark per invisible character, to keep columns aligned.
    let escaped = HOSTILE.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007").replace('\r', "\\r");
    let escaped = escaped.replace('\u{9b}', "\\u009b").replace('\n', "\\n");
    write("script.toml", &format!("name = \"{escaped}\"\n\"{escaped}\" = 1\n[[step]]\nrun = \"{escaped}\"\n"));
    for args in [["scenario", "check"], ["scenario", "list"], ["scenario", "run"]] {
        let output = foodstream(folder.path(), &args).arg("script.toml").output().expect("ended");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let (stdout, stderr) = texts(&output);
        assert_printable(&(stdout + &stderr), &format!("{args:?}"));
    }
}

/// A cloned repository may contain any file name.
#[test]
fn file_names_are_escaped() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    let name = OsString::from_vec(format!("{}.toml", HOSTILE.replace('/', "_")).into_bytes());
    std::fs::write(scripts.join(&name), "name = 1\n").expect("written");
    for args in [&["scenario", "check", "scripts"][..], &["scenario", "list", "scripts"]] {
        assert_escaped(folder.path(), args, 2, false);
    }
    let good = "name = \"good\"\ndescription = \"good\"\n[[step]]\nrun = \"produce --count 1\"\nname = \"a\"\n\
                [[expect]]\nstep = \"a\"\nvalue = \"acknowledged\"\nequals = 1\n";
    std::fs::write(scripts.join(&name), good).expect("written");
    for args in [&["scenario", "check", "scripts"][..], &["scenario", "list", "scripts"]] {
        assert_escaped(folder.path(), args, 0, false);
        let json = foodstream(folder.path(), args).args(["--output", "json"]).output().expect("ended");
        let (stdout, _) = texts(&json);
        assert_printable(&stdout, "a document");
        let document: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
        let file = document["scenarios"][0]["file"].as_str().expect("a file");
        assert!(file.contains(HOSTILE), "a document says it as it is: {file:?}");
    }
    let data = folder.path().join(HOSTILE.replace('/', "_"));
    std::fs::create_dir(&data).expect("made");
    assert_escaped(folder.path(), &["broker", "--status", "--data", data.to_str().expect("UTF-8")], 3, false);
}
