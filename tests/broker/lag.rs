//! `lag`: every kind of group, message and time lag, conditions, and that it changes nothing.

#![allow(clippy::disallowed_methods, reason = "measures the age of records and the time of a query")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Case;
use super::group_member::GroupMember;
use super::support::{NewRecord, STEP_TIMEOUT, TestEnv, until};

pub const CASES: &[Case] = &[
    ("lag::reports_every_kind_of_group", group_kinds),
    ("lag::does_not_wait_for_open_transactions", open_transaction),
    ("lag::seconds_are_the_age_of_the_next_readable_record", seconds),
    ("lag::rises_under_throttle_and_returns_to_zero", throttled),
    ("lag::failed_conditions_exit_3_with_whole_files", conditions),
    ("lag::refused_without_groups_and_creates_nothing", without_groups),
    ("lag::many_partitions_take_one_quick_query", many_partitions),
];

/// Cases that need Kafka's own tools.
pub const KAFKA_CASES: &[Case] = &[("lag::agrees_with_kafka_consumer_groups", same_as_kafka)];

fn now_millis() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("in range")
}

fn member(env: &TestEnv, group: &str, topic: &str, settings: &[(&str, &str)]) -> GroupMember {
    GroupMember::member(env, &env.topic(group), &env.topic(topic), settings)
}

fn transactional(env: &TestEnv, id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &env.broker)
        .set("transactional.id", env.topic(id))
        .set("transaction.timeout.ms", "60000")
        .create()
        .expect("a producer");
    producer.init_transactions(STEP_TIMEOUT).expect("ready");
    producer
}

/// Writes a record with a timestamp to partition 0.
fn write(producer: &BaseProducer, topic: &str, millis: i64) {
    let record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(topic).partition(0).payload(b"x".as_slice()).timestamp(millis);
    producer.send(record).map_err(|(error, _)| error).expect("sent");
    producer.flush(STEP_TIMEOUT).expect("flushed");
}

/// Writes a record to partition 0, with a timestamp that is `ahead` milliseconds from now.
pub fn write_at(env: &TestEnv, topic: &str, ahead: i64) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &env.broker).create().expect("a producer");
    write(&producer, &env.topic(topic), now_millis() + ahead);
}

/// Leaves a transaction open with a record and a pending offset of the group on partition 0.
fn open_transaction_of(env: &TestEnv, group: &str, topic: &str, offset: i64) -> BaseProducer {
    let producer = transactional(env, &format!("{group}-writer"));
    producer.begin_transaction().expect("begun");
    let name = env.topic(topic);
    write(&producer, &name, now_millis());
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&name, 0, Offset::Offset(offset)).expect("listed");
    let metadata = env.group_consumer("read_committed", &env.topic(group)).group_metadata().expect("metadata");
    producer.send_offsets_to_transaction(&offsets, &metadata, STEP_TIMEOUT).expect("sent");
    producer
}

fn plain(env: &TestEnv, topic: &str, partition: i32, count: usize) {
    env.put(topic, &vec![(partition, None, Some(b"x".as_slice())); count]);
}

/// Groups of every kind, with the clients that keep them in their states.
struct Groups {
    clients: Vec<GroupMember>,
    /// A producer with an open transaction that never ends.
    _writer: BaseProducer,
    /// The groups with their states.
    states: BTreeMap<&'static str, &'static str>,
}

impl Groups {
    fn new(env: &TestEnv) -> Self {
        for topic in ["foreign", "held", "gone"] {
            env.create_topic(topic, 2, &[]);
            plain(env, topic, 0, 10);
        }
        plain(env, "foreign", 1, 5);
        env.run("produce --count 60 --seed 3 --partitions 2").expect(0);
        env.run("inventory --until-end").expect(0);
        env.run("analytics --until-end").expect(0);
        env.set_offsets("empty", "foreign", &[(0, 4), (1, 5)]);
        env.set_offsets("stable", "foreign", &[(0, 7)]);
        env.set_offsets("beyond", "foreign", &[(0, 13)]);
        env.set_offsets("below", "foreign", &[(0, 1), (1, 2)]);
        env.set_offsets("pending", "held", &[(0, 2)]);
        env.set_offsets("deleted", "foreign", &[(1, 3)]);
        env.set_offsets("deleted", "gone", &[(0, 3)]);
        env.delete_records("foreign", 0, 3);
        env.delete_topic("gone");
        let waiting = member(env, "rebalancing", "foreign", &[]);
        let second = GroupMember::start(env, &env.topic("rebalancing"), &env.topic("foreign"), &[]);
        let clients = vec![
            member(env, "never", "foreign", &[]),
            member(env, "stable", "foreign", &[]),
            member(env, "static", "foreign", &[("group.instance.id", "one")]),
            waiting,
            second,
        ];
        until("the group waits for the member that does not poll", || {
            drop(clients[4].poll(Duration::from_millis(10)));
            let list =
                clients[4].client().fetch_group_list(Some(&env.topic("rebalancing")), STEP_TIMEOUT).expect("the group");
            list.groups().iter().any(|group| group.state() == "PreparingRebalance").then_some(())
        });
        Self {
            clients,
            _writer: open_transaction_of(env, "pending", "held", 9),
            states: BTreeMap::from([
                ("empty", "Empty"),
                ("never", "Stable"),
                ("unknown", "Dead"),
                ("stable", "Stable"),
                ("static", "Stable"),
                ("rebalancing", "PreparingRebalance"),
                ("beyond", "Empty"),
                ("below", "Empty"),
                ("pending", "Empty"),
                ("deleted", "Empty"),
                ("inventory-consumer-group", "Empty"),
                ("analytics-consumer-group", "Empty"),
            ]),
        }
    }

    /// One document with all groups.
    fn document(&self, env: &TestEnv, flags: &str) -> Value {
        let names: Vec<String> = self.states.keys().map(|name| format!("--group {}", env.topic(name))).collect();
        env.document(&format!("lag {} {flags}", names.join(" ")))
    }
}

/// A group in a document, by its name without the prefix.
fn group<'a>(env: &TestEnv, document: &'a Value, name: &str) -> &'a Value {
    let found = document["groups"].as_array().expect("groups").iter().find(|group| group["group"] == env.topic(name));
    found.unwrap_or_else(|| panic!("{name} in {document}"))
}

/// A partition in a group's document.
fn row<'a>(env: &TestEnv, group: &'a Value, topic: &str, partition: i32) -> &'a Value {
    let rows = group["partitions"].as_array().expect("partitions");
    let found = rows.iter().find(|row| row["topic"] == env.topic(topic) && row["partition"] == partition);
    found.unwrap_or_else(|| panic!("{topic}/{partition} in {group}"))
}

fn group_kinds(env: &TestEnv) {
    let groups = Groups::new(env);
    let document = groups.document(env, "");
    for (name, state) in &groups.states {
        assert_eq!(group(env, &document, name)["state"], *state, "{name}");
    }
    // (committed, log start, end, messages, lost)
    let at = |name: &str, topic: &str, partition: i32| {
        let row = row(env, group(env, &document, name), topic, partition);
        ["committed", "log_start", "end", "messages", "lost"].map(|field| row[field].clone())
    };
    assert_eq!(at("empty", "foreign", 0), [json!(4), json!(3), json!(10), json!(6), json!(0)]);
    assert_eq!(at("empty", "foreign", 1), [json!(5), json!(0), json!(5), json!(0), json!(0)]);
    assert_eq!(at("stable", "foreign", 0), [json!(7), json!(3), json!(10), json!(3), json!(0)]);
    let none = Value::Null;
    assert_eq!(at("stable", "foreign", 1), [none.clone(), json!(0), json!(5), none.clone(), none.clone()]);
    assert_eq!(at("never", "foreign", 1), [none.clone(), json!(0), json!(5), none.clone(), none.clone()]);
    assert_eq!(at("beyond", "foreign", 0), [json!(13), json!(3), json!(10), none.clone(), json!(0)]);
    assert_eq!(at("below", "foreign", 0), [json!(1), json!(3), json!(10), json!(9), json!(2)]);
    assert_eq!(at("deleted", "foreign", 1), [json!(3), json!(0), json!(5), json!(2), json!(0)]);
    let beyond = |name, partition| row(env, group(env, &document, name), "foreign", partition)["beyond_end"].clone();
    assert_eq!((beyond("beyond", 0), beyond("empty", 0)), (json!(true), json!(false)));
    let deleted = group(env, &document, "deleted")["partitions"].as_array().expect("partitions");
    assert!(deleted.iter().all(|row| row["topic"] == env.topic("foreign")), "{deleted:?}");
    let pending = row(env, group(env, &document, "pending"), "held", 0);
    assert_eq!((&pending["committed"], &pending["messages"]), (&json!(2), &json!(8)), "up to the open transaction");
    assert_eq!((&pending["last_stable_offset"], &pending["high_watermark"]), (&json!(10), &json!(11)));
    for name in ["never", "stable", "static"] {
        let owner = &row(env, group(env, &document, name), "foreign", 0)["owner"];
        assert!(owner.is_string() && group(env, &document, name)["members"] == 1, "{name}: {owner}");
    }
    let member = row(env, group(env, &document, "static"), "foreign", 0);
    assert_eq!((&member["instance_id"], &member["client_id"]), (&json!("one"), &json!("rdkafka")), "{member}");
    let member = row(env, group(env, &document, "stable"), "foreign", 0);
    assert!(member.get("instance_id").is_none() && member["host"].is_string(), "{member}");
    assert!(row(env, group(env, &document, "empty"), "foreign", 0).get("client_id").is_none());
    let table = |name: &str| env.run(&format!("lag --group {}", env.topic(name))).expect(0).stdout;
    let with_members = table("static");
    let heading: Vec<&str> = with_members.lines().nth(1).expect("a heading").split_whitespace().collect();
    assert_eq!(heading[7..], ["owner", "host", "client"], "{with_members}");
    let cells: Vec<&str> = with_members.lines().nth(2).expect("a row").split_whitespace().collect();
    assert_eq!([cells[7], cells[9]], ["one", "rdkafka"], "{with_members}");
    assert!(!table("empty").contains("owner"));
    assert_eq!(group(env, &document, "unknown")["partitions"], json!([]));
    assert_eq!(group(env, &document, "unknown")["messages"], none);
    assert_eq!(group(env, &document, "never")["messages"], none, "never zero");
    for (name, partitions) in [("inventory-consumer-group", 2), ("analytics-consumer-group", 4)] {
        let finished = group(env, &document, name);
        assert_eq!((&finished["messages"], &finished["seconds"]), (&json!(0), &json!(0.0)), "{finished}");
        assert_eq!(finished["partitions"].as_array().expect("partitions").len(), partitions);
    }
    // A topic without committed offsets has no numbers. `read_uncommitted` counts to the high watermark.
    let args = format!("lag --group {} --topic {}:1 --output json", env.topic("pending"), env.topic("foreign"));
    let other = env.run(&args).expect(0).document();
    assert_eq!(other["partitions"].as_array().map(Vec::len), Some(1), "{other}");
    assert_eq!((&other["partitions"][0]["committed"], &other["messages"]), (&none, &none));
    let args = format!("lag --group {} --isolation read_uncommitted", env.topic("pending"));
    let uncommitted = env.document(&args);
    assert_eq!((&uncommitted["isolation"], &uncommitted["messages"]), (&json!("read_uncommitted"), &json!(9)));
    let text = env.run(&format!("lag --group {}", env.topic("beyond"))).expect(0).stdout;
    assert!(text.contains("committed beyond the end"), "{text}");
    let text = env.run(&format!("lag --group {}", env.topic("unknown"))).expect(0);
    assert!(text.stderr.contains("does not exist"), "{}", text.stderr);
    for (args, named) in [("missing", "does not exist"), ("foreign:7", "has no partition 7")] {
        let run = env.run(&format!("lag --group x --topic {}", env.topic(args))).expect(7);
        assert!(run.stderr.contains(named), "{}", run.stderr);
    }
}

fn same_as_kafka(env: &TestEnv) {
    let mut groups = Groups::new(env);
    groups.clients.push(member(env, "newer", "foreign", &[("group.protocol", "consumer")]));
    groups.states.insert("newer", "Stable");
    // Kafka's tool counts to the high watermark.
    let document = groups.document(env, "--isolation read_uncommitted");
    let known: Vec<&str> = groups.states.iter().filter(|(_, state)| **state != "Dead").map(|(name, _)| *name).collect();
    let flags: Vec<String> = known.iter().map(|name| format!("--group {}", env.topic(name))).collect();
    let table = env.tool("kafka-consumer-groups", &format!("--describe --offsets {}", flags.join(" ")));
    let mut rows = 0;
    for line in table.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [name, topic, partition, committed, end, lag, owner, host, client] = cells[..] else { continue };
        let Some(name) = name.strip_prefix(&env.prefix) else { continue };
        let Some(topic) = topic.strip_prefix(&env.prefix) else { continue };
        let ours = row(env, group(env, &document, name), topic, partition.parse().expect("a number"));
        let number = |text: &str| text.parse::<i64>().map_or(Value::Null, Value::from);
        assert_eq!((&ours["committed"], &ours["end"]), (&number(committed), &number(end)), "{line}");
        match lag.parse::<i64>() {
            Ok(lag) if lag < 0 => assert_eq!((&ours["messages"], &ours["beyond_end"]), (&Value::Null, &json!(true))),
            _ => assert_eq!(ours["messages"], number(lag), "{line}"),
        }
        let member = ["owner", "host", "client_id"].map(|name| ours[name].as_str().unwrap_or("-"));
        assert_eq!(member, [owner, host, client], "{line}");
        rows += 1;
    }
    assert!(rows >= 18, "{table}");
    // Partitions without a row in Kafka's table have no committed offset and no member.
    let ours = document["groups"].as_array().expect("groups").iter().flat_map(|group| {
        group["partitions"]
            .as_array()
            .expect("partitions")
            .iter()
            .filter(|row| !row["committed"].is_null() || !row["owner"].is_null())
    });
    assert_eq!(ours.count(), rows, "{table}\n{document}");
    let states = env.tool("kafka-consumer-groups", &format!("--describe --state {}", flags.join(" ")));
    for name in known {
        let line = states.lines().find(|line| line.split_whitespace().next() == Some(env.topic(name).as_str()));
        let cells: Vec<&str> = line.unwrap_or_else(|| panic!("{name} in {states}")).split_whitespace().collect();
        let found = group(env, &document, name);
        let wanted = [found["state"].as_str().expect("a state").to_owned(), found["members"].to_string()];
        assert_eq!(cells[cells.len() - 2..], wanted, "{name}: {states}");
        assert_eq!(found["state"], groups.states[name], "{name}");
    }
}

fn open_transaction(env: &TestEnv) {
    env.create_topic("held", 1, &[]);
    plain(env, "held", 0, 10);
    env.set_offsets("readers", "held", &[(0, 2)]);
    let writer = open_transaction_of(env, "readers", "held", 9);
    // A client that requests stable offsets waits for the transaction and times out.
    let stable = env.group_consumer("read_committed", &env.topic("readers"));
    let mut list = TopicPartitionList::new();
    list.add_partition(&env.topic("held"), 0);
    stable
        .committed_offsets(list, Duration::from_millis(700))
        .expect_err("the request times out because of the transaction");
    let begun = Instant::now();
    let document = env.document(&format!("lag --group {}", env.topic("readers")));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!((&document["messages"], &document["partitions"][0]["committed"]), (&json!(8), &json!(2)));
    assert_eq!(document["partitions"][0]["high_watermark"], 11);
    writer.abort_transaction(STEP_TIMEOUT).expect("aborted");
}

fn seconds(env: &TestEnv) {
    env.create_topic("timed", 1, &[]);
    let (name, plain, aborting) = (env.topic("timed"), transactional(env, "plain"), transactional(env, "aborting"));
    let now = now_millis();
    let (aborted, first, second) = (now - 900_000, now - 600_000, now - 300_000);
    // Offsets: 0 aborted, 1 its marker, 2 and 3 committed, 4 their marker.
    aborting.begin_transaction().expect("begun");
    write(&aborting, &name, aborted);
    aborting.abort_transaction(STEP_TIMEOUT).expect("aborted");
    env.settled_watermarks("timed");
    plain.begin_transaction().expect("begun");
    write(&plain, &name, first);
    write(&plain, &name, second);
    plain.commit_transaction(STEP_TIMEOUT).expect("committed");
    until("the transaction is stable", || (env.last_stable_offsets("timed") == [5]).then_some(()));
    let group = env.topic("readers");
    for (offset, isolation, written) in [
        (0, "read_committed", Some(first)),
        (0, "read_uncommitted", Some(aborted)),
        (1, "read_uncommitted", Some(first)),
        (3, "read_committed", Some(second)),
        (4, "read_committed", None),
        (4, "read_uncommitted", None),
        (5, "read_committed", None),
    ] {
        env.set_offsets("readers", "timed", &[(0, offset)]);
        let begun = now_millis();
        let document = env.document(&format!("lag --group {group} --isolation {isolation}"));
        assert_eq!(document["messages"], 5 - offset, "{document}");
        let found = document["seconds"].as_f64().unwrap_or_else(|| panic!("{document}"));
        // The age lies between the ages before and after the query.
        #[allow(clippy::cast_precision_loss, reason = "some minutes in milliseconds")]
        let age = |at: i64| written.map_or(0.0, |written| (at - written) as f64 / 1_000.0);
        let (least, most) = (age(begun), age(now_millis()));
        assert!(
            (least - 0.01..=most + 0.01).contains(&found),
            "at {offset}, {isolation}: {found}, not {least} to {most}"
        );
    }
}

fn throttled(env: &TestEnv) {
    env.run("produce --count 50 --seed 1").expect(0);
    let slow = env.start("inventory --throttle 500/s");
    let group = env.topic("inventory-consumer-group");
    let lag = || env.document(&format!("lag --group {group}"))["messages"].as_i64();
    until("the group has caught up", || (lag() == Some(0)).then_some(()));
    let watch = env.start(&format!("lag --group {group} --watch 100ms --output json"));
    let producer = env.start("produce --rate 1500/s --count 9000 --seed 2");
    until("the throttled group falls behind", || (lag() > Some(3_000)).then_some(()));
    slow.signal(Signal::INT);
    slow.end().expect(0);
    let fast = env.start("inventory");
    producer.end().expect(0);
    until("the group catches up", || (lag() == Some(0)).then_some(()));
    fast.signal(Signal::INT);
    fast.end().expect(0);
    assert_eq!(lag(), Some(0));
    watch.signal(Signal::INT);
    let document = watch.end().expect(0).document();
    let samples: Vec<&Value> = document["samples"].as_array().expect("samples").iter().collect();
    let messages: Vec<i64> = samples.iter().filter_map(|sample| sample["messages"].as_i64()).collect();
    let peak = (0..messages.len()).max_by_key(|&index| messages[index]).expect("samples");
    assert!(messages[peak] > 3_000 && messages[0] < messages[peak], "{messages:?}");
    // The query that the signal interrupted may be older than the end.
    assert!(messages[peak..].contains(&0), "{messages:?}");
    // It rises to the peak, except for single samples between two commits.
    let rising = messages[..=peak].windows(2).filter(|pair| pair[1] >= pair[0]).count();
    assert!(rising * 3 >= peak * 2, "{messages:?}");
    // While it rises, the produce rate is the producer's and the consume rate is the throttle's.
    let rising = samples[..peak].iter().filter(|sample| sample["state"] == "Stable");
    let rates: Vec<_> =
        rising.map(|sample| (sample["produced_per_second"].as_f64(), sample["consumed_per_second"].as_f64())).collect();
    // A busy machine produces in bursts and consumes below its throttle.
    let is_paced = |rates: &(Option<f64>, Option<f64>)| {
        matches!(*rates, (Some(arriving), Some(consumed))
            if (600.0..5_000.0).contains(&arriving) && consumed < 900.0 && consumed < arriving)
    };
    assert!(rates.iter().any(is_paced), "{rates:?}");
    let oldest = samples.iter().filter_map(|sample| sample["seconds"].as_f64()).fold(0.0, f64::max);
    assert!((0.5..30.0).contains(&oldest), "{oldest}");
}

fn conditions(env: &TestEnv) {
    env.create_topic("foreign", 2, &[]);
    plain(env, "foreign", 0, 20);
    env.set_offsets("readers", "foreign", &[(0, 5), (1, 0)]);
    let group = env.topic("readers");
    for (condition, code) in [(">14", 3), (">15", 0), (">=15", 3), (">=16", 0), (">0s", 3), (">1h", 0)] {
        let run = env.run(&format!("lag --group {group} --fail-if {condition} --output json")).expect(code);
        assert_eq!(run.document()["fails"], code == 3, "the document is written in either case");
        assert_eq!(run.stderr.contains("is met for"), code == 3, "{}", run.stderr);
    }
    let args = format!("lag --group {group} --watch 50ms --fail-if >20 --csv lag.csv --report lag.json");
    let watch = env.start(&args);
    std::thread::scope(|scope| {
        scope.spawn(|| plain(env, "foreign", 1, 10));
    });
    let run = watch.end().expect(3);
    let last = run.stdout.lines().last().expect("lines");
    assert!(last.contains("25 messages"), "{last}");
    let read = |name: &str| std::fs::read_to_string(env.dir().join(name)).expect(name);
    let document: Value = serde_json::from_str(&read("lag.json")).expect("JSON");
    let samples = document["samples"].as_array().expect("samples").len();
    assert_eq!((samples, &document["fails"]), (run.stdout.lines().count(), &json!(true)));
    let table = read("lag.csv");
    assert_eq!(table.lines().count(), 1 + 2 * samples, "a row per partition and sample: {table}");
    assert!(table.starts_with("at,group,state,isolation,topic,partition,committed"), "{table}");
    let run = env.run(&format!("lag --group {group} --topic {} --fail-if >100", env.topic("foreign"))).expect(0);
    assert!(!run.stderr.contains("evaluated"), "{}", run.stderr);
    let run = env.run(&format!("lag --group {group} --csv missing/lag.csv")).expect(8);
    assert_eq!(run.stdout, "", "the file is opened before the work");
}

fn without_groups(env: &TestEnv) {
    let run = env.run("lag").expect(7);
    assert!(run.stderr.contains(&env.topic("analytics-consumer-group")), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    env.run(&format!("lag --group {}", env.topic("missing"))).expect(0);
    let refused = env.run(&format!("lag --group {} --topic {}", env.topic("missing"), env.topic("nothing"))).expect(7);
    assert!(refused.stderr.contains("does not exist"), "{}", refused.stderr);
    assert_eq!(env.topics(), Vec::<String>::new());
    assert_eq!(env.groups(&env.prefix), BTreeSet::new());
    other_prefixes(env);
    // One of the two default groups is enough. Without `--group` the document is always a list.
    env.run("produce --count 20 --seed 1").expect(0);
    env.run("inventory --until-end").expect(0);
    let document = env.document("lag");
    assert_eq!(document["groups"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(document["groups"][0]["messages"], 0);
}

/// Commands that find nothing of their prefix name one of which there is something.
fn other_prefixes(env: &TestEnv) {
    let used = env.other("lab");
    used.run("produce --count 20 --seed 1 --partitions 1").expect(0);
    let option = format!("--prefix {}", used.prefix);
    let hinted = |env: &TestEnv, args: &str, code: i32, text: &str| {
        let run = env.run(args).expect(code);
        assert!(run.stderr.contains(text) && run.stderr.contains(&option), "{args}: {}", run.stderr);
    };
    hinted(env, "lag", 7, "groups or topics of this program exist with");
    hinted(env, "replay", 7, "order topics exist with");
    hinted(env, "analytics --from-beginning", 7, "order topics exist with");
    used.run("inventory --until-end").expect(0);
    hinted(env, "clean --yes", 0, "topics or groups of this program exist with");
    // The separator was forgotten.
    let mistyped = env.named(used.prefix.trim_end_matches('.'));
    hinted(&mistyped, "lag", 7, "groups or topics of this program exist with");
    hinted(&mistyped, "inventory --until-end", 0, "order-events does not exist, so it is created empty");
    mistyped.run("clean --yes").expect(0);
    // Full names without their prefix.
    let run = env.run("lag --group x --topic inventory-ledger").expect(7);
    assert!(run.stderr.contains("inventory-ledger exists"), "{}", run.stderr);
    let run = env.run(&format!("lag --group {}", used.topic("nothing"))).expect(0);
    assert!(run.stderr.ends_with("it has neither offsets nor members\n"), "{}", run.stderr);
    let name = format!("mine{}", env.topic("x").replace(['.', '-'], ""));
    let group = env.topic(&name);
    env.set_offsets(&name, "lab.order-events", &[(0, 1)]);
    let run = env.run(&format!("lag --group {name}")).expect(0);
    assert!(run.stderr.ends_with(&format!("it has neither offsets nor members; {group} exists\n")), "{}", run.stderr);
    used.run("clean --yes").expect(0);
}

fn many_partitions(env: &TestEnv) {
    env.create_topic("wide", 60, &[]);
    let records: Vec<NewRecord<'_>> = (0..180).map(|number: i32| (number % 60, None, Some(b"x".as_slice()))).collect();
    env.put("wide", &records);
    env.set_offsets("readers", "wide", &(0..60).map(|partition| (partition, 1)).collect::<Vec<_>>());
    let begun = Instant::now();
    let document = env.document(&format!("lag --group {}", env.topic("readers")));
    // Measured: 0.1 s. One request or one wait per partition would take much longer on any machine.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(document["messages"], 120);
    assert!(document["partitions"].as_array().expect("rows").iter().all(|row| row["seconds"].is_f64()), "{document}");
}
