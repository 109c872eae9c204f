//! Transactional consume-process-produce loop of the stateful consumers (KIP-447), as in Kafka Streams with
//! `exactly_once_v2`: results, state and offsets of a batch of records are committed in one transaction.
//!
//! A [`Processor`] has one *task* per assigned source partition: a key-value state (a state store) and a function on
//! it. The state is kept in a *changelog* topic, together with a *position record* per task. See
//! `docs/reference/exactly-once.md`.
//!
//! States of the loop and their transitions (compare `StreamThread.State` and `StreamTask` in Kafka Streams):
//!
//! ```text
//!                      +-------------+
//!                +---> |   Joining   | <---------------- revoked: commit, unassign -------------+
//!                |     +------+------+ <---------------- lost: abort, unassign -----------------+
//!                |            | partitions assigned                                             |
//!                |            v                                                                 |
//!   fenced in an |     +-------------+                                                          |
//!   outage, the  |     |             | ---+ cluster does not respond: back off and retry        |
//!   session has  +---- |  Restoring  | <--+ offsets changed: restore again                      |
//!   expired:     |     |             |                                                          |
//!   rejoin       |     +------+------+ <-------+                                                |
//!                |            | state,         | unknown outcome, transaction                   |
//!                |            | offset and     | timeout, or fenced: drop                       |
//!                |            | topic agree    | producer and tasks                             |
//!                |            v                |                                                |
//!                |     +-------------+         |                                                |
//!                |     |    Idle     | --------|------------------------------------------------+
//!                |     +-+---------+-+         |                                                |
//!                |       | record  ^ committed,|                                                |
//!                |       v         | or aborted: rewind                                         |
//!                |     +-------------+         |                                                |
//!                +---- | Transaction | --------+------------------------------------------------+
//!                      +------+------+
//!                             | stale generation (task migrated): abort
//!                             v
//!                      +-------------+
//!                      |   Waiting   | ---- revoked or lost ----> Joining
//!                      +-------------+
//!
//!   any state ---- stop requested, end offsets reached: commit ----> Closed
//!   any state ---- error that cannot be retried, or outage too long: abort ----> Failed
//! ```
//!
//! | state | `generation` | `pending` | `open` | file |
//! | --- | --- | --- | --- | --- |
//! | Joining, Waiting | | | | `poll_loop.rs`, `assignment.rs` |
//! | Restoring | | yes | | `assignment.rs`, `tasks.rs`, `start_position.rs`, `changelog.rs` |
//! | Idle | yes | | | `poll_loop.rs`, `end_offsets.rs` |
//! | Transaction | yes | | yes | `poll_loop.rs`, `topic_ids.rs`, `recovery.rs` |
//!
//! An outage of the cluster (`outage.rs`) is orthogonal to these states.
//!
//! Layer 30. Knows records, state and positions, but not what the records contain.

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
    /// Index of its topic in [`LoopSettings::sources`].
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_millis: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: RecordHeaders<'a>,
}

/// Output topics of a processor. Records go into the open transaction, to the partition number of the source.
pub trait Outputs {
    /// Writes a record to an output topic.
    ///
    /// # Errors
    ///
    /// When the transaction has failed; the processor returns the error unchanged.
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

/// Receives changed state: key and value of a changelog record.
pub type Changed<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), TransactionError> + 'a;

/// A stream processor: a key-value state per source partition, and a function that processes a record with it. The loop
/// does everything that concerns Kafka.
pub trait Processor: Sync {
    /// The state of one source partition, with the changes of the open transaction on top.
    type Task;
    /// Collects the records of a changelog partition during a restore.
    type Restore: Send;

    /// The key of a source partition's position record.
    fn position_key(&self, source: &TopicPartition) -> PositionKey;

    /// The position of a task that starts with empty state at the log start.
    fn initial_position(&self, log_start: i64) -> Position;

    /// Checks that this processor may continue from a restored position.
    ///
    /// # Errors
    ///
    /// With exit code 7 when the position belongs to another group or to other settings.
    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure>;

    /// Starts the restore of a changelog partition.
    fn begin_restore(&self) -> Self::Restore;

    /// Restores the next record of the changelog partition.
    ///
    /// # Errors
    ///
    /// When this processor cannot have written the record.
    fn restore(&self, restore: &mut Self::Restore, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;

    /// The restored state and position of a source partition; empty state and `None` where the changelog has no
    /// position.
    fn finish_restore(&self, restore: &mut Self::Restore, source: &TopicPartition) -> (Self::Task, Option<Position>);

    /// What is missing from a restored state, compared with what its position record says.
    fn loss(&self, task: &Self::Task, position: &Position) -> Option<Loss>;

    /// Replaces a state by an empty one, and returns the keys to delete from the changelog.
    fn reset(&self, source: &TopicPartition, task: &Self::Task, position: &Position) -> (Self::Task, Vec<Vec<u8>>);

    /// Processes a record: changes the state and writes results.
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

    /// Passes the state that the transaction has changed to `each`, once per key.
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

    /// Adds the processor's counts, including the open transaction, to those of a position.
    fn counts(&self, task: &Self::Task, counts: &mut BTreeMap<String, u64>);

    /// The size of the state by name, including the open transaction.
    fn holds(&self, task: &Self::Task) -> BTreeMap<String, u64>;

    /// The transaction was committed.
    fn committed(&mut self, task: &mut Self::Task);

    /// The transaction was aborted: the state returns to that of the last commit.
    fn aborted(&mut self, task: &mut Self::Task);
}
