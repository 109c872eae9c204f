//! Tests of `counts_store`, `metrics` and `document`: compared with a simple model, and under arbitrary splits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    CountKey, CountsStore, Feed, Metrics, MetricsDocument, StateKey, StateKeyPrefix,
    test_support::{
        DecisionLine, RecordValue, TOPICS, TestLog, any_logs, any_record, decision, example, fold, minute, order,
    },
};
use crate::state::Digest;

/// The counts of one of several instances: sums, and stores by log and batch.
type Instance = (Metrics, BTreeMap<(usize, usize), CountsStore>);

type Written = BTreeMap<Vec<u8>, Vec<u8>>;

fn prefix() -> StateKeyPrefix {
    StateKeyPrefix::new("g", "e", "t", 0)
}

fn changes(counts: &CountsStore) -> Written {
    let mut written = Written::new();
    counts.changes(&prefix(), &mut |key, value| {
        assert_eq!(written.insert(key.to_vec(), value.to_vec()), None, "each key is written once");
    });
    written
}

fn all_records(counts: &CountsStore) -> Written {
    let mut written = Written::new();
    counts.all_records(&prefix(), &mut |key, value| {
        assert_eq!(written.insert(key.to_vec(), value.to_vec()), None, "each key is written once");
    });
    written
}

fn folded(feed: Feed, records: &[RecordValue]) -> CountsStore {
    let mut counts = CountsStore::default();
    for record in records {
        counts.record(feed, record.as_deref());
    }
    counts
}

#[test]
fn the_document_matches_its_snapshot() {
    let document = example();
    let json = serde_json::to_string_pretty(&document).expect("serializes");
    insta::assert_snapshot!("metrics_document", json);
    assert_eq!(serde_json::from_str::<MetricsDocument>(&json).expect("parses"), document);
}

#[test]
fn a_document_of_another_version_is_an_error() {
    let mut json = serde_json::to_value(Metrics::default().document()).expect("serializes");
    json["schema"] = json!("foodstream.metrics/2");
    assert!(serde_json::from_value::<MetricsDocument>(json).is_err());
}

#[test]
fn empty_metrics_are_zeros() {
    let document = Metrics::default().document();
    assert_eq!((document.total_orders, document.current_orders_per_minute), (0, 0));
    assert_eq!(document.failure_rate_percent.to_string(), "0.00");
    assert_eq!(document.average_orders_per_minute.to_string(), "0.00");
    assert_eq!(document.inventory.unfulfilled_rate_percent.to_string(), "0.00");
}

#[test]
fn decisions_before_their_orders_are_pending() {
    let counts = folded(Feed::Decisions, &[decision(2, "r", 0, DecisionLine::Reserve { quantity: 1, cents: 100 })]);
    let mut metrics = Metrics::default();
    metrics.add(&counts);
    let document = metrics.document();
    assert_eq!(document.inventory.pending_orders, -1);
    assert_eq!((document.orders_by_minute.len(), document.by_minute.len()), (0, 1));
    assert_eq!(document.average_orders_per_minute.to_string(), "0.00");
    metrics.add(&folded(Feed::Orders, &[order(1, "r", false), order(1, "r", true)]));
    let document = metrics.document();
    assert_eq!(document.inventory.pending_orders, 0);
    assert_eq!(document.current_orders_per_minute, 2, "the latest minute with orders, not with decisions");
    assert_eq!(document.average_orders_per_minute.to_string(), "2.00");
}

#[test]
fn orders_count_once_and_lines_add_up() {
    let records = [
        decision(0, "r", 0, DecisionLine::OrderIncomplete),
        decision(0, "r", 1, DecisionLine::OutOfStock),
        decision(0, "r", 2, DecisionLine::OutOfStock),
        decision(0, "r", 0, DecisionLine::Reserve { quantity: 3, cents: 100 }),
        decision(0, "r", 1, DecisionLine::Reserve { quantity: 2, cents: 5 }),
        decision(0, "r", 0, DecisionLine::Release),
        decision(0, "r", 1, DecisionLine::Release),
    ];
    let totals = folded(Feed::Decisions, &records).totals();
    let counts = totals.orders;
    assert_eq!((counts.reserved, counts.rejected, counts.released), (1, 1, 1));
    assert_eq!((totals.out_of_stock, totals.order_incomplete), (2, 1));
    assert_eq!(counts.revenue.to_string(), "3.10");
}

#[test]
fn changes_are_those_of_one_transaction() {
    let mut counts = folded(Feed::Orders, &[order(0, "r", false), order(1, "s", false)]);
    assert_eq!(changes(&counts).len(), 5, "two minutes, two restaurants, the totals");
    counts.commit();
    assert!(changes(&counts).is_empty());
    let before = all_records(&counts);
    counts.record(Feed::Orders, order(0, "r", false).as_deref());
    let changed = changes(&counts);
    assert_eq!(changed.len(), 3);
    assert_eq!(changed[br#"["g","e","t",0,"minute","2026-11-22T12:00Z"]"#.as_slice()], br#"{"total":2}"#);
    counts.abort();
    assert!(changes(&counts).is_empty());
    assert_eq!(all_records(&counts), before);
}

#[test]
fn keys_are_those_of_all_records() {
    let mut counts = folded(Feed::Orders, &[order(0, "r", false), order(1, "s", false)]);
    let keys = |counts: &CountsStore| {
        let mut keys = BTreeSet::new();
        counts.keys(&prefix(), &mut |key| assert!(keys.insert(key.to_vec())));
        keys
    };
    assert!(keys(&counts).iter().eq(all_records(&counts).keys()));
    for counted in [CountKey::Minute(minute(0)), CountKey::Restaurant("s".into()), CountKey::Totals] {
        counts.restore(counted, None).expect("deletes");
    }
    let left: Vec<_> = keys(&counts).into_iter().collect();
    let texts: Vec<_> = left.iter().filter_map(|key| Some(StateKey::decode(key)?.counted)).collect();
    assert_eq!(texts, [CountKey::Minute(minute(1)), CountKey::Restaurant("r".into())]);
}

#[test]
fn an_invalid_value_is_not_restored() {
    let mut counts = folded(Feed::Orders, &[order(0, "r", false)]);
    let before = all_records(&counts);
    for value in ["", "{", r#"{"bad":1}"#, r#"{"total":1.5}"#, r#"{"revenue":"1.5"}"#, "null"] {
        assert!(counts.restore(CountKey::Minute(minute(0)), Some(value.as_bytes())).is_err(), "{value}");
    }
    assert_eq!(all_records(&counts), before);
}

/// A slow second implementation: parses each record as generic JSON, and computes each number in a separate pass.
struct MetricsModel {
    orders: Vec<Value>,
    decisions: Vec<Value>,
}

impl MetricsModel {
    fn new(logs: &[TestLog]) -> Self {
        let events = |feed: Feed, name: &str| {
            logs.iter()
                .filter(|log| log.feed == feed)
                .flat_map(|log| &log.records)
                .filter_map(|(_, record)| serde_json::from_slice::<Value>(record.as_deref()?).ok())
                .filter(|event| event["event_type"] == name)
                .collect()
        };
        Self { orders: events(Feed::Orders, "OrderPlaced"), decisions: events(Feed::Decisions, "InventoryEvent") }
    }

    fn row(&self, fits: &dyn Fn(&Value) -> bool) -> Value {
        let orders: Vec<_> = self.orders.iter().filter(|event| fits(event)).collect();
        let decisions: Vec<_> = self.decisions.iter().filter(|event| fits(event)).collect();
        let first = |action| decisions.iter().filter(|event| event["line"] == 0 && event["action"] == action).count();
        let cents: u128 = decisions
            .iter()
            .filter(|event| event["action"] == "reserve")
            .map(|event| {
                let price = format!("{:.2}", event["price"].as_f64().expect("a number")).replace('.', "");
                let quantity = event["quantity"].as_u64().expect("a number");
                price.parse::<u128>().expect("cents") * u128::from(quantity)
            })
            .sum();
        json!({
            "total": orders.len(), "failed": orders.iter().filter(|event| event["status"] == "failed").count(),
            "reserved": first("reserve"), "rejected": first("reject"), "released": first("release"),
            "reserved_revenue": format!("{}.{:02}", cents / 100, cents % 100),
        })
    }

    /// A row for each value of a field, cut to `length` bytes, without rows of zeros.
    fn rows(&self, field: &str, length: usize, label: &str, unit: &str) -> Value {
        let value_of = |event: &Value| {
            let text = event[field].as_str().expect("a text");
            text[..text.len().min(length)].to_owned()
        };
        let values: BTreeSet<String> = self.orders.iter().chain(&self.decisions).map(value_of).collect();
        let zeros = self.row(&|_| false);
        let rows = values.iter().filter_map(|value| {
            let mut row = self.row(&|event| value_of(event) == *value);
            let counted = row != zeros;
            row[label] = json!(format!("{value}{unit}"));
            counted.then_some(row)
        });
        rows.collect()
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(logs in any_logs(30)) {
        let model = MetricsModel::new(&logs);
        let document = serde_json::to_value(fold(&logs).document()).expect("serializes");
        prop_assert_eq!(&document["by_minute"], &model.rows("timestamp", 16, "minute", "Z"));
        prop_assert_eq!(&document["by_restaurant"], &model.rows("restaurant_id", 256, "restaurant", ""));
        let all = model.row(&|_| true);
        prop_assert_eq!(&document["total_orders"], &all["total"]);
        prop_assert_eq!(&document["failed_orders"], &all["failed"]);
        prop_assert_eq!(&document["inventory"]["reserved_revenue"], &all["reserved_revenue"]);
        let records = logs.iter().map(|log| log.records.len()).sum::<usize>();
        let others = document["skipped_records"].as_u64().expect("a number") + document["bad_records"].as_u64().expect("a number");
        let events = model.orders.len() + model.decisions.len();
        prop_assert_eq!(usize::try_from(others).expect("few"), records - events);
    }

    /// Any split of the records into partitions, batches and instances, in any order.
    #[test]
    fn splits_and_order_do_not_change_the_document(
        logs in any_logs(20), cuts in prop::collection::vec(0usize..4, 80), backwards: bool,
    ) {
        let mut instances: Vec<Instance> = (0..4).map(|_| Default::default()).collect();
        let mut cuts = cuts.into_iter();
        for (index, log) in logs.iter().enumerate() {
            for instance in &mut instances {
                instance.0.add_range(log.topic, log.partition, log.start, log.end, Digest::default());
            }
            let mut records: Vec<_> = log.records.iter().collect();
            if backwards { records.reverse(); }
            for (offset, record) in records {
                let cut = cuts.next().unwrap_or_default();
                let (metrics, counts) = &mut instances[cut];
                counts.entry((index, cut % 2)).or_default().record(log.feed, record.as_deref());
                let mut digest = Digest::default();
                digest.add(*offset, Some(b"restaurant_01"), record.as_deref());
                metrics.add_range(log.topic, log.partition, *offset, offset + 1, digest);
            }
        }
        if backwards { instances.reverse(); }
        let mut merged = Metrics::default();
        for (mut metrics, counts) in instances {
            for counts in counts.values() { metrics.add(counts); }
            merged.merge(&metrics);
        }
        prop_assert_eq!(merged.document(), fold(&logs).document());
    }

    #[test]
    fn a_document_round_trips_through_json(logs in any_logs(12)) {
        let document = fold(&logs).document();
        let json = serde_json::to_string(&document).expect("serializes");
        prop_assert_eq!(serde_json::from_str::<MetricsDocument>(&json).expect("parses"), document);
    }

    /// Whatever the commits and aborts.
    #[test]
    fn counts_are_restored_from_their_changelog(
        (feed, batches) in prop::sample::select(&TOPICS[..]).prop_flat_map(|(_, feed)| {
            let batch = (prop::collection::vec(any_record(feed), 0..8), any::<bool>());
            (Just(feed), prop::collection::vec(batch, 0..8))
        }),
    ) {
        let (mut counts, mut restored, mut kept) = (CountsStore::default(), CountsStore::default(), Vec::new());
        for (records, commit) in batches {
            for record in &records { counts.record(feed, record.as_deref()); }
            if !commit {
                counts.abort();
                continue;
            }
            for (key, value) in changes(&counts) {
                let counted = StateKey::decode(&key).expect("a state key").counted;
                restored.restore(counted, Some(&value)).expect("restores");
            }
            counts.commit();
            kept.extend(records);
        }
        prop_assert_eq!(all_records(&restored), all_records(&counts));
        prop_assert_eq!(all_records(&counts), all_records(&folded(feed, &kept)));
    }
}
