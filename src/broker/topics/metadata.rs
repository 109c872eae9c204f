//! Cluster metadata: `Metadata`, `DescribeCluster`, `DescribeTopicPartitions`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::core::{Core, NODE_ID};
use super::super::response::RequestContext;
use super::{MAX_PARTITIONS, Overrides, Topic, names, replicas};

/// All operations on a topic as a bit set (KIP-430): read, write, create, delete, alter, describe, describe and alter
/// configs.
const TOPIC_OPERATIONS: i32 = 3576;
/// All operations on the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent
/// write.
const CLUSTER_OPERATIONS: i32 = 8096;
/// The leader epoch of every partition.
const LEADER_EPOCH: i32 = 0;
/// `max.request.partition.size.limit`
const MAX_PAGE_PARTITIONS: usize = 2_000;

/// A cluster id in Kafka's format: URL-safe base64, 22 characters.
#[must_use]
pub fn cluster_id_text(id: Uuid) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 21 digits and 2 bits; the last digit is padded with four zero bits.
    let digit = |index: u32| match index {
        21 => id.as_u128() << 4,
        _ => id.as_u128() >> (122 - 6 * index),
    };
    (0..22).map(|index| char::from(DIGITS[usize::try_from(digit(index) & 63).unwrap_or_default()])).collect()
}

impl Core {
    /// `Metadata`, versions 0 to 13. Automatic creation happens before the response, which has the new topic. Kafka
    /// responds with `UNKNOWN_TOPIC_OR_PARTITION` first, and clients retry.
    pub fn metadata(&mut self, request: MetadataRequest, context: &RequestContext<'_>) -> MetadataResponse {
        let requested = match request.topics {
            Some(topics) if context.version > 0 || !topics.is_empty() => Some(topics),
            // Version 0 has no null: an empty list means all topics.
            _ => None,
        };
        if let Some(error) = requested.as_deref().and_then(|topics| request_error(topics, context.version)) {
            return error_response(requested.unwrap_or_default(), error, context.version);
        }
        let operations = request.include_topic_authorized_operations;
        let topics = match requested {
            None => self.topics.iter().map(|topic| topic_metadata(topic, operations)).collect(),
            // Names are ignored if there are ids, as in Kafka.
            Some(topics) if topics.iter().any(|topic| !topic.topic_id.is_nil()) => {
                let ids: BTreeSet<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
                ids.into_iter().map(|id| self.metadata_by_id(id, operations)).collect()
            }
            Some(topics) => {
                let names: BTreeSet<TopicName> = topics.into_iter().filter_map(|topic| topic.name).collect();
                let create = request.allow_auto_topic_creation && self.settings.auto_create_topics;
                names.into_iter().map(|name| self.metadata_by_name(name, operations, create, context.now)).collect()
            }
        };
        let (host, port) = self.advertised();
        let broker = MetadataResponseBroker::default().with_node_id(NODE_ID.into()).with_host(host).with_port(port);
        let mut response = MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(StrBytes::from_string(cluster_id_text(self.cluster_id))))
            .with_controller_id(NODE_ID.into())
            .with_topics(topics);
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        response
    }

    fn metadata_by_id(&self, id: Uuid, operations: bool) -> MetadataResponseTopic {
        match self.topics.by_id(id) {
            Some(topic) => topic_metadata(topic, operations),
            None => topic_error(None, ResponseError::UnknownTopicId).with_topic_id(id),
        }
    }

    fn metadata_by_name(&mut self, name: TopicName, operations: bool, create: bool, now: i64) -> MetadataResponseTopic {
        if let Some(topic) = self.topics.get(&name) {
            return topic_metadata(topic, operations);
        }
        if names::invalid_reason(&name).is_some() {
            return topic_error(Some(name), ResponseError::InvalidTopicException);
        }
        if create
            && self.auto_create(&name, now)
            && let Some(topic) = self.topics.get(&name)
        {
            return topic_metadata(topic, operations);
        }
        topic_error(Some(name), ResponseError::UnknownTopicOrPartition)
    }

    /// Creates a topic that a client asked for and returns whether it exists. As in Kafka, the client does not learn
    /// the reason if not.
    fn auto_create(&mut self, name: &str, now: i64) -> bool {
        let partitions = usize::try_from(self.settings.num_partitions).unwrap_or(1);
        name != names::METADATA_TOPIC
            && self.topics.partition_count() + partitions <= MAX_PARTITIONS
            && !self.topics.iter().any(|topic| names::collide(&topic.name, name))
            && self.make_topic(name, partitions, Overrides::new(), now).is_ok()
    }

    fn advertised(&self) -> (StrBytes, i32) {
        let (host, port) = &self.settings.advertised;
        (StrBytes::from_string(host.clone()), i32::from(*port))
    }

    /// `DescribeCluster`, versions 0 to 2.
    #[expect(clippy::needless_pass_by_value, reason = "all requests are passed by value")]
    pub fn describe_cluster(
        &mut self,
        request: DescribeClusterRequest,
        context: &RequestContext<'_>,
    ) -> DescribeClusterResponse {
        const BROKERS: i8 = 1;
        const CONTROLLERS: i8 = 2;
        let DescribeClusterRequest { endpoint_type, include_cluster_authorized_operations, .. } = request;
        // KIP-919: a broker describes brokers only.
        let requested = if context.version >= 1 { endpoint_type } else { BROKERS };
        let error = match requested {
            BROKERS => None,
            CONTROLLERS => Some((
                ResponseError::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            )),
            other => Some((ResponseError::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"))),
        };
        if let Some((error, message)) = error {
            return DescribeClusterResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)));
        }
        let (host, port) = self.advertised();
        let broker = DescribeClusterBroker::default().with_broker_id(NODE_ID.into()).with_host(host).with_port(port);
        let mut response = DescribeClusterResponse::default()
            .with_cluster_id(StrBytes::from_string(cluster_id_text(self.cluster_id)))
            .with_controller_id(NODE_ID.into())
            .with_brokers(vec![broker]);
        if include_cluster_authorized_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        response
    }

    /// `DescribeTopicPartitions` (KIP-966), version 0: topics by name, a page at a time.
    pub fn describe_topic_partitions(
        &mut self,
        request: DescribeTopicPartitionsRequest,
        _call: &RequestContext<'_>,
    ) -> DescribeTopicPartitionsResponse {
        let mut names: BTreeSet<TopicName> = request.topics.into_iter().map(|topic| topic.name).collect();
        let cursor = request.cursor.map(|cursor| (cursor.topic_name, usize::try_from(cursor.partition_index).ok()));
        if let Some((_, None)) = cursor {
            let refused = names.into_iter().map(|name| {
                DescribeTopicPartitionsResponseTopic::default()
                    .with_name(Some(name))
                    .with_error_code(ResponseError::InvalidRequest.code())
            });
            return DescribeTopicPartitionsResponse::default().with_topics(refused.collect());
        }
        if names.is_empty() {
            let all = self.topics.iter().map(|topic| TopicName(StrBytes::from_string(topic.name.clone())));
            names = all.collect();
        }
        let (from, mut first) = cursor.map_or((None, 0), |(name, index)| (Some(name), index.unwrap_or_default()));
        let names = names.into_iter().filter(|name| from.as_ref().is_none_or(|from| name >= from));
        let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, MAX_PAGE_PARTITIONS);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names {
            let Some(topic) = self.topics.get(&name) else {
                let error = match names::invalid_reason(&name) {
                    Some(_) => ResponseError::InvalidTopicException,
                    None => ResponseError::UnknownTopicOrPartition,
                };
                response.topics.push(
                    DescribeTopicPartitionsResponseTopic::default()
                        .with_name(Some(name))
                        .with_error_code(error.code())
                        .with_topic_authorized_operations(TOPIC_OPERATIONS),
                );
                continue;
            };
            if left == 0 {
                response.next_cursor = Some(Cursor::default().with_topic_name(name));
                break;
            }
            // The partition of the cursor belongs to its topic; if that topic does not exist any more, the next one
            // starts at 0.
            let begin = if from.as_ref() == Some(&name) { std::mem::take(&mut first) } else { 0 };
            let end = topic.logs.len().min(begin.saturating_add(left));
            let partitions: Vec<_> = (begin..end).map(page_partition).collect();
            left -= partitions.len();
            let cut = (end < topic.logs.len())
                .then(|| Cursor::default().with_topic_name(name.clone()).with_partition_index(index(end)));
            response.topics.push(
                DescribeTopicPartitionsResponseTopic::default()
                    .with_name(Some(name))
                    .with_topic_id(topic.id)
                    .with_is_internal(names::is_internal(&topic.name))
                    .with_partitions(partitions)
                    .with_topic_authorized_operations(TOPIC_OPERATIONS),
            );
            if cut.is_some() {
                response.next_cursor = cut;
                break;
            }
        }
        response
    }
}

/// A partition number as in the protocol; there are at most `MAX_PARTITIONS`.
pub(super) fn index(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

fn page_partition(partition: usize) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index(partition))
        .with_leader_id(NODE_ID.into())
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(replicas())
        .with_isr_nodes(replicas())
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

/// The error of an invalid request. Topic ids are allowed from version 12.
fn request_error(topics: &[MetadataRequestTopic], version: i16) -> Option<ResponseError> {
    if version < 12 && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
        return Some(ResponseError::InvalidRequest);
    }
    // Kafka fails with an exception here.
    let is_unnamed = |topic: &MetadataRequestTopic| topic.name.is_none() && topic.topic_id.is_nil();
    topics.iter().any(is_unnamed).then_some(ResponseError::UnknownServerError)
}

fn error_response(topics: Vec<MetadataRequestTopic>, error: ResponseError, version: i16) -> MetadataResponse {
    let topics = topics
        .into_iter()
        .map(|topic| topic_error(Some(topic.name.unwrap_or_default()), error).with_topic_id(topic.topic_id))
        .collect();
    let mut response = MetadataResponse::default().with_topics(topics);
    if version >= 13 {
        response.error_code = error.code();
    }
    response
}

fn topic_error(name: Option<TopicName>, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name(name).with_error_code(error.code())
}

fn topic_metadata(topic: &Topic, operations: bool) -> MetadataResponseTopic {
    let partition = |partition| {
        MetadataResponsePartition::default()
            .with_partition_index(index(partition))
            .with_leader_id(NODE_ID.into())
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(replicas())
            .with_isr_nodes(replicas())
    };
    let mut response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_is_internal(names::is_internal(&topic.name))
        .with_partitions((0..topic.logs.len()).map(partition).collect());
    if operations {
        response.topic_authorized_operations = TOPIC_OPERATIONS;
    }
    response
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
