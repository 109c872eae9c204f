//! Nodes that go down and come back: stopped in turn, killed in turn, two at once, and paused.

use std::time::{Duration, Instant};

use super::Case;
use super::brokers::{Cluster, NODES};
use super::exit_table::{ExitRule, names_a_partition_without_leader};
use super::failover_times::Failovers;
use super::processes::Processes;
use super::support::{TestEnv, until};
use super::workload;

pub const CASES: &[Case] = &[
    ("graceful_roll", graceful_roll),
    ("killed_nodes", killed_nodes),
    ("two_of_three_down", two_of_three_down),
    ("one_node_paused", one_node_paused),
    ("a_partition_without_leader_is_named", a_partition_without_leader_is_named),
];

/// How long a killed node stays down: twice its session timeout.
const AWAY: Duration = Duration::from_secs(12);

/// Sleeps until `time` has passed since the node went down.
fn away(since: Instant, time: Duration) {
    std::thread::sleep(time.saturating_sub(since.elapsed()));
}

fn graceful_roll(cluster: &Cluster, env: &TestEnv) {
    let mut processes = workload::start(env, ExitRule::Clean, "");
    for node in NODES {
        processes.disturb(&format!("node {node} is stopped"), || cluster.stop(node));
        processes.disturb(&format!("node {node} is started"), || cluster.start(node));
        processes.disturb(&format!("node {node} serves"), || cluster.until_in_sync());
    }
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    workload::finish("graceful_roll", &mut processes, problems);
}

fn killed_nodes(cluster: &Cluster, env: &TestEnv) {
    let mut processes = workload::start(env, ExitRule::Leaderless, "");
    let mut failovers = Failovers::default();
    for node in NODES {
        let killed = Instant::now();
        processes.disturb(&format!("node {node} is killed"), || failovers.kill(cluster, env, node));
        away(killed, AWAY);
        processes.disturb(&format!("node {node} is started"), || cluster.start(node));
        processes.disturb(&format!("node {node} serves"), || cluster.until_in_sync());
    }
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    let table = workload::stop("killed_nodes", &mut processes);
    eprintln!("{}", failovers.report(&processes.fresh_env()));
    workload::check("killed_nodes", &processes, &table, problems);
}

fn two_of_three_down(cluster: &Cluster, env: &TestEnv) {
    // With one node of three nothing can be written and no leader elected for half a minute.
    let mut processes = workload::start(env, ExitRule::Clean, "--timeout 90s");
    let killed = Instant::now();
    processes.disturb("nodes 2 and 3 are killed", || {
        cluster.kill(2);
        cluster.kill(3);
    });
    away(killed, AWAY);
    processes.disturb("nodes 2 and 3 are started", || cluster.restore());
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    workload::finish("two_of_three_down", &mut processes, problems);
}

fn one_node_paused(cluster: &Cluster, env: &TestEnv) {
    let mut processes = workload::start(env, ExitRule::Clean, "");
    let leader = cluster.partitions(&env.topic("order-events"))[&(env.topic("order-events"), 0)].leader;
    let paused = Instant::now();
    processes.disturb(&format!("node {leader} is paused"), || cluster.pause(leader));
    away(paused, Duration::from_secs(10));
    processes.disturb(&format!("node {leader} is resumed"), || cluster.resume(leader));
    processes.disturb("all replicas catch up", || cluster.until_in_sync());
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    workload::finish("one_node_paused", &mut processes, problems);
}

/// A partition whose only replica is down has no leader until the node comes back.
fn a_partition_without_leader_is_named(cluster: &Cluster, env: &TestEnv) {
    let topic = env.topic("order-events");
    cluster.tool("kafka-topics", &format!("--create --topic {topic} --replica-assignment 1,2,3"));
    for args in ["produce --count 300 --seed 8", "inventory --until-end", "analytics --from-beginning"] {
        env.run(args).expect(0);
    }
    let mut processes = Processes::new(env, ExitRule::Leaderless);
    processes.start(workload::NAMED_INVENTORY);
    processes.disturb("node 3 is killed", || cluster.kill(3));
    let observer = cluster.observer();
    until("the partition has no leader", || {
        let partitions = observer.partitions(&[&topic])?;
        (partitions.get(&(topic.clone(), 2))?.leader < 0).then_some(())
    });
    let mut problems = Vec::new();
    for args in [
        "produce --count 300 --seed 9",
        "analytics --until-end",
        "analytics --from-beginning --no-commit",
        "replay",
        "replay --shadow",
        "lag",
    ] {
        let run = env.run(&format!("{args} --timeout 3s"));
        if run.code() != 4 || !names_a_partition_without_leader(&run.stderr) {
            problems.push(format!("`{args}`: exit {}: {}", run.code(), run.stderr.trim()));
        }
    }
    processes.disturb("node 3 is started", || cluster.start(3));
    cluster.until_in_sync();
    workload::finish("a_partition_without_leader_is_named", &mut processes, problems);
}
