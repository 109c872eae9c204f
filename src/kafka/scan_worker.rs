//! The share of one thread in a scan: its client, the ranges that it reads, and what it does where a log seems to be shorter than
//! it was, or has bytes that cannot be read.

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
use super::native::{self, BatchItem, BatchQueue, TopicPtr};
use super::scan::{OffsetRange, Reader, ScanRecord};
use super::scan_client;
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
pub(super) struct ScanWorker<'a> {
    client: BackgroundDrop<ScanClient>,
    ranges: &'a [OffsetRange],
    own: Vec<OwnRange>,
    /// Place in `own` of each (topic, partition), found by the client's topic object rather than by its name.
    places: Vec<(TopicPtr, Vec<Option<usize>>)>,
    connection: &'a Connection,
    group: &'a str,
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
    /// Where it was when the library said that the log has not what comes next, no longer what was read, or bytes that cannot be
    /// read; and how often it has said so there.
    doubted: (i64, u32),
    /// The first thing that could not be read there. The library may go on anywhere then, and say that the log has nothing there.
    unreadable: Option<Cause>,
    /// Whether it is to be read again from its position: until then nothing that comes of it counts.
    in_doubt: bool,
}

impl OwnRange {
    /// Takes a doubt; `false` when there have been too many at this position.
    fn may_be_doubted(&mut self) -> bool {
        let before = if self.doubted.0 == self.position { self.doubted.1 } else { 0 };
        if before == 0 {
            self.unreadable = None;
        }
        self.doubted = (self.position, before + 1);
        self.in_doubt = before < DOUBTS;
        self.in_doubt
    }
}

impl<'a> ScanWorker<'a> {
    /// A client that reads some of the ranges, by their places in the list.
    pub fn new(
        connection: &'a Connection,
        group: &'a str,
        ranges: &'a [OffsetRange],
        own: &[usize],
    ) -> Result<Self, Error> {
        let mut config = scan_client::config(connection, group);
        // Log lines would arrive among the records of the batch queue, which knows no log lines.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new(connection)).map_err(|error| error::configuration(&error))?;
        let failed = |error: &_, doing: &str| error::of_call(error, doing, &[], &consumer.context().errors);
        let mut list = TopicPartitionList::with_capacity(own.len());
        for &index in own {
            let OffsetRange { place, start, .. } = &ranges[index];
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*start))
                .map_err(|error| failed(&error, "assigning partitions"))?;
        }
        consumer.assign(&list).map_err(|error| failed(&error, "assigning partitions"))?;
        let queue = BatchQueue::new(consumer.client().native_ptr(), BATCH)
            .ok_or_else(|| Error::new(Cause::Broken("the client has no consumer queue")))?;
        let own = own
            .iter()
            .map(|&index| OwnRange {
                index,
                position: ranges[index].start,
                done: false,
                doubted: (0, 0),
                unreadable: None,
                in_doubt: false,
            })
            .collect();
        let client = BackgroundDrop::new(ScanClient { queue, consumer });
        Ok(Self { client, ranges, own, places: Vec::new(), connection, group })
    }

    /// Reads to the end of each range, or until a stop.
    pub fn run<R: Reader>(
        &mut self,
        share: &Mutex<R>,
        records: &AtomicU64,
        stop: &AtomicBool,
        shutdown: &Shutdown,
    ) -> Result<(), R::Error> {
        let mut stalled = Deadline::after(self.connection.timeout);
        let mut listened = false;
        while self.own.iter().any(|own| !own.done) {
            Error::check(shutdown)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.batch(share, records)? {
                stalled.renew();
                listened = false;
                continue;
            }
            if stalled.elapsed() >= LATE_WATERMARK {
                self.check_ends()?;
                if !std::mem::replace(&mut listened, true) {
                    self.listen()?;
                }
            }
            if stalled.has_passed() {
                return Err(self.stalled().into());
            }
        }
        Ok(())
    }

    /// Reads one batch; `false` when none came within a moment.
    pub fn batch<R: Reader>(&mut self, share: &Mutex<R>, records: &AtomicU64) -> Result<bool, R::Error> {
        let Self { client, ranges, own, places, connection, .. } = self;
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
                BatchItem::Record { topic, partition, offset, key, value, .. } => {
                    (topic, partition, offset, Some((key, value)))
                }
                BatchItem::PartitionEof { topic, partition, offset } => (topic, partition, offset, None),
                BatchItem::Error { topic, partition, offset, code, text } => {
                    let place = topic.and_then(|topic| find(places, ranges, own, topic, partition));
                    let kind = kind_of(code);
                    let of_bytes = kind.is_data_error();
                    match place.map(|place| &mut own[place]) {
                        Some(range) if range.done || range.in_doubt => {}
                        // It begins behind what is wanted: all of that was given.
                        Some(range) if of_bytes && offset >= ranges[range.index].end => {
                            (range.position, range.done, finished) = (ranges[range.index].end, true, true);
                            reader.reached(range.index, range.position);
                        }
                        Some(range) if of_bytes || kind == ErrorKind::OutOfRange => {
                            let place = &ranges[range.index].place;
                            let lasts = range.may_be_doubted();
                            if of_bytes && range.unreadable.is_none() {
                                connection.log_wait(&format!(
                                    "{place}: the batch at offset {offset} could not be read and is fetched again: {text}"
                                ));
                                let (place, words) = (place.clone(), text.clone());
                                range.unreadable = Some(Cause::Unreadable { place, offset, code, words });
                            }
                            doubted |= lasts;
                            if !lasts {
                                result = Err(match range.unreadable.take() {
                                    Some(cause) => Error::new(cause).of(&seen.connection).into(),
                                    None => scan_error(code, &text, topic, ranges, seen).into(),
                                });
                            }
                        }
                        // The group is only a name here: nothing is asked of it, and the client looks for its coordinator.
                        _ if code == Rd::GroupAuthorizationFailed => {}
                        _ if kind.is_retriable() => seen.record(Some(code), &text),
                        // A connection was closed on an answer that cannot be taken: `listen` finds out whose.
                        None if kind == ErrorKind::Corrupt => seen.record(None, &text),
                        _ => result = Err(scan_error(code, &text, topic, ranges, seen).into()),
                    }
                    return;
                }
            };
            let Some(place) = find(places, ranges, own, topic, partition) else { return };
            let range = &mut own[place];
            if range.done || range.in_doubt {
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
            let of_bytes = |own: &&OwnRange| own.in_doubt && own.unreadable.is_some();
            match self.own.iter().find(of_bytes) {
                Some(_) => self.read_again(false)?,
                None => self.validate()?,
            }
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
        self.read_again(true)
    }

    /// Reads on from where everything stands: what was fetched before is forgotten. `sought` where the logs are in doubt, too.
    fn read_again(&mut self, sought: bool) -> Result<(), Error> {
        // What made it ask may not be over: leaders move one after another.
        let doubts = self.own.iter().map(|own| own.doubted.1).max().unwrap_or(0);
        clock::pause(PAUSE * doubts);
        let consumer = &self.client.consumer;
        let failed = |error: &_| error::of_call(error, "reading", &[], &consumer.context().errors);
        let positions = consumer.position().map_err(|error| failed(&error))?;
        for own in &mut self.own {
            let OffsetRange { place, .. } = &self.ranges[own.index];
            if let Some(mut found) = positions.find_partition(&place.topic, place.partition)
                && (std::mem::take(&mut own.in_doubt) || found.offset().to_raw().is_none_or(|offset| offset < 0))
            {
                // Nothing was read of it yet, or what came behind its position does not count.
                found.set_offset(Offset::Offset(own.position)).map_err(|error| failed(&error))?;
            }
        }
        // The partition in doubt is not fetched any more: what is not fetched cannot be sought in.
        consumer.assign(&positions).map_err(|error| failed(&error))?;
        if !sought {
            self.pause_done();
            return Ok(());
        }
        // An assignment is taken up on another thread.
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

    /// Whether the logs still reach the ends that were frozen: one that lost its tail is waited for in vain.
    fn check_ends(&self) -> Result<(), Error> {
        for own in self.own.iter().filter(|own| !own.done) {
            let OffsetRange { place, end, .. } = &self.ranges[own.index];
            let client = self.client.consumer.client().native_ptr();
            if let Some(now) = native::known_high_watermark(client, &place.topic, place.partition)
                && now < *end
                && own.position >= now
            {
                return Err(Error::log_truncated(place, *end, now));
            }
        }
        Ok(())
    }

    /// Whether an answer of a broker as a whole cannot be taken for a partition that nothing comes of.
    fn listen(&self) -> Result<(), Error> {
        let client = self.client.consumer.client().native_ptr();
        for own in self.own.iter().filter(|own| !own.done) {
            let place = &self.ranges[own.index].place;
            // One that is read to its end is in no answer.
            let end = native::known_high_watermark(client, &place.topic, place.partition);
            if end.is_none_or(|end| own.position < end) {
                scan_client::diagnose_stall(self.connection, self.group, place, own.position)?;
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
    places: &mut Vec<(TopicPtr, Vec<Option<usize>>)>,
    ranges: &[OffsetRange],
    own: &[OwnRange],
    topic: TopicPtr,
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

fn scan_error(code: Rd, text: &str, topic: Option<TopicPtr>, ranges: &[OffsetRange], seen: &ErrorLog) -> Error {
    match kind_of(code) {
        ErrorKind::Denied => {
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
        ErrorKind::OutOfRange => Error::new(Cause::RangeGone(text.to_owned())),
        ErrorKind::Missing => Error::new(Cause::TopicGone { words: text.to_owned(), member: false }),
        _ => error::of_code(code, &format!("{code}: {text}"), "reading", &[], seen),
    }
}
