//! Owns what can be typed after `inventory`.

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, event_span};
use crate::inventory::{DEFAULT_OPENING_STOCK, OpeningStock};
use crate::workload::Rate;

/// `inventory`
#[derive(Debug, Clone, Args)]
pub struct Inventory {
    /// Stop when the group has reached the ends that the partitions have now
    #[arg(long)]
    pub until_end: bool,
    /// Take no more than this many orders in a time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// Units of an item when it is first ordered, or `unlimited`
    #[arg(long, value_name = "UNITS", default_value_t = DEFAULT_OPENING_STOCK, allow_hyphen_values = true)]
    pub opening_stock: OpeningStock,
    /// Event time after which an item is topped up again
    #[arg(long, value_name = "DURATION", default_value = "1h", allow_hyphen_values = true, value_parser = event_span)]
    pub restock_every: Duration,
    /// How long orders are collected in a transaction
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration)]
    pub commit_interval: Duration,
    /// Name of this instance: a restart under it takes over at once, a second process under it fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// Commit the ledger's position where the group's offset differs, and go on from there
    #[arg(long)]
    pub resume_from_ledger: bool,
    /// If order-events was deleted and created again: decide its orders from the first one on, with fresh stock
    #[arg(long)]
    pub start_over: bool,
    /// The consumer group [default: inventory-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
