//! Transaction coordinator: producer ids, epochs, fencing, and the ends and timeouts of transactions.
//!
//! [`Transaction`] has the state and the rules of one transactional id. [`TransactionCoordinator`] changes it: each
//! change is in the journal before it is in memory, and markers are written between `PrepareCommit` or `PrepareAbort`
//! and the completion. Since there is one node, a transaction is usually complete when `EndTxn` returns.

mod coordinator;
mod hanging;
mod listing;
mod requests;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::journal::JournalEntry;
pub use coordinator::{Marker, TransactionCoordinator, TransactionSupport};
pub use hanging::TransactionOutcomes;
pub use transaction::{
    Partitions, ProducerIdAndEpoch, Transaction, TransactionResult, TransactionState, TransactionVersion,
};

/// The size of a block of producer ids. The journal records a block before its first id is used, so that no id is used
/// twice.
const BLOCK: i64 = 1_000;
/// `transactional.id.expiration.ms`
const EXPIRATION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// The delay before a failed write is retried.
const RETRY_MS: i64 = 500;

/// Journal entries of producer ids and transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionEntry {
    /// Producer ids below `until` may be in use.
    ProducerIds { until: i64 },
    /// The new state of a transactional id.
    Became { transactional_id: String, transaction: Box<Transaction> },
    /// Partitions and groups were added to a transaction, which starts if none is open.
    Entered {
        transactional_id: String,
        at: i64,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        partitions: Partitions,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        groups: BTreeSet<String>,
    },
    /// All markers of a prepared transaction are written, and its offsets are committed or discarded.
    Completed { transactional_id: String, at: i64 },
    /// A transactional id was removed.
    Expired { transactional_id: String },
}

#[derive(Debug, Default)]
pub struct Transactions {
    /// The next producer id.
    next_producer_id: i64,
    /// The end of the block of producer ids in the journal.
    producer_ids_until: i64,
    by_id: BTreeMap<String, Transaction>,
    /// Deadlines by transactional id: a transaction timeout, an expiration, or the completion of a prepared
    /// transaction.
    deadlines: BTreeSet<(i64, String)>,
    /// Entries about the offsets of prepared transactions that are applied in memory, but not in the journal yet.
    unrecorded_offsets: BTreeMap<String, Vec<JournalEntry>>,
    /// After a failed write, nothing is tried before this time.
    retry_at: i64,
}

/// The producer of a request: transactional id, producer id and epoch.
#[derive(Debug, Clone, Copy)]
pub struct ProducerIdentity<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    pub epoch: i16,
}

impl ProducerIdentity<'_> {
    pub fn producer(&self) -> ProducerIdAndEpoch {
        ProducerIdAndEpoch { id: self.producer_id, epoch: self.epoch }
    }
}

impl Transactions {
    /// Applies an entry of the journal at start.
    pub fn restore(&mut self, entry: TransactionEntry) {
        if let TransactionEntry::ProducerIds { until } = entry {
            // The journal does not record which ids of the block were used.
            self.next_producer_id = self.next_producer_id.max(until);
        }
        self.apply(entry);
    }

    /// The entries of a rewritten journal.
    pub fn snapshot(&self) -> Vec<TransactionEntry> {
        let ids =
            (self.producer_ids_until > 0).then_some(TransactionEntry::ProducerIds { until: self.producer_ids_until });
        let transactions = self.by_id.iter().map(|(transactional_id, transaction)| TransactionEntry::Became {
            transactional_id: transactional_id.clone(),
            transaction: Box::new(transaction.clone()),
        });
        ids.into_iter().chain(transactions).collect()
    }

    /// The next deadline of a transactional id, in milliseconds.
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(at, _)| (*at).max(self.retry_at))
    }

    pub fn get(&self, transactional_id: &str) -> Option<&Transaction> {
        self.by_id.get(transactional_id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    /// Applies an entry that is in the journal.
    fn apply(&mut self, entry: TransactionEntry) {
        match entry {
            TransactionEntry::ProducerIds { until } => {
                self.producer_ids_until = self.producer_ids_until.max(until);
            }
            TransactionEntry::Became { transactional_id, transaction } => {
                self.remove_deadline(&transactional_id);
                self.by_id.insert(transactional_id.clone(), *transaction);
                self.add_deadline(&transactional_id);
            }
            TransactionEntry::Entered { transactional_id, at, partitions, groups } => {
                self.change(&transactional_id, |transaction| transaction.add(&partitions, &groups, at));
            }
            TransactionEntry::Completed { transactional_id, at } => {
                self.unrecorded_offsets.remove(&transactional_id);
                self.change(&transactional_id, |transaction| transaction.complete(at));
            }
            TransactionEntry::Expired { transactional_id } => {
                self.remove_deadline(&transactional_id);
                self.by_id.remove(&transactional_id);
            }
        }
    }

    fn change(&mut self, transactional_id: &str, change: impl FnOnce(&mut Transaction)) {
        self.remove_deadline(transactional_id);
        if let Some(transaction) = self.by_id.get_mut(transactional_id) {
            change(transaction);
        }
        self.add_deadline(transactional_id);
    }

    fn remove_deadline(&mut self, transactional_id: &str) {
        if let Some(transaction) = self.by_id.get(transactional_id) {
            self.deadlines.remove(&(deadline(transaction), transactional_id.to_owned()));
        }
    }

    fn add_deadline(&mut self, transactional_id: &str) {
        if let Some(transaction) = self.by_id.get(transactional_id) {
            self.deadlines.insert((deadline(transaction), transactional_id.to_owned()));
        }
    }

    fn back_off(&mut self, now: i64) {
        self.retry_at = now.saturating_add(RETRY_MS);
    }

    /// The transactional ids with a deadline that has passed, the earliest first.
    fn overdue(&self, now: i64) -> Vec<String> {
        if now < self.retry_at {
            return Vec::new();
        }
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }
}

/// The deadline of a transactional id in its current state.
fn deadline(transaction: &Transaction) -> i64 {
    match transaction.state {
        // As in Kafka, the timeout must be exceeded, not only reached.
        TransactionState::Ongoing => transaction.started.saturating_add(i64::from(transaction.timeout_ms) + 1),
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => transaction.updated,
        TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            transaction.updated.saturating_add(EXPIRATION_MS)
        }
    }
}
