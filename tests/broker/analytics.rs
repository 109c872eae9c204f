//! Metrics of `analytics`: equal for any number of instances, for live runs and scans, and across kills.

#![allow(clippy::disallowed_methods, reason = "one case waits for the wall clock to advance")]

use std::fs::File;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Case;
use super::groups::{
    GROUP, OffsetWatch, SHORT_TIMEOUTS, assert_offsets_match_positions, offsets, produce_and_decide, run_pipeline,
    until_members,
};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("analytics::instances_and_full_scan_give_same_metrics", same_metrics),
    ("analytics::waits_for_whole_group_before_reporting", waits_for_group),
    ("analytics::metrics_ignore_wall_clock", no_wall_clock),
    ("analytics::resumes_and_totals_add_up", resumes),
    ("analytics::live_run_prints_lines_and_stops_cleanly", live),
    ("analytics::counts_each_record_once_across_kills", killed),
];

fn same_metrics(env: &TestEnv) {
    produce_and_decide(env, 3_000);
    let pass = env.run("analytics --from-beginning --group pass --output json").expect(0).stdout;
    let text = env.run("analytics --from-beginning --group pass --metrics-file pass.txt --full").expect(0).stdout;
    assert_eq!(std::fs::read_to_string(env.dir().join("pass.txt")).expect("written"), text);
    for count in [1, 2, 4] {
        let instances: Vec<_> = (0..count)
            .map(|number| {
                let file = format!("{count}-{number}.txt");
                env.start(&format!("analytics --until-end --group of{count} --output json --metrics-file {file}"))
            })
            .collect();
        for (number, instance) in instances.into_iter().enumerate() {
            assert_eq!(instance.end().expect(0).stdout, pass, "instance {number} of {count}");
            let file = std::fs::read_to_string(env.dir().join(format!("{count}-{number}.txt"))).expect("written");
            assert_eq!(file, text, "the file of instance {number} of {count}");
        }
        assert_offsets_match_positions(env, &format!("of{count}"));
    }
    assert_offsets_match_positions(env, "pass");
    assert!(text.contains("Total Orders") && text.contains("3000"), "{text}");
}

/// One instance is slow. The other one finishes its partitions early and must wait before it reports.
fn waits_for_group(env: &TestEnv) {
    produce_and_decide(env, 3_000);
    let whole = env.document("analytics --from-beginning --group pass");
    let slow = env.start(&format!("analytics --until-end --throttle 1500/s --output json {SHORT_TIMEOUTS}"));
    until_members(env, GROUP, 1);
    let fast = env.start("analytics --until-end --output json");
    let fast = fast.end().expect(0).document();
    assert_eq!(fast, whole);
    for (ends, offsets) in [env.settled_watermarks("order-events"), env.settled_watermarks("inventory-events")]
        .iter()
        .zip(offsets(env, GROUP))
    {
        let ends: Vec<Option<i64>> = ends.iter().map(|(_, end)| Some(*end)).collect();
        assert_eq!(offsets, ends, "every member had read to the end before the report");
    }
    assert_eq!(slow.end().expect(0).document(), whole);
}

/// Event times are years old: a metric that used the wall clock would find no order in the current minute.
fn no_wall_clock(env: &TestEnv) {
    env.run("produce --count 1000 --seed 7 --partitions 3 --start-time 2020-01-01T00:00:00Z").expect(0);
    env.run("inventory --until-end").expect(0);
    let first = env.run("analytics --from-beginning --output json").expect(0).stdout;
    let document: Value = serde_json::from_str(&first).expect("a document");
    let minutes = document["orders_by_minute"].as_object().expect("minutes");
    let (newest, count) = minutes.iter().next_back().expect("a minute");
    assert!(newest.starts_with("2020-01-01T00:0"), "{newest}");
    assert_eq!(document["current_orders_per_minute"], *count);
    let year = env.read("order-events")[0].timestamp;
    assert!(year > 1_600_000_000_000, "record timestamps are the wall clock");
    until("the wall clock has advanced by 2 s", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        (now > u128::try_from(year).expect("positive") + 2_000).then_some(())
    });
    let second = env.run("analytics --from-beginning --output json").expect(0).stdout;
    assert_eq!(first, second, "byte for byte");
}

fn resumes(env: &TestEnv) {
    run_pipeline(env, 700);
    env.run("produce --count 500 --seed 8").expect(0);
    let orders = env.document("analytics --until-end");
    assert_eq!(orders["total_orders"], 1_200);
    assert_ne!(orders["inventory"]["pending_orders"], 0, "not decided yet");
    env.run("inventory --until-end").expect(0);
    let both = env.document("analytics --until-end");
    assert_eq!(both["inventory"]["pending_orders"], 0);
    assert_eq!(both, env.document("analytics --from-beginning --group pass"));
    let file = std::fs::read_to_string(env.dir().join("metrics_output.txt")).expect("written");
    assert_eq!(env.run("analytics --until-end --full").expect(0).stdout, file);
}

fn live(env: &TestEnv) {
    run_pipeline(env, 500);
    let lines = env.dir().join("lines.txt");
    let mut command = env.command("analytics --every 200ms");
    let out = File::create(&lines).expect("a file");
    let mut shown = command.stdout(out).stderr(Stdio::null()).spawn().expect("started");
    let second = env.start("analytics --output json --metrics-file second.txt");
    until_members(env, GROUP, 2);
    env.run("produce --count 300 --seed 8").expect(0);
    env.run("inventory --until-end").expect(0);
    let whole = env.run("analytics --from-beginning --group pass").expect(0).stdout;
    let full = env.run("analytics --until-end --group pass --full").expect(0).stdout;
    let ends: Vec<Vec<Option<i64>>> = ["order-events", "inventory-events"]
        .iter()
        .map(|topic| env.settled_watermarks(topic).iter().map(|(_, end)| Some(*end)).collect())
        .collect();
    until("the group has reached the end", || (offsets(env, GROUP) == ends).then_some(()));
    until("a line shows all orders", || {
        let text = std::fs::read_to_string(&lines).expect("readable");
        (text.lines().count() >= 3 && text.lines().last().is_some_and(|line| line.contains("800"))).then_some(())
    });
    kill_process(Pid::from_raw(i32::try_from(shown.id()).expect("a pid")).expect("a pid"), Signal::INT)
        .expect("signalled");
    assert_eq!(shown.wait().expect("ended").code(), Some(0));
    let text = std::fs::read_to_string(&lines).expect("readable");
    assert!(text.ends_with(&whole), "the output ends with the report of the whole group: {text}");
    let file = std::fs::read_to_string(env.dir().join("metrics_output.txt")).expect("written");
    assert_eq!(file, full);
    second.signal(Signal::TERM);
    let document = second.end().expect(0).document();
    assert_eq!(document["total_orders"], 800);
    assert_offsets_match_positions(env, GROUP);
}

/// With an instance id, so that each successor takes over at once.
fn killed(env: &TestEnv) {
    env.run("produce --count 100 --seed 1 --partitions 3").expect(0);
    let produce = env.start("produce --rate 3000/s --duration 120s --seed 7");
    let inventory = env.start("inventory");
    // Reads offsets without waiting for the transaction that a kill has left open: the successor must end it.
    let watch = OffsetWatch::new(env, GROUP);
    for _ in 0..6 {
        let before = watch.offsets();
        let analytics = env.start(&format!("analytics --instance-id one --commit-interval 20ms {SHORT_TIMEOUTS}"));
        until("new offsets are committed", || (watch.offsets() != before).then_some(()));
        analytics.signal(Signal::KILL);
        assert_eq!(analytics.end().code(), -1);
    }
    produce.signal(Signal::INT);
    produce.end().expect(130);
    inventory.signal(Signal::INT);
    inventory.end().expect(0);
    env.run("inventory --until-end").expect(0);
    let counted = env.document(&format!("analytics --until-end --instance-id one {SHORT_TIMEOUTS}"));
    assert_eq!(counted, env.document("analytics --from-beginning --group pass"));
    assert_eq!(counted["total_orders"], env.read("order-events").len());
    assert_offsets_match_positions(env, GROUP);
}
