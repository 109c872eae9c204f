//! Owns what clients are told of the cluster: `Metadata`, `DescribeCluster`, `DescribeTopicPartitions`.

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

/// Everything that can be done to a topic, as bits by operation (KIP-430): read, write, create, delete, alter, describe and both configs.
const TOPIC_OPERATIONS: i32 = 3576;
/// The same for the cluster: create, alter, describe, cluster action, both configs and idempotent write.
const CLUSTER_OPERATIONS: i32 = 8096;
/// The epoch of every partition's leader.
const LEADER_EPOCH: i32 = 0;
/// `max.request.partition.size.limit`
const PARTITIONS_A_PAGE: usize = 2_000;

/// A cluster's id as Kafka writes it: base64 for URLs, 22 characters.
#[must_use]
pub fn cluster_id_text(id: Uuid) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // Four zero bits are added at the end, as for any 16 bytes.
    let digit = |place: u32| match place {
        21 => id.as_u128() << 4,
        _ => id.as_u128() >> (122 - 6 * place),
    };
    (0..22).map(|place| char::from(DIGITS[usize::try_from(digit(place) & 63).unwrap_or_default()])).collect()
}

impl Core {
    /// `Metadata`, versions 0 to 13. A topic that may be made is made at once and told whole: Kafka answers
    /// `UNKNOWN_TOPIC_OR_PARTITION` first, and clients ask again.
    pub fn metadata(&mut self, request: MetadataRequest, context: &RequestContext<'_>) -> MetadataResponse {
        let asked = match request.topics {
            Some(topics) if context.version > 0 || !topics.is_empty() => Some(topics),
            // Version 0 has no null: an empty list asks for all.
            _ => None,
        };
        if let Some(error) = asked.as_deref().and_then(|topics| senseless(topics, context.version)) {
            return refused(asked.unwrap_or_default(), error, context.version);
        }
        let operations = request.include_topic_authorized_operations;
        let topics = match asked {
            None => self.topics.iter().map(|topic| told(topic, operations)).collect(),
            // Names are not looked at when there are ids, as in Kafka.
            Some(topics) if topics.iter().any(|topic| !topic.topic_id.is_nil()) => {
                let ids: BTreeSet<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
                ids.into_iter().map(|id| self.told_by_id(id, operations)).collect()
            }
            Some(topics) => {
                let names: BTreeSet<TopicName> = topics.into_iter().filter_map(|topic| topic.name).collect();
                let create = request.allow_auto_topic_creation && self.settings.auto_create_topics;
                names.into_iter().map(|name| self.told_by_name(name, operations, create, context.now)).collect()
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

    fn told_by_id(&self, id: Uuid, operations: bool) -> MetadataResponseTopic {
        match self.topics.by_id(id) {
            Some(topic) => told(topic, operations),
            None => untold(None, ResponseError::UnknownTopicId).with_topic_id(id),
        }
    }

    fn told_by_name(&mut self, name: TopicName, operations: bool, create: bool, now: i64) -> MetadataResponseTopic {
        if let Some(topic) = self.topics.get(&name) {
            return told(topic, operations);
        }
        if names::refusal(&name).is_some() {
            return untold(Some(name), ResponseError::InvalidTopicException);
        }
        if create
            && self.auto_create(&name, now)
            && let Some(topic) = self.topics.get(&name)
        {
            return told(topic, operations);
        }
        untold(Some(name), ResponseError::UnknownTopicOrPartition)
    }

    /// Makes a topic that somebody only asked about, if there may be one. Why not, nobody is told: Kafka does not, either.
    fn auto_create(&mut self, name: &str, now: i64) -> bool {
        let partitions = usize::try_from(self.settings.num_partitions).unwrap_or(1);
        name != names::METADATA_TOPIC
            && self.topics.partitions() + partitions <= MAX_PARTITIONS
            && !self.topics.iter().any(|topic| names::collide(&topic.name, name))
            && self.make_topic(name, partitions, Overrides::new(), now).is_ok()
    }

    fn advertised(&self) -> (StrBytes, i32) {
        let (host, port) = &self.settings.advertised;
        (StrBytes::from_string(host.clone()), i32::from(*port))
    }

    /// `DescribeCluster`, versions 0 to 2.
    #[expect(clippy::needless_pass_by_value, reason = "requests are handed over, whatever is in them")]
    pub fn describe_cluster(
        &mut self,
        request: DescribeClusterRequest,
        context: &RequestContext<'_>,
    ) -> DescribeClusterResponse {
        const BROKERS: i8 = 1;
        const CONTROLLERS: i8 = 2;
        let DescribeClusterRequest { endpoint_type, include_cluster_authorized_operations, .. } = request;
        // KIP-919: a broker knows the brokers only.
        let asked = if context.version >= 1 { endpoint_type } else { BROKERS };
        let refusal = match asked {
            BROKERS => None,
            CONTROLLERS => Some((
                ResponseError::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            )),
            other => Some((ResponseError::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"))),
        };
        if let Some((error, message)) = refusal {
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
        let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_A_PAGE);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names {
            let Some(topic) = self.topics.get(&name) else {
                let error = match names::refusal(&name) {
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
            // The cursor's partition is its topic's: if that topic is gone, the next one is told from its beginning.
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

/// A partition's number as the protocol has it; there are at most `MAX_PARTITIONS`.
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

/// What makes no sense as a whole: ids came to be usable with version 12.
fn senseless(topics: &[MetadataRequestTopic], version: i16) -> Option<ResponseError> {
    if version < 12 && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
        return Some(ResponseError::InvalidRequest);
    }
    // Kafka stumbles over these.
    let nothing = |topic: &MetadataRequestTopic| topic.name.is_none() && topic.topic_id.is_nil();
    topics.iter().any(nothing).then_some(ResponseError::UnknownServerError)
}

fn refused(topics: Vec<MetadataRequestTopic>, error: ResponseError, version: i16) -> MetadataResponse {
    let topics = topics
        .into_iter()
        .map(|topic| untold(Some(topic.name.unwrap_or_default()), error).with_topic_id(topic.topic_id))
        .collect();
    let mut response = MetadataResponse::default().with_topics(topics);
    if version >= 13 {
        response.error_code = error.code();
    }
    response
}

fn untold(name: Option<TopicName>, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name(name).with_error_code(error.code())
}

fn told(topic: &Topic, operations: bool) -> MetadataResponseTopic {
    let partition = |partition| {
        MetadataResponsePartition::default()
            .with_partition_index(index(partition))
            .with_leader_id(NODE_ID.into())
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(replicas())
            .with_isr_nodes(replicas())
    };
    let mut told = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_is_internal(names::is_internal(&topic.name))
        .with_partitions((0..topic.logs.len()).map(partition).collect());
    if operations {
        told.topic_authorized_operations = TOPIC_OPERATIONS;
    }
    told
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
