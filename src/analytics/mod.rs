//! Owns the metrics: what a source partition has counted, how that lives in `analytics-state`, their sum and its document.
//!
//! Everything here is a commutative sum over records, in integers and cents; nothing reads a clock and nothing rounds
//! before the last step.

mod document;
mod group_state;
#[cfg(test)]
mod group_state_tests;
mod hundredths;
mod key;
mod metrics;
#[cfg(test)]
mod metrics_tests;
mod revenue;
mod tallies;
mod tally;
#[cfg(test)]
pub(crate) mod testing;

pub use document::{
    InventoryMetrics, LeftOut, MetricsDocument, MetricsSchema, MinuteRow, ROWS, RangeRow, RestaurantRow,
};
pub use group_state::{GroupState, StaleKey, StateError, View};
pub use hundredths::Hundredths;
pub use key::{Counted, StateKey, StateOwner};
pub use metrics::Metrics;
pub use revenue::Revenue;
pub use tallies::{Feed, Tallies};
pub use tally::{Tally, Totals};
