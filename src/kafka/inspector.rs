//! Client that looks at a cluster without taking part: topics, partition counts, members of groups.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::metadata::Metadata;

use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::native_groups::GroupDescription;
use super::retry::{AttemptTimeout, Request, Retry};
use super::{TopicPartition, blocking_call, native_admin};
use crate::clock::Deadline;
use crate::shutdown::Shutdown;

/// How long a look at the leaders may take that only makes an error say more.
pub(super) const LEADER_LOOK: Duration = Duration::from_millis(300);

/// How many answers it may take until a client that knows nothing has the one of a group's coordinator.
pub(super) const ROUND_TRIPS: u32 = 6;

/// Whether a group has members, as the broker tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMembers {
    /// The group's state in Kafka's words; `Dead` for a group that does not exist.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

/// What a topic keeps, and how much it takes at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// What becomes of old records: `delete`, `compact`, or both.
    pub cleanup_policy: String,
    /// The largest batch, in bytes.
    pub max_message_bytes: u64,
}

/// A client for requests about offsets and metadata.
///
/// It ends with the process: the library's farewell would take 100 ms a client, and a client that joined nothing has nobody
/// to say it to.
pub(super) type Client = ManuallyDrop<Arc<BaseConsumer<Context>>>;

/// Clients that read offsets and metadata, and never join their group.
#[derive(Clone)]
pub struct Inspector {
    /// Sees what is committed.
    pub(super) stable: Client,
    /// Sees everything.
    pub(super) latest: Client,
    /// Asks coordinators of groups: at first the one above, and a new one where that does not find them any more.
    coordinators: Arc<Mutex<Client>>,
    pub(super) context: Context,
    pub(super) connection: Connection,
    pub(super) shutdown: Shutdown,
    pub(super) attempt_timeout: Arc<AttemptTimeout>,
    group_name: String,
    pub(super) group: Permission,
}

impl Inspector {
    /// A client for the offsets of `group`; nothing is asked of the broker yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](super::ErrorKind) when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, group: &str, shutdown: &Shutdown) -> Result<Self, Error> {
        let context = Context::new(connection);
        let latest = lasting(client(connection, &context, group, "read_uncommitted")?);
        Ok(Self {
            stable: lasting(client(connection, &context, group, "read_committed")?),
            coordinators: Arc::new(Mutex::new(latest.clone())),
            latest,
            context: context.clone(),
            connection: connection.clone(),
            shutdown: shutdown.clone(),
            attempt_timeout: Arc::default(),
            group_name: group.to_owned(),
            group: Permission::group(group, Operation::Read),
        })
    }

    /// The same for a command that only looks at the group: a refusal then asks for no more than that.
    #[must_use]
    pub fn describe_only(mut self) -> Self {
        self.group.operations = vec![Operation::Describe];
        self
    }

    /// The same clients for the last look of a command that was asked to stop.
    #[must_use]
    pub fn ignoring_shutdown(&self) -> Self {
        Self { shutdown: Shutdown::default(), ..self.clone() }
    }

    /// The error of a cluster that does not answer, with what was heard of it last.
    #[must_use]
    pub fn no_answer(&self, doing: &str, words: &str) -> Error {
        self.listen();
        error::no_answer(doing, words, &self.context.errors)
    }

    /// The error; it becomes that of a partition of these topics that has no leader, if there is one: that is why nothing can be
    /// read from it or written to it. Looks for a moment only, and leaves the error as it is where the cluster does not answer.
    #[must_use]
    pub fn name_leaderless(&self, error: Error, topics: &[String]) -> Error {
        let client = Arc::clone(&self.latest);
        let answer = blocking_call::with_timeout(LEADER_LOOK, move || client.fetch_metadata(None, LEADER_LOOK));
        match answer {
            Ok(Some(Ok(metadata))) => leaderless(error, &metadata, |name| topics.iter().any(|topic| topic == name)),
            _ => error,
        }
    }

    /// The same clients for looks beside the work: they find out by themselves how long an answer may take, so that one which
    /// waits does not lengthen the attempts of the others.
    #[must_use]
    pub fn with_own_attempt_timeout(&self) -> Self {
        Self { attempt_timeout: Arc::default(), ..self.clone() }
    }

    /// The same clients with another bound for every wait.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { connection: self.connection.with_timeout(timeout), ..self.clone() }
    }

    /// Every topic that this principal may see, with its partition count, in the order of the names.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, or refused, or stopped: it is the first call of every command, and a wrong
    /// address is noticed here.
    pub fn topics(&self) -> Result<Vec<(String, i32)>, Error> {
        let doing = format!("asking {} for its topics", self.connection.broker());
        let mut topics = self.metadata(None, &doing, &[])?;
        // One that has no leader yet exists.
        topics.retain(|topic| topic.error.is_none_or(|code| code == Rd::LeaderNotAvailable) && topic.partitions > 0);
        let mut topics: Vec<(String, i32)> = topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
        topics.sort();
        Ok(topics)
    }

    /// The partition count of one topic; `None` when there is none of that name.
    ///
    /// A list of all topics leaves out those that this principal may not see. Asked for by name, such a topic is refused;
    /// `operations` are what the refusal names.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, or when an ACL hides the topic.
    pub fn partitions(&self, topic: &str, operations: &[Operation]) -> Result<Option<i32>, Error> {
        let (doing, needs) = (format!("looking for {topic}"), [Permission::topic(topic, operations)]);
        let found = self.metadata(Some(topic), &doing, &needs)?.into_iter().find(|found| found.name == topic);
        let Some(found) = found else { return Ok(None) };
        match found.error {
            Some(code @ Rd::TopicAuthorizationFailed) => {
                Err(error::of_code(code, &code.to_string(), &doing, &needs, &self.context.errors))
            }
            None | Some(Rd::LeaderNotAvailable) if found.partitions > 0 => Ok(Some(found.partitions)),
            _ => Ok(None),
        }
    }

    fn metadata(&self, topic: Option<&str>, doing: &str, needs: &[Permission]) -> Result<Vec<FoundTopic>, Error> {
        let client = Arc::clone(&self.latest);
        let topic = topic.map(str::to_owned);
        self.request(doing, needs, Duration::ZERO, move |bound| {
            client.fetch_metadata(topic.as_deref(), bound).map(|metadata| found_topics(&metadata))
        })
    }

    /// Sends a request to the coordinator of a group until it is answered or the timeout is over.
    ///
    /// The library remembers for minutes which broker coordinates a group. When that broker has left the metadata it is never
    /// connected to again, and requests to it are never answered (librdkafka 2.12.1, seen after the kill of a coordinator). A
    /// new client does not remember it; the old one stays until the process ends, as it still has a request.
    pub(super) fn ask_coordinator<T: Send + 'static>(
        &self,
        doing: &str,
        needs: &[Permission],
        attempt: impl Fn(&BaseConsumer<Context>, Duration) -> Result<T, KafkaError> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let request = Request { doing, needs, missing_for: Duration::ZERO, timeout: self.connection.timeout };
        let coordinators = Arc::clone(&self.coordinators);
        let asks = move |bound| {
            let client = locked(&coordinators).clone();
            attempt(&client, bound)
        };
        let mut asked = Deadline::after(Duration::ZERO);
        self.send(&request, asks, |_| {
            let look = Deadline::after(Duration::ZERO);
            // Looked for, connected to and asked: on a slow cluster that takes long, and a new client has to begin again.
            if self.responds()
                && asked.elapsed() > look.elapsed() * ROUND_TRIPS
                && let Ok(fresh) = client(&self.connection, &self.context, &self.group_name, "read_uncommitted")
            {
                *locked(&self.coordinators) = lasting(fresh);
                asked.renew();
            }
        })
    }

    /// Sends a request until it is answered or the timeout is over; `missing_for` is how long what is missing may be
    /// something that was just made.
    pub(super) fn request<T: Send + 'static>(
        &self,
        doing: &str,
        needs: &[Permission],
        missing_for: Duration,
        attempt: impl Fn(Duration) -> Result<T, KafkaError> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let request = Request { doing, needs, missing_for, timeout: self.connection.timeout };
        self.send(&request, attempt, |_| {})
    }

    pub(super) fn send<T: Send + 'static>(
        &self,
        request: &Request<'_>,
        attempt: impl Fn(Duration) -> Result<T, KafkaError> + Clone + Send + 'static,
        refresh: impl FnMut(Duration),
    ) -> Result<T, Error> {
        let retry = Retry {
            connection: &self.connection,
            log: &self.context.errors,
            attempt_timeout: &self.attempt_timeout,
            shutdown: &self.shutdown,
            listen: &|| self.listen(),
        };
        retry.send(request, attempt, refresh)
    }

    /// Waits until the cluster no longer names topics whose deletion it has accepted: it answers before each of its brokers
    /// has heard of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`](super::ErrorKind) when one of them is still there after the timeout.
    pub fn wait_deleted(&self, topics: &[String]) -> Result<(), Error> {
        let deadline = Deadline::after(self.connection.timeout);
        while let Some((left, _)) = self.topics()?.into_iter().find(|(name, _)| topics.contains(name)) {
            if deadline.has_passed() {
                return Err(Error::new(Cause::TopicStillExists(left)));
            }
            Error::check(&self.shutdown)?;
            self.shutdown.pause(Duration::from_millis(20).min(deadline.remaining()));
        }
        Ok(())
    }

    /// Whether the group has members.
    ///
    /// # Errors
    ///
    /// Without an answer of its coordinator within the timeout, or refused.
    pub fn group_members(&self, group: &str) -> Result<GroupMembers, Error> {
        let doing = format!("asking {} for the group's members", self.connection.broker());
        // What the group is wanted for is what a refusal names.
        let description = self.described(&doing, std::slice::from_ref(&self.group), vec![group.to_owned()])?;
        Ok(description.into_iter().next().map_or_else(
            || GroupMembers { state: "Dead".to_owned(), members: Vec::new() },
            |GroupDescription { state, members }| GroupMembers {
                state,
                members: members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect(),
            },
        ))
    }

    /// The largest batch that a topic takes, in bytes: its `max.message.bytes`.
    ///
    /// # Errors
    ///
    /// As [`Inspector::topic_settings`].
    pub fn max_message_bytes(&self, topic: &str) -> Result<u64, Error> {
        Ok(self.topic_settings(topic)?.max_message_bytes)
    }

    /// A topic's settings. A topic that was just made may not be known to every broker yet, and is asked for again.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or for a missing topic.
    pub fn topic_settings(&self, topic: &str) -> Result<TopicSettings, Error> {
        let needs = [Permission::topic(topic, &[Operation::DescribeConfigs])];
        let doing = format!("reading the settings of {topic}");
        let (client, topic) = (Arc::clone(&self.latest), topic.to_owned());
        let [policy, bytes] = self.request(&doing, &needs, self.connection.timeout, move |bound| {
            let names = ["cleanup.policy", "max.message.bytes"];
            native_admin::topic_settings(client.client().native_ptr(), &topic, names, bound)
                .map_err(KafkaError::AdminOp)
        })?;
        let untold = |words| Error::new(Cause::Broken(words)).context(&doing);
        let max_message_bytes = bytes.and_then(|bytes| bytes.parse().ok());
        Ok(TopicSettings {
            cleanup_policy: policy.ok_or_else(|| untold("the broker does not tell cleanup.policy"))?,
            max_message_bytes: max_message_bytes.ok_or_else(|| untold("the broker does not tell max.message.bytes"))?,
        })
    }

    /// What the clients have heard meanwhile waits in their queues: it explains a time-out better than the call can.
    pub(super) fn listen(&self) {
        let coordinators = locked(&self.coordinators).clone();
        for client in [&self.stable, &self.latest, &coordinators] {
            for _ in 0..100 {
                if client.poll(Duration::ZERO).is_none() {
                    break;
                }
            }
        }
    }
}

/// The error; it becomes that of the first partition of these topics that has no leader.
pub(super) fn leaderless(error: Error, metadata: &Metadata, is_one: impl Fn(&str) -> bool) -> Error {
    let found = metadata.topics().iter().filter(|topic| is_one(topic.name()));
    let mut places = found.flat_map(|topic| topic.partitions().iter().map(move |partition| (topic.name(), partition)));
    match places.find(|(_, partition)| partition.leader() < 0) {
        Some((topic, partition)) => error.without_leader(TopicPartition::new(topic, partition.id())),
        None => error,
    }
}

/// A client for requests about a group that it does not join.
pub(super) fn client(
    connection: &Connection,
    context: &Context,
    group: &str,
    isolation: &str,
) -> Result<BaseConsumer<Context>, Error> {
    connection
        .client_config(&[
            ("group.id", group),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("allow.auto.create.topics", "false"),
        ])
        .create_with_context(context.clone())
        .map_err(|error| error::configuration(&error).of(&context.errors.connection))
}

fn lasting(client: BaseConsumer<Context>) -> Client {
    ManuallyDrop::new(Arc::new(client))
}

/// A panic while it was held leaves a client that is as good as before.
fn locked(client: &Mutex<Client>) -> MutexGuard<'_, Client> {
    client.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A topic as the metadata tells it.
struct FoundTopic {
    name: String,
    partitions: i32,
    error: Option<Rd>,
}

fn found_topics(metadata: &Metadata) -> Vec<FoundTopic> {
    let found = |topic: &rdkafka::metadata::MetadataTopic| FoundTopic {
        name: topic.name().to_owned(),
        partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
        error: topic.error().map(Rd::from),
    };
    metadata.topics().iter().map(found).collect()
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").field("timeout", &self.connection.timeout).finish_non_exhaustive()
    }
}
