//! Digests at chosen offsets of a partition, to be compared with those that consumers kept while they read it.

use crate::state::Digest;

/// The digest of all records before each of some offsets.
#[derive(Debug, Clone, Default)]
pub struct DigestMarks {
    /// Sorted, each once.
    offsets: Vec<i64>,
    /// The digest and the number of records before the first `at.len()` offsets.
    at: Vec<(Digest, u64)>,
    digest: Digest,
    records: u64,
}

impl DigestMarks {
    /// Marks at these offsets.
    #[must_use]
    pub fn new(mut offsets: Vec<i64>) -> Self {
        offsets.sort_unstable();
        offsets.dedup();
        Self { offsets, ..Self::default() }
    }

    /// Adds the next record. After the last mark it does nothing.
    pub fn add(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.reached(offset);
        if self.at.len() < self.offsets.len() {
            self.digest.add(offset, key, value);
            self.records += 1;
        }
    }

    /// Everything before a position was added.
    pub fn reached(&mut self, position: i64) {
        while self.offsets.get(self.at.len()).is_some_and(|offset| *offset <= position) {
            self.at.push((self.digest, self.records));
        }
    }

    /// The digest and the number of records between two marks; `None` if one of them is not a mark or was not reached.
    #[must_use]
    pub fn between(&self, start: i64, end: i64) -> Option<(Digest, u64)> {
        let at = |offset: i64| self.at.get(self.offsets.binary_search(&offset).ok()?).copied();
        let ((before, earlier), (after, records)) = (at(start)?, at(end)?);
        Some((after.since(before), records.saturating_sub(earlier)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_between_marks_has_its_own_digest() {
        let mut marks = DigestMarks::new(vec![9, 2, 2, 5, 20]);
        let mut expected = Digest::default();
        for offset in [0, 1, 2, 4, 6, 8, 12] {
            marks.add(offset, None, Some(b"x"));
            if (2..9).contains(&offset) {
                expected.add(offset, None, Some(b"x"));
            }
        }
        assert_eq!(marks.between(2, 9), Some((expected, 4)));
        assert_eq!(marks.between(2, 2), Some((Digest::default(), 0)));
        assert_eq!(marks.between(2, 20), None, "not reached");
        marks.reached(20);
        assert_eq!(marks.between(9, 20).map(|(_, records)| records), Some(1));
        assert_eq!(marks.between(3, 9), None, "no mark");
    }
}
