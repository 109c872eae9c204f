//! foodstream runs a campus food-ordering service on Kafka and proves what it claims.
//!
//! The map of the house, by rank; a file uses only what stands below it (`docs/ARCHITECTURE.md` says why):
//!
//! - rank 0: [`domain`], [`state`]
//! - rank 1: [`workload`], [`inventory`], [`analytics`], [`replay`], [`report`]

pub mod analytics;
pub mod domain;
pub mod inventory;
pub mod replay;
pub mod report;
pub mod state;
pub mod workload;
