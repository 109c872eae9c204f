//! Owns the pass over the whole log: counted at scan speed, then made the group's state and offsets.

use super::Context;
use super::epoch::{EpochWriter, Log, Switched};
use super::group::{self, GroupError, Place};
use super::hold::Hold;
use super::metrics_scan::{self, Fold};
use super::topology::{self, Topic, Topology};
use crate::analytics::MetricsDocument;
use crate::exit::Failure;
use crate::kafka::{EndOffset, Inspector, Operation, TopicPartition};
use crate::state::TopicId;

/// What a pass has counted.
#[derive(Debug)]
pub(super) struct Pass {
    pub places: Vec<Place>,
    pub folds: Vec<Fold>,
    pub starts: Vec<i64>,
    /// The id of each place's topic.
    pub ids: Vec<Option<TopicId>>,
}

impl Pass {
    pub fn document(&self) -> MetricsDocument {
        metrics_scan::metrics(&self.places, &self.folds, &self.starts).document()
    }
}

/// Counts everything from the log's start to the end that stands now.
pub(super) fn count(
    context: &Context,
    inspector: &Inspector,
    topology: &Topology,
    group: &str,
) -> Result<Pass, Failure> {
    let places = group::places(context, topology);
    let ids = group::topic_ids(context, inspector, &places)?;
    let sources: Vec<TopicPartition> = places.iter().map(|place| place.source.clone()).collect();
    let ends = inspector.ends(&sources, EndOffset::HighWatermark)?;
    inspector.wait_stable(&sources, &ends, &mut |text| context.console.note(text))?;
    let starts = inspector.starts(&sources)?;
    let offsets = ends.iter().zip(&starts).map(|(end, start)| u64::try_from(end - start).unwrap_or(0)).sum();
    let mut progress = context.console.progress("records counted", Some(offsets));
    let folds = starts.iter().map(|start| Fold::empty(*start)).collect();
    let folds = metrics_scan::fold(context, group, &places, folds, &ends, |_, records| {
        progress.set(records);
        Ok(())
    })?;
    match group::recreated_meanwhile(&places, &ids, &group::topic_ids(context, inspector, &places)?) {
        Some(failure) => Err(failure),
        None => Ok(Pass { places, folds, starts, ids }),
    }
}

/// Makes a pass the state and the offsets of the empty group: written under a new epoch, then switched.
///
/// # Errors
///
/// With exit code 7 when the group is or becomes live; it is then as it was before.
pub(super) fn install(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    pass: &mut Pass,
) -> Result<(), GroupError> {
    let topology =
        topology::ensure(context, inspector, &[Topic::AnalyticsState.to(&[Operation::Read, Operation::Write])], None)?;
    let writer = EpochWriter::open(context, inspector, group)?;
    group::wait_empty(context, inspector, group, None)?;
    let hold = Hold::take(context, inspector, group, &pass.places)?;
    let result = installed(context, inspector, group, pass, &topology, &writer, &hold);
    if let Err(error) = result {
        hold.abandon();
        return Err(error);
    }
    hold.release();
    Ok(writer.wait_visible(inspector, &topology, &pass.places)?)
}

fn installed(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    pass: &mut Pass,
    topology: &Topology,
    writer: &EpochWriter<'_>,
    hold: &Hold<'_>,
) -> Result<(), GroupError> {
    // Read while the group is held: what stands now is what an undo goes back to.
    let state = group::read_state(context, inspector, topology, group)?;
    writer.write_base(&pass.places, &mut pass.folds)?;
    hold.serve()?;
    let switched: Vec<Switched> = pass
        .places
        .iter()
        .zip(&pass.folds)
        .zip(pass.starts.iter().zip(&pass.ids))
        .map(|((place, fold), (start, id))| {
            let previous = state
                .position(&place.source.topic, place.source.partition)
                .and_then(crate::state::Position::checkpoint);
            let log = Log { start: *start, topic_id: id.clone() };
            Switched { source: place.source.clone(), position: writer.position(fold, log, fold.position, previous) }
        })
        .collect();
    writer.switch(hold, &[], &switched)?;
    writer.collect_garbage(inspector, topology)
}
