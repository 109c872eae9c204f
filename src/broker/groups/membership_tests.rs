//! Tests of group membership: join, sync, heartbeat, leave, static members, and timeouts.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::test_support::{GROUP, JoinOptions, REBALANCE_MS, SESSION_MS, TestCoordinator, later, now, subscription};
use crate::broker::core::NodeSettings;

fn coordinator() -> TestCoordinator {
    TestCoordinator::default()
}

fn of_instance(instance: &str) -> JoinOptions<'_> {
    JoinOptions { instance: Some(instance), ..JoinOptions::default() }
}

fn of_member(member: &str) -> JoinOptions<'_> {
    JoinOptions { member, ..JoinOptions::default() }
}

/// A coordinator with an initial rebalance delay.
fn with_initial_delay(ms: i32) -> TestCoordinator {
    let mut coordinator = coordinator();
    coordinator.broker.settings = NodeSettings { group_initial_rebalance_delay_ms: ms, ..NodeSettings::default() };
    coordinator
}

/// A stable group of two static members: the leader `a`, and `b`.
fn stable_of_two_static(coordinator: &mut TestCoordinator) -> (String, String) {
    let a = coordinator.join_now(of_instance("a")).member_id.to_string();
    coordinator.sync_now(&a, 1, &[(&a, "all")]);
    let waits = coordinator.join_later(of_instance("b"));
    let joined = coordinator.join_now(JoinOptions { member: &a, ..of_instance("a") });
    let b = coordinator.join_response(waits).member_id.to_string();
    assert_eq!(joined.members.len(), 2);
    coordinator.sync_now(&a, 2, &[(&a, "half"), (&b, "rest")]);
    coordinator.sync_now(&b, 2, &[]);
    assert_eq!(coordinator.state(), "Stable");
    (a, b)
}

#[test]
fn dynamic_member_needs_an_id_to_join() {
    let mut coordinator = coordinator();
    let response = coordinator.join_now(JoinOptions::default());
    assert_eq!(response.error_code, ResponseError::MemberIdRequired.code());
    assert!(response.member_id.starts_with("client-"));
    assert_eq!(response.generation_id, -1);
    assert_eq!(coordinator.state(), "Empty");
    let id = response.member_id.to_string();
    let joined = coordinator.join_now(of_member(&id));
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!((&*joined.leader, &*joined.member_id), (id.as_str(), id.as_str()));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, subscription(&["orders"]));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(coordinator.state(), "CompletingRebalance");
}

#[test]
fn before_version_4_members_join_without_an_id() {
    let joined = coordinator().join_now(JoinOptions { version: 3, ..JoinOptions::default() });
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
}

#[test]
fn invalid_joins_are_refused() {
    let mut coordinator = coordinator();
    let refused = |coordinator: &mut TestCoordinator, options| coordinator.join_now(options).error_code;
    for session_ms in [5_999, 1_800_001] {
        let options = JoinOptions { session_ms, ..JoinOptions::default() };
        assert_eq!(refused(&mut coordinator, options), ResponseError::InvalidSessionTimeout.code());
    }
    assert_eq!(refused(&mut coordinator, of_member("stranger")), ResponseError::UnknownMemberId.code());
    assert_eq!(coordinator.state(), "Dead");
    let nothing = JoinOptions { protocols: Vec::new(), ..JoinOptions::default() };
    assert_eq!(refused(&mut coordinator, nothing), ResponseError::InconsistentGroupProtocol.code());
    let untyped = JoinOptions { protocol_type: "", ..JoinOptions::default() };
    assert_eq!(refused(&mut coordinator, untyped), ResponseError::InconsistentGroupProtocol.code());
    coordinator.stable_of_one();
    for (version, name) in [(6, Some("")), (7, None)] {
        let response = coordinator.join_now(JoinOptions { version, ..of_member("stranger") });
        assert_eq!(response.protocol_name.as_deref(), name, "before version 7 the name is empty instead of null");
    }
    let connect = JoinOptions { protocol_type: "connect", ..JoinOptions::default() };
    assert_eq!(refused(&mut coordinator, connect), ResponseError::InconsistentGroupProtocol.code());
    let sticky = JoinOptions { protocols: vec![("sticky", Bytes::new())], ..JoinOptions::default() };
    assert_eq!(refused(&mut coordinator, sticky), ResponseError::InconsistentGroupProtocol.code());
    assert_eq!(refused(&mut coordinator, of_member("stranger")), ResponseError::UnknownMemberId.code());
}

#[test]
fn common_protocol_with_most_votes_is_selected() {
    let mut coordinator = coordinator();
    let speaks = |names: &[&'static str]| JoinOptions {
        version: 3,
        protocols: names.iter().map(|name| (*name, Bytes::new())).collect(),
        ..JoinOptions::default()
    };
    let first = coordinator.join_now(speaks(&["range", "sticky", "robin"]));
    assert_eq!(first.protocol_name.as_deref(), Some("range"));
    let second = coordinator.join_later(speaks(&["sticky", "range"]));
    let third = coordinator.join_later(speaks(&["sticky", "range"]));
    let options = JoinOptions { member: &first.member_id, ..speaks(&["range", "sticky", "robin"]) };
    assert_eq!(coordinator.join_now(options).protocol_name.as_deref(), Some("sticky"));
    assert_eq!(coordinator.join_response(second).protocol_name.as_deref(), Some("sticky"));
    assert!(coordinator.join_response(third).members.is_empty());
}

#[test]
fn members_get_the_leaders_assignments() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.state(), "Stable");
    let again = coordinator.sync_now(&follower, 2, &[]);
    assert_eq!((again.error_code, &again.assignment[..]), (0, &b"rest"[..]));
    assert_eq!(coordinator.heartbeat(&leader, 2), Ok(()));
    assert_eq!(coordinator.heartbeat(&follower, 2), Ok(()));
}

#[test]
fn member_without_an_assignment_gets_an_empty_one() {
    let mut coordinator = coordinator();
    let (id, _) = coordinator.join_with_new_id(JoinOptions::default());
    let synced = coordinator.sync_now(&id, 1, &[("stranger", "all")]);
    assert_eq!((synced.error_code, synced.assignment.len()), (0, 0));
    assert_eq!(coordinator.state(), "Stable");
}

#[test]
fn sync_checks_member_and_generation() {
    let mut coordinator = coordinator();
    let stranger = coordinator.sync_now("stranger", 1, &[]);
    assert_eq!(stranger.error_code, ResponseError::UnknownMemberId.code());
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.sync_now(&leader, 1, &[]).error_code, ResponseError::IllegalGeneration.code());
    coordinator.join_later(of_member(&leader));
    assert_eq!(coordinator.sync_now(&follower, 2, &[]).error_code, ResponseError::RebalanceInProgress.code());
}

#[test]
fn heartbeat_reports_a_rebalance() {
    let mut coordinator = coordinator();
    assert_eq!(coordinator.heartbeat("stranger", 1), Err(ResponseError::UnknownMemberId));
    let leader = coordinator.stable_of_one();
    assert_eq!(coordinator.heartbeat(&leader, 0), Err(ResponseError::IllegalGeneration));
    assert_eq!(coordinator.heartbeat("stranger", 1), Err(ResponseError::UnknownMemberId));
    let (_, joined) = coordinator.join_with_new_id(JoinOptions::default());
    assert_eq!(coordinator.heartbeat(&leader, 1), Err(ResponseError::RebalanceInProgress));
    coordinator.join_now(of_member(&leader));
    assert_eq!(coordinator.heartbeat(&leader, 2), Ok(()), "before sync");
    assert_eq!(coordinator.join_response(later(joined)).generation_id, 2);
}

#[test]
fn only_the_leader_rebalances_by_rejoining_unchanged() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let same = coordinator.join_now(of_member(&follower));
    assert_eq!((same.error_code, same.generation_id, same.members.len()), (0, 2, 0));
    assert_eq!(coordinator.state(), "Stable");
    let waits = coordinator.join_later(of_member(&leader));
    assert_eq!(coordinator.state(), "PreparingRebalance");
    assert_eq!(coordinator.join_now(of_member(&follower)).generation_id, 3);
    assert_eq!(coordinator.join_response(waits).members.len(), 2);
}

#[test]
fn changed_subscription_starts_a_rebalance() {
    let mut coordinator = coordinator();
    let (_, follower) = coordinator.stable_of_two();
    let protocols = vec![("range", subscription(&["orders", "payments"]))];
    coordinator.join_later(JoinOptions { protocols, ..of_member(&follower) });
    assert_eq!(coordinator.state(), "PreparingRebalance");
}

#[test]
fn retried_join_gets_the_same_response() {
    let mut coordinator = coordinator();
    let (id, joined) = coordinator.join_with_new_id(JoinOptions::default());
    let again = coordinator.join_now(of_member(&id));
    assert_eq!(again, now(joined));
    assert_eq!(coordinator.state(), "CompletingRebalance");
}

#[test]
fn changed_join_during_sync_restarts_the_rebalance() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let leads = coordinator.join_later(of_member(&leader));
    coordinator.join_now(of_member(&follower));
    coordinator.join_response(leads);
    let waits = coordinator.sync_later(&follower, 3);
    let protocols = vec![("range", subscription(&["payments"]))];
    coordinator.join_later(JoinOptions { protocols, ..of_member(&leader) });
    assert_eq!(coordinator.sync_response(waits).error_code, ResponseError::RebalanceInProgress.code());
    assert_eq!(coordinator.state(), "PreparingRebalance");
}

#[test]
fn second_request_ends_the_wait_of_the_first() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let first = coordinator.join_later(of_member(&leader));
    let second = coordinator.join_later(of_member(&leader));
    assert_eq!(coordinator.join_response(first).error_code, ResponseError::RebalanceInProgress.code());
    coordinator.join_now(of_member(&follower));
    assert_eq!(coordinator.join_response(second).error_code, 0);
    let first = coordinator.sync_later(&follower, 3);
    let second = coordinator.sync_later(&follower, 3);
    assert_eq!(coordinator.sync_response(first).error_code, ResponseError::RebalanceInProgress.code());
    coordinator.sync_now(&leader, 3, &[(&follower, "all")]);
    assert_eq!(coordinator.sync_response(second).assignment, "all");
}

#[test]
fn join_phase_ends_at_the_rebalance_timeout() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let waits = coordinator.join_later(of_member(&leader));
    let step = i64::from(SESSION_MS) / 2;
    while coordinator.now + step < i64::from(REBALANCE_MS) {
        coordinator.advance(step);
        assert_eq!(coordinator.heartbeat(&follower, 2), Err(ResponseError::RebalanceInProgress));
    }
    assert_eq!(coordinator.state(), "PreparingRebalance");
    coordinator.advance(step);
    let joined = coordinator.join_response(waits);
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
    assert_eq!(coordinator.heartbeat(&follower, 3), Err(ResponseError::UnknownMemberId));
}

#[test]
fn leader_that_does_not_rejoin_is_replaced() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let protocols = vec![("range", subscription(&["payments"]))];
    let waits = coordinator.join_later(JoinOptions { protocols, ..of_member(&follower) });
    coordinator.advance(i64::from(SESSION_MS));
    let joined = coordinator.join_response(waits);
    assert_eq!((&*joined.leader, joined.members.len()), (follower.as_str(), 1));
    assert_eq!(coordinator.heartbeat(&leader, 3), Err(ResponseError::UnknownMemberId));
}

#[test]
fn session_timeout_removes_a_member_and_rebalances() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    coordinator.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(coordinator.heartbeat(&leader, 2), Ok(()));
    coordinator.advance(1);
    assert_eq!(coordinator.state(), "PreparingRebalance");
    assert_eq!(coordinator.heartbeat(&follower, 2), Err(ResponseError::UnknownMemberId));
    let joined = coordinator.join_now(of_member(&leader));
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
}

#[test]
fn group_is_empty_after_the_last_session_timeout() {
    let mut coordinator = coordinator();
    let id = coordinator.stable_of_one();
    coordinator.advance(i64::from(SESSION_MS));
    assert_eq!((coordinator.state(), coordinator.generation()), ("Empty", 2));
    assert_eq!(coordinator.heartbeat(&id, 2), Err(ResponseError::UnknownMemberId));
}

#[test]
fn waiting_member_needs_no_heartbeats() {
    let mut coordinator = coordinator();
    let leader = coordinator.stable_of_one();
    let (_, joined) = coordinator.join_with_new_id(JoinOptions::default());
    let waits = later(joined);
    for _ in 0..6 {
        coordinator.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(coordinator.heartbeat(&leader, 1), Err(ResponseError::RebalanceInProgress));
        assert!(coordinator.responses.is_empty());
    }
    coordinator.advance(i64::from(SESSION_MS));
    assert_eq!(coordinator.join_response(waits).generation_id, 2, "the rebalance timeout has expired");
}

#[test]
fn new_member_times_out_after_5_minutes() {
    let mut coordinator = coordinator();
    let leader = coordinator.join_now(JoinOptions {
        version: 3,
        session_ms: 1_800_000,
        rebalance_ms: 600_000,
        ..JoinOptions::default()
    });
    coordinator.sync_now(&leader.member_id, 1, &[]);
    let (_, joined) = coordinator.join_with_new_id(JoinOptions::default());
    coordinator.advance(299_999);
    assert!(coordinator.responses.is_empty());
    coordinator.advance(1);
    assert_eq!(coordinator.join_response(later(joined)).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn pending_member_id_expires() {
    let mut coordinator = coordinator();
    let leader = coordinator.stable_of_one();
    let id = coordinator.join_now(JoinOptions::default()).member_id.to_string();
    let waits = coordinator.join_later(of_member(&leader));
    coordinator.advance(i64::from(SESSION_MS) - 1);
    assert!(coordinator.responses.is_empty(), "the rebalance waits for the pending member");
    coordinator.advance(1);
    assert_eq!(coordinator.join_response(waits).members.len(), 1);
    assert_eq!(coordinator.join_now(of_member(&id)).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn sync_timeout_removes_members() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let waits = coordinator.join_later(of_member(&leader));
    coordinator.join_now(of_member(&follower));
    coordinator.join_response(waits);
    let waits = coordinator.sync_later(&follower, 3);
    for _ in 0..8 {
        coordinator.advance(i64::from(REBALANCE_MS) / 8);
        if coordinator.state() == "CompletingRebalance" {
            assert_eq!(coordinator.heartbeat(&leader, 3), Ok(()));
        }
    }
    assert_eq!(coordinator.sync_response(waits).error_code, ResponseError::RebalanceInProgress.code());
    assert_eq!(coordinator.heartbeat(&leader, 3), Err(ResponseError::UnknownMemberId));
    assert_eq!(&*coordinator.join_now(of_member(&follower)).leader, follower.as_str());
}

#[test]
fn leave_removes_a_member_and_rebalances() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    assert_eq!(coordinator.leave(&[(&leader, None), ("stranger", None)]), [0, ResponseError::UnknownMemberId.code()]);
    assert_eq!(coordinator.heartbeat(&follower, 2), Err(ResponseError::RebalanceInProgress));
    let joined = coordinator.join_now(of_member(&follower));
    assert_eq!((joined.generation_id, &*joined.leader), (3, follower.as_str()));
    assert_eq!(coordinator.leave(&[(&follower, None)]), [0]);
    assert_eq!((coordinator.state(), coordinator.generation()), ("Empty", 4));
    let pending = coordinator.join_now(JoinOptions::default()).member_id.to_string();
    assert_eq!(coordinator.leave(&[(&pending, None)]), [0]);
    assert_eq!(coordinator.leave(&[(&pending, None)]), [ResponseError::UnknownMemberId.code()]);
}

#[test]
fn leave_answers_waiting_requests() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let waits = coordinator.join_later(of_member(&leader));
    coordinator.leave(&[(&leader, None)]);
    assert_eq!(coordinator.join_response(waits).error_code, ResponseError::UnknownMemberId.code());
    coordinator.join_now(of_member(&follower));
    let (other, joined) = coordinator.join_with_new_id(JoinOptions::default());
    coordinator.join_now(of_member(&follower));
    assert_eq!(coordinator.join_response(later(joined)).error_code, 0);
    let waits = coordinator.sync_later(&other, coordinator.generation());
    coordinator.leave(&[(&other, None)]);
    assert_eq!(coordinator.sync_response(waits).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn initial_delay_is_extended_by_new_members() {
    let mut coordinator = with_initial_delay(3_000);
    let first = coordinator.join_later(JoinOptions { version: 3, ..JoinOptions::default() });
    coordinator.advance(2_999);
    let second = coordinator.join_later(JoinOptions { version: 3, ..JoinOptions::default() });
    coordinator.advance(1);
    assert!(coordinator.responses.is_empty(), "a member joined, so the delay is extended");
    coordinator.advance(2_999);
    assert!(coordinator.responses.is_empty());
    coordinator.advance(1);
    let (first, second) = (coordinator.join_response(first), coordinator.join_response(second));
    assert_eq!((first.generation_id, first.members.len()), (1, 2));
    assert_eq!(&*second.leader, &*first.member_id);
}

#[test]
fn initial_delay_ends_at_the_rebalance_timeout() {
    let mut coordinator = with_initial_delay(40_000);
    let first = coordinator.join_later(JoinOptions { version: 3, ..JoinOptions::default() });
    coordinator.advance(39_999);
    coordinator.join_later(JoinOptions { version: 3, ..JoinOptions::default() });
    coordinator.advance(20_000);
    coordinator.join_later(JoinOptions { version: 3, ..JoinOptions::default() });
    assert!(coordinator.responses.is_empty());
    coordinator.advance(1);
    assert_eq!(coordinator.join_response(first).members.len(), 3);
}

#[test]
fn static_member_rejoins_without_a_rebalance() {
    let mut coordinator = coordinator();
    let (a, b) = stable_of_two_static(&mut coordinator);
    let back = coordinator.join_now(of_instance("b"));
    let new_b = back.member_id.to_string();
    assert!(new_b.starts_with("b-") && new_b != b);
    assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (0, 2, false));
    assert_eq!((&*back.leader, back.members.len()), (a.as_str(), 0));
    assert_eq!(coordinator.state(), "Stable");
    assert_eq!(coordinator.sync_now(&new_b, 2, &[]).assignment, "rest");
    assert_eq!(coordinator.heartbeat_as(&b, Some("b"), 2), Err(ResponseError::FencedInstanceId));
    assert_eq!(coordinator.heartbeat_as(&b, None, 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(coordinator.heartbeat_as(&new_b, Some("b"), 2), Ok(()));
    assert_eq!(coordinator.heartbeat_as(&new_b, Some("stranger"), 2), Err(ResponseError::UnknownMemberId));
    let fenced = coordinator.join_now(JoinOptions { member: &b, ..of_instance("b") });
    assert_eq!((fenced.error_code, fenced.protocol_name), (ResponseError::FencedInstanceId.code(), None));
}

#[test]
fn rejoined_static_member_has_a_session_timeout() {
    let mut coordinator = coordinator();
    let a = coordinator.join_now(of_instance("a")).member_id;
    coordinator.sync_now(&a, 1, &[]);
    coordinator.advance(i64::from(SESSION_MS) - 1);
    coordinator.join_now(of_instance("a"));
    coordinator.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(coordinator.state(), "Stable");
    coordinator.advance(1);
    assert_eq!(coordinator.state(), "Empty");
}

#[test]
fn rejoined_static_leader_skips_the_assignment() {
    let mut coordinator = coordinator();
    let (a, _) = stable_of_two_static(&mut coordinator);
    let back = coordinator.join_now(of_instance("a"));
    assert!(back.skip_assignment);
    assert_eq!((&*back.leader, back.members.len()), (&*back.member_id, 2));
    assert_eq!(coordinator.sync_now(&back.member_id, 2, &[]).assignment, "half");
    let again = coordinator.join_now(JoinOptions { version: 8, ..of_instance("a") });
    assert!(!again.skip_assignment);
    assert_eq!(&*again.leader, &*back.member_id, "an older client must not learn that it is the leader");
    assert_ne!(&*again.leader, a.as_str());
    assert!(again.members.is_empty());
}

#[test]
fn static_rejoin_with_other_protocol_rebalances() {
    let mut coordinator = coordinator();
    let both = |first, second| vec![(first, subscription(&["orders"])), (second, subscription(&["orders"]))];
    let a = coordinator.join_now(JoinOptions { protocols: both("range", "sticky"), ..of_instance("a") }).member_id;
    coordinator.sync_now(&a, 1, &[(&a, "all")]);
    let waits = coordinator.join(JoinOptions { protocols: both("sticky", "range"), ..of_instance("a") });
    let joined = now(waits);
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn static_rejoin_fences_waiting_requests() {
    let mut coordinator = coordinator();
    let (a, b) = stable_of_two_static(&mut coordinator);
    let waits = coordinator.join_later(JoinOptions { member: &a, ..of_instance("a") });
    let back = coordinator.join_later(of_instance("a"));
    let fenced = coordinator.join_response(waits);
    assert_eq!((fenced.error_code, &*fenced.member_id), (ResponseError::FencedInstanceId.code(), a.as_str()));
    coordinator.join_now(JoinOptions { member: &b, ..of_instance("b") });
    let joined = coordinator.join_response(back);
    assert_eq!((joined.generation_id, &*joined.leader), (3, &*joined.member_id), "it replaces the old leader");
    let waits = coordinator.sync_later(&b, 3);
    coordinator.join_later(of_instance("b"));
    let fenced = coordinator.sync_response(waits);
    assert_eq!(fenced.error_code, ResponseError::FencedInstanceId.code());
    assert_eq!(coordinator.state(), "PreparingRebalance", "the leader may have assigned partitions to the old id");
}

#[test]
fn absent_static_member_stays_until_its_timeout() {
    let mut coordinator = coordinator();
    let (a, _) = stable_of_two_static(&mut coordinator);
    let options = || JoinOptions { session_ms: 1_800_000, ..of_instance("b") };
    let b = coordinator.join_now(options()).member_id;
    assert_eq!(coordinator.heartbeat_as(&b, Some("b"), 2), Ok(()), "the new session begins with the first heartbeat");
    let waits = coordinator.join_later(JoinOptions { member: &a, ..of_instance("a") });
    coordinator.advance(i64::from(REBALANCE_MS));
    let joined = coordinator.join_response(waits);
    assert_eq!((joined.generation_id, joined.members.len()), (3, 2));
    assert!(coordinator.groups.by_id[GROUP].members.contains_key(b.as_str()));
}

#[test]
fn group_of_absent_static_members_keeps_waiting() {
    let mut coordinator = coordinator();
    let a = coordinator.join_now(JoinOptions { session_ms: 300_000, ..of_instance("a") }).member_id;
    coordinator.sync_now(&a, 1, &[]);
    let (b, joined) = coordinator.join_with_new_id(JoinOptions::default());
    later(joined);
    coordinator.leave(&[(&b, None)]);
    coordinator.advance(i64::from(REBALANCE_MS));
    assert_eq!((coordinator.state(), coordinator.generation()), ("PreparingRebalance", 1));
    coordinator.advance(300_000);
    assert_eq!((coordinator.state(), coordinator.generation()), ("Empty", 2));
}

#[test]
fn static_member_is_removed_by_instance_id() {
    let mut coordinator = coordinator();
    let (a, b) = stable_of_two_static(&mut coordinator);
    let unknown = ResponseError::UnknownMemberId.code();
    let fenced = ResponseError::FencedInstanceId.code();
    assert_eq!(coordinator.leave(&[("", Some("stranger")), ("", None), (&a, Some("b"))]), [unknown, unknown, fenced]);
    assert_eq!(coordinator.state(), "Stable");
    assert_eq!(coordinator.leave(&[("", Some("b"))]), [0]);
    assert_eq!(coordinator.heartbeat_as(&b, Some("b"), 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(coordinator.state(), "PreparingRebalance");
}

#[test]
fn pending_member_cannot_become_static() {
    let mut coordinator = coordinator();
    let id = coordinator.join_now(JoinOptions::default()).member_id;
    let response = coordinator.join_now(JoinOptions { member: &id, ..of_instance("a") });
    assert_eq!(response.error_code, ResponseError::UnknownServerError.code());
}

#[test]
fn new_group_needs_the_journal() {
    let mut coordinator = coordinator();
    coordinator.broker.journal_fails = true;
    assert_eq!(coordinator.join_now(JoinOptions::default()).error_code, ResponseError::NotCoordinator.code());
    assert_eq!(coordinator.state(), "Dead");
    assert_eq!(coordinator.groups.next_deadline(), None);
}

#[test]
fn assignments_are_written_before_they_are_sent() {
    let mut coordinator = coordinator();
    let (leader, follower) = coordinator.stable_of_two();
    let leads = coordinator.join_later(of_member(&leader));
    coordinator.join_now(of_member(&follower));
    coordinator.join_response(leads);
    let waits = coordinator.sync_later(&follower, 3);
    coordinator.broker.journal_fails = true;
    let refused = coordinator.sync_now(&leader, 3, &[(&follower, "all")]);
    assert_eq!(refused.error_code, ResponseError::NotCoordinator.code());
    assert_eq!(coordinator.sync_response(waits).error_code, ResponseError::NotCoordinator.code());
    assert_eq!(coordinator.state(), "PreparingRebalance");
}

#[test]
fn static_rejoin_is_undone_if_the_journal_fails() {
    let mut coordinator = coordinator();
    let (_, b) = stable_of_two_static(&mut coordinator);
    coordinator.broker.journal_fails = true;
    let refused = coordinator.join_now(of_instance("b"));
    assert_eq!((refused.error_code, &*refused.member_id), (ResponseError::NotCoordinator.code(), ""));
    assert_eq!(coordinator.heartbeat_as(&b, Some("b"), 2), Ok(()));
    assert_eq!(coordinator.state(), "Stable");
}
