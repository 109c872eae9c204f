//! The workload of most cases: orders at a fixed rate, two members in each group, a lag watch, scans and replays; and
//! the check of the data afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::exit_table::{ExitRule, ExitTable};
use super::invariants::TopicSnapshot;
use super::inventory_model::InventoryModel;
use super::processes::Processes;
use super::support::TestEnv;

pub const INVENTORY: &str = "inventory-consumer-group";
pub const ANALYTICS: &str = "analytics-consumer-group";
/// The default stock settings of `inventory`.
const OPENING_STOCK: i64 = 100;
const RESTOCK_MILLIS: i64 = 3_600_000;

/// Time limit for a group to commit again on a healthy cluster: a session timeout, a rebalance and a restore, with
/// reserve for a busy machine.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(1);

/// Command lines whose ends are checked by other cases.
pub const PRODUCE: &str = "produce --count 1000000 --rate 100/s --poison-rate 0.5% --output json";
pub const NAMED_INVENTORY: &str = "inventory --instance-id till";
pub const NAMED_ANALYTICS: &str = "analytics --instance-id desk";

/// Starts the processes of the workload; `args` are added to each command line.
pub fn start<'env>(env: &'env TestEnv, rule: ExitRule, args: &str) -> Processes<'env> {
    let with = |command: &str| format!("{command} {args}").trim_end().to_owned();
    let mut processes = Processes::new(env, rule);
    processes.start(&with(PRODUCE));
    until_orders_arrive(&mut processes);
    processes.start(&with("inventory"));
    processes.start(&with(NAMED_INVENTORY));
    processes.start(&with("analytics --metrics-file one.txt"));
    processes.start(&with("analytics --instance-id desk --metrics-file desk.txt"));
    until_at_work(&mut processes);
    processes.start(&with("lag --watch 500ms"));
    processes.repeat("scans", &[&with("analytics --from-beginning --no-commit --metrics-file scan.txt")]);
    processes.repeat("shadows", &[&with("replay --shadow")]);
    start_replays(&mut processes, args);
    processes
}

/// The topics whose analytics group is replayed continuously, separate from those of the case.
const REPLAYED: &str = "replayed";
const REPLAYED_ORDERS: u64 = 2000;

/// Starts continuous replays.
pub fn start_replays(processes: &mut Processes<'_>, args: &str) {
    let env = processes.env().other(REPLAYED);
    env.run(&format!("produce --count {REPLAYED_ORDERS} --seed 6")).expect(0);
    // Twice, so that there is a switch to undo even if a replay fails before its own.
    for _ in 0..2 {
        env.run("analytics --from-beginning").expect(0);
    }
    let commands = ["replay", "replay --undo", "analytics --from-beginning"].map(|command| format!("{command} {args}"));
    processes.repeat_in_env(env, "replays", &commands.each_ref().map(|args| args.trim_end()));
}

/// Problems of the group that was replayed, if there is one.
fn replay_problems(env: &TestEnv) -> Vec<String> {
    let env = env.other(REPLAYED);
    if env.topics().is_empty() {
        return Vec::new();
    }
    let run = env.run("replay --shadow --output json");
    let document: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let counted = &document["after"]["total_orders"];
    let right = run.code() == 0 && document["verdict"] == "identical" && *counted == REPLAYED_ORDERS;
    if right { Vec::new() } else { vec![format!("replays: exit {}, {counted} orders\n{}", run.code(), run.stderr)] }
}

/// Waits for the topic of the orders.
pub fn until_orders_arrive(processes: &mut Processes<'_>) {
    wait(processes, "orders arrive", |env| !env.topics().is_empty());
}

/// Waits until both groups have committed this many orders; returns the groups that have not.
pub fn until_all_is_read(processes: &Processes<'_>, orders: i64) -> Vec<String> {
    let env = processes.fresh_env();
    let mut problems = Vec::new();
    for (command, group) in [("inventory", INVENTORY), ("analytics", ANALYTICS)] {
        let start = Instant::now();
        while processes.runs(command) && env.progress(group, "order-events") < orders {
            if start.elapsed() > PROGRESS_TIMEOUT {
                problems.push(format!("{command}: some orders are not read after {PROGRESS_TIMEOUT:?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    problems
}

/// Waits for the first commits of both groups.
pub fn until_at_work(processes: &mut Processes<'_>) {
    wait(processes, "inventory commits", |env| env.progress(INVENTORY, "order-events") > 0);
    wait(processes, "analytics commits", |env| env.progress(ANALYTICS, "inventory-events") > 0);
}

/// Waits until both groups have committed more than now; returns the groups that have not.
pub fn until_progress(processes: &Processes<'_>) -> Vec<String> {
    let env = processes.fresh_env();
    let groups = [("inventory", INVENTORY), ("analytics", ANALYTICS)];
    let mut problems = Vec::new();
    let before = groups.map(|(_, group)| env.progress(group, "order-events"));
    for ((command, group), before) in groups.into_iter().zip(before) {
        let start = Instant::now();
        // A process that has ended is in the table and makes no more progress.
        while processes.runs(command) && processes.runs("produce") && env.progress(group, "order-events") <= before {
            if start.elapsed() > PROGRESS_TIMEOUT {
                problems.push(format!("{command}: no commit for {PROGRESS_TIMEOUT:?} on a healthy cluster"));
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    problems
}

fn wait(processes: &mut Processes<'_>, what: &str, holds: impl Fn(&TestEnv) -> bool) {
    let env = processes.fresh_env();
    let start = Instant::now();
    while !holds(&env) {
        assert!(
            start.elapsed() < PROGRESS_TIMEOUT,
            "timed out after {PROGRESS_TIMEOUT:?} waiting until {what}\n{}",
            processes.finish()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stops everything and prints the table of ends.
pub fn stop(name: &str, processes: &mut Processes<'_>) -> ExitTable {
    let table = processes.finish();
    eprintln!("{name}:\n{table}");
    table
}

/// Checks the ends, the data after both groups have read everything, and the problems that the case found.
pub fn check(name: &str, processes: &Processes<'_>, table: &ExitTable, mut problems: Vec<String>) {
    problems.extend(table.problems());
    match check_data(&processes.fresh_env(), table.documents("produce").first()) {
        Ok(reported) => eprintln!("  {reported}"),
        Err(problems_found) => {
            problems.extend(problems_found);
            std::fs::write(processes.env().dir().join(MARKER), "").expect("written");
        }
    }
    problems.extend(replay_problems(&processes.fresh_env()));
    assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
}

/// A marker file that is written if the data is wrong.
const MARKER: &str = "data-is-wrong";

/// Whether the check has found wrong data.
pub fn has_wrong_data(env: &TestEnv) -> bool {
    env.dir().join(MARKER).exists()
}

/// [`stop`] and [`check`].
pub fn finish(name: &str, processes: &mut Processes<'_>, problems: Vec<String>) {
    let table = stop(name, processes);
    check(name, processes, &table, problems);
}

/// Checks the data after all processes have stopped: every order is decided once, metrics match the model, and every
/// record that `produce` reports as acknowledged exists.
pub fn check_data(env: &TestEnv, produced: Option<&Value>) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    // The members with instance ids stay in their groups until their sessions expire. A process with the same instance
    // id need not wait for that.
    let commands = [format!("{NAMED_INVENTORY} --until-end"), format!("{NAMED_ANALYTICS} --until-end --output json")];
    let mut metrics = Value::Null;
    for args in commands {
        let run = env.run(&args);
        if run.code() == 0 {
            metrics = serde_json::from_str(&run.stdout).unwrap_or_default();
        } else {
            problems.push(format!("`{args}` after the case: exit {}\n{}", run.code(), run.stderr));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let violations = TopicSnapshot::read(env, OPENING_STOCK, RESTOCK_MILLIS).violations();
    problems.extend(violations.0.into_iter().map(|(name, what)| format!("{name}: {what}")));

    let orders = env.read("order-events");
    let mut counts = BTreeMap::<&str, u64>::new();
    let mut ids = BTreeMap::<String, u64>::new();
    for partition in 0..env.partitions("order-events") {
        let mut model = InventoryModel::default();
        for record in orders.iter().filter(|record| record.partition == partition) {
            model.apply(record, OPENING_STOCK, RESTOCK_MILLIS);
        }
        for (name, count) in model.counts {
            *counts.entry(name).or_default() += count;
        }
        for (_, decision) in model.decisions.iter().filter(|(_, decision)| decision["line"] == 0) {
            *ids.entry(decision["order_id"].to_string()).or_default() += 1;
        }
    }
    problems
        .extend(ids.iter().filter(|(_, count)| **count > 1).map(|(id, count)| format!("order {id}: {count} times")));
    let stock = &metrics["inventory"];
    let reported = [
        ("orders", &metrics["total_orders"]),
        ("reserved", &stock["reserved_orders"]),
        ("rejected", &stock["rejected_orders"]),
        ("released", &stock["released_orders"]),
    ];
    for (name, reported) in reported {
        let count = counts.get(name).copied().unwrap_or(0);
        if reported.as_u64() != Some(count) {
            problems.push(format!("metrics: {count} {name}, analytics says {reported}"));
        }
    }
    if let Some(produced) = produced {
        let (reported, failed) = (&produced["acknowledged"], &produced["failed"]);
        if reported.as_u64() != u64::try_from(orders.len()).ok() || *failed != 0 {
            problems.push(format!("produce: {reported} acknowledged, {failed} failed; {} records", orders.len()));
        }
    }
    let count = counts.get("orders").copied().unwrap_or(0);
    if problems.is_empty() { Ok(format!("{count} orders, none lost or duplicated")) } else { Err(problems) }
}
