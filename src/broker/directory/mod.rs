//! Access to the data directory. Everything in it is opened relative to a descriptor of it, and links are never
//! followed.
//!
//! Checks are made on the open descriptor, so that nothing can be exchanged in between: it must be a file or directory
//! of this user with a single name, and not writable by others.

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

pub use file_checks::{Untrusted, UntrustedReason};
pub use inspection::{Inspection, TOPICS};

use file_checks::{Expected, check};

/// Do not follow links, do not let child processes inherit, do not block on a pipe.
const SAFE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A data directory that is held open, or a directory below it. A clone is the same directory.
///
/// Directories below it are opened on demand, so they need no descriptor.
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
    /// Opens a directory. It must not be a link itself, but links in the path to it are followed. Returns [`Untrusted`]
    /// if it is a link, another user's, or writable by others.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let owner = rustix::process::geteuid();
        // Without a slash or dot at the end, which would follow a link.
        let path: PathBuf = path.components().collect();
        let wrong = |stat: &Stat| check(stat, owner, Expected::Directory).map(|reason| Untrusted::new(&path, reason));
        // Check first: the error of `open` would say less.
        if let Some(untrusted) = wrong(&rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)?) {
            return Err(untrusted.into());
        }
        let descriptor = rustix::fs::open(&path, SAFE_FLAGS | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        if let Some(untrusted) = wrong(&rustix::fs::fstat(&descriptor)?) {
            return Err(untrusted.into());
        }
        Ok(Self { root: Arc::new(Root { descriptor, path, owner }), below: PathBuf::new() })
    }

    /// Opens a directory, and creates it for this user alone if it is missing. Returns whether it was created.
    pub(crate) fn open_or_create(path: &Path) -> io::Result<(Self, bool)> {
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

    /// The directory of this name in it, which may not exist.
    #[must_use]
    pub(crate) fn child(&self, name: impl AsRef<Path>) -> Self {
        debug_assert!(name.as_ref().components().count() == 1, "one name");
        Self { root: Arc::clone(&self.root), below: self.below.join(name) }
    }

    /// The path, for messages only.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(&self.below) }
    }

    /// The path of a file in it, for messages only.
    #[must_use]
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Inode of the data directory, which differs for a copy.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.root.descriptor)?.st_ino)
    }

    /// Whether the data directory still has its path. Needs no free descriptor. An error does not mean that it is
    /// missing.
    pub(crate) fn is_at_path(&self) -> io::Result<bool> {
        let here = rustix::fs::fstat(&self.root.descriptor)?;
        match rustix::fs::statat(CWD, &self.root.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates it and its missing parents.
    pub(crate) fn create(&self) -> io::Result<()> {
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

    /// Opens every directory from the root down to it.
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

    /// Opens a name in an open directory, and checks the descriptor.
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
        // The system's error for a link or a foreign file says too little.
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok().and_then(|stat| wrong(&stat)) {
            Some(untrusted) => Err(untrusted.into()),
            None => Err(error.into()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let dir = self.open_dir()?;
        self.open_in(&dir, name.as_ref(), &self.path_of(name), SAFE_FLAGS | flags, Expected::File).map(File::from)
    }

    pub(crate) fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens a file for reading and appending, and creates it if it is missing.
    pub(crate) fn open_to_append(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens an existing file for reading and appending.
    pub(crate) fn open_to_change(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Opens an existing file for reading and for writing at any position.
    pub(crate) fn open_to_write(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR)
    }

    /// Opens a file for reading and for writing at any position, and creates or empties it.
    pub(crate) fn create_to_write(&self, name: &str) -> io::Result<File> {
        let file = self.open_file(name, OFlags::RDWR | OFlags::CREATE)?;
        // Only after the check: an untrusted file must not be truncated.
        file.set_len(0)?;
        Ok(file)
    }

    pub(crate) fn read(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        self.open_to_read(name)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Overwrites a file in place.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.open_to_append(name)?;
        // Only after the check: an untrusted file must not be truncated.
        file.set_len(0)?;
        file.write_all(content)
    }

    /// Replaces a file atomically, by a temporary file and a rename.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (temporary, mut file) = loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let temporary = format!(".{name}.{}-{number}", std::process::id());
            match self.open_file(&temporary, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL) {
                Ok(file) => break (temporary, file),
                // Left by a process of this id that was killed before the rename.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        file.write_all(content).and_then(|()| self.rename(&temporary, name)).inspect_err(|_| {
            // If removing fails too, a hidden file stays behind.
            drop(self.remove(&temporary));
        })
    }

    /// Renames a file in it, over an existing one.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let dir = self.open_dir()?;
        Ok(rustix::fs::renameat(&dir, from, &dir, to)?)
    }

    /// Removes a file. Open descriptors of it stay valid.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.open_dir()?, name, AtFlags::empty())?)
    }

    /// Removes the files that `own` names, then the directory. Fails with `DirectoryNotEmpty` if it holds anything
    /// else.
    pub(crate) fn remove_dir_with(&self, own: impl Fn(&str) -> bool) -> io::Result<()> {
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

    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
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

    /// Calls fsync on the directory, for its entries.
    pub(crate) fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir()?)?)
    }
}

/// Added to the name of what is set aside.
const SUFFIX: &str = ".set-aside";

/// The name before it was set aside, or the name itself.
#[must_use]
pub fn original_name(name: &str) -> &str {
    let Some((before, number)) = name.rsplit_once(SUFFIX) else { return name };
    let is_number = |number: &str| number.parse::<u32>().is_ok();
    if number.is_empty() || number.strip_prefix('-').is_some_and(is_number) { before } else { name }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryInfo {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Size of a file in bytes.
    pub size: u64,
}

impl Directory {
    /// Looks up a name without opening it or following a link. `None` if it does not exist.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Option<EntryInfo>> {
        let dir = match self.open_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                Ok(Some(EntryInfo { is_dir, size: u64::try_from(stat.st_size).unwrap_or_default() }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file or directory to a free name that the broker does not use: `NAME.set-aside`, `NAME.set-aside-1`
    /// and so on. Returns the new name.
    pub(crate) fn set_aside(&self, name: &str) -> io::Result<String> {
        let mut number = 0_u32;
        loop {
            let aside = if number == 0 { format!("{name}{SUFFIX}") } else { format!("{name}{SUFFIX}-{number}") };
            if self.stat(&aside)?.is_none() {
                self.rename(name, &aside)?;
                return Ok(aside);
            }
            number += 1;
        }
    }
}

#[cfg(test)]
impl Directory {
    /// A directory for tests, with the required mode whatever the umask is.
    pub(crate) fn for_test(path: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(path).expect("made");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("permitted");
        Self::open(path).expect("opens")
    }
}

#[cfg(test)]
mod tests;
