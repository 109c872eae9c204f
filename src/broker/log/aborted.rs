//! Owns the entries of transactions that were aborted in a partition.

use std::collections::BTreeSet;

/// A transaction that was aborted, as a fetch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who.
    pub producer_id: i64,
    /// Its first record.
    pub first_offset: i64,
}

/// One with all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedEntry {
    /// Who, and where it began.
    pub transaction: AbortedTransaction,
    /// Offset of its marker.
    pub last_offset: i64,
    /// The last stable offset behind its marker.
    pub last_stable_offset: i64,
}

/// All of them, in the order of their markers.
#[derive(Debug, Clone, Default)]
pub struct AbortedTransactions {
    entries: Vec<AbortedEntry>,
}

impl AbortedTransactions {
    /// Takes in the newest.
    pub fn push(&mut self, aborted: AbortedEntry) {
        self.entries.push(aborted);
    }

    /// Those with records in these offsets, by the order of their markers.
    #[must_use]
    pub fn within(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let first = self.entries.partition_point(|aborted| aborted.last_offset < from);
        let mut found = Vec::new();
        for aborted in &self.entries[first..] {
            if aborted.transaction.first_offset < to {
                found.push(aborted.transaction);
            }
            // Whatever was aborted later began behind that offset.
            if aborted.last_stable_offset >= to {
                break;
            }
        }
        found
    }

    /// Forgets those whose marker lies below.
    pub fn remove_before(&mut self, offset: i64) {
        let gone = self.entries.partition_point(|aborted| aborted.last_offset < offset);
        self.entries.drain(..gone);
    }

    /// Forgets those whose markers are gone.
    pub fn remove_markers(&mut self, markers: &BTreeSet<i64>) {
        self.entries.retain(|aborted| !markers.contains(&aborted.last_offset));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[AbortedEntry] {
        &self.entries
    }
}
