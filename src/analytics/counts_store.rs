//! State store of the counts of one source partition, with the changes of the open transaction.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use super::{CountKey, OrderCounts, Revenue, StateKeyPrefix, Totals};
use crate::{
    domain::{
        Action, Decision, DecisionRecord, Minute, Order, OrderRecord, OrderStatus, Reason, decode_decision,
        decode_order,
    },
    state::{Loss, Table},
};

/// The kind of records in a source topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// `order-events`.
    Orders,
    /// `inventory-events`.
    Decisions,
}

/// The counts of one source partition: by minute, by restaurant, and in total.
///
/// [`CountsStore::changes`] lists the uncommitted changes for the changelog, [`CountsStore::commit`] keeps them, and
/// [`CountsStore::abort`] drops them. Every other method includes them.
#[derive(Debug, Default)]
pub struct CountsStore {
    minutes: Table<Minute, OrderCounts>,
    restaurants: Table<Box<str>, OrderCounts>,
    totals: Table<(), Totals>,
}

/// A value of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CountValue {
    Orders(OrderCounts),
    // Boxed, because a partition has one of these and thousands of the other.
    Totals(Box<Totals>),
}

impl CountValue {
    pub(super) fn decode(counted: &CountKey<'_>, value: &[u8]) -> serde_json::Result<Self> {
        match counted {
            CountKey::Minute(_) | CountKey::Restaurant(_) => serde_json::from_slice(value).map(Self::Orders),
            CountKey::Totals => serde_json::from_slice(value).map(Self::Totals),
        }
    }
}

impl CountsStore {
    /// Counts a record: an order, a decision, or a skipped or bad record.
    pub fn record(&mut self, feed: Feed, value: Option<&[u8]>) {
        match feed {
            Feed::Orders => match decode_order(value) {
                Ok(OrderRecord::Order(order)) => self.order(&order),
                Ok(OrderRecord::Skipped) => self.skipped(),
                Err(_) => self.bad(),
            },
            Feed::Decisions => match decode_decision(value) {
                Ok(DecisionRecord::Decision(decision)) => self.decision(&decision),
                Ok(DecisionRecord::Skipped) => self.skipped(),
                Err(_) => self.bad(),
            },
        }
    }

    fn order(&mut self, order: &Order<'_>) {
        let failed = u64::from(order.status == OrderStatus::Failed);
        let counts = OrderCounts { total: 1, failed, ..OrderCounts::default() };
        self.count(order.timestamp.minute(), &order.restaurant_id, &counts);
    }

    fn decision(&mut self, decision: &Decision<'_>) {
        // An order has a decision per line and is counted once, at its first line.
        let orders = u64::from(decision.line == 0);
        let mut counts = OrderCounts::default();
        match decision.action {
            Action::Reserve => {
                counts.reserved = orders;
                counts.revenue = Revenue::of_line(decision.quantity, decision.price);
            }
            Action::Reject => counts.rejected = orders,
            Action::Release => counts.released = orders,
        }
        if !counts.is_zero() {
            self.count(decision.timestamp.minute(), &decision.restaurant_id, &counts);
        }
        match decision.reason {
            Some(Reason::OutOfStock) => self.total(&Totals { out_of_stock: 1, ..Totals::default() }),
            Some(Reason::OrderIncomplete) => self.total(&Totals { order_incomplete: 1, ..Totals::default() }),
            None => {}
        }
    }

    fn skipped(&mut self) {
        self.total(&Totals { skipped: 1, ..Totals::default() });
    }

    fn bad(&mut self) {
        self.total(&Totals { bad: 1, ..Totals::default() });
    }

    fn count(&mut self, minute: Minute, restaurant: &str, counts: &OrderCounts) {
        let row = self.minutes.row_id(&minute, || minute);
        self.minutes.change(row, OrderCounts::default).add(counts);
        let row = self.restaurants.row_id(restaurant, || restaurant.into());
        self.restaurants.change(row, OrderCounts::default).add(counts);
        self.total(&Totals { orders: *counts, ..Totals::default() });
    }

    fn total(&mut self, totals: &Totals) {
        let row = self.totals.row_id(&(), || ());
        self.totals.change(row, Totals::default).add(totals);
    }

    /// Passes the changelog records (key, value) of the uncommitted changes to `each`, once per key.
    pub fn changes(&self, prefix: &StateKeyPrefix, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut writer = RecordWriter::new(prefix);
        for (minute, counts) in self.minutes.changes() {
            writer.write(&CountKey::Minute(*minute), counts, each);
        }
        for (name, counts) in self.restaurants.changes() {
            writer.write(&CountKey::Restaurant(Cow::Borrowed(name)), counts, each);
        }
        for ((), totals) in self.totals.changes() {
            writer.write(&CountKey::Totals, totals, each);
        }
    }

    /// Passes the changelog records (key, value) of the whole state to `each`: to write it under a new epoch.
    pub fn all_records(&self, prefix: &StateKeyPrefix, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut writer = RecordWriter::new(prefix);
        for (minute, counts) in self.minutes() {
            writer.write(&CountKey::Minute(minute), counts, each);
        }
        for (name, counts) in self.restaurants() {
            writer.write(&CountKey::Restaurant(Cow::Borrowed(name)), counts, each);
        }
        if let Some(totals) = self.totals.get(&()) {
            writer.write(&CountKey::Totals, totals, each);
        }
    }

    /// Passes the changelog key of every count to `each`, for deletion.
    pub fn keys(&self, prefix: &StateKeyPrefix, each: &mut dyn FnMut(&[u8])) {
        let mut key = Vec::new();
        let minutes = self.minutes().map(|(minute, _)| CountKey::Minute(minute));
        let restaurants = self.restaurants().map(|(name, _)| CountKey::Restaurant(Cow::Borrowed(name)));
        let totals = self.totals.get(&()).map(|_| CountKey::Totals);
        for counted in minutes.chain(restaurants).chain(totals) {
            prefix.write_key(&counted, &mut key);
            each(&key);
        }
    }

    /// Restores a record of the changelog as a committed one; `None` deletes the key.
    ///
    /// # Errors
    ///
    /// When the value does not fit the key; the state is then unchanged.
    pub fn restore(&mut self, counted: CountKey<'_>, value: Option<&[u8]>) -> serde_json::Result<()> {
        if let Some(value) = value {
            let value = CountValue::decode(&counted, value)?;
            self.restore_value(counted, value);
        } else {
            match counted {
                CountKey::Minute(minute) => self.minutes.restore(minute, None),
                CountKey::Restaurant(name) => self.restaurants.restore(name.into(), None),
                CountKey::Totals => self.totals.restore((), None),
            }
        }
        Ok(())
    }

    /// Restores a value that was decoded for its key, and so fits it.
    pub(super) fn restore_value(&mut self, counted: CountKey<'_>, value: CountValue) {
        match (counted, value) {
            (CountKey::Minute(minute), CountValue::Orders(counts)) => self.minutes.restore(minute, Some(counts)),
            (CountKey::Restaurant(name), CountValue::Orders(counts)) => {
                self.restaurants.restore(name.into(), Some(counts));
            }
            (CountKey::Totals, CountValue::Totals(totals)) => self.totals.restore((), Some(*totals)),
            (CountKey::Totals, CountValue::Orders(_)) | (_, CountValue::Totals(_)) => {}
        }
    }

    /// The transaction was committed.
    pub fn commit(&mut self) {
        self.minutes.commit();
        self.restaurants.commit();
        self.totals.commit();
    }

    /// The transaction was aborted: drops its changes.
    pub fn abort(&mut self) {
        self.minutes.abort();
        self.restaurants.abort();
        self.totals.abort();
    }

    /// The size of the state by name, including the open transaction; a restore from the changelog must find it again.
    #[must_use]
    pub fn holds(&self) -> BTreeMap<String, u64> {
        let values = self.minutes.values() + self.restaurants.values() + self.totals.values();
        BTreeMap::from([("counts".to_owned(), values as u64)])
    }

    /// What is missing, compared with the size in the position record. Each order is counted by minute, by restaurant
    /// and in total, so missing counts also show in the state of an older version, which stored no size.
    #[must_use]
    pub fn loss(&self, kept: &BTreeMap<String, u64>) -> Option<Loss> {
        let totals = self.totals().orders;
        let sum = |parts: &mut dyn Iterator<Item = &OrderCounts>| {
            let mut sum = OrderCounts::default();
            parts.for_each(|counts| sum.add(counts));
            sum
        };
        Loss::between(kept, &self.holds())
            .or_else(|| totals.loss(&sum(&mut self.minutes().map(|(_, counts)| counts)), "minute"))
            .or_else(|| totals.loss(&sum(&mut self.restaurants().map(|(_, counts)| counts)), "restaurant"))
    }

    /// The minutes, in the order in which they were first counted.
    pub(super) fn minutes(&self) -> impl Iterator<Item = (Minute, &OrderCounts)> {
        self.minutes.iter().map(|(minute, counts)| (*minute, counts))
    }

    /// The restaurants, in the order in which they were first counted.
    pub(super) fn restaurants(&self) -> impl Iterator<Item = (&str, &OrderCounts)> {
        self.restaurants.iter().map(|(name, counts)| (name.as_ref(), counts))
    }

    /// The totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals.get(&()).copied().unwrap_or_default()
    }
}

/// Writes changelog records; reuses its buffers.
struct RecordWriter<'a> {
    prefix: &'a StateKeyPrefix,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> RecordWriter<'a> {
    const fn new(prefix: &'a StateKeyPrefix) -> Self {
        Self { prefix, key: Vec::new(), value: Vec::new() }
    }

    fn write(&mut self, counted: &CountKey<'_>, value: &impl Serialize, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.prefix.write_key(counted, &mut self.key);
        self.value.clear();
        // Serializing integers and strings into a vector cannot fail.
        serde_json::to_writer(&mut self.value, value).unwrap_or_default();
        each(&self.key, &self.value);
    }
}
