//! Tasks of a member, one per assigned source partition: restore from the changelog, process, commit, abort.

use std::collections::BTreeMap;

use super::changelog::{self, Changelog};
use super::error::StreamError;
use super::settings::ErrorTexts;
use super::start_position::{PartitionOffsets, StartPosition, start_position};
use super::topic_ids::TopicIds;
use super::{Outputs, Processor, SourceRecord};
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, Output, TopicPartition, TransactionError, TransactionalProducer};
use crate::state::{Digest, Position, TopicId};

/// The committed position of a source partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedPosition {
    pub source: TopicPartition,
    /// The offset of the next record to read.
    pub offset: i64,
}

/// A source partition and its state.
pub(super) struct Task<T> {
    pub source: TopicPartition,
    pub state: T,
    /// As the last committed transaction wrote it, or as the first one will write it.
    position: Position,
    /// The id of the source topic, if it is known; it completes a position that an older version wrote without one.
    topic_id: Option<TopicId>,
    /// Changelog keys of a state that was reset; deleted by the next transaction.
    keys_to_delete: Vec<Vec<u8>>,
    next_offset: i64,
    records: u64,
    digest: Digest,
    /// Whether the open transaction has processed a record of it.
    changed: bool,
    /// Whether its offset or position is not on the broker yet.
    must_commit: bool,
}

/// All tasks of this member.
pub(super) struct Tasks<T> {
    all: Vec<Task<T>>,
    /// Index in `all` of each source partition's task, by topic and partition.
    index: Vec<Vec<Option<usize>>>,
    sources: Vec<String>,
}

/// What a restore needs.
pub(super) struct RestoreContext<'a> {
    pub changelog: Changelog<'a>,
    pub inspector: &'a Inspector,
    pub texts: &'a ErrorTexts,
    pub resume: bool,
    pub start_over: bool,
    /// The topic ids before the restore began.
    pub topic_ids: &'a TopicIds,
}

impl<T> Tasks<T> {
    pub fn new(sources: &[String]) -> Self {
        Self { all: Vec::new(), index: vec![Vec::new(); sources.len()], sources: sources.to_vec() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Task<T>> {
        self.all.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The task of a record's partition.
    pub fn get_mut(&mut self, topic: usize, partition: i32) -> Option<&mut Task<T>> {
        let index = (*self.index.get(topic)?.get(usize::try_from(partition).ok()?)?)?;
        self.all.get_mut(index)
    }

    /// Drops every task with its state.
    pub fn clear(&mut self) {
        self.all.clear();
        self.index.iter_mut().for_each(Vec::clear);
    }

    /// Creates the tasks of an assignment. A task in memory is reused if its position is still the last one in the
    /// changelog; the others are restored from the changelog.
    ///
    /// Returns the number of changelog records read; `None`, and no tasks, when the committed offsets changed in
    /// between: then another member still commits for the partitions, and offsets and state are from different times.
    pub fn restore<P: Processor<Task = T>>(
        &mut self,
        processor: &P,
        partitions: &[TopicPartition],
        context: &RestoreContext<'_>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Option<u64>, StreamError> {
        // Offsets first: this waits for pending transactions, whose records are then below the end of the changelog.
        let offsets = context.inspector.committed(partitions, note)?;
        let starts = context.inspector.starts(partitions)?;
        let ends = context.inspector.ends(partitions, EndOffset::HighWatermark)?;
        let keys: Vec<_> = partitions.iter().map(|source| (source.partition, processor.position_key(source))).collect();
        let mut reused: BTreeMap<TopicPartition, Task<T>> = BTreeMap::new();
        if !self.all.is_empty() {
            let positions = changelog::positions(context.changelog, &keys, note)?;
            for task in self.all.drain(..) {
                let latest = partitions
                    .iter()
                    .position(|source| *source == task.source)
                    .and_then(|index| positions[index].as_ref());
                if latest == Some(&task.position) && !task.must_commit {
                    reused.insert(task.source.clone(), task);
                }
            }
        }
        self.clear();
        let mut restoring: Vec<i32> =
            partitions.iter().filter(|source| !reused.contains_key(source)).map(|source| source.partition).collect();
        restoring.sort_unstable();
        restoring.dedup();
        let mut restores: BTreeMap<i32, P::Restore> =
            restoring.iter().map(|&partition| (partition, processor.begin_restore())).collect();
        let records = read_changelog(processor, &restoring, &mut restores, context, note)?;
        if context.inspector.committed(partitions, note)? != offsets {
            return Ok(None);
        }
        for (index, source) in partitions.iter().enumerate() {
            let (state, position) = match (reused.remove(source), restores.get_mut(&source.partition)) {
                (Some(task), _) => (task.state, Some(task.position)),
                (None, Some(restore)) => processor.finish_restore(restore, source),
                (None, None) => continue,
            };
            let offsets =
                PartitionOffsets { committed: offsets[index], log_start: starts[index], high_watermark: ends[index] };
            let start = start_position(processor, source, state, position, offsets, context)?;
            self.add(Task::new(source.clone(), start, context.topic_ids.get(&source.topic).cloned()));
        }
        Ok(Some(records))
    }

    fn add(&mut self, task: Task<T>) {
        let topic = self.sources.iter().position(|topic| *topic == task.source.topic).unwrap_or(0);
        let partition = usize::try_from(task.source.partition).unwrap_or(0);
        let partitions = &mut self.index[topic];
        if partitions.len() <= partition {
            partitions.resize(partition + 1, None);
        }
        partitions[partition] = Some(self.all.len());
        self.all.push(task);
    }

    /// The last committed offset of each task: where reading starts.
    pub fn committed_offsets(&self) -> Vec<(TopicPartition, i64)> {
        self.all.iter().map(|task| (task.source.clone(), task.position.next_offset)).collect()
    }

    /// Advances tasks past transaction markers and aborted records, up to the positions of the consumer.
    pub fn advance(&mut self, positions: &[(TopicPartition, i64)]) {
        for (source, position) in positions {
            if let Some(task) = self.all.iter_mut().find(|task| task.source == *source) {
                task.next_offset = task.next_offset.max(*position);
            }
        }
    }

    /// Whether a task has a position that is not committed.
    pub fn need_commit(&self) -> bool {
        self.all.iter().any(Task::needs_commit)
    }

    /// Writes the changed state of every task to the changelog, position records last, and returns the offsets to
    /// commit.
    pub fn write_changelog<P: Processor<Task = T>>(
        &self,
        processor: &P,
        producer: &TransactionalProducer,
        changelog: Output,
    ) -> Result<Vec<(TopicPartition, i64)>, TransactionError> {
        let mut offsets = Vec::new();
        for task in self.all.iter().filter(|task| task.needs_commit()) {
            let position = task.current_position(processor);
            let partition = task.source.partition;
            for key in &task.keys_to_delete {
                producer.send(changelog, partition, Some(key), None)?;
            }
            if task.changed {
                processor.changes(&task.source, &task.state, &position, &mut |key, value| {
                    producer.send(changelog, partition, Some(key), Some(value))
                })?;
            }
            let key = processor.position_key(&task.source).encode();
            producer.send(changelog, partition, Some(&key), Some(&position.encode()))?;
            offsets.push((task.source.clone(), position.next_offset));
        }
        Ok(offsets)
    }

    /// The transaction was committed.
    pub fn committed<P: Processor<Task = T>>(&mut self, processor: &mut P) {
        for task in &mut self.all {
            if task.needs_commit() {
                task.position = task.current_position(processor);
                task.must_commit = false;
                task.keys_to_delete = Vec::new();
            }
            if std::mem::take(&mut task.changed) {
                processor.committed(&mut task.state);
            }
        }
    }

    /// The transaction was aborted: every task returns to its last committed position.
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
    fn new(source: TopicPartition, start: StartPosition<T>, topic_id: Option<TopicId>) -> Self {
        let StartPosition { state, position, must_commit, keys_to_delete } = start;
        let mut task = Self {
            source,
            state,
            position,
            topic_id,
            keys_to_delete,
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

    fn needs_commit(&self) -> bool {
        self.must_commit || self.next_offset != self.position.next_offset
    }

    /// The position that the last committed transaction wrote.
    pub fn committed_position(&self) -> CommittedPosition {
        CommittedPosition { source: self.source.clone(), offset: self.position.next_offset }
    }

    /// Whether the committed offset is at `end` or above.
    pub fn has_committed(&self, end: i64) -> bool {
        !self.must_commit && self.position.next_offset >= end
    }

    /// Processes a record; `false` for one that was processed before.
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

    /// The position after the records processed so far.
    fn current_position<P: Processor<Task = T>>(&self, processor: &P) -> Position {
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

fn read_changelog<P: Processor>(
    processor: &P,
    partitions: &[i32],
    restores: &mut BTreeMap<i32, P::Restore>,
    context: &RestoreContext<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<u64, StreamError> {
    let topic = context.changelog.topic;
    changelog::read(context.changelog, partitions, note, |partition, key, value| {
        let Some(restore) = restores.get_mut(&partition) else { return Ok(()) };
        processor.restore(restore, key, value).map_err(|error| {
            Failure::new(Code::Refused, format!("{topic}/{partition} holds a record that cannot be restored: {error}"))
                .hint("another program wrote to this topic; use a new --prefix")
        })
    })
}
