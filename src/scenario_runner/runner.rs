//! Execution of a script: one step after the other, each with a deadline, and a cleanup that ends every process.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::child::ChildProcess;
use super::environment::Environment;
use super::lag_sampling::LagSampling;
use super::output::{LiveOutput, RunContext};
use crate::clock::{self, Deadline};
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::kafka::{EndOffset, Inspector, TopicPartition, librdkafka_info};
use crate::scenario::{
    Bound, BrokerFacts, EndedBy, EventKind, ExpectationOutcome, ProcessSignal, Run, RunEvent, ScenarioDocument,
    ScenarioVerdict, Script, Step, StepAction, StepOutcome, Wait, evaluate, not_shown, predictions, rate_changes,
};

/// How often processes and conditions are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How often a wait requests the offsets of a topic.
const OFFSETS_INTERVAL: Duration = Duration::from_millis(50);
/// How often the live text is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// How long a process may take to stop at the end of the run.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// By then the broker has written the markers of transactions whose end it has acknowledged (measured: up to 33 ms), so
/// uncommitted records belong to open transactions.
const MARKER_DELAY: Duration = Duration::from_millis(150);

/// Why a run ended before its last step.
enum Halt {
    /// By a signal.
    Interrupted,
    /// A step did not finish before its deadline.
    DeadlinePassed(Box<ExpectationOutcome>),
    /// A process ended with an unexpected exit code, which is in its outcome.
    UnexpectedExit,
    /// An error that is not the script's.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Runs a script to its last step, or until a step fails.
///
/// # Errors
///
/// When the broker cannot be reached or a process cannot be started. Failed expectations and an interruption are not
/// errors: they are in the document.
pub fn run_script(
    script: &Script,
    file: &str,
    environment: &Environment,
    context: &RunContext<'_>,
) -> Result<ScenarioDocument, Failure> {
    let inspector =
        Inspector::open(&environment.connection, &environment.names.inventory_group(None), context.shutdown)?;
    // Fails early if the broker cannot be reached.
    inspector.topics()?;
    let started = clock::now();
    let document = ScenarioDocument {
        schema: "foodstream.scenario/1".to_owned(),
        name: script.name.clone(),
        description: script.description.clone(),
        file: file.to_owned(),
        verdict: ScenarioVerdict::Interrupted,
        broker: BrokerFacts {
            embedded: environment.embedded,
            address: environment.connection.bootstrap().to_owned(),
            prefix: environment.names.prefix().to_owned(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        librdkafka: librdkafka_info().0,
        started: EventTime::from_millis(clock::wall_millis()).map(|time| time.to_string()).unwrap_or_default(),
        elapsed_seconds: 0.0,
        steps: Vec::new(),
        events: Vec::new(),
        lag: Vec::new(),
        expectations: Vec::new(),
        not_shown: not_shown(script, environment.embedded),
    };
    let mut runner = Runner {
        script,
        environment,
        context,
        inspector: &inspector,
        started,
        document,
        running: Vec::new(),
        sampling: LagSampling::start(environment, script, started)?,
        output: LiveOutput::new(context),
        draw: Deadline::after(REDRAW_INTERVAL),
    };
    let halt = script.steps.iter().find_map(|step| runner.step(step).err());
    runner.end(halt)
}

/// A step whose process is running.
struct RunningStep {
    /// Its index in the document's steps.
    index: usize,
    run: Run,
    process: ChildProcess,
}

/// The values that a wait has seen.
#[derive(Debug, Clone, Copy, Default)]
struct WaitProgress {
    first: Option<i64>,
    last: Option<i64>,
}

impl WaitProgress {
    /// Records a number and checks it against the bound.
    fn holds(self, bound: Bound, number: Option<i64>, seen: &Cell<Self>) -> bool {
        let first = self.first.or(number);
        seen.set(Self { first, last: number });
        bound.holds(number, first)
    }
}

struct Runner<'a> {
    script: &'a Script,
    environment: &'a Environment,
    context: &'a RunContext<'a>,
    inspector: &'a Inspector,
    started: Instant,
    document: ScenarioDocument,
    /// In the order of start.
    running: Vec<RunningStep>,
    sampling: LagSampling,
    output: LiveOutput<'a>,
    draw: Deadline,
}

impl Runner<'_> {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn event(&mut self, kind: EventKind, step: Option<&str>, text: String) {
        let event = RunEvent { at_seconds: self.now(), kind, step: step.map(str::to_owned), text };
        self.output.event(&event);
        self.document.events.push(event);
    }

    fn step(&mut self, step: &Step) -> Result<(), Halt> {
        let deadline = Deadline::after(step.deadline);
        match &step.action {
            StepAction::Run(run) => {
                let index = self.start(run)?;
                if run.background {
                    return self.supervise(None);
                }
                let ended = |runner: &mut Self| Ok(runner.document.steps[index].ended_seconds.is_some());
                self.wait_until(step, deadline, ended, |_| None)
            }
            StepAction::Signal(signal, name) => self.signal(step, deadline, *signal, name),
            StepAction::Wait(wait) => {
                let began = self.started.elapsed();
                self.event(EventKind::Waiting, None, wait.begun(step.deadline));
                self.wait(step, deadline, wait)?;
                self.event(EventKind::Held, None, wait.done(self.started.elapsed().saturating_sub(began)));
                Ok(())
            }
        }
    }

    fn start(&mut self, run: &Run) -> Result<usize, Halt> {
        let arguments: Vec<String> = run.arguments.iter().cloned().chain(self.environment.arguments()).collect();
        let process = ChildProcess::start(
            &self.context.program,
            &arguments,
            self.environment.directory(),
            self.environment.properties(),
        )?;
        let index = self.document.steps.len();
        self.document.steps.push(StepOutcome {
            name: run.name.clone(),
            run: run.command_line.clone(),
            command: self.environment.shell_command(&run.command_line),
            background: run.background,
            started_seconds: self.now(),
            ended_seconds: None,
            ended_by: None,
            exit_code: None,
            document: None,
            stderr: Vec::new(),
            uncommitted: None,
        });
        let (kind, how) =
            if run.throttled { (EventKind::Throttled, "throttled") } else { (EventKind::Started, "started") };
        self.event(kind, Some(&run.name), format!("{} {how}: {}", run.name, run.command_line));
        self.running.push(RunningStep { index, run: run.clone(), process });
        Ok(index)
    }

    /// Handles ended processes and redraws the live text. Fails if a process ended unexpectedly or a signal stops the
    /// run. `expected` is a process that the script is ending.
    fn supervise(&mut self, expected: Option<&str>) -> Result<(), Halt> {
        let mut has_failed = false;
        let mut at = 0;
        while at < self.running.len() {
            if self.running[at].process.has_ended() && expected != Some(self.running[at].run.name.as_str()) {
                let running = self.running.remove(at);
                has_failed |= !self.record_end(running, EndedBy::Itself);
            } else {
                at += 1;
            }
        }
        if self.draw.has_passed() {
            self.draw.renew();
            self.redraw();
        }
        if self.context.shutdown.requested().is_some() {
            return Err(Halt::Interrupted);
        }
        if has_failed { Err(Halt::UnexpectedExit) } else { Ok(()) }
    }

    fn redraw(&mut self) {
        self.sampling.copy_to(&mut self.document.lag);
        self.output.redraw(&self.document, self.now(), self.script.sample_every);
    }

    /// Records the result of an ended process. Returns whether it ended as expected.
    fn record_end(&mut self, running: RunningStep, by: EndedBy) -> bool {
        let RunningStep { index, run, process } = running;
        let result = process.wait();
        let at = self.now();
        let outcome = &mut self.document.steps[index];
        outcome.ended_seconds = Some(at);
        outcome.ended_by = Some(by);
        outcome.exit_code = result.code;
        outcome.document = serde_json::from_str(&result.stdout).ok();
        outcome.stderr = result.stderr;
        let (kind, text) = match (by, result.code) {
            (EndedBy::Kill, _) => (EventKind::Killed, format!("{} killed", run.name)),
            (EndedBy::Stop | EndedBy::End, Some(code)) => {
                (EventKind::Stopped, format!("{} stopped, exit {code}", run.name))
            }
            (_, Some(code)) => (EventKind::Ended, format!("{} ended, exit {code}", run.name)),
            (_, None) => {
                let signal = result.signal.unwrap_or_default();
                (EventKind::Ended, format!("{} ended by signal {signal}", run.name))
            }
        };
        self.event(kind, Some(&run.name), text);
        by == EndedBy::Kill || result.code == Some(run.exit)
    }

    /// Polls until a condition holds. `seen` gives the last value for the error when the deadline passes.
    fn wait_until(
        &mut self,
        step: &Step,
        deadline: Deadline,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Halt>,
        seen: impl FnOnce(&Self) -> Option<i64>,
    ) -> Result<(), Halt> {
        loop {
            self.supervise(None)?;
            if holds(self)? {
                return Ok(());
            }
            if deadline.has_passed() {
                return Err(Halt::DeadlinePassed(Box::new(step.deadline_passed(seen(self)))));
            }
            clock::pause(POLL_INTERVAL);
        }
    }

    fn signal(&mut self, step: &Step, deadline: Deadline, signal: ProcessSignal, name: &str) -> Result<(), Halt> {
        // The latest process of that name. If it has already ended, the step is done.
        let Some(at) = self.running.iter().rposition(|running| running.run.name == *name) else { return Ok(()) };
        let process = &mut self.running[at].process;
        if signal == ProcessSignal::Stop {
            process.send(ProcessSignal::Resume);
        }
        process.send(signal);
        let by = match signal {
            ProcessSignal::Pause => {
                self.event(EventKind::Paused, Some(name), format!("{name} paused"));
                return Ok(());
            }
            ProcessSignal::Resume => {
                self.event(EventKind::Resumed, Some(name), format!("{name} resumed"));
                return Ok(());
            }
            ProcessSignal::Stop => EndedBy::Stop,
            ProcessSignal::Kill => EndedBy::Kill,
        };
        while !self.running.iter_mut().any(|running| running.run.name == *name && running.process.has_ended()) {
            self.supervise(Some(name))?;
            if deadline.has_passed() {
                return Err(Halt::DeadlinePassed(Box::new(step.deadline_passed(None))));
            }
            clock::pause(POLL_INTERVAL);
        }
        let Some(at) = self.running.iter().rposition(|running| running.run.name == *name) else { return Ok(()) };
        let running = self.running.remove(at);
        let index = running.index;
        let as_expected = self.record_end(running, by);
        if by == EndedBy::Kill {
            clock::pause(MARKER_DELAY);
            self.document.steps[index].uncommitted = Some(self.uncommitted_in_all()?);
        }
        if as_expected { Ok(()) } else { Err(Halt::UnexpectedExit) }
    }

    fn wait(&mut self, step: &Step, deadline: Deadline, wait: &Wait) -> Result<(), Halt> {
        match wait {
            Wait::Lag(group, bound) => {
                let since = self.now();
                let group = self.environment.full_name(group);
                // Only samples taken since the wait began count.
                let seen = Cell::new(WaitProgress::default());
                let holds = |runner: &mut Self| {
                    let fresh = runner.sampling.latest(&group).filter(|sample| sample.at_seconds >= since);
                    Ok(seen.get().holds(*bound, fresh.and_then(|sample| sample.messages), &seen))
                };
                self.wait_until(step, deadline, holds, |_| seen.get().last)
            }
            Wait::Records(topic, bound) => self.wait_for_number(step, deadline, *bound, |runner| {
                let Some(partitions) = runner.partitions(topic)? else { return Ok(0) };
                let ends: i64 = runner.inspector.ends(&partitions, EndOffset::HighWatermark)?.iter().sum();
                Ok(ends - runner.inspector.starts(&partitions)?.iter().sum::<i64>())
            }),
            Wait::Uncommitted(topic, bound) => {
                self.wait_for_number(step, deadline, *bound, |runner| runner.uncommitted(topic))
            }
            Wait::Time(time) => {
                let end = Deadline::after(*time);
                // The time is its own deadline, and the step has no other.
                let deadline = Deadline::after(*time + step.deadline);
                self.wait_until(step, deadline, |_| Ok(end.has_passed()), |_| None)
            }
            Wait::Ended(name) => {
                let ended = |runner: &mut Self| Ok(!runner.running.iter().any(|running| running.run.name == *name));
                self.wait_until(step, deadline, ended, |_| None)
            }
        }
    }

    fn wait_for_number(
        &mut self,
        step: &Step,
        deadline: Deadline,
        bound: Bound,
        number: impl Fn(&Self) -> Result<i64, Failure>,
    ) -> Result<(), Halt> {
        let seen = Cell::new(WaitProgress::default());
        let mut next = Deadline::after(Duration::ZERO);
        let holds = |runner: &mut Self| {
            if !next.has_passed() {
                return Ok(false);
            }
            next = Deadline::after(OFFSETS_INTERVAL);
            Ok(seen.get().holds(bound, Some(number(runner)?), &seen))
        };
        self.wait_until(step, deadline, holds, |_| seen.get().last)
    }

    /// The partitions of a topic; `None` if it does not exist.
    fn partitions(&self, topic: &str) -> Result<Option<Vec<TopicPartition>>, Failure> {
        let name = self.environment.full_name(topic);
        let topics = self.inspector.topics()?;
        let found = topics.into_iter().find(|(found, _)| *found == name);
        Ok(found.map(|(name, partitions)| TopicPartition::all(&name, partitions)))
    }

    /// Number of offsets of a topic above its last stable offsets.
    fn uncommitted(&self, topic: &str) -> Result<i64, Failure> {
        let Some(partitions) = self.partitions(topic)? else { return Ok(0) };
        // The last stable offsets are read first: a commit in between can only make the result too large, never too
        // small.
        let stable: i64 = self.inspector.ends(&partitions, EndOffset::LastStable)?.iter().sum();
        let ends: i64 = self.inspector.ends(&partitions, EndOffset::HighWatermark)?.iter().sum();
        Ok(ends - stable)
    }

    /// The same for all topics that a consumer of this program writes.
    fn uncommitted_in_all(&self) -> Result<i64, Failure> {
        ["inventory-events", "inventory-ledger", "order-events-dlq", "analytics-state"]
            .into_iter()
            .map(|topic| self.uncommitted(topic))
            .sum()
    }

    /// Stops every process, the latest first, and evaluates the expectations.
    fn end(mut self, halt: Option<Halt>) -> Result<ScenarioDocument, Failure> {
        // A paused member would delay the others when they leave its group.
        for running in &mut self.running {
            running.process.send(ProcessSignal::Resume);
        }
        while let Some(mut running) = self.running.pop() {
            let already = running.process.has_ended();
            running.process.stop(STOP_TIMEOUT);
            self.record_end(running, if already { EndedBy::Itself } else { EndedBy::End });
            self.redraw();
        }
        self.sampling.finish(&mut self.document.lag);
        for group in &mut self.document.lag {
            let prefix = &self.document.broker.prefix;
            let changes = rate_changes(&group.group, prefix, &self.document.steps, &self.document.events);
            group.predictions = predictions(&group.samples, &changes);
        }
        self.document.elapsed_seconds = self.now();
        let failed_step = match halt {
            Some(Halt::Failed(failure)) => {
                // During a shutdown by a signal errors are expected.
                if self.context.shutdown.requested().is_none() {
                    return Err(failure);
                }
                None
            }
            Some(Halt::DeadlinePassed(outcome)) => Some(*outcome),
            Some(Halt::Interrupted | Halt::UnexpectedExit) | None => None,
        };
        let mut document = self.document;
        document.expectations = failed_step.into_iter().chain(evaluate(self.script, &document)).collect();
        document.verdict = if self.context.shutdown.requested().is_some() {
            ScenarioVerdict::Interrupted
        } else if document.expectations.iter().all(|outcome| outcome.held) {
            ScenarioVerdict::Passed
        } else {
            ScenarioVerdict::Failed
        };
        Ok(document)
    }
}
