//! `audit --in --out`: chains that are clean, damaged in each way, limited by a group, cut by retention, or stopped.

#![allow(clippy::disallowed_methods, reason = "uses its own producer")]

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Case;
use super::dead_letters;
use super::process::Running;
use super::proxy::Proxy;
use super::support::{STEP_TIMEOUT, TestEnv, until};

pub const CASES: &[Case] = &[
    ("audit_chain::clean_and_damaged_chains", damages),
    ("audit_chain::fan_outs_and_fields", fan_outs_and_fields),
    ("audit_chain::aborted_outputs_are_shown_when_wanted", aborted),
    ("audit_chain::a_group_limits_the_inputs", group),
    ("audit_chain::more_records_than_memory", spill),
    ("audit_chain::what_is_gone_is_not_proved", gone),
    ("audit_chain::topics_must_exist", missing),
    ("audit_chain::an_open_transaction_is_not_proved", open),
    ("audit_chain::a_stop_gives_a_partial_report", stopped),
    ("audit_chain::a_recreated_topic_is_an_error", recreated),
    ("audit_chain::a_live_consumer_is_clean", live),
    ("audit_chain::a_deleted_topic_is_an_error", deleted),
];

fn args(env: &TestEnv, more: &str) -> String {
    format!("audit --in {} --out {} {more} --output json", env.topic("in"), env.topic("out"))
}

fn audit(env: &TestEnv, more: &str, code: i32) -> Value {
    let document = env.run(&args(env, more)).expect(code).document();
    let verdict = document["verdict"].as_str().expect("a verdict");
    assert_eq!(verdict == "clean", code == 0, "{document:#}");
    assert!(verdict != "unproved" || document["unproved"] != json!([]), "{document:#}");
    document
}

fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {document:#}"))
}

/// `checked` and `violations` of the four checks, in their order.
fn counts(document: &Value) -> [[u64; 2]; 4] {
    ["every-input-has-outputs", "every-output-has-an-input", "nothing-twice", "records-match"].map(|name| {
        let check = check(document, name);
        ["checked", "violations"].map(|count| check[count].as_u64().expect("a count"))
    })
}

fn violations(document: &Value) -> [u64; 4] {
    counts(document).map(|[_, violations]| violations)
}

/// Role, partition, offset and state of each record of a witness.
fn records(witness: &Value) -> Vec<(&str, i64, i64, &str)> {
    let records = witness["records"].as_array().expect("records").iter();
    records
        .map(|record| {
            let role = record["role"].as_str().expect("a role");
            let partition = record["partition"].as_i64().expect("a partition");
            let offset = record["offset"].as_i64().expect("an offset");
            (role, partition, offset, record["state"].as_str().expect("a state"))
        })
        .collect()
}

fn put_keys(env: &TestEnv, topic: &str, partition: i32, keys: &[&str]) {
    let records: Vec<_> = keys.iter().map(|key| (partition, Some(key.as_bytes()), Some(b"{}".as_slice()))).collect();
    env.put(topic, &records);
}

fn chain(env: &TestEnv, partitions: i32) {
    env.create_topic("in", partitions, &[]);
    env.create_topic("out", partitions, &[]);
}

fn damages(env: &TestEnv) {
    chain(env, 2);
    let document = audit(env, "--match key", 3);
    assert_eq!(document["unproved"], json!(["no record was read, which proves nothing"]));
    put_keys(env, "in", 0, &["a", "b"]);
    put_keys(env, "in", 1, &["c"]);
    put_keys(env, "out", 1, &["b", "a"]);
    put_keys(env, "out", 0, &["c"]);
    let document = audit(env, "--match key", 0);
    assert_eq!(counts(&document), [[3, 0], [3, 0], [3, 0], [6, 0]]);
    let facts = ["subject", "orders", "decisions", "repeated_orders", "group", "live"].map(|name| &document[name]);
    assert_eq!(facts, [&json!("chain"), &json!(3), &json!(3), &json!(0), &json!(null), &json!(false)]);
    let range = |topic: &str, partition: i32, end: i64| json!({"topic": env.topic(topic), "partition": partition, "start": 0, "end": end});
    assert_eq!(
        document["covered"],
        json!([range("in", 0, 2), range("in", 1, 1), range("out", 0, 1), range("out", 1, 2)])
    );
    let reversed = format!("audit --in {} --out {} --match key --output json", env.topic("out"), env.topic("in"));
    env.run(&reversed).expect(0);

    // Two lost, one of them of an input that is there twice; one doubled; two invented.
    put_keys(env, "in", 0, &["d", "e"]);
    put_keys(env, "in", 1, &["a", "f"]);
    put_keys(env, "out", 0, &["e", "e", "x", "f"]);
    put_keys(env, "out", 1, &["y", "e"]);
    let document = audit(env, "--match key --witnesses 5", 3);
    assert_eq!(document["verdict"], "violated");
    assert_eq!(counts(&document), [[7, 2], [9, 2], [7, 2], [16, 0]]);
    assert_eq!(document["repeated_orders"], 1);
    let lost = check(&document, "every-input-has-outputs");
    assert_eq!(lost["first"]["anomaly"], "lost_write");
    let committed = "committed";
    assert_eq!(
        records(&lost["first"]),
        [("input", 0, 0, committed), ("input", 1, 1, committed), ("output", 1, 1, committed)]
    );
    assert_eq!(records(&lost["more"][0]), [("input", 0, 2, committed)]);
    assert_eq!(lost["more"][0]["records"][0]["key"], "d");
    assert!(lost["more"][0]["records"][0]["timestamp"].is_string());
    let doubled = check(&document, "nothing-twice");
    assert_eq!(doubled["first"]["anomaly"], "duplicate");
    assert_eq!(
        records(&doubled["first"]),
        [
            ("input", 0, 3, committed),
            ("output", 0, 1, committed),
            ("output", 0, 2, committed),
            ("output", 1, 3, committed)
        ]
    );
    let invented = check(&document, "every-output-has-an-input");
    assert_eq!(invented["first"]["anomaly"], "invented_write");
    assert_eq!(records(&invented["first"]), [("output", 0, 3, committed)]);
    assert_eq!(records(&invented["more"][0]), [("output", 1, 2, committed)]);
    // Only the first witness without --witnesses, and nothing was created.
    assert_eq!(check(&audit(env, "--match key", 3), "every-output-has-an-input")["more"], json!([]));
    let topics: BTreeSet<String> = env.topics().into_iter().collect();
    assert_eq!(topics, BTreeSet::from([env.topic("in"), env.topic("out")]));
}

fn fan_outs_and_fields(env: &TestEnv) {
    chain(env, 1);
    let put = |topic: &str, key: Option<&str>, value: &str| {
        env.put(topic, &[(0, key.map(str::as_bytes), Some(value.as_bytes()))]);
    };
    put("in", Some("1"), r#"{"id": 1, "user": {"name": "ann"}}"#);
    put("in", Some("2"), r#"{"id": "2", "user": {"name": "bob"}}"#);
    put("in", Some("3"), r#"{"id": 3}"#);
    for (id, name) in [("\"1\"", "ann"), ("1", "ann"), ("2", "bob")] {
        put("out", None, &format!(r#"{{"source": {{"id": {id}}}, "name": "{name}"}}"#));
    }
    let fields = "--match-in key --match-out /source/id";
    let expected = [
        ("one", 3, [1, 0, 1, 0]),
        ("2", 3, [3, 0, 0, 0]),
        ("at-least-one", 3, [1, 0, 0, 0]),
        ("at-most-one", 3, [0, 0, 1, 0]),
    ];
    for (fan_out, code, found) in expected {
        let document = audit(env, &format!("{fields} --fan-out {fan_out} --html chain.html"), code);
        assert_eq!(violations(&document), found, "{fan_out}");
        assert_eq!(
            document["options"],
            json!({
                "in": env.topic("in"), "out": env.topic("out"), "match_in": "key", "match_out": "/source/id",
                "fan_out": fan_out, "isolation": "read_committed",
            })
        );
        // The command on the page does the same.
        let page = std::fs::read_to_string(env.dir().join("chain.html")).expect("a page");
        let options = format!("{fields} --fan-out {fan_out} --isolation read_committed");
        let command = format!("foodstream audit --in {} --out {} {options}", env.topic("in"), env.topic("out"));
        assert!(page.contains(&command), "{command}");
    }
    let document = audit(env, "--match-in /id --match-out /source/id --fan-out 2", 3);
    assert_eq!(counts(&document), [[6, 3], [3, 0], [3, 0], [6, 0]]);
    // The third input has no name, so it cannot be matched.
    let document = audit(env, "--match-in /user/name --match-out /name --fan-out at-least-one", 3);
    assert_eq!(counts(&document), [[2, 0], [3, 0], [3, 0], [6, 1]]);
    let unmatched = &check(&document, "records-match")["first"];
    assert_eq!(
        (&unmatched["anomaly"], records(unmatched)),
        (&json!("wrong_value"), vec![("input", 0, 2, "committed")])
    );
    assert_eq!(document["orders"], 3);
    // Outputs have no key.
    assert_eq!(violations(&audit(env, "--match key", 3)), [3, 0, 0, 3]);

    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &env.broker).create().expect("a producer");
    for (topic, traces) in [("hin", ["t1", "t2"]), ("hout", ["t2", "t1"])] {
        env.create_topic(topic, 1, &[]);
        let name = env.topic(topic);
        for trace in traces {
            let headers = ["other", trace].iter().fold(OwnedHeaders::new(), |headers, value| {
                headers.insert(Header { key: "trace-id", value: Some(*value) })
            });
            let record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&name).payload(b"opaque".as_slice()).headers(headers);
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(STEP_TIMEOUT).expect("flushed");
    }
    let run = |field: &str, code: i32| {
        let topics = format!("--in {} --out {}", env.topic("hin"), env.topic("hout"));
        env.run(&format!("audit {topics} --match header:{field} --output json")).expect(code).document()
    };
    assert_eq!(counts(&run("trace-id", 0)), [[2, 0], [2, 0], [2, 0], [4, 0]]);
    assert_eq!(violations(&run("trace", 3)), [0, 0, 0, 4]);
}

pub fn transactional(env: &TestEnv) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &env.broker)
        .set("transactional.id", env.topic("writer"))
        .set("transaction.timeout.ms", "60000")
        .create()
        .expect("a producer");
    producer.init_transactions(STEP_TIMEOUT).expect("ready");
    producer
}

/// Writes records in a transaction, which stays open.
pub fn begin(env: &TestEnv, producer: &BaseProducer, topic: &str, keys: &[&str]) {
    let name = env.topic(topic);
    producer.begin_transaction().expect("begun");
    for key in keys {
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&name).partition(0).key(key.as_bytes()).payload(b"{}".as_slice());
        producer.send(record).map_err(|(error, _)| error).expect("sent");
    }
    producer.flush(STEP_TIMEOUT).expect("flushed");
}

fn aborted(env: &TestEnv) {
    chain(env, 1);
    put_keys(env, "in", 0, &["a", "b"]);
    let producer = transactional(env);
    begin(env, &producer, "out", &["a", "x"]);
    producer.abort_transaction(STEP_TIMEOUT).expect("aborted");
    begin(env, &producer, "out", &["a", "b"]);
    producer.commit_transaction(STEP_TIMEOUT).expect("committed");
    env.settled_watermarks("out");
    let document = audit(env, "--match key", 0);
    assert_eq!(counts(&document), [[2, 0], [2, 0], [2, 0], [4, 0]]);

    let document = audit(env, "--match key --isolation read_uncommitted", 3);
    assert_eq!(violations(&document), [0, 1, 1, 0]);
    let doubled = &check(&document, "nothing-twice")["first"];
    assert_eq!(doubled["anomaly"], "aborted_read");
    assert_eq!(
        records(doubled),
        [("input", 0, 0, "committed"), ("output", 0, 0, "aborted"), ("output", 0, 3, "committed")]
    );
    let invented = &check(&document, "every-output-has-an-input")["first"];
    assert_eq!((&invented["anomaly"], records(invented)), (&json!("aborted_read"), vec![("output", 0, 1, "aborted")]));
}

fn open(env: &TestEnv) {
    chain(env, 1);
    put_keys(env, "in", 0, &["a", "b"]);
    put_keys(env, "out", 0, &["a"]);
    let producer = transactional(env);
    begin(env, &producer, "out", &["b", "b"]);
    // The output of b may be committed later.
    let document = audit(env, "--match key --timeout 3s", 3);
    assert_eq!(document["verdict"], "unproved", "{document:#}");
    assert_eq!(violations(&document), [0; 4]);
    let reasons = document["unproved"].to_string();
    assert!(reasons.contains("open transaction") && reasons.contains("1 output is missing"), "{reasons}");
    let document = audit(env, "--match key --isolation read_uncommitted", 3);
    assert_eq!(violations(&document), [0, 0, 1, 0]);
    let states: Vec<&str> =
        records(&check(&document, "nothing-twice")["first"]).into_iter().map(|(.., state)| state).collect();
    assert_eq!(states, ["committed", "open", "open"]);
    // The outputs are waited for: the offsets are looked at again and again.
    let proxy = Proxy::new(&env.broker);
    let mut waiting = env.through(&proxy.address()).start(&args(env, "--match key"));
    until("the audit waits", || {
        assert!(!waiting.has_ended(), "the audit does not wait");
        (proxy.replies(ApiKey::ListOffsets) >= 20).then_some(())
    });
    producer.abort_transaction(STEP_TIMEOUT).expect("aborted");
    let document = waiting.end().expect(3).document();
    assert_eq!((&document["verdict"], violations(&document)), (&json!("violated"), [1, 0, 0, 0]));
}

fn group(env: &TestEnv) {
    chain(env, 2);
    put_keys(env, "in", 0, &["a", "b", "c", "d"]);
    put_keys(env, "in", 1, &["e"]);
    // c was processed, and its offset is not committed yet.
    put_keys(env, "out", 0, &["a", "c"]);
    let with_group = format!("--match key --group {}", env.topic("readers"));
    let document = audit(env, &with_group, 3);
    assert_eq!((&document["verdict"], violations(&document)), (&json!("unproved"), [0; 4]));
    assert!(document["unproved"][0].as_str().expect("a reason").contains("no committed offset"), "{document:#}");

    env.set_offsets("readers", "in", &[(0, 1)]);
    let document = audit(env, &with_group, 0);
    assert_eq!(counts(&document), [[1, 0], [2, 0], [2, 0], [7, 0]]);
    assert_eq!((&document["orders"], &document["group"]), (&json!(1), &json!(env.topic("readers"))));
    let range = |topic: &str, partition: i32, end: i64| json!({"topic": env.topic(topic), "partition": partition, "start": 0, "end": end});
    assert_eq!(document["covered"], json!([range("in", 0, 1), range("out", 0, 2), range("out", 1, 0)]));
    // b is committed and has no output; a third output of c is too many.
    env.set_offsets("readers", "in", &[(0, 3)]);
    put_keys(env, "out", 1, &["c"]);
    let document = audit(env, &with_group, 3);
    assert_eq!(counts(&document), [[3, 1], [3, 0], [3, 1], [8, 0]]);
    assert_eq!(records(&check(&document, "every-input-has-outputs")["first"]), [("input", 0, 1, "committed")]);
    // The offset belongs to records that do not exist.
    env.set_offsets("readers", "in", &[(0, 9)]);
    let document = audit(env, &with_group, 3);
    assert!(document["unproved"].to_string().contains("above its end"), "{document:#}");
}

fn spill(env: &TestEnv) {
    const KEYS: usize = 60_000;
    chain(env, 2);
    let keys: Vec<String> = (0..KEYS).map(|key| key.to_string()).collect();
    let record = |(index, key): (usize, &'_ String)| (i32::try_from(index % 2).expect("0 or 1"), key.clone());
    let inputs: Vec<(i32, String)> = keys.iter().enumerate().map(record).collect();
    let write = |topic: &str, records: &mut dyn Iterator<Item = &(i32, String)>| {
        let records: Vec<_> =
            records.map(|(partition, key)| (*partition, Some(key.as_bytes()), Some(b"".as_slice()))).collect();
        env.put(topic, &records);
    };
    write("in", &mut inputs.iter());
    // Backwards, without 7, and with 20,000 twice.
    write("out", &mut inputs.iter().rev().filter(|(_, key)| key != "7"));
    write("out", &mut inputs.iter().filter(|(_, key)| key == "20000"));
    let document = audit(env, "--match key --memory 1MB", 3);
    let keys = KEYS as u64;
    assert_eq!(counts(&document), [[keys, 1], [keys, 0], [keys, 1], [2 * keys, 0]]);
    assert_eq!(records(&check(&document, "every-input-has-outputs")["first"])[0], ("input", 1, 3, "committed"));
    assert_eq!(audit(env, "--match key", 3), document, "the same without temporary files");
}

fn gone(env: &TestEnv) {
    chain(env, 1);
    put_keys(env, "in", 0, &["a", "b", "c"]);
    put_keys(env, "out", 0, &["a", "b", "c"]);
    let unproved = |more: &str, words: &str| {
        let document = audit(env, more, 3);
        assert_eq!((&document["verdict"], violations(&document)), (&json!("unproved"), [0; 4]), "{document:#}");
        let reasons = document["unproved"].to_string();
        assert!(reasons.contains(words), "{reasons} have no {words}");
    };
    audit(env, "--match key", 0);
    env.delete_records("in", 0, 1);
    until("the records are gone", || (env.watermarks("in")[0].0 == 1).then_some(()));
    unproved("--match key", "1 output has no input among those that were read");
    let start = format!("inputs are gone: {}/0 begins at offset 1", env.topic("in"));
    unproved("--match key", &start);
    env.delete_records("out", 0, 2);
    until("the records are gone", || (env.watermarks("out")[0].0 == 2).then_some(()));
    unproved("--match key", "1 output is missing among those that were read");

    env.create_topic("compacted", 1, &[("cleanup.policy", "compact")]);
    put_keys(env, "compacted", 0, &["a", "b", "c"]);
    env.create_topic("copy", 1, &[]);
    put_keys(env, "copy", 0, &["a", "b", "c"]);
    for (input, output, noun) in [("compacted", "copy", "inputs"), ("copy", "compacted", "outputs")] {
        let args = format!("audit --in {} --out {} --match key --output json", env.topic(input), env.topic(output));
        let document = env.run(&args).expect(3).document();
        let reason = format!("{noun} may be gone: topic {} is compacted", env.topic("compacted"));
        assert_eq!((&document["verdict"], &document["unproved"]), (&json!("unproved"), &json!([reason])));
    }
}

fn missing(env: &TestEnv) {
    env.create_topic("in", 1, &[]);
    let run = env.run(&args(env, "--match key")).expect(7);
    let wanted = [format!("topic {} does not exist", env.topic("out")), env.topic("in")];
    assert!(wanted.iter().all(|text| run.stderr.contains(text)), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    env.delete_topic("in");
    let run = env.run(&args(env, "--match key")).expect(7);
    assert!(run.stderr.contains(&format!("topic {} does not exist", env.topic("in"))), "{}", run.stderr);
}

/// Inputs a, b and c; outputs a, a and x, then many bytes of other outputs, which a slow connection delivers in small
/// parts. Starts an audit and waits until it has read some of the outputs.
fn reading_slowly(env: &TestEnv, proxy: &Proxy) -> Running {
    chain(env, 1);
    put_keys(env, "in", 0, &["a", "b", "c"]);
    put_keys(env, "out", 0, &["a", "a", "x"]);
    let large = vec![b' '; 50_000];
    // One record a batch: a broker returns whole batches.
    let (producer, name) = (dead_letters::producer(env, "none"), env.topic("out"));
    for _ in 0..100 {
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&name).partition(0).key(b"b".as_slice()).payload(large.as_slice());
        producer.send(record).map_err(|(error, _)| error).expect("sent");
    }
    producer.flush(STEP_TIMEOUT).expect("flushed");
    proxy.delay(Duration::from_millis(30));
    let small = "-X fetch.message.max.bytes=60000";
    let running = env.through(&proxy.address()).start(&args(env, &format!("--match key {small}")));
    let before = proxy.replies(ApiKey::Fetch);
    until("a part of the outputs is read", || (proxy.replies(ApiKey::Fetch) >= before + 12).then_some(()));
    running
}

fn stopped(env: &TestEnv) {
    let proxy = Proxy::new(&env.broker);
    let running = reading_slowly(env, &proxy);
    running.signal(Signal::INT);
    let document = running.end().expect(130).document();
    let [lost, invented, doubled, unmatched] = violations(&document);
    assert_eq!((lost, invented, unmatched), (0, 1, 0), "{document:#}");
    assert!(doubled >= 1, "{document:#}");
    let covered = document["covered"].as_array().expect("ranges");
    assert_eq!(covered[0]["end"], 3);
    let end = covered[1]["end"].as_i64().expect("an end");
    assert!((4..103).contains(&end), "{document:#}");
    let reasons = document["unproved"].to_string();
    assert!(
        reasons.contains(&format!("stopped after 3 offsets of 3 in {}, and {end} offsets of 103", env.topic("in"))),
        "{reasons}"
    );
    // Of the outputs of a, b and c, those of c were not found.
    assert_eq!(counts(&document)[0], [2, 0]);
}

fn recreated(env: &TestEnv) {
    let proxy = Proxy::new(&env.broker);
    let running = reading_slowly(env, &proxy);
    env.delete_topic("in");
    env.create_topic("in", 1, &[]);
    proxy.delay(Duration::ZERO);
    let run = running.end().expect(7);
    assert!(run.stderr.contains("was deleted and created again while it was read"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

/// Audits while the inventory service commits transactions: what it has not committed yet is not claimed.
fn live(env: &TestEnv) {
    const GROUP: &str = "inventory-consumer-group";
    env.run("produce --count 5000 --seed 1 --partitions 2").expect(0);
    let service = env.start("inventory --throttle 500/s");
    let topics = format!("--in {} --out {}", env.topic("order-events"), env.topic("inventory-events"));
    let args =
        format!("audit {topics} --match /order_id --fan-out at-least-one --group {} --output json", env.topic(GROUP));
    until("offsets are committed", || (env.progress(GROUP, "order-events") > 100).then_some(()));
    let mut orders = Vec::new();
    for _ in 0..3 {
        let document = env.run(&args).expect(0).document();
        orders.push(document["orders"].as_u64().expect("a count"));
    }
    service.signal(Signal::INT);
    service.end().expect(0);
    assert!(orders.is_sorted() && orders[0] < 5_000, "{orders:?}");
    let decided = env.progress(GROUP, "order-events");
    let document = env.run(&args).expect(0).document();
    assert_eq!((&document["orders"], &document["live"]), (&json!(decided), &json!(false)));
}

fn deleted(env: &TestEnv) {
    let proxy = Proxy::new(&env.broker);
    let running = reading_slowly(env, &proxy);
    env.delete_topic("out");
    let run = running.end().expect(7);
    assert!(
        run.stderr.contains(&format!("topic {} was deleted while it was read", env.topic("out"))),
        "{}",
        run.stderr
    );
    let env = env.other("again");
    let proxy = Proxy::new(&env.broker);
    let running = reading_slowly(&env, &proxy);
    env.delete_topic("out");
    env.create_topic("out", 1, &[]);
    let run = running.end().expect(7);
    assert!(run.stderr.contains("was deleted and created again while it was read"), "{}", run.stderr);
}
