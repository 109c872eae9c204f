//! Owns scenarios: scripts of command lines, their validation as a whole, what is expected of them, and the document of a run.
//!
//! Rank 10, pure: a script comes in as bytes, a run as a document; processes, clocks and files belong to the command.

mod document;
mod expectation;
mod mistake;
mod nearest;
mod reading;
mod script;
mod words;

pub use document::{
    BrokerFacts, EndedBy, EventKind, ExpectationOutcome, GroupLag, LagSample, PartitionLag, Prediction, RunEvent,
    ScenarioDocument, StepOutcome, Verdict,
};
pub use expectation::{About, Claim, Expectation, LagValue, Measured, Pick, RunValue, Tolerance};
pub use mistake::{Mistake, Mistakes};
pub use script::{Action, Bound, Run, Script, Signal, Step, Wait, step_of};
pub use words::command_line;

/// Asks whether a command line (its words, without the program's name) is one that the program takes; else says why not:
/// what is wrong on the first line, and the way on in a line that begins with `tip:` or `hint:`, if there is one.
pub type CheckLine<'a> = dyn Fn(&[String]) -> Result<(), String> + 'a;

/// When each drain of a group should have been over, from the rate of its first quarter, and when it was.
#[must_use]
pub fn predictions(_samples: &[LagSample]) -> Vec<Prediction> {
    Vec::new()
}

/// What came of everything that the script expects, in the order of the script, with every step that ended otherwise than it was
/// to. The document is complete but for its expectations and its verdict.
#[must_use]
pub fn evaluate(_script: &Script, _document: &ScenarioDocument) -> Vec<ExpectationOutcome> {
    Vec::new()
}

/// The expectations that did not hold, as people read them: what was expected, what was seen, where in the script.
#[must_use]
pub fn failures(_file: &str, _outcomes: &[ExpectationOutcome]) -> String {
    String::new()
}
