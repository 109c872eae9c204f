//! Unmatched records: those without the field by which inputs and outputs are matched.

use std::collections::BTreeSet;

use super::super::entry::Place;

/// The number of records without the field, and the places of the first ones.
#[derive(Debug, Clone)]
pub struct Unmatched {
    count: u64,
    first: BTreeSet<Place>,
    /// The most places.
    most: usize,
}

impl Unmatched {
    /// None yet; keeps at most this many places.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { count: 0, first: BTreeSet::new(), most }
    }

    /// Adds a record.
    pub fn add(&mut self, place: Place) {
        self.count += 1;
        self.keep(place);
    }

    /// Adds other records.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for place in &other.first {
            self.keep(*place);
        }
    }

    fn keep(&mut self, place: Place) {
        if self.first.len() < self.most {
            self.first.insert(place);
        } else if self.first.last().is_some_and(|last| place < *last) {
            self.first.insert(place);
            self.first.pop_last();
        }
    }

    /// The number of records.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The places of the first ones: inputs before outputs, then by partition and offset.
    pub fn first(&self) -> impl Iterator<Item = Place> {
        self.first.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::Side;

    proptest! {
        #[test]
        fn keeps_the_first_places(offsets in prop::collection::btree_set(0_i64..1_000, 0..50), most in 1_usize..5) {
            let place = |offset: i64| Place::new(Side::Effect, 0, offset);
            let (mut left, mut right) = (Unmatched::new(most), Unmatched::new(most));
            for offset in offsets.iter().copied() {
                if offset % 3 == 0 { left.add(place(offset)) } else { right.add(place(offset)) }
            }
            left.merge(&right);
            let expected: Vec<i64> = offsets.into_iter().collect();
            prop_assert_eq!(left.count(), expected.len() as u64);
            let kept: Vec<i64> = left.first().map(Place::offset).collect();
            prop_assert_eq!(&kept, &expected[..most.min(expected.len())]);
        }
    }
}
