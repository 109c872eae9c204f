//! Owns the tests of topics and partitions that are asked for; the expected words are those of a real Kafka 4.1.0.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;

use super::super::test_support::{NOW, ask, broker, make, name, text, topic};
use super::*;

fn create(core: &mut Core, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
    ask(7, |context| core.create_topics(request, context)).topics
}

/// Error and message of making one topic.
fn refusal(core: &mut Core, topic: CreatableTopic) -> (i16, String) {
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
fn a_created_topic_is_told_with_what_its_version_has() {
    for version in 2..=7 {
        let mut core = broker();
        core.settings.num_partitions = 4;
        let request = CreateTopicsRequest::default().with_topics(vec![topic("a", -1, &[("retention.ms", "5")])]);
        let result = ask(version, |context| core.create_topics(request, context)).topics.remove(0);
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
fn numbers_of_partitions_and_replicas_follow_kafkas_rules() {
    let mut core = broker();
    let non_positive = (37, "Number of partitions was set to an invalid non-positive value.".to_owned());
    for partitions in [0, -2, i32::MIN] {
        assert_eq!(refusal(&mut core, topic("a", partitions, &[])), non_positive);
    }
    for factor in [0, -2] {
        let expected = "Replication factor must be larger than 0, or -1 to use the default value.";
        let asked = topic("a", 1, &[]).with_replication_factor(factor);
        assert_eq!(refusal(&mut core, asked), (38, expected.to_owned()));
    }
    let expected = "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
                    because only 1 broker(s) are registered.";
    let asked = topic("a", 1, &[]).with_replication_factor(2);
    assert_eq!(refusal(&mut core, asked), (38, expected.to_owned()));
    assert_eq!(refusal(&mut core, topic("a", 1, &[]).with_replication_factor(1)).0, 0);
    // As in Kafka, the count is looked at before whether the replicas can be had.
    assert_eq!(refusal(&mut core, topic("a", 0, &[]).with_replication_factor(5)), non_positive);
}

#[test]
fn a_topic_that_is_there_is_not_made_again() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let expected = (36, "Topic 'a' already exists.".to_owned());
    assert_eq!(refusal(&mut core, topic("a", 0, &[("nope", "1")])), expected);
    assert_eq!(core.topics.get("a").unwrap().id, id);
}

#[test]
fn names_are_refused_as_kafka_does() {
    let mut core = broker();
    let empty = "Topic name is invalid: the empty string is not allowed".to_owned();
    assert_eq!(refusal(&mut core, topic("", 1, &[])), (17, empty));
    let metadata = "Creation of internal topic __cluster_metadata is prohibited.".to_owned();
    assert_eq!(refusal(&mut core, topic("__cluster_metadata", 1, &[])), (42, metadata));
    // Names of one request do not collide with each other, in Kafka as here.
    let both = create(&mut core, vec![topic("x.y_z", 1, &[]), topic("x_y_z", 1, &[])], false);
    assert_eq!(both.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 0]);
    let collision = "Topic 'x.y.z' collides with existing topic: x.y_z".to_owned();
    assert_eq!(refusal(&mut core, topic("x.y.z", 1, &[])), (17, collision));
}

#[test]
fn a_name_that_a_request_has_twice_is_refused_once_and_the_others_are_made() {
    let mut core = broker();
    let results = create(&mut core, vec![topic("d", 1, &[]), topic("d", 2, &[]), topic("e", 2, &[])], false);
    let told: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    assert_eq!(told, [("e", 0), ("d", 42)]);
    assert_eq!(results[1].error_message.as_ref().unwrap().as_str(), "Duplicate topic name.");
    assert!(core.topics.get("d").is_none());
}

#[test]
fn configs_are_looked_at_before_numbers() {
    let mut core = broker();
    let unknown = (40, "Unknown topic config name: nope".to_owned());
    assert_eq!(refusal(&mut core, topic("a", 0, &[("nope", "1")])), unknown);
    let null = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(None);
    let expected = (40, "Null value not supported for topic configs: retention.ms".to_owned());
    assert_eq!(refusal(&mut core, topic("a", 1, &[]).with_configs(vec![null])), expected);
    // The last one of a key holds.
    make(&mut core, "b", 1, &[("retention.ms", "1000"), ("retention.ms", "2000")]);
    assert_eq!(core.topics.get("b").unwrap().overrides["retention.ms"], "2000");
}

#[test]
fn who_assigns_replicas_assigns_all_of_them_to_this_node() {
    let mut core = broker();
    let result = create(&mut core, vec![assigned_topic(&[(1, &[1]), (0, &[1])])], true).remove(0);
    assert_eq!((result.error_code, result.num_partitions), (0, 2));
    for (assignments, why) in [
        (&[(0, &[2][..])][..], "The manual partition assignment includes broker 2, but no such broker is registered."),
        (&[(0, &[])], "The manual partition assignment includes an empty replica list."),
        (&[(0, &[1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (&[(1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[1]), (2, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[1]), (0, &[1])], "Found multiple manual partition assignments for partition 0"),
    ] {
        assert_eq!(refusal(&mut core, assigned_topic(assignments)), (39, why.to_owned()));
    }
    let counted = assigned_topic(&[(0, &[1])]).with_num_partitions(1);
    let why = "A manual partition assignment was specified, but numPartitions was not set to -1.";
    assert_eq!(refusal(&mut core, counted), (42, why.to_owned()));
    let replicated = assigned_topic(&[(0, &[1])]).with_replication_factor(1);
    let why = "A manual partition assignment was specified, but replication factor was not set to -1.";
    assert_eq!(refusal(&mut core, replicated), (42, why.to_owned()));
}

#[test]
fn validating_makes_nothing() {
    let mut core = broker();
    assert_eq!(create(&mut core, vec![topic("a", 1, &[])], true)[0].error_code, 0);
    assert!(core.topics.get("a").is_none());
}

#[test]
fn partitions_are_bounded_in_a_request_and_in_all() {
    let mut core = broker();
    let excessive = "Excessively large number of partitions per request.";
    let results = create(&mut core, vec![topic("a", 6000, &[]), topic("b", 6000, &[]), topic("a b", 1, &[])], false);
    for result in results {
        assert_eq!((result.error_code, result.error_message.unwrap().as_str()), (44, excessive));
    }
    let most = i32::try_from(MAX_PARTITIONS).unwrap();
    let twice = create(&mut core, vec![topic("a", most - 1, &[]), topic("b", 1, &[])], true);
    assert!(twice.iter().all(|result| result.error_code == 0));
    make(&mut core, "a", 2, &[]);
    let full = "This broker holds at most 10000 partitions, and has 2 of them.".to_owned();
    assert_eq!(refusal(&mut core, topic("b", most - 1, &[])), (44, full));
    assert_eq!(refusal(&mut core, topic("b", most - 2, &[])).0, 0);
}

fn grow(core: &mut Core, topics: &[(&str, i32)], validate_only: bool) -> Vec<(String, i16, Option<String>)> {
    let topics = topics.iter().map(|(topic, count)| {
        CreatePartitionsTopic::default().with_name(name(topic)).with_count(*count).with_assignments(None)
    });
    let request = CreatePartitionsRequest::default().with_topics(topics.collect()).with_validate_only(validate_only);
    let results = ask(3, |context| core.create_partitions(request, context)).results;
    let row = |result: CreatePartitionsTopicResult| {
        (result.name.to_string(), result.error_code, result.error_message.map(|why| why.to_string()))
    };
    results.into_iter().map(row).collect()
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let mut core = broker();
    make(&mut core, "a", 3, &[]);
    let row = |code, why: Option<&str>| vec![("a".to_owned(), code, why.map(str::to_owned))];
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
fn who_assigns_new_replicas_assigns_each_of_them() {
    let mut core = broker();
    make(&mut core, "a", 3, &[]);
    let mut asked = |brokers: &[&[i32]]| {
        let to = |brokers: &&[i32]| {
            let brokers = brokers.iter().map(|broker| BrokerId(*broker)).collect();
            CreatePartitionsAssignment::default().with_broker_ids(brokers)
        };
        let topic = CreatePartitionsTopic::default()
            .with_name(name("a"))
            .with_count(4)
            .with_assignments(Some(brokers.iter().map(to).collect()));
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_validate_only(true);
        let result = ask(0, |context| core.create_partitions(request, context)).results.remove(0);
        (result.error_code, result.error_message.unwrap_or_default().to_string())
    };
    assert_eq!(asked(&[&[1]]), (0, String::new()));
    let few = "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.";
    assert_eq!(asked(&[]), (39, few.to_owned()));
    for wrong in [&[2][..], &[], &[1, 1]] {
        assert_eq!(asked(&[wrong]).0, 39);
    }
}

#[test]
fn topic_ids_can_stand_on_a_command_line() {
    let mut core = broker();
    for number in 0..50 {
        let id = core.make_topic(&format!("t{number}"), 1, Overrides::new(), NOW).unwrap();
        assert_ne!(super::super::metadata::cluster_id_text(id).as_bytes()[0], b'-');
    }
}
