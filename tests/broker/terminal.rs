//! Owns the cases about what others wrote: whatever a cluster's names hold, no stream of the program steers a terminal.

use std::path::Path;
use std::process::Stdio;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Case;
use super::groups::{counted, live_keys, until_members};
use super::hostile::{HOSTILE, assert_tame};
use super::joined::Joined;
use super::process::Running;
use super::support::{Lab, until};

pub const CASES: &[Case] = &[
    ("terminal::names_of_members_and_groups_steer_nothing", members_and_groups),
    ("terminal::names_in_records_steer_nothing", records),
];

/// Part of the hostile text as it is shown.
const SHOWN: &str = "]52;c;eHh4";

/// Runs a command; both of its streams are tame, and one of them tells of the name.
fn told(lab: &Lab, words: &[&str], code: i32) -> (String, String) {
    let mut command = lab.command("");
    command.args(words);
    let run = Running::start(command, &words.join(" ")).end().expect(code);
    assert_tame(&run.stdout, &format!("stdout of {words:?}"));
    assert_tame(&run.stderr, &format!("stderr of {words:?}"));
    (run.stdout, run.stderr)
}

fn assert_told(lab: &Lab, words: &[&str], code: i32) {
    let (stdout, stderr) = told(lab, words, code);
    assert!(stdout.contains(SHOWN) || stderr.contains(SHOWN), "{words:?}: {stdout}{stderr}");
}

/// A group that is called so, with an offset on the orders.
fn commit(lab: &Lab, group: &str) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&lab.topic("order-events"), 0, Offset::Offset(1)).expect("listed");
    lab.of_group("read_uncommitted", group).commit(&list, CommitMode::Sync).expect("committed");
}

fn members_and_groups(lab: &Lab) {
    counted(lab, 20);
    let group = format!("{}{HOSTILE}", lab.prefix);
    commit(lab, &group);
    assert_told(lab, &["lag", "--group", &group], 0);
    assert_told(lab, &["lag", "--group", &group, "--fail-if", ">0"], 3);
    assert_told(lab, &["lag", "--group", &group, "-v", "-X", "debug=all", "-X", &format!("client.id={HOSTILE}")], 0);
    assert_told(lab, &["lag", "--group", &group, "--group", "nosuch"], 0);
    assert_told(lab, &["lag", "--group", &format!("{HOSTILE} of nobody")], 0);
    assert_told(lab, &["clean", "--dry-run"], 0);
    let (json, _) = told(lab, &["lag", "--group", &group, "--output", "json", "--report", "report.json"], 0);
    let document: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document["group"], group.as_str(), "a document says it as it is");
    assert_tame(&std::fs::read_to_string(lab.folder().join("report.json")).expect("read"), "the report");
    let watched = lab.folder().join("watched");
    let mut watch = lab.command("lag --watch 100ms --csv lag.csv");
    watch.args(["--group", &group]).stdout(std::fs::File::create(&watched).expect("a file"));
    let mut watch = watch.stderr(Stdio::null()).spawn().expect("started");
    let read = |path: &Path| std::fs::read_to_string(path).expect("read");
    until("three looks", || (read(&watched).lines().count() >= 3).then_some(()));
    let pid = Pid::from_raw(i32::try_from(watch.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("signalled");
    assert!(watch.wait().expect("ended").success());
    for file in [watched, lab.folder().join("lag.csv")] {
        let text = read(&file);
        assert_tame(&text, "a watch");
        assert!(text.contains(SHOWN), "{text}");
    }

    // The program's own group, with a stranger in it.
    let member = Joined::member(
        lab,
        &lab.topic("analytics-consumer-group"),
        &lab.topic("order-events"),
        &[("client.id", HOSTILE)],
    );
    until_members(lab, "analytics-consumer-group", 1);
    assert_told(lab, &["clean", "--yes"], 7);
    assert_told(lab, &["clean", "--dry-run"], 0);
    assert_told(lab, &["analytics", "--from-beginning"], 0);
    assert_told(lab, &["replay"], 7);
    assert_told(lab, &["replay", "--undo"], 7);
    assert_told(lab, &["lag", "--group", &lab.topic("analytics-consumer-group"), "--output", "json"], 0);
    drop(member);
    until_members(lab, "analytics-consumer-group", 0);
    assert_told(lab, &["clean", "--yes"], 0);
}

fn records(lab: &Lab) {
    counted(lab, 20);
    // Who wrote the topics says whose ledger and whose state it is, and what the restaurants are called.
    let order = format!(
        r#"{{"event_type":"OrderPlaced","order_id":{id},"user_id":"u","restaurant_id":{id},"items":[{{"item_id":{id},"quantity":1,"price":1.0}}],"total_amount":1.0,"status":"placed","timestamp":"2026-11-29T10:00:00.000Z"}}"#,
        id = serde_json::to_string(HOSTILE).expect("JSON"),
    );
    lab.put("order-events", &[(0, None, Some(order.as_bytes())), (0, None, Some(HOSTILE.as_bytes()))]);
    told(lab, &["inventory", "--until-end", "-v"], 0);
    assert_told(lab, &["analytics", "--until-end", "-v"], 0);
    assert_told(lab, &["analytics", "--until-end", "--output", "json"], 0);
    assert_told(lab, &["replay"], 0);
    assert_tame(&std::fs::read_to_string(lab.folder().join("metrics_output.txt")).expect("read"), "the metrics");

    let text = serde_json::to_string(HOSTILE).expect("JSON");
    for record in lab.read("inventory-ledger") {
        let key: Value = serde_json::from_slice(record.key.as_deref().expect("a key")).expect("a JSON key");
        let Some(value) = record.value else { continue };
        let mut value: Value = serde_json::from_slice(&value).expect("JSON");
        if value.get("group").is_some() {
            value["group"] = Value::from(HOSTILE);
            lab.put(
                "inventory-ledger",
                &[(record.partition, Some(key.to_string().as_bytes()), Some(value.to_string().as_bytes()))],
            );
        }
    }
    assert_told(lab, &["inventory", "--until-end"], 7);

    let keys = live_keys(lab);
    let ((partition, key), _) = keys.iter().next_back().expect("a key");
    let mut parts: Vec<Value> = serde_json::from_slice(key).expect("a JSON key");
    let last = parts.len() - 1;
    parts[last] = Value::from(HOSTILE);
    let key = Value::from(parts).to_string();
    lab.put("analytics-state", &[(*partition, Some(key.as_bytes()), Some(text.as_bytes()))]);
    let (_, stderr) = told(lab, &["analytics", "--until-end"], 7);
    assert!(!stderr.is_empty());
    told(lab, &["analytics", "--from-beginning"], 7);
    told(lab, &["replay"], 7);
}
