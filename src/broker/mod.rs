//! The embedded broker: a small single-node Kafka.

pub mod wire;
