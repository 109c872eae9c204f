//! Matching of the events of each order id with the lines that were ordered.

use std::collections::BTreeSet;

use super::content::{CONTENT, FIELD, PENDING, item_bits};
use super::evidence::{Evidence, Fault, Finding};
use crate::audit::{Entry, Place, Side};

/// The most lines and events of one order id that are matched. They are in memory together.
pub const MOST_OF_AN_ID: u64 = 100_000;

/// Which topics were read as a whole: from the first record that was ever written to the frozen end.
///
/// Without all orders, an event that has no line may be about an order that was not read. Without all events, a line
/// that has no event may have one that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// The orders.
    pub orders: bool,
    /// The events.
    pub events: bool,
}

/// Numbers of what was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders below the group's committed offset.
    pub orders: u64,
    /// Of them, those with an id that an earlier one has.
    pub repeated_orders: u64,
    /// Lines of these orders.
    pub lines: u64,
    /// All events.
    pub events: u64,
    /// Events with the id of an order, committed or not.
    pub known_events: u64,
    /// Events about lines of orders at or above the committed offset.
    pub uncommitted_events: u64,
    /// Lines without an event, although not all events were read.
    pub lines_without_event: u64,
    /// Events with the id of an order that have no line, although not all orders were read.
    pub known_without_line: u64,
    /// Events without an order, although not all orders were read.
    pub events_without_order: u64,
    /// Events whose key was compared.
    pub keys: u64,
    /// Order ids with more than [`MOST_OF_AN_ID`] lines and events. They are in no other number.
    pub crowded_ids: u64,
    /// The lines and events of these ids.
    pub not_compared: u64,
}

/// Matches entries that arrive in order. See [`Matcher::push`].
#[derive(Debug)]
pub struct Matcher {
    whole: Whole,
    /// Whether keys and order are judged, too.
    keyed: bool,
    /// The entries of the current key.
    group: Vec<Entry>,
    /// How many of them are lines and events.
    of_id: u64,
    /// The current key, if it has too many entries.
    crowded: Option<u128>,
    orders: Vec<OrderItem>,
    lines: Vec<Line>,
    events: Vec<Event>,
    /// What was compared so far.
    pub totals: Totals,
    /// What was found so far.
    pub evidence: Evidence,
}

/// An order record of the current id.
#[derive(Debug, Clone, Copy)]
struct OrderItem {
    place: Place,
    /// The hash of the claimed field; `None` if it is empty, or not judged.
    field: Option<u64>,
    pending: bool,
    lines: u64,
    with_event: u64,
}

/// A line of one of the orders. The fields are in the order in which lines are matched: committed ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    content: u64,
    pending: bool,
    order: usize,
    has_event: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    content: u64,
    place: Place,
    key: Option<u64>,
    /// The order of its line.
    order: Option<usize>,
    is_foreign: bool,
}

impl Matcher {
    /// A matcher that keeps at most so many findings of each check.
    #[must_use]
    pub const fn new(whole: Whole, keyed: bool, most: usize) -> Self {
        Self {
            whole,
            keyed,
            group: Vec::new(),
            of_id: 0,
            crowded: None,
            orders: Vec::new(),
            lines: Vec::new(),
            events: Vec::new(),
            totals: Totals {
                orders: 0,
                repeated_orders: 0,
                lines: 0,
                events: 0,
                known_events: 0,
                uncommitted_events: 0,
                lines_without_event: 0,
                known_without_line: 0,
                events_without_order: 0,
                keys: 0,
                crowded_ids: 0,
                not_compared: 0,
            },
            evidence: Evidence::new(most),
        }
    }

    /// Takes the next entry in order. `pair` gets an entry for [`OrderCheck`](super::OrderCheck) for each event whose
    /// order is certain, if order is judged.
    ///
    /// # Errors
    ///
    /// Those of `pair`.
    pub fn push<E>(&mut self, entry: Entry, pair: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        let is_line_or_event = u64::from(entry.detail & FIELD == 0);
        if self.crowded == Some(entry.key) {
            self.totals.not_compared += is_line_or_event;
            return Ok(());
        }
        let first = self.group.first();
        let without_order = first.is_some_and(|first| first.place.side() == Side::Effect);
        // Events without an order are judged one by one.
        if first.is_some_and(|first| first.key != entry.key) || without_order && self.of_id == MOST_OF_AN_ID {
            self.finish(pair)?;
        }
        self.group.push(entry);
        self.of_id += is_line_or_event;
        if self.of_id > MOST_OF_AN_ID {
            self.group.clear();
            self.crowded = Some(entry.key);
            self.totals.crowded_ids += 1;
            self.totals.not_compared += std::mem::take(&mut self.of_id);
        }
        Ok(())
    }

    /// Judges the last entries.
    ///
    /// # Errors
    ///
    /// Those of `pair`.
    pub fn finish<E>(&mut self, pair: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        self.load();
        self.count();
        if self.orders.is_empty() {
            self.judge_unknown();
            return Ok(());
        }
        self.match_equal(pair)?;
        self.match_altered();
        self.judge_lines();
        self.judge_keys();
        Ok(())
    }

    /// Sorts the entries of the current key into orders, lines and events.
    fn load(&mut self) {
        let Self { group, of_id, orders, lines, events, .. } = self;
        *of_id = 0;
        orders.clear();
        lines.clear();
        events.clear();
        for Entry { place, detail, .. } in group.drain(..) {
            let hash = detail & CONTENT;
            if place.side() == Side::Cause {
                let pending = detail & PENDING != 0;
                if orders.last().is_none_or(|order| order.place != place) {
                    orders.push(OrderItem { place, field: None, pending, lines: 0, with_event: 0 });
                }
                let index = orders.len() - 1;
                let order = &mut orders[index];
                // The entry of the field comes after those of the lines.
                if detail & FIELD != 0 {
                    order.field = Some(hash);
                } else {
                    order.lines += 1;
                    lines.push(Line { content: hash, pending, order: index, has_event: false });
                }
            } else if detail & FIELD == 0 {
                events.push(Event { content: hash, place, key: None, order: None, is_foreign: false });
            } else if let Some(event) = events.last_mut() {
                event.key = Some(hash);
            }
        }
        lines.sort_unstable();
        events.sort_unstable();
    }

    fn count(&mut self) {
        let totals = &mut self.totals;
        let committed = self.orders.iter().filter(|order| !order.pending);
        let (orders, lines) = committed.fold((0, 0), |(orders, lines), order| (orders + 1, lines + order.lines));
        totals.orders += orders;
        totals.repeated_orders += u64::saturating_sub(orders, 1);
        totals.lines += lines;
        totals.events += self.events.len() as u64;
        if !self.orders.is_empty() {
            totals.known_events += self.events.len() as u64;
        }
    }

    fn judge_unknown(&mut self) {
        for index in 0..self.events.len() {
            self.surplus(Finding::of_event(Fault::Invented, self.events[index].place));
        }
    }

    /// An event more than the orders that were read ask for.
    fn surplus(&mut self, finding: Finding) {
        if self.whole.orders {
            self.evidence.add(finding);
        } else if self.orders.is_empty() {
            self.totals.events_without_order += 1;
        } else {
            self.totals.known_without_line += 1;
        }
    }

    /// Matches events with lines of the same content.
    fn match_equal<E>(&mut self, mut pair: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        let (mut line, mut event) = (0, 0);
        while event < self.events.len() {
            let content = self.events[event].content;
            while line < self.lines.len() && self.lines[line].content < content {
                line += 1;
            }
            let lines = line..line + run(&self.lines[line..], |line| line.content == content);
            let events = event..event + run(&self.events[event..], |event| event.content == content);
            (line, event) = (lines.end, events.end);
            let judges_order = self.keyed && self.whole.orders && self.whole.events;
            let certain = judges_order && self.is_certain(&self.lines[lines.clone()], &self.events[events.clone()]);
            for (line, event) in lines.clone().zip(events.clone()) {
                self.assign(line, event);
                let OrderItem { place, field: Some(field), .. } = self.orders[self.lines[line].order] else { continue };
                if certain {
                    let key = u128::from(field) << 64 | u128::from(place.partition().unsigned_abs());
                    let detail = place.offset().unsigned_abs();
                    pair(Entry { key, place: self.events[event].place, detail })?;
                }
            }
            for index in events.clone().skip(lines.len()) {
                if lines.is_empty() {
                    self.events[index].is_foreign = true;
                    continue;
                }
                let order = self.orders[self.lines[lines.start].order].place;
                let doubled = Finding::of_line(Fault::Doubled, content, order, Some(self.events[index].place));
                self.surplus(Finding { other_event: Some(self.events[events.start].place), ..doubled });
            }
        }
        Ok(())
    }

    /// Whether the events in their order belong to the lines in their order. Equal orders can only be distinguished if
    /// each has its event, in one partition on each side.
    fn is_certain(&self, lines: &[Line], events: &[Event]) -> bool {
        let order = |line: &Line| &self.orders[line.order];
        let Some(first) = lines.first() else { return false };
        if lines.iter().all(|line| line.order == first.order) {
            return true;
        }
        lines.len() == events.len()
            && lines.iter().all(|line| {
                order(line).place.partition() == order(first).place.partition()
                    && order(line).field == order(first).field
                    && line.pending == first.pending
            })
            && events.iter().all(|event| event.place.partition() == events[0].place.partition())
    }

    fn assign(&mut self, line: usize, event: usize) {
        let line = &mut self.lines[line];
        line.has_event = true;
        self.orders[line.order].with_event += 1;
        self.events[event].order = Some(line.order);
        if line.pending {
            self.totals.uncommitted_events += 1;
        }
    }

    /// Matches events that have no line with lines of the same item that have no event. Committed lines come first: a
    /// line that may still get its event is not the altered one.
    fn match_altered(&mut self) {
        let mut item = None;
        // The next lines that may be free, of committed and of uncommitted orders.
        let mut next = [0; 2];
        for event in 0..self.events.len() {
            let Event { content, place, is_foreign, .. } = self.events[event];
            if !is_foreign {
                continue;
            }
            let is_of_item = |line: &Line| item_bits(line.content) == item_bits(content);
            if item.replace(item_bits(content)) != Some(item_bits(content)) {
                next = [self.lines.partition_point(|line| item_bits(line.content) < item_bits(content)); 2];
            }
            let free = [false, true].into_iter().zip(&mut next).find_map(|(pending, next)| {
                let is_free = |line: &Line| line.pending == pending && !line.has_event;
                *next += run(&self.lines[*next..], |line| is_of_item(line) && !is_free(line));
                self.lines.get(*next).filter(|line| is_of_item(line)).map(|_| *next)
            });
            let (fault, ordered) = match free {
                Some(index) => {
                    self.assign(index, event);
                    (Fault::Altered, &self.lines[index])
                }
                None => (Fault::Foreign, &self.lines[0]),
            };
            let content = if free.is_some() { ordered.content } else { content };
            self.surplus(Finding::of_line(fault, content, self.orders[ordered.order].place, Some(place)));
        }
    }

    fn judge_lines(&mut self) {
        for index in 0..self.lines.len() {
            let Line { content, pending, order, has_event } = self.lines[index];
            if has_event || pending {
                continue;
            }
            if !self.whole.events {
                self.totals.lines_without_event += 1;
                continue;
            }
            let OrderItem { place, lines, with_event, .. } = self.orders[order];
            self.evidence.add(Finding::of_line(Fault::Lost { with_event, lines }, content, place, None));
        }
    }

    fn judge_keys(&mut self) {
        if !self.keyed || !self.whole.orders {
            return;
        }
        // An event without a line has the key of any of the orders with its id.
        let of_any: Option<BTreeSet<u64>> = self.orders.iter().map(|order| order.field).collect();
        for event in &self.events {
            let of_line = event.order.map(|order| &self.orders[order]);
            let is_kept = match (of_line, &of_any) {
                (Some(OrderItem { field: None, .. }), _) | (None, None) => continue,
                (Some(order), _) => order.field == event.key,
                (None, Some(fields)) => event.key.is_some_and(|key| fields.contains(&key)),
            };
            self.totals.keys += 1;
            if !is_kept {
                let order = of_line.unwrap_or(&self.orders[0]).place;
                self.evidence.add(Finding::of_line(Fault::OtherKey, event.content, order, Some(event.place)));
            }
        }
    }
}

/// How many items at the start are alike.
fn run<T>(items: &[T], is_alike: impl Fn(&T) -> bool) -> usize {
    items.iter().take_while(|item| is_alike(item)).count()
}
