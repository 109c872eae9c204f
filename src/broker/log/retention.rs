//! Owns what a log lets go: what is too old, too much, or was deleted by an administrator.

use std::io;

use super::Log;
use super::segment::Segment;

impl Log {
    /// Moves the log's start up to this offset (within the log) and drops segments that lie below it as a whole.
    ///
    /// # Errors
    ///
    /// When a segment cannot be removed.
    pub fn delete_records_before(&mut self, offset: i64) -> io::Result<()> {
        self.start = self.start.max(offset.min(self.end));
        self.drop_below_start()
    }

    /// Applies retention, as far as it is due, and forgets producers. Returns whether the log's start has moved.
    ///
    /// # Errors
    ///
    /// When a segment cannot be written or removed.
    pub fn clean(&mut self, now: i64) -> io::Result<bool> {
        self.producers.expire(now);
        let before = self.start;
        self.drop_below_start()?;
        if self.settings.delete {
            if let Some(retention) = self.settings.retention_ms {
                let expired = self.segments.iter().take_while(|segment| now - segment.newest() > retention).count();
                self.drop_first(expired, now)?;
            }
            if let Some(mut over) =
                self.settings.retention_bytes.and_then(|retention| self.size().checked_sub(retention))
            {
                let goes = |segment: &&Segment| {
                    let left = over.checked_sub(segment.size);
                    over = left.unwrap_or(0);
                    left.is_some()
                };
                let surplus = self.segments.iter().take_while(goes).count();
                self.drop_first(surplus, now)?;
            }
        }
        Ok(self.start != before)
    }

    fn drop_below_start(&mut self) -> io::Result<()> {
        let behind = self.segments.iter().skip(1).take_while(|segment| segment.base_offset <= self.start).count();
        self.remove_first(behind)
    }

    /// Drops segments from the front. Where all of them go, the active one is closed first; an empty one stays as it is.
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
        for _ in 0..count {
            self.segments[0].remove()?;
            self.segments.remove(0);
            self.start = self.start.max(self.segments[0].base_offset);
        }
        self.aborted.forget_before(self.start);
        Ok(())
    }
}
