//! Assignments of the loop: partitions that the group gives and takes, and what must be done before they are read.

use std::time::Duration;

use super::Processor;
use super::changelog::Changelog;
use super::error::StreamError;
use super::poll_loop::{PendingAssignment, PollLoop};
use super::settings::{LoopEvent, LoopSettings};
use super::tasks::Assigning;
use super::topic_ids::{self, Identity};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, GroupMetadata, Member, Operation, TopicPartition};

/// Between two looks at offsets that another member moves.
const MOVING: Duration = Duration::from_millis(20);

impl<P: Processor> PollLoop<'_, P> {
    /// Takes an assignment. It is prepared by the loop, at once and again while what is in the way passes.
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>, generation: GroupMetadata) {
        self.ended.assignments += 1;
        self.generation = None;
        if let Some(id) = generation.member_id()
            && self.member_ids.last().is_none_or(|last| last != id)
        {
            self.member_ids.push(id.to_owned());
        }
        self.pending = Some(PendingAssignment { partitions, generation });
    }

    /// Turns what is assigned back into an assignment that must be prepared.
    pub(super) fn unprepare(&mut self) {
        let partitions: Vec<TopicPartition> = self.tasks.iter().map(|task| task.source.clone()).collect();
        self.tasks.clear();
        if let Some(generation) = self.generation.take() {
            self.pending = Some(PendingAssignment { partitions, generation });
        }
    }

    /// Prepares a pending assignment: producer, state, positions to read from.
    pub(super) fn prepare(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.pending.is_none() || !self.outages.may_attempt() {
            return Ok(());
        }
        if !self.outages.lasts() {
            self.outages.wait_begins();
        }
        match self.prepared(member) {
            Ok(()) => Ok(()),
            // A stop in the middle is a stop like any other: nothing was begun.
            Err(_) if self.shutdown.requested().is_some() => {
                self.tasks.clear();
                self.pending = None;
                Ok(())
            }
            Err(error) => self.outlast(error),
        }
    }

    fn prepared(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.check_name {
            self.require_name()?;
            self.check_name = false;
        }
        if self.transactions.is_none() {
            self.open_producer()?;
        }
        self.require_partitions()?;
        match self.restore(member) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(self.name_recreated(error)),
        }
        let Some(PendingAssignment { generation, .. }) = self.pending.take() else { return Ok(()) };
        self.generation = Some(generation);
        self.outages.end();
        Ok(member.assign(&self.tasks.offsets())?)
    }

    /// Requires that no partitions were added: keys go to other partitions then, and the changelog has too few.
    fn require_partitions(&self) -> Result<(), StreamError> {
        let LoopSettings { sources, outputs, partitions: wanted, .. } = self.settings;
        let inspector = self.inspector.with_timeout(self.outages.patience());
        for topic in sources {
            if let Some(found) = inspector.partitions(topic, &[Operation::Read])?
                && found != *wanted
            {
                return Err(StreamError::Failure(
                    Failure::new(
                        Code::Refused,
                        format!(
                            "{topic} has {found} partitions now, {} has {wanted}: all topics must have the same",
                            outputs.join(" and ")
                        ),
                    )
                    .hint(
                        "partitions were added, and the keys go to other ones now: what was committed stands; continue with a fresh --prefix",
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Restores the tasks of the pending assignment; `false` when the partitions were lost meanwhile.
    fn restore(&mut self, member: &Member) -> Result<bool, StreamError> {
        let Some(PendingAssignment { partitions, .. }) = &self.pending else { return Ok(false) };
        let settings = self.settings;
        let inspector = self.inspector.with_timeout(self.outages.patience());
        let connection: Connection = self.connection.with_timeout(self.outages.patience());
        // Before anything else is asked about them: whatever is created again meanwhile is another one then.
        let ids = inspector.topic_ids(&topic_ids::topics(settings), self.outages.patience())?;
        self.identity = Identity::new(settings, ids);
        let assigning = Assigning {
            changelog: Changelog {
                connection: &connection,
                inspector: &inspector,
                group: &settings.group,
                topic: &settings.outputs[settings.changelog.0],
                shutdown: self.shutdown,
            },
            inspector: &inspector,
            words: &settings.error_texts,
            resume: settings.resume,
            start_over: settings.start_over,
            identity: &self.identity,
        };
        let watch = &mut self.watch;
        let mut tell = |text: &str| {
            // A closed reader is noticed at the next look.
            watch(LoopEvent::Note(text)).unwrap_or_default();
        };
        let moving = Deadline::after(self.connection.timeout);
        loop {
            match self.tasks.assign(self.processor, partitions, &assigning, &mut tell)? {
                Some(restored) => {
                    self.ended.restored += restored;
                    return Ok(true);
                }
                // Who stood still for longer than its session has the partitions no more, and is about to hear it.
                None if member.assignment_lost() => {
                    self.pending = None;
                    return Ok(false);
                }
                None if moving.has_passed() => return Err(contested(settings).into()),
                None => clock::pause(MOVING),
            }
        }
    }

    /// Gives the partitions back: commits what is open, or aborts it when the membership is lost.
    pub(super) fn revoked(&mut self, lost: bool, member: &Member) -> Result<(), StreamError> {
        self.pending = None;
        if lost {
            match self.require_name() {
                // Nobody can have taken the name over, as far as this process can see.
                Err(error) if error.kind().is_retriable() => {}
                other => other?,
            }
            if self.open.is_some() {
                // Not to be acted on any more, by a recovery either.
                self.generation = None;
                self.abort_or_recover()?;
            }
        } else if self.open.is_some() {
            self.commit(member)?;
        }
        self.generation = None;
        self.pending = None;
        Ok(member.unassign()?)
    }
}

/// The group's offsets keep moving under a member that was given their partitions, and only members move them.
fn contested(settings: &LoopSettings) -> Failure {
    Failure::new(
        Code::Refused,
        format!(
            "the offsets of {} keep moving while its state is restored: another program commits for it",
            settings.group
        ),
    )
    .hint(format!("find it with kafka-consumer-groups --describe --members --group {}, and end it", settings.group))
}
