//! A complete run of produce, inventory, analytics and replay, with totals counted from the topics.

use std::collections::BTreeMap;

use super::Case;
use super::support::TestEnv;

pub const CASES: &[Case] = &[("pipeline::totals_match_and_replay_is_identical", totals_agree)];

fn totals_agree(env: &TestEnv) {
    let produced = env.document("produce --count 10000 --seed 7");
    assert_eq!(produced["acknowledged"], 10_000);
    env.run("inventory --until-end").expect(0);
    let metrics = env.document("analytics --from-beginning");
    let replay = env.document("replay");
    assert_eq!(replay["verdict"], "identical");

    let orders = env.read("order-events");
    let decisions = env.read("inventory-events");
    assert_eq!(metrics["total_orders"], orders.len());
    let failed = orders.iter().filter(|order| order.json()["status"] == "failed").count();
    assert_eq!(metrics["failed_orders"], failed);
    let mut lines: BTreeMap<(i64, i64, i64), u32> = BTreeMap::new();
    for decision in &decisions {
        let decision = decision.json();
        let source = |field: &str| decision["source"][field].as_i64().expect("a number");
        *lines
            .entry((source("partition"), source("offset"), decision["line"].as_i64().expect("a number")))
            .or_default() += 1;
    }
    for order in &orders {
        for line in 0..order.json()["items"].as_array().expect("lines").len() {
            let key = (i64::from(order.partition), order.offset, i64::try_from(line).expect("small"));
            assert_eq!(lines.remove(&key), Some(1), "exactly one decision for {key:?}");
        }
    }
    assert!(lines.is_empty(), "decisions without an order: {lines:?}");
}
