//! Owns what a script expects: of whom, which number, and what it must be; and each of these in words.

use std::fmt;

use serde_json::{Number, Value};

/// One `[[expect]]` of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The line of the script.
    pub line: usize,
    /// What is looked at.
    pub measurement: Measurement,
    /// What it must be.
    pub assertion: Assertion,
}

/// A number (or text) that a run leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Of whom.
    pub subject: Subject,
    /// Which.
    pub selector: Selector,
}

/// Of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Every run of a step: what is expected must hold for each.
    Step(String),
    /// All runs of these steps, added up.
    TotalOf(Vec<String>),
    /// A group over time, without the run's prefix.
    Group {
        /// The group.
        group: String,
        /// From the moment at which this step was started; from the beginning without one.
        from: Option<String>,
        /// Until the moment at which this step was started; until the end without one.
        until: Option<String>,
    },
}

/// Which number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// What stands at a path of the document.
    Value(String),
    /// The sum over all places that a path with `*` leads to.
    Sum(String),
    /// How many members stand at a path, or at all places that a path with `*` leads to.
    Count(String),
    /// Something about the process itself.
    Run(RunValue),
    /// Something about lag over time.
    Lag(LagValue),
}

/// What is known about a process beside its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunValue {
    /// `run.exit`: its exit code.
    Exit,
    /// `run.seconds`: how long it ran.
    Seconds,
    /// `run.uncommitted`: what it left in open transactions when it was killed.
    Uncommitted,
}

/// What is known about a group's lag over time; all in messages, seconds and messages a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LagValue {
    /// `lag.peak`: the most messages that waited.
    Peak,
    /// `lag.final`: messages that waited at the end.
    Final,
    /// `lag.growth_per_second`: how fast lag rose to its peak.
    GrowthPerSecond,
    /// `lag.fall_per_second`: how fast it fell from there.
    FallPerSecond,
    /// `lag.peak_seconds`: when the peak was reached, from the start of the window.
    PeakSeconds,
    /// `lag.began_to_fall_seconds`: when the fall began, from the start of the window.
    BeganToFallSeconds,
    /// `lag.drain_seconds`: how long the fall took until nothing waited.
    DrainSeconds,
    /// `lag.predicted_drain_seconds`: how long it should have taken, from the first quarter of the fall.
    PredictedDrainSeconds,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// At least, at most, or both; one of them is there.
    Bounds {
        /// This much or more.
        at_least: Option<Number>,
        /// This much or less.
        at_most: Option<Number>,
    },
    /// This, to the last digit or within a tolerance.
    Equals(Value, Option<Tolerance>),
    /// What another value is, to the last digit or within a tolerance of it.
    SameAs(Measurement, Option<Tolerance>),
}

/// A relative tolerance, as in `10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Above 0, at most 100.
    pub percent: f64,
}

impl RunValue {
    /// Each with its name in a script.
    pub const NAMED: [(&str, Self); 3] =
        [("run.exit", Self::Exit), ("run.seconds", Self::Seconds), ("run.uncommitted", Self::Uncommitted)];
}

impl LagValue {
    /// Each with its name in a script.
    pub const NAMED: [(&str, Self); 8] = [
        ("lag.peak", Self::Peak),
        ("lag.final", Self::Final),
        ("lag.growth_per_second", Self::GrowthPerSecond),
        ("lag.fall_per_second", Self::FallPerSecond),
        ("lag.peak_seconds", Self::PeakSeconds),
        ("lag.began_to_fall_seconds", Self::BeganToFallSeconds),
        ("lag.drain_seconds", Self::DrainSeconds),
        ("lag.predicted_drain_seconds", Self::PredictedDrainSeconds),
    ];
}

fn name_of<T: PartialEq>(named: &[(&'static str, T)], value: &T) -> &'static str {
    named.iter().find(|(_, one)| one == value).map_or("", |(name, _)| name)
}

/// `till`, `first + second`, `inventory-consumer-group from orders until fast`
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => f.write_str(step),
            Self::TotalOf(steps) => write!(f, "total of {}", steps.join(" + ")),
            Self::Group { group, from, until } => {
                f.write_str(group)?;
                if let Some(from) = from {
                    write!(f, " from {from}")?;
                }
                until.iter().try_for_each(|until| write!(f, " until {until}"))
            }
        }
    }
}

/// `reserved`, `sum of partitions.*.records`, `lag.peak`
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(path) => f.write_str(path),
            Self::Sum(path) => write!(f, "sum of {path}"),
            Self::Count(path) => write!(f, "count of {path}"),
            Self::Run(value) => f.write_str(name_of(&RunValue::NAMED, value)),
            Self::Lag(value) => f.write_str(name_of(&LagValue::NAMED, value)),
        }
    }
}

/// `at least 100`, `600, within 10%`, `the same as verdict of before`
impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tolerance = match self {
            Self::Bounds { at_least, at_most } => {
                return match (at_least, at_most) {
                    (Some(least), Some(most)) => write!(f, "at least {least} and at most {most}"),
                    (Some(least), None) => write!(f, "at least {least}"),
                    (None, Some(most)) => write!(f, "at most {most}"),
                    (None, None) => Ok(()),
                };
            }
            Self::Equals(value, tolerance) => {
                write!(f, "{value}")?;
                tolerance
            }
            Self::SameAs(other, tolerance) => {
                write!(f, "the same as {} of {}", other.selector, other.subject)?;
                tolerance
            }
        };
        tolerance.iter().try_for_each(|tolerance| write!(f, ", within {tolerance}"))
    }
}

/// `10%`
impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}
