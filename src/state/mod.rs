//! State that is kept in a changelog: tables with uncommitted changes, position records, topic ids, and digests of
//! offset ranges.
//!
//! Layer 0: uses no other module of this crate. Bytes and JSON, no Kafka.

mod digest;
mod position;
mod table;
mod topic_id;

pub use digest::Digest;
pub use position::{Checkpoint, Loss, Position, PositionKey};
pub use table::{RowId, Table};
pub use topic_id::{TopicId, is_another_topic};
