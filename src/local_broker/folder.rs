//! Owns the folder of an embedded broker as its clients see it: made with a `.gitignore`, its small files whole or absent.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::broker::{Distrust, Untrusted};
use crate::exit::{Code, Failure};

/// Makes the folder if there is none, and gives its path from the root, which holds wherever a process stands.
///
/// A folder that is made here is never committed by accident: it ignores itself. One that was there is left as it is.
///
/// # Errors
///
/// With exit code 8 when it cannot be made.
pub fn prepare(folder: &Path) -> Result<PathBuf, Failure> {
    let failure = |error: &io::Error| unwritable(folder, error);
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(|error| failure(&error))?;
        write_whole(folder, ".gitignore", "*\n").map_err(|error| failure(&error))?;
    }
    fs::canonicalize(folder).map_err(|error| failure(&error))
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
        Distrust::Link if untrusted.path == folder => {
            format!("a link may lead anywhere: name the folder that it leads to, {elsewhere}")
        }
        Distrust::Link => format!("a link may lead anywhere: look where this one does and remove it, {elsewhere}"),
        Distrust::Kind { .. } => format!("look what it is and remove it, {elsewhere}"),
        Distrust::Owner { this: 0, .. } => format!("run this as the user whose folder it is, {elsewhere}"),
        Distrust::Owner { owner: 0, .. } => {
            format!("if a command with sudo made it, `sudo chown -R \"$(id -u)\" {shown}` gives it to you; {elsewhere}")
        }
        Distrust::Owner { .. } => {
            format!("what another user made is not used: {}", &elsewhere["or ".len()..])
        }
        Distrust::Writable { .. } => {
            format!("if nobody has put anything there, `chmod -R go-w {shown}` closes it to others; {elsewhere}")
        }
        Distrust::HardLink => format!(
            "what the other name is used for is not known: `cp {path} {path}.copy && mv {path}.copy {path}` parts them, {elsewhere}"
        ),
    };
    Failure::new(Code::Refused, format!("the embedded broker's folder {shown} is not used: {untrusted}")).hint(hint)
}

/// Writes a small file that only its owner can read, beside its name and then under it: a reader sees all of it or none.
pub fn write_whole(folder: &Path, name: &str, content: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.persist(folder.join(name)).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_folder_ignores_itself_and_an_old_one_is_left_as_it_is() {
        let parent = tempfile::tempdir().expect("a folder");
        let new = parent.path().join("a/.foodstream");
        let whole = prepare(&new).expect("made");
        assert!(whole.is_absolute());
        assert_eq!(fs::read_to_string(whole.join(".gitignore")).expect("read"), "*\n");
        let old = tempfile::tempdir().expect("a folder");
        prepare(old.path()).expect("there");
        assert_eq!(fs::read_dir(old.path()).expect("listed").count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_with_the_ways_around_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("written");
        let failure = prepare(&file.join(".foodstream")).expect_err("refused");
        assert_eq!(failure.code, Code::Output);
        assert!(failure.message.contains("file/.foodstream"), "{failure}");
        assert!(failure.hint.expect("a hint").contains("--memory"));
    }

    #[test]
    fn a_small_file_is_its_owners_alone_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        for content in ["one", "two"] {
            write_whole(folder.path(), "x.json", content).expect("written");
            assert_eq!(fs::read_to_string(folder.path().join("x.json")).expect("read"), content);
        }
        assert_eq!(fs::metadata(folder.path().join("x.json")).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
