//! Owns a look at the next record of partitions: when it was written, without taking part in a group.

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
use super::native::{BatchItem, BatchQueue};
use crate::clock::Deadline;
use crate::lag::{Isolation, NextRecord};

/// The longest single wait: between two of them the wish to stop is looked at.
const SLICE: Duration = Duration::from_millis(50);

/// How often a batch that cannot be read is fetched before that is believed.
const ATTEMPTS: u32 = 4;

/// A reader from `position` on, where something lies before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub place: TopicPartition,
    pub position: i64,
    pub end: i64,
}

/// What was found out about a partition: there is nothing to read from `from` to before `offset`.
#[derive(Debug, Clone, Copy)]
struct Cached {
    from: i64,
    offset: i64,
    found: Found,
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing that was read: there was nothing up to it, and it is the end.
    End,
    /// A record with that timestamp.
    Record(i64),
    /// A record of a format without timestamps.
    Timeless,
}

/// A client that reads one record of each partition, and what it has learnt so far.
///
/// It ends with the process: the library's farewell would take 100 ms, and it has nobody to say it to.
pub struct NextRecordReader {
    queue: BatchQueue,
    consumer: ManuallyDrop<BaseConsumer<Context>>,
    /// By whose reading: each group has positions of its own.
    known: BTreeMap<(usize, TopicPartition), Cached>,
    /// Whether the client was told of the cluster's topics and their leaders.
    knows_leaders: bool,
    /// Topics that may not be read.
    forbidden: BTreeSet<String>,
}

impl NextRecordReader {
    /// A client in the name of a group that it never joins; nothing is asked of the broker yet.
    pub fn open(connection: &Connection, group: &str, isolation: Isolation) -> Result<Self, Error> {
        // One record is wanted: whatever is fetched beside it is thrown away.
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
                // Retention may overtake the look: then the next record is the first that is left.
                ("auto.offset.reset", "earliest"),
                ("enable.partition.eof", "true"),
                ("allow.auto.create.topics", "false"),
            ],
        );
        // Log lines would arrive among the records of the queue, which knows no log lines.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new(connection)).map_err(|error| error::configuration(&error))?;
        // One by one: a batch would be waited for until it is full.
        let queue = BatchQueue::new(consumer.client().native_ptr(), 1)
            .ok_or_else(|| Error::new(Cause::Broken("the client has no consumer queue")))?;
        Ok(Self {
            queue,
            consumer: ManuallyDrop::new(consumer),
            known: BTreeMap::new(),
            knows_leaders: false,
            forbidden: BTreeSet::new(),
        })
    }

    /// Topics that this principal may not read, as far as they were looked at.
    pub fn forbidden(&self) -> &BTreeSet<String> {
        &self.forbidden
    }

    /// When the next record of each was written, in their order; what is not found within the bound is not known.
    ///
    /// What was found before is not looked for again until the reader is past it.
    pub fn next(
        &mut self,
        reader: usize,
        wants: &[Request],
        bound: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<NextRecord>, Error> {
        let mut missing: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
        for Request { place, position, end } in wants {
            if self.answer(reader, place, *position, *end) == NextRecord::Unknown
                && !self.forbidden.contains(&place.topic)
            {
                // What is known to hold nothing is not read again.
                let from = match self.known.get(&(reader, place.clone())) {
                    Some(known) if known.found == Found::End && (known.from..=known.offset).contains(position) => {
                        known.offset
                    }
                    _ => {
                        let fresh = Cached { from: *position, offset: *position, found: Found::End };
                        self.known.insert((reader, place.clone()), fresh);
                        *position
                    }
                };
                missing.insert(place.clone(), (from, *end));
            }
        }
        if !missing.is_empty() {
            self.read(reader, missing, bound, stopped)?;
        }
        Ok(wants.iter().map(|want| self.answer(reader, &want.place, want.position, want.end)).collect())
    }

    /// What is known already.
    fn answer(&self, reader: usize, place: &TopicPartition, position: i64, end: i64) -> NextRecord {
        match self.known.get(&(reader, place.clone())) {
            Some(Cached { from, offset, found }) if *from <= position && position <= *offset => match found {
                // A record behind the end is one of a topic that was made anew since.
                Found::Record(millis) if *offset < end => NextRecord::Timestamp(*millis),
                Found::End if *offset >= end => NextRecord::Absent,
                _ => NextRecord::Unknown,
            },
            _ => NextRecord::Unknown,
        }
    }

    fn read(
        &mut self,
        reader: usize,
        mut missing: BTreeMap<TopicPartition, (i64, i64)>,
        bound: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let deadline = Deadline::after(bound);
        let seen = self.consumer.context().errors.clone();
        let failed = |error: &_| error::of_call(error, "looking at the next records", &[], &seen);
        if !self.knows_leaders {
            // A client that learns of its topics by their assignment sometimes stands still for a second (measured: 7 of
            // 16 times) before it fetches. What keeps the metadata from coming, keeps the records too.
            self.knows_leaders = true;
            drop(self.consumer.fetch_metadata(None, bound));
        }
        let assign = |missing: &BTreeMap<TopicPartition, (i64, i64)>| {
            let mut list = TopicPartitionList::with_capacity(missing.len());
            for (place, (from, _)) in missing {
                list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*from))?;
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
                    let place = TopicPartition { topic: topic.name(), partition };
                    // The first of a partition is the one; what was fetched with it comes after it.
                    if missing.remove(&place).is_some()
                        && let Some(known) = known.get_mut(&(reader, place))
                    {
                        (known.offset, known.found) = (offset, timestamp.map_or(Found::Timeless, Found::Record));
                    }
                }
                BatchItem::PartitionEof { topic, partition, offset } => {
                    let place = TopicPartition { topic: topic.name(), partition };
                    if missing.get(&place).is_some_and(|(_, end)| offset >= *end) {
                        missing.remove(&place);
                        if let Some(known) = known.get_mut(&(reader, place)) {
                            known.offset = offset;
                        }
                    }
                }
                BatchItem::Error { topic: Some(topic), code, .. } if kind_of(code) == ErrorKind::Denied => {
                    let topic = topic.name();
                    missing.retain(|place, _| place.topic != topic);
                    forbidden.insert(topic);
                }
                BatchItem::Error { topic: Some(topic), partition, offset, code, text }
                    if kind_of(code).is_data_error() =>
                {
                    let place = TopicPartition { topic: topic.name(), partition };
                    // What follows the next record does not matter here.
                    if missing.get(&place).is_some_and(|(_, end)| offset < *end) {
                        unreadable.get_or_insert(Cause::Unreadable { place, offset, code, words: text });
                    }
                }
                // Others pass, or are told by the requests for the ends; this look is not worth a failure.
                BatchItem::Error { .. } => {}
            });
            if let Some(cause) = unreadable {
                unread += 1;
                if unread == ATTEMPTS {
                    return Err(Error::new(cause).of(&seen.connection));
                }
                // The library may go on behind it.
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
