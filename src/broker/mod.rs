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

mod answer;
mod apis;
mod bounds;
mod clock;
mod connection;
mod core;
mod corruption;
#[cfg(test)]
mod corruption_tests;
mod crowd;
mod data_dir;
mod directory;
mod dispatch;
mod ends;
mod faults;
mod fetch;
mod groups;
mod incoming;
mod journal;
mod journal_entry;
mod journal_recovery;
mod kill_points;
mod log;
mod notice;
mod produce;
mod refusals;
mod server;
mod shared_core;
mod stop;
mod storage_error;
mod topics;
mod transactions;
pub mod wire;

pub use answer::{Answer, Call, Client, Deferred, Outbox, Ticket};
pub use bounds::Bounds;
pub use clock::Clock;
pub use core::{Core, NODE_ID, NodeSettings, Storage};
pub use corruption::{Corruption, OpenError};
pub use data_dir::DataDirError;
pub use directory::{Directory, Inspection, Untrusted, UntrustedReason};
pub use faults::{Fault, Faults, Rule};
pub use journal_entry::JournalEntry;
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
pub use notice::Notice;
pub use server::{BrokerConfig, BrokerStatus, GroupStatus, Server, StartError, TopicStatus};
pub use shared_core::NoticeListener;
