//! foodstream runs a campus food-ordering service on Kafka and proves what it claims.
//!
//! The map of the house; a file uses only what stands below it (`docs/ARCHITECTURE.md` has the ranks and says why):
//!
//! - pure core: [`domain`], [`state`], [`workload`], [`inventory`], [`analytics`], [`lag`], [`scenario`], [`replay`],
//!   [`clean`], [`report`], [`printable`]
//! - the edge of the process: [`exit`], [`clock`], [`shutdown`], [`console`], [`output`], [`topics`], [`secrets`]
//! - what was typed and meant: [`cli`], [`settings`]
//! - Kafka: [`broker`] (an embedded one), [`local_broker`] (which one a command talks to), [`kafka`] (the door), [`stream`]
//!   (the transactional loop), [`processors`]
//! - [`laboratory`]: scripts of command lines, played
//! - [`commands`]: one file a command

pub mod analytics;
pub mod broker;
pub mod clean;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod console;
pub mod descriptors;
pub mod domain;
pub mod exit;
pub mod inventory;
pub mod kafka;
pub mod laboratory;
pub mod lag;
pub mod local_broker;
pub mod output;
pub mod printable;
pub mod processors;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod secrets;
pub mod settings;
pub mod shutdown;
pub mod state;
pub mod stream;
pub mod topics;
pub mod workload;
