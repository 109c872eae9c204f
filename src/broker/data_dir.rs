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
const FORMAT_FILE: &str = "format.json";

/// Whether a name at the top of a data folder is one that a broker gives, or its clients: `.gitignore`, `broker.json`,
/// `broker.log`, `chosen`, and what is on its way to such a name.
fn is_own(name: &OsStr) -> bool {
    let data = [LOCK, FORMAT_FILE, journal::NAME, journal::NEW_NAME, ends::NAME, ends::NEW_NAME, TOPICS];
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
pub enum DataDirError {
    /// Another broker works on it.
    #[error("another broker works on {path}")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other one's process, if it has said.
        holder: Option<u32>,
    },
    /// A newer version has written it.
    #[error("{path} has format {found}, and this version knows no newer one than {FORMAT}")]
    Newer {
        /// The folder.
        path: PathBuf,
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
struct FormatFile {
    format: u32,
    cluster_id: Uuid,
}

/// A data folder that nobody else works on, for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    /// The id of the cluster whose data it holds.
    pub cluster_id: Uuid,
    /// All that is opened in it is opened by this.
    pub directory: Directory,
    /// The operating system lets go of it with the process, however that ends: no lock is ever stale.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is missing, looks at all that is in it, locks it and reads its format.
    ///
    /// # Errors
    ///
    /// When something in it is not trusted, before anything is opened or made; when another broker has it, it is a newer
    /// version's or something else's, or it cannot be read or written.
    pub fn open(path: &Path, process: u32) -> Result<Self, DataDirError> {
        let (directory, _) = Directory::open_or_create(path).map_err(error_at(path))?;
        let found = directory.inspect().map_err(error_at(path))?;
        let lock = lock(&directory, process)?;
        // Older versions let others read.
        directory.restrict_permissions(&found, is_own).map_err(error_at(path))?;
        let cluster_id = cluster_id(&directory)?;
        Ok(Self { cluster_id, directory, _lock: lock })
    }

    /// Says that the folder has this version's format from now on: an older version, which would not keep the file `ends`, leaves it alone.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn upgrade(&self) -> Result<(), DataDirError> {
        let path = self.directory.path_of(FORMAT_FILE);
        let text = self.directory.read(FORMAT_FILE).map_err(error_at(&path))?;
        let told: FormatFile = serde_json::from_str(&text).map_err(|error| error_at(&path)(error.into()))?;
        if told.format == FORMAT {
            return Ok(());
        }
        write(&self.directory, &FormatFile { format: FORMAT, ..told }).map_err(error_at(&path))
    }
}

/// Takes the lock and says by whom it is held.
fn lock(directory: &Directory, process: u32) -> Result<File, DataDirError> {
    let path = directory.path_of(LOCK);
    let mut lock = directory.open_to_append(LOCK).map_err(error_at(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = lock.read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(DataDirError::Locked { path: directory.path(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(error_at(&path)(error)),
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{process}")).map_err(error_at(&path))?;
    Ok(lock)
}

/// What became of a file or folder, as the reason why the data folder cannot be had.
fn error_at(path: &Path) -> impl Fn(io::Error) -> DataDirError {
    move |source| match Untrusted::of(&source) {
        Some(untrusted) => DataDirError::Untrusted(untrusted.clone()),
        None => DataDirError::Storage { path: path.to_owned(), source },
    }
}

/// What is in a folder that has been a broker's.
const DATA: [&str; 3] = [journal::NAME, ends::NAME, TOPICS];

/// Writes the file, whole or not at all.
fn write(dir: &Directory, meta: &FormatFile) -> io::Result<()> {
    let text = serde_json::to_string(meta)?;
    dir.replace(FORMAT_FILE, (text + "\n").as_bytes())
}

/// Reads the folder's format and cluster id, and writes them into a new folder.
#[allow(clippy::disallowed_methods, reason = "a new cluster's id is the one thing here that is random")]
fn cluster_id(dir: &Directory) -> Result<Uuid, DataDirError> {
    let path = dir.path_of(FORMAT_FILE);
    let foreign = |reason: String| DataDirError::Foreign { path: path.clone(), reason };
    let text = match dir.read(FORMAT_FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for there in DATA {
                if dir.stat(there).map_err(error_at(&path))?.is_some() {
                    return Err(foreign(format!("it is missing, and {} is there", dir.path_of(there).display())));
                }
            }
            let meta = FormatFile { format: FORMAT, cluster_id: Uuid::new_v4() };
            write(dir, &meta).map_err(error_at(&path))?;
            return Ok(meta.cluster_id);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(foreign("it is no text".to_owned())),
        Err(error) => return Err(error_at(&path)(error)),
    };
    // A newer format may hold what this one cannot read, so its version is looked at alone first.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| foreign(error.to_string()))?;
    let found = value.get("format").and_then(serde_json::Value::as_u64).and_then(|found| u32::try_from(found).ok());
    match found {
        Some(found) if found > FORMAT => Err(DataDirError::Newer { path: dir.path(), found }),
        Some(1..) => serde_json::from_value::<FormatFile>(value)
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
        let dir = tempfile::tempdir().expect("a folder");
        let first = DataDir::open(dir.path(), 4711).expect("opens");
        let second = DataDir::open(dir.path(), 4712).expect_err("is locked");
        assert!(matches!(second, DataDirError::Locked { holder: Some(4711), .. }), "{second}");
        let cluster_id = first.cluster_id;
        drop(first);
        assert_eq!(DataDir::open(dir.path(), 4712).expect("opens").cluster_id, cluster_id);
    }

    #[test]
    fn a_newer_format_is_refused_and_another_file_too() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("format.json"), r#"{"format":3,"shards":[]}"#).expect("written");
        let newer = DataDir::open(dir.path(), 1).expect_err("is newer");
        assert!(matches!(newer, DataDirError::Newer { found: 3, .. }), "{newer}");
        for text in ["", "{}", "[1]", r#"{"format":1}"#, r#"{"format":-1}"#] {
            std::fs::write(dir.path().join("format.json"), text).expect("written");
            let foreign = DataDir::open(dir.path(), 1).expect_err(text);
            assert!(matches!(foreign, DataDirError::Foreign { .. }), "{text}: {foreign}");
        }
    }
}
