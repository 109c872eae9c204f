//! A parsed script: its steps with repeats unrolled, its expectations, and the texts of steps and waits. The scripts of
//! `scenarios/`, which are part of the program.

use std::fmt;
use std::time::Duration;

use super::{CommandDocument, Diagnostic, Expectation, ExpectationOutcome};
use crate::units::{duration, grouped};

/// A script without mistakes. The runner takes [`Script::steps`] in order: repeats are unrolled, and a step that
/// another one refers to has been started before.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Letters, digits and dashes, at most 64 bytes: usable in a prefix and as a file name.
    pub name: String,
    /// What the script shows; printable.
    pub description: String,
    /// Time between two lag samples.
    pub sample_every: Duration,
    /// Every group that the script names or starts, without the run's prefix, in alphabetical order. Their lag is
    /// sampled.
    pub groups: Vec<String>,
    /// The steps, at most 1,000.
    pub steps: Vec<Step>,
    /// The expectations in the order of the script; never empty.
    pub expectations: Vec<Expectation>,
    /// What is allowed, but probably not intended.
    pub warnings: Vec<Diagnostic>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its line in the script.
    pub line: usize,
    /// How long it may take. The run fails if a command in the foreground, a stop or a wait takes longer. It does not
    /// limit a command in the background.
    pub deadline: Duration,
    /// What the step does.
    pub action: StepAction,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    /// Starts a command, and waits for its end if it runs in the foreground.
    Run(Run),
    /// Sends a signal to a command in the background, by the name of its latest [`Run`].
    Signal(ProcessSignal, String),
    /// Waits until a condition holds.
    Wait(Wait),
}

/// A command that a script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Unique in a run of the script: the step's name, followed by `#1`, `#2` … if it is repeated.
    pub name: String,
    /// The command line in the script.
    pub command_line: String,
    /// Its arguments, without the program's name and without those that the runner adds.
    pub arguments: Vec<String>,
    /// Whether it runs in the background. Commands that are running at the end of the script are stopped, the latest
    /// first.
    pub background: bool,
    /// The expected exit code, unless the command is killed.
    pub exit: i32,
    /// Whether it has a rate limit (`--throttle`).
    pub throttled: bool,
    /// Its consumer group, without the run's prefix.
    pub group: Option<String>,
    /// The document that it prints.
    pub document: Option<CommandDocument>,
}

/// A signal to a command in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessSignal {
    /// SIGINT; the step ends when the process has ended.
    Stop,
    /// SIGKILL; the step ends when the process has ended.
    Kill,
    /// SIGSTOP
    Pause,
    /// SIGCONT
    Resume,
}

/// The condition of a wait. Names of topics and groups are without the run's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The lag of a group in messages. No bound holds while the group has no committed offset.
    Lag(String, Bound),
    /// The offsets of a topic, of records committed or not and of transaction markers: the sum of high watermarks minus
    /// log starts. 0 for a missing topic.
    Records(String, Bound),
    /// The offsets of a topic that wait for open transactions: the sum of high watermarks minus last stable offsets. 0
    /// for a missing topic.
    Uncommitted(String, Bound),
    /// A command in the background has finished.
    Ended(String),
    /// This time has passed, whatever happens in it.
    Time(Duration),
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
    /// The largest script, in bytes. A reader may stop after one more byte.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// The most steps of a script, repeats unrolled.
    pub const MAX_STEPS: usize = 1000;
    /// The longest wait for a time.
    pub const MAX_WAIT: Duration = Duration::from_mins(1);

    /// The commands that are run, in order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.steps.iter().filter_map(|step| match &step.action {
            StepAction::Run(run) => Some(run),
            StepAction::Signal(..) | StepAction::Wait(_) => None,
        })
    }
}

/// The name of a step, from the name of one of its runs: `till` for `till#2`.
#[must_use]
pub fn step_name(run: &str) -> &str {
    run.split_once('#').map_or(run, |(step, _)| step)
}

impl Step {
    /// The outcome for a step that exceeded its deadline; `seen` is the last value that a wait has seen.
    #[must_use]
    pub fn deadline_passed(&self, seen: Option<i64>) -> ExpectationOutcome {
        let deadline = duration(self.deadline);
        let (about, value, expected) = match &self.action {
            StepAction::Run(run) => (run.name.clone(), "run.seconds".to_owned(), format!("done within {deadline}")),
            StepAction::Signal(signal, name) => {
                (name.clone(), signal.to_string(), format!("{} within {deadline}", signal.past_tense()))
            }
            StepAction::Wait(wait) => {
                let (what, of, condition) = wait.parts();
                (of.to_owned(), what.to_owned(), format!("{condition} within {deadline}"))
            }
        };
        ExpectationOutcome {
            about,
            value,
            expected,
            seen: seen.into(),
            held: false,
            line: self.line,
            why: Some("the deadline of this step passed, so the run ended here".to_owned()),
        }
    }
}

impl Bound {
    /// Whether a number is within the bound; `first` is the first number since the wait began. A missing number is not.
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
    /// The value, the group, topic or step that it belongs to, and the condition.
    fn parts(&self) -> (&'static str, &str, String) {
        match self {
            Self::Lag(group, bound) => ("lag", group, bound.to_string()),
            Self::Records(topic, bound) => ("records", topic, bound.to_string()),
            Self::Uncommitted(topic, bound) => ("uncommitted", topic, bound.to_string()),
            Self::Ended(step) => ("ended", step, "ended".to_owned()),
            Self::Time(time) => ("time", "wait", duration(*time)),
        }
    }

    /// What the script waits for, and how long: `waiting until lag of … at most 0, for at most 30 s`, `waiting for 5 s`.
    #[must_use]
    pub fn begun(&self, deadline: Duration) -> String {
        match self {
            Self::Time(_) => format!("waiting {}", Until(self)),
            _ => format!("waiting {}, for at most {}", Until(self), duration(deadline)),
        }
    }

    /// The same after the wait: `lag of … at most 0, after 2.3 s`, `5 s passed`.
    #[must_use]
    pub fn done(&self, after: Duration) -> String {
        match self {
            Self::Time(time) => format!("{} passed", duration(*time)),
            _ => format!("{self}, after {}", duration(after)),
        }
    }
}

/// A wait after the word "wait" or "waiting".
struct Until<'a>(&'a Wait);

impl fmt::Display for Until<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if matches!(self.0, Wait::Time(_)) { "for" } else { "until" };
        write!(f, "{word} {}", self.0)
    }
}

impl ProcessSignal {
    const fn past_tense(self) -> &'static str {
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

/// `at least 1,000`
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {}", grouped(*least)),
            Self::AtMost(most) => write!(f, "at most {}", grouped(*most)),
            Self::More(more) => write!(f, "{} more than at the start", grouped(*more)),
        }
    }
}

/// `lag of inventory-consumer-group at most 0`, `till has ended`, `5 s`
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(step) => write!(f, "{step} has ended"),
            Self::Time(time) => f.write_str(&duration(*time)),
            _ => {
                let (what, of, condition) = self.parts();
                write!(f, "{what} of {of} {condition}")
            }
        }
    }
}

/// On one line: `orders: produce --count 10000`, `stop slow`, `wait until lag of … at most 0`, `wait for 5 s`.
impl fmt::Display for StepAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "{}: {}", run.name, run.command_line),
            Self::Signal(signal, name) => write!(f, "{signal} {name}"),
            Self::Wait(wait) => write!(f, "wait {}", Until(wait)),
        }
    }
}

/// A script that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedScript {
    /// The script's name, which is also the name of its file without `.toml`.
    pub name: &'static str,
    /// The script, as it is in its file.
    pub text: &'static str,
}

macro_rules! embedded {
    ($($name:literal),*) => {
        [$(EmbeddedScript { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

impl EmbeddedScript {
    /// All of them, in alphabetical order.
    pub const ALL: [Self; 6] =
        embedded!["bad-records", "crash", "replay", "scale-out", "ten-thousand", "throttled-lag"];

    /// The script with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|script| script.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_need_a_number() {
        let holds = |bound: Bound, number| bound.holds(number, Some(10));
        for bound in [Bound::AtLeast(5), Bound::AtMost(5), Bound::More(5)] {
            assert!(!holds(bound, None), "{bound}");
        }
        assert!(holds(Bound::AtLeast(5), Some(5)) && !holds(Bound::AtLeast(5), Some(4)));
        assert!(holds(Bound::AtMost(5), Some(5)) && !holds(Bound::AtMost(5), Some(6)));
        assert!(holds(Bound::More(5), Some(15)) && !holds(Bound::More(5), Some(14)));
        assert!(!Bound::More(0).holds(Some(1), None), "no first number");
    }

    #[test]
    fn passed_deadline_shows_condition_and_value() {
        let step = |action| Step { line: 7, deadline: Duration::from_secs(30), action };
        let lag = Wait::Lag("inventory-consumer-group".to_owned(), Bound::AtMost(0));
        let run = Run {
            name: "till#2".to_owned(),
            command_line: "inventory --until-end".to_owned(),
            arguments: Vec::new(),
            background: false,
            exit: 0,
            throttled: false,
            group: None,
            document: None,
        };
        let outcomes = [
            step(StepAction::Wait(lag)).deadline_passed(Some(12)),
            step(StepAction::Wait(Wait::Ended("till#2".to_owned()))).deadline_passed(None),
            step(StepAction::Signal(ProcessSignal::Stop, "till#2".to_owned())).deadline_passed(None),
            step(StepAction::Run(run)).deadline_passed(None),
        ];
        insta::assert_snapshot!(super::super::failures("lab.toml", &outcomes), @r"
        lab.toml:7: lag of inventory-consumer-group: expected at most 0 within 30 s, seen 12
          the deadline of this step passed, so the run ended here
        lab.toml:7: ended of till#2: expected ended within 30 s, seen nothing
          the deadline of this step passed, so the run ended here
        lab.toml:7: stop of till#2: expected stopped within 30 s, seen nothing
          the deadline of this step passed, so the run ended here
        lab.toml:7: run.seconds of till#2: expected done within 30 s, seen nothing
          the deadline of this step passed, so the run ended here
        ");
        let wait = Wait::Time(Duration::from_secs(5));
        let deadline = Duration::from_secs(30);
        assert_eq!([wait.begun(deadline), wait.done(Duration::from_millis(5003))], ["waiting for 5 s", "5 s passed"]);
        let wait = Wait::Ended("till".to_owned());
        let shown = [wait.begun(deadline), wait.done(Duration::from_millis(2300))];
        assert_eq!(shown, ["waiting until till has ended, for at most 30 s", "till has ended, after 2.3 s"]);
        assert_eq!((step_name("till#2"), step_name("till")), ("till", "till"));
    }
}
