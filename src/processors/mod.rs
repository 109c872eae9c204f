//! Owns the two processors on the transactional loop: the stock keeper of `inventory`, the tally keeper of `analytics`.
//!
//! Rank 35. Each joins a pure core to the loop; neither decides anything itself.

mod dead_letter;
mod stock_keeper;
mod tally_keeper;

pub use dead_letter::LetterRoom;
pub use stock_keeper::{DEAD_LETTERS, LEDGER, StockKeeper};
pub use tally_keeper::{STATE, TallyKeeper};
