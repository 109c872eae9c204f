//! Inspection of a whole data directory before anything in it is opened, and repair of permissions that an older
//! version left open.

use std::ffi::{OsStr, OsString};
use std::io;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::file_checks::{Expected, Untrusted, check, is_open_to_others};
use super::{Directory, SAFE_FLAGS};

/// The directory whose content is inspected. Nothing is ever opened in other subdirectories.
pub const TOPICS: &str = "topics";

/// `topics/`, a topic's, a partition's. Deeper directories are never opened.
const DEPTH: usize = 3;

/// Result of inspecting a data directory in which everything is trusted.
#[derive(Debug, Default)]
pub struct Inspection {
    /// File names at the top level.
    pub names: Vec<OsString>,
    /// What others may read.
    open: Vec<(Directory, OsString)>,
}

impl Directory {
    /// Checks everything at the top level of a data directory and below its topics. Opens directories only. Returns
    /// [`Untrusted`] for the first link, file of another user, or file that others may write.
    pub(crate) fn inspect(&self) -> io::Result<Inspection> {
        let mut found = Inspection { names: self.names()?, open: Vec::new() };
        self.look(&found.names.clone(), DEPTH, &mut found.open)?;
        Ok(found)
    }

    fn look(&self, names: &[OsString], deeper: usize, open: &mut Vec<(Directory, OsString)>) -> io::Result<()> {
        let dir = self.open_dir()?;
        for name in names {
            let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Removed by the running broker.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(reason) = check(&stat, self.root.owner, Expected::Either) {
                return Err(Untrusted::new(&self.path().join(name), reason).into());
            }
            if is_open_to_others(&stat) {
                open.push((self.clone(), name.clone()));
            }
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_dir && deeper > 0 && (deeper < DEPTH || name == OsStr::new(TOPICS)) {
                let child = self.child(name);
                match child.names() {
                    Ok(names) => child.look(&names, deeper - 1, open)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Removes the permissions of others from what `own` names at the top level, and from everything below. Restricts
    /// the data directory itself only if it holds nothing else.
    pub(crate) fn restrict_permissions(&self, found: &Inspection, own: impl Fn(&OsStr) -> bool) -> io::Result<()> {
        for (dir, name) in &found.open {
            if dir.below.as_os_str().is_empty() && !own(name) {
                continue;
            }
            let here = dir.open_dir()?;
            let path = dir.path().join(name);
            match dir.open_in(&here, name, &path, SAFE_FLAGS | OFlags::RDONLY, Expected::Either) {
                Ok(descriptor) => rustix::fs::fchmod(&descriptor, owners(&rustix::fs::fstat(&descriptor)?))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let root = &self.root.descriptor;
        let stat = rustix::fs::fstat(root)?;
        if is_open_to_others(&stat) && found.names.iter().all(|name| own(name)) {
            rustix::fs::fchmod(root, owners(&stat))?;
        }
        Ok(())
    }
}

/// The owner's part of the mode.
fn owners(stat: &rustix::fs::Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode) & Mode::RWXU
}
