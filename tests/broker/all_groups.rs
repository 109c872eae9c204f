//! `lag --all-groups`: hundreds of groups, groups that appear during a watch, conditions, and selected topics.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};

use super::Case;
use super::group_member::GroupMember;
use super::raw::Client;
use super::support::TestEnv;
use super::unusual_groups::{commit_at, delete};

pub const CASES: &[Case] = &[
    ("all_groups::hundreds_are_sampled_together", hundreds),
    ("all_groups::conditions_apply_to_each_group", conditions),
    ("all_groups::a_group_has_only_its_own_of_several_topics", several_topics),
    ("all_groups::a_watch_finds_new_groups", new_groups),
];

fn fill(env: &TestEnv, topic: &str, records: usize) {
    env.create_topic(topic, 1, &[]);
    env.put(topic, &vec![(0, None, Some(b"x".as_slice())); records]);
}

fn names(document: &Value) -> Vec<&str> {
    let groups = document["groups"].as_array().expect("groups");
    groups.iter().map(|group| group["group"].as_str().expect("a name")).collect()
}

/// More groups than one set of requests has, at five positions of one partition.
fn hundreds(env: &TestEnv) {
    fill(env, "wide", 50);
    let topic = env.topic("wide");
    let groups: Vec<String> = (0..250).map(|number| env.topic(&format!("reader-{number:03}"))).collect();
    let mut client = Client::connect(&env.broker);
    for (number, group) in (0..).zip(&groups) {
        // Every tenth group lags.
        commit_at(&mut client, group, &topic, if number % 10 == 0 { number / 50 } else { 50 });
    }
    let args = format!("lag --all-groups --topic {topic}");
    let document = env.document(&args);
    let text = env.run(&args).expect(0).stdout;
    let full = env.run(&format!("{args} --full")).expect(0).stdout;
    let everything = env.document("lag --all-groups");
    let run = env.run(&format!("{args} --html lag.html --csv lag.csv --quiet")).expect(0);
    delete(&mut client, &groups);

    assert_eq!(names(&document), groups.iter().map(String::as_str).collect::<Vec<_>>(), "sorted by name");
    for (number, group) in (0..).zip(document["groups"].as_array().expect("groups")) {
        let lag = if number % 10 == 0 { 50 - number / 50 } else { 0 };
        assert_eq!((&group["messages"], &group["partitions"][0]["end"]), (&json!(lag), &json!(50)), "{group}");
        assert!(group["seconds"].is_f64(), "the next record was read for each position: {group}");
    }
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 25 + 2, "{text}");
    assert!(lines[1].contains("reader-000  Empty        0   50  "), "{text}");
    assert!(lines[25].contains("reader-240  Empty        0   46  "), "{text}");
    assert_eq!(lines[26], "  and 225 more groups without lag; --full shows them");
    assert!(lines[27].starts_with("250 groups: 1,200 messages of lag in 25 groups, up to "), "{text}");
    assert_eq!(full.lines().filter(|line| line.starts_with("Group: ")).count(), 250);
    assert!(full.lines().last().is_some_and(|line| line.starts_with("250 groups: 1,200 messages")), "{full}");
    let all = names(&everything);
    assert!(groups.iter().all(|group| all.contains(&group.as_str())), "without a topic, all groups of the cluster");
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!(run.stderr, "");
    let csv = std::fs::read_to_string(env.dir().join("lag.csv")).expect("lag.csv");
    assert_eq!(csv.lines().count(), 251);
    let page = std::fs::read_to_string(env.dir().join("lag.html")).expect("lag.html");
    assert!(page.contains("--all-groups") && page.contains("reader-249"), "the page has all groups");
}

fn conditions(env: &TestEnv) {
    fill(env, "foreign", 20);
    fill(env, "unread", 1);
    let topic = env.topic("foreign");
    env.set_offsets("ahead", "foreign", &[(0, 20)]);
    env.set_offsets("behind", "foreign", &[(0, 5)]);
    let args = format!("lag --all-groups --topic {topic}");
    env.run(&format!("{args} --fail-if >15")).expect(0);
    let run = env.run(&format!("{args} --fail-if >14 --output json")).expect(3);
    assert!(run.stderr.contains(&format!("is met for {}", env.topic("behind"))), "{}", run.stderr);
    let fails: Vec<Value> =
        run.document()["groups"].as_array().expect("groups").iter().map(|group| group["fails"].clone()).collect();
    assert_eq!(fails, [json!(false), json!(true)]);
    // A group with members is part of it before its first commit.
    let member = GroupMember::member(env, &env.topic("new"), &topic, &[]);
    let run = env.run(&format!("{args} --fail-if >15")).expect(3);
    assert!(run.stderr.contains("it has no committed offset on 1 partition"), "{}", run.stderr);
    env.run(&format!("{args} --fail-if >15 --allow-missing")).expect(0);
    drop(member);
    // Nothing to check is not a success.
    let none = format!("lag --all-groups --topic {}", env.topic("unread"));
    let run = env.run(&none).expect(7);
    assert!(
        run.stderr.contains("has an offset or a member on these topics") && run.stdout.is_empty(),
        "{}",
        run.stderr
    );
    let run = env.run(&format!("{none} --fail-if >1")).expect(3);
    assert!(run.stderr.contains("--fail-if >1 cannot be evaluated"), "{}", run.stderr);
    let document = env.document(&format!("{none} --fail-if >1 --allow-missing"));
    assert_eq!(document["groups"], json!([]));
}

fn several_topics(env: &TestEnv) {
    fill(env, "left", 10);
    fill(env, "right", 10);
    for (group, topics) in [("both", &["left", "right"][..]), ("one", &["left"]), ("other", &["right"])] {
        for topic in topics {
            env.set_offsets(group, topic, &[(0, 8)]);
        }
    }
    let args = format!("lag --all-groups --topic {} --topic {}", env.topic("left"), env.topic("right"));
    let document = env.run(&format!("{args} --fail-if >4 --output json")).expect(0).document();
    assert_eq!(names(&document), [env.topic("both"), env.topic("one"), env.topic("other")]);
    for (group, (topics, messages)) in (0..).zip([(&["left", "right"][..], 4), (&["left"], 2), (&["right"], 2)]) {
        let group: &Value = &document["groups"][group];
        let partitions = group["partitions"].as_array().expect("partitions");
        let found: Vec<&str> = partitions.iter().map(|row| row["topic"].as_str().expect("a topic")).collect();
        let topics: Vec<String> = topics.iter().map(|topic| env.topic(topic)).collect();
        assert_eq!(found, topics, "{group}");
        assert_eq!((&group["messages"], &group["without_number"]), (&json!(messages), &json!(0)), "{group}");
    }
}

fn new_groups(env: &TestEnv) {
    fill(env, "foreign", 30);
    env.set_offsets("first", "foreign", &[(0, 30)]);
    let args = format!("lag --all-groups --topic {} --watch 50ms --fail-if >20", env.topic("foreign"));
    let mut watch = env.command(&format!("{args} --report lag.json")).stdout(Stdio::piped()).spawn().expect("started");
    let mut stdout = BufReader::new(watch.stdout.take().expect("piped"));
    let (mut first, mut rest) = (String::new(), String::new());
    stdout.read_line(&mut first).expect("a line");
    assert!(first.ends_with("Z 1 group: 0 messages of lag\n"), "{first}");
    env.set_offsets("a-second", "foreign", &[(0, 0)]);
    stdout.read_to_string(&mut rest).expect("lines");
    assert_eq!(watch.wait().expect("ended").code(), Some(3), "{rest}");
    let last: Vec<&str> = rest.lines().rev().take(2).collect();
    assert!(last[0].contains("Z 2 groups: 30 messages of lag in 1 group"), "{rest}");
    assert!(last[1].contains(&format!("{}: 30 messages", env.topic("a-second"))), "{rest}");
    let report = std::fs::read_to_string(env.dir().join("lag.json")).expect("lag.json");
    let document: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(names(&document), [env.topic("a-second"), env.topic("first")], "by name, not by their first sample");
    let samples = |index: usize| document["groups"][index]["samples"].as_array().map_or(0, Vec::len);
    assert!(samples(0) == 1 && samples(1) > 1, "{document}");
}
