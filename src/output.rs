//! Owns the files that a command leaves behind: opened before the work, whole or absent after it.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::exit::{Code, Failure};

/// A file that will appear under its name only when it is complete.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// Written beside the final name, then renamed onto it.
    Renamed(NamedTempFile),
    /// A pipe or a device, which cannot be replaced by renaming.
    Direct(fs::File),
}

impl OutputFile {
    /// Opens the file before the work begins, so that a path that cannot be written is told then and not at the end.
    ///
    /// # Errors
    ///
    /// With exit code 8 when the path cannot be written.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(Code::Output, format!("{} cannot be written: {error}", path.display()))
                .hint("choose a path in a directory that exists and is writable; nothing was done yet")
        };
        // A path that ends so names a directory, also where there is none: the name without the slash is not what was asked for.
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
                let name = path.file_name().ok_or_else(|| failure(&"it names no file"))?;
                let temporary = Builder::new()
                    .prefix(&format!(".{}.", name.to_string_lossy()))
                    // What the user's umask leaves of it, as for any file that a program creates.
                    .permissions(fs::Permissions::from_mode(0o666))
                    .tempfile_in(folder)
                    .map_err(|error| failure(&reason(&error)))?;
                Target::Renamed(temporary)
            }
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Whether [`OutputFile::open`] will succeed, as far as that can be told without touching what is there: a pipe or a
    /// device is not opened, as its reader would take that for all that comes.
    ///
    /// # Errors
    ///
    /// With exit code 8 when the path cannot be written.
    pub fn check(path: &Path) -> Result<(), Failure> {
        let special = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
        if fs::metadata(path).is_ok_and(special) { Ok(()) } else { Self::open(path).map(drop) }
    }

    /// Writes the whole content and makes it appear.
    ///
    /// # Errors
    ///
    /// With exit code 8 when it cannot be written, as on a full disk; the old content then stands as it was.
    pub fn finish(self, content: &str) -> Result<(), Failure> {
        let path = self.path;
        let failure = |error: &dyn std::fmt::Display| {
            Failure::new(Code::Output, format!("{} could not be written: {error}", path.display()))
                .hint("the file is as it was before; make room and run the command again")
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

/// What is wrong with a folder, without the name of the temporary file in it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_keeps_its_old_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.txt");
        fs::write(&path, "old").expect("written");
        let opened = OutputFile::open(&path).expect("opens");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        drop(opened);
        assert_eq!(fs::read_to_string(&path).expect("read"), "old", "an unfinished file changes nothing");
        OutputFile::open(&path).expect("opens").finish("new").expect("finishes");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in
            [folder.path().to_owned(), folder.path().join("missing/metrics.txt"), folder.path().join("missing/")]
        {
            let failure = OutputFile::open(&path).expect_err("refused");
            assert_eq!(OutputFile::check(&path), Err(failure.clone()), "looked at, or opened");
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
