//! Owns what a replay means: its plan, and the verdict on whether the same records still give the same metrics.
//!
//! Pure: what is frozen, read and found goes in as values, the document comes out.

mod cause;
mod compare;
mod document;
mod plan;
mod verdict;
#[cfg(test)]
mod verdict_tests;

pub use cause::Cause;
pub use compare::{Difference, differences};
pub use document::{Note, PlanDocument, PlanSchema, ReplayDocument, ReplaySchema, Verdict};
pub use plan::{PartitionFacts, PlanNote, PlanRow, Target, plan};
pub use verdict::{Evidence, PartitionEvidence, StateFacts, judge};
