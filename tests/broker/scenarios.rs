//! Owns the scripts of `scenarios/` as cases: as they are on a broker of their own, with one number made false on the suite's
//! broker; interrupted, orphaned, kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use super::support::{Lab, Run, Running, until};

pub const CASES: &[Case] = &[
    ("scenarios::ten_thousand", |lab| plays(lab, "ten-thousand")),
    ("scenarios::throttled_lag", |lab| plays(lab, "throttled-lag")),
    ("scenarios::replay", |lab| plays(lab, "replay")),
    ("scenarios::crash", |lab| plays(lab, "crash")),
    ("scenarios::scale_out", |lab| plays(lab, "scale-out")),
    ("scenarios::bad_records", |lab| plays(lab, "bad-records")),
    ("scenarios::an_interrupted_script_leaves_nothing_behind_and_tells_of_a_part", interrupted),
    ("scenarios::who_plays_a_script_and_is_killed_takes_its_processes_along", orphaned),
    ("scenarios::a_wait_that_is_never_over_fails_with_what_stood_there", missed),
];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"))
}

/// `scenario run`, without the laboratory's own broker and prefix.
fn run(lab: &Lab, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command
        .args(["scenario", "run"])
        .args(words)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .current_dir(lab.folder())
        .stdin(Stdio::null());
    command
}

fn ended(lab: &Lab, words: &[&str]) -> Run {
    Running::start(run(lab, words), &words.join(" ")).end()
}

/// On the suite's broker, under the laboratory's prefix.
fn on_the_cluster<'a>(lab: &'a Lab, file: &'a str) -> [&'a str; 5] {
    [file, "-b", &lab.broker, "--prefix", &lab.prefix]
}

/// As it is on a broker of its own; with one number made false on the suite's broker, where everything else still holds.
fn plays(lab: &Lab, name: &str) {
    let path = script(name);
    let document = ended(lab, &[path.to_str().expect("a path"), "--output", "json"]).expect(0).document();
    assert_eq!(document["verdict"], "passed", "{document:#}");
    let reports = lab.folder().join("scenario-report");
    let page = fs::read_to_string(reports.join(format!("{name}.html"))).expect("a page");
    assert!(page.contains("</html>") && page.contains(name));
    let kept: Value =
        serde_json::from_slice(&fs::read(reports.join(format!("{name}.json"))).expect("a document")).expect("JSON");
    assert_eq!(kept, document);

    let (line, text) = falsified(&fs::read_to_string(&path).expect("read"));
    fs::write(lab.folder().join("false.toml"), text).expect("written");
    let words: Vec<&str> = on_the_cluster(lab, "false.toml").into_iter().chain(["--junit", "results.xml"]).collect();
    let run = ended(lab, &words).expect(3);
    assert!(run.stdout.contains("FAILED") && run.stdout.contains("false.toml:"), "{}", run.stdout);
    let document: Value =
        serde_json::from_slice(&fs::read(reports.join(format!("{name}.json"))).expect("a document")).expect("JSON");
    let outcomes = document["expectations"].as_array().expect("a list");
    let failed: Vec<&Value> = outcomes.iter().filter(|outcome| outcome["held"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    let begins = usize::try_from(failed[0]["line"].as_u64().expect("a line")).expect("small");
    assert!(begins <= line && line < begins + 8, "{failed:#?} is not what line {line} expects");
    let results = fs::read_to_string(lab.folder().join("results.xml")).expect("results");
    let count = |mark: &str| results.matches(mark).count();
    assert_eq!((count("<testsuite "), count("<testcase "), count("<failure ")), (1, outcomes.len(), 1), "{results}");
    assert_eq!(lab.topics(), Vec::<String>::new(), "what a script has made is deleted");
}

/// The script with the first whole number that an expectation names made another, and the line of that.
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

/// The processes that a scenario has started under the laboratory's prefix.
fn processes(lab: &Lab) -> usize {
    let folders = fs::read_dir("/proc").expect("listed").flatten();
    folders
        .filter(|folder| {
            let line = fs::read(folder.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains("--leash") && line.contains(&lab.prefix)
        })
        .count()
}

fn interrupted(lab: &Lab) {
    let path = script("throttled-lag");
    let words = on_the_cluster(lab, path.to_str().expect("a path"));
    for (signal, code) in [(Signal::INT, 130), (Signal::HUP, 129)] {
        let playing = Running::start(run(lab, &words), "throttled-lag");
        // The consumer works, and orders come.
        until("two processes", || (processes(lab) == 2).then_some(()));
        playing.signal(signal);
        let run = playing.end().expect(code);
        assert!(run.stdout.contains("interrupted"), "{}", run.stdout);
        assert_eq!(processes(lab), 0);
        assert_eq!(lab.topics(), Vec::<String>::new());
        let report = lab.folder().join("scenario-report/throttled-lag.json");
        let document: Value = serde_json::from_slice(&fs::read(&report).expect("a partial report")).expect("JSON");
        assert_eq!(document["verdict"], "interrupted");
        assert_eq!(document["steps"].as_array().expect("a list").len(), 2, "{document:#}");
        fs::remove_file(report).expect("removed");
    }
}

fn orphaned(lab: &Lab) {
    let path = script("throttled-lag");
    let words = on_the_cluster(lab, path.to_str().expect("a path"));
    let mut playing = Running::start(run(lab, &words), "throttled-lag");
    until("two processes", || (processes(lab) == 2).then_some(()));
    playing.kill();
    until("the end of its processes", || (processes(lab) == 0).then_some(()));
}

fn missed(lab: &Lab) {
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
    fs::write(lab.folder().join("never.toml"), text).expect("written");
    let begin = std::time::Instant::now();
    let run = ended(lab, &on_the_cluster(lab, "never.toml")).expect(3);
    assert!(run.stdout.contains("never.toml:9") && run.stdout.contains("within 300ms"), "{}", run.stdout);
    assert!(begin.elapsed() < Duration::from_mins(1));
}
