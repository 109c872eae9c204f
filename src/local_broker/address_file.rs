//! Owns the address file: where the broker over a folder listens, and the id by which it is known again.
//!
//! The file is a claim. It is believed when the one who answers there knows the id in it, which is drawn anew at every
//! start: then a file that a dead process left, or one that was copied with its folder, leads nobody astray.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::broker::Directory;

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
    /// What the folder claims, if it claims anything that makes sense and was written here.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be opened or read, or is not trusted: whether there is a broker is not known then.
    pub fn read(folder: &Directory) -> io::Result<Option<Self>> {
        let text = match folder.read(NAME) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(claim) = serde_json::from_str::<Self>(&text) else { return Ok(None) };
        // A folder that came from elsewhere must lead to no other machine, whoever answers there.
        Ok((folder.inode()? == claim.inode && claim.control.ip().is_loopback()).then_some(claim))
    }

    /// Makes the claim.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Directory) -> io::Result<()> {
        folder.replace(NAME, &serde_json::to_vec(self)?)
    }

    /// Whether the folder is still in its place and claims this broker: it may be gone, or another one's by now.
    ///
    /// # Errors
    ///
    /// When that cannot be told, as when no file can be opened: an error is not an absence.
    pub fn is_current_in(&self, folder: &Directory) -> io::Result<bool> {
        Ok(folder.is_at_path()? && Self::read(folder)?.is_some_and(|claim| claim.id == self.id))
    }

    /// Takes the claim back, if it is still this broker's.
    pub fn remove(&self, folder: &Directory) {
        if self.is_current_in(folder).is_ok_and(|stands| stands) {
            // A file that stays is a stale one, which is believed by nobody.
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
    fn a_claim_is_taken_back_only_by_the_one_who_made_it() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = &Directory::for_test(home.path());
        let (one, two) =
            (claim(folder, "1", ([127, 0, 0, 1], 1).into()), claim(folder, "2", ([127, 0, 0, 1], 2).into()));
        assert_eq!(AddressFile::read(folder).expect("read"), None);
        one.write(folder).expect("written");
        assert_eq!(AddressFile::read(folder).expect("read"), Some(one.clone()));
        two.write(folder).expect("written");
        one.remove(folder);
        assert!(two.is_current_in(folder).expect("told") && !one.is_current_in(folder).expect("told"));
        two.remove(folder);
        assert_eq!(AddressFile::read(folder).expect("read"), None);
    }

    #[test]
    fn a_copied_damaged_or_distant_claim_is_none() {
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
    fn a_claim_that_is_not_trusted_is_no_claim_and_no_absence() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Directory::for_test(&home.path().join("data"));
        let one = claim(&folder, "1", ([127, 0, 0, 1], 1).into());
        one.write(&folder).expect("written");
        // As a cloned repository may hold it: a link to what an attacker wrote elsewhere.
        fs::rename(home.path().join("data").join(NAME), home.path().join(NAME)).expect("moved");
        std::os::unix::fs::symlink(home.path().join(NAME), home.path().join("data").join(NAME)).expect("linked");
        for error in
            [AddressFile::read(&folder).expect_err("refused"), one.is_current_in(&folder).expect_err("not known")]
        {
            assert!(crate::broker::Untrusted::of(&error).is_some(), "{error}");
        }
    }
}
