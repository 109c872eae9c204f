//! Owns the order of things: what is recorded, what is written and what is changed in memory when a transaction takes a step.
//!
//! The rules stand in [`Transaction`]; what a step touches (journal, logs, groups) is behind the trait's first methods. Each step is in the
//! journal before it is in memory, so a step that cannot be recorded has not been taken. An end is two entries, the decision before the
//! first marker and the completion after the last, so that a start of the broker can finish what its predecessor had decided.

use std::collections::BTreeSet;
use std::io;

use kafka_protocol::error::ResponseError;

use super::transaction::{Ended, Initialised};
use super::{
    BLOCK, Outcome, Partitions, Producer, Protocol, Speaker, State, Transaction, TransactionEntry, Transactions,
};
use crate::broker::entry::Entry;

/// The record at a transaction's end in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whose transaction.
    pub producer: Producer,
    /// How it ends.
    pub outcome: Outcome,
}

/// What a produce or a `TxnOffsetCommit` has to show, by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// It was added to the transaction before, or gets `INVALID_TXN_STATE`.
    Added,
    /// The same for clients that know KIP-890's `TRANSACTION_ABORTABLE`.
    AddedOrAbortable,
    /// Nothing: it joins by itself, and the transaction begins if need be.
    Joins,
}

impl Entrance {
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
            std::cmp::Ordering::Less => Self::Added,
            std::cmp::Ordering::Equal => Self::AddedOrAbortable,
            std::cmp::Ordering::Greater => Self::Joins,
        }
    }

    /// The error for what was not added.
    fn missing(self) -> ResponseError {
        if self == Self::Added { ResponseError::InvalidTxnState } else { ResponseError::TransactionAbortable }
    }
}

/// A node that coordinates transactions.
pub trait Coordinator {
    /// The transactions.
    fn transactions(&self) -> &Transactions;
    /// The transactions, to be changed.
    fn transactions_mut(&mut self) -> &mut Transactions;
    /// Writes entries to the journal, all or none of them.
    ///
    /// # Errors
    ///
    /// When they could not be written.
    fn record(&mut self, entries: &[Entry]) -> Result<(), ResponseError>;
    /// Writes a marker; a partition that is gone needs none.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    fn mark(&mut self, marker: &Marker, now: i64) -> io::Result<()>;
    /// Whether this producer's transaction is open in this partition's log.
    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool;
    /// Commits or drops a producer's pending offsets, and returns what the journal must keep of that.
    fn end_offsets(&mut self, producer_id: i64, outcome: Outcome, now: i64) -> Vec<Entry>;
    /// Tells that something went wrong.
    fn trouble(&mut self, what: String);

    /// Gives a producer id that nobody had.
    ///
    /// # Errors
    ///
    /// As [`Coordinator::take`].
    fn fresh_producer_id(&mut self) -> Result<i64, ResponseError> {
        let transactions = self.transactions();
        if transactions.next_producer_id >= transactions.producer_ids_until {
            let until = transactions.next_producer_id + BLOCK;
            self.take(TransactionEntry::ProducerIds { until })?;
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
    fn take(&mut self, entry: TransactionEntry) -> Result<(), ResponseError> {
        self.record(&[Entry::Transaction(entry.clone())]).map_err(|_| ResponseError::NotCoordinator)?;
        self.transactions_mut().apply(entry);
        Ok(())
    }

    /// Makes a transactional id this.
    ///
    /// # Errors
    ///
    /// As [`Coordinator::take`].
    fn replace(&mut self, transactional_id: &str, transaction: Transaction) -> Result<(), ResponseError> {
        let transaction = Box::new(transaction);
        self.take(TransactionEntry::Became { transactional_id: transactional_id.to_owned(), transaction })
    }

    /// Gives a transactional id its producer. `expected` is who the caller says it is (KIP-360).
    ///
    /// # Errors
    ///
    /// As [`Transaction::initialised`]; `CONCURRENT_TRANSACTIONS` also when an open transaction had to be aborted: the caller asks again,
    /// and gets an epoch above the one that fenced the predecessor.
    fn initialise(
        &mut self,
        transactional_id: &str,
        expected: Option<Producer>,
        timeout_ms: i32,
        now: i64,
    ) -> Result<Producer, ResponseError> {
        let transaction = match self.transactions().get(transactional_id).cloned() {
            None => Transaction::new(self.fresh_producer_id()?, timeout_ms, now),
            Some(transaction) => match transaction.initialised(expected, timeout_ms, now)? {
                Initialised::Became(transaction) => transaction,
                Initialised::Exhausted => transaction.rotated(self.fresh_producer_id()?, expected, timeout_ms, now),
                Initialised::Open => {
                    self.replace(transactional_id, transaction.fenced(now))?;
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
    /// As [`Transaction::admits`]; `INVALID_REQUEST` without a transactional id, `INVALID_PRODUCER_ID_MAPPING` for an unknown one.
    fn admit(&self, speaker: Speaker<'_>) -> Result<&Transaction, ResponseError> {
        if speaker.transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction =
            self.transactions().get(speaker.transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        transaction.admits(speaker.producer())?;
        Ok(transaction)
    }

    /// Makes partitions and groups part of a transaction.
    ///
    /// # Errors
    ///
    /// As [`Coordinator::admit`] and [`Coordinator::take`].
    fn enter(
        &mut self,
        speaker: Speaker<'_>,
        partitions: Partitions,
        groups: BTreeSet<String>,
        now: i64,
    ) -> Result<(), ResponseError> {
        let transaction = self.admit(speaker)?;
        let is_in = transaction.state == State::Ongoing
            && groups.iter().all(|group| transaction.has_group(group))
            && partitions
                .iter()
                .all(|(topic, of_topic)| of_topic.iter().all(|partition| transaction.has_partition(topic, *partition)));
        if is_in {
            return Ok(());
        }
        let transactional_id = speaker.transactional_id.to_owned();
        self.take(TransactionEntry::Entered { transactional_id, at: now, partitions, groups })
    }

    /// Whether a partition is part of the speaker's transaction.
    ///
    /// # Errors
    ///
    /// As [`Coordinator::admit`]; `TRANSACTION_ABORTABLE` if it is not.
    fn verify(&self, speaker: Speaker<'_>, topic: &str, partition: i32) -> Result<(), ResponseError> {
        let is_in = self.admit(speaker)?.has_partition(topic, partition);
        if is_in { Ok(()) } else { Err(ResponseError::TransactionAbortable) }
    }

    /// Whether a producer may write to these partitions, which are known to exist. One answer for each, in their order;
    /// all that join do so by one line of the journal.
    fn enter_partitions(
        &mut self,
        speaker: Speaker<'_>,
        partitions: &[(&str, i32)],
        entrance: Entrance,
        now: i64,
    ) -> Vec<Result<(), ResponseError>> {
        if entrance == Entrance::Joins {
            let mut joining = Partitions::new();
            for (topic, partition) in partitions {
                joining.entry((*topic).to_owned()).or_default().insert(*partition);
            }
            let answer = self.enter(speaker, joining, BTreeSet::new(), now).map_err(as_produce_says);
            return vec![answer; partitions.len()];
        }
        let verified = partitions.iter().map(|(topic, partition)| match self.verify(speaker, topic, *partition) {
            Err(ResponseError::TransactionAbortable) => Err(entrance.missing()),
            answer => answer.map_err(as_produce_says),
        });
        verified.collect()
    }

    /// The same for a group's offsets.
    ///
    /// # Errors
    ///
    /// What the request is to answer.
    fn enter_group(
        &mut self,
        speaker: Speaker<'_>,
        group: &str,
        entrance: Entrance,
        now: i64,
    ) -> Result<(), ResponseError> {
        let answer = if entrance == Entrance::Joins {
            self.enter(speaker, Partitions::new(), BTreeSet::from([group.to_owned()]), now)
        } else {
            self.admit(speaker)
                .and_then(|transaction| if transaction.has_group(group) { Ok(()) } else { Err(entrance.missing()) })
        };
        answer.map_err(as_writers_know_it)
    }

    /// Ends a transaction, and returns its producer from here on. The decision stands when this returns; if a marker cannot be written
    /// the rest is done by a later [`Coordinator::tick`].
    ///
    /// # Errors
    ///
    /// As [`Transaction::ended`] and [`Coordinator::take`]; `INVALID_REQUEST` without a transactional id,
    /// `INVALID_PRODUCER_ID_MAPPING` for an unknown one.
    fn end(
        &mut self,
        speaker: Speaker<'_>,
        outcome: Outcome,
        protocol: Protocol,
        now: i64,
    ) -> Result<Producer, ResponseError> {
        let id = speaker.transactional_id;
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let transaction = self.transactions().get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.ended(speaker.producer(), outcome, protocol)? == Ended::Before {
            return Ok(transaction.producer());
        }
        let transaction = transaction.clone();
        let next_producer_id = if protocol == Protocol::Bumping && transaction.is_exhausted() {
            Some(self.fresh_producer_id()?)
        } else {
            None
        };
        let prepared = transaction.prepared(outcome, protocol, next_producer_id, now);
        let successor = prepared.successor();
        self.replace(id, prepared)?;
        self.finish(id, now);
        Ok(successor)
    }

    /// Does what is left of a prepared end. If something cannot be written the transaction stays prepared, and this is done again later.
    fn finish(&mut self, transactional_id: &str, now: i64) {
        let Some(transaction) = self.transactions().get(transactional_id) else { return };
        let Some(outcome) = transaction.state.prepared() else { return };
        let producer = transaction.producer();
        let has_groups = !transaction.groups.is_empty();
        let marks: Vec<(String, i32)> = transaction
            .partitions
            .iter()
            .flat_map(|(topic, of_topic)| of_topic.iter().map(|partition| (topic.clone(), *partition)))
            .collect();
        for (topic, partition) in marks {
            let marker = Marker { topic, partition, producer, outcome };
            if let Err(error) = self.mark(&marker, now) {
                self.trouble(format!(
                    "the transaction of {transactional_id} cannot be ended in {}-{partition}: {error}",
                    marker.topic
                ));
                self.transactions_mut().rest(now);
                return;
            }
            // One marker each, whatever happens to the next one.
            if let Some(transaction) = self.transactions_mut().by_id.get_mut(transactional_id)
                && let Some(of_topic) = transaction.partitions.get_mut(&marker.topic)
            {
                of_topic.remove(&partition);
            }
        }
        if has_groups && !self.transactions().owed.contains_key(transactional_id) {
            let entries = self.end_offsets(producer.id, outcome, now);
            self.transactions_mut().owed.insert(transactional_id.to_owned(), entries);
        }
        let completed = TransactionEntry::Completed { transactional_id: transactional_id.to_owned(), at: now };
        let mut entries = self.transactions().owed.get(transactional_id).cloned().unwrap_or_default();
        entries.push(Entry::Transaction(completed.clone()));
        match self.record(&entries) {
            Ok(()) => self.transactions_mut().apply(completed),
            Err(_) => self.transactions_mut().rest(now),
        }
    }

    /// Finishes every end that was decided before the broker went down, before anybody is served: what has its marker gets no second one.
    fn finish_prepared(&mut self, now: i64) {
        let prepared: Vec<String> = self
            .transactions()
            .iter()
            .filter(|(_, transaction)| transaction.state.prepared().is_some())
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
                State::PrepareCommit | State::PrepareAbort => Ok(()),
                State::Ongoing => {
                    let fenced = transaction.fenced(now);
                    self.replace(&id, fenced)
                }
                State::Empty | State::CompleteCommit | State::CompleteAbort => {
                    self.take(TransactionEntry::Expired { transactional_id: id.clone() })
                }
            };
            match taken {
                Ok(()) => self.finish(&id, now),
                Err(_) => self.transactions_mut().rest(now),
            }
        }
    }
}

/// Kafka tells those who write to partitions and groups of a fenced epoch by the error that they knew first.
fn as_writers_know_it(error: ResponseError) -> ResponseError {
    if error == ResponseError::ProducerFenced { ResponseError::InvalidProducerEpoch } else { error }
}

/// A produce does not know the coordinator's errors that say to come again, and is told so by one that it does know.
fn as_produce_says(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::ConcurrentTransactions | ResponseError::NotCoordinator => ResponseError::NotEnoughReplicas,
        error => as_writers_know_it(error),
    }
}

#[cfg(test)]
#[path = "bench.rs"]
pub(super) mod bench;

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "coordinator_laws.rs"]
mod laws;
