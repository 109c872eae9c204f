//! Corruption of a data directory that recovery finds. Every error names the file, and nothing is repaired by guessing.

use std::io;
use std::path::{Path, PathBuf};

use super::storage_error::describe_io_error;

/// What is corrupt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A file is missing.
    #[error("{path} is missing: {because}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// How its existence is known.
        because: String,
    },
    /// A file has lost acknowledged data at its end.
    #[error("{path} is truncated: {found} of {acknowledged} acknowledged bytes are left")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Acknowledged bytes.
        acknowledged: u64,
        /// Bytes that are left, or that are valid.
        found: u64,
    },
    /// A file holds more after its recorded end than can have been written since: nothing after a clean shutdown,
    /// otherwise the one write in progress.
    #[error(
        "{path} continues after byte {acknowledged}, where it ends according to the file `ends`: one of the two is from another run or was changed"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Acknowledged bytes.
        acknowledged: u64,
    },
    /// Data in a file is invalid.
    #[error("{path} is corrupt at byte {at}: {why}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Position.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A line of the journal is invalid.
    #[error("line {line} of {path} is corrupt")]
    CorruptLine {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// A file or directory is valid, but differs from what the broker left.
    #[error("{path} is not as this broker left it: {why}")]
    Mismatch {
        /// The file or directory.
        path: PathBuf,
        /// How it differs.
        why: String,
    },
    /// There are logs that the journal does not list.
    #[error("the journal does not list {}: it is older, or from another data directory", listed(paths))]
    UnknownLogs {
        /// The logs, or their directories.
        paths: Vec<PathBuf>,
    },
}

/// Lists the first few paths and the number of the others.
#[must_use]
pub fn listed(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    let shown = shown.join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Why a part of the data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not what the broker left.
    #[error(transparent)]
    Corrupted(#[from] Corruption),
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err` of an operation on this path.
    pub fn storage(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Storage { path, source }
    }

    /// The cause, without the path of a storage error.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Corrupted(damage) => damage.to_string(),
            Self::Storage { source, .. } => describe_io_error(source),
        }
    }
}
