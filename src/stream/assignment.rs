//! Rebalances: handles assigned and revoked partitions. An assignment is restored before its partitions are read; a
//! revocation commits or aborts the open transaction first.

use std::time::Duration;

use super::Processor;
use super::changelog::Changelog;
use super::error::StreamError;
use super::poll_loop::{PendingAssignment, PollLoop};
use super::settings::{LoopEvent, LoopSettings};
use super::tasks::RestoreContext;
use super::topic_ids::{self, TopicIds};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, GroupMetadata, Member, Operation, TopicPartition};

/// Pause before a restore is repeated because another member committed in between.
const RESTORE_RETRY: Duration = Duration::from_millis(20);

impl<P: Processor> PollLoop<'_, P> {
    /// Handles assigned partitions: the poll loop restores them, and retries while the cluster does not respond.
    pub(super) fn on_assigned(&mut self, partitions: Vec<TopicPartition>, generation: GroupMetadata) {
        self.summary.assignments += 1;
        self.generation = None;
        if let Some(id) = generation.member_id()
            && self.member_ids.last().is_none_or(|last| last != id)
        {
            self.member_ids.push(id.to_owned());
        }
        self.pending = Some(PendingAssignment { partitions, generation });
    }

    /// Drops the tasks and makes their assignment pending again, so that it is restored from the topics.
    pub(super) fn return_to_pending(&mut self) {
        let partitions: Vec<TopicPartition> = self.tasks.iter().map(|task| task.source.clone()).collect();
        self.tasks.clear();
        if let Some(generation) = self.generation.take() {
            self.pending = Some(PendingAssignment { partitions, generation });
        }
    }

    /// Restores the pending assignment, if there is one, and starts to read it.
    pub(super) fn activate_assignment(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.pending.is_none() || !self.outages.may_attempt() {
            return Ok(());
        }
        if !self.outages.is_ongoing() {
            self.outages.start_waiting();
        }
        match self.try_activate(member) {
            Ok(()) => Ok(()),
            // A stop during a restore is a normal stop: no transaction is open.
            Err(_) if self.shutdown.requested().is_some() => {
                self.tasks.clear();
                self.pending = None;
                Ok(())
            }
            Err(error) => self.retry_in_outage(error),
        }
    }

    fn try_activate(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.verify_instance_id {
            self.require_own_instance_id()?;
            self.verify_instance_id = false;
        }
        if self.producer.is_none() {
            self.open_producer()?;
        }
        self.require_partition_counts()?;
        match self.restore(member) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(self.explain_recreated_topic(error)),
        }
        let Some(PendingAssignment { generation, .. }) = self.pending.take() else { return Ok(()) };
        self.generation = Some(generation);
        self.outages.clear();
        Ok(member.assign(&self.tasks.committed_offsets())?)
    }

    /// Requires that no partitions were added: keys would map to other partitions, beyond those of the changelog.
    fn require_partition_counts(&self) -> Result<(), StreamError> {
        let LoopSettings { sources, outputs, partitions: expected, .. } = self.settings;
        let inspector = self.inspector.with_timeout(self.outages.attempt_timeout());
        for topic in sources {
            if let Some(found) = inspector.partitions(topic, &[Operation::Read])?
                && found != *expected
            {
                return Err(Failure::new(
                    Code::Refused,
                    format!(
                        "{topic} has {found} partitions now, {} has {expected}: all topics must have the same number",
                        outputs.join(" and ")
                    ),
                )
                .hint("partitions were added, so keys map to other partitions: everything committed is kept; continue with a new --prefix")
                .into());
            }
        }
        Ok(())
    }

    /// Restores the tasks of the pending assignment; `false` when the partitions were lost during the restore.
    fn restore(&mut self, member: &Member) -> Result<bool, StreamError> {
        let Some(PendingAssignment { partitions, .. }) = &self.pending else { return Ok(false) };
        let settings = self.settings;
        let inspector = self.inspector.with_timeout(self.outages.attempt_timeout());
        let connection: Connection = self.connection.with_timeout(self.outages.attempt_timeout());
        // Topic ids before everything else: a topic that is recreated during the restore is then detected.
        let ids = inspector.topic_ids(&topic_ids::topics(settings), self.outages.attempt_timeout())?;
        self.topic_ids = TopicIds::new(settings, ids);
        let context = RestoreContext {
            changelog: Changelog {
                connection: &connection,
                inspector: &inspector,
                group: &settings.group,
                topic: &settings.outputs[settings.changelog.0],
                shutdown: self.shutdown,
            },
            inspector: &inspector,
            texts: &settings.error_texts,
            resume: settings.resume,
            start_over: settings.start_over,
            topic_ids: &self.topic_ids,
        };
        let listener = &mut self.listener;
        let mut note = |text: &str| {
            // The next call of the listener reports its failure again.
            listener(LoopEvent::Note(text)).unwrap_or_default();
        };
        let deadline = Deadline::after(self.connection.timeout);
        loop {
            match self.tasks.restore(self.processor, partitions, &context, &mut note)? {
                Some(records) => {
                    self.summary.restored += records;
                    return Ok(true);
                }
                // This process was paused for longer than its session timeout; the next poll reports the loss.
                None if member.assignment_lost() => {
                    self.pending = None;
                    return Ok(false);
                }
                None if deadline.has_passed() => return Err(offsets_keep_changing(settings).into()),
                None => clock::pause(RESTORE_RETRY),
            }
        }
    }

    /// Handles revoked partitions: commits the open transaction, or aborts it when the membership is lost, then
    /// unassigns.
    pub(super) fn on_revoked(&mut self, lost: bool, member: &Member) -> Result<(), StreamError> {
        self.pending = None;
        if lost {
            match self.require_own_instance_id() {
                // The group cannot be queried: assume that no other process has the instance id.
                Err(error) if error.kind().is_retriable() => {}
                other => other?,
            }
            if self.open.is_some() {
                // A recovery must not restore the lost partitions.
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

/// Committed offsets keep changing during a restore. Only members change them, and no other member has the partitions.
fn offsets_keep_changing(settings: &LoopSettings) -> Failure {
    let group = &settings.group;
    Failure::new(
        Code::Refused,
        format!(
            "the committed offsets of {group} keep changing while its state is restored: another program commits them"
        ),
    )
    .hint(format!("find it with kafka-consumer-groups --describe --members --group {group}, and stop it"))
}
