//! Tests of the event codec: sample records with their verdicts, and the format of the Python original in both
//! directions.

use std::borrow::Cow;
use std::collections::HashSet;

use foodstream::domain::{
    Cents, DecisionRecord, EventTime, Lines, Order, OrderLine, OrderRecord, OrderStatus, decode_decision, decode_order,
    encode_order,
};
use serde::Deserialize;

#[path = "support/samples.rs"]
mod samples;

use samples::{Expected, order_samples};

fn read_order(value: &[u8]) -> Order<'_> {
    match decode_order(Some(value)) {
        Ok(OrderRecord::Order(order)) => order,
        other => panic!("not an order: {other:?}"),
    }
}

#[test]
fn every_sample_gets_its_verdict() {
    let wrong: Vec<_> = order_samples()
        .iter()
        .filter_map(|sample| {
            let read = decode_order(sample.value.as_deref());
            let verdict = match &read {
                Ok(OrderRecord::Order(_)) => Expected::Accepted,
                Ok(OrderRecord::Skipped) => Expected::Skipped,
                Err(bad) => Expected::Bad(bad.reason.as_str()),
            };
            (verdict != sample.expected).then(|| format!("{}: {verdict:?}, {:?}", sample.name, read.err()))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sample_names_are_unique() {
    let mut names = HashSet::new();
    for sample in order_samples() {
        assert!(names.insert(sample.name), "{} appears twice", sample.name);
        let bytes = sample.value.map_or(0, |value| value.len());
        assert!(bytes < 1_000_000 || sample.name.contains("over the size limit"), "{}: {bytes}", sample.name);
    }
}

#[test]
fn details_do_not_quote_the_record() {
    for sample in order_samples() {
        if let Err(bad) = decode_order(sample.value.as_deref()) {
            assert!(bad.detail.len() <= 80, "{}: {}", sample.name, bad.detail);
            assert!(bad.detail.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}: {}", sample.name, bad.detail);
        }
    }
}

#[test]
fn a_detail_names_the_location() {
    let detail = |value: &str| match decode_order(Some(value.as_bytes())) {
        Err(bad) => bad.to_string(),
        Ok(read) => panic!("not bad: {read:?}"),
    };
    let order = |items: &str| {
        format!(
            r#"{{"event_type":"OrderPlaced","order_id":"a","user_id":"b","items":{items},"total_amount":1,"status":"placed","timestamp":"2026-11-22T12:00:00Z"}}"#
        )
    };
    let line = r#"{"item_id":"a","quantity":1,"price":1}"#;
    for (value, expected) in [
        (r#"{"event_type":"x""#.to_owned(), "not_json: byte 17: EOF while parsing an object"),
        (r#"{"a":tru}"#.to_owned(), "not_json: byte 8: expected ident"),
        (r#"{"status":1,"status":2}"#.to_owned(), "duplicate_field: status appears twice"),
        (r#"{"event_type":"OrderPlaced"}"#.to_owned(), "missing_field: order_id is missing"),
        (order("7"), "wrong_type: items is not an array"),
        (order(&format!("[{line},7]")), "wrong_type: items[1] is not an object"),
        (
            order(&format!(r#"[{line},{{"item_id":"a","quantity":0,"price":1}}]"#)),
            "bad_value: items[1].quantity is not a whole number from 1 to 1000000",
        ),
        (order(&format!(r#"[{line},{{"price":1,"price":1}}]"#)), "duplicate_field: items[1].price appears twice"),
    ] {
        assert_eq!(detail(&value), expected, "{value}");
    }
}

#[test]
fn an_ordinary_order_is_borrowed() {
    let value = order_samples().into_iter().find(|sample| sample.name == "an ordinary order");
    let value = value.and_then(|sample| sample.value).expect("the first sample");
    let order = read_order(&value);
    let texts = [&order.order_id, &order.user_id, &order.restaurant_id, &order.lines[0].item_id];
    assert!(texts.iter().all(|text| matches!(text, Cow::Borrowed(_))), "{order:?}");
    assert!(!order.lines.spilled());
}

/// A record of the Python original: `json.dumps` and `datetime.isoformat()`.
const ORIGINALS_ORDER: &str = r#"{"event_type": "OrderPlaced", "order_id": "5b1f0e0e-6f0a-4c39-9d3c-3f2f8f3a9c11", "user_id": "user_17", "items": [{"item_id": "item_4", "quantity": 2, "price": 12.989999999999998}, {"item_id": "item_9", "quantity": 1, "price": 7.5}], "total_amount": 33.480000000000004, "status": "placed", "timestamp": "2025-03-01T09:30:15.987654"}"#;

#[test]
fn decodes_orders_of_the_original() {
    let order = read_order(ORIGINALS_ORDER.as_bytes());
    assert_eq!(order.order_id, "5b1f0e0e-6f0a-4c39-9d3c-3f2f8f3a9c11");
    assert_eq!(order.user_id, "user_17");
    assert_eq!(order.restaurant_id, "");
    let lines: Vec<_> = order.lines.iter().map(|line| (&*line.item_id, line.quantity, line.price)).collect();
    assert_eq!(lines, [("item_4", 2, Cents(1_299)), ("item_9", 1, Cents(750))]);
    assert_eq!(order.total, Cents(3_348));
    assert_eq!(order.status, OrderStatus::Placed);
    assert_eq!(order.timestamp.to_string(), "2025-03-01T09:30:15.987Z");

    let even = ORIGINALS_ORDER.replace("15.987654", "15").replace("33.480000000000004", "25.979999999999997");
    let order = read_order(even.as_bytes());
    assert_eq!(order.total, Cents(2_598));
    assert_eq!(order.timestamp.to_string(), "2025-03-01T09:30:15.000Z");
}

/// The fields of an order that the original's consumers read.
#[derive(Deserialize)]
struct OriginalsView {
    event_type: String,
    order_id: String,
    user_id: String,
    items: Vec<OriginalsLine>,
    total_amount: f64,
    status: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct OriginalsLine {
    item_id: String,
    quantity: u32,
    price: f64,
}

#[test]
fn the_original_can_read_our_orders() {
    let line = |item: &'static str, quantity, cents| OrderLine { item_id: item.into(), quantity, price: Cents(cents) };
    let order = Order {
        order_id: "order \"7\" \u{1b}[31m".into(),
        user_id: "usér_😀".into(),
        restaurant_id: "restaurant_07".into(),
        lines: Lines::from_iter([line("item_3", 2, 850), line("item_8", 1, 5)]),
        total: Cents(1_705),
        status: OrderStatus::Failed,
        timestamp: EventTime::parse("2026-11-22T12:00:00.123Z").expect("a timestamp"),
    };
    let mut value = Vec::new();
    encode_order(&order, &mut value);
    let read: OriginalsView = serde_json::from_slice(&value).expect("the original reads it");
    assert_eq!(read.event_type, "OrderPlaced");
    assert_eq!(read.order_id, order.order_id);
    assert_eq!(read.user_id, order.user_id);
    let lines: Vec<_> = read.items.iter().map(|line| (&*line.item_id, line.quantity, line.price)).collect();
    assert_eq!(lines, [("item_3", 2, 8.5), ("item_8", 1, 0.05)]);
    assert!((read.total_amount - 17.05).abs() < f64::EPSILON);
    assert_eq!(read.status, "failed");
    assert_eq!(read.timestamp, "2026-11-22T12:00:00.123Z");
}

const DECISION: &str = r#"{"event_type":"InventoryEvent","order_id":"a","restaurant_id":"","item_id":"b","quantity":2,"price":8.50,"action":"reject","reason":"out_of_stock","restocked":0,"on_hand":98,"line":0,"lines":1,"source":{"partition":4,"offset":1234},"timestamp":"2026-11-22T12:00:00.123Z"}"#;

fn decision_reason(value: &str) -> Result<(), String> {
    match decode_decision(Some(value.as_bytes())) {
        Ok(DecisionRecord::Decision(_)) => Ok(()),
        Ok(DecisionRecord::Skipped) => Err("skipped".to_owned()),
        Err(bad) => Err(bad.to_string()),
    }
}

#[test]
fn a_decision_is_validated_field_by_field() {
    assert_eq!(decision_reason(DECISION), Ok(()));
    for (from, to, expected) in [
        (r#""reason":"out_of_stock""#, r#""reason":null"#, "bad_value: reason is null though the action is reject"),
        ("reject", "reserve", "bad_value: reason is given though the action is not reject"),
        (r#""line":0"#, r#""line":1"#, "bad_value: line is not below lines"),
        (r#""lines":1"#, r#""lines":10001"#, "bad_value: lines is not a whole number from 1 to 10000"),
        (r#""partition":4"#, r#""partition":-1"#, "bad_value: source.partition is not a partition number"),
        (r#""partition":4"#, r#""partition":2147483648"#, "bad_value: source.partition is not a partition number"),
        (r#""offset":1234"#, r#""offset":9223372036854775808"#, "bad_value: source.offset is not an offset"),
        (r#","offset":1234"#, "", "missing_field: source.offset is missing"),
        (r#""offset":1234"#, r#""offset":1,"offset":1"#, "duplicate_field: source.offset appears twice"),
        (r#""on_hand":98"#, r#""on_hand":-1"#, "bad_value: on_hand is not a whole number of units"),
        (r#""on_hand":98,"#, "", "missing_field: on_hand is missing"),
        (r#""restocked":0"#, r#""restocked":null"#, "wrong_type: restocked is not a number"),
        (r#""line":0"#, r#""line":null"#, "wrong_type: line is not a number"),
    ] {
        let value = DECISION.replacen(from, to, 1);
        assert_ne!(value, DECISION, "{from}");
        assert_eq!(decision_reason(&value), Err(expected.to_owned()), "{value}");
    }
}

#[test]
fn decisions_of_the_original_are_skipped() {
    let original = r#"{"event_type": "InventoryEvent", "order_id": 7, "item_id": "", "quantity": -2, "action": "?"}"#;
    assert_eq!(decision_reason(original), Err("skipped".to_owned()));
    assert_eq!(decision_reason(&DECISION.replace("InventoryEvent", "OrderPlaced")), Err("skipped".to_owned()));
    let broken = original.replace('?', r"\ud83d");
    assert!(decision_reason(&broken).is_err_and(|reason| reason.starts_with("not_json")));
}

#[test]
fn large_integers_are_exact() {
    let value = DECISION.replace("98", "18446744073709551615").replace("1234", "9223372036854775807");
    let Ok(DecisionRecord::Decision(decision)) = decode_decision(Some(value.as_bytes())) else {
        panic!("not a decision");
    };
    assert_eq!(decision.on_hand, Some(u64::MAX));
    assert_eq!(decision.source.offset, i64::MAX);
}
