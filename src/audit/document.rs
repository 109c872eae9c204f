//! JSON document of `audit`, `foodstream.audit/1`. See `docs/reference/documents.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::{Anomaly, Check, Subject};
use crate::printable::excerpt;

/// The most bytes of a key or value that a witness shows: those at its start, and those at its end.
const SHOWN_BYTES: [usize; 2] = [600, 120];

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditDocument {
    /// [`AuditDocument::SCHEMA`].
    pub schema: String,
    /// What was judged.
    pub subject: Subject,
    /// The verdict of all checks.
    pub verdict: AuditVerdict,
    /// Orders that were judged; of a chain, input records.
    pub orders: u64,
    /// Decisions that were judged; of a chain, output records.
    pub decisions: u64,
    /// Orders with an id that an earlier order has; of a chain, inputs with a matched field that an earlier one has.
    pub repeated_orders: u64,
    /// The consumer group whose offsets say what must be done; `null` for a chain without one.
    pub group: Option<String>,
    /// The options that say what was compared, by their names with `_`, also those with their default value.
    pub options: BTreeMap<String, String>,
    /// Whether the group had members, so that only what was committed at the start is judged.
    pub live: bool,
    /// Offsets of the orders, or of the inputs of a chain with a group, that the group had not committed. Nothing is
    /// claimed about them.
    pub uncommitted: u64,
    /// Why something could not be proved; empty if all of it was.
    pub unproved: Vec<String>,
    /// What was judged of each partition.
    pub covered: Vec<CoveredRange>,
    /// The checks, in the order of [`Check::ALL`].
    pub checks: Vec<CheckResult>,
}

/// The verdict of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Everything was judged, and every check holds.
    Clean,
    /// A check does not hold.
    Violated,
    /// No check is violated, but something could not be judged.
    Unproved,
}

/// The offsets of a partition that an audit judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredRange {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The first offset.
    pub start: i64,
    /// The position after the last offset.
    pub end: i64,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// [`Check::name`].
    pub name: String,
    /// [`Check::claim`].
    pub claim: String,
    /// How many things were compared: lines, decisions, items or partitions, as the reference says for each check.
    pub checked: u64,
    /// How many of them do not hold.
    pub violations: u64,
    /// The smallest evidence; `null` without a violation.
    pub first: Option<Witness>,
    /// Further evidence, as many as `--witnesses` asks for.
    pub more: Vec<Witness>,
}

/// The evidence of one violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// Its kind.
    pub anomaly: Anomaly,
    /// What happened, in one sentence without a full stop.
    pub summary: String,
    /// What the rule gives; `null` if nothing must be there.
    pub expected: Option<String>,
    /// What was read; `null` if nothing was there.
    pub seen: Option<String>,
    /// The records that show it, in the order of cause and effect.
    pub records: Vec<WitnessRecord>,
}

/// A record of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// What it is here: `order`, `decision`, `input`.
    pub role: String,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp as RFC 3339; `null` if it has none, or the record could not be read again.
    pub timestamp: Option<String>,
    /// The state of its transaction.
    pub state: RecordState,
    /// Its key, as [`shown_bytes`] writes it.
    pub key: Option<String>,
    /// Its value, as [`shown_bytes`] writes it.
    pub value: Option<String>,
}

/// What became of the transaction of a record. Records without a transaction are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// Readers of committed records see it.
    Committed,
    /// Only readers of uncommitted records see it.
    Aborted,
    /// Its transaction has not ended.
    Open,
    /// It could not be read again.
    Unknown,
}

impl RecordState {
    /// The name in text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Open => "in an open transaction",
            Self::Unknown => "not read again",
        }
    }
}

impl AuditDocument {
    /// The document's name and version.
    pub const SCHEMA: &str = "foodstream.audit/1";

    /// A document without results: every check of the subject, with nothing checked.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            subject,
            verdict: AuditVerdict::Unproved,
            orders: 0,
            decisions: 0,
            repeated_orders: 0,
            group: None,
            options: BTreeMap::new(),
            live: false,
            uncommitted: 0,
            unproved: Vec::new(),
            covered: Vec::new(),
            checks: Check::of(subject).map(CheckResult::new).collect(),
        }
    }

    /// The result of a check; `None` if it does not belong to the subject.
    pub fn check(&mut self, check: Check) -> Option<&mut CheckResult> {
        self.checks.iter_mut().find(|result| result.name == check.name())
    }

    /// The offsets of the orders, or of the inputs, that were judged. They come first in `covered`.
    #[must_use]
    pub fn covered_orders(&self) -> u64 {
        let orders = self.covered.first().map(|range| &range.topic);
        let own = self.covered.iter().filter(|range| Some(&range.topic) == orders);
        own.map(|range| range.end.saturating_sub(range.start).max(0).unsigned_abs()).sum()
    }

    /// Decides the verdict from the checks and from what is unproved.
    pub fn judge(&mut self) {
        self.verdict = if self.checks.iter().any(|check| check.violations > 0) {
            AuditVerdict::Violated
        } else if self.unproved.is_empty() {
            AuditVerdict::Clean
        } else {
            AuditVerdict::Unproved
        };
    }
}

impl CheckResult {
    /// A check that compared nothing yet.
    #[must_use]
    pub fn new(check: Check) -> Self {
        Self {
            name: check.name().to_owned(),
            claim: check.claim().to_owned(),
            checked: 0,
            violations: 0,
            first: None,
            more: Vec::new(),
        }
    }

    /// Adds evidence, up to `most` of it.
    pub fn witness(&mut self, witness: Witness, most: usize) {
        if self.first.is_none() {
            self.first = Some(witness);
        } else if self.more.len() + 1 < most {
            self.more.push(witness);
        }
    }

    /// All evidence.
    pub fn witnesses(&self) -> impl Iterator<Item = &Witness> {
        self.first.iter().chain(&self.more)
    }
}

/// Bytes of a record as text: UTF-8 as it is, other bytes as `\xff`, control characters as `\u{1b}`; of long ones the
/// start and the end with `…` between them.
#[must_use]
pub fn shown_bytes(bytes: &[u8]) -> String {
    excerpt(bytes, SHOWN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(summary: &str) -> Witness {
        Witness {
            anomaly: Anomaly::LostWrite,
            summary: summary.to_owned(),
            expected: None,
            seen: None,
            records: Vec::new(),
        }
    }

    #[test]
    fn a_violation_outweighs_what_is_unproved() {
        let mut document = AuditDocument::new(Subject::Prefix);
        document.judge();
        assert_eq!(document.verdict, AuditVerdict::Clean);
        document.unproved.push("records are gone".to_owned());
        document.judge();
        assert_eq!(document.verdict, AuditVerdict::Unproved);
        document.check(Check::OrderIsKept).expect("a check of the prefix").violations = 1;
        document.judge();
        assert_eq!(document.verdict, AuditVerdict::Violated);
        assert!(document.check(Check::NothingTwice).is_none());
    }

    #[test]
    fn keeps_as_many_witnesses_as_wanted() {
        let mut check = CheckResult::new(Check::OrderIsKept);
        for summary in ["a", "b", "c", "d"] {
            check.witness(witness(summary), 3);
        }
        let kept: Vec<&str> = check.witnesses().map(|witness| &*witness.summary).collect();
        assert_eq!(kept, ["a", "b", "c"]);
    }

    #[test]
    fn bytes_are_shown_without_control_characters() {
        assert_eq!(shown_bytes(b"a\x1b[2J\xff\"<b>"), "a\\u{1b}[2J\\xff\"<b>");
        let long = shown_bytes(&[b'x'; 2_000]);
        assert_eq!(long.chars().count(), 721);
    }
}
