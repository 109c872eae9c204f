//! Findings: what an audit counted for each check, and the first violations with the places of their records.

use std::collections::BTreeMap;

use crate::audit::check::{Anomaly, Check};
use crate::audit::document::{RecordState, Witness, WitnessRecord};

/// A topic of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrefixTopic {
    /// `order-events`
    Orders,
    /// `inventory-events`
    Decisions,
    /// `inventory-ledger`
    Ledger,
    /// `order-events-dlq`
    DeadLetters,
    /// `analytics-state`
    State,
}

/// A violation, whose records are still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub anomaly: Anomaly,
    /// What happened, in one sentence without a full stop. Foreign text in it is escaped.
    pub summary: String,
    /// What the rule gives, where it cannot be recomputed.
    pub expected: Option<String>,
    /// What was read, if it is not the value of the last record.
    pub seen: Option<String>,
    /// The order and line that it is about, whose decision can be recomputed.
    pub about: Option<(i32, i64, u32)>,
    /// Role, topic, partition and offset of its records. The last one is what the rule forbids, unless something is
    /// missing.
    pub records: Vec<(&'static str, PrefixTopic, i32, i64)>,
}

impl Finding {
    /// A finding without values and records.
    #[must_use]
    pub const fn new(anomaly: Anomaly, summary: String) -> Self {
        Self { anomaly, summary, expected: None, seen: None, about: None, records: Vec::new() }
    }

    /// With the two values that differ.
    #[must_use]
    pub fn values(mut self, expected: impl Into<Option<String>>, seen: impl Into<Option<String>>) -> Self {
        (self.expected, self.seen) = (expected.into(), seen.into());
        self
    }

    /// With what the rule gives. What was read is the value of the last record.
    #[must_use]
    pub fn expects(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// With a further record. One without an offset is left out.
    #[must_use]
    pub fn record(
        mut self,
        role: &'static str,
        topic: PrefixTopic,
        partition: i32,
        offset: impl Into<Option<i64>>,
    ) -> Self {
        let offset = offset.into().filter(|offset| *offset >= 0);
        self.records.extend(offset.map(|offset| (role, topic, partition, offset)));
        self
    }

    /// The evidence, with its records as they were read again. `recomputed` is the decision that it is about.
    #[must_use]
    pub fn witness(&self, records: Vec<WitnessRecord>, recomputed: Option<String>) -> Witness {
        let is_missing = matches!(self.anomaly, Anomaly::LostWrite | Anomaly::TornTransaction);
        let last = records.last().filter(|_| !is_missing);
        let mut expected = recomputed.or_else(|| self.expected.clone());
        let mut seen = self.seen.clone().or_else(|| last.map(content));
        // The value may be right, and the key another.
        if let Some((order, last)) = records.first().zip(last)
            && self.about.is_some()
            && expected == seen
            && order.key != last.key
        {
            (expected, seen) = (Some(key(order)), Some(key(last)));
        }
        Witness { anomaly: self.anomaly, summary: self.summary.clone(), expected, seen, records }
    }
}

/// What a record has, in words where it has no value.
fn content(record: &WitnessRecord) -> String {
    match (&record.value, record.state) {
        (Some(value), _) => value.clone(),
        (None, RecordState::Unknown) => "a record that could not be read again".to_owned(),
        (None, _) => "a record without a value".to_owned(),
    }
}

fn key(record: &WitnessRecord) -> String {
    record.key.as_ref().map_or_else(|| "no key".to_owned(), |key| format!("key {key}"))
}

/// The counts and the first violations of each check.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// How many violations are kept of each check.
    most: usize,
    by_check: BTreeMap<Check, CheckFindings>,
}

/// The counts and the first violations of one check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckFindings {
    /// Things compared.
    pub checked: u64,
    /// Things that do not hold.
    pub violations: u64,
    /// The first violations.
    pub first: Vec<Finding>,
}

impl Findings {
    /// Keeps at most this many violations of each check.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, by_check: BTreeMap::new() }
    }

    /// Counts things that were compared.
    pub fn checked(&mut self, check: Check, things: u64) {
        self.by_check.entry(check).or_default().checked += things;
    }

    /// Counts one violation.
    pub fn violated(&mut self, check: Check, finding: impl FnOnce() -> Finding) {
        self.violated_by(check, 1, finding);
    }

    /// Counts violations that have one finding together.
    pub fn violated_by(&mut self, check: Check, violations: u64, finding: impl FnOnce() -> Finding) {
        let found = self.by_check.entry(check).or_default();
        found.violations += violations;
        if found.first.len() < self.most {
            found.first.push(finding());
        }
    }

    /// Adds the findings of a later partition.
    pub fn append(&mut self, later: Self) {
        for (check, mut later) in later.by_check {
            let found = self.by_check.entry(check).or_default();
            found.checked += later.checked;
            found.violations += later.violations;
            let room = self.most.saturating_sub(found.first.len());
            later.first.truncate(room);
            found.first.append(&mut later.first);
        }
    }

    /// The first violations of a check.
    pub fn first_mut(&mut self, check: Check) -> &mut [Finding] {
        self.by_check.get_mut(&check).map_or(&mut [], |found| &mut found.first)
    }

    /// Whether any check is violated.
    #[must_use]
    pub fn has_violations(&self) -> bool {
        self.by_check.values().any(|found| found.violations > 0)
    }

    /// The findings of each check.
    pub fn by_check(&self) -> impl Iterator<Item = (Check, &CheckFindings)> {
        self.by_check.iter().map(|(check, found)| (*check, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(role: &str, key: Option<&str>, value: Option<&str>) -> WitnessRecord {
        WitnessRecord {
            role: role.to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            offset: 7,
            timestamp: None,
            state: RecordState::Committed,
            key: key.map(str::to_owned),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn the_last_record_is_what_was_seen() {
        let values = |finding: &Finding, records: &[WitnessRecord], recomputed: Option<&str>| {
            let witness = finding.witness(records.to_vec(), recomputed.map(str::to_owned));
            (witness.expected, witness.seen)
        };
        let some = |text: &str| Some(text.to_owned());
        let mut finding = Finding::new(Anomaly::WrongValue, "x".to_owned()).expects("words");
        let order = record("order", Some("k"), Some("order"));
        let [decision, other] = [Some("k"), Some("other")].map(|key| record("decision", key, Some("decision")));
        assert_eq!(values(&finding, &[], None), (some("words"), None));
        assert_eq!(values(&finding, &[order.clone(), decision.clone()], None), (some("words"), some("decision")));
        let empty = record("decision", None, None);
        assert_eq!(values(&finding, &[order.clone(), empty.clone()], None).1, some("a record without a value"));
        let gone = WitnessRecord { state: RecordState::Unknown, ..empty };
        assert_eq!(values(&finding, &[gone], None).1, some("a record that could not be read again"));
        finding.about = Some((0, 7, 0));
        assert_eq!(values(&finding, &[order.clone(), decision.clone()], Some("r")), (some("r"), some("decision")));
        let differing = (some("key k"), some("key other"));
        assert_eq!(values(&finding, &[order.clone(), other], Some("decision")), differing, "another key");
        finding.anomaly = Anomaly::LostWrite;
        assert_eq!(values(&finding, &[order, decision], Some("r")), (some("r"), None), "nothing was there");
    }

    #[test]
    fn the_first_violations_are_kept_and_all_are_counted() {
        let finding = |number: u32| Finding::new(Anomaly::LostWrite, number.to_string());
        let (mut first, mut later) = (Findings::new(2), Findings::new(2));
        first.checked(Check::OrderIsKept, 5);
        first.violated(Check::OrderIsKept, || finding(1));
        for number in 2..5 {
            later.violated(Check::OrderIsKept, || finding(number));
        }
        first.append(later);
        let (check, found) = first.by_check().next().expect("one");
        assert_eq!((check, found.checked, found.violations), (Check::OrderIsKept, 5, 4));
        let kept: Vec<&str> = found.first.iter().map(|finding| &*finding.summary).collect();
        assert_eq!(kept, ["1", "2"]);
    }
}
