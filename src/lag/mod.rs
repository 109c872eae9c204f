//! Owns lag: what a look at a group shows, the arithmetic on it, rates over several snapshots, conditions on it, and its document.
//!
//! Rank 10, pure: what was seen comes in as a sample, its time included.

mod condition;
mod csv;
mod document;
mod rates;
mod sample;

#[cfg(test)]
mod sample_tests;

pub use condition::{Condition, ConditionResult, UnknownReason};
pub use csv::{csv_heading, csv_rows};
pub use document::{GroupLag, Groups, LagDocument, LagPoint, LagSchema, PartitionLag};
pub use rates::{RateWindow, Rates, Trend};
pub use sample::{GroupKind, GroupSample, Isolation, Lag, LogBounds, NextRecord, PartitionSample};
