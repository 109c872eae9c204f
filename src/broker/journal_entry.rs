//! Owns the lines of the journal: what must be known again after a restart and does not stand in a partition's log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::groups::GroupEntry;
use super::topics::TopicEntry;
use super::transactions::TransactionEntry;

/// One line of the journal. Entries say what became so, not what was asked: applying one cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// Whose journal it is: its first line, and no other.
    Head(JournalHeader),
    /// About topics and their partitions.
    Topic(TopicEntry),
    /// About groups and their offsets.
    Group(GroupEntry),
    /// About producer ids and transactions.
    Transaction(TransactionEntry),
}

/// The first line of a journal. One of an earlier version has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The cluster's id, as the folder has it.
    pub cluster_id: Uuid,
    /// How often the journal was written anew.
    pub generation: u64,
    /// Digest of the journal that it was written from.
    pub follows: u64,
    /// How many entries it was written with.
    pub entries: usize,
}
