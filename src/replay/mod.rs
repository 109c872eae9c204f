//! Owns what a replay means: its plan, and the verdict on whether the same records still give the same metrics.
//!
//! Pure: what is frozen, read and found goes in as values, the document comes out.

mod cause;
mod compare;
mod document;
mod offset_file;
mod plan;
mod selection;
mod target;
mod verdict;
#[cfg(test)]
mod verdict_tests;

pub use cause::Cause;
pub use compare::{Difference, Differences, differences, differing_rows};
pub use document::{Note, PlanDocument, PlanSchema, ReplayDocument, ReplaySchema, ReplayVerdict};
pub use offset_file::{OffsetFile, RowError, RowProblem, export_csv};
pub use plan::{PartitionFacts, PlanNote, PlanRow, plan};
pub use selection::{FilterError, FilterMismatch, TopicFilter, is_selected};
pub use target::{PartitionTarget, Target};
pub use verdict::{Evidence, PartitionEvidence, StateFacts, judge};
