//! Tests of cluster metadata. The expected responses are those of Apache Kafka 4.1.0.

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor as From, TopicRequest};

use super::super::test_support::{broker, make, name, send};
use super::*;

fn by_name(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn by_id(id: Uuid) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

/// Name, error, partitions.
fn rows(response: &MetadataResponse) -> Vec<(Option<&str>, i16, usize)> {
    response
        .topics
        .iter()
        .map(|topic| (topic.name.as_ref().map(|name| name.as_str()), topic.error_code, topic.partitions.len()))
        .collect()
}

#[test]
fn formats_cluster_ids_as_kafka_does() {
    let id = Uuid::from_u128(0xb21e_6e87_590a_4888_a9e1_ba8a_847b_e553);
    assert_eq!(cluster_id_text(id), "sh5uh1kKSIip4bqKhHvlUw");
    assert_eq!(cluster_id_text(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(cluster_id_text(Uuid::max()), "_____________________w");
}

#[test]
fn an_empty_list_means_all_topics_in_version_0() {
    let mut core = broker();
    make(&mut core, "b", 2, &[]);
    make(&mut core, "a", 1, &[]);
    let all = [(Some("a"), 0, 1), (Some("b"), 0, 2)];
    assert_eq!(rows(&send(0, |context| core.metadata(by_name(&[]), context))), all);
    for version in 1..=13 {
        assert_eq!(rows(&send(version, |context| core.metadata(by_name(&[]), context))), []);
        let request = MetadataRequest::default().with_topics(None);
        assert_eq!(rows(&send(version, |context| core.metadata(request, context))), all);
    }
}

#[test]
fn one_broker_leads_all_partitions() {
    let mut core = broker();
    make(&mut core, "a", 3, &[]);
    for version in 0..=13 {
        let response = send(version, |context| core.metadata(by_name(&["a"]), context));
        let broker = &response.brokers[0];
        assert_eq!((*broker.node_id, broker.host.as_str(), broker.port), (1, "127.0.0.1", 9092));
        assert_eq!(*response.controller_id, 1);
        assert_eq!(response.cluster_id.as_ref().unwrap().as_str(), "AAAAAAAAAAAAAAAAAAAABw");
        for (number, partition) in (0..).zip(&response.topics[0].partitions) {
            assert_eq!((partition.partition_index, *partition.leader_id, partition.leader_epoch), (number, 1, 0));
            assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[1.into()][..], &[1.into()][..]));
        }
    }
}

#[test]
fn returns_errors_for_unknown_and_invalid_names() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    for version in 0..=13 {
        let response = send(version, |context| core.metadata(by_name(&["nope", "bad name", "a", "", "a"]), context));
        let expected = [(Some(""), 17, 0), (Some("a"), 0, 1), (Some("bad name"), 17, 0), (Some("nope"), 3, 0)];
        assert_eq!(rows(&response), expected);
    }
}

#[test]
fn finds_a_topic_by_id() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let response = send(12, |context| core.metadata(by_id(id), context));
    assert_eq!(rows(&response), [(Some("a"), 0, 1)]);
    let response = send(12, |context| core.metadata(by_id(Uuid::from_u128(1)), context));
    assert_eq!(rows(&response), [(None, 100, 0)]);
    assert_eq!(response.topics[0].topic_id, Uuid::from_u128(1));
    // The name is ignored if there is an id.
    let mut both = by_id(Uuid::from_u128(1));
    both.topics.as_mut().unwrap()[0].name = Some(name("a"));
    assert_eq!(rows(&send(13, |context| core.metadata(both, context))), [(None, 100, 0)]);
}

#[test]
fn refuses_ids_before_version_12() {
    let mut core = broker();
    for (version, error) in [(10, 42), (11, 42), (12, -1), (13, -1)] {
        let response = send(version, |context| core.metadata(by_id(Uuid::nil()), context));
        assert_eq!(rows(&response), [(Some(""), error, 0)]);
        assert!(response.brokers.is_empty() && response.cluster_id.is_none());
    }
}

#[test]
fn returns_authorized_operations_on_request() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    let response = send(8, |context| core.metadata(by_name(&["a"]), context));
    assert_eq!(
        (response.topics[0].topic_authorized_operations, response.cluster_authorized_operations),
        (i32::MIN, i32::MIN)
    );
    let request =
        by_name(&["a"]).with_include_topic_authorized_operations(true).with_include_cluster_authorized_operations(true);
    let response = send(8, |context| core.metadata(request, context));
    assert_eq!((response.topics[0].topic_authorized_operations, response.cluster_authorized_operations), (3576, 8096));
}

#[test]
fn auto_creation_needs_broker_and_request() {
    for (broker_allows, request_allows, made) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut core = broker();
        core.settings.auto_create_topics = broker_allows;
        core.settings.num_partitions = 3;
        let request = by_name(&["new"]).with_allow_auto_topic_creation(request_allows);
        let response = send(4, |context| core.metadata(request, context));
        assert_eq!(rows(&response), [(Some("new"), if made { 0 } else { 3 }, if made { 3 } else { 0 })]);
        assert_eq!(core.topics.get("new").is_some(), made);
    }
}

#[test]
fn auto_creation_respects_collisions_and_limits() {
    let mut core = broker();
    core.settings.auto_create_topics = true;
    make(&mut core, "a.b", 1, &[]);
    assert_eq!(rows(&send(4, |context| core.metadata(by_name(&["a_b"]), context))), [(Some("a_b"), 3, 0)]);
    core.settings.num_partitions = i32::try_from(MAX_PARTITIONS).unwrap();
    assert_eq!(rows(&send(4, |context| core.metadata(by_name(&["c"]), context))), [(Some("c"), 3, 0)]);
    // A request for all topics creates none.
    let all = send(4, |context| core.metadata(MetadataRequest::default().with_topics(None), context));
    assert_eq!(rows(&all), [(Some("a.b"), 0, 1)]);
}

#[test]
fn describes_brokers_and_no_controllers() {
    let mut core = broker();
    for version in 0..=2 {
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let response = send(version, |context| core.describe_cluster(request, context));
        assert_eq!((response.error_code, response.brokers.len(), *response.controller_id), (0, 1, 1));
        assert_eq!(response.cluster_authorized_operations, 8096);
        assert_eq!(response.cluster_id.as_str(), "AAAAAAAAAAAAAAAAAAAABw");
    }
    for (endpoints, error) in [(2, 114), (3, 115)] {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoints);
        let response = send(1, |context| core.describe_cluster(request, context));
        assert_eq!((response.error_code, response.brokers.len()), (error, 0));
    }
}

fn page(core: &mut Core, names: &[&str], limit: i32, from: Option<(&str, i32)>) -> DescribeTopicPartitionsResponse {
    let topics = names.iter().map(|topic| TopicRequest::default().with_name(name(topic)));
    let cursor = from.map(|(topic, index)| From::default().with_topic_name(name(topic)).with_partition_index(index));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    send(0, |context| core.describe_topic_partitions(request, context))
}

/// Name, error and partitions of a page, and the start of the next one.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn seen(response: &DescribeTopicPartitionsResponse) -> Page {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        (topic.name.as_ref().unwrap().to_string(), topic.error_code, partitions)
    });
    let next = response.next_cursor.as_ref().map(|next| (next.topic_name.to_string(), next.partition_index));
    (topics.collect(), next)
}

#[test]
fn describes_partitions_in_pages() {
    let mut core = broker();
    make(&mut core, "b", 2, &[]);
    make(&mut core, "c", 1, &[]);
    let row = |topic: &str, error, partitions: &[i32]| (topic.to_owned(), error, partitions.to_vec());
    let whole = seen(&page(&mut core, &["b", "nope", "b", "bad name"], 2000, None));
    assert_eq!(whole, (vec![row("b", 0, &[0, 1]), row("bad name", 17, &[]), row("nope", 3, &[])], None));
    let first = seen(&page(&mut core, &["b", "a"], 1, None));
    assert_eq!(first, (vec![row("a", 3, &[]), row("b", 0, &[0])], Some(("b".to_owned(), 1))));
    assert_eq!(seen(&page(&mut core, &["b", "a"], 1, Some(("b", 1)))), (vec![row("b", 0, &[1])], None));
    // Without names, all topics.
    assert_eq!(seen(&page(&mut core, &[], 2, None)), (vec![row("b", 0, &[0, 1])], Some(("c".to_owned(), 0))));
    assert_eq!(page(&mut core, &["b"], 5, Some(("b", -1))).topics[0].error_code, 42);
}
