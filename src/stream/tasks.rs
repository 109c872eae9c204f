//! Tasks of a member: one per assigned source partition, restored so that state and offset are equal, or refused.

use std::collections::BTreeMap;

use super::changelog::{self, Changelog};
use super::error::StreamError;
use super::settings::ErrorTexts;
use super::start_position::{Beginning, Facts, begin};
use super::topic_ids::Identity;
use super::{Outputs, Processor, SourceRecord};
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, Output, TopicPartition, TransactionError, TransactionalProducer};
use crate::state::{Digest, Position, TopicId};

/// How far a source partition is, as the last commit left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedPosition {
    /// The source partition.
    pub source: TopicPartition,
    /// The committed offset: of the next record to read.
    pub offset: i64,
}

/// A source partition and its state.
pub(super) struct Task<T> {
    pub source: TopicPartition,
    pub state: T,
    /// As the last committed transaction wrote it, or as it will be first written.
    position: Position,
    /// The source topic, as far as its id is known: what an older version did not write is completed.
    topic_id: Option<TopicId>,
    /// Keys of a state that was given up, until they are deleted from the changelog.
    given_up: Vec<Vec<u8>>,
    next_offset: i64,
    records: u64,
    digest: Digest,
    /// A record of the open transaction changed it.
    changed: bool,
    /// Its offset or position is not on the broker yet.
    must_commit: bool,
}

/// All tasks of this member.
pub(super) struct Tasks<T> {
    all: Vec<Task<T>>,
    /// Place of each source partition's task, by topic and partition.
    places: Vec<Vec<Option<usize>>>,
    sources: Vec<String>,
}

/// What an assignment asks of the broker.
pub(super) struct Assigning<'a> {
    pub changelog: Changelog<'a>,
    pub inspector: &'a Inspector,
    pub words: &'a ErrorTexts,
    pub resume: bool,
    pub start_over: bool,
    /// The topics as they were before anything was asked about them.
    pub identity: &'a Identity,
}

impl<T> Tasks<T> {
    pub fn new(sources: &[String]) -> Self {
        Self { all: Vec::new(), places: vec![Vec::new(); sources.len()], sources: sources.to_vec() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Task<T>> {
        self.all.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The task of a record's partition.
    pub fn of(&mut self, topic: usize, partition: i32) -> Option<&mut Task<T>> {
        let place = (*self.places.get(topic)?.get(usize::try_from(partition).ok()?)?)?;
        self.all.get_mut(place)
    }

    /// Forgets every task, its state with it.
    pub fn clear(&mut self) {
        self.all.clear();
        self.places.iter_mut().for_each(Vec::clear);
    }

    /// Makes the tasks of an assignment: those in memory whose position is still the changelog's, the others restored.
    ///
    /// Returns the number of records that were read for it; `None`, and no tasks, when the group's offsets moved meanwhile:
    /// then another member is at work on the partitions, and what was read is of two moments.
    pub fn assign<P: Processor<Task = T>>(
        &mut self,
        processor: &P,
        partitions: &[TopicPartition],
        assigning: &Assigning<'_>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Option<u64>, StreamError> {
        // Offsets first: it waits for pending transactions, and what they wrote must be below the changelog's end then.
        let offsets = assigning.inspector.committed(partitions, tell)?;
        let starts = assigning.inspector.starts(partitions)?;
        let ends = assigning.inspector.ends(partitions, EndOffset::HighWatermark)?;
        let wanted: Vec<_> =
            partitions.iter().map(|source| (source.partition, processor.position_key(source))).collect();
        let mut kept: BTreeMap<TopicPartition, Task<T>> = BTreeMap::new();
        if !self.all.is_empty() {
            let positions = changelog::positions(assigning.changelog, &wanted, tell)?;
            for task in self.all.drain(..) {
                let now = partitions
                    .iter()
                    .position(|source| *source == task.source)
                    .and_then(|index| positions[index].as_ref());
                if now == Some(&task.position) && !task.must_commit {
                    kept.insert(task.source.clone(), task);
                }
            }
        }
        self.clear();
        let mut restoring: Vec<i32> =
            partitions.iter().filter(|source| !kept.contains_key(source)).map(|source| source.partition).collect();
        restoring.sort_unstable();
        restoring.dedup();
        let mut restores: BTreeMap<i32, P::Restore> =
            restoring.iter().map(|&partition| (partition, processor.begin_restore())).collect();
        let records = restore_all(processor, &restoring, &mut restores, assigning, tell)?;
        if assigning.inspector.committed(partitions, tell)? != offsets {
            return Ok(None);
        }
        for (index, source) in partitions.iter().enumerate() {
            let (state, position) = match (kept.remove(source), restores.get_mut(&source.partition)) {
                (Some(task), _) => (task.state, Some(task.position)),
                (None, Some(restore)) => processor.finish_restore(restore, source),
                (None, None) => continue,
            };
            let facts = Facts { offset: offsets[index], start: starts[index], end: ends[index] };
            let beginning = begin(processor, source, state, position, facts, assigning)?;
            self.add(Task::new(source.clone(), beginning, assigning.identity.of(&source.topic).cloned()));
        }
        Ok(Some(records))
    }

    fn add(&mut self, task: Task<T>) {
        let topic = self.sources.iter().position(|topic| *topic == task.source.topic).unwrap_or(0);
        let partition = usize::try_from(task.source.partition).unwrap_or(0);
        let table = &mut self.places[topic];
        if table.len() <= partition {
            table.resize(partition + 1, None);
        }
        table[partition] = Some(self.all.len());
        self.all.push(task);
    }

    /// Where each task is to be read from.
    pub fn offsets(&self) -> Vec<(TopicPartition, i64)> {
        self.all.iter().map(|task| (task.source.clone(), task.position.next_offset)).collect()
    }

    /// Moves tasks behind markers and aborted records that the member's reading has passed.
    pub fn pass(&mut self, positions: &[(TopicPartition, i64)]) {
        for (source, position) in positions {
            if let Some(task) = self.all.iter_mut().find(|task| task.source == *source) {
                task.next_offset = task.next_offset.max(*position);
            }
        }
    }

    /// Whether some task stands elsewhere than its committed offset.
    pub fn have_moved(&self) -> bool {
        self.all.iter().any(Task::has_moved)
    }

    /// Writes the changed state and the positions of every task that moved, positions last, and returns the offsets.
    pub fn write<P: Processor<Task = T>>(
        &self,
        processor: &P,
        transaction: &TransactionalProducer,
        changelog: Output,
    ) -> Result<Vec<(TopicPartition, i64)>, TransactionError> {
        let mut offsets = Vec::new();
        for task in self.all.iter().filter(|task| task.has_moved()) {
            let position = task.position_now(processor);
            let partition = task.source.partition;
            for key in &task.given_up {
                transaction.send(changelog, partition, Some(key), None)?;
            }
            if task.changed {
                processor.changes(&task.source, &task.state, &position, &mut |key, value| {
                    transaction.send(changelog, partition, Some(key), Some(value))
                })?;
            }
            let key = processor.position_key(&task.source).encode();
            transaction.send(changelog, partition, Some(&key), Some(&position.encode()))?;
            offsets.push((task.source.clone(), position.next_offset));
        }
        Ok(offsets)
    }

    /// The transaction was committed.
    pub fn committed<P: Processor<Task = T>>(&mut self, processor: &mut P) {
        for task in &mut self.all {
            if task.has_moved() {
                task.position = task.position_now(processor);
                task.must_commit = false;
                task.given_up = Vec::new();
            }
            if std::mem::take(&mut task.changed) {
                processor.committed(&mut task.state);
            }
        }
    }

    /// The transaction was aborted: every task stands where its last commit left it.
    pub fn aborted<P: Processor<Task = T>>(&mut self, processor: &mut P) {
        for task in &mut self.all {
            if std::mem::take(&mut task.changed) {
                processor.aborted(&mut task.state);
            }
            task.rewind();
        }
    }
}

impl<T> Task<T> {
    fn new(source: TopicPartition, beginning: Beginning<T>, topic_id: Option<TopicId>) -> Self {
        let Beginning { state, position, must_commit, given_up } = beginning;
        let mut task = Self {
            source,
            state,
            position,
            topic_id,
            given_up,
            next_offset: 0,
            records: 0,
            digest: Digest::default(),
            changed: false,
            must_commit,
        };
        task.rewind();
        task
    }

    fn rewind(&mut self) {
        self.next_offset = self.position.next_offset;
        self.records = self.position.counts.get("records").copied().unwrap_or(0);
        self.digest = self.position.digest;
    }

    fn has_moved(&self) -> bool {
        self.must_commit || self.next_offset != self.position.next_offset
    }

    /// The offset that the last committed transaction left.
    pub fn standing(&self) -> CommittedPosition {
        CommittedPosition { source: self.source.clone(), offset: self.position.next_offset }
    }

    /// Whether the last commit stands at `end` or behind it.
    pub fn has_committed(&self, end: i64) -> bool {
        !self.must_commit && self.position.next_offset >= end
    }

    /// Takes a record; `false` for one that was taken before.
    pub fn process<P: Processor<Task = T>>(
        &mut self,
        processor: &mut P,
        record: &SourceRecord<'_>,
        outputs: &mut dyn Outputs,
    ) -> Result<bool, TransactionError> {
        if record.offset < self.next_offset {
            return Ok(false);
        }
        self.changed = true;
        self.records += 1;
        self.digest.add(record.offset, record.key, record.value);
        self.next_offset = record.offset + 1;
        processor.process(&mut self.state, record, outputs)?;
        Ok(true)
    }

    fn position_now<P: Processor<Task = T>>(&self, processor: &P) -> Position {
        let mut position = self.position.clone();
        position.next_offset = self.next_offset;
        position.digest = self.digest;
        position.topic_id = self.topic_id.clone().or(position.topic_id);
        position.holds = processor.holds(&self.state);
        position.counts.insert("records".to_owned(), self.records);
        processor.counts(&self.state, &mut position.counts);
        position.until = position.until.filter(|until| self.next_offset < *until);
        position
    }
}

fn restore_all<P: Processor>(
    processor: &P,
    partitions: &[i32],
    restores: &mut BTreeMap<i32, P::Restore>,
    assigning: &Assigning<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<u64, StreamError> {
    let topic = assigning.changelog.topic;
    changelog::read(assigning.changelog, partitions, tell, |partition, key, value| {
        let Some(restore) = restores.get_mut(&partition) else { return Ok(()) };
        processor.restore(restore, key, value).map_err(|error| {
            Failure::new(Code::Refused, format!("{topic}/{partition} holds a record that cannot be restored: {error}"))
                .hint("another program wrote to this topic; use a fresh --prefix")
        })
    })
}
