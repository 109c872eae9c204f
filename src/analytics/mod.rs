//! Metrics: counts of each source partition, their records in `analytics-state`, their sum, and the metrics document.
//! See `docs/reference/metrics.md`.
//!
//! Counts are commutative sums over records, in integers and cents. Rates are rounded once, in the document. No clock.

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
