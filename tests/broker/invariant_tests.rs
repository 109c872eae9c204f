//! Tests of the invariant checker: valid records, corrupted in every way that an invariant forbids.

use serde_json::{Value, json};

use super::Case;
use super::invariants::{POSITION, TopicSnapshot, number};
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[("invariants::every_corruption_is_caught_by_name", corruptions_are_caught)];

type Corruption = (&'static str, fn(&mut TopicSnapshot));

fn edit(record: &mut StoredRecord, change: impl FnOnce(&mut Value)) {
    let mut value = record.json();
    change(&mut value);
    record.value = Some(value.to_string().into_bytes());
}

/// The first decision with this action.
fn with_action<'a>(snapshot: &'a mut TopicSnapshot, action: &str) -> &'a mut StoredRecord {
    snapshot.decisions.iter_mut().find(|record| record.json()["action"] == action).expect("one of each")
}

/// The last ledger record that is (or is not) a position.
fn last_ledger_record(snapshot: &mut TopicSnapshot, position: bool) -> &mut StoredRecord {
    snapshot.ledger.iter_mut().rfind(|record| (record.key.as_deref() == Some(POSITION)) == position).expect("kept")
}

const CORRUPTIONS: &[Corruption] = &[
    ("one-decision-per-line", |snapshot| drop(snapshot.decisions.pop())),
    ("one-decision-per-line", |snapshot| snapshot.decisions.push(snapshot.decisions[0].clone())),
    ("order-is-kept", |snapshot| snapshot.decisions.swap(0, 10)),
    // An order beyond the committed offset that has a decision.
    ("one-decision-per-line", |snapshot| {
        let last = snapshot.decisions.last().expect("some").json()["source"].clone();
        let partition = usize::try_from(number(&last["partition"])).expect("a partition");
        snapshot.committed[partition] = Some(number(&last["offset"]));
    }),
    ("one-decision-per-line", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["line"] = json!(77));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["quantity"] = json!(77));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["order_id"] = json!("x"));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["item_id"] = json!("x"));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["source"]["partition"] = json!(77));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(with_action(snapshot, "reserve"), |decision| decision["action"] = json!("reject"));
    }),
    ("decisions-have-a-source", |snapshot| {
        edit(with_action(snapshot, "reject"), |decision| decision["reason"] = json!(null));
    }),
    ("decisions-recompute", |snapshot| {
        edit(with_action(snapshot, "release"), |decision| decision["on_hand"] = json!(1));
    }),
    ("decisions-recompute", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["lines"] = json!(77));
    }),
    ("decisions-recompute", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["price"] = json!(0.01));
    }),
    ("decisions-recompute", |snapshot| {
        edit(&mut snapshot.decisions[0], |decision| decision["timestamp"] = json!("2020-01-01T00:00:00.000Z"));
    }),
    ("decisions-recompute", |snapshot| snapshot.decisions[0].key = None),
    ("stock-never-negative", |snapshot| {
        edit(with_action(snapshot, "reserve"), |decision| decision["quantity"] = json!(1_000_000));
    }),
    ("stock-balances", |snapshot| {
        edit(with_action(snapshot, "reserve"), |decision| decision["on_hand"] = json!(77));
    }),
    ("stock-balances", |snapshot| {
        edit(with_action(snapshot, "reserve"), |decision| decision["restocked"] = json!(77));
    }),
    ("stock-balances", |snapshot| {
        edit(last_ledger_record(snapshot, false), |value| value["reserved"] = json!(7_777));
    }),
    ("ledger-agrees", |snapshot| {
        edit(last_ledger_record(snapshot, false), |value| value["on_hand"] = json!(-1));
    }),
    ("ledger-agrees", |snapshot| edit(last_ledger_record(snapshot, false), |value| value["period"] = json!(1))),
    ("ledger-agrees", |snapshot| {
        edit(last_ledger_record(snapshot, false), |value| value["source_offset"] = json!(7_777_777));
    }),
    ("ledger-agrees", |snapshot| last_ledger_record(snapshot, false).key = Some(b"[\"unknown\",\"unknown\"]".to_vec())),
    ("position-equals-offset", |snapshot| snapshot.committed[0] = None),
    ("position-equals-offset", |snapshot| {
        edit(last_ledger_record(snapshot, true), |value| value["next_offset"] = json!(1));
    }),
    ("position-equals-offset", |snapshot| last_ledger_record(snapshot, true).value = None),
    ("position-equals-offset", |snapshot| {
        edit(last_ledger_record(snapshot, true), |value| value["settings"]["opening_stock"] = json!(77));
    }),
    ("counts-agree", |snapshot| {
        edit(last_ledger_record(snapshot, true), |value| value["counts"]["rejected"] = json!(7_777));
    }),
    ("dead-letters-once", |snapshot| drop(snapshot.dead_letters.pop())),
    ("dead-letters-once", |snapshot| snapshot.dead_letters.push(snapshot.dead_letters[0].clone())),
    ("dead-letters-once", |snapshot| snapshot.dead_letters[0].value = Some(b"another".to_vec())),
    ("dead-letters-once", |snapshot| snapshot.dead_letters[0].headers.clear()),
];

fn corruptions_are_caught(env: &TestEnv) {
    env.run("produce --count 600 --seed 3 --partitions 2 --poison-rate 5% --restaurants 2 --items 3").expect(0);
    env.run("inventory --until-end --opening-stock 60 --restock-every 1m").expect(0);
    let good = TopicSnapshot::read(env, 60, 60_000);
    assert!(good.violations().is_empty(), "{:#?}", good.violations());
    assert!(good.decisions.iter().any(|record| record.json()["restocked"] != 0), "no decision restocked an item");
    for (number, (name, corrupt)) in CORRUPTIONS.iter().enumerate() {
        let mut corrupted = good.clone();
        corrupt(&mut corrupted);
        let found = corrupted.violations();
        assert!(found.0.contains_key(name), "corruption {number} is not reported as {name}: {found:#?}");
    }
}
