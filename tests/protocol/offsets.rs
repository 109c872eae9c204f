//! Cases of committed offsets outside of transactions: commit, fetch and delete.

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::membership::{self, Member};
use super::requests::text;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("commits_offsets_without_a_group", simple),
    ("returns_offset_metadata_and_epoch", details),
    ("offset_fetch_of_groups_and_topics", fetched),
    ("offset_commit_checks_the_member", members),
    ("offset_commit_refuses_partitions_one_by_one", refused),
    ("offset_commit_while_a_group_rebalances", rebalancing),
    ("offset_delete_keeps_subscribed_topics", deleted),
    ("deleting_a_topic_deletes_its_offsets", deleted_topic),
    ("offset_requests_without_a_group_name", nameless),
];

/// A commit without a group member.
pub fn commit(version: i16, group: &StrBytes, topic: &StrBytes, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let no_member = Member { group: group.clone(), id: text(""), generation: -1, instance: None };
    commit_as(version, &no_member, topic, offsets)
}

pub fn commit_as(version: i16, member: &Member, topic: &StrBytes, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partitions = offsets
        .iter()
        .map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text("")))
        })
        .collect();
    let topic = OffsetCommitRequestTopic::default().with_name(TopicName(topic.clone())).with_partitions(partitions);
    let request = OffsetCommitRequest::default()
        .with_group_id(member.group.clone().into())
        .with_member_id(member.id.clone())
        .with_generation_id_or_member_epoch(member.generation)
        .with_topics(vec![topic]);
    if version < 7 { request } else { request.with_group_instance_id(member.instance.clone()) }
}

/// A fetch of the committed offsets of partitions, or of all partitions.
pub fn fetch(version: i16, group: &StrBytes, partitions: Option<(&StrBytes, &[i32])>) -> OffsetFetchRequest {
    if version < 8 {
        let topics = partitions.map(|(topic, partitions)| {
            let topic = OffsetFetchRequestTopic::default().with_name(TopicName(topic.clone()));
            vec![topic.with_partition_indexes(partitions.to_vec())]
        });
        return OffsetFetchRequest::default().with_group_id(group.clone().into()).with_topics(topics);
    }
    let topics = partitions.map(|(topic, partitions)| {
        let topic = OffsetFetchRequestTopics::default().with_name(TopicName(topic.clone()));
        vec![topic.with_partition_indexes(partitions.to_vec())]
    });
    let group = OffsetFetchRequestGroup::default().with_group_id(group.clone().into()).with_topics(topics);
    OffsetFetchRequest::default().with_groups(vec![if version < 9 { group } else { group.with_member_epoch(-1) }])
}

fn simple(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in 2..=9 {
        let group = recorder.name(&format!("group{version}"));
        recorder.record(version, &commit(version, &group, &target.name, &[(0, 5), (1, 7)]));
        let version = version.min(9);
        recorder.record(version, &fetch(version, &group, Some((&target.name, &[0, 1]))));
    }
    let group = recorder.name("group2");
    recorder.note("the first version that asks");
    recorder.record(1, &fetch(1, &group, Some((&target.name, &[0, 1]))));
    recorder.note("committed again, backwards, and below zero");
    for offset in [3, 0, -1, -5] {
        recorder.record(8, &commit(8, &group, &target.name, &[(0, offset)]));
        recorder.record(8, &fetch(8, &group, Some((&target.name, &[0]))));
    }
    recorder.note("a generation without a member, a member without a generation");
    let as_member = |generation, id: &str| Member { group: group.clone(), id: text(id), generation, instance: None };
    recorder.record(8, &commit_as(8, &as_member(0, ""), &target.name, &[(0, 1)]));
    recorder.record(8, &commit_as(8, &as_member(3, ""), &target.name, &[(0, 1)]));
    recorder.record(8, &commit_as(8, &as_member(-1, "no-member"), &target.name, &[(0, 1)]));
    recorder.record(8, &commit_as(8, &as_member(1, "no-member"), &target.name, &[(0, 1)]));
    recorder.note("a generation of a group that does not exist");
    let stranger = Member { group: recorder.name("unknown"), ..as_member(1, "no-member") };
    recorder.record(2, &commit_as(2, &stranger, &target.name, &[(0, 1)]));
    recorder.record(9, &commit_as(9, &stranger, &target.name, &[(0, 1)]));
    recorder.note("no topics, and no partitions");
    recorder.record(8, &commit(8, &group, &target.name, &[]));
    let mut empty = commit(8, &group, &target.name, &[]);
    empty.topics.clear();
    recorder.record(8, &empty);
}

fn details(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    for (epoch, metadata) in [(-1, Some("words")), (4, Some("")), (0, None)] {
        let mut request = commit(8, &group, &target.name, &[(0, 5)]);
        request.topics[0].partitions[0].committed_leader_epoch = epoch;
        request.topics[0].partitions[0].committed_metadata = metadata.map(text);
        recorder.note(&format!("epoch {epoch}, metadata {metadata:?}"));
        recorder.record(8, &request);
        for version in [1, 3, 5, 8, 9] {
            recorder.record(version, &fetch(version, &group, Some((&target.name, &[0]))));
        }
    }
}

fn fetched(recorder: &mut Recorder) {
    let (first, second) = (recorder.target("first", 2), recorder.target("second", 1));
    let (group, other) = (recorder.name("group"), recorder.name("other"));
    recorder.request(8, &commit(8, &group, &first.name, &[(0, 1)]));
    recorder.request(8, &commit(8, &group, &second.name, &[(0, 2)]));
    recorder.request(8, &commit(8, &other, &second.name, &[(0, 3)]));
    for version in [1, 3, 5, 7, 8, 9] {
        recorder.note("some, of which some have none");
        recorder.record(version, &fetch(version, &group, Some((&first.name, &[0, 1, 5]))));
        recorder.record(version, &fetch(version, &group, Some((&recorder.name("unknown"), &[0]))));
        recorder.record(version, &fetch(version, &group, Some((&first.name, &[]))));
        if version >= 2 {
            recorder.note("all, and all of a group that does not exist");
            recorder.record(version, &fetch(version, &group, None));
            recorder.record(version, &fetch(version, &recorder.name("unknown"), None));
        }
        recorder.note("some of a group that does not exist");
        recorder.record(version, &fetch(version, &recorder.name("unknown"), Some((&first.name, &[0]))));
    }
    recorder.note("of two groups");
    for version in [8, 9] {
        let mut request = fetch(version, &group, Some((&first.name, &[0, 1])));
        request.groups.extend(fetch(version, &other, None).groups);
        recorder.record(version, &request);
    }
    recorder.note("in the name of a member");
    let mut request = fetch(9, &group, None);
    request.groups[0].member_id = Some(text("no-member"));
    request.groups[0].member_epoch = 3;
    recorder.record(9, &request);
}

fn members(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    let member = membership::alone(recorder, &group);
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    for version in [2, 7, 9] {
        for (what, member) in [
            ("the member", member.clone()),
            ("no member", of(-1, &text(""))),
            ("an older generation", of(0, &member.id)),
            ("a later generation", of(2, &member.id)),
            ("no generation", of(-1, &member.id)),
            ("an unknown member", of(1, &text("no-member"))),
            ("a generation and no member", of(1, &text(""))),
        ] {
            recorder.note(what);
            recorder.record(version, &commit_as(version, &member, &target.name, &[(0, 1)]));
        }
    }
    recorder.note("the member has left");
    recorder.request(1, &member.leave_in(1));
    recorder.record(8, &commit_as(8, &member, &target.name, &[(0, 2)]));
    recorder.record(8, &commit_as(8, &of(-1, &text("")), &target.name, &[(0, 3)]));
    recorder.record(8, &fetch(8, &group, None));
}

fn refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    for version in [2, 9] {
        recorder.note("partitions that exist and that do not");
        recorder.record(version, &commit(version, &group, &target.name, &[(0, 1), (5, 1), (-1, 1)]));
        recorder.record(version, &commit(version, &group, &recorder.name("unknown"), &[(0, 1)]));
        recorder.note("metadata of 4096 and of 4097 bytes");
        let mut request = commit(version, &group, &target.name, &[(0, 1), (1, 1)]);
        for (partition, length) in request.topics[0].partitions.iter_mut().zip([4096, 4097]) {
            partition.committed_metadata = Some(text(&"x".repeat(length)));
        }
        recorder.record(version, &request);
    }
}

fn rebalancing(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    let first = membership::alone(recorder, &group);
    let mut second = membership::Joined::connect(recorder, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    recorder.request_until(3, &first.heartbeat(), |response| response.error_code != 0);
    recorder.note("before the member joins again");
    recorder.record(8, &commit_as(8, &first, &target.name, &[(0, 1)]));
    recorder.note("after it did, and before the sync");
    let again = Member::of(&group, &recorder.request(5, &membership::join(&group, &first.id)));
    second.record_join(recorder, 5);
    recorder.record(8, &commit_as(8, &first, &target.name, &[(0, 2)]));
    recorder.record(8, &commit_as(8, &again, &target.name, &[(0, 3)]));
    recorder.note("after the sync");
    recorder.request(3, &again.sync(&[]));
    recorder.record(8, &commit_as(8, &first, &target.name, &[(0, 4)]));
    recorder.record(8, &commit_as(8, &again, &target.name, &[(0, 5)]));
    recorder.record(8, &fetch(8, &group, None));
}

fn delete(group: &StrBytes, topic: &StrBytes, partitions: &[i32]) -> OffsetDeleteRequest {
    let partitions = partitions
        .iter()
        .map(|partition| OffsetDeleteRequestPartition::default().with_partition_index(*partition))
        .collect();
    let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(topic.clone())).with_partitions(partitions);
    OffsetDeleteRequest::default().with_group_id(group.clone().into()).with_topics(vec![topic])
}

fn deleted(recorder: &mut Recorder) {
    let (read, unread) = (recorder.target("read", 1), recorder.target("unread", 2));
    let group = recorder.name("group");
    recorder.note("of an empty group");
    recorder.request(8, &commit(8, &group, &read.name, &[(0, 1)]));
    recorder.request(8, &commit(8, &group, &unread.name, &[(0, 1), (1, 1)]));
    recorder.record(0, &delete(&group, &unread.name, &[0, 5]));
    recorder.record(0, &delete(&group, &recorder.name("unknown"), &[0]));
    recorder.record(8, &fetch(8, &group, None));
    recorder.note("of a group that reads one of the topics");
    let id = recorder.request(5, &membership::join(&group, &text(""))).member_id;
    let mut request = membership::join(&group, &id);
    request.protocols[0].metadata = membership::subscription(&[&read.name], "");
    let member = membership::alone_by(recorder, request);
    recorder.record(0, &delete(&group, &read.name, &[0]));
    recorder.record(0, &delete(&group, &unread.name, &[1]));
    recorder.record(8, &fetch(8, &group, None));
    recorder.note("of a group of another kind with members");
    let other = recorder.name("other");
    let id = recorder.request(5, &membership::join(&other, &text(""))).member_id;
    membership::alone_by(recorder, membership::join(&other, &id).with_protocol_type(text("connect")));
    recorder.record(0, &delete(&other, &read.name, &[0]));
    recorder.note("of a group that does not exist");
    recorder.record(0, &delete(&recorder.name("unknown"), &read.name, &[0]));
    recorder.note("after the member left");
    recorder.request(1, &member.leave_in(1));
    recorder.record(0, &delete(&group, &read.name, &[0]));
    recorder.record(8, &fetch(8, &group, None));
}

fn deleted_topic(recorder: &mut Recorder) {
    let (topic, other) = (recorder.target("topic", 1), recorder.target("other", 1));
    let group = recorder.name("group");
    recorder.request(8, &commit(8, &group, &topic.name, &[(0, 1)]));
    recorder.request(8, &commit(8, &group, &other.name, &[(0, 2)]));
    recorder.delete_topic("topic");
    recorder.record_until(8, &fetch(8, &group, None), |response| response.groups[0].topics.len() == 1);
    recorder.target("topic", 1);
    recorder.record(8, &fetch(8, &group, Some((&topic.name, &[0]))));
}

fn nameless(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let no_member = text("");
    for version in [2, 9] {
        recorder.record(version, &commit(version, &no_member, &target.name, &[(0, 1)]));
    }
    for version in [1, 7, 9] {
        recorder.record(version, &fetch(version, &no_member, Some((&target.name, &[0]))));
    }
}
