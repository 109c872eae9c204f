//! Owns the sparse index of a segment: where to begin looking for an offset or a time.

/// An entry is made for the first batch behind this many bytes without one, as Kafka's `index.interval.bytes`.
pub const INTERVAL: u64 = 4096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    base_offset: i64,
    position: u64,
    /// The largest timestamp of all batches before this one.
    timestamp_before: i64,
}

/// Offsets and times to positions, 24 bytes for at least 4 KiB.
#[derive(Debug, Clone, Default)]
pub struct Index {
    entries: Vec<Entry>,
    behind_last: u64,
}

impl Index {
    /// Takes in the next batch.
    pub fn add(&mut self, base_offset: i64, position: u64, size: u64, timestamp_before: i64) {
        if self.entries.is_empty() || self.behind_last > INTERVAL {
            self.entries.push(Entry { base_offset, position, timestamp_before });
            self.behind_last = 0;
        }
        self.behind_last += size;
    }

    /// Where to begin for the batch that holds this offset, or the next one.
    #[must_use]
    pub fn floor(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.base_offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// Where everything below this offset has certainly ended; `None` for the segment's end.
    #[must_use]
    pub fn ceiling(&self, offset: i64) -> Option<u64> {
        let at = self.entries.partition_point(|entry| entry.base_offset < offset);
        self.entries.get(at).map(|entry| entry.position)
    }

    /// Where to begin for the first batch that reaches this time.
    #[must_use]
    pub fn floor_of_time(&self, timestamp: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.timestamp_before < timestamp);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }
}
