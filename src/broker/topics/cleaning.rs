//! Owns when logs are cleaned: each topic at its time, a few logs a tick.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use uuid::Uuid;

use super::super::core::Core;
use super::super::entry::Entry;
use super::super::log::{Compacted, Compaction};
use super::super::notice::Notice;
use super::{TopicEntry, Topics, configs};

/// How many logs one tick looks at, so that requests do not wait long.
const LOGS_A_TICK: usize = 32;

/// Which topic is cleaned when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BTreeSet<(i64, Uuid)>,
    due: BTreeMap<Uuid, i64>,
    /// A topic that is being cleaned, and its next partition.
    current: Option<(Uuid, usize)>,
    /// Compactions that wait for somebody to do them.
    chores: Vec<Chore>,
    /// Partitions whose compaction waits or is being done: there may be one at a time.
    busy: BTreeSet<(Uuid, usize)>,
}

/// A compaction that is due: to be done outside of the broker's lock, since it takes its time.
#[derive(Debug)]
pub struct Chore {
    place: (Uuid, usize),
    compaction: Compaction,
}

/// A chore that is done, to be put in place.
#[derive(Debug)]
pub struct Done {
    place: (Uuid, usize),
    compacted: io::Result<Compacted>,
}

impl Chore {
    /// Does it.
    #[must_use]
    pub fn run(self) -> Done {
        Done { place: self.place, compacted: self.compaction.run() }
    }
}

impl Schedule {
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
        let (topic, partition) = match self.current {
            Some(current) => current,
            None => {
                let (_, topic) = *self.queue.first().filter(|(at, _)| *at <= now)?;
                self.forget(topic);
                (topic, 0)
            }
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
    /// Cleans logs whose time has come: segments roll, are dropped or compacted.
    pub fn clean(&mut self, now: i64) {
        let (mut moved, mut chores) = (Vec::new(), Vec::new());
        for _ in 0..LOGS_A_TICK {
            let Some((id, partition)) = self.topics.cleaning.turn(now) else { break };
            let busy = self.topics.cleaning.busy.contains(&(id, partition));
            let Some(log) = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(partition)) else {
                self.topics.cleaning.forget(id);
                self.plan_cleaning(id, now);
                continue;
            };
            if !busy && let Some(compaction) = log.compaction(now) {
                chores.push(Chore { place: (id, partition), compaction });
            }
            match log.clean(now) {
                Ok(false) => {}
                Ok(true) => {
                    let offset = log.start_offset();
                    moved.push(Entry::Topic(TopicEntry::LogStart { id, partition, offset }));
                }
                Err(error) => {
                    self.notices.push(Notice::Trouble { what: format!("a log cannot be cleaned: {error}") });
                }
            }
        }
        self.topics.cleaning.busy.extend(chores.iter().map(|chore| chore.place));
        self.topics.cleaning.chores.append(&mut chores);
        if !moved.is_empty() {
            // The records are gone either way, and a start finds the log's start by its first segment, too: the trouble is told, no more.
            self.record(&moved).ok();
        }
    }

    /// Takes the compactions that are due.
    pub fn take_chores(&mut self) -> Vec<Chore> {
        std::mem::take(&mut self.topics.cleaning.chores)
    }

    /// Puts a compacted log in place of what it was made from.
    pub fn finish_chore(&mut self, done: Done) {
        let (id, partition) = done.place;
        self.topics.cleaning.busy.remove(&done.place);
        let Some(log) = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(partition)) else { return };
        if let Err(error) = done.compacted.and_then(|compacted| log.finish(compacted)) {
            self.notices.push(Notice::Trouble { what: format!("a log cannot be compacted: {error}") });
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
