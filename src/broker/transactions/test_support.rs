//! Owns a node for tests: a journal, logs and groups in memory that can fail, or die with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kafka_protocol::error::ResponseError;

use super::{Marker, TransactionCoordinator, TransactionSupport};
use crate::broker::journal_entry::JournalEntry;
use crate::broker::transactions::{
    ProducerIdAndEpoch, ProducerIdentity, TransactionEntry, TransactionResult, TransactionState, TransactionVersion,
    Transactions,
};

pub const ID: &str = "till";

/// A partition's log as far as transactions know it.
#[derive(Debug, Default, Clone)]
pub struct Log {
    /// Whose transaction is open.
    pub open: BTreeSet<i64>,
    /// Its newest epoch, by producer.
    pub epochs: BTreeMap<i64, i16>,
    pub markers: Vec<(ProducerIdAndEpoch, TransactionResult)>,
}

/// An end that was decided.
#[derive(Debug, Clone)]
pub struct Decision {
    pub producer: ProducerIdAndEpoch,
    pub outcome: TransactionResult,
    /// The partitions that it has to mark; unknown from a restart on, which marks only what is open.
    pub to_mark: Option<BTreeSet<(String, i32)>>,
    pub marked: BTreeSet<(String, i32)>,
    pub completed: bool,
}

#[derive(Debug, Default)]
pub struct TestCoordinator {
    pub transactions: Transactions,
    pub journal: Vec<JournalEntry>,
    pub appends: usize,
    pub logs: BTreeMap<(String, i32), Log>,
    pub deleted: BTreeSet<String>,
    /// Producers with pending offsets, as groups have them in memory and as their journal has them.
    pub pending: BTreeSet<i64>,
    pub pending_kept: BTreeSet<i64>,
    pub settled: Vec<(i64, TransactionResult)>,
    pub decisions: Vec<Decision>,
    pub troubles: Vec<String>,
    /// The next so many records or markers fail.
    pub failing_records: usize,
    pub failing_marks: usize,
    /// After so many more writes nothing reaches the disk any more.
    pub dies_after: Option<usize>,
}

impl TestCoordinator {
    /// Whether this write reaches the disk.
    fn lives(&mut self) -> bool {
        match &mut self.dies_after {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dies_after == Some(0)
    }

    /// Starts again with what is on the disk.
    pub fn restart(&mut self, now: i64) {
        self.transactions = Transactions::default();
        for entry in &self.journal {
            if let JournalEntry::Transaction(entry) = entry {
                self.transactions.restore(entry.clone());
            }
        }
        self.pending = self.pending_kept.clone();
        if let Some(decision) = self.decisions.last_mut() {
            decision.to_mark = None;
        }
        (self.dies_after, self.failing_marks, self.failing_records) = (None, 0, 0);
        self.finish_prepared(now);
    }

    /// Writes the journal anew from memory, as it is done when it is long.
    pub fn compact(&mut self) {
        self.journal = self.transactions.snapshot().into_iter().map(JournalEntry::Transaction).collect();
    }

    pub fn init(&mut self, expected: Option<(i64, i16)>, now: i64) -> Result<(i64, i16), ResponseError> {
        let expected = expected.map(|(id, epoch)| ProducerIdAndEpoch { id, epoch });
        self.init_transactional_id(ID, expected, 60_000, now).map(|producer| (producer.id, producer.epoch))
    }

    pub fn end_as(
        &mut self,
        producer: (i64, i16),
        outcome: TransactionResult,
        protocol: TransactionVersion,
        now: i64,
    ) -> Result<(i64, i16), ResponseError> {
        self.end(identity(producer), outcome, protocol, now).map(|producer| (producer.id, producer.epoch))
    }

    /// A produce of one batch: it asks, and then writes.
    pub fn produce(
        &mut self,
        producer: (i64, i16),
        partition: i32,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.add_or_verify_partitions(identity(producer), &[("orders", partition)], support, now).remove(0)?;
        if self.is_dead() {
            return Err(ResponseError::KafkaStorageError);
        }
        let log = self.logs.entry(("orders".to_owned(), partition)).or_default();
        let newest = log.epochs.entry(producer.0).or_insert(producer.1);
        assert!(*newest <= producer.1, "an epoch that is older than its marker was let in");
        *newest = producer.1;
        log.open.insert(producer.0);
        Ok(())
    }

    /// A `TxnOffsetCommit`.
    pub fn commit_offsets(
        &mut self,
        producer: (i64, i16),
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.add_or_verify_group(identity(producer), "kitchen", support, now)?;
        if self.is_dead() {
            return Err(ResponseError::KafkaStorageError);
        }
        self.pending.insert(producer.0);
        self.pending_kept.insert(producer.0);
        Ok(())
    }

    pub fn add(&mut self, producer: (i64, i16), partitions: &[i32], now: i64) -> Result<(), ResponseError> {
        let partitions = BTreeMap::from([("orders".to_owned(), partitions.iter().copied().collect())]);
        self.add_to_transaction(identity(producer), partitions, BTreeSet::new(), now)
    }

    pub fn state(&self) -> TransactionState {
        self.transactions.get(ID).unwrap().state
    }

    pub fn producer(&self) -> (i64, i16) {
        let producer = self.transactions.get(ID).unwrap().producer();
        (producer.id, producer.epoch)
    }

    pub fn markers(&self, partition: i32) -> Vec<(i64, i16, TransactionResult)> {
        let log = self.logs.get(&("orders".to_owned(), partition));
        log.into_iter().flat_map(|log| &log.markers).map(|(by, outcome)| (by.id, by.epoch, *outcome)).collect()
    }

    fn note(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Transaction(TransactionEntry::Became { transaction, .. }) => {
                if let Some(outcome) = transaction.state.prepared_result() {
                    assert!(self.decisions.last().is_none_or(|last| last.completed), "two ends at a time");
                    let producer = transaction.producer();
                    let to_mark = transaction
                        .partitions
                        .iter()
                        .flat_map(|(topic, of_topic)| of_topic.iter().map(|partition| (topic.clone(), *partition)));
                    let to_mark = Some(to_mark.filter(|(topic, _)| !self.deleted.contains(topic)).collect());
                    let marked = BTreeSet::new();
                    self.decisions.push(Decision { producer, outcome, to_mark, marked, completed: false });
                }
            }
            JournalEntry::Transaction(TransactionEntry::Completed { .. }) => {
                let decision = self.decisions.last_mut().unwrap();
                assert!(!decision.completed, "an end was completed twice");
                assert!(decision.to_mark.as_ref().is_none_or(|all| *all == decision.marked), "a marker is missing");
                decision.completed = true;
            }
            JournalEntry::Transaction(TransactionEntry::Expired { transactional_id }) => {
                if let Some(id) = transactional_id.strip_prefix("offsets of ") {
                    self.pending_kept.remove(&id.parse().unwrap());
                }
            }
            _ => {}
        }
    }
}

pub fn identity(producer: (i64, i16)) -> ProducerIdentity<'static> {
    ProducerIdentity { transactional_id: ID, producer_id: producer.0, epoch: producer.1 }
}

impl TransactionCoordinator for TestCoordinator {
    fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    fn transactions_mut(&mut self) -> &mut Transactions {
        &mut self.transactions
    }

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        if self.failing_records > 0 {
            self.failing_records -= 1;
            return Err(ResponseError::KafkaStorageError);
        }
        for entry in entries {
            // A process that dies may leave the first lines of several.
            if !self.lives() {
                return Err(ResponseError::KafkaStorageError);
            }
            let json = serde_json::to_string(entry).unwrap();
            let read: JournalEntry = serde_json::from_str(&json).unwrap();
            assert_eq!(&read, entry, "the journal gives back what it was given");
            self.note(entry);
            self.journal.push(read);
        }
        self.appends += 1;
        Ok(())
    }

    fn append_marker(&mut self, marker: &Marker, _now: i64) -> io::Result<()> {
        if self.deleted.contains(&marker.topic) {
            return Ok(());
        }
        if self.failing_marks > 0 {
            self.failing_marks -= 1;
            return Err(io::Error::other("no space left on device"));
        }
        if !self.lives() {
            return Err(io::Error::other("dead"));
        }
        let decision = self.decisions.last_mut().expect("no marker before the decision");
        assert_eq!((decision.producer, decision.outcome), (marker.producer, marker.outcome), "a marker of another end");
        assert!(decision.marked.insert((marker.topic.clone(), marker.partition)), "a second marker");
        let log = self.logs.entry((marker.topic.clone(), marker.partition)).or_default();
        log.open.remove(&marker.producer.id);
        log.epochs.insert(marker.producer.id, marker.producer.epoch);
        log.markers.push((marker.producer, marker.outcome));
        Ok(())
    }

    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool {
        self.logs.get(&(topic.to_owned(), partition)).is_some_and(|log| log.open.contains(&producer_id))
    }

    fn end_offsets(&mut self, producer_id: i64, outcome: TransactionResult, _now: i64) -> Vec<JournalEntry> {
        if !self.pending.remove(&producer_id) {
            return Vec::new();
        }
        self.settled.push((producer_id, outcome));
        // Stands for what a group would have the journal keep.
        let transactional_id = format!("offsets of {producer_id}");
        vec![JournalEntry::Transaction(TransactionEntry::Expired { transactional_id })]
    }

    fn warn(&mut self, what: String) {
        self.troubles.push(what);
    }
}
