//! Invariant checker: recomputes every decision from the orders as "Stock" in docs/REFERENCE.md defines it, and compares
//! the result with the topics. It uses no code of the program.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::inventory_model::{InventoryModel, millis};
use super::support::{StoredRecord, TestEnv};

/// The key of a partition's position record.
pub const POSITION: &[u8] = b"[\"@position\"]";

/// Panics with the violated invariants. No process may be running.
pub fn check(env: &TestEnv, opening: i64, restock_millis: i64) {
    let violations = TopicSnapshot::read(env, opening, restock_millis).violations();
    assert!(violations.is_empty(), "{}: {violations:#?}", env.prefix);
}

/// The records of the topics, and the settings that they depend on.
#[derive(Clone)]
pub struct TopicSnapshot {
    orders: Vec<StoredRecord>,
    pub decisions: Vec<StoredRecord>,
    pub ledger: Vec<StoredRecord>,
    pub dead_letters: Vec<StoredRecord>,
    pub committed: Vec<Option<i64>>,
    /// The log start offsets of the orders; they need not be the offset of a record.
    starts: Vec<i64>,
    topic: String,
    group: String,
    opening: i64,
    restock_millis: i64,
}

/// The first violation of each invariant, by its name.
#[derive(Debug, Default)]
pub struct Violations(pub BTreeMap<&'static str, String>);

impl Violations {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn require(&mut self, holds: bool, name: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.entry(name).or_insert_with(what);
        }
    }
}

/// A decision with its timestamp in milliseconds.
fn decision(record: &StoredRecord) -> Value {
    let mut decision = record.json();
    // Timestamps have exactly three decimals and the zone `Z`.
    let time = decision["timestamp"].as_str().filter(|text| text.len() == 24 && text.ends_with('Z')).and_then(millis);
    decision["timestamp"] = json!(time);
    decision
}

pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

impl TopicSnapshot {
    pub fn read(env: &TestEnv, opening: i64, restock_millis: i64) -> Self {
        let group = "inventory-consumer-group";
        Self {
            committed: env.committed(group, "order-events"),
            starts: env.watermarks("order-events").into_iter().map(|(start, _)| start).collect(),
            orders: env.read("order-events"),
            decisions: env.read("inventory-events"),
            ledger: env.read("inventory-ledger"),
            dead_letters: env.read("order-events-dlq"),
            topic: env.topic("order-events"),
            group: env.topic(group),
            opening,
            restock_millis,
        }
    }

    pub fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        for ((partition, committed), start) in (0..).zip(&self.committed).zip(&self.starts) {
            violations.require(committed.is_some(), "position-equals-offset", || format!("{partition}: no offset"));
            let committed = committed.unwrap_or(0);
            let of = |records: &'_ [StoredRecord]| -> Vec<StoredRecord> {
                records.iter().filter(|record| record.partition == partition).cloned().collect()
            };
            let (orders, decisions) = (of(&self.orders), of(&self.decisions));
            let (ledger, dead_letters) = (of(&self.ledger), of(&self.dead_letters));
            let mut model = InventoryModel::default();
            for record in orders.iter().filter(|record| record.offset < committed) {
                model.apply(record, self.opening, self.restock_millis);
            }
            check_decisions(&mut violations, &model, &decisions);
            self.check_stock(&mut violations, &decisions, &ledger);
            self.check_ledger(&mut violations, &model, &ledger, committed, *start);
            self.check_dead_letters(&mut violations, &model, &dead_letters);
        }
        violations
    }

    /// Recomputes the stock levels from the decisions alone.
    fn check_stock(&self, violations: &mut Violations, decisions: &[StoredRecord], ledger: &[StoredRecord]) {
        let mut levels: BTreeMap<Vec<u8>, (i64, i64, i64)> = BTreeMap::new();
        for record in decisions {
            let actual = record.json();
            if actual["action"] == "release" {
                continue;
            }
            let key = serde_json::to_vec(&json!([actual["restaurant_id"], actual["item_id"]])).expect("strings");
            let (on_hand, reserved, restocked) = levels.entry(key).or_insert((self.opening, 0, 0));
            *on_hand += number(&actual["restocked"]);
            *restocked += number(&actual["restocked"]);
            if actual["action"] == "reserve" {
                *on_hand -= number(&actual["quantity"]);
                *reserved += number(&actual["quantity"]);
            }
            violations.require(*on_hand >= 0, "stock-never-negative", || format!("{on_hand} after {actual}"));
            violations
                .require(number(&actual["on_hand"]) == *on_hand, "stock-balances", || format!("{on_hand}: {actual}"));
        }
        for (key, value) in latest(ledger) {
            if key == POSITION {
                continue;
            }
            let value: Value = serde_json::from_slice(value).expect("JSON");
            let (on_hand, reserved, restocked) = levels.get(key).copied().unwrap_or_default();
            let actual = (number(&value["on_hand"]), number(&value["reserved"]));
            violations.require(
                actual == (on_hand, reserved) && self.opening + restocked == on_hand + reserved,
                "stock-balances",
                || format!("{}: the decisions give {on_hand} and {reserved}: {value}", String::from_utf8_lossy(key)),
            );
        }
    }

    fn check_ledger(
        &self,
        violations: &mut Violations,
        model: &InventoryModel<'_>,
        ledger: &[StoredRecord],
        committed: i64,
        log_start: i64,
    ) {
        let mut state = latest(ledger);
        let position: Value =
            state.remove(POSITION).map_or(Value::Null, |value| serde_json::from_slice(value).expect("JSON"));
        violations.require(
            number(&position["next_offset"]) == committed
                && position["group"] == self.group.as_str()
                && number(&position["log_start"]) == log_start
                && position["settings"]
                    == json!({ "opening_stock": self.opening, "restock_every_ms": self.restock_millis }),
            "position-equals-offset",
            || format!("committed {committed}: {position}"),
        );
        for name in ["records", "orders", "reserved", "rejected", "released", "dead_letters", "skipped"] {
            let (actual, count) = (&position["counts"][name], model.counts.get(name).copied().unwrap_or(0));
            violations.require(actual.as_u64().unwrap_or(0) == count, "counts-agree", || {
                format!("{name}: {count}, the position record says {actual}")
            });
        }
        for ((restaurant, item), stock) in &model.stock {
            let expected = json!({
                "on_hand": stock.on_hand, "reserved": stock.reserved, "period": stock.period,
                "source_offset": stock.source_offset,
            });
            let key = serde_json::to_vec(&(restaurant, item)).expect("strings");
            let actual: Option<Value> =
                state.remove(&key[..]).map(|value| serde_json::from_slice(value).expect("JSON"));
            violations.require(actual.as_ref() == Some(&expected), "ledger-agrees", || {
                format!("{restaurant} {item}: {expected}, the ledger says {actual:?}")
            });
        }
        violations.require(state.is_empty(), "ledger-agrees", || format!("keys without an order: {state:?}"));
        for (key, value) in latest(ledger).into_iter().filter(|(key, _)| *key != POSITION) {
            let value: Value = serde_json::from_slice(value).expect("JSON");
            violations.require((0..committed).contains(&number(&value["source_offset"])), "ledger-agrees", || {
                format!("{}: {value}, committed {committed}", String::from_utf8_lossy(key))
            });
        }
    }

    fn check_dead_letters(
        &self,
        violations: &mut Violations,
        model: &InventoryModel<'_>,
        dead_letters: &[StoredRecord],
    ) {
        let expected: Vec<_> = model
            .dead_letters
            .iter()
            .map(|record| {
                let position = [self.topic.clone(), record.partition.to_string(), record.offset.to_string()];
                (&record.key, &record.value, position, record.timestamp.to_string())
            })
            .collect();
        let actual: Vec<_> = dead_letters
            .iter()
            .map(|dead_letter| {
                let header = |name: &str| {
                    let name = format!("foodstream.dlq.{name}");
                    let found = dead_letter.headers.iter().find(|(key, _)| *key == name);
                    found.map_or_else(String::new, |(_, value)| {
                        String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
                    })
                };
                let position = ["topic", "partition", "offset"].map(header);
                (&dead_letter.key, &dead_letter.value, position, header("timestamp"))
            })
            .collect();
        violations.require(actual == expected, "dead-letters-once", || {
            let differs = expected.iter().zip(&actual).find(|(expected, actual)| expected != actual);
            format!("{} expected, {} found; {differs:?}", expected.len(), actual.len())
        });
    }
}

/// The last value of each key, as after compaction.
fn latest(ledger: &[StoredRecord]) -> BTreeMap<&[u8], &[u8]> {
    let mut latest = BTreeMap::new();
    for record in ledger {
        let key = record.key.as_deref().expect("a key");
        match record.value.as_deref() {
            Some(value) => latest.insert(key, value),
            None => latest.remove(key),
        };
    }
    latest
}

fn check_decisions(violations: &mut Violations, model: &InventoryModel<'_>, decisions: &[StoredRecord]) {
    let actual: Vec<Value> = decisions.iter().map(decision).collect();
    let position = |decision: &Value| (number(&decision["source"]["offset"]), number(&decision["line"]));
    violations.require(actual.is_sorted_by_key(position), "order-is-kept", || {
        "the decisions are not in the order of their source records".into()
    });
    let mut lines: BTreeMap<(i64, i64), (i64, Option<&Value>)> = BTreeMap::new();
    for (_, expected) in &model.decisions {
        lines.insert(position(expected), (0, Some(expected)));
    }
    for actual in &actual {
        let (count, expected) = lines.entry(position(actual)).or_default();
        *count += 1;
        let agrees = |expected: &Value| {
            ["order_id", "item_id", "quantity"].iter().all(|field| actual[field] == expected[field])
                && actual["source"] == expected["source"]
        };
        violations.require(expected.is_some_and(agrees), "decisions-have-a-source", || actual.to_string());
    }
    for (position, (count, expected)) in &lines {
        let right = i64::from(expected.is_some());
        violations.require(*count == right, "one-decision-per-line", || format!("{position:?}: {count} decisions"));
    }
    violations.require(actual.len() == model.decisions.len(), "decisions-recompute", || {
        format!("{} decisions, {} recomputed", actual.len(), model.decisions.len())
    });
    for ((record, actual), (source, expected)) in decisions.iter().zip(&actual).zip(&model.decisions) {
        let same = actual == expected && record.key == source.key;
        violations.require(same, "decisions-recompute", || format!("{actual}\nexpected {expected}"));
    }
}
