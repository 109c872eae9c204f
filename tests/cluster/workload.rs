//! What runs in most cases: orders arriving at a rate, two members in each group, a watch on lag, and scans; and the check
//! of the data that they leave.

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
/// The stock settings that `inventory` has by default.
const OPENING_STOCK: i64 = 100;
const RESTOCK_MILLIS: i64 = 3_600_000;

/// How long a group may take until it commits again on a cluster that is whole: a session that times out, a rebalance, and
/// a restore, with room for a busy machine.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(1);

/// The words of the processes whose ends other cases look at.
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

/// The topics whose analytics group is rewound and brought back all the time, beside those of the case.
const REPLAYED: &str = "replayed";
/// How many orders they have.
const REPLAYED_ORDERS: u64 = 2000;

/// Starts the replays.
pub fn start_replays(processes: &mut Processes<'_>, args: &str) {
    let env = processes.env().other(REPLAYED);
    env.run(&format!("produce --count {REPLAYED_ORDERS} --seed 6")).expect(0);
    // Twice, so that there is a switch to undo also where a replay did not come to its own.
    for _ in 0..2 {
        env.run("analytics --from-beginning").expect(0);
    }
    let commands = ["replay", "replay --undo", "analytics --from-beginning"].map(|command| format!("{command} {args}"));
    processes.repeat_in_env(env, "replays", &commands.each_ref().map(|args| args.trim_end()));
}

/// What is not right with the group that was replayed, if there is one.
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

/// Waits until both groups have committed as many orders; says which of them has not.
pub fn until_all_is_read(processes: &Processes<'_>, orders: i64) -> Vec<String> {
    let env = processes.fresh_env();
    let mut problems = Vec::new();
    for (command, group) in [("inventory", INVENTORY), ("analytics", ANALYTICS)] {
        let start = Instant::now();
        while processes.runs(command) && env.progress(group, "order-events") < orders {
            if start.elapsed() > PROGRESS_TIMEOUT {
                problems.push(format!("{command}: not all is read after {PROGRESS_TIMEOUT:?}"));
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

/// Waits until both groups have committed beyond where they are now, and says which of them does not.
pub fn until_progress(processes: &Processes<'_>) -> Vec<String> {
    let env = processes.fresh_env();
    let groups = [("inventory", INVENTORY), ("analytics", ANALYTICS)];
    let mut problems = Vec::new();
    let before = groups.map(|(_, group)| env.progress(group, "order-events"));
    for ((command, group), before) in groups.into_iter().zip(before) {
        let start = Instant::now();
        // Who has ended is in the table, and nothing more comes of it.
        while processes.runs(command) && processes.runs("produce") && env.progress(group, "order-events") <= before {
            if start.elapsed() > PROGRESS_TIMEOUT {
                problems.push(format!("{command}: no commit for {PROGRESS_TIMEOUT:?} on a cluster that is whole"));
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
        assert!(start.elapsed() < PROGRESS_TIMEOUT, "{what}: not within {PROGRESS_TIMEOUT:?}\n{}", processes.finish());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stops everything, and prints how it ended.
pub fn stop(name: &str, processes: &mut Processes<'_>) -> ExitTable {
    let table = processes.finish();
    eprintln!("{name}:\n{table}");
    table
}

/// Lets both groups read to the end, and fails with whatever is not as it should be: ends, data, and what the case found
/// itself.
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

/// The file that is left where the data was not what it must be.
const MARKER: &str = "data-is-wrong";

/// Whether the data of a case was judged and is not what it must be.
pub fn has_wrong_data(env: &TestEnv) -> bool {
    env.dir().join(MARKER).exists()
}

/// [`stop`] and [`check`].
pub fn finish(name: &str, processes: &mut Processes<'_>, problems: Vec<String>) {
    let table = stop(name, processes);
    check(name, processes, &table, problems);
}

/// Checks all data of a laboratory at rest: every order decided once, every metric recounted, nothing lost that `produce` says
/// was acknowledged.
pub fn check_data(env: &TestEnv, produced: Option<&Value>) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    // The named members are still listed in their groups for as long as their session lasts: who comes under the name
    // need not wait for that.
    let commands = [format!("{NAMED_INVENTORY} --until-end"), format!("{NAMED_ANALYTICS} --until-end --output json")];
    let mut metrics = Value::Null;
    for args in commands {
        let run = env.run(&args);
        if run.code() == 0 {
            metrics = serde_json::from_str(&run.stdout).unwrap_or_default();
        } else {
            problems.push(format!("`{args}` after it: exit {}\n{}", run.code(), run.stderr));
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
    if problems.is_empty() { Ok(format!("{count} orders, none lost, none double")) } else { Err(problems) }
}
