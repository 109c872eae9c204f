//! Offsets: log start, last stable offset (LSO), high watermark, offsets for a time, committed offsets of a group.

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
use crate::units::duration;

/// How long to wait for a transaction whose writer died: the broker aborts it after its timeout, at the coordinator's
/// next check, which comes every ten seconds.
pub(super) const HUNG_TRANSACTION: Duration = Duration::from_mins(1);

/// How long a wait for a transaction is not reported.
const QUIET: Duration = Duration::from_secs(2);

/// Which end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOffset {
    /// The last stable offset: the end before the first open transaction.
    LastStable,
    HighWatermark,
}

/// Waits until partitions are stable up to given end offsets, that is until the transactions below them have ended.
///
/// The caller polls it. It reports what it waits for, and gives up after a minute or another given time.
#[derive(Debug)]
pub struct StableWait {
    longest: Duration,
    bound: Deadline,
    quiet: Deadline,
    reported: bool,
}

impl Default for StableWait {
    fn default() -> Self {
        Self::up_to(HUNG_TRANSACTION)
    }
}

impl StableWait {
    fn up_to(longest: Duration) -> Self {
        Self { longest, bound: Deadline::after(longest), quiet: Deadline::after(QUIET), reported: false }
    }

    /// Checks once; `true` when every partition is stable up to its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`](super::ErrorKind) when a transaction below an end stays open for too long,
    /// [`ErrorKind::OutOfRange`](super::ErrorKind) when a log now ends before the given end, or without an answer.
    pub fn check(
        &mut self,
        inspector: &Inspector,
        partitions: &[TopicPartition],
        ends: &[i64],
        report: &mut dyn FnMut(&str),
    ) -> Result<bool, Error> {
        let stable = inspector.ends(partitions, EndOffset::LastStable)?;
        let Some(behind) = stable.iter().zip(ends).position(|(stable, end)| stable < end) else { return Ok(true) };
        let topic_partition = &partitions[behind];
        if self.quiet.has_passed() {
            let now = inspector.ends(partitions, EndOffset::HighWatermark)?;
            if let Some(back) = now.iter().zip(ends).position(|(now, end)| now < end) {
                return Err(Error::log_truncated(&partitions[back], ends[back], now[back]));
            }
            self.quiet = Deadline::after(QUIET);
            if !std::mem::replace(&mut self.reported, true) {
                let longest = duration(self.longest);
                report(&format!("waiting for a transaction on {topic_partition} to end (up to {longest})"));
            }
        }
        if self.bound.has_passed() {
            let cause = Cause::OpenTransaction {
                topic_partition: topic_partition.clone(),
                stable: stable[behind],
                end: ends[behind],
            };
            return Err(Error::new(cause));
        }
        Ok(false)
    }
}

impl Inspector {
    /// The end offsets of partitions, in their order.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or for a missing topic.
    pub fn ends(&self, partitions: &[TopicPartition], end: EndOffset) -> Result<Vec<i64>, Error> {
        self.bounds(partitions, end, Offset::End, self.connection.timeout)
    }

    /// The offset of the first record at or after a time (milliseconds since the epoch), in the order of the
    /// partitions; `None` where no record is that late. As in Kafka's own tools, records of aborted transactions and
    /// markers count.
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

    /// Log start, last stable offset and high watermark of partitions. For `missing_for` a missing topic is requested
    /// again.
    ///
    /// The last stable offset comes last: in the other order, records written between two requests would look like an
    /// open transaction.
    pub(super) fn all_bounds(
        &self,
        partitions: &[TopicPartition],
        missing_for: Duration,
    ) -> Result<Vec<(i64, i64, i64)>, Error> {
        let starts = self.bounds(partitions, EndOffset::HighWatermark, Offset::Beginning, missing_for)?;
        let ends = self.bounds(partitions, EndOffset::HighWatermark, Offset::End, missing_for)?;
        let stable = self.bounds(partitions, EndOffset::LastStable, Offset::End, missing_for)?;
        let bounds = starts.into_iter().zip(stable).zip(ends);
        Ok(bounds.map(|((start, stable), end)| (start, stable, end.max(stable))).collect())
    }

    fn bounds(
        &self,
        partitions: &[TopicPartition],
        end: EndOffset,
        time: Offset,
        missing_for: Duration,
    ) -> Result<Vec<i64>, Error> {
        // Both ends always have an offset.
        Ok(self.offsets_at(partitions, end, time, missing_for)?.into_iter().flatten().collect())
    }

    /// One `ListOffsets` request per broker for all partitions; the "time" of the query is a time or one of the two
    /// ends.
    ///
    /// A missing topic may have just been created, so it is requested again for `missing_for`.
    fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        end: EndOffset,
        time: Offset,
        missing_for: Duration,
    ) -> Result<Vec<Option<i64>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let client = match end {
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
        let request = Request { doing, needs: &needs, missing_for, timeout: self.connection.timeout };
        let (asked, topic_partitions) = (Arc::clone(&client), partitions.to_vec());
        let attempt =
            move |bound| found_offsets(&asked.offsets_for_times(query.clone(), bound)?, &topic_partitions, time);
        self.send(&request, attempt, |bound| refresh(&client, partitions, bound)).map_err(|error| {
            let topics: Vec<String> = partitions.iter().map(|topic_partition| topic_partition.topic.clone()).collect();
            if error.kind().is_retriable() { self.name_leaderless(error, &topics) } else { error }
        })
    }

    /// The group's committed offsets, in the order of the partitions. It waits for offsets of pending transactions.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, when a pending transaction is still open after 60 s, refused, or stopped.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        report: &mut dyn FnMut(&str),
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
        let quiet = Deadline::after(self.connection.timeout);
        // librdkafka retries an unstable offset internally until the request times out, as it does with a dead
        // coordinator.
        let (mut longest, mut reported) = (QUIET, false);
        loop {
            let left = if quiet.has_passed() { bound.remaining() } else { quiet.remaining() };
            let request = Request {
                doing: "reading committed offsets",
                needs: &needs,
                missing_for: self.connection.timeout,
                timeout: left.min(longest),
            };
            longest = Duration::MAX;
            let (client, query, topic_partitions) = (Arc::clone(&self.stable), query.clone(), partitions.to_vec());
            let attempt =
                move |bound| committed_offsets(&client.committed_offsets(query.clone(), bound)?, &topic_partitions);
            match self.send(&request, attempt, |_| {}) {
                Err(error) if error.kind().is_retriable() && !bound.has_passed() => {
                    let answers = self.responds();
                    if quiet.has_passed() && !answers {
                        return Err(error);
                    }
                    if answers && !std::mem::replace(&mut reported, true) {
                        report(
                            "waiting for a transaction whose writer died to end before the committed offsets can be read (up to 60 s)",
                        );
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Whether any broker answers at the moment; decided within a second, or twice the last response time.
    #[must_use]
    pub fn responds(&self) -> bool {
        let (client, bound) = (Arc::clone(&self.latest), self.attempt_timeout.attempt().min(self.connection.timeout));
        let answer =
            blocking_call::with_timeout(bound, move || client.fetch_metadata(Some("__consumer_offsets"), bound));
        matches!(answer, Ok(Some(Ok(_))))
    }

    /// Waits until the last stable offset has reached `ends`, so that a reader of committed records sees everything
    /// below them.
    ///
    /// # Errors
    ///
    /// As [`StableWait::check`], or after a signal.
    pub fn wait_stable(
        &self,
        partitions: &[TopicPartition],
        ends: &[i64],
        report: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        self.wait(StableWait::default(), partitions, ends, report)
    }

    /// As [`Inspector::wait_stable`], but at most for twice `--timeout`, and not longer than a minute; `false` if a
    /// transaction is still open then.
    ///
    /// Twice, because the default is then a minute.
    ///
    /// # Errors
    ///
    /// As [`Inspector::wait_stable`], except for an open transaction.
    pub fn become_stable(
        &self,
        partitions: &[TopicPartition],
        ends: &[i64],
        report: &mut dyn FnMut(&str),
    ) -> Result<bool, Error> {
        let longest = (2 * self.connection.timeout).min(HUNG_TRANSACTION);
        match self.wait(StableWait::up_to(longest), partitions, ends, report) {
            Err(error) if error.is_open_transaction() => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn wait(
        &self,
        mut wait: StableWait,
        partitions: &[TopicPartition],
        ends: &[i64],
        report: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        while !wait.check(self, partitions, ends, report)? {
            Error::check(&self.shutdown)?;
            clock::pause(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Refreshes the leaders of topics: an offset query goes to the leaders that the client knows, even dead ones.
fn refresh(client: &BaseConsumer<Context>, partitions: &[TopicPartition], bound: Duration) {
    let mut topics: Vec<&str> = partitions.iter().map(|topic_partition| topic_partition.topic.as_str()).collect();
    topics.dedup();
    let deadline = Deadline::after(bound);
    for topic in topics {
        // If it fails, the next attempt uses the old leaders.
        drop(client.fetch_metadata(Some(topic), deadline.remaining().max(Duration::from_millis(1))));
    }
}

fn found_offsets(
    answer: &TopicPartitionList,
    topic_partitions: &[TopicPartition],
    time: Offset,
) -> Result<Vec<Option<i64>>, KafkaError> {
    // A partition without an answer has no leader at the moment.
    let missing = || KafkaError::OffsetFetch(Rd::LeaderNotAvailable);
    topic_partitions
        .iter()
        .map(|TopicPartition { topic, partition }| {
            let element = answer.find_partition(topic, *partition).ok_or_else(missing)?;
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => Ok(Some(offset)),
                // Where no record is that late, a query for a time returns the end.
                Offset::End if matches!(time, Offset::Offset(_)) => Ok(None),
                _ => Err(missing()),
            }
        })
        .collect()
}

fn committed_offsets(
    answer: &TopicPartitionList,
    topic_partitions: &[TopicPartition],
) -> Result<Vec<Option<i64>>, KafkaError> {
    topic_partitions
        .iter()
        .map(|TopicPartition { topic, partition }| {
            let Some(element) = answer.find_partition(topic, *partition) else { return Ok(None) };
            element.error()?;
            Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
        })
        .collect()
}

/// The operation on the topic of each partition.
fn of_topics(partitions: &[TopicPartition], operation: Operation) -> Vec<Permission> {
    let mut topics: Vec<&str> = partitions.iter().map(|topic_partition| topic_partition.topic.as_str()).collect();
    topics.dedup();
    topics.into_iter().map(|topic| Permission::topic(topic, &[operation])).collect()
}
