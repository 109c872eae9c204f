//! Workload events: the key and value of the i-th event, as a pure function of the settings and i.

use std::borrow::Cow;

use super::menu::Menu;
use super::poison::Poison;
use super::random::{Draws, order_id};
use super::settings::MAX_NAMES;
use super::shape::Step;
use super::{WorkloadError, WorkloadSettings};
use crate::domain::{Cents, EventTime, Lines, Order, OrderLine, OrderStatus, encode_order};

/// A duplicate repeats one of this many events before it.
const DUPLICATE_WITHIN: u64 = 1_000;

/// The largest number of lines of an order: `Lines` holds it without an allocation.
const MAX_LINES: usize = 4;

/// A stream of events, each computed from the settings and its index alone.
///
/// So the records are the same whether one thread computes them or several, from the start or from the middle, at any
/// speed.
#[derive(Debug)]
pub struct Workload {
    settings: WorkloadSettings,
    menu: Menu,
}

/// Buffers of an event, reused for the next.
#[derive(Debug)]
pub struct Buffers {
    value: Vec<u8>,
    user: String,
    order_id: [u8; 36],
    /// The step of the event in the shape. Most events are in that of the event before them.
    step: Option<Step>,
}

/// One record of `order-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Index of the restaurant in [`Workload::keys`]: the partition need only be computed once per restaurant.
    pub restaurant: usize,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's value; `None` for one kind of poison.
    pub value: Option<&'a [u8]>,
}

/// The kind of an event.
#[derive(Debug)]
enum EventKind {
    Order,
    Poison,
}

impl Workload {
    /// Creates a workload.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_NAMES`] restaurants or items.
    pub fn new(settings: WorkloadSettings) -> Result<Self, WorkloadError> {
        for (count, name) in [(settings.restaurants, "restaurants"), (settings.items, "items")] {
            if count.get() > MAX_NAMES {
                return Err(WorkloadError::TooMany(name));
            }
        }
        Ok(Self { menu: Menu::new(&settings), settings })
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &WorkloadSettings {
        &self.settings
    }

    /// The keys of all restaurants, by index.
    #[must_use]
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.menu.restaurants()).map(|restaurant| self.menu.restaurant_id(restaurant))
    }

    /// The event with an index.
    ///
    /// Event time saturates at the last millisecond of the year 9999; [`WorkloadSettings::event_time`] shows before a
    /// run whether it gets there.
    pub fn event<'a>(&'a self, index: u64, buffers: &'a mut Buffers) -> Event<'a> {
        let (index, kind, mut draws) = self.original(index);
        let restaurant = self.write_order(index, &mut draws, buffers);
        let key = self.menu.restaurant_id(restaurant).as_bytes();
        let value = match kind {
            EventKind::Order => Some(&*buffers.value),
            EventKind::Poison => Poison::draw(&mut draws).apply(&mut buffers.value),
        };
        Event { restaurant, key, value }
    }

    /// The event that an event repeats, or itself, with its random numbers.
    ///
    /// A duplicate of a duplicate is resolved to the original, in 1 / (1 − rate) steps on average.
    fn original(&self, mut index: u64) -> (u64, EventKind, Draws) {
        loop {
            // The same numbers are drawn for any rates, so that a rate does not change the other events.
            let mut draws = Draws::of(self.settings.seed, index);
            let poison = draws.is_among(self.settings.poison_rate);
            let repeats = draws.is_among(self.settings.duplicate_rate);
            let back = 1 + draws.below(index.min(DUPLICATE_WITHIN));
            if poison {
                return (index, EventKind::Poison, draws);
            }
            if !repeats || index == 0 {
                return (index, EventKind::Order, draws);
            }
            index -= back;
        }
    }

    /// Writes an order's JSON, and returns the index of its restaurant.
    fn write_order(&self, index: u64, draws: &mut Draws, buffers: &mut Buffers) -> usize {
        let Buffers { value, user, order_id: id, step } = buffers;
        let restaurant = self.menu.draw_restaurant(draws);
        user.truncate(Buffers::USER.len());
        user.push_str(itoa::Buffer::new().format(1 + draws.below(self.settings.users.get().into())));
        let failed = draws.is_among(self.settings.failure_rate);
        let mut total = 0;
        let lines = self.lines(restaurant, draws, &mut total);
        let order = Order {
            order_id: Cow::Borrowed(order_id(self.settings.seed, index, id)),
            user_id: Cow::Borrowed(user),
            restaurant_id: Cow::Borrowed(self.menu.restaurant_id(restaurant)),
            lines,
            total: Cents(total),
            status: if failed { OrderStatus::Failed } else { OrderStatus::Placed },
            timestamp: self.settings.event_time_with(index, step).unwrap_or(EventTime::MAX),
        };
        value.clear();
        encode_order(&order, value);
        restaurant
    }

    /// One to four lines of different items; adds their prices to `total`.
    fn lines(&self, restaurant: usize, draws: &mut Draws, total: &mut i64) -> Lines<'_> {
        let count = match draws.below(20) {
            0..8 => 1,
            8..14 => 2,
            14..18 => 3,
            _ => MAX_LINES,
        };
        let mut items = [0; MAX_LINES];
        let mut lines = Lines::new();
        for line in 0..count.min(self.menu.items()) {
            let mut item = self.menu.draw_item(restaurant, draws);
            while items[..line].contains(&item) {
                item = self.menu.next_item(item);
            }
            items[line] = item;
            let quantity = match draws.below(20) {
                0..12 => 1,
                12..18 => 2,
                18 => 3,
                _ => 4,
            };
            let price = Menu::price(restaurant, item);
            *total += i64::from(quantity) * price.0;
            lines.push(OrderLine { item_id: Cow::Borrowed(self.menu.item_id(item)), quantity, price });
        }
        lines
    }
}

impl Buffers {
    const USER: &str = "user_";

    /// Buffers with the capacity of an ordinary event.
    #[must_use]
    pub fn new() -> Self {
        Self { value: Vec::with_capacity(512), user: Self::USER.to_owned(), order_id: [0; 36], step: None }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}
