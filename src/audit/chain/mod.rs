//! Chains: the outputs of any consumer that writes to another topic, matched with its inputs by a field that they have
//! in common.

mod evidence;
mod field;
mod json_field;
mod judge;
mod unmatched;

pub use evidence::{ChainTopics, chain_witness};
pub use field::{MatchedField, RecordParts};
pub use judge::{ChainFinding, ChainJudge, ChainResult, Demand, Violation};
pub use unmatched::Unmatched;
