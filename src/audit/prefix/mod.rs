//! Checks of the topics of a prefix: each is folded once, at its own speed and in bounded memory, into what can be
//! compared; where that differs, records are compared one by one.

mod chunk_sums;
mod dead_letter;
mod decision_fold;
mod digest_marks;
mod evidence;
mod evidence_judge;
mod findings;
mod hashes;
mod ledger_fold;
mod letter_fold;
mod log_record;
mod order_fold;
mod plan;
mod position_record;
#[cfg(test)]
mod tests;

pub use dead_letter::DeadLetterHeaders;
pub use decision_fold::{Actual, DecisionFold, Hole};
pub use evidence::{Claims, decision_entry, expected_entry, letter_entry};
pub use evidence_judge::{EvidenceJudge, SkippedRecord};
pub use findings::{Finding, Findings, PrefixTopic};
pub use ledger_fold::LedgerFold;
pub use letter_fold::LetterFold;
pub use log_record::LogRecord;
pub use order_fold::{Expected, OrderCounts, OrderFold, Sizes};
pub use plan::{PartitionFacts, PartitionPlan, check_position};
pub use position_record::PositionRecord;
