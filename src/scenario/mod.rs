//! Owns scenarios: scripts of command lines, their validation as a whole, what is expected of them, and the document of a run.
//!
//! Rank 10, pure: a script comes in as bytes, a run as a document; processes, clocks and files belong to the command.

mod closest_match;
mod command_line;
mod diagnostic;
mod document;
mod evaluation;
#[cfg(test)]
mod evaluation_tests;
mod expectation;
mod fixed_point;
mod lag_curve;
mod parser;
mod script;

pub use command_line::command_line;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::{
    BrokerFacts, EndedBy, EventKind, ExpectationOutcome, LagSample, LagSeries, PartitionLagSample, Prediction,
    RunEvent, ScenarioDocument, ScenarioVerdict, StepOutcome,
};
pub use evaluation::{evaluate, failures};
pub use expectation::{Assertion, Expectation, LagValue, Measurement, RunValue, Selector, Subject, Tolerance};
pub use lag_curve::predictions;
pub use script::{Bound, ProcessSignal, Run, Script, Step, StepAction, Wait, step_of};

/// Asks whether a command line (its words, without the program's name) is one that the program takes; else says why not:
/// what is wrong on the first line, and the way on in a line that begins with `tip:` or `hint:`, if there is one.
pub type CheckLine<'a> = dyn Fn(&[String]) -> Result<(), String> + 'a;
