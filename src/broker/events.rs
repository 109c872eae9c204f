//! Owns what the broker tells its host beside its answers: found at the start, or worth a line while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEvent {
    /// A file ended in the middle of something; that much was cut off.
    TailTruncated {
        /// The file.
        path: PathBuf,
        /// Bytes cut.
        bytes: u64,
        /// It is known that they were never acknowledged.
        unacknowledged: bool,
    },
    /// A log had lost markers from its end, which were written again as they were.
    MarkersRestored {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A transaction was open in a log, and the journal knew no such one: it was ended.
    TransactionEnded {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Committed, otherwise aborted.
        committed: bool,
    },
    /// Something that belongs to nothing was given another name.
    SetAside {
        /// What it was called.
        path: PathBuf,
        /// What it is called now.
        moved_to: PathBuf,
    },
    /// A topic was created.
    TopicCreated {
        /// Its name.
        name: String,
        /// Its partitions.
        partitions: usize,
    },
    /// A topic was deleted.
    TopicDeleted {
        /// Its name.
        name: String,
    },
    /// A client has connected.
    Connected {
        /// From here.
        peer: SocketAddr,
    },
    /// A connection has ended.
    Disconnected {
        /// From here.
        peer: SocketAddr,
        /// What the client called itself; empty if it never said.
        client_id: String,
        /// What was wrong with what it sent, where that ended it.
        reason: Option<String>,
    },
    /// Data could not be written, and whoever sent it waits.
    WriteFailed {
        /// What: a partition, the journal.
        what: String,
        /// Why, in words.
        reason: String,
    },
    /// Something went wrong that no client was waiting for.
    BackgroundError {
        /// In words.
        what: String,
    },
}
