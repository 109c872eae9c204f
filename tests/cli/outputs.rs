//! Owns that an output which cannot be written is told before the work, and before any broker is asked or started.

use std::path::Path;

use super::{foodstream, texts};

/// Each command line with a place for a path.
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

/// What stands there, what the message says of it.
fn unwritable(folder: &Path) -> Vec<(String, &'static str)> {
    std::fs::create_dir(folder.join("folder")).expect("made");
    std::fs::write(folder.join("file"), "old").expect("written");
    let mut paths = vec![
        ("/dev/full/x".to_owned(), "Not a directory"),
        ("missing/x".to_owned(), "No such file or directory"),
        ("folder/".to_owned(), "names a directory"),
        ("folder".to_owned(), "is a directory"),
        ("file/x".to_owned(), "Not a directory"),
        // Writable by nobody, root included.
        ("/proc/foodstream".to_owned(), "No such file or directory"),
    ];
    let closed = folder.join("closed");
    std::fs::create_dir(&closed).expect("made");
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o555)).expect("closed");
    // Root writes wherever it likes.
    if std::fs::write(closed.join("probe"), "").is_err() {
        paths.push(("closed/x".to_owned(), "Permission denied"));
    }
    paths
}

#[test]
fn a_path_that_cannot_be_written_is_told_before_a_broker_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, reason) in unwritable(folder.path()) {
        for words in OUTPUTS {
            let is_man = words.starts_with("man");
            if is_man && path.starts_with("folder") {
                continue;
            }
            let words = words.replace("PATH", &path);
            // Without -b: a broker would be started over this folder.
            let output = foodstream(folder.path(), &words.split_whitespace().collect::<Vec<_>>())
                .args(if is_man { &[][..] } else { &["--output", "json"] })
                .output()
                .expect("ended");
            let (stdout, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(8), "{words}: {stderr}");
            assert!(stderr.contains(&path) && stderr.contains(reason), "{words}: {stderr}");
            assert!(stderr.contains("nothing was done yet"), "{words}: {stderr}");
            assert_eq!(stdout, "", "{words}");
            assert!(!folder.path().join(".foodstream").exists(), "{words} started a broker");
        }
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).expect("read"), "old");
}

#[test]
fn a_stdout_that_is_full_is_an_output_that_could_not_be_written() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let folder = tempfile::tempdir().expect("a folder");
    for words in [&["--help"][..], &["--version"], &["help", "lag"], &["completions", "zsh"], &["man", "."]] {
        let output = foodstream(folder.path(), words).stdout(full()).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(8), "{words:?}: {stderr}");
        assert!(stderr.contains("stdout cannot be written"), "{words:?}: {stderr}");
    }
}

#[test]
fn a_report_onto_a_full_device_is_told_and_not_called_done() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [["broker", "--status"], ["broker", "--stop"]] {
        let output = foodstream(folder.path(), &words).args(["--report", "/dev/full"]).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(8), "{words:?}: {stderr}");
        assert!(stderr.contains("/dev/full could not be written"), "{words:?}: {stderr}");
    }
}

#[test]
fn two_answers_in_one_file_are_refused() {
    for words in [
        "replay --initial-file same --after-file same",
        "replay --report metrics_initial.txt",
        "analytics --report x --metrics-file ./x",
    ] {
        let output = foodstream(Path::new("."), &words.split_whitespace().collect::<Vec<_>>()).output().expect("ended");
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
        assert!(stderr.contains("name the same file") && stderr.contains("hint: give each"), "{words}: {stderr}");
    }
}
