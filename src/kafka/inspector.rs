//! Read-only client for metadata: topics, partition counts, topic configs, group members. It never joins a group.

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

/// How long a look-up of leaders may take that only improves an error message.
pub(super) const LEADER_LOOK: Duration = Duration::from_millis(300);

/// How many round trips a new client needs at most until it has an answer of a group's coordinator.
pub(super) const ROUND_TRIPS: u32 = 6;

/// State and members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMembers {
    /// Kafka's name of the state; `Dead` for a group that does not exist.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

/// Topic configs that this program depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// `cleanup.policy`: `delete`, `compact`, or both.
    pub cleanup_policy: String,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u64,
}

impl TopicSettings {
    /// Whether a record may be deleted because a later one has the same key.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.cleanup_policy.split(',').any(|policy| policy.trim() == "compact")
    }
}

/// A client for requests about offsets and metadata.
///
/// It is never closed: closing takes librdkafka 100 ms a client, and a client that joined no group has nothing to
/// close.
pub(super) type Client = ManuallyDrop<Arc<BaseConsumer<Context>>>;

/// Clients for offsets and metadata, which never join their group.
#[derive(Clone)]
pub struct Inspector {
    /// With `read_committed`.
    pub(super) stable: Client,
    /// With `read_uncommitted`.
    pub(super) latest: Client,
    /// For requests to group coordinators: `latest` at first, replaced by a new client when it no longer finds a
    /// coordinator.
    coordinators: Arc<Mutex<Client>>,
    pub(super) context: Context,
    pub(super) connection: Connection,
    pub(super) shutdown: Shutdown,
    pub(super) attempt_timeout: Arc<AttemptTimeout>,
    group_name: String,
    pub(super) group: Permission,
}

impl Inspector {
    /// Creates clients for the offsets of `group`; they send nothing yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](super::ErrorKind) when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, group: &str, shutdown: &Shutdown) -> Result<Self, Error> {
        let context = Context::of_group(connection, group);
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

    /// The same clients for a command that only describes the group: an authorization error then names no other
    /// permission.
    #[must_use]
    pub fn describe_only(mut self) -> Self {
        self.group.operations = vec![Operation::Describe];
        self
    }

    /// The same clients for requests after a stop was requested.
    #[must_use]
    pub fn ignoring_shutdown(&self) -> Self {
        Self { shutdown: Shutdown::default(), ..self.clone() }
    }

    /// The error of a cluster that does not answer, with the last error that the client reported.
    #[must_use]
    pub fn no_answer(&self, doing: &str, message: &str) -> Error {
        self.drain_events();
        error::no_answer(doing, message, &self.context.errors)
    }

    /// The error, replaced by that of a partition of these topics without a leader, if there is one: then nothing can
    /// be read from it or written to it. Looks for a short time only, and returns the error unchanged where the cluster
    /// does not answer.
    #[must_use]
    pub fn name_leaderless(&self, error: Error, topics: &[String]) -> Error {
        let client = Arc::clone(&self.latest);
        let answer = blocking_call::with_timeout(LEADER_LOOK, move || client.fetch_metadata(None, LEADER_LOOK));
        match answer {
            Ok(Some(Ok(metadata))) => leaderless(error, &metadata, |name| topics.iter().any(|topic| topic == name)),
            _ => error,
        }
    }

    /// The same clients for background requests, with an attempt timeout of their own, so that a slow one does not
    /// lengthen the attempts of the others.
    #[must_use]
    pub fn with_own_attempt_timeout(&self) -> Self {
        Self { attempt_timeout: Arc::default(), ..self.clone() }
    }

    /// The same clients with another bound for every wait.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { connection: self.connection.with_timeout(timeout), ..self.clone() }
    }

    /// Every topic that this principal may see, with its partition count, sorted by name.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or stopped. It is the first request of every command, so a wrong
    /// address fails here.
    pub fn topics(&self) -> Result<Vec<(String, i32)>, Error> {
        let doing = format!("asking {} for its topics", self.connection.broker());
        let mut topics = self.metadata(None, &doing, &[])?;
        // A topic whose leader is not elected yet exists.
        topics.retain(|topic| topic.error.is_none_or(|code| code == Rd::LeaderNotAvailable) && topic.partitions > 0);
        let mut topics: Vec<(String, i32)> = topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
        topics.sort();
        Ok(topics)
    }

    /// The partition count of a topic; `None` when it does not exist.
    ///
    /// A list of all topics leaves out those that this principal may not see; a request by name is refused for them.
    /// `operations` are the permissions that such an error names.
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

    /// Sends a request to a group's coordinator until it is answered or the timeout has passed.
    ///
    /// librdkafka caches for minutes which broker coordinates a group. When that broker has left the metadata, it never
    /// connects to it again, and requests to it are never answered (librdkafka 2.12.1, seen after the kill of a
    /// coordinator). A new client has no such cache entry; the old one stays until the process ends, as it still has a
    /// request.
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
            // On a slow cluster, finding, connecting and asking take long, and a new client starts from the beginning.
            if self.responds()
                && asked.elapsed() > look.elapsed() * ROUND_TRIPS
                && let Ok(fresh) = client(&self.connection, &self.context, &self.group_name, "read_uncommitted")
            {
                *locked(&self.coordinators) = lasting(fresh);
                asked.renew();
            }
        })
    }

    /// Sends a request until it is answered or the timeout has passed. For `missing_for` a missing topic counts as one
    /// that was just created.
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
            drain_events: &|| self.drain_events(),
        };
        retry.send(request, attempt, refresh)
    }

    /// Waits until the cluster no longer lists topics whose deletion it accepted: it answers before all its brokers
    /// have applied it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`](super::ErrorKind) when one of them still exists after the timeout.
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

    /// State and members of a group.
    ///
    /// # Errors
    ///
    /// Without an answer of its coordinator within the timeout, or refused.
    pub fn group_members(&self, group: &str) -> Result<GroupMembers, Error> {
        let doing = format!("asking {} for the group's members", self.connection.broker());
        // An error names the permission that the caller needs on the group.
        let description = self.described(&doing, std::slice::from_ref(&self.group), vec![group.to_owned()])?;
        Ok(description.into_iter().next().map_or_else(
            || GroupMembers { state: "Dead".to_owned(), members: Vec::new() },
            |GroupDescription { state, members }| GroupMembers {
                state,
                members: members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect(),
            },
        ))
    }

    /// The largest batch that a topic accepts, in bytes: its `max.message.bytes`.
    ///
    /// # Errors
    ///
    /// As [`Inspector::topic_settings`].
    pub fn max_message_bytes(&self, topic: &str) -> Result<u64, Error> {
        Ok(self.topic_settings(topic)?.max_message_bytes)
    }

    /// A topic's configs. Retries while not every broker knows a topic that was just created.
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
        let missing = |message| Error::new(Cause::Broken(message)).context(&doing);
        let max_message_bytes = bytes.and_then(|bytes| bytes.parse().ok());
        Ok(TopicSettings {
            cleanup_policy: policy.ok_or_else(|| missing("the broker does not report cleanup.policy"))?,
            max_message_bytes: max_message_bytes
                .ok_or_else(|| missing("the broker does not report max.message.bytes"))?,
        })
    }

    /// Polls the clients' queues for errors, which explain a timeout better than the call that timed out.
    pub(super) fn drain_events(&self) {
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

/// The error, replaced by that of the first partition of these topics without a leader.
pub(super) fn leaderless(error: Error, metadata: &Metadata, is_one: impl Fn(&str) -> bool) -> Error {
    let found = metadata.topics().iter().filter(|topic| is_one(topic.name()));
    let mut leaders = found.flat_map(|topic| topic.partitions().iter().map(move |partition| (topic.name(), partition)));
    match leaders.find(|(_, partition)| partition.leader() < 0) {
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

/// A panic of a holder leaves the client intact.
fn locked(client: &Mutex<Client>) -> MutexGuard<'_, Client> {
    client.lock().unwrap_or_else(PoisonError::into_inner)
}

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
