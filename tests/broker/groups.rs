//! Owns an outsider's look at analytics groups: offsets beside state positions, live keys, and a watch on the offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::support::{BOUND, Lab, until};

pub const GROUP: &str = "analytics-consumer-group";
pub const SOURCES: [&str; 2] = ["order-events", "inventory-events"];
/// Short timeouts, for what is killed: its membership and its open transaction are gone soon.
pub const SHORT: &str = "-X session.timeout.ms=6000 -X transaction.timeout.ms=4000";

/// Orders, decided and counted by the default group.
pub fn counted(lab: &Lab, count: u32) {
    decided(lab, count);
    lab.run("analytics --until-end").expect(0);
}

/// Orders, decided.
pub fn decided(lab: &Lab, count: u32) {
    lab.run(&format!("produce --count {count} --seed 7 --partitions 3")).expect(0);
    lab.run("inventory --until-end").expect(0);
}

/// The group's committed offsets on both sources.
pub fn offsets(lab: &Lab, group: &str) -> Vec<Vec<Option<i64>>> {
    SOURCES.iter().map(|source| lab.committed(group, source)).collect()
}

/// The latest value of every key of `analytics-state` that has one, by partition and key.
pub fn live_keys(lab: &Lab) -> BTreeMap<(i32, Vec<u8>), Vec<u8>> {
    let mut keys = BTreeMap::new();
    for record in lab.read("analytics-state") {
        let place = (record.partition, record.key.expect("a key"));
        match record.value {
            Some(value) => drop(keys.insert(place, value)),
            None => drop(keys.remove(&place)),
        }
    }
    keys
}

/// The group's position records, by source and partition.
pub fn positions(lab: &Lab, group: &str) -> BTreeMap<(String, i64), Value> {
    let group = lab.topic(group);
    let mut positions = BTreeMap::new();
    for ((_, key), value) in live_keys(lab) {
        let key: Value = serde_json::from_slice(&key).expect("a JSON key");
        if key[0] == "@position" && key[1] == group.as_str() {
            let place = (key[2].as_str().expect("a topic").to_owned(), key[3].as_i64().expect("a partition"));
            positions.insert(place, serde_json::from_slice(&value).expect("a JSON value"));
        }
    }
    positions
}

/// Requires that the group's offsets and its state's positions are equal, partition by partition, and that it has some.
pub fn assert_agree(lab: &Lab, group: &str) {
    let positions = positions(lab, group);
    assert!(!positions.is_empty(), "the group {group} has state");
    let mut found = BTreeMap::new();
    for (source, offsets) in SOURCES.iter().zip(offsets(lab, group)) {
        for (partition, offset) in (0i64..).zip(offsets) {
            if let Some(offset) = offset {
                found.insert((lab.topic(source), partition), json!(offset));
            }
        }
    }
    let stands: BTreeMap<_, _> =
        positions.into_iter().map(|(place, position)| (place, position["next_offset"].clone())).collect();
    assert_eq!(found, stands, "offsets beside positions of {group}");
}

/// Epochs of the group's live keys, by source and partition.
pub fn epochs(lab: &Lab, group: &str) -> BTreeMap<(String, i64), BTreeSet<String>> {
    let group = lab.topic(group);
    let mut epochs: BTreeMap<(String, i64), BTreeSet<String>> = BTreeMap::new();
    for (_, key) in live_keys(lab).into_keys() {
        let key: Value = serde_json::from_slice(&key).expect("a JSON key");
        if key[0] == group.as_str() {
            let place = (key[2].as_str().expect("a topic").to_owned(), key[3].as_i64().expect("a partition"));
            epochs.entry(place).or_default().insert(key[1].as_str().expect("an epoch").to_owned());
        }
    }
    epochs
}

/// Waits until a group has this many members.
pub fn until_members(lab: &Lab, group: &str, count: usize) {
    until(&format!("{count} members of {group}"), || (lab.members(group).len() == count).then_some(()));
}

/// Sets offsets as a plain consumer does that never joins.
pub fn set_offsets(lab: &Lab, group: &str, offsets: &[Vec<Option<i64>>]) {
    let consumer = lab.of_group("read_committed", &lab.topic(group));
    let mut list = TopicPartitionList::new();
    for (source, offsets) in SOURCES.iter().zip(offsets) {
        for (partition, offset) in (0..).zip(offsets) {
            if let Some(offset) = offset {
                list.add_partition_offset(&lab.topic(source), partition, Offset::Offset(*offset)).expect("listed");
            }
        }
    }
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

/// Sees a group's offsets move, look by look.
pub struct Watch {
    consumer: Arc<BaseConsumer>,
    list: TopicPartitionList,
    before: Vec<i64>,
}

impl Watch {
    pub fn new(lab: &Lab, group: &str) -> Self {
        // What is committed now, without waiting for a transaction that may be open.
        let consumer = lab.of_group("read_uncommitted", &lab.topic(group));
        let mut list = TopicPartitionList::new();
        for source in SOURCES {
            list.add_partition_range(&lab.topic(source), 0, lab.partitions(source) - 1);
        }
        let mut watch = Self { consumer, list, before: Vec::new() };
        watch.before = watch.look();
        watch
    }

    pub fn look(&self) -> Vec<i64> {
        let offsets = self.consumer.committed_offsets(self.list.clone(), BOUND).expect("committed offsets");
        offsets.elements().iter().map(|place| place.offset().to_raw().unwrap_or(-1)).collect()
    }

    /// The offsets, if one of them is below where it was at first.
    pub fn rewound(&self) -> Option<Vec<i64>> {
        let now = self.look();
        now.iter().zip(&self.before).any(|(now, before)| now < before).then_some(now)
    }

    /// Whether every offset is where it was at first.
    pub fn is_back(&self) -> bool {
        self.look() == self.before
    }
}
