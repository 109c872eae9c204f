//! Owns the lines of the journal: what must be known again after a restart and does not stand in a partition's log.

use serde::{Deserialize, Serialize};

use super::groups::GroupEntry;
use super::topics::TopicEntry;
use super::transactions::TransactionEntry;

/// One line of the journal. Entries say what became so, not what was asked: applying one cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// About topics and their partitions.
    Topic(TopicEntry),
    /// About groups and their offsets.
    Group(GroupEntry),
    /// About producer ids and transactions.
    Transaction(TransactionEntry),
}
