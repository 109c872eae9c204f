//! Owns state that lives in a changelog: a table with the changes of one transaction, position records, range digests.
//!
//! Rank 0: uses nothing else of this crate. Bytes and JSON, no Kafka.

mod digest;
mod position;
mod table;

pub use digest::Digest;
pub use position::{Checkpoint, Position, PositionKey};
pub use table::{Place, Table};
