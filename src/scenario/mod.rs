//! Owns scenarios: scripts of command lines, their validation as a whole, what is expected of them, and the document of a run.
//!
//! Rank 10, pure: a script comes in as text, a run as a document; processes, clocks and files belong to the command.

mod document;

pub use document::{
    BrokerFacts, EndedBy, EventKind, ExpectationOutcome, GroupLag, LagSample, PartitionLag, Prediction, RunEvent,
    ScenarioDocument, StepOutcome, Verdict,
};
