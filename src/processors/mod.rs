//! Owns the two processors on the transactional loop: the stock keeper of `inventory`, the tally keeper of `analytics`.
//!
//! Rank 35. Each joins a pure core to the loop; neither decides anything itself.

mod analytics_processor;
mod dead_letter;
mod inventory_processor;

pub use analytics_processor::{AnalyticsProcessor, STATE};
pub use dead_letter::DeadLetterLimits;
pub use inventory_processor::{DEAD_LETTERS, InventoryProcessor, LEDGER};
