//! Owns the loop: poll, process, commit; and what it does on abort, doubt, rebalance, fencing, throttle and stop.

use std::time::{Duration, Instant};

use super::changelog::Source;
use super::tasks::{Assigning, Standing, Tasks};
use super::{Outputs, Processor, SourceRecord, Throttle};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    Connection, GroupMetadata, Happening, Inspector, Isolation, Member, MemberSettings, Output, Sizes, TopicPartition,
    TransactionError, Transactions, fenced,
};
use crate::shutdown::Shutdown;

/// Records in one transaction at most, whatever the commit interval: what an abort has to do again stays small.
const RECORDS_PER_TRANSACTION: u64 = 100_000;
/// How often an idle member looks at positions, ends and its watcher.
const IDLE: Duration = Duration::from_millis(20);
/// How long a member waits for the group's answer: others may be restoring for as long as their poll interval.
const JOIN_BOUND: Duration = Duration::from_mins(6);

/// The words of one consumer in messages.
#[derive(Debug, Clone)]
pub struct Words {
    /// The command, as in `inventory`.
    pub command: &'static str,
    /// Its flag that takes the position as committed.
    pub resume: &'static str,
    /// What its state is called.
    pub state: &'static str,
    /// The way on when the state is gone.
    pub state_gone: &'static str,
    /// The way on when unread records are gone.
    pub records_gone: &'static str,
}

/// What the loop is to do.
#[derive(Debug, Clone)]
pub struct LoopSettings {
    /// The consumer group.
    pub group: String,
    /// The static member's name.
    pub instance_id: Option<String>,
    /// Makes the transactional ids of a process without an instance id its own.
    pub process_id: String,
    /// The source topics.
    pub sources: Vec<String>,
    /// Partitions of each source topic.
    pub partitions: i32,
    /// The topics written to; a processor names them by their place.
    pub outputs: Vec<String>,
    /// The changelog among them.
    pub changelog: Output,
    /// How large records and batches may be.
    pub sizes: Sizes,
    /// How long records are collected before a commit.
    pub commit_interval: Duration,
    /// Records a second, where the pace is limited.
    pub throttle: Option<f64>,
    /// The ends at which the work is done; without them it goes on until stopped.
    pub until: Option<Vec<(TopicPartition, i64)>>,
    /// Take a position as committed where the group's offset differs.
    pub resume: bool,
    /// The words for messages.
    pub words: Words,
}

/// What the loop tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something worth a line.
    Note(&'a str),
    /// A transaction was aborted; its records are processed again.
    Aborted(&'a str),
    /// A transaction was committed, or some time has passed.
    Progress(&'a Ended),
}

/// What the loop has done.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// Records processed in committed transactions.
    pub records: u64,
    /// Committed transactions.
    pub commits: u64,
    /// Aborted transactions.
    pub aborts: u64,
    /// Changelog records read to restore state.
    pub restored: u64,
    /// Assignments got from the group.
    pub assignments: u64,
    /// Where this member's partitions stand.
    pub standing: Vec<Standing>,
    /// Whether the ends were reached, rather than a stop asked for.
    pub reached: bool,
}

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
    if result.is_err() && engine.open.is_some() {
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

/// An open transaction.
struct Open {
    since: Instant,
    records: u64,
}

struct Engine<'a, P: Processor> {
    connection: &'a Connection,
    settings: &'a LoopSettings,
    processor: &'a mut P,
    inspector: &'a Inspector,
    shutdown: &'a Shutdown,
    watch: &'a mut dyn FnMut(Event<'_>) -> Result<bool, Failure>,
    transactions: Option<Transactions>,
    /// Number of transactional ids that this process has used up.
    incarnation: u32,
    tasks: Tasks<P::Task>,
    /// The member as it was when it got its partitions; `None` while it has none, or must not act on them.
    generation: Option<GroupMetadata>,
    open: Option<Open>,
    failed_in_a_row: u32,
    throttle: Option<Throttle>,
    ended: Ended,
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
    fn begin(&mut self, member: &Member) -> Result<bool, Failure> {
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

    /// What an error of a transactional call leads to.
    fn failed(&mut self, error: TransactionError, member: &Member) -> Result<(), Failure> {
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == 5 {
            (self.watch)(Event::Note(&format!("transactions keep failing and are tried again: {error}")))?;
        }
        if self.failed_in_a_row > 50 {
            return Err(Failure::new(
                Code::Unreachable,
                format!("fifty transactions in a row failed, the last one: {error}"),
            )
            .hint("look at the broker's log; what was committed stands, start again to go on from there"));
        }
        match error {
            TransactionError::Abort(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                if self.abort().is_err() {
                    return self.recover(false, member);
                }
                // Grows to two seconds: a broker in trouble is not helped by a hundred tries a second.
                self.shutdown
                    .pause(Duration::from_millis(10 << self.failed_in_a_row.min(8)).min(Duration::from_secs(2)));
                member.read_from(&self.tasks.offsets())
            }
            TransactionError::Stale(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                let aborted = self.abort();
                // Others may own the partitions: nothing is done until the group has said so or given new ones.
                self.generation = None;
                if aborted.is_err() { self.recover(false, member) } else { Ok(()) }
            }
            TransactionError::Fenced(reason) => {
                self.open = None;
                if self.settings.instance_id.is_some() {
                    return Err(fenced(self.settings.instance_id.as_deref(), &reason));
                }
                // Nobody else can have this process's id: the broker gave up on a transaction that took too long.
                (self.watch)(Event::Aborted(&reason))?;
                self.recover(true, member)
            }
            TransactionError::Doubt(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                self.recover(false, member)
            }
            TransactionError::Failed(failure) => Err(failure),
        }
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let result = self.transactions.as_ref().map_or(Ok(()), Transactions::abort);
        self.open = None;
        self.ended.aborts += 1;
        self.tasks.aborted(self.processor);
        result
    }

    fn abort_quietly(&mut self) {
        // The failure that led here is the one to tell; the broker aborts by its timeout what could not be aborted now.
        self.abort().unwrap_or_default();
    }

    /// After doubt: a new producer, which ends whatever the old one left open, and state from the topics alone.
    fn recover(&mut self, new_id: bool, member: &Member) -> Result<(), Failure> {
        self.open = None;
        self.ended.aborts += 1;
        self.transactions = None;
        self.incarnation += u32::from(new_id);
        let partitions: Vec<TopicPartition> = self.tasks.iter().map(|task| task.source.clone()).collect();
        self.tasks.clear();
        self.open_producer()?;
        match self.generation.take() {
            Some(generation) => self.assigned(&partitions, generation, member),
            None => Ok(()),
        }
    }

    fn open_producer(&mut self) -> Result<(), Failure> {
        let settings = self.settings;
        let id = match &settings.instance_id {
            Some(instance) => format!("{}-{instance}", settings.group),
            None => format!("{}-{}-{}", settings.group, settings.process_id, self.incarnation),
        };
        let transactions = Transactions::open(self.connection, &id, &settings.outputs, settings.sizes, self.shutdown)?;
        self.transactions = Some(transactions);
        Ok(())
    }

    fn assigned(
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
        let restored = match self.tasks.assign(self.processor, partitions, &assigning, &mut tell) {
            Ok(restored) => restored,
            // A stop during a restore is a stop like any other: nothing was begun.
            Err(_) if self.shutdown.requested().is_some() => {
                self.tasks.clear();
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        self.ended.restored += restored;
        self.generation = Some(generation);
        member.read_from(&self.tasks.offsets())
    }

    fn revoked(&mut self, lost: bool, member: &Member) -> Result<(), Failure> {
        if self.open.is_some() {
            if lost {
                if self.abort().is_err() {
                    self.generation = None;
                    self.recover(false, member)?;
                }
            } else {
                self.commit(member)?;
            }
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
