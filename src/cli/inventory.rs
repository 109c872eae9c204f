//! Arguments of `inventory`.

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, event_span};
use crate::inventory::{DEFAULT_OPENING_STOCK, OpeningStock};
use crate::workload::Rate;

#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Inventory {
    /// Stop when the group has reached the current end of each partition
    #[arg(long)]
    pub until_end: bool,
    /// Read at most this many orders per unit of time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// Initial stock of each item, or `unlimited`
    #[arg(long, value_name = "UNITS", default_value_t = DEFAULT_OPENING_STOCK, allow_hyphen_values = true)]
    pub opening_stock: OpeningStock,
    /// Event time between two restocks of an item
    #[arg(long, value_name = "DURATION", default_value = "1h", allow_hyphen_values = true, value_parser = event_span)]
    pub restock_every: Duration,
    /// How long to collect orders before a transaction is committed
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration)]
    pub commit_interval: Duration,
    /// Static member name: a restarted process takes over at once, and a second process fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// If the group's offset and the ledger's position differ: commit the ledger's position and continue from it
    #[arg(long)]
    pub resume_from_ledger: bool,
    /// If order-events was deleted and created again: process it from its first order, with new stock
    #[arg(long)]
    pub start_over: bool,
    /// Consumer group [default: inventory-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Show the committed offset of each partition
    #[arg(long)]
    pub full: bool,
}
