//! Poll loop of the transactional consumer: poll, process, commit, and the periodic checks in between.

use std::time::{Duration, Instant};

use super::end_offsets::{EndWait, wait_until_visible};
use super::error::StreamError;
use super::outage::Outages;
use super::settings::{LoopEvent, LoopSettings, LoopSummary};
use super::tasks::{Task, Tasks};
use super::topic_ids::{self, IdleLookup, TopicIds};
use super::{Outputs, Processor, SourceRecord, Throttle};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    BackgroundDrop, CLOSE_TIMEOUT, CLOSE_TIMEOUT_IN_OUTAGE, Connection, GroupMetadata, Headers, Inspector, Member,
    MemberSettings, Output, PollEvent, TopicPartition, TransactionError, TransactionalProducer,
};
use crate::shutdown::Shutdown;
use crate::units;

/// Records in one transaction at most, whatever the commit interval: it bounds the work that an abort repeats.
const MAX_TRANSACTION_RECORDS: u64 = 100_000;
/// Time between the periodic checks, and the longest poll.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait for an assignment: other members may restore for as long as their `max.poll.interval.ms`.
const JOIN_TIMEOUT: Duration = Duration::from_mins(6);
/// A throttle pauses the consumer for longer waits than this.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Runs a processor until the end offsets are reached, a stop is requested, or `listener` returns `false`.
///
/// # Errors
///
/// After a failure the last committed transaction is the current state; the open one is aborted.
pub fn run<P: Processor>(
    connection: &Connection,
    settings: &LoopSettings,
    processor: &mut P,
    inspector: &Inspector,
    shutdown: &Shutdown,
    listener: &mut dyn FnMut(LoopEvent<'_>) -> Result<bool, Failure>,
) -> Result<LoopSummary, StreamError> {
    let mut poll_loop = PollLoop {
        connection,
        settings,
        processor,
        inspector,
        lookup_client: inspector.with_own_attempt_timeout(),
        shutdown,
        listener,
        producer: None,
        producer_number: 0,
        tasks: Tasks::new(&settings.sources),
        generation: None,
        pending: None,
        topic_ids: TopicIds::default(),
        idle_lookup: IdleLookup::default(),
        member_ids: Vec::new(),
        verify_instance_id: false,
        outages: Outages::new(connection.timeout, settings.survives_outages),
        end_wait: None,
        open: None,
        failed_in_a_row: 0,
        corrupt_in_a_row: 0,
        silence: Deadline::after(connection.timeout),
        commits_at_silence: 0,
        throttle: settings.throttle.map(Throttle::per_second),
        summary: LoopSummary::default(),
    };
    // Under an instance id, wait for the group to accept it: until then another process may use the transactional id.
    if settings.instance_id.is_none() {
        poll_loop.open_producer()?;
    }
    let membership = MemberSettings {
        group: settings.group.clone(),
        instance_id: settings.instance_id.clone(),
        topics: settings.sources.clone(),
        session_timeout: connection.session_timeout(),
    };
    let mut member = Member::join(connection, &membership)?;
    let result = loop {
        match poll_loop.poll_until_end(&member) {
            Err(error) if error.is_fenced() && poll_loop.may_rejoin_after_fencing()? => {
                // Dropped in the background, without leaving the group, which does not know this member any more.
                drop(BackgroundDrop::new(std::mem::replace(&mut member, Member::join(connection, &membership)?)));
            }
            result => break result.map_err(|error| poll_loop.explain_recreated_topic(error)),
        }
    };
    // After a failure, abort the open transaction, so that readers need not wait for its timeout. A fenced producer has
    // nothing to abort, and its attempt could end a transaction of the process that took over. An unreachable cluster
    // cannot be asked to abort.
    let fenced = result.as_ref().is_err_and(StreamError::is_fenced);
    let passing = result.as_ref().is_err_and(StreamError::is_retriable);
    if result.is_err() && !fenced && !passing && poll_loop.open.is_some() && !poll_loop.is_overdue() {
        poll_loop.abort_ignoring_errors();
    }
    let PollLoop { mut summary, tasks, producer, .. } = poll_loop;
    summary.committed = tasks.iter().map(Task::committed_position).collect();
    let topics = topic_ids::topics(settings);
    let result = result.map_err(|error| match error {
        StreamError::Kafka(error) if passing => StreamError::Kafka(inspector.name_leaderless(error, &topics)),
        other => other,
    });
    member.close(if passing { CLOSE_TIMEOUT_IN_OUTAGE } else { CLOSE_TIMEOUT });
    drop(producer);
    result?;
    // A run that was stopped early does not wait for its transaction markers.
    if summary.reached_end && summary.commits > 0 {
        match wait_until_visible(settings, inspector, listener) {
            Err(_) if shutdown.requested().is_some() => summary.reached_end = false,
            visible => visible?,
        }
    }
    Ok(summary)
}

/// The open transaction.
pub(super) struct OpenTransaction {
    pub(super) since: Instant,
    records: u64,
}

/// An assignment whose tasks are not restored yet.
pub(super) struct PendingAssignment {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) generation: GroupMetadata,
}

/// The state of the loop; `stream/mod.rs` draws its transitions.
pub(super) struct PollLoop<'a, P: Processor> {
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a LoopSettings,
    pub(super) processor: &'a mut P,
    pub(super) inspector: &'a Inspector,
    /// The client for topic id lookups, which run in parallel to other calls.
    pub(super) lookup_client: Inspector,
    pub(super) shutdown: &'a Shutdown,
    pub(super) listener: &'a mut dyn FnMut(LoopEvent<'_>) -> Result<bool, Failure>,
    pub(super) producer: Option<BackgroundDrop<TransactionalProducer>>,
    /// Part of the transactional id without an instance id: counts the ids that were fenced.
    pub(super) producer_number: u32,
    pub(super) tasks: Tasks<P::Task>,
    /// The member's generation when its partitions were assigned; `None` while no records may be processed.
    pub(super) generation: Option<GroupMetadata>,
    /// The assignment to restore; never present together with a generation.
    pub(super) pending: Option<PendingAssignment>,
    /// The topics that the state of the tasks belongs to.
    pub(super) topic_ids: TopicIds,
    pub(super) idle_lookup: IdleLookup,
    /// The member ids that the group has given to this process, the latest last.
    pub(super) member_ids: Vec<String>,
    /// Whether another process may have taken over the instance id since it was last verified.
    pub(super) verify_instance_id: bool,
    pub(super) outages: Outages,
    pub(super) end_wait: Option<EndWait>,
    pub(super) open: Option<OpenTransaction>,
    pub(super) failed_in_a_row: u32,
    /// Batches since the last commit that could not be read at first.
    pub(super) corrupt_in_a_row: u32,
    /// When to check why no records arrive.
    pub(super) silence: Deadline,
    /// The number of commits when `silence` was last checked.
    pub(super) commits_at_silence: u64,
    pub(super) throttle: Option<Throttle>,
    pub(super) summary: LoopSummary,
}

/// Outputs of a processor: writes into the open transaction, to the partition number of the source.
struct TransactionOutputs<'a> {
    producer: &'a TransactionalProducer,
    partition: i32,
}

impl Outputs for TransactionOutputs<'_> {
    fn send(&mut self, topic: Output, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TransactionError> {
        self.producer.send(topic, self.partition, key, value)
    }

    fn send_with_headers(
        &mut self,
        topic: Output,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<(), TransactionError> {
        self.producer.send_with_headers(topic, self.partition, key, value, headers)
    }
}

impl<P: Processor> PollLoop<'_, P> {
    fn poll_until_end(&mut self, member: &Member) -> Result<(), StreamError> {
        let mut join_deadline = Some(Deadline::after(JOIN_TIMEOUT));
        let mut next_check = Deadline::after(CHECK_INTERVAL);
        let mut paused = false;
        loop {
            if self.shutdown.requested().is_some() {
                return self.commit_if_open(member);
            }
            self.activate_assignment(member)?;
            let now = clock::now();
            let wait = self.throttle.as_ref().map_or(Duration::ZERO, |throttle| throttle.wait(now));
            let bound = self.until_commit(now).min(CHECK_INTERVAL);
            // During a long wait the consumer is paused and still polled, so that it remains in the group.
            if (wait > MIN_PAUSE) != paused && self.generation.is_some() {
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
                        self.process(&record, member)?;
                    }
                    PollEvent::Assigned(partitions, generation) => {
                        join_deadline = None;
                        paused = false;
                        self.on_assigned(partitions, generation);
                    }
                    PollEvent::Revoked { lost } => {
                        join_deadline = Some(Deadline::after(JOIN_TIMEOUT));
                        self.on_revoked(lost, member)?;
                    }
                    PollEvent::Retrying(text) => {
                        self.outages.start_waiting();
                        self.outages.record_unreachable(&text);
                    }
                    PollEvent::OutOfRange(error) => self.on_out_of_range(error, member)?,
                    PollEvent::Unreadable(text) => self.on_unreadable(&text, member)?,
                    PollEvent::Empty => {}
                }
            }
            if self.open.is_some() && self.until_commit(clock::now()).is_zero() {
                self.commit(member)?;
            }
            if next_check.has_passed() {
                next_check.renew();
                if self.check_periodically(member)? {
                    return Ok(());
                }
                if join_deadline.as_ref().is_some_and(Deadline::has_passed) {
                    let message = format!("no partitions were assigned within {}", units::duration(JOIN_TIMEOUT));
                    let hint = "look at the group's members with kafka-consumer-groups --describe --members";
                    return Err(Failure::new(Code::Unreachable, message).hint(hint).into());
                }
            }
        }
    }

    /// The checks between records; `true` when the run is complete.
    fn check_periodically(&mut self, member: &Member) -> Result<bool, StreamError> {
        if self.open.is_none() && self.generation.is_some() {
            // Commit the offsets of transaction markers too, so that an idle group has no lag.
            self.tasks.advance(&member.positions()?);
            if self.tasks.need_commit() {
                self.begin(member)?;
                self.commit(member)?;
            }
        }
        self.check_topics_when_idle()?;
        self.check_silence(member)?;
        self.probe_cluster()?;
        if let Some(cause) = self.outages.take_unreported() {
            (self.listener)(LoopEvent::Note(&format!("waiting for the cluster: {cause}")))?;
        }
        self.summary.last_answer = Some(self.outages.last_answer());
        let event = self.outages.age().map_or(LoopEvent::Progress(&self.summary), LoopEvent::Outage);
        if !(self.listener)(event)? {
            self.commit_if_open(member)?;
            return Ok(true);
        }
        if self.open.is_none() && self.generation.is_some() {
            if self.has_reached_end_offsets()? {
                self.summary.reached_end = true;
                return Ok(true);
            }
            self.check_unreached_ends()?;
        }
        Ok(false)
    }

    /// Checks whether the cluster responds where no other call shows it: after a consumer error, and while no
    /// partitions are assigned.
    fn probe_cluster(&mut self) -> Result<(), StreamError> {
        let joining = self.generation.is_none();
        let busy = self.pending.is_some() || self.open.is_some();
        if busy || !self.outages.probe_due() || !(self.outages.is_ongoing() || joining) {
            return Ok(());
        }
        self.outages.start_waiting();
        let responds = self.inspector.responds();
        self.outages.probed();
        if responds {
            self.outages.clear();
            return Ok(());
        }
        self.outages.record_unreachable("no response from the cluster");
        match self.outages.expired() {
            Some(cause) => Err(self.inspector.no_answer("waiting for the group", cause).into()),
            None => Ok(()),
        }
    }

    fn until_commit(&self, now: Instant) -> Duration {
        match &self.open {
            None => CHECK_INTERVAL,
            Some(open) if open.records >= MAX_TRANSACTION_RECORDS => Duration::ZERO,
            Some(open) => self.settings.commit_interval.saturating_sub(now.saturating_duration_since(open.since)),
        }
    }

    fn process(&mut self, record: &SourceRecord<'_>, member: &Member) -> Result<(), StreamError> {
        if self.generation.is_none() {
            return Ok(());
        }
        if self.open.is_none() && !self.begin(member)? {
            return Ok(());
        }
        let (Some(task), Some(producer)) = (self.tasks.get_mut(record.topic, record.partition), &self.producer) else {
            return Ok(());
        };
        let mut outputs = TransactionOutputs { producer, partition: record.partition };
        match task.process(self.processor, record, &mut outputs) {
            Ok(is_new) => {
                if let Some(open) = &mut self.open {
                    open.records += u64::from(is_new);
                }
                if let Some(throttle) = &mut self.throttle {
                    throttle.took(clock::now());
                }
                Ok(())
            }
            Err(error) => self.on_transaction_error(error, member),
        }
    }

    /// Begins a transaction; `false` when that led to a recovery instead.
    fn begin(&mut self, member: &Member) -> Result<bool, StreamError> {
        let begun = self.producer.as_ref().map_or(Ok(()), |producer| producer.begin());
        match begun {
            Ok(()) => {
                self.open = Some(OpenTransaction { since: clock::now(), records: 0 });
                Ok(true)
            }
            Err(error) => self.on_transaction_error(error, member).map(|()| false),
        }
    }

    /// Commits the open transaction: changelog records, offsets in the name of the generation (KIP-447), `EndTxn`.
    pub(super) fn commit(&mut self, member: &Member) -> Result<(), StreamError> {
        let (Some(producer), Some(generation)) = (&self.producer, &self.generation) else { return Ok(()) };
        if self.open.is_none() {
            return Ok(());
        }
        self.outages.start_waiting();
        // The lookup begins after the last record was read, and runs in parallel to the calls before the commit.
        let lookup = self.start_topic_lookup()?;
        let mut result = self
            .tasks
            .write_changelog(self.processor, producer, self.settings.changelog)
            .and_then(|offsets| producer.send_offsets(&offsets, generation));
        if result.is_ok() {
            result = self.require_same_topics(&lookup)?;
        }
        match result.and_then(|()| producer.commit()) {
            Ok(()) => {
                self.tasks.committed(self.processor);
                self.failed_in_a_row = 0;
                self.corrupt_in_a_row = 0;
                self.outages.clear();
                self.summary.commits += 1;
                self.summary.records += self.open.take().map_or(0, |open| open.records);
                Ok(())
            }
            Err(error) => self.on_transaction_error(error, member),
        }
    }

    /// Finishes the open transaction before a stop.
    fn commit_if_open(&mut self, member: &Member) -> Result<(), StreamError> {
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
