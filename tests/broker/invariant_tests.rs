//! Owns the checker's own test: good records, damaged in every way that an invariant forbids.

use serde_json::{Value, json};

use super::Case;
use super::invariants::{POSITION, TopicSnapshot, number};
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[("invariants::every_corruption_is_caught_by_name", corruptions_are_caught)];

type Corruption = (&'static str, fn(&mut TopicSnapshot));

fn change_json(record: &mut StoredRecord, change: impl FnOnce(&mut Value)) {
    let mut value = record.json();
    change(&mut value);
    record.value = Some(value.to_string().into_bytes());
}

/// The first decision with this action.
fn with_action<'a>(evidence: &'a mut TopicSnapshot, action: &str) -> &'a mut StoredRecord {
    evidence.decisions.iter_mut().find(|record| record.json()["action"] == action).expect("one of each")
}

/// The last ledger record: a position, or an item's stock.
fn last_ledger_record(evidence: &mut TopicSnapshot, position: bool) -> &mut StoredRecord {
    evidence.ledger.iter_mut().rfind(|record| (record.key.as_deref() == Some(POSITION)) == position).expect("kept")
}

const CORRUPTIONS: &[Corruption] = &[
    ("one-decision-per-line", |evidence| drop(evidence.decisions.pop())),
    ("decisions-recompute", |evidence| drop(evidence.decisions.remove(0))),
    ("one-decision-per-line", |evidence| evidence.decisions.push(evidence.decisions[0].clone())),
    ("decisions-recompute", |evidence| evidence.decisions.insert(0, evidence.decisions[0].clone())),
    ("order-is-kept", |evidence| evidence.decisions.swap(0, 10)),
    ("decisions-recompute", |evidence| evidence.decisions.swap(0, 10)),
    // An order that is not decided by its offset, yet decided.
    ("one-decision-per-line", |evidence| {
        let last = evidence.decisions.last().expect("some").json()["source"].clone();
        let partition = usize::try_from(number(&last["partition"])).expect("a partition");
        evidence.committed[partition] = Some(number(&last["offset"]));
    }),
    ("one-decision-per-line", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["line"] = json!(77))
    }),
    ("decisions-have-a-source", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["quantity"] = json!(77))
    }),
    ("decisions-have-a-source", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["order_id"] = json!("x"))
    }),
    ("decisions-have-a-source", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["item_id"] = json!("x"))
    }),
    ("decisions-have-a-source", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["source"]["partition"] = json!(77));
    }),
    ("decisions-recompute", |evidence| {
        change_json(with_action(evidence, "reserve"), |decision| decision["action"] = json!("reject"));
    }),
    ("decisions-recompute", |evidence| {
        change_json(with_action(evidence, "reject"), |decision| decision["reason"] = json!(null))
    }),
    ("decisions-recompute", |evidence| {
        change_json(with_action(evidence, "release"), |decision| decision["on_hand"] = json!(1))
    }),
    ("decisions-recompute", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["lines"] = json!(77))
    }),
    ("decisions-recompute", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["price"] = json!(0.01))
    }),
    ("decisions-recompute", |evidence| {
        change_json(&mut evidence.decisions[0], |decision| decision["timestamp"] = json!("2020-01-01T00:00:00.000Z"));
    }),
    ("decisions-recompute", |evidence| evidence.decisions[0].key = None),
    ("stock-never-negative", |evidence| {
        change_json(with_action(evidence, "reserve"), |decision| decision["quantity"] = json!(1_000_000));
    }),
    ("stock-balances", |evidence| {
        change_json(with_action(evidence, "reserve"), |decision| decision["on_hand"] = json!(77))
    }),
    ("stock-balances", |evidence| {
        change_json(with_action(evidence, "reserve"), |decision| decision["restocked"] = json!(77))
    }),
    ("stock-balances", |evidence| {
        change_json(last_ledger_record(evidence, false), |value| value["reserved"] = json!(7_777))
    }),
    ("ledger-agrees", |evidence| {
        change_json(last_ledger_record(evidence, false), |value| value["on_hand"] = json!(-1))
    }),
    ("ledger-agrees", |evidence| change_json(last_ledger_record(evidence, false), |value| value["period"] = json!(1))),
    ("ledger-agrees", |evidence| {
        change_json(last_ledger_record(evidence, false), |value| value["source_offset"] = json!(7_777_777))
    }),
    ("ledger-agrees", |evidence| last_ledger_record(evidence, false).key = Some(b"[\"nobody\",\"nothing\"]".to_vec())),
    ("position-equals-offset", |evidence| evidence.committed[0] = None),
    ("position-equals-offset", |evidence| {
        change_json(last_ledger_record(evidence, true), |value| value["next_offset"] = json!(1))
    }),
    ("position-equals-offset", |evidence| last_ledger_record(evidence, true).value = None),
    ("position-equals-offset", |evidence| {
        change_json(last_ledger_record(evidence, true), |value| value["settings"]["opening_stock"] = json!(77));
    }),
    ("counts-agree", |evidence| {
        change_json(last_ledger_record(evidence, true), |value| value["counts"]["rejected"] = json!(7_777))
    }),
    ("dead-letters-once", |evidence| drop(evidence.dead_letters.pop())),
    ("dead-letters-once", |evidence| evidence.dead_letters.push(evidence.dead_letters[0].clone())),
    ("dead-letters-once", |evidence| evidence.dead_letters[0].value = Some(b"another".to_vec())),
    ("dead-letters-once", |evidence| evidence.dead_letters[0].headers.clear()),
];

fn corruptions_are_caught(env: &TestEnv) {
    env.run("produce --count 600 --seed 3 --partitions 2 --poison-rate 5% --restaurants 2 --items 3").expect(0);
    env.run("inventory --until-end --opening-stock 60 --restock-every 1m").expect(0);
    let good = TopicSnapshot::read(env, 60, 60_000);
    assert!(good.violations().is_empty(), "{:#?}", good.violations());
    assert!(good.decisions.iter().any(|record| record.json()["restocked"] != 0), "no top-up to judge");
    for (number, (name, corrupt)) in CORRUPTIONS.iter().enumerate() {
        let mut corrupted = good.clone();
        corrupt(&mut corrupted);
        let found = corrupted.violations();
        assert!(found.0.contains_key(name), "damage {number} is no violation of {name}: {found:#?}");
    }
}
