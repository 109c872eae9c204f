//! Owns the loop: poll, process, commit; and what it does on rebalance, throttle and stop. `recovery` owns its failures.

use std::time::{Duration, Instant};

use super::changelog::Source;
use super::job::{Ended, Event, LoopSettings};
use super::tasks::{Assigning, Tasks};
use super::{Outputs, Processor, SourceRecord, Throttle};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    Connection, GroupMetadata, Happening, Inspector, Isolation, Member, MemberSettings, Output, TopicPartition,
    TransactionError, Transactions,
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
    watch: &mut dyn FnMut(Event<'_>) -> Result<bool, Failure>,
) -> Result<Ended, Failure> {
    let mut engine = Engine {
        connection,
        settings,
        processor,
        inspector,
        shutdown,
        watch,
        transactions: None,
        incarnation: 0,
        tasks: Tasks::new(&settings.sources),
        generation: None,
        open: None,
        failed_in_a_row: 0,
        throttle: settings.throttle.map(Throttle::per_second),
        ended: Ended::default(),
    };
    engine.open_producer()?;
    let member = Member::join(
        connection,
        &MemberSettings {
            group: settings.group.clone(),
            instance_id: settings.instance_id.clone(),
            topics: settings.sources.clone(),
        },
    )?;
    let result = engine.drive(&member);
    // A failure's transaction is aborted in order where that is possible: nobody then has to wait for its timeout.
    // Who was fenced has nothing left to abort, and its try could end a transaction of the one who took over.
    let fenced = matches!(&result, Err(failure) if failure.code == Code::Fenced);
    if result.is_err() && !fenced && engine.open.is_some() && engine.stood_still().is_none() {
        engine.abort_quietly();
    }
    let Engine { mut ended, tasks, transactions, .. } = engine;
    ended.standing = tasks.iter().map(super::tasks::Task::standing).collect();
    member.leave();
    drop(transactions);
    result?;
    // Who was stopped before the ends tells what was committed, and waits for nobody.
    if ended.reached && ended.commits > 0 {
        match wait_visible(settings, inspector, shutdown, watch) {
            Err(_) if shutdown.requested().is_some() => ended.reached = false,
            visible => visible?,
        }
    }
    Ok(ended)
}

/// The end-transaction reply comes before the markers are written: who ends now must be seen by whoever reads next.
fn wait_visible(
    settings: &LoopSettings,
    inspector: &Inspector,
    shutdown: &Shutdown,
    watch: &mut dyn FnMut(Event<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut tell = |text: &str| {
        // Only a closed reader can fail here, and nothing is left to stop.
        watch(Event::Note(text)).unwrap_or_default();
    };
    let places = |topics: &[String]| -> Vec<TopicPartition> {
        topics.iter().flat_map(|topic| TopicPartition::all(topic, settings.partitions)).collect()
    };
    let outputs = places(&settings.outputs);
    let ends = inspector.ends(&outputs, Isolation::Uncommitted)?;
    inspector.wait_stable(&outputs, &ends, shutdown, &mut tell)?;
    inspector.committed(&places(&settings.sources), shutdown, &mut tell).map(drop)
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

/// An open transaction.
pub(super) struct Open {
    pub(super) since: Instant,
    records: u64,
}

pub(super) struct Engine<'a, P: Processor> {
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a LoopSettings,
    pub(super) processor: &'a mut P,
    pub(super) inspector: &'a Inspector,
    pub(super) shutdown: &'a Shutdown,
    pub(super) watch: &'a mut dyn FnMut(Event<'_>) -> Result<bool, Failure>,
    pub(super) transactions: Option<Transactions>,
    /// Number of transactional ids that this process has used up.
    pub(super) incarnation: u32,
    pub(super) tasks: Tasks<P::Task>,
    /// The member as it was when it got its partitions; `None` while it has none, or must not act on them.
    pub(super) generation: Option<GroupMetadata>,
    pub(super) open: Option<Open>,
    pub(super) failed_in_a_row: u32,
    pub(super) throttle: Option<Throttle>,
    pub(super) ended: Ended,
}

/// Writes into the open transaction, on the partition number of the source.
struct Into<'a> {
    transactions: &'a Transactions,
    partition: i32,
}

impl Outputs for Into<'_> {
    fn send(&mut self, topic: Output, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), TransactionError> {
        self.transactions.send(topic, self.partition, key, value)
    }

    fn send_with_headers(
        &mut self,
        topic: Output,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) -> Result<(), TransactionError> {
        self.transactions.send_with_headers(topic, self.partition, key, value, headers)
    }
}

impl<P: Processor> Engine<'_, P> {
    fn drive(&mut self, member: &Member) -> Result<(), Failure> {
        let mut joining = Some(Deadline::after(JOIN_BOUND));
        let mut trouble: Option<(Deadline, String)> = None;
        let mut looked = Deadline::after(IDLE);
        let mut paused = false;
        loop {
            if self.shutdown.requested().is_some() {
                return self.finish(member);
            }
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
                    Happening::Record(record) => {
                        trouble = None;
                        let record = SourceRecord {
                            topic: record.topic,
                            partition: record.partition(),
                            offset: record.offset(),
                            timestamp_millis: record.timestamp_millis(),
                            key: record.key(),
                            value: record.value(),
                        };
                        self.take(&record, member)?;
                    }
                    Happening::Assigned(partitions, generation) => {
                        joining = None;
                        paused = false;
                        self.assigned(&partitions, generation, member)?;
                    }
                    Happening::Revoked { lost } => {
                        joining = Some(Deadline::after(JOIN_BOUND));
                        self.revoked(lost, member)?;
                    }
                    Happening::Trouble(text) => {
                        trouble.get_or_insert_with(|| (Deadline::after(self.connection.timeout), text));
                    }
                    Happening::Nothing => {}
                }
            }
            if self.open.is_some() && self.until_commit(clock::now()).is_zero() {
                self.commit(member)?;
                trouble = None;
            }
            if looked.has_passed() {
                looked.renew();
                if self.look(member)? {
                    return Ok(());
                }
                if joining.as_ref().is_some_and(Deadline::has_passed) {
                    return Err(Failure::new(Code::Unreachable, "the group gave no partitions in six minutes")
                        .hint("look at its members with kafka-consumer-groups --describe --members"));
                }
                if trouble.as_ref().is_some_and(|(deadline, _)| deadline.has_passed())
                    && let Some((_, text)) = trouble.take()
                {
                    // Raises the failure if the broker is really gone; otherwise it was a passing trouble.
                    self.inspector.topics().map_err(|failure| failure.context(text))?;
                }
            }
        }
    }

    /// Everything that is looked at now and then, between records; `true` when the work is done.
    fn look(&mut self, member: &Member) -> Result<bool, Failure> {
        if self.open.is_none() && self.generation.is_some() {
            // Behind the last record there may be markers: an idle group must show no lag.
            self.tasks.pass(&member.positions()?);
            if self.tasks.have_moved() {
                self.begin(member)?;
                self.commit(member)?;
            }
        }
        if !(self.watch)(Event::Progress(&self.ended))? {
            self.finish(member)?;
            return Ok(true);
        }
        if self.open.is_none() && self.generation.is_some() && self.has_reached_the_ends()? {
            self.ended.reached = true;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether the whole group has committed up to the ends: partitions may be another member's.
    fn has_reached_the_ends(&self) -> Result<bool, Failure> {
        let Some(until) = &self.settings.until else { return Ok(false) };
        let mut others = Vec::new();
        for (place, end) in until {
            match self.tasks.iter().find(|task| task.source == *place) {
                Some(task) if task.has_committed(*end) => {}
                Some(_) => return Ok(false),
                None => others.push((place.clone(), *end)),
            }
        }
        let (places, ends): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let offsets = match self.inspector.committed(&places, self.shutdown, &mut |_| {}) {
            Ok(offsets) => offsets,
            // The stop is dealt with in order by the loop.
            Err(_) if self.shutdown.requested().is_some() => return Ok(false),
            Err(failure) => return Err(failure),
        };
        Ok(offsets.iter().zip(ends).all(|(offset, end)| offset.is_some_and(|offset| offset >= end)))
    }

    fn until_commit(&self, now: Instant) -> Duration {
        match &self.open {
            None => IDLE,
            Some(open) if open.records >= RECORDS_PER_TRANSACTION => Duration::ZERO,
            Some(open) => self.settings.commit_interval.saturating_sub(now.saturating_duration_since(open.since)),
        }
    }

    fn take(&mut self, record: &SourceRecord<'_>, member: &Member) -> Result<(), Failure> {
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
        let mut outputs = Into { transactions, partition: record.partition };
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
    pub(super) fn begin(&mut self, member: &Member) -> Result<bool, Failure> {
        let begun = self.transactions.as_ref().map_or(Ok(()), Transactions::begin);
        match begun {
            Ok(()) => {
                self.open = Some(Open { since: clock::now(), records: 0 });
                Ok(true)
            }
            Err(error) => self.failed(error, member).map(|()| false),
        }
    }

    fn commit(&mut self, member: &Member) -> Result<(), Failure> {
        let (Some(transactions), Some(generation)) = (&self.transactions, &self.generation) else { return Ok(()) };
        if self.open.is_none() {
            return Ok(());
        }
        let result = self
            .tasks
            .write(self.processor, transactions, self.settings.changelog)
            .and_then(|offsets| transactions.send_offsets(&offsets, generation))
            .and_then(|()| transactions.commit());
        match result {
            Ok(()) => {
                self.tasks.committed(self.processor);
                self.failed_in_a_row = 0;
                self.ended.commits += 1;
                self.ended.records += self.open.take().map_or(0, |open| open.records);
                Ok(())
            }
            Err(error) => self.failed(error, member),
        }
    }

    pub(super) fn assigned(
        &mut self,
        partitions: &[TopicPartition],
        generation: GroupMetadata,
        member: &Member,
    ) -> Result<(), Failure> {
        self.ended.assignments += 1;
        let settings = self.settings;
        let assigning = Assigning {
            changelog: Source {
                connection: self.connection,
                inspector: self.inspector,
                group: &settings.group,
                topic: &settings.outputs[settings.changelog.0],
                shutdown: self.shutdown,
            },
            inspector: self.inspector,
            words: &settings.words,
            resume: settings.resume,
            shutdown: self.shutdown,
        };
        let watch = &mut self.watch;
        let mut tell = |text: &str| {
            // A closed reader is noticed at the next look.
            watch(Event::Note(text)).unwrap_or_default();
        };
        let moving = Deadline::after(self.connection.timeout);
        let restored = loop {
            match self.tasks.assign(self.processor, partitions, &assigning, &mut tell) {
                Ok(Some(restored)) => break restored,
                // Who stood still for longer than its session has the partitions no more, and is about to hear it.
                Ok(None) if member.has_lost_its_partitions() => return Ok(()),
                Ok(None) if moving.has_passed() => return Err(contested(self.settings)),
                Ok(None) => clock::pause(IDLE),
                // A stop during a restore is a stop like any other: nothing was begun.
                Err(_) if self.shutdown.requested().is_some() => {
                    self.tasks.clear();
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        };
        self.ended.restored += restored;
        self.generation = Some(generation);
        member.read_from(&self.tasks.offsets())
    }

    fn revoked(&mut self, lost: bool, member: &Member) -> Result<(), Failure> {
        if lost {
            self.check_name(member)?;
            if self.open.is_some() {
                // Not to be acted on any more, by a recovery either.
                self.generation = None;
                self.abort_or_recover(member)?;
            }
        } else if self.open.is_some() {
            self.commit(member)?;
        }
        self.generation = None;
        member.give_back()
    }

    /// The first signal: nothing new is taken, what is open is finished.
    fn finish(&mut self, member: &Member) -> Result<(), Failure> {
        if self.open.is_some() {
            self.commit(member)?;
        }
        Ok(())
    }
}

impl<P: Processor> std::fmt::Debug for Engine<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("empty", &self.tasks.is_empty()).finish_non_exhaustive()
    }
}
