//! Owns the claims about members: joining, leading, syncing, being heard of, leaving, being replaced.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::testbed::{Bed, GROUP, Joins, REBALANCE_MS, SESSION_MS, later, now, subscription};
use crate::broker::core::NodeSettings;

fn bed() -> Bed {
    Bed::default()
}

fn of_instance(instance: &str) -> Joins<'_> {
    Joins { instance: Some(instance), ..Joins::default() }
}

fn of_member(member: &str) -> Joins<'_> {
    Joins { member, ..Joins::default() }
}

/// A group whose first rebalance waits.
fn with_initial_delay(ms: i32) -> Bed {
    let mut bed = bed();
    bed.around.settings = NodeSettings { group_initial_rebalance_delay_ms: ms, ..NodeSettings::default() };
    bed
}

/// A stable group of two static members, `a` (leads) and `b`.
fn stable_of_two_static(bed: &mut Bed) -> (String, String) {
    let a = bed.join_now(of_instance("a")).member_id.to_string();
    bed.sync_now(&a, 1, &[(&a, "all")]);
    let waits = bed.join_later(of_instance("b"));
    let joined = bed.join_now(Joins { member: &a, ..of_instance("a") });
    let b = bed.join_of(waits).member_id.to_string();
    assert_eq!(joined.members.len(), 2);
    bed.sync_now(&a, 2, &[(&a, "half"), (&b, "rest")]);
    bed.sync_now(&b, 2, &[]);
    assert_eq!(bed.state(), "Stable");
    (a, b)
}

#[test]
fn a_dynamic_member_is_given_an_id_before_it_joins() {
    let mut bed = bed();
    let answer = bed.join_now(Joins::default());
    assert_eq!(answer.error_code, ResponseError::MemberIdRequired.code());
    assert!(answer.member_id.starts_with("client-"));
    assert_eq!(answer.generation_id, -1);
    assert_eq!(bed.state(), "Empty");
    let id = answer.member_id.to_string();
    let joined = bed.join_now(of_member(&id));
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!((&*joined.leader, &*joined.member_id), (id.as_str(), id.as_str()));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, subscription(&["orders"]));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(bed.state(), "CompletingRebalance");
}

#[test]
fn before_version_4_a_member_joins_at_once() {
    let joined = bed().join_now(Joins { version: 3, ..Joins::default() });
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
}

#[test]
fn a_join_is_refused_without_a_group_a_session_or_a_protocol() {
    let mut bed = bed();
    let refused = |bed: &mut Bed, joins| bed.join_now(joins).error_code;
    for session_ms in [5_999, 1_800_001] {
        let joins = Joins { session_ms, ..Joins::default() };
        assert_eq!(refused(&mut bed, joins), ResponseError::InvalidSessionTimeout.code());
    }
    assert_eq!(refused(&mut bed, of_member("stranger")), ResponseError::UnknownMemberId.code());
    assert_eq!(bed.state(), "Dead");
    let nothing = Joins { protocols: Vec::new(), ..Joins::default() };
    assert_eq!(refused(&mut bed, nothing), ResponseError::InconsistentGroupProtocol.code());
    let untyped = Joins { protocol_type: "", ..Joins::default() };
    assert_eq!(refused(&mut bed, untyped), ResponseError::InconsistentGroupProtocol.code());
    bed.stable_of_one();
    for (version, name) in [(6, Some("")), (7, None)] {
        let answer = bed.join_now(Joins { version, ..of_member("stranger") });
        assert_eq!(answer.protocol_name.as_deref(), name, "no protocol is an empty name before version 7");
    }
    let connect = Joins { protocol_type: "connect", ..Joins::default() };
    assert_eq!(refused(&mut bed, connect), ResponseError::InconsistentGroupProtocol.code());
    let sticky = Joins { protocols: vec![("sticky", Bytes::new())], ..Joins::default() };
    assert_eq!(refused(&mut bed, sticky), ResponseError::InconsistentGroupProtocol.code());
    assert_eq!(refused(&mut bed, of_member("stranger")), ResponseError::UnknownMemberId.code());
}

#[test]
fn the_protocol_with_most_votes_of_those_that_all_support_is_chosen() {
    let mut bed = bed();
    let speaks = |names: &[&'static str]| Joins {
        version: 3,
        protocols: names.iter().map(|name| (*name, Bytes::new())).collect(),
        ..Joins::default()
    };
    let first = bed.join_now(speaks(&["range", "sticky", "robin"]));
    assert_eq!(first.protocol_name.as_deref(), Some("range"));
    let second = bed.join_later(speaks(&["sticky", "range"]));
    let third = bed.join_later(speaks(&["sticky", "range"]));
    let joins = Joins { member: &first.member_id, ..speaks(&["range", "sticky", "robin"]) };
    assert_eq!(bed.join_now(joins).protocol_name.as_deref(), Some("sticky"));
    assert_eq!(bed.join_of(second).protocol_name.as_deref(), Some("sticky"));
    assert!(bed.join_of(third).members.is_empty());
}

#[test]
fn members_get_what_the_leader_gave_them() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    assert_eq!(bed.state(), "Stable");
    let again = bed.sync_now(&follower, 2, &[]);
    assert_eq!((again.error_code, &again.assignment[..]), (0, &b"rest"[..]));
    assert_eq!(bed.heartbeat(&leader, 2), Ok(()));
    assert_eq!(bed.heartbeat(&follower, 2), Ok(()));
}

#[test]
fn a_member_that_the_leader_forgot_gets_nothing() {
    let mut bed = bed();
    let (id, _) = bed.enters(Joins::default());
    let synced = bed.sync_now(&id, 1, &[("stranger", "all")]);
    assert_eq!((synced.error_code, synced.assignment.len()), (0, 0));
    assert_eq!(bed.state(), "Stable");
}

#[test]
fn a_sync_is_refused_to_strangers_and_in_other_generations() {
    let mut bed = bed();
    let stranger = bed.sync_now("stranger", 1, &[]);
    assert_eq!(stranger.error_code, ResponseError::UnknownMemberId.code());
    let (leader, follower) = bed.stable_of_two();
    assert_eq!(bed.sync_now(&leader, 1, &[]).error_code, ResponseError::IllegalGeneration.code());
    bed.join_later(of_member(&leader));
    assert_eq!(bed.sync_now(&follower, 2, &[]).error_code, ResponseError::RebalanceInProgress.code());
}

#[test]
fn a_heartbeat_tells_of_a_rebalance() {
    let mut bed = bed();
    assert_eq!(bed.heartbeat("stranger", 1), Err(ResponseError::UnknownMemberId));
    let leader = bed.stable_of_one();
    assert_eq!(bed.heartbeat(&leader, 0), Err(ResponseError::IllegalGeneration));
    assert_eq!(bed.heartbeat("stranger", 1), Err(ResponseError::UnknownMemberId));
    let (_, joined) = bed.enters(Joins::default());
    assert_eq!(bed.heartbeat(&leader, 1), Err(ResponseError::RebalanceInProgress));
    bed.join_now(of_member(&leader));
    assert_eq!(bed.heartbeat(&leader, 2), Ok(()), "members may be heard of before they have synced");
    assert_eq!(bed.join_of(later(joined)).generation_id, 2);
}

#[test]
fn an_unchanged_follower_that_rejoins_keeps_its_generation_and_a_leader_begins_a_rebalance() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let same = bed.join_now(of_member(&follower));
    assert_eq!((same.error_code, same.generation_id, same.members.len()), (0, 2, 0));
    assert_eq!(bed.state(), "Stable");
    let waits = bed.join_later(of_member(&leader));
    assert_eq!(bed.state(), "PreparingRebalance");
    assert_eq!(bed.join_now(of_member(&follower)).generation_id, 3);
    assert_eq!(bed.join_of(waits).members.len(), 2);
}

#[test]
fn a_changed_subscription_begins_a_rebalance() {
    let mut bed = bed();
    let (_, follower) = bed.stable_of_two();
    let protocols = vec![("range", subscription(&["orders", "payments"]))];
    bed.join_later(Joins { protocols, ..of_member(&follower) });
    assert_eq!(bed.state(), "PreparingRebalance");
}

#[test]
fn a_join_whose_answer_was_lost_is_answered_again() {
    let mut bed = bed();
    let (id, joined) = bed.enters(Joins::default());
    let again = bed.join_now(of_member(&id));
    assert_eq!(again, now(joined));
    assert_eq!(bed.state(), "CompletingRebalance");
}

#[test]
fn a_changed_join_while_others_wait_for_the_leader_has_them_rejoin() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let leads = bed.join_later(of_member(&leader));
    bed.join_now(of_member(&follower));
    bed.join_of(leads);
    let waits = bed.sync_later(&follower, 3);
    let protocols = vec![("range", subscription(&["payments"]))];
    bed.join_later(Joins { protocols, ..of_member(&leader) });
    assert_eq!(bed.sync_of(waits).error_code, ResponseError::RebalanceInProgress.code());
    assert_eq!(bed.state(), "PreparingRebalance");
}

#[test]
fn a_second_request_in_place_of_one_that_waits_has_the_first_one_answered() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let first = bed.join_later(of_member(&leader));
    let second = bed.join_later(of_member(&leader));
    assert_eq!(bed.join_of(first).error_code, ResponseError::RebalanceInProgress.code());
    bed.join_now(of_member(&follower));
    assert_eq!(bed.join_of(second).error_code, 0);
    let first = bed.sync_later(&follower, 3);
    let second = bed.sync_later(&follower, 3);
    assert_eq!(bed.sync_of(first).error_code, ResponseError::RebalanceInProgress.code());
    bed.sync_now(&leader, 3, &[(&follower, "all")]);
    assert_eq!(bed.sync_of(second).assignment, "all");
}

#[test]
fn a_rebalance_waits_for_the_longest_rebalance_time_out_and_no_longer() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let waits = bed.join_later(of_member(&leader));
    let step = i64::from(SESSION_MS) / 2;
    while bed.now + step < i64::from(REBALANCE_MS) {
        bed.pass(step);
        assert_eq!(bed.heartbeat(&follower, 2), Err(ResponseError::RebalanceInProgress));
    }
    assert_eq!(bed.state(), "PreparingRebalance");
    bed.pass(step);
    let joined = bed.join_of(waits);
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
    assert_eq!(bed.heartbeat(&follower, 3), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_leader_that_does_not_rejoin_loses_its_office() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let protocols = vec![("range", subscription(&["payments"]))];
    let waits = bed.join_later(Joins { protocols, ..of_member(&follower) });
    bed.pass(i64::from(SESSION_MS));
    let joined = bed.join_of(waits);
    assert_eq!((&*joined.leader, joined.members.len()), (follower.as_str(), 1));
    assert_eq!(bed.heartbeat(&leader, 3), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_not_heard_of_is_out_and_the_others_rebalance() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    bed.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(bed.heartbeat(&leader, 2), Ok(()));
    bed.pass(1);
    assert_eq!(bed.state(), "PreparingRebalance");
    assert_eq!(bed.heartbeat(&follower, 2), Err(ResponseError::UnknownMemberId));
    let joined = bed.join_now(of_member(&leader));
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
}

#[test]
fn the_last_member_that_is_not_heard_of_leaves_an_empty_group() {
    let mut bed = bed();
    let id = bed.stable_of_one();
    bed.pass(i64::from(SESSION_MS));
    assert_eq!((bed.state(), bed.generation()), ("Empty", 2));
    assert_eq!(bed.heartbeat(&id, 2), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_waits_need_not_be_heard_of() {
    let mut bed = bed();
    let leader = bed.stable_of_one();
    let (_, joined) = bed.enters(Joins::default());
    let waits = later(joined);
    for _ in 0..6 {
        bed.pass(i64::from(SESSION_MS) - 1);
        assert_eq!(bed.heartbeat(&leader, 1), Err(ResponseError::RebalanceInProgress));
        assert!(bed.answered.is_empty());
    }
    bed.pass(i64::from(SESSION_MS));
    assert_eq!(bed.join_of(waits).generation_id, 2, "the rebalance time-out is over");
}

#[test]
fn a_newcomer_is_not_waited_for_forever() {
    let mut bed = bed();
    let leader = bed.join_now(Joins { version: 3, session_ms: 1_800_000, rebalance_ms: 600_000, ..Joins::default() });
    bed.sync_now(&leader.member_id, 1, &[]);
    let (_, joined) = bed.enters(Joins::default());
    bed.pass(299_999);
    assert!(bed.answered.is_empty());
    bed.pass(1);
    assert_eq!(bed.join_of(later(joined)).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut bed = bed();
    let leader = bed.stable_of_one();
    let id = bed.join_now(Joins::default()).member_id.to_string();
    let waits = bed.join_later(of_member(&leader));
    bed.pass(i64::from(SESSION_MS) - 1);
    assert!(bed.answered.is_empty(), "who was given an id is waited for");
    bed.pass(1);
    assert_eq!(bed.join_of(waits).members.len(), 1);
    assert_eq!(bed.join_now(of_member(&id)).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let waits = bed.join_later(of_member(&leader));
    bed.join_now(of_member(&follower));
    bed.join_of(waits);
    let waits = bed.sync_later(&follower, 3);
    for _ in 0..8 {
        bed.pass(i64::from(REBALANCE_MS) / 8);
        if bed.state() == "CompletingRebalance" {
            assert_eq!(bed.heartbeat(&leader, 3), Ok(()));
        }
    }
    assert_eq!(bed.sync_of(waits).error_code, ResponseError::RebalanceInProgress.code());
    assert_eq!(bed.heartbeat(&leader, 3), Err(ResponseError::UnknownMemberId));
    assert_eq!(&*bed.join_now(of_member(&follower)).leader, follower.as_str());
}

#[test]
fn who_leaves_is_out_at_once() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    assert_eq!(bed.leave(&[(&leader, None), ("stranger", None)]), [0, ResponseError::UnknownMemberId.code()]);
    assert_eq!(bed.heartbeat(&follower, 2), Err(ResponseError::RebalanceInProgress));
    let joined = bed.join_now(of_member(&follower));
    assert_eq!((joined.generation_id, &*joined.leader), (3, follower.as_str()));
    assert_eq!(bed.leave(&[(&follower, None)]), [0]);
    assert_eq!((bed.state(), bed.generation()), ("Empty", 4));
    let pending = bed.join_now(Joins::default()).member_id.to_string();
    assert_eq!(bed.leave(&[(&pending, None)]), [0]);
    assert_eq!(bed.leave(&[(&pending, None)]), [ResponseError::UnknownMemberId.code()]);
}

#[test]
fn who_leaves_while_it_waits_is_answered() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let waits = bed.join_later(of_member(&leader));
    bed.leave(&[(&leader, None)]);
    assert_eq!(bed.join_of(waits).error_code, ResponseError::UnknownMemberId.code());
    bed.join_now(of_member(&follower));
    let (other, joined) = bed.enters(Joins::default());
    bed.join_now(of_member(&follower));
    assert_eq!(bed.join_of(later(joined)).error_code, 0);
    let waits = bed.sync_later(&other, bed.generation());
    bed.leave(&[(&other, None)]);
    assert_eq!(bed.sync_of(waits).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn a_new_group_waits_for_its_delay_and_for_more_while_members_come() {
    let mut bed = with_initial_delay(3_000);
    let first = bed.join_later(Joins { version: 3, ..Joins::default() });
    bed.pass(2_999);
    let second = bed.join_later(Joins { version: 3, ..Joins::default() });
    bed.pass(1);
    assert!(bed.answered.is_empty(), "a member came, so the delay begins anew");
    bed.pass(2_999);
    assert!(bed.answered.is_empty());
    bed.pass(1);
    let (first, second) = (bed.join_of(first), bed.join_of(second));
    assert_eq!((first.generation_id, first.members.len()), (1, 2));
    assert_eq!(&*second.leader, &*first.member_id);
}

#[test]
fn a_new_group_waits_no_longer_than_the_rebalance_time_out() {
    let mut bed = with_initial_delay(40_000);
    let first = bed.join_later(Joins { version: 3, ..Joins::default() });
    bed.pass(39_999);
    bed.join_later(Joins { version: 3, ..Joins::default() });
    bed.pass(20_000);
    bed.join_later(Joins { version: 3, ..Joins::default() });
    assert!(bed.answered.is_empty());
    bed.pass(1);
    assert_eq!(bed.join_of(first).members.len(), 3);
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut bed = bed();
    let (a, b) = stable_of_two_static(&mut bed);
    let back = bed.join_now(of_instance("b"));
    let new_b = back.member_id.to_string();
    assert!(new_b.starts_with("b-") && new_b != b);
    assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (0, 2, false));
    assert_eq!((&*back.leader, back.members.len()), (a.as_str(), 0));
    assert_eq!(bed.state(), "Stable");
    assert_eq!(bed.sync_now(&new_b, 2, &[]).assignment, "rest");
    assert_eq!(bed.heartbeat_as(&b, Some("b"), 2), Err(ResponseError::FencedInstanceId));
    assert_eq!(bed.heartbeat_as(&b, None, 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(bed.heartbeat_as(&new_b, Some("b"), 2), Ok(()));
    assert_eq!(bed.heartbeat_as(&new_b, Some("stranger"), 2), Err(ResponseError::UnknownMemberId));
    let fenced = bed.join_now(Joins { member: &b, ..of_instance("b") });
    assert_eq!((fenced.error_code, fenced.protocol_name), (ResponseError::FencedInstanceId.code(), None));
}

#[test]
fn a_static_member_that_comes_back_and_falls_silent_is_out_after_its_session() {
    let mut bed = bed();
    let a = bed.join_now(of_instance("a")).member_id;
    bed.sync_now(&a, 1, &[]);
    bed.pass(i64::from(SESSION_MS) - 1);
    bed.join_now(of_instance("a"));
    bed.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(bed.state(), "Stable");
    bed.pass(1);
    assert_eq!(bed.state(), "Empty");
}

#[test]
fn a_static_leader_that_comes_back_is_told_to_keep_the_assignment() {
    let mut bed = bed();
    let (a, _) = stable_of_two_static(&mut bed);
    let back = bed.join_now(of_instance("a"));
    assert!(back.skip_assignment);
    assert_eq!((&*back.leader, back.members.len()), (&*back.member_id, 2));
    assert_eq!(bed.sync_now(&back.member_id, 2, &[]).assignment, "half");
    let again = bed.join_now(Joins { version: 8, ..of_instance("a") });
    assert!(!again.skip_assignment);
    assert_eq!(&*again.leader, &*back.member_id, "an older client must not learn that it leads");
    assert_ne!(&*again.leader, a.as_str());
    assert!(again.members.is_empty());
}

#[test]
fn a_static_member_that_comes_back_with_another_protocol_begins_a_rebalance() {
    let mut bed = bed();
    let both = |first, second| vec![(first, subscription(&["orders"])), (second, subscription(&["orders"]))];
    let a = bed.join_now(Joins { protocols: both("range", "sticky"), ..of_instance("a") }).member_id;
    bed.sync_now(&a, 1, &[(&a, "all")]);
    let waits = bed.join(Joins { protocols: both("sticky", "range"), ..of_instance("a") });
    let joined = now(waits);
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_static_member_that_comes_back_while_its_predecessor_waits_fences_it() {
    let mut bed = bed();
    let (a, b) = stable_of_two_static(&mut bed);
    let waits = bed.join_later(Joins { member: &a, ..of_instance("a") });
    let back = bed.join_later(of_instance("a"));
    let fenced = bed.join_of(waits);
    assert_eq!((fenced.error_code, &*fenced.member_id), (ResponseError::FencedInstanceId.code(), a.as_str()));
    bed.join_now(Joins { member: &b, ..of_instance("b") });
    let joined = bed.join_of(back);
    assert_eq!((joined.generation_id, &*joined.leader), (3, &*joined.member_id), "it leads in place of the old one");
    let waits = bed.sync_later(&b, 3);
    bed.join_later(of_instance("b"));
    let fenced = bed.sync_of(waits);
    assert_eq!(fenced.error_code, ResponseError::FencedInstanceId.code());
    assert_eq!(bed.state(), "PreparingRebalance", "the leader may have assigned to the old id");
}

#[test]
fn a_static_member_is_kept_in_a_rebalance_until_its_session_ends() {
    let mut bed = bed();
    let (a, _) = stable_of_two_static(&mut bed);
    let joins = || Joins { session_ms: 1_800_000, ..of_instance("b") };
    let b = bed.join_now(joins()).member_id;
    assert_eq!(bed.heartbeat_as(&b, Some("b"), 2), Ok(()), "the new session begins with the first heartbeat");
    let waits = bed.join_later(Joins { member: &a, ..of_instance("a") });
    bed.pass(i64::from(REBALANCE_MS));
    let joined = bed.join_of(waits);
    assert_eq!((joined.generation_id, joined.members.len()), (3, 2));
    assert!(bed.groups.by_id[GROUP].members.contains_key(b.as_str()));
}

#[test]
fn a_group_of_static_members_that_are_away_waits_for_their_sessions() {
    let mut bed = bed();
    let a = bed.join_now(Joins { session_ms: 300_000, ..of_instance("a") }).member_id;
    bed.sync_now(&a, 1, &[]);
    let (b, joined) = bed.enters(Joins::default());
    later(joined);
    bed.leave(&[(&b, None)]);
    bed.pass(i64::from(REBALANCE_MS));
    assert_eq!((bed.state(), bed.generation()), ("PreparingRebalance", 1));
    bed.pass(300_000);
    assert_eq!((bed.state(), bed.generation()), ("Empty", 2));
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let mut bed = bed();
    let (a, b) = stable_of_two_static(&mut bed);
    let unknown = ResponseError::UnknownMemberId.code();
    let fenced = ResponseError::FencedInstanceId.code();
    assert_eq!(bed.leave(&[("", Some("stranger")), ("", None), (&a, Some("b"))]), [unknown, unknown, fenced]);
    assert_eq!(bed.state(), "Stable");
    assert_eq!(bed.leave(&[("", Some("b"))]), [0]);
    assert_eq!(bed.heartbeat_as(&b, Some("b"), 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(bed.state(), "PreparingRebalance");
}

#[test]
fn a_pending_member_cannot_turn_static() {
    let mut bed = bed();
    let id = bed.join_now(Joins::default()).member_id;
    let answer = bed.join_now(Joins { member: &id, ..of_instance("a") });
    assert_eq!(answer.error_code, ResponseError::UnknownServerError.code());
}

#[test]
fn a_journal_that_cannot_be_written_refuses_a_new_group() {
    let mut bed = bed();
    bed.around.broken = true;
    assert_eq!(bed.join_now(Joins::default()).error_code, ResponseError::NotCoordinator.code());
    assert_eq!(bed.state(), "Dead");
    assert_eq!(bed.groups.next_deadline(), None);
}

#[test]
fn an_assignment_that_cannot_be_written_is_not_handed_out() {
    let mut bed = bed();
    let (leader, follower) = bed.stable_of_two();
    let leads = bed.join_later(of_member(&leader));
    bed.join_now(of_member(&follower));
    bed.join_of(leads);
    let waits = bed.sync_later(&follower, 3);
    bed.around.broken = true;
    let refused = bed.sync_now(&leader, 3, &[(&follower, "all")]);
    assert_eq!(refused.error_code, ResponseError::NotCoordinator.code());
    assert_eq!(bed.sync_of(waits).error_code, ResponseError::NotCoordinator.code());
    assert_eq!(bed.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_whose_new_id_cannot_be_written_stays_who_it_was() {
    let mut bed = bed();
    let (_, b) = stable_of_two_static(&mut bed);
    bed.around.broken = true;
    let refused = bed.join_now(of_instance("b"));
    assert_eq!((refused.error_code, &*refused.member_id), (ResponseError::NotCoordinator.code(), ""));
    assert_eq!(bed.heartbeat_as(&b, Some("b"), 2), Ok(()));
    assert_eq!(bed.state(), "Stable");
}
