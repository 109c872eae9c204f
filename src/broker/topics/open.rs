//! Owns how topics come back after a start: what the journal remembers, their logs, and folders that nobody remembers.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use super::super::core::{Core, Storage};
use super::super::directory::TOPICS;
use super::super::journal::JournalError;
use super::super::log::{Log, LogSettings};
use super::super::notice::Notice;
use super::change::remove_topic;
use super::{Overrides, Topic, TopicEntry, Topics, configs};

/// A topic as the journal tells of it.
#[derive(Debug)]
pub(super) struct Remembered {
    name: String,
    partitions: usize,
    overrides: Overrides,
    starts: BTreeMap<usize, i64>,
}

impl Topics {
    /// Takes in what the journal remembers; the logs are opened when all of it is read.
    pub fn restore(&mut self, entry: TopicEntry) {
        let topics = &mut self.remembered;
        match entry {
            TopicEntry::Created { id, name, partitions, overrides } => {
                topics.insert(id, Remembered { name, partitions, overrides, starts: BTreeMap::new() });
            }
            TopicEntry::Deleted { id } => {
                topics.remove(&id);
            }
            TopicEntry::Grown { id, partitions } => {
                if let Some(topic) = topics.get_mut(&id) {
                    topic.partitions = partitions;
                }
            }
            TopicEntry::Configured { id, overrides } => {
                if let Some(topic) = topics.get_mut(&id) {
                    topic.overrides = overrides;
                }
            }
            TopicEntry::LogStart { id, partition, offset } => {
                if let Some(topic) = topics.get_mut(&id) {
                    topic.starts.insert(partition, offset);
                }
            }
        }
    }
}

impl Core {
    /// Opens the logs of all topics that the journal remembers, and removes the folders of others: the process ended between the
    /// journal's line and the removal, or a topic could not be made.
    ///
    /// # Errors
    ///
    /// When a log cannot be read or written.
    pub(in super::super) fn open_topics(&mut self, now: i64) -> Result<(), JournalError> {
        self.remove_strangers();
        for (id, topic) in std::mem::take(&mut self.topics.remembered) {
            let settings = configs::log_settings(&topic.overrides);
            let mut logs = Vec::with_capacity(topic.partitions);
            for partition in 0..topic.partitions {
                let start = topic.starts.get(&partition).copied().unwrap_or_default();
                let log = self.open_log(id, partition, settings.clone(), start, now).map_err(|source| {
                    let path = self.topic_folder(id).map_or_else(PathBuf::new, |it| it.path_of(&partition.to_string()));
                    JournalError::Storage { path, source }
                })?;
                logs.push(log);
            }
            self.take_in(Topic { name: topic.name, id, overrides: topic.overrides, logs }, now);
        }
        Ok(())
    }

    pub(super) fn open_log(
        &mut self,
        topic: Uuid,
        partition: usize,
        settings: LogSettings,
        start: i64,
        now: i64,
    ) -> io::Result<Log> {
        let partition = i32::try_from(partition).map_err(io::Error::other)?;
        let storage = self.log_storage(topic, partition);
        Log::open(&storage, settings, start, now, &mut self.notices)
    }

    /// Only what is named like a topic's folder is looked at.
    fn remove_strangers(&mut self) {
        let Storage::Folder(folder) = &self.storage else { return };
        // Before the first topic there is no such folder.
        let folder = folder.child(TOPICS);
        let Ok(names) = folder.names() else { return };
        for name in names {
            let Some(id) = name.to_str().and_then(|name| Uuid::try_parse(name).ok()) else { continue };
            if self.topics.remembered.contains_key(&id) {
                continue;
            }
            let folder = folder.child(name);
            if let Err(error) = remove_topic(&folder) {
                let what = format!("{} belongs to no topic and cannot be removed: {error}", folder.path().display());
                self.notices.push(Notice::Trouble { what });
            }
        }
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
