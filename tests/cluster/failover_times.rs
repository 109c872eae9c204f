//! How long a group makes no progress after a leader was killed: until the election, and from there to the next commit.
//! The times are printed and not checked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::brokers::{Cluster, TopicPartition};
use super::support::TestEnv;
use super::workload::INVENTORY;

/// Longer than any election takes.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(11);

/// The kills of a case.
#[derive(Default)]
pub struct Failovers {
    kills: Vec<Kill>,
}

/// A kill; times are milliseconds since 1970.
struct Kill {
    node: i32,
    killed: i64,
    elected: Option<i64>,
    /// The partitions of `order-events` that the node led.
    led: BTreeSet<TopicPartition>,
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("this millennium")
}

impl Failovers {
    /// Kills a node and waits for new leaders of its partitions.
    pub fn kill(&mut self, cluster: &Cluster, env: &TestEnv, node: i32) {
        let orders = cluster.partitions(&env.topic("order-events"));
        let of_prefix = env.topic("order-events");
        let led = orders.into_iter().filter(|((topic, _), found)| *topic == of_prefix && found.leader == node);
        let led: BTreeSet<TopicPartition> = led.map(|(place, _)| place).collect();
        let observer = cluster.observer();
        // The client must know all brokers before the node is killed.
        drop(observer.metadata());
        let process = cluster.process(node);
        cluster.kill_at_once(node, process);
        let (start, killed) = (Instant::now(), now());
        let mut elected = None;
        while elected.is_none() && start.elapsed() < ELECTION_TIMEOUT {
            let moved = observer.metadata().is_some_and(|(_, partitions)| {
                led.iter().all(|place| partitions.get(place).is_some_and(|found| ![-1, node].contains(&found.leader)))
            });
            elected = moved.then(now);
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kills.push(Kill { node, killed, elected, led });
    }

    /// A line for each kill. No process may be running.
    pub fn report(&self, env: &TestEnv) -> String {
        let commits = commits(env);
        let mut lines = Vec::new();
        let mut from_election = Vec::new();
        for kill in &self.kills {
            let Some(elected) = kill.elected else {
                lines.push(format!("node {}: no election within {ELECTION_TIMEOUT:?}", kill.node));
                continue;
            };
            // The last commit of the partitions that lost their leader. A commit before the election was already in
            // progress.
            let next = |place: &TopicPartition| {
                commits.iter().find(|(at, found)| *at >= elected && found == place).map(|(at, _)| *at)
            };
            let last = kill.led.iter().map(next).max().flatten();
            let seconds = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64();
            let all = kill.led.iter().all(|place| next(place).is_some());
            let report = last.filter(|_| all).map_or_else(
                || "no commit of each partition after it".to_owned(),
                |at| {
                    from_election.push(at - elected);
                    let (whole, rest) = (seconds(at - kill.killed), seconds(at - elected));
                    format!("{whole:.2} s from the kill to the next commit, {rest:.2} s of them from the election")
                },
            );
            let (node, led) = (kill.node, kill.led.len());
            lines.push(format!(
                "node {node}, {led} partitions, elected after {:.2} s: {report}",
                seconds(elected - kill.killed)
            ));
        }
        format!("  failover: {}", lines.join("\n            "))
    }
}

/// Time and partition of every commit of the inventory group on `order-events`, from `__consumer_offsets`. The time is
/// that of adding the offsets to the transaction, a moment before its end.
fn commits(env: &TestEnv) -> Vec<(i64, TopicPartition)> {
    let group = env.topic(INVENTORY);
    let topic = env.topic("order-events");
    let mut commits: Vec<(i64, TopicPartition)> = env
        .named("")
        .read("__consumer_offsets")
        .iter()
        .filter_map(|record| Some((record.timestamp, offset_key(record.key.as_deref()?)?)))
        .filter(|(_, (found, place))| *found == group && place.0 == topic)
        .map(|(at, (_, place))| (at, place))
        .collect();
    commits.sort();
    commits
}

/// Group, topic and partition in the key of a committed offset: version 0 or 1, two strings, a number.
fn offset_key(key: &[u8]) -> Option<(String, TopicPartition)> {
    let (version, rest) = key.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) > 1 {
        return None;
    }
    let (group, rest) = string(rest)?;
    let (topic, rest) = string(rest)?;
    let (partition, _) = rest.split_first_chunk::<4>()?;
    Some((group, (topic, i32::from_be_bytes(*partition))))
}

fn string(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}
