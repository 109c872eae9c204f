//! foodstream runs a campus food-ordering service on Kafka and proves what it claims.
//!
//! The map of the house, by rank; a file uses only what stands below it (`docs/ARCHITECTURE.md` says why):
//!
//! - what was typed and meant: [`cli`], [`settings`]
//! - the edge of the process: [`exit`], [`clock`], [`shutdown`], [`console`], [`output`]
//! - pure core: [`domain`], [`state`], [`topics`], [`workload`], [`inventory`], [`analytics`], [`replay`], [`report`]
//! - Kafka: [`kafka`] (the door), [`stream`] (the transactional loop), [`processors`]
//! - [`commands`]: one file a command

pub mod analytics;
pub mod clock;
pub mod console;
pub mod domain;
pub mod exit;
pub mod inventory;
pub mod kafka;
pub mod output;
pub mod replay;
pub mod report;
pub mod shutdown;
pub mod state;
pub mod stream;
pub mod topics;
pub mod workload;
