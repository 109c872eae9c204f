//! Owns lag: what a look at a group shows, the arithmetic on it, rates over several looks, conditions on it, and its document.
//!
//! Rank 10, pure: what was seen comes in as a sample, its time included.

mod condition;
mod document;
mod history;
mod sample;
mod sheet;

#[cfg(test)]
mod laws;

pub use condition::{Blind, Condition, Verdict};
pub use document::{GroupLag, Groups, LagDocument, LagSchema, Moment, PartitionLag};
pub use history::{History, Pace, Trend};
pub use sample::{Bounds, GroupKind, GroupSample, Isolation, Lag, Next, PartitionSample};
pub use sheet::{csv_heading, csv_rows};
