//! Owns topics: their names, ids, partitions and configs, and every request about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::Log;

/// What the journal keeps of topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicEntry {}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, another one each time that a topic of this name is created.
    pub id: Uuid,
    /// The configs that were set for it.
    pub overrides: BTreeMap<String, String>,
    /// The logs of its partitions.
    pub logs: Vec<Log>,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, String>,
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
}
