//! Validation of every record on the topics against `schemas/events/`, with bad records among the orders and after a
//! replay. Documents on stdout are validated in every case when a process ends.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Case;
use super::schemas::schemas;
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[("record_schemas::every_record_matches_its_schema", every_record)];

/// Number of records by schema.
type Counts = BTreeMap<&'static str, u32>;

fn every_record(env: &TestEnv) {
    env.run("produce --count 300 --seed 7 --poison-rate 10% --duplicate-rate 5% --partitions 2").expect(0);
    env.run("inventory --until-end --opening-stock 20").expect(0);
    env.run("analytics --until-end").expect(0);
    let report = env.dir().join("replay.json");
    env.run(&format!("replay --report {}", report.display())).expect(0);
    let report = serde_json::from_slice(&std::fs::read(report).expect("written")).expect("JSON");
    assert_eq!(super::schemas::document_problems(&report), Vec::<String>::new());

    let mut counts = Counts::new();
    let dead_letters = env.read("order-events-dlq");
    let bad: BTreeMap<_, _> = dead_letters
        .iter()
        .map(|dead_letter| (source_position(dead_letter), text(dead_letter, "foodstream.dlq.reason")))
        .collect();
    for order in env.read("order-events") {
        let value: Option<Value> = order.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
        match (bad.get(&(order.partition, order.offset.to_string())), value) {
            (None, value) => check("events/order-placed", &value.expect("JSON"), &mut counts),
            // A schema cannot detect a duplicate field or a price with half a cent.
            (Some(reason), Some(value)) if ["missing_field", "wrong_type"].contains(&class(reason)) => {
                assert!(
                    !schemas()["events/order-placed"].takes(&value),
                    "{reason}, but the schema accepts it: {value}"
                );
            }
            (Some(_), _) => {}
        }
    }
    for dead_letter in &dead_letters {
        let own = dead_letter.headers.iter().filter(|(name, _)| name.starts_with("foodstream.dlq."));
        let headers = own.map(|(name, _)| (name.clone(), json!(text(dead_letter, name))));
        check("events/dead-letter-headers", &Value::Object(headers.collect()), &mut counts);
    }
    for decision in env.read("inventory-events") {
        check("events/inventory-event", &decision.json(), &mut counts);
    }
    for (topic, value) in [("inventory-ledger", "events/ledger-value"), ("analytics-state", "events/analytics-state")] {
        for record in env.read(topic).iter().filter(|record| record.value.is_some()) {
            let key: Value = serde_json::from_slice(record.key.as_deref().expect("a key")).expect("a JSON key");
            check(if key[0] == "@position" { "events/position" } else { value }, &record.json(), &mut counts);
        }
    }
    assert_eq!(counts.len(), schemas().keys().filter(|name| name.starts_with("events/")).count(), "{counts:?}");
    assert!(counts["events/order-placed"] > 200 && counts["events/dead-letter-headers"] > 10, "{counts:?}");
}

fn check(name: &'static str, value: &Value, counts: &mut Counts) {
    let problems = schemas()[name].problems(value);
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{value:#}");
    *counts.entry(name).or_default() += 1;
}

fn class(reason: &str) -> &str {
    reason.split(':').next().expect("a first part")
}

/// Position of the record that caused a dead letter; the dead letter has the same partition.
fn source_position(dead_letter: &StoredRecord) -> (i32, String) {
    (dead_letter.partition, text(dead_letter, "foodstream.dlq.offset"))
}

fn text(dead_letter: &StoredRecord, name: &str) -> String {
    let (_, value) = dead_letter.headers.iter().find(|(found, _)| found == name).expect("the header");
    String::from_utf8(value.clone().expect("a value")).expect("UTF-8")
}
