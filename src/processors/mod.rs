//! Stream processors of `inventory` and `analytics`, and the dead letter queue (DLQ) of `inventory`.
//!
//! Layer 35. Each processor connects a pure module (`inventory`, `analytics`) to the transactional loop (`stream`).

mod analytics_processor;
mod dead_letter;
mod inventory_processor;

pub use analytics_processor::{AnalyticsProcessor, STATE};
pub use dead_letter::DeadLetterLimits;
pub use inventory_processor::{DEAD_LETTERS, InventoryProcessor, LEDGER};
