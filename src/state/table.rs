//! State store: a keyed table whose changes since the last commit can be listed, committed or aborted.
//!
//! The transactional loop writes the changes of a transaction to the changelog once per key, keeps them when it
//! commits, and drops them when it aborts.

use std::hash::Hash;

use hashbrown::DefaultHashBuilder;
use indexmap::{Equivalent, IndexMap};

/// A table of values with uncommitted changes.
#[derive(Debug)]
pub struct Table<K, V> {
    slots: IndexMap<K, Slot<V>, DefaultHashBuilder>,
    changed: Vec<Change<V>>,
    /// Number of keys with a value, including uncommitted changes.
    values: usize,
}

/// The current value of a key. One enum, not two options, to save memory: a table may have a million slots.
#[derive(Debug)]
enum Slot<V> {
    /// No value yet, or it was deleted.
    Empty,
    /// The committed value.
    Committed(V),
    /// A value of the open transaction.
    Changed(V),
}

/// A change of the open transaction, with the value that an abort restores.
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

/// The row of a key in a [`Table`]: saves repeated hashing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId(usize);

impl RowId {
    /// The row's number: rows are numbered from 0 in the order in which their keys were first used.
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
    /// The current value of a key, including uncommitted changes.
    pub fn get<Q: ?Sized + Hash + Equivalent<K>>(&self, key: &Q) -> Option<&V> {
        self.slots.get(key)?.value()
    }

    /// The row of a key. A new key, made by `make`, gets a row without a value.
    pub fn row_id<Q: ?Sized + Hash + Equivalent<K>>(&mut self, key: &Q, make: impl FnOnce() -> K) -> RowId {
        if let Some(index) = self.slots.get_index_of(key) {
            return RowId(index);
        }
        let (index, _) = self.slots.insert_full(make(), Slot::Empty);
        RowId(index)
    }

    /// The current value of a row.
    #[must_use]
    pub fn at(&self, row: RowId) -> Option<&V> {
        self.slots[row.0].value()
    }

    /// The current value of a row, made by `default` if it has none; marks the row as changed.
    pub fn change(&mut self, row: RowId, default: impl FnOnce() -> V) -> &mut V {
        let slot = &mut self.slots[row.0];
        if !matches!(slot, Slot::Changed(_)) {
            let committed = slot.value().cloned();
            self.values += usize::from(committed.is_none());
            let value = committed.clone().unwrap_or_else(default);
            self.changed.push(Change { index: row.0, committed });
            *slot = Slot::Changed(value);
        }
        match slot {
            Slot::Changed(value) | Slot::Committed(value) => value,
            Slot::Empty => unreachable!("set above"),
        }
    }

    /// Restores a value from the changelog as a committed one.
    pub fn restore(&mut self, key: K, value: Option<V>) {
        self.values += usize::from(value.is_some());
        let (index, replaced) = self.slots.insert_full(key, Slot::committed(value));
        if matches!(replaced, Some(Slot::Changed(_))) {
            self.changed.retain(|change| change.index != index);
        }
        self.values -= usize::from(replaced.is_some_and(|replaced| replaced.value().is_some()));
    }

    /// The changes since the last commit, once per key, in the order of the first changes.
    pub fn changes(&self) -> impl Iterator<Item = (&K, &V)> {
        self.changed.iter().filter_map(|change| {
            let (key, slot) = self.slots.get_index(change.index)?;
            Some((key, slot.value()?))
        })
    }

    /// Commits the changes.
    pub fn commit(&mut self) {
        for change in self.changed.drain(..) {
            let slot = &mut self.slots[change.index];
            if let Slot::Changed(value) = std::mem::replace(slot, Slot::Empty) {
                *slot = Slot::Committed(value);
            }
        }
    }

    /// Drops the changes.
    pub fn abort(&mut self) {
        for change in self.changed.drain(..) {
            // A changed row has a value.
            self.values -= usize::from(change.committed.is_none());
            self.slots[change.index] = Slot::committed(change.committed);
        }
    }

    /// Every key with a value, including uncommitted changes, in the order in which the keys were first used.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key, slot.value()?)))
    }

    /// Number of keys with a value, including uncommitted changes.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Number of keys ever used, including those without a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no key was ever used.
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
    fn commit_keeps_and_abort_drops_changes() {
        let mut table: Table<Box<str>, u32> = Table::default();
        let row = table.row_id("a", || "a".into());
        *table.change(row, || 0) += 5;
        table.commit();
        *table.change(row, || 0) += 7;
        let other = table.row_id("b", || "b".into());
        *table.change(other, || 0) += 1;
        assert_eq!(table.changes().count(), 2);
        table.abort();
        assert_eq!(table.get("a"), Some(&5));
        assert_eq!(table.get("b"), None);
        assert_eq!(table.changes().count(), 0);
    }

    #[test]
    fn restore_replaces_an_uncommitted_change() {
        let mut table: Table<u8, u32> = Table::default();
        let row = table.row_id(&1, || 1);
        *table.change(row, || 0) += 5;
        table.restore(1, Some(9));
        assert_eq!(table.changes().count(), 0);
        table.abort();
        assert_eq!(table.get(&1), Some(&9));
        table.restore(1, None);
        assert_eq!((table.get(&1), table.iter().count(), table.len()), (None, 0, 1));
    }

    #[test]
    fn a_slot_takes_a_value_and_a_tag() {
        assert_eq!(size_of::<Slot<[u64; 8]>>(), 72);
    }

    proptest! {
        /// Compared with a map and a snapshot, for any history of changes, commits and aborts.
        #[test]
        fn agrees_with_a_map_and_its_snapshot(
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
                        let row = table.row_id(&key, || key);
                        *table.change(row, || 0) += u32::from(n);
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
