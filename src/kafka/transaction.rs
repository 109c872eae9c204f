//! Transactional producer: init (fencing), begin, send, offsets of the group, commit, abort; each call with a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::Connection;
use super::coordinator_probe::{CoordinatorProbe, STATISTICS_MILLIS};
use super::delivery_reports::{DeliveryReports, flush_all};
use super::error::{self, Cause, Error};
use super::headers::Headers;
use super::native::{self, EnqueueResult, TopicHandle};
use super::publisher::poke_metadata;
use super::rebalance::GroupMetadata;
use super::retry::{self, CallDeadline};
use super::transaction_error::TransactionError;
use super::{Sizes, TopicPartition, blocking_call};
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// The extra time that a call gets after its timeout inside librdkafka, before it is abandoned.
const GRACE: Duration = Duration::from_millis(500);

pub(super) const NO_COORDINATOR: &str = "the transaction coordinator did not answer in time";

/// The largest record of a transaction: key, value and headers. Callers do not send larger ones.
pub const LARGEST_RECORD: u64 = 32 << 20;

/// More than the bytes that the client counts for a record in addition to its own.
const RECORD_OVERHEAD: u64 = 64 << 10;

/// A topic that the producer writes to: index in the list given to [`TransactionalProducer::open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output(pub usize);

/// A transactional id: a prefix, which an ACL can name, and a suffix, which is unique to the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalId {
    /// The prefix, the same in every process.
    pub prefix: String,
    /// The suffix.
    pub suffix: String,
}

/// A transactional producer.
///
/// Never reuse it after an error other than [`TransactionError::Abort`] and [`TransactionError::Stale`]: librdkafka has
/// no KIP-890, so a late `EndTxn` of a call with an unknown outcome could end a later transaction of the same producer.
pub struct TransactionalProducer {
    // Dropped before the producer, as its client must outlive them.
    handles: Vec<TopicHandle>,
    pub(super) topics: Vec<String>,
    pub(super) producer: ThreadedProducer<DeliveryReports>,
    /// Records in the client's queue so far.
    sent: AtomicU64,
    pub(super) context: Context,
    timeout: Duration,
    transaction_timeout: Duration,
    /// How long `send_offsets` waits before it probes the group coordinator.
    attempt_timeout: retry::AttemptTimeout,
    /// The permissions for its transactions.
    pub(super) needs: Vec<Permission>,
}

impl TransactionalProducer {
    /// Initializes the transactional id: fences an earlier producer with this id and aborts its open transaction.
    /// Records on the `compressed` topic are compressed with gzip, which every client can read, whatever
    /// `compression.type` is.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the coordinator does not answer within the timeout, 5 when it refuses, 2 for an invalid
    /// configuration; the signal's code after a signal.
    pub fn open(
        connection: &Connection,
        id: &TransactionalId,
        topics: &[String],
        sizes: Sizes,
        compressed: Option<Output>,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let (timeout, batch) = (connection.transaction_timeout().as_millis().to_string(), sizes.batch_size());
        let size = sizes.record.unwrap_or(0).max(LARGEST_RECORD + RECORD_OVERHEAD).to_string();
        let config = connection.client_config_with(
            &[
                ("transaction.timeout.ms", &timeout),
                ("linger.ms", "5"),
                ("batch.size", &batch),
                ("message.max.bytes", &size),
                ("statistics.interval.ms", STATISTICS_MILLIS),
            ],
            &[
                ("transactional.id", &format!("{}{}", id.prefix, id.suffix)),
                ("enable.idempotence", "true"),
                ("acks", "all"),
            ],
        );
        let mut needs = vec![Permission::transactions(&id.prefix)];
        needs.extend(topics.iter().map(|topic| Permission::topic(topic, &[Operation::Write])));
        let context = Context::new(connection);
        let producer: ThreadedProducer<DeliveryReports> = config
            .create_with_context(DeliveryReports::new(context.clone(), 0))
            .map_err(|error| error::configuration(&error))?;
        let handle = |(index, topic): (usize, &String)| {
            let codec = (compressed == Some(Output(index))).then_some(c"gzip");
            TopicHandle::new(producer.client().native_ptr(), topic, codec)
                .ok_or_else(|| Error::new(Cause::TopicName(topic.clone())))
        };
        let handles = topics.iter().enumerate().map(handle).collect::<Result<_, _>>()?;
        let (topics, sent, timeout) = (topics.to_vec(), AtomicU64::new(0), connection.timeout);
        let transaction_timeout = connection.transaction_timeout();
        // A new client has not cached a coordinator, so its first call must not be given up early.
        let attempt_timeout = retry::AttemptTimeout::of(transaction_timeout);
        let producer =
            Self { handles, topics, producer, sent, context, timeout, transaction_timeout, attempt_timeout, needs };
        producer.initialize(shutdown)?;
        Ok(producer)
    }

    fn initialize(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let done = Arc::new(AtomicBool::new(false));
        if let Some(topic) = self.topics.first() {
            let done = Arc::clone(&done);
            poke_metadata(&self.producer, topic, move |_| done.load(Ordering::Relaxed));
        }
        let deadline = Deadline::after(self.timeout);
        let result = loop {
            if let Err(stop) = Error::check(shutdown) {
                break Err(stop);
            }
            let slice = deadline.remaining().min(Duration::from_secs(1)).max(Duration::from_millis(1));
            match self.producer.init_transactions(slice) {
                Ok(()) => break Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable()
                        && !deadline.has_passed()
                        && self.context.errors.authorization_error(&self.needs).is_none() => {}
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    break Err(error::no_answer(
                        "initializing the transactional id",
                        NO_COORDINATOR,
                        &self.context.errors,
                    ));
                }
                Err(error) => break Err(self.failure(&error, "initializing the transactional id")),
            }
        };
        done.store(true, Ordering::Relaxed);
        result
    }

    /// Begins a transaction. The broker starts it with the first record.
    ///
    /// # Errors
    ///
    /// When the producer is fenced or unusable.
    pub fn begin(&self) -> Result<(), TransactionError> {
        // Acknowledgements of an aborted transaction do not matter.
        self.producer.client().context().take_acks_without_offset();
        self.producer.begin_transaction().map_err(|error| self.classify_kafka(&error, "beginning a transaction"))
    }

    /// Writes a record in the open transaction; a value of `None` is a tombstone.
    ///
    /// # Errors
    ///
    /// When the transaction has failed already, or the client rejects the record.
    pub fn send(
        &self,
        topic: Output,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), TransactionError> {
        let stalled = Deadline::after(self.timeout);
        loop {
            match self.handles[topic.0].produce(partition, key, value) {
                EnqueueResult::Queued => {
                    self.count_sent();
                    return Ok(());
                }
                EnqueueResult::Rejected(code) => return Err(self.refused(topic, code)),
                EnqueueResult::QueueFull => Self::wait_for_queue(&stalled)?,
            }
        }
    }

    /// As [`TransactionalProducer::send`], with headers.
    ///
    /// # Errors
    ///
    /// As [`TransactionalProducer::send`].
    pub fn send_with_headers(
        &self,
        topic: Output,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<(), TransactionError> {
        let stalled = Deadline::after(self.timeout);
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&self.topics[topic.0]).partition(partition).headers(headers.into_native());
        record.key = key;
        record.payload = value;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.count_sent();
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(Rd::QueueFull), returned)) => {
                    record = returned;
                    Self::wait_for_queue(&stalled)?;
                }
                Err((error, _)) => return Err(self.refused(topic, error.rdkafka_error_code().unwrap_or(Rd::Unknown))),
            }
        }
    }

    /// Adds the group's committed offsets (of the next record to read) to the open transaction, with the member's group
    /// metadata (KIP-447).
    ///
    /// # Errors
    ///
    /// [`TransactionError::Stale`] when that member's generation is over.
    pub fn send_offsets(
        &self,
        offsets: &[(TopicPartition, i64)],
        group: &GroupMetadata,
    ) -> Result<(), TransactionError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (TopicPartition { topic, partition }, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| self.classify_kafka(&error, "adding offsets to the transaction"))?;
        }
        let mut needs = self.needs.clone();
        needs.push(Permission::group(group.group(), Operation::Read));
        let mut sources: Vec<&str> =
            offsets.iter().map(|(topic_partition, _)| topic_partition.topic.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        needs.extend(sources.into_iter().map(|topic| Permission::topic(topic, &[Operation::Read])));
        // Well before the transaction timeout: this call can hang.
        let mut deadline = CallDeadline::new(self.timeout.min(self.transaction_timeout / 2));
        let (list, silence, started) = (Arc::new(list), self.attempt_timeout.attempt(), clock::now());
        let coordinator = &self.producer.client().context().transaction_coordinator;
        let connection = &self.context.errors.connection;
        let mut probe = CoordinatorProbe::after(silence, coordinator, connection, group.group(), &list);
        loop {
            let (producer, list, group) = (self.producer.clone(), Arc::clone(&list), group.clone());
            let bound = deadline.bound();
            let call = move || producer.send_offsets_to_transaction(&list, group.native(), bound);
            match self.call("adding offsets to the transaction", bound, call, || probe.is_overdue())? {
                Ok(()) => {
                    self.attempt_timeout.answered_after(started.elapsed());
                    return Ok(());
                }
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !error.txn_requires_abort() && deadline.may_retry() =>
                {
                    clock::pause(Duration::from_millis(10));
                }
                Err(error) => return Err(self.classify_kafka_of(&error, "adding offsets to the transaction", &needs)),
            }
        }
    }

    /// Commits the open transaction after all its records are acknowledged.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Abort`] when it must be aborted; [`TransactionError::UnknownOutcome`] when the result is
    /// unknown.
    pub fn commit(&self) -> Result<(), TransactionError> {
        // After the transaction timeout the broker has aborted it anyway.
        let mut deadline = CallDeadline::new(self.timeout.min(self.transaction_timeout));
        while !flush_all(&self.producer, self.sent.load(Ordering::Relaxed), deadline.bound()) {
            if !deadline.may_retry() {
                return Err(TransactionError::UnknownOutcome("not every record was acknowledged in time".to_owned()));
            }
        }
        if self.producer.client().context().take_acks_without_offset() {
            return Err(TransactionError::Abort(
                "records may be missing: their acknowledgements have no offset".to_owned(),
            ));
        }
        loop {
            let (producer, bound) = (self.producer.clone(), deadline.bound());
            let result = self.call(
                "committing the transaction",
                bound,
                move || native::commit_transaction(producer.client().native_ptr(), bound),
                || false,
            )?;
            match result {
                Ok(()) => return Ok(()),
                Err(error) if error.retriable && !error.requires_abort && deadline.may_retry() => {}
                Err(error) => return Err(self.classify(&error, "committing the transaction", &self.needs)),
            }
        }
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownOutcome`] when it did not succeed in time: the broker aborts it after the transaction
    /// timeout.
    pub fn abort(&self) -> Result<(), TransactionError> {
        let mut deadline = CallDeadline::new(self.timeout.min(self.transaction_timeout));
        loop {
            let (producer, bound) = (self.producer.clone(), deadline.bound());
            let result =
                self.call("aborting the transaction", bound, move || producer.abort_transaction(bound), || false)?;
            match result {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && deadline.may_retry() => {}
                Err(error) => return Err(self.classify_kafka(&error, "aborting the transaction")),
            }
        }
    }

    /// Runs a call on another thread. When it does not return shortly after `bound`, or `is_overdue`, it is abandoned,
    /// and the producer's records are purged so that none is sent later.
    fn call<T: Send + 'static>(
        &self,
        doing: &str,
        bound: Duration,
        call: impl FnOnce() -> T + Send + 'static,
        mut is_overdue: impl FnMut() -> bool,
    ) -> Result<T, TransactionError> {
        let abandoned = |why| TransactionError::UnknownOutcome(format!("{doing}: {why}"));
        let check = || {
            if is_overdue() {
                Err(abandoned("no answer, although the group coordinator answers other clients"))
            } else {
                Ok(())
            }
        };
        let result = match blocking_call::with_check(bound + GRACE, call, check) {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => abandoned("librdkafka did not return within the timeout"),
            Err(error) => error,
        };
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        Err(result)
    }

    fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn wait_for_queue(stalled: &Deadline) -> Result<(), TransactionError> {
        if stalled.has_passed() {
            return Err(TransactionError::UnknownOutcome("nothing was acknowledged in time".to_owned()));
        }
        clock::pause(Duration::from_millis(1));
        Ok(())
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalProducer").field("topics", &self.topics).finish_non_exhaustive()
    }
}
