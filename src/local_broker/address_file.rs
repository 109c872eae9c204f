//! Owns the address file: where the broker over a folder listens, and the id by which it is known again.
//!
//! The file is a claim. It is believed when the one who answers there knows the id in it, which is drawn anew at every
//! start: then a file that a dead process left, or one that was copied with its folder, leads nobody astray.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::write_whole;

const NAME: &str = "broker.json";

/// Where a running broker is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFile {
    /// Drawn anew at every start of a broker. Whoever can read this file may stop the broker, and nobody else.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// Where clients reach it.
    pub address: SocketAddr,
    /// Where this program's processes hold it, ask it and stop it.
    pub control: SocketAddr,
    /// The start, milliseconds since the epoch.
    pub since_millis: i64,
    /// Which folder this was written into: a copy of the folder is another.
    pub inode: u64,
}

impl AddressFile {
    /// The inode that stands in the file of this folder.
    ///
    /// # Errors
    ///
    /// When the folder is not there.
    pub fn inode_of(folder: &Path) -> io::Result<u64> {
        fs::metadata(folder).map(|metadata| metadata.ino())
    }

    /// What the folder claims, if it claims anything that can be read and was written here.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let claim: Self = serde_json::from_str(&fs::read_to_string(folder.join(NAME)).ok()?).ok()?;
        Self::inode_of(folder).is_ok_and(|inode| inode == claim.inode).then_some(claim)
    }

    /// Makes the claim.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(folder, NAME, &serde_json::to_string(self)?)
    }

    /// Whether the folder still claims this broker: it may be gone, or another one's by now.
    #[must_use]
    pub fn stands_in(&self, folder: &Path) -> bool {
        Self::read(folder).is_some_and(|claim| claim.id == self.id)
    }

    /// Takes the claim back, if it is still this broker's.
    pub fn remove(&self, folder: &Path) {
        if self.stands_in(folder) {
            // A file that stays is a stale one, which is believed by nobody.
            drop(fs::remove_file(folder.join(NAME)));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn claim(folder: &Path, id: &str, control: SocketAddr) -> AddressFile {
        AddressFile {
            id: id.to_owned(),
            pid: 1,
            address: ([127, 0, 0, 1], 9092).into(),
            control,
            since_millis: 0,
            inode: AddressFile::inode_of(folder).expect("a folder"),
        }
    }

    #[test]
    fn a_claim_is_taken_back_only_by_the_one_who_made_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (one, two) =
            (claim(folder, "1", ([127, 0, 0, 1], 1).into()), claim(folder, "2", ([127, 0, 0, 1], 2).into()));
        assert_eq!(AddressFile::read(folder), None);
        one.write(folder).expect("written");
        assert_eq!(AddressFile::read(folder), Some(one.clone()));
        two.write(folder).expect("written");
        one.remove(folder);
        assert!(two.stands_in(folder) && !one.stands_in(folder));
        two.remove(folder);
        assert_eq!(AddressFile::read(folder), None);
    }

    #[test]
    fn a_copied_or_damaged_claim_is_none() {
        let (original, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        claim(original.path(), "1", ([127, 0, 0, 1], 1).into()).write(original.path()).expect("written");
        fs::copy(original.path().join(NAME), copy.path().join(NAME)).expect("copied");
        assert_eq!(AddressFile::read(copy.path()), None);
        fs::write(original.path().join(NAME), "{\"id\":").expect("written");
        assert_eq!(AddressFile::read(original.path()), None);
    }
}
