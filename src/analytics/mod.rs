//! Owns the metrics: what a source partition has counted, how that lives in `analytics-state`, their sum and its document.
//!
//! Everything here is a commutative sum over records, in integers and cents; nothing reads a clock and nothing rounds
//! before the last step.

mod counts_store;
mod decimal;
mod document;
mod group_state;
#[cfg(test)]
mod group_state_tests;
mod key;
mod metrics;
#[cfg(test)]
mod metrics_tests;
mod order_counts;
mod revenue;
#[cfg(test)]
pub(crate) mod test_support;

pub use counts_store::{CountsStore, Feed};
pub use decimal::Decimal;
pub use document::{
    DEFAULT_ROWS, InventoryMetrics, LeftOut, MetricsDocument, MetricsSchema, MinuteRow, RangeRow, RestaurantRow,
};
pub use group_state::{GroupState, StaleKey, StateError, View};
pub use key::{CountKey, StateKey, StateKeyPrefix};
pub use metrics::Metrics;
pub use order_counts::{OrderCounts, Totals};
pub use revenue::Revenue;
