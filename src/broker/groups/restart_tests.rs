//! Tests of groups that are restored from the journal, and of the journal's format.

use super::journal_entry::{CommittedOffsets, Generation, GenerationMember, GroupEntry, PartitionOffset};
use super::test_support::{GROUP, JoinOptions, SESSION_MS, TestCoordinator, restored, subscription};
use kafka_protocol::ResponseError;

#[test]
fn members_survive_a_restart() {
    let mut before = TestCoordinator::default();
    let (leader, follower) = before.stable_of_two();
    before.commit(&leader, 2, "orders", 0, 7);
    let mut coordinator = before.restarted();
    assert_eq!((coordinator.state(), coordinator.generation()), ("Stable", 2));
    assert_eq!(coordinator.heartbeat(&leader, 2), Ok(()));
    assert_eq!(coordinator.sync_now(&follower, 2, &[]).assignment, "rest");
    assert_eq!(coordinator.commit(&follower, 2, "orders", 0, 8), 0);
    assert_eq!(coordinator.fetch(0, true), (8, 0));
    let waits = coordinator.join_later(JoinOptions { member: &leader, ..JoinOptions::default() });
    assert_eq!(coordinator.join_now(JoinOptions { member: &follower, ..JoinOptions::default() }).generation_id, 3);
    assert_eq!(coordinator.join_response(waits).members.len(), 2);
}

#[test]
fn sessions_restart_with_the_broker() {
    let mut before = TestCoordinator::default();
    before.stable_of_two();
    let mut coordinator = before.restarted();
    coordinator.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(coordinator.state(), "Stable");
    coordinator.advance(1);
    assert_eq!((coordinator.state(), coordinator.generation()), ("Empty", 3));
}

#[test]
fn generation_of_an_empty_group_is_restored() {
    let mut before = TestCoordinator::default();
    let member = before.stable_of_one();
    before.leave(&[(&member, None)]);
    let mut coordinator = before.restarted();
    assert_eq!((coordinator.state(), coordinator.generation()), ("Empty", 2));
    let (_, joined) = coordinator.join_with_new_id(JoinOptions::default());
    assert_eq!(super::test_support::now(joined).generation_id, 3);
}

#[test]
fn new_id_of_a_static_member_is_restored() {
    let mut before = TestCoordinator::default();
    let of_a = || JoinOptions { instance: Some("a"), ..JoinOptions::default() };
    let old = before.join_now(of_a()).member_id;
    before.sync_now(&old, 1, &[(&old, "all")]);
    let new = before.join_now(of_a()).member_id;
    let mut coordinator = before.restarted();
    assert_eq!(coordinator.heartbeat_as(&new, Some("a"), 1), Ok(()));
    assert_eq!(coordinator.heartbeat_as(&old, Some("a"), 1), Err(ResponseError::FencedInstanceId));
}

#[test]
fn interrupted_rebalance_is_discarded() {
    let mut before = TestCoordinator::default();
    let (leader, follower) = before.stable_of_two();
    before.leave(&[(&follower, None)]);
    let coordinator = before.restarted();
    assert_eq!((coordinator.state(), coordinator.generation()), ("Stable", 2));
    assert_eq!(restored(before.groups.snapshot(), 0).snapshot(), coordinator.groups.snapshot());
    before.join_now(JoinOptions { member: &leader, ..JoinOptions::default() });
    assert_eq!(restored(before.groups.snapshot(), 0).snapshot(), coordinator.groups.snapshot());
}

#[test]
fn pending_offsets_survive_a_restart() {
    let mut before = TestCoordinator::default();
    before.commit_in_transaction(4, "", -1, 0, 10);
    before.commit("", -1, "orders", 0, 5);
    before.commit("", -1, "orders", 1, 5);
    before.commit_in_transaction(4, "", -1, 1, 11);
    for mut coordinator in [
        before.restarted(),
        TestCoordinator { groups: restored(before.groups.snapshot(), 0), ..TestCoordinator::default() },
    ] {
        assert_eq!(coordinator.fetch(0, true).1, ResponseError::UnstableOffsetCommit.code());
        coordinator.end_transaction(4, true);
        assert_eq!(
            (coordinator.fetch(0, true), coordinator.fetch(1, true)),
            ((5, 0), (11, 0)),
            "the newer offset stays"
        );
    }
}

#[test]
fn deletions_are_restored() {
    let mut before = TestCoordinator::default();
    before.commit("", -1, "orders", 0, 5);
    let topic = before.groups.topic_deleted("orders");
    before.broker.journal.extend(topic);
    let mut coordinator = before.restarted();
    assert_eq!(coordinator.fetch(0, true), (-1, 0));
    before.advance(600_000);
    assert_eq!(before.state(), "Dead");
    assert_eq!(before.restarted().state(), "Dead");
}

#[test]
fn journal_format() {
    let entries = [
        GroupEntry::Generation(Generation {
            group: GROUP.to_owned(),
            number: 3,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some("range".to_owned()),
            leader: Some("m".to_owned()),
            since: 9,
            members: vec![GenerationMember {
                id: "m".to_owned(),
                instance: None,
                client_id: "c".to_owned(),
                client_host: "/127.0.0.1".to_owned(),
                rebalance_timeout_ms: 1,
                session_timeout_ms: 2,
                subscription: subscription(&["t"]),
                assignment: bytes::Bytes::from_static(&[0, 171]),
            }],
        }),
        GroupEntry::Offsets(CommittedOffsets {
            group: GROUP.to_owned(),
            producer_id: None,
            position: 4,
            time: 9,
            expires: None,
            topics: [(
                "t".to_owned(),
                vec![PartitionOffset { partition: 0, offset: 5, leader_epoch: -1, metadata: String::new() }],
            )]
            .into(),
        }),
    ];
    let lines = entries.each_ref().map(|entry| serde_json::to_string(entry).unwrap());
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"generation":{"group":"g","number":3,"protocol_type":"consumer","protocol":"range","leader":"m","#,
                r#""since":9,"members":[{"id":"m","client_id":"c","client_host":"/127.0.0.1","rebalance_timeout_ms":1,"#,
                r#""session_timeout_ms":2,"subscription":"000100000001000174ffffffff","#,
                r#""assignment":"00ab"}]}}"#,
            ),
            r#"{"offsets":{"group":"g","position":4,"time":9,"topics":{"t":[{"partition":0,"offset":5}]}}}"#,
        ]
    );
    assert_eq!(lines.map(|line| serde_json::from_str::<GroupEntry>(&line).unwrap()), entries);
    for bad in ["abc", "zz"] {
        let line = format!(
            r#"{{"generation":{{"group":"g","number":0,"since":0,"members":[{{"id":"","client_id":"","client_host":"","rebalance_timeout_ms":0,"session_timeout_ms":0,"subscription":"","assignment":"{bad}"}}]}}}}"#
        );
        assert!(serde_json::from_str::<GroupEntry>(&line).is_err());
    }
}
