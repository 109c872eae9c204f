//! Owns the cases about committed offsets: committing, fetching, and deleting them outside of transactions.

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::membership::{self, Member};
use super::requests::text;

pub const CASES: &[Case] = &[
    ("offsets_are_committed_without_a_group", simple),
    ("offsets_are_told_with_their_metadata_and_epoch", details),
    ("offset_fetch_of_several_groups_and_of_all_topics", fetched),
    ("offset_commit_checks_the_member", members),
    ("offset_commit_refuses_partitions_one_by_one", refused),
    ("offset_commit_while_a_group_rebalances", rebalancing),
    ("offset_delete_spares_what_is_read", deleted),
    ("the_offsets_of_a_deleted_topic_are_gone", deleted_topic),
    ("offset_requests_without_a_group_name", nameless),
];

/// A commit of offsets without a group.
pub fn commit(version: i16, group: &StrBytes, topic: &StrBytes, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let nobody = Member { group: group.clone(), id: text(""), generation: -1, instance: None };
    commit_as(version, &nobody, topic, offsets)
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

/// The committed offsets of partitions, or of all if none is named.
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

fn simple(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in 2..=9 {
        let group = lab.name(&format!("group{version}"));
        lab.ask(version, &commit(version, &group, &target.name, &[(0, 5), (1, 7)]));
        let version = version.min(9);
        lab.ask(version, &fetch(version, &group, Some((&target.name, &[0, 1]))));
    }
    let group = lab.name("group2");
    lab.note("the first version that asks");
    lab.ask(1, &fetch(1, &group, Some((&target.name, &[0, 1]))));
    lab.note("committed again, backwards, and below zero");
    for offset in [3, 0, -1, -5] {
        lab.ask(8, &commit(8, &group, &target.name, &[(0, offset)]));
        lab.ask(8, &fetch(8, &group, Some((&target.name, &[0]))));
    }
    lab.note("a generation without a member, a member without a generation");
    let as_member = |generation, id: &str| Member { group: group.clone(), id: text(id), generation, instance: None };
    lab.ask(8, &commit_as(8, &as_member(0, ""), &target.name, &[(0, 1)]));
    lab.ask(8, &commit_as(8, &as_member(3, ""), &target.name, &[(0, 1)]));
    lab.ask(8, &commit_as(8, &as_member(-1, "no-member"), &target.name, &[(0, 1)]));
    lab.ask(8, &commit_as(8, &as_member(1, "no-member"), &target.name, &[(0, 1)]));
    lab.note("a generation of a group that does not exist");
    let stranger = Member { group: lab.name("unknown"), ..as_member(1, "no-member") };
    lab.ask(2, &commit_as(2, &stranger, &target.name, &[(0, 1)]));
    lab.ask(9, &commit_as(9, &stranger, &target.name, &[(0, 1)]));
    lab.note("no topics, and no partitions");
    lab.ask(8, &commit(8, &group, &target.name, &[]));
    let mut empty = commit(8, &group, &target.name, &[]);
    empty.topics.clear();
    lab.ask(8, &empty);
}

fn details(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    for (epoch, metadata) in [(-1, Some("words")), (4, Some("")), (0, None)] {
        let mut request = commit(8, &group, &target.name, &[(0, 5)]);
        request.topics[0].partitions[0].committed_leader_epoch = epoch;
        request.topics[0].partitions[0].committed_metadata = metadata.map(text);
        lab.note(&format!("epoch {epoch}, metadata {metadata:?}"));
        lab.ask(8, &request);
        for version in [1, 3, 5, 8, 9] {
            lab.ask(version, &fetch(version, &group, Some((&target.name, &[0]))));
        }
    }
}

fn fetched(lab: &mut Lab) {
    let (first, second) = (lab.target("first", 2), lab.target("second", 1));
    let (group, other) = (lab.name("group"), lab.name("other"));
    lab.put(8, &commit(8, &group, &first.name, &[(0, 1)]));
    lab.put(8, &commit(8, &group, &second.name, &[(0, 2)]));
    lab.put(8, &commit(8, &other, &second.name, &[(0, 3)]));
    for version in [1, 3, 5, 7, 8, 9] {
        lab.note("some, of which some have none");
        lab.ask(version, &fetch(version, &group, Some((&first.name, &[0, 1, 5]))));
        lab.ask(version, &fetch(version, &group, Some((&lab.name("unknown"), &[0]))));
        lab.ask(version, &fetch(version, &group, Some((&first.name, &[]))));
        if version >= 2 {
            lab.note("all, and all of a group that does not exist");
            lab.ask(version, &fetch(version, &group, None));
            lab.ask(version, &fetch(version, &lab.name("unknown"), None));
        }
        lab.note("some of a group that does not exist");
        lab.ask(version, &fetch(version, &lab.name("unknown"), Some((&first.name, &[0]))));
    }
    lab.note("of two groups");
    for version in [8, 9] {
        let mut request = fetch(version, &group, Some((&first.name, &[0, 1])));
        request.groups.extend(fetch(version, &other, None).groups);
        lab.ask(version, &request);
    }
    lab.note("in the name of a member");
    let mut request = fetch(9, &group, None);
    request.groups[0].member_id = Some(text("no-member"));
    request.groups[0].member_epoch = 3;
    lab.ask(9, &request);
}

fn members(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    let member = membership::alone(lab, &group);
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    for version in [2, 7, 9] {
        for (what, member) in [
            ("the member", member.clone()),
            ("nobody", of(-1, &text(""))),
            ("an older generation", of(0, &member.id)),
            ("a later generation", of(2, &member.id)),
            ("no generation", of(-1, &member.id)),
            ("an unknown member", of(1, &text("no-member"))),
            ("a generation and no member", of(1, &text(""))),
        ] {
            lab.note(what);
            lab.ask(version, &commit_as(version, &member, &target.name, &[(0, 1)]));
        }
    }
    lab.note("the member has left");
    lab.put(1, &member.leave_in(1));
    lab.ask(8, &commit_as(8, &member, &target.name, &[(0, 2)]));
    lab.ask(8, &commit_as(8, &of(-1, &text("")), &target.name, &[(0, 3)]));
    lab.ask(8, &fetch(8, &group, None));
}

fn refused(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    for version in [2, 9] {
        lab.note("partitions that exist and that do not");
        lab.ask(version, &commit(version, &group, &target.name, &[(0, 1), (5, 1), (-1, 1)]));
        lab.ask(version, &commit(version, &group, &lab.name("unknown"), &[(0, 1)]));
        lab.note("metadata of 4096 and of 4097 bytes");
        let mut request = commit(version, &group, &target.name, &[(0, 1), (1, 1)]);
        for (partition, length) in request.topics[0].partitions.iter_mut().zip([4096, 4097]) {
            partition.committed_metadata = Some(text(&"x".repeat(length)));
        }
        lab.ask(version, &request);
    }
}

fn rebalancing(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    let first = membership::alone(lab, &group);
    let mut second = membership::Joined::connect(lab, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    lab.put_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    lab.note("before the member joins again");
    lab.ask(8, &commit_as(8, &first, &target.name, &[(0, 1)]));
    lab.note("after it did, and before the sync");
    let again = Member::of(&group, &lab.put(5, &membership::join(&group, &first.id)));
    second.join_answer(lab, 5);
    lab.ask(8, &commit_as(8, &first, &target.name, &[(0, 2)]));
    lab.ask(8, &commit_as(8, &again, &target.name, &[(0, 3)]));
    lab.note("after the sync");
    lab.put(3, &again.sync(&[]));
    lab.ask(8, &commit_as(8, &first, &target.name, &[(0, 4)]));
    lab.ask(8, &commit_as(8, &again, &target.name, &[(0, 5)]));
    lab.ask(8, &fetch(8, &group, None));
}

fn delete(group: &StrBytes, topic: &StrBytes, partitions: &[i32]) -> OffsetDeleteRequest {
    let partitions = partitions
        .iter()
        .map(|partition| OffsetDeleteRequestPartition::default().with_partition_index(*partition))
        .collect();
    let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(topic.clone())).with_partitions(partitions);
    OffsetDeleteRequest::default().with_group_id(group.clone().into()).with_topics(vec![topic])
}

fn deleted(lab: &mut Lab) {
    let (read, unread) = (lab.target("read", 1), lab.target("unread", 2));
    let group = lab.name("group");
    lab.note("of an empty group");
    lab.put(8, &commit(8, &group, &read.name, &[(0, 1)]));
    lab.put(8, &commit(8, &group, &unread.name, &[(0, 1), (1, 1)]));
    lab.ask(0, &delete(&group, &unread.name, &[0, 5]));
    lab.ask(0, &delete(&group, &lab.name("unknown"), &[0]));
    lab.ask(8, &fetch(8, &group, None));
    lab.note("of a group that reads one of the topics");
    let id = lab.put(5, &membership::join(&group, &text(""))).member_id;
    let mut request = membership::join(&group, &id);
    request.protocols[0].metadata = membership::subscription(&[&read.name], "");
    let member = membership::alone_by(lab, request);
    lab.ask(0, &delete(&group, &read.name, &[0]));
    lab.ask(0, &delete(&group, &unread.name, &[1]));
    lab.ask(8, &fetch(8, &group, None));
    lab.note("of a group of another kind with members");
    let other = lab.name("other");
    let id = lab.put(5, &membership::join(&other, &text(""))).member_id;
    membership::alone_by(lab, membership::join(&other, &id).with_protocol_type(text("connect")));
    lab.ask(0, &delete(&other, &read.name, &[0]));
    lab.note("of a group that does not exist");
    lab.ask(0, &delete(&lab.name("unknown"), &read.name, &[0]));
    lab.note("after the member left");
    lab.put(1, &member.leave_in(1));
    lab.ask(0, &delete(&group, &read.name, &[0]));
    lab.ask(8, &fetch(8, &group, None));
}

fn deleted_topic(lab: &mut Lab) {
    let (topic, other) = (lab.target("topic", 1), lab.target("other", 1));
    let group = lab.name("group");
    lab.put(8, &commit(8, &group, &topic.name, &[(0, 1)]));
    lab.put(8, &commit(8, &group, &other.name, &[(0, 2)]));
    lab.delete_topic("topic");
    lab.ask_until(8, &fetch(8, &group, None), |answer| answer.groups[0].topics.len() == 1);
    lab.target("topic", 1);
    lab.ask(8, &fetch(8, &group, Some((&topic.name, &[0]))));
}

fn nameless(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let nobody = text("");
    for version in [2, 9] {
        lab.ask(version, &commit(version, &nobody, &target.name, &[(0, 1)]));
    }
    for version in [1, 7, 9] {
        lab.ask(version, &fetch(version, &nobody, Some((&target.name, &[0]))));
    }
}
