//! Scenarios: the script format and its parser, expectations and their evaluation, and the document of a run.
//!
//! Pure functions (layer 10): a script is parsed from bytes, and a run is evaluated from its document. The processes
//! belong to `scenario_runner`.

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
pub use script::{Bound, ProcessSignal, Run, Script, Step, StepAction, Wait, step_name};

/// Checks a command line (its arguments, without the program's name). An error has the message on its first line, and
/// optionally a line that begins with `tip:` or `hint:`.
pub type CheckCommand<'a> = dyn Fn(&[String]) -> Result<(), String> + 'a;
