//! Owns the embedded broker: a single node that speaks Kafka's protocol over TCP, for a machine without Kafka and for faults on demand.
//!
//! Rank 20. The only room that names `kafka_protocol`, and it names no other room: it knows nothing of orders.
//!
//! ```text
//! server ─► connection ─► wire (guard) ─► dispatch ─► Core: topics | groups | transactions | produce | fetch ─► log, journal
//! ```
//!
//! Everything behind `dispatch` is pure: a request and the time go in, an answer comes out, and nothing waits. What an
//! answer must wait for (a rebalance, a fetch's minimum of bytes) is kept under a [`Ticket`] and handed out later.
//! Apache Kafka is the truth: where the two differ, this one is wrong.

mod apis;
mod clock;
mod connection;
mod connection_limits;
mod connection_registry;
mod controlled_shutdown;
mod core;
mod corruption;
#[cfg(test)]
mod corruption_tests;
mod data_dir;
mod directory;
mod dispatch;
mod ends;
mod error_response;
mod events;
mod faults;
mod fetch;
mod groups;
mod journal;
mod journal_entry;
mod journal_recovery;
mod kill_points;
mod log;
mod produce;
mod request_reader;
mod response;
mod server;
mod shared_core;
mod storage_error;
mod topics;
mod transactions;
pub mod wire;

pub use clock::Clock;
pub use connection_limits::ConnectionLimits;
pub use core::{Core, NODE_ID, NodeSettings, Storage};
pub use corruption::{Corruption, OpenError};
pub use data_dir::DataDirError;
pub use directory::{Directory, Inspection, Untrusted, UntrustedReason};
pub use events::BrokerEvent;
pub use faults::{Fault, FaultRule, Faults};
pub use journal_entry::JournalEntry;
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
pub use response::{Client, DeferredResponse, MaybeDeferred, Outbox, RequestContext, Ticket};
pub use server::{BrokerConfig, BrokerStatus, GroupStatus, Server, StartError, TopicStatus};
pub use shared_core::EventListener;
