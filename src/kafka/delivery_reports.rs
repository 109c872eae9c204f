//! Delivery reports of a producer: counts of acknowledged records by partition, and the first rejected record.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};

use super::client_context::Context;
use super::coordinator_probe::TransactionCoordinator;
use super::error_codes::{ErrorKind, kind_of};
use super::native;
use crate::clock::{self, Deadline};

/// Counters of delivery reports. Written on the producer's polling thread, read from others.
pub(super) struct DeliveryReports {
    pub context: Context,
    pub partitions: Vec<PartitionDeliveries>,
    pub acknowledged: AtomicU64,
    /// Acknowledgements without an offset, which are included in `acknowledged`.
    acks_without_offset: AtomicU64,
    pub failed: AtomicU64,
    first_error: Mutex<Option<RejectedRecord>>,
    pub transaction_coordinator: TransactionCoordinator,
}

/// Why a record was rejected, and on which topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RejectedRecord {
    pub code: RDKafkaErrorCode,
    pub topic: String,
}

pub(super) struct PartitionDeliveries {
    pub records: AtomicU64,
    first: AtomicI64,
    last: AtomicI64,
}

impl PartitionDeliveries {
    pub fn offsets(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.first.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed));
        (first <= last).then_some((first, last))
    }
}

impl DeliveryReports {
    pub fn new(context: Context, partitions: i32) -> Self {
        let none = |_| PartitionDeliveries {
            records: AtomicU64::new(0),
            first: AtomicI64::new(i64::MAX),
            last: AtomicI64::new(-1),
        };
        Self {
            context,
            partitions: (0..partitions).map(none).collect(),
            acknowledged: AtomicU64::new(0),
            acks_without_offset: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_error: Mutex::new(None),
            transaction_coordinator: TransactionCoordinator::default(),
        }
    }
}

impl DeliveryReports {
    /// The first record that was rejected, not purged.
    pub fn first_error(&self) -> Option<RejectedRecord> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the first rejection. Records that were purged with a failed transaction do not show why it failed.
    fn record_rejection(&self, code: RDKafkaErrorCode, topic: &str) {
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|first| kind_of(first.code) == ErrorKind::Abortable) {
            *first = Some(RejectedRecord { code, topic: topic.to_owned() });
        }
    }

    /// Whether any record since the last call counts as acknowledged without an acknowledgement from a broker.
    ///
    /// When a batch is refused while the next one is in flight, and that one is accepted, librdkafka concludes that the
    /// first one is in the log and reports success without an offset. That can be wrong: a partition accepts any first
    /// sequence number of a producer that it does not know, so the first batch is lost if its broker became the leader
    /// between the two (confluentinc/confluent-kafka-go#921).
    pub fn take_acks_without_offset(&self) -> bool {
        self.acks_without_offset.swap(0, Ordering::Relaxed) > 0
    }

    /// Records with a delivery report, acknowledged or failed.
    pub fn reported(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire) + self.failed.load(Ordering::Acquire)
    }
}

/// Flushes: waits until every record that was sent is acknowledged or failed; `false` when the timeout passed first.
pub(super) fn flush_all(producer: &ThreadedProducer<DeliveryReports>, sent: u64, bound: Duration) -> bool {
    if !native::flush(producer.client().native_ptr(), bound) {
        return false;
    }
    // The flush returns when the client's queue is empty, but the last reports may not be counted yet.
    let deadline = Deadline::after(Duration::from_secs(2));
    while producer.client().context().reported() < sent && !deadline.has_passed() {
        clock::pause(Duration::from_millis(1));
    }
    producer.client().context().reported() == sent
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.transaction_coordinator.take(statistics);
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let offset = message.offset();
                if offset < 0 {
                    self.acks_without_offset.fetch_add(1, Ordering::Relaxed);
                }
                let index = usize::try_from(message.partition()).unwrap_or(usize::MAX);
                if let Some(partition) = self.partitions.get(index) {
                    partition.records.fetch_add(1, Ordering::Relaxed);
                    if offset >= 0 {
                        partition.first.fetch_min(offset, Ordering::Relaxed);
                        partition.last.fetch_max(offset, Ordering::Relaxed);
                    }
                }
                self.acknowledged.fetch_add(1, Ordering::Release);
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code();
                self.context.errors.record(code, &error.to_string());
                self.record_rejection(code.unwrap_or(RDKafkaErrorCode::Unknown), message.topic());
                self.failed.fetch_add(1, Ordering::Release);
            }
        }
    }
}
