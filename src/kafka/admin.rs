//! Client that creates and deletes topics.

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

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Its partition count.
    pub partitions: i32,
    /// Its own settings, beside the broker's defaults.
    pub settings: Vec<(String, String)>,
}

/// The most characters of a broker's words that are told.
const LONGEST_REFUSAL: usize = 500;

/// What the cluster answered for each name, in their order.
type Answers = Vec<(String, Result<(), Rd>)>;

/// A client for the cluster's administration.
///
/// It ends with the process, as the library's farewell would take 100 ms; a command opens one or two.
pub struct Admin {
    client: ManuallyDrop<Arc<AdminClient<Context>>>,
    context: Context,
    connection: Connection,
    runtime: tokio::runtime::Handle,
    shutdown: Shutdown,
    attempt_timeout: AttemptTimeout,
}

impl Admin {
    /// A client on the given runtime, which drives its waits.
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

    /// Makes topics with the broker's default replication; one that exists already is left as it is.
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
                    let cause = Cause::TopicRefused { code, words: self.refusal(code, &name, partitions) };
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

    /// Deletes topics with everything on them; one that is not there is none of its business.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or [`ErrorKind::Conflict`](super::ErrorKind) when this cluster deletes no topics at all.
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

    /// Sends a request until no answer to it is one that passes. Each of these requests may be sent again: what an earlier
    /// attempt has done is told by a code of its own.
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
            // The crate's own thread serves this client.
            listen: &|| {},
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

    /// What the broker says about a topic that it does not make; the code where it says nothing. Whatever it says is a line,
    /// and has an end.
    fn refusal(&self, code: Rd, topic: &str, partitions: i32) -> String {
        let client = Arc::clone(&self.client);
        let (topic, bound) = (topic.to_owned(), self.connection.timeout);
        let asked = blocking_call::with_timeout(bound, move || {
            native_admin::topic_validation_error(client.inner().native_ptr(), &topic, partitions, bound)
        });
        match asked {
            Ok(Some(Some(words))) => {
                words.chars().map(|one| if one.is_control() { ' ' } else { one }).take(LONGEST_REFUSAL).collect()
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
