//! Tests of offset lookup and `DescribeProducers`. The expected responses are those of Apache Kafka 4.1.0.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};

use super::super::test_support::{NOW, append, append_as, broker, make, name, send};
use super::*;

fn partition(partition: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp)
}

fn list_all(core: &mut Core, version: i16, isolation: i8, partitions: Vec<ListOffsetsPartition>) -> Vec<Listed> {
    let topic = ListOffsetsTopic::default().with_name(name("a")).with_partitions(partitions);
    let request = ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic]);
    let mut response = send(version, |context| core.list_offsets(request, context));
    response.topics.remove(0).partitions
}

type Listed = ListOffsetsPartitionResponse;

/// Error, offset, timestamp and epoch.
fn list(core: &mut Core, version: i16, isolation: i8, timestamp: i64) -> (i16, i64, i64, i32) {
    let listed = list_all(core, version, isolation, vec![partition(0, timestamp)]).remove(0);
    (listed.error_code, listed.offset, listed.timestamp, listed.leader_epoch)
}

const NONE_FOUND: (i16, i64, i64, i32) = (0, -1, -1, -1);

#[test]
fn an_empty_log_starts_and_ends_at_0() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    for version in 1..=10 {
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!(list(&mut core, version, 0, LATEST), (0, 0, -1, epoch));
        assert_eq!(list(&mut core, version, 0, EARLIEST), (0, 0, -1, epoch));
        assert_eq!(list(&mut core, version, 0, 0), NONE_FOUND);
    }
    assert_eq!(list(&mut core, 10, 0, MAX_TIMESTAMP), NONE_FOUND);
}

#[test]
fn finds_offsets_by_timestamp() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    for (value, time) in [("1", NOW), ("2", NOW + 20), ("3", NOW + 10)] {
        append(&mut core, "a", "k", value, time);
    }
    assert_eq!(list(&mut core, 10, 0, LATEST), (0, 3, -1, 0));
    assert_eq!(list(&mut core, 10, 0, 0), (0, 0, NOW, 0));
    assert_eq!(list(&mut core, 10, 0, NOW + 1), (0, 1, NOW + 20, 0));
    assert_eq!(list(&mut core, 10, 0, NOW + 21), NONE_FOUND);
    assert_eq!(list(&mut core, 10, 0, MAX_TIMESTAMP), (0, 1, NOW + 20, 0));
    assert_eq!(list(&mut core, 1, 0, NOW), (0, 0, NOW, -1));
}

const UNSUPPORTED: (i16, i64, i64, i32) = (35, -1, -1, -1);

#[test]
fn special_timestamps_need_their_version() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    append(&mut core, "a", "k", "1", NOW);
    assert_eq!(list(&mut core, 6, 0, MAX_TIMESTAMP), UNSUPPORTED);
    assert_eq!(list(&mut core, 7, 0, MAX_TIMESTAMP), (0, 0, NOW, 0));
    assert_eq!(list(&mut core, 7, 0, EARLIEST_LOCAL), UNSUPPORTED);
    assert_eq!(list(&mut core, 8, 0, EARLIEST_LOCAL), (0, 0, -1, 0));
    assert_eq!(list(&mut core, 8, 0, LATEST_TIERED), UNSUPPORTED);
    assert_eq!(list(&mut core, 9, 0, LATEST_TIERED), NONE_FOUND);
    for unknown in [-6, -7, i64::MIN] {
        assert_eq!(list(&mut core, 10, 0, unknown), UNSUPPORTED);
    }
    assert_eq!(list(&mut core, 10, 7, LATEST), (-1, -1, -1, -1));
}

#[test]
fn read_committed_ignores_open_transactions() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    append(&mut core, "a", "k", "1", NOW);
    append_as(&mut core, "a", 5, "k", "2", NOW + 5);
    assert_eq!(list(&mut core, 10, 0, LATEST), (0, 2, -1, 0));
    assert_eq!(list(&mut core, 10, 1, LATEST), (0, 1, -1, 0));
    assert_eq!(list(&mut core, 10, 0, NOW + 1), (0, 1, NOW + 5, 0));
    assert_eq!(list(&mut core, 10, 1, NOW + 1), NONE_FOUND);
    assert_eq!(list(&mut core, 10, 1, MAX_TIMESTAMP), NONE_FOUND);
}

#[test]
fn checks_partitions_epochs_and_duplicates() {
    let mut core = broker();
    make(&mut core, "a", 2, &[]);
    let partitions = vec![
        partition(0, LATEST).with_current_leader_epoch(1),
        partition(1, LATEST).with_current_leader_epoch(-2),
        partition(2, LATEST),
        partition(-1, LATEST),
    ];
    let codes = |listed: Vec<Listed>| {
        listed.into_iter().map(|listed| (listed.partition_index, listed.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(codes(list_all(&mut core, 10, 0, partitions)), [(0, 75), (1, 74), (2, 3), (-1, 3)]);
    let duplicate =
        vec![partition(0, LATEST), partition(0, EARLIEST), partition(1, LATEST).with_current_leader_epoch(0)];
    assert_eq!(codes(list_all(&mut core, 10, 0, duplicate)), [(0, 42), (1, 0)]);
}

#[test]
fn epoch_0_ends_at_the_high_watermark() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    append(&mut core, "a", "k", "1", NOW);
    for version in 2..=4 {
        for (current, epoch, expected) in
            [(-1, 0, (0, 0, 1)), (0, 1, (0, -1, -1)), (0, -1, (0, -1, -1)), (0, -2, (0, -2, 0)), (1, 0, (75, -1, -1))]
        {
            let partition =
                OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default().with_topic(name("a")).with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let mut response = send(version, |context| core.offset_for_leader_epoch(request, context));
            let end = response.topics.remove(0).partitions.remove(0);
            assert_eq!((end.error_code, end.leader_epoch, end.end_offset), expected);
        }
    }
}

#[test]
fn describes_producers_of_a_partition() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    append_as(&mut core, "a", 5, "k", "1", NOW);
    let topics = [("a", vec![0, 7]), ("nope", vec![0]), ("bad name", vec![0])]
        .map(|(topic, partitions)| TopicRequest::default().with_name(name(topic)).with_partition_indexes(partitions));
    let request = DescribeProducersRequest::default().with_topics(topics.to_vec());
    let response = send(0, |context| core.describe_producers(request, context));
    let producer = &response.topics[0].partitions[0].active_producers[0];
    assert_eq!((*producer.producer_id, producer.producer_epoch, producer.last_sequence), (5, 0, 0));
    assert_eq!((producer.coordinator_epoch, producer.current_txn_start_offset), (-1, 0));
    let error = |topic: usize, partition: usize| {
        let partition = &response.topics[topic].partitions[partition];
        (partition.error_code, partition.error_message.as_ref().map(ToString::to_string))
    };
    assert_eq!(error(0, 1), (3, None));
    assert_eq!(error(1, 0), (3, Some(UNKNOWN_TOPIC.to_owned())));
    assert_eq!(error(2, 0).0, 17);
}
