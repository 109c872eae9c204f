//! Producer for bulk: idempotent, acks=all, every acknowledgement counted by partition.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, PurgeConfig, ThreadedProducer};

use super::Sizes;
use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::Connection;
use super::delivery_reports::{DeliveryReports, flush_all};
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::native::{EnqueueResult, TopicHandle};
use crate::clock::{self, Deadline};

/// What was acknowledged on one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// Number of acknowledged records.
    pub records: u64,
    /// Offsets of the first and the last one, as far as their acknowledgements name one.
    pub offsets: Option<(i64, i64)>,
}

/// Asks for metadata in the background until `done`, or for two seconds.
///
/// The first metadata reply retires the bootstrap connection before the real one is up, and an idempotent producer then
/// waits a hard-coded 500 ms in librdkafka; any later metadata reply runs its state machine again. Without this thread
/// everything works all the same, half a second later.
pub(super) fn poke_metadata(
    producer: &ThreadedProducer<DeliveryReports>,
    topic: &str,
    done: impl Fn(&DeliveryReports) -> bool + Send + 'static,
) {
    let (producer, topic) = (producer.clone(), topic.to_owned());
    drop(std::thread::Builder::new().name("metadata".to_owned()).spawn(move || {
        let bound = Deadline::after(Duration::from_secs(2));
        while !done(producer.client().context()) && !bound.has_passed() {
            if producer.client().fetch_metadata(Some(&topic), Duration::from_millis(500)).is_err() {
                break;
            }
            clock::pause(Duration::from_millis(3));
        }
    }));
}

/// How far a partition is known to know this producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstRecord {
    /// It was sent nothing.
    None,
    /// It was sent one record.
    InFlight,
    /// It has acknowledged a record.
    Acked,
}

/// A producer for many records on one topic.
///
/// One request at a time is on its way to a broker: with more, a new leader may refuse the first, as it does not lead yet, and
/// take the second for one that is out of order. The library then goes on under a new epoch of the producer, and sends again
/// under it what an old leader may have kept: an order was there twice (confluentinc/librdkafka#4953; twice in 180 restarts of
/// a node, with ten producers). Requests grow instead.
///
/// The first record of a partition goes alone: only a partition that knows the producer refuses what comes out of turn, and
/// the library takes a batch behind one that was refused for proof that this one is there (confluentinc/confluent-kafka-go#921).
pub struct Publisher {
    // Before the producer: a handle must be gone when its client goes.
    handle: TopicHandle,
    producer: ThreadedProducer<DeliveryReports>,
    timeout: Duration,
    sent: u64,
    topic: String,
    first_records: Vec<FirstRecord>,
}

impl Publisher {
    /// A producer for `topic`, connected in the background.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, topic: &str, partitions: i32, sizes: Sizes) -> Result<Self, Error> {
        let (timeout, batch) = (connection.timeout.as_millis().to_string(), sizes.batch_size());
        let config = connection.client_config_with(
            &[("linger.ms", "5"), ("batch.size", &batch), ("message.timeout.ms", &timeout)],
            &[("enable.idempotence", "true"), ("acks", "all"), ("max.in.flight.requests.per.connection", "1")],
        );
        let reports = DeliveryReports::new(Context::new(connection), partitions);
        let first_records = reports.partitions.iter().map(|_| FirstRecord::None).collect();
        let producer: ThreadedProducer<DeliveryReports> =
            config.create_with_context(reports).map_err(|error| error::configuration(&error))?;
        let handle = TopicHandle::new(producer.client().native_ptr(), topic, None)
            .ok_or_else(|| Error::new(Cause::TopicName(topic.to_owned())))?;
        poke_metadata(&producer, topic, |reports| reports.acknowledged.load(Ordering::Relaxed) > 0);
        Ok(Self { handle, producer, timeout: connection.timeout, sent: 0, topic: topic.to_owned(), first_records })
    }

    /// Hands a record to the client, which copies it; waits while the client's queue is full, and before the second record of
    /// a partition until the first one is settled.
    ///
    /// # Errors
    ///
    /// With exit code 4 when nothing is acknowledged for the whole timeout, or the code of the client's refusal.
    pub fn send(&mut self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Error> {
        let first_record = usize::try_from(partition).ok().and_then(|index| self.first_records.get_mut(index));
        match first_record {
            Some(FirstRecord::Acked) | None => {}
            Some(first_record @ FirstRecord::None) => *first_record = FirstRecord::InFlight,
            Some(FirstRecord::InFlight) => self.settle_first_records()?,
        }
        match self.handle.produce(partition, key, value) {
            EnqueueResult::Queued => {
                self.sent += 1;
                Ok(())
            }
            EnqueueResult::Rejected(code) => Err(self.refused(code)),
            EnqueueResult::QueueFull => self.send_when_there_is_room(partition, key, value),
        }
    }

    #[cold]
    fn settle_first_records(&mut self) -> Result<(), Error> {
        self.finish()?;
        // A record that is given up has taken the whole timeout, and the first one of every partition would take it again.
        if let Some((_, refusal)) = self.refusal() {
            return Err(refusal);
        }
        let partitions = &self.producer.client().context().partitions;
        for (first_record, reports) in self.first_records.iter_mut().zip(partitions) {
            if *first_record == FirstRecord::InFlight && reports.records.load(Ordering::Relaxed) > 0 {
                *first_record = FirstRecord::Acked;
            }
        }
        Ok(())
    }

    #[cold]
    fn send_when_there_is_room(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let mut stalled = Deadline::after(self.timeout);
        let mut settled = self.settled();
        loop {
            clock::pause(Duration::from_millis(1));
            match self.handle.produce(partition, key, value) {
                EnqueueResult::Queued => {
                    self.sent += 1;
                    return Ok(());
                }
                EnqueueResult::Rejected(code) => return Err(self.refused(code)),
                EnqueueResult::QueueFull if settled != self.settled() => {
                    settled = self.settled();
                    stalled.renew();
                }
                EnqueueResult::QueueFull if stalled.has_passed() => {
                    self.give_up();
                    return Err(error::no_answer(
                        "publishing",
                        "nothing was acknowledged in time",
                        &self.reports().context.errors,
                    ));
                }
                EnqueueResult::QueueFull => {}
            }
        }
    }

    /// Waits until every record is acknowledged or refused.
    ///
    /// # Errors
    ///
    /// With exit code 4 when some record is neither within the timeout.
    pub fn finish(&self) -> Result<(), Error> {
        if self.reports().first_error().is_some_and(|first| kind_of(first.code) == ErrorKind::Unreachable) {
            // The timeout is over for the first record that was given up: the others do not get another one.
            self.give_up();
        }
        // Each record is given up by the client after the timeout; a little more lets the reports arrive.
        if flush_all(&self.producer, self.sent, self.timeout + Duration::from_secs(2)) {
            return Ok(());
        }
        Err(error::no_answer("publishing", "not every record was acknowledged in time", &self.reports().context.errors))
    }

    /// Gives up what is not acknowledged yet.
    fn give_up(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
    }

    /// Records handed to the client.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Records that the broker acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.reports().acknowledged.load(Ordering::Relaxed)
    }

    /// Records that were refused or given up so far, and why the first one was.
    #[must_use]
    pub fn refusal(&self) -> Option<(u64, Error)> {
        let first = self.reports().first_error()?;
        // What the client itself does not take is no report.
        let error = match first.code {
            code if error::is_size(code) => {
                error::too_large(&self.topic, error::Limit::OfTopic, code, &self.reports().context.errors)
            }
            code => self.refused(code),
        };
        Some((self.reports().failed.load(Ordering::Relaxed), error))
    }

    /// What was acknowledged, by partition; partitions without a record are left out.
    #[must_use]
    pub fn delivered(&self) -> Vec<Delivered> {
        (0i32..)
            .zip(&self.reports().partitions)
            .map(|(partition, reports)| Delivered {
                partition,
                records: reports.records.load(Ordering::Relaxed),
                offsets: reports.offsets(),
            })
            .filter(|delivered| delivered.records > 0)
            .collect()
    }

    /// Ends without the client's own farewell, which takes up to 100 ms: only for a process that is about to end, when
    /// nothing is in flight.
    pub fn leak(self) {
        std::mem::forget(self);
    }

    fn settled(&self) -> u64 {
        self.reports().settled()
    }

    fn reports(&self) -> &Arc<DeliveryReports> {
        self.producer.client().context()
    }

    fn refused(&self, code: RDKafkaErrorCode) -> Error {
        if error::is_size(code) {
            return error::too_large(&self.topic, error::Limit::OfClient, code, &self.reports().context.errors);
        }
        // A producer that was refused its id (KIP-679) fails every record with a code that says no more than that.
        let fatal = self
            .producer
            .client()
            .fatal_error()
            .map(|(code, _)| code)
            .filter(|code| kind_of(*code) == ErrorKind::Denied);
        let error = KafkaError::MessageProduction(fatal.unwrap_or(code));
        let needs = [Permission::topic(&self.topic, &[Operation::Write])];
        error::of_call(&error, "publishing", &needs, &self.reports().context.errors)
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("sent", &self.sent).finish_non_exhaustive()
    }
}
