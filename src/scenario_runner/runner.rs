//! Owns the course of a play: one step after the other, each with a bound, and an end that leaves no process behind.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::caveats::not_shown;
use super::child::{ChildProcess, Push};
use super::environment::Environment;
use super::lag_sampling::LagSampling;
use super::output::{LiveOutput, RunContext};
use crate::clock::{self, Deadline};
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::kafka::{EndOffset, Inspector, TopicPartition, librdkafka_info};
use crate::scenario::{
    Bound, BrokerFacts, EndedBy, EventKind, ExpectationOutcome, ProcessSignal, Run, RunEvent, ScenarioDocument,
    ScenarioVerdict, Script, Step, StepAction, StepOutcome, Wait, evaluate, predictions,
};

/// How often processes and conditions are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often topics are asked for their ends while they are waited for.
const ASK: Duration = Duration::from_millis(50);
/// How often the picture is drawn.
const DRAW: Duration = Duration::from_millis(100);
/// How long a process has to end in order when the play is over.
const FAREWELL: Duration = Duration::from_secs(15);
/// After this the markers of a transaction whose end was answered are written (measured: up to 33 ms): what is uncommitted
/// then is open.
const MARKERS: Duration = Duration::from_millis(150);

/// Why the script goes no further.
enum Halt {
    /// A signal asked for it.
    Interrupted,
    /// A step was not over in time.
    Missed(Box<ExpectationOutcome>),
    /// A process ended otherwise than it was to; its outcome says so.
    Fell,
    /// Something that no script can cause.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Plays a script from its first step to its last, or until something is not as it was to be.
///
/// # Errors
///
/// When the broker cannot be reached or a process cannot be started: that says nothing about the script. Whatever a script
/// finds, also that it was interrupted, stands in the document.
pub fn run_script(
    script: &Script,
    file: &str,
    place: &Environment,
    stage: &RunContext<'_>,
) -> Result<ScenarioDocument, Failure> {
    let inspector = Inspector::open(&place.connection, &place.names.inventory_group(None), stage.shutdown)?;
    // A broker that is not there is told before anything is started.
    inspector.topics()?;
    let started = clock::now();
    let document = ScenarioDocument {
        schema: "foodstream.scenario/1".to_owned(),
        name: script.name.clone(),
        description: script.description.clone(),
        file: file.to_owned(),
        verdict: ScenarioVerdict::Interrupted,
        broker: BrokerFacts {
            embedded: place.embedded,
            address: place.connection.bootstrap().to_owned(),
            prefix: place.names.prefix().to_owned(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        librdkafka: librdkafka_info().0,
        started: EventTime::from_millis(clock::wall_millis()).map(|time| time.to_string()).unwrap_or_default(),
        elapsed_seconds: 0.0,
        steps: Vec::new(),
        events: Vec::new(),
        lag: Vec::new(),
        expectations: Vec::new(),
        not_shown: not_shown(script, place.embedded),
    };
    let mut playing = Runner {
        script,
        place,
        stage,
        inspector: &inspector,
        started,
        document,
        living: Vec::new(),
        sampling: LagSampling::start(place, script, started)?,
        show: LiveOutput::begin(stage.console),
        draw: Deadline::after(DRAW),
    };
    let halt = script.steps.iter().find_map(|step| playing.step(step).err());
    playing.end(halt)
}

/// A process under way.
struct RunningStep {
    /// Its place among the document's steps.
    index: usize,
    run: Run,
    process: ChildProcess,
}

/// What a wait has seen of its number.
#[derive(Debug, Clone, Copy, Default)]
struct WaitProgress {
    first: Option<i64>,
    last: Option<i64>,
}

impl WaitProgress {
    /// Takes a number in and says whether the bound holds for it.
    fn holds(self, bound: Bound, number: Option<i64>, seen: &Cell<Self>) -> bool {
        let first = self.first.or(number);
        seen.set(Self { first, last: number });
        bound.holds(number, first)
    }
}

struct Runner<'a> {
    script: &'a Script,
    place: &'a Environment,
    stage: &'a RunContext<'a>,
    inspector: &'a Inspector,
    started: Instant,
    document: ScenarioDocument,
    /// In the order of their starts.
    living: Vec<RunningStep>,
    sampling: LagSampling,
    show: LiveOutput<'a>,
    draw: Deadline,
}

impl Runner<'_> {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn event(&mut self, kind: EventKind, step: Option<&str>, text: String) {
        let event = RunEvent { at_seconds: self.now(), kind, step: step.map(str::to_owned), text };
        self.show.event(&event);
        self.document.events.push(event);
    }

    fn step(&mut self, step: &Step) -> Result<(), Halt> {
        let deadline = Deadline::after(step.deadline);
        match &step.action {
            StepAction::Run(run) => {
                let index = self.start(run)?;
                if run.background {
                    return self.attend(None);
                }
                let ended = |playing: &mut Self| Ok(playing.document.steps[index].ended_seconds.is_some());
                self.until(step, deadline, ended, |_| None)
            }
            StepAction::ProcessSignal(signal, name) => self.signal(step, deadline, *signal, name),
            StepAction::Wait(wait) => {
                self.event(EventKind::Waiting, None, format!("waiting until {wait}"));
                self.wait(step, deadline, wait)?;
                self.event(EventKind::Held, None, wait.to_string());
                Ok(())
            }
        }
    }

    fn start(&mut self, run: &Run) -> Result<usize, Halt> {
        let words: Vec<String> = run.words.iter().cloned().chain(self.place.words()).collect();
        let process = ChildProcess::start(&self.stage.program, &words, self.place.folder(), self.place.properties())?;
        let index = self.document.steps.len();
        self.document.steps.push(StepOutcome {
            name: run.name.clone(),
            run: run.typed.clone(),
            command: self.place.by_hand(&run.typed),
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
        self.event(kind, Some(&run.name), format!("{} {how}: {}", run.name, run.typed));
        self.living.push(RunningStep { index, run: run.clone(), process });
        Ok(index)
    }

    /// Looks after processes and picture; an error when one fell, or a signal asked to stop. `expected` is one that is made to end.
    fn attend(&mut self, expected: Option<&str>) -> Result<(), Halt> {
        let mut fell = false;
        let mut at = 0;
        while at < self.living.len() {
            if self.living[at].process.has_ended() && expected != Some(self.living[at].run.name.as_str()) {
                let living = self.living.remove(at);
                fell |= !self.buried(living, EndedBy::Itself);
            } else {
                at += 1;
            }
        }
        if self.draw.has_passed() {
            self.draw.renew();
            self.sampling.show(&mut self.document.lag);
            let now = self.now();
            self.show.redraw(&self.document, now);
        }
        if self.stage.shutdown.requested().is_some() {
            return Err(Halt::Interrupted);
        }
        if fell { Err(Halt::Fell) } else { Ok(()) }
    }

    /// Takes what an ended process left; `false` when it did not end as it was to.
    fn buried(&mut self, living: RunningStep, by: EndedBy) -> bool {
        let RunningStep { index, run, process } = living;
        let remains = process.remains();
        let at = self.now();
        let outcome = &mut self.document.steps[index];
        outcome.ended_seconds = Some(at);
        outcome.ended_by = Some(by);
        outcome.exit_code = remains.code;
        outcome.document = serde_json::from_str(&remains.answer).ok();
        outcome.stderr = remains.stderr;
        let (kind, text) = match (by, remains.code) {
            (EndedBy::Kill, _) => (EventKind::Killed, format!("{} killed", run.name)),
            (EndedBy::Stop | EndedBy::End, Some(code)) => {
                (EventKind::Stopped, format!("{} stopped, exit {code}", run.name))
            }
            (_, Some(code)) => (EventKind::Ended, format!("{} ended, exit {code}", run.name)),
            (_, None) => {
                let signal = remains.signal.unwrap_or_default();
                (EventKind::Ended, format!("{} ended by signal {signal}", run.name))
            }
        };
        self.event(kind, Some(&run.name), text);
        by == EndedBy::Kill || remains.code == Some(run.exit)
    }

    /// Goes on looking until something holds; `seen` is asked for what stands there instead when the deadline passes.
    fn until(
        &mut self,
        step: &Step,
        deadline: Deadline,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Halt>,
        seen: impl FnOnce(&Self) -> Option<i64>,
    ) -> Result<(), Halt> {
        loop {
            self.attend(None)?;
            if holds(self)? {
                return Ok(());
            }
            if deadline.has_passed() {
                return Err(Halt::Missed(Box::new(step.missed(seen(self)))));
            }
            clock::pause(LOOK);
        }
    }

    fn signal(&mut self, step: &Step, deadline: Deadline, signal: ProcessSignal, name: &str) -> Result<(), Halt> {
        // The latest of that name; one that has ended by itself meanwhile has nothing left to be done to it.
        let Some(at) = self.living.iter().rposition(|living| living.run.name == *name) else { return Ok(()) };
        let push = match signal {
            ProcessSignal::Stop => Push::Stop,
            ProcessSignal::Kill => Push::Kill,
            ProcessSignal::Pause => Push::Pause,
            ProcessSignal::Resume => Push::Resume,
        };
        let process = &mut self.living[at].process;
        if signal == ProcessSignal::Stop {
            process.push(Push::Resume);
        }
        process.push(push);
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
        while !self.living.iter_mut().any(|living| living.run.name == *name && living.process.has_ended()) {
            self.attend(Some(name))?;
            if deadline.has_passed() {
                return Err(Halt::Missed(Box::new(step.missed(None))));
            }
            clock::pause(LOOK);
        }
        let Some(at) = self.living.iter().rposition(|living| living.run.name == *name) else { return Ok(()) };
        let living = self.living.remove(at);
        let index = living.index;
        let as_expected = self.buried(living, by);
        if by == EndedBy::Kill {
            clock::pause(MARKERS);
            self.document.steps[index].uncommitted = Some(self.uncommitted_anywhere()?);
        }
        if as_expected { Ok(()) } else { Err(Halt::Fell) }
    }

    fn wait(&mut self, step: &Step, deadline: Deadline, wait: &Wait) -> Result<(), Halt> {
        match wait {
            Wait::Lag(group, bound) => {
                let since = self.now();
                let group = self.place.named(group);
                // Only what was sampled since: what stood before says nothing about now.
                let seen = Cell::new(WaitProgress::default());
                let holds = |playing: &mut Self| {
                    let fresh = playing.sampling.latest(&group).filter(|sample| sample.at_seconds >= since);
                    Ok(seen.get().holds(*bound, fresh.and_then(|sample| sample.messages), &seen))
                };
                self.until(step, deadline, holds, |_| seen.get().last)
            }
            Wait::Records(topic, bound) => self.wait_for_number(step, deadline, *bound, |playing| {
                let Some(partitions) = playing.partitions(topic)? else { return Ok(0) };
                let ends: i64 = playing.inspector.ends(&partitions, EndOffset::HighWatermark)?.iter().sum();
                Ok(ends - playing.inspector.starts(&partitions)?.iter().sum::<i64>())
            }),
            Wait::Uncommitted(topic, bound) => {
                self.wait_for_number(step, deadline, *bound, |playing| playing.uncommitted(topic))
            }
            Wait::Ended(name) => {
                let ended = |playing: &mut Self| Ok(!playing.living.iter().any(|living| living.run.name == *name));
                self.until(step, deadline, ended, |_| None)
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
        let mut ask = Deadline::after(Duration::ZERO);
        let holds = |playing: &mut Self| {
            if !ask.has_passed() {
                return Ok(false);
            }
            ask = Deadline::after(ASK);
            Ok(seen.get().holds(bound, Some(number(playing)?), &seen))
        };
        self.until(step, deadline, holds, |_| seen.get().last)
    }

    /// The partitions of a topic of this place; `None` for one that is not there.
    fn partitions(&self, topic: &str) -> Result<Option<Vec<TopicPartition>>, Failure> {
        let name = self.place.named(topic);
        let topics = self.inspector.topics()?;
        let found = topics.into_iter().find(|(found, _)| *found == name);
        Ok(found.map(|(name, partitions)| TopicPartition::all(&name, partitions)))
    }

    /// What stands in a topic behind its last stable offsets.
    fn uncommitted(&self, topic: &str) -> Result<i64, Failure> {
        let Some(partitions) = self.partitions(topic)? else { return Ok(0) };
        // The stable ones first: what is committed meanwhile is then no record too many behind them, but none too few.
        let stable: i64 = self.inspector.ends(&partitions, EndOffset::LastStable)?.iter().sum();
        let ends: i64 = self.inspector.ends(&partitions, EndOffset::HighWatermark)?.iter().sum();
        Ok(ends - stable)
    }

    /// The same in everything that a consumer of this program writes.
    fn uncommitted_anywhere(&self) -> Result<i64, Failure> {
        ["inventory-events", "inventory-ledger", "order-events-dlq", "analytics-state"]
            .into_iter()
            .map(|topic| self.uncommitted(topic))
            .sum()
    }

    /// Ends every process, the latest first, and judges.
    fn end(mut self, halt: Option<Halt>) -> Result<ScenarioDocument, Failure> {
        while let Some(mut living) = self.living.pop() {
            let already = living.process.has_ended();
            living.process.end(FAREWELL);
            self.buried(living, if already { EndedBy::Itself } else { EndedBy::End });
        }
        self.sampling.finish(&mut self.document.lag);
        for group in &mut self.document.lag {
            group.predictions = predictions(&group.samples);
        }
        self.document.elapsed_seconds = self.now();
        let missed = match halt {
            Some(Halt::Failed(failure)) => {
                // What a broker does when a signal ends everything is not its fault.
                if self.stage.shutdown.requested().is_none() {
                    return Err(failure);
                }
                None
            }
            Some(Halt::Missed(outcome)) => Some(*outcome),
            Some(Halt::Interrupted | Halt::Fell) | None => None,
        };
        let mut document = self.document;
        document.expectations = missed.into_iter().chain(evaluate(self.script, &document)).collect();
        document.verdict = if self.stage.shutdown.requested().is_some() {
            ScenarioVerdict::Interrupted
        } else if document.expectations.iter().all(|outcome| outcome.held) {
            ScenarioVerdict::Passed
        } else {
            ScenarioVerdict::Failed
        };
        Ok(document)
    }
}
