//! Broker events: what the broker reports to its host process about recovery, topics, connections and failed writes.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Something that happened in the broker, at the start or while it runs. The listener of its configuration receives
/// these events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEvent {
    /// An incomplete end of a file was removed.
    TailTruncated {
        /// The file.
        path: PathBuf,
        /// Number of bytes removed.
        bytes: u64,
        /// The bytes are known to be unacknowledged.
        unacknowledged: bool,
    },
    /// Transaction markers were missing at the end of a log and were written again from the journal.
    MarkersRestored {
        /// The file.
        path: PathBuf,
        /// Number of markers.
        count: usize,
    },
    /// A log had an open transaction that the coordinator did not know; it was ended.
    TransactionEnded {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// True if it was committed, false if it was aborted.
        committed: bool,
    },
    /// A file or directory that is not part of any log was renamed.
    SetAside {
        /// The old path.
        path: PathBuf,
        /// The new path.
        moved_to: PathBuf,
    },
    /// A topic was created.
    TopicCreated {
        /// The topic's name.
        name: String,
        /// The number of its partitions.
        partitions: usize,
    },
    /// A topic was deleted.
    TopicDeleted {
        /// The topic's name.
        name: String,
    },
    /// A client has connected.
    Connected {
        /// The client's address.
        peer: SocketAddr,
    },
    /// A connection has ended.
    Disconnected {
        /// The client's address.
        peer: SocketAddr,
        /// The client id of the last request; empty if the client sent none.
        client_id: String,
        /// Why the broker closed the connection, if it did.
        reason: Option<String>,
    },
    /// A write to the disk failed. The client that sent the data got an error and retries.
    WriteFailed {
        /// The journal, or the partition.
        what: String,
        /// The reason, for people.
        reason: String,
    },
    /// Work that no client waits for failed: cleaning a log, removing a file.
    BackgroundError {
        /// The error, for people.
        what: String,
    },
}
