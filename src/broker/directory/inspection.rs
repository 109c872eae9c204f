//! Owns the look at a whole data folder before anything in it is opened, and taking from others what an older version let them read.

use std::ffi::{OsStr, OsString};
use std::io;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::file_checks::{Expected, Untrusted, check, is_open_to_others};
use super::{Directory, SAFE_FLAGS};

/// The folder below which everything is looked at; of another one that lies in a data folder nothing is ever opened.
pub const TOPICS: &str = "topics";

/// `topics/`, a topic's, a partition's: what lies deeper is never opened.
const DEPTH: usize = 3;

/// What a look at a data folder found, and nothing in it that is not trusted.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The names at its top.
    pub names: Vec<OsString>,
    /// What others may read.
    open: Vec<(Directory, OsString)>,
}

impl Directory {
    /// Looks at all names at the top of a data folder, and at all that lies below its topics. Nothing is opened but folders.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] for the first that is a link, another user's, or may be written by others; otherwise why it cannot be read.
    pub fn inspect(&self) -> io::Result<Inspection> {
        let mut found = Inspection { names: self.names()?, open: Vec::new() };
        self.look(&found.names.clone(), DEPTH, &mut found.open)?;
        Ok(found)
    }

    fn look(&self, names: &[OsString], deeper: usize, open: &mut Vec<(Directory, OsString)>) -> io::Result<()> {
        let dir = self.open_dir()?;
        for name in names {
            let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // The broker that works on it has removed it.
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

    /// Takes from others what the look found open to them, as far as it is `own`; itself too, if nothing else lies in it.
    ///
    /// # Errors
    ///
    /// When a mode cannot be changed.
    pub fn restrict_permissions(&self, found: &Inspection, own: impl Fn(&OsStr) -> bool) -> io::Result<()> {
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

/// The mode without what it gives to others.
fn owners(stat: &rustix::fs::Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode) & Mode::RWXU
}
