//! Rewind of a group: state at the targets, the switch, reading to the ends, and the verdict.

use std::time::Duration;

use super::snapshot::{PartitionSnapshot, Snapshot};
use crate::analytics::{Metrics, MetricsDocument};
use crate::clock::Deadline;
use crate::commands::Context;
use crate::commands::epoch::{EpochWriter, SwitchedPartition};
use crate::commands::group::{self, GroupError};
use crate::commands::metrics_scan::{self, Fold, RunningFolds};
use crate::commands::sole_member::SoleMember;
use crate::commands::topic_set::TopicSet;
use crate::exit::Failure;
use crate::kafka::{Inspector, TopicPartition};
use crate::replay::{Evidence, Note, PartitionEvidence, PartitionFacts, ReplayDocument, StateFacts, judge};
use crate::state::TopicId;

/// How often progress is committed, so that Kafka's tools see the group move.
const PROGRESS: Duration = Duration::from_secs(1);

pub(super) struct Recount {
    pub folds: Vec<Fold>,
    /// Records between the targets and the ends.
    pub records: u64,
}

pub(super) struct ReplayRun<'a> {
    pub context: &'a Context,
    pub inspector: &'a Inspector,
    pub topic_set: &'a TopicSet,
    pub group: &'a str,
    pub snapshot: Snapshot,
}

impl ReplayRun<'_> {
    /// The state at the targets, recomputed from the log; empty if the target is the log start.
    fn base(&self) -> Result<Vec<Fold>, Failure> {
        let folds = self.snapshot.partitions.iter().map(|partition| Fold::empty(partition.begin())).collect();
        let targets: Vec<i64> =
            self.snapshot.partitions.iter().map(|partition| partition.row.to.min(partition.readable_end())).collect();
        self.wait_stable()?;
        let mut folds =
            metrics_scan::fold(self.context, self.group, &self.snapshot.inputs, folds, &targets, |_| Ok(()))?;
        for (fold, target) in folds.iter_mut().zip(targets) {
            fold.position = fold.position.max(target);
        }
        Ok(folds)
    }

    fn wait_stable(&self) -> Result<(), Failure> {
        let sources: Vec<TopicPartition> = self.snapshot.inputs.iter().map(|input| input.source.clone()).collect();
        let ends: Vec<i64> = self.snapshot.partitions.iter().map(PartitionSnapshot::readable_end).collect();
        let note = &mut |text: &str| self.context.console.note(text);
        Ok(self.inspector.wait_stable(&sources, &ends, note)?)
    }

    /// Reads from the positions of `base` to the ends of the snapshot.
    fn read(
        &self,
        base: Vec<Fold>,
        mut tick: impl FnMut(&RunningFolds) -> Result<(), Failure>,
    ) -> Result<Recount, Failure> {
        let before: u64 = base.iter().map(|fold| fold.records).sum();
        let ends: Vec<i64> = self.snapshot.partitions.iter().map(PartitionSnapshot::readable_end).collect();
        let total = self.snapshot.partitions.iter().map(|partition| partition.row.offsets_to_read()).sum::<i64>();
        let mut progress = self.context.console.progress("offsets read again", u64::try_from(total).ok());
        let starts: Vec<i64> = base.iter().map(|fold| fold.position).collect();
        let mut folds = metrics_scan::fold(self.context, self.group, &self.snapshot.inputs, base, &ends, |folding| {
            progress.set(folding.offsets(&starts));
            tick(folding)
        })?;
        for (fold, end) in folds.iter_mut().zip(&ends) {
            fold.position = fold.position.max(*end);
        }
        let records = folds.iter().map(|fold| fold.records).sum::<u64>() - before;
        Ok(Recount { folds, records })
    }

    /// Recomputes without changing the group.
    pub fn shadow(&self) -> Result<Recount, Failure> {
        self.read(self.base()?, |_| Ok(()))
    }

    /// Rewinds the group and reads the records again as its only member.
    pub fn rewind(&self) -> Result<Recount, Failure> {
        let mut base = self.base()?;
        let writer = EpochWriter::open(self.context, self.inspector, self.group)?;
        let sole_member = SoleMember::join(self.context, self.inspector, self.group, &self.snapshot.inputs)?;
        let result = self
            .switch_to_targets(&mut base, &writer, &sole_member)
            .and_then(|()| self.read_as_the_group(base, &writer, &sole_member));
        let read = match result {
            Ok(read) => read,
            Err(failure) => {
                sole_member.leave_at_once();
                return Err(self.interrupted(failure));
            }
        };
        sole_member.leave();
        writer.wait_visible(self.inspector, self.topic_set, &self.snapshot.inputs)?;
        Ok(read)
    }

    /// Switches offsets to the targets and state to a new epoch, in one transaction.
    fn switch_to_targets(
        &self,
        base: &mut [Fold],
        writer: &EpochWriter<'_>,
        sole_member: &SoleMember<'_>,
    ) -> Result<(), Failure> {
        self.check_still(sole_member)?;
        writer.write_base(&self.snapshot.inputs, base)?;
        sole_member.poll()?;
        let mut switched = self.switched(writer, base);
        switched.extend(self.snapshot.partitions.iter().filter_map(PartitionSnapshot::kept));
        writer.switch(sole_member, &[], &switched)?;
        Ok(writer.collect_garbage(self.inspector, self.topic_set)?)
    }

    /// As the only member, checks that offsets and state still match the snapshot.
    fn check_still(&self, sole_member: &SoleMember<'_>) -> Result<(), Failure> {
        sole_member.poll()?;
        let offsets = group::offsets(self.context, self.inspector, &self.snapshot.inputs)?;
        let state = group::read_positions(self.context, self.inspector, self.topic_set, self.group)?;
        let ids = self.topic_ids()?;
        if let Some(failure) = group::recreated_since(&self.snapshot.inputs, &self.frozen_ids(), &ids) {
            return Err(failure);
        }
        let stands = offsets.into_iter().zip(&self.snapshot.partitions).all(|(offset, partition)| {
            let position = state.position(&partition.facts.topic, partition.facts.partition);
            offset == partition.row.from && position == partition.position.as_ref()
        });
        if stands { Ok(()) } else { Err(GroupError::joined(self.group).into()) }
    }

    /// All selected partitions with an offset, at the positions of their folds.
    fn switched(&self, writer: &EpochWriter<'_>, folds: &[Fold]) -> Vec<SwitchedPartition> {
        let partitions = self.snapshot.partitions.iter().zip(folds);
        partitions.filter_map(|(partition, fold)| partition.switched(writer, fold)).collect()
    }

    fn read_as_the_group(
        &self,
        base: Vec<Fold>,
        writer: &EpochWriter<'_>,
        sole_member: &SoleMember<'_>,
    ) -> Result<Recount, Failure> {
        let mut next = Deadline::after(PROGRESS);
        let mut read = self.read(base, |folding| {
            sole_member.poll()?;
            if !next.has_passed() {
                return Ok(());
            }
            next.renew();
            let mut changes = Vec::new();
            let mut switched = Vec::new();
            folding.each(|range, fold| {
                writer.take_changes(&self.snapshot.inputs[range], fold, &mut changes);
                switched.extend(self.snapshot.partitions[range].switched(writer, fold));
            });
            if switched.is_empty() { Ok(()) } else { Ok(writer.switch(sole_member, &changes, &switched)?) }
        })?;
        let mut changes = Vec::new();
        for (input, fold) in self.snapshot.inputs.iter().zip(&mut read.folds) {
            writer.take_changes(input, fold, &mut changes);
        }
        sole_member.poll()?;
        writer.switch(sole_member, &changes, &self.switched(writer, &read.folds))?;
        Ok(read)
    }

    fn interrupted(&self, mut failure: Failure) -> Failure {
        if self.context.shutdown.requested().is_some() {
            failure.hint = Some(format!(
                "group {} may be rewound; its offsets and state are consistent: run `foodstream replay` again to compare with the same state, or `foodstream replay --undo`",
                self.group
            ));
        }
        failure
    }

    /// The topic ids in the snapshot.
    fn frozen_ids(&self) -> Vec<Option<TopicId>> {
        self.snapshot.partitions.iter().map(|partition| partition.topic_id.clone()).collect()
    }

    /// The current topic ids.
    fn topic_ids(&self) -> Result<Vec<Option<TopicId>>, Failure> {
        group::topic_ids(self.context, self.inspector, &self.snapshot.inputs)
    }

    /// The verdict. Fails if the current topic ids cannot be read.
    pub fn judge(self, read: Recount, note: Option<Note>, rows: usize) -> Result<ReplayDocument, Failure> {
        let (frozen_ids, ids) = (self.frozen_ids(), self.topic_ids()?);
        let Snapshot { partitions, before, kept, .. } = self.snapshot;
        let mut after = kept;
        let Recount { folds, records } = read;
        let counts: Vec<u64> = folds.iter().map(|fold| fold.records).collect();
        // Each fold is dropped once it is added: there may be millions of rows.
        for (partition, fold) in partitions.iter().zip(folds) {
            // A partition with neither offset nor state does not belong to the group.
            if partition.chosen && (partition.facts.committed.is_some() || partition.state.is_some()) {
                after.add(&fold.counts);
                let PartitionFacts { topic, partition: number, .. } = &partition.facts;
                after.add_range(topic, *number, partition.begin(), fold.position, fold.digest);
            }
        }
        let after = into_document(after);
        let before = into_document(before);
        let plan = partitions.iter().map(|partition| partition.row.clone()).collect();
        let evidence = partitions
            .into_iter()
            .zip(counts)
            .zip(frozen_ids.into_iter().zip(ids))
            .filter(|((partition, _), _)| partition.chosen)
            .map(|((partition, records), (frozen_id, topic_id))| PartitionEvidence {
                facts: partition.facts,
                // State of an older version has no topic id; a change since the snapshot is still detected.
                state: partition.state.map(|state| StateFacts {
                    topic_id: state.topic_id.or_else(|| frozen_id.filter(|id| Some(id) != topic_id.as_ref())),
                    ..state
                }),
                loss: partition.loss,
                topic_id,
                records,
            })
            .collect();
        Ok(judge(Evidence { plan, records, partitions: evidence, note, before, after, rows }))
    }
}

/// Consumes the metrics while making their document.
#[allow(clippy::needless_pass_by_value, reason = "frees millions of rows early")]
fn into_document(metrics: Metrics) -> MetricsDocument {
    metrics.document()
}
