//! Owns membership in a consumer group: records, and rebalances handed to the caller instead of being dealt with here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::{Connection, POLL_INTERVAL};
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::headers::RecordHeaders;
use super::{TopicPartition, native};
use crate::clock::{self, Deadline};

/// How long a member waits for its leave to be heard.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where the cluster did not answer just before.
pub const CLOSE_TIMEOUT_IN_OUTAGE: Duration = Duration::from_millis(500);

/// Which group to join, and as whom.
#[derive(Debug, Clone)]
pub struct MemberSettings {
    /// The group.
    pub group: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The topics to subscribe to.
    pub topics: Vec<String>,
    /// `session.timeout.ms`, where the user sets no other.
    pub session_timeout: Duration,
}

/// A member's identity and generation, taken when it was assigned its partitions.
///
/// Taken later it may belong to a newer generation, or to no member at all, and a transaction would be accepted in the
/// name of somebody who no longer owns the partitions.
#[derive(Clone)]
pub struct GroupMetadata {
    native: Arc<ConsumerGroupMetadata>,
    group: Arc<str>,
    member_id: Option<Arc<str>>,
}

impl GroupMetadata {
    pub(super) fn native(&self) -> &ConsumerGroupMetadata {
        &self.native
    }

    /// The id that the group's coordinator gave the member.
    #[must_use]
    pub fn member_id(&self) -> Option<&str> {
        self.member_id.as_deref()
    }

    /// The group's name.
    pub(super) fn group(&self) -> &str {
        &self.group
    }
}

impl std::fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupMetadata")
    }
}

/// What a poll brought.
#[derive(Debug)]
pub enum PollEvent<'a> {
    /// A record of an assigned partition.
    Record(ConsumerRecord<'a>),
    /// The group gave this member partitions; it reads nothing until [`Member::assign`].
    Assigned(Vec<TopicPartition>, GroupMetadata),
    /// The group takes every partition back, and waits for [`Member::unassign`]; `lost` when others may own them already.
    Revoked {
        /// Whether the membership itself is gone.
        lost: bool,
    },
    /// Nothing within the time given.
    Empty,
    /// The client cannot reach its brokers at the moment, and keeps trying.
    Retrying(String),
    /// Something of what was fetched cannot be read; the library does not say of which partition, and may go on behind it.
    /// Nothing that comes counts until [`Member::assign`].
    Unreadable(String),
    /// The client finds that a log has not what comes next, or no longer what was read, and reads nothing of it until
    /// [`Member::assign`]. It may be wrong while leaders move; otherwise this is the error.
    OutOfRange(Error),
}

/// A record, borrowed from the client.
#[derive(Debug)]
pub struct ConsumerRecord<'a> {
    message: BorrowedMessage<'a>,
    /// Place of its topic in [`MemberSettings::topics`].
    pub topic: usize,
}

impl ConsumerRecord<'_> {
    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.message.partition()
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.message.offset()
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.message.payload()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> RecordHeaders<'_> {
        RecordHeaders::of(&self.message)
    }

    /// Its timestamp in milliseconds since the epoch.
    #[must_use]
    pub fn timestamp_millis(&self) -> Option<i64> {
        self.message.timestamp().to_millis()
    }
}

enum GroupEvent {
    Assigned(Vec<TopicPartition>, Option<GroupMetadata>),
    Revoked { lost: bool },
}

struct MemberContext {
    context: Context,
    events: Mutex<VecDeque<GroupEvent>>,
    closing: AtomicBool,
    group: Arc<str>,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for MemberContext {
    /// Remembers what the group wants; the loop answers with `assign` or `unassign` when its transaction allows it.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Relaxed) {
            // A member that closes must answer at once, or the close never ends.
            drop(consumer.unassign());
            return;
        }
        let event = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = partitions
                .elements()
                .iter()
                .map(|place| TopicPartition::new(place.topic(), place.partition()))
                .collect();
            let metadata = consumer.group_metadata();
            let metadata = metadata.map(|metadata| GroupMetadata {
                native: Arc::new(metadata),
                group: Arc::clone(&self.group),
                member_id: native::member_id(consumer.client().native_ptr()).map(Arc::from),
            });
            GroupEvent::Assigned(assigned, metadata)
        } else {
            GroupEvent::Revoked { lost: consumer.assignment_lost() }
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

/// A member of a consumer group.
pub struct Member {
    consumer: BaseConsumer<MemberContext>,
    topics: Vec<String>,
    instance_id: Option<String>,
    /// What membership and reading need.
    needs: Vec<Permission>,
}

impl Member {
    /// Subscribes; the group's answer comes as [`PollEvent::Assigned`].
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka refuses the configuration.
    pub fn join(connection: &Connection, settings: &MemberSettings) -> Result<Self, Error> {
        let (session, poll_interval) =
            (settings.session_timeout.as_millis().to_string(), POLL_INTERVAL.as_millis().to_string());
        let mut config = connection.client_config_with(
            &[
                ("session.timeout.ms", &session),
                ("heartbeat.interval.ms", "3000"),
                ("max.poll.interval.ms", &poll_interval),
                // The default idles for a second once a fast reader has drained the queue.
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
        let context = MemberContext {
            context: Context::new(connection),
            events: Mutex::default(),
            closing: AtomicBool::new(false),
            group: settings.group.as_str().into(),
        };
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

    /// Waits for something to happen, for at most `bound`.
    ///
    /// # Errors
    ///
    /// When the member cannot go on: fenced by another with its instance id, refused by an ACL, or its next offset is
    /// gone from the log.
    pub fn poll(&self, bound: Duration) -> Result<PollEvent<'_>, Error> {
        if let Some(event) = self.event() {
            return event;
        }
        match self.consumer.poll(bound) {
            Some(Ok(message)) => {
                let name = message.topic();
                let topic = self.topics.iter().position(|topic| topic == name).unwrap_or(0);
                Ok(PollEvent::Record(ConsumerRecord { message, topic }))
            }
            Some(Err(error)) => self.trouble(&error),
            None => self.event().unwrap_or(Ok(PollEvent::Empty)),
        }
    }

    fn event(&self) -> Option<Result<PollEvent<'_>, Error>> {
        let event = self.consumer.context().events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        Some(match event {
            GroupEvent::Assigned(partitions, Some(metadata)) => Ok(PollEvent::Assigned(partitions, metadata)),
            GroupEvent::Assigned(_, None) => Err(Error::new(Cause::Broken("the client has no group metadata"))),
            GroupEvent::Revoked { lost } => Ok(PollEvent::Revoked { lost }),
        })
    }

    fn trouble(&self, error: &KafkaError) -> Result<PollEvent<'_>, Error> {
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            return Err(self.fatal(code, &text));
        }
        let last = || self.consumer.context().context.errors.last().unwrap_or_default();
        match error::kind(error) {
            ErrorKind::Denied => Err(self.failed(error, "consuming")),
            ErrorKind::OutOfRange => Ok(PollEvent::OutOfRange(Error::new(Cause::NextRecordGone(last())))),
            ErrorKind::Missing => Err(Error::new(Cause::TopicGone { words: last(), member: true })),
            kind if kind.is_retriable() || kind == ErrorKind::StaleMember => Ok(PollEvent::Retrying(error.to_string())),
            kind if kind.is_data_error() => Ok(PollEvent::Unreadable(last())),
            _ => Err(self.failed(error, "taking part in the group")),
        }
    }

    fn fatal(&self, code: Rd, text: &str) -> Error {
        match kind_of(code) {
            ErrorKind::Fenced => Error::fenced(self.instance_id.as_deref(), text),
            ErrorKind::Denied => {
                error::of_code(code, text, "consuming", &self.needs, &self.consumer.context().context.errors)
            }
            _ => Error::new(Cause::Code { code, words: format!("the consumer failed: {text}") }),
        }
    }

    /// Answers an assignment: reads each partition from its offset on. Also goes back to earlier offsets.
    ///
    /// # Errors
    ///
    /// When the client refuses the assignment.
    pub fn assign(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), Error> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (TopicPartition { topic, partition }, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| self.failed(&error, "assigning partitions"))?;
        }
        self.consumer.assign(&list).map_err(|error| self.failed(&error, "assigning partitions"))?;
        // The client forgets the old positions a moment later, on a thread of its own. Until then they would be taken
        // for what was read since; and as nothing is polled meanwhile, none can be new.
        let forgotten = Deadline::after(Duration::from_secs(10));
        while !self.positions()?.is_empty() {
            if forgotten.has_passed() {
                return Err(Error::new(Cause::Broken("the client did not let go of its old positions")));
            }
            clock::pause(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Answers a revocation: the group may give the partitions to others.
    ///
    /// # Errors
    ///
    /// When the client refuses.
    pub fn unassign(&self) -> Result<(), Error> {
        self.consumer.unassign().map_err(|error| self.failed(&error, "giving partitions back"))
    }

    /// Whether others may own the partitions already, which the next [`PollEvent::Revoked`] is going to tell.
    #[must_use]
    pub fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Stops fetching, and stays a member.
    ///
    /// # Errors
    ///
    /// When the client refuses.
    pub fn pause(&self) -> Result<(), Error> {
        let assignment = self.consumer.assignment().map_err(|error| self.failed(&error, "pausing"))?;
        self.consumer.pause(&assignment).map_err(|error| self.failed(&error, "pausing"))
    }

    /// Fetches again.
    ///
    /// # Errors
    ///
    /// When the client refuses.
    pub fn resume(&self) -> Result<(), Error> {
        let assignment = self.consumer.assignment().map_err(|error| self.failed(&error, "resuming"))?;
        self.consumer.resume(&assignment).map_err(|error| self.failed(&error, "resuming"))
    }

    /// Where this member's reading stands, markers and aborted records behind it included, for partitions that have
    /// been read from.
    ///
    /// # Errors
    ///
    /// When the client refuses.
    pub fn positions(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        let positions = self.consumer.position().map_err(|error| self.failed(&error, "reading positions"))?;
        Ok(positions
            .elements()
            .iter()
            .filter_map(|place| Some((TopicPartition::new(place.topic(), place.partition()), place.offset().to_raw()?)))
            .filter(|(_, offset)| *offset >= 0)
            .collect())
    }

    /// Leaves the group, or gives up waiting for that after a while: the session's timeout does the rest.
    pub fn close(self, bound: Duration) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        let (done, ended) = mpsc::channel();
        let closing = std::thread::Builder::new().name("leave group".to_owned()).spawn(move || {
            drop(self.consumer);
            done.send(()).unwrap_or_default();
        });
        if closing.is_ok() {
            ended.recv_timeout(bound).unwrap_or_default();
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
