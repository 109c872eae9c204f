//! Commands that are stopped, have a closed or full output, or find topics that do not fit together.
#![allow(clippy::disallowed_methods, reason = "measures how promptly a command ends")]

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use super::support::{Run, Running, STEP_TIMEOUT, TestEnv, until};

pub const CASES: &[Case] = &[
    ("edge_cases::stopped_produce_reports_what_it_wrote", stopped_produce),
    ("edge_cases::stopped_inventory_leaves_no_open_transaction", stopped_inventory),
    ("edge_cases::stopped_analytics_leaves_whole_state_and_files", stopped_analytics),
    ("edge_cases::stopped_scan_changes_no_group_and_no_file", stopped_scans),
    ("edge_cases::stopped_replay_can_be_repeated", stopped_replay),
    ("edge_cases::closed_stdout_is_a_clean_stop", closed_stdout),
    ("edge_cases::full_stdout_exits_8", full_stdout),
    ("edge_cases::full_device_exits_8", full_files),
    ("edge_cases::different_partition_counts_are_refused", partition_counts),
];

/// Limit from the signal to the end of the process. A transaction in flight takes milliseconds, and leaving a group a
/// little more; a busy machine may need ten times that.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Shorter than any transaction timeout here: a transaction that is still open was left open.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Stops a running command, which must end promptly.
fn stop(running: Running, signal: Signal) -> Run {
    let signalled = Instant::now();
    running.signal(signal);
    let run = running.end();
    assert!(signalled.elapsed() < STOP_LIMIT, "{:?} after the signal\n{}", signalled.elapsed(), run.stderr);
    run
}

/// Requires that a `read_committed` reader can read every output topic to its end.
pub fn assert_no_open_transaction(env: &TestEnv) {
    let begin = Instant::now();
    for topic in ["order-events", "inventory-events", "inventory-ledger", "order-events-dlq", "analytics-state"] {
        if !env.topics().contains(&env.topic(topic)) {
            continue;
        }
        while env.try_settled_watermarks(topic).is_none() {
            assert!(begin.elapsed() < SETTLE_TIMEOUT, "a transaction is open on {topic}");
        }
    }
}

/// The files in the working directory, including hidden ones.
fn files(env: &TestEnv) -> Vec<String> {
    let entries = std::fs::read_dir(env.dir()).expect("listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn sum(offsets: &[Option<i64>]) -> i64 {
    offsets.iter().map(|offset| offset.unwrap_or(0)).sum()
}

fn record_count(env: &TestEnv, topic: &str) -> i64 {
    env.watermarks(topic).iter().map(|(low, high)| high - low).sum()
}

fn stopped_produce(env: &TestEnv) {
    for (number, (args, signal, code)) in [
        ("produce --rate 400/s --count 100000", Signal::INT, 130),
        ("produce --rate 400/s --count 100000", Signal::TERM, 143),
        // Unacknowledged records are waited for: the buffer holds no more than a busy broker takes in a moment.
        ("produce --duration 10m -X queue.buffering.max.messages=5000", Signal::INT, 130),
        ("produce --duration 10m --rate 400/s", Signal::TERM, 143),
        ("produce --rate 400/s --count 100000", Signal::HUP, 129),
    ]
    .into_iter()
    .enumerate()
    {
        let env = env.other(&number.to_string());
        let running = env.start(&format!("{args} --partitions 1 --output json --report report.json"));
        until("orders are written", || {
            (env.topics().len() == 1 && env.watermarks("order-events")[0].1 > 20).then_some(())
        });
        let run = stop(running, signal).expect(code);
        let document = run.document();
        assert_eq!(
            document["acknowledged"],
            record_count(&env, "order-events"),
            "{args}: the report matches the topic"
        );
        assert_eq!(document["failed"], 0, "{args}");
        let report: Value =
            serde_json::from_str(&std::fs::read_to_string(env.dir().join("report.json")).expect("a report"))
                .expect("JSON");
        assert_eq!(report, document);
        assert_eq!(files(&env), ["report.json"]);
    }
}

fn stopped_inventory(env: &TestEnv) {
    env.run("produce --count 4000 --seed 1 --partitions 2 --poison-rate 2%").expect(0);
    for (args, signal, code) in [
        ("inventory --until-end --throttle 300/s", Signal::INT, 130),
        ("inventory --until-end --throttle 300/s", Signal::TERM, 143),
        ("inventory --throttle 300/s", Signal::INT, 0),
        ("inventory --throttle 300/s", Signal::TERM, 0),
        ("inventory --until-end --throttle 300/s", Signal::HUP, 129),
        ("inventory --throttle 300/s", Signal::HUP, 0),
    ] {
        let has_run = env.topics().contains(&env.topic("inventory-events"));
        let before = if has_run { sum(&env.committed("inventory-consumer-group", "order-events")) } else { 0 };
        let running = env.start(&format!("{args} --output json"));
        until("the group commits", || {
            (sum(&env.committed("inventory-consumer-group", "order-events")) > before).then_some(())
        });
        let run = stop(running, signal).expect(code);
        assert_no_open_transaction(env);
        let committed = sum(&env.committed("inventory-consumer-group", "order-events"));
        assert!(committed < 4_000, "the command was stopped before its end");
        let document = run.document();
        let counts = ["orders", "dead_letters", "skipped"].map(|name| document[name].as_i64().expect("a count"));
        assert_eq!(counts.iter().sum::<i64>(), committed - before, "{args}: the report matches the committed offsets");
    }
    // In the end every line is decided once.
    env.run("inventory --until-end").expect(0);
    let metrics = env.document("analytics --from-beginning");
    assert_eq!(metrics["inventory"]["pending_orders"], 0);
    let decisions = env.read("inventory-events");
    let mut lines: Vec<_> = decisions
        .iter()
        .map(|decision| {
            let decision = decision.json();
            (decision["source"].to_string(), decision["line"].as_i64())
        })
        .collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), decisions.len(), "no line is decided twice");
}

fn stopped_analytics(env: &TestEnv) {
    env.run("produce --count 3000 --seed 1 --partitions 2").expect(0);
    let position = || sum(&env.committed("analytics-consumer-group", "order-events"));
    for (args, signal, code) in [
        ("analytics --until-end --throttle 300/s", Signal::INT, 130),
        ("analytics --until-end --throttle 300/s", Signal::TERM, 143),
        ("analytics --throttle 300/s", Signal::INT, 0),
        ("analytics --throttle 300/s --every 100ms", Signal::TERM, 0),
        ("analytics --until-end --throttle 300/s", Signal::HUP, 129),
        ("analytics --throttle 300/s --every 100ms", Signal::HUP, 0),
    ] {
        let before = position();
        let running = env.start(&format!("{args} --report report.json"));
        until("the group commits", || (position() > before).then_some(()));
        let run = stop(running, signal).expect(code);
        assert_no_open_transaction(env);
        assert!(position() < 3_000, "the command was stopped before its end");
        let report = std::fs::read_to_string(env.dir().join("report.json")).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["total_orders"], position(), "{args}: the report matches the committed offsets");
        let file = std::fs::read_to_string(env.dir().join("metrics_output.txt")).expect("metrics");
        assert!(file.starts_with(&format!("Total Orders: {}\n", position())), "{file}");
        let counted = position().to_string();
        // Below 3,000, with a separator.
        let counted = if counted.len() > 3 { format!("{},{}", &counted[..1], &counted[1..]) } else { counted };
        let last = format!("metrics_output.txt, or --full\nOrders decided: 0 of {counted}\n");
        assert!(run.stdout.ends_with(&last), "{}", run.stdout);
        assert_eq!(files(env), ["metrics_output.txt", "report.json"]);
    }
}

/// An open transaction of another producer on a topic.
pub struct OpenTransaction(BaseProducer);

impl OpenTransaction {
    fn on(env: &TestEnv, topic: &str) -> Self {
        Self::lasting(env, topic, Duration::from_mins(1))
    }

    /// The broker aborts it after this time.
    pub fn lasting(env: &TestEnv, topic: &str, timeout: Duration) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &env.broker)
            .set("transactional.id", format!("{}foreign", env.prefix))
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .create()
            .expect("a producer");
        producer.init_transactions(STEP_TIMEOUT).expect("initialised");
        producer.begin_transaction().expect("begun");
        let name = env.topic(topic);
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&name).partition(0).payload(b"{}");
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(STEP_TIMEOUT).expect("flushed");
        Self(producer)
    }

    pub fn abort(self) {
        self.0.abort_transaction(STEP_TIMEOUT).expect("aborted");
    }
}

/// A command that waits for another producer's transaction stays in the middle of its work.
fn stopped_scans(env: &TestEnv) {
    env.run("produce --count 500 --seed 1 --partitions 1").expect(0);
    env.run("inventory --until-end").expect(0);
    let open = OpenTransaction::on(env, "inventory-events");
    for (args, signal, code) in [
        ("analytics --from-beginning", Signal::INT, 130),
        ("replay", Signal::TERM, 143),
        ("analytics --until-end", Signal::INT, 130),
    ] {
        let before = env.committed("analytics-consumer-group", "inventory-events");
        let running = env.start(&format!("{args} --report report.json --output json"));
        // Much longer than 500 records take. From outside it is not visible that the command waits.
        let (begin, counts) = (Instant::now(), args.contains("until-end"));
        until("the command has reached the open transaction", || {
            let counted = !counts || env.progress("analytics-consumer-group", "order-events") == 500;
            (counted && begin.elapsed() > Duration::from_millis(1500)).then_some(())
        });
        let run = stop(running, signal).expect(code);
        if counts {
            assert_eq!(run.document()["total_orders"], 500);
            continue;
        }
        assert_eq!(run.stdout, "", "{args}: a partial scan prints nothing");
        assert_eq!(files(env), Vec::<String>::new(), "{args}");
        assert_eq!(env.committed("analytics-consumer-group", "inventory-events"), before, "{args}");
    }
    open.abort();
    assert_no_open_transaction(env);
    env.run("analytics --until-end").expect(0);
    assert_eq!(env.document("replay")["verdict"], "identical");
}

fn stopped_replay(env: &TestEnv) {
    // Many small batches, fetched one at a time, so that the replay can be stopped while it reads.
    env.run("produce --count 1500 --seed 1 --partitions 1 -X batch.num.messages=1").expect(0);
    env.run("inventory --until-end").expect(0);
    let before = env.document("analytics --from-beginning");
    let committed = env.committed("analytics-consumer-group", "order-events");
    let slow = "-X fetch.message.max.bytes=1 -X queued.min.messages=1 -X fetch.queue.backoff.ms=20";
    for (signal, code, hint) in [(Signal::INT, 130, "replay"), (Signal::TERM, 143, "replay --undo")] {
        let mut running = env.start(&format!("replay {slow}"));
        until("the group is rewound", || {
            assert!(!running.has_ended(), "the replay ended before it could be stopped");
            (env.committed("analytics-consumer-group", "order-events") < committed).then_some(())
        });
        let run = stop(running, signal).expect(code);
        assert!(run.stderr.contains(&format!("foodstream {hint}")), "the hint names the next command: {}", run.stderr);
        assert_eq!(run.stdout, "");
        assert_eq!(files(env), ["metrics_output.txt"], "a partial replay leaves no file");
        assert_no_open_transaction(env);

        let document = env.document(hint);
        if hint == "replay" {
            assert_eq!(document["verdict"], "identical");
            assert_eq!(document["before"], before, "the metrics before the stopped replay");
            for file in ["metrics_initial.txt", "metrics_after_replay.txt"] {
                std::fs::remove_file(env.dir().join(file)).expect("it was written");
            }
        } else {
            assert_eq!(document, before, "the state before the replay is restored");
        }
        assert_eq!(env.committed("analytics-consumer-group", "order-events"), committed);
    }
}

/// Commands with enough output. Live analytics runs until its reader closes the pipe.
const COMMANDS: [&str; 5] = [
    "produce --count 300 --seed 1",
    "inventory --until-end",
    "analytics --from-beginning",
    "replay",
    "analytics --every 50ms",
];

fn run_with_stdout(mut command: Command, stdout: Stdio) -> (i32, String) {
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("started");
    let output = child.wait_with_output().expect("ended");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn closed_stdout(env: &TestEnv) {
    for output in ["text", "json"] {
        let env = env.other(output);
        for args in COMMANDS.iter().take(if output == "text" { 5 } else { 4 }) {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let (code, stderr) = run_with_stdout(env.command(&format!("{args} --output {output}")), writer.into());
            assert_eq!(code, 0, "{args}: {stderr}");
            assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{args}: {stderr}");
        }
    }
    // Without a stdout descriptor, as some service managers and scripts start programs.
    let env = env.other("none");
    for args in &COMMANDS[..4] {
        let inner = env.command(args);
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(env.dir()).env_remove("FOODSTREAM_BOOTSTRAP_SERVERS").stdin(Stdio::null());
        let (code, stderr) = run_with_stdout(command, Stdio::null());
        assert_eq!(code, 0, "{args}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args}: {stderr}");
    }
}

fn full_stdout(env: &TestEnv) {
    for args in &COMMANDS[..4] {
        let full = File::options().write(true).open("/dev/full").expect("opened");
        let (code, stderr) = run_with_stdout(env.command(args), full.into());
        assert_eq!(code, 8, "{args}: {stderr}");
        assert!(stderr.contains("stdout cannot be written") && !stderr.contains("panicked"), "{args}: {stderr}");
    }
    // The output is lost, but the work is done.
    let metrics = env.document("analytics --until-end");
    assert_eq!((&metrics["total_orders"], &metrics["inventory"]["pending_orders"]), (&300.into(), &0.into()));
}

/// Errors that are known before the work are tested in `tests/cli/outputs.rs`. A full device fails only when it is
/// written.
fn full_files(env: &TestEnv) {
    env.run("produce --count 10 --seed 1 --partitions 1").expect(0);
    for args in [
        "produce --count 10 --report",
        "inventory --until-end --report",
        "analytics --until-end --metrics-file",
        "analytics --from-beginning --report",
        "replay --initial-file",
        "replay --after-file",
        "replay --dry-run --report",
        "replay --undo --report",
        "lag --csv",
        "lag --report",
        "clean --dry-run --report",
    ] {
        let run = env.run(&format!("{args} /dev/full")).expect(8);
        assert!(run.stderr.contains("/dev/full could not be written"), "{args}: {}", run.stderr);
        assert!(run.stderr.contains("hint:") && !run.stderr.contains("panicked"), "{args}: {}", run.stderr);
    }
}

fn partition_counts(env: &TestEnv) {
    env.create_topic("order-events", 3, &[]);
    env.create_topic("inventory-events", 2, &[]);
    let assert_refused = |run: &Run, numbers: [&str; 2]| {
        assert!(numbers.iter().all(|number| run.stderr.contains(number)), "{}", run.stderr);
        assert!(run.stderr.contains("hint:"), "{}", run.stderr);
    };
    for args in ["produce", "inventory --until-end", "analytics --until-end", "analytics --from-beginning", "replay"] {
        assert_refused(&env.run(args).expect(7), ["inventory-events has 2 partitions", "order-events has 3"]);
    }
    let fitting = env.other("fitting");
    assert_eq!(fitting.document("produce --count 10 --partitions 4")["acknowledged"], 10);
    assert_eq!(fitting.partitions("order-events"), 4);
    assert_refused(
        &fitting.run("produce --count 10 --partitions 5").expect(7),
        ["--partitions 5", "order-events already has 4 partitions"],
    );
    assert_eq!(record_count(&fitting, "order-events"), 10, "a refused run writes nothing");
    assert_eq!(fitting.document("produce --count 10 --partitions 4")["acknowledged"], 10);
    fitting.run("inventory --until-end").expect(0);
    for topic in ["inventory-events", "inventory-ledger", "order-events-dlq"] {
        assert_eq!(fitting.partitions(topic), 4, "{topic}");
    }
    // Without orders the commands decide nothing, but the existing topics must still fit.
    let orphan = env.other("orphan");
    orphan.create_topic("inventory-events", 2, &[]);
    assert_refused(&orphan.run("produce --count 10").expect(7), ["inventory-events has 2 partitions", "6"]);
}
