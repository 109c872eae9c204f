//! The data directory: its lock, format version and cluster id.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::directory::{Directory, TOPICS, Untrusted};
use super::{ends, journal};

/// Format version of a data directory. A broker also opens older ones.
pub const FORMAT: u32 = 2;

/// Lock file. It holds the process id of the owner.
const LOCK: &str = "lock";
const FORMAT_FILE: &str = "format.json";

/// Whether a name at the top of a data directory is foodstream's: the broker's files, the files of its clients
/// (`.gitignore`, `broker.json`, `broker.log`, `chosen`), and temporary files for any of them.
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

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another broker uses it.
    #[error("another broker works on {path}")]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Process id of the other broker, if known.
        holder: Option<u32>,
    },
    /// A newer version wrote it.
    #[error("{path} has format {found}, but this version supports formats up to {FORMAT}")]
    Newer {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not a broker's data directory.
    #[error("{path} does not identify a broker's data directory: {reason}")]
    Foreign {
        /// The format file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It, or something in it, is a link, another user's, or writable by others.
    #[error(transparent)]
    Untrusted(Untrusted),
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Content of `format.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FormatFile {
    format: u32,
    cluster_id: Uuid,
}

/// A locked data directory.
#[derive(Debug)]
pub struct DataDir {
    pub cluster_id: Uuid,
    pub directory: Directory,
    /// The operating system releases the lock when the process ends, so a lock is never stale.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, checks everything in it, locks it and reads its format. Nothing is
    /// opened or created before the check.
    pub fn open(path: &Path, process: u32) -> Result<Self, DataDirError> {
        let (directory, _) = Directory::open_or_create(path).map_err(error_at(path))?;
        let found = directory.inspect().map_err(error_at(path))?;
        let lock = lock(&directory, process)?;
        // Older versions left files readable by others.
        directory.restrict_permissions(&found, is_own).map_err(error_at(path))?;
        let cluster_id = cluster_id(&directory)?;
        Ok(Self { cluster_id, directory, _lock: lock })
    }

    /// Upgrades the format. Older versions, which would not update the file `ends`, then refuse the directory.
    pub fn upgrade(&self) -> Result<(), DataDirError> {
        let path = self.directory.path_of(FORMAT_FILE);
        let text = self.directory.read(FORMAT_FILE).map_err(error_at(&path))?;
        let meta: FormatFile = serde_json::from_str(&text).map_err(|error| error_at(&path)(error.into()))?;
        if meta.format == FORMAT {
            return Ok(());
        }
        write(&self.directory, &FormatFile { format: FORMAT, ..meta }).map_err(error_at(&path))
    }
}

/// Takes the lock and writes the process id into it.
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

fn error_at(path: &Path) -> impl Fn(io::Error) -> DataDirError {
    move |source| match Untrusted::of(&source) {
        Some(untrusted) => DataDirError::Untrusted(untrusted.clone()),
        None => DataDirError::Storage { path: path.to_owned(), source },
    }
}

/// Content of a data directory that a broker has used.
const DATA: [&str; 3] = [journal::NAME, ends::NAME, TOPICS];

fn write(dir: &Directory, meta: &FormatFile) -> io::Result<()> {
    let text = serde_json::to_string(meta)?;
    dir.replace(FORMAT_FILE, (text + "\n").as_bytes())
}

/// Reads format and cluster id. In a new directory, writes them.
#[allow(clippy::disallowed_methods, reason = "the id of a new cluster is random")]
fn cluster_id(dir: &Directory) -> Result<Uuid, DataDirError> {
    let path = dir.path_of(FORMAT_FILE);
    let foreign = |reason: String| DataDirError::Foreign { path: path.clone(), reason };
    let text = match dir.read(FORMAT_FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for there in DATA {
                if dir.stat(there).map_err(error_at(&path))?.is_some() {
                    return Err(foreign(format!("it is missing, but {} exists", dir.path_of(there).display())));
                }
            }
            let meta = FormatFile { format: FORMAT, cluster_id: Uuid::new_v4() };
            write(dir, &meta).map_err(error_at(&path))?;
            return Ok(meta.cluster_id);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(foreign("it is not text".to_owned())),
        Err(error) => return Err(error_at(&path)(error)),
    };
    // A newer format may be unreadable for this version, so check its number first.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| foreign(error.to_string()))?;
    let found = value.get("format").and_then(serde_json::Value::as_u64).and_then(|found| u32::try_from(found).ok());
    match found {
        Some(found) if found > FORMAT => Err(DataDirError::Newer { path: dir.path(), found }),
        Some(1..) => serde_json::from_value::<FormatFile>(value)
            .map(|meta| meta.cluster_id)
            .map_err(|error| foreign(error.to_string())),
        Some(0) => Err(foreign("format 0 does not exist".to_owned())),
        None => Err(foreign("no format".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_broker_is_locked_out() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = DataDir::open(dir.path(), 4711).expect("opens");
        let second = DataDir::open(dir.path(), 4712).expect_err("is locked");
        assert!(matches!(second, DataDirError::Locked { holder: Some(4711), .. }), "{second}");
        let cluster_id = first.cluster_id;
        drop(first);
        assert_eq!(DataDir::open(dir.path(), 4712).expect("opens").cluster_id, cluster_id);
    }

    #[test]
    fn rejects_newer_and_invalid_formats() {
        let dir = tempfile::tempdir().expect("a temporary directory");
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
