//! Inventory: decisions about orders, the stock of each item, and the ledger records that keep it.
//! See `docs/reference/stock.md`.
//!
//! Layer 10, pure. A [`StockStore`] is the stock of one source partition: it is restored from ledger records, decides
//! orders, lists the changes of a transaction, and commits or aborts them. No clock, no randomness, no Kafka.

mod dead_letters;
mod document;
mod ledger;
mod settings;
mod stock_store;

#[cfg(test)]
mod property_tests;

pub use dead_letters::{CUT_VALUE, DeadLetterExample, DeadLetterRow, DeadLetters, sha256_hex};
pub use document::{CommittedOffset, InventoryDocument};
pub use ledger::LedgerError;
pub use settings::{DEFAULT_OPENING_STOCK, DEFAULT_RESTOCK_EVERY, OpeningStock, StockSettings, StockSettingsError};
pub use stock_store::{DecisionCounts, StockStore};
