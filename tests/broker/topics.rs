//! Recreated topics, wrong topic settings, and changelogs that lost records.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Case;
use super::groups::{GROUP, assert_offsets_match_positions};
use super::support::{Run, Running, StoredRecord, TestEnv, until};

pub const CASES: &[Case] = &[
    ("topics::recreated_orders_end_live_inventory", live_inventory),
    ("topics::recreated_source_ends_live_analytics", live_analytics),
    ("topics::recreated_shorter_topic_ends_live_commands", live_shorter),
    ("topics::recreated_output_ends_live_inventory", live_outputs),
    ("topics::topic_recreated_between_runs_loses_nothing", between_runs),
    ("topics::start_over_counts_a_recreated_topic", analytics_starts_over),
    ("topics::position_without_topic_id_is_completed", positions_without_id),
    ("topics::truncated_log_is_not_a_recreated_topic", truncated),
    ("topics::wrong_cleanup_policy_is_refused", cleanup_policies),
    ("topics::small_changelog_limit_is_refused", small_changelogs),
    ("topics::lost_ledger_records_are_refused", lost_ledger_records),
    ("topics::lost_state_records_are_refused", lost_state_records),
];

const INVENTORY: &str = "inventory-consumer-group";

/// A suspended process must find the error before its session expires.
const LONG_TIMEOUTS: &str = "-X session.timeout.ms=60000 -X transaction.timeout.ms=50000";

/// A minimal order of one item.
fn order(number: usize, item: &str, quantity: u32) -> Vec<u8> {
    json!({
        "event_type": "OrderPlaced", "order_id": format!("n{number}"), "user_id": "u", "restaurant_id": "r1",
        "items": [{ "item_id": item, "quantity": quantity, "price": 1.0 }], "total_amount": f64::from(quantity),
        "status": "placed", "timestamp": "2026-11-29T10:00:00.000Z",
    })
    .to_string()
    .into_bytes()
}

/// Writes orders of one unit each to partition 0.
fn place(env: &TestEnv, count: usize, item: &str) {
    let orders: Vec<Vec<u8>> = (0..count).map(|number| order(number, item, 1)).collect();
    let records: Vec<_> = orders.iter().map(|order| (0, Some(b"r1".as_slice()), Some(order.as_slice()))).collect();
    env.put("order-events", &records);
}

/// Creates a topic with this many decided orders.
fn produce_and_decide(env: &TestEnv, count: usize) {
    env.create_topic("order-events", 1, &[]);
    place(env, count, "A");
    env.run("inventory --until-end --opening-stock 1000").expect(0);
}

fn recreate(env: &TestEnv, topic: &str, settings: &[(&str, &str)]) {
    env.delete_topic(topic);
    env.create_topic(topic, 1, settings);
}

/// Does some work while the command is suspended, so that it finds all of it at once.
fn while_stopped(running: &Running, work: impl FnOnce()) {
    running.signal(Signal::STOP);
    work();
    running.signal(Signal::CONT);
}

fn assert_recreated_error(run: &Run, env: &TestEnv, topic: &str) {
    let message = format!("topic {} was deleted and created again: its id is ", env.topic(topic));
    assert!(run.stderr.contains(&message), "{}", run.stderr);
}

/// Requires that nothing of a recreated topic is committed. Kafka deletes the old topic's offsets after a while, or
/// keeps one.
fn assert_no_new_commit(env: &TestEnv, group: &str, topic: &str, committed: &[Option<i64>]) {
    let now = env.committed(group, topic);
    assert!(now == [None] || now == committed, "{now:?} is not {committed:?}");
}

/// The group's last position in a changelog, by source topic. The ledger's is listed under `order-events`.
fn last_positions(env: &TestEnv, topic: &str) -> BTreeMap<String, (Vec<u8>, Value)> {
    let of = |record: StoredRecord| {
        let key = record.key.expect("a key");
        let parts: Value = serde_json::from_slice(&key).ok()?;
        let source = parts[2].as_str().map_or_else(|| env.topic("order-events"), str::to_owned);
        let is_position = parts[0] == "@position";
        is_position.then(|| (source, (key, serde_json::from_slice(&record.value.expect("a value")).expect("JSON"))))
    };
    env.read(topic).into_iter().filter_map(of).collect()
}

/// Source offsets of the decisions, in order.
fn sources(env: &TestEnv) -> Vec<i64> {
    env.read("inventory-events")
        .iter()
        .map(|record| record.json()["source"]["offset"].as_i64().expect("an offset"))
        .collect()
}

fn live_inventory(env: &TestEnv) {
    produce_and_decide(env, 50);
    let old: Vec<i64> = sources(env);
    // Each record is committed at once: a periodic check would be too late.
    let live = env.start(&format!("inventory --opening-stock 1000 --commit-interval 1ms {LONG_TIMEOUTS}"));
    until("the command has joined its group", || (env.members(INVENTORY).len() == 1).then_some(()));
    place(env, 1, "A");
    until("the order is decided", || (env.progress(INVENTORY, "order-events") > 50).then_some(()));
    while_stopped(&live, || {
        recreate(env, "order-events", &[]);
        place(env, 200, "A");
    });
    let run = live.end().expect(7);
    assert_recreated_error(&run, env, "order-events");
    assert!(run.stderr.contains("the ledger belongs to") && run.stderr.contains("--start-over"), "{}", run.stderr);
    assert_no_new_commit(env, INVENTORY, "order-events", &[Some(51)]);
    assert_eq!(sources(env).len(), old.len() + 1, "no order of the new topic is decided");

    // No hint suggests a command that skips the new records.
    for args in ["", " --resume-from-ledger"] {
        let run = env.run(&format!("inventory --until-end --opening-stock 1000{args}")).expect(7);
        assert_recreated_error(&run, env, "order-events");
        assert!(!run.stderr.contains("is authoritative"), "{}", run.stderr);
    }
    let document = env.document("inventory --until-end --opening-stock 1000 --start-over");
    assert_eq!(document["orders"], 200);
    assert_eq!(sources(env)[old.len() + 1..], (0..200).collect::<Vec<i64>>(), "each new order is decided once");
    place(env, 10, "A");
    // Without a recreated topic the flag has no effect.
    assert_eq!(env.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 10);
    let last = env.read("inventory-events").pop().expect("decisions").json();
    assert_eq!(last["on_hand"], 1_000 - 210, "the stock is of the new orders alone");
}

fn live_analytics(env: &TestEnv) {
    produce_and_decide(env, 50);
    for topic in ["order-events", "inventory-events"] {
        env.run("analytics --from-beginning").expect(0);
        let before = env.watermarks(topic)[0].1;
        let live = env.start(&format!("analytics {LONG_TIMEOUTS}"));
        until("the command has joined its group", || (env.members(GROUP).len() == 1).then_some(()));
        place(env, 1, "A");
        env.run("inventory --until-end --opening-stock 1000 --start-over").expect(0);
        let end = env.settled_watermarks(topic)[0].1;
        assert!(end > before);
        let committed =
            until("the order is counted", || Some(env.committed(GROUP, topic)).filter(|now| *now == [Some(end)]));
        while_stopped(&live, || {
            recreate(env, topic, &[]);
            let orders: Vec<Vec<u8>> = (0..200).map(|number| order(number, "A", 1)).collect();
            let records: Vec<_> = orders.iter().map(|order| (0, None, Some(order.as_slice()))).collect();
            env.put(topic, &records);
        });
        let run = live.end().expect(7);
        assert_recreated_error(&run, env, topic);
        assert!(run.stderr.contains("--start-over"), "{}", run.stderr);
        assert_no_new_commit(env, GROUP, topic, &committed);
        let document = env.run("replay --output json").expect(3).document();
        let causes = document["causes"].as_array().expect("causes");
        let cause = causes.iter().find(|cause| cause["topic"] == env.topic(topic)).expect("a cause for the topic");
        assert_eq!(cause["cause"], "topic_recreated", "{document}");
        assert_ne!(cause["id_before"], cause["id_after"]);
    }
}

/// The new log ends before the old offset, which the client detects itself.
fn live_shorter(env: &TestEnv) {
    produce_and_decide(env, 50);
    env.run("analytics --until-end").expect(0);
    let live =
        ["inventory --opening-stock 1000", "analytics"].map(|args| env.start(&format!("{args} {LONG_TIMEOUTS}")));
    for group in [INVENTORY, GROUP] {
        until("the command has joined its group", || (env.members(group).len() == 1).then_some(()));
    }
    let to_all = |signal| {
        for running in &live {
            running.signal(signal);
        }
    };
    to_all(Signal::STOP);
    recreate(env, "order-events", &[]);
    place(env, 5, "A");
    to_all(Signal::CONT);
    for running in live {
        assert_recreated_error(&running.end().expect(7), env, "order-events");
    }
    let document = env.document("inventory --until-end --opening-stock 1000 --start-over");
    assert_eq!(document["orders"], 5);
    assert_eq!(env.document("analytics --until-end --start-over")["total_orders"], 5);
    assert_offsets_match_positions(env, GROUP);
}

fn live_outputs(env: &TestEnv) {
    produce_and_decide(env, 20);
    for (topic, settings, reason) in [
        ("inventory-events", &[][..], "this run has written to"),
        ("order-events-dlq", &[("max.message.bytes", "2000000")], "this run has written to"),
        ("inventory-ledger", &[("cleanup.policy", "compact")], "the ledger was kept in"),
    ] {
        let before = env.progress(INVENTORY, "order-events");
        let live = env.start(&format!("inventory --opening-stock 1000 {LONG_TIMEOUTS}"));
        until("the command has joined its group", || (env.members(INVENTORY).len() == 1).then_some(()));
        place(env, 1, "A");
        until("the order is decided", || (env.progress(INVENTORY, "order-events") > before).then_some(()));
        let committed = env.progress(INVENTORY, "order-events");
        while_stopped(&live, || {
            recreate(env, topic, settings);
            place(env, 3, "A");
        });
        let run = live.end().expect(7);
        assert_recreated_error(&run, env, topic);
        assert!(run.stderr.contains(reason), "{}", run.stderr);
        assert_eq!(env.progress(INVENTORY, "order-events"), committed, "{topic}: nothing more is committed");
        if topic != "inventory-ledger" {
            let document = env.document("inventory --until-end --opening-stock 1000");
            assert_eq!(document["orders"], 3, "{topic}: the next run continues from the last commit");
        }
    }
    // Without the ledger the stock cannot be restored.
    let run = env.run("inventory --until-end --opening-stock 1000").expect(7);
    assert!(run.stderr.contains("the ledger is missing"), "{}", run.stderr);
}

fn between_runs(env: &TestEnv) {
    produce_and_decide(env, 50);
    env.run("analytics --until-end").expect(0);
    recreate(env, "order-events", &[]);
    place(env, 200, "B");
    let commands = ["inventory --until-end --opening-stock 1000", "analytics --until-end"];
    for args in commands.into_iter().chain(["inventory --until-end --opening-stock 1000 --resume-from-ledger"]) {
        assert_recreated_error(&env.run(args).expect(7), env, "order-events");
    }
    let document = env.run("replay --output json").expect(3).document();
    assert_eq!(document["note"], "left_alone");
    let causes: Vec<&str> =
        document["causes"].as_array().expect("causes").iter().filter_map(|cause| cause["cause"].as_str()).collect();
    assert!(causes.contains(&"topic_recreated"), "{document}");

    assert_eq!(env.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 200);
    let ledger: BTreeMap<_, _> =
        env.read("inventory-ledger").into_iter().map(|record| (record.key.expect("a key"), record.value)).collect();
    assert_eq!(ledger.get(br#"["r1","A"]"#.as_slice()), Some(&None), "items without orders are deleted");
    assert!(matches!(ledger.get(br#"["r1","B"]"#.as_slice()), Some(Some(_))));

    // Everything is counted again, and an undo to the old topic is impossible.
    let document = env.document("analytics --from-beginning");
    assert_eq!(document["total_orders"], 200);
    let run = env.run("replay --undo").expect(7);
    assert!(run.stderr.contains("was deleted and created again: the state"), "{}", run.stderr);
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("analytics --until-end")["total_orders"], 200);
    assert_eq!(env.document("replay")["verdict"], "identical");
}

fn analytics_starts_over(env: &TestEnv) {
    produce_and_decide(env, 50);
    env.run("analytics --until-end").expect(0);
    recreate(env, "order-events", &[]);
    place(env, 70, "B");
    let document = env.document("analytics --until-end --start-over");
    assert_eq!(document["total_orders"], 70, "the new orders, each once");
    assert_eq!(document["inventory"]["reserved_orders"], 50, "the decisions are still those of the old orders");
    assert_offsets_match_positions(env, GROUP);
    place(env, 5, "B");
    assert_eq!(env.document("analytics --until-end")["total_orders"], 75);
    assert_eq!(env.document("replay")["verdict"], "identical");
}

/// A position as an older version wrote it.
fn without_id(position: &Value) -> Vec<u8> {
    let mut older = position.clone();
    for field in ["topic_id", "holds"] {
        assert!(older.as_object_mut().expect("an object").remove(field).is_some(), "{position}");
    }
    older.to_string().into_bytes()
}

fn positions_without_id(env: &TestEnv) {
    produce_and_decide(env, 50);
    env.run("analytics --until-end").expect(0);
    for state in ["inventory-ledger", "analytics-state"] {
        for (key, position) in last_positions(env, state).values() {
            env.put(state, &[(0, Some(key), Some(&without_id(position)))]);
        }
    }
    place(env, 5, "B");
    assert_eq!(env.document("inventory --until-end --opening-stock 1000")["orders"], 5);
    assert_eq!(env.document("analytics --until-end")["total_orders"], 55);
    let ids: Vec<Value> = ["inventory-ledger", "analytics-state"]
        .into_iter()
        .flat_map(|state| last_positions(env, state).into_values().map(|(_, position)| position["topic_id"].clone()))
        .collect();
    assert!(ids.len() == 3 && ids.iter().all(Value::is_string), "{ids:?}");
    assert_eq!(env.document("replay")["verdict"], "identical");

    // An older position does not identify its topic: both flags are suggested, and none is assumed.
    for (key, position) in last_positions(env, "inventory-ledger").values() {
        env.put("inventory-ledger", &[(0, Some(key), Some(&without_id(position)))]);
    }
    recreate(env, "order-events", &[]);
    place(env, 90, "B");
    let run = env.run("inventory --until-end --opening-stock 1000").expect(7);
    assert!(run.stderr.contains("--start-over") && run.stderr.contains("--resume-from-ledger"), "{}", run.stderr);
    assert_eq!(env.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 90);
}

fn truncated(env: &TestEnv) {
    produce_and_decide(env, 50);
    env.run("analytics --until-end").expect(0);
    // Offset and state beyond the end of the log, as after a truncation.
    for (group, state) in [(INVENTORY, "inventory-ledger"), (GROUP, "analytics-state")] {
        let (key, mut position) = last_positions(env, state)[&env.topic("order-events")].clone();
        let end = position["next_offset"].as_i64().expect("an offset") + 30;
        position["next_offset"] = json!(end);
        env.put(state, &[(0, Some(&key), Some(&position.to_string().into_bytes()))]);
        env.set_offsets(group, "order-events", &[(0, end)]);
    }
    for args in ["inventory --until-end --opening-stock 1000", "analytics --until-end"] {
        let run = env.run(args).expect(7);
        assert!(run.stderr.contains("the log was truncated"), "{}", run.stderr);
        assert!(!run.stderr.contains("created again"), "{}", run.stderr);
    }
    let document = env.run("replay --output json").expect(3).document();
    assert_eq!(document["causes"][0]["cause"], "log_truncated", "{document}");
}

/// Requires that a command is refused for a topic setting with the command that corrects it, and runs that command on
/// Kafka.
fn assert_refused(env: &TestEnv, args: &str, topic: &str, found: &str, wanted: &str) {
    let run = env.run(args).expect(7);
    let name = env.topic(topic);
    assert!(run.stderr.contains(&format!("{name} has {found}: ")), "{}", run.stderr);
    let line = format!(
        "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {wanted}",
        env.broker
    );
    assert!(run.stderr.contains(&line), "{}", run.stderr);
    if env.is_kafka() {
        env.tool("kafka-configs", &format!("--alter --entity-type topics --entity-name {name} --add-config {wanted}"));
        let (key, value) = wanted.split_once('=').expect("a setting");
        env.until_config(topic, key, value);
    }
}

const POLICY: &str = "cleanup.policy";

fn cleanup_policies(env: &TestEnv) {
    let inventory = "inventory --until-end --opening-stock 1000";
    for (number, policy) in ["delete", "compact,delete"].into_iter().enumerate() {
        // Created by an admin or the broker, before the first run and after it.
        let fresh = env.other(&number.to_string());
        fresh.create_topic("order-events", 1, &[]);
        fresh.create_topic("inventory-ledger", 1, &[(POLICY, policy)]);
        fresh.create_topic("analytics-state", 1, &[(POLICY, policy)]);
        place(&fresh, 3, "A");
        let found = format!("{POLICY}={policy}");
        assert_refused(&fresh, inventory, "inventory-ledger", &found, "cleanup.policy=compact");
        assert_eq!(fresh.watermarks("inventory-ledger"), [(0, 0)], "nothing was written");
        assert_refused(&fresh, "analytics --until-end", "analytics-state", &found, "cleanup.policy=compact");
        for args in ["analytics --from-beginning", "replay", "replay --undo"] {
            if !fresh.is_kafka() {
                assert_refused(&fresh, args, "analytics-state", &found, "cleanup.policy=compact");
            }
        }
        fresh.run("analytics --from-beginning --no-commit").expect(0);
        for topic in ["inventory-ledger", "analytics-state"] {
            fresh.set_config(topic, POLICY, "compact");
        }
        assert_eq!(fresh.document(inventory)["orders"], 3);
        assert_eq!(fresh.document("analytics --until-end")["total_orders"], 3);
    }

    produce_and_decide(env, 3);
    env.run("analytics --until-end").expect(0);
    for (topic, args) in [
        ("order-events", inventory),
        ("order-events", "analytics --until-end"),
        ("inventory-events", inventory),
        ("inventory-events", "analytics --until-end"),
        ("order-events-dlq", inventory),
    ] {
        // The size limit of the dead letters is not set and is checked later than the policy.
        env.set_config(topic, POLICY, "compact");
        assert_refused(env, args, topic, "cleanup.policy=compact", "cleanup.policy=delete");
        if topic != "order-events-dlq" {
            env.set_config(topic, POLICY, "delete");
            env.run(args).expect(0);
        }
    }
}

fn small_changelogs(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    env.create_topic("inventory-ledger", 1, &[(POLICY, "compact"), ("max.message.bytes", "16383")]);
    let found = "max.message.bytes=16383";
    assert_refused(env, "inventory --until-end", "inventory-ledger", found, "max.message.bytes=16384");
}

/// Deletes the records of a changelog below an offset, as retention does under another cleanup policy.
fn delete_changelog_records(env: &TestEnv, changelog: &str, before: i64) {
    env.set_config(changelog, POLICY, "delete");
    env.delete_records(changelog, 0, before);
    env.set_config(changelog, POLICY, "compact");
}

fn lost_ledger_records(env: &TestEnv) {
    produce_and_decide(env, 100);
    let old = env.watermarks("inventory-ledger")[0].1;
    place(env, 5, "B");
    env.run("inventory --until-end --opening-stock 1000").expect(0);
    delete_changelog_records(env, "inventory-ledger", old);
    place(env, 1_000, "A");
    let decisions = env.read("inventory-events").len();
    for args in ["", " --resume-from-ledger"] {
        let run = env.run(&format!("inventory --until-end --opening-stock 1000{args}")).expect(7);
        assert!(run.stderr.contains("state_lost") && run.stderr.contains("1 of 2 items are present"), "{}", run.stderr);
    }
    assert_eq!(env.read("inventory-events").len(), decisions, "no order is decided");
}

fn lost_state_records(env: &TestEnv) {
    produce_and_decide(env, 100);
    env.run("analytics --until-end").expect(0);
    let report = || std::fs::read_to_string(env.dir().join("metrics_output.txt")).expect("a report");
    let report_before = report();
    let old = env.watermarks("analytics-state")[0].1;
    // Another minute: the first minute exists only in deleted records, the totals do not.
    let mut later: Value = serde_json::from_slice(&order(0, "B", 1)).expect("JSON");
    later["timestamp"] = json!("2026-11-29T11:00:00.000Z");
    env.put("order-events", &[(0, Some(b"r1"), Some(later.to_string().as_bytes()))]);
    env.run("inventory --until-end --opening-stock 1000").expect(0);
    let live = env.start(&format!("analytics --every 100ms {LONG_TIMEOUTS}"));
    until("the order is counted", || (env.progress(GROUP, "order-events") > 100).then_some(()));
    until("all decisions are counted", || {
        let end = env.settled_watermarks("inventory-events")[0].1;
        (env.committed(GROUP, "inventory-events") == [Some(end)]).then_some(())
    });
    delete_changelog_records(env, "analytics-state", old);
    // The final report reads the state again and must not print a wrong number.
    live.signal(Signal::INT);
    let run = live.end().expect(7);
    assert!(run.stderr.contains("state_lost"), "{}", run.stderr);
    assert_eq!(report(), report_before, "the file of the previous run is unchanged");
    let run = env.run("analytics --until-end").expect(7);
    assert!(run.stderr.contains("state_lost") && run.stderr.contains("--from-beginning"), "{}", run.stderr);
    for args in ["replay", "replay --shadow"] {
        let document = env.run(&format!("{args} --output json")).expect(3).document();
        let causes = document["causes"].as_array().expect("causes");
        assert!(!causes.is_empty() && causes.iter().all(|cause| cause["cause"] == "state_lost"), "{document}");
        assert!(causes[0]["loss"]["found"].as_u64() < causes[0]["loss"]["expected"].as_u64(), "{document}");
    }
    assert_eq!(env.document("analytics --from-beginning")["total_orders"], 101);
    let run = env.run("replay --undo").expect(7);
    assert!(run.stderr.contains("before the last switch is incomplete"), "{}", run.stderr);
    assert_eq!(env.document("analytics --until-end")["total_orders"], 101);
    assert_eq!(env.document("replay")["verdict"], "identical");
    env.run("replay --undo").expect(0);
}
