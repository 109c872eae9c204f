//! State of one group in `analytics-state`, built from the records of the changelog: for restores, for following a live
//! group, and for comparing before and after a replay.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{CountKey, CountsStore, Metrics, StateKey, StateKeyPrefix, counts_store::CountValue};
use crate::state::{Loss, Position, PositionKey};

/// The state of one group, updated with each record of the changelog.
///
/// A transaction writes a partition's position record last. So records of the visible epoch are held back until the
/// next position record, and a reader never sees half a transaction. Records of another epoch are applied at once: they
/// become visible when a position record names that epoch.
///
/// Only the latest value of each key is kept, whatever the length of the changelog.
#[derive(Debug)]
pub struct GroupState {
    group: String,
    state_prefix: Vec<u8>,
    position_prefix: Vec<u8>,
    /// Whether to keep counts, in addition to positions.
    with_counts: bool,
    sources: BTreeMap<String, BTreeMap<i32, SourcePartition>>,
}

/// One of the two states of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The visible state.
    Current,
    /// The state before the last switch of epochs; without a switch the same as [`View::Current`].
    BeforeSwitch,
}

/// Why a record of the changelog cannot be applied. Texts from the record are escaped.
#[derive(Debug, Error)]
pub enum StateError {
    /// The key starts like one of the group, but does not parse.
    #[error("the state key `{key}` cannot be read")]
    Key {
        /// The key.
        key: String,
    },
    /// The value does not fit the key.
    #[error("the state of {topic}-{partition} cannot be read at key `{key}`: {reason}")]
    Value {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The key.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
}

type Counts = BTreeMap<CountKey<'static>, CountValue>;

/// The state of one source partition.
#[derive(Debug, Default)]
struct SourcePartition {
    position: Option<Position>,
    epochs: BTreeMap<String, Counts>,
    /// Records of the visible epoch since the last position record; `None` is a tombstone.
    held_back: BTreeMap<CountKey<'static>, Option<CountValue>>,
}

impl SourcePartition {
    fn visible_epoch(&self) -> Option<&str> {
        self.position.as_ref()?.epoch.as_deref()
    }

    fn apply(&mut self, epoch: &str, key: CountKey<'static>, value: Option<CountValue>) {
        if self.visible_epoch() == Some(epoch) {
            self.held_back.insert(key, value);
        } else {
            self.set(epoch, key, value);
        }
    }

    /// Applies a position record: it makes the records before it visible.
    fn apply_position(&mut self, position: Option<Position>) {
        let held_back = std::mem::take(&mut self.held_back);
        if let Some(epoch) = std::mem::replace(&mut self.position, position).and_then(|position| position.epoch) {
            for (key, value) in held_back {
                self.set(&epoch, key, value);
            }
        }
    }

    fn set(&mut self, epoch: &str, key: CountKey<'static>, value: Option<CountValue>) {
        match (self.epochs.get_mut(epoch), value) {
            (Some(counts), Some(value)) => {
                counts.insert(key, value);
            }
            (Some(counts), None) => {
                counts.remove(&key);
                if counts.is_empty() {
                    self.epochs.remove(epoch);
                }
            }
            (None, Some(value)) => {
                self.epochs.insert(epoch.to_owned(), BTreeMap::from([(key, value)]));
            }
            (None, None) => {}
        }
    }

    fn counts(&self, epoch: &str) -> CountsStore {
        let mut store = CountsStore::default();
        for (key, value) in self.epochs.get(epoch).into_iter().flatten() {
            store.restore_value(key.clone(), value.clone());
        }
        store
    }

    fn is_empty(&self) -> bool {
        self.position.is_none() && self.epochs.is_empty() && self.held_back.is_empty()
    }
}

impl GroupState {
    /// The empty state of a group.
    #[must_use]
    pub fn new(group: &str) -> Self {
        // The key of a shared position, up to the topic.
        let position = PositionKey::Shared { group: group.to_owned(), topic: String::new(), partition: 0 }.encode();
        let prefix = position.strip_suffix(b"\"\",0]").unwrap_or(&position);
        Self {
            group: group.to_owned(),
            state_prefix: StateKey::prefix_of(group),
            position_prefix: prefix.to_vec(),
            with_counts: true,
            sources: BTreeMap::new(),
        }
    }

    /// The empty state of a group that keeps positions only and skips the counts, which may be many.
    #[must_use]
    pub fn positions_only(group: &str) -> Self {
        Self { with_counts: false, ..Self::new(group) }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Applies the next record of a changelog partition; skips records of other groups.
    ///
    /// # Errors
    ///
    /// When a record of this group cannot be read; the state is then unchanged.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        if key.starts_with(&self.position_prefix)
            && let Some(PositionKey::Shared { topic, partition, .. }) = PositionKey::decode(key)
        {
            return self.apply_position(key, &topic, partition, value);
        }
        // A group may be named `@position`: then the position keys of other groups start like its state keys.
        let is_ours = (key.starts_with(&self.state_prefix) && PositionKey::decode(key).is_none())
            || (key.starts_with(&self.position_prefix) && StateKey::decode(key).is_none());
        if !is_ours || !self.with_counts {
            return Ok(());
        }
        let StateKey { epoch, topic, partition, counted, .. } =
            StateKey::decode(key).ok_or_else(|| StateError::Key { key: printable(key) })?;
        let value = value
            .map(|value| CountValue::decode(&counted, value))
            .transpose()
            .map_err(|error| invalid_value(key, &topic, partition, error.to_string()))?;
        self.change(&topic, partition, |source| source.apply(&epoch, counted.into_owned(), value));
        Ok(())
    }

    fn apply_position(
        &mut self,
        key: &[u8],
        topic: &str,
        partition: i32,
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let invalid = |reason| invalid_value(key, topic, partition, reason);
        let position = value.map(Position::decode).transpose().map_err(|error| invalid(error.to_string()))?;
        if let Some(position) = &position {
            if position.epoch.is_none() {
                return Err(invalid("the position has no epoch".to_owned()));
            }
            if position.group != self.group {
                return Err(invalid(format!(
                    "the position belongs to the group `{}`",
                    printable(position.group.as_bytes())
                )));
            }
        }
        self.change(topic, partition, |source| source.apply_position(position));
        Ok(())
    }

    /// Changes a source partition, and removes it when it is empty.
    fn change(&mut self, topic: &str, partition: i32, change: impl FnOnce(&mut SourcePartition)) {
        if !self.sources.contains_key(topic) {
            self.sources.insert(topic.to_owned(), BTreeMap::new());
        }
        let Some(partitions) = self.sources.get_mut(topic) else { return };
        let source = partitions.entry(partition).or_default();
        change(source);
        if source.is_empty() {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.sources.remove(topic);
            }
        }
    }

    fn source(&self, topic: &str, partition: i32) -> Option<&SourcePartition> {
        self.sources.get(topic)?.get(&partition)
    }

    /// Whether the changelog has neither a position nor a count of this group.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether the group has state. Counts without a position, which a killed switch leaves, are not state.
    #[must_use]
    pub fn has_positions(&self) -> bool {
        self.positions().next().is_some()
    }

    /// The positions, ordered by topic and partition.
    pub fn positions(&self) -> impl Iterator<Item = (&str, i32, &Position)> {
        self.sources.iter().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .filter_map(|(partition, source)| Some((topic.as_str(), *partition, source.position.as_ref()?)))
        })
    }

    /// The position of a source partition; `None` without a position record.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<&Position> {
        self.source(topic, partition)?.position.as_ref()
    }

    /// The visible counts of a source partition; `None` without a position record.
    #[must_use]
    pub fn counts(&self, topic: &str, partition: i32) -> Option<CountsStore> {
        let source = self.source(topic, partition)?;
        Some(source.counts(source.visible_epoch()?))
    }

    /// The counts of a source partition before the last switch of epochs; `None` without a switch.
    #[must_use]
    pub fn counts_before_switch(&self, topic: &str, partition: i32) -> Option<CountsStore> {
        let source = self.source(topic, partition)?;
        Some(source.counts(&source.position.as_ref()?.previous.as_ref()?.epoch))
    }

    /// What is missing from a source partition's state: from the visible one, or from that before the last switch.
    #[must_use]
    pub fn loss(&self, topic: &str, partition: i32, view: View) -> Option<Loss> {
        let source = self.source(topic, partition)?;
        let position = source.position.as_ref()?;
        let previous = position.previous.as_ref().filter(|_| view == View::BeforeSwitch);
        match previous {
            Some(before) => source.counts(&before.epoch).loss(&before.holds),
            None => source.counts(source.visible_epoch()?).loss(&position.holds),
        }
    }

    /// What is missing from the visible state, by topic and partition.
    pub fn losses(&self) -> impl Iterator<Item = (&str, i32, Loss)> {
        self.positions()
            .filter_map(|(topic, partition, _)| Some((topic, partition, self.loss(topic, partition, View::Current)?)))
    }

    /// The epochs with counts of a source partition in the changelog, in order.
    pub fn epochs(&self, topic: &str, partition: i32) -> impl Iterator<Item = &str> {
        self.source(topic, partition).into_iter().flat_map(|source| source.epochs.keys().map(String::as_str))
    }

    /// The keys of every epoch except the visible one and the one before the last switch, for deletion.
    ///
    /// Without a position every epoch is stale: its records never became visible.
    pub fn stale_keys(&self, each: &mut dyn FnMut(StaleKey<'_>)) {
        let mut key = Vec::new();
        for (topic, partitions) in &self.sources {
            for (partition, source) in partitions {
                let previous = source.position.as_ref().and_then(|position| position.previous.as_ref());
                let kept = [source.visible_epoch(), previous.map(|previous| previous.epoch.as_str())];
                for (epoch, counts) in source.epochs.iter().filter(|(epoch, _)| !kept.contains(&Some(epoch))) {
                    let prefix = StateKeyPrefix::new(&self.group, epoch, topic, *partition);
                    for counted in counts.keys() {
                        prefix.write_key(counted, &mut key);
                        each(StaleKey { topic, partition: *partition, epoch, key: &key });
                    }
                }
            }
        }
    }

    /// The group's metrics and their offset ranges.
    ///
    /// `topics` are the sources to include: `order-events` and `inventory-events` with their prefix. `view` chooses the
    /// state of each position (topic, partition, position): [`View::BeforeSwitch`] to compare again after a killed
    /// replay, or to show the result of an undo.
    #[must_use]
    pub fn metrics(&self, topics: [&str; 2], view: impl Fn(&str, i32, &Position) -> View) -> Metrics {
        self.partial_metrics(topics, |topic, partition, position| Some(view(topic, partition, position)))
    }

    /// As [`GroupState::metrics`], without the positions for which `view` returns `None`: the metrics of the partitions
    /// that a partial replay does not change.
    #[must_use]
    pub fn partial_metrics(&self, topics: [&str; 2], view: impl Fn(&str, i32, &Position) -> Option<View>) -> Metrics {
        let mut metrics = Metrics::default();
        for (topic, partition, position) in self.positions().filter(|(topic, ..)| topics.contains(topic)) {
            let Some(view) = view(topic, partition, position) else { continue };
            let before = (view == View::BeforeSwitch).then_some(position.previous.as_ref());
            let (start, end, digest, counts) = match before.flatten() {
                Some(before) => {
                    (before.log_start, before.next_offset, before.digest, self.counts_before_switch(topic, partition))
                }
                None => (position.log_start, position.next_offset, position.digest, self.counts(topic, partition)),
            };
            metrics.add_range(topic, partition, start, end, digest);
            metrics.add(&counts.unwrap_or_default());
        }
        metrics
    }
}

/// A key to delete, by a tombstone in the partition with the number of the source partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleKey<'a> {
    /// The source topic.
    pub topic: &'a str,
    /// The source partition.
    pub partition: i32,
    /// The stale epoch.
    pub epoch: &'a str,
    /// The key's bytes.
    pub key: &'a [u8],
}

fn invalid_value(key: &[u8], topic: &str, partition: i32, reason: String) -> StateError {
    let topic = printable(topic.as_bytes());
    StateError::Value { topic, partition, key: printable(key), reason }
}

/// A text from a record, escaped and shortened for a message.
fn printable(bytes: &[u8]) -> String {
    const MAX_BYTES: usize = 200;
    let (shown, rest) = bytes.split_at(bytes.len().min(MAX_BYTES));
    let dots = if rest.is_empty() { "" } else { "…" };
    format!("{}{dots}", shown.escape_ascii())
}
