//! Hostile names on the cluster: no output of the program contains their control characters.

use std::path::Path;
use std::process::Stdio;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Case;
use super::group_member::GroupMember;
use super::groups::{live_keys, run_pipeline, until_members};
use super::hostile::{HOSTILE, assert_printable};
use super::process::Running;
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("terminal::member_and_group_names_are_escaped", members_and_groups),
    ("terminal::names_in_records_are_escaped", records),
];

/// The part of the hostile text that remains visible.
const SHOWN: &str = "]52;c;eHh4";

/// Runs a command and requires that both streams contain no control characters.
fn run_printable(env: &TestEnv, args: &[&str], code: i32) -> (String, String) {
    let mut command = env.command("");
    command.args(args);
    let run = Running::start(command, &args.join(" ")).end().expect(code);
    assert_printable(&run.stdout, &format!("stdout of {args:?}"));
    assert_printable(&run.stderr, &format!("stderr of {args:?}"));
    (run.stdout, run.stderr)
}

fn assert_escaped(env: &TestEnv, args: &[&str], code: i32) {
    let (stdout, stderr) = run_printable(env, args, code);
    assert!(stdout.contains(SHOWN) || stderr.contains(SHOWN), "{args:?}: {stdout}{stderr}");
}

/// Commits an offset on the orders for a group with this name.
fn commit(env: &TestEnv, group: &str) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&env.topic("order-events"), 0, Offset::Offset(1)).expect("listed");
    env.group_consumer("read_uncommitted", group).commit(&list, CommitMode::Sync).expect("committed");
}

fn members_and_groups(env: &TestEnv) {
    run_pipeline(env, 20);
    let group = format!("{}{HOSTILE}", env.prefix);
    commit(env, &group);
    assert_escaped(env, &["lag", "--group", &group], 0);
    assert_escaped(env, &["lag", "--group", &group, "--fail-if", ">0"], 3);
    assert_escaped(env, &["lag", "--group", &group, "-v", "-X", "debug=all", "-X", &format!("client.id={HOSTILE}")], 0);
    assert_escaped(env, &["lag", "--group", &group, "--group", "nosuch"], 0);
    assert_escaped(env, &["lag", "--group", &format!("{HOSTILE} missing")], 0);
    assert_escaped(env, &["clean", "--dry-run"], 0);
    let (json, _) = run_printable(env, &["lag", "--group", &group, "--output", "json", "--report", "report.json"], 0);
    let document: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document["group"], group.as_str(), "a document contains the name unchanged");
    assert_printable(&std::fs::read_to_string(env.dir().join("report.json")).expect("read"), "the report");
    let watched = env.dir().join("watched");
    let mut watch = env.command("lag --watch 100ms --csv lag.csv");
    watch.args(["--group", &group]).stdout(std::fs::File::create(&watched).expect("a file"));
    let mut watch = watch.stderr(Stdio::null()).spawn().expect("started");
    let read = |path: &Path| std::fs::read_to_string(path).expect("read");
    until("three samples are printed", || (read(&watched).lines().count() >= 3).then_some(()));
    let pid = Pid::from_raw(i32::try_from(watch.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("signalled");
    assert!(watch.wait().expect("ended").success());
    for file in [watched, env.dir().join("lag.csv")] {
        let text = read(&file);
        assert_printable(&text, "a watch");
        assert!(text.contains(SHOWN), "{text}");
    }

    // The program's own group with a foreign member.
    let member = GroupMember::member(
        env,
        &env.topic("analytics-consumer-group"),
        &env.topic("order-events"),
        &[("client.id", HOSTILE)],
    );
    until_members(env, "analytics-consumer-group", 1);
    assert_escaped(env, &["clean", "--yes"], 7);
    assert_escaped(env, &["clean", "--dry-run"], 0);
    assert_escaped(env, &["analytics", "--from-beginning"], 0);
    assert_escaped(env, &["replay"], 7);
    assert_escaped(env, &["replay", "--undo"], 7);
    assert_escaped(env, &["lag", "--group", &env.topic("analytics-consumer-group"), "--output", "json"], 0);
    drop(member);
    until_members(env, "analytics-consumer-group", 0);
    assert_escaped(env, &["clean", "--yes"], 0);
}

fn records(env: &TestEnv) {
    run_pipeline(env, 20);
    // Writers of the topics choose the group names in ledger and state, and the names of restaurants.
    let order = format!(
        r#"{{"event_type":"OrderPlaced","order_id":{id},"user_id":"u","restaurant_id":{id},"items":[{{"item_id":{id},"quantity":1,"price":1.0}}],"total_amount":1.0,"status":"placed","timestamp":"2026-11-29T10:00:00.000Z"}}"#,
        id = serde_json::to_string(HOSTILE).expect("JSON"),
    );
    env.put("order-events", &[(0, None, Some(order.as_bytes())), (0, None, Some(HOSTILE.as_bytes()))]);
    run_printable(env, &["inventory", "--until-end", "-v"], 0);
    assert_escaped(env, &["analytics", "--until-end", "-v", "--full"], 0);
    assert_escaped(env, &["analytics", "--until-end", "--output", "json"], 0);
    assert_escaped(env, &["replay", "--full"], 0);
    run_printable(env, &["replay"], 0);
    assert_printable(&std::fs::read_to_string(env.dir().join("metrics_output.txt")).expect("read"), "the metrics");

    let text = serde_json::to_string(HOSTILE).expect("JSON");
    for record in env.read("inventory-ledger") {
        let key: Value = serde_json::from_slice(record.key.as_deref().expect("a key")).expect("a JSON key");
        let Some(value) = record.value else { continue };
        let mut value: Value = serde_json::from_slice(&value).expect("JSON");
        if value.get("group").is_some() {
            value["group"] = Value::from(HOSTILE);
            env.put(
                "inventory-ledger",
                &[(record.partition, Some(key.to_string().as_bytes()), Some(value.to_string().as_bytes()))],
            );
        }
    }
    assert_escaped(env, &["inventory", "--until-end"], 7);

    let keys = live_keys(env);
    let ((partition, key), _) = keys.iter().next_back().expect("a key");
    let mut parts: Vec<Value> = serde_json::from_slice(key).expect("a JSON key");
    let last = parts.len() - 1;
    parts[last] = Value::from(HOSTILE);
    let key = Value::from(parts).to_string();
    env.put("analytics-state", &[(*partition, Some(key.as_bytes()), Some(text.as_bytes()))]);
    let (_, stderr) = run_printable(env, &["analytics", "--until-end"], 7);
    assert!(!stderr.is_empty());
    run_printable(env, &["analytics", "--from-beginning"], 7);
    run_printable(env, &["replay"], 7);
}
