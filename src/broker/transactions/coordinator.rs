//! The order of writes to the journal, the logs and memory when a transaction changes.
//!
//! The rules are in [`Transaction`]. The journal, the logs and the groups are behind the trait's required methods. Each
//! change is written to the journal before it is applied in memory, so a change that cannot be written does not happen.
//! An end has two journal entries: `PrepareCommit` or `PrepareAbort` before the first marker, and the completion after
//! the last one. A restart finishes the transactions that are prepared.

use std::collections::BTreeSet;
use std::io;

use kafka_protocol::error::ResponseError;

use super::transaction::{EndTxnStep, InitStep};
use super::{
    BLOCK, Partitions, ProducerIdAndEpoch, ProducerIdentity, Transaction, TransactionEntry, TransactionResult,
    TransactionState, TransactionVersion, Transactions,
};
use crate::broker::journal::JournalEntry;

/// A transaction marker for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub topic: String,
    pub partition: i32,
    pub producer: ProducerIdAndEpoch,
    pub result: TransactionResult,
}

/// How a `Produce` or `TxnOffsetCommit` of some version joins a transaction; Kafka's `TransactionSupportedOperation`
/// (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionSupport {
    /// The partition or group must have been added, otherwise the error is `INVALID_TXN_STATE`.
    Verify,
    /// The partition or group must have been added, otherwise the error is `TRANSACTION_ABORTABLE`.
    VerifyAbortable,
    /// The request adds the partition or group, and starts the transaction if none is open.
    Add,
}

impl TransactionSupport {
    pub fn of_produce(version: i16) -> Self {
        Self::of(version, 11)
    }

    pub fn of_offset_commit(version: i16) -> Self {
        Self::of(version, 4)
    }

    fn of(version: i16, abortable: i16) -> Self {
        match version.cmp(&abortable) {
            std::cmp::Ordering::Less => Self::Verify,
            std::cmp::Ordering::Equal => Self::VerifyAbortable,
            std::cmp::Ordering::Greater => Self::Add,
        }
    }

    /// The error for a partition or group that was not added.
    fn not_added_error(self) -> ResponseError {
        if self == Self::Verify { ResponseError::InvalidTxnState } else { ResponseError::TransactionAbortable }
    }
}

/// The coordinator of transactions, over a node that provides the journal, the logs and the groups.
pub trait TransactionCoordinator {
    fn transactions(&self) -> &Transactions;
    fn transactions_mut(&mut self) -> &mut Transactions;
    /// Writes entries to the journal, all or none of them.
    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError>;
    /// Writes a marker. Does nothing if the partition was deleted.
    fn append_marker(&mut self, marker: &Marker, now: i64) -> io::Result<()>;
    /// Whether the producer has an open transaction in the partition's log.
    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool;
    /// Commits or discards a producer's pending offsets. Returns the entries for the journal.
    fn end_offsets(&mut self, producer_id: i64, result: TransactionResult, now: i64) -> Vec<JournalEntry>;
    fn warn(&mut self, what: String);

    /// Returns a new producer id.
    fn generate_producer_id(&mut self) -> Result<i64, ResponseError> {
        let transactions = self.transactions();
        if transactions.next_producer_id >= transactions.producer_ids_until {
            let until = transactions.next_producer_id + BLOCK;
            self.record_and_apply(TransactionEntry::ProducerIds { until })?;
        }
        let transactions = self.transactions_mut();
        let id = transactions.next_producer_id;
        transactions.next_producer_id += 1;
        Ok(id)
    }

    /// Writes an entry to the journal and applies it.
    ///
    /// # Errors
    ///
    /// `NOT_COORDINATOR` if the entry cannot be written, as in Kafka: clients retry it, while `KAFKA_STORAGE_ERROR` is
    /// fatal to a transactional producer.
    fn record_and_apply(&mut self, entry: TransactionEntry) -> Result<(), ResponseError> {
        self.record(&[JournalEntry::Transaction(entry.clone())]).map_err(|_| ResponseError::NotCoordinator)?;
        self.transactions_mut().apply(entry);
        Ok(())
    }

    /// Records the new state of a transactional id.
    fn replace(&mut self, transactional_id: &str, transaction: Transaction) -> Result<(), ResponseError> {
        let transaction = Box::new(transaction);
        self.record_and_apply(TransactionEntry::Became { transactional_id: transactional_id.to_owned(), transaction })
    }

    /// Returns the producer id and epoch for a new instance of a transactional id, or for the producer `expected`,
    /// whose epoch is bumped (KIP-360).
    ///
    /// # Errors
    ///
    /// As [`Transaction::prepare_increment_epoch`]. Also `CONCURRENT_TRANSACTIONS` if an open transaction had to be
    /// aborted: the client retries, and gets an epoch above the one that fenced the previous instance.
    fn init_transactional_id(
        &mut self,
        transactional_id: &str,
        expected: Option<ProducerIdAndEpoch>,
        timeout_ms: i32,
        now: i64,
    ) -> Result<ProducerIdAndEpoch, ResponseError> {
        let transaction = match self.transactions().get(transactional_id).cloned() {
            None => Transaction::new(self.generate_producer_id()?, timeout_ms, now),
            Some(transaction) => match transaction.prepare_increment_epoch(expected, timeout_ms, now)? {
                InitStep::Ready(transaction) => transaction,
                InitStep::EpochExhausted => {
                    transaction.prepare_producer_id_rotation(self.generate_producer_id()?, expected, timeout_ms, now)
                }
                InitStep::AbortOngoing => {
                    self.replace(transactional_id, transaction.prepare_fence(now))?;
                    self.finish(transactional_id, now);
                    return Err(ResponseError::ConcurrentTransactions);
                }
            },
        };
        let producer = transaction.producer();
        self.replace(transactional_id, transaction)?;
        Ok(producer)
    }

    /// The transaction of a producer, which must be the current one.
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_producer`]. `INVALID_REQUEST` if the transactional id is empty,
    /// `INVALID_PRODUCER_ID_MAPPING` if it is unknown.
    fn checked_transaction(&self, identity: ProducerIdentity<'_>) -> Result<&Transaction, ResponseError> {
        if identity.transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction =
            self.transactions().get(identity.transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        transaction.check_producer(identity.producer())?;
        Ok(transaction)
    }

    /// Adds partitions and groups to a transaction, which starts if none is open.
    fn add_to_transaction(
        &mut self,
        identity: ProducerIdentity<'_>,
        partitions: Partitions,
        groups: BTreeSet<String>,
        now: i64,
    ) -> Result<(), ResponseError> {
        let transaction = self.checked_transaction(identity)?;
        let is_in = transaction.state == TransactionState::Ongoing
            && groups.iter().all(|group| transaction.has_group(group))
            && partitions.iter().all(|(topic, topic_partitions)| {
                topic_partitions.iter().all(|partition| transaction.has_partition(topic, *partition))
            });
        if is_in {
            return Ok(());
        }
        let transactional_id = identity.transactional_id.to_owned();
        self.record_and_apply(TransactionEntry::Entered { transactional_id, at: now, partitions, groups })
    }

    /// Checks that a partition is part of the transaction. The error is `TRANSACTION_ABORTABLE` if it is not.
    fn verify(&self, identity: ProducerIdentity<'_>, topic: &str, partition: i32) -> Result<(), ResponseError> {
        let is_in = self.checked_transaction(identity)?.has_partition(topic, partition);
        if is_in { Ok(()) } else { Err(ResponseError::TransactionAbortable) }
    }

    /// Adds partitions to the transaction with one journal entry, or verifies that they were added, depending on
    /// `support`. The partitions must exist. Returns one result for each, in the same order.
    fn add_or_verify_partitions(
        &mut self,
        identity: ProducerIdentity<'_>,
        partitions: &[(&str, i32)],
        support: TransactionSupport,
        now: i64,
    ) -> Vec<Result<(), ResponseError>> {
        if support == TransactionSupport::Add {
            let mut added = Partitions::new();
            for (topic, partition) in partitions {
                added.entry((*topic).to_owned()).or_default().insert(*partition);
            }
            let response = self.add_to_transaction(identity, added, BTreeSet::new(), now).map_err(to_produce_error);
            return vec![response; partitions.len()];
        }
        let verified = partitions.iter().map(|(topic, partition)| match self.verify(identity, topic, *partition) {
            Err(ResponseError::TransactionAbortable) => Err(support.not_added_error()),
            verified => verified.map_err(to_produce_error),
        });
        verified.collect()
    }

    /// Adds a group to the transaction, or verifies that it was added, depending on `support`.
    fn add_or_verify_group(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        let result = if support == TransactionSupport::Add {
            self.add_to_transaction(identity, Partitions::new(), BTreeSet::from([group.to_owned()]), now)
        } else {
            self.checked_transaction(identity).and_then(|transaction| {
                if transaction.has_group(group) { Ok(()) } else { Err(support.not_added_error()) }
            })
        };
        result.map_err(to_writer_error)
    }

    /// Ends a transaction. Returns the producer id and epoch for the next one. The outcome is final when this returns:
    /// if a marker cannot be written, a later [`TransactionCoordinator::tick`] completes the transaction.
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_end`]. `INVALID_REQUEST` if the transactional id is empty, `INVALID_PRODUCER_ID_MAPPING`
    /// if it is unknown.
    fn end(
        &mut self,
        identity: ProducerIdentity<'_>,
        result: TransactionResult,
        version: TransactionVersion,
        now: i64,
    ) -> Result<ProducerIdAndEpoch, ResponseError> {
        let id = identity.transactional_id;
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction = self.transactions().get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.check_end(identity.producer(), result, version)? == EndTxnStep::AlreadyEnded {
            return Ok(transaction.producer());
        }
        let transaction = transaction.clone();
        let next_producer_id = if version == TransactionVersion::V2 && transaction.is_exhausted() {
            Some(self.generate_producer_id()?)
        } else {
            None
        };
        let prepared = transaction.prepare_end(result, version, next_producer_id, now);
        let successor = prepared.successor();
        self.replace(id, prepared)?;
        self.finish(id, now);
        Ok(successor)
    }

    /// Writes the markers of a prepared transaction, ends its offsets and completes it. After a failed write it stays
    /// prepared, and a later tick continues.
    fn finish(&mut self, transactional_id: &str, now: i64) {
        let Some(transaction) = self.transactions().get(transactional_id) else { return };
        let Some(result) = transaction.state.prepared_result() else { return };
        let producer = transaction.producer();
        let has_groups = !transaction.groups.is_empty();
        let to_mark: Vec<(String, i32)> = transaction
            .partitions
            .iter()
            .flat_map(|(topic, topic_partitions)| topic_partitions.iter().map(|partition| (topic.clone(), *partition)))
            .collect();
        for (topic, partition) in to_mark {
            let marker = Marker { topic, partition, producer, result };
            if let Err(error) = self.append_marker(&marker, now) {
                self.warn(format!(
                    "cannot end the transaction of {transactional_id} in {}-{partition}: {error}",
                    marker.topic
                ));
                self.transactions_mut().back_off(now);
                return;
            }
            // A retry must not write a second marker here.
            if let Some(transaction) = self.transactions_mut().by_id.get_mut(transactional_id)
                && let Some(topic_partitions) = transaction.partitions.get_mut(&marker.topic)
            {
                topic_partitions.remove(&partition);
            }
        }
        if has_groups && !self.transactions().unrecorded_offsets.contains_key(transactional_id) {
            let entries = self.end_offsets(producer.id, result, now);
            self.transactions_mut().unrecorded_offsets.insert(transactional_id.to_owned(), entries);
        }
        let completed = TransactionEntry::Completed { transactional_id: transactional_id.to_owned(), at: now };
        let mut entries = self.transactions().unrecorded_offsets.get(transactional_id).cloned().unwrap_or_default();
        entries.push(JournalEntry::Transaction(completed.clone()));
        match self.record(&entries) {
            Ok(()) => self.transactions_mut().apply(completed),
            Err(_) => self.transactions_mut().back_off(now),
        }
    }

    /// Completes the transactions that were prepared before a restart. Must run before the first request. Partitions
    /// without an open transaction have their marker.
    fn finish_prepared(&mut self, now: i64) {
        let prepared: Vec<String> = self
            .transactions()
            .iter()
            .filter(|(_, transaction)| transaction.state.prepared_result().is_some())
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in prepared {
            let Some(mut transaction) = self.transactions().get(&id).cloned() else { continue };
            for (topic, topic_partitions) in &mut transaction.partitions {
                topic_partitions.retain(|partition| self.is_open(topic, *partition, transaction.producer_id));
            }
            self.transactions_mut().by_id.insert(id.clone(), transaction);
            self.finish(&id, now);
        }
    }

    /// Aborts transactions that have timed out and fences their producers, retries prepared transactions, and removes
    /// idle transactional ids.
    fn tick(&mut self, now: i64) {
        for id in self.transactions().overdue(now) {
            let Some(transaction) = self.transactions().get(&id) else { continue };
            let result = match transaction.state {
                TransactionState::PrepareCommit | TransactionState::PrepareAbort => Ok(()),
                TransactionState::Ongoing => {
                    let fenced = transaction.prepare_fence(now);
                    self.replace(&id, fenced)
                }
                TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                    self.record_and_apply(TransactionEntry::Expired { transactional_id: id.clone() })
                }
            };
            match result {
                Ok(()) => self.finish(&id, now),
                Err(_) => self.transactions_mut().back_off(now),
            }
        }
    }
}

/// Kafka returns `INVALID_PRODUCER_EPOCH` for `Produce` and `TxnOffsetCommit` where other requests get
/// `PRODUCER_FENCED`.
fn to_writer_error(error: ResponseError) -> ResponseError {
    if error == ResponseError::ProducerFenced { ResponseError::InvalidProducerEpoch } else { error }
}

/// `Produce` does not support the coordinator's retriable errors, so it gets `NOT_ENOUGH_REPLICAS`, which is retriable,
/// too.
fn to_produce_error(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::ConcurrentTransactions | ResponseError::NotCoordinator => ResponseError::NotEnoughReplicas,
        error => to_writer_error(error),
    }
}

#[cfg(test)]
#[path = "test_support.rs"]
pub(super) mod test_support;

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "property_tests.rs"]
mod property_tests;
