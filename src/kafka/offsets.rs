//! Offsets of partitions and groups: log starts, last stable offsets, high watermarks, look-ups by time, committed offsets.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::{Offset, TopicPartitionList};

use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::error::{self, Cause, Error};
use super::inspector::Inspector;
use super::retry::Request;
use super::{TopicPartition, blocking_call};
use crate::clock::{self, Deadline};

/// How long a transaction that a dead writer left open is waited for: the broker ends it within its timeout and the ten
/// seconds between two looks of the coordinator.
pub(super) const HUNG_TRANSACTION: Duration = Duration::from_mins(1);

/// How long a wait for a transaction says nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// Which end of a partition is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOffset {
    /// The last stable offset: behind no open transaction.
    LastStable,
    /// The high watermark.
    HighWatermark,
}

/// A wait for partitions to be stable up to ends that were frozen before: for the transactions below them to end.
///
/// The caller looks now and then; the wait says what it waits for, and is bounded.
#[derive(Debug)]
pub struct StableWait {
    bound: Deadline,
    silence: Deadline,
    told: bool,
}

impl Default for StableWait {
    fn default() -> Self {
        Self { bound: Deadline::after(HUNG_TRANSACTION), silence: Deadline::after(SILENCE), told: false }
    }
}

impl StableWait {
    /// Looks once; `true` when every partition is stable up to its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`](super::ErrorKind) when a transaction below an end stays open for more than 60 s,
    /// [`ErrorKind::OutOfRange`](super::ErrorKind) when a log ends below its frozen end, or without an answer.
    pub fn check(
        &mut self,
        inspector: &Inspector,
        partitions: &[TopicPartition],
        ends: &[i64],
        tell: &mut dyn FnMut(&str),
    ) -> Result<bool, Error> {
        let stable = inspector.ends(partitions, EndOffset::LastStable)?;
        let Some(behind) = stable.iter().zip(ends).position(|(stable, end)| stable < end) else { return Ok(true) };
        let place = &partitions[behind];
        if self.silence.has_passed() {
            let now = inspector.ends(partitions, EndOffset::HighWatermark)?;
            if let Some(back) = now.iter().zip(ends).position(|(now, end)| now < end) {
                return Err(Error::log_truncated(&partitions[back], ends[back], now[back]));
            }
            self.silence = Deadline::after(SILENCE);
            if !std::mem::replace(&mut self.told, true) {
                tell(&format!("waiting for a transaction on {place} to end (up to 60 s)"));
            }
        }
        if self.bound.has_passed() {
            let cause = Cause::OpenTransaction { place: place.clone(), stable: stable[behind], end: ends[behind] };
            return Err(Error::new(cause));
        }
        Ok(false)
    }
}

impl Inspector {
    /// The ends of partitions, in their order.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or for a missing topic.
    pub fn ends(&self, partitions: &[TopicPartition], isolation: EndOffset) -> Result<Vec<i64>, Error> {
        self.bounds(partitions, isolation, Offset::End, self.connection.timeout)
    }

    /// The offsets of the first records whose timestamp is at or after a time, in milliseconds since the epoch and in the
    /// order of the partitions; `None` where there is no such record. As for Kafka's own tools, records of aborted
    /// transactions and markers count.
    ///
    /// # Errors
    ///
    /// As [`Inspector::ends`].
    pub fn offsets_for_time(&self, partitions: &[TopicPartition], millis: i64) -> Result<Vec<Option<i64>>, Error> {
        self.offsets_at(partitions, EndOffset::HighWatermark, Offset::Offset(millis), self.connection.timeout)
    }

    /// The log start offsets of partitions, in their order.
    ///
    /// # Errors
    ///
    /// As [`Inspector::ends`].
    pub fn starts(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, Error> {
        self.bounds(partitions, EndOffset::HighWatermark, Offset::Beginning, self.connection.timeout)
    }

    /// Log start, last stable offset and high watermark of partitions; a topic that is missing is waited for no longer than
    /// `patience`.
    ///
    /// The last stable offset is asked for last: the other way round, what is written between two requests would pass for
    /// an open transaction.
    pub(super) fn all_bounds(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
    ) -> Result<Vec<(i64, i64, i64)>, Error> {
        let starts = self.bounds(partitions, EndOffset::HighWatermark, Offset::Beginning, patience)?;
        let ends = self.bounds(partitions, EndOffset::HighWatermark, Offset::End, patience)?;
        let stable = self.bounds(partitions, EndOffset::LastStable, Offset::End, patience)?;
        let bounds = starts.into_iter().zip(stable).zip(ends);
        Ok(bounds.map(|((start, stable), end)| (start, stable, end.max(stable))).collect())
    }

    fn bounds(
        &self,
        partitions: &[TopicPartition],
        isolation: EndOffset,
        end: Offset,
        patience: Duration,
    ) -> Result<Vec<i64>, Error> {
        // Both ends are always somewhere.
        Ok(self.offsets_at(partitions, isolation, end, patience)?.into_iter().flatten().collect())
    }

    /// One request per broker for all partitions: an offset query whose "time" is a time or one of the two ends.
    ///
    /// A topic that is missing may be one that was just created: it is asked for again for as long as `patience`.
    fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        isolation: EndOffset,
        time: Offset,
        patience: Duration,
    ) -> Result<Vec<Option<i64>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let client = match isolation {
            EndOffset::LastStable => Arc::clone(&self.stable),
            EndOffset::HighWatermark => Arc::clone(&self.latest),
        };
        let doing = "asking for offsets";
        let mut query = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            query
                .add_partition_offset(topic, *partition, time)
                .map_err(|error| error::of_call(&error, doing, &[], &self.context.errors))?;
        }
        let needs = of_topics(partitions, Operation::Describe);
        let request = Request { doing, needs: &needs, missing_for: patience, timeout: self.connection.timeout };
        let (asked, places) = (Arc::clone(&client), partitions.to_vec());
        let attempt = move |bound| found_offsets(&asked.offsets_for_times(query.clone(), bound)?, &places, time);
        self.send(&request, attempt, |bound| refresh(&client, partitions, bound)).map_err(|error| {
            let topics: Vec<String> = partitions.iter().map(|place| place.topic.clone()).collect();
            if error.kind().is_retriable() { self.name_leaderless(error, &topics) } else { error }
        })
    }

    /// The group's committed offsets, in the order of the partitions; waits for pending transactional ones.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, when a pending transaction is not decided within 60 s, refused, or stopped.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        tell: &mut dyn FnMut(&str),
    ) -> Result<Vec<Option<i64>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            query.add_partition(topic, *partition);
        }
        let mut needs = of_topics(partitions, Operation::Describe);
        needs.push(self.group.clone());
        let bound = Deadline::after(HUNG_TRANSACTION.max(self.connection.timeout));
        let silence = Deadline::after(self.connection.timeout);
        // An unstable offset is retried inside the library and surfaces as a time-out; so does a dead coordinator.
        let (mut longest, mut told) = (SILENCE, false);
        loop {
            let left = if silence.has_passed() { bound.remaining() } else { silence.remaining() };
            let request = Request {
                doing: "reading committed offsets",
                needs: &needs,
                missing_for: self.connection.timeout,
                timeout: left.min(longest),
            };
            longest = Duration::MAX;
            let (client, query, places) = (Arc::clone(&self.stable), query.clone(), partitions.to_vec());
            let attempt = move |bound| committed_offsets(&client.committed_offsets(query.clone(), bound)?, &places);
            match self.send(&request, attempt, |_| {}) {
                Err(error) if error.kind().is_retriable() && !bound.has_passed() => {
                    let answers = self.responds();
                    if silence.has_passed() && !answers {
                        return Err(error);
                    }
                    if answers && !std::mem::replace(&mut told, true) {
                        tell(
                            "waiting for a transaction of a dead writer to end before the committed offsets can be read (up to 60 s)",
                        );
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Whether some broker answers at the moment; known within a second, or twice as long as its last answer took.
    #[must_use]
    pub fn responds(&self) -> bool {
        let (client, bound) = (Arc::clone(&self.latest), self.attempt_timeout.attempt().min(self.connection.timeout));
        let answer =
            blocking_call::with_timeout(bound, move || client.fetch_metadata(Some("__consumer_offsets"), bound));
        matches!(answer, Ok(Some(Ok(_))))
    }

    /// Waits until the last stable offset has reached `ends`: until then a reader of committed records does not see
    /// what was written below them.
    ///
    /// # Errors
    ///
    /// As [`StableWait::check`]; when a stop was asked for.
    pub fn wait_stable(
        &self,
        partitions: &[TopicPartition],
        ends: &[i64],
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let mut wait = StableWait::default();
        while !wait.check(self, partitions, ends, tell)? {
            Error::check(&self.shutdown)?;
            clock::pause(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Brings the leaders of topics up to date: an offset query goes to the leaders that the client knows, dead or alive.
fn refresh(client: &BaseConsumer<Context>, partitions: &[TopicPartition], bound: Duration) {
    let mut topics: Vec<&str> = partitions.iter().map(|place| place.topic.as_str()).collect();
    topics.dedup();
    let deadline = Deadline::after(bound);
    for topic in topics {
        // Without an answer the next attempt has to do with what is known.
        drop(client.fetch_metadata(Some(topic), deadline.remaining().max(Duration::from_millis(1))));
    }
}

fn found_offsets(
    answer: &TopicPartitionList,
    places: &[TopicPartition],
    time: Offset,
) -> Result<Vec<Option<i64>>, KafkaError> {
    // A partition without an answer has no leader yet, or none any more.
    let missing = || KafkaError::OffsetFetch(Rd::LeaderNotAvailable);
    places
        .iter()
        .map(|TopicPartition { topic, partition }| {
            let element = answer.find_partition(topic, *partition).ok_or_else(missing)?;
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => Ok(Some(offset)),
                // Where no record is as late, the answer to a time is the end.
                Offset::End if matches!(time, Offset::Offset(_)) => Ok(None),
                _ => Err(missing()),
            }
        })
        .collect()
}

fn committed_offsets(answer: &TopicPartitionList, places: &[TopicPartition]) -> Result<Vec<Option<i64>>, KafkaError> {
    places
        .iter()
        .map(|TopicPartition { topic, partition }| {
            let Some(element) = answer.find_partition(topic, *partition) else { return Ok(None) };
            element.error()?;
            Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
        })
        .collect()
}

/// An operation on each topic of some partitions.
fn of_topics(partitions: &[TopicPartition], operation: Operation) -> Vec<Permission> {
    let mut topics: Vec<&str> = partitions.iter().map(|place| place.topic.as_str()).collect();
    topics.dedup();
    topics.into_iter().map(|topic| Permission::topic(topic, &[operation])).collect()
}
