//! Owns the folder of an embedded broker as its clients see it: found or made with a `.gitignore`, and refused in words.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::broker::{Directory, Untrusted, UntrustedReason};
use crate::exit::{Code, Failure};

/// Keeps a folder that is made here from being committed by accident: it ignores itself.
const IGNORE: &str = ".gitignore";

/// The folder, if there is one.
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

/// Makes the folder if there is none; its path begins at the root, and holds wherever a process stands. One that was there is
/// left as it is, and nothing in it is opened.
///
/// # Errors
///
/// With exit code 7 when it or something in it is not trusted, 8 when it cannot be made.
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

/// The path from the root. Only the folders above it are looked up: itself it may be no link.
fn absolute(folder: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return fs::canonicalize(folder) };
    if parent.as_os_str().is_empty() {
        return Ok(fs::canonicalize(".")?.join(name));
    }
    fs::create_dir_all(parent)?;
    Ok(fs::canonicalize(parent)?.join(name))
}

/// Something in the folder cannot be read, and whether a broker runs over it is not known.
#[must_use]
pub fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    match Untrusted::of(error) {
        Some(untrusted) => distrusted(folder, untrusted),
        None => Failure::new(
            Code::Output,
            format!("the embedded broker's folder {} cannot be read: {error}", folder.display()),
        )
        .hint("allow reading there, or take another folder with -b embedded:DIR; `ulimit -n` is how many files may be open"),
    }
}

/// The folder cannot be written: told with the ways around it.
#[must_use]
pub fn unwritable(folder: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Output, format!("the embedded broker's folder {} cannot be written: {error}", folder.display()))
        .hint(
            "make room or allow writing there, or choose: -b embedded:DIR for another folder, `foodstream broker --memory` \
             in another terminal for none, -b HOST:PORT for a Kafka",
        )
}

/// Something in the folder is not trusted: told with the way on.
#[must_use]
pub fn distrusted(folder: &Path, untrusted: &Untrusted) -> Failure {
    let shown = folder.display();
    let path = untrusted.path.display();
    let elsewhere = "or take another folder, with -b embedded:DIR or `foodstream broker --data DIR`";
    let hint = match untrusted.reason {
        UntrustedReason::Symlink if untrusted.path == folder => {
            format!("a link may lead anywhere: name the folder that it leads to, {elsewhere}")
        }
        UntrustedReason::Symlink => {
            format!("a link may lead anywhere: look where this one does and remove it, {elsewhere}")
        }
        UntrustedReason::WrongType { .. } => format!("look what it is and remove it, {elsewhere}"),
        UntrustedReason::WrongOwner { this: 0, .. } => format!("run this as the user whose folder it is, {elsewhere}"),
        UntrustedReason::WrongOwner { owner: 0, .. } => {
            format!("if a command with sudo made it, `sudo chown -R \"$(id -u)\" {shown}` gives it to you; {elsewhere}")
        }
        UntrustedReason::WrongOwner { .. } => {
            format!("what another user made is not used: {}", &elsewhere["or ".len()..])
        }
        UntrustedReason::WritableByOthers { .. } => {
            format!("if nobody has put anything there, `chmod -R go-w {shown}` closes it to others; {elsewhere}")
        }
        UntrustedReason::HardLink => format!(
            "what the other name is used for is not known: `cp {path} {path}.copy && mv {path}.copy {path}` parts them, {elsewhere}"
        ),
    };
    Failure::new(Code::Refused, format!("the embedded broker's folder {shown} is not used: {untrusted}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_ignores_itself_and_an_old_one_is_left_as_it_is() {
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
    fn a_folder_that_cannot_be_made_is_told_with_the_ways_around_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("written");
        let failure = open_or_create(&file.join(".foodstream")).expect_err("refused");
        assert_eq!(failure.code, Code::Output);
        assert!(failure.message.contains("file/.foodstream"), "{failure}");
        assert!(failure.hint.expect("a hint").contains("--memory"));
    }
}
