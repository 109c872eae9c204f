//! Consumer lag: samples of a group, the arithmetic on them, rates over several samples, conditions, and the lag
//! document.
//!
//! Pure functions (layer 10): a sample carries its own time.

mod condition;
mod csv;
mod document;
mod rates;
mod sample;
#[cfg(test)]
mod sample_tests;
mod trend;

pub use condition::{Condition, ConditionResult, UnknownReason};
pub use csv::{csv_heading, csv_rows};
pub use document::{GroupLag, Groups, LagDocument, LagPoint, LagSchema, PartitionLag};
pub use rates::{RateWindow, Rates};
pub use sample::{GroupKind, GroupSample, Isolation, Lag, LogBounds, NextRecord, Owner, PartitionSample};
pub use trend::Trend;
