//! Benchmarks of `audit`: time and memory next to `analytics --from-beginning` over the same topics, and of a chain.
//!
//! `cargo bench --bench audit` uses an embedded broker over files; with `FOODSTREAM_TEST_BROKER=host:port` it uses that
//! Kafka, and leaves its topics there (prefix `bench-audit-…`). `FOODSTREAM_BENCH_ORDERS` sets the number of orders
//! (1000000; memory is also measured with four times as many), `FOODSTREAM_BENCH_KEYS` the number of keys of the chain
//! (5000000), `FOODSTREAM_BENCH_ROUNDS` the number of rounds (3).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark uses the clock, the environment and stdout"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What one run of a command took.
struct Measured {
    wall: f64,
    /// CPU seconds of the process, without the broker.
    cpu: f64,
    /// Peak of the resident memory in MB.
    megabytes: u64,
}

/// CPU seconds and peak resident memory in kB of a running process (Linux).
fn usage(pid: u32) -> Option<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may contain spaces. User and system time are the 14th and 15th field, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some((ticks / 100.0, peak.trim().trim_end_matches(" kB").parse().ok()?))
}

fn run(directory: &Path, broker: &[String], prefix: &str, line: &str) -> Measured {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command.args(line.split(' ')).args(["-q", "--prefix", prefix]).args(broker).current_dir(directory);
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("started");
    let (mut cpu, mut peak) = (0.0, 0);
    let status = loop {
        if let Some((seconds, kilobytes)) = usage(child.id()) {
            (cpu, peak) = (seconds, kilobytes);
        }
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{line}: {status}");
    Measured { wall: started.elapsed().as_secs_f64(), cpu, megabytes: peak / 1024 }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn show(name: &str, runs: &[Measured]) {
    let megabytes = runs.iter().map(|run| run.megabytes).max().unwrap_or(0);
    let wall = median(runs.iter().map(|run| run.wall));
    let cpu = median(runs.iter().map(|run| run.cpu));
    println!("{name:<48} {wall:>7.2} s {cpu:>7.2} CPU s {megabytes:>5} MB");
}

fn main() {
    let orders = number("FOODSTREAM_BENCH_ORDERS", 1_000_000);
    let keys = number("FOODSTREAM_BENCH_KEYS", 5_000_000);
    let rounds = number("FOODSTREAM_BENCH_ROUNDS", 3);
    let directory = tempfile::tempdir().expect("a directory");
    let run = |prefix: &str, line: &str| {
        let broker = match std::env::var("FOODSTREAM_TEST_BROKER") {
            Ok(address) => vec!["-b".to_owned(), address],
            Err(_) => vec!["-b".to_owned(), "embedded".to_owned()],
        };
        run(directory.path(), &broker, &format!("bench-audit-{}-{prefix}.", std::process::id()), line)
    };
    println!("median of {rounds}; memory is the largest peak");
    for orders in [orders, 4 * orders] {
        let prefix = orders.to_string();
        run(&prefix, &format!("produce --count {orders} --seed 1"));
        run(&prefix, "inventory --until-end");
        let (mut audits, mut passes) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            passes.push(run(&prefix, "analytics --from-beginning --no-commit"));
            audits.push(run(&prefix, "audit"));
        }
        show(&format!("analytics --from-beginning, {orders} orders"), &passes);
        show(&format!("audit, {orders} orders"), &audits);
        let ratio = |of: fn(&Measured) -> f64| median(audits.iter().map(of)) / median(passes.iter().map(of));
        println!("ratio {:.2}, of CPU time {:.2}", ratio(|run| run.wall), ratio(|run| run.cpu));
    }
    // The same seed gives the same order ids.
    let process = std::process::id();
    for side in ["in", "out"] {
        run(side, &format!("produce --count {keys} --seed 1"));
    }
    let [input, output] = ["in", "out"].map(|side| format!("bench-audit-{process}-{side}.order-events"));
    let chain = format!("audit --in {input} --out {output} --match /order_id");
    show(&format!("audit of a chain, {keys} keys"), &[run("in", &chain)]);
}
