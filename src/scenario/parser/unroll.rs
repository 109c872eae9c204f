//! Unrolls repeats and checks the references between steps, by going through the steps in the order in which they will
//! run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::{CommandDocument, Expectation, ProcessSignal, Run, Step, StepAction, Subject, Wait};
use super::fields::Located;
use super::steps::{ParsedAction, ParsedRun, ParsedStep};

/// The unrolled steps, and the state of each named step so far.
pub(super) struct Unroller {
    deadline: Duration,
    /// Every name with the line of its step. Filled before the steps are unrolled.
    lines: BTreeMap<String, usize>,
    /// The documents of the steps, by name; `None` if it is unknown.
    documents: BTreeMap<String, Option<CommandDocument>>,
    started: BTreeMap<String, Started>,
    groups: BTreeSet<String>,
    steps: Vec<Step>,
    /// Whether a step that may have a name is invalid. An unknown name may then be the name of that step.
    unknown_names: bool,
    /// Whether the group of a step is unknown, because its command line is invalid.
    unknown_groups: bool,
}

/// The state of a step that was started.
struct Started {
    background: bool,
    /// Its consumer group.
    group: Option<String>,
    repeated: bool,
    /// Number of starts.
    runs: usize,
    /// Number of kills.
    kills: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    /// Ended by the step on this line.
    Ended(usize),
}

impl Unroller {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            lines: BTreeMap::new(),
            documents: BTreeMap::new(),
            started: BTreeMap::new(),
            groups: BTreeSet::new(),
            steps: Vec::new(),
            unknown_names: true,
            unknown_groups: true,
        }
    }

    /// Unrolls all steps.
    pub(super) fn walk(&mut self, written: &[ParsedStep], sink: &mut DiagnosticSink<'_>) {
        (self.unknown_names, self.unknown_groups) = (false, false);
        self.names(written, sink);
        for step in written {
            self.add(step, false, sink);
        }
        for (name, started) in &self.started {
            if started.phase == Phase::Paused {
                let line = self.lines.get(name).copied().unwrap_or_default();
                let message = format!("{name}, started on line {line}, is still paused at the end");
                let end = sink.text().trim_end().len();
                sink.add(end..end, message, "resume or kill it");
            }
        }
    }

    /// Collects the names and groups, and reports duplicate names.
    fn names(&mut self, written: &[ParsedStep], sink: &mut DiagnosticSink<'_>) {
        for step in written {
            match &step.what {
                ParsedAction::Run(start) => {
                    self.groups.extend(start.run.group.clone());
                    let has_group =
                        !matches!(start.run.document, Some(CommandDocument::Produce | CommandDocument::Lag));
                    self.unknown_groups |= start.run.arguments.is_empty() && has_group;
                    let line = sink.line(step.span.start);
                    if let Some(before) = self.lines.get(&start.name.value) {
                        let hint = if start.unnamed { "add another name: name = \"…\"" } else { "use another name" };
                        let message =
                            format!("duplicate step name {}, first used on line {before}", quoted(&start.name.value));
                        sink.add(start.name.span.clone(), message, hint);
                        self.documents.insert(start.name.value.clone(), None);
                    } else {
                        self.documents.insert(start.name.value.clone(), start.run.document);
                        self.lines.insert(start.name.value.clone(), line);
                    }
                }
                ParsedAction::Repeat(_, steps) => self.names(steps, sink),
                ParsedAction::Invalid(names) => {
                    self.unknown_names |= names;
                    self.unknown_groups |= names;
                }
                ParsedAction::Signal(..) | ParsedAction::Wait(..) => {}
            }
        }
    }

    fn add(&mut self, step: &ParsedStep, repeated: bool, sink: &mut DiagnosticSink<'_>) {
        let line = sink.line(step.span.start);
        let deadline = step.deadline.unwrap_or(self.deadline);
        let action = match &step.what {
            ParsedAction::Run(start) => {
                for _ in 0..start.repeat.unwrap_or(1) {
                    let run = self.start(start, repeated || start.repeat.is_some(), line, sink);
                    self.steps.push(Step { line, deadline, action: StepAction::Run(run) });
                }
                return;
            }
            ParsedAction::Repeat(times, steps) => {
                for _ in 0..*times {
                    for step in steps {
                        self.add(step, true, sink);
                    }
                }
                return;
            }
            ParsedAction::Signal(signal, step) => {
                self.signal(*signal, step, line, sink);
                StepAction::Signal(*signal, self.latest(&step.value))
            }
            ParsedAction::Wait(wait, place) => StepAction::Wait(self.wait(wait, place, line, sink)),
            ParsedAction::Invalid(_) => return,
        };
        self.steps.push(Step { line, deadline, action });
    }

    fn start(&mut self, start: &ParsedRun, repeated: bool, line: usize, sink: &mut DiagnosticSink<'_>) -> Run {
        let name = &start.name;
        let background = start.run.background;
        self.warn_about_paused(name, start.run.group.as_deref(), "joins", sink);
        let started = self.started.entry(name.value.clone()).or_insert(Started {
            background,
            group: start.run.group.clone(),
            repeated,
            runs: 0,
            kills: 0,
            phase: Phase::Ended(line),
        });
        // Duplicate names have been reported already.
        if repeated && !matches!(started.phase, Phase::Ended(_)) {
            let message = format!("{} is still running when it is started again", name.value);
            sink.add(name.span.clone(), message, "stop it, kill it or wait for its end within the repeated steps");
        }
        started.runs += 1;
        started.phase = if background { Phase::Running } else { Phase::Ended(line) };
        Run { name: self.latest(&name.value), ..start.run.clone() }
    }

    /// The name of the latest run of a step.
    fn latest(&self, step: &str) -> String {
        match self.started.get(step) {
            Some(started) if started.repeated => format!("{step}#{}", started.runs),
            _ => step.to_owned(),
        }
    }

    fn signal(&mut self, signal: ProcessSignal, step: &Located<String>, line: usize, sink: &mut DiagnosticSink<'_>) {
        let Some(phase) = self.background_phase(&step.value, &step.span, &signal.to_string(), sink) else {
            return;
        };
        let name = &step.value;
        let mistake = match (signal, phase) {
            (_, Phase::Ended(before)) => {
                Some((format!("{name} was already ended on line {before}"), "a command ends once for each start"))
            }
            (ProcessSignal::Stop, Phase::Paused) => {
                Some((format!("{name} is paused, so it cannot stop"), "resume it first, or kill it"))
            }
            (ProcessSignal::Pause, Phase::Paused) => Some((format!("{name} is already paused"), "resume it first")),
            (ProcessSignal::Resume, Phase::Running) => Some((format!("{name} is not paused"), "pause it first")),
            _ => None,
        };
        if let Some((message, hint)) = mistake {
            sink.add(step.span.clone(), message, hint);
        }
        if matches!(signal, ProcessSignal::Stop | ProcessSignal::Kill) {
            let group = self.started.get(name).and_then(|started| started.group.as_deref());
            self.warn_about_paused(step, group, "leaves", sink);
        }
        let Some(started) = self.started.get_mut(name) else {
            return;
        };
        started.kills += usize::from(signal == ProcessSignal::Kill);
        started.phase = match signal {
            ProcessSignal::Stop | ProcessSignal::Kill => Phase::Ended(line),
            ProcessSignal::Pause => Phase::Paused,
            ProcessSignal::Resume => Phase::Running,
        };
    }

    fn wait(&mut self, wait: &Wait, place: &Range<usize>, line: usize, sink: &mut DiagnosticSink<'_>) -> Wait {
        match wait {
            Wait::Ended(step) => {
                match self.background_phase(step, place, "wait", sink) {
                    Some(Phase::Paused) => {
                        sink.add(place.clone(), format!("{step} is paused, so it will not end"), "resume it first");
                    }
                    Some(Phase::Ended(before)) => {
                        let message = format!("{step} was already ended on line {before}");
                        sink.add(place.clone(), message, "remove this wait");
                    }
                    Some(Phase::Running) | None => {}
                }
                let name = Located { value: step.clone(), span: place.clone() };
                let group = self.started.get(step).and_then(|started| started.group.as_deref());
                self.warn_about_paused(&name, group, "leaves", sink);
                if let Some(started) = self.started.get_mut(step) {
                    started.phase = Phase::Ended(line);
                }
                Wait::Ended(self.latest(step))
            }
            Wait::Lag(group, _) => {
                self.check_group(group, place, sink);
                wait.clone()
            }
            Wait::Records(..) | Wait::Uncommitted(..) | Wait::Time(_) => wait.clone(),
        }
    }

    /// Warns if a process joins or leaves its group while another member is paused. A paused member does not take part
    /// in a rebalance, so the rebalance waits until the group removes it.
    fn warn_about_paused(
        &self,
        joining: &Located<String>,
        group: Option<&str>,
        verb: &str,
        sink: &mut DiagnosticSink<'_>,
    ) {
        let Some(group) = group else { return };
        let name = &joining.value;
        for (paused, started) in &self.started {
            if paused == name || started.phase != Phase::Paused || started.group.as_deref() != Some(group) {
                continue;
            }
            let message = format!(
                "{name} {verb} {group} while its member {paused} is paused: the rebalance waits until the session of {paused} expires"
            );
            let hint = format!(
                "resume or kill {paused} first, or give the next steps a deadline above its session.timeout.ms"
            );
            sink.warn(joining.span.clone(), &message, &hint);
        }
    }

    /// The phase of a step that must have been started in the background; otherwise reports a mistake and returns
    /// `None`.
    fn background_phase(
        &self,
        step: &str,
        place: &Range<usize>,
        verb: &str,
        sink: &mut DiagnosticSink<'_>,
    ) -> Option<Phase> {
        match self.started.get(step) {
            Some(started) if started.background => Some(started.phase),
            Some(_) => {
                let hint = match verb {
                    "wait" => "remove this wait, or run the command with background = true",
                    _ => "run it with background = true",
                };
                sink.add(place.clone(), format!("{step} runs in the foreground, so it has ended"), hint);
                None
            }
            None => {
                self.check_step(step, place, sink);
                if let Some(line) = self.lines.get(step) {
                    sink.add(place.clone(), format!("{step} is not started until line {line}"), "start it first");
                }
                None
            }
        }
    }

    /// Reports an unknown step name.
    pub(super) fn check_step(&self, step: &str, place: &Range<usize>, sink: &mut DiagnosticSink<'_>) -> bool {
        let known = self.lines.contains_key(step);
        if !known {
            let hint = match sink.suggest(step, self.lines.keys().map(String::as_str)) {
                Some(name) => format!("did you mean {name}?"),
                None if self.unknown_names => return false,
                None if self.lines.is_empty() => "the script runs no command".to_owned(),
                None => {
                    let some: Vec<_> = self.lines.keys().take(20).map(String::as_str).collect();
                    format!("the steps are {}", some.join(", "))
                }
            };
            sink.add(place.clone(), format!("unknown step {}", quoted(step)), hint.as_str());
        }
        known
    }

    /// Reports a group that no step uses.
    pub(super) fn check_group(&self, group: &str, place: &Range<usize>, sink: &mut DiagnosticSink<'_>) {
        if !self.groups.contains(group) {
            let hint = match sink.suggest(group, self.groups.iter().map(String::as_str)) {
                Some(name) => format!("did you mean {name}?"),
                None if self.unknown_groups => return,
                None if self.groups.is_empty() => "the script does not run inventory, analytics or replay".to_owned(),
                None => {
                    let some: Vec<_> = self.groups.iter().take(20).map(String::as_str).collect();
                    format!("the groups are {}", some.join(", "))
                }
            };
            sink.add(place.clone(), format!("no step uses the group {}", quoted(group)), hint.as_str());
        }
    }

    /// The document of a step, if it is known.
    pub(super) fn document(&self, step: &str) -> Option<CommandDocument> {
        self.documents.get(step).copied().flatten()
    }

    /// Number of starts and of kills of a step.
    pub(super) fn runs_and_kills(&self, step: &str) -> (usize, usize) {
        self.started.get(step).map_or((0, 0), |started| (started.runs, started.kills))
    }

    /// The steps, and the groups whose lag is sampled.
    pub(super) fn finish(mut self, expectations: &[Expectation]) -> (Vec<Step>, Vec<String>) {
        for expectation in expectations {
            if let Subject::Group { group, .. } = &expectation.measurement.subject {
                self.groups.insert(group.clone());
            }
        }
        (self.steps, self.groups.into_iter().collect())
    }
}
