//! Owns consumer groups: members and their generations, committed and pending offsets, and every request about them.

use serde::{Deserialize, Serialize};

use super::answer::Outbox;
use super::entry::Entry;

/// What the journal keeps of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupEntry {}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {}

impl Groups {
    /// Takes in what the journal remembers.
    pub fn restore(&mut self, entry: GroupEntry, _now: i64) {
        match entry {}
    }

    /// Everything that a fresh journal must hold.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupEntry> {
        Vec::new()
    }

    /// A transaction has ended: its pending offsets become committed or are dropped. Returns what the journal must keep of that.
    pub fn end_transaction(&mut self, _producer_id: i64, _committed: bool, _now: i64) -> Vec<Entry> {
        Vec::new()
    }

    /// A topic is gone, and with it every group's offsets for it. Returns what the journal must keep of that.
    pub fn topic_deleted(&mut self, _topic: &str) -> Vec<Entry> {
        Vec::new()
    }

    /// Sessions and rebalances whose time has come. Returns what the journal must keep.
    pub fn tick(&mut self, _now: i64, _outbox: &mut Outbox) -> Vec<Entry> {
        Vec::new()
    }

    /// When `tick` has something to do next, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        None
    }
}
