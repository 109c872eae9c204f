//! The transaction coordinator is killed after the offsets were added to a transaction and before its end.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, TopicPartitionList};
use rustix::process::Signal;

use super::Case;
use super::brokers::Cluster;
use super::exit_table::ExitRule;
use super::processes::Processes;
use super::support::{STEP_TIMEOUT, TestEnv};
use super::workload::{self, INVENTORY, NAMED_INVENTORY};

pub const CASES: &[Case] =
    &[("coordinator_killed_between_offsets_and_end", coordinator_killed_between_offsets_and_end)];

/// Timeout of a request for stable offsets: longer than a decided commit takes to complete.
const PENDING: Duration = Duration::from_millis(700);

fn coordinator_killed_between_offsets_and_end(cluster: &Cluster, env: &TestEnv) {
    let mut processes = Processes::new(env, ExitRule::Clean);
    processes.start(workload::PRODUCE);
    workload::until_orders_arrive(&mut processes);
    // Commits almost continuously, so that a suspension hits a commit.
    processes.start(&format!("{NAMED_INVENTORY} --commit-interval 1ms"));
    processes.start(workload::NAMED_ANALYTICS);
    workload::until_at_work(&mut processes);
    workload::start_replays(&mut processes, "");
    let node = coordinator(cluster, &env.topic(&format!("{INVENTORY}-till")));
    let node_process = cluster.process(node);
    stop_before_end(&processes);
    processes.disturb(&format!("node {node}, the coordinator, is killed"), || cluster.kill_at_once(node, node_process));
    processes.signal("inventory", Signal::CONT);
    std::thread::sleep(Duration::from_secs(12));
    processes.disturb(&format!("node {node} is started"), || cluster.start(node));
    cluster.until_in_sync();
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    workload::finish("coordinator_killed_between_offsets_and_end", &mut processes, problems);
}

/// The node that coordinates the transactional ids with this prefix.
fn coordinator(cluster: &Cluster, id: &str) -> i32 {
    let listed = cluster.tool("kafka-transactions", "list");
    let line = listed.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{id} in\n{listed}"));
    let node = line.split_whitespace().nth(1).and_then(|node| node.parse().ok());
    node.unwrap_or_else(|| panic!("{line}"))
}

/// Suspends `inventory` in the middle of a commit, so that its offsets are pending and stay so.
fn stop_before_end(processes: &Processes<'_>) {
    let env = processes.fresh_env();
    // A `read_committed` client waits for pending offsets until its timeout.
    let stable = ClientConfig::new()
        .set("bootstrap.servers", &env.broker)
        .set("group.id", env.topic(INVENTORY))
        .set("isolation.level", "read_committed")
        .create::<BaseConsumer>()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&env.topic("order-events"), 0, env.partitions("order-events") - 1);
    // Connects and waits for a first response.
    stable.committed_offsets(list.clone(), STEP_TIMEOUT).expect("committed offsets");
    let start = Instant::now();
    loop {
        processes.signal("inventory", Signal::STOP);
        if stable.committed_offsets(list.clone(), PENDING).is_err() {
            return;
        }
        processes.signal("inventory", Signal::CONT);
        assert!(processes.runs("inventory"), "inventory ended before the coordinator was killed");
        assert!(start.elapsed() < STEP_TIMEOUT, "no suspension hit a commit");
        // Lets it commit some more.
        std::thread::sleep(Duration::from_millis(50));
    }
}
