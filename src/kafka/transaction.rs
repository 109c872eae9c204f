//! Transactional producer: its calls, and what each error means for the open transaction.

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
use super::member::GroupMetadata;
use super::native::{self, EnqueueResult, TopicHandle};
use super::publisher::poke_metadata;
use super::retry;
use super::transaction_error::TransactionError;
use super::{Sizes, TopicPartition, blocking_call};
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// What a call gets beyond its own time-out before it is left behind.
const GRACE: Duration = Duration::from_millis(500);

/// What a call that timed out has waited for.
pub(super) const NO_COORDINATOR: &str = "the transaction coordinator did not answer in time";

/// What a call gets beyond its time-out, once: a process that stood still finds the broker's answer waiting.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// The largest record that a transaction writes, key, value and headers together: larger ones are not handed over.
pub const LARGEST_RECORD: u64 = 32 << 20;

/// What the client counts for a record beyond its bytes, and more.
const ROOM: u64 = 64 << 10;

/// How much later than its bound a call must come back to show that the process stood still in it.
const STALL: Duration = Duration::from_millis(500);

/// How long a call is repeated.
///
/// A process that is stopped in the middle of a call wakes with its time used up, and finds the answer waiting.
struct CallDeadline {
    bound: Duration,
    deadline: Deadline,
    looked: bool,
}

impl CallDeadline {
    fn new(timeout: Duration) -> Self {
        Self { bound: timeout, deadline: Deadline::after(timeout), looked: false }
    }

    fn bound(&self) -> Duration {
        self.deadline.remaining().max(if self.looked { LAST_LOOK } else { Duration::from_millis(1) })
    }

    /// Whether the call may be repeated.
    fn may_retry(&mut self) -> bool {
        let stood_still = self.deadline.elapsed() > self.bound + STALL;
        !self.deadline.has_passed() || stood_still && !std::mem::replace(&mut self.looked, true)
    }
}

/// A topic that the transactions write to, by its place in the list given to [`TransactionalProducer::open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output(pub usize);

/// A transactional id: unique to a process, and below a name that ACLs can be given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalId {
    /// What it begins with, the same for every process.
    pub family: String,
    /// The rest.
    pub member: String,
}

/// A transactional producer.
///
/// After an error other than [`TransactionError::Abort`] and [`TransactionError::Stale`] it must be dropped: librdkafka
/// has no KIP-890, so a late `EndTxn` of a call in doubt could end a later transaction of the same producer.
pub struct TransactionalProducer {
    // Before the producer: a handle must be gone when its client goes.
    handles: Vec<TopicHandle>,
    pub(super) topics: Vec<String>,
    pub(super) producer: ThreadedProducer<DeliveryReports>,
    /// Records handed to the client.
    sent: AtomicU64,
    pub(super) context: Context,
    timeout: Duration,
    /// How long the broker lets a transaction stay open.
    transaction_timeout: Duration,
    /// How long nobody asks what the adding of offsets waits for.
    attempt_timeout: retry::AttemptTimeout,
    /// What its transactions need.
    pub(super) needs: Vec<Permission>,
}

impl TransactionalProducer {
    /// Takes over the transactional id: fences a predecessor and ends the transaction that it left open. What is written to the
    /// `compressed` topic is compressed with gzip, which every client reads, whatever `compression.type` says.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the coordinator does not answer within the timeout, 5 when it refuses, 2 for a wrong
    /// configuration; the signal's code when a stop was asked for.
    pub fn open(
        connection: &Connection,
        id: &TransactionalId,
        topics: &[String],
        sizes: Sizes,
        compressed: Option<Output>,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let (timeout, batch) = (connection.transaction_timeout().as_millis().to_string(), sizes.batch_size());
        let size = sizes.record.unwrap_or(0).max(LARGEST_RECORD + ROOM).to_string();
        let config = connection.client_config_with(
            &[
                ("transaction.timeout.ms", &timeout),
                ("linger.ms", "5"),
                ("batch.size", &batch),
                ("message.max.bytes", &size),
                ("statistics.interval.ms", STATISTICS_MILLIS),
            ],
            &[
                ("transactional.id", &format!("{}{}", id.family, id.member)),
                ("enable.idempotence", "true"),
                ("acks", "all"),
            ],
        );
        let mut needs = vec![Permission::transactions(&id.family)];
        needs.extend(topics.iter().map(|topic| Permission::topic(topic, &[Operation::Write])));
        let context = Context::new(connection);
        let producer: ThreadedProducer<DeliveryReports> = config
            .create_with_context(DeliveryReports::new(context.clone(), 0))
            .map_err(|error| error::configuration(&error))?;
        let handle = |(place, topic): (usize, &String)| {
            let codec = (compressed == Some(Output(place))).then_some(c"gzip");
            TopicHandle::new(producer.client().native_ptr(), topic, codec)
                .ok_or_else(|| Error::new(Cause::TopicName(topic.clone())))
        };
        let handles = topics.iter().enumerate().map(handle).collect::<Result<_, _>>()?;
        let (topics, sent, timeout) = (topics.to_vec(), AtomicU64::new(0), connection.timeout);
        let transaction_timeout = connection.transaction_timeout();
        // A new client remembers no coordinator: its first call is not given up before its time.
        let attempt_timeout = retry::AttemptTimeout::of(transaction_timeout);
        let transactions =
            Self { handles, topics, producer, sent, context, timeout, transaction_timeout, attempt_timeout, needs };
        transactions.initialize(shutdown)?;
        Ok(transactions)
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
                        "taking over the transactional id",
                        NO_COORDINATOR,
                        &self.context.errors,
                    ));
                }
                Err(error) => break Err(self.failure(&error, "taking over the transactional id")),
            }
        };
        done.store(true, Ordering::Relaxed);
        result
    }

    /// Begins a transaction; the broker learns of it with the first record.
    ///
    /// # Errors
    ///
    /// When the producer is fenced or unusable.
    pub fn begin(&self) -> Result<(), TransactionError> {
        // What an aborted transaction was told does not matter any more.
        self.producer.client().context().take_acks_without_offset();
        self.producer.begin_transaction().map_err(|error| self.classify_kafka(&error, "beginning a transaction"))
    }

    /// Writes a record in the open transaction; `None` for a value is a tombstone.
    ///
    /// # Errors
    ///
    /// When the transaction has failed already, or the client refuses the record.
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
                    self.count();
                    return Ok(());
                }
                EnqueueResult::Rejected(code) => return Err(self.refused(topic, code)),
                EnqueueResult::QueueFull => Self::wait_for_room(&stalled)?,
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
                    self.count();
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(Rd::QueueFull), returned)) => {
                    record = returned;
                    Self::wait_for_room(&stalled)?;
                }
                Err((error, _)) => return Err(self.refused(topic, error.rdkafka_error_code().unwrap_or(Rd::Unknown))),
            }
        }
    }

    /// Adds the group's offsets (of the next record to read) to the open transaction, in the name of the member that
    /// `group` was taken from.
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
        let mut sources: Vec<&str> = offsets.iter().map(|(place, _)| place.topic.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        needs.extend(sources.into_iter().map(|topic| Permission::topic(topic, &[Operation::Read])));
        // Well before the broker gives up on the transaction: this is the call that is known to hang.
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

    /// Commits the open transaction, if its records are there.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Abort`] when it can only be aborted; [`TransactionError::UnknownOutcome`] when it is unknown.
    pub fn commit(&self) -> Result<(), TransactionError> {
        // Later the broker has aborted it anyway.
        let mut deadline = CallDeadline::new(self.timeout.min(self.transaction_timeout));
        while !flush_all(&self.producer, self.sent.load(Ordering::Relaxed), deadline.bound()) {
            if !deadline.may_retry() {
                return Err(TransactionError::UnknownOutcome("not every record was acknowledged in time".to_owned()));
            }
        }
        if self.producer.client().context().take_acks_without_offset() {
            return Err(TransactionError::Abort(
                "records may be missing: their acknowledgements name no offset".to_owned(),
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
    /// [`TransactionError::UnknownOutcome`] when that did not succeed in time: the broker will abort it by its timeout.
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

    /// Makes a call that must be back a moment after its bound, and while `is_overdue` says no. Otherwise it is left behind
    /// with its thread, and its records are purged, so that none of them is sent when it wakes.
    fn call<T: Send + 'static>(
        &self,
        doing: &str,
        bound: Duration,
        call: impl FnOnce() -> T + Send + 'static,
        mut is_overdue: impl FnMut() -> bool,
    ) -> Result<T, TransactionError> {
        let left_behind = |why| TransactionError::UnknownOutcome(format!("{doing}: {why}"));
        let meanwhile = || {
            if is_overdue() {
                Err(left_behind("no answer, while the group's coordinator answers other clients"))
            } else {
                Ok(())
            }
        };
        let result = match blocking_call::with_check(bound + GRACE, call, meanwhile) {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => left_behind("the client did not return within its bound"),
            Err(error) => error,
        };
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        Err(result)
    }

    fn count(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn wait_for_room(stalled: &Deadline) -> Result<(), TransactionError> {
        if stalled.has_passed() {
            return Err(TransactionError::UnknownOutcome("nothing was acknowledged in time".to_owned()));
        }
        clock::pause(Duration::from_millis(1));
        Ok(())
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").field("topics", &self.topics).finish_non_exhaustive()
    }
}
