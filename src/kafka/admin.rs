//! Owns making topics, reading what they were made with, and their end.

use std::mem::ManuallyDrop;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::Ear;
use super::connection::Connection;
use super::denial::{Operation, Right};
use super::error;
use crate::exit::{Code, Failure};

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct TopicFacts {
    /// Its name.
    pub name: String,
    /// Its partition count.
    pub partitions: i32,
    /// Its own settings, beside the broker's defaults.
    pub settings: Vec<(String, String)>,
}

/// What became of the wish to delete a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEnd {
    /// It is gone, or was not there.
    Gone,
    /// It has members, and stays.
    HasMembers,
}

/// A client for the cluster's administration.
///
/// It ends with the process, as the library's farewell would take 100 ms; a command opens one or two.
pub struct Admin {
    pub(super) client: ManuallyDrop<AdminClient<Ear>>,
    pub(super) ear: Ear,
    pub(super) timeout: Duration,
    pub(super) runtime: tokio::runtime::Handle,
}

impl Admin {
    /// A client on the given runtime, which drives its waits.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka refuses the configuration.
    pub fn open(connection: &Connection, runtime: &tokio::runtime::Handle) -> Result<Self, Failure> {
        let ear = Ear::new(connection);
        let client =
            connection.client(&[]).create_with_context(ear.clone()).map_err(|error| error::configuration(&error))?;
        Ok(Self { client: ManuallyDrop::new(client), ear, timeout: connection.timeout, runtime: runtime.clone() })
    }

    /// Makes topics with the broker's default replication; one that exists already is left as it is.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn create(&self, topics: &[TopicFacts]) -> Result<(), Failure> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
                topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let results = self
            .runtime
            .block_on(self.client.create_topics(&new, &self.options()))
            .map_err(|error| error::failure(&error, "creating topics", &self.ear.seen))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let failure = KafkaError::AdminOp(code);
                    let needs = [Right::topic(&name, &[Operation::Create])];
                    return Err(error::failure_of(
                        &failure,
                        &format!("creating the topic {name}"),
                        &needs,
                        &self.ear.seen,
                    ));
                }
            }
        }
        Ok(())
    }

    /// A topic's effective setting.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, Failure> {
        let resource = ResourceSpecifier::Topic(topic);
        let results = self
            .runtime
            .block_on(self.client.describe_configs([&resource], &self.options()))
            .map_err(|error| error::failure(&error, &format!("reading the settings of {topic}"), &self.ear.seen))?;
        match results.into_iter().next() {
            // Every topic has settings: the crate drops the refusal that came in their place.
            Some(Ok(resource)) if resource.entries.is_empty() => {
                let refused = rdkafka::error::KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed);
                let needs = [Right::topic(topic, &[Operation::DescribeConfigs])];
                Err(error::failure_of(&refused, &format!("reading the settings of {topic}"), &needs, &self.ear.seen))
            }
            Some(Ok(resource)) => Ok(resource.get(name).and_then(|entry| entry.value.clone())),
            Some(Err(code)) => {
                let failure = KafkaError::AdminOp(code);
                let needs = [Right::topic(topic, &[Operation::DescribeConfigs])];
                Err(error::failure_of(&failure, &format!("reading the settings of {topic}"), &needs, &self.ear.seen))
            }
            None => Err(Failure::new(Code::Unexpected, format!("the broker told nothing about {topic}"))),
        }
    }

    /// Deletes topics with everything on them; one that is not there is none of its business.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses, 7 when it deletes no topics
    /// at all.
    pub fn delete_topics(&self, topics: &[String]) -> Result<(), Failure> {
        if topics.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let results = self
            .runtime
            .block_on(self.client.delete_topics(&names, &self.options()))
            .map_err(|error| error::failure(&error, "deleting topics", &self.ear.seen))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {}
                Err((name, RDKafkaErrorCode::TopicDeletionDisabled)) => {
                    return Err(Failure::new(Code::Refused, format!("this broker deletes no topics: {name} stays"))
                        .hint("it runs with delete.topic.enable=false; set that to true, or use a fresh --prefix"));
                }
                Err((name, code)) => {
                    let needs = [Right::topic(&name, &[Operation::Delete])];
                    return Err(self.failed_of(code, &format!("deleting the topic {name}"), &needs));
                }
            }
        }
        Ok(())
    }

    /// Deletes groups, and what became of each in their order: the broker leaves one that has members as it is.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn delete_groups(&self, groups: &[String]) -> Result<Vec<GroupEnd>, Failure> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let results = self
            .runtime
            .block_on(self.client.delete_groups(&names, &self.options()))
            .map_err(|error| error::failure(&error, "deleting groups", &self.ear.seen))?;
        // The answers come in any order.
        let end = |wanted: &String| {
            let code = results.iter().find_map(|result| match result {
                Err((name, code)) if name == wanted => Some(*code),
                _ => None,
            });
            match code {
                None | Some(RDKafkaErrorCode::GroupIdNotFound) => Ok(GroupEnd::Gone),
                Some(RDKafkaErrorCode::NonEmptyGroup) => Ok(GroupEnd::HasMembers),
                Some(code) => {
                    let needs = [Right::group(wanted, Operation::Delete)];
                    Err(self.failed_of(code, &format!("deleting the group {wanted}"), &needs))
                }
            }
        };
        groups.iter().map(end).collect()
    }

    fn failed_of(&self, code: RDKafkaErrorCode, doing: &str, needs: &[Right]) -> Failure {
        error::failure_of(&KafkaError::AdminOp(code), doing, needs, &self.ear.seen)
    }

    pub(super) fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
