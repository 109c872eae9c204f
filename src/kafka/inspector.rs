//! Owns looking at a cluster without taking part: topics, ends, committed offsets, members of a group.

use std::mem::ManuallyDrop;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Ear;
use super::connection::Connection;
use super::denial::{Operation, Right};
use super::{TopicPartition, error, handshake};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::shutdown::Shutdown;

/// How long a transaction that a dead writer left open is waited for: the broker ends it within its timeout and the ten
/// seconds between two looks of the coordinator.
const HUNG_TRANSACTION: Duration = Duration::from_mins(1);

/// The longest single call: between two of them the wish to stop is looked at.
const SLICE: Duration = Duration::from_secs(1);

/// The first one: whoever cannot connect has heard why by then.
const FIRST_SLICE: Duration = Duration::from_millis(300);

/// How long a connection and a login may take before something else is said to be awaited.
const SLOW_CONNECTION: Duration = Duration::from_secs(2);

/// Which end of a partition is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The last stable offset: behind no open transaction.
    Committed,
    /// The high watermark.
    Uncommitted,
}

/// Whether a group has members, as the broker tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    /// The group's state in Kafka's words; `Dead` for a group that does not exist.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

/// A client that reads offsets and metadata, and never joins its group.
///
/// There is one a command, and it ends with the process: the library's farewell would take 100 ms a client, and a client
/// that joined nothing has nobody to say it to.
pub struct Inspector {
    stable: ManuallyDrop<BaseConsumer<Ear>>,
    pub(super) latest: ManuallyDrop<BaseConsumer<Ear>>,
    pub(super) ear: Ear,
    pub(super) timeout: Duration,
    pub(super) shutdown: Shutdown,
    broker: String,
    group: Right,
}

impl Inspector {
    /// A client for the offsets of `group`; nothing is asked of the broker yet.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, group: &str, shutdown: &Shutdown) -> Result<Self, Failure> {
        let ear = Ear::new(connection);
        let client = |isolation: &str| -> Result<BaseConsumer<Ear>, Failure> {
            connection
                .client(&[
                    ("group.id", group),
                    ("isolation.level", isolation),
                    ("enable.auto.commit", "false"),
                    ("enable.auto.offset.store", "false"),
                    ("allow.auto.create.topics", "false"),
                ])
                .create_with_context(ear.clone())
                .map_err(|error| error::configuration(&error))
        };
        let (stable, latest) = (client("read_committed")?, client("read_uncommitted")?);
        Ok(Self {
            stable: ManuallyDrop::new(stable),
            latest: ManuallyDrop::new(latest),
            ear,
            timeout: connection.timeout,
            shutdown: shutdown.clone(),
            broker: connection.broker().to_owned(),
            group: Right::group(group, Operation::Read),
        })
    }

    /// The same for a command that only looks at the group: a refusal then asks for no more than that.
    #[must_use]
    pub fn only_looking(mut self) -> Self {
        self.group.operations = vec![Operation::Describe];
        self
    }

    /// Every topic that this principal may see, with its partition count, in the order of the names.
    ///
    /// # Errors
    ///
    /// With exit code 4 when no broker answers within the timeout, 5 when it refuses; the signal's code when a stop was
    /// asked for meanwhile: it is the first call of every command, and a wrong address is noticed here.
    pub fn topics(&self) -> Result<Vec<(String, i32)>, Failure> {
        let doing = format!("asking {} for its topics", self.broker);
        let metadata = self.metadata(None, &doing, &[])?;
        let mut topics: Vec<(String, i32)> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)))
            .collect();
        topics.sort();
        Ok(topics)
    }

    /// The partition count of one topic; `None` when there is none of that name.
    ///
    /// A list of all topics leaves out those that this principal may not see. Who asks by name is told so, and needs to say
    /// what the topic is wanted for: `operations` are what a refusal names.
    ///
    /// # Errors
    ///
    /// With exit code 4 when no broker answers within the timeout, 5 when an ACL hides the topic.
    pub fn partitions(&self, topic: &str, operations: &[Operation]) -> Result<Option<i32>, Failure> {
        let (doing, needs) = (format!("looking for {topic}"), [Right::topic(topic, operations)]);
        let metadata = self.metadata(Some(topic), &doing, &needs)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX))),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Err(error::failure_of(
                &KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed),
                &doing,
                &needs,
                &self.ear.seen,
            )),
            Some(_) => Ok(None),
        }
    }

    fn metadata(&self, topic: Option<&str>, doing: &str, needs: &[Right]) -> Result<Metadata, Failure> {
        let deadline = Deadline::after(self.timeout);
        let mut longest = FIRST_SLICE;
        loop {
            let slice = deadline.remaining().min(longest).max(Duration::from_millis(1));
            longest = (longest * 2).min(SLICE);
            match self.latest.fetch_metadata(topic, slice) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => {
                    self.shutdown.check()?;
                    self.listen();
                    if let Some(sign) = self.ear.seen.sign()
                        && let Some(failure) = handshake::certain(&sign, &self.ear.seen.connection)
                    {
                        return Err(failure.context(doing));
                    }
                    let passing = error.rdkafka_error_code().is_some_and(error::is_passing);
                    if !passing || deadline.has_passed() || self.ear.seen.denial(needs).is_some() {
                        return Err(self.failed_of(&error, doing, needs));
                    }
                    // An error that came at once must not be asked for again without a pause.
                    self.shutdown.pause(Duration::from_millis(50).min(deadline.remaining()));
                }
            }
        }
    }

    /// Waits until the cluster no longer names topics whose deletion it has accepted: it answers before each of its brokers
    /// has heard of it.
    ///
    /// # Errors
    ///
    /// With exit code 4 when one of them is still there after the timeout; the signal's code when a stop was asked for.
    pub fn wait_gone(&self, topics: &[String]) -> Result<(), Failure> {
        let deadline = Deadline::after(self.timeout);
        while let Some((left, _)) = self.topics()?.into_iter().find(|(name, _)| topics.contains(name)) {
            if deadline.has_passed() {
                return Err(Failure::new(
                    Code::Unreachable,
                    format!("the deletion of {left} was accepted, and the topic is still there"),
                )
                .hint("give it more --timeout, or look for a client that makes it anew: a broker with auto.create.topics.enable makes a topic for whoever asks"));
            }
            self.shutdown.check()?;
            self.shutdown.pause(Duration::from_millis(20).min(deadline.remaining()));
        }
        Ok(())
    }

    /// The ends of partitions, in their order.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses, 7 for a missing topic.
    pub fn ends(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<i64>, Failure> {
        self.bounds(partitions, isolation, Offset::End, self.timeout)
    }

    /// The offsets of the first records whose timestamp is at or after a time, in milliseconds since the epoch and in the
    /// order of the partitions; `None` where there is no such record. As for Kafka's own tools, records of aborted
    /// transactions and markers count.
    ///
    /// # Errors
    ///
    /// As [`Inspector::ends`].
    pub fn since(&self, partitions: &[TopicPartition], millis: i64) -> Result<Vec<Option<i64>>, Failure> {
        self.offsets_at(partitions, Isolation::Uncommitted, Offset::Offset(millis), self.timeout)
    }

    /// The log start offsets of partitions, in their order.
    ///
    /// # Errors
    ///
    /// As [`Inspector::ends`].
    pub fn starts(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        self.bounds(partitions, Isolation::Uncommitted, Offset::Beginning, self.timeout)
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
    ) -> Result<Vec<(i64, i64, i64)>, Failure> {
        let starts = self.bounds(partitions, Isolation::Uncommitted, Offset::Beginning, patience)?;
        let ends = self.bounds(partitions, Isolation::Uncommitted, Offset::End, patience)?;
        let stable = self.bounds(partitions, Isolation::Committed, Offset::End, patience)?;
        let bounds = starts.into_iter().zip(stable).zip(ends);
        Ok(bounds.map(|((start, stable), end)| (start, stable, end.max(stable))).collect())
    }

    fn bounds(
        &self,
        partitions: &[TopicPartition],
        isolation: Isolation,
        end: Offset,
        patience: Duration,
    ) -> Result<Vec<i64>, Failure> {
        // Both ends are always somewhere.
        Ok(self.offsets_at(partitions, isolation, end, patience)?.into_iter().flatten().collect())
    }

    /// One request per broker for all partitions: an offset query whose "time" is a time or one of the two ends.
    ///
    /// A topic that is missing may be one that was just created: it is asked for again for as long as `patience`.
    fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        isolation: Isolation,
        time: Offset,
        patience: Duration,
    ) -> Result<Vec<Option<i64>>, Failure> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let client = match isolation {
            Isolation::Committed => &self.stable,
            Isolation::Uncommitted => &self.latest,
        };
        let mut query = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            query
                .add_partition_offset(topic, *partition, time)
                .map_err(|error| self.failed(&error, "asking for offsets"))?;
        }
        let deadline = Deadline::after(self.timeout);
        loop {
            let mut problem = None;
            match client.offsets_for_times(query.clone(), deadline.remaining().max(Duration::from_millis(1))) {
                Err(error) => problem = Some(error),
                Ok(answer) => {
                    let mut found = Vec::with_capacity(partitions.len());
                    for TopicPartition { topic, partition } in partitions {
                        let Some(element) = answer.find_partition(topic, *partition) else { continue };
                        match (element.error(), element.offset()) {
                            (Ok(()), Offset::Offset(offset)) => found.push(Some(offset)),
                            // Where no record is as late, the answer to a time is the end.
                            (Ok(()), Offset::End) if matches!(time, Offset::Offset(_)) => found.push(None),
                            (Ok(()), _) => {}
                            (Err(error), _) => problem = Some(error),
                        }
                    }
                    if found.len() == partitions.len() {
                        return Ok(found);
                    }
                }
            }
            // A topic that was just created, or a leader that just moved: ask again until the bound.
            let error = problem.unwrap_or(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable));
            let missing =
                |code| matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition);
            let passing = error
                .rdkafka_error_code()
                .is_some_and(|code| error::is_passing(code) || missing(code) && deadline.elapsed() < patience);
            if deadline.has_passed() || !passing {
                return Err(self.failed_of(&error, "asking for offsets", &of_topics(partitions, Operation::Describe)));
            }
            crate::clock::pause(Duration::from_millis(20));
        }
    }

    /// The group's committed offsets, in the order of the partitions; waits for pending transactional ones.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer, or a pending transaction is not decided within 60 s; 5 when it
    /// refuses; the signal's code when a stop was asked for.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        shutdown: &Shutdown,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Vec<Option<i64>>, Failure> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            query.add_partition(topic, *partition);
        }
        let doing = "reading committed offsets";
        let mut needs = of_topics(partitions, Operation::Describe);
        needs.push(self.group.clone());
        let mut longest = FIRST_SLICE;
        let bound = Deadline::after(HUNG_TRANSACTION.max(self.timeout));
        let connecting = Deadline::after(SLOW_CONNECTION);
        let silence = Deadline::after(self.timeout);
        let mut told = false;
        loop {
            shutdown.check()?;
            let slice = bound.remaining().min(longest).max(Duration::from_millis(1));
            longest = SLICE;
            match self.stable.committed_offsets(query.clone(), slice) {
                Ok(answer) => {
                    let mut offsets = Vec::with_capacity(partitions.len());
                    for TopicPartition { topic, partition } in partitions {
                        let element = answer.find_partition(topic, *partition);
                        if let Some(Err(error)) =
                            element.as_ref().map(rdkafka::topic_partition_list::TopicPartitionListElem::error)
                        {
                            return Err(self.failed_of(&error, doing, &needs));
                        }
                        offsets
                            .push(element.and_then(|element| element.offset().to_raw()).filter(|offset| *offset >= 0));
                    }
                    return Ok(offsets);
                }
                Err(error) if error.rdkafka_error_code().is_some_and(error::is_passing) && !bound.has_passed() => {
                    // An unstable offset is retried inside the library and surfaces as a time-out; so does a dead broker.
                    // Without the right to the group its coordinator is not found, and that is only heard.
                    self.listen();
                    if self.ear.seen.denial(&needs).is_some() || (silence.has_passed() && !self.answers()) {
                        return Err(self.failed_of(&error, doing, &needs));
                    }
                    if !told && connecting.has_passed() {
                        told = true;
                        tell(
                            "waiting for a transaction of a dead writer to end before the committed offsets can be read (up to 60 s)",
                        );
                    }
                }
                Err(error) => return Err(self.failed_of(&error, doing, &needs)),
            }
        }
    }

    /// Waits until the last stable offset has reached `ends`: until then a reader of committed records does not see
    /// what was written below them.
    ///
    /// # Errors
    ///
    /// With exit code 4 when a transaction below them stays open for more than 60 s or the broker does not answer.
    pub fn wait_stable(
        &self,
        partitions: &[TopicPartition],
        ends: &[i64],
        shutdown: &Shutdown,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), Failure> {
        let bound = Deadline::after(HUNG_TRANSACTION);
        let mut told = Deadline::after(Duration::from_secs(2));
        loop {
            shutdown.check()?;
            let stable = self.ends(partitions, Isolation::Committed)?;
            let Some(behind) = stable.iter().zip(ends).position(|(stable, end)| stable < end) else { return Ok(()) };
            let place = &partitions[behind];
            if bound.has_passed() {
                return Err(Failure::new(
                    Code::Unreachable,
                    format!(
                        "a transaction on {place} has been open for more than 60 s: stable to {}, end {}",
                        stable[behind], ends[behind]
                    ),
                )
                .hint("find the writer with kafka-transactions find-hanging, or wait for its timeout"));
            }
            if told.has_passed() {
                told = Deadline::after(HUNG_TRANSACTION);
                tell(&format!("waiting for a transaction on {place} to end (up to 60 s)"));
            }
            crate::clock::pause(Duration::from_millis(5));
        }
    }

    /// Whether the group has members.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn liveness(&self, group: &str) -> Result<Liveness, Failure> {
        let deadline = Deadline::after(self.timeout);
        loop {
            let slice = deadline.remaining().min(SLICE).max(Duration::from_millis(1));
            match self.latest.client().fetch_group_list(Some(group), slice) {
                Ok(list) => {
                    let found = list.groups().iter().find(|found| found.name() == group);
                    return Ok(match found {
                        None => Liveness { state: "Dead".to_owned(), members: Vec::new() },
                        Some(found) => Liveness {
                            state: found.state().to_owned(),
                            members: found
                                .members()
                                .iter()
                                .map(|member| format!("{} at {}", member.client_id(), member.client_host()))
                                .collect(),
                        },
                    });
                }
                Err(error) => {
                    self.shutdown.check()?;
                    let passing = error.rdkafka_error_code().is_some_and(error::is_passing);
                    let needs = std::slice::from_ref(&self.group);
                    self.listen();
                    if !passing || deadline.has_passed() || self.ear.seen.denial(needs).is_some() {
                        let doing = format!("asking {} for the group's members", self.broker);
                        return Err(self.failed_of(&error, &doing, needs));
                    }
                    self.shutdown.pause(Duration::from_millis(50).min(deadline.remaining()));
                }
            }
        }
    }

    fn answers(&self) -> bool {
        self.latest.fetch_metadata(Some("__consumer_offsets"), Duration::from_secs(2)).is_ok()
    }

    pub(super) fn failed(&self, error: &KafkaError, doing: &str) -> Failure {
        self.failed_of(error, doing, &[])
    }

    pub(super) fn failed_of(&self, error: &KafkaError, doing: &str, needs: &[Right]) -> Failure {
        self.listen();
        error::failure_of(error, doing, needs, &self.ear.seen)
    }

    /// What the clients have heard meanwhile waits in their queues: it explains a time-out better than the call can.
    pub(super) fn listen(&self) {
        for client in [&self.stable, &self.latest] {
            for _ in 0..100 {
                if client.poll(Duration::ZERO).is_none() {
                    break;
                }
            }
        }
    }
}

/// An operation on each topic of some partitions.
fn of_topics(partitions: &[TopicPartition], operation: Operation) -> Vec<Right> {
    let mut topics: Vec<&str> = partitions.iter().map(|place| place.topic.as_str()).collect();
    topics.dedup();
    topics.into_iter().map(|topic| Right::topic(topic, &[operation])).collect()
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
