//! Owns what stands behind a topic's name: another topic than before, other settings, or a state that is not whole.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Case;
use super::groups::{GROUP, assert_agree};
use super::support::{Lab, Run, Running, Stored, until};

pub const CASES: &[Case] = &[
    ("topics::an_order_topic_made_again_under_a_live_inventory_is_no_old_one", live_inventory),
    ("topics::a_source_made_again_under_live_analytics_is_no_old_one", live_analytics),
    ("topics::a_shorter_topic_made_again_under_a_live_command_is_named_so", live_and_shorter),
    ("topics::an_output_made_again_under_a_live_command_ends_it", live_outputs),
    ("topics::a_topic_made_again_between_two_runs_is_told_and_nothing_of_it_is_lost", between_runs),
    ("topics::a_topic_made_again_is_counted_by_who_starts_over", analytics_starts_over),
    ("topics::a_position_without_an_id_is_completed", older_positions),
    ("topics::a_log_without_its_tail_was_not_made_again", truncated),
    ("topics::a_topic_with_the_wrong_cleanup_is_refused_with_the_command_that_mends_it", settings),
    ("topics::a_changelog_that_takes_too_little_is_refused", small_changelogs),
    ("topics::a_ledger_that_lost_records_sells_nothing_twice", lost_ledger),
    ("topics::a_state_that_lost_records_shows_no_wrong_number", lost_state),
];

const INVENTORY: &str = "inventory-consumer-group";

/// Ends that are found out by a stopped process must come before its session ends.
const LONG: &str = "-X session.timeout.ms=60000 -X transaction.timeout.ms=50000";

/// An order of the smallest kind, of so many units of an item.
fn order(number: usize, item: &str, quantity: u32) -> Vec<u8> {
    json!({
        "event_type": "OrderPlaced", "order_id": format!("n{number}"), "user_id": "u", "restaurant_id": "r1",
        "items": [{ "item_id": item, "quantity": quantity, "price": 1.0 }], "total_amount": f64::from(quantity),
        "status": "placed", "timestamp": "2026-11-29T10:00:00.000Z",
    })
    .to_string()
    .into_bytes()
}

/// Places orders of one unit each on partition 0.
fn place(lab: &Lab, count: usize, item: &str) {
    let orders: Vec<Vec<u8>> = (0..count).map(|number| order(number, item, 1)).collect();
    let records: Vec<_> = orders.iter().map(|order| (0, Some(b"r1".as_slice()), Some(order.as_slice()))).collect();
    lab.put("order-events", &records);
}

/// A topic set with this many orders, all of them decided.
fn decided(lab: &Lab, count: usize) {
    lab.create_topic("order-events", 1, &[]);
    place(lab, count, "A");
    lab.run("inventory --until-end --opening-stock 1000").expect(0);
}

fn make_again(lab: &Lab, topic: &str, settings: &[(&str, &str)]) {
    lab.delete_topic(topic);
    lab.create_topic(topic, 1, settings);
}

/// Does something while the command stands still, so that it finds all of it done at once.
fn behind_its_back(running: &Running, work: impl FnOnce()) {
    running.signal(Signal::STOP);
    work();
    running.signal(Signal::CONT);
}

fn assert_told(run: &Run, lab: &Lab, topic: &str) {
    let words = format!("topic {} was deleted and created again: its id is ", lab.topic(topic));
    assert!(run.stderr.contains(&words), "{}", run.stderr);
}

/// Nothing of a topic that was made again is committed. Kafka deletes the old topic's offsets a while after it, or leaves one.
fn assert_nothing_new(lab: &Lab, group: &str, topic: &str, stood: &[Option<i64>]) {
    let now = lab.committed(group, topic);
    assert!(now == [None] || now == stood, "{now:?} is not {stood:?}");
}

/// The group's position in a state, by source topic; the ledger's under `order-events`.
fn last_positions(lab: &Lab, topic: &str) -> BTreeMap<String, (Vec<u8>, Value)> {
    let of = |record: Stored| {
        let key = record.key.expect("a key");
        let parts: Value = serde_json::from_slice(&key).ok()?;
        let source = parts[2].as_str().map_or_else(|| lab.topic("order-events"), str::to_owned);
        let is_position = parts[0] == "@position";
        is_position.then(|| (source, (key, serde_json::from_slice(&record.value.expect("a value")).expect("JSON"))))
    };
    lab.read(topic).into_iter().filter_map(of).collect()
}

/// The offsets of the orders that decisions are about, in the order of the decisions.
fn sources(lab: &Lab) -> Vec<i64> {
    lab.read("inventory-events").iter().map(|record| record.json()["source"]["offset"].as_i64().expect("one")).collect()
}

fn live_inventory(lab: &Lab) {
    decided(lab, 50);
    let old: Vec<i64> = sources(lab);
    // Each record is committed at once: no look that comes now and then is in time.
    let live = lab.start(&format!("inventory --opening-stock 1000 --commit-interval 1ms {LONG}"));
    until("it is a member", || (lab.members(INVENTORY).len() == 1).then_some(()));
    place(lab, 1, "A");
    until("it decides", || (lab.progress(INVENTORY, "order-events") > 50).then_some(()));
    behind_its_back(&live, || {
        make_again(lab, "order-events", &[]);
        place(lab, 200, "A");
    });
    let run = live.end().expect(7);
    assert_told(&run, lab, "order-events");
    assert!(run.stderr.contains("the ledger belongs to") && run.stderr.contains("--start-over"), "{}", run.stderr);
    assert_nothing_new(lab, INVENTORY, "order-events", &[Some(51)]);
    assert_eq!(sources(lab).len(), old.len() + 1, "and none of its orders is decided");

    // Nobody is led to skip what the new one holds.
    for words in ["", " --resume-from-ledger"] {
        let run = lab.run(&format!("inventory --until-end --opening-stock 1000{words}")).expect(7);
        assert_told(&run, lab, "order-events");
        assert!(!run.stderr.contains("is the truth"), "{}", run.stderr);
    }
    let document = lab.document("inventory --until-end --opening-stock 1000 --start-over");
    assert_eq!(document["orders"], 200);
    assert_eq!(sources(lab)[old.len() + 1..], (0..200).collect::<Vec<i64>>(), "each of them once");
    place(lab, 10, "A");
    // Where the topic is the same the flag does nothing.
    assert_eq!(lab.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 10);
    let last = lab.read("inventory-events").pop().expect("decisions").json();
    assert_eq!(last["on_hand"], 1_000 - 210, "the stock is of the new orders alone");
}

fn live_analytics(lab: &Lab) {
    decided(lab, 50);
    for topic in ["order-events", "inventory-events"] {
        lab.run("analytics --from-beginning").expect(0);
        let before = lab.watermarks(topic)[0].1;
        let live = lab.start(&format!("analytics {LONG}"));
        until("it is a member", || (lab.members(GROUP).len() == 1).then_some(()));
        place(lab, 1, "A");
        lab.run("inventory --until-end --opening-stock 1000 --start-over").expect(0);
        let end = lab.settled(topic)[0].1;
        assert!(end > before);
        let stood = until("it counts", || Some(lab.committed(GROUP, topic)).filter(|now| *now == [Some(end)]));
        behind_its_back(&live, || {
            make_again(lab, topic, &[]);
            let orders: Vec<Vec<u8>> = (0..200).map(|number| order(number, "A", 1)).collect();
            let records: Vec<_> = orders.iter().map(|order| (0, None, Some(order.as_slice()))).collect();
            lab.put(topic, &records);
        });
        let run = live.end().expect(7);
        assert_told(&run, lab, topic);
        assert!(run.stderr.contains("--start-over"), "{}", run.stderr);
        assert_nothing_new(lab, GROUP, topic, &stood);
        let document = lab.run("replay --output json").expect(3).document();
        let causes = document["causes"].as_array().expect("causes");
        let cause = causes.iter().find(|cause| cause["topic"] == lab.topic(topic)).expect("one of it");
        assert_eq!(cause["cause"], "topic_recreated", "{document}");
        assert_ne!(cause["id_before"], cause["id_after"]);
    }
}

/// The new log ends before the old offset: the client notices that itself.
fn live_and_shorter(lab: &Lab) {
    decided(lab, 50);
    lab.run("analytics --until-end").expect(0);
    let live = ["inventory --opening-stock 1000", "analytics"].map(|words| lab.start(&format!("{words} {LONG}")));
    for group in [INVENTORY, GROUP] {
        until("it is a member", || (lab.members(group).len() == 1).then_some(()));
    }
    let to_all = |signal| {
        for running in &live {
            running.signal(signal);
        }
    };
    to_all(Signal::STOP);
    make_again(lab, "order-events", &[]);
    place(lab, 5, "A");
    to_all(Signal::CONT);
    for running in live {
        assert_told(&running.end().expect(7), lab, "order-events");
    }
    let document = lab.document("inventory --until-end --opening-stock 1000 --start-over");
    assert_eq!(document["orders"], 5);
    assert_eq!(lab.document("analytics --until-end --start-over")["total_orders"], 5);
    assert_agree(lab, GROUP);
}

fn live_outputs(lab: &Lab) {
    decided(lab, 20);
    for (topic, settings, words) in [
        ("inventory-events", &[][..], "this run has written to"),
        ("order-events-dlq", &[("max.message.bytes", "2000000")], "this run has written to"),
        ("inventory-ledger", &[("cleanup.policy", "compact")], "the ledger was kept in"),
    ] {
        let before = lab.progress(INVENTORY, "order-events");
        let live = lab.start(&format!("inventory --opening-stock 1000 {LONG}"));
        until("it is a member", || (lab.members(INVENTORY).len() == 1).then_some(()));
        place(lab, 1, "A");
        until("it decides", || (lab.progress(INVENTORY, "order-events") > before).then_some(()));
        let stood = lab.progress(INVENTORY, "order-events");
        behind_its_back(&live, || {
            make_again(lab, topic, settings);
            place(lab, 3, "A");
        });
        let run = live.end().expect(7);
        assert_told(&run, lab, topic);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_eq!(lab.progress(INVENTORY, "order-events"), stood, "{topic}: nothing is committed any more");
        if topic != "inventory-ledger" {
            let document = lab.document("inventory --until-end --opening-stock 1000");
            assert_eq!(document["orders"], 3, "{topic}: who starts again goes on from the last commit");
        }
    }
    // Without its ledger there is no stock.
    let run = lab.run("inventory --until-end --opening-stock 1000").expect(7);
    assert!(run.stderr.contains("the ledger is gone"), "{}", run.stderr);
}

fn between_runs(lab: &Lab) {
    decided(lab, 50);
    lab.run("analytics --until-end").expect(0);
    make_again(lab, "order-events", &[]);
    place(lab, 200, "B");
    let commands = ["inventory --until-end --opening-stock 1000", "analytics --until-end"];
    for words in commands.into_iter().chain(["inventory --until-end --opening-stock 1000 --resume-from-ledger"]) {
        assert_told(&lab.run(words).expect(7), lab, "order-events");
    }
    let document = lab.run("replay --output json").expect(3).document();
    assert_eq!(document["note"], "left_alone");
    let words: Vec<&str> =
        document["causes"].as_array().expect("causes").iter().filter_map(|cause| cause["cause"].as_str()).collect();
    assert!(words.contains(&"topic_recreated"), "{document}");

    assert_eq!(lab.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 200);
    let ledger: BTreeMap<_, _> =
        lab.read("inventory-ledger").into_iter().map(|record| (record.key.expect("a key"), record.value)).collect();
    assert_eq!(ledger.get(br#"["r1","A"]"#.as_slice()), Some(&None), "what is not ordered any more is deleted");
    assert!(matches!(ledger.get(br#"["r1","B"]"#.as_slice()), Some(Some(_))));

    // Counted again as a whole, with a way back to nothing of the old topic.
    let document = lab.document("analytics --from-beginning");
    assert_eq!(document["total_orders"], 200);
    let run = lab.run("replay --undo").expect(7);
    assert!(run.stderr.contains("was deleted and created again since"), "{}", run.stderr);
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("analytics --until-end")["total_orders"], 200);
    assert_eq!(lab.document("replay")["verdict"], "identical");
}

fn analytics_starts_over(lab: &Lab) {
    decided(lab, 50);
    lab.run("analytics --until-end").expect(0);
    make_again(lab, "order-events", &[]);
    place(lab, 70, "B");
    let document = lab.document("analytics --until-end --start-over");
    assert_eq!(document["total_orders"], 70, "the new orders, each once");
    assert_eq!(document["inventory"]["reserved_orders"], 50, "and the decisions are those of the same topic as before");
    assert_agree(lab, GROUP);
    place(lab, 5, "B");
    assert_eq!(lab.document("analytics --until-end")["total_orders"], 75);
    assert_eq!(lab.document("replay")["verdict"], "identical");
}

/// As an older version wrote it.
fn without_id(position: &Value) -> Vec<u8> {
    let mut older = position.clone();
    for field in ["topic_id", "holds"] {
        assert!(older.as_object_mut().expect("an object").remove(field).is_some(), "{position}");
    }
    older.to_string().into_bytes()
}

fn older_positions(lab: &Lab) {
    decided(lab, 50);
    lab.run("analytics --until-end").expect(0);
    for state in ["inventory-ledger", "analytics-state"] {
        for (key, position) in last_positions(lab, state).values() {
            lab.put(state, &[(0, Some(key), Some(&without_id(position)))]);
        }
    }
    place(lab, 5, "B");
    assert_eq!(lab.document("inventory --until-end --opening-stock 1000")["orders"], 5);
    assert_eq!(lab.document("analytics --until-end")["total_orders"], 55);
    let ids: Vec<Value> = ["inventory-ledger", "analytics-state"]
        .into_iter()
        .flat_map(|state| last_positions(lab, state).into_values().map(|(_, position)| position["topic_id"].clone()))
        .collect();
    assert!(ids.len() == 3 && ids.iter().all(Value::is_string), "{ids:?}");
    assert_eq!(lab.document("replay")["verdict"], "identical");

    // Of an older position it cannot be said which topic it is of: both ways on are told, and neither is taken.
    for (key, position) in last_positions(lab, "inventory-ledger").values() {
        lab.put("inventory-ledger", &[(0, Some(key), Some(&without_id(position)))]);
    }
    make_again(lab, "order-events", &[]);
    place(lab, 90, "B");
    let run = lab.run("inventory --until-end --opening-stock 1000").expect(7);
    assert!(run.stderr.contains("--start-over") && run.stderr.contains("--resume-from-ledger"), "{}", run.stderr);
    assert_eq!(lab.document("inventory --until-end --opening-stock 1000 --start-over")["orders"], 90);
}

fn truncated(lab: &Lab) {
    decided(lab, 50);
    lab.run("analytics --until-end").expect(0);
    // Offset and state behind the end, as a log leaves them that lost its tail.
    for (group, state) in [(INVENTORY, "inventory-ledger"), (GROUP, "analytics-state")] {
        let (key, mut position) = last_positions(lab, state)[&lab.topic("order-events")].clone();
        let end = position["next_offset"].as_i64().expect("an offset") + 30;
        position["next_offset"] = json!(end);
        lab.put(state, &[(0, Some(&key), Some(&position.to_string().into_bytes()))]);
        lab.set_offsets(group, "order-events", &[(0, end)]);
    }
    for words in ["inventory --until-end --opening-stock 1000", "analytics --until-end"] {
        let run = lab.run(words).expect(7);
        assert!(run.stderr.contains("it lost its tail"), "{}", run.stderr);
        assert!(!run.stderr.contains("created again"), "{}", run.stderr);
    }
    let document = lab.run("replay --output json").expect(3).document();
    assert_eq!(document["causes"][0]["cause"], "log_truncated", "{document}");
}

/// What a command is refused with for a setting, and the command that sets it right: all that is asked for is there.
fn assert_refused(lab: &Lab, words: &str, topic: &str, found: &str, wanted: &str) {
    let run = lab.run(words).expect(7);
    let name = lab.topic(topic);
    assert!(run.stderr.contains(&format!("{name} has {found}: ")), "{}", run.stderr);
    let line = format!(
        "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {wanted}",
        lab.broker
    );
    assert!(run.stderr.contains(&line), "{}", run.stderr);
    if lab.is_kafka() {
        lab.tool("kafka-configs", &format!("--alter --entity-type topics --entity-name {name} --add-config {wanted}"));
        let (key, value) = wanted.split_once('=').expect("a setting");
        lab.until_config(topic, key, value);
    }
}

const POLICY: &str = "cleanup.policy";

fn settings(lab: &Lab) {
    let inventory = "inventory --until-end --opening-stock 1000";
    for (number, policy) in ["delete", "compact,delete"].into_iter().enumerate() {
        // As an admin or the broker itself makes them, before the first run and behind it.
        let fresh = lab.other(&number.to_string());
        fresh.create_topic("order-events", 1, &[]);
        fresh.create_topic("inventory-ledger", 1, &[(POLICY, policy)]);
        fresh.create_topic("analytics-state", 1, &[(POLICY, policy)]);
        place(&fresh, 3, "A");
        let found = format!("{POLICY}={policy}");
        assert_refused(&fresh, inventory, "inventory-ledger", &found, "cleanup.policy=compact");
        assert_eq!(fresh.watermarks("inventory-ledger"), [(0, 0)], "and nothing was done");
        assert_refused(&fresh, "analytics --until-end", "analytics-state", &found, "cleanup.policy=compact");
        for words in ["analytics --from-beginning", "replay", "replay --undo"] {
            if !fresh.is_kafka() {
                assert_refused(&fresh, words, "analytics-state", &found, "cleanup.policy=compact");
            }
        }
        fresh.run("analytics --from-beginning --no-commit").expect(0);
        for topic in ["inventory-ledger", "analytics-state"] {
            fresh.set_config(topic, POLICY, "compact");
        }
        assert_eq!(fresh.document(inventory)["orders"], 3);
        assert_eq!(fresh.document("analytics --until-end")["total_orders"], 3);
    }

    decided(lab, 3);
    lab.run("analytics --until-end").expect(0);
    for (topic, words) in [
        ("order-events", inventory),
        ("order-events", "analytics --until-end"),
        ("inventory-events", inventory),
        ("inventory-events", "analytics --until-end"),
        ("order-events-dlq", inventory),
    ] {
        // The only one that is set: the dead letters need their size, too, and that is looked at later.
        lab.set_config(topic, POLICY, "compact");
        assert_refused(lab, words, topic, "cleanup.policy=compact", "cleanup.policy=delete");
        if topic != "order-events-dlq" {
            lab.set_config(topic, POLICY, "delete");
            lab.run(words).expect(0);
        }
    }
}

fn small_changelogs(lab: &Lab) {
    lab.create_topic("order-events", 1, &[]);
    lab.create_topic("inventory-ledger", 1, &[(POLICY, "compact"), ("max.message.bytes", "16383")]);
    let found = "max.message.bytes=16383";
    assert_refused(lab, "inventory --until-end", "inventory-ledger", found, "max.message.bytes=16384");
}

/// Deletes what a changelog holds below an offset, as retention does where its policy is another for a while.
fn lose(lab: &Lab, changelog: &str, before: i64) {
    lab.set_config(changelog, POLICY, "delete");
    lab.delete_records(changelog, 0, before);
    lab.set_config(changelog, POLICY, "compact");
}

fn lost_ledger(lab: &Lab) {
    decided(lab, 100);
    let old = lab.watermarks("inventory-ledger")[0].1;
    place(lab, 5, "B");
    lab.run("inventory --until-end --opening-stock 1000").expect(0);
    lose(lab, "inventory-ledger", old);
    place(lab, 1_000, "A");
    let decisions = lab.read("inventory-events").len();
    for words in ["", " --resume-from-ledger"] {
        let run = lab.run(&format!("inventory --until-end --opening-stock 1000{words}")).expect(7);
        assert!(run.stderr.contains("state_lost") && run.stderr.contains("of 2 items there are 1"), "{}", run.stderr);
    }
    assert_eq!(lab.read("inventory-events").len(), decisions, "nothing is sold twice");
}

fn lost_state(lab: &Lab) {
    decided(lab, 100);
    lab.run("analytics --until-end").expect(0);
    let report = || std::fs::read_to_string(lab.folder().join("metrics_output.txt")).expect("a report");
    let told = report();
    let old = lab.watermarks("analytics-state")[0].1;
    // Another minute: the first one is in no record any more, and the totals are.
    let mut later: Value = serde_json::from_slice(&order(0, "B", 1)).expect("JSON");
    later["timestamp"] = json!("2026-11-29T11:00:00.000Z");
    lab.put("order-events", &[(0, Some(b"r1"), Some(later.to_string().as_bytes()))]);
    lab.run("inventory --until-end --opening-stock 1000").expect(0);
    let live = lab.start(&format!("analytics --every 100ms {LONG}"));
    until("it counts", || (lab.progress(GROUP, "order-events") > 100).then_some(()));
    until("it has counted", || {
        let end = lab.settled("inventory-events")[0].1;
        (lab.committed(GROUP, "inventory-events") == [Some(end)]).then_some(())
    });
    lose(lab, "analytics-state", old);
    // The last word of a run is read anew, and must be no wrong number.
    live.signal(Signal::INT);
    let run = live.end().expect(7);
    assert!(run.stderr.contains("state_lost"), "{}", run.stderr);
    assert_eq!(report(), told, "and the file is the one of the run before");
    let run = lab.run("analytics --until-end").expect(7);
    assert!(run.stderr.contains("state_lost") && run.stderr.contains("--from-beginning"), "{}", run.stderr);
    for words in ["replay", "replay --shadow"] {
        let document = lab.run(&format!("{words} --output json")).expect(3).document();
        let causes = document["causes"].as_array().expect("causes");
        assert!(!causes.is_empty() && causes.iter().all(|cause| cause["cause"] == "state_lost"), "{document}");
        assert!(causes[0]["loss"]["found"].as_u64() < causes[0]["loss"]["expected"].as_u64(), "{document}");
    }
    assert_eq!(lab.document("analytics --from-beginning")["total_orders"], 101);
    let run = lab.run("replay --undo").expect(7);
    assert!(run.stderr.contains("before the last switch is not whole"), "{}", run.stderr);
    assert_eq!(lab.document("analytics --until-end")["total_orders"], 101);
    assert_eq!(lab.document("replay")["verdict"], "identical");
    lab.run("replay --undo").expect(0);
}
