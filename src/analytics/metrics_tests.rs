//! Tests of `tallies`, `metrics` and `document`: against a fold of another make, and under every split.

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

/// What one of several instances has counted: finished sums, and tallies by log and batch.
type Instance = (Metrics, BTreeMap<(usize, usize), CountsStore>);

type Written = BTreeMap<Vec<u8>, Vec<u8>>;

fn owner() -> StateKeyPrefix {
    StateKeyPrefix::new("g", "e", "t", 0)
}

fn changes(tallies: &CountsStore) -> Written {
    let mut written = Written::new();
    tallies.changes(&owner(), &mut |key, value| {
        assert_eq!(written.insert(key.to_vec(), value.to_vec()), None, "each item is written once");
    });
    written
}

fn everything(tallies: &CountsStore) -> Written {
    let mut written = Written::new();
    tallies.everything(&owner(), &mut |key, value| {
        assert_eq!(written.insert(key.to_vec(), value.to_vec()), None, "each item is written once");
    });
    written
}

fn folded(feed: Feed, records: &[RecordValue]) -> CountsStore {
    let mut tallies = CountsStore::default();
    for record in records {
        tallies.record(feed, record.as_deref());
    }
    tallies
}

#[test]
fn the_document_is_the_contracts() {
    let document = example();
    let json = serde_json::to_string_pretty(&document).expect("serializes");
    insta::assert_snapshot!("metrics_document", json);
    assert_eq!(serde_json::from_str::<MetricsDocument>(&json).expect("parses"), document);
}

#[test]
fn a_document_of_another_version_is_refused() {
    let mut json = serde_json::to_value(Metrics::default().document()).expect("serializes");
    json["schema"] = json!("foodstream.metrics/2");
    assert!(serde_json::from_value::<MetricsDocument>(json).is_err());
}

#[test]
fn nothing_counted_is_a_document_of_zeros() {
    let document = Metrics::default().document();
    assert_eq!((document.total_orders, document.current_orders_per_minute), (0, 0));
    assert_eq!(document.failure_rate_percent.to_string(), "0.00");
    assert_eq!(document.average_orders_per_minute.to_string(), "0.00");
    assert_eq!(document.inventory.unfulfilled_rate_percent.to_string(), "0.00");
}

#[test]
fn decisions_ahead_of_their_orders_leave_pending_negative_and_no_minute_with_orders() {
    let tallies = folded(Feed::Decisions, &[decision(2, "r", 0, DecisionLine::Reserve { quantity: 1, cents: 100 })]);
    let mut metrics = Metrics::default();
    metrics.add(&tallies);
    let document = metrics.document();
    assert_eq!(document.inventory.pending_orders, -1);
    assert_eq!((document.orders_by_minute.len(), document.by_minute.len()), (0, 1));
    assert_eq!(document.average_orders_per_minute.to_string(), "0.00");
    metrics.add(&folded(Feed::Orders, &[order(1, "r", false), order(1, "r", true)]));
    let document = metrics.document();
    assert_eq!(document.inventory.pending_orders, 0);
    assert_eq!(document.current_orders_per_minute, 2, "the newest minute with orders, not the newest with decisions");
    assert_eq!(document.average_orders_per_minute.to_string(), "2.00");
}

#[test]
fn an_order_is_counted_at_its_first_line_and_every_line_has_its_reason_and_revenue() {
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
fn changes_are_what_one_transaction_changed_and_an_abort_forgets_them() {
    let mut tallies = folded(Feed::Orders, &[order(0, "r", false), order(1, "s", false)]);
    assert_eq!(changes(&tallies).len(), 5, "two minutes, two restaurants, the totals");
    tallies.commit();
    assert!(changes(&tallies).is_empty());
    let before = everything(&tallies);
    tallies.record(Feed::Orders, order(0, "r", false).as_deref());
    let changed = changes(&tallies);
    assert_eq!(changed.len(), 3);
    assert_eq!(changed[br#"["g","e","t",0,"minute","2026-11-22T12:00Z"]"#.as_slice()], br#"{"total":2}"#);
    tallies.abort();
    assert!(changes(&tallies).is_empty());
    assert_eq!(everything(&tallies), before);
}

#[test]
fn keys_are_those_of_everything_and_a_deleted_item_has_none() {
    let mut tallies = folded(Feed::Orders, &[order(0, "r", false), order(1, "s", false)]);
    let keys = |tallies: &CountsStore| {
        let mut keys = BTreeSet::new();
        tallies.keys(&owner(), &mut |key| assert!(keys.insert(key.to_vec())));
        keys
    };
    assert!(keys(&tallies).iter().eq(everything(&tallies).keys()));
    for counted in [CountKey::Minute(minute(0)), CountKey::Restaurant("s".into()), CountKey::Totals] {
        tallies.restore(counted, None).expect("deletes");
    }
    let left: Vec<_> = keys(&tallies).into_iter().collect();
    let texts: Vec<_> = left.iter().filter_map(|key| Some(StateKey::decode(key)?.counted)).collect();
    assert_eq!(texts, [CountKey::Minute(minute(1)), CountKey::Restaurant("r".into())]);
}

#[test]
fn a_value_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut tallies = folded(Feed::Orders, &[order(0, "r", false)]);
    let before = everything(&tallies);
    for value in ["", "{", r#"{"bad":1}"#, r#"{"total":1.5}"#, r#"{"revenue":"1.5"}"#, "null"] {
        assert!(tallies.restore(CountKey::Minute(minute(0)), Some(value.as_bytes())).is_err(), "{value}");
    }
    assert_eq!(everything(&tallies), before);
}

/// The rows by another road: each record read as loose JSON, each number by a pass of its own.
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

    /// A row for each value of a field, cut to `length` bytes, in which anything was counted.
    fn rows(&self, field: &str, length: usize, label: &str, unit: &str) -> Value {
        let value_of = |event: &Value| {
            let text = event[field].as_str().expect("a text");
            text[..text.len().min(length)].to_owned()
        };
        let values: BTreeSet<String> = self.orders.iter().chain(&self.decisions).map(value_of).collect();
        let nothing = self.row(&|_| false);
        let rows = values.iter().filter_map(|value| {
            let mut row = self.row(&|event| value_of(event) == *value);
            let counted = row != nothing;
            row[label] = json!(format!("{value}{unit}"));
            counted.then_some(row)
        });
        rows.collect()
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_fold_of_another_make(logs in any_logs(30)) {
        let oracle = MetricsModel::new(&logs);
        let document = serde_json::to_value(fold(&logs).document()).expect("serializes");
        prop_assert_eq!(&document["by_minute"], &oracle.rows("timestamp", 16, "minute", "Z"));
        prop_assert_eq!(&document["by_restaurant"], &oracle.rows("restaurant_id", 256, "restaurant", ""));
        let all = oracle.row(&|_| true);
        prop_assert_eq!(&document["total_orders"], &all["total"]);
        prop_assert_eq!(&document["failed_orders"], &all["failed"]);
        prop_assert_eq!(&document["inventory"]["reserved_revenue"], &all["reserved_revenue"]);
        let records = logs.iter().map(|log| log.records.len()).sum::<usize>();
        let others = document["skipped_records"].as_u64().expect("a number") + document["bad_records"].as_u64().expect("a number");
        let events = oracle.orders.len() + oracle.decisions.len();
        prop_assert_eq!(usize::try_from(others).expect("few"), records - events);
    }

    /// Partitions, batches, instances and their order: any way of cutting the records up gives the same document.
    #[test]
    fn any_split_and_any_order_give_the_same_document(
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
                let (metrics, tallies) = &mut instances[cut];
                tallies.entry((index, cut % 2)).or_default().record(log.feed, record.as_deref());
                let mut digest = Digest::default();
                digest.add(*offset, Some(b"restaurant_01"), record.as_deref());
                metrics.add_range(log.topic, log.partition, *offset, offset + 1, digest);
            }
        }
        if backwards { instances.reverse(); }
        let mut merged = Metrics::default();
        for (mut metrics, tallies) in instances {
            for tallies in tallies.values() { metrics.add(tallies); }
            merged.merge(&metrics);
        }
        prop_assert_eq!(merged.document(), fold(&logs).document());
    }

    #[test]
    fn a_document_survives_json(logs in any_logs(12)) {
        let document = fold(&logs).document();
        let json = serde_json::to_string(&document).expect("serializes");
        prop_assert_eq!(serde_json::from_str::<MetricsDocument>(&json).expect("parses"), document);
    }

    /// What is written at any commit points, read back, is what stands in memory; what was aborted never shows.
    #[test]
    fn tallies_survive_their_changelog(
        (feed, batches) in prop::sample::select(&TOPICS[..]).prop_flat_map(|(_, feed)| {
            let batch = (prop::collection::vec(any_record(feed), 0..8), any::<bool>());
            (Just(feed), prop::collection::vec(batch, 0..8))
        }),
    ) {
        let (mut tallies, mut restored, mut kept) = (CountsStore::default(), CountsStore::default(), Vec::new());
        for (records, commit) in batches {
            for record in &records { tallies.record(feed, record.as_deref()); }
            if !commit {
                tallies.abort();
                continue;
            }
            for (key, value) in changes(&tallies) {
                let counted = StateKey::decode(&key).expect("a state key").counted;
                restored.restore(counted, Some(&value)).expect("restores");
            }
            tallies.commit();
            kept.extend(records);
        }
        prop_assert_eq!(everything(&restored), everything(&tallies));
        prop_assert_eq!(everything(&tallies), everything(&folded(feed, &kept)));
    }
}
