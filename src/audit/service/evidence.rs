//! What was found: counts for each check, and the evidence with the smallest coordinates.

use std::collections::BTreeMap;

use crate::audit::{Anomaly, Check, Place};

/// What is wrong with an order line or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An order line without an event.
    Lost {
        /// Lines of the same order record that have an event.
        with_event: u64,
        /// All lines of the order record.
        lines: u64,
    },
    /// A further event of a line that has one.
    Doubled,
    /// An event about an order that does not exist.
    Invented,
    /// An event with another quantity or action than its line.
    Altered,
    /// An event about a line that its order does not have.
    Foreign,
    /// A record that is not an event.
    Unreadable,
    /// An event whose key is not the claimed field.
    OtherKey,
    /// An event in another partition than those with the same claimed field.
    OtherPartition,
    /// An event that comes after one of a later order.
    Overtaken,
}

impl Fault {
    /// The check that it breaks.
    #[must_use]
    pub const fn check(self) -> Check {
        match self {
            Self::Lost { .. } => Check::NoLineLost,
            Self::Doubled => Check::NoLineDoubled,
            Self::Invented => Check::NoLineInvented,
            Self::Altered | Self::Foreign | Self::Unreadable => Check::LinesAsOrdered,
            Self::OtherKey => Check::KeysAreKept,
            Self::OtherPartition | Self::Overtaken => Check::OrderIsKept,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn anomaly(self) -> Anomaly {
        match self {
            Self::Lost { with_event: 0, .. } => Anomaly::LostWrite,
            Self::Lost { .. } => Anomaly::TornTransaction,
            Self::Doubled => Anomaly::Duplicate,
            Self::Invented => Anomaly::InventedWrite,
            Self::Altered | Self::Foreign | Self::Unreadable | Self::OtherKey => Anomaly::WrongValue,
            Self::OtherPartition | Self::Overtaken => Anomaly::NonMonotonic,
        }
    }
}

/// The evidence of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The line that was ordered, or of a line without an order, the one of the event; 0 if it does not matter.
    pub content: u64,
    /// The order, if there is one.
    pub order: Option<Place>,
    /// The event, if there is one.
    pub event: Option<Place>,
    /// The other event that is needed to see it: the first of two, or the one before.
    pub other_event: Option<Place>,
    /// The order of that other event, if it is another one.
    pub other_order: Option<Place>,
}

impl Finding {
    /// A finding that only needs an event.
    #[must_use]
    pub const fn of_event(fault: Fault, event: Place) -> Self {
        Self { fault, content: 0, order: None, event: Some(event), other_event: None, other_order: None }
    }

    /// A finding about a line of an order.
    pub(super) const fn of_line(fault: Fault, content: u64, order: Place, event: Option<Place>) -> Self {
        Self { fault, content, order: Some(order), event, other_event: None, other_order: None }
    }

    /// The place by which the smallest evidence is chosen.
    fn at(&self) -> Option<Place> {
        self.event.or(self.order)
    }
}

/// Counts of violations, and some of their findings.
#[derive(Debug)]
pub struct Evidence {
    most: usize,
    checks: BTreeMap<Check, Violations>,
}

#[derive(Debug, Default)]
struct Violations {
    count: u64,
    /// By place, and then by content: several lines of one order may be lost.
    kept: BTreeMap<(Option<Place>, u64), Finding>,
}

impl Evidence {
    /// Keeps at most so many findings of each check.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, checks: BTreeMap::new() }
    }

    /// Adds one violation.
    pub fn add(&mut self, finding: Finding) {
        self.add_counted(finding.fault.check(), 1, Some(finding));
    }

    /// Adds violations of a check, with a finding or without.
    pub(super) fn add_counted(&mut self, check: Check, count: u64, finding: Option<Finding>) {
        if count == 0 && finding.is_none() {
            return;
        }
        let violations = self.checks.entry(check).or_default();
        violations.count += count;
        let Some(finding) = finding else { return };
        let key = (finding.at(), finding.content);
        if violations.kept.len() >= self.most && !violations.kept.contains_key(&key) {
            match violations.kept.last_entry() {
                Some(largest) if *largest.key() > key => drop(largest.remove()),
                _ => return,
            }
        }
        violations.kept.entry(key).or_insert(finding);
    }

    /// Adds what another thread found.
    pub fn merge(&mut self, other: Self) {
        for (check, violations) in other.checks {
            self.add_counted(check, violations.count, None);
            for finding in violations.kept.into_values() {
                self.add_counted(check, 0, Some(finding));
            }
        }
    }

    /// How often a check is violated.
    #[must_use]
    pub fn violations(&self, check: Check) -> u64 {
        self.checks.get(&check).map_or(0, |violations| violations.count)
    }

    /// The findings of a check, those with the smallest coordinates first.
    pub fn findings(&self, check: Check) -> impl Iterator<Item = &Finding> {
        self.checks.get(&check).into_iter().flat_map(|violations| violations.kept.values())
    }

    /// How many findings of each check are kept at most.
    pub(super) const fn most(&self) -> usize {
        self.most
    }
}
