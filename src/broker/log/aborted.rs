//! Transaction index of a partition: its aborted transactions.

use std::collections::BTreeSet;

/// An aborted transaction as a fetch response lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedEntry {
    pub transaction: AbortedTransaction,
    /// Offset of its abort marker.
    pub last_offset: i64,
    /// Last stable offset after its marker.
    pub last_stable_offset: i64,
}

/// Aborted transactions in the order of their markers.
#[derive(Debug, Clone, Default)]
pub struct AbortedTransactions {
    entries: Vec<AbortedEntry>,
}

impl AbortedTransactions {
    pub fn push(&mut self, aborted: AbortedEntry) {
        self.entries.push(aborted);
    }

    /// Transactions with records in this offset range, in the order of their markers.
    #[must_use]
    pub fn within(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let first = self.entries.partition_point(|aborted| aborted.last_offset < from);
        let mut found = Vec::new();
        for aborted in &self.entries[first..] {
            if aborted.transaction.first_offset < to {
                found.push(aborted.transaction);
            }
            // Transactions that were aborted later began at or after that offset.
            if aborted.last_stable_offset >= to {
                break;
            }
        }
        found
    }

    pub fn remove_before(&mut self, offset: i64) {
        let count = self.entries.partition_point(|aborted| aborted.last_offset < offset);
        self.entries.drain(..count);
    }

    /// Removes the entries of markers that compaction has removed.
    pub fn remove_markers(&mut self, markers: &BTreeSet<i64>) {
        self.entries.retain(|aborted| !markers.contains(&aborted.last_offset));
    }

    #[must_use]
    pub fn all(&self) -> &[AbortedEntry] {
        &self.entries
    }
}
