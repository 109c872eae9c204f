//! Owns `replay`: the group rewound for real, its metrics recomputed from the same records and compared with what it had.

use std::path::Path;
use std::time::Duration;

use super::epoch::{EpochWriter, Switched};
use super::group::{self, Hold, Place};
use super::metrics_scan::{self, Fold, Folding};
use super::topology::{self, Topology};
use super::{Context, first_pass};
use crate::analytics::{GroupState, Metrics, MetricsDocument, View};
use crate::clock::Deadline;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{Inspector, Isolation, TopicPartition};
use crate::output::OutputFile;
use crate::replay::{
    Evidence, Note, PartitionEvidence, PartitionFacts, PlanDocument, PlanRow, ReplayDocument, StateFacts, Target,
    Verdict, judge,
};
use crate::report;
use crate::state::{Checkpoint, Position};

/// How often progress is committed, so that Kafka's own tools see the group move.
const PROGRESS: Duration = Duration::from_secs(1);

/// What a replay is to do.
#[derive(Debug, Clone)]
pub struct ReplayJob {
    /// Where to rewind to.
    pub target: Target,
    /// Leave the group alone.
    pub shadow: bool,
    /// Wait this long for members to leave.
    pub wait_empty: Option<Duration>,
    /// The user's own group name.
    pub group: Option<String>,
}

/// Everything that is frozen before anything moves.
struct Frozen {
    places: Vec<Place>,
    partitions: Vec<Partition>,
    before: MetricsDocument,
}

/// One source partition, frozen.
struct Partition {
    /// `committed` is the frozen end: the group's offset, or the one before a replay that was killed.
    facts: PartitionFacts,
    row: PlanRow,
    state: Option<StateFacts>,
    /// What an undo of this replay goes back to.
    previous: Option<Checkpoint>,
    /// Where the state stands now.
    position: Option<Position>,
    /// The group's offset and its state's position are equal.
    agrees: bool,
}

impl Partition {
    /// Whether the range can be read at all, and rewound: state and offset agree, and the log reaches that far.
    fn is_sound(&self) -> bool {
        self.agrees && self.row.end <= self.facts.high_watermark
    }

    /// The end as far as there is a log.
    fn readable_end(&self) -> i64 {
        self.row.end.min(self.facts.high_watermark)
    }

    /// Where the range begins: at the log's start, unless that lies behind the end already.
    fn begin(&self) -> i64 {
        self.facts.log_start.min(self.readable_end())
    }

    /// The same partition in the epoch that is written, or `None` where the group has no offset.
    fn switched(&self, writer: &EpochWriter<'_>, fold: &Fold) -> Option<Switched> {
        self.facts.committed?;
        let position = writer.position(fold, self.begin(), self.row.end, self.previous.clone());
        Some(Switched { source: TopicPartition::new(&self.facts.topic, self.facts.partition), position })
    }
}

fn freeze(context: &Context, inspector: &Inspector, stands: &Stands, target: Target) -> Result<Frozen, Failure> {
    let names = &context.common.names;
    let state = &stands.state;
    let places = group::places(context, &stands.topology);
    let later = group::offsets(context, inspector, &places)?;
    let sources: Vec<TopicPartition> = places.iter().map(|place| place.source.clone()).collect();
    let starts = inspector.starts(&sources)?;
    let ends = inspector.ends(&sources, Isolation::Uncommitted)?;
    let interrupted = interrupted_epoch(state);
    let view = |_: &str, _: i32, position: &Position| {
        if interrupted.is_some() && position.epoch == interrupted { View::BeforeSwitch } else { View::Current }
    };
    let before = state.metrics([&names.orders(), &names.decisions()], view).document();
    let mut partitions = Vec::with_capacity(places.len());
    for (index, TopicPartition { topic, partition }) in sources.into_iter().enumerate() {
        let position = state.position(&topic, partition);
        let stands_at = position.map(|position| position.next_offset);
        let offset = group::offset_beside(stands_at, stands.offsets[index], later[index]);
        let agrees = stands_at == offset;
        let before = position.and_then(|position| match view(&topic, partition, position) {
            View::BeforeSwitch => position.previous.clone(),
            View::Current => position.checkpoint(),
        });
        // After a replay that was killed, the end is where the group stood before it.
        let frozen = if agrees { before.as_ref().map(|before| before.next_offset) } else { offset };
        let facts = PartitionFacts {
            topic,
            partition,
            log_start: starts[index],
            high_watermark: ends[index],
            committed: frozen,
        };
        let mut row = PlanRow::new(target, &facts);
        row.from = offset;
        partitions.push(Partition {
            row,
            state: before.as_ref().map(StateFacts::from),
            previous: before,
            position: position.cloned(),
            facts,
            agrees,
        });
    }
    Ok(Frozen { places, partitions, before })
}

/// The epoch of a replay that was killed before it reached its end; its positions still say how far it was to go.
fn interrupted_epoch(state: &GroupState) -> Option<String> {
    state
        .positions()
        .find(|(_, _, position)| position.until.is_some())
        .and_then(|(_, _, position)| position.epoch.clone())
}

/// What the group has.
struct Stands {
    topology: Topology,
    /// Its offsets, read before the state.
    offsets: Vec<Option<i64>>,
    state: GroupState,
}

impl Stands {
    /// Neither offsets nor state; what a killed first pass has written names no position and is none.
    fn has_nothing(&self) -> bool {
        !self.has_offsets() && !self.state.has_positions()
    }

    fn has_offsets(&self) -> bool {
        self.offsets.iter().any(Option::is_some)
    }
}

/// Looks at a group for a replay: refused for one that is none of analytics.
fn look(context: &Context, inspector: &Inspector, group_name: &str) -> Result<Stands, Failure> {
    let topology = topology::require(context, inspector)?;
    let offsets = group::offsets(context, inspector, &group::places(context, &topology))?;
    let state = group::read_state(context, inspector, &topology, group_name)?;
    let stands = Stands { topology, offsets, state };
    if stands.has_offsets() && !stands.state.has_positions() {
        return Err(group::refuse_foreign(group_name));
    }
    Ok(stands)
}

/// Shows what a replay would do, and changes nothing.
///
/// # Errors
///
/// With exit code 7 for a group that is none of analytics.
pub fn dry_run(context: &Context, job: &ReplayJob) -> Outcome {
    let report = context.open_report()?;
    let group_name = context.common.names.analytics_group(job.group.as_deref());
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    let stands = look(context, &inspector, &group_name)?;
    if stands.has_nothing() {
        context.console.note(&format!(
            "the group {group_name} has neither offsets nor state: a replay would begin with a first pass"
        ));
    }
    let frozen = freeze(context, &inspector, &stands, job.target)?;
    let document = PlanDocument::new(frozen.partitions.into_iter().map(|partition| partition.row).collect());
    context.answer(&document, &report::plan_report(&document.plan), report)?;
    Ok(Code::Done)
}

/// Rewinds, recomputes and compares; or, as a shadow, only the last two.
///
/// # Errors
///
/// With exit code 7 when the group is live or none of analytics; it then stands as it was.
pub fn run(context: &Context, job: &ReplayJob, initial_file: &Path, after_file: &Path) -> Outcome {
    let report = context.open_report()?;
    let (initial, after) = (OutputFile::open(initial_file)?, OutputFile::open(after_file)?);
    let group_name = context.common.names.analytics_group(job.group.as_deref());
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    if !job.shadow {
        topology::require(context, &inspector)?;
        // Looked at afterwards: members that are waited for go on until they leave.
        group::wait_empty(context, &inspector, &group_name, job.wait_empty)?;
    }
    let mut stands = look(context, &inspector, &group_name)?;
    let mut note = None;
    if !job.shadow && stands.has_nothing() {
        context.console.note(&format!("the group {group_name} has neither offsets nor state: it gets a first pass"));
        let mut pass = first_pass::count(context, &inspector, &stands.topology, &group_name)?;
        first_pass::install(context, &inspector, &group_name, &mut pass)?;
        note = Some(Note::FirstPass);
        stands = look(context, &inspector, &group_name)?;
    }
    let frozen = freeze(context, &inspector, &stands, job.target)?;
    let sound = frozen.partitions.iter().all(Partition::is_sound);
    let reads = frozen.partitions.iter().any(|partition| partition.row.offsets_to_read() > 0);
    let replay = Replay { context, inspector: &inspector, topology: &stands.topology, group: &group_name, frozen };
    // What cannot be rewound to where it stood, or has nothing to read again, is left alone: only the numbers are told.
    let read = if job.shadow || !sound || !reads { replay.shadow()? } else { replay.rewind()? };
    let document = replay.judge(&read, note);

    initial.finish(&report::metrics_report(&document.before))?;
    after.finish(&report::metrics_report(&document.after))?;
    let text = format!("{}\n{}", report::metrics_report(&document.after), report::replay_report(&document));
    context.answer(&document, &text, report)?;
    Ok(match document.verdict {
        Verdict::Identical => Code::Done,
        Verdict::Different => Code::Different,
    })
}

/// What was read again.
struct Read {
    folds: Vec<Fold>,
    /// Records between the targets and the ends.
    records: u64,
}

/// A replay under way.
struct Replay<'a> {
    context: &'a Context,
    inspector: &'a Inspector,
    topology: &'a Topology,
    group: &'a str,
    frozen: Frozen,
}

impl Replay<'_> {
    /// The state at the targets, recomputed from the log; nothing where the target is the log's start.
    fn base(&self) -> Result<Vec<Fold>, Failure> {
        let folds = self.frozen.partitions.iter().map(|partition| Fold::empty(partition.begin())).collect();
        let targets: Vec<i64> =
            self.frozen.partitions.iter().map(|partition| partition.row.to.min(partition.readable_end())).collect();
        self.wait_stable()?;
        let mut folds =
            metrics_scan::fold(self.context, self.group, &self.frozen.places, folds, &targets, |_, _| Ok(()))?;
        for (fold, target) in folds.iter_mut().zip(targets) {
            fold.position = fold.position.max(target);
        }
        Ok(folds)
    }

    fn wait_stable(&self) -> Result<(), Failure> {
        let sources: Vec<TopicPartition> = self.frozen.places.iter().map(|place| place.source.clone()).collect();
        let ends: Vec<i64> = self.frozen.partitions.iter().map(Partition::readable_end).collect();
        let tell = &mut |text: &str| self.context.console.note(text);
        self.inspector.wait_stable(&sources, &ends, &self.context.shutdown, tell)
    }

    /// Reads from the base's positions to the frozen ends.
    fn read(&self, base: Vec<Fold>, mut tick: impl FnMut(&Folding) -> Result<(), Failure>) -> Result<Read, Failure> {
        let before: u64 = base.iter().map(|fold| fold.records).sum();
        let ends: Vec<i64> = self.frozen.partitions.iter().map(Partition::readable_end).collect();
        let total = self.frozen.partitions.iter().map(|partition| partition.row.offsets_to_read()).sum::<i64>();
        let mut progress = self.context.console.progress("records read again", u64::try_from(total).ok());
        let mut folds =
            metrics_scan::fold(self.context, self.group, &self.frozen.places, base, &ends, |folding, records| {
                progress.set(records);
                tick(folding)
            })?;
        for (fold, end) in folds.iter_mut().zip(&ends) {
            fold.position = fold.position.max(*end);
        }
        let records = folds.iter().map(|fold| fold.records).sum::<u64>() - before;
        Ok(Read { folds, records })
    }

    /// Recomputes beside the group.
    fn shadow(&self) -> Result<Read, Failure> {
        self.read(self.base()?, |_| Ok(()))
    }

    /// Rewinds the group, and reads again in its name.
    fn rewind(&self) -> Result<Read, Failure> {
        let mut base = self.base()?;
        let writer = EpochWriter::open(self.context, self.group)?;
        let hold = Hold::take(self.context, self.group, &self.frozen.places)?;
        let result =
            self.rewound(&mut base, &writer, &hold).and_then(|()| self.read_as_the_group(base, &writer, &hold));
        hold.release();
        let read = result.map_err(|failure| self.interrupted(failure))?;
        writer.wait_visible(self.inspector, self.topology, &self.frozen.places)?;
        Ok(read)
    }

    /// The rewind: offsets to the targets and the state to a new epoch, in one transaction.
    fn rewound(&self, base: &mut [Fold], writer: &EpochWriter<'_>, hold: &Hold) -> Result<(), Failure> {
        self.check_still(hold)?;
        writer.write_base(&self.frozen.places, base)?;
        hold.serve(self.group)?;
        writer.switch(hold, &[], &self.switched(writer, base))?;
        writer.collect_garbage(self.inspector, self.topology)
    }

    /// The group is held now: its offsets and state must still be the frozen ones, or somebody was here in between.
    fn check_still(&self, hold: &Hold) -> Result<(), Failure> {
        hold.serve(self.group)?;
        let offsets = group::offsets(self.context, self.inspector, &self.frozen.places)?;
        let state = group::read_state(self.context, self.inspector, self.topology, self.group)?;
        let stands = offsets.into_iter().zip(&self.frozen.partitions).all(|(offset, partition)| {
            let position = state.position(&partition.facts.topic, partition.facts.partition);
            offset == partition.row.from && position == partition.position.as_ref()
        });
        if stands { Ok(()) } else { Err(group::joined(self.group)) }
    }

    /// Every partition that has an offset, as its fold stands.
    fn switched(&self, writer: &EpochWriter<'_>, folds: &[Fold]) -> Vec<Switched> {
        let partitions = self.frozen.partitions.iter().zip(folds);
        partitions.filter_map(|(partition, fold)| partition.switched(writer, fold)).collect()
    }

    fn read_as_the_group(&self, base: Vec<Fold>, writer: &EpochWriter<'_>, hold: &Hold) -> Result<Read, Failure> {
        let mut next = Deadline::after(PROGRESS);
        let mut read = self.read(base, |folding| {
            hold.serve(self.group)?;
            if !next.has_passed() {
                return Ok(());
            }
            next.renew();
            let mut changes = Vec::new();
            let mut switched = Vec::new();
            folding.each(|range, fold| {
                writer.take_changes(&self.frozen.places[range], fold, &mut changes);
                switched.extend(self.frozen.partitions[range].switched(writer, fold));
            });
            if switched.is_empty() { Ok(()) } else { writer.switch(hold, &changes, &switched) }
        })?;
        let mut changes = Vec::new();
        for (place, fold) in self.frozen.places.iter().zip(&mut read.folds) {
            writer.take_changes(place, fold, &mut changes);
        }
        hold.serve(self.group)?;
        writer.switch(hold, &changes, &self.switched(writer, &read.folds))?;
        Ok(read)
    }

    fn interrupted(&self, mut failure: Failure) -> Failure {
        if matches!(failure.code, Code::Interrupted | Code::Terminated) {
            failure.hint = Some(format!(
                "the group {} may stand rewound; offsets and state agree: run `foodstream replay` again to compare with the same state, or `foodstream replay --undo`",
                self.group
            ));
        }
        failure
    }

    fn judge(self, read: &Read, note: Option<Note>) -> ReplayDocument {
        let Frozen { partitions, before, .. } = self.frozen;
        let mut after = Metrics::default();
        for (partition, fold) in partitions.iter().zip(&read.folds) {
            // A partition with neither offset nor state is none of the group's.
            if partition.facts.committed.is_some() || partition.state.is_some() {
                after.add(&fold.tallies);
                let PartitionFacts { topic, partition: number, .. } = &partition.facts;
                after.add_range(topic, *number, partition.begin(), fold.position, fold.digest);
            }
        }
        let after = after.document();
        let plan = partitions.iter().map(|partition| partition.row.clone()).collect();
        let evidence = partitions
            .into_iter()
            .zip(&read.folds)
            .map(|(partition, fold)| PartitionEvidence {
                facts: partition.facts,
                state: partition.state,
                records: fold.records,
            })
            .collect();
        judge(Evidence { plan, records: read.records, partitions: evidence, note, before, after })
    }
}
