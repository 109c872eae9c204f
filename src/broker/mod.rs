//! Embedded broker: a single Kafka-compatible node in this process, over TCP, with a clock that tests can move and
//! fault injection.
//!
//! [`Server::start`] starts one on a free port of the loopback interface, with its data in memory or in a directory.
//! Any Kafka client can connect to it:
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use foodstream::broker::{BrokerConfig, Server};
//!
//! let config = BrokerConfig::in_memory();
//! let (clock, faults) = (config.clock.clone(), config.faults.clone());
//! let server = Server::start(config).await?;
//! println!("bootstrap.servers={}", server.address());
//! # server.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/kafka_for_tests.rs` uses it as a Kafka for tests: it injects errors by [`FaultRule`]s and moves the
//! [`Clock`], so that retention and transaction timeouts happen at once.
//!
//! # Supported APIs
//!
//! | API | versions |
//! | --- | --- |
//! | `Produce` | 3 to 13 |
//! | `Fetch` | 4 to 18 |
//! | `ListOffsets` | 1 to 10 |
//! | `Metadata` | 0 to 13 |
//! | `OffsetCommit` | 2 to 9 |
//! | `OffsetFetch` | 1 to 9 |
//! | `FindCoordinator` | 0 to 6 |
//! | `JoinGroup` | 0 to 9 |
//! | `Heartbeat` | 0 to 4 |
//! | `LeaveGroup` | 0 to 5 |
//! | `SyncGroup` | 0 to 5 |
//! | `DescribeGroups` | 0 to 6 |
//! | `ListGroups` | 0 to 5 |
//! | `ApiVersions` | 0 to 4 |
//! | `CreateTopics` | 2 to 7 |
//! | `DeleteTopics` | 1 to 6 |
//! | `DeleteRecords` | 0 to 2 |
//! | `InitProducerId` | 0 to 5 |
//! | `OffsetForLeaderEpoch` | 2 to 4 |
//! | `AddPartitionsToTxn` | 0 to 5 |
//! | `AddOffsetsToTxn` | 0 to 4 |
//! | `EndTxn` | 0 to 5 |
//! | `WriteTxnMarkers` | 1 |
//! | `TxnOffsetCommit` | 0 to 5 |
//! | `DescribeConfigs` | 1 to 4 |
//! | `AlterConfigs` | 0 to 2 |
//! | `CreatePartitions` | 0 to 3 |
//! | `DeleteGroups` | 0 to 2 |
//! | `IncrementalAlterConfigs` | 0 to 1 |
//! | `OffsetDelete` | 0 |
//! | `DescribeCluster` | 0 to 2 |
//! | `DescribeProducers` | 0 |
//! | `DescribeTransactions` | 0 |
//! | `DescribeTopicPartitions` | 0 |
//! | `ListTransactions` | 0 to 2 |
//!
//! # Not implemented
//!
//! - More than one node: replication, partition reassignment, leader election, the controller's own APIs (`KRaft`).
//! - TLS, SASL, ACLs and quotas. The broker listens on the loopback interface by default; anyone who can connect may do
//!   everything.
//! - The new group protocols: consumer groups of KIP-848, share groups (KIP-932) and streams groups (KIP-1071). Clients
//!   use the classic protocol.
//! - Fetch sessions (KIP-227): the broker declines them, and clients send full fetch requests.
//! - Recompression: `compression.type` of a topic is stored and has no effect; batches stay as the producer compressed
//!   them.
//! - Tiered storage, log directories, delegation tokens, client telemetry, and changing the broker's own configs.
//!
//! Deliberate differences: a fetch response carries at most 8 MiB and a request at most 32 MiB; a transaction is
//! aborted exactly at its timeout (Apache Kafka checks every ten seconds); the first member of a group waits for no
//! others; an idle connection stays open.
//!
//! Everything else follows Apache Kafka 4.1, down to error codes and versions: `tests/protocol/` compares both. Where
//! they differ, the embedded broker is wrong.
//!
//! # Structure
//!
//! ```text
//! server ─► connection ─► wire (validation) ─► dispatch ─► Core: topics | groups | transactions | produce | fetch ─► log, journal
//! ```
//!
//! Everything behind `dispatch` is a pure function of the state, a request and the time, and never waits. A response
//! that must wait, for a rebalance or for enough bytes to fetch, gets a ticket and is delivered when a later request or
//! tick completes it. This is the only module that names `kafka_protocol`, and it uses no other module of the crate.

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
pub use core::{NODE_ID, NodeSettings};
pub use corruption::{Corruption, OpenError};
pub use data_dir::DataDirError;
pub use directory::{Directory, Inspection, Untrusted, UntrustedReason};
pub use events::BrokerEvent;
pub use faults::{Fault, FaultRule, Faults};
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
pub use server::{BrokerConfig, BrokerStatus, GroupStatus, Server, StartError, TopicStatus};
pub use shared_core::EventListener;
