//! Owns one group's view of `analytics-state`: the fold of the whole changelog that restores, follows and compares.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{CountKey, CountsStore, Metrics, StateKey, StateKeyPrefix, counts_store::CountValue};
use crate::state::{Loss, Position, PositionKey};

/// What the changelog of `analytics-state` says about one group, record by record.
///
/// A transaction writes a partition's position record last. So what is written under the epoch that a partition shows is
/// held back until the next position record, and a reader never sees half a transaction. What is written under another
/// epoch is not shown and needs no holding back: a position record that names it makes all of it visible at once.
///
/// Only the latest value of each key is kept, whatever the length of the changelog.
#[derive(Debug)]
pub struct GroupState {
    group: String,
    state_prefix: Vec<u8>,
    position_prefix: Vec<u8>,
    /// Whether counts are kept, beside the positions.
    counts: bool,
    sources: BTreeMap<String, BTreeMap<i32, SourcePartition>>,
}

/// Which of a partition's two states is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Where it stands now.
    Current,
    /// Where it stood before the last switch of epochs; where there was none, the same as [`View::Current`].
    BeforeSwitch,
}

/// Why a record of the changelog cannot be taken over. Texts from the record are escaped.
#[derive(Debug, Error)]
pub enum StateError {
    /// The key begins as a key of the group and goes on as none.
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

type Items = BTreeMap<CountKey<'static>, CountValue>;

/// One source partition.
#[derive(Debug, Default)]
struct SourcePartition {
    position: Option<Position>,
    epochs: BTreeMap<String, Items>,
    /// What was written under the shown epoch since the position record; `None` is a deletion.
    held_back: BTreeMap<CountKey<'static>, Option<CountValue>>,
}

impl SourcePartition {
    fn shown(&self) -> Option<&str> {
        self.position.as_ref()?.epoch.as_deref()
    }

    fn write(&mut self, epoch: &str, counted: CountKey<'static>, item: Option<CountValue>) {
        if self.shown() == Some(epoch) {
            self.held_back.insert(counted, item);
        } else {
            self.set(epoch, counted, item);
        }
    }

    /// Everything written so far counts from here on.
    fn stand_at(&mut self, position: Option<Position>) {
        let held_back = std::mem::take(&mut self.held_back);
        if let Some(epoch) = std::mem::replace(&mut self.position, position).and_then(|position| position.epoch) {
            for (counted, item) in held_back {
                self.set(&epoch, counted, item);
            }
        }
    }

    fn set(&mut self, epoch: &str, counted: CountKey<'static>, item: Option<CountValue>) {
        match (self.epochs.get_mut(epoch), item) {
            (Some(items), Some(item)) => {
                items.insert(counted, item);
            }
            (Some(items), None) => {
                items.remove(&counted);
                if items.is_empty() {
                    self.epochs.remove(epoch);
                }
            }
            (None, Some(item)) => {
                self.epochs.insert(epoch.to_owned(), BTreeMap::from([(counted, item)]));
            }
            (None, None) => {}
        }
    }

    fn tallies(&self, epoch: &str) -> CountsStore {
        let mut tallies = CountsStore::default();
        for (counted, item) in self.epochs.get(epoch).into_iter().flatten() {
            tallies.put(counted.clone(), item.clone());
        }
        tallies
    }

    fn is_empty(&self) -> bool {
        self.position.is_none() && self.epochs.is_empty() && self.held_back.is_empty()
    }
}

impl GroupState {
    /// The state of a group of which nothing was read yet.
    #[must_use]
    pub fn new(group: &str) -> Self {
        // As long as a shared position's key, and equal to one up to the topic.
        let position = PositionKey::Shared { group: group.to_owned(), topic: String::new(), partition: 0 }.encode();
        let prefix = position.strip_suffix(b"\"\",0]").unwrap_or(&position);
        Self {
            group: group.to_owned(),
            state_prefix: StateKey::prefix_of(group),
            position_prefix: prefix.to_vec(),
            counts: true,
            sources: BTreeMap::new(),
        }
    }

    /// The same for who asks for positions only: the counts, which may be many, are passed over.
    #[must_use]
    pub fn of_positions(group: &str) -> Self {
        Self { counts: false, ..Self::new(group) }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Takes the next record of a partition of the changelog; records of other groups are passed over.
    ///
    /// # Errors
    ///
    /// When a record of this group cannot be read; the state is then what it was.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        if key.starts_with(&self.position_prefix)
            && let Some(PositionKey::Shared { topic, partition, .. }) = PositionKey::decode(key)
        {
            return self.apply_position(key, &topic, partition, value);
        }
        // A group may be called `@position`: then the keys of other groups' positions begin like those of its state.
        let is_ours = (key.starts_with(&self.state_prefix) && PositionKey::decode(key).is_none())
            || (key.starts_with(&self.position_prefix) && StateKey::decode(key).is_none());
        if !is_ours || !self.counts {
            return Ok(());
        }
        let StateKey { epoch, topic, partition, counted, .. } =
            StateKey::decode(key).ok_or_else(|| StateError::Key { key: printable(key) })?;
        let item = value
            .map(|value| CountValue::decode(&counted, value))
            .transpose()
            .map_err(|error| refuse(key, &topic, partition, error.to_string()))?;
        self.change(&topic, partition, |source| source.write(&epoch, counted.into_owned(), item));
        Ok(())
    }

    fn apply_position(
        &mut self,
        key: &[u8],
        topic: &str,
        partition: i32,
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let refuse = |reason| refuse(key, topic, partition, reason);
        let position = value.map(Position::decode).transpose().map_err(|error| refuse(error.to_string()))?;
        if let Some(position) = &position {
            if position.epoch.is_none() {
                return Err(refuse("a position of analytics names its epoch".to_owned()));
            }
            if position.group != self.group {
                return Err(refuse(format!("the value names the group `{}`", printable(position.group.as_bytes()))));
            }
        }
        self.change(topic, partition, |source| source.stand_at(position));
        Ok(())
    }

    /// Changes one source partition, and forgets it when nothing is left of it.
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

    /// Whether the changelog holds nothing at all of this group: neither a position nor a count of any epoch.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether the group has state: counts that no position names, as a killed switch leaves them, are none.
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

    /// Where a source partition stands; `None` without a position record.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<&Position> {
        self.source(topic, partition)?.position.as_ref()
    }

    /// What a source partition has counted where it stands; `None` without a position record.
    #[must_use]
    pub fn tallies(&self, topic: &str, partition: i32) -> Option<CountsStore> {
        let source = self.source(topic, partition)?;
        Some(source.tallies(source.shown()?))
    }

    /// What a source partition had counted before the last switch of epochs; `None` where there was none.
    #[must_use]
    pub fn tallies_before_switch(&self, topic: &str, partition: i32) -> Option<CountsStore> {
        let source = self.source(topic, partition)?;
        Some(source.tallies(&source.position.as_ref()?.previous.as_ref()?.epoch))
    }

    /// What is gone of a source partition's state: of the one that it shows, or of the one before the last switch.
    #[must_use]
    pub fn loss(&self, topic: &str, partition: i32, view: View) -> Option<Loss> {
        let source = self.source(topic, partition)?;
        let position = source.position.as_ref()?;
        let previous = position.previous.as_ref().filter(|_| view == View::BeforeSwitch);
        match previous {
            Some(before) => source.tallies(&before.epoch).loss(&before.holds),
            None => source.tallies(source.shown()?).loss(&position.holds),
        }
    }

    /// What is gone of the state that is shown, by topic and partition.
    pub fn losses(&self) -> impl Iterator<Item = (&str, i32, Loss)> {
        self.positions()
            .filter_map(|(topic, partition, _)| Some((topic, partition, self.loss(topic, partition, View::Current)?)))
    }

    /// The epochs of which the changelog holds counts for a source partition, in order; the shown one among them once it
    /// has counted something.
    pub fn epochs(&self, topic: &str, partition: i32) -> impl Iterator<Item = &str> {
        self.source(topic, partition).into_iter().flat_map(|source| source.epochs.keys().map(String::as_str))
    }

    /// The keys to delete so that of all epochs only the shown one and the one before the last switch remain.
    ///
    /// Every epoch is stale where there is no position: what was written there never became visible.
    pub fn stale_keys(&self, each: &mut dyn FnMut(StaleKey<'_>)) {
        let mut key = Vec::new();
        for (topic, partitions) in &self.sources {
            for (partition, source) in partitions {
                let previous = source.position.as_ref().and_then(|position| position.previous.as_ref());
                let kept = [source.shown(), previous.map(|previous| previous.epoch.as_str())];
                for (epoch, items) in source.epochs.iter().filter(|(epoch, _)| !kept.contains(&Some(epoch))) {
                    let owner = StateKeyPrefix::new(&self.group, epoch, topic, *partition);
                    for counted in items.keys() {
                        owner.write_key(counted, &mut key);
                        each(StaleKey { topic, partition: *partition, epoch, key: &key });
                    }
                }
            }
        }
    }

    /// The group's metrics, with the ranges they stand for.
    ///
    /// `topics` are the sources that count, `order-events` and `inventory-events` under their prefix; `view` chooses for
    /// each of their positions (topic, partition, position) which of its states is meant. To compare again after a replay
    /// that was killed, or to show what an undo leads to, that is [`View::BeforeSwitch`] for the partitions that moved.
    #[must_use]
    pub fn metrics(&self, topics: [&str; 2], view: impl Fn(&str, i32, &Position) -> View) -> Metrics {
        self.metrics_of_some(topics, |topic, partition, position| Some(view(topic, partition, position)))
    }

    /// As [`GroupState::metrics`], of the positions for which `view` chooses one: what a replay of some partitions leaves
    /// as it is.
    #[must_use]
    pub fn metrics_of_some(&self, topics: [&str; 2], view: impl Fn(&str, i32, &Position) -> Option<View>) -> Metrics {
        let mut metrics = Metrics::default();
        for (topic, partition, position) in self.positions().filter(|(topic, ..)| topics.contains(topic)) {
            let Some(view) = view(topic, partition, position) else { continue };
            let before = (view == View::BeforeSwitch).then_some(position.previous.as_ref());
            let (start, end, digest, tallies) = match before.flatten() {
                Some(before) => {
                    (before.log_start, before.next_offset, before.digest, self.tallies_before_switch(topic, partition))
                }
                None => (position.log_start, position.next_offset, position.digest, self.tallies(topic, partition)),
            };
            metrics.add_range(topic, partition, start, end, digest);
            metrics.add(&tallies.unwrap_or_default());
        }
        metrics
    }
}

/// A key that stands for nothing any more: a tombstone for it belongs on the source's partition number.
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

fn refuse(key: &[u8], topic: &str, partition: i32, reason: String) -> StateError {
    let topic = printable(topic.as_bytes());
    StateError::Value { topic, partition, key: printable(key), reason }
}

/// A text from a record as it may stand in a message.
fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let (shown, rest) = bytes.split_at(bytes.len().min(LONGEST));
    let dots = if rest.is_empty() { "" } else { "…" };
    format!("{}{dots}", shown.escape_ascii())
}
