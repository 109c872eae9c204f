//! Committed and pending offsets of groups, the ends of their transactions, and their expiration.

use std::collections::BTreeMap;

use super::Groups;
use super::group::{Group, GroupState};
use super::journal_entry::{CommittedOffsets, GroupEntry, PartitionOffset};

/// `offsets.retention.minutes`: 7 days.
const RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
    time: i64,
    expires: Option<i64>,
    /// The number of the commit. It takes the place of the record's offset in Kafka's `__consumer_offsets`.
    position: u64,
}

/// Offsets by topic and partition. Topics without offsets are removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<String, BTreeMap<i32, Committed>>);

impl Offsets {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(topic)?.get(&partition)
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, Committed>)> {
        self.0.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    fn put(&mut self, topic: String, partition: i32, committed: Committed) {
        self.0.entry(topic).or_default().insert(partition, committed);
    }

    fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.0.remove(topic);
            }
        }
    }

    /// Journal entries: one for each commit of which at least one offset is current.
    fn entries(&self, group: &str, producer_id: Option<i64>) -> impl Iterator<Item = CommittedOffsets> {
        let mut requests: BTreeMap<u64, CommittedOffsets> = BTreeMap::new();
        for (topic, partitions) in &self.0 {
            for (partition, committed) in partitions {
                let request = requests.entry(committed.position).or_insert_with(|| CommittedOffsets {
                    group: group.to_owned(),
                    producer_id,
                    position: committed.position,
                    time: committed.time,
                    expires: committed.expires,
                    topics: BTreeMap::new(),
                });
                request.topics.entry(topic.clone()).or_default().push(PartitionOffset {
                    partition: *partition,
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch,
                    metadata: committed.metadata.clone(),
                });
            }
        }
        requests.into_values()
    }
}

impl Groups {
    /// Whether an open transaction has a pending offset for the partition.
    pub(super) fn has_pending(&self, group: &Group, topic: &str, partition: i32) -> bool {
        group.transactions.iter().any(|producer_id| {
            let pending = self.pending_offsets.get(producer_id).and_then(|groups| groups.get(&group.id));
            pending.is_some_and(|offsets| offsets.get(topic, partition).is_some())
        })
    }

    /// Stores committed or pending offsets. The first ones create the group.
    pub(super) fn apply_commit(&mut self, commit: CommittedOffsets) {
        let CommittedOffsets { group: id, producer_id, position, time, expires, topics } = commit;
        self.position = self.position.max(position);
        if !self.by_id.contains_key(&id) {
            self.insert(Group::new(id.clone(), time), time);
        }
        let Some(group) = self.by_id.get_mut(&id) else { return };
        let offsets = match producer_id {
            None => &mut group.offsets,
            Some(producer_id) => {
                group.transactions.insert(producer_id);
                self.pending_offsets.entry(producer_id).or_default().entry(id).or_default()
            }
        };
        for (topic, partitions) in topics {
            for PartitionOffset { partition, offset, leader_epoch, metadata } in partitions {
                let committed = Committed { offset, leader_epoch, metadata, time, expires, position };
                offsets.put(topic.clone(), partition, committed);
            }
        }
    }

    /// Commits or discards a producer's pending offsets. A pending offset does not replace one that was committed after
    /// it.
    pub(super) fn apply_transaction_end(&mut self, producer_id: i64, committed: bool) {
        for (id, pending) in self.pending_offsets.remove(&producer_id).unwrap_or_default() {
            let Some(group) = self.by_id.get_mut(&id) else { continue };
            group.transactions.remove(&producer_id);
            if !committed {
                continue;
            }
            for (topic, partitions) in pending.0 {
                for (partition, offset) in partitions {
                    if group.offsets.get(&topic, partition).is_none_or(|known| known.position < offset.position) {
                        group.offsets.put(topic.clone(), partition, offset);
                    }
                }
            }
        }
    }

    /// Deletes offsets of a group, pending ones included.
    pub(super) fn remove_offsets(&mut self, id: &str, topics: &BTreeMap<String, Vec<i32>>) {
        let Some(group) = self.by_id.get_mut(id) else { return };
        let pending = self.pending_offsets.values_mut().filter_map(|groups| groups.get_mut(id));
        for offsets in std::iter::once(&mut group.offsets).chain(pending) {
            for (topic, partitions) in topics {
                for partition in partitions {
                    offsets.remove(topic, *partition);
                }
            }
        }
    }

    /// Deletes every group's offsets of a topic, pending ones included. Returns whether there were any.
    pub(super) fn remove_topic(&mut self, topic: &str) -> bool {
        let committed = self.by_id.values_mut().map(|group| &mut group.offsets);
        let pending = self.pending_offsets.values_mut().flat_map(BTreeMap::values_mut);
        committed.chain(pending).filter_map(|offsets| offsets.0.remove(topic)).count() > 0
    }

    pub(super) fn remove_pending_offsets(&mut self, id: &str) {
        self.pending_offsets.retain(|_, groups| {
            groups.remove(id);
            !groups.is_empty()
        });
    }

    /// The entries of a rewritten journal.
    pub(super) fn offset_entries(&self) -> impl Iterator<Item = GroupEntry> {
        let committed = self.by_id.values().flat_map(|group| group.offsets.entries(&group.id, None));
        let pending = self.pending_offsets.iter().flat_map(|(producer_id, groups)| {
            groups.iter().flat_map(|(group, offsets)| offsets.entries(group, Some(*producer_id)))
        });
        committed.chain(pending).map(GroupEntry::Offsets)
    }

    /// Entries that delete expired offsets, and groups without members and offsets. Offsets with a pending offset in a
    /// transaction stay.
    pub(super) fn expired(&self, now: i64) -> Vec<GroupEntry> {
        let mut entries = Vec::new();
        for group in self.by_id.values() {
            let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            let mut all = true;
            for (topic, partitions) in group.offsets.topics() {
                for (partition, committed) in partitions {
                    if group.is_expired(topic, committed, now) && !self.has_pending(group, topic, *partition) {
                        topics.entry(topic.to_owned()).or_default().push(*partition);
                    } else {
                        all = false;
                    }
                }
            }
            // A client with a pending member id is about to join.
            let idle =
                group.state == GroupState::Empty && group.pending_members.is_empty() && group.transactions.is_empty();
            if all && idle {
                entries.push(GroupEntry::Deleted { group: group.id.clone() });
            } else if !topics.is_empty() {
                entries.push(GroupEntry::OffsetsDeleted { group: group.id.clone(), topics });
            }
        }
        entries
    }
}

impl Group {
    /// Offsets expire after the retention time: since the group became empty, or since their commit if the group has no
    /// protocol type, or is stable and no longer subscribes to the topic (KIP-211).
    fn is_expired(&self, topic: &str, committed: &Committed, now: i64) -> bool {
        let since = match (&self.protocol_type, self.state) {
            (Some(_), GroupState::Empty) => self.since,
            (Some(_), GroupState::Stable) if self.is_consumer_group() && self.subscribed.is_some() => committed.time,
            (Some(_), _) => return false,
            (None, _) => committed.time,
        };
        !self.subscribes_to(topic)
            && match committed.expires {
                Some(at) => at <= now,
                None => now - since >= RETENTION_MS,
            }
    }
}
