//! Owns the proof that the metrics are one and the same, whoever counts them, and whatever happens on the way.

#![allow(clippy::disallowed_methods, reason = "the test of the wall clock must see it move")]

use std::fs::File;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Case;
use super::groups::{GROUP, SHORT, Watch, assert_agree, counted, decided, offsets, until_members};
use super::support::{Lab, until};

pub const CASES: &[Case] = &[
    ("analytics::one_two_four_instances_and_one_pass_give_one_document", one_document),
    ("analytics::metrics_are_not_taken_before_the_group_has_drained", drained),
    ("analytics::the_wall_clock_is_in_no_metric", no_wall_clock),
    ("analytics::it_resumes_and_totals_add_up", resumes),
    ("analytics::live_it_shows_lines_and_stops_cleanly_with_the_groups_numbers", live),
    ("analytics::killed_again_and_again_it_counts_each_record_once", killed),
];

fn one_document(lab: &Lab) {
    decided(lab, 3_000);
    let pass = lab.run("analytics --from-beginning --group pass --output json").expect(0).stdout;
    let text = lab.run("analytics --from-beginning --group pass --metrics-file pass.txt").expect(0).stdout;
    assert_eq!(std::fs::read_to_string(lab.folder().join("pass.txt")).expect("written"), text);
    for count in [1, 2, 4] {
        let instances: Vec<_> = (0..count)
            .map(|number| {
                let file = format!("{count}-{number}.txt");
                lab.start(&format!("analytics --until-end --group of{count} --output json --metrics-file {file}"))
            })
            .collect();
        for (number, instance) in instances.into_iter().enumerate() {
            assert_eq!(instance.end().expect(0).stdout, pass, "instance {number} of {count}");
            let file = std::fs::read_to_string(lab.folder().join(format!("{count}-{number}.txt"))).expect("written");
            assert_eq!(file, text, "the file of instance {number} of {count}");
        }
        assert_agree(lab, &format!("of{count}"));
    }
    assert_agree(lab, "pass");
    assert!(text.contains("Total Orders") && text.contains("3000"), "{text}");
}

/// One instance is slow; the other, long done with its own, must not speak before it.
fn drained(lab: &Lab) {
    decided(lab, 3_000);
    let whole = lab.document("analytics --from-beginning --group pass");
    let slow = lab.start(&format!("analytics --until-end --throttle 1500/s --output json {SHORT}"));
    until_members(lab, GROUP, 1);
    let fast = lab.start("analytics --until-end --output json");
    let fast = fast.end().expect(0).document();
    assert_eq!(fast, whole);
    for (ends, offsets) in
        [lab.settled("order-events"), lab.settled("inventory-events")].iter().zip(offsets(lab, GROUP))
    {
        let ends: Vec<Option<i64>> = ends.iter().map(|(_, end)| Some(*end)).collect();
        assert_eq!(offsets, ends, "the whole group was there when it spoke");
    }
    assert_eq!(slow.end().expect(0).document(), whole);
}

/// Event time is long ago: a metric read off the wall clock would find no order in its current minute.
fn no_wall_clock(lab: &Lab) {
    lab.run("produce --count 1000 --seed 7 --partitions 3 --start-time 2020-01-01T00:00:00Z").expect(0);
    lab.run("inventory --until-end").expect(0);
    let first = lab.run("analytics --from-beginning --output json").expect(0).stdout;
    let document: Value = serde_json::from_str(&first).expect("a document");
    let minutes = document["orders_by_minute"].as_object().expect("minutes");
    let (newest, count) = minutes.iter().next_back().expect("a minute");
    assert!(newest.starts_with("2020-01-01T00:0"), "{newest}");
    assert_eq!(document["current_orders_per_minute"], *count);
    let year = lab.read("order-events")[0].timestamp;
    assert!(year > 1_600_000_000_000, "records carry the wall clock, and nothing is counted by it");
    until("the clock to show another second", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        (now > u128::try_from(year).expect("positive") + 2_000).then_some(())
    });
    let second = lab.run("analytics --from-beginning --output json").expect(0).stdout;
    assert_eq!(first, second, "byte for byte");
}

fn resumes(lab: &Lab) {
    counted(lab, 700);
    lab.run("produce --count 500 --seed 8").expect(0);
    let orders = lab.document("analytics --until-end");
    assert_eq!(orders["total_orders"], 1_200);
    assert_ne!(orders["inventory"]["pending_orders"], 0, "not decided yet");
    lab.run("inventory --until-end").expect(0);
    let both = lab.document("analytics --until-end");
    assert_eq!(both["inventory"]["pending_orders"], 0);
    assert_eq!(both, lab.document("analytics --from-beginning --group pass"));
    let file = std::fs::read_to_string(lab.folder().join("metrics_output.txt")).expect("written");
    assert_eq!(lab.run("analytics --until-end").expect(0).stdout, file);
}

fn live(lab: &Lab) {
    counted(lab, 500);
    let lines = lab.folder().join("lines.txt");
    let mut command = lab.command("analytics --every 200ms");
    let out = File::create(&lines).expect("a file");
    let mut shown = command.stdout(out).stderr(Stdio::null()).spawn().expect("started");
    let second = lab.start("analytics --output json --metrics-file second.txt");
    until_members(lab, GROUP, 2);
    lab.run("produce --count 300 --seed 8").expect(0);
    lab.run("inventory --until-end").expect(0);
    let whole = lab.run("analytics --from-beginning --group pass").expect(0).stdout;
    let ends: Vec<Vec<Option<i64>>> = ["order-events", "inventory-events"]
        .iter()
        .map(|topic| lab.settled(topic).iter().map(|(_, end)| Some(*end)).collect())
        .collect();
    until("the group to reach the end", || (offsets(lab, GROUP) == ends).then_some(()));
    until("a line with all orders", || {
        let text = std::fs::read_to_string(&lines).expect("readable");
        (text.lines().count() >= 3 && text.lines().last().is_some_and(|line| line.contains("800"))).then_some(())
    });
    kill_process(Pid::from_raw(i32::try_from(shown.id()).expect("a pid")).expect("a pid"), Signal::INT)
        .expect("signalled");
    assert_eq!(shown.wait().expect("ended").code(), Some(0));
    let text = std::fs::read_to_string(&lines).expect("readable");
    assert!(text.ends_with(&whole), "it ends with the whole group's report: {text}");
    let file = std::fs::read_to_string(lab.folder().join("metrics_output.txt")).expect("written");
    assert_eq!(file, whole);
    second.signal(Signal::TERM);
    let document = second.end().expect(0).document();
    assert_eq!(document["total_orders"], 800);
    assert_agree(lab, GROUP);
}

/// Under a name, so that each successor takes over at once.
fn killed(lab: &Lab) {
    lab.run("produce --count 100 --seed 1 --partitions 3").expect(0);
    let produce = lab.start("produce --rate 3000/s --duration 120s --seed 7");
    let inventory = lab.start("inventory");
    // Without waiting for the transaction that a kill has left open: the successor is to end it.
    let watch = Watch::new(lab, GROUP);
    for _ in 0..6 {
        let seen = watch.look();
        let analytics = lab.start(&format!("analytics --instance-id one --commit-interval 20ms {SHORT}"));
        until("it has committed something new", || (watch.look() != seen).then_some(()));
        analytics.signal(Signal::KILL);
        assert_eq!(analytics.end().code(), -1);
    }
    produce.signal(Signal::INT);
    produce.end().expect(130);
    inventory.signal(Signal::INT);
    inventory.end().expect(0);
    lab.run("inventory --until-end").expect(0);
    let counted = lab.document(&format!("analytics --until-end --instance-id one {SHORT}"));
    assert_eq!(counted, lab.document("analytics --from-beginning --group pass"));
    assert_eq!(counted["total_orders"], lab.read("order-events").len());
    assert_agree(lab, GROUP);
}
