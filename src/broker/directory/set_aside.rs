//! Renaming of unknown files and directories, and `stat` without opening.

use std::io;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::Directory;

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
