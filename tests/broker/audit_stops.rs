//! `audit` that is stopped while it reads, and topics that change while they are read.

use foodstream::broker::ApiKey;
use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use super::audit::{checked, parallel, violated};
use super::audit_copy::{DEAD_LETTERS, DECISIONS, LEDGER, ORDERS};
use super::proxy::{Action, BlackHole, Proxy, Rule};
use super::support::{Run, TestEnv, until};

pub const CASES: &[Case] = &[
    ("audit::a_stop_reports_what_was_judged", stopped),
    ("audit::a_stop_after_the_reading_keeps_the_report", stopped_afterwards),
    ("audit::topics_that_change_while_they_are_read", changed),
    ("audit::topics_that_change_while_it_starts", started),
];

/// Small responses, so that a stop comes between them.
const SMALL: &str = "audit --output json -X max.partition.fetch.bytes=20000";

fn run(env: &TestEnv) {
    env.run("produce --count 8000 --seed 4 --partitions 3 --poison-rate 2%").expect(0);
    env.run("inventory --until-end").expect(0);
}

fn stopped(env: &TestEnv) {
    run(env);
    let bad = env.read(DEAD_LETTERS).len() as u64;
    // From this reply on the audit gets no further one.
    let stops = [1, 4, 8, 16, 24, 32, 42, 52];
    let judged = parallel(&stops, |_, stop| {
        let proxy = Proxy::new(&env.broker);
        proxy.add(Rule::new(ApiKey::Fetch, Action::BlackHole(BlackHole::Both)).only(*stop));
        let mut running = env.through(&proxy.address()).start(SMALL);
        let mut has_stopped = false;
        until("the replies end", || {
            has_stopped = proxy.black_hole_since().is_some();
            (has_stopped || running.has_ended()).then_some(())
        });
        if !has_stopped {
            // How many replies it needs depends on what the broker puts into one.
            running.end().expect(0);
            return None;
        }
        running.signal(Signal::INT);
        let run = running.end().expect(130);
        let document = run.document();
        assert_eq!(document["verdict"], "unproved", "{stop}: {document:#}");
        assert!(violated(&document).is_empty(), "{stop}: {document:#}");
        assert!(document["unproved"].to_string().contains("stopped"), "{stop}: {document:#}");
        let covered = document["covered"].as_array().expect("ranges").iter();
        let own = covered.filter(|range| range["topic"] == env.topic(ORDERS));
        let offsets = |range: &Value, name: &str| range[name].as_i64().expect("an offset");
        let covered = own.map(|range| offsets(range, "end") - offsets(range, "start")).sum::<i64>();
        // Nothing counts as checked that was only read.
        let [lines, sources, recomputed, letters] =
            ["one-decision-per-line", "decisions-have-a-source", "decisions-recompute", "dead-letters-once"]
                .map(|name| checked(&document, name));
        assert_eq!((sources, recomputed), (lines, lines), "{stop}: {document:#}");
        assert!(covered > 0 || lines == 0, "{stop}: {document:#}");
        assert!(letters <= bad, "{stop}: {document:#}");
        Some(covered)
    });
    assert!(judged.len() >= 5, "{} audits were stopped", judged.len());
    // A late stop may come when all orders and decisions were read, and dead letters were not.
    assert!(judged.iter().any(|offsets| (1..8_000).contains(offsets)), "{judged:?}");
}

/// The last reply of its kind comes after everything was read, and never arrives.
fn stopped_afterwards(env: &TestEnv) {
    env.run("produce --count 200 --seed 4 --partitions 1").expect(0);
    env.run("inventory --until-end").expect(0);
    env.put(ORDERS, &[(0, Some(b"without an output"), Some(b"{}"))]);
    let [orders, decisions, group] = [ORDERS, DECISIONS, "inventory-consumer-group"].map(|name| env.topic(name));
    let service = format!("audit --decisions {decisions} --group {group} --output json");
    let chain = format!("audit --in {orders} --out {decisions} --match /order_id --fan-out at-least-one --output json");
    let uncommitted = format!("{chain} --isolation read_uncommitted");
    let cases = [
        (&service, ApiKey::ListOffsets),
        (&service, ApiKey::OffsetFetch),
        (&chain, ApiKey::ListOffsets),
        // The last one is about the records of the evidence.
        (&uncommitted, ApiKey::ListOffsets),
    ];
    parallel(&cases, |_, (args, api_key)| -> Option<()> {
        let proxy = Proxy::new(&env.broker);
        let whole = env.through(&proxy.address()).run(args).document();
        let replies = proxy.replies(*api_key);
        let proxy = Proxy::new(&env.broker);
        proxy.add(Rule::new(*api_key, Action::BlackHole(BlackHole::Both)).only(replies));
        let mut running = env.through(&proxy.address()).start(args);
        until("the replies end", || {
            assert!(!running.has_ended(), "{args}: the audit ended early");
            proxy.black_hole_since().map(drop)
        });
        running.signal(Signal::INT);
        let document = running.end().expect(130).document();
        assert_eq!(document["unproved"].to_string(), r#"["stopped before everything was judged"]"#, "{args}");
        for same in ["orders", "decisions", "group", "covered"] {
            assert_eq!(document[same], whole[same], "{args}: {document:#}");
        }
        assert_eq!(violated(&document), violated(&whole), "{args}");
        None
    });
}

/// A change: its name, a part of the answer, and what it does.
type Change = (&'static str, &'static str, fn(&TestEnv));

const CHANGES: &[Change] = &[
    ("deleted", "order-events was deleted while it was read", |env| env.delete_topic(ORDERS)),
    ("created-again", "order-events was deleted and created again while it was read", |env| {
        env.delete_topic(ORDERS);
        env.create_topic(ORDERS, 3, &[]);
    }),
    ("decisions-created-again", "inventory-events was deleted and created again while it was read", |env| {
        env.delete_topic(DECISIONS);
        env.create_topic(DECISIONS, 3, &[]);
    }),
    ("records-deleted", "were deleted while it was read: it began at offset 0", |env| {
        for (partition, (_, end)) in (0..).zip(env.watermarks(ORDERS)) {
            env.delete_records(ORDERS, partition, end);
        }
    }),
];

fn changed(env: &TestEnv) {
    parallel(CHANGES, |_, (name, words, change)| -> Option<()> {
        let env = env.other(name);
        run(&env);
        let proxy = Proxy::new(&env.broker);
        // Slow enough to stop it in the middle.
        proxy.add(Rule::new(ApiKey::Fetch, Action::Delay(std::time::Duration::from_millis(40))));
        let mut running = env.through(&proxy.address()).start(&format!("{SMALL} --timeout 8s"));
        until("records are read", || {
            assert!(!running.has_ended(), "{name}: the audit ended early");
            (proxy.replies(ApiKey::Fetch) >= 10).then_some(())
        });
        proxy.stall();
        change(&env);
        proxy.clear();
        proxy.resume();
        let run = running.end();
        assert_eq!(run.code(), 7, "{name}: {}\n{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(words), "{name}: {}", run.stderr);
        None
    });
}

fn started(env: &TestEnv) {
    env.run("produce --count 50 --seed 4 --partitions 3").expect(0);
    let run = change_at_start(env, |env| drop(env.run("inventory --until-end").expect(0))).expect(0);
    assert_eq!(run.document()["verdict"], "clean", "{}", run.stdout);
    assert_eq!(run.document()["orders"], 50, "{}", run.stdout);
    let run = change_at_start(env, |env| {
        env.delete_topic(LEDGER);
        env.create_topic(LEDGER, 3, &[("cleanup.policy", "compact")]);
    });
    assert_eq!(run.code(), 7, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("inventory-ledger was deleted and created again"), "{}", run.stderr);
}

/// Changes something after an audit has found the topics and before it asks for their offsets.
fn change_at_start(env: &TestEnv, change: impl FnOnce(&TestEnv)) -> Run {
    let proxy = Proxy::new(&env.broker);
    // The group is asked for its members in between.
    proxy.add(Rule::new(ApiKey::DescribeGroups, Action::Delay(std::time::Duration::from_secs(1))));
    let mut running = env.through(&proxy.address()).start("audit --output json");
    until("the topics were found", || {
        assert!(!running.has_ended(), "the audit ended early");
        (proxy.replies(ApiKey::DescribeGroups) >= 1).then_some(())
    });
    proxy.stall();
    change(env);
    proxy.clear();
    proxy.resume();
    running.end()
}
