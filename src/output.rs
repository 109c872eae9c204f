//! Output files of a command: opened before the work, complete or absent after it.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::exit::{Code, Failure};

/// Creates a directory and its parents, if it is missing.
///
/// # Errors
///
/// Exit code 8 if it cannot be created.
pub fn create_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| {
        Failure::new(Code::Output, format!("{} cannot be created: {error}", path.display()))
            .hint("choose a directory that you may create; nothing has been done yet")
    })
}

/// A file that appears under its name only when it is complete.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// Written next to the final name, then renamed.
    Renamed(NamedTempFile),
    /// A pipe or a device, which a rename cannot replace.
    Direct(fs::File),
}

impl OutputFile {
    /// Opens the file before the work begins, so that an unwritable path fails early, with exit code 8.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(Code::Output, format!("{} cannot be written: {error}", path.display()))
                .hint("choose a path in a directory that exists and is writable; nothing has been done yet")
        };
        // A trailing slash names a directory, even one that does not exist.
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(failure(&"it names a directory"));
        }
        let target = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(failure(&"it is a directory")),
            Ok(metadata) if !metadata.is_file() => {
                Target::Direct(fs::OpenOptions::new().write(true).open(path).map_err(|error| failure(&error))?)
            }
            Ok(metadata) if metadata.permissions().readonly() => return Err(failure(&"it is read-only")),
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let name = path.file_name().ok_or_else(|| failure(&"it does not name a file"))?;
                let temporary = Builder::new()
                    .prefix(&format!(".{}.", name.to_string_lossy()))
                    // The user's umask applies, as for any created file.
                    .permissions(fs::Permissions::from_mode(0o666))
                    .tempfile_in(folder)
                    .map_err(|error| failure(&reason(&error)))?;
                Target::Renamed(temporary)
            }
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Checks whether [`OutputFile::open`] will succeed, without opening a pipe or device: its reader would take the
    /// close for the end of the output.
    pub fn check(path: &Path) -> Result<(), Failure> {
        let special = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
        if fs::metadata(path).is_ok_and(special) { Ok(()) } else { Self::open(path).map(drop) }
    }

    /// Writes the whole content and makes it appear. On an error (exit code 8) the old content remains.
    pub fn finish(self, content: &str) -> Result<(), Failure> {
        let path = self.path;
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(Code::Output, format!("{} could not be written: {error}", path.display()))
                .hint("the old file is unchanged; free some space and run the command again")
        };
        match self.target {
            Target::Direct(mut file) => file.write_all(content.as_bytes()).map_err(|error| failure(&error)),
            Target::Renamed(mut file) => {
                file.write_all(content.as_bytes()).map_err(|error| failure(&error))?;
                file.as_file().sync_all().map_err(|error| failure(&error))?;
                file.persist(&path).map(drop).map_err(|error| failure(&error.error))
            }
        }
    }
}

/// The error without the name of the temporary file.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_complete_or_unchanged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.txt");
        fs::write(&path, "old").expect("written");
        let opened = OutputFile::open(&path).expect("opens");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        drop(opened);
        assert_eq!(fs::read_to_string(&path).expect("read"), "old", "an unfinished file leaves the old one");
        OutputFile::open(&path).expect("opens").finish("new").expect("finishes");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "no temporary file remains");
    }

    #[test]
    fn an_unwritable_path_fails_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in
            [folder.path().to_owned(), folder.path().join("missing/metrics.txt"), folder.path().join("missing/")]
        {
            let failure = OutputFile::open(&path).expect_err("refused");
            assert_eq!(OutputFile::check(&path), Err(failure.clone()), "check and open agree");
            assert!(!failure.message.contains(".metrics.txt."), "{failure}");
            assert_eq!(failure.code, Code::Output);
            assert!(failure.message.contains(&*path.to_string_lossy()));
        }
    }

    #[test]
    fn a_full_device_is_an_output_failure() {
        let failure = OutputFile::open(Path::new("/dev/full")).expect("opens").finish("x").expect_err("full");
        assert_eq!(failure.code, Code::Output);
    }
}
