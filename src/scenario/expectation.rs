//! Expectations of a script: the subject, the value, and the assertion on it, with their texts.

use std::fmt;

use serde_json::{Number, Value};

use super::value_text;

/// One `[[expect]]` of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The line of the script.
    pub line: usize,
    /// The value that is checked.
    pub measurement: Measurement,
    /// The assertion on it.
    pub assertion: Assertion,
}

/// A value of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The step, steps or group that it belongs to.
    pub subject: Subject,
    /// Which value of the subject.
    pub selector: Selector,
}

/// The subject of an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Every run of a step: the assertion must hold for each.
    Step(String),
    /// The sum over all runs of these steps.
    TotalOf(Vec<String>),
    /// The lag of a group over time; its name is without the run's prefix.
    Group {
        /// The group.
        group: String,
        /// From the start of this step; by default from the beginning.
        from: Option<String>,
        /// Until the start of this step; by default until the end.
        until: Option<String>,
    },
}

/// Which value of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The value at a path of the document.
    Value(String),
    /// The sum of all values at a path with `*`.
    Sum(String),
    /// The number of members of the list or object at a path, or of all those at a path with `*`.
    Count(String),
    /// A value of the process.
    Run(RunValue),
    /// A value of the lag over time.
    Lag(LagValue),
}

/// A value of a process that is not in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunValue {
    /// `run.exit`: its exit code.
    Exit,
    /// `run.seconds`: its duration.
    Seconds,
    /// `run.uncommitted`: offsets in the transactions that were open when it was killed.
    Uncommitted,
}

/// A value of a group's lag over time, in messages, seconds, or messages a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LagValue {
    /// `lag.peak`: the largest lag.
    Peak,
    /// `lag.final`: the lag at the end.
    Final,
    /// `lag.growth_per_second`: the growth rate up to the peak.
    GrowthPerSecond,
    /// `lag.fall_per_second`: the rate of the fall from the peak.
    FallPerSecond,
    /// `lag.peak_seconds`: time of the peak, from the start of the window.
    PeakSeconds,
    /// `lag.began_to_fall_seconds`: start of the fall, from the start of the window.
    BeganToFallSeconds,
    /// `lag.drain_seconds`: duration of the fall to 0.
    DrainSeconds,
    /// `lag.predicted_drain_seconds`: predicted duration of the fall, from its first quarter.
    PredictedDrainSeconds,
}

/// The assertion on a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// A lower bound, an upper bound, or both.
    Bounds {
        /// The lower bound.
        at_least: Option<Number>,
        /// The upper bound.
        at_most: Option<Number>,
    },
    /// Equal to this value, exactly or within a tolerance.
    Equals(Value, Option<Tolerance>),
    /// Equal to another value of the run, exactly or within a tolerance.
    SameAs(Measurement, Option<Tolerance>),
}

/// A relative tolerance, as in `10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Above 0, at most 100.
    pub percent: f64,
}

impl Subject {
    /// The steps that it names; none for a group.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        match self {
            Self::Step(step) => std::slice::from_ref(step),
            Self::TotalOf(steps) => steps,
            Self::Group { .. } => &[],
        }
    }
}

impl RunValue {
    /// All values with their names in a script.
    pub const NAMED: [(&str, Self); 3] =
        [("run.exit", Self::Exit), ("run.seconds", Self::Seconds), ("run.uncommitted", Self::Uncommitted)];
}

impl LagValue {
    /// All values with their names in a script.
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

/// `at least 1,000`, `600, within 10%`, `the same as verdict of before`
impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tolerance = match self {
            Self::Bounds { at_least, at_most } => {
                let bound = |number: &Option<Number>| number.clone().map(|number| value_text(&Value::Number(number)));
                return match (bound(at_least), bound(at_most)) {
                    (Some(least), Some(most)) => write!(f, "at least {least} and at most {most}"),
                    (Some(least), None) => write!(f, "at least {least}"),
                    (None, Some(most)) => write!(f, "at most {most}"),
                    (None, None) => Ok(()),
                };
            }
            Self::Equals(value, tolerance) => {
                f.write_str(&value_text(value))?;
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
