//! The share of one thread in a scan: its client, the ranges that it reads, and what it does where a log seems to be shorter than
//! it was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Rd;
use rdkafka::{Offset, TopicPartitionList};

use super::aside::Aside;
use super::client::{Context, ErrorLog};
use super::codes::{Kind, kind_of};
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::inspector::{LEADER_LOOK, leaderless};
use super::native::{self, BatchQueue, Item, TopicTag};
use super::permission::{Operation, Permission};
use super::scan::{Range, Reader, ScanRecord};
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// Records taken from the client at once.
const BATCH: usize = 4_096;

/// How often a log may seem to lack what comes next before it is believed, and the pause after each time, multiplied by their
/// number.
const DOUBTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// One attempt to go on from positions.
const SEEK: Duration = Duration::from_millis(500);

/// How long the high watermark of a new leader may be behind the one of its predecessor: until its followers have fetched.
pub const LATE_WATERMARK: Duration = Duration::from_secs(5);

/// One thread's client and the ranges that it reads.
pub(super) struct Share<'a> {
    client: Aside<ScanClient>,
    ranges: &'a [Range],
    own: Vec<OwnRange>,
    /// Place in `own` of each (topic, partition), found by the client's topic object rather than by its name.
    places: Vec<(TopicTag, Vec<Option<usize>>)>,
    timeout: Duration,
}

struct ScanClient {
    // Before the consumer: the queue's reference must be gone when its client goes.
    queue: BatchQueue,
    consumer: BaseConsumer<Context>,
}

struct OwnRange {
    index: usize,
    position: i64,
    done: bool,
    /// Where it was when the library said that the log has not what comes next, or no longer what was read; and how often it
    /// has said so there.
    doubted: (i64, u32),
}

impl OwnRange {
    /// Takes a doubt; `false` when there have been too many at this position.
    fn may_be_doubted(&mut self) -> bool {
        let before = if self.doubted.0 == self.position { self.doubted.1 } else { 0 };
        self.doubted = (self.position, before + 1);
        before < DOUBTS
    }
}

impl<'a> Share<'a> {
    /// A client that reads some of the ranges, by their places in the list.
    pub fn new(connection: &Connection, group: &str, ranges: &'a [Range], own: &[usize]) -> Result<Self, Error> {
        let mut config = connection.client_with(
            &[("fetch.queue.backoff.ms", "5"), ("queued.min.messages", "10000"), ("fetch.wait.max.ms", "50")],
            &[
                ("group.id", group),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
                ("allow.auto.create.topics", "false"),
            ],
        );
        // Log lines would arrive among the records of the batch queue, which knows no log lines.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new(connection)).map_err(|error| error::configuration(&error))?;
        let failed = |error: &_, doing: &str| error::of_call(error, doing, &[], &consumer.context().errors);
        let mut list = TopicPartitionList::with_capacity(own.len());
        for &index in own {
            let Range { place, start, .. } = &ranges[index];
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*start))
                .map_err(|error| failed(&error, "assigning partitions"))?;
        }
        consumer.assign(&list).map_err(|error| failed(&error, "assigning partitions"))?;
        let queue = BatchQueue::new(consumer.client().native_ptr(), BATCH)
            .ok_or_else(|| Error::new(Cause::Broken("the client has no consumer queue")))?;
        let own = own
            .iter()
            .map(|&index| OwnRange { index, position: ranges[index].start, done: false, doubted: (0, 0) })
            .collect();
        let client = Aside::new(ScanClient { queue, consumer });
        Ok(Self { client, ranges, own, places: Vec::new(), timeout: connection.timeout })
    }

    /// Reads to the end of each range, or until a stop.
    pub fn run<R: Reader>(
        &mut self,
        share: &Mutex<R>,
        records: &AtomicU64,
        stop: &AtomicBool,
        shutdown: &Shutdown,
    ) -> Result<(), R::Error> {
        let mut stalled = Deadline::after(self.timeout);
        while self.own.iter().any(|own| !own.done) {
            Error::check(shutdown)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.batch(share, records)? {
                stalled.renew();
                continue;
            }
            if stalled.elapsed() >= LATE_WATERMARK {
                self.check_ends()?;
            }
            if stalled.has_passed() {
                return Err(self.stalled().into());
            }
        }
        Ok(())
    }

    /// Reads one batch; `false` when none came within a moment.
    pub fn batch<R: Reader>(&mut self, share: &Mutex<R>, records: &AtomicU64) -> Result<bool, R::Error> {
        let Self { client, ranges, own, places, .. } = self;
        let ScanClient { queue, consumer } = &mut **client;
        let seen = &consumer.context().errors;
        let mut guard = None;
        let (mut count, mut result, mut finished, mut doubted) = (0u64, Ok(()), false, false);
        let some = queue.read(Duration::from_millis(20), |item| {
            if result.is_err() {
                return;
            }
            // Locked with the batch's first item: an empty wait must not hold what others want to look at.
            let reader = guard.get_or_insert_with(|| share.lock().unwrap_or_else(PoisonError::into_inner));
            let (topic, partition, position, record) = match item {
                Item::Record { topic, partition, offset, key, value, .. } => {
                    (topic, partition, offset, Some((key, value)))
                }
                Item::End { topic, partition, offset } => (topic, partition, offset, None),
                Item::Error { topic, partition, code, text } => {
                    if kind_of(code) == Kind::OutOfRange
                        && let Some(place) = topic.and_then(|topic| find(places, ranges, own, topic, partition))
                        && own[place].may_be_doubted()
                    {
                        doubted = true;
                        return;
                    }
                    // The group is only a name here: nothing is asked of it, and the client looks for its coordinator.
                    if kind_of(code).passes() {
                        seen.record(Some(code), &text);
                    } else if code != Rd::GroupAuthorizationFailed {
                        result = Err(scan_error(code, &text, topic, ranges, seen).into());
                    }
                    return;
                }
            };
            let Some(place) = find(places, ranges, own, topic, partition) else { return };
            let range = &mut own[place];
            if range.done {
                return;
            }
            let end = ranges[range.index].end;
            match record {
                Some((key, value)) if position < end => {
                    count += 1;
                    result = reader.record(ScanRecord { range: range.index, offset: position, key, value });
                    range.position = position + 1;
                }
                // The first position at or behind the end: whatever lies before it was given, or is no committed record.
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
        if doubted {
            self.validate()?;
        }
        if finished {
            self.pause_done();
        }
        Ok(some)
    }

    /// What is fetched behind an end is dropped anyway; the pause only spares the work.
    fn pause_done(&self) {
        let mut list = TopicPartitionList::new();
        for own in self.own.iter().filter(|own| own.done) {
            let place = &self.ranges[own.index].place;
            list.add_partition(&place.topic, place.partition);
        }
        drop(self.client.consumer.pause(&list));
    }

    /// Lets the library ask again whether the logs still have what was read last (KIP-320), and reads on from there.
    ///
    /// When a leader moves it asks for the end of an epoch. While it reads an answer, it may do so by an offset of that answer and
    /// the epoch of the one before, and then reports a truncation that there was none of (librdkafka 2.12.1, seen while leaders
    /// moved). Offset and epoch of where the application stands belong together. A truncation that is one is reported again
    /// and again, and so is an offset that is out of range.
    fn validate(&mut self) -> Result<(), Error> {
        // What made it ask may not be over: leaders move one after another.
        let doubts = self.own.iter().map(|own| own.doubted.1).max().unwrap_or(0);
        clock::pause(PAUSE * doubts);
        let consumer = &self.client.consumer;
        let failed = |error: &_| error::of_call(error, "reading", &[], &consumer.context().errors);
        let positions = consumer.position().map_err(|error| failed(&error))?;
        for own in &self.own {
            let Range { place, .. } = &self.ranges[own.index];
            if let Some(mut found) = positions.find_partition(&place.topic, place.partition)
                && found.offset().to_raw().is_none_or(|offset| offset < 0)
            {
                // Nothing was read of it yet.
                found.set_offset(Offset::Offset(own.position)).map_err(|error| failed(&error))?;
            }
        }
        // The partition in doubt is not fetched any more: what is not fetched cannot be sought in.
        consumer.assign(&positions).map_err(|error| failed(&error))?;
        // An assignment is taken up on another thread.
        let started = Deadline::after(LATE_WATERMARK);
        let sought = || consumer.seek_partitions(positions.clone(), SEEK);
        while !sought().is_ok_and(|sought| sought.elements().iter().all(|element| element.error().is_ok()))
            && !started.has_passed()
        {
            clock::pause(Duration::from_millis(5));
        }
        self.pause_done();
        Ok(())
    }

    /// Whether the logs still reach the ends that were frozen: one that lost its tail is waited for in vain.
    fn check_ends(&self) -> Result<(), Error> {
        for own in self.own.iter().filter(|own| !own.done) {
            let Range { place, end, .. } = &self.ranges[own.index];
            let client = self.client.consumer.client().native_ptr();
            if let Some(now) = native::known_high_watermark(client, &place.topic, place.partition)
                && now < *end
                && own.position >= now
            {
                return Err(Error::end_went_back(place, *end, now));
            }
        }
        Ok(())
    }

    fn stalled(&self) -> Error {
        let waiting = self.own.iter().find(|own| !own.done);
        let at = waiting.map_or_else(String::new, |own| {
            let range = &self.ranges[own.index];
            format!(" at {} offset {} of {}", range.place, own.position, range.end)
        });
        let consumer = &self.client.consumer;
        let error = error::no_answer("reading", &format!("nothing came{at}"), &consumer.context().errors);
        match consumer.fetch_metadata(None, LEADER_LOOK) {
            Ok(metadata) => {
                leaderless(error, &metadata, |name| self.ranges.iter().any(|range| range.place.topic == name))
            }
            Err(_) => error,
        }
    }
}

fn find(
    places: &mut Vec<(TopicTag, Vec<Option<usize>>)>,
    ranges: &[Range],
    own: &[OwnRange],
    topic: TopicTag,
    partition: i32,
) -> Option<usize> {
    let partition = usize::try_from(partition).ok()?;
    let known = places.iter().position(|(tag, _)| *tag == topic).unwrap_or_else(|| {
        let name = topic.name();
        let mut table = Vec::new();
        for (place, own) in own.iter().enumerate() {
            let range = &ranges[own.index].place;
            if range.topic == name
                && let Ok(partition) = usize::try_from(range.partition)
            {
                if table.len() <= partition {
                    table.resize(partition + 1, None);
                }
                table[partition] = Some(place);
            }
        }
        places.push((topic, table));
        places.len() - 1
    });
    *places[known].1.get(partition)?
}

fn scan_error(code: Rd, text: &str, topic: Option<TopicTag>, ranges: &[Range], seen: &ErrorLog) -> Error {
    match kind_of(code) {
        Kind::Denied => {
            let mut topics: Vec<String> = match topic {
                Some(topic) => vec![topic.name()],
                None => ranges.iter().map(|range| range.place.topic.clone()).collect(),
            };
            topics.dedup();
            let doing = format!("reading {}", topics.join(" and "));
            let needs: Vec<Permission> =
                topics.into_iter().map(|topic| Permission::topic(topic, &[Operation::Read])).collect();
            error::of_code(code, text, &doing, &needs, seen)
        }
        Kind::OutOfRange => Error::new(Cause::RangeGone(text.to_owned())),
        Kind::Missing => Error::new(Cause::TopicGone { words: text.to_owned(), member: false }),
        _ => error::of_code(code, &format!("{code}: {text}"), "reading", &[], seen),
    }
}
