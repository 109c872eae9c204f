//! Topics: names, ids, partitions and configs, and the APIs that read and change them.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::Log;

mod alter_configs;
mod cleanup;
mod configs;
mod create;
mod delete;
mod describe_configs;
mod lifecycle;
mod metadata;
mod names;
mod offsets;
mod recovery;
#[cfg(test)]
pub(super) mod test_support;

pub use configs::Overrides;

/// Maximum number of partitions of all topics together: each costs memory and open files. Apache Kafka has the same
/// limit for one request.
pub const MAX_PARTITIONS: usize = 10_000;

/// Journal entries of topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicEntry {
    /// The topic was created.
    Created {
        /// The topic's id.
        id: Uuid,
        /// The topic's name.
        name: String,
        /// The number of its partitions.
        partitions: usize,
        /// Its config overrides.
        #[serde(default, skip_serializing_if = "Overrides::is_empty")]
        overrides: Overrides,
    },
    /// The topic was deleted.
    Deleted {
        /// The topic's id.
        id: Uuid,
    },
    /// The topic has more partitions.
    Grown {
        /// The topic's id.
        id: Uuid,
        /// The new number of its partitions.
        partitions: usize,
    },
    /// The topic's configs have changed.
    Configured {
        /// The topic's id.
        id: Uuid,
        /// All of its config overrides.
        overrides: Overrides,
    },
    /// The log start offset of a partition has moved.
    LogStart {
        /// The topic's id.
        id: Uuid,
        /// The partition.
        partition: usize,
        /// The new log start offset.
        offset: i64,
    },
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// The name.
    pub name: String,
    /// The id. A topic that is created again under the same name gets a new one.
    pub id: Uuid,
    /// The config overrides.
    pub overrides: Overrides,
    /// The logs of its partitions.
    pub logs: Vec<Log>,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, String>,
    cleanup: cleanup::CleanupSchedule,
    /// Topics read from the journal, until their logs are opened.
    journaled: BTreeMap<Uuid, recovery::JournaledTopic>,
    /// Deleted topics whose files may still exist.
    unremoved: BTreeSet<Uuid>,
}

impl Topics {
    /// The topic of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    /// The topic of this id.
    #[must_use]
    pub fn by_id(&self, id: Uuid) -> Option<&Topic> {
        self.by_name.get(self.names.get(&id)?)
    }

    fn by_id_mut(&mut self, id: Uuid) -> Option<&mut Topic> {
        self.by_name.get_mut(self.names.get(&id)?)
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values()
    }

    /// A partition's log.
    #[must_use]
    pub fn log(&self, topic: &str, partition: i32) -> Option<&Log> {
        self.by_name.get(topic)?.logs.get(usize::try_from(partition).ok()?)
    }

    /// A partition's log, mutable.
    pub fn log_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Log> {
        self.by_name.get_mut(topic)?.logs.get_mut(usize::try_from(partition).ok()?)
    }

    /// All logs, mutable.
    pub fn logs_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.by_name.values_mut().flat_map(|topic| topic.logs.iter_mut())
    }

    /// The entries of a rewritten journal.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TopicEntry> {
        let mut entries = Vec::new();
        for topic in self.by_name.values() {
            entries.push(TopicEntry::Created {
                id: topic.id,
                name: topic.name.clone(),
                partitions: topic.logs.len(),
                overrides: topic.overrides.clone(),
            });
            let starts = topic.logs.iter().map(Log::start_offset).enumerate().filter(|(_, offset)| *offset > 0);
            entries.extend(starts.map(|(partition, offset)| TopicEntry::LogStart { id: topic.id, partition, offset }));
        }
        entries.extend(self.unremoved.iter().map(|id| TopicEntry::Deleted { id: *id }));
        entries
    }

    /// The number of partitions of all topics.
    fn partition_count(&self) -> usize {
        self.by_name.values().map(|topic| topic.logs.len()).sum()
    }

    fn insert(&mut self, topic: Topic) {
        self.names.insert(topic.id, topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    fn remove(&mut self, id: Uuid) -> Option<Topic> {
        self.cleanup.remove(id);
        self.by_name.remove(&self.names.remove(&id)?)
    }
}

/// An error of an API: Kafka's code, and the message that its controller would send.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiError {
    error: ResponseError,
    message: Option<String>,
}

impl ApiError {
    fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }

    fn into_message(self) -> Option<StrBytes> {
        self.message.map(StrBytes::from_string)
    }
}

impl From<ResponseError> for ApiError {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

/// The replicas of every partition.
fn replicas() -> Vec<kafka_protocol::messages::BrokerId> {
    vec![super::core::NODE_ID.into()]
}

/// Kafka's default message for `INVALID_REQUEST`.
const INVALID_REQUEST: &str = "This most likely occurs because of a request being malformed by the client library or the message \
                               was sent to an incompatible broker. See the broker logs for more details.";
/// Kafka's default message for `UNKNOWN_TOPIC_OR_PARTITION`.
const UNKNOWN_TOPIC: &str = "This server does not host this topic-partition.";
/// Kafka's default message for `UNKNOWN_TOPIC_ID`.
const UNKNOWN_TOPIC_ID: &str = "This server does not host this topic ID.";
