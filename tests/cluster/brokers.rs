//! The three-node cluster under test, which `FOODSTREAM_TEST_CLUSTER` names by its port: its nodes are stopped, killed,
//! paused and started by `scripts/kafka`, and what it says about leaders and replicas is asked of it directly.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use rustix::process::{Pid, Signal, kill_process};

use super::support::{kafka_tool, until};

/// The variable that has the port of the cluster.
const VARIABLE: &str = "FOODSTREAM_TEST_CLUSTER";

/// The numbers of the nodes, which are also their broker ids.
pub const NODES: [i32; 3] = [1, 2, 3];

/// A topic and a partition of it.
pub type TopicPartition = (String, i32);

/// The port that was named.
fn port() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|port| !port.is_empty())
}

/// The bootstrap list of the cluster that was named.
pub fn named() -> Option<String> {
    Cluster::named().map(|cluster| cluster.bootstrap)
}

/// A cluster of `scripts/kafka start --nodes 3`.
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
    /// Whether it has a leader, and all of its replicas are in sync.
    fn is_full(&self) -> bool {
        self.leader >= 0 && self.in_sync.len() == self.replicas.len()
    }
}

impl Cluster {
    /// The one that was named, whether its nodes run or not.
    pub fn named() -> Option<Self> {
        let mut cluster = Self { port: port()?, bootstrap: String::new() };
        let (output, _) = cluster.script(&["status"], &[0, 1, 3]);
        let bootstrap = output.lines().find_map(|line| line.strip_prefix("bootstrap: ")).unwrap_or_default();
        assert_eq!(
            bootstrap.split(',').count(),
            NODES.len(),
            "{VARIABLE}={}: no cluster there: {output}",
            cluster.port
        );
        bootstrap.clone_into(&mut cluster.bootstrap);
        Some(cluster)
    }

    /// Runs `scripts/kafka`; its stdout and stderr, if it ends with one of these codes.
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

    /// Ends a node by SIGTERM; it hands over its leaders.
    pub fn stop(&self, node: i32) {
        self.node("stop", node);
    }

    /// Ends a node by SIGKILL.
    pub fn kill(&self, node: i32) {
        self.node("kill", node);
    }

    /// Starts a node; it serves when this returns, and its replicas may be behind.
    pub fn start(&self, node: i32) {
        self.node("start", node);
    }

    pub fn pause(&self, node: i32) {
        self.node("pause", node);
    }

    pub fn resume(&self, node: i32) {
        self.node("resume", node);
    }

    /// The process id of a node that runs. A signal sent to it arrives at once; the script takes a tenth of a second.
    pub fn process(&self, node: i32) -> Pid {
        let (_, output) = self.script(&["status"], &[0, 1, 3]);
        let line = output.lines().find(|line| line.contains(&format!("node {node}: "))).expect("a line for the node");
        let pid = line.split_once("process ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        Pid::from_raw(pid.unwrap_or_else(|| panic!("{line}"))).expect("a pid")
    }

    /// Kills a process of [`Cluster::process`] without a word, and clears away behind it.
    pub fn kill_at_once(&self, node: i32, process: Pid) {
        kill_process(process, Signal::KILL).expect("killed");
        self.kill(node);
    }

    /// Starts and resumes whatever node is away, and waits until every replica is in sync.
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

    /// Waits until three brokers are known and every partition has all of its replicas in sync.
    pub fn until_in_sync(&self) {
        let observer = self.observer();
        let mut in_sync_count = 0;
        until("every replica is in sync", || {
            let is_full = observer.metadata().is_some_and(|(brokers, partitions)| {
                brokers == NODES.len() && partitions.values().all(Replication::is_full)
            });
            // Twice, as a broker may not know yet what the controller has decided.
            in_sync_count = if is_full { in_sync_count + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(100));
            (in_sync_count >= 3).then_some(())
        });
    }

    /// A client of its own, which knows nothing of what was.
    pub fn observer(&self) -> Observer {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a client");
        Observer { client }
    }

    /// Leader and replicas of the partitions whose topics begin with a prefix.
    pub fn partitions(&self, prefix: &str) -> BTreeMap<TopicPartition, Replication> {
        let observer = self.observer();
        until("metadata", || observer.partitions(&[prefix]))
    }

    /// One of Kafka's own tools; its stdout, if it succeeds.
    pub fn tool(&self, name: &str, args: &str) -> String {
        kafka_tool(&self.bootstrap, name, args)
    }
}

/// A client that asks the cluster about itself.
pub struct Observer {
    client: BaseConsumer,
}

impl Observer {
    /// How many brokers there are, and every partition; nothing where the broker that was asked does not answer.
    pub fn metadata(&self) -> Option<(usize, BTreeMap<TopicPartition, Replication>)> {
        let metadata = self.client.fetch_metadata(None, Duration::from_millis(500)).ok()?;
        Some((metadata.brokers().len(), partitions(&metadata)))
    }

    /// The partitions whose topics begin with one of these prefixes.
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
