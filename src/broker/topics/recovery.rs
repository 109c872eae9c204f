//! Topic recovery at the start: topics from the journal, their logs, and directories that belong to no topic.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;

use super::super::core::{Core, Storage};
use super::super::corruption::{Corruption, OpenError};
use super::super::directory::{Directory, TOPICS};
use super::super::ends;
use super::super::events::BrokerEvent;
use super::super::journal_recovery::{DataDirState, JournalRecovery};
use super::super::log::{DecidedMarker, Log, LogFilesState, LogSettings, LogStorage, RecordedEnd};
use super::super::transactions::TransactionOutcomes;
use super::{Overrides, Topic, TopicEntry, Topics, configs};

/// Threads that open logs at the start.
const MAX_THREADS: usize = 4;

/// A topic read from the journal.
#[derive(Debug)]
pub(super) struct JournaledTopic {
    name: String,
    partitions: usize,
    overrides: Overrides,
    starts: BTreeMap<usize, i64>,
}

/// Directories of the topics directory that belong to no topic.
#[derive(Debug, Default)]
struct LeftoverDirectories {
    /// Topics that the journal has as deleted.
    deleted: Vec<Uuid>,
    /// Directories without records, by name.
    empty: Vec<String>,
}

impl Topics {
    /// Applies a journal entry. The logs are opened after the last one.
    pub fn restore(&mut self, entry: TopicEntry) {
        let topics = &mut self.journaled;
        match entry {
            TopicEntry::Created { id, name, partitions, overrides } => {
                topics.insert(id, JournaledTopic { name, partitions, overrides, starts: BTreeMap::new() });
            }
            TopicEntry::Deleted { id } => {
                topics.remove(&id);
                self.unremoved.insert(id);
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
    /// Opens the logs of all topics in the journal. Everything is checked before anything is changed.
    ///
    /// # Errors
    ///
    /// When a log lacks acknowledged records, when a log is not in the journal, or when a file cannot be read or
    /// written.
    pub(in super::super) fn open_topics(
        &mut self,
        opening: Option<&mut JournalRecovery>,
        outcomes: &TransactionOutcomes,
        now: i64,
    ) -> Result<(), OpenError> {
        let Storage::Directory(folder) = self.storage.clone() else { return Ok(()) };
        let Some(opening) = opening else { return Ok(()) };
        let leftovers = self.leftover_directories(&folder).map_err(|error| opening.attribute(error, false))?;
        let journaled = std::mem::take(&mut self.topics.journaled);
        let mut to_open = Vec::new();
        for (id, topic) in &journaled {
            let settings = configs::log_settings(&topic.overrides);
            for (partition, number) in (0..topic.partitions).zip(0..) {
                let start = topic.starts.get(&partition).copied().unwrap_or_default();
                let known = known(&opening.state, (*id, number), || outcomes.of(&topic.name, number).to_vec());
                to_open.push((self.log_storage(*id, number), settings.clone(), start, known));
            }
        }
        let logs = open_all(&to_open, now).map_err(|error| opening.attribute(error, true))?;
        let beyond: usize = logs.iter().map(Log::batches_past_end).sum();
        // All logs are written under one lock, so a crash can leave at most one batch that is newer than the recorded
        // ends.
        if beyond > 1 && !opening.is_rebooted() {
            let why = format!("{beyond} batches in the logs are newer than it");
            return Err(Corruption::Mismatch { path: folder.path_of(ends::NAME), why }.into());
        }
        let mut logs = logs.into_iter();
        let topics = journaled.into_iter().map(|(id, topic)| Topic {
            name: topic.name,
            id,
            overrides: topic.overrides,
            logs: logs.by_ref().take(topic.partitions).collect(),
        });
        let topics = topics.collect();
        self.apply_recovery(opening, &folder, topics, leftovers, now).map_err(OpenError::storage(&folder.path()))
    }

    /// Repairs logs and removes leftovers. No existing data is changed before this step.
    fn apply_recovery(
        &mut self,
        opening: &mut JournalRecovery,
        folder: &Directory,
        topics: Vec<Topic>,
        leftovers: LeftoverDirectories,
        now: i64,
    ) -> io::Result<()> {
        let (ends, journal) = opening.begin(&mut self.events)?;
        self.journal = journal;
        let mut slots = match &mut opening.state {
            DataDirState::Recorded { found, .. } => std::mem::take(&mut found.logs),
            DataDirState::New | DataDirState::Unrecorded => BTreeMap::new(),
        };
        for mut topic in topics {
            for (number, log) in (0..).zip(&mut topic.logs) {
                let recorded = slots.remove(&(topic.id, number));
                let slot = recorded.map_or_else(|| ends.slot(topic.id, number), |(slot, _)| slot);
                log.apply_repairs(Some(slot), &mut self.events)?;
            }
            self.add_topic(topic, now);
        }
        // The rest belongs to deleted topics and to partitions whose creation failed.
        for (slot, _) in slots.into_values() {
            slot.release()?;
        }
        self.topics.unremoved = leftovers.deleted.into_iter().filter(|id| !self.remove_directory(*id)).collect();
        let folder = folder.child(TOPICS);
        for name in leftovers.empty {
            let moved_to = folder.set_aside(&name)?;
            self.events
                .push(BrokerEvent::SetAside { path: folder.path_of(&name), moved_to: folder.path_of(&moved_to) });
        }
        let entries = self.snapshot();
        opening.finish(&ends, &mut self.journal, &entries)?;
        self.ends = Some(ends);
        Ok(())
    }

    /// Creates the log of a new partition.
    pub(super) fn new_log(
        &mut self,
        topic: Uuid,
        partition: usize,
        settings: LogSettings,
        now: i64,
    ) -> Result<Log, OpenError> {
        let number = i32::try_from(partition).map_err(io::Error::other);
        let folder = self.topic_directory(topic).map_or_else(PathBuf::new, |folder| folder.path());
        let number = number.map_err(OpenError::storage(&folder))?;
        let mut log = Log::open(&self.log_storage(topic, number), settings, 0, now, &LogFilesState::New)?;
        let slot = self.ends.as_ref().map(|ends| ends.slot(topic, number));
        log.apply_repairs(slot, &mut self.events).map_err(OpenError::storage(&folder))?;
        Ok(log)
    }

    /// Finds directories that belong to no topic. Names that are neither a topic id nor a partition number are ignored.
    fn leftover_directories(&self, folder: &Directory) -> Result<LeftoverDirectories, OpenError> {
        let mut leftovers = LeftoverDirectories::default();
        let mut unknown = Vec::new();
        let folder = folder.child(TOPICS);
        for name in names(&folder)? {
            let Ok(id) = Uuid::try_parse(&name) else { continue };
            if let Some(topic) = self.topics.journaled.get(&id) {
                let folder = folder.child(&name);
                for name in names(&folder)? {
                    let number = name.parse::<usize>().ok();
                    if number.is_some_and(|number| number >= topic.partitions) && holds_records(&folder, &name)? {
                        unknown.push(folder.path_of(&name));
                    }
                }
            } else if self.topics.unremoved.contains(&id) {
                leftovers.deleted.push(id);
            } else if holds_records(&folder, &name)? {
                unknown.push(folder.path_of(&name));
            } else {
                leftovers.empty.push(name);
            }
        }
        if unknown.is_empty() { Ok(leftovers) } else { Err(Corruption::UnknownLogs { paths: unknown }.into()) }
    }
}

/// The arguments of `Log::open`.
type LogToOpen = (LogStorage, LogSettings, i64, LogFilesState);

/// Opens logs in parallel. After a crash each of them is read as a whole.
fn open_all(to_open: &[LogToOpen], now: i64) -> Result<Vec<Log>, OpenError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut opened = Vec::new();
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some((storage, settings, start, known)) = to_open.get(number)
        {
            opened.push((number, Log::open(storage, settings.clone(), *start, now, known)));
        }
        opened
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS).min(to_open.len());
    let mut opened: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut opened = work();
        for other in others {
            opened.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        opened
    });
    opened.sort_unstable_by_key(|(number, _)| *number);
    opened.into_iter().map(|(_, log)| log).collect()
}

/// The names in a directory, sorted; none if it does not exist.
fn names(folder: &Directory) -> Result<BTreeSet<String>, OpenError> {
    match folder.names() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(OpenError::storage(&folder.path())(error)),
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
    }
}

/// Whether this is a file that is not empty, or a directory that contains one. Names do not matter.
fn holds_records(folder: &Directory, name: &str) -> Result<bool, OpenError> {
    match folder.stat(name).map_err(OpenError::storage(&folder.path_of(name)))? {
        None => Ok(false),
        Some(seen) if !seen.is_dir => Ok(seen.size > 0),
        Some(_) => {
            let folder = folder.child(name);
            for name in names(&folder)? {
                if holds_records(&folder, &name)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// The recorded state of a log.
fn known(past: &DataDirState, log: (Uuid, i32), decided: impl FnOnce() -> Vec<DecidedMarker>) -> LogFilesState {
    match past {
        DataDirState::New => LogFilesState::New,
        DataDirState::Unrecorded => LogFilesState::Unrecorded,
        DataDirState::Recorded { found, clean, rebooted } => {
            found.logs.get(&log).map_or(LogFilesState::New, |(_, end)| {
                LogFilesState::Recorded(Box::new(RecordedEnd {
                    end: *end,
                    clean: *clean,
                    rebooted: *rebooted,
                    decided: decided(),
                }))
            })
        }
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
