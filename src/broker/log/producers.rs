//! Owns what a partition knows of the producers that wrote to it: epochs, sequences, open transactions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::append::AppendError;
use super::header::Header;
use super::records::Marker;

/// A producer sends at most five requests at a time, so an older duplicate cannot come.
const RETAINED_BATCHES: usize = 5;
/// `producer.id.expiration.ms`
const EXPIRATION_MS: i64 = 86_400_000;

/// A producer as a partition knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Its id.
    pub producer_id: i64,
    /// Its newest epoch here.
    pub epoch: i16,
    /// Sequence of its last record, -1 after nothing but a marker.
    pub last_sequence: i32,
    /// Time of its last batch, in milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 before one.
    pub coordinator_epoch: i32,
    /// First offset of the transaction that is open here.
    pub transaction_start: Option<i64>,
}

/// A batch that a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMetadata {
    first_sequence: i32,
    last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Its largest timestamp.
    pub timestamp: i64,
}

/// What is known of one.
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

/// A transaction that a marker ended.
#[derive(Debug, Clone, Copy)]
pub struct CompletedTransaction {
    /// Its first record.
    pub first_offset: i64,
    /// The last stable offset behind its marker.
    pub last_stable_offset: i64,
}

/// All producers of a partition.
#[derive(Debug, Default)]
pub struct ProducerStates {
    by_id: BTreeMap<i64, ProducerEntry>,
    /// First offset and producer of what is open.
    ongoing: BTreeSet<(i64, i64)>,
}

impl ProducerStates {
    /// Whether a client's batch may follow what its producer wrote; the earlier batch if it is one of the last five again.
    /// A producer that is not known may begin anywhere, as after its state expired, unless it has to begin at 0.
    ///
    /// # Errors
    ///
    /// When it may not.
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

    /// Takes in the epoch of any batch that stands in the log.
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

    /// Takes in a batch of records that stands in the log.
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

    /// Takes in a marker that stands in the log; the transaction that it ended, if there was one.
    pub fn complete_transaction(&mut self, batch: &Header, marker: Marker) -> Option<CompletedTransaction> {
        let producer = self.update_epoch(batch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = batch.max_timestamp;
        let first_offset = producer.transaction_start.take()?;
        self.ongoing.remove(&(first_offset, batch.producer_id));
        let last_stable_offset = self.first_unstable_offset().unwrap_or(batch.last_offset() + 1);
        Some(CompletedTransaction { first_offset, last_stable_offset })
    }

    /// The newest epoch of a producer, `None` if it is not known.
    #[must_use]
    pub fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.by_id.get(&producer_id).map(|producer| producer.epoch)
    }

    /// First offset of the oldest open transaction.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<i64> {
        self.ongoing.first().map(|(offset, _)| *offset)
    }

    /// Forgets who has not written for a day and has nothing open.
    pub fn expire(&mut self, now: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some() || now - producer.last_timestamp < EXPIRATION_MS
        });
    }

    /// What compaction must keep of each producer: its epoch, and the last offset of its last batch, if it has one.
    #[must_use]
    pub fn last_written(&self) -> BTreeMap<i64, (i16, Option<i64>)> {
        let last = |producer: &ProducerEntry| (producer.epoch, producer.batches.back().map(|batch| batch.last_offset));
        self.by_id.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// All that are known.
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
