//! Inspection of analytics groups: committed offsets, state positions, live keys, and changes of the offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::support::{STEP_TIMEOUT, TestEnv, until};

pub const GROUP: &str = "analytics-consumer-group";
pub const SOURCES: [&str; 2] = ["order-events", "inventory-events"];
/// Short timeouts for processes that are killed: their membership and open transaction expire soon.
pub const SHORT_TIMEOUTS: &str = "-X session.timeout.ms=6000 -X transaction.timeout.ms=4000";

/// Produces orders, decides them, and counts them with the default group.
pub fn run_pipeline(env: &TestEnv, count: u32) {
    produce_and_decide(env, count);
    env.run("analytics --until-end").expect(0);
}

/// Produces orders and decides them.
pub fn produce_and_decide(env: &TestEnv, count: u32) {
    env.run(&format!("produce --count {count} --seed 7 --partitions 3")).expect(0);
    env.run("inventory --until-end").expect(0);
}

/// The group's committed offsets on both sources.
pub fn offsets(env: &TestEnv, group: &str) -> Vec<Vec<Option<i64>>> {
    SOURCES.iter().map(|source| env.committed(group, source)).collect()
}

/// The latest value of every live key of `analytics-state`, by partition and key.
pub fn live_keys(env: &TestEnv) -> BTreeMap<(i32, Vec<u8>), Vec<u8>> {
    let mut keys = BTreeMap::new();
    for record in env.read("analytics-state") {
        let key = (record.partition, record.key.expect("a key"));
        match record.value {
            Some(value) => drop(keys.insert(key, value)),
            None => drop(keys.remove(&key)),
        }
    }
    keys
}

/// The group's position records, by source and partition.
pub fn positions(env: &TestEnv, group: &str) -> BTreeMap<(String, i64), Value> {
    let group = env.topic(group);
    let mut positions = BTreeMap::new();
    for ((_, key), value) in live_keys(env) {
        let key: Value = serde_json::from_slice(&key).expect("a JSON key");
        if key[0] == "@position" && key[1] == group.as_str() {
            let partition = (key[2].as_str().expect("a topic").to_owned(), key[3].as_i64().expect("a partition"));
            positions.insert(partition, serde_json::from_slice(&value).expect("a JSON value"));
        }
    }
    positions
}

/// Requires that the group has positions, and that they equal its committed offsets.
pub fn assert_offsets_match_positions(env: &TestEnv, group: &str) {
    let positions = positions(env, group);
    assert!(!positions.is_empty(), "the group {group} has state");
    let mut found = BTreeMap::new();
    for (source, offsets) in SOURCES.iter().zip(offsets(env, group)) {
        for (partition, offset) in (0i64..).zip(offsets) {
            if let Some(offset) = offset {
                found.insert((env.topic(source), partition), json!(offset));
            }
        }
    }
    let expected: BTreeMap<_, _> =
        positions.into_iter().map(|(partition, position)| (partition, position["next_offset"].clone())).collect();
    assert_eq!(found, expected, "committed offsets and positions of {group}");
}

/// The epochs of the group's live keys, by source and partition.
pub fn epochs(env: &TestEnv, group: &str) -> BTreeMap<(String, i64), BTreeSet<String>> {
    let group = env.topic(group);
    let mut epochs: BTreeMap<(String, i64), BTreeSet<String>> = BTreeMap::new();
    for (_, key) in live_keys(env).into_keys() {
        let key: Value = serde_json::from_slice(&key).expect("a JSON key");
        if key[0] == group.as_str() {
            let partition = (key[2].as_str().expect("a topic").to_owned(), key[3].as_i64().expect("a partition"));
            epochs.entry(partition).or_default().insert(key[1].as_str().expect("an epoch").to_owned());
        }
    }
    epochs
}

pub fn until_members(env: &TestEnv, group: &str, count: usize) {
    until(&format!("{group} has {count} members"), || (env.members(group).len() == count).then_some(()));
}

/// Sets offsets like a consumer that never joins.
pub fn set_offsets(env: &TestEnv, group: &str, offsets: &[Vec<Option<i64>>]) {
    let consumer = env.group_consumer("read_committed", &env.topic(group));
    let mut list = TopicPartitionList::new();
    for (source, offsets) in SOURCES.iter().zip(offsets) {
        for (partition, offset) in (0..).zip(offsets) {
            if let Some(offset) = offset {
                list.add_partition_offset(&env.topic(source), partition, Offset::Offset(*offset)).expect("listed");
            }
        }
    }
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

/// Detects changes of a group's committed offsets.
pub struct OffsetWatch {
    consumer: Arc<BaseConsumer>,
    list: TopicPartitionList,
    before: Vec<i64>,
}

impl OffsetWatch {
    pub fn new(env: &TestEnv, group: &str) -> Self {
        // `read_uncommitted` returns offsets without waiting for an open transaction.
        let consumer = env.group_consumer("read_uncommitted", &env.topic(group));
        let mut list = TopicPartitionList::new();
        for source in SOURCES {
            list.add_partition_range(&env.topic(source), 0, env.partitions(source) - 1);
        }
        let mut watch = Self { consumer, list, before: Vec::new() };
        watch.before = watch.offsets();
        watch
    }

    pub fn offsets(&self) -> Vec<i64> {
        let offsets = self.consumer.committed_offsets(self.list.clone(), STEP_TIMEOUT).expect("committed offsets");
        offsets.elements().iter().map(|key| key.offset().to_raw().unwrap_or(-1)).collect()
    }

    /// The offsets, if one of them is lower than at the start.
    pub fn rewound(&self) -> Option<Vec<i64>> {
        let now = self.offsets();
        now.iter().zip(&self.before).any(|(now, before)| now < before).then_some(now)
    }

    /// Whether every offset equals the one at the start.
    pub fn is_back(&self) -> bool {
        self.offsets() == self.before
    }
}
