//! Cases of topics: creation, partitions, deletion, metadata, and `DeleteRecords`.

use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::Case;
use super::batch::Batch;
use super::configs;
use super::requests::{self, TIMEOUT_MS, text};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("create_topics_returns_the_new_topics", created),
    ("create_topics_validate_only", validated),
    ("create_topics_refuses_names", refused_names),
    ("create_topics_refuses_partitions_and_replicas", refused_counts),
    ("create_topics_takes_an_assignment", assignments),
    ("create_topics_refuses_configs", refused_configs),
    ("delete_topics_by_name_and_by_id", deleted),
    ("create_partitions_only_increases", grown),
    ("metadata_at_every_version", metadata),
    ("metadata_of_unknown_topics", metadata_of_unknown),
    ("metadata_of_all_and_no_topics", metadata_of_all),
    ("metadata_with_authorized_operations", authorized_operations),
    ("describe_cluster_lists_one_broker", cluster),
    ("recreated_topics_start_empty", recreated),
    ("delete_records_moves_the_log_start", delete_records),
];

/// Creates topics and records the response without configs.
fn create(recorder: &mut Recorder, version: i16, request: &CreateTopicsRequest) {
    let mut response = recorder.request(version, request);
    for topic in &mut response.topics {
        topic.configs = None;
    }
    recorder.record_response::<CreateTopicsRequest>(version, &response);
}

/// Creates topics and records the response with the common configs.
fn create_and_record_configs(recorder: &mut Recorder, version: i16, request: &CreateTopicsRequest) {
    let mut response = recorder.request(version, request);
    for topic in &mut response.topics {
        if let Some(configs) = &mut topic.configs {
            configs.retain(|config| configs::COMMON.contains(&&*config.name));
            for config in configs {
                config.config_source = configs::normalize_source(&config.name, config.config_source);
            }
        }
    }
    recorder.record_response::<CreateTopicsRequest>(version, &response);
}

fn new_topic(recorder: &Recorder, name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    requests::new_topic(&recorder.name(name), partitions, configs)
}

fn created(recorder: &mut Recorder) {
    for version in [2, 4, 5, 7] {
        let topics = vec![
            new_topic(recorder, &format!("plain{version}"), 3, &[]),
            new_topic(
                recorder,
                &format!("with_configs{version}"),
                1,
                &[("cleanup.policy", "compact"), ("segment.bytes", "1048576")],
            ),
        ];
        create_and_record_configs(recorder, version, &requests::create_topics(topics));
    }
    recorder.note("no topics");
    create_and_record_configs(recorder, 7, &requests::create_topics(Vec::new()));
}

fn validated(recorder: &mut Recorder) {
    for version in [4, 7] {
        let topics =
            vec![new_topic(recorder, "topic", 3, &[("retention.ms", "1000")]), new_topic(recorder, "wrong", 0, &[])];
        create(recorder, version, &requests::create_topics(topics).with_validate_only(true));
    }
    recorder.record(12, &requests::metadata(&[&recorder.name("topic")]));
}

fn refused_names(recorder: &mut Recorder) {
    recorder.target("topic", 1);
    recorder.target("with.dot", 1);
    for version in [4, 7] {
        recorder.note("a topic that exists");
        let topics = vec![new_topic(recorder, "topic", 1, &[])];
        create(recorder, version, &requests::create_topics(topics.clone()));
        create(recorder, version, &requests::create_topics(topics).with_validate_only(true));
    }
    recorder.note("a name twice in a request, with a new one");
    let topics = vec![
        new_topic(recorder, "twice", 1, &[]),
        new_topic(recorder, "twice", 2, &[]),
        new_topic(recorder, "once", 1, &[]),
    ];
    create(recorder, 7, &requests::create_topics(topics));
    recorder.note("a name that differs from another only by a dot");
    let topics = vec![new_topic(recorder, "with_dot", 1, &[])];
    create(recorder, 7, &requests::create_topics(topics));
    for name in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(250)] {
        let shown = if name.len() > 100 { "250 letters" } else { name };
        recorder.note(shown);
        let response = recorder.request(7, &requests::create_topics(vec![requests::new_topic(&text(name), 1, &[])]));
        recorder.record_value("CreateTopics v7", &response.topics[0].clone().with_name(TopicName(text(shown))));
    }
}

fn refused_counts(recorder: &mut Recorder) {
    for (partitions, replicas) in [(0, 1), (-2, 1), (1, 0), (1, 2), (1, -2), (1, -1)] {
        for version in [4, 7] {
            recorder.note(&format!("{partitions} partitions, {replicas} replicas"));
            let topic =
                new_topic(recorder, &format!("topic{version}"), partitions, &[]).with_replication_factor(replicas);
            create(recorder, version, &requests::create_topics(vec![topic]));
        }
    }
    recorder.note("the broker's own number of partitions");
    let topic = new_topic(recorder, "defaults", -1, &[]).with_replication_factor(-1);
    let mut response = recorder.request(7, &requests::create_topics(vec![topic]));
    assert!(response.topics[0].num_partitions >= 1, "a topic has partitions");
    response.topics[0].num_partitions = 0;
    response.topics[0].configs = None;
    recorder.record_response::<CreateTopicsRequest>(7, &response);
}

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    let brokers = brokers.iter().map(|broker| BrokerId(*broker)).collect();
    CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(brokers)
}

fn assignments(recorder: &mut Recorder) {
    let mut validate = |what: &str, partitions, replicas, assignments| {
        recorder.note(what);
        let topic = new_topic(recorder, "topic", partitions, &[])
            .with_replication_factor(replicas)
            .with_assignments(assignments);
        create(recorder, 7, &requests::create_topics(vec![topic]).with_validate_only(what != "good"));
    };
    validate("a broker that does not exist", -1, -1, vec![assignment(0, &[7])]);
    validate("a broker twice", -1, -1, vec![assignment(0, &[1, 1])]);
    validate("no broker", -1, -1, vec![assignment(0, &[])]);
    validate("a partition twice", -1, -1, vec![assignment(0, &[1]), assignment(0, &[1])]);
    validate("a partition is missing", -1, -1, vec![assignment(0, &[1]), assignment(2, &[1])]);
    validate("with a number of partitions", 2, -1, vec![assignment(0, &[1]), assignment(1, &[1])]);
    validate("with a number of replicas", -1, 1, vec![assignment(0, &[1])]);
    validate("good", -1, -1, vec![assignment(0, &[1]), assignment(1, &[1])]);
}

fn refused_configs(recorder: &mut Recorder) {
    for (name, value) in [
        ("no.such.config", "1"),
        ("retention.ms", "soon"),
        ("retention.ms", "-2"),
        ("retention.ms", ""),
        ("cleanup.policy", "keep"),
        ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", ""),
        ("segment.bytes", "1"),
        ("max.message.bytes", "-1"),
        ("message.timestamp.type", "Never"),
        ("min.insync.replicas", "0"),
        ("compression.type", "rar"),
        ("min.cleanable.dirty.ratio", "2"),
        ("unclean.leader.election.enable", "maybe"),
    ] {
        for version in [4, 7] {
            recorder.note(&format!("{name}={value}"));
            let topics = vec![new_topic(recorder, "topic", 1, &[(name, value)])];
            create(recorder, version, &requests::create_topics(topics).with_validate_only(true));
        }
    }
    recorder.note("no value");
    let mut topic = new_topic(recorder, "topic", 1, &[("retention.ms", "1")]);
    topic.configs[0].value = None;
    create(recorder, 7, &requests::create_topics(vec![topic]));
    recorder.note("a config twice");
    let topics = vec![new_topic(recorder, "twice", 1, &[("retention.ms", "1"), ("retention.ms", "2")])];
    create(recorder, 7, &requests::create_topics(topics));
}

fn by_state(name: Option<&StrBytes>, id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(name.map(|name| TopicName(name.clone()))).with_topic_id(id)
}

fn delete(topics: Vec<DeleteTopicState>) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS)
}

fn deleted(recorder: &mut Recorder) {
    let unknown = recorder.name("unknown");
    for version in [1, 3, 5] {
        let target = recorder.target(&format!("topic{version}"), 1);
        recorder.record(version, &requests::delete_topic(&target.name));
        recorder.record(version, &requests::delete_topic(&unknown));
    }
    recorder.note("by name");
    let target = recorder.target("by_name", 1);
    recorder.record(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(Some(&unknown), Uuid::nil())]));
    recorder.note("by id");
    let target = recorder.target("by_id", 1);
    recorder.record(6, &delete(vec![by_state(None, target.id), by_state(None, Uuid::from_u128(0xABCD))]));
    recorder.note("by both, by neither, twice");
    let target = recorder.target("topic", 1);
    recorder.record(6, &delete(vec![by_state(Some(&target.name), target.id)]));
    recorder.record(6, &delete(vec![by_state(None, Uuid::nil())]));
    recorder
        .record(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(Some(&target.name), Uuid::nil())]));
    recorder.record(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(None, target.id)]));
    recorder.note("none");
    recorder.record(6, &delete(Vec::new()));
}

fn grow(name: &StrBytes, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsRequest {
    let assignments = assignments.map(|partitions| {
        let brokers = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
        partitions.iter().map(|ids| CreatePartitionsAssignment::default().with_broker_ids(brokers(ids))).collect()
    });
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(name.clone()))
        .with_count(count)
        .with_assignments(assignments);
    CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS)
}

fn grown(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let name = &target.name;
    for version in [0, 1, 2, 3] {
        for count in [2, 1, 0, -1] {
            recorder.note(&format!("to {count}"));
            recorder.record(version, &grow(name, count, None));
        }
    }
    recorder.note("only to see");
    recorder.record(3, &grow(name, 5, None).with_validate_only(true));
    recorder.note("with an assignment of too many, of too few, to an unknown broker");
    recorder.record(3, &grow(name, 3, Some(&[&[1], &[1]])));
    recorder.record(3, &grow(name, 4, Some(&[&[1]])));
    recorder.record(3, &grow(name, 3, Some(&[&[7]])));
    recorder.note("an unknown topic");
    recorder.record(3, &grow(&recorder.name("unknown"), 3, None));
    recorder.note("twice in a request");
    let mut twice = grow(name, 3, None);
    twice.topics.push(twice.topics[0].clone());
    recorder.record(3, &twice);
    recorder.note("to 4, and the old partitions are as they were");
    recorder.request(9, &requests::produce(9, &target, &[(0, Batch::of(recorder.zero, &["a"]).bytes())]));
    recorder.record(3, &grow(name, 3, Some(&[&[1]])));
    recorder.record(3, &grow(name, 4, None));
    recorder.request_until(12, &requests::metadata(&[name]), |response| response.topics[0].partitions.len() == 4);
    recorder.await_topic(name);
    recorder.record(7, &requests::list_offsets(name, &[(0, -1), (1, -1), (2, -1), (3, -1)], 0));
}

fn metadata(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in 0..=13 {
        let request = requests::metadata(&[&target.name]);
        // The first versions cannot disable automatic creation.
        let request = if version < 4 { request.with_allow_auto_topic_creation(true) } else { request };
        recorder.record(version, &request);
    }
}

fn metadata_of_unknown(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (unknown, impossible) = (recorder.name("unknown"), text("a/b"));
    for version in [1, 5, 9, 13] {
        for made in [true, false] {
            if version >= 4 || made {
                recorder.note(&format!("topics are {}to be made", if made { "" } else { "not " }));
                let request = requests::metadata(&[&target.name, &unknown, &impossible, &text("")]);
                recorder.record(version, &request.with_allow_auto_topic_creation(made));
            }
        }
    }
    recorder.note("a topic twice");
    recorder.record(12, &requests::metadata(&[&target.name, &target.name]));
    recorder.note("by id");
    let by_id = |id| {
        let topic = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false)
    };
    for version in [12, 13] {
        recorder.record(version, &by_id(target.id));
        recorder.record(version, &by_id(Uuid::from_u128(0xABCD)));
    }
    recorder.note("by id and name");
    let topic = MetadataRequestTopic::default().with_topic_id(target.id).with_name(Some(TopicName(target.name)));
    recorder
        .record(12, &MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false));
}

fn metadata_of_all(recorder: &mut Recorder) {
    recorder.target("first", 1);
    recorder.target("second", 1);
    for version in [0, 1, 5, 9, 13] {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let mut response = recorder.request(version, &MetadataRequest::default().with_topics(all));
        response.topics.retain(|topic| topic.name.as_ref().is_some_and(|name| recorder.is_own_name(name)));
        recorder.record_response::<MetadataRequest>(version, &response);
    }
    recorder.note("none");
    for version in [1, 5, 9, 13] {
        recorder.record(version, &MetadataRequest::default().with_topics(Some(Vec::new())));
    }
}

fn authorized_operations(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for version in [8, 10] {
        let request = requests::metadata(&[&target.name]);
        recorder.record(
            version,
            &request.with_include_topic_authorized_operations(true).with_include_cluster_authorized_operations(true),
        );
    }
    recorder.record(13, &requests::metadata(&[&target.name]).with_include_topic_authorized_operations(true));
}

fn cluster(recorder: &mut Recorder) {
    for version in 0..=2 {
        recorder.record(version, &DescribeClusterRequest::default());
        recorder.record(version, &DescribeClusterRequest::default().with_include_cluster_authorized_operations(true));
    }
    recorder.note("of controllers, and of an unknown kind");
    let mut response = recorder.request(1, &DescribeClusterRequest::default().with_endpoint_type(2));
    response.brokers.clear();
    recorder.record_response::<DescribeClusterRequest>(1, &response);
    recorder.record(1, &DescribeClusterRequest::default().with_endpoint_type(9));
}

fn recreated(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let batch = Batch::of(recorder.zero, &["a"]).bytes();
    recorder.request(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    recorder.record(12, &requests::metadata(&[&target.name]));
    recorder.delete_topic("topic");
    recorder.record(12, &requests::metadata(&[&target.name]));
    recorder.record(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    recorder.note("made again");
    let again = recorder.target("topic", 1);
    recorder.record(12, &requests::metadata(&[&target.name]));
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -2)], 0));
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -1)], 0));
    recorder.record(9, &requests::produce(9, &again, &[(0, batch.clone())]));
    recorder.note("by the old id and by the new one");
    recorder.record(13, &requests::produce(13, &target, &[(0, batch.clone())]));
    recorder.record(13, &requests::produce(13, &again, &[(0, batch)]));
}

fn delete_records(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let batch = Batch::of(recorder.zero, &["a", "b", "c"]).bytes();
    for _ in 0..2 {
        recorder.request(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    }
    for version in [0, 1, 2] {
        for before in [0, 2, 1, 7, -2] {
            recorder.note(&format!("before {before}"));
            recorder.record(version, &requests::delete_records(&target.name, &[(0, before)]));
        }
    }
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -2), (1, -2)], 0));
    recorder.note("all");
    recorder.record(2, &requests::delete_records(&target.name, &[(0, -1), (1, -1)]));
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -2), (1, -2)], 0));
    recorder.record(12, &requests::fetch(12, &target, &[(0, 6)]));
    recorder.record(12, &requests::fetch(12, &target, &[(0, 5)]));
    recorder.note("of what does not exist");
    recorder.record(2, &requests::delete_records(&target.name, &[(5, -1)]));
    recorder.record(2, &requests::delete_records(&recorder.name("unknown"), &[(0, -1)]));
    recorder.note("of a compacted topic");
    let target = recorder.target_with("compacted", 1, &[("cleanup.policy", "compact")]);
    recorder.record(2, &requests::delete_records(&target.name, &[(0, -1)]));
}
