//! Owns the seeded workload: which orders are placed, as which bytes, when each is due, and what is told about the run.
//!
//! Rank 1: pure. The i-th event of a [`Workload`] is a function of its [`WorkloadSettings`] and i; a [`Rate`] says when
//! it is due. No clock, no randomness but the seed's, no Kafka.

mod document;
mod events;
mod lateness;
mod menu;
mod poison;
mod random;
mod schedule;
mod settings;

#[cfg(test)]
mod property_tests;
pub use document::{ProduceDocument, ProducedPartition};
pub use events::{Buffers, Event, Workload};
pub use lateness::Lateness;
pub use schedule::{Rate, RateError};
pub use settings::{
    DEFAULT_COUNT, DEFAULT_FAILURE_RATE, DEFAULT_ITEMS, DEFAULT_ORDERS_PER_MINUTE, DEFAULT_RESTAURANTS, DEFAULT_USERS,
    Fraction, FractionError, MAX_NAMES, WorkloadError, WorkloadSettings, default_start,
};
