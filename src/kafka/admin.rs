//! Admin client: creates and deletes topics.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::acl::{Operation, Permission};
use super::client_context::Context;
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::retry::{AttemptTimeout, Request, Retry};
use super::{blocking_call, native_admin};
use crate::shutdown::Shutdown;

/// A topic to create.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    /// Topic configs that differ from the broker's defaults.
    pub settings: Vec<(String, String)>,
}

/// The most characters of a broker's error message that are shown.
const LONGEST_REFUSAL: usize = 500;

/// The result for each name, in the order of the request.
type Answers = Vec<(String, Result<(), Rd>)>;

/// An admin client.
///
/// It is never closed: closing takes librdkafka 100 ms, and the process ends soon after.
pub struct Admin {
    client: ManuallyDrop<Arc<AdminClient<Context>>>,
    context: Context,
    connection: Connection,
    runtime: tokio::runtime::Handle,
    shutdown: Shutdown,
    attempt_timeout: AttemptTimeout,
}

impl Admin {
    /// Creates a client; its requests run on the given runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](super::ErrorKind) when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, runtime: &tokio::runtime::Handle, shutdown: &Shutdown) -> Result<Self, Error> {
        let context = Context::new(connection);
        let client = connection
            .client_config(&[])
            .create_with_context(context.clone())
            .map_err(|error| error::configuration(&error).of(&context.errors.connection))?;
        Ok(Self {
            client: ManuallyDrop::new(Arc::new(client)),
            context,
            connection: connection.clone(),
            runtime: runtime.clone(),
            shutdown: shutdown.clone(),
            attempt_timeout: AttemptTimeout::default(),
        })
    }

    /// Creates topics with the broker's default replication factor. Existing topics are left as they are.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, or refused.
    pub fn create(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        let (client, runtime, wanted) = (Arc::clone(&self.client), self.runtime.clone(), topics.to_vec());
        let answers = self.send("creating topics", move |bound| {
            let new: Vec<NewTopic<'_>> = wanted
                .iter()
                .map(|topic| {
                    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
                    topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
                })
                .collect();
            runtime.block_on(client.create_topics(&new, &options(bound)))
        })?;
        for (name, answer) in answers {
            match answer {
                Ok(()) | Err(Rd::TopicAlreadyExists) => {}
                Err(code) if kind_of(code) == ErrorKind::Misconfigured => {
                    let partitions = topics.iter().find(|topic| topic.name == name).map_or(1, |topic| topic.partitions);
                    let cause = Cause::TopicRefused { code, message: self.refusal(code, &name, partitions) };
                    return Err(Error::new(cause).context(format!("creating the topic {name}")));
                }
                Err(code) => {
                    let needs = [Permission::topic(&name, &[Operation::Create])];
                    return Err(self.failed(code, &format!("creating the topic {name}"), &needs));
                }
            }
        }
        Ok(())
    }

    /// Deletes topics with their records. Missing topics are ignored.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or [`ErrorKind::Conflict`](super::ErrorKind) where
    /// `delete.topic.enable` is false.
    pub fn delete_topics(&self, topics: &[String]) -> Result<(), Error> {
        if topics.is_empty() {
            return Ok(());
        }
        let (client, runtime, wanted) = (Arc::clone(&self.client), self.runtime.clone(), topics.to_vec());
        let answers = self.send("deleting topics", move |bound| {
            let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
            runtime.block_on(client.delete_topics(&names, &options(bound)))
        })?;
        for (name, answer) in answers {
            match answer {
                Ok(()) | Err(Rd::UnknownTopicOrPartition | Rd::UnknownTopic) => {}
                Err(Rd::TopicDeletionDisabled) => return Err(Error::new(Cause::TopicDeletionDisabled(name))),
                Err(code) => {
                    let needs = [Permission::topic(&name, &[Operation::Delete])];
                    return Err(self.failed(code, &format!("deleting the topic {name}"), &needs));
                }
            }
        }
        Ok(())
    }

    /// Sends a request until no topic has a retriable error. Repeating is safe: a topic that an earlier attempt created
    /// or deleted gives an error code that the callers accept.
    fn send(
        &self,
        doing: &str,
        attempt: impl Fn(Duration) -> Result<Vec<Result<String, (String, Rd)>>, KafkaError> + Clone + Send + 'static,
    ) -> Result<Answers, Error> {
        let retry = Retry {
            connection: &self.connection,
            log: &self.context.errors,
            attempt_timeout: &self.attempt_timeout,
            shutdown: &self.shutdown,
            // The rdkafka crate polls this client on its own thread.
            drain_events: &|| {},
        };
        let request = Request { doing, needs: &[], missing_for: Duration::ZERO, timeout: self.connection.timeout };
        let attempt = move |bound| {
            let answers = attempt(bound)?.into_iter().map(|answer| match answer {
                Ok(name) => Ok((name, Ok(()))),
                Err((_, code)) if kind_of(code).is_retriable() => Err(KafkaError::AdminOp(code)),
                Err((name, code)) => Ok((name, Err(code))),
            });
            answers.collect()
        };
        retry.send(&request, attempt, |_| {})
    }

    /// The broker's message about a topic that it refuses to create, as one line of limited length; the code where it
    /// sends no message.
    fn refusal(&self, code: Rd, topic: &str, partitions: i32) -> String {
        let client = Arc::clone(&self.client);
        let (topic, bound) = (topic.to_owned(), self.connection.timeout);
        let asked = blocking_call::with_timeout(bound, move || {
            native_admin::topic_validation_error(client.inner().native_ptr(), &topic, partitions, bound)
        });
        match asked {
            Ok(Some(Some(message))) => {
                message.chars().map(|one| if one.is_control() { ' ' } else { one }).take(LONGEST_REFUSAL).collect()
            }
            _ => code.to_string(),
        }
    }

    fn failed(&self, code: Rd, doing: &str, needs: &[Permission]) -> Error {
        error::of_code(code, &code.to_string(), doing, needs, &self.context.errors)
    }
}

fn options(bound: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(bound)).operation_timeout(Some(bound))
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
