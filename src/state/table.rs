//! Owns a keyed table whose changes since the last commit can be listed, kept or dropped.
//!
//! This is the overlay of the transactional loop: what a transaction changed is written to the changelog once per key,
//! folded in when the transaction has committed, and forgotten when it was aborted.

use std::hash::Hash;

use hashbrown::DefaultHashBuilder;
use indexmap::{Equivalent, IndexMap};

/// A table of values with an overlay of uncommitted changes.
#[derive(Debug)]
pub struct Table<K, V> {
    slots: IndexMap<K, Slot<V>, DefaultHashBuilder>,
    changed: Vec<Change<V>>,
    /// Keys that have a value, uncommitted changes included.
    values: usize,
}

/// The current value of a key. One tag says all of it: a table may have a million of them.
#[derive(Debug)]
enum Slot<V> {
    /// Never had one, or it is deleted.
    Empty,
    /// The committed one.
    Committed(V),
    /// One of this transaction.
    Changed(V),
}

/// What this transaction has changed, and what an abort goes back to.
#[derive(Debug)]
struct Change<V> {
    index: usize,
    committed: Option<V>,
}

impl<V> Slot<V> {
    const fn value(&self) -> Option<&V> {
        match self {
            Self::Empty => None,
            Self::Committed(value) | Self::Changed(value) => Some(value),
        }
    }

    fn committed(value: Option<V>) -> Self {
        value.map_or(Self::Empty, Self::Committed)
    }
}

/// A place in a [`Table`], found once and used for several reads and writes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId(usize);

impl RowId {
    /// The place's number: keys are numbered densely from 0 in the order in which they were first seen.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { slots: IndexMap::default(), changed: Vec::new(), values: 0 }
    }
}

impl<K: Hash + Eq, V: Clone> Table<K, V> {
    /// The current value of a key, uncommitted changes included.
    pub fn get<Q: ?Sized + Hash + Equivalent<K>>(&self, key: &Q) -> Option<&V> {
        self.slots.get(key)?.value()
    }

    /// The place of a key; a key never seen gets one without a value, for which `make` builds the owned key.
    pub fn row_id<Q: ?Sized + Hash + Equivalent<K>>(&mut self, key: &Q, make: impl FnOnce() -> K) -> RowId {
        if let Some(index) = self.slots.get_index_of(key) {
            return RowId(index);
        }
        let (index, _) = self.slots.insert_full(make(), Slot::Empty);
        RowId(index)
    }

    /// The current value at a place.
    #[must_use]
    pub fn at(&self, place: RowId) -> Option<&V> {
        self.slots[place.0].value()
    }

    /// The current value at a place, made by `default` where there is none; counts as changed from now on.
    pub fn change(&mut self, place: RowId, default: impl FnOnce() -> V) -> &mut V {
        let slot = &mut self.slots[place.0];
        if !matches!(slot, Slot::Changed(_)) {
            let committed = slot.value().cloned();
            self.values += usize::from(committed.is_none());
            let value = committed.clone().unwrap_or_else(default);
            self.changed.push(Change { index: place.0, committed });
            *slot = Slot::Changed(value);
        }
        match slot {
            Slot::Changed(value) | Slot::Committed(value) => value,
            Slot::Empty => unreachable!("it was changed above"),
        }
    }

    /// Takes over a value from the changelog: committed, and no change of this transaction.
    pub fn restore(&mut self, key: K, value: Option<V>) {
        self.values += usize::from(value.is_some());
        let (index, replaced) = self.slots.insert_full(key, Slot::committed(value));
        if matches!(replaced, Some(Slot::Changed(_))) {
            self.changed.retain(|change| change.index != index);
        }
        self.values -= usize::from(replaced.is_some_and(|replaced| replaced.value().is_some()));
    }

    /// The changes since the last commit, once per key, in the order of each key's first change.
    pub fn changes(&self) -> impl Iterator<Item = (&K, &V)> {
        self.changed.iter().filter_map(|change| {
            let (key, slot) = self.slots.get_index(change.index)?;
            Some((key, slot.value()?))
        })
    }

    /// The transaction has committed: its changes become the committed values.
    pub fn commit(&mut self) {
        for change in self.changed.drain(..) {
            let slot = &mut self.slots[change.index];
            if let Slot::Changed(value) = std::mem::replace(slot, Slot::Empty) {
                *slot = Slot::Committed(value);
            }
        }
    }

    /// The transaction was aborted: its changes are forgotten.
    pub fn abort(&mut self) {
        for change in self.changed.drain(..) {
            // What has changed has a value.
            self.values -= usize::from(change.committed.is_none());
            self.slots[change.index] = Slot::committed(change.committed);
        }
    }

    /// Every key with a value, uncommitted changes included, in the order in which the keys were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key, slot.value()?)))
    }

    /// Number of keys with a value, uncommitted changes included.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Number of keys ever seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no key was ever seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_aborted_change_is_forgotten_and_a_committed_one_kept() {
        let mut table: Table<Box<str>, u32> = Table::default();
        let place = table.row_id("a", || "a".into());
        *table.change(place, || 0) += 5;
        table.commit();
        *table.change(place, || 0) += 7;
        let other = table.row_id("b", || "b".into());
        *table.change(other, || 0) += 1;
        assert_eq!(table.changes().count(), 2);
        table.abort();
        assert_eq!(table.get("a"), Some(&5));
        assert_eq!(table.get("b"), None);
        assert_eq!(table.changes().count(), 0);
    }

    #[test]
    fn what_is_restored_is_committed_also_in_place_of_a_change() {
        let mut table: Table<u8, u32> = Table::default();
        let place = table.row_id(&1, || 1);
        *table.change(place, || 0) += 5;
        table.restore(1, Some(9));
        assert_eq!(table.changes().count(), 0);
        table.abort();
        assert_eq!(table.get(&1), Some(&9));
        table.restore(1, None);
        assert_eq!((table.get(&1), table.iter().count(), table.len()), (None, 0, 1));
    }

    #[test]
    fn a_row_takes_no_more_than_its_value_and_a_tag() {
        assert_eq!(size_of::<Slot<[u64; 8]>>(), 72);
    }

    proptest! {
        /// Any history of changes, commits and aborts leaves what a plain map with snapshots would hold.
        #[test]
        fn it_agrees_with_a_map_and_its_snapshot(
            restored in prop::collection::vec((0u8..5, prop::option::of(0u32..9)), 0..10),
            steps in prop::collection::vec((0u8..8, 0u8..5), 0..200),
        ) {
            let mut table: Table<u8, u32> = Table::default();
            let mut model: BTreeMap<u8, u32> = BTreeMap::new();
            for (key, value) in restored {
                table.restore(key, value);
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            let mut snapshot = model.clone();
            for (step, key) in steps {
                match step {
                    0 => { table.commit(); snapshot.clone_from(&model); }
                    1 => { table.abort(); model.clone_from(&snapshot); }
                    n => {
                        let place = table.row_id(&key, || key);
                        *table.change(place, || 0) += u32::from(n);
                        *model.entry(key).or_default() += u32::from(n);
                    }
                }
            }
            let held: BTreeMap<u8, u32> = table.iter().map(|(k, v)| (*k, *v)).collect();
            prop_assert_eq!(table.values(), model.len());
            prop_assert_eq!(held, model);
        }
    }
}
