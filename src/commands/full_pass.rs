//! Full pass over the log: counted at scan speed, then installed as the group's state and offsets.

use super::Context;
use super::epoch::{EpochWriter, LogOrigin, SwitchedPartition};
use super::group::{self, GroupError, InputPartition};
use super::metrics_scan::{self, Fold};
use super::sole_member::SoleMember;
use super::topic_set::{self, Topic, TopicSet};
use crate::analytics::MetricsDocument;
use crate::exit::Failure;
use crate::kafka::{EndOffset, Inspector, Operation, TopicPartition};
use crate::state::TopicId;

#[derive(Debug)]
pub(super) struct FullPass {
    pub inputs: Vec<InputPartition>,
    pub folds: Vec<Fold>,
    pub starts: Vec<i64>,
    /// The topic id of each input.
    pub ids: Vec<Option<TopicId>>,
}

impl FullPass {
    pub fn document(&self) -> MetricsDocument {
        metrics_scan::metrics(&self.inputs, &self.folds, &self.starts).document()
    }
}

/// Counts everything from the log start to the current end.
pub(super) fn count(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<FullPass, Failure> {
    let inputs = group::inputs(context, topic_set);
    let ids = group::topic_ids(context, inspector, &inputs)?;
    let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
    let ends = inspector.ends(&sources, EndOffset::HighWatermark)?;
    inspector.wait_stable(&sources, &ends, &mut |text| context.console.note(text))?;
    let starts = inspector.starts(&sources)?;
    let offsets = ends.iter().zip(&starts).map(|(end, start)| u64::try_from(end - start).unwrap_or(0)).sum();
    let mut progress = context.console.progress("offsets read", Some(offsets));
    let folds = starts.iter().map(|start| Fold::empty(*start)).collect();
    let folds = metrics_scan::fold(context, group, &inputs, folds, &ends, |folding| {
        progress.set(folding.offsets(&starts));
        Ok(())
    })?;
    match group::recreated_since(&inputs, &ids, &group::topic_ids(context, inspector, &inputs)?) {
        Some(failure) => Err(failure),
        None => Ok(FullPass { inputs, folds, starts, ids }),
    }
}

/// Makes the result the state and offsets of the empty group, as a new epoch. Fails with exit code 7, leaving the group
/// unchanged, if the group has members.
pub(super) fn install(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    pass: &mut FullPass,
) -> Result<(), GroupError> {
    let topic_set =
        topic_set::ensure(context, inspector, &[Topic::AnalyticsState.to(&[Operation::Read, Operation::Write])], None)?;
    let writer = EpochWriter::open(context, inspector, group)?;
    group::wait_empty(context, inspector, group, None)?;
    let sole_member = SoleMember::join(context, inspector, group, &pass.inputs)?;
    let result = switch(context, inspector, group, pass, &topic_set, &writer, &sole_member);
    if let Err(error) = result {
        sole_member.leave_at_once();
        return Err(error);
    }
    sole_member.leave();
    Ok(writer.wait_visible(inspector, &topic_set, &pass.inputs)?)
}

fn switch(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    pass: &mut FullPass,
    topic_set: &TopicSet,
    writer: &EpochWriter<'_>,
    sole_member: &SoleMember<'_>,
) -> Result<(), GroupError> {
    // Read while this process is the only member: this is what an undo restores.
    let state = group::read_state(context, inspector, topic_set, group)?;
    writer.write_base(&pass.inputs, &mut pass.folds)?;
    sole_member.poll()?;
    let switched: Vec<SwitchedPartition> = pass
        .inputs
        .iter()
        .zip(&pass.folds)
        .zip(pass.starts.iter().zip(&pass.ids))
        .map(|((input, fold), (start, id))| {
            let previous = state
                .position(&input.source.topic, input.source.partition)
                .and_then(crate::state::Position::checkpoint);
            let log = LogOrigin { start: *start, topic_id: id.clone() };
            SwitchedPartition {
                source: input.source.clone(),
                position: writer.position(fold, log, fold.position, previous),
            }
        })
        .collect();
    writer.switch(sole_member, &[], &switched)?;
    writer.collect_garbage(inspector, topic_set)
}
