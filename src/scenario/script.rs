//! Owns what a script says, checked and unrolled: steps in the order in which they are taken, and how each is told in words.

use std::fmt;
use std::time::Duration;

use super::{Expectation, ExpectationOutcome};

/// A script without mistakes. Whoever runs it takes [`Script::steps`] one after the other: repeats are unrolled, and every
/// step that is named has been started by then.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Letters, digits and dashes, at most 64 bytes: fit for a prefix and for the name of a file.
    pub name: String,
    /// What it is to show, in the script's own words; printable.
    pub description: String,
    /// Time between two samples of lag.
    pub sample_every: Duration,
    /// Every group that the script names or starts, without the run's prefix, in alphabetical order. Their lag is sampled.
    pub groups: Vec<String>,
    /// The steps, at most 1,000 of them.
    pub steps: Vec<Step>,
    /// What is expected, in the order of the script; never empty.
    pub expectations: Vec<Expectation>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The line of the script that it stands on.
    pub line: usize,
    /// How long it may take. A command in the foreground, a stop and a wait are over by then, or the run has failed; what
    /// runs in the background is not bound by it.
    pub deadline: Duration,
    /// What is done.
    pub action: StepAction,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    /// Starts a command; in the foreground also waits for its end.
    Run(Run),
    /// Sends a signal to a command that was started in the background. The name is that of its latest [`Run`].
    ProcessSignal(ProcessSignal, String),
    /// Waits until something holds.
    Wait(Wait),
}

/// A command that a script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Unique in a run of the script: the step's own name, with `#1`, `#2` … behind it where it is repeated.
    pub name: String,
    /// The command line as it stands in the script.
    pub typed: String,
    /// The same as words, without the program's name and without what the runner adds.
    pub words: Vec<String>,
    /// Whether the script goes on while it runs. What still runs at the end of the script is stopped, the latest first.
    pub background: bool,
    /// The exit code that it must have, however it is ended, but for a kill.
    pub exit: i32,
    /// Whether its pace is limited on purpose (`--throttle`).
    pub throttled: bool,
    /// The group that it is a member of, without the run's prefix.
    pub group: Option<String>,
}

/// What can be done to a command in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessSignal {
    /// SIGINT; the step is over when the process is.
    Stop,
    /// SIGKILL; the step is over when the process is.
    Kill,
    /// SIGSTOP
    Pause,
    /// SIGCONT
    Resume,
}

/// What a script can wait for. Topics and groups stand without the run's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The lag of a group in messages; nothing holds for a group that has committed nothing.
    Lag(String, Bound),
    /// The records of a topic, committed or not: the sum of high watermarks less log starts. 0 for a topic that is not there.
    Records(String, Bound),
    /// What stands in a topic behind its last stable offsets, that is in transactions that are open: the sum of high watermarks
    /// less last stable offsets. 0 for a topic that is not there.
    Uncommitted(String, Bound),
    /// A command in the background has ended by itself.
    Ended(String),
}

/// A bound on a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This many or more.
    AtLeast(i64),
    /// This many or fewer.
    AtMost(i64),
    /// This many more than when the wait began.
    More(i64),
}

impl Script {
    /// The largest script, in bytes. Whoever reads a file need not read on behind it.
    pub const LARGEST: usize = 1024 * 1024;
    /// The most steps of a script, repeats unrolled.
    pub const MOST_STEPS: usize = 1000;

    /// The commands that are run, in order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.steps.iter().filter_map(|step| match &step.action {
            StepAction::Run(run) => Some(run),
            StepAction::ProcessSignal(..) | StepAction::Wait(_) => None,
        })
    }
}

/// The name of a step in the script, from the name of one of its runs: `till` for `till#2`.
#[must_use]
pub fn step_of(run: &str) -> &str {
    run.split_once('#').map_or(run, |(step, _)| step)
}

impl Step {
    /// What is told of a step that was not over in time; `seen` is what stood there instead of what was waited for.
    #[must_use]
    pub fn missed(&self, seen: Option<i64>) -> ExpectationOutcome {
        let in_time = humantime::format_duration(self.deadline);
        let (about, value, expected) = match &self.action {
            StepAction::Run(run) => (run.name.clone(), "run.seconds".to_owned(), format!("done within {in_time}")),
            StepAction::ProcessSignal(signal, name) => {
                (name.clone(), signal.to_string(), format!("{} within {in_time}", signal.done()))
            }
            StepAction::Wait(wait) => {
                let (what, of, holds) = wait.parts();
                (of.to_owned(), what.to_owned(), format!("{holds} within {in_time}"))
            }
        };
        ExpectationOutcome {
            about,
            value,
            expected,
            seen: seen.into(),
            held: false,
            line: self.line,
            why: Some("its deadline passed, and the script ended here".to_owned()),
        }
    }
}

impl Bound {
    /// Whether a number keeps to it, where the first that was seen since the wait began was `first`. A number that is not there
    /// does not.
    #[must_use]
    pub fn holds(self, number: Option<i64>, first: Option<i64>) -> bool {
        let Some(number) = number else {
            return false;
        };
        match self {
            Self::AtLeast(least) => number >= least,
            Self::AtMost(most) => number <= most,
            Self::More(more) => first.is_some_and(|first| number.saturating_sub(first) >= more),
        }
    }
}

impl Wait {
    /// What is looked at, of whom, and what must hold.
    fn parts(&self) -> (&'static str, &str, String) {
        match self {
            Self::Lag(group, bound) => ("lag", group, bound.to_string()),
            Self::Records(topic, bound) => ("records", topic, bound.to_string()),
            Self::Uncommitted(topic, bound) => ("uncommitted", topic, bound.to_string()),
            Self::Ended(step) => ("ended", step, "ended".to_owned()),
        }
    }
}

impl ProcessSignal {
    fn done(self) -> &'static str {
        match self {
            Self::Stop => "stopped",
            Self::Kill => "killed",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// `stop`, `kill`, `pause`, `resume`: as in a script.
impl fmt::Display for ProcessSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
        })
    }
}

/// `at least 100`
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::More(more) => write!(f, "{more} more than at first"),
        }
    }
}

/// `lag of inventory-consumer-group at most 0`
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Ended(step) = self {
            return write!(f, "{step} has ended");
        }
        let (what, of, holds) = self.parts();
        write!(f, "{what} of {of} {holds}")
    }
}

/// In a line, for a bar or a log: `orders: produce --count 10000`, `stop slow`, `wait until lag of … at most 0`.
impl fmt::Display for StepAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "{}: {}", run.name, run.typed),
            Self::ProcessSignal(signal, name) => write!(f, "{signal} {name}"),
            Self::Wait(wait) => write!(f, "wait until {wait}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_of_a_number_and_never_of_none() {
        let holds = |bound: Bound, number| bound.holds(number, Some(10));
        for bound in [Bound::AtLeast(5), Bound::AtMost(5), Bound::More(5)] {
            assert!(!holds(bound, None), "{bound}");
        }
        assert!(holds(Bound::AtLeast(5), Some(5)) && !holds(Bound::AtLeast(5), Some(4)));
        assert!(holds(Bound::AtMost(5), Some(5)) && !holds(Bound::AtMost(5), Some(6)));
        assert!(holds(Bound::More(5), Some(15)) && !holds(Bound::More(5), Some(14)));
        assert!(!Bound::More(0).holds(Some(1), None), "nothing to compare with");
    }

    #[test]
    fn a_step_that_missed_its_deadline_says_what_was_waited_for_and_what_was_there() {
        let step = |action| Step { line: 7, deadline: Duration::from_secs(30), action };
        let lag = Wait::Lag("inventory-consumer-group".to_owned(), Bound::AtMost(0));
        let run = Run {
            name: "till#2".to_owned(),
            typed: "inventory --until-end".to_owned(),
            words: Vec::new(),
            background: false,
            exit: 0,
            throttled: false,
            group: None,
        };
        let told = [
            step(StepAction::Wait(lag)).missed(Some(12)),
            step(StepAction::Wait(Wait::Ended("till#2".to_owned()))).missed(None),
            step(StepAction::ProcessSignal(ProcessSignal::Stop, "till#2".to_owned())).missed(None),
            step(StepAction::Run(run)).missed(None),
        ];
        insta::assert_snapshot!(super::super::failures("lab.toml", &told), @r"
        lab.toml:7: lag of inventory-consumer-group: expected at most 0 within 30s, seen 12
          its deadline passed, and the script ended here
        lab.toml:7: ended of till#2: expected ended within 30s, seen nothing
          its deadline passed, and the script ended here
        lab.toml:7: stop of till#2: expected stopped within 30s, seen nothing
          its deadline passed, and the script ended here
        lab.toml:7: run.seconds of till#2: expected done within 30s, seen nothing
          its deadline passed, and the script ended here
        ");
        assert_eq!((step_of("till#2"), step_of("till")), ("till", "till"));
    }
}
