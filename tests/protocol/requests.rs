//! Constructors of common requests.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, FindCoordinatorRequest,
    InitProducerIdRequest, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, ProduceRequest, ProducerId,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// A timeout that no case reaches.
pub const TIMEOUT_MS: i32 = 30_000;

/// A topic with config overrides.
pub fn new_topic(name: &StrBytes, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))))
        .collect();
    CreatableTopic::default()
        .with_name(TopicName(name.clone()))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs)
}

pub fn create_topics(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS)
}

pub fn create_topic(name: &StrBytes, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    // No retention: the timestamps of the cases are small or an hour old.
    let mut all = vec![("retention.ms", "-1")];
    all.extend(configs);
    create_topics(vec![new_topic(name, partitions, &all)])
}

/// A metadata request of topics by name, without automatic creation.
pub fn metadata(names: &[&StrBytes]) -> MetadataRequest {
    let topics =
        names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(TopicName((*name).clone())))).collect();
    MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(false)
}

/// A topic by name and id; newer versions of an API use the id.
#[derive(Clone)]
pub struct Target {
    pub name: StrBytes,
    pub id: Uuid,
}

/// A produce request for partitions of one topic, with acks=all.
pub fn produce(version: i16, target: &Target, batches: &[(i32, Bytes)]) -> ProduceRequest {
    let partitions = batches
        .iter()
        .map(|(partition, batch)| {
            PartitionProduceData::default().with_index(*partition).with_records(Some(batch.clone()))
        })
        .collect();
    let topic = TopicProduceData::default().with_partition_data(partitions);
    let topic =
        if version < 13 { topic.with_name(TopicName(target.name.clone())) } else { topic.with_topic_id(target.id) };
    ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT_MS).with_topic_data(vec![topic])
}

/// A produce request for one partition with a transactional id.
pub fn produce_in_transaction(
    version: i16,
    target: &Target,
    id: &StrBytes,
    partition: i32,
    batch: Bytes,
) -> ProduceRequest {
    produce(version, target, &[(partition, batch)]).with_transactional_id(Some(TransactionalId(id.clone())))
}

/// A fetch of partitions of one topic that returns at once, without a session.
pub fn fetch(version: i16, target: &Target, from: &[(i32, i64)]) -> FetchRequest {
    let partitions = from
        .iter()
        .map(|(partition, offset)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(1 << 20)
        })
        .collect();
    let topic = FetchTopic::default().with_partitions(partitions);
    let topic =
        if version < 13 { topic.with_topic(TopicName(target.name.clone())) } else { topic.with_topic_id(target.id) };
    let request =
        FetchRequest::default().with_max_bytes(50 << 20).with_min_bytes(0).with_max_wait_ms(0).with_topics(vec![topic]);
    if version < 7 { request } else { request.with_session_epoch(-1) }
}

pub fn read_committed(request: FetchRequest) -> FetchRequest {
    request.with_isolation_level(1)
}

/// A request of offsets by timestamp for partitions of one topic.
pub fn list_offsets(name: &StrBytes, at: &[(i32, i64)], isolation: i8) -> ListOffsetsRequest {
    let partitions = at
        .iter()
        .map(|(partition, timestamp)| {
            ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(*timestamp)
        })
        .collect();
    let topic = ListOffsetsTopic::default().with_name(TopicName(name.clone())).with_partitions(partitions);
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_isolation_level(isolation).with_topics(vec![topic])
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A request of the coordinator of a group (0) or of a transactional id (1).
pub fn find_coordinator(version: i16, kind: i8, key: &StrBytes) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default().with_key_type(kind);
    if version < 4 { request.with_key(key.clone()) } else { request.with_coordinator_keys(vec![key.clone()]) }
}

/// The offset of the first partition of a response.
pub fn first_offset(response: &ListOffsetsResponse) -> i64 {
    response.topics[0].partitions[0].offset
}

/// A request of a producer id, with or without a transactional id.
pub fn init_producer_id(id: Option<&StrBytes>) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(id.map(|id| TransactionalId(id.clone())))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

/// A deletion of records below offsets of partitions of one topic.
pub fn delete_records(name: &StrBytes, before: &[(i32, i64)]) -> DeleteRecordsRequest {
    let partitions = before
        .iter()
        .map(|(partition, offset)| {
            DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(*offset)
        })
        .collect();
    let topic = DeleteRecordsTopic::default().with_name(TopicName(name.clone())).with_partitions(partitions);
    DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS)
}

/// A deletion of a topic, below version 6.
pub fn delete_topic(name: &StrBytes) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topic_names(vec![TopicName(name.clone())]).with_timeout_ms(TIMEOUT_MS)
}
