//! Owns what a start may find wrong with a data folder. Each names its file, and nothing is mended by guessing.

use std::io;
use std::path::{Path, PathBuf};

use super::storage_error::describe_io_error;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A file is not there.
    #[error("{path} is missing: {because}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// How it is known that there was one.
        because: String,
    },
    /// A file has lost something that was acknowledged.
    #[error("{path} has lost its end: {acknowledged} bytes of it were acknowledged, and {found} are left")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that were acknowledged.
        acknowledged: u64,
        /// Bytes that are there, or whole.
        found: u64,
    },
    /// A file holds more than can have been written since the last acknowledgement.
    #[error(
        "{path} goes on behind byte {acknowledged}, where it ended by the file `ends`: one of the two is another run's, or was changed"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes that were acknowledged.
        acknowledged: u64,
    },
    /// Something in a file is not as it was written.
    #[error("{path} is damaged at byte {at}: {why}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A line of the journal is not as it was written.
    #[error("line {line} of {path} is damaged")]
    CorruptLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A file, or a folder of files, is whole in itself and not the one that belongs there.
    #[error("{path} is not as this broker left it: {why}")]
    Mismatch {
        /// The file or folder.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// There are logs of which the journal does not know.
    #[error("the journal does not know of {}: it is older than they are, or another folder's", listed(paths))]
    UnknownLogs {
        /// The logs, or the folders that hold them.
        paths: Vec<PathBuf>,
    },
}

/// The first few, and how many more.
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

/// Why something of a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not as it was left.
    #[error(transparent)]
    Corrupted(#[from] Corruption),
    /// It could not be read or written.
    #[error("{path}: {source}")]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err` of what was tried with this path.
    pub fn storage(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Storage { path, source }
    }

    /// Why, without the file's name where that says nothing to whoever waits.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Corrupted(damage) => damage.to_string(),
            Self::Storage { source, .. } => describe_io_error(source),
        }
    }
}
