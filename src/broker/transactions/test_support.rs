//! Test support for transactions: a coordinator over a journal, logs and groups in memory, with failing writes and
//! kills.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kafka_protocol::error::ResponseError;

use super::{Marker, TransactionCoordinator, TransactionSupport};
use crate::broker::journal::JournalEntry;
use crate::broker::transactions::{
    ProducerIdAndEpoch, ProducerIdentity, TransactionEntry, TransactionResult, TransactionState, TransactionVersion,
    Transactions,
};

pub const ID: &str = "till";

/// The transactional state of a partition's log.
#[derive(Debug, Default, Clone)]
pub struct Log {
    /// Producers with an open transaction.
    pub open: BTreeSet<i64>,
    /// The latest epoch of each producer.
    pub epochs: BTreeMap<i64, i16>,
    pub markers: Vec<(ProducerIdAndEpoch, TransactionResult)>,
}

/// The decided outcome of a transaction.
#[derive(Debug, Clone)]
pub struct Decision {
    pub producer: ProducerIdAndEpoch,
    pub result: TransactionResult,
    /// The partitions to mark; `None` after a restart, which marks only partitions with an open transaction.
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
    /// Producers with pending offsets in memory.
    pub pending: BTreeSet<i64>,
    /// Producers with pending offsets in the journal.
    pub pending_in_journal: BTreeSet<i64>,
    pub ended_offsets: Vec<(i64, TransactionResult)>,
    pub decisions: Vec<Decision>,
    pub warnings: Vec<String>,
    /// How many of the next writes to the journal fail.
    pub failing_records: usize,
    /// How many of the next markers fail.
    pub failing_markers: usize,
    /// The process is killed after this many more writes.
    pub killed_after: Option<usize>,
}

impl TestCoordinator {
    /// Whether this write happens before the process is killed.
    fn write(&mut self) -> bool {
        match &mut self.killed_after {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    pub fn is_killed(&self) -> bool {
        self.killed_after == Some(0)
    }

    /// Restarts from the journal and the logs.
    pub fn restart(&mut self, now: i64) {
        self.transactions = Transactions::default();
        for entry in &self.journal {
            if let JournalEntry::Transaction(entry) = entry {
                self.transactions.restore(entry.clone());
            }
        }
        self.pending = self.pending_in_journal.clone();
        if let Some(decision) = self.decisions.last_mut() {
            decision.to_mark = None;
        }
        (self.killed_after, self.failing_markers, self.failing_records) = (None, 0, 0);
        self.finish_prepared(now);
    }

    /// Rewrites the journal.
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
        result: TransactionResult,
        version: TransactionVersion,
        now: i64,
    ) -> Result<(i64, i16), ResponseError> {
        self.end(identity(producer), result, version, now).map(|producer| (producer.id, producer.epoch))
    }

    /// Produces one batch.
    pub fn produce(
        &mut self,
        producer: (i64, i16),
        partition: i32,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.add_or_verify_partitions(identity(producer), &[("orders", partition)], support, now).remove(0)?;
        if self.is_killed() {
            return Err(ResponseError::KafkaStorageError);
        }
        let log = self.logs.entry(("orders".to_owned(), partition)).or_default();
        let newest = log.epochs.entry(producer.0).or_insert(producer.1);
        assert!(*newest <= producer.1, "an epoch older than the marker was accepted");
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
        if self.is_killed() {
            return Err(ResponseError::KafkaStorageError);
        }
        self.pending.insert(producer.0);
        self.pending_in_journal.insert(producer.0);
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
        log.into_iter().flat_map(|log| &log.markers).map(|(by, result)| (by.id, by.epoch, *result)).collect()
    }

    fn check_entry(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Transaction(TransactionEntry::Became { transaction, .. }) => {
                if let Some(result) = transaction.state.prepared_result() {
                    assert!(self.decisions.last().is_none_or(|last| last.completed), "two prepared transactions");
                    let producer = transaction.producer();
                    let to_mark = transaction.partitions.iter().flat_map(|(topic, topic_partitions)| {
                        topic_partitions.iter().map(|partition| (topic.clone(), *partition))
                    });
                    let to_mark = Some(to_mark.filter(|(topic, _)| !self.deleted.contains(topic)).collect());
                    let marked = BTreeSet::new();
                    self.decisions.push(Decision { producer, result, to_mark, marked, completed: false });
                }
            }
            JournalEntry::Transaction(TransactionEntry::Completed { .. }) => {
                let decision = self.decisions.last_mut().unwrap();
                assert!(!decision.completed, "a transaction was completed twice");
                assert!(decision.to_mark.as_ref().is_none_or(|all| *all == decision.marked), "a marker is missing");
                decision.completed = true;
            }
            JournalEntry::Transaction(TransactionEntry::Expired { transactional_id }) => {
                if let Some(id) = transactional_id.strip_prefix("offsets of ") {
                    self.pending_in_journal.remove(&id.parse().unwrap());
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
            // A kill may leave the first of several lines.
            if !self.write() {
                return Err(ResponseError::KafkaStorageError);
            }
            let json = serde_json::to_string(entry).unwrap();
            let read: JournalEntry = serde_json::from_str(&json).unwrap();
            assert_eq!(&read, entry, "the JSON of an entry");
            self.check_entry(entry);
            self.journal.push(read);
        }
        self.appends += 1;
        Ok(())
    }

    fn append_marker(&mut self, marker: &Marker, _now: i64) -> io::Result<()> {
        if self.deleted.contains(&marker.topic) {
            return Ok(());
        }
        if self.failing_markers > 0 {
            self.failing_markers -= 1;
            return Err(io::Error::other("no space left on device"));
        }
        if !self.write() {
            return Err(io::Error::other("killed"));
        }
        let decision = self.decisions.last_mut().expect("a marker before the decision");
        assert_eq!(
            (decision.producer, decision.result),
            (marker.producer, marker.result),
            "a marker of another transaction"
        );
        assert!(decision.marked.insert((marker.topic.clone(), marker.partition)), "a second marker");
        let log = self.logs.entry((marker.topic.clone(), marker.partition)).or_default();
        log.open.remove(&marker.producer.id);
        log.epochs.insert(marker.producer.id, marker.producer.epoch);
        log.markers.push((marker.producer, marker.result));
        Ok(())
    }

    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool {
        self.logs.get(&(topic.to_owned(), partition)).is_some_and(|log| log.open.contains(&producer_id))
    }

    fn end_offsets(&mut self, producer_id: i64, result: TransactionResult, _now: i64) -> Vec<JournalEntry> {
        if !self.pending.remove(&producer_id) {
            return Vec::new();
        }
        self.ended_offsets.push((producer_id, result));
        // Represents the entry of a group.
        let transactional_id = format!("offsets of {producer_id}");
        vec![JournalEntry::Transaction(TransactionEntry::Expired { transactional_id })]
    }

    fn warn(&mut self, what: String) {
        self.warnings.push(what);
    }
}
