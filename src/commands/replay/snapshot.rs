//! Snapshot before a replay: the group's offsets and state, the bounds of the log, and the plan.

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

pub(super) struct Snapshot {
    pub inputs: Vec<InputPartition>,
    pub partitions: Vec<PartitionSnapshot>,
    /// The metrics of the group's state.
    pub before: Metrics,
    /// The metrics of partitions that are not replayed.
    pub kept: Metrics,
}

pub(super) struct PartitionSnapshot {
    /// `committed` is the end of the replay: the group's offset, or the one from before a replay that was killed.
    pub facts: PartitionFacts,
    pub row: PlanRow,
    pub state: Option<StateFacts>,
    /// State that is missing.
    pub loss: Option<Loss>,
    /// `None` if unknown.
    pub topic_id: Option<TopicId>,
    /// What an undo of this replay restores.
    pub previous: Option<Checkpoint>,
    /// The position of the current state.
    pub position: Option<Position>,
    /// The group's offset equals the position of its state.
    pub agrees: bool,
    /// Selected for the replay. Others keep offset and state and are not read.
    pub chosen: bool,
    /// An earlier replay of it was killed.
    interrupted: bool,
}

impl PartitionSnapshot {
    /// Whether the range can be read and rewound: state and offset agree, the state is complete and belongs to this
    /// topic, the log reaches the end, and all records counted before the target still exist.
    pub fn is_sound(&self) -> bool {
        let reaches = self.row.end <= self.facts.high_watermark && !self.base_is_gone();
        !self.chosen || (self.agrees && self.loss.is_none() && !self.is_another_topic() && reaches)
    }

    fn is_another_topic(&self) -> bool {
        let counted = self.state.as_ref().and_then(|state| state.topic_id.as_ref());
        is_another_topic(counted, self.topic_id.as_ref())
    }

    /// Whether the state at the target cannot be recomputed because it includes deleted records. At the log start
    /// nothing needs recomputing.
    fn base_is_gone(&self) -> bool {
        let log_start = self.facts.log_start;
        self.row.to > log_start && self.state.as_ref().is_some_and(|state| state.log_start < log_start)
    }

    pub fn readable_end(&self) -> i64 {
        self.row.end.min(self.facts.high_watermark)
    }

    /// Start of the range: the log start, or the end if that is lower.
    pub fn begin(&self) -> i64 {
        if self.chosen { self.facts.log_start.min(self.readable_end()) } else { self.readable_end() }
    }

    /// The partition's position in the new epoch; `None` if it has no offset or is not selected.
    pub fn switched(&self, writer: &EpochWriter<'_>, fold: &Fold) -> Option<SwitchedPartition> {
        self.facts.committed.filter(|_| self.chosen)?;
        let log = LogOrigin { start: self.begin(), topic_id: self.topic_id.clone() };
        let position = writer.position(fold, log, self.row.end, self.previous.clone());
        Some(SwitchedPartition { source: self.source(), position })
    }

    /// The unchanged position without the checkpoint of an *earlier* switch: an undo reverts only the last switch,
    /// which did not move this partition. `None` without such a checkpoint.
    pub fn kept(&self) -> Option<SwitchedPartition> {
        let position = self.position.as_ref().filter(|position| position.previous.is_some())?;
        // The checkpoint of a killed replay is still needed for its undo or repetition.
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

/// Checks that the selected topics, partitions and rows of a file exist. Fails with exit code 2 and the flag or the
/// file's line.
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
                "`foodstream replay --dry-run --export FILE` writes a matching file; --group selects another group",
            )
        })?;
        if !inputs.iter().any(|input| is_chosen(context, settings, &input.source)) {
            return Err(usage(format!("{} has no row for the partitions selected by --topic", file.name()))
                .hint("omit --topic, or select partitions of the file"));
        }
    }
    Ok(())
}

fn is_chosen(context: &Context, settings: &ReplaySettings, source: &TopicPartition) -> bool {
    let TopicPartition { topic, partition } = source;
    is_selected(&settings.topics, context.common.names.prefix(), topic, *partition)
        && settings.target.includes(topic, *partition)
}

/// For each source, the offset found for a target time; `None` for other targets.
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
        // After a killed replay the end is the offset from before it; a partition that is not selected keeps its
        // offset.
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

/// Epochs of killed replays: their positions still have a value in `until`.
fn interrupted_epochs(state: &GroupState) -> BTreeSet<String> {
    let unfinished = state.positions().filter(|(_, _, position)| position.until.is_some());
    unfinished.filter_map(|(_, _, position)| position.epoch.clone()).collect()
}

pub(super) struct GroupStatus {
    pub topic_set: TopicSet,
    /// Read before the state.
    pub offsets: Vec<Option<i64>>,
    pub state: GroupState,
}

impl GroupStatus {
    /// Neither offsets nor state. A killed first pass leaves records without a position, which do not count.
    pub fn has_nothing(&self) -> bool {
        !self.has_offsets() && !self.state.has_positions()
    }

    pub fn has_offsets(&self) -> bool {
        self.offsets.iter().any(Option::is_some)
    }
}

/// Reads the group, and fails if it is not an analytics group.
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
