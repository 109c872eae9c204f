//! Owns the join of the metrics to the loop: orders and decisions in, tallies in `analytics-state` out.

use std::collections::BTreeMap;

use crate::analytics::{CountsStore, Feed, GroupState, StateKeyPrefix};
use crate::exit::{Code, Failure};
use crate::kafka::{Output, TopicPartition, TransactionError};
use crate::state::{Digest, Loss, Position, PositionKey};
use crate::stream::{Changed, Outputs, Processor, SourceRecord};

/// Place of `analytics-state` among the loop's outputs.
pub const STATE: Output = Output(0);

/// Counts orders and decisions for a group.
#[derive(Debug)]
pub struct AnalyticsProcessor {
    group: String,
    /// What each of the loop's sources holds, by its place.
    feeds: Vec<Feed>,
    /// The epoch of partitions whose state begins in this process.
    epoch: String,
}

impl AnalyticsProcessor {
    /// A keeper for a group whose sources hold these feeds; `epoch` must be one that nobody used before.
    #[must_use]
    pub fn new(group: &str, feeds: &[Feed], epoch: String) -> Self {
        Self { group: group.to_owned(), feeds: feeds.to_vec(), epoch }
    }
}

impl Processor for AnalyticsProcessor {
    type Task = CountsStore;
    type Restore = GroupState;

    fn position_key(&self, source: &TopicPartition) -> PositionKey {
        PositionKey::Shared { group: self.group.clone(), topic: source.topic.clone(), partition: source.partition }
    }

    fn first_position(&self, log_start: i64) -> Position {
        Position {
            next_offset: log_start,
            log_start,
            topic_id: None,
            group: self.group.clone(),
            epoch: Some(self.epoch.clone()),
            settings: None,
            counts: BTreeMap::new(),
            holds: BTreeMap::new(),
            digest: Digest::default(),
            until: None,
            previous: None,
        }
    }

    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure> {
        if position.group == self.group && position.epoch.is_some() {
            return Ok(());
        }
        Err(Failure::new(Code::Refused, format!("the state of {source} is not the group {}'s", self.group))
            .hint("another program wrote to analytics-state; use a fresh --prefix"))
    }

    fn begin_restore(&self) -> GroupState {
        GroupState::new(&self.group)
    }

    fn restore(&self, restore: &mut GroupState, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        restore.apply(key, value).map_err(|error| error.to_string())
    }

    fn finish_restore(&self, restore: &mut GroupState, source: &TopicPartition) -> (CountsStore, Option<Position>) {
        let position = restore.position(&source.topic, source.partition).cloned();
        (restore.tallies(&source.topic, source.partition).unwrap_or_default(), position)
    }

    fn loss(&self, task: &CountsStore, position: &Position) -> Option<Loss> {
        task.loss(&position.holds)
    }

    fn give_up(&self, source: &TopicPartition, task: &CountsStore, position: &Position) -> (CountsStore, Vec<Vec<u8>>) {
        // The new state has another epoch, so that not one of these keys is written again.
        let owner = StateKeyPrefix::new(
            &self.group,
            position.epoch.as_deref().unwrap_or_default(),
            &source.topic,
            source.partition,
        );
        let mut keys = Vec::new();
        task.keys(&owner, &mut |key| keys.push(key.to_vec()));
        (CountsStore::default(), keys)
    }

    fn process(
        &mut self,
        task: &mut CountsStore,
        record: &SourceRecord<'_>,
        _outputs: &mut dyn Outputs,
    ) -> Result<(), TransactionError> {
        if let Some(feed) = self.feeds.get(record.topic) {
            task.record(*feed, record.value);
        }
        Ok(())
    }

    fn changes(
        &self,
        source: &TopicPartition,
        task: &CountsStore,
        position: &Position,
        each: &mut Changed<'_>,
    ) -> Result<(), TransactionError> {
        let epoch = position.epoch.as_deref().unwrap_or(&self.epoch);
        let owner = StateKeyPrefix::new(&self.group, epoch, &source.topic, source.partition);
        let mut result = Ok(());
        task.changes(&owner, &mut |key, value| {
            if result.is_ok() {
                result = each(key, value);
            }
        });
        result
    }

    fn counts(&self, _task: &CountsStore, _counts: &mut BTreeMap<String, u64>) {}

    fn holds(&self, task: &CountsStore) -> BTreeMap<String, u64> {
        task.holds()
    }

    fn committed(&mut self, task: &mut CountsStore) {
        task.commit();
    }

    fn aborted(&mut self, task: &mut CountsStore) {
        task.abort();
    }
}
