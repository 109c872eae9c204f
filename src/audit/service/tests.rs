//! Tests of the matching: each fault by name, and counts as a simple model counts them.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::audit::{Anomaly, Check, Entry, Place, Side};

const ALL: Whole = Whole { orders: true, events: true };

/// Orders and events of a test, with offsets in the order in which they are added.
#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    values: BTreeMap<Place, Vec<u8>>,
    next: i64,
}

impl Log {
    fn order(&mut self, id: &str, restaurant: &str, status: &str, pending: bool, lines: &[(&str, u32)]) {
        let items: Vec<_> =
            lines.iter().map(|(item, quantity)| json!({"item_id": item, "quantity": quantity, "price": 1})).collect();
        let value = json!({
            "event_type": "OrderPlaced", "order_id": id, "user_id": "u", "restaurant_id": restaurant, "items": items,
            "total_amount": 1, "status": status, "timestamp": "2026-11-22T12:00:00.000Z",
        })
        .to_string();
        let place = self.place(Side::Cause, 0);
        let read = order_entries(Some(value.as_bytes()), place, pending, Some(ClaimedField::RestaurantId), |entry| {
            self.entries.push(entry);
            Ok::<_, Infallible>(())
        });
        assert_eq!(read, Ok(lines.len()));
        self.values.insert(place, value.into_bytes());
    }

    fn event(&mut self, partition: i32, key: &str, id: &str, item: &str, quantity: u32, action: &str) {
        let value = json!({
            "event_type": "InventoryEvent", "order_id": id, "item_id": item, "quantity": quantity, "action": action,
        })
        .to_string();
        let place = self.place(Side::Effect, partition);
        let read = event_entries(Some(key.as_bytes()), Some(value.as_bytes()), place, true, |entry| {
            self.entries.push(entry);
            Ok::<_, Infallible>(())
        });
        assert_eq!(read, Ok(EventRead::Event));
        self.values.insert(place, value.into_bytes());
    }

    fn place(&mut self, side: Side, partition: i32) -> Place {
        self.next += 1;
        Place::new(side, partition, self.next)
    }

    fn judge(&self, whole: Whole) -> (Totals, Evidence, u64) {
        let mut entries = self.entries.clone();
        entries.sort_unstable();
        let mut pairs = Vec::new();
        let mut matcher = Matcher::new(whole, true, 10);
        let mut pair = |entry| {
            pairs.push(entry);
            Ok::<_, Infallible>(())
        };
        for entry in entries {
            matcher.push(entry, &mut pair).expect("cannot fail");
        }
        matcher.finish(&mut pair).expect("cannot fail");
        pairs.sort_unstable();
        let mut order = OrderCheck::new(10);
        for pair in pairs {
            order.push(pair);
        }
        order.finish();
        let Matcher { totals, mut evidence, .. } = matcher;
        evidence.merge(order.evidence);
        (totals, evidence, order.events)
    }

    /// The violated checks with their counts, and the kinds of their findings.
    fn violated(&self) -> Vec<(&'static str, u64, Vec<Anomaly>)> {
        let (_, evidence, _) = self.judge(ALL);
        let of = |check: &Check| {
            let kinds = evidence.findings(*check).map(|finding| finding.fault.anomaly()).collect();
            (check.name(), evidence.violations(*check), kinds)
        };
        Check::ALL.iter().map(of).filter(|(_, count, _)| *count > 0).collect()
    }

    fn described(&self, check: Check) -> Description {
        let (_, evidence, _) = self.judge(ALL);
        let finding = evidence.findings(check).next().expect("a finding");
        let value = |place: Option<Place>| place.map(|place| &*self.values[&place]);
        let records =
            EvidenceRecords { order: value(finding.order), event_key: Some(b"k\x1b"), event: value(finding.event) };
        Description::new(finding, records, Some(ClaimedField::RestaurantId))
    }
}

/// Two orders of a restaurant and one of another, decided.
fn good() -> Log {
    let mut log = Log::default();
    log.order("a", "r", "placed", false, &[("x", 1), ("y", 2)]);
    log.order("b", "r", "failed", false, &[("x", 3)]);
    log.order("c", "s", "placed", false, &[("x", 1), ("x", 1)]);
    log.event(0, "r", "a", "x", 1, "reserve");
    log.event(0, "r", "a", "y", 2, "reserve");
    log.event(0, "r", "b", "x", 3, "release");
    log.event(1, "s", "c", "x", 1, "reserve");
    log.event(1, "s", "c", "x", 1, "reserve");
    log
}

fn without(place: impl Fn(Place) -> bool) -> Log {
    let mut log = good();
    log.entries.retain(|entry| !place(entry.place));
    log
}

#[test]
fn a_good_log_is_clean() {
    assert_eq!(good().violated(), []);
    let (totals, _, ordered) = good().judge(ALL);
    let expected = Totals { orders: 3, lines: 5, events: 5, known_events: 5, keys: 5, ..Totals::default() };
    assert_eq!((totals, ordered), (expected, 5));
}

#[test]
fn a_line_is_lost() {
    let log = without(|place| place.offset() == 5);
    assert_eq!(log.violated(), [("no-line-lost", 1, vec![Anomaly::TornTransaction])]);
    let described = log.described(Check::NoLineLost);
    assert_eq!(
        (&*described.summary, described.expected.as_deref()),
        ("order a has events for 1 of its 2 lines", Some("reserve 2 × y"))
    );
    let log = without(|place| place.offset() == 6);
    assert_eq!(log.violated(), [("no-line-lost", 1, vec![Anomaly::LostWrite])]);
    assert_eq!(log.described(Check::NoLineLost).expected.as_deref(), Some("release 3 × x"));
    let log = without(|place| place.side() == Side::Effect);
    assert_eq!(log.violated(), [("no-line-lost", 5, vec![Anomaly::LostWrite; 4])], "equal lines have one finding");
}

#[test]
fn a_line_is_doubled() {
    let mut log = good();
    log.event(0, "r", "a", "y", 2, "reserve");
    log.event(1, "s", "c", "x", 1, "reserve");
    assert_eq!(log.violated(), [("no-line-doubled", 2, vec![Anomaly::Duplicate; 2])]);
    assert_eq!(log.described(Check::NoLineDoubled).seen.as_deref(), Some("reserve 2 × y, again"));
}

#[test]
fn an_event_is_invented() {
    let mut log = good();
    log.event(0, "r", "\u{1b}d", "y", 2, "reserve");
    assert_eq!(log.violated(), [("no-line-invented", 1, vec![Anomaly::InventedWrite])]);
    let described = log.described(Check::NoLineInvented);
    assert_eq!(described.summary, "the event is about order \\u{1b}d, which does not exist");
}

#[test]
fn an_altered_line_is_reported_once() {
    for (quantity, action) in [(7, "reserve"), (2, "release"), (2, "reject"), (0, "reserve")] {
        let mut log = without(|place| place.offset() == 5);
        log.event(0, "r", "a", "y", quantity, action);
        assert_eq!(log.violated(), [("lines-as-ordered", 1, vec![Anomaly::WrongValue])], "{quantity} {action}");
        assert_eq!(log.described(Check::LinesAsOrdered).expected.as_deref(), Some("reserve 2 × y"));
    }
}

#[test]
fn altered_events_take_committed_lines_first() {
    let mut log = Log::default();
    log.order("a", "r", "placed", true, &[("x", 1), ("x", 9), ("y", 4)]);
    log.order("a", "r", "placed", false, &[("x", 3), ("x", 5), ("y", 4)]);
    log.event(0, "r", "a", "x", 5, "reserve");
    for quantity in [20, 21, 22] {
        log.event(0, "r", "a", "x", quantity, "reserve");
    }
    let altered = ("lines-as-ordered", 3, vec![Anomaly::WrongValue; 3]);
    assert_eq!(log.violated(), [("no-line-lost", 1, vec![Anomaly::TornTransaction]), altered]);
    let ordered = |log: &Log| -> Vec<Option<i64>> {
        let (_, evidence, _) = log.judge(ALL);
        evidence.findings(Check::LinesAsOrdered).map(|finding| finding.order.map(Place::offset)).collect()
    };
    assert_eq!((ordered(&log), log.judge(ALL).0.uncommitted_events), (vec![Some(2), Some(1), Some(1)], 2));
    // No line of the item is left, and those of the next item do not replace it.
    log.event(0, "r", "a", "x", 23, "reserve");
    log.event(0, "r", "a", "y", 7, "reserve");
    log.event(0, "r", "a", "y", 8, "reserve");
    log.event(0, "r", "a", "y", 9, "reserve");
    assert_eq!(log.violated(), [("lines-as-ordered", 7, vec![Anomaly::WrongValue; 7])]);
    assert_eq!(log.judge(ALL).0.uncommitted_events, 3);
}

/// What is counted of an id with one order of a line and so many events, or with events only; and of another id.
fn crowd(with_order: bool, events: u64) -> (Totals, Vec<u64>) {
    let mut log = Log::default();
    log.order("a", "r", "placed", false, &[("x", 1)]);
    log.event(0, "r", "a", "x", 1, "reserve");
    log.order("b", "r", "placed", false, &[("x", 1)]);
    log.event(0, "r", "b", "x", 1, "reserve");
    let event = log.entries[log.entries.len() - 2..].to_vec();
    if !with_order {
        let order = log.entries[4].place;
        log.entries.retain(|entry| entry.place != order);
    }
    for _ in 1..events {
        let place = log.place(Side::Effect, 0);
        log.entries.extend(event.iter().map(|entry| Entry { place, ..*entry }));
    }
    let (totals, evidence, _) = log.judge(ALL);
    (totals, [Check::NoLineDoubled, Check::NoLineInvented].map(|check| evidence.violations(check)).to_vec())
}

#[test]
fn an_id_with_too_many_events_is_not_compared() {
    let most = MOST_OF_AN_ID;
    let (totals, violations) = crowd(true, most - 1);
    assert_eq!((totals.orders, totals.events, totals.crowded_ids, violations), (2, most, 0, vec![most - 2, 0]));
    let (totals, violations) = crowd(true, most + 5);
    assert_eq!((totals.orders, totals.events, totals.keys, violations), (1, 1, 1, vec![0, 0]));
    assert_eq!((totals.crowded_ids, totals.not_compared), (1, most + 6));
    // Without an order they need no memory.
    let (totals, violations) = crowd(false, 2 * most + 5);
    assert_eq!((totals.orders, totals.crowded_ids), (1, 0));
    assert_eq!((totals.events, violations), (2 * most + 6, vec![0, 2 * most + 5]));
}

/// A search through all lines for each event would not end in a reasonable time.
#[test]
fn as_many_altered_events_as_an_id_may_have_are_matched() {
    let mut log = Log::default();
    log.order("a", "r", "placed", false, &[("x", 1)]);
    log.event(0, "s", "a", "x", 2, "reserve");
    for entry in log.entries.clone() {
        for _ in 1..MOST_OF_AN_ID / 2 {
            log.next += 1;
            let place = Place::new(entry.place.side(), 0, log.next);
            log.entries.push(Entry { place, ..entry });
        }
    }
    let (totals, evidence, _) = log.judge(ALL);
    assert_eq!((totals.crowded_ids, totals.lines), (0, MOST_OF_AN_ID / 2));
    assert_eq!(evidence.violations(Check::LinesAsOrdered), MOST_OF_AN_ID / 2);
}

#[test]
fn a_foreign_line_is_no_lost_one() {
    let mut log = good();
    log.event(0, "r", "a", "z", 2, "reserve");
    assert_eq!(log.violated(), [("lines-as-ordered", 1, vec![Anomaly::WrongValue])]);
    let described = log.described(Check::LinesAsOrdered);
    assert_eq!(described.expected.as_deref(), Some("reserve 1 × x, reserve 2 × y"));
    assert_eq!(described.seen.as_deref(), Some("reserve 2 × z"));
}

#[test]
fn equal_ids_are_different_orders() {
    let mut log = good();
    log.order("a", "r", "placed", false, &[("x", 1), ("y", 2)]);
    log.order("a", "r", "placed", false, &[("y", 9)]);
    let missing = log.violated();
    assert_eq!(missing, [("no-line-lost", 3, vec![Anomaly::LostWrite; 3])]);
    for (item, quantity) in [("x", 1), ("y", 2), ("y", 9)] {
        log.event(0, "r", "a", item, quantity, "reserve");
    }
    assert_eq!(log.violated(), []);
    assert_eq!(log.judge(ALL).0.repeated_orders, 2);
}

#[test]
fn uncommitted_orders_may_have_events_once() {
    let mut log = good();
    log.order("d", "r", "placed", true, &[("x", 1), ("y", 2)]);
    log.event(0, "r", "d", "x", 1, "reserve");
    assert_eq!(log.violated(), []);
    let (totals, ..) = log.judge(ALL);
    assert_eq!((totals.orders, totals.lines, totals.uncommitted_events, totals.known_events), (3, 5, 1, 6));
    log.event(0, "r", "d", "x", 1, "reserve");
    assert_eq!(log.violated(), [("no-line-doubled", 1, vec![Anomaly::Duplicate])]);
}

#[test]
fn an_event_belongs_to_the_committed_one_of_equal_orders() {
    let mut log = Log::default();
    log.order("a", "r", "placed", true, &[("x", 1)]);
    log.order("a", "r", "placed", false, &[("x", 1)]);
    log.event(0, "r", "a", "x", 1, "reserve");
    assert_eq!(log.violated(), []);
    assert_eq!(log.judge(ALL).0.uncommitted_events, 0);
}

#[test]
fn keys_are_those_of_the_orders() {
    let mut log = without(|place| place.offset() == 6);
    log.event(0, "b", "b", "x", 3, "release");
    assert_eq!(log.violated(), [("keys-are-kept", 1, vec![Anomaly::WrongValue])]);
    let described = log.described(Check::KeysAreKept);
    assert_eq!(described.summary, "the key of the event is not the restaurant_id of order b");
    assert_eq!((described.expected.as_deref(), described.seen.as_deref()), (Some("r"), Some("k\\u{1b}")));
    // An order without a restaurant has no key that could be kept.
    log = Log::default();
    log.order("a", "", "placed", false, &[("x", 1)]);
    log.event(0, "anything", "a", "x", 1, "reserve");
    assert_eq!((log.violated(), log.judge(ALL).0.keys, log.judge(ALL).2), (vec![], 0, 0));
}

#[test]
fn order_is_that_of_the_orders() {
    let mut log = good();
    log.order("d", "r", "placed", false, &[("x", 1), ("y", 1)]);
    log.order("e", "r", "placed", false, &[("x", 1)]);
    log.event(0, "r", "e", "x", 1, "reserve");
    // Lines of one order have no order.
    log.event(0, "r", "d", "y", 1, "reserve");
    log.event(0, "r", "d", "x", 1, "reserve");
    assert_eq!(log.violated(), [("order-is-kept", 1, vec![Anomaly::NonMonotonic])]);
    let described = log.described(Check::OrderIsKept);
    assert_eq!(described.summary, "an event of restaurant_id r comes after that of a later order");
    assert_eq!(described.seen.as_deref(), Some("the order at offset 9 after the one at offset 10"));
    // A second delivery is not another order.
    let mut log = good();
    log.event(0, "r", "a", "x", 1, "reserve");
    assert_eq!(log.violated(), [("no-line-doubled", 1, vec![Anomaly::Duplicate])]);
}

#[test]
fn order_needs_one_partition() {
    let mut log = without(|place| place.offset() == 6);
    log.event(2, "r", "b", "x", 3, "release");
    assert_eq!(log.violated(), [("order-is-kept", 1, vec![Anomaly::NonMonotonic])]);
    let described = log.described(Check::OrderIsKept);
    assert_eq!(described.expected.as_deref(), Some("partition 0, as most of them"));
    assert_eq!(described.seen.as_deref(), Some("partition 2"));
}

#[test]
fn what_was_not_read_is_not_a_violation() {
    let mut log = without(|place| place.offset() == 5);
    log.event(0, "r", "d", "y", 2, "reserve");
    log.event(0, "z", "b", "x", 3, "release");
    let all = log.judge(ALL).1;
    let count = |evidence: &Evidence| Check::ALL.iter().map(|check| evidence.violations(*check)).sum::<u64>();
    assert_eq!(count(&all), 4);
    let (totals, evidence, ordered) = log.judge(Whole { orders: false, events: true });
    assert_eq!((totals.events_without_order, totals.known_without_line, totals.keys, ordered), (1, 1, 0, 0));
    assert_eq!((count(&evidence), evidence.violations(Check::NoLineLost)), (1, 1));
    let (totals, evidence, ordered) = log.judge(Whole { orders: true, events: false });
    assert_eq!((totals.lines_without_event, ordered), (1, 0));
    assert_eq!((count(&evidence), evidence.violations(Check::NoLineLost)), (3, 0));
}

#[test]
fn the_smallest_evidence_is_kept() {
    let mut evidence = Evidence::new(2);
    for offset in [5, 3, 9, 1, 7] {
        evidence.add(Finding::of_event(Fault::Invented, Place::new(Side::Effect, 0, offset)));
    }
    let mut other = Evidence::new(2);
    other.add(Finding::of_event(Fault::Invented, Place::new(Side::Effect, 0, 2)));
    evidence.merge(other);
    let kept: Vec<i64> =
        evidence.findings(Check::NoLineInvented).filter_map(|finding| finding.event).map(Place::offset).collect();
    assert_eq!((kept, evidence.violations(Check::NoLineInvented)), (vec![1, 2], 6));
}

proptest! {
    /// Lost, doubled, altered and foreign events, counted with a map for each id.
    #[test]
    fn counts_are_those_of_a_model(
        orders in prop::collection::vec((0_u8..3, prop::collection::vec((0_u8..3, 1_u32..3), 1..4), any::<bool>()), 0..6),
        events in prop::collection::vec((0_u8..4, 0_u8..4, 1_u32..3, any::<bool>()), 0..12),
    ) {
        let name = |number: &u8| format!("n{number}");
        let mut log = Log::default();
        // Of each id and item: the lines that are left, and the events.
        let mut wanted: BTreeMap<(u8, u8), Vec<(u32, bool)>> = BTreeMap::new();
        for (id, lines, failed) in &orders {
            let named: Vec<(String, u32)> = lines.iter().map(|(item, quantity)| (name(item), *quantity)).collect();
            let named: Vec<(&str, u32)> = named.iter().map(|(item, quantity)| (&**item, *quantity)).collect();
            log.order(&name(id), "r", if *failed { "failed" } else { "placed" }, false, &named);
            for (item, quantity) in lines {
                wanted.entry((*id, *item)).or_default().push((*quantity, *failed));
            }
        }
        let (mut doubled, mut invented, mut foreign) = (0, 0, 0);
        let mut left = wanted.clone();
        let mut others = Vec::new();
        for (id, item, quantity, failed) in &events {
            log.event(0, "r", &name(id), &name(item), *quantity, if *failed { "release" } else { "reserve" });
            let lines = left.entry((*id, *item)).or_default();
            if let Some(index) = lines.iter().position(|line| *line == (*quantity, *failed)) {
                lines.remove(index);
            } else if !orders.iter().any(|(known, ..)| known == id) {
                invented += 1;
            } else if wanted.get(&(*id, *item)).is_some_and(|lines| lines.contains(&(*quantity, *failed))) {
                doubled += 1;
            } else {
                foreign += 1;
                others.push((*id, *item));
            }
        }
        for key in others {
            left.entry(key).or_default().pop();
        }
        let lost = left.values().map(Vec::len).sum::<usize>() as u64;
        let (_, evidence, _) = log.judge(ALL);
        let found = [Check::NoLineLost, Check::NoLineDoubled, Check::NoLineInvented, Check::LinesAsOrdered]
            .map(|check| evidence.violations(check));
        prop_assert_eq!(found, [lost, doubled, invented, foreign]);
    }
}
