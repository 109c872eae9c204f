//! Owns producer ids and transactions: epochs, fencing, their ends and time-outs, and every request about them.
//!
//! [`Transaction`] knows the rules of one transactional id, [`TransactionCoordinator`] takes the steps: it records each before it is taken, and
//! writes markers between the two lines of an end. The node is alone, so an end is usually complete when it is answered.

mod coordinator;
mod hanging;
mod listing;
mod markers;
mod requests;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::journal_entry::JournalEntry;
pub use coordinator::{Marker, TransactionCoordinator, TransactionSupport};
pub use hanging::TransactionOutcomes;
pub use transaction::{
    Partitions, ProducerIdAndEpoch, Transaction, TransactionResult, TransactionState, TransactionVersion,
};

/// ProducerIdAndEpoch ids are handed out in blocks that the journal knows of first, so that none is ever given twice.
const BLOCK: i64 = 1_000;
/// `transactional.id.expiration.ms`: how long Kafka remembers a transactional id that does nothing.
const EXPIRATION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// How soon something is tried again that could not be written.
const RETRY_MS: i64 = 500;

/// What the journal keeps of producers and transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionEntry {
    /// ProducerIdAndEpoch ids below this one may have been given.
    ProducerIds {
        /// The first one that was not.
        until: i64,
    },
    /// A transactional id became this.
    Became {
        /// Which.
        transactional_id: String,
        /// What.
        transaction: Box<Transaction>,
    },
    /// Partitions and groups became part of a transaction, which began with that if none was open.
    Entered {
        /// Whose.
        transactional_id: String,
        /// When.
        at: i64,
        /// The partitions.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        partitions: Partitions,
        /// The groups.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        groups: BTreeSet<String>,
    },
    /// The markers of a prepared end stand, and its offsets are settled.
    Completed {
        /// Whose.
        transactional_id: String,
        /// When.
        at: i64,
    },
    /// A transactional id was forgotten.
    Expired {
        /// Which.
        transactional_id: String,
    },
}

/// All producer ids and transactions.
#[derive(Debug, Default)]
pub struct Transactions {
    /// The producer id that is given next.
    next_producer_id: i64,
    /// Where the block ends that the journal knows of.
    producer_ids_until: i64,
    by_id: BTreeMap<String, Transaction>,
    /// When something falls due, and for whom: a time-out, an expiration, or an end that must be tried again.
    deadlines: BTreeSet<(i64, String)>,
    /// Entries about the offsets of a prepared end that groups have in memory and the journal could not take yet.
    unrecorded_offsets: BTreeMap<String, Vec<JournalEntry>>,
    /// Nothing that is due is tried before, since something could not be written.
    retry_at: i64,
}

/// A producer that speaks in a transaction.
#[derive(Debug, Clone, Copy)]
pub struct ProducerIdentity<'a> {
    /// The transactional id that the request names.
    pub transactional_id: &'a str,
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl ProducerIdentity<'_> {
    /// The producer.
    #[must_use]
    pub fn producer(&self) -> ProducerIdAndEpoch {
        ProducerIdAndEpoch { id: self.producer_id, epoch: self.epoch }
    }
}

impl Transactions {
    /// Takes in what the journal remembers.
    pub fn restore(&mut self, entry: TransactionEntry) {
        if let TransactionEntry::ProducerIds { until } = entry {
            // Which ones of the block were given is not known.
            self.next_producer_id = self.next_producer_id.max(until);
        }
        self.apply(entry);
    }

    /// Everything that a fresh journal must hold.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TransactionEntry> {
        let ids =
            (self.producer_ids_until > 0).then_some(TransactionEntry::ProducerIds { until: self.producer_ids_until });
        let transactions = self.by_id.iter().map(|(transactional_id, transaction)| TransactionEntry::Became {
            transactional_id: transactional_id.clone(),
            transaction: Box::new(transaction.clone()),
        });
        ids.into_iter().chain(transactions).collect()
    }

    /// When a transaction times out next, or anything else falls due here, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(at, _)| (*at).max(self.retry_at))
    }

    /// The transactional id of this name.
    #[must_use]
    pub fn get(&self, transactional_id: &str) -> Option<&Transaction> {
        self.by_id.get(transactional_id)
    }

    /// All transactional ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    /// Does what an entry tells, which the journal has.
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

    /// Something could not be written: waits a moment before anything that is due is tried.
    fn back_off(&mut self, now: i64) {
        self.retry_at = now.saturating_add(RETRY_MS);
    }

    /// The ids for which something is due, in the order in which it fell due.
    fn overdue(&self, now: i64) -> Vec<String> {
        if now < self.retry_at {
            return Vec::new();
        }
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }
}

/// When something is to be done for this transactional id if nobody asks before.
fn deadline(transaction: &Transaction) -> i64 {
    match transaction.state {
        // Kafka's clock must have passed the time-out, and not just reached it.
        TransactionState::Ongoing => transaction.started.saturating_add(i64::from(transaction.timeout_ms) + 1),
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => transaction.updated,
        TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            transaction.updated.saturating_add(EXPIRATION_MS)
        }
    }
}
