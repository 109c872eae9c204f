//! Test support for topics: a broker in memory, requests, and record batches.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use uuid::Uuid;

use super::super::core::{Core, NodeSettings, Storage};
use super::super::log::Batch;
use super::super::response::{Client, RequestContext};

/// The time of all requests.
pub const NOW: i64 = 1_800_000_000_000;

/// A broker without topics that does not create them automatically.
pub fn broker() -> Core {
    open(Storage::Memory)
}

/// A broker in this storage that does not create topics automatically.
pub fn open(storage: Storage) -> Core {
    let settings = NodeSettings { auto_create_topics: false, ..NodeSettings::default() };
    Core::open(storage, settings, Uuid::from_u128(7), NOW).expect("a broker opens")
}

/// Sends a request at a version and checks that the response can be encoded in it.
pub fn send<T: Encodable>(version: i16, request: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let client = Client { connection: 1, id: "test".to_owned(), host: "/127.0.0.1".to_owned() };
    let response = request(&RequestContext { version, now: NOW, client: &client });
    let mut bytes = Vec::new();
    response.encode(&mut bytes, version).expect("the response can be encoded");
    response
}

/// A string of the protocol.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name.
pub fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A topic for `CreateTopics`.
pub fn topic(topic_name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(key, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    CreatableTopic::default()
        .with_name(name(topic_name))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
        .with_configs(configs.iter().map(config).collect())
}

/// Creates a topic.
pub fn make(core: &mut Core, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
    let request = CreateTopicsRequest::default().with_topics(vec![topic(name, partitions, configs)]);
    let response = send(7, |context| core.create_topics(request, context));
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    response.topics[0].topic_id
}

/// Appends a batch of one record.
pub fn append(core: &mut Core, topic: &str, key: &'static str, value: &str, timestamp: i64) {
    append_as(core, topic, -1, key, value, timestamp);
}

/// Appends a batch of one record in a transaction of this producer; -1 is a producer without an id.
pub fn append_as(core: &mut Core, topic: &str, producer: i64, key: &'static str, value: &str, timestamp: i64) {
    let anonymous = producer < 0;
    let record = Record {
        transactional: !anonymous,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: producer,
        producer_epoch: if anonymous { -1 } else { 0 },
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: if anonymous { -1 } else { 0 },
        timestamp,
        key: Some(Bytes::from_static(key.as_bytes())),
        value: Some(Bytes::from(value.to_owned())),
        headers: indexmap::IndexMap::new(),
    };
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &[record], &options).expect("a batch");
    let batch = Batch::parse(bytes.freeze()).expect("a batch");
    core.topics.log_mut(topic, 0).expect("the topic").append(&batch, NOW).expect("appended");
}
