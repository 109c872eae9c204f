//! Replays that find differences: each cause with its numbers, and how to continue.

use serde_json::Value;

use super::Case;
use super::groups::{
    GROUP, SOURCES, assert_offsets_match_positions, live_keys, offsets, produce_and_decide, run_pipeline, set_offsets,
};
use super::support::{StoredRecord, TestEnv};
use super::topic_copy::copy_topics;

pub const CASES: &[Case] = &[
    ("replay::deleted_records_are_reported_and_undone", records_gone),
    ("replay::detects_one_changed_record", one_changed_record),
    ("replay::lost_moved_and_foreign_offsets", offsets_of_others),
    ("replay::empty_replay_proves_nothing", nothing),
];

fn causes(document: &Value) -> Vec<&str> {
    document["causes"]
        .as_array()
        .expect("causes")
        .iter()
        .map(|cause| cause["cause"].as_str().expect("a word"))
        .collect()
}

fn without_prefix(env: &TestEnv, document: &Value) -> String {
    document.to_string().replace(&env.prefix, "")
}

fn records_gone(env: &TestEnv) {
    run_pipeline(env, 1_500);
    let (offsets_before, before) = (offsets(env, GROUP), env.document("analytics --until-end"));
    env.delete_records("order-events", 1, 50);
    let run = env.run("replay --output json").expect(3);
    let document = run.document();
    assert_eq!((&document["verdict"], &document["before"]), (&Value::from("different"), &before));
    assert_eq!(causes(&document), ["records_gone"]);
    let cause = &document["causes"][0];
    assert_eq!((&cause["topic"], &cause["partition"]), (&Value::from(env.topic("order-events")), &Value::from(1)));
    assert_eq!((&cause["log_start_before"], &cause["log_start_after"]), (&Value::from(0), &Value::from(50)));
    let counted = |field: &str| cause[field].as_u64().expect("a count");
    assert_eq!(counted("records_before"), counted("records_after") + 50);
    let lost = before["total_orders"].as_u64().expect("a count")
        - document["after"]["total_orders"].as_u64().expect("a count");
    assert_eq!(lost, 50);
    let named =
        |metric: &str| document["differences"].as_array().expect("rows").iter().any(|found| found["metric"] == metric);
    assert!(named("total_orders"));
    assert_eq!(offsets(env, GROUP), offsets_before);
    assert_offsets_match_positions(env, GROUP);

    assert_eq!(env.document("replay --undo"), before, "although the records are deleted");
    assert_eq!(offsets(env, GROUP), offsets_before);
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("analytics --until-end"), before);

    // All records are deleted, beyond the offset of the group, which stays where it is.
    env.run("produce --count 300 --seed 9").expect(0);
    for (partition, (_, end)) in (0..).zip(env.watermarks("order-events")) {
        env.delete_records("order-events", partition, end);
    }
    let document = env.run("replay --output json").expect(3).document();
    assert_eq!(causes(&document), ["records_gone"; 3]);
    assert_eq!(document["before"], before);
    assert_eq!(offsets(env, GROUP), offsets_before);
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("replay --undo"), before);
    assert_offsets_match_positions(env, GROUP);
}

fn one_changed_record(env: &TestEnv) {
    run_pipeline(env, 400);
    let good = env.document("replay");
    let replayed = |name: &str, code: i32, change: &mut dyn FnMut(&str, &mut StoredRecord)| {
        let other = env.other(name);
        copy_topics(env, &other, change);
        let run = other.run("replay --output json").expect(code);
        let document = run.document();
        assert_eq!(without_prefix(&other, &document["before"]), without_prefix(env, &good["before"]), "{name}");
        assert_offsets_match_positions(&other, GROUP);
        (other, document)
    };
    // An unchanged copy is identical, which also shows that no metric uses record timestamps.
    let (_, document) = replayed("same", 0, &mut |_, _| {});
    assert_eq!(document["verdict"], "identical");

    let alter = |record: &mut StoredRecord, from: &str, to: &str| {
        let text = String::from_utf8(record.value.take().expect("a value")).expect("text");
        let changed = text.contains(from);
        record.value = Some(text.replacen(from, to, 1).into_bytes());
        changed
    };
    let mut changes = 0;
    let (other, document) = replayed("digit", 3, &mut |topic, record| {
        let reserves = record.json()["action"] == "reserve" && record.json()["quantity"] == 1;
        if topic == SOURCES[1] && record.partition == 1 && changes == 0 && reserves {
            changes += usize::from(alter(record, "\"quantity\":1,", "\"quantity\":2,"));
        }
    });
    assert_eq!(changes, 1, "one record was altered");
    assert_eq!(causes(&document), ["records_changed"]);
    let cause = &document["causes"][0];
    assert_eq!((&cause["topic"], &cause["partition"]), (&Value::from(other.topic(SOURCES[1])), &Value::from(1)));
    assert_ne!(cause["digest_before"], cause["digest_after"]);
    let metrics: Vec<&str> = document["differences"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|found| found["metric"].as_str().expect("a path"))
        .collect();
    assert!(metrics.contains(&"inventory.reserved_revenue"), "{metrics:?}");
    let text = other.run("replay --undo").expect(0);
    let last = text.stdout.lines().last().expect("a line");
    assert!(last.starts_with("Restored: offsets and state of "), "{last}");

    let mut changes = 0;
    let (_, document) = replayed("unknown", 3, &mut |topic, record| {
        if topic == SOURCES[0] && record.partition == 2 && changes == 0 {
            changes += usize::from(alter(record, "{", "{\"note\":1,"));
        }
    });
    assert_eq!(changes, 1, "one record was altered");
    assert_eq!(causes(&document), ["records_changed"], "although no metric changes");
    assert_eq!(document["differences"].as_array().expect("rows").len(), 1, "only the digest differs");
}

fn offsets_of_others(env: &TestEnv) {
    run_pipeline(env, 600);
    let metrics = env.document("analytics --until-end");
    let offsets_before = offsets(env, GROUP);

    // Offsets moved by another client.
    env.set_offsets(GROUP, "order-events", &[(0, 7)]);
    let refused = env.run("analytics --until-end").expect(7);
    let end = offsets_before[0][0].expect("an offset");
    assert!(refused.stderr.contains("(7)") && refused.stderr.contains(&format!("({end})")), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume-from-state"), "{}", refused.stderr);
    let state = live_keys(env);
    let different = env.run("replay --output json").expect(3).document();
    assert_eq!(causes(&different), ["state_foreign"]);
    assert_eq!(
        (&different["causes"][0]["position"], &different["causes"][0]["committed"]),
        (&Value::from(end), &Value::from(7))
    );
    assert_eq!(live_keys(env), state, "a group with foreign offsets is not rewound");
    assert_eq!(env.document("analytics --until-end --resume-from-state"), metrics);
    assert_eq!(offsets(env, GROUP), offsets_before);

    // Offsets deleted.
    env.delete_group(GROUP);
    let lost = env.run("replay --output json").expect(3).document();
    assert!(causes(&lost).contains(&"offsets_lost"), "{lost}");
    assert_eq!(lost["before"], metrics);
    assert_eq!(env.document("analytics --until-end --resume-from-state"), metrics);
    assert_eq!(env.document("replay")["verdict"], "identical");

    // Offsets of another program.
    set_offsets(env, "foreign", &offsets_before);
    for args in ["replay", "replay --dry-run", "replay --shadow", "analytics --from-beginning", "analytics --until-end"]
    {
        let refused = env.run(&format!("{args} --group foreign")).expect(7);
        assert!(refused.stderr.contains("foreign") || refused.stderr.contains("differ"), "{}", refused.stderr);
    }
    assert_eq!(offsets(env, "foreign"), offsets_before);
}

fn nothing(env: &TestEnv) {
    env.create_topic("order-events", 3, &[]);
    let document = env.run("replay --output json").expect(3).document();
    assert_eq!(causes(&document), ["nothing_read"]);
    assert_eq!(document["records"], 0);
    let none = env.other("none");
    for args in ["replay", "replay --undo", "replay --shadow", "analytics --from-beginning"] {
        let refused = none.run(args).expect(7);
        assert!(refused.stderr.contains(&format!("--prefix {}", env.prefix)), "{args}: {}", refused.stderr);
    }
    produce_and_decide(&none, 50);
    let refused = none.run("replay --undo").expect(7);
    assert!(refused.stderr.contains("no replay to undo"), "{}", refused.stderr);
    // A rewind to the end reads nothing.
    none.run("analytics --until-end").expect(0);
    assert_eq!(causes(&none.run("replay --to-offset 99999 --output json").expect(3).document()), ["nothing_read"]);
    assert_offsets_match_positions(&none, GROUP);
}
