//! Scan worker: the consumer and the ranges of one scan thread, with retries after a suspected truncation and
//! unreadable batches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Rd;
use rdkafka::{Offset, TopicPartitionList};

use super::acl::{Operation, Permission};
use super::background_drop::BackgroundDrop;
use super::client_context::{Context, ErrorLog};
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::inspector::{LEADER_LOOK, leaderless};
use super::native;
use super::native_batch::{BatchItem, BatchQueue, TopicPtr};
use super::scan::{OffsetRange, Reader, ScanRecord};
use super::scan_client;
use crate::clock::{self, Deadline};
use crate::lag::Isolation;
use crate::shutdown::Shutdown;

/// Records per batch read.
const BATCH: usize = 4_096;

/// How often a partition is read again at one position, after an offset out of range or an unreadable batch, before the
/// error is returned. The pause before each time is multiplied by their number.
const MAX_RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// The timeout of one seek.
const SEEK: Duration = Duration::from_millis(500);

/// How long the high watermark of a new leader may stay behind its predecessor's: until its followers have fetched.
pub const LATE_WATERMARK: Duration = Duration::from_secs(5);

pub(super) struct ScanWorker<'a> {
    client: BackgroundDrop<ScanClient>,
    ranges: &'a [OffsetRange],
    own: Vec<AssignedRange>,
    /// Index in `own` by topic and partition. Topics are compared by pointer instead of by name.
    own_by_topic: Vec<(TopicPtr, Vec<Option<usize>>)>,
    connection: &'a Connection,
    group: &'a str,
}

struct ScanClient {
    // Dropped before the consumer, which the queue refers to.
    queue: BatchQueue,
    consumer: BaseConsumer<Context>,
}

struct AssignedRange {
    index: usize,
    position: i64,
    done: bool,
    /// The position at which librdkafka reported an offset out of range, a truncation or an unreadable batch, and how
    /// often there.
    retries: (i64, u32),
    /// The first unreadable batch at that position. After it librdkafka may continue anywhere, and report an offset out
    /// of range.
    unreadable: Option<Cause>,
    /// Whether the range must be assigned again from its position. Until then its records are ignored.
    needs_reread: bool,
}

impl AssignedRange {
    /// Counts a retry; `false` after too many at this position.
    fn may_retry(&mut self) -> bool {
        let before = if self.retries.0 == self.position { self.retries.1 } else { 0 };
        if before == 0 {
            self.unreadable = None;
        }
        self.retries = (self.position, before + 1);
        self.needs_reread = before < MAX_RETRIES;
        self.needs_reread
    }
}

impl<'a> ScanWorker<'a> {
    /// Creates a consumer and assigns it some of the ranges, by their index.
    pub fn new(
        isolation: Isolation,
        connection: &'a Connection,
        group: &'a str,
        ranges: &'a [OffsetRange],
        own: &[usize],
    ) -> Result<Self, Error> {
        let mut config = scan_client::config(connection, group, isolation);
        // Log lines would arrive in the queue, where `BatchQueue` expects records.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new(connection)).map_err(|error| error::configuration(&error))?;
        let failed = |error: &_, doing: &str| error::of_call(error, doing, &[], &consumer.context().errors);
        let mut list = TopicPartitionList::with_capacity(own.len());
        for &index in own {
            let OffsetRange { topic_partition, start, .. } = &ranges[index];
            list.add_partition_offset(&topic_partition.topic, topic_partition.partition, Offset::Offset(*start))
                .map_err(|error| failed(&error, "assigning partitions"))?;
        }
        consumer.assign(&list).map_err(|error| failed(&error, "assigning partitions"))?;
        let queue = BatchQueue::new(consumer.client().native_ptr(), BATCH)
            .ok_or_else(|| Error::new(Cause::Broken("the client has no consumer queue")))?;
        let own = own
            .iter()
            .map(|&index| AssignedRange {
                index,
                position: ranges[index].start,
                done: false,
                retries: (0, 0),
                unreadable: None,
                needs_reread: false,
            })
            .collect();
        let client = BackgroundDrop::new(ScanClient { queue, consumer });
        Ok(Self { client, ranges, own, own_by_topic: Vec::new(), connection, group })
    }

    /// Reads every range to its end, or until a stop.
    pub fn run<R: Reader>(
        &mut self,
        share: &Mutex<R>,
        records: &AtomicU64,
        stop: &AtomicBool,
        shutdown: &Shutdown,
    ) -> Result<(), R::Error> {
        let mut stalled = Deadline::after(self.connection.timeout);
        let mut checked = false;
        while self.own.iter().any(|own| !own.done) {
            Error::check(shutdown)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.batch(share, records)? {
                stalled.renew();
                checked = false;
                continue;
            }
            if stalled.elapsed() >= LATE_WATERMARK {
                self.check_ends()?;
                if !std::mem::replace(&mut checked, true) {
                    self.check_responses()?;
                }
            }
            if stalled.has_passed() {
                return Err(self.stalled().into());
            }
        }
        Ok(())
    }

    /// Reads one batch; `false` when there was none within 20 ms.
    pub fn batch<R: Reader>(&mut self, share: &Mutex<R>, records: &AtomicU64) -> Result<bool, R::Error> {
        let Self { client, ranges, own, own_by_topic, connection, .. } = self;
        let ScanClient { queue, consumer } = &mut **client;
        let errors = &consumer.context().errors;
        let mut guard = None;
        let (mut count, mut result, mut finished, mut reread) = (0u64, Ok(()), false, false);
        let some = queue.read(Duration::from_millis(20), |item| {
            if result.is_err() {
                return;
            }
            // Locked at the first item, so that an empty wait does not block other users of the reader.
            let reader = guard.get_or_insert_with(|| share.lock().unwrap_or_else(PoisonError::into_inner));
            let (topic, partition, position, record) = match item {
                BatchItem::Record { topic, partition, offset, timestamp, key, value, headers } => {
                    (topic, partition, offset, Some((timestamp, key, value, headers)))
                }
                BatchItem::PartitionEof { topic, partition, offset } => (topic, partition, offset, None),
                BatchItem::Error { topic, partition, offset, code, text } => {
                    let at = topic.and_then(|topic| find(own_by_topic, ranges, own, topic, partition));
                    let kind = kind_of(code);
                    let is_data_error = kind.is_data_error();
                    match at.map(|at| &mut own[at]) {
                        Some(range) if range.done || range.needs_reread => {}
                        // The batch begins at or after the end, so the range is complete.
                        Some(range) if is_data_error && offset >= ranges[range.index].end => {
                            (range.position, range.done, finished) = (ranges[range.index].end, true, true);
                            reader.reached(range.index, range.position);
                        }
                        Some(range) if is_data_error || kind == ErrorKind::OutOfRange => {
                            let topic_partition = &ranges[range.index].topic_partition;
                            let lasts = range.may_retry();
                            if is_data_error && range.unreadable.is_none() {
                                connection.log_wait(&format!(
                                    "{topic_partition}: the batch at offset {offset} could not be read and is fetched again: {text}"
                                ));
                                let (topic_partition, message) = (topic_partition.clone(), text.clone());
                                range.unreadable = Some(Cause::Unreadable { topic_partition, offset, code, message });
                            }
                            reread |= lasts;
                            if !lasts {
                                result = Err(match range.unreadable.take() {
                                    Some(cause) => Error::new(cause).of(&errors.connection).into(),
                                    None => scan_error(code, &text, topic, ranges, errors).into(),
                                });
                            }
                        }
                        // The group is only a name here, but the client looks up its coordinator.
                        _ if code == Rd::GroupAuthorizationFailed => {}
                        _ if kind.is_retriable() => errors.record(Some(code), &text),
                        // The client closed a connection because of a response that it cannot read: `check_responses`
                        // finds the partition.
                        None if kind == ErrorKind::Corrupt => errors.record(None, &text),
                        _ => result = Err(scan_error(code, &text, topic, ranges, errors).into()),
                    }
                    return;
                }
            };
            let Some(at) = find(own_by_topic, ranges, own, topic, partition) else { return };
            let range = &mut own[at];
            if range.done || range.needs_reread {
                return;
            }
            let end = ranges[range.index].end;
            match record {
                Some((timestamp, key, value, headers)) if position < end => {
                    count += 1;
                    let (index, offset) = (range.index, position);
                    result = reader.record(ScanRecord { range: index, offset, timestamp, key, value, headers });
                    range.position = position + 1;
                }
                // The first position at or after the end: the offsets before it were read, or have no committed record.
                _ => range.position = range.position.max(position.min(end)),
            }
            if range.position >= end {
                range.done = true;
                finished = true;
                reader.reached(range.index, end);
            } else if record.is_none() {
                reader.reached(range.index, range.position);
            }
        });
        drop(guard);
        result?;
        records.fetch_add(count, Ordering::Relaxed);
        if reread {
            let is_data_error = |own: &&AssignedRange| own.needs_reread && own.unreadable.is_some();
            match self.own.iter().find(is_data_error) {
                Some(_) => self.read_again(false)?,
                None => self.validate()?,
            }
        }
        if finished {
            self.pause_done();
        }
        Ok(some)
    }

    /// Pauses finished partitions. Their records are ignored anyway; this only saves the fetches.
    fn pause_done(&self) {
        let mut list = TopicPartitionList::new();
        for own in self.own.iter().filter(|own| own.done) {
            let topic_partition = &self.ranges[own.index].topic_partition;
            list.add_partition(&topic_partition.topic, topic_partition.partition);
        }
        drop(self.client.consumer.pause(&list));
    }

    /// Lets librdkafka validate the offsets again (KIP-320), and continues from the positions.
    ///
    /// When a leader moves, librdkafka requests the end offset of an epoch. While it handles a fetch response, it may
    /// combine an offset of that response with the epoch of the one before, and then reports a truncation that did not
    /// happen (librdkafka 2.12.1, seen while leaders moved). The offset and the epoch of the application's position
    /// belong together. A real truncation is reported every time, and so is an offset out of range.
    fn validate(&mut self) -> Result<(), Error> {
        self.read_again(true)
    }

    /// Assigns all partitions again from their positions, dropping what was fetched. With `validate`, also seeks, which
    /// validates the offsets.
    fn read_again(&mut self, validate: bool) -> Result<(), Error> {
        // The cause may last: leaders move one after another.
        let retries = self.own.iter().map(|own| own.retries.1).max().unwrap_or(0);
        clock::pause(PAUSE * retries);
        let consumer = &self.client.consumer;
        let failed = |error: &_| error::of_call(error, "reading", &[], &consumer.context().errors);
        let positions = consumer.position().map_err(|error| failed(&error))?;
        for own in &mut self.own {
            let OffsetRange { topic_partition, .. } = &self.ranges[own.index];
            if let Some(mut found) = positions.find_partition(&topic_partition.topic, topic_partition.partition)
                && (std::mem::take(&mut own.needs_reread) || found.offset().to_raw().is_none_or(|offset| offset < 0))
            {
                // Nothing was read of it yet, or the records after its position were ignored.
                found.set_offset(Offset::Offset(own.position)).map_err(|error| failed(&error))?;
            }
        }
        // A suspicious partition is not fetched any more, and a seek needs a fetched one.
        consumer.assign(&positions).map_err(|error| failed(&error))?;
        if !validate {
            self.pause_done();
            return Ok(());
        }
        // Another thread applies the assignment.
        let started = Deadline::after(LATE_WATERMARK);
        let seek = || consumer.seek_partitions(positions.clone(), SEEK);
        while !seek().is_ok_and(|sought| sought.elements().iter().all(|element| element.error().is_ok()))
            && !started.has_passed()
        {
            clock::pause(Duration::from_millis(5));
        }
        self.pause_done();
        Ok(())
    }

    /// Checks that the logs still reach the ends of the ranges. Otherwise the scan would wait forever.
    fn check_ends(&self) -> Result<(), Error> {
        for own in self.own.iter().filter(|own| !own.done) {
            let OffsetRange { topic_partition, end, .. } = &self.ranges[own.index];
            let client = self.client.consumer.client().native_ptr();
            if let Some(now) = native::known_high_watermark(client, &topic_partition.topic, topic_partition.partition)
                && now < *end
                && own.position >= now
            {
                return Err(Error::log_truncated(topic_partition, *end, now));
            }
        }
        Ok(())
    }

    /// Checks, for partitions without records, whether librdkafka can read the broker's responses.
    fn check_responses(&self) -> Result<(), Error> {
        let client = self.client.consumer.client().native_ptr();
        for own in self.own.iter().filter(|own| !own.done) {
            let topic_partition = &self.ranges[own.index].topic_partition;
            // A partition that was read to its end is in no response.
            let end = native::known_high_watermark(client, &topic_partition.topic, topic_partition.partition);
            if end.is_none_or(|end| own.position < end) {
                scan_client::diagnose_stall(self.connection, self.group, topic_partition, own.position)?;
            }
        }
        Ok(())
    }

    fn stalled(&self) -> Error {
        let waiting = self.own.iter().find(|own| !own.done);
        let at = waiting.map_or_else(String::new, |own| {
            let range = &self.ranges[own.index];
            format!(" at {} offset {} of {}", range.topic_partition, own.position, range.end)
        });
        let consumer = &self.client.consumer;
        let error = error::no_answer("reading", &format!("nothing came{at}"), &consumer.context().errors);
        match consumer.fetch_metadata(None, LEADER_LOOK) {
            Ok(metadata) => {
                leaderless(error, &metadata, |name| self.ranges.iter().any(|range| range.topic_partition.topic == name))
            }
            Err(_) => error,
        }
    }
}

fn find(
    own_by_topic: &mut Vec<(TopicPtr, Vec<Option<usize>>)>,
    ranges: &[OffsetRange],
    own: &[AssignedRange],
    topic: TopicPtr,
    partition: i32,
) -> Option<usize> {
    let partition = usize::try_from(partition).ok()?;
    let known = own_by_topic.iter().position(|(tag, _)| *tag == topic).unwrap_or_else(|| {
        let name = topic.name();
        let mut table = Vec::new();
        for (topic_partition, own) in own.iter().enumerate() {
            let range = &ranges[own.index].topic_partition;
            if range.topic == name
                && let Ok(partition) = usize::try_from(range.partition)
            {
                if table.len() <= partition {
                    table.resize(partition + 1, None);
                }
                table[partition] = Some(topic_partition);
            }
        }
        own_by_topic.push((topic, table));
        own_by_topic.len() - 1
    });
    *own_by_topic[known].1.get(partition)?
}

fn scan_error(code: Rd, text: &str, topic: Option<TopicPtr>, ranges: &[OffsetRange], errors: &ErrorLog) -> Error {
    match kind_of(code) {
        ErrorKind::Denied => {
            let mut topics: Vec<String> = match topic {
                Some(topic) => vec![topic.name()],
                None => ranges.iter().map(|range| range.topic_partition.topic.clone()).collect(),
            };
            topics.dedup();
            let doing = format!("reading {}", topics.join(" and "));
            let needs: Vec<Permission> =
                topics.into_iter().map(|topic| Permission::topic(topic, &[Operation::Read])).collect();
            error::of_code(code, text, &doing, &needs, errors)
        }
        ErrorKind::OutOfRange => Error::new(Cause::RangeGone(text.to_owned())),
        ErrorKind::Missing => Error::new(Cause::TopicGone { message: text.to_owned(), member: false }),
        _ => error::of_code(code, &format!("{code}: {text}"), "reading", &[], errors),
    }
}
