//! Owns the cases about topics: making, growing and deleting them, what metadata tells, and deleting records.

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
use super::lab::Lab;
use super::requests::{self, TIMEOUT_MS, text};

pub const CASES: &[Case] = &[
    ("create_topics_tells_what_it_made", created),
    ("create_topics_validates_without_making", validated),
    ("create_topics_refuses_names", refused_names),
    ("create_topics_refuses_partitions_and_replicas", refused_counts),
    ("create_topics_takes_an_assignment", assignments),
    ("create_topics_refuses_configs", refused_configs),
    ("delete_topics_by_name_and_by_id", deleted),
    ("create_partitions_only_grows", grown),
    ("metadata_tells_topics_at_every_version", metadata),
    ("metadata_of_unknown_topics", metadata_of_unknown),
    ("metadata_of_all_topics_and_of_none", metadata_of_all),
    ("metadata_tells_authorized_operations_when_asked", authorized_operations),
    ("describe_cluster_names_the_one_broker", cluster),
    ("a_topic_made_again_has_another_id_and_starts_at_zero", made_again),
    ("delete_records_moves_the_log_start", delete_records),
];

/// Makes topics and tells the result without their configs.
fn create(lab: &mut Lab, version: i16, request: &CreateTopicsRequest) {
    let mut answer = lab.put(version, request);
    for topic in &mut answer.topics {
        topic.configs = None;
    }
    lab.tell_answer::<CreateTopicsRequest>(version, &answer);
}

/// Makes topics and tells the result with the configs that matter.
fn create_and_tell_configs(lab: &mut Lab, version: i16, request: &CreateTopicsRequest) {
    let mut answer = lab.put(version, request);
    for topic in &mut answer.topics {
        if let Some(configs) = &mut topic.configs {
            configs.retain(|config| configs::USUAL.contains(&&*config.name));
            for config in configs {
                config.config_source = configs::untainted(&config.name, config.config_source);
            }
        }
    }
    lab.tell_answer::<CreateTopicsRequest>(version, &answer);
}

fn made(lab: &Lab, name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    requests::new_topic(&lab.name(name), partitions, configs)
}

fn created(lab: &mut Lab) {
    for version in [2, 4, 5, 7] {
        let topics = vec![
            made(lab, &format!("plain{version}"), 3, &[]),
            made(
                lab,
                &format!("with_configs{version}"),
                1,
                &[("cleanup.policy", "compact"), ("segment.bytes", "1048576")],
            ),
        ];
        create_and_tell_configs(lab, version, &requests::create_topics(topics));
    }
    lab.note("no topics");
    create_and_tell_configs(lab, 7, &requests::create_topics(Vec::new()));
}

fn validated(lab: &mut Lab) {
    for version in [4, 7] {
        let topics = vec![made(lab, "topic", 3, &[("retention.ms", "1000")]), made(lab, "wrong", 0, &[])];
        create(lab, version, &requests::create_topics(topics).with_validate_only(true));
    }
    lab.ask(12, &requests::metadata(&[&lab.name("topic")]));
}

fn refused_names(lab: &mut Lab) {
    lab.target("topic", 1);
    lab.target("with.dot", 1);
    for version in [4, 7] {
        lab.note("a topic that exists");
        let topics = vec![made(lab, "topic", 1, &[])];
        create(lab, version, &requests::create_topics(topics.clone()));
        create(lab, version, &requests::create_topics(topics).with_validate_only(true));
    }
    lab.note("a name twice in a request, beside one that is new");
    let topics = vec![made(lab, "twice", 1, &[]), made(lab, "twice", 2, &[]), made(lab, "once", 1, &[])];
    create(lab, 7, &requests::create_topics(topics));
    lab.note("a name that differs from another only by a dot");
    let topics = vec![made(lab, "with_dot", 1, &[])];
    create(lab, 7, &requests::create_topics(topics));
    for name in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(250)] {
        let shown = if name.len() > 100 { "250 letters" } else { name };
        lab.note(shown);
        let answer = lab.put(7, &requests::create_topics(vec![requests::new_topic(&text(name), 1, &[])]));
        lab.tell("CreateTopics v7", &answer.topics[0].clone().with_name(TopicName(text(shown))));
    }
}

fn refused_counts(lab: &mut Lab) {
    for (partitions, replicas) in [(0, 1), (-2, 1), (1, 0), (1, 2), (1, -2), (1, -1)] {
        for version in [4, 7] {
            lab.note(&format!("{partitions} partitions, {replicas} replicas"));
            let topic = made(lab, &format!("topic{version}"), partitions, &[]).with_replication_factor(replicas);
            create(lab, version, &requests::create_topics(vec![topic]));
        }
    }
    lab.note("the broker's own number of partitions");
    let topic = made(lab, "defaults", -1, &[]).with_replication_factor(-1);
    let mut answer = lab.put(7, &requests::create_topics(vec![topic]));
    assert!(answer.topics[0].num_partitions >= 1, "a topic has partitions");
    answer.topics[0].num_partitions = 0;
    answer.topics[0].configs = None;
    lab.tell_answer::<CreateTopicsRequest>(7, &answer);
}

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    let brokers = brokers.iter().map(|broker| BrokerId(*broker)).collect();
    CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(brokers)
}

fn assignments(lab: &mut Lab) {
    let mut ask = |what: &str, partitions, replicas, assignments| {
        lab.note(what);
        let topic = made(lab, "topic", partitions, &[]).with_replication_factor(replicas).with_assignments(assignments);
        create(lab, 7, &requests::create_topics(vec![topic]).with_validate_only(what != "good"));
    };
    ask("a broker that does not exist", -1, -1, vec![assignment(0, &[7])]);
    ask("a broker twice", -1, -1, vec![assignment(0, &[1, 1])]);
    ask("no broker", -1, -1, vec![assignment(0, &[])]);
    ask("a partition twice", -1, -1, vec![assignment(0, &[1]), assignment(0, &[1])]);
    ask("a partition is missing", -1, -1, vec![assignment(0, &[1]), assignment(2, &[1])]);
    ask("with a number of partitions", 2, -1, vec![assignment(0, &[1]), assignment(1, &[1])]);
    ask("with a number of replicas", -1, 1, vec![assignment(0, &[1])]);
    ask("good", -1, -1, vec![assignment(0, &[1]), assignment(1, &[1])]);
}

fn refused_configs(lab: &mut Lab) {
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
            lab.note(&format!("{name}={value}"));
            let topics = vec![made(lab, "topic", 1, &[(name, value)])];
            create(lab, version, &requests::create_topics(topics).with_validate_only(true));
        }
    }
    lab.note("no value");
    let mut topic = made(lab, "topic", 1, &[("retention.ms", "1")]);
    topic.configs[0].value = None;
    create(lab, 7, &requests::create_topics(vec![topic]));
    lab.note("a config twice");
    let topics = vec![made(lab, "twice", 1, &[("retention.ms", "1"), ("retention.ms", "2")])];
    create(lab, 7, &requests::create_topics(topics));
}

fn by_state(name: Option<&StrBytes>, id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(name.map(|name| TopicName(name.clone()))).with_topic_id(id)
}

fn delete(topics: Vec<DeleteTopicState>) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS)
}

fn deleted(lab: &mut Lab) {
    let unknown = lab.name("unknown");
    for version in [1, 3, 5] {
        let target = lab.target(&format!("topic{version}"), 1);
        lab.ask(version, &requests::delete_topic(&target.name));
        lab.ask(version, &requests::delete_topic(&unknown));
    }
    lab.note("by name");
    let target = lab.target("by_name", 1);
    lab.ask(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(Some(&unknown), Uuid::nil())]));
    lab.note("by id");
    let target = lab.target("by_id", 1);
    lab.ask(6, &delete(vec![by_state(None, target.id), by_state(None, Uuid::from_u128(0xABCD))]));
    lab.note("by both, by neither, twice");
    let target = lab.target("topic", 1);
    lab.ask(6, &delete(vec![by_state(Some(&target.name), target.id)]));
    lab.ask(6, &delete(vec![by_state(None, Uuid::nil())]));
    lab.ask(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(Some(&target.name), Uuid::nil())]));
    lab.ask(6, &delete(vec![by_state(Some(&target.name), Uuid::nil()), by_state(None, target.id)]));
    lab.note("none");
    lab.ask(6, &delete(Vec::new()));
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

fn grown(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let name = &target.name;
    for version in [0, 1, 2, 3] {
        for count in [2, 1, 0, -1] {
            lab.note(&format!("to {count}"));
            lab.ask(version, &grow(name, count, None));
        }
    }
    lab.note("only to see");
    lab.ask(3, &grow(name, 5, None).with_validate_only(true));
    lab.note("with an assignment of too many, of too few, to an unknown broker");
    lab.ask(3, &grow(name, 3, Some(&[&[1], &[1]])));
    lab.ask(3, &grow(name, 4, Some(&[&[1]])));
    lab.ask(3, &grow(name, 3, Some(&[&[7]])));
    lab.note("an unknown topic");
    lab.ask(3, &grow(&lab.name("unknown"), 3, None));
    lab.note("twice in a request");
    let mut twice = grow(name, 3, None);
    twice.topics.push(twice.topics[0].clone());
    lab.ask(3, &twice);
    lab.note("to 4, and the old partitions are as they were");
    lab.put(9, &requests::produce(9, &target, &[(0, Batch::of(lab.zero, &["a"]).bytes())]));
    lab.ask(3, &grow(name, 3, Some(&[&[1]])));
    lab.ask(3, &grow(name, 4, None));
    lab.put_until(12, &requests::metadata(&[name]), |answer| answer.topics[0].partitions.len() == 4);
    lab.await_topic(name);
    lab.ask(7, &requests::list_offsets(name, &[(0, -1), (1, -1), (2, -1), (3, -1)], 0));
}

fn metadata(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in 0..=13 {
        let request = requests::metadata(&[&target.name]);
        // The first versions have no word for a topic that is not to be made.
        let request = if version < 4 { request.with_allow_auto_topic_creation(true) } else { request };
        lab.ask(version, &request);
    }
}

fn metadata_of_unknown(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (unknown, impossible) = (lab.name("unknown"), text("a/b"));
    for version in [1, 5, 9, 13] {
        for made in [true, false] {
            if version >= 4 || made {
                lab.note(&format!("topics are {}to be made", if made { "" } else { "not " }));
                let request = requests::metadata(&[&target.name, &unknown, &impossible, &text("")]);
                lab.ask(version, &request.with_allow_auto_topic_creation(made));
            }
        }
    }
    lab.note("a topic twice");
    lab.ask(12, &requests::metadata(&[&target.name, &target.name]));
    lab.note("by id");
    let by_id = |id| {
        let topic = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false)
    };
    for version in [12, 13] {
        lab.ask(version, &by_id(target.id));
        lab.ask(version, &by_id(Uuid::from_u128(0xABCD)));
    }
    lab.note("by id and name");
    let topic = MetadataRequestTopic::default().with_topic_id(target.id).with_name(Some(TopicName(target.name)));
    lab.ask(12, &MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false));
}

fn metadata_of_all(lab: &mut Lab) {
    lab.target("first", 1);
    lab.target("second", 1);
    for version in [0, 1, 5, 9, 13] {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let mut answer = lab.put(version, &MetadataRequest::default().with_topics(all));
        answer.topics.retain(|topic| topic.name.as_ref().is_some_and(|name| lab.is_mine(name)));
        lab.tell_answer::<MetadataRequest>(version, &answer);
    }
    lab.note("none");
    for version in [1, 5, 9, 13] {
        lab.ask(version, &MetadataRequest::default().with_topics(Some(Vec::new())));
    }
}

fn authorized_operations(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for version in [8, 10] {
        let request = requests::metadata(&[&target.name]);
        lab.ask(
            version,
            &request.with_include_topic_authorized_operations(true).with_include_cluster_authorized_operations(true),
        );
    }
    lab.ask(13, &requests::metadata(&[&target.name]).with_include_topic_authorized_operations(true));
}

fn cluster(lab: &mut Lab) {
    for version in 0..=2 {
        lab.ask(version, &DescribeClusterRequest::default());
        lab.ask(version, &DescribeClusterRequest::default().with_include_cluster_authorized_operations(true));
    }
    lab.note("of controllers, and of an unknown kind");
    let mut answer = lab.put(1, &DescribeClusterRequest::default().with_endpoint_type(2));
    answer.brokers.clear();
    lab.tell_answer::<DescribeClusterRequest>(1, &answer);
    lab.ask(1, &DescribeClusterRequest::default().with_endpoint_type(9));
}

fn made_again(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let batch = Batch::of(lab.zero, &["a"]).bytes();
    lab.put(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    lab.ask(12, &requests::metadata(&[&target.name]));
    lab.delete_topic("topic");
    lab.ask(12, &requests::metadata(&[&target.name]));
    lab.ask(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    lab.note("made again");
    let again = lab.target("topic", 1);
    lab.ask(12, &requests::metadata(&[&target.name]));
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -2)], 0));
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -1)], 0));
    lab.ask(9, &requests::produce(9, &again, &[(0, batch.clone())]));
    lab.note("by the old id and by the new one");
    lab.ask(13, &requests::produce(13, &target, &[(0, batch.clone())]));
    lab.ask(13, &requests::produce(13, &again, &[(0, batch)]));
}

fn delete_records(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let batch = Batch::of(lab.zero, &["a", "b", "c"]).bytes();
    for _ in 0..2 {
        lab.put(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    }
    for version in [0, 1, 2] {
        for before in [0, 2, 1, 7, -2] {
            lab.note(&format!("before {before}"));
            lab.ask(version, &requests::delete_records(&target.name, &[(0, before)]));
        }
    }
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -2), (1, -2)], 0));
    lab.note("all");
    lab.ask(2, &requests::delete_records(&target.name, &[(0, -1), (1, -1)]));
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -2), (1, -2)], 0));
    lab.ask(12, &requests::fetch(12, &target, &[(0, 6)]));
    lab.ask(12, &requests::fetch(12, &target, &[(0, 5)]));
    lab.note("of what does not exist");
    lab.ask(2, &requests::delete_records(&target.name, &[(5, -1)]));
    lab.ask(2, &requests::delete_records(&lab.name("unknown"), &[(0, -1)]));
    lab.note("of a compacted topic");
    let target = lab.target_with("compacted", 1, &[("cleanup.policy", "compact")]);
    lab.ask(2, &requests::delete_records(&target.name, &[(0, -1)]));
}
