//! Owns what a replay freezes before anything moves: the group's offsets and state, the log's bounds, and the plan.

use std::collections::BTreeSet;

use crate::analytics::{GroupState, Metrics, View};
use crate::commands::Context;
use crate::commands::epoch::{EpochWriter, LogOrigin, SwitchedPartition};
use crate::commands::group::{self, InputPartition};
use crate::commands::metrics_scan::Fold;
use crate::commands::topic_set::{self, TopicSet, TopicUse};
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, TopicPartition};
use crate::replay::{PartitionFacts, PartitionTarget, PlanRow, StateFacts, Target, is_selected};
use crate::settings::ReplaySettings;
use crate::state::{Checkpoint, Loss, Position, TopicId, is_another_topic};

/// Everything that is frozen before anything moves.
pub(super) struct Snapshot {
    pub inputs: Vec<InputPartition>,
    pub partitions: Vec<PartitionSnapshot>,
    /// What the group's state has counted.
    pub before: Metrics,
    /// What was counted of the partitions that are left alone.
    pub kept: Metrics,
}

/// One source partition, snapshot.
pub(super) struct PartitionSnapshot {
    /// `committed` is the frozen end: the group's offset, or the one before a replay that was killed.
    pub facts: PartitionFacts,
    pub row: PlanRow,
    pub state: Option<StateFacts>,
    /// What of that state is gone.
    pub loss: Option<Loss>,
    /// The id that the topic has, as far as it is known.
    pub topic_id: Option<TopicId>,
    /// What an undo of this replay goes back to.
    pub previous: Option<Checkpoint>,
    /// Where the state status now.
    pub position: Option<Position>,
    /// The group's offset and its state's position are equal.
    pub agrees: bool,
    /// Asked for: what is not keeps its offset and its state, and nothing of it is read.
    pub chosen: bool,
    /// A replay of it was killed before its end.
    interrupted: bool,
}

impl PartitionSnapshot {
    /// Whether the range can be read at all, and rewound: state and offset agree, the state is whole and of this topic, the log
    /// reaches that far, and all that was counted before the target is still there to be counted again.
    pub fn is_sound(&self) -> bool {
        let reaches = self.row.end <= self.facts.high_watermark && !self.base_is_gone();
        !self.chosen || (self.agrees && self.loss.is_none() && !self.is_another_topic() && reaches)
    }

    fn is_another_topic(&self) -> bool {
        let counted = self.state.as_ref().and_then(|state| state.topic_id.as_ref());
        is_another_topic(counted, self.topic_id.as_ref())
    }

    /// Whether the state at the target cannot be recomputed: it holds records before the log's start of now. At the log's
    /// start there is nothing to recompute.
    fn base_is_gone(&self) -> bool {
        let log_start = self.facts.log_start;
        self.row.to > log_start && self.state.as_ref().is_some_and(|state| state.log_start < log_start)
    }

    /// The end as far as there is a log.
    pub fn readable_end(&self) -> i64 {
        self.row.end.min(self.facts.high_watermark)
    }

    /// Where the range begins: at the log's start, unless that lies behind the end already.
    pub fn begin(&self) -> i64 {
        if self.chosen { self.facts.log_start.min(self.readable_end()) } else { self.readable_end() }
    }

    /// The same partition in the epoch that is written, or `None` where the group has no offset or it is left alone.
    pub fn switched(&self, writer: &EpochWriter<'_>, fold: &Fold) -> Option<SwitchedPartition> {
        self.facts.committed.filter(|_| self.chosen)?;
        let log = LogOrigin { start: self.begin(), topic_id: self.topic_id.clone() };
        let position = writer.position(fold, log, self.row.end, self.previous.clone());
        Some(SwitchedPartition { source: self.source(), position })
    }

    /// The same partition where and what it was, but without what an *earlier* switch left for an undo: an undo goes back
    /// behind the last one, in which this partition did not move. `None` if there is nothing to take away.
    pub fn kept(&self) -> Option<SwitchedPartition> {
        let position = self.position.as_ref().filter(|position| position.previous.is_some())?;
        // Who undoes or repeats a replay that was killed still needs what it left.
        let stays = !self.chosen && self.agrees && !self.interrupted;
        stays.then(|| SwitchedPartition {
            source: self.source(),
            position: Position { previous: None, ..position.clone() },
        })
    }

    fn source(&self) -> TopicPartition {
        TopicPartition::new(&self.facts.topic, self.facts.partition)
    }
}

/// Requires that what was asked for exists: topics, partitions, and the rows of a file.
///
/// # Errors
///
/// With exit code 2 and the flag, or the file's line.
pub(super) fn check(context: &Context, settings: &ReplaySettings, topic_set: &TopicSet) -> Result<(), Failure> {
    let inputs = group::inputs(context, topic_set);
    let mut topics: Vec<String> = inputs.iter().map(|input| input.source.topic.clone()).collect();
    topics.dedup();
    let usage = |text: String| Failure::new(Code::Usage, text);
    for filter in &settings.topics {
        filter.check(context.common.names.prefix(), &topics, topic_set.partitions).map_err(|error| {
            usage(error.to_string()).hint("`foodstream replay --dry-run` lists the topics and partitions of a replay")
        })?;
    }
    if let Target::File(file) = &settings.target {
        file.check(&topics, topic_set.partitions).map_err(|error| {
            usage(error.to_string()).hint(
                "`foodstream replay --dry-run --export FILE` writes a file that fits; --group names another group",
            )
        })?;
        if !inputs.iter().any(|input| is_chosen(context, settings, &input.source)) {
            return Err(usage(format!("no row of {} is of the partitions that --topic names", file.name()))
                .hint("leave --topic out, or name what the file is about"));
        }
    }
    Ok(())
}

/// Whether a partition is asked for.
fn is_chosen(context: &Context, settings: &ReplaySettings, source: &TopicPartition) -> bool {
    let TopicPartition { topic, partition } = source;
    is_selected(&settings.topics, context.common.names.prefix(), topic, *partition)
        && settings.target.includes(topic, *partition)
}

/// For each source, what a look-up of the target's time has found; nothing for other targets.
fn look_up(
    inspector: &Inspector,
    target: &Target,
    sources: &[TopicPartition],
    chosen: &[bool],
) -> Result<Vec<Option<i64>>, Failure> {
    let Target::Time(time) = target else { return Ok(vec![None; sources.len()]) };
    let asked: Vec<TopicPartition> =
        sources.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(source, _)| source.clone()).collect();
    let mut found = inspector.offsets_for_time(&asked, time.millis())?.into_iter();
    Ok(chosen.iter().map(|chosen| if *chosen { found.next().flatten() } else { None }).collect())
}

pub(super) fn take_snapshot(
    context: &Context,
    inspector: &Inspector,
    status: &GroupStatus,
    settings: &ReplaySettings,
) -> Result<Snapshot, Failure> {
    let names = &context.common.names;
    let state = &status.state;
    let inputs = group::inputs(context, &status.topic_set);
    let ids = group::topic_ids(context, inspector, &inputs)?;
    let later = group::offsets(context, inspector, &inputs)?;
    let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
    let chosen: Vec<bool> = sources.iter().map(|source| is_chosen(context, settings, source)).collect();
    let starts = inspector.starts(&sources)?;
    let ends = inspector.ends(&sources, EndOffset::HighWatermark)?;
    let found = look_up(inspector, &settings.target, &sources, &chosen)?;
    let interrupted = interrupted_epochs(state);
    let is_interrupted = |position: &Position| position.epoch.as_ref().is_some_and(|epoch| interrupted.contains(epoch));
    let view = |position: &Position| if is_interrupted(position) { View::BeforeSwitch } else { View::Current };
    let topics = [&*names.orders(), &*names.decisions()];
    let before = state.metrics(topics, |_, _, position| view(position));
    let kept = state.partial_metrics(topics, |topic, partition, position| {
        let left_alone = !is_chosen(context, settings, &TopicPartition::new(topic, partition));
        left_alone.then(|| view(position))
    });
    let mut partitions = Vec::with_capacity(inputs.len());
    for (index, TopicPartition { topic, partition }) in sources.into_iter().enumerate() {
        let position = state.position(&topic, partition);
        let stands_at = position.map(|position| position.next_offset);
        let offset = group::offset_for_position(stands_at, status.offsets[index], later[index]);
        let agrees = stands_at == offset;
        let before = position.and_then(|position| match view(position) {
            View::BeforeSwitch => position.previous.clone(),
            View::Current => position.checkpoint(),
        });
        // After a replay that was killed, the end is where the group stood before it; what is left alone stays where it is.
        let snapshot = if agrees && chosen[index] { before.as_ref().map(|before| before.next_offset) } else { offset };
        let facts = PartitionFacts {
            topic,
            partition,
            log_start: starts[index],
            high_watermark: ends[index],
            committed: snapshot,
        };
        let aim =
            if chosen[index] { settings.target.for_partition(&facts, found[index]) } else { PartitionTarget::Stay };
        let mut row = PlanRow::new(aim, &facts);
        row.from = offset;
        partitions.push(PartitionSnapshot {
            row,
            loss: position.and_then(|position| state.loss(&facts.topic, facts.partition, view(position))),
            topic_id: ids[index].clone(),
            state: before.as_ref().map(StateFacts::from),
            previous: before,
            interrupted: position.is_some_and(is_interrupted),
            position: position.cloned(),
            facts,
            agrees,
            chosen: chosen[index],
        });
    }
    Ok(Snapshot { inputs, partitions, before, kept })
}

/// The epochs of replays that were killed before they reached their end; their positions still say how far they were to go.
fn interrupted_epochs(state: &GroupState) -> BTreeSet<String> {
    let unfinished = state.positions().filter(|(_, _, position)| position.until.is_some());
    unfinished.filter_map(|(_, _, position)| position.epoch.clone()).collect()
}

/// What the group has.
pub(super) struct GroupStatus {
    pub topic_set: TopicSet,
    /// Its offsets, read before the state.
    pub offsets: Vec<Option<i64>>,
    pub state: GroupState,
}

impl GroupStatus {
    /// Neither offsets nor state; what a killed first pass has written names no position and is none.
    pub fn has_nothing(&self) -> bool {
        !self.has_offsets() && !self.state.has_positions()
    }

    pub fn has_offsets(&self) -> bool {
        self.offsets.iter().any(Option::is_some)
    }
}

/// Looks at a group for a replay: refused for one that is none of analytics.
pub(super) fn read_group(
    context: &Context,
    inspector: &Inspector,
    group_name: &str,
    uses: &[TopicUse],
) -> Result<GroupStatus, Failure> {
    let topic_set = topic_set::require(context, inspector, uses)?;
    let offsets = group::offsets(context, inspector, &group::inputs(context, &topic_set))?;
    let state = group::read_state(context, inspector, &topic_set, group_name)?;
    let status = GroupStatus { topic_set, offsets, state };
    if status.has_offsets() && !status.state.has_positions() {
        return Err(group::not_an_analytics_group(group_name));
    }
    Ok(status)
}
