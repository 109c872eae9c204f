//! `replay`: rewinds the group itself, reads everything again, and changes nothing else.

use serde_json::Value;

use super::Case;
use super::groups::{
    GROUP, OffsetWatch, SHORT_TIMEOUTS, assert_offsets_match_positions, epochs, live_keys, offsets, positions,
    produce_and_decide, run_pipeline, until_members,
};
use super::support::{TestEnv, until};
use rustix::process::Signal;

pub const CASES: &[Case] = &[
    ("replay::rewinds_the_group_itself", rewinds_the_group),
    ("replay::to_earliest_reads_everything_again", earliest_reads_everything_again),
    ("replay::emits_no_decision_again", no_new_decisions),
    ("replay::live_group_is_refused_awaited_or_shadowed", live_members),
    ("replay::joining_member_starts_after_the_rewind", joining_member),
    ("replay::dry_run_changes_nothing", dry_runs_and_targets),
    ("replay::empty_group_gets_a_first_pass", first_pass),
    ("replay::old_epochs_are_deleted", old_epochs),
];

fn records(env: &TestEnv) -> usize {
    env.read("order-events").len() + env.read("inventory-events").len()
}

/// The lag of the group's partitions, from Kafka's own tool where available.
fn seen_lags(env: &TestEnv) -> Vec<i64> {
    if !env.is_kafka() {
        let ends = ["order-events", "inventory-events"].map(|topic| env.last_stable_offsets(topic)).concat();
        return ends.iter().zip(offsets(env, GROUP).concat()).map(|(end, at)| end - at.expect("an offset")).collect();
    }
    let described = env.tool("kafka-consumer-groups", &format!("--describe --group {}", env.topic(GROUP)));
    described
        .lines()
        .filter(|line| line.contains("order-events") || line.contains("inventory-events"))
        .map(|line| line.split_whitespace().nth(5).expect("a lag").parse().expect("a number"))
        .collect()
}

/// Inspects the group while the replay is suspended after its rewind.
fn rewinds_the_group(env: &TestEnv) {
    run_pipeline(env, 20_000);
    let (before, groups) = (offsets(env, GROUP), env.groups(&env.prefix));
    let watch = OffsetWatch::new(env, GROUP);
    let mut replay = env.start("replay --output json -X session.timeout.ms=60000 -X transaction.timeout.ms=50000");
    let rewound = until("an offset moves back", || {
        assert!(!replay.has_ended(), "the replay ended before an offset moved back");
        watch.rewound()
    });
    replay.signal(Signal::STOP);
    let lags = seen_lags(env);
    replay.signal(Signal::CONT);
    assert_eq!(lags.len(), 6, "{lags:?}");
    assert!(lags.iter().any(|lag| *lag > 100), "the group has lag: {lags:?}");
    assert!(rewound.contains(&0), "at the log's start: {rewound:?}");
    let document = replay.end().expect(0).document();
    assert_eq!(document["verdict"], "identical");
    assert!(watch.is_back(), "{:?}", watch.offsets());
    assert_eq!(offsets(env, GROUP), before);
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.groups(&env.prefix), groups, "no other group was made");
    let again = env.document("replay");
    assert_eq!(again["verdict"], "identical", "a second replay");
    assert_eq!(again["before"], document["before"]);
}

fn earliest_reads_everything_again(env: &TestEnv) {
    run_pipeline(env, 1_000);
    let written = records(env);
    for args in ["replay --to-earliest", "replay"] {
        let document = env.document(args);
        assert_eq!(document["records"], written, "{args}");
        for row in document["plan"].as_array().expect("rows") {
            assert_eq!((&row["to"], &row["from"]), (&Value::from(0), &row["end"]), "{row}");
        }
    }
    let text = env.run("replay").expect(0);
    assert!(text.stdout.contains("identical"), "{}", text.stdout);
}

fn no_new_decisions(env: &TestEnv) {
    run_pipeline(env, 2_000);
    let topics = ["order-events", "inventory-events", "inventory-ledger", "order-events-dlq"];
    let all =
        || topics.map(|topic| (env.settled_watermarks(topic), env.read_with_isolation(topic, "read_uncommitted")));
    let inventory_offsets = || env.committed("inventory-consumer-group", "order-events");
    let (before, inventory) = (all(), inventory_offsets());
    let document = env.document("replay");
    assert_eq!(document["before"]["inventory"], document["after"]["inventory"]);
    assert!(all() == before, "a replay wrote to the topics of orders or decisions");
    assert_eq!(inventory_offsets(), inventory);
    let report = env.document("inventory --until-end");
    assert_eq!(report["orders"], 0, "no order is decided again");
}

fn live_members(env: &TestEnv) {
    run_pipeline(env, 2_000);
    let expected = env.document("analytics --from-beginning --group other");
    let mut live = env.start(&format!("analytics {SHORT_TIMEOUTS}"));
    until_members(env, GROUP, 1);
    let (offsets_before, state) = (offsets(env, GROUP), live_keys(env));

    let refused = env.run("replay").expect(7);
    assert!(refused.stderr.contains("foodstream at") && refused.stderr.contains("--wait-empty"), "{}", refused.stderr);
    assert!(!env.dir().join("metrics_initial.txt").exists(), "no file is left");
    let passed = env.run("analytics --from-beginning --output json").expect(0);
    assert!(passed.stderr.contains("live") && passed.stderr.contains("not changed"), "{}", passed.stderr);
    assert_eq!(passed.document(), expected);
    let shadow = env.document("replay --shadow");
    assert_eq!(shadow["verdict"], "identical");
    assert_eq!(shadow["after"], expected);
    assert_eq!(offsets(env, GROUP), offsets_before);
    assert_eq!(live_keys(env), state, "no state was written");
    env.run("replay --undo").expect(7);

    // Also while the group commits continuously.
    let mut produce = env.start("produce --rate 3000/s --duration 120s --seed 8");
    for shadow in 0..4 {
        assert!(!produce.has_ended(), "shadow {shadow}");
        assert_eq!(env.document("replay --shadow")["verdict"], "identical", "shadow {shadow}");
    }
    produce.signal(Signal::INT);
    produce.end().expect(130);

    let mut waiting = env.start("replay --wait-empty 60s --output json");
    assert!(env.run("replay --wait-empty 100ms").expect(7).stderr.contains("its members are"));
    assert!(!waiting.has_ended() && !live.has_ended(), "it waits");
    // Records that the members count while the replay waits for them belong to the frozen range.
    env.run("produce --count 500 --seed 9").expect(0);
    let ends: Vec<Option<i64>> = env.watermarks("order-events").iter().map(|(_, end)| Some(*end)).collect();
    until("the group counts the new orders", || (env.committed(GROUP, "order-events") == ends).then_some(()));
    live.signal(Signal::INT);
    live.end().expect(0);
    assert_eq!(waiting.end().expect(0).document()["verdict"], "identical");
    assert_offsets_match_positions(env, GROUP);
}

fn joining_member(env: &TestEnv) {
    run_pipeline(env, 20_000);
    let expected = env.document("analytics --from-beginning --group other");
    let watch = OffsetWatch::new(env, GROUP);
    let mut replay = env.start("replay --output json");
    until("the group is rewound", || {
        assert!(!replay.has_ended(), "the replay ended before a member could join");
        watch.rewound()
    });
    let joiner = env.start("analytics --until-end --output json");
    let replay = replay.end();
    assert!([0, 7].contains(&replay.code()), "{replay:?}");
    if replay.code() == 7 {
        assert!(replay.stderr.contains("joined"), "{}", replay.stderr);
    }
    assert_eq!(joiner.end().expect(0).document(), expected, "the joining member reads to the same end");
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("analytics --until-end"), expected);
    assert_eq!(env.document("replay")["verdict"], "identical");
}

fn dry_runs_and_targets(env: &TestEnv) {
    run_pipeline(env, 1_500);
    env.delete_records("order-events", 0, 20);
    env.run("analytics --from-beginning").expect(0);
    let observed_state =
        |env: &TestEnv| (offsets(env, GROUP), env.settled_watermarks("analytics-state"), env.groups(&env.prefix));
    let before = observed_state(env);
    let plan = |args: &str| env.document(args)["plan"].as_array().expect("rows").clone();
    let row = |plan: &[Value], topic: &str, partition: i64| {
        let topic = env.topic(topic);
        plan.iter().find(|row| row["topic"] == topic.as_str() && row["partition"] == partition).expect("a row").clone()
    };
    let low = plan("replay --dry-run --to-offset 10");
    assert_eq!(row(&low, "order-events", 0)["to"], 20);
    assert_eq!(row(&low, "order-events", 0)["note"]["raised"]["asked"], 10);
    assert_eq!(row(&low, "order-events", 1)["to"], 10);
    assert!(row(&low, "order-events", 1)["note"].is_null());
    let high = row(&plan("replay --dry-run --to-offset 99999999"), "order-events", 1);
    assert_eq!(high["to"], high["from"]);
    assert_eq!(high["note"]["lowered"]["asked"], 99_999_999);
    let text = env.run("replay --dry-run --to-offset 10").expect(0).stdout;
    assert!(text.contains("raised from 10, below the log start"), "{text}");
    let text = env.run("replay --dry-run --to-offset 99999999").expect(0).stdout;
    assert!(text.contains("lowered from 99999999"), "{text}");
    assert_eq!(observed_state(env), before, "a dry run changes nothing");

    let document = env.document("replay --to-offset 100 --initial-file first.txt --after-file second.txt");
    assert_eq!(document["verdict"], "identical");
    assert_eq!(row(document["plan"].as_array().expect("rows"), "order-events", 2)["to"], 100);
    assert!(document["records"].as_u64().expect("a count") < records(env) as u64, "only the records after the target");
    let [first, second] =
        ["first.txt", "second.txt"].map(|name| std::fs::read_to_string(env.dir().join(name)).expect("written"));
    assert_eq!(first, second);
    assert!(first.contains("Total Orders") && first.contains("Orders by Minute"), "{first}");
    assert_eq!(offsets(env, GROUP), before.0);
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("replay")["before"], document["before"], "the state is complete afterwards");

    let nowhere = env.other("nowhere");
    let refused = nowhere.run("replay --dry-run").expect(7);
    assert!(refused.stderr.contains(&env.prefix), "the prefixes that exist are named: {}", refused.stderr);
    let bare = env.other("bare");
    bare.run("produce --count 10 --partitions 2").expect(0);
    bare.run("replay --dry-run").expect(0);
    bare.run("replay --shadow").expect(3);
    bare.run("analytics --from-beginning --no-commit").expect(0);
    assert_eq!(bare.topics().len(), 1, "no topic was made");
}

fn first_pass(env: &TestEnv) {
    produce_and_decide(env, 500);
    let document = env.document("replay");
    assert_eq!((&document["verdict"], &document["note"]), (&Value::from("identical"), &Value::from("first_pass")));
    assert_offsets_match_positions(env, GROUP);
    assert!(env.document("replay")["note"].is_null(), "only the first time");

    // A killed first pass leaves keys of an epoch without a position; they are ignored.
    let (group, other) = (env.topic(GROUP), env.topic("other"));
    let left: Vec<(i32, Vec<u8>, Vec<u8>)> = live_keys(env)
        .into_iter()
        .filter(|((_, key), _)| !key.starts_with(b"[\"@position\""))
        .map(|((partition, key), value)| {
            (partition, String::from_utf8_lossy(&key).replace(&group, &other).into_bytes(), value)
        })
        .collect();
    let left: Vec<_> =
        left.iter().map(|(partition, key, value)| (*partition, Some(key.as_slice()), Some(value.as_slice()))).collect();
    env.put("analytics-state", &left);
    let document = env.document("replay --group other");
    assert_eq!((&document["verdict"], &document["note"]), (&Value::from("identical"), &Value::from("first_pass")));
    assert!(epochs(env, "other").values().all(|epochs| epochs.len() <= 2), "leftover keys are deleted");
}

fn old_epochs(env: &TestEnv) {
    run_pipeline(env, 500);
    for _ in 0..3 {
        env.run("replay").expect(0);
    }
    let epochs = epochs(env, GROUP);
    assert_eq!(epochs.len(), 6, "{epochs:?}");
    for (place, epochs) in epochs {
        assert!(epochs.len() <= 2, "{place:?}: {epochs:?}");
    }
    for (place, position) in positions(env, GROUP) {
        assert!(position["until"].is_null() && position["previous"].is_object(), "{place:?}: {position}");
    }
}
