//! Owns what one source partition has counted, with the changes of one transaction on top.

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

/// What the records of a source topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// `order-events`.
    Orders,
    /// `inventory-events`.
    Decisions,
}

/// What one source partition has counted: by minute, by restaurant, and in all.
///
/// Records go into an overlay: [`CountsStore::changes`] lists it for the changelog, [`CountsStore::commit`] keeps it,
/// [`CountsStore::abort`] drops it. Everything else here sees the uncommitted changes too.
#[derive(Debug, Default)]
pub struct CountsStore {
    minutes: Table<Minute, OrderCounts>,
    restaurants: Table<Box<str>, OrderCounts>,
    totals: Table<(), Totals>,
}

/// One value of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CountValue {
    OrderCounts(OrderCounts),
    // Boxed: there is one for a partition, but thousands of tallies.
    Totals(Box<Totals>),
}

impl CountValue {
    pub(super) fn decode(counted: &CountKey<'_>, value: &[u8]) -> serde_json::Result<Self> {
        match counted {
            CountKey::Minute(_) | CountKey::Restaurant(_) => serde_json::from_slice(value).map(Self::OrderCounts),
            CountKey::Totals => serde_json::from_slice(value).map(Self::Totals),
        }
    }
}

impl CountsStore {
    /// Counts one record; what is no order and no decision is counted as skipped or bad.
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
        // An order has a decision for each line and counts once: at its first one.
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
        let place = self.minutes.row_id(&minute, || minute);
        self.minutes.change(place, OrderCounts::default).add(counts);
        let place = self.restaurants.row_id(restaurant, || restaurant.into());
        self.restaurants.change(place, OrderCounts::default).add(counts);
        self.total(&Totals { orders: *counts, ..Totals::default() });
    }

    fn total(&mut self, totals: &Totals) {
        let place = self.totals.row_id(&(), || ());
        self.totals.change(place, Totals::default).add(totals);
    }

    /// Hands `each` the changelog records (key, value) of what was changed since the last commit, once per item.
    pub fn changes(&self, owner: &StateKeyPrefix, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut record = RecordWriter::new(owner);
        for (minute, counts) in self.minutes.changes() {
            record.write(&CountKey::Minute(*minute), counts, each);
        }
        for (name, counts) in self.restaurants.changes() {
            record.write(&CountKey::Restaurant(Cow::Borrowed(name)), counts, each);
        }
        for ((), totals) in self.totals.changes() {
            record.write(&CountKey::Totals, totals, each);
        }
    }

    /// Hands `each` the changelog records (key, value) of the whole state: what puts it under a new epoch.
    pub fn everything(&self, owner: &StateKeyPrefix, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut record = RecordWriter::new(owner);
        for (minute, counts) in self.minutes() {
            record.write(&CountKey::Minute(minute), counts, each);
        }
        for (name, counts) in self.restaurants() {
            record.write(&CountKey::Restaurant(Cow::Borrowed(name)), counts, each);
        }
        if let Some(totals) = self.totals.get(&()) {
            record.write(&CountKey::Totals, totals, each);
        }
    }

    /// Hands `each` the changelog key of every item: what is deleted with this state's epoch.
    pub fn keys(&self, owner: &StateKeyPrefix, each: &mut dyn FnMut(&[u8])) {
        let mut key = Vec::new();
        let minutes = self.minutes().map(|(minute, _)| CountKey::Minute(minute));
        let restaurants = self.restaurants().map(|(name, _)| CountKey::Restaurant(Cow::Borrowed(name)));
        let totals = self.totals.get(&()).map(|_| CountKey::Totals);
        for counted in minutes.chain(restaurants).chain(totals) {
            owner.write_key(&counted, &mut key);
            each(&key);
        }
    }

    /// Takes over one record of the changelog as committed; `None` deletes the item.
    ///
    /// # Errors
    ///
    /// When the value is no value of what is counted; the state is then unchanged.
    pub fn restore(&mut self, counted: CountKey<'_>, value: Option<&[u8]>) -> serde_json::Result<()> {
        if let Some(value) = value {
            let item = CountValue::decode(&counted, value)?;
            self.put(counted, item);
        } else {
            match counted {
                CountKey::Minute(minute) => self.minutes.restore(minute, None),
                CountKey::Restaurant(name) => self.restaurants.restore(name.into(), None),
                CountKey::Totals => self.totals.restore((), None),
            }
        }
        Ok(())
    }

    /// Takes over one item as committed. An item that was decoded for its key always fits it.
    pub(super) fn put(&mut self, counted: CountKey<'_>, item: CountValue) {
        match (counted, item) {
            (CountKey::Minute(minute), CountValue::OrderCounts(counts)) => self.minutes.restore(minute, Some(counts)),
            (CountKey::Restaurant(name), CountValue::OrderCounts(counts)) => {
                self.restaurants.restore(name.into(), Some(counts))
            }
            (CountKey::Totals, CountValue::Totals(totals)) => self.totals.restore((), Some(*totals)),
            (CountKey::Totals, CountValue::OrderCounts(_)) | (_, CountValue::Totals(_)) => {}
        }
    }

    /// The transaction has committed: its changes stay.
    pub fn commit(&mut self) {
        self.minutes.commit();
        self.restaurants.commit();
        self.totals.commit();
    }

    /// The transaction was aborted: its changes are forgotten.
    pub fn abort(&mut self) {
        self.minutes.abort();
        self.restaurants.abort();
        self.totals.abort();
    }

    /// How much it holds, by name, the open transaction included: what a restore from its changelog must find again.
    #[must_use]
    pub fn holds(&self) -> BTreeMap<String, u64> {
        let values = self.minutes.values() + self.restaurants.values() + self.totals.values();
        BTreeMap::from([("counts".to_owned(), values as u64)])
    }

    /// What of it is gone, if it held `kept` at its position. Each order is counted in a minute, for a restaurant and in all,
    /// so that also a state of an older version, which kept no such number, disagrees with itself if some of it is gone.
    #[must_use]
    pub fn loss(&self, kept: &BTreeMap<String, u64>) -> Option<Loss> {
        let totals = self.totals().orders;
        let sum = |tallies: &mut dyn Iterator<Item = &OrderCounts>| {
            let mut sum = OrderCounts::default();
            tallies.for_each(|counts| sum.add(counts));
            sum
        };
        Loss::between(kept, &self.holds())
            .or_else(|| totals.loss(&sum(&mut self.minutes().map(|(_, counts)| counts)), "minute"))
            .or_else(|| totals.loss(&sum(&mut self.restaurants().map(|(_, counts)| counts)), "restaurant"))
    }

    /// The minutes, in the order in which they were first seen.
    pub(super) fn minutes(&self) -> impl Iterator<Item = (Minute, &OrderCounts)> {
        self.minutes.iter().map(|(minute, counts)| (*minute, counts))
    }

    /// The restaurants, in the order in which they were first seen.
    pub(super) fn restaurants(&self) -> impl Iterator<Item = (&str, &OrderCounts)> {
        self.restaurants.iter().map(|(name, counts)| (name.as_ref(), counts))
    }

    /// What was counted in all.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals.get(&()).copied().unwrap_or_default()
    }
}

/// One record of the changelog, its buffers used again for the next.
struct RecordWriter<'a> {
    owner: &'a StateKeyPrefix,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> RecordWriter<'a> {
    const fn new(owner: &'a StateKeyPrefix) -> Self {
        Self { owner, key: Vec::new(), value: Vec::new() }
    }

    fn write(&mut self, counted: &CountKey<'_>, value: &impl Serialize, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.owner.write_key(counted, &mut self.key);
        self.value.clear();
        // Integers and strings always serialize, and a vector takes every byte.
        serde_json::to_writer(&mut self.value, value).unwrap_or_default();
        each(&self.key, &self.value);
    }
}
