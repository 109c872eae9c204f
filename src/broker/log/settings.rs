//! Storage and settings of a log.

use super::open_files::OpenFiles;
use crate::broker::directory::Directory;

#[derive(Debug, Clone)]
pub enum LogStorage {
    /// Lost when the process ends.
    Memory,
    /// In a directory, which is created if it is missing.
    Directory {
        dir: Directory,
        /// Call fsync before an append returns.
        fsync: bool,
        /// Pool of open files that its segments share.
        files: OpenFiles,
    },
}

/// Topic configs that a log needs. Names and units are Kafka's.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSettings {
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `retention.ms`; `None` for -1.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` for -1.
    pub retention_bytes: Option<u64>,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
}
