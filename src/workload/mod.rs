//! Seeded workload of `produce`: the bytes of each order, when it is due, and the document of a run.
//!
//! Layer 10, pure. The i-th event of a [`Workload`] is a function of its [`WorkloadSettings`] and i; a [`Rate`]
//! determines when it is due, and a [`Shape`] its event time. No clock, no randomness except the seed, no Kafka.

mod document;
mod events;
mod lateness;
mod menu;
mod poison;
mod random;
mod schedule;
mod settings;
mod shape;

#[cfg(test)]
mod property_tests;

pub use document::{ProduceDocument, ProducedPartition};
pub use events::{Buffers, Event, Workload};
pub use lateness::Lateness;
pub use schedule::{Rate, RateError};
pub use settings::{
    DEFAULT_COUNT, DEFAULT_FAILURE_RATE, DEFAULT_ITEMS, DEFAULT_ORDERS_PER_MINUTE, DEFAULT_RESTAURANTS, DEFAULT_USERS,
    Fraction, FractionError, MAX_NAMES, WorkloadError, WorkloadSettings,
};
pub use shape::Shape;
