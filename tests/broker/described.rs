//! Owns the promise that records are what `schemas/events/` says: each one that a pipeline leaves on the topics, with bad
//! records among the orders and a replay behind it. Documents are looked at in every case, where a process ends.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Case;
use super::schemas::schemas;
use super::support::{Lab, Stored};

pub const CASES: &[Case] = &[("described::every_record_on_the_topics_is_as_its_schema_says", every_record)];

/// How many records there were, by schema.
type Seen = BTreeMap<&'static str, u32>;

fn every_record(lab: &Lab) {
    lab.run("produce --count 300 --seed 7 --poison-rate 10% --duplicate-rate 5% --partitions 2").expect(0);
    lab.run("inventory --until-end --opening-stock 20").expect(0);
    lab.run("analytics --until-end").expect(0);
    let report = lab.folder().join("replay.json");
    lab.run(&format!("replay --report {}", report.display())).expect(0);
    let report = serde_json::from_slice(&std::fs::read(report).expect("written")).expect("JSON");
    assert_eq!(super::schemas::document_problems(&report), Vec::<String>::new());

    let mut seen = Seen::new();
    let letters = lab.read("order-events-dlq");
    let bad: BTreeMap<_, _> =
        letters.iter().map(|letter| (place(letter), text(letter, "foodstream.dlq.reason"))).collect();
    for order in lab.read("order-events") {
        let value: Option<Value> = order.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
        match (bad.get(&(order.partition, order.offset.to_string())), value) {
            (None, value) => check("events/order-placed", &value.expect("JSON"), &mut seen),
            // A field that stands twice and a price with half a cent are beyond a schema.
            (Some(reason), Some(value)) if ["missing_field", "wrong_type"].contains(&class(reason)) => {
                assert!(!schemas()["events/order-placed"].takes(&value), "{reason}, yet as the schema says: {value}");
            }
            (Some(_), _) => {}
        }
    }
    for letter in &letters {
        let own = letter.headers.iter().filter(|(name, _)| name.starts_with("foodstream.dlq."));
        let headers = own.map(|(name, _)| (name.clone(), json!(text(letter, name))));
        check("events/dead-letter-headers", &Value::Object(headers.collect()), &mut seen);
    }
    for decision in lab.read("inventory-events") {
        check("events/inventory-event", &decision.json(), &mut seen);
    }
    for (topic, value) in [("inventory-ledger", "events/ledger-value"), ("analytics-state", "events/analytics-state")] {
        for record in lab.read(topic).iter().filter(|record| record.value.is_some()) {
            let key: Value = serde_json::from_slice(record.key.as_deref().expect("a key")).expect("a JSON key");
            check(if key[0] == "@position" { "events/position" } else { value }, &record.json(), &mut seen);
        }
    }
    assert_eq!(seen.len(), schemas().keys().filter(|name| name.starts_with("events/")).count(), "{seen:?}");
    assert!(seen["events/order-placed"] > 200 && seen["events/dead-letter-headers"] > 10, "{seen:?}");
}

fn check(name: &'static str, value: &Value, seen: &mut Seen) {
    let problems = schemas()[name].problems(value);
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{value:#}");
    *seen.entry(name).or_default() += 1;
}

fn class(reason: &str) -> &str {
    reason.split(':').next().expect("a first part")
}

/// Where a dead letter came from; it stands on the partition of its source.
fn place(letter: &Stored) -> (i32, String) {
    (letter.partition, text(letter, "foodstream.dlq.offset"))
}

fn text(letter: &Stored, name: &str) -> String {
    let (_, value) = letter.headers.iter().find(|(found, _)| found == name).expect("the header");
    String::from_utf8(value.clone().expect("a value")).expect("UTF-8")
}
