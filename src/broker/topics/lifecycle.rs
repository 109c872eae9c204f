//! Owns how topics change: a line in the journal first, then their logs, then memory.

use std::ops::Range;

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::super::core::Core;
use super::super::directory::Directory;
use super::super::events::BrokerEvent;
use super::super::journal_entry::JournalEntry;
use super::super::log::{Log, remove_files};
use super::{Overrides, Topic, TopicEntry, configs};

impl Core {
    /// Makes a topic. The caller has looked whether there may be one.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; there is no such topic then.
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
                if !self.remove_folder(id) {
                    self.topics.unremoved.insert(id);
                }
                // If this is not written either, the next start finds an empty topic.
                self.record(&[JournalEntry::Topic(TopicEntry::Deleted { id })])?;
                return Err(error);
            }
        };
        self.take_in(Topic { name: name.to_owned(), id, overrides, logs }, now);
        self.events.push(BrokerEvent::TopicCreated { name: name.to_owned(), partitions });
        Ok(id)
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then as it was.
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

    /// Sets a topic's configs, all of them; the caller has validated them.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then as it was.
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
            self.plan_cleaning(id, now);
        }
        Ok(())
    }

    /// Deletes a topic, and what others keep of it.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`; the topic is then as it was.
    pub(in crate::broker) fn remove_topic(&mut self, id: Uuid) -> Result<(), ResponseError> {
        self.record(&[JournalEntry::Topic(TopicEntry::Deleted { id })])?;
        let Some(topic) = self.topics.remove(id) else { return Ok(()) };
        self.remove_logs(topic.logs);
        if !self.remove_folder(id) {
            self.topics.unremoved.insert(id);
        }
        self.wake_topic(&topic.name);
        let left = self.groups.topic_deleted(&topic.name);
        self.events.push(BrokerEvent::TopicDeleted { name: topic.name });
        // The topic is gone whether or not this can be written: offsets of no topic are harmless.
        self.record(&left).or(Ok(()))
    }

    /// Takes a topic with its logs into memory.
    pub(super) fn take_in(&mut self, topic: Topic, now: i64) {
        let id = topic.id;
        self.topics.insert(topic);
        self.plan_cleaning(id, now);
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

    /// What cannot be removed now is removed at the next start.
    fn remove_logs(&mut self, logs: Vec<Log>) {
        for log in logs {
            if let Err(error) = log.remove() {
                self.events.push(BrokerEvent::BackgroundError { what: format!("a log cannot be removed: {error}") });
            }
        }
    }

    /// Whether nothing is left of it.
    pub(super) fn remove_folder(&mut self, id: Uuid) -> bool {
        let Some(folder) = self.topic_directory(id) else { return true };
        match remove_topic(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("{} cannot be removed: {error}", folder.path().display());
                self.events.push(BrokerEvent::BackgroundError { what });
                false
            }
            _ => true,
        }
    }
}

/// Removes a topic's folder with its logs. Whatever a broker did not make stays, and the folders in which it lies.
///
/// # Errors
///
/// When something cannot be removed, or is not a broker's.
fn remove_topic(folder: &Directory) -> std::io::Result<()> {
    let names = folder.names()?;
    for name in names.iter().filter(|name| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok())) {
        remove_files(&folder.child(name))?;
    }
    folder.remove_dir_with(|_| false)
}

/// An id that no topic has had.
#[expect(clippy::disallowed_methods, reason = "topic ids are random, and are made here only")]
pub(super) fn new_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        // As text it would begin with a dash, which tools take for an option; Kafka draws again, too.
        if id.as_bytes()[0] >> 2 != 62 {
            return id;
        }
    }
}
