//! Owns one transactional id: what has become of it, and each rule by which it becomes something else.
//!
//! Nothing here changes in place but by what the journal holds: a step is worked out first, recorded, and then taken.
//! The rules are those of KIP-98 with KIP-360 (a producer may have its own epoch bumped) and KIP-890 (each end bumps it).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};

/// No producer id.
pub const NO_PRODUCER_ID: i64 = -1;
/// No epoch.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The last epoch that a producer is given: the one above it is kept to fence it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer by its id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdAndEpoch {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl ProducerIdAndEpoch {
    /// Nobody, as an answer says it.
    pub const NONE: Self = Self { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH };
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// By which protocol a transaction ends: `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionVersion {
    /// Without KIP-890: the epoch stays.
    V1,
    /// With it: each end bumps the epoch, so that nothing late can belong to the next transaction.
    V2,
}

/// Where a transactional id stands. Kafka's `Dead` and `PrepareEpochFence` are passed through within one call here, and are never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    /// No transaction since the producer was prepare_increment_epoch.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It is decided that it commits; its markers may not stand yet.
    PrepareCommit,
    /// It is decided that it aborts; its markers may not stand yet.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// Its name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// How the transaction ends, where that is decided and not done.
    #[must_use]
    pub fn prepared_result(self) -> Option<TransactionResult> {
        match self {
            Self::PrepareCommit => Some(TransactionResult::Commit),
            Self::PrepareAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }

    /// How the last transaction ended, where there was one and none since.
    fn completed_result(self) -> Option<TransactionResult> {
        match self {
            Self::CompleteCommit => Some(TransactionResult::Commit),
            Self::CompleteAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }
}

/// Partitions by topic.
pub type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// What an `InitProducerId` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitStep {
    /// This.
    Ready(Transaction),
    /// The epoch is exhausted: a new producer id is wanted, and then [`Transaction::prepare_producer_id_rotation`].
    EpochExhausted,
    /// The open transaction must be aborted, and its producer prepare_fence, before anybody else is prepare_increment_epoch.
    AbortOngoing,
}

/// What an `EndTxn` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTxnStep {
    /// The transaction is to be prepared.
    Prepare,
    /// It has ended so before: the answer was lost, and is given again.
    AlreadyEnded,
}

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Where it stands.
    pub state: TransactionState,
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The epoch before, for as long as a retry of the call that bumped it must be known: KIP-360.
    pub last_epoch: i16,
    /// The producer id before the last step, which is often the same one.
    pub previous_producer_id: i64,
    /// The producer id that follows when this end is complete, where the epoch is exhausted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_producer_id: Option<i64>,
    /// `transaction.timeout.ms` of its producer.
    pub timeout_ms: i32,
    /// When its transaction began, -1 before the first one.
    pub started: i64,
    /// When it last changed.
    pub updated: i64,
    /// The partitions that are part of the transaction; in an end, those that have no marker yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: Partitions,
    /// The groups whose offsets are part of the transaction.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

impl Transaction {
    /// A transactional id that nobody has used.
    #[must_use]
    pub fn new(producer_id: i64, timeout_ms: i32, now: i64) -> Self {
        Self {
            state: TransactionState::Empty,
            producer_id,
            epoch: 0,
            last_epoch: NO_PRODUCER_EPOCH,
            previous_producer_id: producer_id,
            next_producer_id: None,
            timeout_ms,
            started: -1,
            updated: now,
            partitions: Partitions::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Its producer.
    #[must_use]
    pub fn producer(&self) -> ProducerIdAndEpoch {
        ProducerIdAndEpoch { id: self.producer_id, epoch: self.epoch }
    }

    /// Whether the epoch cannot be bumped without another producer id.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.epoch >= LAST_EPOCH
    }

    /// The same with the producer's epoch bumped, ready for its first transaction.
    ///
    /// # Errors
    ///
    /// `PRODUCER_FENCED` when `expected`, who the caller says it is, is not the producer any more;
    /// `CONCURRENT_TRANSACTIONS` while a transaction is being ended.
    pub fn prepare_increment_epoch(
        &self,
        expected: Option<ProducerIdAndEpoch>,
        timeout_ms: i32,
        now: i64,
    ) -> Result<InitStep, ResponseError> {
        // An exhausted epoch of the previous id is the retry of a call that changed the id.
        let is_known = |producer: ProducerIdAndEpoch| {
            producer.id == self.producer_id
                || (producer.id == self.previous_producer_id && producer.epoch >= LAST_EPOCH)
        };
        if !expected.is_none_or(is_known) {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                return Err(ResponseError::ConcurrentTransactions);
            }
            // Whose transaction it is does not matter: Kafka, too, looks at the epoch only when this one is gone.
            TransactionState::Ongoing => return Ok(InitStep::AbortOngoing),
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {}
        }
        let (epoch, last_epoch) = match expected.map(|producer| producer.epoch) {
            None if self.is_exhausted() => return Ok(InitStep::EpochExhausted),
            // A new instance: nobody may pass as the one before.
            None => (self.epoch + 1, NO_PRODUCER_EPOCH),
            Some(epoch) if epoch == self.epoch && self.is_exhausted() => return Ok(InitStep::EpochExhausted),
            Some(epoch) if epoch == self.epoch => (self.epoch + 1, self.epoch),
            // The retry of a call whose answer was lost.
            Some(epoch) if epoch == self.last_epoch => (self.epoch, self.last_epoch),
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        Ok(InitStep::Ready(self.empty(self.producer_id, epoch, last_epoch, timeout_ms, now)))
    }

    /// The same with another producer id, since the epoch was exhausted.
    #[must_use]
    pub fn prepare_producer_id_rotation(
        &self,
        producer_id: i64,
        expected: Option<ProducerIdAndEpoch>,
        timeout_ms: i32,
        now: i64,
    ) -> Self {
        let last_epoch = if expected.is_some() { self.epoch } else { NO_PRODUCER_EPOCH };
        self.empty(producer_id, 0, last_epoch, timeout_ms, now)
    }

    fn empty(&self, producer_id: i64, epoch: i16, last_epoch: i16, timeout_ms: i32, now: i64) -> Self {
        let previous_producer_id = self.producer_id;
        Self { epoch, last_epoch, previous_producer_id, ..Self::new(producer_id, timeout_ms, now) }
    }

    /// Whether this producer may do something in its transaction.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_ID_MAPPING` or `PRODUCER_FENCED` if it is not the producer, `CONCURRENT_TRANSACTIONS` while its last transaction
    /// is being ended.
    pub fn check_producer(&self, producer: ProducerIdAndEpoch) -> Result<(), ResponseError> {
        if producer.id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        if self.state.prepared_result().is_some() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        Ok(())
    }

    /// Whether the partition is part of the transaction that is open.
    #[must_use]
    pub fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.state == TransactionState::Ongoing
            && self.partitions.get(topic).is_some_and(|of_topic| of_topic.contains(&partition))
    }

    /// Whether the group's offsets are part of the transaction that is open.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.state == TransactionState::Ongoing && self.groups.contains(group)
    }

    /// Makes partitions and groups part of the transaction, which begins if none is open.
    pub fn add(&mut self, partitions: &Partitions, groups: &BTreeSet<String>, at: i64) {
        if self.state != TransactionState::Ongoing {
            self.state = TransactionState::Ongoing;
            self.started = at;
            self.partitions.clear();
            self.groups.clear();
        }
        self.previous_producer_id = self.producer_id;
        self.updated = at;
        for (topic, of_topic) in partitions {
            self.partitions.entry(topic.clone()).or_default().extend(of_topic);
        }
        self.groups.extend(groups.iter().cloned());
    }

    /// What a producer's wish to end its transaction leads to.
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_producer`]; `INVALID_TXN_STATE` when there is nothing to end so.
    pub fn check_end(
        &self,
        producer: ProducerIdAndEpoch,
        outcome: TransactionResult,
        protocol: TransactionVersion,
    ) -> Result<EndTxnStep, ResponseError> {
        match protocol {
            TransactionVersion::V1 => self.check_end_v1(producer, outcome),
            TransactionVersion::V2 => self.check_end_v2(producer, outcome),
        }
    }

    fn check_end_v1(
        &self,
        producer: ProducerIdAndEpoch,
        outcome: TransactionResult,
    ) -> Result<EndTxnStep, ResponseError> {
        if producer.id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        if self.state.prepared_result() == Some(outcome) {
            return Err(ResponseError::ConcurrentTransactions);
        }
        if self.state == TransactionState::Ongoing {
            return Ok(EndTxnStep::Prepare);
        }
        if self.state.completed_result() == Some(outcome) {
            Ok(EndTxnStep::AlreadyEnded)
        } else {
            Err(ResponseError::InvalidTxnState)
        }
    }

    /// KIP-890: what the epoch was tells a retry from the next call.
    fn check_end_v2(
        &self,
        producer: ProducerIdAndEpoch,
        outcome: TransactionResult,
    ) -> Result<EndTxnStep, ResponseError> {
        let is_current = producer.epoch == self.epoch;
        let is_retry_of_rotation =
            producer.id == self.previous_producer_id && producer.epoch == LAST_EPOCH && self.epoch == 0;
        let is_retry = i32::from(self.epoch) == i32::from(producer.epoch) + 1 || is_retry_of_rotation;
        if producer.id != self.producer_id && !is_retry_of_rotation {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        let may_speak = match self.state {
            TransactionState::Empty | TransactionState::Ongoing => is_current,
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => is_retry,
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => is_retry || is_current,
        };
        if !may_speak {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            TransactionState::Ongoing => Ok(EndTxnStep::Prepare),
            TransactionState::PrepareCommit | TransactionState::PrepareAbort
                if self.state.prepared_result() == Some(outcome) =>
            {
                Err(ResponseError::ConcurrentTransactions)
            }
            TransactionState::CompleteCommit | TransactionState::CompleteAbort
                if is_retry && self.state.completed_result() == Some(outcome) =>
            {
                Ok(EndTxnStep::AlreadyEnded)
            }
            // A producer that has not heard of an error aborts what never reached the broker: the epoch keeps it from arriving late.
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort
                if !is_retry && outcome == TransactionResult::Abort =>
            {
                Ok(EndTxnStep::Prepare)
            }
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// The same with its end decided. `next_producer_id` is wanted when the epoch is bumped and exhausted.
    #[must_use]
    pub fn prepare_end(
        &self,
        outcome: TransactionResult,
        protocol: TransactionVersion,
        next_producer_id: Option<i64>,
        now: i64,
    ) -> Self {
        let (epoch, last_epoch) = match protocol {
            TransactionVersion::V1 => (self.epoch, self.last_epoch),
            TransactionVersion::V2 => (self.epoch.saturating_add(1), self.epoch),
        };
        Self {
            state: match outcome {
                TransactionResult::Commit => TransactionState::PrepareCommit,
                TransactionResult::Abort => TransactionState::PrepareAbort,
            },
            epoch,
            last_epoch,
            previous_producer_id: self.producer_id,
            next_producer_id,
            // An abort of nothing began when it was asked.
            started: if self.state == TransactionState::Ongoing { self.started } else { now },
            updated: now,
            ..self.clone()
        }
    }

    /// The same with its open transaction aborted by the broker, and its producer prepare_fence. The epoch is one that no producer was given,
    /// exhausted or not, so no other id is wanted here.
    #[must_use]
    pub fn prepare_fence(&self, now: i64) -> Self {
        self.prepare_end(TransactionResult::Abort, TransactionVersion::V2, None, now)
    }

    /// What its producer is from the end's completion on.
    #[must_use]
    pub fn successor(&self) -> ProducerIdAndEpoch {
        self.next_producer_id.map_or(self.producer(), |id| ProducerIdAndEpoch { id, epoch: 0 })
    }

    /// The end is done.
    pub fn complete(&mut self, at: i64) {
        let Some(outcome) = self.state.prepared_result() else { return };
        self.state = match outcome {
            TransactionResult::Commit => TransactionState::CompleteCommit,
            TransactionResult::Abort => TransactionState::CompleteAbort,
        };
        self.previous_producer_id = self.producer_id;
        let successor = self.successor();
        (self.producer_id, self.epoch) = (successor.id, successor.epoch);
        self.next_producer_id = None;
        self.updated = at;
        self.partitions.clear();
        self.groups.clear();
    }
}
