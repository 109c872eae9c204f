//! Replays: the plan, and the verdict whether the same records still give the same metrics.
//!
//! Pure functions: they take the offsets and records that a replay has read as values, and return a document.

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
pub use plan::{PartitionFacts, PlanNote, PlanRow, RestoredPartition, plan};
pub use selection::{FilterError, FilterMismatch, TopicFilter, is_selected};
pub use target::{PartitionTarget, Target};
pub use verdict::{Evidence, PartitionEvidence, StateFacts, judge};
