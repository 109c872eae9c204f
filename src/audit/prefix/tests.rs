//! Property tests of the checks of a prefix: a good log of one partition, damaged in one place.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::decision_fold::DecisionBounds;
use super::*;
use crate::domain::{
    Cents, DecisionSource, EventTime, Order, OrderLine, OrderRecord, OrderStatus, decode_order, encode_decision,
    encode_order,
};
use crate::inventory::{OpeningStock, StockSettings, StockStore};
use crate::state::{Digest, Position, PositionKey};

const PARTITION: i32 = 3;
const TOPIC: &str = "order-events";

/// A record: key and value. Its offset is its index.
type Record = (Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Debug, Clone)]
struct Logs {
    orders: Vec<Record>,
    decisions: Vec<Record>,
    ledger: Vec<Record>,
    /// With the offset of the bad record.
    dead_letters: Vec<(i64, Record)>,
    committed: i64,
}

/// A length or an index as an offset.
fn count(count: usize) -> i64 {
    i64::try_from(count).expect("small")
}

fn settings() -> StockSettings {
    StockSettings::new(OpeningStock::Units(20), std::time::Duration::from_mins(1)).expect("valid")
}

fn order(index: usize, lines: &[(u8, u32)], failed: bool) -> Vec<u8> {
    let line = |&(item, quantity): &(u8, u32)| OrderLine {
        item_id: format!("item_{item}").into(),
        quantity,
        price: Cents(850),
    };
    let order = Order {
        order_id: format!("order-{index}").into(),
        user_id: "user_1".into(),
        restaurant_id: "restaurant_1".into(),
        lines: lines.iter().map(line).collect(),
        total: Cents(0),
        status: if failed { OrderStatus::Failed } else { OrderStatus::Placed },
        timestamp: EventTime::from_millis(count(index) * 9_000).expect("in range"),
    };
    let mut value = Vec::new();
    encode_order(&order, &mut value);
    value
}

/// What `inventory` writes because of these records.
fn decided(orders: Vec<Record>) -> Logs {
    let mut logs =
        Logs { committed: count(orders.len()), orders, decisions: vec![], ledger: vec![], dead_letters: vec![] };
    let mut stock = StockStore::new(settings());
    let (mut digest, mut counts) = (Digest::default(), OrderCounts::default());
    for (offset, (key, value)) in (0..).zip(&logs.orders) {
        digest.add(offset, key.as_deref(), value.as_deref());
        counts.records += 1;
        match decode_order(value.as_deref()) {
            Ok(OrderRecord::Order(order)) => {
                let source = DecisionSource { partition: PARTITION, offset };
                stock.decide(&order, source, &mut |decision| {
                    let mut json = Vec::new();
                    encode_decision(decision, &mut json);
                    logs.decisions.push((key.clone(), Some(json)));
                });
            }
            Ok(OrderRecord::Skipped) => counts.skipped += 1,
            Err(_) => {
                counts.dead_letters += 1;
                logs.dead_letters.push((offset, (key.clone(), value.clone())));
            }
        }
    }
    stock.records(&mut |key, value| logs.ledger.push((Some(key.to_vec()), Some(value.to_vec()))));
    let now = stock.counts();
    counts.orders = now.orders;
    counts.by_decision = [now.reserved, now.rejected, now.released];
    let position = Position {
        next_offset: logs.committed,
        log_start: 0,
        topic_id: None,
        group: "group".to_owned(),
        epoch: None,
        settings: Some(settings().to_value()),
        counts: counts.named().map(|(name, count)| (name.to_owned(), count)).into(),
        holds: stock.holds().map(|(name, size)| (name.to_owned(), size)).into(),
        digest,
        until: None,
        started_over: false,
        previous: None,
    };
    logs.ledger.push((Some(PositionKey::Ledger.encode()), Some(position.encode())));
    logs
}

fn log_record(offset: i64, (key, value): &Record) -> LogRecord<'_> {
    LogRecord { offset, timestamp: None, key: key.as_deref(), value: value.as_deref() }
}

fn headers(source: i64) -> DeadLetterHeaders {
    let mut headers = DeadLetterHeaders::default();
    let pairs = [
        ("reason", "not_json: x"),
        ("topic", TOPIC),
        ("partition", "3"),
        ("offset", &source.to_string()),
        ("timestamp", ""),
    ];
    for (name, value) in pairs {
        headers.add(format!("foodstream.dlq.{name}").as_bytes(), Some(value.as_bytes()));
    }
    headers
}

/// Judges the logs, and returns the findings.
fn judge(logs: &Logs) -> Findings {
    let mut findings = Findings::new(10);
    let mut ledger = LedgerFold::default();
    for (offset, record) in (0..).zip(&logs.ledger) {
        ledger.record(log_record(offset, record));
    }
    let facts = PartitionFacts {
        partition: PARTITION,
        topic: TOPIC,
        group: "group",
        committed: Some(logs.committed),
        orders: 0..count(logs.orders.len()),
        decisions_start: 0,
        is_compacted: false,
        is_stuck: false,
        topic_id: None,
        ledger: &ledger,
        settings: Some(settings()),
    };
    let plan = PartitionPlan::of(&facts);
    assert!(plan.has_sources && plan.begins_at_start && plan.unproved.is_empty(), "{plan:?}");
    check_position(&facts, Some(logs.committed), &mut findings);
    let mut orders = OrderFold::new(plan.orders.clone(), vec![0, logs.committed]);
    let mut decisions = DecisionFold::new(plan.decisions.clone(), 0, Vec::new(), 10);
    let mut letters = LetterFold::new(TOPIC, PARTITION, &plan.orders.required, 0);
    orders.reached(0);
    // The entries of everything, not only of chunks that differ.
    let mut entries = Vec::new();
    for (offset, record) in (0..).zip(&logs.orders) {
        orders.record(log_record(offset, record), &mut |_, expected| {
            entries.extend(expected.map(|expected| expected_entry(PARTITION, offset, expected)));
        });
    }
    orders.reached(count(logs.orders.len()));
    let Sizes { lines, dead_letters, .. } = orders.sizes(&(0..logs.committed));
    assert_eq!(lines + dead_letters, entries.len() as u64);
    for (offset, record) in (0..).zip(&logs.decisions) {
        let actual = decisions.record(log_record(offset, record));
        entries.extend(decision_entry(PARTITION, offset, actual));
    }
    for (offset, (source, record)) in (0..).zip(&logs.dead_letters) {
        let (source, content) = letters.record(log_record(offset, record), &headers(*source));
        entries.push(letter_entry(PARTITION, offset, source, content));
    }
    let claimed = 0..logs.committed;
    let claims = Claims {
        decided: claimed.clone(),
        dead_letters: claimed.clone(),
        begins_at_start: true,
        undecided_from: logs.committed,
        orders_end: count(logs.orders.len()),
    };
    let mut by_partition = vec![None; 3];
    by_partition.push(Some(claims));
    let mut judge = EvidenceJudge::new(&by_partition, 10);
    entries.sort_unstable();
    for entry in entries {
        judge.entry(entry);
    }
    judge.finish();
    let is_found = judge.findings.by_check().any(|(_, found)| found.violations > 0);
    let differs = !orders.decisions.differing(&decisions.sums, &claimed).is_empty()
        || !orders.dead_letters.differing(&letters.sums, &claimed).is_empty()
        || decisions.has_strays
        || letters.has_strays
        || [decisions.sources, letters.sources].into_iter().flatten().any(|(_, highest)| highest >= logs.committed);
    assert_eq!(is_found, differs, "sums and entries agree");
    findings.append(decisions.take_findings());
    findings.append(judge.findings);
    if let Some(expected) = &orders.at_position {
        ledger.compare(PARTITION, expected, &settings(), &mut findings);
    }
    for finding in findings.by_check().flat_map(|(_, found)| &found.first) {
        assert_ne!(finding.expected, finding.seen, "{finding:?}");
    }
    findings
}

fn violated(findings: &Findings) -> BTreeSet<&'static str> {
    findings.by_check().filter(|(_, found)| found.violations > 0).map(|(check, _)| check.name()).collect()
}

fn any_logs() -> impl Strategy<Value = Logs> {
    let lines = prop::collection::vec((0_u8..3, 1_u32..6), 1..4);
    let record = prop_oneof![
        8 => (lines, prop::bool::weighted(0.1)).prop_map(Some),
        1 => Just(None),
    ];
    prop::collection::vec(record, 3..30).prop_map(|records| {
        let records = records.into_iter().enumerate().map(|(index, record)| {
            let value = match record {
                Some((lines, failed)) => order(index, &lines, failed),
                None => format!("{{bad {index}").into_bytes(),
            };
            (Some(b"restaurant_1".to_vec()), Some(value))
        });
        decided(records.collect())
    })
}

#[test]
fn holes_of_several_offsets_are_where_a_missing_decision_would_be() {
    let records = (0..4).map(|index| (None, Some(order(index, &[(1, 1)], false))));
    let logs = decided(records.collect());
    let bounds = DecisionBounds { partition: PARTITION, required: 0..4, settings: None, is_complete: true };
    let mut fold = DecisionFold::new(bounds, 0, Vec::new(), 0);
    fold.reached(0);
    // Orders 0 and 3, each followed by a marker; in between a transaction of two decisions was aborted.
    for (offset, record) in [(0, &logs.decisions[0]), (5, &logs.decisions[3])] {
        fold.record(log_record(offset, record));
    }
    fold.reached(7);
    fold.reached(10);
    let fitting =
        |source| fold.holes().iter().filter(move |hole| hole.fits((source, 0))).map(|hole| hole.range.clone());
    assert_eq!((fitting(2).count(), fitting(2).next()), (1, Some(1..5)));
    assert_eq!((fitting(4).count(), fitting(4).next()), (1, Some(7..10)));
    assert_eq!(fitting(0).count() + fitting(3).count(), 0, "they are there");
}

/// The checks that decisions in another number or order may break because their stock no longer adds up.
const STOCK: [&str; 2] = ["stock-never-negative", "stock-balances"];

fn is_only(names: &BTreeSet<&'static str>, required: &str, others: &[&str]) -> bool {
    names.contains(required) && names.iter().all(|name| *name == required || others.contains(name))
}

proptest! {
    #[test]
    fn undamaged_logs_hold(logs in any_logs()) {
        prop_assert_eq!(violated(&judge(&logs)), BTreeSet::new());
    }

    #[test]
    fn a_lost_decision_is_one(logs in any_logs(), at: prop::sample::Index) {
        prop_assume!(!logs.decisions.is_empty());
        let mut damaged = logs.clone();
        damaged.decisions.remove(at.index(logs.decisions.len()));
        let findings = judge(&damaged);
        prop_assert!(is_only(&violated(&findings), "one-decision-per-line", &STOCK), "{:?}", violated(&findings));
    }

    #[test]
    fn a_doubled_decision_is_one(logs in any_logs(), at: prop::sample::Index, to: prop::sample::Index) {
        prop_assume!(!logs.decisions.is_empty());
        let mut damaged = logs.clone();
        let (from, to) = (at.index(logs.decisions.len()), to.index(logs.decisions.len() + 1));
        damaged.decisions.insert(to, logs.decisions[from].clone());
        let found = violated(&judge(&damaged));
        let moved = if to == from || to == from + 1 { &STOCK[..] } else { &["order-is-kept", STOCK[0], STOCK[1]] };
        prop_assert!(is_only(&found, "one-decision-per-line", moved), "{found:?}");
    }

    #[test]
    fn swapped_decisions_are_out_of_order(logs in any_logs(), left: prop::sample::Index, right: prop::sample::Index) {
        prop_assume!(logs.decisions.len() > 1);
        let (left, right) = (left.index(logs.decisions.len()), right.index(logs.decisions.len()));
        prop_assume!(left != right);
        let mut damaged = logs.clone();
        damaged.decisions.swap(left, right);
        let found = violated(&judge(&damaged));
        prop_assert!(is_only(&found, "order-is-kept", &STOCK), "{found:?}");
    }

    #[test]
    fn an_altered_byte_of_a_decision_is_found_where_it_is(logs in any_logs(), at: prop::sample::Index, byte: prop::sample::Index, mask in 1_u8..) {
        prop_assume!(!logs.decisions.is_empty());
        let mut damaged = logs.clone();
        let offset = at.index(logs.decisions.len());
        let value = damaged.decisions[offset].1.as_mut().expect("a value");
        let byte = byte.index(value.len());
        value[byte] ^= mask;
        let findings = judge(&damaged);
        prop_assert!(!violated(&findings).is_empty());
        let is_skipped = matches!(
            crate::domain::decode_decision(damaged.decisions[offset].1.as_deref()),
            Ok(crate::domain::DecisionRecord::Skipped)
        );
        let place = (PrefixTopic::Decisions, PARTITION, count(offset));
        let is_named = findings.by_check().any(|(_, found)| {
            let mut records = found.first.iter().flat_map(|finding| &finding.records);
            records.any(|(_, topic, partition, offset)| (*topic, *partition, *offset) == place)
        });
        prop_assert!(is_named || is_skipped, "{:?}", violated(&findings));
    }

    #[test]
    fn a_lost_doubled_or_altered_dead_letter_is_one(logs in any_logs(), at: prop::sample::Index, how in 0..3) {
        prop_assume!(!logs.dead_letters.is_empty());
        let mut damaged = logs.clone();
        let at = at.index(logs.dead_letters.len());
        match how {
            0 => drop(damaged.dead_letters.remove(at)),
            1 => damaged.dead_letters.push(logs.dead_letters[at].clone()),
            _ => damaged.dead_letters[at].1.1 = Some(b"{other".to_vec()),
        }
        prop_assert_eq!(violated(&judge(&damaged)), BTreeSet::from(["dead-letters-once"]));
    }

    #[test]
    fn an_offset_too_far_or_not_far_enough_is_inconsistent(logs in any_logs(), back in 1_i64..3) {
        let mut damaged = logs.clone();
        damaged.committed -= back;
        let found = violated(&judge(&damaged));
        prop_assert!(
            is_only(&found, "position-equals-offset", &["one-decision-per-line", "dead-letters-once"]),
            "{found:?}"
        );
        let mut damaged = logs.clone();
        damaged.orders.push((None, Some(order(99, &[(1, 1)], false))));
        damaged.committed += 1;
        let found = violated(&judge(&damaged));
        prop_assert_eq!(found, BTreeSet::from(["one-decision-per-line", "position-equals-offset"]));
    }

    #[test]
    fn an_altered_key_of_the_ledger_is_named(logs in any_logs(), at: prop::sample::Index, byte: prop::sample::Index) {
        let at = at.index(logs.ledger.len());
        let mut damaged = logs;
        let key = damaged.ledger[at].0.as_mut().expect("a key");
        let byte = byte.index(key.len());
        key[byte] ^= 1;
        // A record of another item is replaced by a later one.
        let key = damaged.ledger[at].0.as_ref();
        prop_assume!(damaged.ledger.iter().filter(|(other, _)| other.as_ref() == key).count() == 1);
        let findings = judge(&damaged);
        prop_assert!(!violated(&findings).is_empty());
        let first = findings.by_check().filter_map(|(_, found)| found.first.first());
        let place = (PrefixTopic::Ledger, PARTITION, count(at));
        let mut records = first.flat_map(|finding| &finding.records).map(|(_, topic, of, offset)| (*topic, *of, *offset));
        prop_assert!(records.any(|record| record == place));
    }

    #[test]
    fn a_lost_or_altered_ledger_record_is_one(logs in any_logs(), at: prop::sample::Index, byte: prop::sample::Index) {
        prop_assume!(logs.ledger.len() > 1);
        // The last record is the position.
        let at = at.index(logs.ledger.len() - 1);
        let mut damaged = logs.clone();
        damaged.ledger.remove(at);
        prop_assert_eq!(violated(&judge(&damaged)), BTreeSet::from(["ledger-agrees"]));
        let mut damaged = logs;
        let value = damaged.ledger[at].1.as_mut().expect("a value");
        let byte = byte.index(value.len());
        value[byte] ^= 1;
        let found = violated(&judge(&damaged));
        prop_assert!(is_only(&found, "ledger-agrees", &["stock-balances"]), "{found:?}");
    }
}
