//! Tests of `CreateTopics` and `CreatePartitions`. The expected messages are those of Apache Kafka 4.1.0.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;

use super::super::test_support::{NOW, broker, make, name, send, text, topic};
use super::*;

fn create(core: &mut Core, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
    send(7, |context| core.create_topics(request, context)).topics
}

/// Error code and message of creating one topic.
fn error_of(core: &mut Core, topic: CreatableTopic) -> (i16, String) {
    let result = create(core, vec![topic], true).remove(0);
    (result.error_code, result.error_message.unwrap_or_default().to_string())
}

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment::default()
        .with_partition_index(partition)
        .with_broker_ids(brokers.iter().map(|broker| BrokerId(*broker)).collect())
}

fn assigned_topic(assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(partition, brokers)| assignment(*partition, brokers));
    topic("assigned", -1, &[]).with_assignments(assignments.collect())
}

#[test]
fn returns_the_fields_of_every_version() {
    for version in 2..=7 {
        let mut core = broker();
        core.settings.num_partitions = 4;
        let request = CreateTopicsRequest::default().with_topics(vec![topic("a", -1, &[("retention.ms", "5")])]);
        let result = send(version, |context| core.create_topics(request, context)).topics.remove(0);
        assert_eq!((result.error_code, result.error_message), (0, None));
        let made = core.topics.get("a").unwrap();
        assert_eq!((made.logs.len(), made.overrides["retention.ms"].as_str()), (4, "5"));
        if version >= 5 {
            assert_eq!((result.num_partitions, result.replication_factor), (4, 1));
            let configs = result.configs.unwrap();
            let config = |key: &str| {
                let config = configs.iter().find(|config| config.name.as_str() == key).unwrap();
                (config.value.as_ref().unwrap().to_string(), config.config_source)
            };
            assert_eq!((configs.len(), config("retention.ms")), (33, ("5".to_owned(), 1)));
            assert_eq!(config("segment.bytes"), ("1073741824".to_owned(), 5));
        }
        assert_eq!(result.topic_id, if version >= 7 { made.id } else { Uuid::nil() });
    }
}

#[test]
fn checks_partition_and_replica_counts() {
    let mut core = broker();
    let non_positive = (37, "Number of partitions was set to an invalid non-positive value.".to_owned());
    for partitions in [0, -2, i32::MIN] {
        assert_eq!(error_of(&mut core, topic("a", partitions, &[])), non_positive);
    }
    for factor in [0, -2] {
        let expected = "Replication factor must be larger than 0, or -1 to use the default value.";
        let invalid = topic("a", 1, &[]).with_replication_factor(factor);
        assert_eq!(error_of(&mut core, invalid), (38, expected.to_owned()));
    }
    let expected = "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
                    because only 1 broker(s) are registered.";
    let invalid = topic("a", 1, &[]).with_replication_factor(2);
    assert_eq!(error_of(&mut core, invalid), (38, expected.to_owned()));
    assert_eq!(error_of(&mut core, topic("a", 1, &[]).with_replication_factor(1)).0, 0);
    // As in Kafka, the partition count is checked before the replicas.
    assert_eq!(error_of(&mut core, topic("a", 0, &[]).with_replication_factor(5)), non_positive);
}

#[test]
fn refuses_an_existing_topic() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let expected = (36, "Topic 'a' already exists.".to_owned());
    assert_eq!(error_of(&mut core, topic("a", 0, &[("nope", "1")])), expected);
    assert_eq!(core.topics.get("a").unwrap().id, id);
}

#[test]
fn refuses_names_as_kafka_does() {
    let mut core = broker();
    let empty = "Topic name is invalid: the empty string is not allowed".to_owned();
    assert_eq!(error_of(&mut core, topic("", 1, &[])), (17, empty));
    let metadata = "Creation of internal topic __cluster_metadata is prohibited.".to_owned();
    assert_eq!(error_of(&mut core, topic("__cluster_metadata", 1, &[])), (42, metadata));
    // As in Kafka, names of one request do not collide with each other.
    let both = create(&mut core, vec![topic("x.y_z", 1, &[]), topic("x_y_z", 1, &[])], false);
    assert_eq!(both.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 0]);
    let collision = "Topic 'x.y.z' collides with existing topic: x.y_z".to_owned();
    assert_eq!(error_of(&mut core, topic("x.y.z", 1, &[])), (17, collision));
}

#[test]
fn refuses_duplicate_names_and_creates_the_rest() {
    let mut core = broker();
    let results = create(&mut core, vec![topic("d", 1, &[]), topic("d", 2, &[]), topic("e", 2, &[])], false);
    let codes: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    assert_eq!(codes, [("e", 0), ("d", 42)]);
    assert_eq!(results[1].error_message.as_ref().unwrap().as_str(), "Duplicate topic name.");
    assert!(core.topics.get("d").is_none());
}

#[test]
fn checks_configs_before_counts() {
    let mut core = broker();
    let unknown = (40, "Unknown topic config name: nope".to_owned());
    assert_eq!(error_of(&mut core, topic("a", 0, &[("nope", "1")])), unknown);
    let null = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(None);
    let expected = (40, "Null value not supported for topic configs: retention.ms".to_owned());
    assert_eq!(error_of(&mut core, topic("a", 1, &[]).with_configs(vec![null])), expected);
    // The last value of a key wins.
    make(&mut core, "b", 1, &[("retention.ms", "1000"), ("retention.ms", "2000")]);
    assert_eq!(core.topics.get("b").unwrap().overrides["retention.ms"], "2000");
}

#[test]
fn checks_manual_assignments_of_new_topics() {
    let mut core = broker();
    let result = create(&mut core, vec![assigned_topic(&[(1, &[1]), (0, &[1])])], true).remove(0);
    assert_eq!((result.error_code, result.num_partitions), (0, 2));
    for (assignments, message) in [
        (&[(0, &[2][..])][..], "The manual partition assignment includes broker 2, but no such broker is registered."),
        (&[(0, &[])], "The manual partition assignment includes an empty replica list."),
        (&[(0, &[1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (&[(1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[1]), (2, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[1]), (0, &[1])], "Found multiple manual partition assignments for partition 0"),
    ] {
        assert_eq!(error_of(&mut core, assigned_topic(assignments)), (39, message.to_owned()));
    }
    let counted = assigned_topic(&[(0, &[1])]).with_num_partitions(1);
    let message = "A manual partition assignment was specified, but numPartitions was not set to -1.";
    assert_eq!(error_of(&mut core, counted), (42, message.to_owned()));
    let replicated = assigned_topic(&[(0, &[1])]).with_replication_factor(1);
    let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
    assert_eq!(error_of(&mut core, replicated), (42, message.to_owned()));
}

#[test]
fn validate_only_creates_nothing() {
    let mut core = broker();
    assert_eq!(create(&mut core, vec![topic("a", 1, &[])], true)[0].error_code, 0);
    assert!(core.topics.get("a").is_none());
}

#[test]
fn limits_partitions_per_request_and_in_total() {
    let mut core = broker();
    let excessive = "Excessively large number of partitions per request.";
    let results = create(&mut core, vec![topic("a", 6000, &[]), topic("b", 6000, &[]), topic("a b", 1, &[])], false);
    for result in results {
        assert_eq!((result.error_code, result.error_message.unwrap().as_str()), (44, excessive));
    }
    let most = i32::try_from(MAX_PARTITIONS).unwrap();
    let both = create(&mut core, vec![topic("a", most - 1, &[]), topic("b", 1, &[])], true);
    assert!(both.iter().all(|result| result.error_code == 0));
    make(&mut core, "a", 2, &[]);
    let full = "This broker holds at most 10000 partitions, and has 2 of them.".to_owned();
    assert_eq!(error_of(&mut core, topic("b", most - 1, &[])), (44, full));
    assert_eq!(error_of(&mut core, topic("b", most - 2, &[])).0, 0);
}

fn grow(core: &mut Core, topics: &[(&str, i32)], validate_only: bool) -> Vec<(String, i16, Option<String>)> {
    let topics = topics.iter().map(|(topic, count)| {
        CreatePartitionsTopic::default().with_name(name(topic)).with_count(*count).with_assignments(None)
    });
    let request = CreatePartitionsRequest::default().with_topics(topics.collect()).with_validate_only(validate_only);
    let results = send(3, |context| core.create_partitions(request, context)).results;
    let row = |result: CreatePartitionsTopicResult| {
        (result.name.to_string(), result.error_code, result.error_message.map(|message| message.to_string()))
    };
    results.into_iter().map(row).collect()
}

#[test]
fn partition_counts_only_increase() {
    let mut core = broker();
    make(&mut core, "a", 3, &[]);
    let row = |code, message: Option<&str>| vec![("a".to_owned(), code, message.map(str::to_owned))];
    let kept = |count| format!("The topic a currently has 3 partition(s); {count} would not be an increase.");
    for count in [2, 0, -1] {
        assert_eq!(grow(&mut core, &[("a", count)], false), row(37, Some(&kept(count))));
    }
    assert_eq!(grow(&mut core, &[("a", 3)], false), row(37, Some("Topic already has 3 partition(s).")));
    assert_eq!(grow(&mut core, &[("a", 5), ("a", 6)], false), row(42, Some("Duplicate topic name.")));
    assert_eq!(grow(&mut core, &[("a", 20_000)], false)[0].1, 44);
    assert_eq!(grow(&mut core, &[("a", 5)], true), row(0, None));
    assert_eq!(core.topics.get("a").unwrap().logs.len(), 3);
    assert_eq!(grow(&mut core, &[("a", 5)], false), row(0, None));
    assert_eq!(core.topics.get("a").unwrap().logs.len(), 5);
    assert_eq!(grow(&mut core, &[("nope", 5)], false), [("nope".to_owned(), 3, None)]);
}

#[test]
fn checks_manual_assignments_of_new_partitions() {
    let mut core = broker();
    make(&mut core, "a", 3, &[]);
    let mut invalid = |brokers: &[&[i32]]| {
        let to = |brokers: &&[i32]| {
            let brokers = brokers.iter().map(|broker| BrokerId(*broker)).collect();
            CreatePartitionsAssignment::default().with_broker_ids(brokers)
        };
        let topic = CreatePartitionsTopic::default()
            .with_name(name("a"))
            .with_count(4)
            .with_assignments(Some(brokers.iter().map(to).collect()));
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_validate_only(true);
        let result = send(0, |context| core.create_partitions(request, context)).results.remove(0);
        (result.error_code, result.error_message.unwrap_or_default().to_string())
    };
    assert_eq!(invalid(&[&[1]]), (0, String::new()));
    let few = "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.";
    assert_eq!(invalid(&[]), (39, few.to_owned()));
    for wrong in [&[2][..], &[], &[1, 1]] {
        assert_eq!(invalid(&[wrong]).0, 39);
    }
}

#[test]
fn topic_ids_do_not_begin_with_a_dash() {
    let mut core = broker();
    for number in 0..50 {
        let id = core.make_topic(&format!("t{number}"), 1, Overrides::new(), NOW).unwrap();
        assert_ne!(super::super::metadata::cluster_id_text(id).as_bytes()[0], b'-');
    }
}
