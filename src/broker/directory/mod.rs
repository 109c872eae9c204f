//! Owns access to the data folder: it is held open, and everything in it is opened below that descriptor, never through a link.
//!
//! Whatever is opened is looked at once it is open, so that nothing that is put there in between is used: it must be a file or
//! a folder of this user, without a second name, that no other user may write.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

mod file_checks;
mod inspection;
mod set_aside;

pub use file_checks::{Untrusted, UntrustedReason};
pub use inspection::{Inspection, TOPICS};
pub use set_aside::original_name;

use file_checks::{Expected, check};

/// How everything is opened: no link is followed, no child inherits it, and a pipe that lies there is not waited for.
const SAFE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A data folder that is held open, or a folder below it. A clone is the same folder.
///
/// What lies below is not held: any number of folders costs no descriptor.
#[derive(Debug, Clone)]
pub struct Directory {
    root: Arc<Root>,
    below: PathBuf,
}

#[derive(Debug)]
struct Root {
    descriptor: OwnedFd,
    path: PathBuf,
    owner: rustix::process::Uid,
}

/// A folder that is open for a moment, or the root, which always is.
enum OpenDir<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for OpenDir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(descriptor) => *descriptor,
            Self::Below(descriptor) => descriptor.as_fd(),
        }
    }
}

impl Directory {
    /// Opens a folder. Links on the way to it are followed; itself it may be none.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] when it is a link, another user's, or may be written by others; otherwise why it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let owner = rustix::process::geteuid();
        // Behind a slash or a dot at its end a link would be followed.
        let path: PathBuf = path.components().collect();
        let wrong = |stat: &Stat| check(stat, owner, Expected::Directory).map(|reason| Untrusted::new(&path, reason));
        // Before the attempt: what the system says of a foreign folder is less than what there is to say.
        if let Some(untrusted) = wrong(&rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)?) {
            return Err(untrusted.into());
        }
        let descriptor = rustix::fs::open(&path, SAFE_FLAGS | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        if let Some(untrusted) = wrong(&rustix::fs::fstat(&descriptor)?) {
            return Err(untrusted.into());
        }
        Ok(Self { root: Arc::new(Root { descriptor, path, owner }), below: PathBuf::new() })
    }

    /// Opens a folder and makes it if there is none, for this user alone. Tells whether it was made.
    ///
    /// # Errors
    ///
    /// As [`Directory::open`], or when it cannot be made.
    pub fn open_or_create(path: &Path) -> io::Result<(Self, bool)> {
        match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(|directory| (directory, false)),
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let made = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        Ok((Self::open(path)?, made))
    }

    /// The folder of this name in it, which need not be there.
    #[must_use]
    pub fn child(&self, name: impl AsRef<Path>) -> Self {
        debug_assert!(name.as_ref().components().count() == 1, "one name");
        Self { root: Arc::clone(&self.root), below: self.below.join(name) }
    }

    /// Where it lies, for people. It is never used to open anything.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(&self.below) }
    }

    /// Where a file of it lies, for people.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The number of the data folder in its file system: a copy has another.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.root.descriptor)?.st_ino)
    }

    /// Whether the data folder still lies where it was opened. It takes no descriptor to tell.
    ///
    /// # Errors
    ///
    /// When that cannot be told: an error is not an absence.
    pub fn is_at_path(&self) -> io::Result<bool> {
        let here = rustix::fs::fstat(&self.root.descriptor)?;
        match rustix::fs::statat(CWD, &self.root.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes it, and those above it, if they are missing.
    ///
    /// # Errors
    ///
    /// When one cannot be made, or one that is there is not trusted.
    pub fn create(&self) -> io::Result<()> {
        let mut here = Self { root: Arc::clone(&self.root), below: PathBuf::new() };
        for name in &self.below {
            match rustix::fs::mkdirat(here.open_dir()?, name, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = here.child(name);
        }
        self.open_dir().map(drop)
    }

    /// Opens it by going down from the root, one name after the other.
    fn open_dir(&self) -> io::Result<OpenDir<'_>> {
        let mut reached = OpenDir::Root(self.root.descriptor.as_fd());
        let mut path = self.root.path.clone();
        for name in &self.below {
            path.push(name);
            let flags = SAFE_FLAGS | OFlags::RDONLY | OFlags::DIRECTORY;
            reached = OpenDir::Below(self.open_in(&reached, name, &path, flags, Expected::Directory)?);
        }
        Ok(reached)
    }

    /// Opens one name in a folder that is open, and looks at what that came to.
    fn open_in(
        &self,
        dir: &OpenDir<'_>,
        name: &OsStr,
        path: &Path,
        flags: OFlags,
        expected: Expected,
    ) -> io::Result<OwnedFd> {
        let wrong = |stat: &Stat| check(stat, self.root.owner, expected).map(|reason| Untrusted::new(path, reason));
        let error = match rustix::fs::openat(dir, name, flags, FILE_MODE) {
            Ok(descriptor) => {
                return match wrong(&rustix::fs::fstat(&descriptor)?) {
                    Some(untrusted) => Err(untrusted.into()),
                    None => Ok(descriptor),
                };
            }
            Err(error) => error,
        };
        // The system's word for a link or a foreign file says too little.
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok().and_then(|stat| wrong(&stat)) {
            Some(untrusted) => Err(untrusted.into()),
            None => Err(error.into()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let dir = self.open_dir()?;
        self.open_in(&dir, name.as_ref(), &self.path_of(name), SAFE_FLAGS | flags, Expected::File).map(File::from)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// When it is not there, is not trusted, or cannot be opened.
    pub fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens a file for reading and for writing at its end, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// When it is not trusted, or cannot be opened or made.
    pub fn open_to_append(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens a file for reading and for writing at its end; one that is missing is not made.
    ///
    /// # Errors
    ///
    /// When it is not there, is not trusted, or cannot be opened.
    pub fn open_to_change(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Opens a file for reading and for writing at any place in it; one that is missing is not made.
    ///
    /// # Errors
    ///
    /// When it is not there, is not trusted, or cannot be opened.
    pub fn open_to_write(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR)
    }

    /// The same with an empty file, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// When it is not trusted, or cannot be opened or made.
    pub fn create_to_write(&self, name: &str) -> io::Result<File> {
        let file = self.open_file(name, OFlags::RDWR | OFlags::CREATE)?;
        // Not on the way in: what is not trusted must not be cut.
        file.set_len(0)?;
        Ok(file)
    }

    /// What a file holds, as text.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or read, or is no text.
    pub fn read(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        self.open_to_read(name)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes a file in its place.
    ///
    /// # Errors
    ///
    /// When it is not trusted, or cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.open_to_append(name)?;
        // Not on the way in: what is not trusted must not be cut.
        file.set_len(0)?;
        file.write_all(content)
    }

    /// Writes a file beside its name and then under it: a reader sees all of it or none.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (beside, mut file) = loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let beside = format!(".{name}.{}-{number}", std::process::id());
            match self.open_file(&beside, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL) {
                Ok(file) => break (beside, file),
                // A process of this number was killed between the two.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        file.write_all(content).and_then(|()| self.rename(&beside, name)).inspect_err(|_| {
            // What cannot be written can mostly be removed; if not, it is a hidden file that nobody reads.
            drop(self.remove(&beside));
        })
    }

    /// Gives a file of it another name, where it takes the place of what is there.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let dir = self.open_dir()?;
        Ok(rustix::fs::renameat(&dir, from, &dir, to)?)
    }

    /// Removes a file. Whoever has it open still can read it.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.open_dir()?, name, AtFlags::empty())?)
    }

    /// Removes the files whose names are `own`, and then the folder: one in which anything else lies stays with that.
    ///
    /// # Errors
    ///
    /// `DirectoryNotEmpty` when something else lies in it; otherwise why something cannot be removed.
    pub fn remove_dir_with(&self, own: impl Fn(&str) -> bool) -> io::Result<()> {
        let dir = self.open_dir()?;
        for name in self.names()? {
            let Some(name) = name.to_str().filter(|name| own(name)) else { continue };
            let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
            }
        }
        let (Some(above), Some(name)) = (self.below.parent(), self.below.file_name()) else { return Ok(()) };
        let above = Self { root: Arc::clone(&self.root), below: above.to_owned() };
        Ok(rustix::fs::unlinkat(above.open_dir()?, name, AtFlags::REMOVEDIR)?)
    }

    /// The names in it.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.open_dir()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Makes the disk have its names.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir()?)?)
    }
}

#[cfg(test)]
impl Directory {
    /// A folder of a test, whatever the umask made of it.
    pub(crate) fn for_test(path: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(path).expect("made");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("permitted");
        Self::open(path).expect("opens")
    }
}

#[cfg(test)]
mod tests;
