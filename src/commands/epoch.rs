//! A new epoch of the group's state: written in ordinary transactions, then made current by one small transaction that
//! also commits the offsets. A rewind, the result of a full pass and an undo all work this way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use super::group::{self, GroupError, InputPartition};
use super::metrics_scan::Fold;
use super::sole_member::SoleMember;
use super::topic_set::{self, Topic, TopicSet};
use crate::analytics::StateKeyPrefix;
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{
    BackgroundDrop, EndOffset, Inspector, Output, Sizes, TopicPartition, TransactionError, TransactionalId,
    TransactionalProducer,
};
use crate::state::{Checkpoint, Position, PositionKey, TopicId};

/// The only topic written to.
const STATE: Output = Output(0);
/// Most records in one ordinary transaction, far from any transaction timeout.
const CHUNK: usize = 20_000;
/// The pause before a transaction is retried.
const PAUSE: Duration = Duration::from_millis(50);
/// The least time for a new producer when the deadline has passed.
const MIN_OPEN_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a switch is retried with a new generation.
const MAX_STALE_GENERATIONS: u32 = 3;

/// A changelog record: partition, key, and value or tombstone.
type Change = (i32, Vec<u8>, Option<Vec<u8>>);

/// Writes the group's state under a new epoch.
pub(super) struct EpochWriter<'a> {
    context: &'a Context,
    group: &'a str,
    /// The name of the epoch: the id of this process.
    epoch: String,
    id: TransactionalId,
    topics: [String; 1],
    sizes: Sizes,
    transactions: RefCell<BackgroundDrop<TransactionalProducer>>,
}

/// Where the log that was counted starts.
#[derive(Debug, Clone)]
pub(super) struct LogOrigin {
    pub start: i64,
    /// `None` if unknown.
    pub topic_id: Option<TopicId>,
}

/// An input partition in a switch.
#[derive(Debug, Clone)]
pub(super) struct SwitchedPartition {
    pub source: TopicPartition,
    pub position: Position,
}

impl<'a> EpochWriter<'a> {
    pub fn open(context: &'a Context, inspector: &Inspector, group: &'a str) -> Result<Self, Failure> {
        let id = TransactionalId { prefix: format!("{group}-"), suffix: format!("switch-{}", context.process_id) };
        let topics = [context.common.names.analytics_state()];
        let sizes = topic_set::sizes(context, inspector, &[Topic::AnalyticsState])?;
        let transactions =
            TransactionalProducer::open(&context.common.connection, &id, &topics, sizes, None, &context.shutdown)?;
        let transactions = RefCell::new(BackgroundDrop::new(transactions));
        Ok(Self { context, group, epoch: context.process_id.clone(), id, topics, sizes, transactions })
    }

    /// The position record of a partition in this epoch.
    pub fn position(&self, fold: &Fold, log: LogOrigin, end: i64, previous: Option<Checkpoint>) -> Position {
        Position {
            next_offset: fold.position,
            log_start: log.start,
            topic_id: log.topic_id,
            group: self.group.to_owned(),
            epoch: Some(self.epoch.clone()),
            settings: None,
            counts: BTreeMap::from([("records".to_owned(), fold.records)]),
            holds: fold.counts.holds(),
            digest: fold.digest,
            until: (fold.position < end).then_some(end),
            started_over: false,
            previous,
        }
    }

    fn owner(&self, source: &TopicPartition) -> StateKeyPrefix {
        StateKeyPrefix::new(self.group, &self.epoch, &source.topic, source.partition)
    }

    /// Writes complete folds under this epoch. They stay invisible until the switch.
    pub fn write_base(&self, inputs: &[InputPartition], folds: &mut [Fold]) -> Result<(), GroupError> {
        for (input, fold) in inputs.iter().zip(folds) {
            let source = &input.source;
            let mut changes: Vec<Change> = Vec::new();
            fold.counts.all_records(&self.owner(source), &mut |key, value| {
                changes.push((source.partition, key.to_vec(), Some(value.to_vec())));
            });
            fold.counts.commit();
            self.write(&changes)?;
        }
        Ok(())
    }

    /// Collects what changed in a fold since the last call, as records of this epoch.
    pub fn take_changes(&self, input: &InputPartition, fold: &mut Fold, changes: &mut Vec<Change>) {
        let source = &input.source;
        fold.counts.changes(&self.owner(source), &mut |key, value| {
            changes.push((source.partition, key.to_vec(), Some(value.to_vec())));
        });
        fold.counts.commit();
    }

    /// Switches to this epoch, or advances within it: changes, positions and offsets in one transaction.
    ///
    /// After a rebalance without another member the generation is stale, the transaction is aborted, and the switch is
    /// retried with the next generation.
    pub fn switch(
        &self,
        sole_member: &SoleMember<'_>,
        changes: &[Change],
        switched: &[SwitchedPartition],
    ) -> Result<(), GroupError> {
        let offsets: Vec<(TopicPartition, i64)> =
            switched.iter().map(|switched| (switched.source.clone(), switched.position.next_offset)).collect();
        sole_member.expect(&offsets);
        let mut stale = 0;
        loop {
            match self.switch_once(sole_member, changes, switched, &offsets) {
                Ok(()) => break,
                Err(GroupError::Live(_)) if stale < MAX_STALE_GENERATIONS => {
                    stale += 1;
                    sole_member.rejoin(false)?;
                }
                Err(error) => return Err(error),
            }
        }
        sole_member.committed(&offsets);
        Ok(())
    }

    fn switch_once(
        &self,
        sole_member: &SoleMember<'_>,
        changes: &[Change],
        switched: &[SwitchedPartition],
        offsets: &[(TopicPartition, i64)],
    ) -> Result<(), GroupError> {
        self.transaction(|transactions| {
            send(transactions, changes)?;
            for SwitchedPartition { source, position } in switched {
                let TopicPartition { topic, partition } = source.clone();
                let key = PositionKey::Shared { group: self.group.to_owned(), topic, partition }.encode();
                transactions.send(STATE, partition, Some(&key), Some(&position.encode()))?;
            }
            transactions.send_offsets(offsets, &sole_member.metadata())
        })
    }

    /// Deletes the epochs that no position refers to: leftovers of earlier switches and killed attempts.
    pub fn collect_garbage(&self, inspector: &Inspector, topic_set: &TopicSet) -> Result<(), GroupError> {
        let state = group::read_state(self.context, inspector, topic_set, self.group)?;
        let mut tombstones: Vec<Change> = Vec::new();
        state.stale_keys(&mut |stale| tombstones.push((stale.partition, stale.key.to_vec(), None)));
        self.write(&tombstones)
    }

    fn write(&self, changes: &[Change]) -> Result<(), GroupError> {
        for chunk in changes.chunks(CHUNK) {
            self.context.shutdown.check()?;
            self.transaction(|transactions| send(transactions, chunk))?;
        }
        Ok(())
    }

    /// Runs a transaction and retries it for `--timeout` while the error is transient. Repeating the same records and
    /// offsets is harmless.
    fn transaction(
        &self,
        fill: impl Fn(&TransactionalProducer) -> Result<(), TransactionError>,
    ) -> Result<(), GroupError> {
        let deadline = Deadline::after(self.context.common.connection.timeout);
        loop {
            let result = {
                let transactions = self.transactions.borrow();
                transactions.begin().and_then(|()| fill(&transactions)).and_then(|()| transactions.commit())
            };
            let error = match result {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let ends = deadline.has_passed() || self.context.shutdown.requested().is_some();
            let aborted = match error {
                // No other process has this transactional id: the broker gave up on the transaction.
                TransactionError::UnknownOutcome(_) | TransactionError::Fenced(_) => false,
                TransactionError::Abort(_) if ends => false,
                // The first error is the one to report; what cannot be aborted now is aborted by its timeout.
                _ => self.transactions.borrow().abort().is_ok(),
            };
            match error {
                TransactionError::Failed(error) => return Err(error.into()),
                TransactionError::Stale(_) => return Err(GroupError::joined(self.group)),
                error if ends => {
                    let failure = Failure::new(Code::Unreachable, error.to_string())
                        .hint("the group's offsets and state are consistent; run the command again");
                    return Err(failure.into());
                }
                _ => {}
            }
            if !aborted {
                // A new producer aborts what the old one left open.
                let connection =
                    self.context.common.connection.with_timeout(deadline.remaining().max(MIN_OPEN_TIMEOUT));
                let fresh = TransactionalProducer::open(
                    &connection,
                    &self.id,
                    &self.topics,
                    self.sizes,
                    None,
                    &self.context.shutdown,
                )?;
                *self.transactions.borrow_mut() = BackgroundDrop::new(fresh);
            }
            self.context.shutdown.pause(PAUSE);
        }
    }

    /// Waits until the next command can see what was written here.
    pub fn wait_visible(
        &self,
        inspector: &Inspector,
        topic_set: &TopicSet,
        inputs: &[InputPartition],
    ) -> Result<(), Failure> {
        let state = TopicPartition::all(&self.context.common.names.analytics_state(), topic_set.partitions);
        let ends = inspector.ends(&state, EndOffset::HighWatermark)?;
        inspector.wait_stable(&state, &ends, &mut |text| self.context.console.note(text))?;
        group::offsets(self.context, inspector, inputs).map(drop)
    }
}

fn send(transactions: &TransactionalProducer, changes: &[Change]) -> Result<(), TransactionError> {
    for (partition, key, value) in changes {
        transactions.send(STATE, *partition, Some(key), value.as_deref())?;
    }
    Ok(())
}
