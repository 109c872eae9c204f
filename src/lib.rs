//! foodstream runs a campus food-ordering service on Kafka and verifies its own results.
//!
//! The program is this library and a binary that calls it. Other programs may use the modules that are public here: an
//! embedded broker that speaks Kafka's protocol ([`broker`]), the seeded workload ([`workload`]), the events
//! ([`domain`]), and what the commands compute and print ([`inventory`], [`analytics`], [`lag`], [`replay`],
//! [`scenario`], [`report`]) over the state of [`state`].
//!
//! `docs/ARCHITECTURE.md` lists all modules and their layers.

pub mod analytics;
pub mod audit;
pub mod broker;
mod clean;
#[doc(hidden)]
pub mod cli;
mod clock;
mod commands;
mod console;
mod descriptors;
pub mod domain;
mod exit;
mod external_sort;
mod frame;
pub mod inventory;
#[doc(hidden)]
pub mod kafka;
pub mod lag;
mod local_broker;
mod output;
mod printable;
#[doc(hidden)]
pub mod process;
mod processors;
pub mod replay;
pub mod report;
pub mod scenario;
mod scenario_runner;
mod screen;
mod secrets;
mod settings;
#[doc(hidden)]
pub mod shutdown;
pub mod state;
mod stream;
mod topics;
mod units;
pub mod workload;
