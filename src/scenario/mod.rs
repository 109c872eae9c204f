//! Scenarios: the script format and its parser, expectations and their evaluation, and the document of a run.
//!
//! Pure functions (layer 10): a script is parsed from bytes, and a run is evaluated from its document. The processes
//! belong to `scenario_runner`.

mod command_document;
mod command_line;
mod diagnostic;
mod document;
mod evaluation;
#[cfg(test)]
mod evaluation_tests;
mod expectation;
mod fixed_point;
mod group_steps;
mod lag_curve;
mod parser;
mod script;

pub use command_document::CommandDocument;
pub use command_line::command_line;
pub use diagnostic::{Diagnostic, Diagnostics, closest_match};
pub use document::{
    BrokerFacts, EndedBy, EventKind, ExpectationOutcome, LagSample, LagSeries, PartitionLagSample, Prediction,
    RunEvent, ScenarioDocument, ScenarioVerdict, StepOutcome, not_shown, summary,
};
pub use evaluation::{evaluate, failures};
pub use expectation::{Assertion, Expectation, LagValue, Measurement, RunValue, Selector, Subject, Tolerance};
pub use fixed_point::value_text;
pub use group_steps::rate_changes;
pub use lag_curve::predictions;
pub use script::{Bound, EmbeddedScript, ProcessSignal, Run, Script, Step, StepAction, Wait, step_name};

/// A mistake in a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandMistake {
    /// The index of the argument, if the mistake belongs to one.
    pub argument: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Finds the mistakes in a command line: its arguments, without the program's name.
pub type CheckCommand<'a> = dyn Fn(&[String]) -> Vec<CommandMistake> + 'a;
