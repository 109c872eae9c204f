//! Address file (`broker.json`): where the broker of a data directory listens, and its id.
//!
//! A client trusts the file only if the process at that address knows the id, which is random for each start. So a file
//! that a dead process left, or that was copied with its directory, leads to no wrong broker.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::broker::Directory;

const NAME: &str = "broker.json";

/// The address of a running broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFile {
    /// Random for each start of a broker. Only a user who can read this file may stop the broker.
    pub id: String,
    pub pid: u32,
    /// For Kafka clients.
    pub address: SocketAddr,
    /// For leases, status and stop.
    pub control: SocketAddr,
    /// The time of the start, milliseconds since the epoch.
    pub since_millis: i64,
    /// The inode of the directory that the file was written to: a copy of the directory has another one.
    pub inode: u64,
}

impl AddressFile {
    /// Reads the file; `None` when it is missing, invalid, or was not written in this directory.
    ///
    /// # Errors
    ///
    /// When the file exists and cannot be read, or is not trusted: then it is unknown whether a broker is running.
    pub fn read(folder: &Directory) -> io::Result<Option<Self>> {
        let text = match folder.read(NAME) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(claim) = serde_json::from_str::<Self>(&text) else { return Ok(None) };
        // A directory from another machine must not connect to that machine.
        Ok((folder.inode()? == claim.inode && claim.control.ip().is_loopback()).then_some(claim))
    }

    /// Writes the file, replacing that of another broker.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub fn write(&self, folder: &Directory) -> io::Result<()> {
        folder.replace(NAME, &serde_json::to_vec(self)?)
    }

    /// Whether the directory was not moved or deleted and the file still names this broker.
    ///
    /// # Errors
    ///
    /// When that is unknown, for example as no file can be opened.
    pub fn is_current_in(&self, folder: &Directory) -> io::Result<bool> {
        Ok(folder.is_at_path()? && Self::read(folder)?.is_some_and(|claim| claim.id == self.id))
    }

    /// Removes the file, if it still names this broker.
    pub fn remove(&self, folder: &Directory) {
        if self.is_current_in(folder).is_ok_and(|stands| stands) {
            // A file that stays is stale: its id does not match any process.
            drop(folder.remove(NAME));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    pub fn claim(folder: &Directory, id: &str, control: SocketAddr) -> AddressFile {
        AddressFile {
            id: id.to_owned(),
            pid: 1,
            address: ([127, 0, 0, 1], 9092).into(),
            control,
            since_millis: 0,
            inode: folder.inode().expect("a folder"),
        }
    }

    #[test]
    fn only_the_owner_removes_the_file() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = &Directory::for_test(home.path());
        let (one, two) =
            (claim(folder, "1", ([127, 0, 0, 1], 1).into()), claim(folder, "2", ([127, 0, 0, 1], 2).into()));
        assert_eq!(AddressFile::read(folder).expect("read"), None);
        one.write(folder).expect("written");
        assert_eq!(AddressFile::read(folder).expect("read"), Some(one.clone()));
        two.write(folder).expect("written");
        one.remove(folder);
        assert!(two.is_current_in(folder).expect("known") && !one.is_current_in(folder).expect("known"));
        two.remove(folder);
        assert_eq!(AddressFile::read(folder).expect("read"), None);
    }

    #[test]
    fn copied_damaged_and_remote_files_are_ignored() {
        let (original, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let folders = [&original, &copy].map(|home| Directory::for_test(home.path()));
        claim(&folders[0], "1", ([127, 0, 0, 1], 1).into()).write(&folders[0]).expect("written");
        fs::copy(original.path().join(NAME), copy.path().join(NAME)).expect("copied");
        assert_eq!(AddressFile::read(&folders[1]).expect("read"), None);
        claim(&folders[0], "1", ([192, 0, 2, 1], 1).into()).write(&folders[0]).expect("written");
        assert_eq!(AddressFile::read(&folders[0]).expect("read"), None, "another machine's");
        fs::write(original.path().join(NAME), "{\"id\":").expect("written");
        assert_eq!(AddressFile::read(&folders[0]).expect("read"), None);
    }

    #[test]
    fn an_untrusted_file_is_an_error() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Directory::for_test(&home.path().join("data"));
        let one = claim(&folder, "1", ([127, 0, 0, 1], 1).into());
        one.write(&folder).expect("written");
        // A cloned repository may contain this: a link to a file that an attacker wrote elsewhere.
        fs::rename(home.path().join("data").join(NAME), home.path().join(NAME)).expect("moved");
        std::os::unix::fs::symlink(home.path().join(NAME), home.path().join("data").join(NAME)).expect("linked");
        for error in
            [AddressFile::read(&folder).expect_err("refused"), one.is_current_in(&folder).expect_err("not known")]
        {
            assert!(crate::broker::Untrusted::of(&error).is_some(), "{error}");
        }
    }
}
