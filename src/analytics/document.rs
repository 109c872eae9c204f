//! Owns the metrics document, `foodstream.metrics/1`: its fields, their names and their order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Hundredths, Revenue};
use crate::state::Digest;

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
    pub failure_rate_percent: Hundredths,
    /// Orders per minute of event time that has orders.
    pub average_orders_per_minute: Hundredths,
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
    /// Records of another event type.
    pub skipped_records: u64,
    /// Records that are bad by the contract's list.
    pub bad_records: u64,
    /// What was counted, ordered by topic and partition.
    pub range: Vec<RangeRow>,
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
    pub rejection_rate_percent: Hundredths,
    /// Failed and rejected orders of failed, reserved and rejected ones.
    pub unfulfilled_rate_percent: Hundredths,
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
