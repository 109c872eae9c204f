//! Audit: what must hold for a run, as named checks over its records, with the evidence where a check fails.
//! See `docs/reference/audit.md`.
//!
//! Layer 12, pure: records come in as bytes in the order of their offsets, verdicts and places go out.

mod chain;
mod check;
mod document;
mod entry;
mod matching;
mod prefix;
pub mod service;

pub use chain::{
    ChainFinding, ChainJudge, ChainResult, ChainTopics, Demand, MatchedField, RecordParts, Unmatched, Violation,
    chain_witness,
};
pub use check::{Anomaly, Check, Subject};
pub use document::{
    AuditDocument, AuditVerdict, CheckResult, CoveredRange, RecordState, Witness, WitnessRecord, shown_bytes,
};
pub use entry::{Entry, Place, Side};
pub use matching::{FanOut, MatchField};
pub use prefix::{
    Actual, Claims, DeadLetterHeaders, DecisionFold, EvidenceJudge, Expected, Finding, Findings, Hole, LedgerFold,
    LetterFold, LogRecord, OrderCounts, OrderFold, PartitionFacts, PartitionPlan, PositionRecord, PrefixTopic, Sizes,
    SkippedRecord, check_position, decision_entry, expected_entry, letter_entry,
};
