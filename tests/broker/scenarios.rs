//! The scripts of `scenarios/`: unchanged on a private broker, with one false expectation on the suite's broker,
//! interrupted, and with a killed runner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use foodstream::scenario::CommandDocument;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Case;
use super::support::{Run, Running, TestEnv, until};

pub const CASES: &[Case] = &[
    ("scenarios::ten_thousand", |env| run_script(env, "ten-thousand")),
    ("scenarios::throttled_lag", |env| run_script(env, "throttled-lag")),
    ("scenarios::replay", |env| run_script(env, "replay")),
    ("scenarios::crash", |env| run_script(env, "crash")),
    ("scenarios::scale_out", |env| run_script(env, "scale-out")),
    ("scenarios::bad_records", |env| run_script(env, "bad-records")),
    ("scenarios::interrupted_script_cleans_up_and_reports", interrupted),
    ("scenarios::killed_runner_ends_its_processes", orphaned),
    ("scenarios::missed_wait_fails_with_its_line", endless_wait),
    ("scenarios::a_signal_ends_a_wait_for_a_time", timed_wait),
    ("scenarios::the_last_line_sums_up_several_scripts", summed_up),
];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"))
}

/// `scenario run` without the test's broker and prefix.
fn run(env: &TestEnv, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command
        .args(["scenario", "run"])
        .args(args)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .current_dir(env.dir())
        .stdin(Stdio::null());
    command
}

fn ended(env: &TestEnv, args: &[&str]) -> Run {
    Running::start(run(env, args), &args.join(" ")).end()
}

/// Arguments for the suite's broker and the test's prefix.
fn on_the_cluster<'a>(env: &'a TestEnv, file: &'a str) -> [&'a str; 5] {
    [file, "-b", &env.broker, "--prefix", &env.prefix]
}

/// Runs an embedded script on a private broker, then on the suite's broker with one expected number changed: only that
/// expectation fails.
fn run_script(env: &TestEnv, name: &str) {
    let document = ended(env, &[name, "--output", "json"]).expect(0).document();
    assert_eq!(document["verdict"], "passed", "{document:#}");
    assert_eq!(document["file"], name);
    for step in document["steps"].as_array().expect("a list") {
        let words: Vec<String> = step["run"].as_str().expect("a line").split(' ').map(str::to_owned).collect();
        let expected = CommandDocument::of(&words).map(|document| format!("foodstream.{}/1", document.name()));
        if let Some(schema) = step["document"]["schema"].as_str() {
            assert_eq!(Some(schema), expected.as_deref(), "{}: scripts are checked against this schema", step["run"]);
        }
    }
    let reports = env.dir().join("scenario-report");
    let page = fs::read_to_string(reports.join(format!("{name}.html"))).expect("a page");
    assert!(page.contains("</html>") && page.contains(name));
    let kept: Value =
        serde_json::from_slice(&fs::read(reports.join(format!("{name}.json"))).expect("a document")).expect("JSON");
    assert_eq!(kept, document);

    let (line, text) = falsified(&fs::read_to_string(script(name)).expect("read"));
    fs::write(env.dir().join("false.toml"), text).expect("written");
    let files = ["--junit", "results.xml", "--svg", "lag.svg"];
    let args: Vec<&str> = on_the_cluster(env, "false.toml").into_iter().chain(files).collect();
    let run = ended(env, &args).expect(3);
    assert!(run.stdout.contains("FAILED") && run.stdout.contains("false.toml:"), "{}", run.stdout);
    let document: Value =
        serde_json::from_slice(&fs::read(reports.join(format!("{name}.json"))).expect("a document")).expect("JSON");
    let outcomes = document["expectations"].as_array().expect("a list");
    let failed: Vec<&Value> = outcomes.iter().filter(|outcome| outcome["held"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    let begins = usize::try_from(failed[0]["line"].as_u64().expect("a line")).expect("small");
    assert!(begins <= line && line < begins + 8, "{failed:#?} is not the expectation at line {line}");
    let results = fs::read_to_string(env.dir().join("results.xml")).expect("results");
    let count = |mark: &str| results.matches(mark).count();
    assert_eq!((count("<testsuite "), count("<testcase "), count("<failure ")), (1, outcomes.len(), 1), "{results}");
    let chart = fs::read_to_string(env.dir().join("lag.svg")).expect("a chart");
    assert!(chart.starts_with("<svg ") && chart.contains(&format!(">{name}: lag")), "{chart}");
    assert_eq!(env.topics(), Vec::<String>::new(), "the topics of the script are deleted");
}

/// The script with the first integer of an expectation increased, and its line number.
fn falsified(text: &str) -> (usize, String) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let expects = lines.iter().position(|line| line == "[[expect]]").expect("expectations");
    let (at, number) = lines
        .iter()
        .enumerate()
        .skip(expects)
        .find_map(|(at, line)| Some((at, line.strip_prefix("equals = ")?.parse::<i64>().ok()?)))
        .expect("a whole number");
    lines[at] = format!("equals = {}", number + 1);
    (at + 1, lines.join("\n"))
}

/// Number of processes that scenarios have started under the test's prefix.
fn processes(env: &TestEnv) -> usize {
    let folders = fs::read_dir("/proc").expect("listed").flatten();
    folders
        .filter(|dir| {
            let line = fs::read(dir.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains("--leash") && line.contains(&env.prefix)
        })
        .count()
}

fn interrupted(env: &TestEnv) {
    let path = script("throttled-lag");
    let args = on_the_cluster(env, path.to_str().expect("a path"));
    for (signal, code) in [(Signal::INT, 130), (Signal::HUP, 129)] {
        let playing = Running::start(run(env, &args), "throttled-lag");
        // The consumer runs, and orders arrive.
        until("two processes run", || (processes(env) == 2).then_some(()));
        playing.signal(signal);
        let run = playing.end().expect(code);
        assert!(run.stdout.contains("interrupted"), "{}", run.stdout);
        assert_eq!(processes(env), 0);
        assert_eq!(env.topics(), Vec::<String>::new());
        let report = env.dir().join("scenario-report/throttled-lag.json");
        let document: Value = serde_json::from_slice(&fs::read(&report).expect("a partial report")).expect("JSON");
        assert_eq!(document["verdict"], "interrupted");
        assert_eq!(document["steps"].as_array().expect("a list").len(), 2, "{document:#}");
        fs::remove_file(report).expect("removed");
    }
}

fn orphaned(env: &TestEnv) {
    let path = script("throttled-lag");
    let args = on_the_cluster(env, path.to_str().expect("a path"));
    let mut playing = Running::start(run(env, &args), "throttled-lag");
    until("two processes run", || (processes(env) == 2).then_some(()));
    playing.kill();
    until("its processes have ended", || (processes(env) == 0).then_some(()));
}

fn endless_wait(env: &TestEnv) {
    let text = r#"
name = "never"
description = "A topic that never fills."

[[step]]
name = "orders"
run = "produce --count 7"

[[step]]
wait = { records = "order-events", at_least = 8 }
deadline = "300ms"

[[expect]]
step = "orders"
value = "acknowledged"
equals = 7
"#;
    fs::write(env.dir().join("never.toml"), text).expect("written");
    let begin = std::time::Instant::now();
    let run = ended(env, &on_the_cluster(env, "never.toml")).expect(3);
    assert!(run.stdout.contains("never.toml:9") && run.stdout.contains("within 300 ms"), "{}", run.stdout);
    assert!(begin.elapsed() < Duration::from_mins(1));
}

/// A script with a step that acknowledges seven orders, and this number expected.
fn seven_orders(name: &str, steps: &str, expected: u64) -> String {
    format!(
        "name = \"{name}\"\ndescription = \"Seven orders.\"\n[[step]]\nname = \"orders\"\nrun = \"produce --count 7\"\n{steps}\
         [[expect]]\nstep = \"orders\"\nvalue = \"acknowledged\"\nequals = {expected}\n"
    )
}

/// The time is a minute. Only the signal can end the run before the suite's time limit.
fn timed_wait(env: &TestEnv) {
    let text = seven_orders("timed", "[[step]]\nwait = \"1m\"\n", 7);
    fs::write(env.dir().join("timed.toml"), text).expect("written");
    let log = env.dir().join("timed.log");
    let mut command = run(env, &["timed.toml", "--progress", "plain"]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&log).expect("created"));
    let mut playing = command.spawn().expect("started");
    until("the wait has begun", || fs::read_to_string(&log).expect("read").contains("waiting for 1 min").then_some(()));
    let pid = Pid::from_raw(i32::try_from(playing.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("signalled");
    assert_eq!(playing.wait().expect("ended").code(), Some(130), "{}", fs::read_to_string(&log).expect("read"));
    let report = env.dir().join("scenario-report/timed.json");
    let document: Value = serde_json::from_slice(&fs::read(report).expect("a partial report")).expect("JSON");
    let kinds: Vec<_> = document["events"].as_array().expect("a list").iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["started", "ended", "waiting"], "{document:#}");
}

fn summed_up(env: &TestEnv) {
    let folder = env.dir().join("lab");
    fs::create_dir(&folder).expect("made");
    let wait = "[[step]]\nwait = \"10ms\"\n[[step]]\nwait = { records = \"order-events\", at_least = 7 }\n";
    for (name, expected) in [("a", 7), ("b", 7000), ("c", 7)] {
        fs::write(folder.join(format!("{name}.toml")), seven_orders(name, wait, expected)).expect("written");
    }
    let run = ended(env, &["lab", "--progress", "plain", "--junit", "lab.xml"]).expect(3);
    let last = run.stdout.lines().last().expect("a line");
    assert!(last.starts_with("3 scenarios: 2 passed, 1 failed (b), 2 of 3 expectations held, "), "{}", run.stdout);
    assert!(run.stdout.contains("lab/b.toml:10: acknowledged of orders: expected 7,000, seen 7"), "{}", run.stdout);
    for part in
        ["waiting for 10 ms", "10 ms passed", "waiting until records of order-events at least 7, for at most 1 min"]
    {
        assert!(run.stderr.contains(part), "no {part} in {}", run.stderr);
    }
    let junit = fs::read_to_string(env.dir().join("lab.xml")).expect("results");
    assert!(junit.contains("expected 7,000, seen 7"), "{junit}");
    let kept = fs::read(env.dir().join("scenario-report/b.json")).expect("a document");
    let outcome = serde_json::from_slice::<Value>(&kept).expect("JSON")["expectations"][0].take();
    assert_eq!(
        (&outcome["expected"], &outcome["seen"], &outcome["seen_text"]),
        (&"7,000".into(), &7.into(), &"7".into())
    );
}
