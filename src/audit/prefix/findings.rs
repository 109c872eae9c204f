//! Findings: what an audit counted for each check, and the first violations with the places of their records.

use std::collections::BTreeMap;

use crate::audit::check::{Anomaly, Check};

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
    /// What the rule gives.
    pub expected: Option<String>,
    /// What was read.
    pub seen: Option<String>,
    /// The order and line that it is about, whose decision can be recomputed.
    pub about: Option<(i32, i64, u32)>,
    /// Role, topic, partition and offset of its records.
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
