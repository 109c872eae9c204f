//! Inspection of topics and groups with clients that do not use the program's code.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::support::{STEP_TIMEOUT, TestEnv, until};

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: i64,
}

impl StoredRecord {
    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_deref().expect("a value")).expect("a JSON value")
    }
}

impl TestEnv {
    /// A client that belongs to no group.
    pub fn consumer(&self, isolation: &str) -> Arc<BaseConsumer> {
        self.group_consumer(isolation, "inspect")
    }

    /// A client with a group id that it never joins. The id is a full name.
    pub fn group_consumer(&self, isolation: &str, group: &str) -> Arc<BaseConsumer> {
        self.clients.get(&self.broker, isolation, group)
    }

    /// The topics with this test's prefix.
    pub fn topics(&self) -> Vec<String> {
        let consumer = self.consumer("read_committed");
        let metadata = consumer.client().fetch_metadata(None, STEP_TIMEOUT).expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| name.starts_with(&self.prefix)).collect()
    }

    pub fn partitions(&self, topic: &str) -> i32 {
        let topic = self.topic(topic);
        let metadata =
            self.consumer("read_committed").client().fetch_metadata(Some(&topic), STEP_TIMEOUT).expect("metadata");
        let topic = metadata.topics().iter().find(|found| found.name() == topic).expect("the topic");
        i32::try_from(topic.partitions().len()).expect("a count")
    }

    /// (log start offset, high watermark) of every partition.
    pub fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        self.ranges(topic, "read_uncommitted")
    }

    /// (log start offset, high watermark) of every partition, once no transaction is open. Kafka confirms a commit when
    /// it is decided; the markers are written a moment later.
    pub fn settled_watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        until("no transaction is open", || self.try_settled_watermarks(topic))
    }

    /// The same, or `None` while a transaction is open.
    pub fn try_settled_watermarks(&self, topic: &str) -> Option<Vec<(i64, i64)>> {
        let (stable, ranges) = (self.last_stable_offsets(topic), self.watermarks(topic));
        stable.iter().eq(ranges.iter().map(|(_, high)| high)).then_some(ranges)
    }

    /// The last stable offset of every partition.
    pub fn last_stable_offsets(&self, topic: &str) -> Vec<i64> {
        self.ranges(topic, "read_committed").iter().map(|(_, end)| *end).collect()
    }

    /// A topic appears in the metadata a moment before its broker leads it.
    fn ranges(&self, topic: &str, isolation: &str) -> Vec<(i64, i64)> {
        let (name, consumer) = (self.topic(topic), self.consumer(isolation));
        let range = |partition| match consumer.fetch_watermarks(&name, partition, STEP_TIMEOUT) {
            Ok(range) => Some(range),
            Err(KafkaError::MetadataFetch(Rd::NotLeaderForPartition | Rd::LeaderNotAvailable)) => None,
            Err(error) => panic!("{name}/{partition}: {error}"),
        };
        (0..self.partitions(topic)).map(|partition| until("the partition has a leader", || range(partition))).collect()
    }

    /// All committed records of a topic, by partition and offset.
    pub fn read(&self, topic: &str) -> Vec<StoredRecord> {
        self.read_with_isolation(topic, "read_committed")
    }

    /// All records of a topic below its last stable offsets, without waiting for open transactions.
    pub fn read_stable(&self, topic: &str) -> Vec<StoredRecord> {
        self.read_ranges(topic, "read_committed", &self.watermarks(topic))
    }

    /// All records of a topic at an isolation level.
    pub fn read_with_isolation(&self, topic: &str, isolation: &str) -> Vec<StoredRecord> {
        let ranges = self.watermarks(topic);
        // Wait for open transactions first, so that the first end of partition lies behind all records.
        if isolation == "read_committed" {
            until("open transactions end", || self.is_stable(topic, &ranges).then_some(()));
        }
        self.read_ranges(topic, isolation, &ranges)
    }

    /// Reads from the log starts to the first end of each partition.
    fn read_ranges(&self, topic: &str, isolation: &str, ranges: &[(i64, i64)]) -> Vec<StoredRecord> {
        let name = self.topic(topic);
        let mut records = Vec::new();
        let mut list = TopicPartitionList::new();
        for (partition, (low, high)) in (0..).zip(ranges) {
            if low < high {
                list.add_partition_offset(&name, partition, Offset::Offset(*low)).expect("listed");
            }
        }
        let mut unread: BTreeSet<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let (_one_at_a_time, consumer) = (self.clients.reading(), self.consumer(isolation));
        consumer.assign(&list).expect("assigned");
        let start = Instant::now();
        while !unread.is_empty() {
            assert!(start.elapsed() < STEP_TIMEOUT, "{name} cannot be read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => records.push(stored_record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                // A cached client reports connections that were lost while the broker was away.
                None | Some(Err(KafkaError::MessageConsumption(Rd::AllBrokersDown | Rd::BrokerTransportFailure))) => {}
                Some(Err(error)) => panic!("{name}: {error}"),
            }
        }
        consumer.unassign().expect("unassigned");
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Whether a partition ends with an open transaction.
    pub fn has_open_transaction(&self, topic: &str) -> bool {
        !self.is_stable(topic, &self.watermarks(topic))
    }

    fn is_stable(&self, topic: &str, ranges: &[(i64, i64)]) -> bool {
        self.last_stable_offsets(topic).iter().zip(ranges).all(|(stable, (_, high))| stable >= high)
    }

    /// The group's committed offsets on a topic, by partition.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        self.offsets(group, topic, "read_committed")
    }

    /// The sum of the group's committed offsets on a topic. It does not wait for pending offsets of a killed writer.
    pub fn progress(&self, group: &str, topic: &str) -> i64 {
        self.offsets(group, topic, "read_uncommitted").into_iter().flatten().sum()
    }

    fn offsets(&self, group: &str, topic: &str, isolation: &str) -> Vec<Option<i64>> {
        let consumer = self.group_consumer(isolation, &self.topic(group));
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic(topic), 0, self.partitions(topic) - 1);
        let offsets = consumer.committed_offsets(list, STEP_TIMEOUT).expect("committed offsets");
        offsets.elements().iter().map(|place| place.offset().to_raw().filter(|offset| *offset >= 0)).collect()
    }

    /// The names of the groups with this prefix.
    pub fn groups(&self, prefix: &str) -> BTreeSet<String> {
        let list = self.consumer("read_uncommitted").client().fetch_group_list(None, STEP_TIMEOUT).expect("groups");
        list.groups().iter().map(|group| group.name().to_owned()).filter(|name| name.starts_with(prefix)).collect()
    }

    /// The member ids of one of this test's groups.
    pub fn members(&self, group: &str) -> BTreeSet<String> {
        self.members_of(&self.topic(group))
    }

    /// The member ids of a group, given by its full name.
    pub fn members_of(&self, group: &str) -> BTreeSet<String> {
        let list =
            self.consumer("read_uncommitted").client().fetch_group_list(Some(group), STEP_TIMEOUT).expect("the group");
        list.groups().iter().flat_map(|group| group.members().iter().map(|member| member.id().to_owned())).collect()
    }
}

fn stored_record(message: &rdkafka::message::BorrowedMessage<'_>) -> StoredRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    StoredRecord {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
    }
}
