//! Tests of `DeleteTopics` and `DeleteRecords`. The expected responses are those of Apache Kafka 4.1.0.

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};

use super::super::test_support::{NOW, append, broker, make, name, send};
use super::*;
use crate::broker::response::{Client, MaybeDeferred, Ticket};

fn by_name(topic: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(name(topic)))
}

fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(None).with_topic_id(id)
}

/// Name, id, error and message.
type Row = (Option<String>, Uuid, i16, Option<String>);

fn delete(core: &mut Core, topics: Vec<DeleteTopicState>) -> Vec<Row> {
    let request = DeleteTopicsRequest::default().with_topics(topics);
    let responses = send(6, |context| core.delete_topics(request, context)).responses;
    let row = |result: DeletableTopicResult| {
        let name = result.name.map(|name| name.to_string());
        (name, result.topic_id, result.error_code, result.error_message.map(|message| message.to_string()))
    };
    responses.into_iter().map(row).collect()
}

#[test]
fn deletes_a_topic_by_name_in_every_version() {
    for version in 1..=6 {
        let mut core = broker();
        make(&mut core, "a", 2, &[]);
        let request = if version >= 6 {
            DeleteTopicsRequest::default().with_topics(vec![by_name("a"), by_name("nope")])
        } else {
            DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("nope")])
        };
        let responses = send(version, |context| core.delete_topics(request, context)).responses;
        assert_eq!(responses.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 3]);
        assert!(core.topics.get("a").is_none());
        // A new topic of that name starts empty.
        make(&mut core, "a", 1, &[]);
        assert_eq!(core.topics.get("a").unwrap().logs.len(), 1);
    }
}

#[test]
fn deletes_a_topic_by_id() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    assert_eq!(delete(&mut core, vec![by_id(id)]), [(Some("a".to_owned()), id, 0, None)]);
    let unknown = Some("This server does not host this topic ID.".to_owned());
    assert_eq!(delete(&mut core, vec![by_id(id)]), [(None, id, 100, unknown)]);
}

#[test]
fn refuses_ambiguous_topics_with_kafkas_message() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let message = |text: &str| Some(text.to_owned());
    let a = || Some("a".to_owned());
    let both = by_name("a").with_topic_id(id);
    assert_eq!(
        delete(&mut core, vec![by_id(Uuid::nil()), both]),
        [
            (None, Uuid::nil(), 42, message("Neither topic name nor id were specified.")),
            (a(), id, 42, message("You may not specify both topic name and topic id.")),
        ]
    );
    assert_eq!(
        delete(&mut core, vec![by_name("a"), by_name("a")]),
        [(a(), Uuid::nil(), 42, message("Duplicate topic name."))]
    );
    assert_eq!(delete(&mut core, vec![by_id(id), by_id(id)]), [(None, id, 42, message("Duplicate topic id."))]);
    let both_names = (a(), id, 42, message("The topic is named by its name and its id."));
    let nope = (Some("nope".to_owned()), Uuid::nil(), 42, message("Duplicate topic name."));
    assert_eq!(
        delete(&mut core, vec![by_name("nope"), by_id(id), by_name("a"), by_name("nope"), by_id(id)]),
        [nope, both_names]
    );
    assert!(core.topics.get("a").is_some());
}

fn delete_records(core: &mut Core, topic: &str, partition: i32, offset: i64) -> (i64, i16) {
    let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let mut response = send(2, |context| core.delete_records(request, context));
    let result = response.topics.remove(0).partitions.remove(0);
    (result.low_watermark, result.error_code)
}

#[test]
fn deletes_records_up_to_an_offset() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    for value in ["1", "2", "3"] {
        append(&mut core, "a", "k", value, NOW);
    }
    assert_eq!(delete_records(&mut core, "a", 0, 4), (-1, 1));
    assert_eq!(delete_records(&mut core, "a", 0, -2), (-1, 1));
    assert_eq!(delete_records(&mut core, "a", 0, 2), (2, 0));
    assert_eq!(delete_records(&mut core, "a", 0, 1), (2, 0));
    assert_eq!(delete_records(&mut core, "a", 0, -1), (3, 0));
    assert_eq!(core.topics.log("a", 0).unwrap().start_offset(), 3);
}

/// Starts a fetch that waits at this offset of partition 0 for longer than a test takes.
fn waiting_fetch(core: &mut Core, topic: &str, offset: i64) -> Ticket {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let partition = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_topics(vec![partition])
        .with_session_epoch(-1)
        .with_max_wait_ms(600_000)
        .with_min_bytes(1_000)
        .with_max_bytes(1 << 20);
    let client = Client { connection: 1, id: "reader".to_owned(), host: "/127.0.0.1".to_owned() };
    match core.fetch(&request, &RequestContext { version: 12, now: NOW, client: &client }) {
        MaybeDeferred::Later(ticket) => ticket,
        MaybeDeferred::Now(plan) => panic!("not deferred: {plan:?}"),
    }
}

fn completed(core: &mut Core) -> Vec<Ticket> {
    core.take_ready().into_iter().map(|(ticket, _)| ticket).collect()
}

#[test]
fn deletions_complete_only_their_waiting_fetches() {
    let mut core = broker();
    for topic in ["a", "b", "c"] {
        make(&mut core, topic, 1, &[]);
        append(&mut core, topic, "k", "1", NOW);
        append(&mut core, topic, "k", "2", NOW);
    }
    let [first, second, end, other] =
        [("a", 0), ("a", 1), ("a", 2), ("b", 0)].map(|(t, at)| waiting_fetch(&mut core, t, at));
    let third = waiting_fetch(&mut core, "c", 0);
    assert_eq!(delete_records(&mut core, "a", 0, 1), (1, 0));
    assert_eq!(completed(&mut core), [first], "its record is deleted");
    core.tick(NOW + 1);
    assert_eq!(completed(&mut core), []);
    delete(&mut core, vec![by_name("a")]);
    assert_eq!(completed(&mut core), [second, end]);
    delete(&mut core, vec![by_name("b"), by_name("c")]);
    assert_eq!(completed(&mut core), [other, third]);
}

#[test]
fn deletes_records_only_with_cleanup_policy_delete() {
    let mut core = broker();
    make(&mut core, "compacted", 1, &[("cleanup.policy", "compact")]);
    make(&mut core, "both", 1, &[("cleanup.policy", "compact,delete")]);
    make(&mut core, "neither", 1, &[("cleanup.policy", "")]);
    make(&mut core, "__consumer_offsets", 1, &[]);
    assert_eq!(delete_records(&mut core, "compacted", 0, 0), (-1, 44));
    assert_eq!(delete_records(&mut core, "compacted", 0, 100), (-1, 44));
    assert_eq!(delete_records(&mut core, "neither", 0, 0), (-1, 44));
    assert_eq!(delete_records(&mut core, "both", 0, 0), (0, 0));
    assert_eq!(delete_records(&mut core, "__consumer_offsets", 0, 0), (-1, 17));
    for (topic, partition) in [("nope", 0), ("both", 1), ("both", -1)] {
        assert_eq!(delete_records(&mut core, topic, partition, 0), (-1, 3));
    }
}
