//! Idempotent bulk producer (`acks=all`), which counts the acknowledgements of each partition.

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

/// The acknowledged records of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    pub records: u64,
    /// The first and the last offset, as far as the acknowledgements have one.
    pub offsets: Option<(i64, i64)>,
}

/// Requests metadata in the background until `done`, for at most two seconds.
///
/// The first metadata response retires the bootstrap connection before the real one is up, and an idempotent producer
/// then waits a hard-coded 500 ms in librdkafka. Any later metadata response runs its state machine again. Without this
/// thread everything works, half a second later.
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

/// The state of the first record of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstRecord {
    /// Not sent.
    None,
    InFlight,
    Acked,
}

/// A producer for many records on one topic.
///
/// It sends one request at a time to a broker. With more, a new leader may refuse the first one, as it does not lead
/// yet, and then refuse the second as out of order. librdkafka then bumps the producer epoch and sends again what the
/// old leader may have stored, so a record can be duplicated (confluentinc/librdkafka#4953; twice in 180 restarts of a
/// node, with ten producers). The requests become larger instead.
///
/// The first record of a partition is sent alone. Only a partition that knows the producer refuses records that are out
/// of order, and librdkafka takes an accepted batch as proof that the refused batch before it was stored
/// (confluentinc/confluent-kafka-go#921).
pub struct Publisher {
    // Dropped before the producer, as its client must outlive it.
    handle: TopicHandle,
    producer: ThreadedProducer<DeliveryReports>,
    timeout: Duration,
    sent: u64,
    topic: String,
    first_records: Vec<FirstRecord>,
}

impl Publisher {
    /// Creates a producer for `topic`, which connects in the background.
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

    /// Sends a record; the client copies it. Blocks while the client's queue is full, and before the second record of a
    /// partition until the first one is acknowledged or failed.
    ///
    /// # Errors
    ///
    /// With exit code 4 when nothing is acknowledged for the whole timeout, or that of the client's error.
    pub fn send(&mut self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Error> {
        let first_record = usize::try_from(partition).ok().and_then(|index| self.first_records.get_mut(index));
        match first_record {
            Some(FirstRecord::Acked) | None => {}
            Some(first_record @ FirstRecord::None) => *first_record = FirstRecord::InFlight,
            Some(FirstRecord::InFlight) => self.await_first_records()?,
        }
        match self.handle.produce(partition, key, value) {
            EnqueueResult::Queued => {
                self.sent += 1;
                Ok(())
            }
            EnqueueResult::Rejected(code) => Err(self.refused(code)),
            EnqueueResult::QueueFull => self.send_when_not_full(partition, key, value),
        }
    }

    #[cold]
    fn await_first_records(&mut self) -> Result<(), Error> {
        self.finish()?;
        // A record that timed out has taken the whole timeout; the first one of every other partition would take it
        // again.
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
    fn send_when_not_full(&mut self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Error> {
        let mut stalled = Deadline::after(self.timeout);
        let mut reported = self.reported();
        loop {
            clock::pause(Duration::from_millis(1));
            match self.handle.produce(partition, key, value) {
                EnqueueResult::Queued => {
                    self.sent += 1;
                    return Ok(());
                }
                EnqueueResult::Rejected(code) => return Err(self.refused(code)),
                EnqueueResult::QueueFull if reported != self.reported() => {
                    reported = self.reported();
                    stalled.renew();
                }
                EnqueueResult::QueueFull if stalled.has_passed() => {
                    self.purge();
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

    /// Flushes: waits until every record is acknowledged or failed.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the timeout passes first.
    pub fn finish(&self) -> Result<(), Error> {
        if self.reports().first_error().is_some_and(|first| kind_of(first.code) == ErrorKind::Unreachable) {
            // One record has timed out already: the others do not get the timeout again.
            self.purge();
        }
        // The client fails each record after the timeout; the extra time is for the delivery reports.
        if flush_all(&self.producer, self.sent, self.timeout + Duration::from_secs(2)) {
            return Ok(());
        }
        Err(error::no_answer("publishing", "not every record was acknowledged in time", &self.reports().context.errors))
    }

    /// Purges the records that are not acknowledged yet.
    fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
    }

    /// Records handed to the client so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Records that the broker has acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.reports().acknowledged.load(Ordering::Relaxed)
    }

    /// The number of failed records so far, and why the first one failed.
    #[must_use]
    pub fn refusal(&self) -> Option<(u64, Error)> {
        let first = self.reports().first_error()?;
        // A record that the client itself rejects has no delivery report, so this is the topic's limit.
        let error = match first.code {
            code if error::is_size(code) => {
                error::too_large(&self.topic, error::Limit::OfTopic, code, &self.reports().context.errors)
            }
            code => self.refused(code),
        };
        Some((self.reports().failed.load(Ordering::Relaxed), error))
    }

    /// The acknowledged records by partition, without partitions that have none.
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

    /// Ends without closing the client, which takes up to 100 ms. Only for a process that is about to end with nothing
    /// in flight.
    pub fn leak(self) {
        std::mem::forget(self);
    }

    fn reported(&self) -> u64 {
        self.reports().reported()
    }

    fn reports(&self) -> &Arc<DeliveryReports> {
        self.producer.client().context()
    }

    fn refused(&self, code: RDKafkaErrorCode) -> Error {
        if error::is_size(code) {
            return error::too_large(&self.topic, error::Limit::OfClient, code, &self.reports().context.errors);
        }
        // A producer without the permission for its producer id (KIP-679) fails every record with a generic fatal code.
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
