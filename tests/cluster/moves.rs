//! Leaders and replicas that move while all nodes run, and partitions that are added.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::Case;
use super::brokers::{Cluster, NODES, Place};
use super::processes::Processes;
use super::support::{Lab, until};
use super::table::Rule;
use super::workload;

pub const CASES: &[Case] = &[
    ("leaders_elected_and_every_partition_reassigned", leaders_elected_and_every_partition_reassigned),
    ("partitions_added", partitions_added),
];

/// How soon members must notice that partitions were added: they ask for metadata every second here.
const NOTICE_BOUND: Duration = Duration::from_secs(45);

fn leaders_elected_and_every_partition_reassigned(cluster: &Cluster, lab: &Lab) {
    let mut processes = workload::start(lab, Rule::Clean, "");
    // Another replica is preferred each time, and an election makes it the leader.
    for turn in 0..2 {
        let replicas = |partition, _: &[i32]| turned(partition + turn);
        processes.disturb(&format!("other leaders are preferred, round {turn}"), || reassign(cluster, lab, replicas));
        processes.disturb("the preferred leaders are elected", || {
            cluster.tool("kafka-leader-election", "--election-type preferred --all-topic-partitions");
        });
    }
    // Two replicas, the same number elsewhere, and all three again: each partition is copied to another node and leaves one.
    for turn in 0..2 {
        let replicas = |partition, _: &[i32]| turned(partition + turn)[..2].to_vec();
        processes.disturb("every partition has two replicas elsewhere", || reassign(cluster, lab, replicas));
    }
    processes.disturb("every partition has three replicas", || {
        reassign(cluster, lab, |partition, _| turned(partition));
    });
    let problems = processes.disturb("all is moved", || workload::until_progress(&processes));
    workload::finish("leaders_elected_and_every_partition_reassigned", &mut processes, problems);
}

/// The three nodes from another one on.
fn turned(by: i32) -> Vec<i32> {
    let mut nodes = NODES.to_vec();
    nodes.rotate_left(usize::try_from(by).expect("not negative") % NODES.len());
    nodes
}

/// Makes another replica the leader of every partition of the laboratory and of the internal topics.
pub fn move_every_leader(cluster: &Cluster, lab: &Lab) {
    reassign(cluster, lab, |_, now| {
        let mut replicas = now.to_vec();
        replicas.rotate_left(1);
        replicas
    });
    cluster.tool("kafka-leader-election", "--election-type preferred --all-topic-partitions");
}

/// Gives every partition of the laboratory and of the internal topics the replicas that are asked for by its number and those
/// that it has, and waits until it has them.
fn reassign(cluster: &Cluster, lab: &Lab, replicas: impl Fn(i32, &[i32]) -> Vec<i32>) {
    let observer = cluster.observer();
    let look = || observer.partitions(&[&lab.prefix, "__"]);
    let now = until("metadata", look);
    let wanted: BTreeMap<Place, Vec<i32>> =
        now.into_iter().map(|(place, now)| (place.clone(), replicas(place.1, &now.replicas))).collect();
    let mut plan = String::new();
    for ((topic, partition), replicas) in &wanted {
        let comma = if plan.is_empty() { "" } else { "," };
        write!(plan, "{comma}{{\"topic\":\"{topic}\",\"partition\":{partition},\"replicas\":{replicas:?}}}")
            .expect("written");
    }
    let file = lab.folder().join("reassignment.json");
    std::fs::write(&file, format!("{{\"version\":1,\"partitions\":[{plan}]}}")).expect("written");
    cluster.tool("kafka-reassign-partitions", &format!("--execute --reassignment-json-file {}", file.display()));
    until("every partition has its replicas", || {
        let found = look()?;
        let moved = |(place, wanted): (&Place, &Vec<i32>)| {
            let found = found.get(place)?;
            let has_all = wanted.iter().all(|node| found.in_sync.contains(node));
            (found.replicas == *wanted && has_all && found.leader >= 0).then_some(())
        };
        wanted.iter().all(|one| moved(one).is_some()).then_some(())
    });
}

fn partitions_added(cluster: &Cluster, lab: &Lab) {
    let mut processes = Processes::new(lab, Rule::ByItself(7));
    processes.start_with(workload::PRODUCE, Rule::Clean);
    workload::until_orders_arrive(&mut processes);
    let often = "-X topic.metadata.refresh.interval.ms=1000";
    processes.start(&format!("inventory {often}"));
    processes.start(&format!("{} {often}", workload::NAMED_INVENTORY));
    processes.start(&format!("analytics {often} --metrics-file one.txt"));
    processes.start(&format!("{} {often} --metrics-file desk.txt", workload::NAMED_ANALYTICS));
    workload::until_at_work(&mut processes);
    processes.disturb("order-events grows from 6 to 8 partitions", || {
        let topic = lab.topic("order-events");
        cluster.tool("kafka-topics", &format!("--alter --topic {topic} --partitions 8"));
    });
    for command in ["inventory", "analytics"] {
        processes.until_ended(command, NOTICE_BOUND);
    }
    let table = workload::stop("partitions_added", &mut processes);
    let mut problems = table.problems();
    for end in table.ends("inventory").chain(table.ends("analytics")) {
        let message = end.stderr.rsplit("error: ").next().unwrap_or_default();
        let both = |number: &str| message.split(|mark: char| !mark.is_ascii_digit()).any(|found| found == number);
        if !(both("6") && both("8") && message.contains("hint: ")) {
            problems.push(format!("it does not name 6 and 8 partitions and what to do: {}", message.trim()));
        }
    }
    assert!(problems.is_empty(), "partitions_added:\n{}", problems.join("\n"));
}
