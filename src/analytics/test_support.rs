//! Records, logs and metrics for the tests of metrics, replays and reports.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CountsStore, Feed, Metrics, MetricsDocument};
use crate::{domain::Minute, state::Digest};

/// The two source topics, in the order of a document's ranges.
pub(crate) const TOPICS: [(&str, Feed); 2] = [("inventory-events", Feed::Decisions), ("order-events", Feed::Orders)];

/// A record's value.
pub(crate) type RecordValue = Option<Vec<u8>>;

/// The minute `after` minutes after 2026-11-22T12:00Z.
pub(crate) fn minute(after: u8) -> Minute {
    Minute(29_922_480 + i64::from(after))
}

fn timestamp(after: u8) -> String {
    format!("2026-11-22T12:{after:02}:30.000Z")
}

#[allow(clippy::unnecessary_wraps, reason = "records of the topic may be null")]
pub(crate) fn order(after: u8, restaurant: &str, failed: bool) -> RecordValue {
    let order = json!({
        "event_type": "OrderPlaced", "order_id": "o-1", "user_id": "u-1", "restaurant_id": restaurant,
        "items": [{"item_id": "item_1", "quantity": 2, "price": 8.5}], "total_amount": 17.0,
        "status": if failed { "failed" } else { "placed" }, "timestamp": timestamp(after), "note": "unknown field",
    });
    Some(order.to_string().into_bytes())
}

/// The parts of a decision that metrics use.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DecisionLine {
    Reserve { quantity: u32, cents: u32 },
    OutOfStock,
    OrderIncomplete,
    Release,
}

#[allow(clippy::unnecessary_wraps, reason = "records of the topic may be null")]
pub(crate) fn decision(after: u8, restaurant: &str, line: u32, decided: DecisionLine) -> RecordValue {
    let (quantity, cents) = match decided {
        DecisionLine::Reserve { quantity, cents } => (quantity, cents),
        _ => (1, 100),
    };
    let (action, reason) = match decided {
        DecisionLine::Reserve { .. } => ("reserve", Value::Null),
        DecisionLine::OutOfStock => ("reject", json!("out_of_stock")),
        DecisionLine::OrderIncomplete => ("reject", json!("order_incomplete")),
        DecisionLine::Release => ("release", Value::Null),
    };
    let on_hand = if matches!(decided, DecisionLine::Release) { Value::Null } else { json!(98) };
    let decision = json!({
        "event_type": "InventoryEvent", "order_id": "o-1", "restaurant_id": restaurant, "item_id": "item_1",
        "quantity": quantity, "price": f64::from(cents) / 100.0, "action": action, "reason": reason, "restocked": 0,
        "on_hand": on_hand, "line": line, "lines": 3, "source": {"partition": 0, "offset": 7},
        "timestamp": timestamp(after),
    });
    Some(decision.to_string().into_bytes())
}

const RESTAURANTS: [&str; 4] = ["", "restaurant_01", "restaurant_02", "a \"quoted\"\n\u{1b}[31mname"];

/// Any record of a topic: mostly events, sometimes of another type, sometimes bad.
pub(crate) fn any_record(feed: Feed) -> BoxedStrategy<RecordValue> {
    let (after, restaurant) = (0u8..5, prop::sample::select(&RESTAURANTS[..]));
    let event = match feed {
        Feed::Orders => (after, restaurant, any::<bool>()).prop_map(|(a, r, failed)| order(a, r, failed)).boxed(),
        Feed::Decisions => {
            let line = prop_oneof![
                3 => (1u32..=1_000_000, 0u32..=1_000_000_000).prop_map(|(quantity, cents)| DecisionLine::Reserve { quantity, cents }),
                1 => Just(DecisionLine::OutOfStock),
                1 => Just(DecisionLine::OrderIncomplete),
                1 => Just(DecisionLine::Release),
            ];
            (after, restaurant, 0u32..3, line).prop_map(|(a, r, index, line)| decision(a, r, index, line)).boxed()
        }
    };
    prop_oneof![
        8 => event,
        1 => Just(Some(br#"{"event_type":"MenuChanged"}"#.to_vec())),
        1 => prop_oneof![Just(None), Just(Some(b"{".to_vec())), any::<Vec<u8>>().prop_map(Some)],
    ]
    .boxed()
}

/// One source partition: its records and their offsets, which may have gaps.
#[derive(Debug, Clone)]
pub(crate) struct TestLog {
    pub(crate) topic: &'static str,
    pub(crate) feed: Feed,
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) records: Vec<(i64, RecordValue)>,
}

impl TestLog {
    pub(crate) fn new(
        (topic, feed): (&'static str, Feed),
        partition: i32,
        start: i64,
        records: Vec<RecordValue>,
    ) -> Self {
        let mut log = Self { topic, feed, partition, start, end: start, records: Vec::new() };
        log.append(records);
        log
    }

    pub(crate) fn append(&mut self, records: Vec<RecordValue>) {
        for record in records {
            self.records.push((self.end, record));
            self.end += 1;
        }
    }

    /// Truncates the log to `end`.
    pub(crate) fn cut(&mut self, end: i64) {
        self.records.retain(|(offset, _)| *offset < end);
        self.end = end;
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for (offset, record) in &self.records {
            digest.add(*offset, Some(b"restaurant_01"), record.as_deref());
        }
        digest
    }

    pub(crate) fn counts(&self) -> CountsStore {
        let mut counts = CountsStore::default();
        for (_, record) in &self.records {
            counts.record(self.feed, record.as_deref());
        }
        counts
    }
}

/// Both topics with two partitions each.
pub(crate) fn any_logs(most: usize) -> impl Strategy<Value = Vec<TestLog>> {
    let log = move |topic: (&'static str, Feed), partition| {
        (0i64..50, prop::collection::vec(any_record(topic.1), 0..most))
            .prop_map(move |(start, records)| TestLog::new(topic, partition, start, records))
    };
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(topic, partition)| log(TOPICS[topic], partition)).to_vec()
}

/// The metrics of whole logs.
pub(crate) fn fold(logs: &[TestLog]) -> Metrics {
    let mut metrics = Metrics::default();
    for log in logs {
        metrics.add(&log.counts());
        metrics.add_range(log.topic, log.partition, log.start, log.end, log.digest());
    }
    metrics
}

/// The metrics of a few records, with every kind of record and decision.
pub(crate) fn example() -> MetricsDocument {
    let orders = vec![
        order(0, "restaurant_01", false),
        order(0, "restaurant_02", false),
        order(0, "restaurant_01", true),
        order(1, "restaurant_02", false),
        order(3, "", false),
        order(3, "a \u{1b}[31mred\u{202e} name\n", false),
        Some(br#"{"event_type":"MenuChanged"}"#.to_vec()),
        Some(b"not json".to_vec()),
        None,
    ];
    let decisions = vec![
        decision(0, "restaurant_01", 0, DecisionLine::Reserve { quantity: 2, cents: 850 }),
        decision(0, "restaurant_01", 1, DecisionLine::Reserve { quantity: 1_000_000, cents: 1_000_000_000 }),
        decision(0, "restaurant_02", 0, DecisionLine::OrderIncomplete),
        decision(0, "restaurant_02", 1, DecisionLine::OutOfStock),
        decision(0, "restaurant_02", 2, DecisionLine::OutOfStock),
        decision(0, "restaurant_01", 0, DecisionLine::Release),
        decision(4, "restaurant_03", 0, DecisionLine::Reserve { quantity: 1, cents: 5 }),
    ];
    fold(&[TestLog::new(TOPICS[0], 0, 0, decisions), TestLog::new(TOPICS[1], 0, 40, orders)]).document()
}
