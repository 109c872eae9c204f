//! Copies of topics under another prefix with the same offsets, like a restored backup.

#![allow(clippy::disallowed_methods, reason = "uses its own producer")]

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::groups::{self, GROUP};
use super::support::{STEP_TIMEOUT, StoredRecord, TestEnv};

/// Copies the sources, the analytics state and the group's offsets; `change` may alter source records.
pub fn copy_topics(from: &TestEnv, to: &TestEnv, mut change: impl FnMut(&str, &mut StoredRecord)) {
    for (topic, settings) in
        [("order-events", &[][..]), ("inventory-events", &[]), ("analytics-state", &[("cleanup.policy", "compact")])]
    {
        to.create_topic(topic, from.partitions(topic), settings);
    }
    for topic in groups::SOURCES {
        let mut records = from.read(topic);
        for record in &mut records {
            change(topic, record);
        }
        copy_source(from, to, topic, &records);
        assert_eq!(to.settled_watermarks(topic), from.settled_watermarks(topic), "{topic}: offsets are kept");
        let positions = |records: &[StoredRecord]| -> Vec<(i32, i64)> {
            records.iter().map(|record| (record.partition, record.offset)).collect()
        };
        assert_eq!(positions(&to.read(topic)), positions(&records), "{topic}: positions are kept");
    }
    let renamed = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&from.prefix, &to.prefix).into_bytes();
    let state: Vec<(i32, Vec<u8>, Option<Vec<u8>>)> = from
        .read("analytics-state")
        .into_iter()
        .map(|record| {
            let value = record.value.as_deref().map(|value| without_ids(&renamed(value)));
            (record.partition, renamed(&record.key.expect("a key")), value)
        })
        .collect();
    let state: Vec<_> =
        state.iter().map(|(partition, key, value)| (*partition, Some(key.as_slice()), value.as_deref())).collect();
    to.put("analytics-state", &state);
    groups::set_offsets(to, GROUP, &groups::offsets(from, GROUP));
}

/// A position without its topic id: the copy is another topic.
fn without_ids(value: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(value).expect("JSON");
    value.as_object_mut().expect("an object").remove("topic_id");
    if let Some(previous) = value.get_mut("previous").and_then(Value::as_object_mut) {
        previous.remove("topic_id");
    }
    value.to_string().into_bytes()
}

/// Writes each record to its original offset; a missing offset was a transaction marker.
fn copy_source(from: &TestEnv, to: &TestEnv, topic: &str, records: &[StoredRecord]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &to.broker).set("acks", "all");
    let ends: BTreeMap<i32, i64> =
        (0..).zip(from.settled_watermarks(topic)).map(|(partition, (_, end))| (partition, end)).collect();
    let has_markers = usize::try_from(ends.values().sum::<i64>()).expect("a count") != records.len();
    if has_markers {
        config.set("transactional.id", to.topic("copy"));
    }
    let producer: BaseProducer = config.create().expect("a producer");
    if !has_markers {
        for record in records {
            send(&producer, &to.topic(topic), record);
        }
        producer.flush(STEP_TIMEOUT).expect("flushed");
        return;
    }
    producer.init_transactions(STEP_TIMEOUT).expect("initialised");
    for (partition, end) in ends {
        let records: Vec<&StoredRecord> = records.iter().filter(|record| record.partition == partition).collect();
        let after = records.iter().skip(1).map(|record| record.offset).chain([end]);
        let mut open = false;
        for (record, after) in records.iter().zip(after) {
            if !open {
                producer.begin_transaction().expect("begun");
            }
            send(&producer, &to.topic(topic), record);
            open = after == record.offset + 1;
            if !open {
                assert_eq!(after, record.offset + 2, "one marker between transactions");
                producer.commit_transaction(STEP_TIMEOUT).expect("committed");
            }
        }
        assert!(!open, "{topic}/{partition} ends with a marker");
    }
}

/// The copy has another timestamp: no metric may depend on it.
fn send(producer: &BaseProducer, topic: &str, record: &StoredRecord) {
    let mut copy_topics: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(topic).partition(record.partition).timestamp(record.timestamp - 86_400_000);
    copy_topics.key = record.key.as_deref();
    copy_topics.payload = record.value.as_deref();
    producer.send(copy_topics).map_err(|(error, _)| error).expect("sent");
}
