//! The loop: poll, process, commit; and what it does between records and when it is stopped.

use std::time::{Duration, Instant};

use super::end_offsets::{EndWait, wait_visible};
use super::error::StreamError;
use super::outage::Outages;
use super::settings::{LoopEvent, LoopSettings, LoopSummary};
use super::tasks::Tasks;
use super::topic_ids::{self, Identity, IdleLook};
use super::{Outputs, Processor, SourceRecord, Throttle};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    BackgroundDrop, CLOSE_TIMEOUT, CLOSE_TIMEOUT_IN_OUTAGE, Connection, GroupMetadata, Headers, Inspector, Member,
    MemberSettings, Output, PollEvent, TopicPartition, TransactionError, TransactionalProducer,
};
use crate::shutdown::Shutdown;

/// Records in one transaction at most, whatever the commit interval: what an abort has to do again stays small.
const RECORDS_PER_TRANSACTION: u64 = 100_000;
/// How often an idle member looks at positions, ends and its watcher.
const IDLE: Duration = Duration::from_millis(20);
/// How long a member waits for the group's answer: others may be restoring for as long as their poll interval.
const JOIN_BOUND: Duration = Duration::from_mins(6);

/// Runs a processor until its ends are reached, a stop is asked for, or `watch` returns `false`.
///
/// # Errors
///
/// Any failure leaves the last committed transaction as the truth; what was open is aborted.
pub fn run<P: Processor>(
    connection: &Connection,
    settings: &LoopSettings,
    processor: &mut P,
    inspector: &Inspector,
    shutdown: &Shutdown,
    watch: &mut dyn FnMut(LoopEvent<'_>) -> Result<bool, Failure>,
) -> Result<LoopSummary, StreamError> {
    let mut engine = PollLoop {
        connection,
        settings,
        processor,
        inspector,
        looker: inspector.with_own_attempt_timeout(),
        shutdown,
        watch,
        transactions: None,
        incarnation: 0,
        tasks: Tasks::new(&settings.sources),
        generation: None,
        pending: None,
        identity: Identity::default(),
        idle_look: IdleLook::default(),
        member_ids: Vec::new(),
        check_name: false,
        outages: Outages::new(connection.timeout, settings.survives_outages),
        waits: None,
        open: None,
        failed_in_a_row: 0,
        unread: 0,
        silent: Deadline::after(connection.timeout),
        heard: 0,
        throttle: settings.throttle.map(Throttle::per_second),
        ended: LoopSummary::default(),
    };
    // A name is taken over only once the group has given it to this process: until then it may be another one's.
    if settings.instance_id.is_none() {
        engine.open_producer()?;
    }
    let membership = MemberSettings {
        group: settings.group.clone(),
        instance_id: settings.instance_id.clone(),
        topics: settings.sources.clone(),
        session_timeout: connection.session_timeout(),
    };
    let mut member = Member::join(connection, &membership)?;
    let result = loop {
        match engine.drive(&member) {
            Err(error) if error.is_fenced() && engine.outlives_fencing()? => {
                // Dropped aside: it has nothing to leave, as the group does not know it any more.
                drop(BackgroundDrop::new(std::mem::replace(&mut member, Member::join(connection, &membership)?)));
            }
            result => break result.map_err(|error| engine.name_recreated(error)),
        }
    };
    // A failure's transaction is aborted in order where that is possible: nobody then has to wait for its timeout.
    // A fenced one has nothing left to abort, and its try could end a transaction of the process that took over.
    // Neither is tried where the cluster does not answer.
    let fenced = result.as_ref().is_err_and(StreamError::is_fenced);
    let passing = result.as_ref().is_err_and(StreamError::passes);
    if result.is_err() && !fenced && !passing && engine.open.is_some() && !engine.is_overdue() {
        engine.abort_quietly();
    }
    let PollLoop { mut ended, tasks, transactions, .. } = engine;
    ended.committed = tasks.iter().map(super::tasks::Task::standing).collect();
    let topics = topic_ids::topics(settings);
    let result = result.map_err(|error| match error {
        StreamError::Kafka(error) if passing => StreamError::Kafka(inspector.name_leaderless(error, &topics)),
        other => other,
    });
    member.close(if passing { CLOSE_TIMEOUT_IN_OUTAGE } else { CLOSE_TIMEOUT });
    drop(transactions);
    result?;
    // Who was stopped before the ends tells what was committed, and waits for nobody.
    if ended.reached_end && ended.commits > 0 {
        match wait_visible(settings, inspector, watch) {
            Err(_) if shutdown.requested().is_some() => ended.reached_end = false,
            visible => visible?,
        }
    }
    Ok(ended)
}

/// An open transaction.
pub(super) struct Open {
    pub(super) since: Instant,
    records: u64,
}

/// Partitions that were assigned and cannot be read yet.
pub(super) struct PendingAssignment {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) generation: GroupMetadata,
}

pub(super) struct PollLoop<'a, P: Processor> {
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a LoopSettings,
    pub(super) processor: &'a mut P,
    pub(super) inspector: &'a Inspector,
    /// For looks at topics beside the work.
    pub(super) looker: Inspector,
    pub(super) shutdown: &'a Shutdown,
    pub(super) watch: &'a mut dyn FnMut(LoopEvent<'_>) -> Result<bool, Failure>,
    pub(super) transactions: Option<BackgroundDrop<TransactionalProducer>>,
    /// Number of transactional ids that this process has used up.
    pub(super) incarnation: u32,
    pub(super) tasks: Tasks<P::Task>,
    /// The member as it was when it got its partitions; `None` while it has none, or must not act on them.
    pub(super) generation: Option<GroupMetadata>,
    /// What is assigned and not prepared; never together with a generation.
    pub(super) pending: Option<PendingAssignment>,
    /// The topics that the state of the tasks belongs to.
    pub(super) identity: Identity,
    pub(super) idle_look: IdleLook,
    /// The ids that the group has given to this process, the last one at the end.
    pub(super) member_ids: Vec<String>,
    /// Whether another process may have taken this one's instance id since.
    pub(super) check_name: bool,
    pub(super) outages: Outages,
    pub(super) waits: Option<EndWait>,
    pub(super) open: Option<Open>,
    pub(super) failed_in_a_row: u32,
    /// Batches since the last commit that could not be read at first.
    pub(super) unread: u32,
    /// Until when it is left to pass that nothing comes, and the commits when this was last looked at.
    pub(super) silent: Deadline,
    pub(super) heard: u64,
    pub(super) throttle: Option<Throttle>,
    pub(super) ended: LoopSummary,
}

/// Writes into the open transaction, on the partition number of the source.
struct TransactionOutputs<'a> {
    transactions: &'a TransactionalProducer,
    partition: i32,
}

impl Outputs for TransactionOutputs<'_> {
    fn send(&mut self, topic: Output, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TransactionError> {
        self.transactions.send(topic, self.partition, key, value)
    }

    fn send_with_headers(
        &mut self,
        topic: Output,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<(), TransactionError> {
        self.transactions.send_with_headers(topic, self.partition, key, value, headers)
    }
}

impl<P: Processor> PollLoop<'_, P> {
    fn drive(&mut self, member: &Member) -> Result<(), StreamError> {
        let mut joining = Some(Deadline::after(JOIN_BOUND));
        let mut looked = Deadline::after(IDLE);
        let mut paused = false;
        loop {
            if self.shutdown.requested().is_some() {
                return self.finish(member);
            }
            self.prepare(member)?;
            let now = clock::now();
            let wait = self.throttle.as_ref().map_or(Duration::ZERO, |throttle| throttle.wait(now));
            let bound = self.until_commit(now).min(IDLE);
            // A long wait for the pace goes on polling, without records; a short one is not worth the trouble.
            if (wait > Duration::from_millis(100)) != paused && self.generation.is_some() {
                paused = !paused;
                if paused { member.pause()? } else { member.resume()? }
            }
            if !wait.is_zero() && !paused {
                clock::pause(wait.min(bound));
            } else {
                match member.poll(bound)? {
                    PollEvent::Record(record) => {
                        let record = SourceRecord {
                            topic: record.topic,
                            partition: record.partition(),
                            offset: record.offset(),
                            timestamp_millis: record.timestamp_millis(),
                            key: record.key(),
                            value: record.value(),
                            headers: record.headers(),
                        };
                        self.take(&record, member)?;
                    }
                    PollEvent::Assigned(partitions, generation) => {
                        joining = None;
                        paused = false;
                        self.assigned(partitions, generation);
                    }
                    PollEvent::Revoked { lost } => {
                        joining = Some(Deadline::after(JOIN_BOUND));
                        self.revoked(lost, member)?;
                    }
                    PollEvent::Retrying(text) => {
                        self.outages.wait_begins();
                        self.outages.trouble(&text);
                    }
                    PollEvent::OutOfRange(error) => self.doubt(error, member)?,
                    PollEvent::Unreadable(words) => self.unreadable(&words, member)?,
                    PollEvent::Empty => {}
                }
            }
            if self.open.is_some() && self.until_commit(clock::now()).is_zero() {
                self.commit(member)?;
            }
            if looked.has_passed() {
                looked.renew();
                if self.look(member)? {
                    return Ok(());
                }
                if joining.as_ref().is_some_and(Deadline::has_passed) {
                    let failure = Failure::new(Code::Unreachable, "the group gave no partitions in six minutes")
                        .hint("look at its members with kafka-consumer-groups --describe --members");
                    return Err(failure.into());
                }
            }
        }
    }

    /// Everything that is looked at now and then, between records; `true` when the work is done.
    fn look(&mut self, member: &Member) -> Result<bool, StreamError> {
        if self.open.is_none() && self.generation.is_some() {
            // Behind the last record there may be markers: an idle group must show no lag.
            self.tasks.pass(&member.positions()?);
            if self.tasks.have_moved() {
                self.begin(member)?;
                self.commit(member)?;
            }
        }
        self.look_at_topics()?;
        self.look_at_silence(member)?;
        self.look_at_outage()?;
        if let Some(cause) = self.outages.untold() {
            (self.watch)(LoopEvent::Note(&format!("waiting for the cluster: {cause}")))?;
        }
        let event = self.outages.age().map_or(LoopEvent::Progress(&self.ended), LoopEvent::Outage);
        if !(self.watch)(event)? {
            self.finish(member)?;
            return Ok(true);
        }
        if self.open.is_none() && self.generation.is_some() {
            if self.has_reached_the_ends()? {
                self.ended.reached_end = true;
                return Ok(true);
            }
            self.look_at_ends()?;
        }
        Ok(false)
    }

    /// Asks whether the cluster answers, when nothing else shows it: after an error of the consumer, and while the group has
    /// given no partitions.
    fn look_at_outage(&mut self) -> Result<(), StreamError> {
        let joining = self.generation.is_none();
        let busy = self.pending.is_some() || self.open.is_some();
        if busy || !self.outages.is_to_be_probed() || !(self.outages.lasts() || joining) {
            return Ok(());
        }
        self.outages.wait_begins();
        let answers = self.inspector.responds();
        self.outages.probed();
        if answers {
            self.outages.end();
            return Ok(());
        }
        self.outages.trouble("no answer from the cluster");
        match self.outages.too_long() {
            Some(cause) => Err(self.inspector.no_answer("waiting for the group", cause).into()),
            None => Ok(()),
        }
    }

    fn until_commit(&self, now: Instant) -> Duration {
        match &self.open {
            None => IDLE,
            Some(open) if open.records >= RECORDS_PER_TRANSACTION => Duration::ZERO,
            Some(open) => self.settings.commit_interval.saturating_sub(now.saturating_duration_since(open.since)),
        }
    }

    fn take(&mut self, record: &SourceRecord<'_>, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none() {
            return Ok(());
        }
        if self.open.is_none() && !self.begin(member)? {
            return Ok(());
        }
        let (Some(task), Some(transactions)) = (self.tasks.of(record.topic, record.partition), &self.transactions)
        else {
            return Ok(());
        };
        let mut outputs = TransactionOutputs { transactions, partition: record.partition };
        match task.process(self.processor, record, &mut outputs) {
            Ok(taken) => {
                if let Some(open) = &mut self.open {
                    open.records += u64::from(taken);
                }
                if let Some(throttle) = &mut self.throttle {
                    throttle.took(clock::now());
                }
                Ok(())
            }
            Err(error) => self.failed(error, member),
        }
    }

    /// Begins a transaction; `false` when that led to a recovery instead.
    pub(super) fn begin(&mut self, member: &Member) -> Result<bool, StreamError> {
        let begun = self.transactions.as_ref().map_or(Ok(()), |transactions| transactions.begin());
        match begun {
            Ok(()) => {
                self.open = Some(Open { since: clock::now(), records: 0 });
                Ok(true)
            }
            Err(error) => self.failed(error, member).map(|()| false),
        }
    }

    pub(super) fn commit(&mut self, member: &Member) -> Result<(), StreamError> {
        let (Some(transactions), Some(generation)) = (&self.transactions, &self.generation) else { return Ok(()) };
        if self.open.is_none() {
            return Ok(());
        }
        self.outages.wait_begins();
        // Of the topics as they were after the last record was read: beside the calls that come before the commit.
        let look = self.begin_look()?;
        let mut result = self
            .tasks
            .write(self.processor, transactions, self.settings.changelog)
            .and_then(|offsets| transactions.send_offsets(&offsets, generation));
        if result.is_ok() {
            result = self.require_topics(&look)?;
        }
        match result.and_then(|()| transactions.commit()) {
            Ok(()) => {
                self.tasks.committed(self.processor);
                self.failed_in_a_row = 0;
                self.unread = 0;
                self.outages.end();
                self.ended.commits += 1;
                self.ended.records += self.open.take().map_or(0, |open| open.records);
                Ok(())
            }
            Err(error) => self.failed(error, member),
        }
    }

    /// The first signal: nothing new is taken, what is open is finished.
    fn finish(&mut self, member: &Member) -> Result<(), StreamError> {
        if self.open.is_some() {
            self.commit(member)?;
        }
        Ok(())
    }
}

impl<P: Processor> std::fmt::Debug for PollLoop<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollLoop").field("empty", &self.tasks.is_empty()).finish_non_exhaustive()
    }
}
