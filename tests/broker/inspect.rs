//! Owns looking at what is on a laboratory's broker, by clients that are not the program's.

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

/// A record as it stands on a topic.
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
    /// A client that asks and belongs to no group.
    pub fn look(&self, isolation: &str) -> Arc<BaseConsumer> {
        self.group_consumer(isolation, "look")
    }

    /// A client in the name of a group that it never joins. The name is a whole one.
    pub fn group_consumer(&self, isolation: &str, group: &str) -> Arc<BaseConsumer> {
        self.clients.get(&self.broker, isolation, group)
    }

    /// The names of the cluster's topics that begin with this laboratory's prefix.
    pub fn topics(&self) -> Vec<String> {
        let consumer = self.look("read_committed");
        let metadata = consumer.client().fetch_metadata(None, STEP_TIMEOUT).expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| name.starts_with(&self.prefix)).collect()
    }

    pub fn partitions(&self, topic: &str) -> i32 {
        let topic = self.topic(topic);
        let metadata =
            self.look("read_committed").client().fetch_metadata(Some(&topic), STEP_TIMEOUT).expect("metadata");
        let topic = metadata.topics().iter().find(|found| found.name() == topic).expect("the topic");
        i32::try_from(topic.partitions().len()).expect("a count")
    }

    /// (log start, high watermark) of every partition, as they are at this moment.
    pub fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        self.ranges(topic, "read_uncommitted")
    }

    /// (log start, high watermark) of every partition, once no transaction is open on any of them. Kafka tells a writer
    /// that its transaction is committed as soon as that is decided; the markers are written a moment later.
    pub fn settled_watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        until("every transaction has its marker", || self.try_settled_watermarks(topic))
    }

    /// The same, if it is so at this moment.
    pub fn try_settled_watermarks(&self, topic: &str) -> Option<Vec<(i64, i64)>> {
        let (stable, ranges) = (self.last_stable_offsets(topic), self.watermarks(topic));
        stable.iter().eq(ranges.iter().map(|(_, high)| high)).then_some(ranges)
    }

    /// The last stable offset of every partition.
    pub fn last_stable_offsets(&self, topic: &str) -> Vec<i64> {
        self.ranges(topic, "read_committed").iter().map(|(_, end)| *end).collect()
    }

    /// A topic is in the metadata a moment before its broker leads it.
    fn ranges(&self, topic: &str, isolation: &str) -> Vec<(i64, i64)> {
        let (name, consumer) = (self.topic(topic), self.look(isolation));
        let range = |partition| match consumer.fetch_watermarks(&name, partition, STEP_TIMEOUT) {
            Ok(range) => Some(range),
            Err(KafkaError::MetadataFetch(Rd::NotLeaderForPartition | Rd::LeaderNotAvailable)) => None,
            Err(error) => panic!("{name}/{partition}: {error}"),
        };
        (0..self.partitions(topic)).map(|partition| until("a leader", || range(partition))).collect()
    }

    /// Every record of a topic that a reader of committed records gets, by partition and offset.
    pub fn read(&self, topic: &str) -> Vec<StoredRecord> {
        self.read_with_isolation(topic, "read_committed")
    }

    /// Every record of a topic for an isolation level.
    pub fn read_with_isolation(&self, topic: &str, isolation: &str) -> Vec<StoredRecord> {
        let name = self.topic(topic);
        let mut records = Vec::new();
        let ranges = self.watermarks(topic);
        let mut list = TopicPartitionList::new();
        for (partition, (low, high)) in (0..).zip(&ranges) {
            if low < high {
                list.add_partition_offset(&name, partition, Offset::Offset(*low)).expect("listed");
            }
        }
        // A transaction that is open now is waited for; then the first end that the reading meets is behind all of it.
        if isolation == "read_committed" {
            until("open transactions end", || self.is_stable(topic, &ranges).then_some(()));
        }
        let mut unread: BTreeSet<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let (_one_at_a_time, consumer) = (self.clients.reading(), self.look(isolation));
        consumer.assign(&list).expect("assigned");
        let start = Instant::now();
        while !unread.is_empty() {
            assert!(start.elapsed() < STEP_TIMEOUT, "{name} cannot be read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => records.push(stored_record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                // Errors that tell of a broker that was away for a while; this client has looked at it before.
                None | Some(Err(KafkaError::MessageConsumption(Rd::AllBrokersDown | Rd::BrokerTransportFailure))) => {}
                Some(Err(error)) => panic!("{name}: {error}"),
            }
        }
        consumer.unassign().expect("unassigned");
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Whether some partition ends in a transaction that is still open.
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

    /// The sum of the group's committed offsets on a topic; does not wait for pending ones, so it never stands still
    /// behind a killed writer.
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

    /// The names of the broker's groups that begin with this.
    pub fn groups(&self, prefix: &str) -> BTreeSet<String> {
        let list = self.look("read_uncommitted").client().fetch_group_list(None, STEP_TIMEOUT).expect("groups");
        list.groups().iter().map(|group| group.name().to_owned()).filter(|name| name.starts_with(prefix)).collect()
    }

    /// The ids of the members of one of the laboratory's groups.
    pub fn members(&self, group: &str) -> BTreeSet<String> {
        self.members_of(&self.topic(group))
    }

    /// The ids of the members of a group, which is given by its whole name.
    pub fn members_of(&self, group: &str) -> BTreeSet<String> {
        let list =
            self.look("read_uncommitted").client().fetch_group_list(Some(group), STEP_TIMEOUT).expect("the group");
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
