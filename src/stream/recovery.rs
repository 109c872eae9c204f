//! Recovery after failed transactions, fencing, and records that cannot be read.
//!
//! By the error of a transactional call:
//!
//! - *Abort*: abort the transaction, rewind to the last commit, continue with the same producer.
//! - *Stale generation* (Kafka Streams: task migrated): abort the transaction, wait for the next assignment.
//! - *Unknown outcome*, or a transaction that was open for longer than its timeout: open a new producer, and restore
//!   every task from the changelog.
//! - *Fenced*: exit code 6 if the group names another member with this instance id. Otherwise the broker gave up on the
//!   transaction in an outage: recover as after an unknown outcome.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::outage::MAX_BACKOFF;
use super::poll_loop::PollLoop;
use super::settings::LoopEvent;
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    BackgroundDrop, EndOffset, Error, LATE_WATERMARK, Member, TopicPartition, TransactionError, TransactionalId,
    TransactionalProducer, check_readable,
};
use crate::units;

/// How long after an outage, in addition to the session timeout, it may still cause a fencing.
const FENCING_DELAY: Duration = Duration::from_secs(10);

/// Failed transactions in a row after which the loop ends, whatever their errors.
const MAX_FAILURES_IN_A_ROW: u32 = 50;

/// Batches without a commit in between that could only be read when fetched again, after which the loop ends.
const MAX_CORRUPT_IN_A_ROW: u32 = 20;

impl<P: Processor> PollLoop<'_, P> {
    /// Handles the error of a transactional call.
    pub(super) fn on_transaction_error(&mut self, error: TransactionError, member: &Member) -> Result<(), StreamError> {
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == 5 {
            (self.listener)(LoopEvent::Note(&format!("transactions keep failing and are retried: {error}")))?;
        }
        if self.failed_in_a_row > MAX_FAILURES_IN_A_ROW {
            let message = format!("{MAX_FAILURES_IN_A_ROW} transactions failed in a row, the last one with: {error}");
            let hint = "check the broker's log; committed transactions are kept, run the command again to continue";
            return Err(Failure::new(Code::Unreachable, message).hint(hint).into());
        }
        match error {
            TransactionError::Failed(error) => Err(error.into()),
            error if self.is_overdue() => self.recover(&error.to_string()),
            TransactionError::Abort(reason) => {
                (self.listener)(LoopEvent::Aborted(&reason))?;
                if !self.abort_or_recover()? {
                    return Ok(());
                }
                let backoff = Duration::from_millis(10 << self.failed_in_a_row.min(8));
                self.shutdown.pause(backoff.min(MAX_BACKOFF));
                Ok(member.assign(&self.tasks.committed_offsets())?)
            }
            TransactionError::Stale(reason) => {
                (self.listener)(LoopEvent::Aborted(&reason))?;
                // Other members may own the partitions: process nothing until the next rebalance event.
                self.generation = None;
                self.abort_or_recover().map(drop)
            }
            TransactionError::Fenced(reason) => {
                // Without an instance id no other process uses this transactional id: continue with another one.
                self.producer_number += u32::from(self.settings.instance_id.is_none());
                self.recover(&reason)
            }
            TransactionError::UnknownOutcome(reason) => self.recover(&reason),
        }
    }

    /// Handles the client's report that the next offset is out of range. It is an error where the log starts above the
    /// last commit or ends below it. Otherwise the client was wrong (see `validate` in `kafka/scan_worker.rs`): rewind
    /// to the commit.
    pub(super) fn on_out_of_range(&mut self, error: Error, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none() {
            // It concerns partitions that are revoked or not assigned yet.
            return Ok(());
        }
        let (partitions, offsets): (Vec<_>, Vec<_>) = self.tasks.committed_offsets().into_iter().unzip();
        let inspector = self.inspector.with_timeout(self.outages.attempt_timeout());
        let late = Deadline::after(LATE_WATERMARK);
        // Where the queries fail, the next fetch reports the error again.
        while let Ok(starts) = inspector.starts(&partitions)
            && let Ok(ends) = inspector.ends(&partitions, EndOffset::HighWatermark)
        {
            let starts_above = offsets.iter().zip(&starts).any(|(offset, start)| offset < start);
            let ends_below = offsets.iter().zip(&ends).any(|(offset, end)| offset > end);
            if starts_above || ends_below && late.has_passed() {
                return Err(error.into());
            }
            // A recreated topic is an error at once.
            if ends_below && let error @ StreamError::Failure(_) = self.explain_recreated_topic(error.clone().into()) {
                return Err(error);
            }
            if !ends_below {
                break;
            }
            self.shutdown.pause(Duration::from_millis(100));
        }
        if self.open.is_some() {
            return self.on_transaction_error(TransactionError::Abort(error.to_string()), member);
        }
        Ok(member.assign(&self.tasks.committed_offsets())?)
    }

    /// Handles the client's report that a fetched batch cannot be read. Commits the records before it, then fetches the
    /// next batch of each partition by another client, whose error names the partition: the batch may have been
    /// corrupted in transit. If it can be read now, rewinds to the commit, as the client may have skipped the batch;
    /// otherwise the loop ends.
    pub(super) fn on_unreadable(&mut self, text: &str, member: &Member) -> Result<(), StreamError> {
        self.commit(member)?;
        if self.generation.is_none() {
            return Ok(());
        }
        self.corrupt_in_a_row += 1;
        (self.listener)(LoopEvent::Note(&format!("a fetched batch could not be read and is fetched again: {text}")))?;
        match self.check_next_batches(member) {
            Err(error) => self.retry_in_outage(error.into())?,
            Ok(_) if self.corrupt_in_a_row > MAX_CORRUPT_IN_A_ROW => {
                let message =
                    format!("fetched batches are corrupt and can be read when fetched again, the last one: {text}");
                let hint = "something between this client and the brokers corrupts data: check the network, proxies and this machine's memory";
                return Err(Failure::new(Code::Refused, message).hint(hint).into());
            }
            Ok(_) => {}
        }
        Ok(member.assign(&self.tasks.committed_offsets())?)
    }

    /// Checks why no record has arrived for the connection's timeout, if there is one to read. librdkafka reports
    /// nothing where it cannot parse the records of a fetch response.
    pub(super) fn check_silence(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none()
            || self.open.is_some()
            || std::mem::replace(&mut self.commits_at_silence, self.summary.commits) != self.summary.commits
        {
            self.silence.renew();
        }
        if !self.silence.has_passed() || self.outages.is_ongoing() {
            return Ok(());
        }
        self.silence.renew();
        match self.check_next_batches(member) {
            Ok(false) => Ok(()),
            // Another client can read it.
            Ok(true) => Ok(member.assign(&self.tasks.committed_offsets())?),
            Err(error) if error.kind().is_retriable() && self.settings.survives_outages => {
                self.retry_in_outage(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches the next batch of each partition by another client; `false` when every partition was read to its end.
    fn check_next_batches(&self, member: &Member) -> Result<bool, Error> {
        let consumed = member.positions()?;
        let next = |(source, committed): (TopicPartition, i64)| {
            let position = consumed.iter().find(|(found, _)| *found == source).map(|(_, position)| *position);
            (source, position.unwrap_or(committed))
        };
        let positions: Vec<(TopicPartition, i64)> = self.tasks.committed_offsets().into_iter().map(next).collect();
        let sources: Vec<TopicPartition> = positions.iter().map(|(source, _)| source.clone()).collect();
        let ends = self.inspector.with_timeout(self.outages.attempt_timeout()).ends(&sources, EndOffset::LastStable)?;
        let unread = positions.into_iter().zip(ends).filter(|((_, position), end)| position < end);
        let unread: Vec<(TopicPartition, i64)> = unread.map(|(position, _)| position).collect();
        let connection = self.connection.with_timeout(self.outages.attempt_timeout());
        check_readable(&connection, &self.settings.group, &unread, self.shutdown)?;
        Ok(!unread.is_empty())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let result = self.producer.as_ref().map_or(Ok(()), |producer| producer.abort());
        self.open = None;
        self.summary.aborts += 1;
        self.tasks.aborted(self.processor);
        result
    }

    /// Whether the open transaction is older than its timeout.
    ///
    /// Then the broker has aborted it, and under an instance id another process may use the transactional id. Do not
    /// abort in this case: for records that timed out librdkafka requests a new producer epoch with its old one, and
    /// the broker (4.1.0, measured) first ends the open transaction of the id, whichever process began it, and only
    /// then rejects the request.
    pub(super) fn is_overdue(&self) -> bool {
        let age = self.open.as_ref().map(|open| clock::now().saturating_duration_since(open.since));
        age.is_some_and(|age| age >= self.connection.transaction_timeout())
    }

    /// Aborts the open transaction; `false` when that led to a recovery instead.
    pub(super) fn abort_or_recover(&mut self) -> Result<bool, StreamError> {
        if self.is_overdue() {
            return self.recover("the transaction was open for longer than its timeout").map(|()| false);
        }
        match self.abort() {
            Ok(()) => Ok(true),
            Err(error) => self.recover(&error.to_string()).map(|()| false),
        }
    }

    /// Aborts without reporting an error: the loop already ends with another one, and the broker aborts by timeout.
    pub(super) fn abort_ignoring_errors(&mut self) {
        self.abort().unwrap_or_default();
    }

    /// Drops the producer and every task. The poll loop restores the assignment again, with a new producer, which ends
    /// the transaction that the old one left open, and state from the changelog alone.
    fn recover(&mut self, reason: &str) -> Result<(), StreamError> {
        (self.listener)(LoopEvent::Aborted(reason))?;
        self.outages.record_failure(reason);
        if self.open.take().is_some() {
            self.summary.aborts += 1;
        }
        self.producer = None;
        self.verify_instance_id |= self.settings.instance_id.is_some();
        self.return_to_pending();
        Ok(())
    }

    /// Records a retriable error as part of an outage; returns any other error, and one of an outage that has lasted
    /// too long.
    pub(super) fn retry_in_outage(&mut self, error: StreamError) -> Result<(), StreamError> {
        if !error.is_retriable() || self.shutdown.requested().is_some() {
            return Err(error);
        }
        // A note is one line: without the hint.
        self.outages.record_unreachable(&Failure::from(error.clone()).message);
        if self.outages.expired().is_some() {
            return Err(error);
        }
        self.outages.back_off();
        Ok(())
    }

    pub(super) fn open_producer(&mut self) -> Result<(), StreamError> {
        let settings = self.settings;
        let member = match &settings.instance_id {
            Some(instance) => instance.clone(),
            None => format!("{}-{}", settings.process_id, self.producer_number),
        };
        let id = TransactionalId { prefix: format!("{}-", settings.group), suffix: member };
        let connection = self.connection.with_timeout(self.outages.attempt_timeout());
        let (outputs, sizes, compressed) = (&settings.outputs, settings.sizes, settings.compressed);
        let producer = TransactionalProducer::open(&connection, &id, outputs, sizes, compressed, self.shutdown)?;
        self.producer = Some(BackgroundDrop::new(producer));
        Ok(())
    }

    /// Requires that the group does not name another member with this instance id (KIP-345).
    ///
    /// A lost member rejoins with its instance id, and a recovery takes over the transactional id. Either would fence a
    /// process that was started with the same instance id in the meantime.
    pub(super) fn require_own_instance_id(&self) -> Result<(), Error> {
        let Some(instance) = &self.settings.instance_id else { return Ok(()) };
        if self.member_ids.is_empty() {
            return Ok(());
        }
        match self
            .inspector
            .with_timeout(self.outages.attempt_timeout())
            .member_with_instance_id(&self.settings.group, instance)?
        {
            Some(holder) if !self.member_ids.contains(&holder) => {
                Err(Error::fenced(Some(instance), format!("the group's member with this instance id is {holder}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether no other process has fenced this one; then it may rejoin with its instance id.
    ///
    /// In an outage a coordinator may lose what it has sent to a member, or the member does not receive it. The group
    /// then names an older member id of this process, or one that never arrived and expires with its session. A member
    /// id of another process does not expire.
    pub(super) fn may_rejoin_after_fencing(&mut self) -> Result<bool, StreamError> {
        let Some(instance) = self.settings.instance_id.clone() else { return Ok(false) };
        let session = self.connection.session_timeout();
        let after_outage = self.outages.was_unreachable_within(session + FENCING_DELAY);
        let deadline = Deadline::after(session + FENCING_DELAY);
        let (mut first, mut reported) = (None, false);
        while self.shutdown.requested().is_none() {
            let holder = match self.inspector.member_with_instance_id(&self.settings.group, &instance) {
                Ok(holder) => holder,
                Err(error) if error.kind().is_retriable() && !deadline.has_passed() => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(holder) = holder.filter(|holder| !self.member_ids.contains(holder)) else {
                self.forget_assignment();
                return Ok(true);
            };
            // A member that joins now is another process, and so is one that outlives a session.
            if !after_outage || deadline.has_passed() || first.get_or_insert_with(|| holder.clone()) != &holder {
                return Ok(false);
            }
            if !std::mem::replace(&mut reported, true) {
                (self.listener)(LoopEvent::Note(&format!(
                    "after an outage the group names {holder} as its member {instance}: waiting up to {} for its session to expire",
                    units::duration(session + FENCING_DELAY)
                )))?;
            }
            self.shutdown.pause(Duration::from_millis(200));
        }
        Ok(false)
    }

    /// Drops everything that belongs to an assignment; the next assignment restores it.
    fn forget_assignment(&mut self) {
        self.open = None;
        self.producer = None;
        self.generation = None;
        self.pending = None;
        self.tasks.clear();
        self.verify_instance_id = false;
    }
}
