//! Owns the stock: what becomes of each order, the ledger that remembers it, and the settings it depends on.
//!
//! Rank 1: pure. A [`StockStore`] is the stock of one source partition; it is restored from ledger records, decides
//! orders, lists what a transaction changed, and follows its commit or abort. No clock, no randomness, no Kafka.

mod document;
mod ledger;
mod settings;
mod stock_store;

#[cfg(test)]
mod property_tests;

pub use document::{CommittedOffset, InventoryDocument};
pub use ledger::LedgerError;
pub use settings::{DEFAULT_OPENING_STOCK, DEFAULT_RESTOCK_EVERY, OpeningStock, StockSettings, StockSettingsError};
pub use stock_store::{DecisionCounts, StockStore};
