//! Owns the order of things: what is recorded, what is written and what is changed in memory when a transaction takes a step.
//!
//! The rules stand in [`Transaction`]; what a step touches (journal, logs, groups) is behind the trait's first methods. Each step is in the
//! journal before it is in memory, so a step that cannot be recorded has not been taken. An end is two entries, the decision before the
//! first marker and the completion after the last, so that a start of the broker can finish what its predecessor had decided.

use std::collections::BTreeSet;
use std::io;

use kafka_protocol::error::ResponseError;

use super::transaction::{EndTxnStep, InitStep};
use super::{
    BLOCK, Partitions, ProducerIdAndEpoch, ProducerIdentity, Transaction, TransactionEntry, TransactionResult,
    TransactionState, TransactionVersion, Transactions,
};
use crate::broker::journal_entry::JournalEntry;

/// The record at a transaction's end in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whose transaction.
    pub producer: ProducerIdAndEpoch,
    /// How it ends.
    pub outcome: TransactionResult,
}

/// What a produce or a `TxnOffsetCommit` has to show, by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionSupport {
    /// It was added to the transaction before, or gets `INVALID_TXN_STATE`.
    Verify,
    /// The same for clients that know KIP-890's `TRANSACTION_ABORTABLE`.
    VerifyAbortable,
    /// Nothing: it joins by itself, and the transaction begins if need be.
    Add,
}

impl TransactionSupport {
    /// For a produce of this version.
    #[must_use]
    pub fn of_produce(version: i16) -> Self {
        Self::of(version, 11)
    }

    /// For a `TxnOffsetCommit` of this version.
    #[must_use]
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

    /// The error for what was not added.
    fn missing(self) -> ResponseError {
        if self == Self::Verify { ResponseError::InvalidTxnState } else { ResponseError::TransactionAbortable }
    }
}

/// A node that coordinates transactions.
pub trait TransactionCoordinator {
    /// The transactions.
    fn transactions(&self) -> &Transactions;
    /// The transactions, to be changed.
    fn transactions_mut(&mut self) -> &mut Transactions;
    /// Writes entries to the journal, all or none of them.
    ///
    /// # Errors
    ///
    /// When they could not be written.
    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError>;
    /// Writes a marker; a partition that is gone needs none.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    fn append_marker(&mut self, marker: &Marker, now: i64) -> io::Result<()>;
    /// Whether this producer's transaction is open in this partition's log.
    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool;
    /// Commits or drops a producer's pending offsets, and returns what the journal must keep of that.
    fn end_offsets(&mut self, producer_id: i64, outcome: TransactionResult, now: i64) -> Vec<JournalEntry>;
    /// Tells that something went wrong.
    fn warn(&mut self, what: String);

    /// Gives a producer id that nobody had.
    ///
    /// # Errors
    ///
    /// As [`TransactionCoordinator::record_and_apply`].
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

    /// Records a step and takes it.
    ///
    /// # Errors
    ///
    /// `NOT_COORDINATOR` when it could not be recorded. That is what Kafka makes of a storage error here: clients ask again, while
    /// `KAFKA_STORAGE_ERROR` is fatal to a transactional producer.
    fn record_and_apply(&mut self, entry: TransactionEntry) -> Result<(), ResponseError> {
        self.record(&[JournalEntry::Transaction(entry.clone())]).map_err(|_| ResponseError::NotCoordinator)?;
        self.transactions_mut().apply(entry);
        Ok(())
    }

    /// Makes a transactional id this.
    ///
    /// # Errors
    ///
    /// As [`TransactionCoordinator::record_and_apply`].
    fn replace(&mut self, transactional_id: &str, transaction: Transaction) -> Result<(), ResponseError> {
        let transaction = Box::new(transaction);
        self.record_and_apply(TransactionEntry::Became { transactional_id: transactional_id.to_owned(), transaction })
    }

    /// Gives a transactional id its producer. `expected` is who the caller says it is (KIP-360).
    ///
    /// # Errors
    ///
    /// As [`Transaction::prepare_increment_epoch`]; `CONCURRENT_TRANSACTIONS` also when an open transaction had to be aborted: the caller asks again,
    /// and gets an epoch above the one that prepare_fence the predecessor.
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

    /// The transaction in which somebody speaks.
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_producer`]; `INVALID_REQUEST` without a transactional id, `INVALID_PRODUCER_ID_MAPPING` for an unknown one.
    fn checked_transaction(&self, identity: ProducerIdentity<'_>) -> Result<&Transaction, ResponseError> {
        if identity.transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction =
            self.transactions().get(identity.transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        transaction.check_producer(identity.producer())?;
        Ok(transaction)
    }

    /// Makes partitions and groups part of a transaction.
    ///
    /// # Errors
    ///
    /// As [`TransactionCoordinator::checked_transaction`] and [`TransactionCoordinator::record_and_apply`].
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
            && partitions
                .iter()
                .all(|(topic, of_topic)| of_topic.iter().all(|partition| transaction.has_partition(topic, *partition)));
        if is_in {
            return Ok(());
        }
        let transactional_id = identity.transactional_id.to_owned();
        self.record_and_apply(TransactionEntry::Entered { transactional_id, at: now, partitions, groups })
    }

    /// Whether a partition is part of the identity's transaction.
    ///
    /// # Errors
    ///
    /// As [`TransactionCoordinator::checked_transaction`]; `TRANSACTION_ABORTABLE` if it is not.
    fn verify(&self, identity: ProducerIdentity<'_>, topic: &str, partition: i32) -> Result<(), ResponseError> {
        let is_in = self.checked_transaction(identity)?.has_partition(topic, partition);
        if is_in { Ok(()) } else { Err(ResponseError::TransactionAbortable) }
    }

    /// Whether a producer may write to these partitions, which are known to exist. One answer for each, in their order;
    /// all that join do so by one line of the journal.
    fn add_or_verify_partitions(
        &mut self,
        identity: ProducerIdentity<'_>,
        partitions: &[(&str, i32)],
        support: TransactionSupport,
        now: i64,
    ) -> Vec<Result<(), ResponseError>> {
        if support == TransactionSupport::Add {
            let mut joining = Partitions::new();
            for (topic, partition) in partitions {
                joining.entry((*topic).to_owned()).or_default().insert(*partition);
            }
            let answer = self.add_to_transaction(identity, joining, BTreeSet::new(), now).map_err(to_produce_error);
            return vec![answer; partitions.len()];
        }
        let verified = partitions.iter().map(|(topic, partition)| match self.verify(identity, topic, *partition) {
            Err(ResponseError::TransactionAbortable) => Err(support.missing()),
            answer => answer.map_err(to_produce_error),
        });
        verified.collect()
    }

    /// The same for a group's offsets.
    ///
    /// # Errors
    ///
    /// What the request is to answer.
    fn add_or_verify_group(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        let answer = if support == TransactionSupport::Add {
            self.add_to_transaction(identity, Partitions::new(), BTreeSet::from([group.to_owned()]), now)
        } else {
            self.checked_transaction(identity)
                .and_then(|transaction| if transaction.has_group(group) { Ok(()) } else { Err(support.missing()) })
        };
        answer.map_err(to_writer_error)
    }

    /// Ends a transaction, and returns its producer from here on. The decision stands when this returns; if a marker cannot be written
    /// the rest is done by a later [`TransactionCoordinator::tick`].
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_end`] and [`TransactionCoordinator::record_and_apply`]; `INVALID_REQUEST` without a transactional id,
    /// `INVALID_PRODUCER_ID_MAPPING` for an unknown one.
    fn end(
        &mut self,
        identity: ProducerIdentity<'_>,
        outcome: TransactionResult,
        protocol: TransactionVersion,
        now: i64,
    ) -> Result<ProducerIdAndEpoch, ResponseError> {
        let id = identity.transactional_id;
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction = self.transactions().get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.check_end(identity.producer(), outcome, protocol)? == EndTxnStep::AlreadyEnded {
            return Ok(transaction.producer());
        }
        let transaction = transaction.clone();
        let next_producer_id = if protocol == TransactionVersion::V2 && transaction.is_exhausted() {
            Some(self.generate_producer_id()?)
        } else {
            None
        };
        let prepared = transaction.prepare_end(outcome, protocol, next_producer_id, now);
        let successor = prepared.successor();
        self.replace(id, prepared)?;
        self.finish(id, now);
        Ok(successor)
    }

    /// Does what is left of a prepared end. If something cannot be written the transaction stays prepared, and this is done again later.
    fn finish(&mut self, transactional_id: &str, now: i64) {
        let Some(transaction) = self.transactions().get(transactional_id) else { return };
        let Some(outcome) = transaction.state.prepared_result() else { return };
        let producer = transaction.producer();
        let has_groups = !transaction.groups.is_empty();
        let marks: Vec<(String, i32)> = transaction
            .partitions
            .iter()
            .flat_map(|(topic, of_topic)| of_topic.iter().map(|partition| (topic.clone(), *partition)))
            .collect();
        for (topic, partition) in marks {
            let marker = Marker { topic, partition, producer, outcome };
            if let Err(error) = self.append_marker(&marker, now) {
                self.warn(format!(
                    "the transaction of {transactional_id} cannot be ended in {}-{partition}: {error}",
                    marker.topic
                ));
                self.transactions_mut().back_off(now);
                return;
            }
            // One marker each, whatever happens to the next one.
            if let Some(transaction) = self.transactions_mut().by_id.get_mut(transactional_id)
                && let Some(of_topic) = transaction.partitions.get_mut(&marker.topic)
            {
                of_topic.remove(&partition);
            }
        }
        if has_groups && !self.transactions().unrecorded_offsets.contains_key(transactional_id) {
            let entries = self.end_offsets(producer.id, outcome, now);
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

    /// Finishes every end that was decided before the broker went down, before anybody is served: what has its marker gets no second one.
    fn finish_prepared(&mut self, now: i64) {
        let prepared: Vec<String> = self
            .transactions()
            .iter()
            .filter(|(_, transaction)| transaction.state.prepared_result().is_some())
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in prepared {
            let Some(mut transaction) = self.transactions().get(&id).cloned() else { continue };
            for (topic, of_topic) in &mut transaction.partitions {
                of_topic.retain(|partition| self.is_open(topic, *partition, transaction.producer_id));
            }
            self.transactions_mut().by_id.insert(id.clone(), transaction);
            self.finish(&id, now);
        }
    }

    /// Does what is due: aborts what has timed out and fences its producer, tries prepared ends again, forgets idle transactional ids.
    fn tick(&mut self, now: i64) {
        for id in self.transactions().overdue(now) {
            let Some(transaction) = self.transactions().get(&id) else { continue };
            let taken = match transaction.state {
                TransactionState::PrepareCommit | TransactionState::PrepareAbort => Ok(()),
                TransactionState::Ongoing => {
                    let prepare_fence = transaction.prepare_fence(now);
                    self.replace(&id, prepare_fence)
                }
                TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                    self.record_and_apply(TransactionEntry::Expired { transactional_id: id.clone() })
                }
            };
            match taken {
                Ok(()) => self.finish(&id, now),
                Err(_) => self.transactions_mut().back_off(now),
            }
        }
    }
}

/// Kafka tells those who write to partitions and groups of a prepare_fence epoch by the error that they knew first.
fn to_writer_error(error: ResponseError) -> ResponseError {
    if error == ResponseError::ProducerFenced { ResponseError::InvalidProducerEpoch } else { error }
}

/// A produce does not know the coordinator's errors that say to come again, and is told so by one that it does know.
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
