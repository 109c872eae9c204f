//! Producer state of a partition: epochs, sequence numbers, ongoing transactions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::append::AppendError;
use super::header::Header;
use super::records::Marker;

/// Kafka's clients have at most five requests in flight, so older duplicates cannot arrive.
const RETAINED_BATCHES: usize = 5;
/// `producer.id.expiration.ms`
const EXPIRATION_MS: i64 = 86_400_000;

/// State of one producer, as `DescribeProducers` returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    pub producer_id: i64,
    pub epoch: i16,
    /// Sequence of its last record, -1 if it wrote only markers.
    pub last_sequence: i32,
    /// In milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its ongoing transaction.
    pub transaction_start: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMetadata {
    first_sequence: i32,
    last_sequence: i32,
    pub base_offset: i64,
    pub last_offset: i64,
    pub timestamp: i64,
}

#[derive(Debug)]
pub(super) struct ProducerEntry {
    epoch: i16,
    batches: VecDeque<BatchMetadata>,
    last_timestamp: i64,
    coordinator_epoch: i32,
    transaction_start: Option<i64>,
}

impl ProducerEntry {
    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct CompletedTransaction {
    pub first_offset: i64,
    /// Last stable offset after its marker.
    pub last_stable_offset: i64,
}

#[derive(Debug, Default)]
pub struct ProducerStates {
    by_id: BTreeMap<i64, ProducerEntry>,
    /// First offset and producer id of every ongoing transaction.
    ongoing: BTreeSet<(i64, i64)>,
}

impl ProducerStates {
    /// Checks epoch and sequence of a client's batch. Returns the earlier batch for a duplicate of one of the last
    /// five. An unknown producer, as after its state expired, may begin with any sequence unless `starts_at_zero`.
    pub fn check(&self, batch: &Header, starts_at_zero: bool) -> Result<Option<BatchMetadata>, AppendError> {
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            let gap = starts_at_zero && batch.base_sequence > 0;
            return if gap { Err(AppendError::OutOfOrderSequence) } else { Ok(None) };
        };
        if batch.producer_epoch == producer.epoch {
            let sequences = (batch.base_sequence, batch.last_sequence());
            let mut earlier = producer.batches.iter();
            if let Some(batch) = earlier.find(|batch| (batch.first_sequence, batch.last_sequence) == sequences) {
                return Ok(Some(*batch));
            }
        }
        if batch.producer_epoch < producer.epoch {
            return Err(AppendError::InvalidProducerEpoch);
        }
        let last = if batch.producer_epoch == producer.epoch { producer.last_sequence() } else { -1 };
        let follows = last.checked_add(1).unwrap_or(0) == batch.base_sequence;
        if !follows {
            return Err(AppendError::OutOfOrderSequence);
        }
        if producer.transaction_start.is_some() && !batch.is_transactional() {
            return Err(AppendError::InvalidTransactionState);
        }
        Ok(None)
    }

    /// Updates the epoch by any batch of the log.
    pub(super) fn update_epoch(&mut self, batch: &Header) -> &mut ProducerEntry {
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(|| ProducerEntry {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
            last_timestamp: batch.max_timestamp,
            coordinator_epoch: -1,
            transaction_start: None,
        });
        producer.begin_epoch(batch.producer_epoch);
        producer
    }

    /// Updates the state by a data batch of the log.
    pub fn add_batch(&mut self, batch: &Header) {
        if batch.producer_id < 0 {
            return;
        }
        let producer = self.update_epoch(batch);
        if producer.batches.len() == RETAINED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(BatchMetadata {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp,
        });
        producer.last_timestamp = batch.max_timestamp;
        if batch.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(batch.base_offset);
            self.ongoing.insert((batch.base_offset, batch.producer_id));
        }
    }

    /// Updates the state by a marker of the log. Returns the transaction that it ended, if there was one.
    pub fn complete_transaction(&mut self, batch: &Header, marker: Marker) -> Option<CompletedTransaction> {
        let producer = self.update_epoch(batch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = batch.max_timestamp;
        let first_offset = producer.transaction_start.take()?;
        self.ongoing.remove(&(first_offset, batch.producer_id));
        let last_stable_offset = self.first_unstable_offset().unwrap_or(batch.last_offset() + 1);
        Some(CompletedTransaction { first_offset, last_stable_offset })
    }

    #[must_use]
    pub fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.by_id.get(&producer_id).map(|producer| producer.epoch)
    }

    /// First offset of the oldest ongoing transaction.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<i64> {
        self.ongoing.first().map(|(offset, _)| *offset)
    }

    /// Removes producers that have not written for a day and have no ongoing transaction.
    pub fn expire(&mut self, now: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some() || now - producer.last_timestamp < EXPIRATION_MS
        });
    }

    /// What compaction must keep: each producer's epoch, and the last offset of its last batch.
    #[must_use]
    pub fn last_written(&self) -> BTreeMap<i64, (i16, Option<i64>)> {
        let last = |producer: &ProducerEntry| (producer.epoch, producer.batches.back().map(|batch| batch.last_offset));
        self.by_id.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    #[must_use]
    pub fn states(&self) -> Vec<ProducerState> {
        let state = |(id, producer): (&i64, &ProducerEntry)| ProducerState {
            producer_id: *id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: producer.transaction_start,
        };
        self.by_id.iter().map(state).collect()
    }
}
