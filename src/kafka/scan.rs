//! Owns reading frozen ranges at full speed: no group, batches, one thread per share of the partitions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::aside::Aside;
use super::client::{Context, ErrorLog};
use super::codes::{Kind, kind_of};
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::inspector::{LEADER_LOOK, leaderless};
use super::native::{self, BatchQueue, Item, TopicTag};
use super::permission::{Operation, Permission};
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// Records taken from the client at once.
const BATCH: usize = 4_096;

/// How long the high watermark of a new leader may be behind the one of its predecessor: until its followers have fetched.
const LATE_WATERMARK: Duration = Duration::from_secs(5);

/// The records of a partition from `start` to before `end`; both are positions, so markers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The partition.
    pub place: TopicPartition,
    /// First offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

impl Range {
    /// Offsets in the range, markers and gaps included.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(0)
    }
}

/// A record of a scan, borrowed from the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct ScanRecord<'a> {
    /// Place of its range in the list given to [`scan`].
    pub range: usize,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// What folds the records of one share. It is locked once per batch, so that others can look at it between batches.
pub trait Reader: Send {
    /// What a reader ends a scan with.
    type Error: From<Error> + Send;

    /// Takes the next record of a range; within a range they come in the order of their offsets.
    ///
    /// # Errors
    ///
    /// To end the scan.
    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Self::Error>;

    /// Everything of a range before `position` was given, markers behind the last record included.
    fn reached(&mut self, range: usize, position: i64);
}

/// Reads every range to its end, as a reader of committed records, on one thread per share.
///
/// Each range goes whole to one share, so that the shares' offsets are about even; `tick` is called on the calling
/// thread about every 50 ms with the number of records read so far. Wait for the ends to be stable first.
///
/// # Errors
///
/// With exit code 4 when nothing comes for the connection's timeout, 5 when an ACL refuses, 7 when the start of a range
/// is gone from the log; what a reader or `tick` returns; the signal's code when a stop was asked for.
pub fn scan<R: Reader>(
    connection: &Connection,
    group: &str,
    ranges: &[Range],
    shares: &[Mutex<R>],
    shutdown: &Shutdown,
    mut tick: impl FnMut(u64) -> Result<(), R::Error>,
) -> Result<(), R::Error> {
    let (records, ended, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let dealt = deal(ranges, shares.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = dealt
            .iter()
            .zip(shares)
            .filter(|(own, _)| !own.is_empty())
            .map(|(own, share)| {
                let (records, ended, stop) = (&records, &ended, &stop);
                scope.spawn(move || {
                    let result = Share::new(connection, group, ranges, own)
                        .map_err(R::Error::from)
                        .and_then(|mut own| own.run(share, records, stop, shutdown));
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    ended.fetch_add(1, Ordering::Release);
                    result
                })
            })
            .collect();
        let mut ticked = Ok(());
        let mut next_tick = Deadline::after(Duration::from_millis(50));
        while ended.load(Ordering::Acquire) < threads.len() as u64 {
            clock::pause(Duration::from_millis(2));
            if ticked.is_ok() && next_tick.has_passed() {
                next_tick.renew();
                ticked = tick(records.load(Ordering::Relaxed));
                if ticked.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        let mut result = ticked;
        for thread in threads {
            let one =
                thread.join().unwrap_or_else(|_| Err(Error::new(Cause::Broken("a scanning thread panicked")).into()));
            result = result.and(one);
        }
        result.and_then(|()| tick(records.load(Ordering::Relaxed)))
    })
}

/// Reads partitions from their starts on, and then whatever is committed to them, until `stop` is set.
///
/// # Errors
///
/// With exit code 5 when an ACL refuses, 7 when a start is gone from the log; what the reader returns.
pub fn follow<R: Reader>(
    connection: &Connection,
    group: &str,
    starts: &[(TopicPartition, i64)],
    reader: &Mutex<R>,
    stop: &AtomicBool,
) -> Result<(), R::Error> {
    let ranges: Vec<Range> =
        starts.iter().map(|(place, start)| Range { place: place.clone(), start: *start, end: i64::MAX }).collect();
    let all: Vec<usize> = (0..ranges.len()).collect();
    let mut share = Share::new(connection, group, &ranges, &all)?;
    let records = AtomicU64::new(0);
    while !stop.load(Ordering::Relaxed) {
        share.batch(reader, &records)?;
    }
    Ok(())
}

/// Deals ranges out to shares: the largest first, each to the share that has the least.
fn deal(ranges: &[Range], shares: usize) -> Vec<Vec<usize>> {
    let mut dealt = vec![Vec::new(); shares];
    let mut loads = vec![0u64; shares];
    let mut order: Vec<usize> = (0..ranges.len()).filter(|&index| ranges[index].offsets() > 0).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(ranges[index].offsets()));
    for index in order {
        if let Some(least) = (0..shares).min_by_key(|&share| loads[share]) {
            loads[least] += ranges[index].offsets();
            dealt[least].push(index);
        }
    }
    dealt
}

/// One thread's client and the ranges that it reads.
struct Share<'a> {
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
}

impl<'a> Share<'a> {
    fn new(connection: &Connection, group: &str, ranges: &'a [Range], own: &[usize]) -> Result<Self, Error> {
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
        let own = own.iter().map(|&index| OwnRange { index, position: ranges[index].start, done: false }).collect();
        let client = Aside::new(ScanClient { queue, consumer });
        Ok(Self { client, ranges, own, places: Vec::new(), timeout: connection.timeout })
    }

    fn run<R: Reader>(
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
    fn batch<R: Reader>(&mut self, share: &Mutex<R>, records: &AtomicU64) -> Result<bool, R::Error> {
        let Self { client, ranges, own, places, .. } = self;
        let ScanClient { queue, consumer } = &mut **client;
        let seen = &consumer.context().errors;
        let mut guard = None;
        let (mut count, mut result, mut finished) = (0u64, Ok(()), Vec::new());
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
                Item::Error { topic, code, text } => {
                    // The group is only a name here: nothing is asked of it, and the client looks for its coordinator.
                    if kind_of(code).passes() {
                        seen.record(Some(code), &text);
                    } else if code != rdkafka::error::RDKafkaErrorCode::GroupAuthorizationFailed {
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
                finished.push(range.index);
                reader.reached(range.index, end);
            } else if record.is_none() {
                reader.reached(range.index, range.position);
            }
        });
        drop(guard);
        result?;
        records.fetch_add(count, Ordering::Relaxed);
        if !finished.is_empty() {
            let mut list = TopicPartitionList::new();
            for index in finished {
                list.add_partition(&self.ranges[index].place.topic, self.ranges[index].place.partition);
            }
            // What is fetched behind the end is dropped anyway; the pause only spares the work.
            drop(self.client.consumer.pause(&list));
        }
        Ok(some)
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

fn scan_error(
    code: rdkafka::error::RDKafkaErrorCode,
    text: &str,
    topic: Option<TopicTag>,
    ranges: &[Range],
    seen: &ErrorLog,
) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_dealt_evenly_and_empty_ones_not_at_all() {
        let range = |partition, offsets: i64| Range {
            place: TopicPartition::new("t", partition),
            start: 10,
            end: 10 + offsets,
        };
        let ranges = [range(0, 5), range(1, 0), range(2, 9), range(3, 4), range(4, 1)];
        let dealt = deal(&ranges, 2);
        let loads: Vec<u64> = dealt.iter().map(|own| own.iter().map(|&index| ranges[index].offsets()).sum()).collect();
        assert_eq!(loads.iter().sum::<u64>(), 19);
        assert!(loads.iter().all(|load| (9..=10).contains(load)), "{loads:?}");
        assert!(!dealt.iter().flatten().any(|&index| index == 1));
    }
}
