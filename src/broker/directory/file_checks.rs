//! Checks of a file or directory before it is used: type, owner, mode and link count.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, Stat};
use rustix::process::Uid;

/// A file or directory that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {reason}", .path.display())]
pub struct Untrusted {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: UntrustedReason,
}

/// Why a file or directory is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UntrustedReason {
    /// It is a symbolic link.
    #[error("is a symbolic link")]
    Symlink,
    /// It is neither a file nor a directory, or not the expected one.
    #[error("is {is}, not {expected}")]
    WrongType {
        /// What it is.
        is: &'static str,
        /// What is expected.
        expected: &'static str,
    },
    /// It belongs to another user, who may change it.
    #[error("belongs to {}, and this process runs as {}", user(*.owner), user(*.this))]
    WrongOwner {
        /// User id of the owner.
        owner: u32,
        /// User id of this process.
        this: u32,
    },
    /// Other users may change it.
    #[error("may be written by {by} (mode {mode:o})")]
    WritableByOthers {
        /// Who may write it.
        by: &'static str,
        /// Its mode.
        mode: u32,
    },
    /// It has a second name, so other programs may use it.
    #[error("has a second name somewhere else (it is a hard link)")]
    HardLink,
}

impl Untrusted {
    pub(super) fn new(path: &Path, reason: UntrustedReason) -> Self {
        Self { path: path.to_owned(), reason }
    }

    /// The reason of an I/O error that was caused by an untrusted file.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Untrusted> for io::Error {
    fn from(untrusted: Untrusted) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, untrusted)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    File,
    Directory,
    Either,
}

pub(super) fn check(stat: &Stat, owner: Uid, expected: Expected) -> Option<UntrustedReason> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mode = Mode::from_raw_mode(stat.st_mode);
    let wrong = match expected {
        Expected::File => (kind != FileType::RegularFile).then_some("a file"),
        Expected::Directory => (kind != FileType::Directory).then_some("a directory"),
        Expected::Either => {
            (!matches!(kind, FileType::RegularFile | FileType::Directory)).then_some("a file or a directory")
        }
    };
    if kind == FileType::Symlink {
        return Some(UntrustedReason::Symlink);
    }
    if Uid::from_raw(stat.st_uid) != owner {
        return Some(UntrustedReason::WrongOwner { owner: stat.st_uid, this: owner.as_raw() });
    }
    if let Some(expected) = wrong {
        return Some(UntrustedReason::WrongType { is: name_of(kind), expected });
    }
    let by = match (mode.contains(Mode::WGRP), mode.contains(Mode::WOTH)) {
        (_, true) => Some("every user"),
        (true, false) => Some("its group"),
        (false, false) => None,
    };
    if let Some(by) = by {
        return Some(UntrustedReason::WritableByOthers { by, mode: mode_bits(mode) });
    }
    (kind == FileType::RegularFile && stat.st_nlink > 1).then_some(UntrustedReason::HardLink)
}

pub(super) fn is_open_to_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO)
}

#[allow(clippy::useless_conversion, reason = "the system's type for a mode is narrower on macOS")]
fn mode_bits(mode: Mode) -> u32 {
    u32::from(mode.as_raw_mode())
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "an unknown file type",
    }
}

/// User name and id. The name is only known if it is in `/etc/passwd`.
fn user(uid: u32) -> String {
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    let users = String::from_utf8_lossy(&users);
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    name.map_or_else(|| format!("the user with uid {uid}"), |name| format!("{name} (uid {uid})"))
}
