//! Journal entries: the state that a restart needs and that is not in a partition's log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::groups::GroupEntry;
use super::topics::TopicEntry;
use super::transactions::TransactionEntry;

/// One line of the journal. An entry records the result of a request, not the request, so applying it cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// The journal's first line.
    Head(JournalHeader),
    /// Topics and their partitions.
    Topic(TopicEntry),
    /// Groups and their offsets.
    Group(GroupEntry),
    /// Producer ids and transactions.
    Transaction(TransactionEntry),
}

/// The first line of a journal. Journals of earlier versions do not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The cluster id of the data directory.
    pub cluster_id: Uuid,
    /// How often the journal was rewritten.
    pub generation: u64,
    /// Digest of the journal that this one replaced.
    pub follows: u64,
    /// The number of entries that the rewrite wrote.
    pub entries: usize,
}
