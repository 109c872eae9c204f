//! Next unread record of each partition: reads its timestamp, without joining a group.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::client_context::Context;
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::native_batch::{BatchItem, BatchQueue};
use crate::clock::Deadline;
use crate::lag::{Isolation, NextRecord};

const SLICE: Duration = Duration::from_millis(50);

/// How often an unreadable batch is fetched before the error is returned.
const ATTEMPTS: u32 = 4;

/// A partition that a group has read up to `position`, with unread offsets up to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub topic_partition: TopicPartition,
    pub position: i64,
    pub end: i64,
}

/// The cached result for a partition: no record from `from` to before `offset`, and what was found at `offset`.
#[derive(Debug, Clone, Copy)]
struct Cached {
    from: i64,
    offset: i64,
    found: Found,
}

impl Cached {
    /// Whether it holds for a group at this position.
    fn covers(&self, position: i64) -> bool {
        (self.from..=self.offset).contains(&position)
    }
}

/// Adds what was found, in place of what it includes.
fn add(known: &mut Vec<Cached>, found: Cached) {
    known.retain(|known| !(found.from <= known.from && known.offset <= found.offset));
    known.push(found);
}

/// A part of a partition to read: it has no record from `from` to before `position`.
#[derive(Debug, Clone, Copy)]
struct Unread {
    from: i64,
    position: i64,
    end: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The end of the log; there was no record before it.
    End,
    /// A record with this timestamp.
    Record(i64),
    /// A record of a message format without timestamps.
    NoTimestamp,
}

/// A client that reads one record of each partition, and its cached results.
///
/// It is never closed: closing takes librdkafka 100 ms, and the client joined no group.
pub struct NextRecordReader {
    queue: BatchQueue,
    consumer: ManuallyDrop<BaseConsumer<Context>>,
    /// What was found in each partition; several groups may have different positions in it.
    known: BTreeMap<TopicPartition, Vec<Cached>>,
    /// Whether the client has fetched the cluster's metadata.
    has_metadata: bool,
    /// Topics that this principal may not read.
    forbidden: BTreeSet<String>,
}

impl NextRecordReader {
    /// Creates a client with the name of a group that it never joins; it sends nothing yet.
    pub fn open(connection: &Connection, group: &str, isolation: Isolation) -> Result<Self, Error> {
        // Only one record of each partition is needed, and everything fetched after it is dropped.
        let mut config = connection.client_config_with(
            &[
                ("fetch.queue.backoff.ms", "2"),
                ("fetch.wait.max.ms", "5"),
                ("fetch.error.backoff.ms", "20"),
                ("queued.min.messages", "1"),
                ("max.partition.fetch.bytes", "65536"),
            ],
            &[
                ("group.id", group),
                ("isolation.level", isolation.name()),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                // If retention deleted the next record, the next one is the first that is left.
                ("auto.offset.reset", "earliest"),
                ("enable.partition.eof", "true"),
                ("allow.auto.create.topics", "false"),
            ],
        );
        // Log lines would arrive in the queue, where `BatchQueue` expects records.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new(connection)).map_err(|error| error::configuration(&error))?;
        // One at a time: a batch read waits until the batch is full.
        let queue = BatchQueue::new(consumer.client().native_ptr(), 1)
            .ok_or_else(|| Error::new(Cause::Broken("the client has no consumer queue")))?;
        Ok(Self {
            queue,
            consumer: ManuallyDrop::new(consumer),
            known: BTreeMap::new(),
            has_metadata: false,
            forbidden: BTreeSet::new(),
        })
    }

    /// Topics that this principal may not read, as far as known.
    pub fn forbidden(&self) -> &BTreeSet<String> {
        &self.forbidden
    }

    /// The timestamps of the next records, in the order of the requests; unknown where none was found within `bound`.
    ///
    /// A cached record is not read again until the group's position is past it.
    pub fn next(
        &mut self,
        requests: &[Request],
        bound: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<NextRecord>, Error> {
        let deadline = Deadline::after(bound);
        let mut pending: Vec<&Request> = requests.iter().filter(|it| self.answer(it) == NextRecord::Unknown).collect();
        loop {
            pending.retain(|request| !self.forbidden.contains(&request.topic_partition.topic));
            // A read has one position for each partition. The lowest comes first, because its record may be the next
            // one of further groups.
            let mut lowest: BTreeMap<TopicPartition, Unread> = BTreeMap::new();
            for request in &pending {
                let unread = self.unread(request);
                let first = lowest.entry(request.topic_partition.clone()).or_insert(unread);
                if unread.position < first.position {
                    *first = unread;
                }
            }
            if lowest.is_empty() || deadline.has_passed() || stopped() {
                break;
            }
            let positions: BTreeMap<TopicPartition, i64> =
                lowest.iter().map(|(topic_partition, unread)| (topic_partition.clone(), unread.position)).collect();
            self.read(lowest, deadline.remaining(), stopped)?;
            pending.retain(|request| {
                let is_higher = |position: &i64| self.unread(request).position > *position;
                self.answer(request) == NextRecord::Unknown
                    && positions.get(&request.topic_partition).is_some_and(is_higher)
            });
        }
        let answers = requests.iter().map(|request| self.answer(request)).collect();
        self.forget_all_but(requests);
        Ok(answers)
    }

    /// Where to read for a request: not again where the cache shows no record.
    fn unread(&self, Request { topic_partition, position, end }: &Request) -> Unread {
        let known = self.known.get(topic_partition).into_iter().flatten();
        let empty = known.filter(|known| known.found == Found::End && known.covers(*position));
        match empty.max_by_key(|known| known.offset) {
            Some(known) => Unread { from: known.from, position: known.offset, end: *end },
            None => Unread { from: *position, position: *position, end: *end },
        }
    }

    fn answer(&self, Request { topic_partition, position, end }: &Request) -> NextRecord {
        let known = self.known.get(topic_partition).into_iter().flatten().filter(|known| known.covers(*position));
        let answers = known.map(|known| match known.found {
            // A record at or after the end belongs to a topic that was deleted and created again.
            Found::Record(millis) if known.offset < *end => NextRecord::Timestamp(millis),
            Found::End if known.offset >= *end => NextRecord::Absent,
            _ => NextRecord::Unknown,
        });
        answers.into_iter().find(|answer| *answer != NextRecord::Unknown).unwrap_or(NextRecord::Unknown)
    }

    /// Drops what answers none of the requests: groups have read past it.
    fn forget_all_but(&mut self, requests: &[Request]) {
        let mut positions: BTreeMap<&TopicPartition, Vec<i64>> = BTreeMap::new();
        for request in requests {
            positions.entry(&request.topic_partition).or_default().push(request.position);
        }
        self.known.retain(|topic_partition, known| {
            let positions = positions.get(topic_partition).map_or(&[][..], Vec::as_slice);
            known.retain(|known| positions.iter().any(|position| known.covers(*position)));
            !known.is_empty()
        });
    }

    fn read(
        &mut self,
        mut missing: BTreeMap<TopicPartition, Unread>,
        bound: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let deadline = Deadline::after(bound);
        let errors = self.consumer.context().errors.clone();
        let failed = |error: &_| error::of_call(error, "looking at the next records", &[], &errors);
        if !self.has_metadata {
            // A client that learns its topics from an assignment sometimes waits a second before it fetches (measured:
            // 7 of 16 times). If this request fails, the fetches fail, too.
            self.has_metadata = true;
            drop(self.consumer.fetch_metadata(None, bound));
        }
        let assign = |missing: &BTreeMap<TopicPartition, Unread>| {
            let mut list = TopicPartitionList::with_capacity(missing.len());
            for (TopicPartition { topic, partition }, unread) in missing {
                list.add_partition_offset(topic, *partition, Offset::Offset(unread.position))?;
            }
            self.consumer.assign(&list)
        };
        assign(&missing).map_err(|error| failed(&error))?;
        let mut unread = 0;
        while !missing.is_empty() && !deadline.has_passed() && !stopped() {
            let mut unreadable = None;
            let Self { queue, known, forbidden, .. } = self;
            queue.read(deadline.remaining().min(SLICE), |item| match item {
                BatchItem::Record { topic, partition, offset, timestamp, .. } => {
                    let topic_partition = TopicPartition { topic: topic.name(), partition };
                    // Only the first record of a partition counts.
                    if let Some(unread) = missing.remove(&topic_partition) {
                        let found = timestamp.map_or(Found::NoTimestamp, Found::Record);
                        add(known.entry(topic_partition).or_default(), Cached { from: unread.from, offset, found });
                    }
                }
                BatchItem::PartitionEof { topic, partition, offset } => {
                    let topic_partition = TopicPartition { topic: topic.name(), partition };
                    if missing.get(&topic_partition).is_some_and(|unread| offset >= unread.end)
                        && let Some(unread) = missing.remove(&topic_partition)
                    {
                        let empty = Cached { from: unread.from, offset, found: Found::End };
                        add(known.entry(topic_partition).or_default(), empty);
                    }
                }
                BatchItem::Error { topic: Some(topic), code, .. } if kind_of(code) == ErrorKind::Denied => {
                    let topic = topic.name();
                    missing.retain(|topic_partition, _| topic_partition.topic != topic);
                    forbidden.insert(topic);
                }
                BatchItem::Error { topic: Some(topic), partition, offset, code, text }
                    if kind_of(code).is_data_error() =>
                {
                    let topic_partition = TopicPartition { topic: topic.name(), partition };
                    // A batch after the next record does not matter here.
                    if missing.get(&topic_partition).is_some_and(|unread| offset < unread.end) {
                        unreadable.get_or_insert(Cause::Unreadable { topic_partition, offset, code, message: text });
                    }
                }
                // Other errors pass, or the requests for end offsets return them.
                BatchItem::Error { .. } => {}
            });
            if let Some(cause) = unreadable {
                unread += 1;
                if unread == ATTEMPTS {
                    return Err(Error::new(cause).of(&errors.connection));
                }
                // librdkafka may have continued after the unreadable batch.
                assign(&missing).map_err(|error| failed(&error))?;
            }
        }
        self.consumer.unassign().map_err(|error| failed(&error))
    }
}

impl std::fmt::Debug for NextRecordReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextRecordReader").field("known", &self.known.len()).finish_non_exhaustive()
    }
}
