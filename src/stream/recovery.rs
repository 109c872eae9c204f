//! Recovery of the loop: what follows when a transactional call fails, and when the cluster does not answer for a while.
//!
//! - *Abort*: the transaction is dropped, reading goes back to the last commit, the same producer continues.
//! - *Stale*: the member's generation is over; the transaction is dropped, and nothing is done until the next assignment.
//! - *Unknown outcome*, and a transaction that the broker has given up: a new producer, and state from the topics alone.
//! - *Fenced*: an end, if the group says that another process has this instance id. Otherwise the broker gave up on the
//!   transaction in an outage, and the loop recovers as from an unknown outcome.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::outage::LONGEST_PAUSE;
use super::poll_loop::PollLoop;
use super::settings::LoopEvent;
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    BackgroundDrop, EndOffset, Error, LATE_WATERMARK, Member, TopicPartition, TransactionError, TransactionalId,
    TransactionalProducer, check_readable,
};

/// How long after the last trouble a fencing may be its consequence, beside the session.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);

/// Failed transactions in a row after which the loop ends, whatever their errors.
const FAILURES_IN_A_ROW: u32 = 50;

/// Batches that could not be read and could when they were fetched again, without a commit between them, after which the loop
/// ends.
const DAMAGED_IN_A_ROW: u32 = 20;

impl<P: Processor> PollLoop<'_, P> {
    /// What an error of a transactional call leads to.
    pub(super) fn failed(&mut self, error: TransactionError, member: &Member) -> Result<(), StreamError> {
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == 5 {
            (self.watch)(LoopEvent::Note(&format!("transactions keep failing and are tried again: {error}")))?;
        }
        if self.failed_in_a_row > FAILURES_IN_A_ROW {
            return Err(StreamError::Failure(
                Failure::new(Code::Unreachable, format!("fifty transactions in a row failed, the last one: {error}"))
                    .hint("look at the broker's log; what was committed stands, start again to go on from there"),
            ));
        }
        match error {
            TransactionError::Failed(error) => Err(error.into()),
            error if self.is_overdue() => self.recover(&error.to_string()),
            TransactionError::Abort(reason) => {
                (self.watch)(LoopEvent::Aborted(&reason))?;
                if !self.abort_or_recover()? {
                    return Ok(());
                }
                let pause = Duration::from_millis(10 << self.failed_in_a_row.min(8));
                self.shutdown.pause(pause.min(LONGEST_PAUSE));
                Ok(member.assign(&self.tasks.offsets())?)
            }
            TransactionError::Stale(reason) => {
                (self.watch)(LoopEvent::Aborted(&reason))?;
                // Others may own the partitions: nothing is done until the group has said so or given new ones.
                self.generation = None;
                self.abort_or_recover().map(drop)
            }
            TransactionError::Fenced(reason) => {
                // Without an instance id no other process can have this one's transactional id.
                self.incarnation += u32::from(self.settings.instance_id.is_none());
                self.recover(&reason)
            }
            TransactionError::UnknownOutcome(reason) => self.recover(&reason),
        }
    }

    /// Takes the client's finding that a log has not what comes next. It is the error where a log begins behind the last commit
    /// or ends before it. Otherwise the client was wrong (see `validate` in `kafka/scan_worker.rs`), and reading goes back to the commit.
    pub(super) fn doubt(&mut self, error: Error, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none() {
            // Of partitions that it does not have any more, or not yet.
            return Ok(());
        }
        let (places, offsets): (Vec<_>, Vec<_>) = self.tasks.offsets().into_iter().unzip();
        let inspector = self.inspector.with_timeout(self.outages.patience());
        let late = Deadline::after(LATE_WATERMARK);
        // Where they cannot be asked for, the next attempt to read tells.
        while let Ok(starts) = inspector.starts(&places)
            && let Ok(ends) = inspector.ends(&places, EndOffset::HighWatermark)
        {
            let begins_behind = offsets.iter().zip(&starts).any(|(offset, start)| offset < start);
            let ends_before = offsets.iter().zip(&ends).any(|(offset, end)| offset > end);
            if begins_behind || ends_before && late.has_passed() {
                return Err(error.into());
            }
            // In a topic that was created again there is nothing to wait for.
            if ends_before && let error @ StreamError::Failure(_) = self.name_recreated(error.clone().into()) {
                return Err(error);
            }
            if !ends_before {
                break;
            }
            self.shutdown.pause(Duration::from_millis(100));
        }
        if self.open.is_some() {
            return self.failed(TransactionError::Abort(error.to_string()), member);
        }
        Ok(member.assign(&self.tasks.offsets())?)
    }

    /// Takes the client's finding that something of what it fetched cannot be read. What was read before it is committed. Then what is
    /// next of each partition is fetched once more, by a client that says which one it is: a bit may have been flipped on its way. If
    /// it stays so the loop ends. Otherwise reading begins again at the commit, as the client may have gone on behind it.
    pub(super) fn unreadable(&mut self, words: &str, member: &Member) -> Result<(), StreamError> {
        self.commit(member)?;
        if self.generation.is_none() {
            return Ok(());
        }
        self.unread += 1;
        (self.watch)(LoopEvent::Note(&format!("what came could not be read and is fetched again: {words}")))?;
        match self.look_at_next(member) {
            Err(error) => self.outlast(error.into())?,
            Ok(_) if self.unread > DAMAGED_IN_A_ROW => {
                let said =
                    format!("batches arrive damaged and are whole when they are fetched again, the last one: {words}");
                let hint = "something between here and the brokers damages what it carries: look at the network, a proxy, this machine's memory";
                return Err(Failure::new(Code::Refused, said).hint(hint).into());
            }
            Ok(_) => {}
        }
        Ok(member.assign(&self.tasks.offsets())?)
    }

    /// Asks why nothing has come for as long as the timeout, if something is there. The library says nothing where it cannot make
    /// records of what it fetched.
    pub(super) fn look_at_silence(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none()
            || self.open.is_some()
            || std::mem::replace(&mut self.heard, self.ended.commits) != self.ended.commits
        {
            self.silent.renew();
        }
        if !self.silent.has_passed() || self.outages.lasts() {
            return Ok(());
        }
        self.silent.renew();
        match self.look_at_next(member) {
            Ok(false) => Ok(()),
            // Another client reads it.
            Ok(true) => Ok(member.assign(&self.tasks.offsets())?),
            Err(error) if error.kind().is_retriable() && self.settings.survives_outages => self.outlast(error.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches what is next of each partition by another client; `false` when nothing is there.
    fn look_at_next(&self, member: &Member) -> Result<bool, Error> {
        let read = member.positions()?;
        let position = |(place, committed): (TopicPartition, i64)| {
            let read = read.iter().find(|(found, _)| *found == place).map(|(_, position)| *position);
            (place, read.unwrap_or(committed))
        };
        let positions: Vec<(TopicPartition, i64)> = self.tasks.offsets().into_iter().map(position).collect();
        let places: Vec<TopicPartition> = positions.iter().map(|(place, _)| place.clone()).collect();
        let ends = self.inspector.with_timeout(self.outages.patience()).ends(&places, EndOffset::LastStable)?;
        let there = positions.into_iter().zip(ends).filter(|((_, position), end)| position < end);
        let there: Vec<(TopicPartition, i64)> = there.map(|(position, _)| position).collect();
        let connection = self.connection.with_timeout(self.outages.patience());
        check_readable(&connection, &self.settings.group, &there, self.shutdown)?;
        Ok(!there.is_empty())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let result = self.transactions.as_ref().map_or(Ok(()), |transactions| transactions.abort());
        self.open = None;
        self.ended.aborts += 1;
        self.tasks.aborted(self.processor);
        result
    }

    /// Whether the open transaction is older than the broker allows.
    ///
    /// Then it was aborted, and under an instance id another process may have the transactional id. The abort must not be
    /// tried: for records that timed out librdkafka asks for a new epoch with its old one, and the broker (4.1.0, measured)
    /// first ends the transaction that is open under the id, whose ever it is, and only then refuses the asker.
    pub(super) fn is_overdue(&self) -> bool {
        let age = self.open.as_ref().map(|open| clock::now().saturating_duration_since(open.since));
        age.is_some_and(|age| age >= self.connection.transaction_timeout())
    }

    /// Aborts; `false` when that led to a recovery instead.
    pub(super) fn abort_or_recover(&mut self) -> Result<bool, StreamError> {
        if self.is_overdue() {
            return self.recover("the transaction was open for longer than its timeout").map(|()| false);
        }
        match self.abort() {
            Ok(()) => Ok(true),
            Err(error) => self.recover(&error.to_string()).map(|()| false),
        }
    }

    pub(super) fn abort_quietly(&mut self) {
        // The failure that led here is the one to tell; the broker aborts by its timeout what could not be aborted now.
        self.abort().unwrap_or_default();
    }

    /// Drops the producer and the state of every task. What is assigned is prepared again by the loop, when it comes to it:
    /// with a new producer, which ends what the old one left open, and state from the topics alone.
    fn recover(&mut self, reason: &str) -> Result<(), StreamError> {
        (self.watch)(LoopEvent::Aborted(reason))?;
        self.outages.begin(reason);
        if self.open.take().is_some() {
            self.ended.aborts += 1;
        }
        self.transactions = None;
        self.check_name |= self.settings.instance_id.is_some();
        self.unprepare();
        Ok(())
    }

    /// Takes an error of a preparation: lives through it for as long as an outage may last.
    pub(super) fn outlast(&mut self, error: StreamError) -> Result<(), StreamError> {
        if !error.passes() || self.shutdown.requested().is_some() {
            return Err(error);
        }
        self.outages.trouble(&error.to_string());
        if self.outages.too_long().is_some() {
            return Err(error);
        }
        self.outages.attempt_failed();
        Ok(())
    }

    pub(super) fn open_producer(&mut self) -> Result<(), StreamError> {
        let settings = self.settings;
        let member = match &settings.instance_id {
            Some(instance) => instance.clone(),
            None => format!("{}-{}", settings.process_id, self.incarnation),
        };
        let id = TransactionalId { family: format!("{}-", settings.group), member };
        let connection = self.connection.with_timeout(self.outages.patience());
        let (outputs, sizes, compressed) = (&settings.outputs, settings.sizes, settings.compressed);
        let transactions = TransactionalProducer::open(&connection, &id, outputs, sizes, compressed, self.shutdown)?;
        self.transactions = Some(BackgroundDrop::new(transactions));
        Ok(())
    }

    /// Requires that this instance's name is still its own: the group says which member holds it (KIP-345).
    ///
    /// A member that was lost joins again under its name, and a recovery takes the transactional id over: either would throw
    /// out a process that was started under the same name in the meantime.
    pub(super) fn require_name(&self) -> Result<(), Error> {
        let Some(name) = &self.settings.instance_id else { return Ok(()) };
        if self.member_ids.is_empty() {
            return Ok(());
        }
        match self
            .inspector
            .with_timeout(self.outages.patience())
            .member_with_instance_id(&self.settings.group, name)?
        {
            Some(holder) if !self.member_ids.contains(&holder) => {
                Err(Error::fenced(Some(name), format!("the group's member of this name is {holder}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a fencing was by no other process; then this one may join again under its name.
    ///
    /// In an outage a coordinator may lose what it has told a member, or a member what it was told: the group then knows an id
    /// under the name that is an older one of this process, or one that never arrived and dies with its session. Another
    /// process keeps its id alive.
    pub(super) fn outlives_fencing(&mut self) -> Result<bool, StreamError> {
        let Some(name) = self.settings.instance_id.clone() else { return Ok(false) };
        let session = self.connection.session_timeout();
        let troubled = self.outages.troubled_within(session + AFTER_TROUBLE);
        let bound = Deadline::after(session + AFTER_TROUBLE);
        let (mut first, mut told) = (None, false);
        while self.shutdown.requested().is_none() {
            let holder = match self.inspector.member_with_instance_id(&self.settings.group, &name) {
                Ok(holder) => holder,
                Err(error) if error.kind().is_retriable() && !bound.has_passed() => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(holder) = holder.filter(|holder| !self.member_ids.contains(holder)) else {
                self.forget_assignment();
                return Ok(true);
            };
            // Someone who joins now is another process, and so is a member that outlives a session.
            if !troubled || bound.has_passed() || first.get_or_insert_with(|| holder.clone()) != &holder {
                return Ok(false);
            }
            if !std::mem::replace(&mut told, true) {
                (self.watch)(LoopEvent::Note(&format!(
                    "the group names {holder} as its member {name} after an outage: waiting up to {} s to see whether it lives",
                    (session + AFTER_TROUBLE).as_secs()
                )))?;
            }
            self.shutdown.pause(Duration::from_millis(200));
        }
        Ok(false)
    }

    /// Forgets everything that an assignment brought: the next one brings it again.
    fn forget_assignment(&mut self) {
        self.open = None;
        self.transactions = None;
        self.generation = None;
        self.pending = None;
        self.tasks.clear();
        self.check_name = false;
    }
}
