//! Stock of one source partition, and the decisions about its orders. See `docs/reference/stock.md`.

use std::borrow::Cow;

use super::ledger::{ItemKey, ItemName, LedgerError, Stock};
use super::{OpeningStock, StockSettings};
use crate::domain::{Action, Decision, DecisionSource, EventTime, Order, OrderLine, OrderStatus, Reason};
use crate::state::{RowId, Table};

/// The stock of one source partition, including the changes of the open transaction.
///
/// It is a function of the partition's order records and the settings: the same records give the same decisions,
/// whatever the transactions and however often the stock was restored from its ledger.
#[derive(Debug)]
pub struct StockStore {
    settings: StockSettings,
    items: Table<ItemKey, Stock>,
    /// The current period of each restaurant's stream time. It is not in the ledger, because it is the largest period
    /// of the restaurant's items: an order that advances it advances the items in the order to the same period.
    periods: Table<Box<str>, i64>,
    /// Reserved units of all items, modulo 2^64.
    reserved: Units,
    counts: DecisionCounts,
    committed_counts: DecisionCounts,
    buffers: Buffers,
}

/// Counts of orders by decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionCounts {
    /// All orders.
    pub orders: u64,
    /// Orders whose every line was reserved.
    pub reserved: u64,
    /// Orders whose every line was rejected.
    pub rejected: u64,
    /// Orders whose payment had failed.
    pub released: u64,
}

impl DecisionCounts {
    /// The sum of two counts.
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

/// A sum of units, with and without the open transaction.
#[derive(Debug, Clone, Copy, Default)]
struct Units {
    current: u64,
    committed: u64,
}

/// The demand of one order for one item.
#[derive(Debug)]
struct Demand {
    row: RowId,
    /// The item after opening or restocking, minus the lines reserved so far.
    stock: Stock,
    /// Whether `stock` differs from the table.
    changed: bool,
    /// Units added by the restock; reset by the first line, whose decision shows them.
    restocked: u64,
    /// Units of this item in all lines of the order. 10,000 lines of 2^32 units do not overflow it.
    units: u64,
}

/// Buffers of one order, reused to avoid allocations.
#[derive(Debug, Default)]
struct Buffers {
    /// One demand per item, in the order in which the lines first name the items.
    demands: Vec<Demand>,
    /// The index of each line's demand.
    demand_of_line: Vec<usize>,
    /// By row, a possible index of the item's demand, valid if the demand at that index has the same row. So it is
    /// never cleared, and an order of 10,000 lines costs 10,000 steps.
    demand_of_row: Vec<usize>,
}

impl StockStore {
    /// The stock of a partition without orders.
    #[must_use]
    pub fn new(settings: StockSettings) -> Self {
        Self {
            settings,
            items: Table::default(),
            periods: Table::default(),
            reserved: Units::default(),
            counts: DecisionCounts::default(),
            committed_counts: DecisionCounts::default(),
            buffers: Buffers::default(),
        }
    }

    /// Restores a ledger record: in the order of the ledger, before the first decision. No value means a tombstone.
    ///
    /// # Errors
    ///
    /// When it cannot belong to a ledger with these settings. The caller handles position records.
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
            // Periods only grow: only a tombstone or another program lowers the largest one.
            (Some(before), _) if replaced.is_some_and(|replaced| replaced.period == before) => {
                self.largest_period(&restaurant)
            }
            (before, _) => before,
        };
        if period != before {
            self.periods.restore(restaurant, period);
        }
        Ok(())
    }

    fn largest_period(&self, restaurant: &str) -> Option<i64> {
        let items = self.items.iter().filter(|(key, _)| key.name().restaurant == restaurant);
        items.map(|(_, stock)| stock.period).max()
    }

    /// Decides an order, and passes the decision about each line to `each`, in the order of the lines.
    pub fn decide(&mut self, order: &Order<'_>, source: DecisionSource, each: &mut impl FnMut(&Decision<'_>)) {
        self.counts.orders += 1;
        if order.status == OrderStatus::Failed {
            self.counts.released += 1;
            for (line, order_line) in order.lines.iter().enumerate() {
                each(&decision(order, source, line, order_line, Action::Release));
            }
            return;
        }
        let period = self.advance(&order.restaurant_id, order.timestamp);
        self.collect_demands(order, period, source);
        let covered = self.buffers.demands.iter().all(|demand| demand.stock.covers(demand.units));
        let counted = if covered { &mut self.counts.reserved } else { &mut self.counts.rejected };
        *counted += 1;

        let Buffers { demands, demand_of_line, .. } = &mut self.buffers;
        for (line, (order_line, &demand)) in order.lines.iter().zip(demand_of_line.iter()).enumerate() {
            let demand = &mut demands[demand];
            let mut decision = if covered {
                demand.stock.take(order_line.quantity.into());
                demand.changed = true;
                decision(order, source, line, order_line, Action::Reserve)
            } else {
                let short = !demand.stock.covers(demand.units);
                let reason = if short { Reason::OutOfStock } else { Reason::OrderIncomplete };
                Decision { reason: Some(reason), ..decision(order, source, line, order_line, Action::Reject) }
            };
            decision.restocked = std::mem::take(&mut demand.restocked);
            decision.on_hand = demand.stock.on_hand;
            each(&decision);
        }
        for demand in demands.iter().filter(|demand| demand.changed) {
            let stock = Stock { source_offset: source.offset, ..demand.stock };
            let before = self.items.at(demand.row).map_or(0, |stock| stock.reserved);
            self.reserved.current = self.reserved.current.wrapping_add(stock.reserved).wrapping_sub(before);
            *self.items.change(demand.row, || stock) = stock;
        }
    }

    /// Step 1: advances the restaurant's stream time, and returns its period.
    fn advance(&mut self, restaurant: &str, timestamp: EventTime) -> i64 {
        let period = self.settings.period(timestamp);
        let row = self.periods.row_id(restaurant, || restaurant.into());
        match self.periods.at(row) {
            Some(&current) if current >= period => current,
            _ => {
                *self.periods.change(row, || period) = period;
                period
            }
        }
    }

    /// Step 2: collects the demand of the order for each item, after opening or restocking the item.
    fn collect_demands(&mut self, order: &Order<'_>, period: i64, source: DecisionSource) {
        let Buffers { demands, demand_of_line, demand_of_row } = &mut self.buffers;
        demands.clear();
        demand_of_line.clear();
        for line in &order.lines {
            let name = ItemName { restaurant: &order.restaurant_id, item: &line.item_id };
            let row = self.items.row_id(&name, || ItemKey::new(name));
            if demand_of_row.len() <= row.index() {
                demand_of_row.resize(row.index() + 1, 0);
            }
            let index = &mut demand_of_row[row.index()];
            if demands.get(*index).is_none_or(|demand| demand.row != row) {
                *index = demands.len();
                demands.push(Demand::new(row, self.items.at(row), &self.settings, period, source));
            }
            demands[*index].units += u64::from(line.quantity);
            demand_of_line.push(*index);
        }
    }

    /// Passes the ledger records of the open transaction to `each`: key and value of each changed item, once.
    pub fn changes(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut value = Vec::with_capacity(128);
        for (key, stock) in self.items.changes() {
            value.clear();
            stock.encode(&mut value);
            each(key.json(), &value);
        }
    }

    /// The transaction was committed.
    pub fn commit(&mut self) {
        self.items.commit();
        self.periods.commit();
        self.reserved.committed = self.reserved.current;
        self.committed_counts = self.counts;
    }

    /// The transaction was aborted: returns to the last commit.
    pub fn abort(&mut self) {
        self.items.abort();
        self.periods.abort();
        self.reserved.current = self.reserved.committed;
        self.counts = self.committed_counts;
    }

    /// The size of the state by name, including the open transaction; a restore from the ledger must find it again.
    #[must_use]
    pub fn holds(&self) -> [(&'static str, u64); 2] {
        [("items", self.items.values() as u64), ("reserved units", self.reserved.current)]
    }

    /// Passes key and value of every item's ledger record to `each`.
    pub fn records(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut value = Vec::with_capacity(128);
        for (key, stock) in self.items.iter() {
            value.clear();
            stock.encode(&mut value);
            each(key.json(), &value);
        }
    }

    /// Passes the ledger key of every item to `each`, for deletion.
    pub fn keys(&self, each: &mut dyn FnMut(&[u8])) {
        self.items.iter().for_each(|(key, _)| each(key.json()));
    }

    /// Counts of the decisions since this value was created, including the open transaction.
    #[must_use]
    pub const fn counts(&self) -> DecisionCounts {
        self.counts
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &StockSettings {
        &self.settings
    }
}

impl Demand {
    fn new(row: RowId, stock: Option<&Stock>, settings: &StockSettings, period: i64, source: DecisionSource) -> Self {
        let opened = Stock::opened(settings, period, source.offset);
        let Some(&stock) = stock else {
            return Self { row, stock: opened, changed: true, restocked: 0, units: 0 };
        };
        if stock.period >= period {
            return Self { row, stock, changed: false, restocked: 0, units: 0 };
        }
        let restocked = match (settings.opening(), stock.on_hand) {
            (OpeningStock::Units(opening), Some(units)) => opening.saturating_sub(units),
            _ => 0,
        };
        let stock = Stock { reserved: stock.reserved, ..opened };
        Self { row, stock, changed: true, restocked, units: 0 }
    }
}

/// A decision that does not change the stock.
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
