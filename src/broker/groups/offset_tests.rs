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

use super::str_bytes;
use super::test_support::{GROUP, JoinOptions, SESSION_MS, TestCoordinator, later, subscription};
use crate::broker::transactions::TransactionSupport;

const NOTHING: (i64, i16) = (-1, 0);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn coordinator() -> TestCoordinator {
    TestCoordinator::default()
}

fn unstable() -> (i64, i16) {
    (-1, ResponseError::UnstableOffsetCommit.code())
}

/// Deletes a group's offsets of these partitions; returns the error and those of the partitions.
fn delete(coordinator: &mut TestCoordinator, partitions: &[(&str, i32)]) -> (i16, Vec<i16>) {
    let topics = partitions.iter().map(|(topic, partition)| {
        OffsetDeleteRequestTopic::default()
            .with_name(str_bytes(topic).into())
            .with_partitions(vec![OffsetDeleteRequestPartition::default().with_partition_index(*partition)])
    });
    let request = OffsetDeleteRequest::default().with_group_id(str_bytes(GROUP).into()).with_topics(topics.collect());
    let response = coordinator.context(0, |groups, broker, _| groups.delete_offsets(broker, &request));
    let codes = response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|found| found.error_code));
    (response.error_code, codes.collect())
}

fn delete_group(coordinator: &mut TestCoordinator) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![str_bytes(GROUP).into()]);
    coordinator.context(2, |groups, broker, _| groups.delete(broker, &request)).results[0].error_code
}

/// A commit with one partition per (topic, partition, metadata) and the codes that it is answered with.
fn commit_all(
    coordinator: &mut TestCoordinator,
    offsets: &[(&str, i32, &str)],
    retention_ms: i64,
) -> Vec<(String, Vec<i16>)> {
    let topics = offsets.iter().map(|(topic, partition, metadata)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(5)
            .with_committed_metadata(Some(str_bytes(metadata)));
        OffsetCommitRequestTopic::default().with_name(str_bytes(topic).into()).with_partitions(vec![partition])
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(str_bytes(GROUP).into())
        .with_retention_time_ms(retention_ms)
        .with_topics(topics.collect());
    let response = coordinator.context(4, |groups, broker, context| groups.commit(broker, &request, context));
    let codes = |topic: &kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic| {
        topic.partitions.iter().map(|partition| partition.error_code).collect()
    };
    response.topics.iter().map(|topic| (topic.name.to_string(), codes(topic))).collect()
}

#[test]
fn who_is_no_member_commits_to_empty_groups_only() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.fetch(0, false), NOTHING);
    assert_eq!(coordinator.commit("", -1, "orders", 0, 7), 0);
    assert_eq!(coordinator.state(), "Empty");
    assert_eq!(coordinator.fetch(0, false), (7, 0));
    let member = coordinator.stable_of_one();
    assert_eq!(coordinator.commit("", -1, "orders", 0, 8), ResponseError::UnknownMemberId.code());
    assert_eq!(coordinator.commit(&member, -1, "orders", 0, 8), ResponseError::IllegalGeneration.code());
    assert_eq!(coordinator.fetch(0, false), (7, 0));
    coordinator.leave(&[(&member, None)]);
    assert_eq!(coordinator.commit("", -1, "orders", 0, 8), 0);
    assert_eq!(coordinator.commit(&member, 2, "orders", 0, 9), ResponseError::UnknownMemberId.code());
}

#[test]
fn a_commit_to_no_group_in_a_members_name_says_so_as_its_version_can() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.commit("m", 1, "orders", 0, 7), ResponseError::GroupIdNotFound.code());
    let topic = OffsetCommitRequestTopic::default()
        .with_name(str_bytes("orders").into())
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    let request = OffsetCommitRequest::default()
        .with_group_id(str_bytes(GROUP).into())
        .with_generation_id_or_member_epoch(1)
        .with_topics(vec![topic]);
    let response = coordinator.context(8, |groups, broker, context| groups.commit(broker, &request, context));
    assert_eq!(response.topics[0].partitions[0].error_code, ResponseError::IllegalGeneration.code());
    assert_eq!(coordinator.state(), "Dead");
}

#[test]
fn members_commit_in_their_generation_except_while_the_leader_is_waited_for() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.commit(&follower, 2, "orders", 0, 1), 0);
    assert_eq!(coordinator.commit(&follower, 1, "orders", 0, 2), ResponseError::IllegalGeneration.code());
    assert_eq!(coordinator.commit("stranger", 2, "orders", 0, 2), ResponseError::UnknownMemberId.code());
    let waits = coordinator.join_later(JoinOptions { member: &leader, ..JoinOptions::default() });
    assert_eq!(coordinator.commit(&follower, 2, "orders", 0, 3), 0, "what was read before the rebalance counts");
    coordinator.join_now(JoinOptions { member: &follower, ..JoinOptions::default() });
    coordinator.join_response(waits);
    assert_eq!(coordinator.commit(&follower, 3, "orders", 0, 4), ResponseError::RebalanceInProgress.code());
    assert_eq!(coordinator.fetch(0, false), (3, 0));
}

#[test]
fn a_commit_is_as_good_as_a_heartbeat() {
    let mut coordinator = coordinator();
    let member = coordinator.stable_of_one();
    for offset in 0..3 {
        coordinator.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(coordinator.commit(&member, 1, "orders", 0, offset), 0);
    }
    assert_eq!(coordinator.state(), "Stable");
}

#[test]
fn partitions_are_refused_one_by_one() {
    let mut coordinator = coordinator();
    coordinator.broker.settings.offset_metadata_max_bytes = 3;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let too_large = ResponseError::OffsetMetadataTooLarge.code();
    let offsets = [("orders", 0, "üüü"), ("orders", 9, ""), ("orders", 1, "long"), ("unknown", 0, "")];
    let answers = commit_all(&mut coordinator, &offsets, -1);
    let expected = [("orders".to_owned(), vec![unknown, 0, too_large]), ("unknown".to_owned(), vec![unknown])];
    assert_eq!(answers, expected);
    assert_eq!((coordinator.fetch(0, false), coordinator.fetch(1, false)), ((5, 0), NOTHING));
    assert_eq!(coordinator.broker.journal.len(), 1, "one line a request");
}

#[test]
fn a_commit_that_cannot_be_written_is_refused_and_not_found() {
    let mut coordinator = coordinator();
    coordinator.broker.broken = true;
    assert_eq!(coordinator.commit("", -1, "orders", 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!(coordinator.commit_in_transaction(1, "", -1, 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!((coordinator.state(), coordinator.fetch(0, true)), ("Dead", NOTHING));
}

#[test]
fn all_offsets_are_found_when_no_topic_is_named() {
    let mut coordinator = coordinator();
    commit_all(&mut coordinator, &[("orders", 1, "note"), ("payments", 0, "")], -1);
    coordinator.commit_in_transaction(4, "", -1, 1, 8);
    let groups = [GROUP, "other"]
        .map(|group| OffsetFetchRequestGroup::default().with_group_id(str_bytes(group).into()).with_topics(None));
    let request = OffsetFetchRequest::default().with_groups(groups.to_vec()).with_require_stable(true);
    let response = coordinator.context(9, |groups, _, context| groups.fetch(&request, context));
    let found = &response.groups[0].topics;
    assert_eq!((&**found[0].name, found[0].partitions[0].partition_index), ("orders", 1));
    assert_eq!(found[0].partitions[0].error_code, ResponseError::UnstableOffsetCommit.code());
    assert_eq!((&**found[1].name, found[1].partitions[0].committed_offset), ("payments", 5));
    assert_eq!((response.groups[1].error_code, response.groups[1].topics.len()), (0, 0));
    let request = OffsetFetchRequest::default().with_group_id(str_bytes(GROUP).into()).with_topics(None);
    let response = coordinator.context(7, |groups, _, context| groups.fetch(&request, context));
    assert_eq!(response.topics[0].partitions[0].committed_offset, 5);
    assert_eq!(response.topics[0].partitions[0].metadata.as_deref(), Some("note"));
}

#[test]
fn offsets_of_a_transaction_are_seen_when_it_has_ended() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.commit("", -1, "orders", 0, 1), 0);
    assert_eq!(coordinator.commit_in_transaction(4, "", -1, 0, 2), 0);
    assert_eq!(coordinator.fetch(0, true), unstable());
    assert_eq!(coordinator.fetch(0, false), (1, 0));
    assert_eq!(coordinator.fetch(1, true), NOTHING, "other partitions are not concerned");
    coordinator.end_transaction(5, true);
    assert_eq!(coordinator.fetch(0, true), unstable(), "that was another producer");
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (2, 0));
    coordinator.commit_in_transaction(4, "", -1, 0, 3);
    coordinator.end_transaction(4, false);
    assert_eq!(coordinator.fetch(0, true), (2, 0));
}

#[test]
fn a_transaction_does_not_overwrite_what_was_committed_after_its_offset() {
    let mut coordinator = coordinator();
    coordinator.commit_in_transaction(4, "", -1, 0, 10);
    coordinator.commit("", -1, "orders", 0, 5);
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (5, 0));
    coordinator.commit_in_transaction(4, "", -1, 0, 10);
    coordinator.commit_in_transaction(5, "", -1, 0, 11);
    coordinator.end_transaction(5, true);
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (11, 0), "the later commit stays, whichever transaction ends last");
}

#[test]
fn a_transaction_of_no_member_may_commit_to_a_living_group_and_one_of_a_member_is_checked() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.commit_in_transaction(4, "m", 1, 0, 1), ResponseError::IllegalGeneration.code());
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.commit_in_transaction(4, "", -1, 0, 1), 0);
    assert_eq!(coordinator.commit_in_transaction(4, &leader, 2, 0, 2), 0);
    assert_eq!(coordinator.commit_in_transaction(4, &leader, 1, 0, 3), ResponseError::IllegalGeneration.code());
    assert_eq!(coordinator.commit_in_transaction(4, "stranger", 2, 0, 3), ResponseError::UnknownMemberId.code());
    let waits = coordinator.join_later(JoinOptions { member: &leader, ..JoinOptions::default() });
    coordinator.join_now(JoinOptions { member: &follower, ..JoinOptions::default() });
    coordinator.join_response(waits);
    assert_eq!(coordinator.commit_in_transaction(4, &leader, 3, 0, 4), 0, "the state of the group does not matter");
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (4, 0));
}

#[test]
fn a_group_is_part_of_the_transaction_first_and_joins_it_from_version_5_on() {
    let mut coordinator = coordinator();
    let topic = |name| {
        TxnOffsetCommitRequestTopic::default()
            .with_name(str_bytes(name).into())
            .with_partitions(vec![TxnOffsetCommitRequestPartition::default()])
    };
    let asked =
        |group, topics| TxnOffsetCommitRequest::default().with_group_id(str_bytes(group).into()).with_topics(topics);
    let codes = |coordinator: &mut TestCoordinator, version, request| {
        let response = coordinator
            .context(version, |groups, broker, context| groups.commit_in_transaction(broker, &request, context));
        response.topics.iter().map(|topic| topic.partitions[0].error_code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&mut coordinator, 4, asked(GROUP, vec![topic("orders")])), [0]);
    assert_eq!(codes(&mut coordinator, 5, asked(GROUP, vec![topic("orders")])), [0]);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes(&mut coordinator, 5, asked(GROUP, vec![topic("unknown")])), [unknown]);
    assert_eq!(codes(&mut coordinator, 5, asked("", vec![topic("orders")])), [ResponseError::InvalidGroupId.code()]);
    assert_eq!(
        coordinator.broker.entered,
        [(GROUP.to_owned(), TransactionSupport::VerifyAbortable), (GROUP.to_owned(), TransactionSupport::Add)]
    );
    coordinator.broker.refuses_transactions = Some(ResponseError::InvalidTxnState);
    let refused = ResponseError::InvalidTxnState.code();
    assert_eq!(codes(&mut coordinator, 5, asked("h", vec![topic("unknown"), topic("orders")])), [unknown, refused]);
    assert!(!coordinator.groups.by_id.contains_key("h"));
}

#[test]
fn offsets_are_deleted_unless_somebody_subscribes_to_the_topic() {
    let mut coordinator = coordinator();
    assert_eq!(delete(&mut coordinator, &[("orders", 0)]), (ResponseError::GroupIdNotFound.code(), vec![]));
    commit_all(&mut coordinator, &[("orders", 0, ""), ("payments", 0, "")], -1);
    coordinator.commit_in_transaction(4, "", -1, 0, 8);
    let member = coordinator.stable_of_one();
    let subscribed = ResponseError::GroupSubscribedToTopic.code();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let asked = [("orders", 0), ("payments", 0), ("unknown", 0)];
    assert_eq!(delete(&mut coordinator, &asked), (0, vec![unknown, subscribed, 0]));
    assert_eq!(coordinator.fetch(0, false), (5, 0));
    coordinator.leave(&[(&member, None)]);
    assert_eq!(delete(&mut coordinator, &[("orders", 0)]), (0, vec![0]));
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), NOTHING, "what was pending is deleted, too");
}

#[test]
fn offsets_of_a_living_group_that_does_not_consume_are_not_deleted() {
    let mut coordinator = coordinator();
    let options = JoinOptions { protocol_type: "connect", version: 3, ..JoinOptions::default() };
    coordinator.join_now(options);
    assert_eq!(delete(&mut coordinator, &[("orders", 0)]).0, ResponseError::NonEmptyGroup.code());
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut coordinator = coordinator();
    coordinator.commit("", -1, "orders", 0, 1);
    coordinator.commit_in_transaction(4, "", -1, 1, 2);
    let entries = coordinator.groups.topic_deleted("orders");
    assert_eq!(entries.len(), 1);
    assert!(coordinator.groups.topic_deleted("orders").is_empty(), "nothing is left to tell");
    coordinator.end_transaction(4, true);
    assert_eq!((coordinator.fetch(0, true), coordinator.fetch(1, true)), (NOTHING, NOTHING));
}

#[test]
fn only_a_group_without_members_is_deleted() {
    let mut coordinator = coordinator();
    assert_eq!(delete_group(&mut coordinator), ResponseError::GroupIdNotFound.code());
    let member = coordinator.stable_of_one();
    coordinator.commit(&member, 1, "orders", 0, 1);
    assert_eq!(delete_group(&mut coordinator), ResponseError::NonEmptyGroup.code());
    coordinator.leave(&[(&member, None)]);
    coordinator.commit_in_transaction(4, "", -1, 1, 2);
    coordinator.broker.broken = true;
    assert_eq!(delete_group(&mut coordinator), ResponseError::NotCoordinator.code());
    coordinator.broker.broken = false;
    assert_eq!(delete_group(&mut coordinator), 0);
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.state(), "Dead");
    assert_eq!(coordinator.fetch(0, false), NOTHING);
}

#[test]
fn offsets_of_a_simple_group_expire_seven_days_after_their_commit() {
    let mut coordinator = coordinator();
    coordinator.commit("", -1, "orders", 0, 1);
    coordinator.advance(5 * DAY_MS);
    coordinator.commit("", -1, "orders", 1, 1);
    coordinator.advance(2 * DAY_MS - 1);
    assert_eq!(coordinator.fetch(0, false), (1, 0));
    coordinator.advance(600_000);
    assert_eq!((coordinator.fetch(0, false), coordinator.fetch(1, false)), (NOTHING, (1, 0)));
    coordinator.advance(5 * DAY_MS);
    assert_eq!(coordinator.state(), "Dead");
    assert_eq!(coordinator.groups.next_deadline(), None);
}

#[test]
fn offsets_of_a_group_expire_seven_days_after_its_last_member_left() {
    let mut coordinator = coordinator();
    let options = || JoinOptions { session_ms: 1_800_000, version: 3, ..JoinOptions::default() };
    let member = coordinator.join_now(options()).member_id;
    coordinator.sync_now(&member, 1, &[]);
    coordinator.commit(&member, 1, "orders", 0, 1);
    for _ in 0..8 * 24 * 3 {
        coordinator.advance(20 * 60_000);
        coordinator.heartbeat(&member, 1).unwrap();
    }
    assert_eq!(coordinator.fetch(0, false), (1, 0), "the group lives and subscribes");
    coordinator.leave(&[(&member, None)]);
    coordinator.advance(7 * DAY_MS - 600_000);
    assert_eq!(coordinator.fetch(0, false), (1, 0));
    coordinator.commit_in_transaction(4, "", -1, 0, 2);
    coordinator.advance(600_000 * 2);
    assert_eq!(coordinator.fetch(0, false), (1, 0), "a transaction is open");
    coordinator.end_transaction(4, false);
    coordinator.advance(600_000);
    assert_eq!(coordinator.state(), "Dead");
}

#[test]
fn offsets_of_topics_that_a_living_group_has_given_up_expire() {
    let mut coordinator = coordinator();
    let member =
        coordinator.join_now(JoinOptions { session_ms: 1_800_000, version: 3, ..JoinOptions::default() }).member_id;
    coordinator.sync_now(&member, 1, &[]);
    coordinator.commit(&member, 1, "payments", 0, 1);
    coordinator.commit(&member, 1, "orders", 0, 1);
    for _ in 0..8 * 24 * 3 {
        coordinator.advance(20 * 60_000);
        coordinator.heartbeat(&member, 1).unwrap();
    }
    let topics: BTreeMap<_, _> = coordinator.groups.by_id[GROUP].offsets.topics().collect();
    assert_eq!(topics.into_keys().collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn a_commit_may_say_how_long_it_is_kept() {
    let mut coordinator = coordinator();
    commit_all(&mut coordinator, &[("orders", 0, "")], 1_000_000);
    coordinator.advance(999_999);
    assert_eq!(coordinator.fetch(0, false), (5, 0));
    coordinator.advance(600_000);
    assert_eq!(coordinator.fetch(0, false), NOTHING);
}

#[test]
fn a_group_that_nothing_is_left_of_goes_at_the_next_clean_up_unless_somebody_is_about_to_join() {
    let mut coordinator = coordinator();
    coordinator.stable_of_one();
    coordinator.advance(i64::from(SESSION_MS));
    assert_eq!(coordinator.state(), "Empty");
    coordinator.advance(590_000 - 1);
    let (_, joined) = (coordinator.now, coordinator.join_now(JoinOptions::default()));
    coordinator.advance(1);
    assert_eq!(coordinator.state(), "Empty");
    assert_eq!(coordinator.join_now(JoinOptions { member: &joined.member_id, ..JoinOptions::default() }).error_code, 0);
    coordinator.advance(1_200_000);
    assert_eq!(coordinator.state(), "Dead");
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut coordinator = coordinator();
    coordinator.commit("", -1, "orders", 0, 1);
    let mut listed = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| str_bytes(state)).collect())
            .with_types_filter(types.iter().map(|kind| str_bytes(kind)).collect());
        coordinator.context(5, |groups, _, _| groups.list(&request)).groups.len()
    };
    assert_eq!(listed(&[], &[]), 1);
    assert_eq!(listed(&["empty", "Dead"], &["Classic"]), 1);
    assert_eq!(listed(&["Stable"], &[]), 0);
    assert_eq!(listed(&[], &["consumer"]), 0);
}

#[test]
fn a_group_is_described_with_what_its_state_shows() {
    let mut coordinator = coordinator();
    let described = |coordinator: &mut TestCoordinator, version| {
        let request = DescribeGroupsRequest::default().with_groups(vec![str_bytes(GROUP).into()]);
        coordinator.context(version, |groups, _, context| groups.describe(&request, context)).groups.remove(0)
    };
    let unknown = described(&mut coordinator, 6);
    assert_eq!((unknown.error_code, &*unknown.group_state), (ResponseError::GroupIdNotFound.code(), "Dead"));
    let dead = described(&mut coordinator, 5);
    assert_eq!((dead.error_code, &*dead.group_state, dead.error_message), (0, "Dead", None));
    let (leader, _) = coordinator.stable_of_two();
    let stable = described(&mut coordinator, 6);
    assert_eq!((&*stable.group_state, &*stable.protocol_type, &*stable.protocol_data), ("Stable", "consumer", "range"));
    assert_eq!((&*stable.members[0].member_id, &*stable.members[0].client_id), (leader.as_str(), "client"));
    assert_eq!(
        (&*stable.members[0].client_host, &stable.members[1].member_assignment[..]),
        ("/127.0.0.1", &b"rest"[..])
    );
    assert_eq!(stable.members[0].member_metadata, subscription(&["orders"]));
    let _ = later(coordinator.join(JoinOptions { member: &leader, ..JoinOptions::default() }));
    let preparing = described(&mut coordinator, 6);
    assert_eq!(
        (&*preparing.group_state, &*preparing.protocol_data, preparing.members.len()),
        ("PreparingRebalance", "", 2)
    );
    assert!(preparing.members[0].member_metadata.is_empty());
}
