//! Unwritable outputs fail before the work, and before any broker is contacted or started.

use std::path::Path;

use super::{foodstream, texts};

/// Command lines with a placeholder for a path.
const OUTPUTS: &[&str] = &[
    "produce --report PATH",
    "inventory --report PATH",
    "analytics --report PATH",
    "analytics --metrics-file PATH",
    "analytics --from-beginning --metrics-file PATH",
    "replay --report PATH",
    "replay --dry-run --report PATH",
    "replay --undo --report PATH",
    "replay --initial-file PATH",
    "replay --shadow --after-file PATH",
    "lag --report PATH",
    "lag --csv PATH",
    "clean --yes --report PATH",
    "broker --status --report PATH",
    "man PATH",
];

/// A path and a part of the error message.
fn unwritable(folder: &Path) -> Vec<(String, &'static str)> {
    std::fs::create_dir(folder.join("folder")).expect("made");
    std::fs::write(folder.join("file"), "old").expect("written");
    let mut paths = vec![
        ("/dev/full/x".to_owned(), "Not a directory"),
        ("missing/x".to_owned(), "No such file or directory"),
        ("folder/".to_owned(), "names a directory"),
        ("folder".to_owned(), "is a directory"),
        ("file/x".to_owned(), "Not a directory"),
        // Not writable, even for root.
        ("/proc/foodstream".to_owned(), "No such file or directory"),
    ];
    let closed = folder.join("closed");
    std::fs::create_dir(&closed).expect("made");
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o555)).expect("closed");
    // Root can write anyway.
    if std::fs::write(closed.join("probe"), "").is_err() {
        paths.push(("closed/x".to_owned(), "Permission denied"));
    }
    paths
}

#[test]
fn an_unwritable_path_fails_first() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, reason) in unwritable(folder.path()) {
        for args in OUTPUTS {
            let is_man = args.starts_with("man");
            // `man` creates its directory.
            if is_man && (path.starts_with("folder") || path.starts_with("missing")) {
                continue;
            }
            let args = args.replace("PATH", &path);
            // Without -b, which would start a broker in this directory.
            let output = foodstream(folder.path(), &args.split_whitespace().collect::<Vec<_>>())
                .args(if is_man { &[][..] } else { &["--output", "json"] })
                .output()
                .expect("ended");
            let (stdout, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(8), "{args}: {stderr}");
            assert!(stderr.contains(&path) && stderr.contains(reason), "{args}: {stderr}");
            assert!(stderr.contains("nothing has been done yet"), "{args}: {stderr}");
            assert_eq!(stdout, "", "{args}");
            assert!(!folder.path().join(".foodstream").exists(), "{args} started a broker");
        }
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).expect("read"), "old");
}

#[test]
fn a_full_stdout_is_an_output_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["--help"][..], &["--version"], &["help", "lag"], &["completions", "zsh"], &["man", "."]] {
        let output = foodstream(folder.path(), args).stdout(full()).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(8), "{args:?}: {stderr}");
        assert!(stderr.contains("stdout cannot be written"), "{args:?}: {stderr}");
    }
}

#[test]
fn a_full_report_device_is_an_output_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [["broker", "--status"], ["broker", "--stop"]] {
        let output = foodstream(folder.path(), &args).args(["--report", "/dev/full"]).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(8), "{args:?}: {stderr}");
        assert!(stderr.contains("/dev/full could not be written"), "{args:?}: {stderr}");
    }
}

#[test]
fn two_outputs_in_one_file_are_refused() {
    for args in [
        "replay --initial-file same --after-file same",
        "replay --report metrics_initial.txt",
        "analytics --report x --metrics-file ./x",
    ] {
        let output = foodstream(Path::new("."), &args.split_whitespace().collect::<Vec<_>>()).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{args}: {stderr}");
        assert!(stderr.contains("name the same file") && stderr.contains("hint: use a different"), "{args}: {stderr}");
    }
}

#[test]
fn output_over_a_page_or_a_document_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports = ["r", "scenario-report"].map(|name| folder.path().join(name));
    for report in &reports {
        std::fs::create_dir(report).expect("created");
    }
    for args in ["--out r --svg r/crash.html", "--out ./r --junit r/crash.json", "--junit scenario-report/crash.html"] {
        let args: Vec<&str> = "scenario run crash".split(' ').chain(args.split(' ')).collect();
        let (_, stderr) = texts(&foodstream(folder.path(), &args).output().expect("ended"));
        assert!(stderr.contains("--out and --") && stderr.contains("name the same file"), "{args:?}: {stderr}");
        assert!(stderr.contains("hint: use a different file for each"), "{args:?}: {stderr}");
    }
    for report in reports {
        assert_eq!(std::fs::read_dir(report).expect("listed").count(), 0, "nothing was written");
    }
}

#[test]
fn chart_of_several_scripts_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["one", "other"] {
        let script = format!(
            "name = {name:?}\ndescription = \"x\"\n[[step]]\nname = \"a\"\nrun = \"produce\"\n\
             [[expect]]\nstep = \"a\"\nvalue = \"failed\"\nequals = 0\n"
        );
        std::fs::write(folder.path().join(format!("{name}.toml")), script).expect("written");
    }
    let args = ["scenario", "run", "one.toml", "other.toml", "--svg", "lag.svg"];
    let output = foodstream(folder.path(), &args).output().expect("ended");
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("--svg writes the chart of a single script"), "{stderr}");
    assert!(!folder.path().join("lag.svg").exists() && !folder.path().join("scenario-report").exists());
}
