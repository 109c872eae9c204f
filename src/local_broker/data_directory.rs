//! Data directory of an embedded broker, from a client's side: open or create it, and the failures with their hints.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::broker::{Directory, Untrusted, UntrustedReason};
use crate::exit::{Code, Failure};

/// Makes a new data directory ignore itself, so that it is not committed by accident.
const IGNORE: &str = ".gitignore";

/// Opens the data directory, if it exists.
///
/// # Errors
///
/// With exit code 7 when it is not trusted, 8 when it cannot be opened.
pub fn open_existing(folder: &Path) -> Result<Option<Directory>, Failure> {
    match Directory::open(folder) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(folder, &error)),
    }
}

/// Opens or creates the data directory; its path becomes absolute. The contents of an existing one are left as they
/// are.
///
/// # Errors
///
/// With exit code 7 when it or a file in it is not trusted, 8 when it cannot be created.
pub fn open_or_create(folder: &Path) -> Result<Directory, Failure> {
    let failure = |error: io::Error| match Untrusted::of(&error) {
        Some(untrusted) => distrusted(folder, untrusted),
        None => unwritable(folder, &error),
    };
    let (directory, made) = absolute(folder).and_then(|path| Directory::open_or_create(&path)).map_err(failure)?;
    if made {
        directory.replace(IGNORE, b"*\n").map_err(failure)?;
    } else {
        directory.inspect().map_err(failure)?;
    }
    Ok(directory)
}

/// The absolute path. Links are resolved in the parent only: the directory itself must not be a link.
fn absolute(folder: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return fs::canonicalize(folder) };
    if parent.as_os_str().is_empty() {
        return Ok(fs::canonicalize(".")?.join(name));
    }
    fs::create_dir_all(parent)?;
    Ok(fs::canonicalize(parent)?.join(name))
}

/// A file cannot be read, so it is unknown whether a broker is running.
#[must_use]
pub fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    match Untrusted::of(error) {
        Some(untrusted) => distrusted(folder, untrusted),
        None => Failure::new(
            Code::Output,
            format!("the embedded broker's data directory {} cannot be read: {error}", folder.display()),
        )
        .hint("allow reading there, or use another directory with -b embedded:DIR; `ulimit -n` shows how many files may be open"),
    }
}

/// The data directory cannot be written.
#[must_use]
pub fn unwritable(folder: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Output, format!("the embedded broker's data directory {} cannot be written: {error}", folder.display()))
        .hint(
            "free space or allow writing there; otherwise use another directory with -b embedded:DIR, none with `foodstream broker --memory` \
             in another terminal, or a Kafka with -b HOST:PORT",
        )
}

/// A file in the data directory is not trusted.
#[must_use]
pub fn distrusted(folder: &Path, untrusted: &Untrusted) -> Failure {
    let shown = folder.display();
    let path = untrusted.path.display();
    let elsewhere = "or use another directory, with -b embedded:DIR or `foodstream broker --data DIR`";
    let hint = match untrusted.reason {
        UntrustedReason::Symlink if untrusted.path == folder => {
            format!("links are not followed: name the directory that it links to, {elsewhere}")
        }
        UntrustedReason::Symlink => {
            format!("links are not followed: check where this one leads and remove it, {elsewhere}")
        }
        UntrustedReason::WrongType { .. } => format!("check what it is and remove it, {elsewhere}"),
        UntrustedReason::WrongOwner { this: 0, .. } => {
            format!("run this as the user who owns the directory, {elsewhere}")
        }
        UntrustedReason::WrongOwner { owner: 0, .. } => {
            format!(
                "if a command with sudo created it, run `sudo chown -R \"$(id -u)\" {shown}` to own it; {elsewhere}"
            )
        }
        UntrustedReason::WrongOwner { .. } => {
            format!("files of another user are not used: {}", &elsewhere["or ".len()..])
        }
        UntrustedReason::WritableByOthers { .. } => {
            format!("if all its files are yours, run `chmod -R go-w {shown}` to close it to others; {elsewhere}")
        }
        UntrustedReason::HardLink => format!(
            "the other name of the file may be in use: `cp {path} {path}.copy && mv {path}.copy {path}` separates the two, {elsewhere}"
        ),
    };
    Failure::new(Code::Refused, format!("the embedded broker's data directory {shown} is not used: {untrusted}"))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_ignores_itself() {
        let parent = tempfile::tempdir().expect("a folder");
        let new = parent.path().join("a/.foodstream");
        let whole = open_or_create(&new).expect("made").path();
        assert!(whole.is_absolute());
        assert_eq!(fs::read_to_string(whole.join(".gitignore")).expect("read"), "*\n");
        let old = parent.path().join("old");
        Directory::for_test(&old);
        open_or_create(&old).expect("there");
        assert_eq!(fs::read_dir(old).expect("listed").count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_created_is_refused() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("written");
        let failure = open_or_create(&file.join(".foodstream")).expect_err("refused");
        assert_eq!(failure.code, Code::Output);
        assert!(failure.message.contains("file/.foodstream"), "{failure}");
        assert!(failure.hint.expect("a hint").contains("--memory"));
    }
}
