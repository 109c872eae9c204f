//! `produce`: reproducible records, Java's partitioning, and a document that matches the topic.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Case;
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[
    ("produce::same_seed_gives_same_topic_at_any_rate", same_topic),
    ("produce::document_matches_topic", document_matches),
    ("produce::refused_records_fail_the_run", refused),
    ("produce::a_prefix_without_a_separator_is_a_warning", prefix_without_separator),
];

/// Cases that need Kafka's own tools.
pub const KAFKA_CASES: &[Case] = &[("produce::partitions_keys_like_the_java_producer", java_partitions)];

/// Everything except the record timestamp, which is the wall clock.
fn without_timestamps(records: &[StoredRecord]) -> Vec<StoredRecord> {
    records.iter().map(|record| StoredRecord { timestamp: 0, ..record.clone() }).collect()
}

fn same_topic(env: &TestEnv) {
    let flags = "produce --count 600 --seed 9 --start-time 2026-11-22T12:00:00Z --partitions 5 --poison-rate 4% \
                 --duplicate-rate 4% --restaurants 9";
    let (again, paced) = (env.other("again"), env.other("paced"));
    env.run(flags).expect(0);
    again.run(flags).expect(0);
    paced.run(&format!("{flags} --rate 1500/s")).expect(0);
    let topic = env.read("order-events");
    assert_eq!(topic.len(), 600);
    assert_eq!(without_timestamps(&topic), without_timestamps(&again.read("order-events")));
    assert_eq!(
        without_timestamps(&topic),
        without_timestamps(&paced.read("order-events")),
        "the rate changes times only"
    );
    let other = env.other("seed");
    other.run(&flags.replace("--seed 9", "--seed 10")).expect(0);
    assert_ne!(without_timestamps(&topic), without_timestamps(&other.read("order-events")));
}

fn java_partitions(env: &TestEnv) {
    env.run("produce --count 2000 --seed 5 --restaurants 40 --partitions 7").expect(0);
    let mut ours: BTreeMap<String, i32> = BTreeMap::new();
    for record in env.read("order-events") {
        let key = String::from_utf8(record.key.expect("a key")).expect("text");
        assert_eq!(*ours.entry(key).or_insert(record.partition), record.partition, "a key has one partition");
    }
    assert!(ours.len() >= 30, "{} keys", ours.len());
    env.create_topic("java", 7, &[]);
    let mut tool = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka"))
        .args(["tool", "kafka-console-producer", "--bootstrap-server", &env.broker, "--topic", &env.topic("java")])
        .args(["--property", "parse.key=true", "--property", "key.separator=:"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = tool.stdin.take().expect("piped");
    for key in ours.keys() {
        writeln!(lines, "{key}:x").expect("written");
    }
    drop(lines);
    assert!(tool.wait().expect("waited for").success());
    let theirs: BTreeMap<String, i32> = env
        .read("java")
        .into_iter()
        .map(|record| (String::from_utf8(record.key.expect("a key")).expect("text"), record.partition))
        .collect();
    assert_eq!(ours, theirs);
}

/// By partition: number of records, first and last offset.
fn offsets_by_partition(document: &Value) -> BTreeMap<i64, (i64, i64, i64)> {
    let rows = document["partitions"].as_array().expect("partitions");
    let number = |row: &Value, name: &str| row[name].as_i64().expect("a number");
    rows.iter()
        .map(|row| {
            (
                number(row, "partition"),
                (number(row, "records"), number(row, "first_offset"), number(row, "last_offset")),
            )
        })
        .collect()
}

fn document_matches(env: &TestEnv) {
    let mut before = vec![0; 6];
    // In the second run the topic is not empty: offsets are the topic's, not counts from zero.
    for run in ["produce --count 1000 --seed 1", "produce --count 700 --seed 2 --report produced.json"] {
        let document = env.document(run);
        let after: Vec<i64> = env.watermarks("order-events").iter().map(|(_, end)| *end).collect();
        let expected: BTreeMap<i64, (i64, i64, i64)> = (0..)
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| after > before)
            .map(|(partition, (before, after))| (partition, (after - before, *before, after - 1)))
            .collect();
        assert_eq!(offsets_by_partition(&document), expected);
        assert_eq!(document["produced"], document["acknowledged"]);
        assert_eq!(document["failed"], 0);
        before = after;
        if run.contains("--report") {
            let report = std::fs::read_to_string(env.dir().join("produced.json")).expect("a report");
            assert_eq!(serde_json::from_str::<Value>(&report).expect("JSON"), document);
        }
    }
    let times: Vec<String> = env
        .read("order-events")
        .iter()
        .skip(1_000)
        .map(|record| record.json()["timestamp"].as_str().expect("a time").to_owned())
        .collect();
    let document = env.document("produce --count 50 --shape flat --start-time 2026-01-01T00:00:00Z --seed 3");
    assert_eq!(document["first_timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(document["last_timestamp"], "2026-01-01T00:00:11.760Z", "49 orders later at 250 per minute");
    assert!(times.iter().all(|time| time.len() == 24), "{times:?}");

    let paced = env.document("produce --rate 400/s --duration 500ms");
    assert_eq!(paced["acknowledged"], 200, "the orders that are due within the duration");
    let millis = |name: &str| paced[name].as_f64().unwrap_or_else(|| panic!("{name}: {paced}"));
    assert!(millis("late_p99_ms") >= 0.0 && millis("late_max_ms") >= millis("late_p99_ms"), "{paced}");
    assert!(millis("elapsed_seconds") >= 0.49, "{paced}");
    let brief = env.document("produce --duration 200ms");
    assert!(brief["acknowledged"].as_u64() > Some(0) && brief["elapsed_seconds"].as_f64() >= Some(0.2), "{brief}");
    assert!(brief.get("late_p99_ms").is_none(), "no lateness without a rate: {brief}");
}

/// Only the command that creates the topics warns.
fn prefix_without_separator(env: &TestEnv) {
    let joined = env.named(&format!("{}lab1", env.prefix));
    let warned =
        |env: &TestEnv| env.run("produce --count 10 --seed 1").expect(0).stderr.contains("without a separator");
    assert_eq!([warned(&joined), warned(&joined), warned(env)], [true, false, false]);
}

fn refused(env: &TestEnv) {
    env.create_topic("order-events", 2, &[("max.message.bytes", "100")]);
    let run = env.run("produce --count 50 --seed 1 --output json");
    assert_eq!(run.code(), 7, "{}", run.stderr);
    assert_eq!(run.document()["acknowledged"], 0);
    assert_eq!(run.document()["failed"], run.document()["produced"]);
    // The first record of a partition is sent alone: after its error no more are sent.
    let produced = run.document()["produced"].as_u64().expect("a number");
    assert!((1..=50).contains(&produced), "{produced}");
    assert!(run.stderr.contains("records were not acknowledged"), "{}", run.stderr);
    assert!(run.stderr.contains("max.message.bytes"), "the hint names the setting: {}", run.stderr);
    assert_eq!(env.watermarks("order-events"), [(0, 0), (0, 0)]);
}
