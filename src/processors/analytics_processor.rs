//! Stream processor of `analytics`: reads orders and decisions, and writes counts to `analytics-state`.

use std::collections::BTreeMap;

use crate::analytics::{CountsStore, Feed, GroupState, StateKeyPrefix};
use crate::exit::{Code, Failure};
use crate::kafka::{Output, TopicPartition, TransactionError};
use crate::state::{Digest, Loss, Position, PositionKey};
use crate::stream::{Changed, Outputs, Processor, SourceRecord};

/// Index of `analytics-state` among the loop's outputs.
pub const STATE: Output = Output(0);

/// Counts orders and decisions for a group.
#[derive(Debug)]
pub struct AnalyticsProcessor {
    group: String,
    /// The feed of each source topic, by its index.
    feeds: Vec<Feed>,
    /// The epoch of tasks that start with empty state.
    epoch: String,
}

impl AnalyticsProcessor {
    /// A processor for `group`; `feeds` are those of the source topics, and `epoch` must be unused.
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

    fn initial_position(&self, log_start: i64) -> Position {
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
            started_over: false,
            previous: None,
        }
    }

    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure> {
        if position.group == self.group && position.epoch.is_some() {
            return Ok(());
        }
        Err(Failure::new(Code::Refused, format!("the state of {source} does not belong to the group {}", self.group))
            .hint("another program wrote to analytics-state; use a new --prefix"))
    }

    fn begin_restore(&self) -> GroupState {
        GroupState::new(&self.group)
    }

    fn restore(&self, restore: &mut GroupState, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        restore.apply(key, value).map_err(|error| error.to_string())
    }

    fn finish_restore(&self, restore: &mut GroupState, source: &TopicPartition) -> (CountsStore, Option<Position>) {
        let position = restore.position(&source.topic, source.partition).cloned();
        (restore.counts(&source.topic, source.partition).unwrap_or_default(), position)
    }

    fn loss(&self, task: &CountsStore, position: &Position) -> Option<Loss> {
        task.loss(&position.holds)
    }

    fn reset(&self, source: &TopicPartition, task: &CountsStore, position: &Position) -> (CountsStore, Vec<Vec<u8>>) {
        // The new state has another epoch, so none of these keys is written again.
        let prefix = StateKeyPrefix::new(
            &self.group,
            position.epoch.as_deref().unwrap_or_default(),
            &source.topic,
            source.partition,
        );
        let mut keys = Vec::new();
        task.keys(&prefix, &mut |key| keys.push(key.to_vec()));
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
        let prefix = StateKeyPrefix::new(&self.group, epoch, &source.topic, source.partition);
        let mut result = Ok(());
        task.changes(&prefix, &mut |key, value| {
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
