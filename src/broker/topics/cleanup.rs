//! Log cleanup: the schedule of retention per topic, a few logs per tick, and compaction outside of the broker's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use uuid::Uuid;

use super::super::core::Core;
use super::super::events::BrokerEvent;
use super::super::journal::JournalEntry;
use super::super::log::{Compacted, Compaction, ReplacedSegments};
use super::{TopicEntry, Topics, configs};

/// Logs cleaned per tick; the limit keeps requests from waiting.
const LOGS_PER_TICK: usize = 32;

/// The next cleanup of every topic.
#[derive(Debug, Default)]
pub(super) struct CleanupSchedule {
    queue: BTreeSet<(i64, Uuid)>,
    due: BTreeMap<Uuid, i64>,
    /// The topic whose cleanup has begun, and its next partition.
    current: Option<(Uuid, usize)>,
    /// Partitions to check for compaction.
    candidates: BTreeSet<(Uuid, usize)>,
    /// A compaction is running. There is one cleaner, as by default in Kafka.
    is_compacting: bool,
}

/// The compaction of one partition, to be run by a thread that does not hold the broker's lock.
#[derive(Debug)]
pub struct CompactionJob {
    topic: Uuid,
    partition: usize,
    compaction: Compaction,
}

/// A finished compaction, to be installed under the lock.
#[derive(Debug)]
pub struct CompactionResult {
    topic: Uuid,
    partition: usize,
    compacted: io::Result<Compacted>,
}

impl CompactionJob {
    /// Runs the compaction. It reads and writes the whole log.
    #[must_use]
    pub fn run(self) -> CompactionResult {
        CompactionResult { topic: self.topic, partition: self.partition, compacted: self.compaction.run() }
    }
}

impl CleanupSchedule {
    /// Plans a cleanup, unless an earlier one is planned.
    fn plan(&mut self, topic: Uuid, at: i64) {
        let at = self.due.get(&topic).map_or(at, |planned| at.min(*planned));
        self.remove(topic);
        self.due.insert(topic, at);
        self.queue.insert((at, topic));
    }

    /// Removes a topic.
    pub(super) fn remove(&mut self, topic: Uuid) {
        if let Some(at) = self.due.remove(&topic) {
            self.queue.remove(&(at, topic));
        }
        self.current = self.current.filter(|(current, _)| *current != topic);
    }

    /// The next partition that is due. The caller removes the topic and plans it again when the partition does not
    /// exist.
    fn next_due(&mut self, now: i64) -> Option<(Uuid, usize)> {
        let (topic, partition) = if let Some(current) = self.current {
            current
        } else {
            let (_, topic) = *self.queue.first().filter(|(at, _)| *at <= now)?;
            self.remove(topic);
            (topic, 0)
        };
        self.current = Some((topic, partition + 1));
        Some((topic, partition))
    }
}

impl Topics {
    /// The time of the next cleanup, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        if self.cleanup.current.is_some() {
            // The last tick did not finish the topic.
            return Some(0);
        }
        self.cleanup.queue.first().map(|(at, _)| *at)
    }
}

impl Core {
    /// Applies retention to the logs that are due: rolls segments, deletes old ones, and marks partitions for
    /// [`Core::take_compaction`].
    pub fn clean(&mut self, now: i64) {
        let mut advanced = Vec::new();
        for _ in 0..LOGS_PER_TICK {
            let Some((id, partition)) = self.topics.cleanup.next_due(now) else { break };
            let Some(topic) = self.topics.by_id_mut(id).filter(|topic| partition < topic.logs.len()) else {
                self.topics.cleanup.remove(id);
                self.plan_cleanup(id, now);
                continue;
            };
            let compacts = configs::has_policy(&topic.overrides, "compact");
            let log = &topic.logs[partition];
            let offset = log.start_after_retention(now);
            let moves = offset > log.start_offset();
            if compacts {
                self.topics.cleanup.candidates.insert((id, partition));
            }
            // The journal entry comes first: otherwise the next start takes the missing segments for data loss. If the
            // entry cannot be written, the records stay for now.
            if moves && self.record(&[JournalEntry::Topic(TopicEntry::LogStart { id, partition, offset })]).is_err() {
                continue;
            }
            let log = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(partition));
            match log.map(|log| log.apply_retention(now)) {
                Some(Ok(true)) => advanced.push((id, partition)),
                Some(Ok(false)) | None => {}
                Some(Err(error)) => {
                    self.events.push(BrokerEvent::BackgroundError {
                        what: format!("cannot apply retention to a log: {error}"),
                    });
                }
            }
        }
        for (id, partition) in advanced {
            let name = self.topics.by_id(id).map(|topic| topic.name.clone());
            if let (Some(name), Ok(partition)) = (name, i32::try_from(partition)) {
                self.wake(&name, partition);
            }
        }
    }

    /// The next compaction, to be run without the lock and passed to [`Core::finish_compaction`]. `None` while one is
    /// running.
    pub fn take_compaction(&mut self, now: i64) -> Option<CompactionJob> {
        if self.topics.cleanup.is_compacting {
            return None;
        }
        while let Some((topic, partition)) = self.topics.cleanup.candidates.pop_first() {
            let log = self.topics.by_id(topic).and_then(|topic| topic.logs.get(partition));
            if let Some(compaction) = log.and_then(|log| log.compaction(now)) {
                self.topics.cleanup.is_compacting = true;
                return Some(CompactionJob { topic, partition, compaction });
            }
        }
        None
    }

    /// Installs the result of a compaction. The caller removes the replaced segments without the lock.
    pub fn finish_compaction(&mut self, result: CompactionResult) -> Option<ReplacedSegments> {
        self.topics.cleanup.is_compacting = false;
        // The topic may have been deleted in the meantime, with its files.
        let log = self.topics.by_id_mut(result.topic).and_then(|topic| topic.logs.get_mut(result.partition));
        match result.compacted.and_then(|compacted| log.map(|log| log.finish(compacted)).transpose()) {
            Ok(replaced) => replaced,
            Err(error) => {
                self.events.push(BrokerEvent::BackgroundError { what: format!("cannot compact a log: {error}") });
                None
            }
        }
    }

    /// Plans a topic's next cleanup. Compacted topics are checked more often, as by Kafka's cleaner.
    pub(super) fn plan_cleanup(&mut self, id: Uuid, now: i64) {
        let Some(topic) = self.topics.by_id(id) else { return };
        let interval = if configs::has_policy(&topic.overrides, "compact") {
            self.settings.log_cleaner_backoff_ms
        } else {
            self.settings.log_retention_check_interval_ms
        };
        self.topics.cleanup.plan(id, now.saturating_add(interval));
    }
}

#[cfg(test)]
#[path = "cleanup_tests.rs"]
mod tests;
