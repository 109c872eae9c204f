//! JSON document of `inventory`, `foodstream.inventory/1`. See `docs/reference/documents.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DeadLetterRow, DecisionCounts};

/// The result of one run of `inventory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InventoryDocument {
    /// [`InventoryDocument::SCHEMA`].
    pub schema: String,
    /// Orders decided by committed transactions of this run.
    pub orders: u64,
    /// Orders reserved.
    pub reserved: u64,
    /// Orders rejected.
    pub rejected: u64,
    /// Orders released because their payment had failed.
    pub released: u64,
    /// Bad records written to the dead letters.
    pub dead_letters: u64,
    /// The bad records by reason, with an example of each, in the order of the reasons' names.
    #[serde(default)]
    pub dead_letters_by_reason: Vec<DeadLetterRow>,
    /// Records of other event types.
    pub skipped: u64,
    /// Transactions that were committed.
    pub transactions_committed: u64,
    /// Transactions that were aborted.
    pub transactions_aborted: u64,
    /// Ledger records read to restore stock.
    pub restored_records: u64,
    /// Wall-clock seconds of the run.
    pub elapsed_seconds: f64,
    /// `orders` per second, 0 for an empty run time.
    pub orders_per_second: f64,
    /// The group's committed offsets at the end, by partition.
    pub committed: Vec<CommittedOffset>,
}

/// The committed offset of one source partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// Partition of `order-events`.
    pub partition: i32,
    /// Offset of the next record to process.
    pub offset: i64,
}

impl InventoryDocument {
    /// The document's name and version.
    pub const SCHEMA: &str = "foodstream.inventory/1";

    /// A document with these counts and run time. The caller fills in the other fields, which are zero or empty.
    #[must_use]
    pub fn of(counts: DecisionCounts, elapsed: Duration) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            orders: counts.orders,
            reserved: counts.reserved,
            rejected: counts.rejected,
            released: counts.released,
            dead_letters: 0,
            dead_letters_by_reason: Vec::new(),
            skipped: 0,
            transactions_committed: 0,
            transactions_aborted: 0,
            restored_records: 0,
            elapsed_seconds: thousandths(elapsed.as_secs_f64()),
            orders_per_second: per_second(counts.orders, elapsed),
            committed: Vec::new(),
        }
    }
}

/// A rate over an empty time is 0 (`docs/reference/metrics.md`).
fn per_second(count: u64, elapsed: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a rate for people; 2^53 orders are out of reach")]
    let count = count as f64;
    if elapsed.is_zero() { 0.0 } else { thousandths(count / elapsed.as_secs_f64()) }
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serializes_the_documented_fields_in_order() {
        let counts = DecisionCounts { orders: 10, reserved: 7, rejected: 2, released: 1 };
        let document = InventoryDocument {
            dead_letters: 3,
            skipped: 4,
            transactions_committed: 5,
            transactions_aborted: 1,
            restored_records: 6,
            committed: vec![CommittedOffset { partition: 0, offset: 17 }],
            ..InventoryDocument::of(counts, Duration::from_millis(2500))
        };
        let json = serde_json::to_string(&document).expect("serializes");
        insta::assert_snapshot!(json, @r#"{"schema":"foodstream.inventory/1","orders":10,"reserved":7,"rejected":2,"released":1,"dead_letters":3,"dead_letters_by_reason":[],"skipped":4,"transactions_committed":5,"transactions_aborted":1,"restored_records":6,"elapsed_seconds":2.5,"orders_per_second":4.0,"committed":[{"partition":0,"offset":17}]}"#);
        assert_eq!(serde_json::from_str::<InventoryDocument>(&json).expect("reads"), document);
    }

    #[test]
    fn a_rate_over_an_empty_time_is_zero() {
        let counts = DecisionCounts { orders: 10, ..DecisionCounts::default() };
        assert!(InventoryDocument::of(counts, Duration::ZERO).orders_per_second.abs() < f64::EPSILON);
    }
}
