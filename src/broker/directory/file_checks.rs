//! Owns what makes a file or folder trusted: it is of its kind, of this user, under one name, and nobody else may write it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, Stat};
use rustix::process::Uid;

/// A file or folder that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {reason}", .path.display())]
pub struct Untrusted {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: UntrustedReason,
}

/// Why a file or folder is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UntrustedReason {
    /// It leads somewhere else.
    #[error("is a symbolic link")]
    Symlink,
    /// It is neither a file nor a folder, or not the one that it should be.
    #[error("is {is}, not {expected}")]
    WrongType {
        /// What it is.
        is: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Another user made it, and may change it.
    #[error("belongs to {}, and this process runs as {}", user(*.owner), user(*.this))]
    WrongOwner {
        /// Whose it is.
        owner: u32,
        /// Who this is.
        this: u32,
    },
    /// Other users may change it.
    #[error("may be written by {by} (mode {mode:o})")]
    WritableByOthers {
        /// By whom.
        by: &'static str,
        /// Its mode.
        mode: u32,
    },
    /// It has a second name, under which it may be anything.
    #[error("has a second name somewhere else (it is a hard link)")]
    HardLink,
}

impl Untrusted {
    pub(super) fn new(path: &Path, reason: UntrustedReason) -> Self {
        Self { path: path.to_owned(), reason }
    }

    /// The one that an error is about, if that is the reason.
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

/// What should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    File,
    Directory,
    Either,
}

/// What is wrong with it, if anything is.
pub(super) fn check(stat: &Stat, owner: Uid, expected: Expected) -> Option<UntrustedReason> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mode = Mode::from_raw_mode(stat.st_mode);
    let wrong = match expected {
        Expected::File => (kind != FileType::RegularFile).then_some("a file"),
        Expected::Directory => (kind != FileType::Directory).then_some("a folder"),
        Expected::Either => {
            (!matches!(kind, FileType::RegularFile | FileType::Directory)).then_some("a file or a folder")
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

/// Whether others than the owner may do anything with it.
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
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}

/// A user as people know him: by his name, where the system's file of users has one, and his number.
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
