//! JSON document of the metrics, `foodstream.metrics/1`. See `docs/reference/metrics.md`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Decimal, Revenue};
use crate::state::Digest;

/// The largest number of rows in a table without `--full`.
pub const DEFAULT_ROWS: usize = 10_000;

/// The name and version of the document; reading any other is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricsSchema {
    /// `foodstream.metrics/1`
    #[serde(rename = "foodstream.metrics/1")]
    Version1,
}

/// The metrics of a set of ranges; independent of when and where they were computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsDocument {
    /// The name and version of the document.
    pub schema: MetricsSchema,
    /// Orders, including failed ones.
    pub total_orders: u64,
    /// Orders whose payment failed.
    pub failed_orders: u64,
    /// Failed orders as a percentage of all orders.
    pub failure_rate_percent: Decimal,
    /// Average orders per minute of event time, over the minutes with orders.
    pub average_orders_per_minute: Decimal,
    /// Orders in the latest minute of event time with orders.
    pub current_orders_per_minute: u64,
    /// Orders by minute of event time (`YYYY-MM-DDTHH:mmZ`), without the minutes that have none.
    pub orders_by_minute: BTreeMap<String, u64>,
    /// Decisions of the inventory.
    pub inventory: InventoryMetrics,
    /// Counts by minute of event time, in order.
    pub by_minute: Vec<MinuteRow>,
    /// Counts by restaurant, ordered by name.
    pub by_restaurant: Vec<RestaurantRow>,
    /// The number of rows that the tables leave out; absent if they have every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Records of another event type.
    pub skipped_records: u64,
    /// Bad records (`docs/reference/events.md`).
    pub bad_records: u64,
    /// The counted ranges, ordered by topic and partition.
    pub range: Vec<RangeRow>,
}

/// The number of rows that the tables of a document leave out. Everything else in the document covers all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// Of `orders_by_minute`.
    pub orders_by_minute: u64,
    /// Of `by_minute`.
    pub by_minute: u64,
    /// Of `by_restaurant`.
    pub by_restaurant: u64,
}

/// Decisions of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryMetrics {
    /// Orders of which every line was reserved.
    pub reserved_orders: u64,
    /// Orders of which every line was rejected.
    pub rejected_orders: u64,
    /// Failed orders that the inventory has processed.
    pub released_orders: u64,
    /// Placed orders without a decision; negative while decisions are read before their orders.
    pub pending_orders: i64,
    /// Rejected orders as a percentage of reserved and rejected ones.
    pub rejection_rate_percent: Decimal,
    /// Failed and rejected orders as a percentage of failed, reserved and rejected ones.
    pub unfulfilled_rate_percent: Decimal,
    /// Sum of quantity × price over reserved lines.
    pub reserved_revenue: Revenue,
    /// Rejected lines by reason.
    pub rejected_by_reason: BTreeMap<String, u64>,
}

/// One minute of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteRow {
    /// `YYYY-MM-DDTHH:mmZ`
    pub minute: String,
    /// Orders placed in it, including failed ones.
    pub total: u64,
    /// Orders whose payment failed.
    pub failed: u64,
    /// Orders of which every line was reserved.
    pub reserved: u64,
    /// Orders of which every line was rejected.
    pub rejected: u64,
    /// Failed orders that the inventory has processed.
    pub released: u64,
    /// Sum of quantity × price over reserved lines.
    pub reserved_revenue: Revenue,
}

/// One restaurant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestaurantRow {
    /// Its id in the records; empty for orders without one.
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

/// The counted range of one source partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRow {
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The log start offset when counting began.
    pub start: i64,
    /// The position after the last counted record, including transaction markers.
    pub end: i64,
    /// The digest of the records in the range.
    pub digest: Digest,
}

impl MetricsDocument {
    /// Limits each table to `rows` rows: the latest minutes and the restaurants with the most orders. Rows for which
    /// `first` is true take precedence.
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

    /// The number of minutes and restaurants with counts, including those left out.
    #[must_use]
    pub fn counted(&self) -> [u64; 2] {
        let left_out = self.left_out.unwrap_or_default();
        [self.by_minute.len() as u64 + left_out.by_minute, self.by_restaurant.len() as u64 + left_out.by_restaurant]
    }
}

/// Keeps the `most` rows with the lowest `rank`, without changing their order.
fn keep<R, K: Ord>(rows: &mut Vec<R>, most: usize, rank: impl Fn(&R) -> K) {
    if rows.len() <= most {
        return;
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_cached_key(|&index| rank(&rows[index]));
    let mut kept = vec![false; rows.len()];
    for &index in &order[..most] {
        kept[index] = true;
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
    fn keeps_latest_minutes_and_largest_restaurants() {
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
    fn keeps_preferred_rows_and_short_documents() {
        let all = wide();
        let some = all.clone().limited(2, |name| name == "2026-11-22T12:11Z" || name == "r00");
        assert_eq!(some.orders_by_minute.keys().collect::<Vec<_>>(), ["2026-11-22T12:11Z", "2026-11-22T12:39Z"]);
        let named: Vec<&str> = some.by_restaurant.iter().map(|row| row.restaurant.as_str()).collect();
        assert_eq!(named, ["r00", "r06"]);
        assert_eq!(all.clone().limited(40, |_| false), all);
        assert!(!serde_json::to_string(&all).expect("JSON").contains("left_out"));
    }
}
