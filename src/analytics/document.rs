//! Owns the metrics document, `foodstream.metrics/1`: its fields, their names and their order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Decimal, Revenue};
use crate::state::Digest;

/// Rows of a table that are told where nobody asks for all.
pub const DEFAULT_ROWS: usize = 10_000;

/// The name and version of the document; any other is refused when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricsSchema {
    /// `foodstream.metrics/1`
    #[serde(rename = "foodstream.metrics/1")]
    Version1,
}

/// The metrics of a set of ranges. Nothing in it depends on when or where it was computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsDocument {
    /// What this document is.
    pub schema: MetricsSchema,
    /// Orders, failed ones included.
    pub total_orders: u64,
    /// Orders whose payment failed.
    pub failed_orders: u64,
    /// Failed orders of all orders.
    pub failure_rate_percent: Decimal,
    /// Orders per minute of event time that has orders.
    pub average_orders_per_minute: Decimal,
    /// Orders in the newest minute of event time that has orders.
    pub current_orders_per_minute: u64,
    /// Minute of event time (`YYYY-MM-DDTHH:mmZ`) to its orders; minutes without orders do not stand here.
    pub orders_by_minute: BTreeMap<String, u64>,
    /// What the inventory decided.
    pub inventory: InventoryMetrics,
    /// The same by minute of event time, ordered by it.
    pub by_minute: Vec<MinuteRow>,
    /// The same by restaurant, ordered by name.
    pub by_restaurant: Vec<RestaurantRow>,
    /// How many rows these tables have beyond those that stand in them; only where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Records of another event type.
    pub skipped_records: u64,
    /// Records that are bad by the contract's list.
    pub bad_records: u64,
    /// What was counted, ordered by topic and partition.
    pub range: Vec<RangeRow>,
}

/// Rows that the tables of a document leave out; whatever is beside the tables is about all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// Of `orders_by_minute`.
    pub orders_by_minute: u64,
    /// Of `by_minute`.
    pub by_minute: u64,
    /// Of `by_restaurant`.
    pub by_restaurant: u64,
}

/// What the inventory decided about the orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryMetrics {
    /// Orders of which every line was reserved.
    pub reserved_orders: u64,
    /// Orders of which every line was rejected.
    pub rejected_orders: u64,
    /// Failed orders that the inventory has seen.
    pub released_orders: u64,
    /// Placed orders without a decision; negative while decisions are read ahead of their orders.
    pub pending_orders: i64,
    /// Rejected orders of reserved and rejected ones.
    pub rejection_rate_percent: Decimal,
    /// Failed and rejected orders of failed, reserved and rejected ones.
    pub unfulfilled_rate_percent: Decimal,
    /// Sum of quantity × price over reserved lines.
    pub reserved_revenue: Revenue,
    /// Reason to rejected lines.
    pub rejected_by_reason: BTreeMap<String, u64>,
}

/// One minute of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteRow {
    /// `YYYY-MM-DDTHH:mmZ`
    pub minute: String,
    /// Orders placed in it, failed ones included.
    pub total: u64,
    /// Orders whose payment failed.
    pub failed: u64,
    /// Orders of which every line was reserved.
    pub reserved: u64,
    /// Orders of which every line was rejected.
    pub rejected: u64,
    /// Failed orders that the inventory has seen.
    pub released: u64,
    /// Sum of quantity × price over reserved lines.
    pub reserved_revenue: Revenue,
}

/// One restaurant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestaurantRow {
    /// Its id as it stands in the records; empty for orders without one.
    pub restaurant: String,
    /// As in [`MinuteRow`].
    pub total: u64,
    /// As in [`MinuteRow`].
    pub failed: u64,
    /// As in [`MinuteRow`].
    pub reserved: u64,
    /// As in [`MinuteRow`].
    pub rejected: u64,
    /// As in [`MinuteRow`].
    pub released: u64,
    /// As in [`MinuteRow`].
    pub reserved_revenue: Revenue,
}

/// What was counted of one source partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRow {
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The log start when counting began.
    pub start: i64,
    /// The position after the last record counted, markers included.
    pub end: i64,
    /// Digest of the records in between.
    pub digest: Digest,
}

impl MetricsDocument {
    /// The same with so many rows in each table at most: the newest minutes and the restaurants with the most orders, but those
    /// that `first` names before all others.
    #[must_use]
    pub fn limited(mut self, rows: usize, first: impl Fn(&str) -> bool) -> Self {
        let count = |all: usize| all.saturating_sub(rows) as u64;
        let left_out = LeftOut {
            orders_by_minute: count(self.orders_by_minute.len()),
            by_minute: count(self.by_minute.len()),
            by_restaurant: count(self.by_restaurant.len()),
        };
        if left_out == LeftOut::default() {
            return self;
        }
        if left_out.orders_by_minute > 0 {
            let mut minutes: Vec<_> = std::mem::take(&mut self.orders_by_minute).into_iter().collect();
            keep(&mut minutes, rows, |(minute, _)| (!first(minute), Reverse(minute.clone())));
            self.orders_by_minute = minutes.into_iter().collect();
        }
        keep(&mut self.by_minute, rows, |row| (!first(&row.minute), Reverse(row.minute.clone())));
        keep(&mut self.by_restaurant, rows, |row| (!first(&row.restaurant), Reverse(row.total)));
        self.left_out = Some(left_out);
        self
    }

    /// Minutes and restaurants of which something was counted, those that are left out among them.
    #[must_use]
    pub fn counted(&self) -> [u64; 2] {
        let left_out = self.left_out.unwrap_or_default();
        [self.by_minute.len() as u64 + left_out.by_minute, self.by_restaurant.len() as u64 + left_out.by_restaurant]
    }
}

/// Keeps so many rows, those that come first by `rank`, in the order in which they are.
fn keep<R, K: Ord>(rows: &mut Vec<R>, most: usize, rank: impl Fn(&R) -> K) {
    if rows.len() <= most {
        return;
    }
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_cached_key(|&place| rank(&rows[place]));
    let mut kept = vec![false; rows.len()];
    for &place in &places[..most] {
        kept[place] = true;
    }
    let mut kept = kept.into_iter();
    rows.retain(|_| kept.next().unwrap_or_default());
    rows.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::test_support::example;

    fn wide() -> MetricsDocument {
        let mut document = example();
        document.orders_by_minute = (10..40).map(|minute| (format!("2026-11-22T12:{minute}Z"), minute)).collect();
        let row = document.by_minute[0].clone();
        document.by_minute =
            (10..50).map(|minute| MinuteRow { minute: format!("2026-11-22T12:{minute}Z"), ..row.clone() }).collect();
        let row = document.by_restaurant[0].clone();
        document.by_restaurant = (0..30u64)
            .map(|number| RestaurantRow { restaurant: format!("r{number:02}"), total: number % 7, ..row.clone() })
            .collect();
        document
    }

    #[test]
    fn the_newest_minutes_and_the_largest_restaurants_stay_in_their_order() {
        let all = wide();
        let some = all.clone().limited(12, |_| false);
        assert_eq!(some.left_out, Some(LeftOut { orders_by_minute: 18, by_minute: 28, by_restaurant: 18 }));
        assert_eq!(some.counted(), [40, 30]);
        assert_eq!(some.by_minute, all.by_minute[28..]);
        assert!(some.orders_by_minute.keys().eq(all.orders_by_minute.keys().skip(18)));
        let named: Vec<&str> = some.by_restaurant.iter().map(|row| row.restaurant.as_str()).collect();
        assert_eq!(named, ["r04", "r05", "r06", "r11", "r12", "r13", "r18", "r19", "r20", "r25", "r26", "r27"]);
        assert_eq!(MetricsDocument { left_out: None, ..some.clone() }.total_orders, all.total_orders);
        let text = serde_json::to_string(&some).expect("JSON");
        assert_eq!(serde_json::from_str::<MetricsDocument>(&text).expect("read again"), some);
    }

    #[test]
    fn what_is_wanted_first_stays_before_all_others_and_a_short_document_as_it_is() {
        let all = wide();
        let some = all.clone().limited(2, |name| name == "2026-11-22T12:11Z" || name == "r00");
        assert_eq!(some.orders_by_minute.keys().collect::<Vec<_>>(), ["2026-11-22T12:11Z", "2026-11-22T12:39Z"]);
        let named: Vec<&str> = some.by_restaurant.iter().map(|row| row.restaurant.as_str()).collect();
        assert_eq!(named, ["r00", "r06"]);
        assert_eq!(all.clone().limited(40, |_| false), all);
        assert!(!serde_json::to_string(&all).expect("JSON").contains("left_out"));
    }
}
