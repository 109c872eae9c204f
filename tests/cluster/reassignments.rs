//! Moved leaders, reassigned replicas and added partitions while all nodes run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::Case;
use super::brokers::{Cluster, NODES, TopicPartition};
use super::exit_table::ExitRule;
use super::processes::Processes;
use super::support::{TestEnv, until};
use super::workload;

pub const CASES: &[Case] = &[
    ("leaders_elected_and_every_partition_reassigned", leaders_elected_and_every_partition_reassigned),
    ("partitions_added", partitions_added),
];

/// Time limit for members to notice added partitions. They refresh metadata every second here.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(45);

fn leaders_elected_and_every_partition_reassigned(cluster: &Cluster, env: &TestEnv) {
    let mut processes = workload::start(env, ExitRule::Clean, "");
    // Another replica becomes the preferred leader, and an election makes it the leader.
    for turn in 0..2 {
        let replicas = |partition, _: &[i32]| rotated(partition + turn);
        processes.disturb(&format!("other preferred leaders, round {turn}"), || reassign(cluster, env, replicas));
        processes.disturb("the preferred leaders are elected", || {
            cluster.tool("kafka-leader-election", "--election-type preferred --all-topic-partitions");
        });
    }
    // Two replicas, two other replicas, and all three again: each partition is copied to another node and removed from
    // one.
    for turn in 0..2 {
        let replicas = |partition, _: &[i32]| rotated(partition + turn)[..2].to_vec();
        processes.disturb("every partition has two other replicas", || reassign(cluster, env, replicas));
    }
    processes.disturb("every partition has three replicas", || {
        reassign(cluster, env, |partition, _| rotated(partition));
    });
    let problems = processes.disturb("every partition is reassigned", || workload::until_progress(&processes));
    workload::finish("leaders_elected_and_every_partition_reassigned", &mut processes, problems);
}

/// The three nodes, starting with another one.
fn rotated(by: i32) -> Vec<i32> {
    let mut nodes = NODES.to_vec();
    nodes.rotate_left(usize::try_from(by).expect("not negative") % NODES.len());
    nodes
}

/// Makes another replica the leader of every partition of this test and of the internal topics.
pub fn move_all_leaders(cluster: &Cluster, env: &TestEnv) {
    reassign(cluster, env, |_, now| {
        let mut replicas = now.to_vec();
        replicas.rotate_left(1);
        replicas
    });
    cluster.tool("kafka-leader-election", "--election-type preferred --all-topic-partitions");
}

/// Reassigns every partition of this test and of the internal topics to `replicas(partition, current)`, and waits until
/// all are in sync.
fn reassign(cluster: &Cluster, env: &TestEnv, replicas: impl Fn(i32, &[i32]) -> Vec<i32>) {
    let observer = cluster.observer();
    let metadata = || observer.partitions(&[&env.prefix, "__"]);
    let now = until("metadata is available", metadata);
    let wanted: BTreeMap<TopicPartition, Vec<i32>> =
        now.into_iter().map(|(place, now)| (place.clone(), replicas(place.1, &now.replicas))).collect();
    let mut plan = String::new();
    for ((topic, partition), replicas) in &wanted {
        let comma = if plan.is_empty() { "" } else { "," };
        write!(plan, "{comma}{{\"topic\":\"{topic}\",\"partition\":{partition},\"replicas\":{replicas:?}}}")
            .expect("written");
    }
    let file = env.dir().join("reassignment.json");
    std::fs::write(&file, format!("{{\"version\":1,\"partitions\":[{plan}]}}")).expect("written");
    cluster.tool("kafka-reassign-partitions", &format!("--execute --reassignment-json-file {}", file.display()));
    until("every partition has its replicas", || {
        let found = metadata()?;
        let moved = |(place, wanted): (&TopicPartition, &Vec<i32>)| {
            let found = found.get(place)?;
            let has_all = wanted.iter().all(|node| found.in_sync.contains(node));
            (found.replicas == *wanted && has_all && found.leader >= 0).then_some(())
        };
        wanted.iter().all(|one| moved(one).is_some()).then_some(())
    });
}

fn partitions_added(cluster: &Cluster, env: &TestEnv) {
    let mut processes = Processes::new(env, ExitRule::ByItself(7));
    processes.start_with(workload::PRODUCE, ExitRule::Clean);
    workload::until_orders_arrive(&mut processes);
    let often = "-X topic.metadata.refresh.interval.ms=1000";
    processes.start(&format!("inventory {often}"));
    processes.start(&format!("{} {often}", workload::NAMED_INVENTORY));
    processes.start(&format!("analytics {often} --metrics-file one.txt"));
    processes.start(&format!("{} {often} --metrics-file desk.txt", workload::NAMED_ANALYTICS));
    workload::until_at_work(&mut processes);
    processes.disturb("order-events grows from 6 to 8 partitions", || {
        let topic = env.topic("order-events");
        cluster.tool("kafka-topics", &format!("--alter --topic {topic} --partitions 8"));
    });
    for command in ["inventory", "analytics"] {
        processes.until_ended(command, NOTICE_TIMEOUT);
    }
    let table = workload::stop("partitions_added", &mut processes);
    let mut problems = table.problems();
    for end in table.ends("inventory").chain(table.ends("analytics")) {
        let message = end.stderr.rsplit("error: ").next().unwrap_or_default();
        let both = |number: &str| message.split(|mark: char| !mark.is_ascii_digit()).any(|found| found == number);
        if !(both("6") && both("8") && message.contains("hint: ")) {
            problems.push(format!("no mention of 6 and 8 partitions, or no hint: {}", message.trim()));
        }
    }
    assert!(problems.is_empty(), "partitions_added:\n{}", problems.join("\n"));
}
