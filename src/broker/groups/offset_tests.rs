//! Tests of offsets: commit, fetch, delete, transactions and expiration; and of the admin requests.

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

/// Deletes offsets of these partitions. Returns the error code and those of the partitions.
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

/// Commits offset 5 with metadata for each partition. Returns the error codes by topic.
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
fn non_members_commit_only_to_empty_groups() {
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
fn member_commit_to_unknown_group_is_refused() {
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
fn members_commit_in_their_generation() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.commit(&follower, 2, "orders", 0, 1), 0);
    assert_eq!(coordinator.commit(&follower, 1, "orders", 0, 2), ResponseError::IllegalGeneration.code());
    assert_eq!(coordinator.commit("stranger", 2, "orders", 0, 2), ResponseError::UnknownMemberId.code());
    let waits = coordinator.join_later(JoinOptions { member: &leader, ..JoinOptions::default() });
    assert_eq!(coordinator.commit(&follower, 2, "orders", 0, 3), 0, "before the rebalance has completed");
    coordinator.join_now(JoinOptions { member: &follower, ..JoinOptions::default() });
    coordinator.join_response(waits);
    assert_eq!(coordinator.commit(&follower, 3, "orders", 0, 4), ResponseError::RebalanceInProgress.code());
    assert_eq!(coordinator.fetch(0, false), (3, 0));
}

#[test]
fn commit_counts_as_a_heartbeat() {
    let mut coordinator = coordinator();
    let member = coordinator.stable_of_one();
    for offset in 0..3 {
        coordinator.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(coordinator.commit(&member, 1, "orders", 0, offset), 0);
    }
    assert_eq!(coordinator.state(), "Stable");
}

#[test]
fn commit_has_an_error_per_partition() {
    let mut coordinator = coordinator();
    coordinator.broker.settings.offset_metadata_max_bytes = 3;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let too_large = ResponseError::OffsetMetadataTooLarge.code();
    let offsets = [("orders", 0, "üüü"), ("orders", 9, ""), ("orders", 1, "long"), ("unknown", 0, "")];
    let responses = commit_all(&mut coordinator, &offsets, -1);
    let expected = [("orders".to_owned(), vec![unknown, 0, too_large]), ("unknown".to_owned(), vec![unknown])];
    assert_eq!(responses, expected);
    assert_eq!((coordinator.fetch(0, false), coordinator.fetch(1, false)), ((5, 0), NOTHING));
    assert_eq!(coordinator.broker.journal.len(), 1, "one entry for each request");
}

#[test]
fn commit_needs_the_journal() {
    let mut coordinator = coordinator();
    coordinator.broker.journal_fails = true;
    assert_eq!(coordinator.commit("", -1, "orders", 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!(coordinator.commit_in_transaction(1, "", -1, 0, 7), ResponseError::NotCoordinator.code());
    assert_eq!((coordinator.state(), coordinator.fetch(0, true)), ("Dead", NOTHING));
}

#[test]
fn fetch_without_topics_returns_all_offsets() {
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
fn pending_offsets_are_visible_after_commit() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.commit("", -1, "orders", 0, 1), 0);
    assert_eq!(coordinator.commit_in_transaction(4, "", -1, 0, 2), 0);
    assert_eq!(coordinator.fetch(0, true), unstable());
    assert_eq!(coordinator.fetch(0, false), (1, 0));
    assert_eq!(coordinator.fetch(1, true), NOTHING, "another partition");
    coordinator.end_transaction(5, true);
    assert_eq!(coordinator.fetch(0, true), unstable(), "another producer");
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (2, 0));
    coordinator.commit_in_transaction(4, "", -1, 0, 3);
    coordinator.end_transaction(4, false);
    assert_eq!(coordinator.fetch(0, true), (2, 0));
}

#[test]
fn pending_offset_does_not_replace_a_newer_commit() {
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
fn transactional_commits_of_members_are_checked() {
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
    assert_eq!(coordinator.commit_in_transaction(4, &leader, 3, 0, 4), 0, "in every state of the group");
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.fetch(0, true), (4, 0));
}

#[test]
fn transactional_commit_checks_by_version() {
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
        coordinator.broker.added_groups,
        [(GROUP.to_owned(), TransactionSupport::VerifyAbortable), (GROUP.to_owned(), TransactionSupport::Add)]
    );
    coordinator.broker.transaction_error = Some(ResponseError::InvalidTxnState);
    let refused = ResponseError::InvalidTxnState.code();
    assert_eq!(codes(&mut coordinator, 5, asked("h", vec![topic("unknown"), topic("orders")])), [unknown, refused]);
    assert!(!coordinator.groups.by_id.contains_key("h"));
}

#[test]
fn offsets_of_subscribed_topics_are_not_deleted() {
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
    assert_eq!(coordinator.fetch(0, true), NOTHING, "pending offsets are deleted, too");
}

#[test]
fn offsets_of_a_live_connect_group_are_not_deleted() {
    let mut coordinator = coordinator();
    let options = JoinOptions { protocol_type: "connect", version: 3, ..JoinOptions::default() };
    coordinator.join_now(options);
    assert_eq!(delete(&mut coordinator, &[("orders", 0)]).0, ResponseError::NonEmptyGroup.code());
}

#[test]
fn deleting_a_topic_deletes_its_offsets() {
    let mut coordinator = coordinator();
    coordinator.commit("", -1, "orders", 0, 1);
    coordinator.commit_in_transaction(4, "", -1, 1, 2);
    let entries = coordinator.groups.topic_deleted("orders");
    assert_eq!(entries.len(), 1);
    assert!(coordinator.groups.topic_deleted("orders").is_empty(), "no offsets are left");
    coordinator.end_transaction(4, true);
    assert_eq!((coordinator.fetch(0, true), coordinator.fetch(1, true)), (NOTHING, NOTHING));
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut coordinator = coordinator();
    assert_eq!(delete_group(&mut coordinator), ResponseError::GroupIdNotFound.code());
    let member = coordinator.stable_of_one();
    coordinator.commit(&member, 1, "orders", 0, 1);
    assert_eq!(delete_group(&mut coordinator), ResponseError::NonEmptyGroup.code());
    coordinator.leave(&[(&member, None)]);
    coordinator.commit_in_transaction(4, "", -1, 1, 2);
    coordinator.broker.journal_fails = true;
    assert_eq!(delete_group(&mut coordinator), ResponseError::NotCoordinator.code());
    coordinator.broker.journal_fails = false;
    assert_eq!(delete_group(&mut coordinator), 0);
    coordinator.end_transaction(4, true);
    assert_eq!(coordinator.state(), "Dead");
    assert_eq!(coordinator.fetch(0, false), NOTHING);
}

#[test]
fn offsets_without_members_expire_after_7_days() {
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
fn offsets_expire_7_days_after_the_last_leave() {
    let mut coordinator = coordinator();
    let options = || JoinOptions { session_ms: 1_800_000, version: 3, ..JoinOptions::default() };
    let member = coordinator.join_now(options()).member_id;
    coordinator.sync_now(&member, 1, &[]);
    coordinator.commit(&member, 1, "orders", 0, 1);
    for _ in 0..8 * 24 * 3 {
        coordinator.advance(20 * 60_000);
        coordinator.heartbeat(&member, 1).unwrap();
    }
    assert_eq!(coordinator.fetch(0, false), (1, 0), "the group subscribes to the topic");
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
fn offsets_of_unsubscribed_topics_expire() {
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
fn commit_sets_its_retention_time() {
    let mut coordinator = coordinator();
    commit_all(&mut coordinator, &[("orders", 0, "")], 1_000_000);
    coordinator.advance(999_999);
    assert_eq!(coordinator.fetch(0, false), (5, 0));
    coordinator.advance(600_000);
    assert_eq!(coordinator.fetch(0, false), NOTHING);
}

#[test]
fn empty_group_without_offsets_is_deleted() {
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
fn list_filters_by_state_and_type() {
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
fn describe_depends_on_state_and_version() {
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
