//! Owns the decisions: the stock of one source partition, and what becomes of each order (contract, section 4, "Stock").

use std::borrow::Cow;

use super::ledger::{ItemKey, ItemName, LedgerError, Stock};
use super::{OpeningStock, StockSettings};
use crate::domain::{Action, Decision, DecisionSource, EventTime, Order, OrderLine, OrderStatus, Reason};
use crate::state::{RowId, Table};

/// The stock of one source partition, with the changes of the transaction that is open.
///
/// Everything in it is a function of the partition's order records and the settings: the same records give the same
/// decisions, however they were cut into transactions and however often the stock was restored from its ledger.
#[derive(Debug)]
pub struct StockStore {
    settings: StockSettings,
    items: Table<ItemKey, Stock>,
    /// The period of each restaurant's stream time. Not in the ledger, as it is the largest period among the
    /// restaurant's items: an order that moves it on moves the items that it names to the same period.
    periods: Table<Box<str>, i64>,
    /// Units reserved of all items together, modulo 2^64.
    reserved: Units,
    decided: DecisionCounts,
    committed: DecisionCounts,
    scratch: Scratch,
}

/// How many orders were decided, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionCounts {
    /// All orders.
    pub orders: u64,
    /// Orders whose every line reserved.
    pub reserved: u64,
    /// Orders whose every line was rejected.
    pub rejected: u64,
    /// Orders whose payment had failed.
    pub released: u64,
}

impl DecisionCounts {
    /// The counts of two partitions together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            reserved: self.reserved + other.reserved,
            rejected: self.rejected + other.rejected,
            released: self.released + other.released,
        }
    }
}

/// A sum of units, the open transaction's included, and as of the last commit.
#[derive(Debug, Clone, Copy, Default)]
struct Units {
    current: u64,
    committed: u64,
}

/// What one order asks of one item.
#[derive(Debug)]
struct Claim {
    place: RowId,
    /// The item as this order finds it, after opening or top-up.
    stock: Stock,
    /// Whether `stock` differs from what the table holds.
    moved: bool,
    /// Units that the top-up added, until the first line has told them.
    restocked: u64,
    /// Units that all lines of the order ask for; 10,000 lines of 2^32 pieces are far from overflowing it.
    wanted: u64,
}

/// Buffers of one order, kept to spare allocations.
#[derive(Debug, Default)]
struct Scratch {
    /// One claim an item, in the order of the lines that first name them.
    claims: Vec<Claim>,
    /// The claim of each line.
    claim_of_line: Vec<usize>,
    /// By place, a guess at the item's claim: true if that claim exists and has that place, so that it is never cleared
    /// and an order of 10,000 lines costs 10,000 steps.
    claim_of_place: Vec<usize>,
}

impl StockStore {
    /// A partition in which no item was ever seen.
    #[must_use]
    pub fn new(settings: StockSettings) -> Self {
        Self {
            settings,
            items: Table::default(),
            periods: Table::default(),
            reserved: Units::default(),
            decided: DecisionCounts::default(),
            committed: DecisionCounts::default(),
            scratch: Scratch::default(),
        }
    }

    /// Takes over a ledger record, in the ledger's order and before the first decision; no value is a tombstone.
    ///
    /// # Errors
    ///
    /// When it is no record of a ledger with these settings; position records are for the caller to recognise.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), LedgerError> {
        let key = ItemKey::decode(key)?;
        let stock = value.map(|value| Stock::decode(value, &self.settings)).transpose()?;
        let restaurant: Box<str> = key.name().restaurant.into();
        let replaced = self.items.get(&key.name()).copied();
        self.items.restore(key, stock);
        let units = |stock: Option<Stock>| stock.map_or(0, |stock| stock.reserved);
        let sum = self.reserved.committed.wrapping_add(units(stock)).wrapping_sub(units(replaced));
        self.reserved = Units { current: sum, committed: sum };
        let before = self.periods.get(&*restaurant).copied();
        let period = match (before, stock) {
            (Some(before), Some(stock)) if stock.period >= before => Some(stock.period),
            (None, stock) => stock.map(|stock| stock.period),
            // Periods only grow, so only a tombstone or a foreign hand takes the largest one away.
            (Some(before), _) if replaced.is_some_and(|replaced| replaced.period == before) => {
                self.largest(&restaurant)
            }
            (before, _) => before,
        };
        if period != before {
            self.periods.restore(restaurant, period);
        }
        Ok(())
    }

    fn largest(&self, restaurant: &str) -> Option<i64> {
        let items = self.items.iter().filter(|(key, _)| key.name().restaurant == restaurant);
        items.map(|(_, stock)| stock.period).max()
    }

    /// Decides an order and hands out the decision about each of its lines, in line order.
    pub fn decide(&mut self, order: &Order<'_>, source: DecisionSource, each: &mut impl FnMut(&Decision<'_>)) {
        self.decided.orders += 1;
        if order.status == OrderStatus::Failed {
            self.decided.released += 1;
            for (line, order_line) in order.lines.iter().enumerate() {
                each(&decision(order, source, line, order_line, Action::Release));
            }
            return;
        }
        let period = self.advance(&order.restaurant_id, order.timestamp);
        self.claim(order, period, source);
        let covered = self.scratch.claims.iter().all(|claim| claim.stock.covers(claim.wanted));
        let counted = if covered { &mut self.decided.reserved } else { &mut self.decided.rejected };
        *counted += 1;

        let Scratch { claims, claim_of_line, .. } = &mut self.scratch;
        for (line, (order_line, &claim)) in order.lines.iter().zip(claim_of_line.iter()).enumerate() {
            let claim = &mut claims[claim];
            let mut decision = if covered {
                claim.stock.take(order_line.quantity.into());
                claim.moved = true;
                decision(order, source, line, order_line, Action::Reserve)
            } else {
                let short = !claim.stock.covers(claim.wanted);
                let reason = if short { Reason::OutOfStock } else { Reason::OrderIncomplete };
                Decision { reason: Some(reason), ..decision(order, source, line, order_line, Action::Reject) }
            };
            decision.restocked = std::mem::take(&mut claim.restocked);
            decision.on_hand = claim.stock.on_hand;
            each(&decision);
        }
        for claim in claims.iter().filter(|claim| claim.moved) {
            let stock = Stock { source_offset: source.offset, ..claim.stock };
            let before = self.items.at(claim.place).map_or(0, |stock| stock.reserved);
            self.reserved.current = self.reserved.current.wrapping_add(stock.reserved).wrapping_sub(before);
            *self.items.change(claim.place, || stock) = stock;
        }
    }

    /// Step 1: moves the restaurant's stream time on, and tells its period.
    fn advance(&mut self, restaurant: &str, timestamp: EventTime) -> i64 {
        let period = self.settings.period(timestamp);
        let place = self.periods.row_id(restaurant, || restaurant.into());
        match self.periods.at(place) {
            Some(&current) if current >= period => current,
            _ => {
                *self.periods.change(place, || period) = period;
                period
            }
        }
    }

    /// Step 2: what the order asks of each item that it names, each opened or topped up.
    fn claim(&mut self, order: &Order<'_>, period: i64, source: DecisionSource) {
        let Scratch { claims, claim_of_line, claim_of_place } = &mut self.scratch;
        claims.clear();
        claim_of_line.clear();
        for line in &order.lines {
            let name = ItemName { restaurant: &order.restaurant_id, item: &line.item_id };
            let place = self.items.row_id(&name, || ItemKey::new(name));
            if claim_of_place.len() <= place.index() {
                claim_of_place.resize(place.index() + 1, 0);
            }
            let guess = &mut claim_of_place[place.index()];
            if claims.get(*guess).is_none_or(|claim| claim.place != place) {
                *guess = claims.len();
                claims.push(Claim::new(place, self.items.at(place), &self.settings, period, source));
            }
            claims[*guess].wanted += u64::from(line.quantity);
            claim_of_line.push(*guess);
        }
    }

    /// What the open transaction has to write to the ledger: each changed item's key and value, once.
    pub fn changes(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut value = Vec::with_capacity(128);
        for (key, stock) in self.items.changes() {
            value.clear();
            stock.encode(&mut value);
            each(key.json(), &value);
        }
    }

    /// The transaction has committed: its changes stay.
    pub fn commit(&mut self) {
        self.items.commit();
        self.periods.commit();
        self.reserved.committed = self.reserved.current;
        self.committed = self.decided;
    }

    /// The transaction was aborted: everything stands as after the last commit.
    pub fn abort(&mut self) {
        self.items.abort();
        self.periods.abort();
        self.reserved.current = self.reserved.committed;
        self.decided = self.committed;
    }

    /// How much it holds, by name, the open transaction included: what a restore from its ledger must find again.
    #[must_use]
    pub fn holds(&self) -> [(&'static str, u64); 2] {
        [("items", self.items.values() as u64), ("reserved units", self.reserved.current)]
    }

    /// Hands out the ledger key of every item: what is deleted with this stock.
    pub fn keys(&self, each: &mut dyn FnMut(&[u8])) {
        self.items.iter().for_each(|(key, _)| each(key.json()));
    }

    /// What was decided since this value was made, the open transaction included.
    #[must_use]
    pub const fn counts(&self) -> DecisionCounts {
        self.decided
    }

    /// The settings that it decides by.
    #[must_use]
    pub const fn settings(&self) -> &StockSettings {
        &self.settings
    }
}

impl Claim {
    fn new(place: RowId, stock: Option<&Stock>, settings: &StockSettings, period: i64, source: DecisionSource) -> Self {
        let opened = Stock::opened(settings, period, source.offset);
        let Some(&stock) = stock else {
            return Self { place, stock: opened, moved: true, restocked: 0, wanted: 0 };
        };
        if stock.period >= period {
            return Self { place, stock, moved: false, restocked: 0, wanted: 0 };
        }
        let restocked = match (settings.opening(), stock.on_hand) {
            (OpeningStock::Units(opening), Some(units)) => opening.saturating_sub(units),
            _ => 0,
        };
        let stock = Stock { reserved: stock.reserved, ..opened };
        Self { place, stock, moved: true, restocked, wanted: 0 }
    }
}

/// A decision that moves no stock.
fn decision<'a>(
    order: &'a Order<'_>,
    source: DecisionSource,
    line: usize,
    order_line: &'a OrderLine<'_>,
    action: Action,
) -> Decision<'a> {
    // An order has at most 10,000 lines.
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Decision {
        order_id: Cow::Borrowed(&order.order_id),
        restaurant_id: Cow::Borrowed(&order.restaurant_id),
        item_id: Cow::Borrowed(&order_line.item_id),
        quantity: order_line.quantity,
        price: order_line.price,
        action,
        reason: None,
        restocked: 0,
        on_hand: None,
        line: number(line),
        lines: number(order.lines.len()),
        source,
        timestamp: order.timestamp,
    }
}
