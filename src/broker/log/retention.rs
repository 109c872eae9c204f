//! Retention: deletes segments by age or size, or below the log start offset.

use std::io;

use super::Log;
use super::segment::{Segment, digest_sum};
use crate::broker::ends::LogEnd;
use crate::broker::kill_points;

impl Log {
    /// Advances the log start offset (within the log) and deletes the segments below it.
    pub fn delete_records_before(&mut self, offset: i64) -> io::Result<()> {
        self.start = self.start.max(offset.min(self.end));
        self.drop_below_start()
    }

    /// The log start offset after [`Log::apply_retention`]. Changes nothing.
    #[must_use]
    pub fn start_after_retention(&self, now: i64) -> i64 {
        let mut count = self.below_start();
        if self.settings.delete {
            let left = &self.segments[count..];
            count += self.expired(left, now);
            count += self.surplus(&self.segments[count..]);
        }
        self.segments.get(count).map_or(self.end, |segment| segment.base_offset).max(self.start)
    }

    /// Deletes segments by retention, and expires producers. Returns whether the log start offset has moved.
    pub fn apply_retention(&mut self, now: i64) -> io::Result<bool> {
        self.producers.expire(now);
        let before = self.start;
        self.drop_below_start()?;
        if self.settings.delete {
            let expired = self.expired(&self.segments, now);
            self.drop_first(expired, now)?;
            let surplus = self.surplus(&self.segments);
            self.drop_first(surplus, now)?;
        }
        Ok(self.start != before)
    }

    fn drop_below_start(&mut self) -> io::Result<()> {
        self.remove_first(self.below_start())
    }

    fn below_start(&self) -> usize {
        self.segments.iter().skip(1).take_while(|segment| segment.base_offset <= self.start).count()
    }

    /// Number of segments at the front that are older than `retention.ms`.
    fn expired(&self, segments: &[Segment], now: i64) -> usize {
        let is_old = |segment: &&Segment| {
            self.settings.retention_ms.is_some_and(|retention| now - segment.newest_timestamp() > retention)
        };
        segments.iter().take_while(is_old).count()
    }

    /// Number of segments at the front that exceed `retention.bytes`.
    fn surplus(&self, segments: &[Segment]) -> usize {
        let size = segments.iter().map(|segment| segment.size).sum::<u64>();
        let Some(mut over) = self.settings.retention_bytes.and_then(|retention| size.checked_sub(retention)) else {
            return 0;
        };
        let goes = |segment: &&Segment| {
            let left = over.checked_sub(segment.size);
            over = left.unwrap_or(0);
            left.is_some()
        };
        segments.iter().take_while(goes).count()
    }

    /// Deletes segments from the front. To delete all of them, it rolls first, unless the active segment is empty.
    fn drop_first(&mut self, mut count: usize, now: i64) -> io::Result<()> {
        if count == self.segments.len() {
            if self.active().size == 0 {
                count -= 1;
            } else {
                self.roll(now)?;
            }
        }
        self.remove_first(count)
    }

    fn remove_first(&mut self, count: usize) -> io::Result<()> {
        if count > 0 {
            let removed = digest_sum(&self.segments[..count]);
            let closed_digest = self.closed_digest.wrapping_sub(removed);
            let first = self.segments[count].base_offset;
            self.write_end_through(&LogEnd {
                first,
                closed_digest,
                pending_digest: closed_digest,
                ..self.current_end()
            })?;
        }
        for _ in 0..count {
            self.segments[0].remove()?;
            kill_points::passed();
            self.closed_digest = self.closed_digest.wrapping_sub(self.segments[0].closed_digest());
            self.segments.remove(0);
            self.start = self.start.max(self.segments[0].base_offset);
        }
        self.aborted.remove_before(self.start);
        Ok(())
    }
}
