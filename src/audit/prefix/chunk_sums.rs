//! Chunk sums: what two logs must have in common, as one sum of hashes for each range of source offsets.
//!
//! Two streams of records are equal, whatever the speed at which each is read, if their sums are. The memory does not
//! depend on the number of records, and only chunks that differ have to be looked at record by record.

use std::ops::Range;

/// The most chunks of a partition.
const MOST: i64 = 1 << 13;
/// The smallest chunk, in offsets.
const SMALLEST: i64 = 256;

/// A sum of hashes, modulo 2^128, for each chunk of a range of offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSums {
    start: i64,
    end: i64,
    /// Offsets in a chunk.
    length: i64,
    sums: Vec<u128>,
}

impl ChunkSums {
    /// Sums of nothing for the offsets from `start` to before `end`.
    #[must_use]
    pub fn new(start: i64, end: i64) -> Self {
        let offsets = end.saturating_sub(start).max(0);
        let length = (offsets / MOST + 1).max(SMALLEST);
        let chunks = usize::try_from((offsets + length - 1) / length).unwrap_or(0);
        Self { start, end: start.saturating_add(offsets), length, sums: vec![0; chunks] }
    }

    /// The offsets that have a chunk.
    #[must_use]
    pub const fn range(&self) -> Range<i64> {
        self.start..self.end
    }

    fn index(&self, offset: i64) -> Option<usize> {
        if !self.range().contains(&offset) {
            return None;
        }
        usize::try_from((offset - self.start) / self.length).ok()
    }

    /// Adds a record that belongs to a source offset; `false` if the offset has no chunk.
    pub fn add(&mut self, offset: i64, hash: u128) -> bool {
        let Some(sum) = self.index(offset).and_then(|index| self.sums.get_mut(index)) else { return false };
        *sum = sum.wrapping_add(hash);
        true
    }

    /// The offsets of the chunks between two offsets that differ from those of other sums over the same range. A chunk
    /// that is only partly between them is left out.
    #[must_use]
    pub fn differing(&self, other: &Self, between: &Range<i64>) -> Vec<Range<i64>> {
        let mut found: Vec<Range<i64>> = Vec::new();
        for (index, (own, others)) in (0..).zip(self.sums.iter().zip(&other.sums)) {
            let start = self.start + index * self.length;
            let end = (start + self.length).min(self.end);
            if own == others || start < between.start || end > between.end {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => found.push(start..end),
            }
        }
        found
    }

    /// The sum over the chunks that are wholly between two offsets.
    #[must_use]
    pub fn total(&self, between: &Range<i64>) -> u128 {
        let starts = (0..).map(|index| self.start + index * self.length);
        let chunks = starts
            .zip(&self.sums)
            .filter(|(start, _)| *start >= between.start && (start + self.length).min(self.end) <= between.end);
        chunks.fold(0, |total, (_, sum)| total.wrapping_add(*sum))
    }

    /// The largest range of whole chunks between two offsets.
    #[must_use]
    pub fn whole_chunks(&self, between: &Range<i64>) -> Range<i64> {
        let up = |offset: i64| {
            let chunks = (offset.max(self.start) - self.start + self.length - 1) / self.length;
            (self.start + chunks * self.length).min(self.end)
        };
        let down = |offset: i64| {
            if offset >= self.end {
                return self.end;
            }
            self.start + (offset.max(self.start) - self.start) / self.length * self.length
        };
        let (start, end) = (up(between.start), down(between.end));
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_large_range_has_a_limited_number_of_chunks() {
        let sums = ChunkSums::new(5, 5 + 1_000_000_000_000);
        assert!(sums.sums.len() <= 1 << 13, "{}", sums.sums.len());
        assert_eq!(sums.range(), 5..1_000_000_000_005);
        assert_eq!(ChunkSums::new(7, 7).sums.len(), 0);
        assert_eq!(ChunkSums::new(7, 3).range(), 7..7);
    }

    #[test]
    fn chunks_at_the_borders_are_left_out() {
        let sums = ChunkSums::new(100, 1_000);
        assert_eq!(sums.whole_chunks(&(0..2_000)), 100..1_000);
        assert_eq!(sums.whole_chunks(&(101..999)), 356..868);
        assert_eq!(sums.whole_chunks(&(101..300)), 356..356);
        let mut other = sums.clone();
        assert!(other.add(999, 1) && other.add(400, 1) && !other.add(1_000, 1) && !other.add(99, 1));
        assert_eq!(sums.differing(&other, &(0..2_000)), [356..612, 868..1_000]);
        assert_eq!(sums.differing(&other, &(0..999)), [Range { start: 356, end: 612 }]);
        assert_eq!([other.total(&(0..2_000)), other.total(&(0..999)), other.total(&(400..999))], [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn a_difference_is_in_its_chunk(offset in 0_i64..100_000, start in 0_i64..50_000, hash in 1_u128..) {
            let sums = ChunkSums::new(start, 100_000);
            let mut other = sums.clone();
            let added = other.add(offset, hash);
            prop_assert_eq!(added, offset >= start);
            let found = sums.differing(&other, &(0..100_000));
            prop_assert_eq!(found.len(), usize::from(added));
            prop_assert!(found.iter().all(|chunk| chunk.contains(&offset)));
        }
    }
}
