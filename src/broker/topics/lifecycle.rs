//! Topic lifecycle: create, add partitions, configure, delete. Each change goes to the journal first, then to the logs,
//! then to memory.

use std::ops::Range;

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::super::core::Core;
use super::super::directory::Directory;
use super::super::events::BrokerEvent;
use super::super::journal::JournalEntry;
use super::super::log::{Log, remove_files};
use super::{Overrides, Topic, TopicEntry, configs};

impl Core {
    /// Creates a topic. The caller has validated the request.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic then does not exist.
    pub(super) fn make_topic(
        &mut self,
        name: &str,
        partitions: usize,
        overrides: Overrides,
        now: i64,
    ) -> Result<Uuid, ResponseError> {
        let id = new_id();
        let created = TopicEntry::Created { id, name: name.to_owned(), partitions, overrides: overrides.clone() };
        self.record(&[JournalEntry::Topic(created)])?;
        let logs = match self.open_logs(id, 0..partitions, &overrides, now) {
            Ok(logs) => logs,
            Err(error) => {
                if !self.remove_directory(id) {
                    self.topics.unremoved.insert(id);
                }
                // If this write fails too, the next start finds an empty topic.
                self.record(&[JournalEntry::Topic(TopicEntry::Deleted { id })])?;
                return Err(error);
            }
        };
        self.add_topic(Topic { name: name.to_owned(), id, overrides, logs }, now);
        self.events.push(BrokerEvent::TopicCreated { name: name.to_owned(), partitions });
        Ok(id)
    }

    /// Increases the number of partitions to `partitions`.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then unchanged.
    pub(super) fn grow_topic(&mut self, id: Uuid, partitions: usize, now: i64) -> Result<(), ResponseError> {
        let Some(topic) = self.topics.by_id(id) else { return Err(ResponseError::UnknownTopicId) };
        let (had, overrides) = (topic.logs.len(), topic.overrides.clone());
        self.record(&[JournalEntry::Topic(TopicEntry::Grown { id, partitions })])?;
        match self.open_logs(id, had..partitions, &overrides, now) {
            Ok(logs) => {
                if let Some(topic) = self.topics.by_id_mut(id) {
                    topic.logs.extend(logs);
                }
                Ok(())
            }
            Err(error) => {
                self.record(&[JournalEntry::Topic(TopicEntry::Grown { id, partitions: had })])?;
                Err(error)
            }
        }
    }

    /// Replaces a topic's config overrides. The caller has validated them.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then unchanged.
    pub(in crate::broker) fn configure_topic(
        &mut self,
        id: Uuid,
        overrides: Overrides,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.record(&[JournalEntry::Topic(TopicEntry::Configured { id, overrides: overrides.clone() })])?;
        if let Some(topic) = self.topics.by_id_mut(id) {
            let settings = configs::log_settings(&overrides);
            for log in &mut topic.logs {
                log.configure(settings.clone());
            }
            topic.overrides = overrides;
            self.plan_cleanup(id, now);
        }
        Ok(())
    }

    /// Deletes a topic and the offsets that groups committed for it.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then unchanged.
    pub(in crate::broker) fn remove_topic(&mut self, id: Uuid) -> Result<(), ResponseError> {
        self.record(&[JournalEntry::Topic(TopicEntry::Deleted { id })])?;
        let Some(topic) = self.topics.remove(id) else { return Ok(()) };
        self.remove_logs(topic.logs);
        if !self.remove_directory(id) {
            self.topics.unremoved.insert(id);
        }
        self.wake_topic(&topic.name);
        let left = self.groups.topic_deleted(&topic.name);
        self.events.push(BrokerEvent::TopicDeleted { name: topic.name });
        // The topic is deleted even if this write fails: committed offsets of a topic that does not exist are harmless.
        self.record(&left).or(Ok(()))
    }

    /// Adds a topic with its logs to memory.
    pub(super) fn add_topic(&mut self, topic: Topic, now: i64) {
        let id = topic.id;
        self.topics.insert(topic);
        self.plan_cleanup(id, now);
    }

    fn open_logs(
        &mut self,
        id: Uuid,
        partitions: Range<usize>,
        overrides: &Overrides,
        now: i64,
    ) -> Result<Vec<Log>, ResponseError> {
        let settings = configs::log_settings(overrides);
        let mut logs = Vec::with_capacity(partitions.len());
        for partition in partitions {
            match self.new_log(id, partition, settings.clone(), now) {
                Ok(log) => logs.push(log),
                Err(error) => {
                    self.events
                        .push(BrokerEvent::WriteFailed { what: "a new partition".to_owned(), reason: error.reason() });
                    self.remove_logs(logs);
                    return Err(ResponseError::KafkaStorageError);
                }
            }
        }
        Ok(logs)
    }

    /// Files that cannot be removed now are removed at the next start.
    fn remove_logs(&mut self, logs: Vec<Log>) {
        for log in logs {
            if let Err(error) = log.remove() {
                self.events.push(BrokerEvent::BackgroundError { what: format!("cannot remove a log: {error}") });
            }
        }
    }

    /// Removes a topic's directory and returns whether it no longer exists.
    pub(super) fn remove_directory(&mut self, id: Uuid) -> bool {
        let Some(folder) = self.topic_directory(id) else { return true };
        match remove_topic(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot remove {}: {error}", folder.path().display());
                self.events.push(BrokerEvent::BackgroundError { what });
                false
            }
            _ => true,
        }
    }
}

/// Removes a topic's directory with its logs. Files that no broker created stay, and so do the directories that contain
/// them.
///
/// # Errors
///
/// When a file cannot be removed, or was not created by a broker.
fn remove_topic(folder: &Directory) -> std::io::Result<()> {
    let names = folder.names()?;
    for name in names.iter().filter(|name| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok())) {
        remove_files(&folder.child(name))?;
    }
    folder.remove_dir_with(|_| false)
}

/// A new topic id.
#[expect(clippy::disallowed_methods, reason = "topic ids are random and are generated only here")]
pub(super) fn new_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        // Its base64 text would begin with a dash, which command-line tools take for an option. Kafka skips such ids,
        // too.
        if id.as_bytes()[0] >> 2 != 62 {
            return id;
        }
    }
}
