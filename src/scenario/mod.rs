//! Owns scenarios: scripts of command lines, their validation as a whole, what is expected of them, and the document of a run.
//!
//! Rank 10, pure: a script comes in as bytes, a run as a document; processes, clocks and files belong to the command.

mod amount;
mod curve;
mod document;
mod evaluation;
#[cfg(test)]
mod evaluation_tests;
mod expectation;
mod mistake;
mod nearest;
mod reading;
mod script;
mod words;

pub use curve::predictions;
pub use document::{
    BrokerFacts, EndedBy, EventKind, ExpectationOutcome, GroupLag, LagSample, PartitionLag, Prediction, RunEvent,
    ScenarioDocument, StepOutcome, Verdict,
};
pub use evaluation::{evaluate, failures};
pub use expectation::{About, Claim, Expectation, LagValue, Measured, Pick, RunValue, Tolerance};
pub use mistake::{Mistake, Mistakes};
pub use script::{Action, Bound, Run, Script, Signal, Step, Wait, step_of};
pub use words::command_line;

/// Asks whether a command line (its words, without the program's name) is one that the program takes; else says why not:
/// what is wrong on the first line, and the way on in a line that begins with `tip:` or `hint:`, if there is one.
pub type CheckLine<'a> = dyn Fn(&[String]) -> Result<(), String> + 'a;
