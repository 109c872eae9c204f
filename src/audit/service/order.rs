//! Order of events: those of orders with the same claimed field and source partition are in one partition, in the order
//! of their orders.

use super::evidence::{Evidence, Fault, Finding};
use crate::audit::{Check, Entry, Place, Side};

/// Judges the pairs of a [`Matcher`](super::Matcher), sorted.
#[derive(Debug)]
pub struct OrderCheck {
    /// The claimed field and the source partition of the current events.
    key: Option<u128>,
    partitions: Vec<Partition>,
    /// How many events were compared.
    pub events: u64,
    /// What was found so far.
    pub evidence: Evidence,
}

/// The events of the current key in one output partition.
#[derive(Debug)]
struct Partition {
    number: i32,
    events: u64,
    first: Entry,
    last: Entry,
    overtaken: u64,
    kept: Vec<Finding>,
}

impl OrderCheck {
    /// A check that keeps at most so many findings.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { key: None, partitions: Vec::new(), events: 0, evidence: Evidence::new(most) }
    }

    /// Takes the next pair in order.
    pub fn push(&mut self, entry: Entry) {
        if self.key != Some(entry.key) {
            self.finish();
            self.key = Some(entry.key);
        }
        self.events += 1;
        let most = self.evidence.most();
        let number = entry.place.partition();
        match self.partitions.last_mut() {
            Some(partition) if partition.number == number => {
                partition.events += 1;
                let before = std::mem::replace(&mut partition.last, entry);
                if before.detail > entry.detail {
                    partition.overtaken += 1;
                    if partition.kept.len() < most {
                        partition.kept.push(finding(Fault::Overtaken, entry, before));
                    }
                }
            }
            _ => self.partitions.push(Partition {
                number,
                events: 1,
                first: entry,
                last: entry,
                overtaken: 0,
                kept: Vec::new(),
            }),
        }
    }

    /// Judges the last events.
    pub fn finish(&mut self) {
        // The partition with the most events is the right one; of several, the first.
        let events = |partition: &&Partition| (partition.events, std::cmp::Reverse(partition.number));
        let Some(right) = self.partitions.iter().max_by_key(events) else { return };
        self.evidence.add_counted(Check::OrderIsKept, right.overtaken, None);
        for finding in &right.kept {
            self.evidence.add_counted(Check::OrderIsKept, 0, Some(*finding));
        }
        for partition in self.partitions.iter().filter(|partition| partition.number != right.number) {
            let finding = finding(Fault::OtherPartition, partition.first, right.first);
            self.evidence.add_counted(Check::OrderIsKept, partition.events, Some(finding));
        }
        self.partitions.clear();
    }
}

fn finding(fault: Fault, event: Entry, other: Entry) -> Finding {
    Finding {
        fault,
        content: 0,
        order: Some(order_place(event)),
        event: Some(event.place),
        other_event: Some(other.place),
        other_order: Some(order_place(other)).filter(|order| *order != order_place(event)),
    }
}

/// The place of the order of a pair: its key has the partition, its detail the offset.
fn order_place(pair: Entry) -> Place {
    let partition = i32::try_from(pair.key & 0x7fff_ffff).unwrap_or(i32::MAX);
    Place::new(Side::Cause, partition, i64::try_from(pair.detail).unwrap_or(i64::MAX))
}
