//! `audit --decisions`: events of another inventory service, written by the tests, with and without each fault.

use std::time::Duration;

use foodstream::broker::ApiKey;
use rdkafka::producer::Producer;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Case;
use super::audit::checked;
use super::audit_chain::{begin, transactional};
use super::group_member::GroupMember;
use super::proxy::{Action, Proxy, Rule};
use super::support::{NewRecord, STEP_TIMEOUT, TestEnv, until};

pub const CASES: &[Case] = &[
    ("audit_service::a_good_service_is_clean", good),
    ("audit_service::our_own_service_is_clean", own),
    ("audit_service::each_fault_has_its_name", faults),
    ("audit_service::keys_and_order_are_judged_if_claimed", claims),
    ("audit_service::equal_ids_are_different_orders", repeated),
    ("audit_service::uncommitted_orders_need_no_events", uncommitted),
    ("audit_service::other_records_are_not_events", foreign_records),
    ("audit_service::what_is_gone_is_unproved", gone),
    ("audit_service::what_may_be_gone_is_unproved", maybe_gone),
    ("audit_service::an_open_transaction_is_named", open),
    ("audit_service::without_topics_it_is_refused", refused),
    ("audit_service::a_live_service_is_clean", live),
    ("audit_service::a_topic_that_is_created_again_is_refused", recreated),
    ("audit_service::a_stop_reports_what_was_read", stopped),
];

/// An order of the tests: id, restaurant, status, and lines of item and quantity.
type Order = (&'static str, &'static str, &'static str, &'static [(&'static str, u32)]);

/// Orders of one partition.
const ORDERS: &[Order] = &[
    ("a", "r", "placed", &[("x", 1), ("y", 2)]),
    ("b", "r", "failed", &[("x", 3)]),
    ("c", "s", "placed", &[("x", 1), ("x", 1), ("z", 4)]),
    ("d", "r", "placed", &[("z", 5)]),
];

/// An event of the tests.
#[derive(Clone)]
struct Event {
    partition: i32,
    key: &'static str,
    order: &'static str,
    item: &'static str,
    quantity: u32,
    action: &'static str,
}

impl Event {
    fn value(&self) -> String {
        json!({
            "event_type": "InventoryEvent", "order_id": self.order, "item_id": self.item, "quantity": self.quantity,
            "action": self.action, "timestamp": "2026-11-22T12:00:00.000",
        })
        .to_string()
    }
}

/// The events of a good service: keyed by restaurant, each restaurant in one partition.
fn events() -> Vec<Event> {
    let of = |(order, key, status, lines): &Order| -> Vec<Event> {
        let (partition, order, key) = (i32::from(*key == "s"), *order, *key);
        let action = if *status == "placed" { "reserve" } else { "release" };
        lines.iter().map(|&(item, quantity)| Event { partition, key, order, item, quantity, action }).collect()
    };
    ORDERS.iter().flat_map(of).collect()
}

fn put_orders(env: &TestEnv, orders: &[Order]) {
    let values: Vec<String> = orders
        .iter()
        .map(|(id, restaurant, status, lines)| {
            let items: Vec<Value> = lines
                .iter()
                .map(|(item, quantity)| json!({"item_id": item, "quantity": quantity, "price": 1.5}))
                .collect();
            json!({
                "event_type": "OrderPlaced", "order_id": id, "user_id": "u", "restaurant_id": restaurant,
                "items": items, "total_amount": 1.5, "status": status, "timestamp": "2026-11-22T12:00:00.000Z",
            })
            .to_string()
        })
        .collect();
    let records: Vec<NewRecord<'_>> = values.iter().map(|value| (0, None, Some(value.as_bytes()))).collect();
    env.put("order-events", &records);
}

fn put_events(env: &TestEnv, events: &[Event]) {
    let values: Vec<String> = events.iter().map(Event::value).collect();
    let records: Vec<NewRecord<'_>> = events
        .iter()
        .zip(&values)
        .map(|(event, value)| (event.partition, Some(event.key.as_bytes()), Some(value.as_bytes())))
        .collect();
    env.put("stock", &records);
}

/// Topics with these orders and events, and the offset that the group has committed.
fn service(env: &TestEnv, events: &[Event], committed: i64) {
    env.create_topic("order-events", 1, &[]);
    env.create_topic("stock", 2, &[]);
    put_orders(env, ORDERS);
    put_events(env, events);
    env.set_offsets("alice", "order-events", &[(0, committed)]);
}

fn audit(env: &TestEnv, more: &str) -> String {
    format!("audit --decisions {} --group {} --output json {more}", env.topic("stock"), env.topic("alice"))
}

/// The violated checks, each with its count and the kind of its first evidence.
fn violated(document: &Value) -> Vec<(String, u64, String)> {
    let checks = document["checks"].as_array().expect("checks");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let of = |check: &Value| {
        (text(&check["name"]), check["violations"].as_u64().expect("a count"), text(&check["first"]["anomaly"]))
    };
    checks.iter().filter(|check| check["violations"] != 0).map(of).collect()
}

fn first<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().expect("checks");
    &checks.iter().find(|check| check["name"] == name).expect("the check")["first"]
}

fn good(env: &TestEnv) {
    service(env, &events(), 4);
    let before = env.topics();
    let document = env.run(&audit(env, "")).expect(0).document();
    assert_eq!(
        [&document["verdict"], &document["subject"], &document["live"], &document["unproved"]],
        [&json!("clean"), &json!("service"), &json!(false), &json!([])]
    );
    assert_eq!([&document["orders"], &document["decisions"], &document["repeated_orders"]], [4, 7, 0]);
    assert_eq!(document["group"], env.topic("alice"));
    let names: Vec<&str> =
        document["checks"].as_array().expect("checks").iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["no-line-lost", "no-line-doubled", "no-line-invented", "lines-as-ordered"]);
    assert!(names.iter().all(|name| checked(&document, name) == 7), "{document}");
    let covered: Vec<(i64, i64)> = document["covered"]
        .as_array()
        .expect("ranges")
        .iter()
        .map(|range| (range["start"].as_i64().expect("a start"), range["end"].as_i64().expect("an end")))
        .collect();
    assert_eq!(covered, [(0, 4), (0, 4), (0, 3)]);

    let junit = env.dir().join("alice.xml");
    let document = env.run(&audit(env, "--ordered-by restaurant_id --junit alice.xml")).expect(0).document();
    assert_eq!((checked(&document, "keys-are-kept"), checked(&document, "order-is-kept")), (7, 7));
    assert!(std::fs::metadata(junit).expect("the file").len() > 0);
    // It has joined nothing, committed nothing, and created nothing.
    assert_eq!((env.committed("alice", "order-events"), env.topics()), (vec![Some(4)], before));
}

fn own(env: &TestEnv) {
    env.run("produce --count 2000 --seed 4 --poison-rate 2% --duplicate-rate 3%").expect(0);
    env.run("inventory --until-end").expect(0);
    let (decisions, group) = (env.topic("inventory-events"), env.topic("inventory-consumer-group"));
    let document = env.document(&format!("audit --decisions {decisions} --group {group} --ordered-by restaurant_id"));
    assert_eq!((&document["verdict"], violated(&document)), (&json!("clean"), vec![]), "{document}");
    let repeated = document["repeated_orders"].as_u64().expect("a count");
    assert!((20..100).contains(&repeated), "{repeated}");
    assert_eq!(document["decisions"], env.read("inventory-events").len());
    assert_eq!(checked(&document, "no-line-lost"), env.read("inventory-events").len() as u64);
}

/// A change of the events, with its name and the violations that it causes.
type Damage = (&'static str, fn(&mut Vec<Event>), &'static [(&'static str, u64, &'static str)]);

fn without(events: &mut Vec<Event>, index: usize) {
    events.remove(index);
}

fn faults(env: &TestEnv) {
    let cases: [Damage; 10] = [
        ("torn", |events| without(events, 1), &[("no-line-lost", 1, "torn_transaction")]),
        ("lost", |events| without(events, 2), &[("no-line-lost", 1, "lost_write")]),
        ("lost line of two equal ones", |events| without(events, 3), &[("no-line-lost", 1, "torn_transaction")]),
        ("all lost", Vec::clear, &[("no-line-lost", 7, "lost_write")]),
        ("doubled", |events| events.extend_from_within(1..3), &[("no-line-doubled", 2, "duplicate")]),
        (
            "invented",
            |events| events[2].order = "e",
            &[("no-line-lost", 1, "lost_write"), ("no-line-invented", 1, "invented_write")],
        ),
        ("altered quantity", |events| events[1].quantity = 3, &[("lines-as-ordered", 1, "wrong_value")]),
        ("wrong action", |events| events[2].action = "reserve", &[("lines-as-ordered", 1, "wrong_value")]),
        ("rejected without reason", |events| events[6].action = "reject", &[("lines-as-ordered", 1, "wrong_value")]),
        (
            "foreign item",
            |events| events[1].item = "q",
            &[("no-line-lost", 1, "torn_transaction"), ("lines-as-ordered", 1, "wrong_value")],
        ),
    ];
    for (index, (name, change, expected)) in cases.into_iter().enumerate() {
        let env = env.other(&index.to_string());
        let mut events = events();
        change(&mut events);
        service(&env, &events, 4);
        let document = env.run(&audit(&env, "--witnesses 3")).expect(3).document();
        let expected: Vec<(String, u64, String)> =
            expected.iter().map(|(name, count, kind)| ((*name).to_owned(), *count, (*kind).to_owned())).collect();
        assert_eq!((violated(&document), &document["verdict"]), (expected, &json!("violated")), "{name}: {document}");
        if name == "altered quantity" {
            let first = first(&document, "lines-as-ordered");
            assert_eq!([&first["expected"], &first["seen"]], ["reserve 2 × y", "reserve 3 × y"]);
            let records = first["records"].as_array().expect("records");
            let places = records.iter().map(|record| (&record["role"], &record["partition"], &record["offset"]));
            let expected = [(&json!("order"), &json!(0), &json!(0)), (&json!("event"), &json!(0), &json!(1))];
            assert_eq!(places.collect::<Vec<_>>(), expected);
            assert_eq!((&records[1]["key"], &records[1]["state"]), (&json!("r"), &json!("committed")));
            assert!(records[1]["value"].as_str().is_some_and(|value| value.contains("\"quantity\":3")), "{first}");
        }
        if name == "all lost" {
            let lost = document["checks"].as_array().and_then(|checks| checks.first()).expect("a check");
            assert_eq!(lost["more"].as_array().map(Vec::len), Some(2), "{lost}");
            assert_eq!(lost["first"]["records"][0]["offset"], 0);
        }
    }
}

fn claims(env: &TestEnv) {
    let cases: [Damage; 3] = [
        ("key", |events| events[1].key = "a", &[("keys-are-kept", 1, "wrong_value")]),
        // Both lines of order a come after the event of order b.
        ("swapped", |events| events[..3].rotate_right(1), &[("order-is-kept", 1, "non_monotonic")]),
        ("another partition", |events| events[2].partition = 1, &[("order-is-kept", 1, "non_monotonic")]),
    ];
    for (name, change, expected) in cases {
        let env = env.other(&name.replace(' ', ""));
        let mut events = events();
        change(&mut events);
        service(&env, &events, 4);
        let document = env.run(&audit(&env, "--ordered-by restaurant_id")).expect(3).document();
        let expected: Vec<(String, u64, String)> =
            expected.iter().map(|(name, count, kind)| ((*name).to_owned(), *count, (*kind).to_owned())).collect();
        assert_eq!(violated(&document), expected, "{name}: {document}");
        env.run(&audit(&env, "")).expect(0);
    }
}

fn repeated(env: &TestEnv) {
    service(env, &events(), 4);
    put_orders(env, &ORDERS[..1]);
    put_orders(env, &[("a", "r", "placed", &[("y", 7)])]);
    env.set_offsets("alice", "order-events", &[(0, 6)]);
    let document = env.run(&audit(env, "")).expect(3).document();
    assert_eq!(violated(&document), [("no-line-lost".to_owned(), 3, "lost_write".to_owned())]);
    assert_eq!((&document["orders"], &document["repeated_orders"]), (&json!(6), &json!(2)));
    put_events(env, &events()[..2]);
    put_events(env, &[Event { item: "y", quantity: 7, ..events().remove(0) }]);
    let document = env.run(&audit(env, "--ordered-by order_id")).expect(3).document();
    assert_eq!(violated(&document), [("keys-are-kept".to_owned(), 10, "wrong_value".to_owned())]);
    env.run(&audit(env, "--ordered-by restaurant_id")).expect(0);
}

fn uncommitted(env: &TestEnv) {
    // All events are there, but only two orders are committed.
    service(env, &events(), 2);
    let document = env.run(&audit(env, "")).expect(3).document();
    assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")));
    assert_eq!((&document["orders"], checked(&document, "no-line-lost")), (&json!(2), 3));
    assert_eq!(document["uncommitted"], 2);
    let unproved = document["unproved"].as_array().expect("sentences");
    assert!(
        unproved.len() == 1 && unproved[0].as_str().is_some_and(|text| text.starts_with("4 events ")),
        "{document}"
    );
    // A live service is about to commit them.
    let member = GroupMember::member(env, &env.topic("alice"), &env.topic("order-events"), &[]);
    let document = env.run(&audit(env, "")).expect(0).document();
    assert_eq!((&document["live"], &document["verdict"]), (&json!(true), &json!("clean")));
    drop(member);
}

fn foreign_records(env: &TestEnv) {
    service(env, &events(), 4);
    env.put("order-events", &[(0, None, Some(b"bad")), (0, None, Some(br#"{"event_type":"Other"}"#))]);
    env.set_offsets("alice", "order-events", &[(0, 6)]);
    env.put("stock", &[(1, None, Some(br#"{"event_type":"StockCounted","items":[]}"#))]);
    let run = env.run(&audit(env, "")).expect(0);
    assert!(run.stderr.contains("1 record of other event types"), "{}", run.stderr);
    env.put("stock", &[(1, None, Some(b"\x1b[2J")), (1, None, None)]);
    let document = env.run(&audit(env, "--witnesses 2")).expect(3).document();
    assert_eq!(violated(&document), [("lines-as-ordered".to_owned(), 2, "wrong_value".to_owned())]);
    assert_eq!(first(&document, "lines-as-ordered")["records"][0]["value"], "\\u{1b}[2J");
}

fn gone(env: &TestEnv) {
    service(env, &events(), 4);
    // The events of orders that are gone are not invented.
    env.delete_records("order-events", 0, 2);
    let document = env.run(&audit(env, "")).expect(3).document();
    assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")), "{document}");
    assert_eq!(document["unproved"].as_array().map(Vec::len), Some(2), "{document}");
    let env = env.other("events");
    // Lines whose events may be gone are not lost; an event about an unknown order is invented.
    service(&env, &events(), 4);
    env.delete_records("stock", 0, 2);
    let document = env.run(&audit(&env, "")).expect(3).document();
    assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")), "{document}");
    put_events(&env, &[Event { order: "nothing", ..events().remove(0) }]);
    let document = env.run(&audit(&env, "")).expect(3).document();
    assert_eq!(violated(&document), [("no-line-invented".to_owned(), 1, "invented_write".to_owned())]);
}

/// No record is missing, but the topics and the group do not prove it.
fn maybe_gone(env: &TestEnv) {
    let unproved = |env: &TestEnv, expected: &str| {
        let document = env.run(&audit(env, "")).expect(3).document();
        assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")), "{document}");
        let sentences = document["unproved"].as_array().expect("sentences");
        assert!(
            sentences.len() == 1 && sentences[0].as_str().is_some_and(|text| text.contains(expected)),
            "{document}"
        );
    };
    service(env, &events(), 9);
    unproved(env, "is above its end");
    env.set_offsets("alice", "order-events", &[(0, 4)]);
    env.run(&audit(env, "")).expect(0);
    for topic in ["stock", "order-events"] {
        env.set_config(topic, "cleanup.policy", "compact");
        unproved(env, &format!("{} is compacted", env.topic(topic)));
        env.set_config(topic, "cleanup.policy", "delete");
    }
}

/// A service that reads uncommitted records may have committed an offset above the start of an open transaction.
fn open(env: &TestEnv) {
    service(env, &events(), 4);
    let producer = transactional(env);
    begin(env, &producer, "order-events", &["no order"]);
    env.set_offsets("alice", "order-events", &[(0, 5)]);
    let document = env.run(&audit(env, "--timeout 3s")).expect(3).document();
    assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")), "{document}");
    let topic = env.topic("order-events");
    let reason = format!("orders were not read after the start of an open transaction on {topic}/0");
    assert_eq!(document["unproved"], json!([reason]));
    assert_eq!(document["covered"][0]["end"], 4);
    // The transaction is waited for.
    let waiting = env.start(&audit(env, ""));
    producer.abort_transaction(STEP_TIMEOUT).expect("aborted");
    assert_eq!(waiting.end().expect(0).document()["covered"][0]["end"], 5);
}

fn refused(env: &TestEnv) {
    let missing = env.run(&audit(env, "")).expect(7);
    assert!(missing.stderr.contains("order-events does not exist"), "{}", missing.stderr);
    env.create_topic("order-events", 1, &[]);
    let missing = env.run(&audit(env, "")).expect(7);
    assert!(missing.stderr.contains(&format!("{} does not exist", env.topic("stock"))), "{}", missing.stderr);
    let same = format!("audit --decisions {} --group g", env.topic("order-events"));
    env.run(&same).expect(2);
    env.create_topic("stock", 1, &[]);
    let document = env.run(&audit(env, "")).expect(3).document();
    assert_eq!(document["verdict"], "unproved");
    assert!(
        document["unproved"][0].as_str().is_some_and(|text| text.contains("has committed no offsets")),
        "{document}"
    );
    // A client may commit the position at which it began.
    put_orders(env, ORDERS);
    env.set_offsets("alice", "order-events", &[(0, 0)]);
    let document = env.run(&audit(env, "")).expect(3).document();
    assert_eq!((&document["verdict"], &document["uncommitted"]), (&json!("unproved"), &json!(4)));
    assert!(document["unproved"].to_string().contains("none of what is there"), "{document}");
    // Without the prefix that the user forgot.
    let short = env.run("audit --decisions stock --group g").expect(7);
    // The topic of another test may be named.
    let named = short.stderr.split_once("--decisions needs the full name; ").map(|(_, rest)| rest);
    assert!(named.is_some_and(|rest| rest.contains(".stock exists")), "{}", short.stderr);
}

/// Our own service commits its events and its offsets in transactions while it is audited.
fn live(env: &TestEnv) {
    let produce = env.start("produce --rate 2000/s --count 100000 --seed 3");
    until("there are orders", || env.topics().contains(&env.topic("order-events")).then_some(()));
    let inventory = env.start("inventory --commit-interval 20ms");
    until("some are decided", || (env.progress("inventory-consumer-group", "order-events") > 0).then_some(()));
    let (decisions, group) = (env.topic("inventory-events"), env.topic("inventory-consumer-group"));
    let mut orders = 0;
    for _ in 0..5 {
        let document =
            env.document(&format!("audit --decisions {decisions} --group {group} --ordered-by restaurant_id"));
        assert_eq!((&document["verdict"], &document["live"]), (&json!("clean"), &json!(true)), "{document}");
        let now = document["orders"].as_u64().expect("a count");
        assert!(now >= orders && now > 0, "{now} after {orders}");
        orders = now;
    }
    drop((produce, inventory));
}

/// The responses with records arrive late, and the topic is created again in the meantime.
fn recreated(env: &TestEnv) {
    service(env, &events(), 4);
    let proxy = Proxy::new(&env.broker);
    proxy.add(Rule::new(ApiKey::Fetch, Action::Delay(Duration::from_secs(2))));
    let audit = env.through(&proxy.address()).start(&audit(env, ""));
    until("the scan begins", || (proxy.replies(ApiKey::Fetch) > 0).then_some(()));
    env.delete_topic("stock");
    env.create_topic("stock", 2, &[]);
    let run = audit.end().expect(7);
    let expected = format!("topic {} was deleted and created again", env.topic("stock"));
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
}

fn stopped(env: &TestEnv) {
    env.run("produce --count 20000 --seed 1 --partitions 1").expect(0);
    env.run("inventory --until-end").expect(0);
    let proxy = Proxy::new(&env.broker);
    // Each response has few records, and after the first ones no response arrives.
    proxy.add(Rule::new(ApiKey::Fetch, Action::Delay(STEP_TIMEOUT)).every(20));
    let through = env.through(&proxy.address());
    let (decisions, group) = (env.topic("inventory-events"), env.topic("inventory-consumer-group"));
    let audit = through.start(&format!(
        "audit --decisions {decisions} --group {group} --output json -X fetch.message.max.bytes=20000"
    ));
    until("some records are read", || (proxy.replies(ApiKey::Fetch) >= 19).then_some(()));
    audit.signal(Signal::INT);
    let document = audit.end().expect(130).document();
    assert_eq!((violated(&document), &document["verdict"]), (vec![], &json!("unproved")), "{document}");
    assert_eq!(document["unproved"][0], "stopped before everything was read");
    let end = document["covered"][0]["end"].as_i64().expect("an end");
    assert!((1..20_000).contains(&end) && document["orders"] == end, "{document}");
}
