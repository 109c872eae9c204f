//! Counts of orders and decisions, and the totals of a source partition: values of `analytics-state`.

use serde::{Deserialize, Serialize};

use super::Revenue;
use crate::state::Loss;

/// Orders by outcome.
///
/// A record of `order-events` adds to `total` and `failed`, one of `inventory-events` to the other fields, so the
/// counts of both topics can be added in any order. Sums saturate, because another program may have written to the
/// changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderCounts {
    /// Orders, including failed ones.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// Orders whose payment failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Orders of which every line was reserved.
    #[serde(skip_serializing_if = "is_zero")]
    pub reserved: u64,
    /// Orders of which every line was rejected.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected: u64,
    /// Failed orders that the inventory has processed.
    #[serde(skip_serializing_if = "is_zero")]
    pub released: u64,
    /// Sum of quantity × price over reserved lines.
    #[serde(skip_serializing_if = "is_zero_revenue")]
    pub revenue: Revenue,
}

/// The totals of a source partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Totals {
    /// Orders of all minutes and restaurants. `tally` in JSON.
    #[serde(rename = "tally", skip_serializing_if = "OrderCounts::is_zero")]
    pub orders: OrderCounts,
    /// Records of another event type.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Bad records (`docs/reference/events.md`).
    #[serde(skip_serializing_if = "is_zero")]
    pub bad: u64,
    /// Lines rejected because their own item was out of stock.
    #[serde(skip_serializing_if = "is_zero")]
    pub out_of_stock: u64,
    /// Lines rejected because another item of the order was out of stock.
    #[serde(skip_serializing_if = "is_zero")]
    pub order_incomplete: u64,
}

impl OrderCounts {
    /// Adds other counts.
    pub const fn add(&mut self, other: &Self) {
        self.total = self.total.saturating_add(other.total);
        self.failed = self.failed.saturating_add(other.failed);
        self.reserved = self.reserved.saturating_add(other.reserved);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.released = self.released.saturating_add(other.released);
        self.revenue = self.revenue.plus(other.revenue);
    }

    /// The first count that differs in `sum`, the sum of the counts by `by`.
    #[must_use]
    pub fn loss(&self, sum: &Self, by: &str) -> Option<Loss> {
        let cents = |revenue: Revenue| u64::try_from(revenue.0).unwrap_or(u64::MAX);
        let pairs = [
            ("orders", self.total, sum.total),
            ("failed orders", self.failed, sum.failed),
            ("reserved orders", self.reserved, sum.reserved),
            ("rejected orders", self.rejected, sum.rejected),
            ("released orders", self.released, sum.released),
            ("cents of reserved revenue", cents(self.revenue), cents(sum.revenue)),
        ];
        let (of, expected, found) = pairs.into_iter().find(|(_, expected, found)| expected != found)?;
        Some(Loss { of: format!("{of} by {by}"), expected, found })
    }

    /// Whether every count is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Totals {
    /// Adds other totals.
    pub const fn add(&mut self, other: &Self) {
        self.orders.add(&other.orders);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.bad = self.bad.saturating_add(other.bad);
        self.out_of_stock = self.out_of_stock.saturating_add(other.out_of_stock);
        self.order_incomplete = self.order_incomplete.saturating_add(other.order_incomplete);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
fn is_zero_revenue(revenue: &Revenue) -> bool {
    *revenue == Revenue::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_counts_are_omitted_in_json() {
        let counts = OrderCounts { total: 3, reserved: 1, revenue: Revenue(1_700), ..OrderCounts::default() };
        let json = serde_json::to_string(&counts).expect("serializes");
        assert_eq!(json, r#"{"total":3,"reserved":1,"revenue":"17.00"}"#);
        assert_eq!(serde_json::from_str::<OrderCounts>(&json).expect("parses"), counts);

        let totals = Totals { orders: counts, bad: 2, order_incomplete: 4, ..Totals::default() };
        let json = serde_json::to_string(&totals).expect("serializes");
        assert_eq!(serde_json::from_str::<Totals>(&json).expect("parses"), totals);
        assert_eq!(serde_json::to_string(&Totals::default()).expect("serializes"), "{}");
    }

    #[test]
    fn unknown_fields_are_errors() {
        assert!(serde_json::from_str::<OrderCounts>(r#"{"total":1,"cancelled":2}"#).is_err());
        assert!(serde_json::from_str::<OrderCounts>(r#"{"total":-1}"#).is_err());
    }

    #[test]
    fn sums_saturate() {
        let mut full = OrderCounts { total: u64::MAX, revenue: Revenue(u128::MAX), ..OrderCounts::default() };
        full.add(&OrderCounts { total: 1, revenue: Revenue(1), ..OrderCounts::default() });
        assert_eq!((full.total, full.revenue), (u64::MAX, Revenue(u128::MAX)));
    }
}
