//! The three-node cluster under test. `FOODSTREAM_TEST_CLUSTER` is its port; `scripts/kafka` stops, kills, pauses and
//! starts its nodes, and a client reads leaders and replicas from its metadata.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use rustix::process::{Pid, Signal, kill_process};

use super::support::{kafka_tool, until};

const VARIABLE: &str = "FOODSTREAM_TEST_CLUSTER";

/// The numbers of the nodes, which are also their broker ids.
pub const NODES: [i32; 3] = [1, 2, 3];

/// Topic and partition number.
pub type TopicPartition = (String, i32);

/// The port in `FOODSTREAM_TEST_CLUSTER`.
fn port() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|port| !port.is_empty())
}

/// The bootstrap servers of the cluster.
pub fn named() -> Option<String> {
    Cluster::named().map(|cluster| cluster.bootstrap)
}

/// A cluster started by `scripts/kafka start --nodes 3`.
pub struct Cluster {
    port: String,
    pub bootstrap: String,
}

/// Leader, replicas and in-sync replicas of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    pub leader: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

impl Replication {
    /// Whether the partition has a leader and all of its replicas are in sync.
    fn is_full(&self) -> bool {
        self.leader >= 0 && self.in_sync.len() == self.replicas.len()
    }
}

impl Cluster {
    /// The cluster at the port in `FOODSTREAM_TEST_CLUSTER`, whether its nodes run or not.
    pub fn named() -> Option<Self> {
        let mut cluster = Self { port: port()?, bootstrap: String::new() };
        let (output, _) = cluster.script(&["status"], &[0, 1, 3]);
        let bootstrap = output.lines().find_map(|line| line.strip_prefix("bootstrap: ")).unwrap_or_default();
        assert_eq!(
            bootstrap.split(',').count(),
            NODES.len(),
            "{VARIABLE}={}: no cluster at this port: {output}",
            cluster.port
        );
        bootstrap.clone_into(&mut cluster.bootstrap);
        Some(cluster)
    }

    /// Runs `scripts/kafka`; returns stdout and stderr, and requires one of these exit codes.
    fn script(&self, args: &[&str], codes: &[i32]) -> (String, String) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let mut command = Command::new(script);
        command.args(args).arg(&self.port).stdin(Stdio::null());
        let output = command.output().expect("the script runs");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let ended = output.status.code().is_some_and(|code| codes.contains(&code));
        assert!(ended, "scripts/kafka {args:?}: {}\n{stdout}\n{stderr}", output.status);
        (stdout, stderr)
    }

    fn node(&self, command: &str, node: i32) {
        self.script(&[command, "--node", &node.to_string()], &[0]);
    }

    /// Stops a node with SIGTERM; it hands over its leaders.
    pub fn stop(&self, node: i32) {
        self.node("stop", node);
    }

    /// Kills a node with SIGKILL.
    pub fn kill(&self, node: i32) {
        self.node("kill", node);
    }

    /// Starts a node and waits until it serves. Its replicas may still be behind.
    pub fn start(&self, node: i32) {
        self.node("start", node);
    }

    pub fn pause(&self, node: i32) {
        self.node("pause", node);
    }

    pub fn resume(&self, node: i32) {
        self.node("resume", node);
    }

    /// The process id of a running node. A direct signal arrives at once, while the script takes 0.1 s.
    pub fn process(&self, node: i32) -> Pid {
        let (_, output) = self.script(&["status"], &[0, 1, 3]);
        let line = output.lines().find(|line| line.contains(&format!("node {node}: "))).expect("a line for the node");
        let pid = line.split_once("process ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        Pid::from_raw(pid.unwrap_or_else(|| panic!("{line}"))).expect("a pid")
    }

    /// Kills the process of a node directly, then lets the script clean up.
    pub fn kill_at_once(&self, node: i32, process: Pid) {
        kill_process(process, Signal::KILL).expect("killed");
        self.kill(node);
    }

    /// Resumes and starts all nodes, and waits until every replica is in sync.
    pub fn restore(&self) {
        let (_, output) = self.script(&["status"], &[0, 1, 3]);
        for node in NODES {
            if output.contains(&format!("node {node}: paused")) {
                self.resume(node);
            }
        }
        self.script(&["start", "--nodes", "3"], &[0]);
        self.until_in_sync();
    }

    /// Waits until there are three brokers and every partition has all replicas in sync.
    pub fn until_in_sync(&self) {
        let observer = self.observer();
        let mut in_sync_count = 0;
        until("every replica is in sync", || {
            let is_full = observer.metadata().is_some_and(|(brokers, partitions)| {
                brokers == NODES.len() && partitions.values().all(Replication::is_full)
            });
            // Several times in a row, because a broker may not have the controller's latest state.
            in_sync_count = if is_full { in_sync_count + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(100));
            (in_sync_count >= 3).then_some(())
        });
    }

    /// A new client without cached metadata.
    pub fn observer(&self) -> Observer {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a client");
        Observer { client }
    }

    /// Leaders and replicas of the partitions whose topics have a prefix.
    pub fn partitions(&self, prefix: &str) -> BTreeMap<TopicPartition, Replication> {
        let observer = self.observer();
        until("metadata is available", || observer.partitions(&[prefix]))
    }

    /// Runs one of Kafka's own tools; returns its stdout.
    pub fn tool(&self, name: &str, args: &str) -> String {
        kafka_tool(&self.bootstrap, name, args)
    }
}

/// A client that reads cluster metadata.
pub struct Observer {
    client: BaseConsumer,
}

impl Observer {
    /// The number of brokers, and every partition; `None` if the broker does not respond.
    pub fn metadata(&self) -> Option<(usize, BTreeMap<TopicPartition, Replication>)> {
        let metadata = self.client.fetch_metadata(None, Duration::from_millis(500)).ok()?;
        Some((metadata.brokers().len(), partitions(&metadata)))
    }

    /// The partitions whose topics have one of these prefixes.
    pub fn partitions(&self, prefixes: &[&str]) -> Option<BTreeMap<TopicPartition, Replication>> {
        let (_, mut partitions) = self.metadata()?;
        partitions.retain(|(topic, _), _| prefixes.iter().any(|prefix| topic.starts_with(prefix)));
        Some(partitions)
    }
}

fn partitions(metadata: &Metadata) -> BTreeMap<TopicPartition, Replication> {
    let mut partitions = BTreeMap::new();
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            let replication = Replication {
                leader: partition.leader(),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
            };
            partitions.insert((topic.name().to_owned(), partition.id()), replication);
        }
    }
    partitions
}
