//! Owns when logs are cleaned: each topic at its time, a few logs a tick; and compactions, which are run outside of the broker's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use uuid::Uuid;

use super::super::core::Core;
use super::super::events::BrokerEvent;
use super::super::journal_entry::JournalEntry;
use super::super::log::{Compacted, Compaction, ReplacedSegments};
use super::{TopicEntry, Topics, configs};

/// How many logs one tick looks at, so that requests do not wait long.
const LOGS_A_TICK: usize = 32;

/// Which topic is cleaned when.
#[derive(Debug, Default)]
pub(super) struct CleanupSchedule {
    queue: BTreeSet<(i64, Uuid)>,
    due: BTreeMap<Uuid, i64>,
    /// A topic that is being cleaned, and its next partition.
    current: Option<(Uuid, usize)>,
    /// Partitions that may be worth a compaction.
    candidates: BTreeSet<(Uuid, usize)>,
    /// A compaction is being run: there is one cleaner, as by default in Kafka.
    is_compacting: bool,
}

/// A compaction of one partition, to be run by a thread that does not hold the broker's lock.
#[derive(Debug)]
pub struct CompactionJob {
    topic: Uuid,
    partition: usize,
    compaction: Compaction,
}

/// What it came to, to be put in place under the lock.
#[derive(Debug)]
pub struct CompactionResult {
    topic: Uuid,
    partition: usize,
    compacted: io::Result<Compacted>,
}

impl CompactionJob {
    /// Does it: as much work as the log is long.
    #[must_use]
    pub fn run(self) -> CompactionResult {
        CompactionResult { topic: self.topic, partition: self.partition, compacted: self.compaction.run() }
    }
}

impl CleanupSchedule {
    /// Wants a topic cleaned at this time, or earlier if that was planned.
    fn plan(&mut self, topic: Uuid, at: i64) {
        let at = self.due.get(&topic).map_or(at, |planned| at.min(*planned));
        self.forget(topic);
        self.due.insert(topic, at);
        self.queue.insert((at, topic));
    }

    /// A topic is not to be cleaned any more.
    pub(super) fn forget(&mut self, topic: Uuid) {
        if let Some(at) = self.due.remove(&topic) {
            self.queue.remove(&(at, topic));
        }
        self.current = self.current.filter(|(current, _)| *current != topic);
    }

    /// The next partition whose turn it is; partitions are counted on until the topic has no more and is planned anew.
    fn turn(&mut self, now: i64) -> Option<(Uuid, usize)> {
        let (topic, partition) = if let Some(current) = self.current {
            current
        } else {
            let (_, topic) = *self.queue.first().filter(|(at, _)| *at <= now)?;
            self.forget(topic);
            (topic, 0)
        };
        self.current = Some((topic, partition + 1));
        Some((topic, partition))
    }
}

impl Topics {
    /// When there is something to clean next, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        if self.cleaning.current.is_some() {
            // There was more to do than one tick takes.
            return Some(0);
        }
        self.cleaning.queue.first().map(|(at, _)| *at)
    }
}

impl Core {
    /// Cleans logs whose time has come: segments roll or are dropped, and [`Core::take_compaction`] has something to give.
    pub fn clean(&mut self, now: i64) {
        let mut begin_later = Vec::new();
        for _ in 0..LOGS_A_TICK {
            let Some((id, partition)) = self.topics.cleaning.turn(now) else { break };
            let Some(topic) = self.topics.by_id_mut(id).filter(|topic| partition < topic.logs.len()) else {
                self.topics.cleaning.forget(id);
                self.plan_cleaning(id, now);
                continue;
            };
            let compacts = configs::has_policy(&topic.overrides, "compact");
            let log = &topic.logs[partition];
            let offset = log.start_after_retention(now);
            let moves = offset > log.start_offset();
            if compacts {
                self.topics.cleaning.candidates.insert((id, partition));
            }
            // The journal knows first: what a start finds missing from a log's front is a loss otherwise. Without room for a line the
            // records stay for now.
            if moves && self.record(&[JournalEntry::Topic(TopicEntry::LogStart { id, partition, offset })]).is_err() {
                continue;
            }
            let log = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(partition));
            match log.map(|log| log.apply_retention(now)) {
                Some(Ok(true)) => begin_later.push((id, partition)),
                Some(Ok(false)) | None => {}
                Some(Err(error)) => {
                    self.events
                        .push(BrokerEvent::BackgroundError { what: format!("a log cannot be cleaned: {error}") });
                }
            }
        }
        for (id, partition) in begin_later {
            let name = self.topics.by_id(id).map(|topic| topic.name.clone());
            if let (Some(name), Ok(partition)) = (name, i32::try_from(partition)) {
                self.wake(&name, partition);
            }
        }
    }

    /// A compaction that is due, to be run without the lock and given back to [`Core::finish_compaction`]; none while another one is
    /// being run.
    pub fn take_compaction(&mut self, now: i64) -> Option<CompactionJob> {
        if self.topics.cleaning.is_compacting {
            return None;
        }
        while let Some((topic, partition)) = self.topics.cleaning.candidates.pop_first() {
            let log = self.topics.by_id(topic).and_then(|topic| topic.logs.get(partition));
            if let Some(compaction) = log.and_then(|log| log.compaction(now)) {
                self.topics.cleaning.is_compacting = true;
                return Some(CompactionJob { topic, partition, compaction });
            }
        }
        None
    }

    /// Puts a compaction's result in its place. What it replaced is to be removed without the lock.
    pub fn finish_compaction(&mut self, result: CompactionResult) -> Option<ReplacedSegments> {
        self.topics.cleaning.is_compacting = false;
        // A topic that was deleted meanwhile has taken its files with it.
        let log = self.topics.by_id_mut(result.topic).and_then(|topic| topic.logs.get_mut(result.partition));
        match result.compacted.and_then(|compacted| log.map(|log| log.finish(compacted)).transpose()) {
            Ok(replaced) => replaced,
            Err(error) => {
                self.events.push(BrokerEvent::BackgroundError { what: format!("a log cannot be compacted: {error}") });
                None
            }
        }
    }

    /// Plans a topic's next cleaning: compacted ones are looked at more often, as by Kafka's cleaner.
    pub(super) fn plan_cleaning(&mut self, id: Uuid, now: i64) {
        let Some(topic) = self.topics.by_id(id) else { return };
        let interval = if configs::has_policy(&topic.overrides, "compact") {
            self.settings.log_cleaner_backoff_ms
        } else {
            self.settings.log_retention_check_interval_ms
        };
        self.topics.cleaning.plan(id, now.saturating_add(interval));
    }
}

#[cfg(test)]
#[path = "cleanup_tests.rs"]
mod tests;
