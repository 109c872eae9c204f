//! Owns the checker's own test: good records, damaged in every way that an invariant forbids.

use serde_json::{Value, json};

use super::Case;
use super::support::{Lab, Stored};
use super::truth::{Evidence, POSITION, number};

pub const CASES: &[Case] = &[("damage::every_damage_to_good_records_is_caught_by_name", damages_are_caught)];

type Damage = (&'static str, fn(&mut Evidence));

fn alter(record: &mut Stored, change: impl FnOnce(&mut Value)) {
    let mut value = record.json();
    change(&mut value);
    record.value = Some(value.to_string().into_bytes());
}

/// The first decision with this action.
fn with_action<'a>(evidence: &'a mut Evidence, action: &str) -> &'a mut Stored {
    evidence.decisions.iter_mut().find(|record| record.json()["action"] == action).expect("one of each")
}

/// The last ledger record: a position, or an item's stock.
fn last_kept(evidence: &mut Evidence, position: bool) -> &mut Stored {
    evidence.ledger.iter_mut().rfind(|record| (record.key.as_deref() == Some(POSITION)) == position).expect("kept")
}

const DAMAGES: &[Damage] = &[
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
    ("one-decision-per-line", |evidence| alter(&mut evidence.decisions[0], |told| told["line"] = json!(77))),
    ("decisions-have-a-source", |evidence| alter(&mut evidence.decisions[0], |told| told["quantity"] = json!(77))),
    ("decisions-have-a-source", |evidence| alter(&mut evidence.decisions[0], |told| told["order_id"] = json!("x"))),
    ("decisions-have-a-source", |evidence| alter(&mut evidence.decisions[0], |told| told["item_id"] = json!("x"))),
    ("decisions-have-a-source", |evidence| {
        alter(&mut evidence.decisions[0], |told| told["source"]["partition"] = json!(77));
    }),
    ("decisions-recompute", |evidence| {
        alter(with_action(evidence, "reserve"), |told| told["action"] = json!("reject"));
    }),
    ("decisions-recompute", |evidence| alter(with_action(evidence, "reject"), |told| told["reason"] = json!(null))),
    ("decisions-recompute", |evidence| alter(with_action(evidence, "release"), |told| told["on_hand"] = json!(1))),
    ("decisions-recompute", |evidence| alter(&mut evidence.decisions[0], |told| told["lines"] = json!(77))),
    ("decisions-recompute", |evidence| alter(&mut evidence.decisions[0], |told| told["price"] = json!(0.01))),
    ("decisions-recompute", |evidence| {
        alter(&mut evidence.decisions[0], |told| told["timestamp"] = json!("2020-01-01T00:00:00.000Z"));
    }),
    ("decisions-recompute", |evidence| evidence.decisions[0].key = None),
    ("stock-never-negative", |evidence| {
        alter(with_action(evidence, "reserve"), |told| told["quantity"] = json!(1_000_000));
    }),
    ("stock-balances", |evidence| alter(with_action(evidence, "reserve"), |told| told["on_hand"] = json!(77))),
    ("stock-balances", |evidence| alter(with_action(evidence, "reserve"), |told| told["restocked"] = json!(77))),
    ("stock-balances", |evidence| alter(last_kept(evidence, false), |kept| kept["reserved"] = json!(7_777))),
    ("ledger-agrees", |evidence| alter(last_kept(evidence, false), |kept| kept["on_hand"] = json!(-1))),
    ("ledger-agrees", |evidence| alter(last_kept(evidence, false), |kept| kept["period"] = json!(1))),
    ("ledger-agrees", |evidence| alter(last_kept(evidence, false), |kept| kept["source_offset"] = json!(7_777_777))),
    ("ledger-agrees", |evidence| last_kept(evidence, false).key = Some(b"[\"nobody\",\"nothing\"]".to_vec())),
    ("position-equals-offset", |evidence| evidence.committed[0] = None),
    ("position-equals-offset", |evidence| alter(last_kept(evidence, true), |kept| kept["next_offset"] = json!(1))),
    ("position-equals-offset", |evidence| last_kept(evidence, true).value = None),
    ("position-equals-offset", |evidence| {
        alter(last_kept(evidence, true), |kept| kept["settings"]["opening_stock"] = json!(77));
    }),
    ("counts-agree", |evidence| alter(last_kept(evidence, true), |kept| kept["counts"]["rejected"] = json!(7_777))),
    ("dead-letters-once", |evidence| drop(evidence.dead_letters.pop())),
    ("dead-letters-once", |evidence| evidence.dead_letters.push(evidence.dead_letters[0].clone())),
    ("dead-letters-once", |evidence| evidence.dead_letters[0].value = Some(b"another".to_vec())),
    ("dead-letters-once", |evidence| evidence.dead_letters[0].headers.clear()),
];

fn damages_are_caught(lab: &Lab) {
    lab.run("produce --count 600 --seed 3 --partitions 2 --poison-rate 5% --restaurants 2 --items 3").expect(0);
    lab.run("inventory --until-end --opening-stock 60 --restock-every 1m").expect(0);
    let good = Evidence::gather(lab, 60, 60_000);
    assert!(good.violations().is_empty(), "{:#?}", good.violations());
    assert!(good.decisions.iter().any(|record| record.json()["restocked"] != 0), "no top-up to judge");
    for (number, (name, damage)) in DAMAGES.iter().enumerate() {
        let mut damaged = good.clone();
        damage(&mut damaged);
        let found = damaged.violations();
        assert!(found.0.contains_key(name), "damage {number} is no violation of {name}: {found:#?}");
    }
}
