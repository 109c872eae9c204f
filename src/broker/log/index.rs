//! Sparse index of a segment, by offset and by timestamp.

/// Bytes between two entries, as Kafka's `index.interval.bytes`.
pub const INTERVAL: u64 = 4096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    base_offset: i64,
    position: u64,
    /// Largest timestamp of all earlier batches.
    timestamp_before: i64,
}

/// 24 bytes per 4 KiB of log or more.
#[derive(Debug, Clone, Default)]
pub struct Index {
    entries: Vec<Entry>,
    since_last: u64,
}

impl Index {
    pub fn add(&mut self, base_offset: i64, position: u64, size: u64, timestamp_before: i64) {
        if self.entries.is_empty() || self.since_last > INTERVAL {
            self.entries.push(Entry { base_offset, position, timestamp_before });
            self.since_last = 0;
        }
        self.since_last += size;
    }

    /// Position at or before the batch that holds this offset, or the next one.
    #[must_use]
    pub fn floor(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.base_offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// Position at or after the end of all batches below this offset; `None` for the segment's end.
    #[must_use]
    pub fn ceiling(&self, offset: i64) -> Option<u64> {
        let at = self.entries.partition_point(|entry| entry.base_offset < offset);
        self.entries.get(at).map(|entry| entry.position)
    }

    /// Position at or before the first batch that reaches this timestamp.
    #[must_use]
    pub fn floor_of_time(&self, timestamp: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.timestamp_before < timestamp);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }
}
