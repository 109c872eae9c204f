//! Words of an audit that its text, its page and its `JUnit` XML share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::audit::{AuditDocument, AuditVerdict, CheckResult, CoveredRange, Subject, Witness};
use crate::printable::{line, printable};
use crate::units::{counted, grouped};

/// The most checks that a verdict names.
const NAMED: usize = 3;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckOutcome {
    Holds,
    Violated,
    /// Nothing was compared, and something could not be.
    NotChecked,
    /// Nothing was compared: the records have nothing of the kind.
    Empty,
}

impl CheckOutcome {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::NotChecked => "not checked",
            Self::Empty => "nothing to check",
        }
    }
}

/// What a check of this document found.
pub(super) const fn outcome(document: &AuditDocument, check: &CheckResult) -> CheckOutcome {
    match (check.violations, check.checked) {
        (1.., _) => CheckOutcome::Violated,
        (0, 1..) => CheckOutcome::Holds,
        (0, 0) if document.unproved.is_empty() => CheckOutcome::Empty,
        (0, 0) => CheckOutcome::NotChecked,
    }
}

pub(super) const fn verdict_word(verdict: AuditVerdict) -> &'static str {
    match verdict {
        AuditVerdict::Clean => "clean",
        AuditVerdict::Violated => "violated",
        AuditVerdict::Unproved => "unproved",
    }
}

/// `10,000 orders and 25,102 decisions`
pub(super) fn judged(document: &AuditDocument) -> String {
    let [orders, decisions] = nouns(document.subject);
    format!("{} and {}", counted(document.orders, orders), counted(document.decisions, decisions))
}

/// What the orders and the decisions of a document are.
pub(super) const fn nouns(subject: Subject) -> [&'static str; 2] {
    match subject {
        Subject::Prefix | Subject::Service => ["order", "decision"],
        Subject::Chain => ["input", "output"],
    }
}

/// The reason for the verdict, without a full stop.
pub(super) fn verdict_reason(document: &AuditDocument) -> String {
    let judged = judged(document);
    match (document.verdict, document.subject) {
        (AuditVerdict::Clean, Subject::Prefix) => format!("{judged}, nothing lost, nothing decided twice"),
        (AuditVerdict::Clean, Subject::Service) => format!("{judged}, nothing lost, doubled or invented"),
        (AuditVerdict::Clean, Subject::Chain) => format!("{judged}, nothing lost, nothing done twice"),
        (AuditVerdict::Violated, _) => {
            let broken: Vec<_> = document.checks.iter().filter(|check| check.violations > 0).collect();
            let violations = broken.iter().map(|check| check.violations).fold(0, u64::saturating_add);
            let names: Vec<_> = broken.iter().take(NAMED).map(|check| printable(&check.name)).collect();
            let others = match broken.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {}", counted(more as u64, "other check")),
            };
            format!("{} in {judged}: {}{others}", counted(violations, "violation"), names.join(", "))
        }
        (AuditVerdict::Unproved, _) => format!("no violation in {judged}, but not everything could be judged"),
    }
}

/// `duplicate: line 2 of order o17 was decided twice`
pub(super) fn witness_title(witness: &Witness) -> String {
    format!("{}: {}", witness.anomaly.words(), shown(&witness.summary))
}

/// Text of a document, whose bytes from records are escaped already.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    line(text.trim_end_matches('.'))
}

/// How many orders repeat an earlier one; `None` if none does.
pub(super) fn repeated(document: &AuditDocument) -> Option<String> {
    let what = match document.subject {
        Subject::Prefix | Subject::Service => "the id of an earlier order; each counts as an order",
        Subject::Chain => "the matched field of an earlier input; their outputs are counted together",
    };
    let [order, _] = nouns(document.subject);
    let verb = if document.repeated_orders == 1 { "has" } else { "have" };
    let count = counted(document.repeated_orders, order);
    (document.repeated_orders > 0).then(|| format!("Repeated: {count} {verb} {what}"))
}

/// What a live run means for the audit; `None` if the run was not live.
pub(super) fn live(document: &AuditDocument) -> Option<&'static str> {
    let words =
        "The group had members or committed during the audit: only what it had committed at the start is judged";
    document.live.then_some(words)
}

/// What is not judged because the group had not committed it; `None` if it had committed everything.
pub(super) fn uncommitted(document: &AuditDocument) -> Option<String> {
    let offsets = counted(document.uncommitted, "offset");
    let [order, _] = nouns(document.subject);
    (document.uncommitted > 0)
        .then(|| format!("Not committed: {offsets} of the {order}s, about which nothing is claimed"))
}

/// `10,000 offsets of order-events, 25,102 of inventory-events`, in the order of the document.
pub(super) fn topic_ranges(covered: &[CoveredRange]) -> String {
    let mut topics: Vec<&str> = Vec::new();
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for range in covered {
        let offsets = sums.entry(&range.topic).or_insert_with(|| {
            topics.push(&range.topic);
            0
        });
        *offsets = offsets.saturating_add(range.end.saturating_sub(range.start));
    }
    let named = topics.iter().enumerate().filter_map(|(at, topic)| {
        let offsets = *sums.get(topic)?;
        let offsets = if at == 0 { counted(offsets, "offset") } else { grouped(offsets) };
        Some(format!("{offsets} of {}", printable(topic)))
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }
}

/// `11 of 13`
pub(super) fn holding(document: &AuditDocument) -> String {
    let holding = document.checks.iter().filter(|check| check.violations == 0 && check.checked > 0).count();
    format!("{} of {}", grouped(holding as u64), grouped(document.checks.len() as u64))
}
