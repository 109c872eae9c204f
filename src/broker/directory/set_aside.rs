//! Owns giving another name to what belongs to nothing, and looking at what has a name without opening it.

use std::io;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::Directory;

/// How the names go on of what was set aside.
const SUFFIX: &str = ".set-aside";

/// What something was called before it was set aside; itself if it was not.
#[must_use]
pub fn original_name(name: &str) -> &str {
    let Some((before, number)) = name.rsplit_once(SUFFIX) else { return name };
    let is_number = |number: &str| number.parse::<u32>().is_ok();
    if number.is_empty() || number.strip_prefix('-').is_some_and(is_number) { before } else { name }
}

/// What is there under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryInfo {
    /// A folder, otherwise anything else.
    pub is_dir: bool,
    /// Bytes of a file.
    pub size: u64,
}

impl Directory {
    /// What is there under a name, which is not opened for it, nor followed if it is a link; `None` where nothing is.
    ///
    /// # Errors
    ///
    /// When that cannot be told: an error is not an absence.
    pub fn stat(&self, name: &str) -> io::Result<Option<EntryInfo>> {
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

    /// Gives a file or folder in it a name that is free and of which nothing is opened: `NAME.set-aside`, `NAME.set-aside-1` and so on.
    /// Returns that name.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn set_aside(&self, name: &str) -> io::Result<String> {
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
