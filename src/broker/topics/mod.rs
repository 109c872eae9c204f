//! Owns topics: their names, ids, partitions and configs, and every request about them.

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

/// All partitions of all topics together may be as many as this: each costs memory, and files of the process.
/// One request of Kafka's may ask for as many.
pub const MAX_PARTITIONS: usize = 10_000;

/// What the journal keeps of topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicEntry {
    /// There is a topic.
    Created {
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// How many partitions it has.
        partitions: usize,
        /// The configs that were set for it.
        #[serde(default, skip_serializing_if = "Overrides::is_empty")]
        overrides: Overrides,
    },
    /// It is gone.
    Deleted {
        /// Its id.
        id: Uuid,
    },
    /// It has more partitions.
    Grown {
        /// Its id.
        id: Uuid,
        /// How many it has in all.
        partitions: usize,
    },
    /// It has other configs.
    Configured {
        /// Its id.
        id: Uuid,
        /// All that are set for it from here on.
        overrides: Overrides,
    },
    /// Records below an offset are gone.
    LogStart {
        /// The topic's id.
        id: Uuid,
        /// The partition.
        partition: usize,
        /// The first offset that can be read.
        offset: i64,
    },
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, another one each time that a topic of this name is created.
    pub id: Uuid,
    /// The configs that were set for it.
    pub overrides: Overrides,
    /// The logs of its partitions.
    pub logs: Vec<Log>,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, String>,
    cleaning: cleanup::CleanupSchedule,
    /// What the journal told, until the logs are opened.
    remembered: BTreeMap<Uuid, recovery::JournaledTopic>,
    /// Topics that are deleted, and whose files may not be.
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

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values()
    }

    /// A partition's log.
    #[must_use]
    pub fn log(&self, topic: &str, partition: i32) -> Option<&Log> {
        self.by_name.get(topic)?.logs.get(usize::try_from(partition).ok()?)
    }

    /// A partition's log, to be written.
    pub fn log_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Log> {
        self.by_name.get_mut(topic)?.logs.get_mut(usize::try_from(partition).ok()?)
    }

    /// All logs, to be written.
    pub fn logs_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.by_name.values_mut().flat_map(|topic| topic.logs.iter_mut())
    }

    /// Everything that a fresh journal must hold.
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

    /// The partitions of all topics.
    fn partitions(&self) -> usize {
        self.by_name.values().map(|topic| topic.logs.len()).sum()
    }

    fn insert(&mut self, topic: Topic) {
        self.names.insert(topic.id, topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    fn remove(&mut self, id: Uuid) -> Option<Topic> {
        self.cleaning.forget(id);
        self.by_name.remove(&self.names.remove(&id)?)
    }
}

/// Why something asked for is not done: Kafka's error, and what its controller would say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiError {
    error: ResponseError,
    message: Option<String>,
}

impl ApiError {
    fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }

    fn text(self) -> Option<StrBytes> {
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

/// What a request that makes no sense gets as a message, where Kafka has no better one.
const INVALID_REQUEST: &str = "This most likely occurs because of a request being malformed by the client library or the message \
                               was sent to an incompatible broker. See the broker logs for more details.";
/// What Kafka says with `UNKNOWN_TOPIC_OR_PARTITION`.
const UNKNOWN_TOPIC: &str = "This server does not host this topic-partition.";
/// What Kafka says with `UNKNOWN_TOPIC_ID`.
const UNKNOWN_TOPIC_ID: &str = "This server does not host this topic ID.";
