//! Metrics with more rows than are printed: all are compared, some are shown, and the number of omitted rows is
//! reported.

use serde_json::{Value, json};

use super::Case;
use super::support::TestEnv;

pub const CASES: &[Case] = &[("many_rows::shows_some_rows_and_compares_all", many_minutes)];

/// More minutes than the printed tables have rows.
const MINUTES: u64 = 10_050;

fn rows(document: &Value) -> [usize; 2] {
    let minutes = document["by_minute"].as_array().expect("rows");
    [minutes.len(), document["orders_by_minute"].as_object().expect("rows").len()]
}

fn many_minutes(env: &TestEnv) {
    env.run(&format!("produce --count {MINUTES} --orders-per-minute 1 --shape flat --seed 3 --partitions 2")).expect(0);
    env.create_topic("inventory-events", 2, &[]);
    let run = env.run("analytics --until-end --output json --report report.json").expect(0);
    assert!(run.stderr.contains("10,050 minutes and ") && run.stderr.contains("--full"), "{}", run.stderr);
    let document = run.document();
    assert_eq!((rows(&document), &document["total_orders"]), ([10_000, 10_000], &json!(MINUTES)));
    assert_eq!(document["left_out"], json!({"orders_by_minute": 50, "by_minute": 50, "by_restaurant": 0}));
    let read = |name: &str| std::fs::read_to_string(env.dir().join(name)).expect(name);
    assert_eq!(serde_json::from_str::<Value>(&read("report.json")).expect("JSON"), document);

    let full = env.document("analytics --until-end --full");
    assert_eq!((rows(&full), full.get("left_out")), ([usize::try_from(MINUTES).expect("small"); 2], None));
    let newest = |document: &Value| document["by_minute"].as_array().expect("rows").last().cloned();
    assert_eq!(newest(&document), newest(&full), "the newest rows are shown");
    assert_ne!(document["by_minute"][0], full["by_minute"][0]);

    // Files contain every row.
    let lines =
        |name: &str| read(name).lines().filter(|line| line.starts_with("  20") && line.ends_with(": 1")).count();
    assert_eq!(lines("metrics_output.txt") as u64, MINUTES);
    let text = env.run("replay --html page.html").expect(0);
    assert!(text.stdout.contains("\nMinutes (10,050), restaurants ("), "{}", text.stdout);
    assert!(text.stdout.lines().last().is_some_and(|line| line.starts_with("Verdict: identical")), "{}", text.stdout);
    assert!(!text.stderr.contains("of each are shown"), "a short text has no rows: {}", text.stderr);
    let full = env.run("analytics --until-end --full").expect(0);
    assert_eq!(full.stdout, read("metrics_output.txt"));
    assert_eq!((lines("metrics_initial.txt") as u64, lines("metrics_after_replay.txt") as u64), (MINUTES, MINUTES));
    assert!(
        read("page.html").contains("10 000 of 10 050 minutes")
            || read("page.html").contains("10,000 of 10,050 minutes")
    );

    // A deleted order in a minute that is not among the newest: a row that differs comes first.
    env.delete_records("order-events", 0, 1);
    let run = env.run("replay --output json").expect(3);
    let document = run.document();
    assert_eq!(document["verdict"], "different");
    let gone = document["differences"].as_array().expect("differences").iter();
    let mut gone = gone.filter_map(|found| found["metric"].as_str()?.strip_prefix("by_minute[")?.split(']').next());
    let gone = gone.next_back().expect("a minute").to_owned();
    let before = document["before"]["by_minute"].as_array().expect("rows");
    assert_eq!((before.len(), &before[0]["minute"]), (10_000, &json!(gone)), "the oldest row, because it differs");
    assert!(document.get("differences_left_out").is_none());
}
