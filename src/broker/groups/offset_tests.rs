//! Owns the claims about offsets: who may commit, what is found, what a transaction's end and time do to them.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::list_groups_request::ListGroupsRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::testbed::{Bed, GROUP, Joins, SESSION_MS, later, subscription};
use super::wire;
use crate::broker::transactions::Entrance;

const NOTHING: (i64, i16) = (-1, 0);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn bed() -> Bed {
    Bed::default()
}

fn unstable() -> (i64, i16) {
    (-1, ResponseError::UnstableOffsetCommit.code())
}

/// Deletes a group's offsets of these partitions; returns the error and those of the partitions.
fn delete(bed: &mut Bed, partitions: &[(&str, i32)]) -> (i16, Vec<i16>) {
    let topics = partitions.iter().map(|(topic, partition)| {
        OffsetDeleteRequestTopic::default()
            .with_name(wire(topic).into())
            .with_partitions(vec![OffsetDeleteRequestPartition::default().with_partition_index(*partition)])
    });
    let request = OffsetDeleteRequest::default().with_group_id(wire(GROUP).into()).with_topics(topics.collect());
    let response = bed.ask(0, |groups, around, _| groups.delete_offsets(around, &request));
    let codes = response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|found| found.error_code));
    (response.error_code, codes.collect())
}

fn delete_group(bed: &mut Bed) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![wire(GROUP).into()]);
    bed.ask(2, |groups, around, _| groups.delete(around, &request)).results[0].error_code
}

/// A commit with one partition per (topic, partition, metadata) and the codes that it is answered with.
fn commit_all(bed: &mut Bed, wishes: &[(&str, i32, &str)], retention_ms: i64) -> Vec<(String, Vec<i16>)> {
    let topics = wishes.iter().map(|(topic, partition, metadata)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(5)
            .with_committed_metadata(Some(wire(metadata)));
        OffsetCommitRequestTopic::default().with_name(wire(topic).into()).with_partitions(vec![partition])
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(wire(GROUP).into())
        .with_retention_time_ms(retention_ms)
        .with_topics(topics.collect());
    let response = bed.ask(4, |groups, around, call| groups.commit(around, &request, call));
    let codes = |topic: &kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic| {
        topic.partitions.iter().map(|partition| partition.error_code).collect()
    };
    response.topics.iter().map(|topic| (topic.name.to_string(), codes(topic))).collect()
}

#[test]
fn who_is_no_member_commits_to_empty_groups_only() {
    let mut bed = bed();
    assert_eq!(bed.fetch(0, false), NOTHING);
    assert_eq!(bed.commit("", -1, "orders", 0, 7), 0);
    assert_eq!(bed.state(), "Empty");
    assert_eq!(bed.fetch(0, false), (7, 0));
    let member = bed.stable_of_one();
    assert_eq!(bed.commit("", -1, "orders", 0, 8), ResponseError::UnknownMemberId.code());
    assert_eq!(bed.commit(&member, -1, "orders", 0, 8), ResponseError::IllegalGeneration.code());
    assert_eq!(bed.fetch(0, false), (7, 0));
    bed.leave(&[(&member, None)]);
    assert_eq!(bed.commit("", -1, "orders", 0, 8), 0);
    assert_eq!(bed.commit(&member, 2, "orders", 0, 9), ResponseError::UnknownMemberId.code());
}

#[test]
fn a_commit_to_no_group_in_a_members_name_says_so_as_its_version_can() {
    let mut bed = bed();
    assert_eq!(bed.commit("m", 1, "orders", 0, 7), ResponseError::GroupIdNotFound.code());
    let topic = OffsetCommitRequestTopic::default()
        .with_name(wire("orders").into())
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    let request = OffsetCommitRequest::default()
        .with_group_id(wire(GROUP).into())
        .with_generation_id_or_member_epoch(1)
        .with_topics(vec![topic]);
    let response = bed.ask(8, |groups, around, call| groups.commit(around, &request, call));
    assert_eq!(response.topics[0].partitions[0].error_code, ResponseError::IllegalGeneration.code());
    assert_eq!(bed.state(), "Dead");
}

#[test]
fn members_commit_in_their_generation_except_while_the_leader_is_waited_for() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    assert_eq!(bed.commit(&follower, 2, "orders", 0, 1), 0);
    assert_eq!(bed.commit(&follower, 1, "orders", 0, 2), ResponseError::IllegalGeneration.code());
    assert_eq!(bed.commit("stranger", 2, "orders", 0, 2), ResponseError::UnknownMemberId.code());
    let waits = bed.join_later(Joins { member: &leader, ..Joins::default() });
    assert_eq!(bed.commit(&follower, 2, "orders", 0, 3), 0, "what was read before the rebalance counts");
    bed.join_now(Joins { member: &follower, ..Joins::default() });
    bed.join_of(waits);
    assert_eq!(bed.commit(&follower, 3, "orders", 0, 4), ResponseError::RebalanceInProgress.code());
    assert_eq!(bed.fetch(0, false), (3, 0));
}

#[test]
fn a_commit_is_as_good_as_a_heartbeat() {
    let mut bed = bed();
    let member = bed.stable_of_one();
    for offset in 0..3 {
        bed.pass(i64::from(SESSION_MS) - 1);
        assert_eq!(bed.commit(&member, 1, "orders", 0, offset), 0);
    }
    assert_eq!(bed.state(), "Stable");
}

#[test]
fn partitions_are_refused_one_by_one() {
    let mut bed = bed();
    bed.around.settings.offset_metadata_max_bytes = 3;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let too_large = ResponseError::OffsetMetadataTooLarge.code();
    let wishes = [("orders", 0, "üüü"), ("orders", 9, ""), ("orders", 1, "long"), ("unknown", 0, "")];
    let answers = commit_all(&mut bed, &wishes, -1);
    let expected = [("orders".to_owned(), vec![unknown, 0, too_large]), ("unknown".to_owned(), vec![unknown])];
    assert_eq!(answers, expected);
    assert_eq!((bed.fetch(0, false), bed.fetch(1, false)), ((5, 0), NOTHING));
    assert_eq!(bed.around.journal.len(), 1, "one line a request");
}

#[test]
fn a_commit_that_cannot_be_written_is_refused_and_not_found() {
    let mut bed = bed();
    bed.around.broken = true;
    assert_eq!(bed.commit("", -1, "orders", 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!(bed.commit_in_transaction(1, "", -1, 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!((bed.state(), bed.fetch(0, true)), ("Dead", NOTHING));
}

#[test]
fn all_offsets_are_found_when_no_topic_is_named() {
    let mut bed = bed();
    commit_all(&mut bed, &[("orders", 1, "note"), ("payments", 0, "")], -1);
    bed.commit_in_transaction(4, "", -1, 1, 8);
    let groups = [GROUP, "other"]
        .map(|group| OffsetFetchRequestGroup::default().with_group_id(wire(group).into()).with_topics(None));
    let request = OffsetFetchRequest::default().with_groups(groups.to_vec()).with_require_stable(true);
    let response = bed.ask(9, |groups, _, call| groups.fetch(&request, call));
    let found = &response.groups[0].topics;
    assert_eq!((&**found[0].name, found[0].partitions[0].partition_index), ("orders", 1));
    assert_eq!(found[0].partitions[0].error_code, ResponseError::UnstableOffsetCommit.code());
    assert_eq!((&**found[1].name, found[1].partitions[0].committed_offset), ("payments", 5));
    assert_eq!((response.groups[1].error_code, response.groups[1].topics.len()), (0, 0));
    let request = OffsetFetchRequest::default().with_group_id(wire(GROUP).into()).with_topics(None);
    let response = bed.ask(7, |groups, _, call| groups.fetch(&request, call));
    assert_eq!(response.topics[0].partitions[0].committed_offset, 5);
    assert_eq!(response.topics[0].partitions[0].metadata.as_deref(), Some("note"));
}

#[test]
fn offsets_of_a_transaction_are_seen_when_it_has_ended() {
    let mut bed = bed();
    assert_eq!(bed.commit("", -1, "orders", 0, 1), 0);
    assert_eq!(bed.commit_in_transaction(4, "", -1, 0, 2), 0);
    assert_eq!(bed.fetch(0, true), unstable());
    assert_eq!(bed.fetch(0, false), (1, 0));
    assert_eq!(bed.fetch(1, true), NOTHING, "other partitions are not concerned");
    bed.end_transaction(5, true);
    assert_eq!(bed.fetch(0, true), unstable(), "that was another producer");
    bed.end_transaction(4, true);
    assert_eq!(bed.fetch(0, true), (2, 0));
    bed.commit_in_transaction(4, "", -1, 0, 3);
    bed.end_transaction(4, false);
    assert_eq!(bed.fetch(0, true), (2, 0));
}

#[test]
fn a_transaction_does_not_overwrite_what_was_committed_after_its_offset() {
    let mut bed = bed();
    bed.commit_in_transaction(4, "", -1, 0, 10);
    bed.commit("", -1, "orders", 0, 5);
    bed.end_transaction(4, true);
    assert_eq!(bed.fetch(0, true), (5, 0));
    bed.commit_in_transaction(4, "", -1, 0, 10);
    bed.commit_in_transaction(5, "", -1, 0, 11);
    bed.end_transaction(5, true);
    bed.end_transaction(4, true);
    assert_eq!(bed.fetch(0, true), (11, 0), "the later commit stays, whichever transaction ends last");
}

#[test]
fn a_transaction_of_no_member_may_commit_to_a_living_group_and_one_of_a_member_is_checked() {
    let mut bed = bed();
    assert_eq!(bed.commit_in_transaction(4, "m", 1, 0, 1), ResponseError::IllegalGeneration.code());
    let (leader, follower) = bed.stable_of_two();
    assert_eq!(bed.commit_in_transaction(4, "", -1, 0, 1), 0);
    assert_eq!(bed.commit_in_transaction(4, &leader, 2, 0, 2), 0);
    assert_eq!(bed.commit_in_transaction(4, &leader, 1, 0, 3), ResponseError::IllegalGeneration.code());
    assert_eq!(bed.commit_in_transaction(4, "stranger", 2, 0, 3), ResponseError::UnknownMemberId.code());
    let waits = bed.join_later(Joins { member: &leader, ..Joins::default() });
    bed.join_now(Joins { member: &follower, ..Joins::default() });
    bed.join_of(waits);
    assert_eq!(bed.commit_in_transaction(4, &leader, 3, 0, 4), 0, "the state of the group does not matter");
    bed.end_transaction(4, true);
    assert_eq!(bed.fetch(0, true), (4, 0));
}

#[test]
fn a_group_is_part_of_the_transaction_first_and_joins_it_from_version_5_on() {
    let mut bed = bed();
    let topic = |name| {
        TxnOffsetCommitRequestTopic::default()
            .with_name(wire(name).into())
            .with_partitions(vec![TxnOffsetCommitRequestPartition::default()])
    };
    let asked = |group, topics| TxnOffsetCommitRequest::default().with_group_id(wire(group).into()).with_topics(topics);
    let codes = |bed: &mut Bed, version, request| {
        let response = bed.ask(version, |groups, around, call| groups.commit_in_transaction(around, &request, call));
        response.topics.iter().map(|topic| topic.partitions[0].error_code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&mut bed, 4, asked(GROUP, vec![topic("orders")])), [0]);
    assert_eq!(codes(&mut bed, 5, asked(GROUP, vec![topic("orders")])), [0]);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes(&mut bed, 5, asked(GROUP, vec![topic("unknown")])), [unknown]);
    assert_eq!(codes(&mut bed, 5, asked("", vec![topic("orders")])), [ResponseError::InvalidGroupId.code()]);
    assert_eq!(
        bed.around.entered,
        [(GROUP.to_owned(), Entrance::AddedOrAbortable), (GROUP.to_owned(), Entrance::Joins)]
    );
    bed.around.refuses_transactions = Some(ResponseError::InvalidTxnState);
    let refused = ResponseError::InvalidTxnState.code();
    assert_eq!(codes(&mut bed, 5, asked("h", vec![topic("unknown"), topic("orders")])), [unknown, refused]);
    assert!(!bed.groups.by_id.contains_key("h"));
}

#[test]
fn offsets_are_deleted_unless_somebody_subscribes_to_the_topic() {
    let mut bed = bed();
    assert_eq!(delete(&mut bed, &[("orders", 0)]), (ResponseError::GroupIdNotFound.code(), vec![]));
    commit_all(&mut bed, &[("orders", 0, ""), ("payments", 0, "")], -1);
    bed.commit_in_transaction(4, "", -1, 0, 8);
    let member = bed.stable_of_one();
    let subscribed = ResponseError::GroupSubscribedToTopic.code();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let asked = [("orders", 0), ("payments", 0), ("unknown", 0)];
    assert_eq!(delete(&mut bed, &asked), (0, vec![unknown, subscribed, 0]));
    assert_eq!(bed.fetch(0, false), (5, 0));
    bed.leave(&[(&member, None)]);
    assert_eq!(delete(&mut bed, &[("orders", 0)]), (0, vec![0]));
    bed.end_transaction(4, true);
    assert_eq!(bed.fetch(0, true), NOTHING, "what was pending is deleted, too");
}

#[test]
fn offsets_of_a_living_group_that_does_not_consume_are_not_deleted() {
    let mut bed = bed();
    let joins = Joins { protocol_type: "connect", version: 3, ..Joins::default() };
    bed.join_now(joins);
    assert_eq!(delete(&mut bed, &[("orders", 0)]).0, ResponseError::NonEmptyGroup.code());
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut bed = bed();
    bed.commit("", -1, "orders", 0, 1);
    bed.commit_in_transaction(4, "", -1, 1, 2);
    let entries = bed.groups.topic_deleted("orders");
    assert_eq!(entries.len(), 1);
    assert!(bed.groups.topic_deleted("orders").is_empty(), "nothing is left to tell");
    bed.end_transaction(4, true);
    assert_eq!((bed.fetch(0, true), bed.fetch(1, true)), (NOTHING, NOTHING));
}

#[test]
fn only_a_group_without_members_is_deleted() {
    let mut bed = bed();
    assert_eq!(delete_group(&mut bed), ResponseError::GroupIdNotFound.code());
    let member = bed.stable_of_one();
    bed.commit(&member, 1, "orders", 0, 1);
    assert_eq!(delete_group(&mut bed), ResponseError::NonEmptyGroup.code());
    bed.leave(&[(&member, None)]);
    bed.commit_in_transaction(4, "", -1, 1, 2);
    bed.around.broken = true;
    assert_eq!(delete_group(&mut bed), ResponseError::NotCoordinator.code());
    bed.around.broken = false;
    assert_eq!(delete_group(&mut bed), 0);
    bed.end_transaction(4, true);
    assert_eq!(bed.state(), "Dead");
    assert_eq!(bed.fetch(0, false), NOTHING);
}

#[test]
fn offsets_of_a_simple_group_expire_seven_days_after_their_commit() {
    let mut bed = bed();
    bed.commit("", -1, "orders", 0, 1);
    bed.pass(5 * DAY_MS);
    bed.commit("", -1, "orders", 1, 1);
    bed.pass(2 * DAY_MS - 1);
    assert_eq!(bed.fetch(0, false), (1, 0));
    bed.pass(600_000);
    assert_eq!((bed.fetch(0, false), bed.fetch(1, false)), (NOTHING, (1, 0)));
    bed.pass(5 * DAY_MS);
    assert_eq!(bed.state(), "Dead");
    assert_eq!(bed.groups.next_deadline(), None);
}

#[test]
fn offsets_of_a_group_expire_seven_days_after_its_last_member_left() {
    let mut bed = bed();
    let joins = || Joins { session_ms: 1_800_000, version: 3, ..Joins::default() };
    let member = bed.join_now(joins()).member_id;
    bed.sync_now(&member, 1, &[]);
    bed.commit(&member, 1, "orders", 0, 1);
    for _ in 0..8 * 24 * 3 {
        bed.pass(20 * 60_000);
        bed.heartbeat(&member, 1).unwrap();
    }
    assert_eq!(bed.fetch(0, false), (1, 0), "the group lives and subscribes");
    bed.leave(&[(&member, None)]);
    bed.pass(7 * DAY_MS - 600_000);
    assert_eq!(bed.fetch(0, false), (1, 0));
    bed.commit_in_transaction(4, "", -1, 0, 2);
    bed.pass(600_000 * 2);
    assert_eq!(bed.fetch(0, false), (1, 0), "a transaction is open");
    bed.end_transaction(4, false);
    bed.pass(600_000);
    assert_eq!(bed.state(), "Dead");
}

#[test]
fn offsets_of_topics_that_a_living_group_has_given_up_expire() {
    let mut bed = bed();
    let member = bed.join_now(Joins { session_ms: 1_800_000, version: 3, ..Joins::default() }).member_id;
    bed.sync_now(&member, 1, &[]);
    bed.commit(&member, 1, "payments", 0, 1);
    bed.commit(&member, 1, "orders", 0, 1);
    for _ in 0..8 * 24 * 3 {
        bed.pass(20 * 60_000);
        bed.heartbeat(&member, 1).unwrap();
    }
    let topics: BTreeMap<_, _> = bed.groups.by_id[GROUP].offsets.topics().collect();
    assert_eq!(topics.into_keys().collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn a_commit_may_say_how_long_it_is_kept() {
    let mut bed = bed();
    commit_all(&mut bed, &[("orders", 0, "")], 1_000_000);
    bed.pass(999_999);
    assert_eq!(bed.fetch(0, false), (5, 0));
    bed.pass(600_000);
    assert_eq!(bed.fetch(0, false), NOTHING);
}

#[test]
fn a_group_that_nothing_is_left_of_goes_at_the_next_clean_up_unless_somebody_is_about_to_join() {
    let mut bed = bed();
    bed.stable_of_one();
    bed.pass(i64::from(SESSION_MS));
    assert_eq!(bed.state(), "Empty");
    bed.pass(590_000 - 1);
    let (_, joined) = (bed.now, bed.join_now(Joins::default()));
    bed.pass(1);
    assert_eq!(bed.state(), "Empty");
    assert_eq!(bed.join_now(Joins { member: &joined.member_id, ..Joins::default() }).error_code, 0);
    bed.pass(1_200_000);
    assert_eq!(bed.state(), "Dead");
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut bed = bed();
    bed.commit("", -1, "orders", 0, 1);
    let mut listed = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| wire(state)).collect())
            .with_types_filter(types.iter().map(|kind| wire(kind)).collect());
        bed.ask(5, |groups, _, _| groups.list(&request)).groups.len()
    };
    assert_eq!(listed(&[], &[]), 1);
    assert_eq!(listed(&["empty", "Dead"], &["Classic"]), 1);
    assert_eq!(listed(&["Stable"], &[]), 0);
    assert_eq!(listed(&[], &["consumer"]), 0);
}

#[test]
fn a_group_is_described_with_what_its_state_shows() {
    let mut bed = bed();
    let described = |bed: &mut Bed, version| {
        let request = DescribeGroupsRequest::default().with_groups(vec![wire(GROUP).into()]);
        bed.ask(version, |groups, _, call| groups.describe(&request, call)).groups.remove(0)
    };
    let unknown = described(&mut bed, 6);
    assert_eq!((unknown.error_code, &*unknown.group_state), (ResponseError::GroupIdNotFound.code(), "Dead"));
    let dead = described(&mut bed, 5);
    assert_eq!((dead.error_code, &*dead.group_state, dead.error_message), (0, "Dead", None));
    let (leader, _) = bed.stable_of_two();
    let stable = described(&mut bed, 6);
    assert_eq!((&*stable.group_state, &*stable.protocol_type, &*stable.protocol_data), ("Stable", "consumer", "range"));
    assert_eq!((&*stable.members[0].member_id, &*stable.members[0].client_id), (leader.as_str(), "client"));
    assert_eq!(
        (&*stable.members[0].client_host, &stable.members[1].member_assignment[..]),
        ("/127.0.0.1", &b"rest"[..])
    );
    assert_eq!(stable.members[0].member_metadata, subscription(&["orders"]));
    let _ = later(bed.join(Joins { member: &leader, ..Joins::default() }));
    let preparing = described(&mut bed, 6);
    assert_eq!(
        (&*preparing.group_state, &*preparing.protocol_data, preparing.members.len()),
        ("PreparingRebalance", "", 2)
    );
    assert!(preparing.members[0].member_metadata.is_empty());
}
