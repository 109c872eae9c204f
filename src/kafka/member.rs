//! Consumer group member: subscribe, poll, assign and unassign (after an assignment or revocation), pause, seek, close.
//!
//! Each poll of the poll loop returns one event: a record, an assignment, a revocation, or a fault.

use std::sync::mpsc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::{Connection, POLL_INTERVAL};
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::headers::RecordHeaders;
use super::rebalance::{GroupMetadata, MemberContext, RebalanceEvent};
use crate::clock::{self, Deadline};

/// How long a member waits until it has left the group.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same after the cluster has stopped answering.
pub const CLOSE_TIMEOUT_IN_OUTAGE: Duration = Duration::from_millis(500);

/// The membership: group, identity, subscription.
#[derive(Debug, Clone)]
pub struct MemberSettings {
    pub group: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The topics to subscribe to.
    pub topics: Vec<String>,
    /// `session.timeout.ms`, unless the user sets another one.
    pub session_timeout: Duration,
}

/// The result of a poll.
#[derive(Debug)]
pub enum PollEvent<'a> {
    /// A record of an assigned partition.
    Record(ConsumerRecord<'a>),
    /// A rebalance assigned these partitions. They are fetched after [`Member::assign`].
    Assigned(Vec<TopicPartition>, GroupMetadata),
    /// A rebalance revokes every partition and waits for [`Member::unassign`].
    Revoked {
        /// Whether the member has left the group, so that others may own the partitions already.
        lost: bool,
    },
    /// Nothing within the timeout.
    Empty,
    /// The client cannot reach its brokers at the moment, and retries.
    Retrying(String),
    /// Fetched data cannot be read. librdkafka does not name the partition, and may continue after the data. Ignore all records
    /// until the next [`Member::assign`].
    Unreadable(String),
    /// The next offset is not in the log, or the log was truncated below the position. The client fetches nothing from the
    /// partition until the next [`Member::assign`]. The report may be wrong while leaders move; otherwise this is the error.
    OutOfRange(Error),
}

/// A record, borrowed from the client.
#[derive(Debug)]
pub struct ConsumerRecord<'a> {
    message: BorrowedMessage<'a>,
    /// Index of its topic in [`MemberSettings::topics`].
    pub topic: usize,
}

impl ConsumerRecord<'_> {
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.message.partition()
    }

    #[must_use]
    pub fn offset(&self) -> i64 {
        self.message.offset()
    }

    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }

    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.message.payload()
    }

    #[must_use]
    pub fn headers(&self) -> RecordHeaders<'_> {
        RecordHeaders::of(&self.message)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn timestamp_millis(&self) -> Option<i64> {
        self.message.timestamp().to_millis()
    }
}

/// A member of a consumer group.
pub struct Member {
    consumer: BaseConsumer<MemberContext>,
    topics: Vec<String>,
    instance_id: Option<String>,
    /// The permissions for joining the group and reading the topics.
    needs: Vec<Permission>,
}

impl Member {
    /// Subscribes to the topics. The first assignment arrives as [`PollEvent::Assigned`].
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka rejects the configuration.
    pub fn join(connection: &Connection, settings: &MemberSettings) -> Result<Self, Error> {
        let (session, poll_interval) =
            (settings.session_timeout.as_millis().to_string(), POLL_INTERVAL.as_millis().to_string());
        let mut config = connection.client_config_with(
            &[
                ("session.timeout.ms", &session),
                ("heartbeat.interval.ms", "3000"),
                ("max.poll.interval.ms", &poll_interval),
                // With the default, fetching pauses for a second after the queue was full.
                ("fetch.queue.backoff.ms", "5"),
                ("queued.min.messages", "10000"),
                ("fetch.wait.max.ms", "100"),
            ],
            &[
                ("group.id", &settings.group),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("partition.assignment.strategy", "range"),
                ("allow.auto.create.topics", "false"),
            ],
        );
        if let Some(instance_id) = &settings.instance_id {
            config.set("group.instance.id", instance_id);
        }
        let context = MemberContext::new(Context::new(connection), &settings.group);
        let consumer: BaseConsumer<MemberContext> =
            config.create_with_context(context).map_err(|error| error::configuration(&error))?;
        let topics = settings.topics.iter().map(|topic| Permission::topic(topic, &[Operation::Read]));
        let needs = std::iter::once(Permission::group(&settings.group, Operation::Read)).chain(topics).collect();
        let (topics, instance_id) = (settings.topics.clone(), settings.instance_id.clone());
        let member = Self { consumer, topics, instance_id, needs };
        let topics: Vec<&str> = member.topics.iter().map(String::as_str).collect();
        member.consumer.subscribe(&topics).map_err(|error| member.failed(&error, "joining the group"))?;
        Ok(member)
    }

    /// Waits for an event, for at most `bound`.
    ///
    /// # Errors
    ///
    /// When the member cannot continue: fenced by another with its instance id, refused by an ACL, or a topic was deleted.
    pub fn poll(&self, bound: Duration) -> Result<PollEvent<'_>, Error> {
        if let Some(event) = self.rebalance_event() {
            return event;
        }
        match self.consumer.poll(bound) {
            Some(Ok(message)) => {
                let name = message.topic();
                let topic = self.topics.iter().position(|topic| topic == name).unwrap_or(0);
                Ok(PollEvent::Record(ConsumerRecord { message, topic }))
            }
            Some(Err(error)) => self.error_event(&error),
            None => self.rebalance_event().unwrap_or(Ok(PollEvent::Empty)),
        }
    }

    fn rebalance_event(&self) -> Option<Result<PollEvent<'_>, Error>> {
        Some(match self.consumer.context().next_event()? {
            RebalanceEvent::Assigned(partitions, Some(metadata)) => Ok(PollEvent::Assigned(partitions, metadata)),
            RebalanceEvent::Assigned(_, None) => Err(Error::new(Cause::Broken("the client has no group metadata"))),
            RebalanceEvent::Revoked { lost } => Ok(PollEvent::Revoked { lost }),
        })
    }

    fn error_event(&self, error: &KafkaError) -> Result<PollEvent<'_>, Error> {
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            return Err(self.fatal(code, &text));
        }
        let last = || self.consumer.context().context.errors.last().unwrap_or_default();
        match error::kind(error) {
            ErrorKind::Denied => Err(self.failed(error, "consuming")),
            ErrorKind::OutOfRange => Ok(PollEvent::OutOfRange(Error::new(Cause::NextRecordGone(last())))),
            ErrorKind::Missing => Err(Error::new(Cause::TopicGone { message: last(), member: true })),
            kind if kind.is_retriable() || kind == ErrorKind::StaleMember => Ok(PollEvent::Retrying(error.to_string())),
            kind if kind.is_data_error() => Ok(PollEvent::Unreadable(last())),
            _ => Err(self.failed(error, "polling the group")),
        }
    }

    fn fatal(&self, code: Rd, text: &str) -> Error {
        match kind_of(code) {
            ErrorKind::Fenced => Error::fenced(self.instance_id.as_deref(), text),
            ErrorKind::Denied => {
                error::of_code(code, text, "consuming", &self.needs, &self.consumer.context().context.errors)
            }
            _ => Error::new(Cause::Code { code, message: format!("the consumer failed: {text}") }),
        }
    }

    /// Assigns partitions, each from its offset: the answer to an assignment, and also a seek to other offsets.
    ///
    /// # Errors
    ///
    /// When librdkafka rejects the assignment.
    pub fn assign(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), Error> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (TopicPartition { topic, partition }, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| self.failed(&error, "assigning partitions"))?;
        }
        self.consumer.assign(&list).map_err(|error| self.failed(&error, "assigning partitions"))?;
        // librdkafka clears the old positions a moment later, on another thread. Until then `positions` would return them.
        // As nothing is polled here, any position is an old one.
        let cleared = Deadline::after(Duration::from_secs(10));
        while !self.positions()?.is_empty() {
            if cleared.has_passed() {
                return Err(Error::new(Cause::Broken("the client did not clear its old positions")));
            }
            clock::pause(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Unassigns every partition: the answer to a revocation.
    ///
    /// # Errors
    ///
    /// When librdkafka rejects the call.
    pub fn unassign(&self) -> Result<(), Error> {
        self.consumer.unassign().map_err(|error| self.failed(&error, "unassigning partitions"))
    }

    /// Whether others may own the partitions already. The next [`PollEvent::Revoked`] has `lost` set then.
    #[must_use]
    pub fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Pauses fetching, without leaving the group.
    ///
    /// # Errors
    ///
    /// When librdkafka rejects the call.
    pub fn pause(&self) -> Result<(), Error> {
        let assignment = self.consumer.assignment().map_err(|error| self.failed(&error, "pausing"))?;
        self.consumer.pause(&assignment).map_err(|error| self.failed(&error, "pausing"))
    }

    /// Resumes fetching.
    ///
    /// # Errors
    ///
    /// When librdkafka rejects the call.
    pub fn resume(&self) -> Result<(), Error> {
        let assignment = self.consumer.assignment().map_err(|error| self.failed(&error, "resuming"))?;
        self.consumer.resume(&assignment).map_err(|error| self.failed(&error, "resuming"))
    }

    /// The positions of partitions that have been read. They are past transaction markers and aborted records.
    ///
    /// # Errors
    ///
    /// When librdkafka rejects the call.
    pub fn positions(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        let positions = self.consumer.position().map_err(|error| self.failed(&error, "reading positions"))?;
        Ok(positions
            .elements()
            .iter()
            .filter_map(|element| {
                Some((TopicPartition::new(element.topic(), element.partition()), element.offset().to_raw()?))
            })
            .filter(|(_, offset)| *offset >= 0)
            .collect())
    }

    /// Leaves the group. If that takes longer than `bound`, the session timeout ends the membership.
    pub fn close(self, bound: Duration) {
        self.consumer.context().start_closing();
        let (closed, wait) = mpsc::channel();
        let closing = std::thread::Builder::new().name("leave group".to_owned()).spawn(move || {
            drop(self.consumer);
            closed.send(()).unwrap_or_default();
        });
        if closing.is_ok() {
            wait.recv_timeout(bound).unwrap_or_default();
        }
    }

    fn failed(&self, error: &KafkaError, doing: &str) -> Error {
        error::of_call(error, doing, &self.needs, &self.consumer.context().context.errors)
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("topics", &self.topics).finish_non_exhaustive()
    }
}
