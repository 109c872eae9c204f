//! Undamaged runs of every shape are clean for `audit`; what cannot be proved is never called clean.

use serde_json::Value;

use super::Case;
use super::audit::{good, parallel, violated};
use super::audit_copy::{DEAD_LETTERS, DECISIONS, End, LEDGER, Logs, ORDERS};
use super::groups::SHORT_TIMEOUTS;
use super::invariants::{GROUP, TopicSnapshot, audit_agrees};
use super::records::{Outgoing, write};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("audit::undamaged_runs_of_all_shapes_are_clean", shapes),
    ("audit::undamaged_copies_are_clean", copies),
    ("audit::a_live_run_is_clean", live),
    ("audit::what_is_gone_is_unproved", unproved),
];

/// A shape: its name, and the commands that make it.
type Shape = (&'static str, &'static [&'static str]);

const SHAPES: &[Shape] = &[
    ("one", &["produce --count 1 --partitions 3", "inventory --until-end"]),
    ("bad", &["produce --count 40 --poison-rate 100% --partitions 2", "inventory --until-end"]),
    ("repeated", &["produce --count 200 --duplicate-rate 50% --partitions 2", "inventory --until-end"]),
    ("failed", &["produce --count 50 --failure-rate 100% --partitions 2", "inventory --until-end"]),
    ("no-stock", &["produce --count 100 --partitions 2", "inventory --until-end --opening-stock 0"]),
    ("unlimited", &["produce --count 100 --partitions 2", "inventory --until-end --opening-stock unlimited"]),
    (
        "restocks",
        &[
            "produce --count 300 --partitions 1 --items 2 --restaurants 2 --orders-per-minute 20",
            "inventory --until-end --opening-stock 20 --restock-every 1m",
        ],
    ),
    ("partitions", &["produce --count 300 --partitions 16 --restaurants 5", "inventory --until-end"]),
    (
        "readers",
        &[
            "produce --count 100 --partitions 2",
            "inventory --until-end",
            "analytics --from-beginning",
            "analytics --until-end --group other",
            "produce --count 100",
            "inventory --until-end",
            "analytics --until-end",
            "replay",
        ],
    ),
    ("in-part", &["produce --count 100 --partitions 2", "inventory --until-end", "produce --count 100"]),
];

/// Requires that the independent checker and `audit` find nothing.
fn assert_clean(env: &TestEnv, what: &str) -> Value {
    let violations = TopicSnapshot::of(env).violations();
    assert!(violations.is_empty(), "{what}: {violations:#?}");
    let run = env.run("audit --output json");
    assert_eq!(run.code(), 0, "{what}: {}\n{}", run.stdout, run.stderr);
    let document = run.document();
    assert_eq!(document["verdict"], "clean", "{what}: {document:#}");
    assert!(violated(&document).is_empty(), "{what}: {document:#}");
    document
}

fn shapes(env: &TestEnv) {
    parallel(SHAPES, |_, (name, commands)| -> Option<()> {
        let env = env.other(name);
        commands.iter().for_each(|command| drop(env.run(command).expect(0)));
        assert_clean(&env, name);
        None
    });
    let empty = env.other("empty");
    empty.create_topic(ORDERS, 2, &[]);
    empty.run("inventory --until-end").expect(0);
    assert_eq!(assert_clean(&empty, "empty")["orders"], 0);
    let originals = env.other("originals");
    originals.run("produce --count 60 --partitions 2 --seed 1").expect(0);
    let event = r#"{"event_type": "InventoryEvent", "order_id": "order-1", "item_id": "item_4", "quantity": 3, "action": "reserve", "timestamp": "2025-03-01T09:30:16"}"#;
    originals.create_topic(DECISIONS, 2, &[]);
    write(&originals, DECISIONS, &[Outgoing::new(0, Some(b"order-1"), Some(event.as_bytes()))]);
    originals.run("inventory --until-end").expect(0);
    write(&originals, DECISIONS, &[Outgoing::new(1, None, Some(event.as_bytes()))]);
    assert_clean(&originals, "events of the original");
    let nothing = env.other("nothing").run("audit").expect(7);
    assert!(nothing.stderr.contains("order-events"), "{}", nothing.stderr);
}

/// A change of a good run that breaks nothing.
type Change = (&'static str, fn(&mut Logs));

const CHANGES: &[Change] = &[
    ("unchanged", |_| {}),
    ("compacted ledger", |logs| {
        for partition in 0..2 {
            let mut seen = std::collections::BTreeSet::new();
            for span in logs.partition(LEDGER, partition).iter_mut().rev() {
                let mut kept: Vec<_> = span.records.drain(..).rev().collect();
                kept.retain(|record| seen.insert(record.key.clone()));
                span.records = kept.into_iter().rev().collect();
            }
            logs.partition(LEDGER, partition).retain(|span| !span.records.is_empty());
        }
    }),
    ("aborted transactions at the tails", |logs| {
        for topic in [ORDERS, DECISIONS, LEDGER, DEAD_LETTERS] {
            for partition in 0..2 {
                let record = logs.get(logs.find(topic, |_| true)).clone();
                logs.append(topic, partition, record.clone(), End::Abort);
                logs.append(topic, partition, record, End::Abort);
            }
        }
    }),
    ("aborted transactions at the heads", |logs| {
        for topic in [DECISIONS, LEDGER, DEAD_LETTERS] {
            for partition in 0..2 {
                let mut first = logs.partition(topic, partition)[0].clone();
                first.end = End::Abort;
                logs.partition(topic, partition).splice(0..0, [first.clone(), first]);
            }
        }
        logs.forget_readers();
    }),
    ("outputs without transactions", |logs| {
        for topic in [DECISIONS, LEDGER, DEAD_LETTERS] {
            for partition in 0..2 {
                logs.partition(topic, partition).retain(|span| span.end == End::Commit);
                logs.partition(topic, partition).iter_mut().for_each(|span| span.end = End::Plain);
            }
        }
        logs.forget_readers();
    }),
];

fn copies(env: &TestEnv) {
    let good = good(env);
    parallel(CHANGES, |number, (name, change)| -> Option<()> {
        let mut logs = good.clone();
        change(&mut logs);
        let copy = logs.write(env.other(&format!("{number}")));
        assert_clean(&copy.env, name);
        None
    });
}

/// Audits again and again while orders are produced, decided and counted, and while a member is killed.
fn live(env: &TestEnv) {
    let mut produce = env.start("produce --rate 400/s --count 100000 --partitions 3 --poison-rate 2% --seed 8");
    until("the topic exists", || (!env.topics().is_empty()).then_some(()));
    let inventory = format!("inventory {SHORT_TIMEOUTS} --commit-interval 50ms");
    let mut members = vec![env.start(&inventory), env.start(&inventory)];
    let analytics = env.start(&format!("analytics {SHORT_TIMEOUTS} --commit-interval 50ms"));
    until("orders are decided", || (env.progress(GROUP, ORDERS) > 100).then_some(()));
    let (mut audits, mut lives, mut orders) = (0, 0, 0);
    while audits < 5 || orders <= 500 {
        assert!(!produce.has_ended(), "orders are still produced");
        let run = env.run("audit --output json");
        let document = run.document();
        assert_eq!(run.code(), 0, "audit {audits}: {document:#}\n{}", run.stderr);
        audits += 1;
        lives += i32::from(document["live"] == true);
        let judged = document["orders"].as_u64().expect("a count");
        assert!(judged >= orders, "{judged} orders after {orders}");
        orders = judged;
        if audits == 3 {
            members.swap_remove(0).kill();
        }
    }
    assert!(lives >= 4, "{audits} audits, {lives} of a live group");
    produce.signal(rustix::process::Signal::INT);
    produce.end().expect(130);
    for process in members.into_iter().chain([analytics]) {
        process.signal(rustix::process::Signal::INT);
        process.end().expect(0);
    }
    env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    assert_eq!(assert_clean(env, "after the run")["live"], false);
    eprintln!("{audits} audits of a live run");
}

/// Its name, a part of the sentence that says what cannot be proved, and what it does.
type Loss = (&'static str, &'static str, fn(&TestEnv));

/// Records and offsets that are gone.
const GONE: &[Loss] = &[
    ("orders", "order-events/0 are gone", |env| env.delete_records(ORDERS, 0, 5)),
    ("decisions", "decisions of partition 0", |env| env.delete_records(DECISIONS, 0, 5)),
    ("letters", "dead letters of partition 0", |env| env.delete_records(DEAD_LETTERS, 0, 1)),
    ("all-orders", "order-events/1 are gone", |env| {
        env.delete_records(ORDERS, 1, env.watermarks(ORDERS)[1].1);
    }),
    ("all-decisions", "decisions of partition 1", |env| {
        env.delete_records(DECISIONS, 1, env.watermarks(DECISIONS)[1].1);
    }),
    ("compacted", "inventory-events is compacted", |env| env.set_config(DECISIONS, "cleanup.policy", "compact")),
    ("created-again", "deleted and created again", |env| {
        env.delete_topic(ORDERS);
        env.create_topic(ORDERS, 2, &[]);
        env.run("produce --count 120 --seed 3 --poison-rate 10%").expect(0);
    }),
    ("truncated", "orders are gone", |env| {
        let end = env.watermarks(ORDERS)[0].1;
        env.set_offsets(GROUP, ORDERS, &[(0, end + 100)]);
    }),
];

fn unproved(env: &TestEnv) {
    parallel(GONE, |index, (name, named, change)| -> Option<()> {
        let env = env.other(name);
        env.run("produce --count 120 --seed 3 --poison-rate 10% --partitions 2").expect(0);
        env.run("inventory --until-end").expect(0);
        if index == 0 {
            audit_agrees(&env);
        }
        change(&env);
        let run = env.run("audit --output json").expect(3);
        let document = run.document();
        let sentences = document["unproved"].to_string();
        assert!(sentences.contains(named), "{name}: {document:#}");
        // The offset beyond the end contradicts the ledger. With a topic its offsets are deleted, and nothing is claimed.
        let expected: &[&str] = if *name == "truncated" { &["position-equals-offset"] } else { &[] };
        assert_eq!(violated(&document).iter().collect::<Vec<_>>(), expected, "{name}: {document:#}");
        None
    });
    let undecided = env.other("undecided");
    undecided.run("produce --count 20 --partitions 2").expect(0);
    let run = undecided.run("audit --output json").expect(3);
    assert_eq!(run.document()["verdict"], "unproved", "{}", run.stdout);
    assert!(run.document()["unproved"].to_string().contains("committed no offsets"), "{}", run.stdout);
}
