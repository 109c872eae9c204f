//! The state of one transactional id and the rules of its transitions.
//!
//! A transition returns a new value, which is recorded in the journal before it replaces the old one. Only `add` and
//! `complete` change a value, and they apply journal entries. The rules are those of KIP-98, with KIP-360 (a producer
//! may bump its own epoch) and KIP-890 (each end bumps the epoch).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};

pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The last epoch that a producer gets. The one above is reserved for fencing it.
const LAST_EPOCH: i16 = i16::MAX - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdAndEpoch {
    pub id: i64,
    pub epoch: i16,
}

impl ProducerIdAndEpoch {
    /// The value in error responses.
    pub const NONE: Self = Self { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH };
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    Commit,
    Abort,
}

/// The protocol version of an `EndTxn`; Kafka's `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionVersion {
    /// Before KIP-890: the epoch does not change.
    V1,
    /// KIP-890: each end bumps the epoch, so that late requests cannot affect the next transaction.
    V2,
}

/// The state of a transactional id.
///
/// ```text
/// Empty ─► Ongoing ─► PrepareCommit ─► CompleteCommit ─► Ongoing …
///                 └─► PrepareAbort  ─► CompleteAbort  ─► Ongoing …
/// ```
///
/// `InitProducerId` leads from a completed state to `Empty`. With KIP-890 an abort without a transaction leads from
/// `Empty` or a completed state to `PrepareAbort`. Kafka's states `Dead` and `PrepareEpochFence` never occur here,
/// because their transitions are one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    /// No transaction since `InitProducerId`.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The commit is decided; markers may be missing.
    PrepareCommit,
    /// The abort is decided; markers may be missing.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// Kafka's name of the state.
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

    /// The outcome of a prepared transaction.
    pub fn prepared_result(self) -> Option<TransactionResult> {
        match self {
            Self::PrepareCommit => Some(TransactionResult::Commit),
            Self::PrepareAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }

    /// The outcome of a completed transaction.
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

/// The next step of an `InitProducerId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitStep {
    /// Record this state.
    Ready(Transaction),
    /// The epoch is exhausted. Call [`Transaction::prepare_producer_id_rotation`] with a new producer id.
    EpochExhausted,
    /// First abort the open transaction and fence its producer.
    AbortOngoing,
}

/// The next step of an `EndTxn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTxnStep {
    /// Prepare the end.
    Prepare,
    /// A retry of an end that is complete.
    AlreadyEnded,
}

/// The state of a transactional id and its current or last transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub state: TransactionState,
    pub producer_id: i64,
    pub epoch: i16,
    /// The previous epoch, which identifies a retry of the call that bumped it (KIP-360); otherwise -1.
    pub last_epoch: i16,
    /// The producer id before the last transition; usually the same one.
    pub previous_producer_id: i64,
    /// The producer id after completion, if the epoch is exhausted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_producer_id: Option<i64>,
    /// `transaction.timeout.ms`
    pub timeout_ms: i32,
    /// The start of the transaction; -1 before the first one.
    pub started: i64,
    /// The time of the last change.
    pub updated: i64,
    /// The partitions of the transaction. In a prepared state those without a marker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: Partitions,
    /// The groups with offsets in the transaction.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

impl Transaction {
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

    pub fn producer(&self) -> ProducerIdAndEpoch {
        ProducerIdAndEpoch { id: self.producer_id, epoch: self.epoch }
    }

    /// Whether the epoch cannot be bumped without a new producer id.
    pub fn is_exhausted(&self) -> bool {
        self.epoch >= LAST_EPOCH
    }

    /// Bumps the epoch for a new instance, or for the producer `expected` (KIP-360).
    ///
    /// # Errors
    ///
    /// `PRODUCER_FENCED` if `expected` is not the current producer, `CONCURRENT_TRANSACTIONS` if a transaction is
    /// prepared.
    pub fn prepare_increment_epoch(
        &self,
        expected: Option<ProducerIdAndEpoch>,
        timeout_ms: i32,
        now: i64,
    ) -> Result<InitStep, ResponseError> {
        // The previous id with an exhausted epoch is a retry of the call that changed the id.
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
            // As in Kafka, the epoch is checked only after the open transaction is aborted.
            TransactionState::Ongoing => return Ok(InitStep::AbortOngoing),
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {}
        }
        let (epoch, last_epoch) = match expected.map(|producer| producer.epoch) {
            None if self.is_exhausted() => return Ok(InitStep::EpochExhausted),
            // A new instance: the previous epoch must not be accepted as a retry.
            None => (self.epoch + 1, NO_PRODUCER_EPOCH),
            Some(epoch) if epoch == self.epoch && self.is_exhausted() => return Ok(InitStep::EpochExhausted),
            Some(epoch) if epoch == self.epoch => (self.epoch + 1, self.epoch),
            // A retry of a call whose response was lost.
            Some(epoch) if epoch == self.last_epoch => (self.epoch, self.last_epoch),
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        Ok(InitStep::Ready(self.empty(self.producer_id, epoch, last_epoch, timeout_ms, now)))
    }

    /// Replaces a producer id whose epoch is exhausted.
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

    /// Checks that the producer is the current one and may change its transaction.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_ID_MAPPING` for another producer id, `PRODUCER_FENCED` for another epoch,
    /// `CONCURRENT_TRANSACTIONS` if a transaction is prepared.
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

    /// Whether the partition is part of the open transaction.
    pub fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.state == TransactionState::Ongoing
            && self.partitions.get(topic).is_some_and(|topic_partitions| topic_partitions.contains(&partition))
    }

    /// Whether the group is part of the open transaction.
    pub fn has_group(&self, group: &str) -> bool {
        self.state == TransactionState::Ongoing && self.groups.contains(group)
    }

    /// Adds partitions and groups to the transaction, which starts if none is open.
    pub fn add(&mut self, partitions: &Partitions, groups: &BTreeSet<String>, at: i64) {
        if self.state != TransactionState::Ongoing {
            self.state = TransactionState::Ongoing;
            self.started = at;
            self.partitions.clear();
            self.groups.clear();
        }
        self.previous_producer_id = self.producer_id;
        self.updated = at;
        for (topic, topic_partitions) in partitions {
            self.partitions.entry(topic.clone()).or_default().extend(topic_partitions);
        }
        self.groups.extend(groups.iter().cloned());
    }

    /// Checks whether the producer may end its transaction.
    ///
    /// # Errors
    ///
    /// As [`Transaction::check_producer`]. `INVALID_TXN_STATE` if the state does not allow this outcome.
    pub fn check_end(
        &self,
        producer: ProducerIdAndEpoch,
        result: TransactionResult,
        version: TransactionVersion,
    ) -> Result<EndTxnStep, ResponseError> {
        match version {
            TransactionVersion::V1 => self.check_end_v1(producer, result),
            TransactionVersion::V2 => self.check_end_v2(producer, result),
        }
    }

    fn check_end_v1(
        &self,
        producer: ProducerIdAndEpoch,
        result: TransactionResult,
    ) -> Result<EndTxnStep, ResponseError> {
        if producer.id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        if self.state.prepared_result() == Some(result) {
            return Err(ResponseError::ConcurrentTransactions);
        }
        if self.state == TransactionState::Ongoing {
            return Ok(EndTxnStep::Prepare);
        }
        if self.state.completed_result() == Some(result) {
            Ok(EndTxnStep::AlreadyEnded)
        } else {
            Err(ResponseError::InvalidTxnState)
        }
    }

    /// KIP-890: a retry has the epoch before the current one.
    fn check_end_v2(
        &self,
        producer: ProducerIdAndEpoch,
        result: TransactionResult,
    ) -> Result<EndTxnStep, ResponseError> {
        let is_current = producer.epoch == self.epoch;
        let is_retry_of_rotation =
            producer.id == self.previous_producer_id && producer.epoch == LAST_EPOCH && self.epoch == 0;
        let is_retry = i32::from(self.epoch) == i32::from(producer.epoch) + 1 || is_retry_of_rotation;
        if producer.id != self.producer_id && !is_retry_of_rotation {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        let is_allowed = match self.state {
            TransactionState::Empty | TransactionState::Ongoing => is_current,
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => is_retry,
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => is_retry || is_current,
        };
        if !is_allowed {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            TransactionState::Ongoing => Ok(EndTxnStep::Prepare),
            TransactionState::PrepareCommit | TransactionState::PrepareAbort
                if self.state.prepared_result() == Some(result) =>
            {
                Err(ResponseError::ConcurrentTransactions)
            }
            TransactionState::CompleteCommit | TransactionState::CompleteAbort
                if is_retry && self.state.completed_result() == Some(result) =>
            {
                Ok(EndTxnStep::AlreadyEnded)
            }
            // The abort of a transaction that never reached the broker. Bumping the epoch fences requests that arrive
            // late.
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort
                if !is_retry && result == TransactionResult::Abort =>
            {
                Ok(EndTxnStep::Prepare)
            }
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Decides the outcome. With [`TransactionVersion::V2`] an exhausted epoch requires `next_producer_id`.
    pub fn prepare_end(
        &self,
        result: TransactionResult,
        version: TransactionVersion,
        next_producer_id: Option<i64>,
        now: i64,
    ) -> Self {
        let (epoch, last_epoch) = match version {
            TransactionVersion::V1 => (self.epoch, self.last_epoch),
            TransactionVersion::V2 => (self.epoch.saturating_add(1), self.epoch),
        };
        Self {
            state: match result {
                TransactionResult::Commit => TransactionState::PrepareCommit,
                TransactionResult::Abort => TransactionState::PrepareAbort,
            },
            epoch,
            last_epoch,
            previous_producer_id: self.producer_id,
            next_producer_id,
            // An abort without a transaction starts with the request.
            started: if self.state == TransactionState::Ongoing { self.started } else { now },
            updated: now,
            ..self.clone()
        }
    }

    /// Aborts the open transaction and fences its producer. The bumped epoch was never given to a producer, even if it
    /// is the reserved one, so no new producer id is required.
    pub fn prepare_fence(&self, now: i64) -> Self {
        self.prepare_end(TransactionResult::Abort, TransactionVersion::V2, None, now)
    }

    /// The producer after completion.
    pub fn successor(&self) -> ProducerIdAndEpoch {
        self.next_producer_id.map_or(self.producer(), |id| ProducerIdAndEpoch { id, epoch: 0 })
    }

    /// Completes a prepared transaction.
    pub fn complete(&mut self, at: i64) {
        let Some(result) = self.state.prepared_result() else { return };
        self.state = match result {
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
