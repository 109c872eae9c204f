//! Owns the data folder as a whole: its lock, its format's version and the cluster's id.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::directory::{Directory, TOPICS, Untrusted};
use super::{ends, journal};

/// The version of what stands in a data folder. A broker opens its own and older ones.
pub const FORMAT: u32 = 2;

/// Its lock, which holds the number of the process that works on it.
const LOCK: &str = "lock";
/// What says that it is a broker's.
const META: &str = "format.json";

/// Whether a name at the top of a data folder is one that a broker gives, or its clients: `.gitignore`, `broker.json`,
/// `broker.log`, `chosen`, and what is on its way to such a name.
fn is_own(name: &OsStr) -> bool {
    let data = [LOCK, META, journal::NAME, journal::BESIDE, ends::NAME, ends::NEW, TOPICS];
    let names = data.into_iter().chain([".gitignore", "broker.json", "broker.log", "chosen"]);
    let on_its_way = |name: &str| {
        names.clone().any(|own| {
            name.strip_prefix('.').and_then(|rest| rest.strip_prefix(own)).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    name.to_str().is_some_and(|name| names.clone().any(|own| own == name) || on_its_way(name))
}

/// Why a data folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another broker works on it.
    #[error("another broker works on {folder}")]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other one's process, if it has said.
        holder: Option<u32>,
    },
    /// A newer version has written it.
    #[error("{folder} has format {found}, and this version knows no newer one than {FORMAT}")]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It holds something else than a broker's data.
    #[error("{path} does not say what this folder holds: {reason}")]
    Foreign {
        /// The file that should say it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It, or something in it, is a link, another user's, or may be written by others.
    #[error(transparent)]
    Untrusted(Untrusted),
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the file `format.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    format: u32,
    cluster_id: Uuid,
}

/// A data folder that nobody else works on, for as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    /// The id of the cluster whose data it holds.
    pub cluster_id: Uuid,
    /// All that is opened in it is opened by this.
    pub directory: Directory,
    /// The operating system lets go of it with the process, however that ends: no lock is ever stale.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is missing, looks at all that is in it, locks it and reads its format.
    ///
    /// # Errors
    ///
    /// When something in it is not trusted, before anything is opened or made; when another broker has it, it is a newer
    /// version's or something else's, or it cannot be read or written.
    pub fn open(path: &Path, process: u32) -> Result<Self, FolderError> {
        let (directory, _) = Directory::open_or_make(path).map_err(failed(path))?;
        let found = directory.inspect().map_err(failed(path))?;
        let lock = lock(&directory, process)?;
        // Older versions let others read.
        directory.tighten(&found, is_own).map_err(failed(path))?;
        let cluster_id = cluster_id(&directory)?;
        Ok(Self { cluster_id, directory, _lock: lock })
    }

    /// Says that the folder has this version's format from now on: an older version, which would not keep the file `ends`, leaves it alone.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn upgrade(&self) -> Result<(), FolderError> {
        let path = self.directory.path_of(META);
        let text = self.directory.read(META).map_err(failed(&path))?;
        let told: Meta = serde_json::from_str(&text).map_err(|error| failed(&path)(error.into()))?;
        if told.format == FORMAT {
            return Ok(());
        }
        write(&self.directory, &Meta { format: FORMAT, ..told }).map_err(failed(&path))
    }
}

/// Takes the lock and says by whom it is held.
fn lock(directory: &Directory, process: u32) -> Result<File, FolderError> {
    let path = directory.path_of(LOCK);
    let mut lock = directory.open_to_append(LOCK).map_err(failed(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = lock.read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(FolderError::Locked { folder: directory.path(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{process}")).map_err(failed(&path))?;
    Ok(lock)
}

/// What became of a file or folder, as the reason why the data folder cannot be had.
fn failed(path: &Path) -> impl Fn(io::Error) -> FolderError {
    move |source| match Untrusted::of(&source) {
        Some(untrusted) => FolderError::Untrusted(untrusted.clone()),
        None => FolderError::Storage { path: path.to_owned(), source },
    }
}

/// What is in a folder that has been a broker's.
const DATA: [&str; 3] = [journal::NAME, ends::NAME, TOPICS];

/// Writes the file, whole or not at all.
fn write(folder: &Directory, meta: &Meta) -> io::Result<()> {
    let text = serde_json::to_string(meta)?;
    folder.replace(META, (text + "\n").as_bytes())
}

/// Reads the folder's format and cluster id, and writes them into a new folder.
#[allow(clippy::disallowed_methods, reason = "a new cluster's id is the one thing here that is random")]
fn cluster_id(folder: &Directory) -> Result<Uuid, FolderError> {
    let path = folder.path_of(META);
    let foreign = |reason: String| FolderError::Foreign { path: path.clone(), reason };
    let text = match folder.read(META) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for there in DATA {
                if folder.look_at(there).map_err(failed(&path))?.is_some() {
                    return Err(foreign(format!("it is missing, and {} is there", folder.path_of(there).display())));
                }
            }
            let meta = Meta { format: FORMAT, cluster_id: Uuid::new_v4() };
            write(folder, &meta).map_err(failed(&path))?;
            return Ok(meta.cluster_id);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(foreign("it is no text".to_owned())),
        Err(error) => return Err(failed(&path)(error)),
    };
    // A newer format may hold what this one cannot read, so its version is looked at alone first.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| foreign(error.to_string()))?;
    let found = value.get("format").and_then(serde_json::Value::as_u64).and_then(|found| u32::try_from(found).ok());
    match found {
        Some(found) if found > FORMAT => Err(FolderError::Newer { folder: folder.path(), found }),
        Some(1..) => serde_json::from_value::<Meta>(value)
            .map(|meta| meta.cluster_id)
            .map_err(|error| foreign(error.to_string())),
        Some(0) => Err(foreign("no format is called 0".to_owned())),
        None => Err(foreign("no format".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_broker_is_kept_out_and_told_by_whom() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataFolder::open(folder.path(), 4711).expect("opens");
        let second = DataFolder::open(folder.path(), 4712).expect_err("is locked");
        assert!(matches!(second, FolderError::Locked { holder: Some(4711), .. }), "{second}");
        let cluster_id = first.cluster_id;
        drop(first);
        assert_eq!(DataFolder::open(folder.path(), 4712).expect("opens").cluster_id, cluster_id);
    }

    #[test]
    fn a_newer_format_is_refused_and_another_file_too() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("format.json"), r#"{"format":3,"shards":[]}"#).expect("written");
        let newer = DataFolder::open(folder.path(), 1).expect_err("is newer");
        assert!(matches!(newer, FolderError::Newer { found: 3, .. }), "{newer}");
        for text in ["", "{}", "[1]", r#"{"format":1}"#, r#"{"format":-1}"#] {
            std::fs::write(folder.path().join("format.json"), text).expect("written");
            let foreign = DataFolder::open(folder.path(), 1).expect_err(text);
            assert!(matches!(foreign, FolderError::Foreign { .. }), "{text}: {foreign}");
        }
    }
}
