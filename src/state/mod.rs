//! Owns state that lives in a changelog: a table with the changes of one transaction, position records, ids of
//! topics, range digests.
//!
//! Rank 0: uses nothing else of this crate. Bytes and JSON, no Kafka.

mod digest;
mod position;
mod table;
mod topic_id;

pub use digest::Digest;
pub use position::{Checkpoint, Loss, Position, PositionKey};
pub use table::{RowId, Table};
pub use topic_id::{TopicId, is_another_topic};
