//! Owns the tests of what clients delete; the expected answers are those of a real Kafka 4.1.0.

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};

use super::super::test_support::{NOW, append, ask, broker, make, name};
use super::*;
use crate::broker::response::{Client, MaybeDeferred, Ticket};

fn of_name(topic: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(name(topic)))
}

fn of_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(None).with_topic_id(id)
}

/// Name, id, error and message.
type Row = (Option<String>, Uuid, i16, Option<String>);

fn delete(core: &mut Core, topics: Vec<DeleteTopicState>) -> Vec<Row> {
    let request = DeleteTopicsRequest::default().with_topics(topics);
    let responses = ask(6, |context| core.delete_topics(request, context)).responses;
    let row = |result: DeletableTopicResult| {
        let name = result.name.map(|name| name.to_string());
        (name, result.topic_id, result.error_code, result.error_message.map(|why| why.to_string()))
    };
    responses.into_iter().map(row).collect()
}

#[test]
fn a_topic_is_deleted_by_name_in_every_version() {
    for version in 1..=6 {
        let mut core = broker();
        make(&mut core, "a", 2, &[]);
        let request = if version >= 6 {
            DeleteTopicsRequest::default().with_topics(vec![of_name("a"), of_name("nope")])
        } else {
            DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("nope")])
        };
        let responses = ask(version, |context| core.delete_topics(request, context)).responses;
        assert_eq!(responses.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 3]);
        assert!(core.topics.get("a").is_none());
        // A new one of that name is another one.
        make(&mut core, "a", 1, &[]);
        assert_eq!(core.topics.get("a").unwrap().logs.len(), 1);
    }
}

#[test]
fn a_topic_is_deleted_by_its_id() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    assert_eq!(delete(&mut core, vec![of_id(id)]), [(Some("a".to_owned()), id, 0, None)]);
    let unknown = Some("This server does not host this topic ID.".to_owned());
    assert_eq!(delete(&mut core, vec![of_id(id)]), [(None, id, 100, unknown)]);
}

#[test]
fn what_cannot_be_meant_is_refused_in_kafkas_words() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let why = |text: &str| Some(text.to_owned());
    let a = || Some("a".to_owned());
    let both = of_name("a").with_topic_id(id);
    assert_eq!(
        delete(&mut core, vec![of_id(Uuid::nil()), both]),
        [
            (None, Uuid::nil(), 42, why("Neither topic name nor id were specified.")),
            (a(), id, 42, why("You may not specify both topic name and topic id.")),
        ]
    );
    assert_eq!(
        delete(&mut core, vec![of_name("a"), of_name("a")]),
        [(a(), Uuid::nil(), 42, why("Duplicate topic name."))]
    );
    assert_eq!(delete(&mut core, vec![of_id(id), of_id(id)]), [(None, id, 42, why("Duplicate topic id."))]);
    let by_both = (a(), id, 42, why("The topic is named by its name and its id."));
    let nope = (Some("nope".to_owned()), Uuid::nil(), 42, why("Duplicate topic name."));
    assert_eq!(
        delete(&mut core, vec![of_name("nope"), of_id(id), of_name("a"), of_name("nope"), of_id(id)]),
        [nope, by_both]
    );
    assert!(core.topics.get("a").is_some());
}

fn delete_records(core: &mut Core, topic: &str, partition: i32, offset: i64) -> (i64, i16) {
    let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let mut response = ask(2, |context| core.delete_records(request, context));
    let result = response.topics.remove(0).partitions.remove(0);
    (result.low_watermark, result.error_code)
}

#[test]
fn records_are_deleted_up_to_an_offset_and_never_come_back() {
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

/// A reader who waits at this offset of the topic's first partition, far longer than a test.
fn waiting(core: &mut Core, topic: &str, offset: i64) -> Ticket {
    let asked = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let asked = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![asked]);
    let request = FetchRequest::default()
        .with_topics(vec![asked])
        .with_session_epoch(-1)
        .with_max_wait_ms(600_000)
        .with_min_bytes(1_000)
        .with_max_bytes(1 << 20);
    let client = Client { connection: 1, id: "reader".to_owned(), host: "/127.0.0.1".to_owned() };
    match core.fetch(&request, &RequestContext { version: 12, now: NOW, client: &client }) {
        MaybeDeferred::Later(ticket) => ticket,
        MaybeDeferred::Now(plan) => panic!("it does not wait: {plan:?}"),
    }
}

fn roused(core: &mut Core) -> Vec<Ticket> {
    core.take_ready().into_iter().map(|(ticket, _)| ticket).collect()
}

#[test]
fn who_waits_for_deleted_records_or_a_deleted_topic_is_told_and_nobody_else() {
    let mut core = broker();
    for topic in ["a", "b", "c"] {
        make(&mut core, topic, 1, &[]);
        append(&mut core, topic, "k", "1", NOW);
        append(&mut core, topic, "k", "2", NOW);
    }
    let [first, second, end, other] = [("a", 0), ("a", 1), ("a", 2), ("b", 0)].map(|(t, at)| waiting(&mut core, t, at));
    let third = waiting(&mut core, "c", 0);
    assert_eq!(delete_records(&mut core, "a", 0, 1), (1, 0));
    assert_eq!(roused(&mut core), [first], "what it waits for is gone");
    core.tick(NOW + 1);
    assert_eq!(roused(&mut core), []);
    delete(&mut core, vec![of_name("a")]);
    assert_eq!(roused(&mut core), [second, end]);
    delete(&mut core, vec![of_name("b"), of_name("c")]);
    assert_eq!(roused(&mut core), [other, third]);
}

#[test]
fn records_are_deleted_only_where_the_policy_deletes() {
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
