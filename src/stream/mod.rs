//! Owns the transactional loop that every stateful consumer runs on: consume, process, produce, all in one transaction
//! with the offsets and the state (KIP-447).
//!
//! Rank 30. Knows records, state and positions; knows nothing of orders.

mod assignment;
pub mod changelog;
mod end_offsets;
mod error;
mod outage;
mod poll_loop;
mod recovery;
mod settings;
mod start_position;
mod tasks;
mod throttle;
mod topic_ids;

pub use error::StreamError;
pub use poll_loop::run;
pub use settings::{ErrorTexts, LoopEvent, LoopSettings, LoopSummary};
pub use tasks::CommittedPosition;
pub use throttle::Throttle;

use std::collections::BTreeMap;

use crate::exit::Failure;
use crate::kafka::{Headers, Output, RecordHeaders, TopicPartition, TransactionError};
use crate::state::{Loss, Position, PositionKey};

/// A record of a source partition.
#[derive(Debug, Clone, Copy)]
pub struct SourceRecord<'a> {
    /// Place of its topic among the loop's sources.
    pub topic: usize,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch.
    pub timestamp_millis: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: RecordHeaders<'a>,
}

/// Where a processor writes to: the open transaction, on the source's partition number.
pub trait Outputs {
    /// Writes a record to an output topic.
    ///
    /// # Errors
    ///
    /// When the transaction has failed; the processor returns it unchanged.
    fn send(&mut self, topic: Output, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TransactionError>;

    /// As [`Outputs::send`], with headers.
    ///
    /// # Errors
    ///
    /// As [`Outputs::send`].
    fn send_with_headers(
        &mut self,
        topic: Output,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<(), TransactionError>;
}

/// Takes changed state: key and value of a changelog record.
pub type Changed<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), TransactionError> + 'a;

/// What is done with records: a key-value state per source partition and a function on it; everything about Kafka is
/// the loop's.
pub trait Processor: Sync {
    /// The state of one source partition, with the changes of the open transaction on top.
    type Task;
    /// What collects the records of a changelog partition.
    type Restore: Send;

    /// The key of a source partition's position record.
    fn position_key(&self, source: &TopicPartition) -> PositionKey;

    /// The position of a source partition whose state begins now, at the log's start.
    fn first_position(&self, log_start: i64) -> Position;

    /// Whether a kept position is this processor's to go on from.
    ///
    /// # Errors
    ///
    /// With exit code 7 when it belongs to another group or to other settings.
    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure>;

    /// Starts to restore a changelog partition.
    fn begin_restore(&self) -> Self::Restore;

    /// Takes the next record of the changelog partition.
    ///
    /// # Errors
    ///
    /// When the record is none that this processor wrote.
    fn restore(&self, restore: &mut Self::Restore, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;

    /// The restored state of a source partition, and where it stands; an empty one with `None` when there is none.
    fn finish_restore(&self, restore: &mut Self::Restore, source: &TopicPartition) -> (Self::Task, Option<Position>);

    /// What of a restored state is gone, if it is not all that it held at its position.
    fn loss(&self, task: &Self::Task, position: &Position) -> Option<Loss>;

    /// Gives a state up: an empty one in its place, and the keys to delete from the changelog.
    fn give_up(&self, source: &TopicPartition, task: &Self::Task, position: &Position) -> (Self::Task, Vec<Vec<u8>>);

    /// Processes a record: changes the task, writes results.
    ///
    /// # Errors
    ///
    /// Only what `outputs` returned.
    fn process(
        &mut self,
        task: &mut Self::Task,
        record: &SourceRecord<'_>,
        outputs: &mut dyn Outputs,
    ) -> Result<(), TransactionError>;

    /// Tells the state that the transaction has changed, once per key.
    ///
    /// # Errors
    ///
    /// Only what `each` returned.
    fn changes(
        &self,
        source: &TopicPartition,
        task: &Self::Task,
        position: &Position,
        each: &mut Changed<'_>,
    ) -> Result<(), TransactionError>;

    /// Adds the processor's own counts, the open transaction's included, to a position's.
    fn counts(&self, task: &Self::Task, counts: &mut BTreeMap<String, u64>);

    /// How much the state holds, by name, the open transaction included.
    fn holds(&self, task: &Self::Task) -> BTreeMap<String, u64>;

    /// The transaction was committed.
    fn committed(&mut self, task: &mut Self::Task);

    /// The transaction was aborted: the task is as it was before.
    fn aborted(&mut self, task: &mut Self::Task);
}
