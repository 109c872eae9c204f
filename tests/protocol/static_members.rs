//! Cases of static members (KIP-345).

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{JoinGroupRequest, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::membership::{self, Member};
use super::offsets;
use super::requests::text;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("static_members_join_in_one_request", joins),
    ("static_leaders_rejoin_without_rebalance", leader_rejoins),
    ("static_followers_rejoin_without_rebalance", follower_rejoins),
    ("rejoining_fences_the_old_static_member", fenced),
    ("static_members_leave_by_instance_id", leaves),
    ("a_changed_static_member_starts_a_rebalance", rejoins_changed),
];

fn join(group: &StrBytes, member: &StrBytes, instance: &str) -> JoinGroupRequest {
    membership::join(group, member).with_group_instance_id(Some(text(instance)))
}

fn stable(recorder: &mut Recorder, group: &StrBytes, instance: &str) -> Member {
    membership::alone_by(recorder, join(group, &text(""), instance))
}

fn joins(recorder: &mut Recorder) {
    for version in [5, 6, 9] {
        let group = recorder.name(&format!("group{version}"));
        let response = recorder.record(version, &join(&group, &text(""), "a"));
        let member = Member::of(&group, &response).with_instance("a");
        recorder.record(3, &member.sync(&[(&member, "all")]));
        recorder.record(3, &member.heartbeat());
        recorder.record(5, &membership::describe(&group));
    }
    recorder.note("with a member id that the group does not know");
    let group = recorder.name("group");
    recorder.record(5, &join(&group, &text("no-member"), "a"));
    stable(recorder, &group, "a");
    recorder.record(5, &join(&group, &text("no-member"), "a"));
    recorder.record(5, &join(&group, &text("no-member"), "b"));
}

fn leader_rejoins(recorder: &mut Recorder) {
    for version in [5, 7, 9] {
        recorder.note(&format!("at version {version}"));
        let group = recorder.name(&format!("group{version}"));
        let before = stable(recorder, &group, "a");
        let response = recorder.record(version, &join(&group, &text(""), "a"));
        assert_ne!(response.member_id, before.id, "another member id");
        let after = Member::of(&group, &response).with_instance("a");
        recorder.record(3, &after.sync(&[]));
        recorder.record(3, &after.heartbeat());
    }
}

/// A stable group of a static leader and a static follower.
fn pair(recorder: &mut Recorder, group: &StrBytes) -> (Member, Member) {
    let first = stable(recorder, group, "a");
    let mut client = recorder.connect();
    client.send(5, &join(group, &text(""), "b"));
    recorder.request_until(3, &first.heartbeat(), |response| response.error_code != 0);
    let first = Member::of(group, &recorder.request(5, &join(group, &first.id, "a"))).with_instance("a");
    let second = client.receive::<JoinGroupRequest>(5).expect("a response");
    let second = Member::of(group, &second).with_instance("b");
    recorder.request(3, &first.sync(&[(&first, "one"), (&second, "two")]));
    recorder.request(3, &second.sync(&[]));
    (first, second)
}

fn follower_rejoins(recorder: &mut Recorder) {
    for version in [5, 9] {
        recorder.note(&format!("at version {version}"));
        let group = recorder.name(&format!("group{version}"));
        let (first, _) = pair(recorder, &group);
        let response = recorder.record(version, &join(&group, &text(""), "b"));
        let second = Member::of(&group, &response).with_instance("b");
        recorder.record(3, &second.sync(&[]));
        recorder.record(3, &first.heartbeat());
        recorder.record(3, &second.heartbeat());
    }
}

fn fenced(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    let before = stable(recorder, &group, "a");
    let response = recorder.record(5, &join(&group, &text(""), "a"));
    let after = Member::of(&group, &response).with_instance("a");
    recorder.note("the instance's former member");
    recorder.record(3, &before.heartbeat());
    recorder.record(4, &before.heartbeat());
    recorder.record(3, &before.sync(&[]));
    recorder.record(5, &join(&group, &before.id, "a"));
    recorder.record(7, &offsets::commit_as(7, &before, &target.name, &[(0, 1)]));
    recorder.record(9, &offsets::commit_as(9, &before, &target.name, &[(0, 1)]));
    recorder.record(3, &before.leave_in(3));
    recorder.note("its member id without the instance");
    let nameless = Member { instance: None, ..before };
    recorder.record(3, &nameless.heartbeat());
    recorder.record(5, &membership::join(&group, &nameless.id));
    recorder.note("an instance that is not in the group");
    recorder.record(3, &after.clone().with_instance("b").heartbeat());
    recorder.note("the instance's member id without the instance");
    recorder.record(3, &Member { instance: None, ..after.clone() }.heartbeat());
    recorder.note("the instance itself");
    recorder.record(3, &after.heartbeat());
    recorder.record(7, &offsets::commit_as(7, &after, &target.name, &[(0, 1)]));
}

fn leaves(recorder: &mut Recorder) {
    for version in [3, 5] {
        let group = recorder.name(&format!("group{version}"));
        let (first, _) = pair(recorder, &group);
        let instance = |name: &str, member: &str| {
            MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(Some(text(name)))
        };
        let leave = |members| LeaveGroupRequest::default().with_group_id(group.clone().into()).with_members(members);
        recorder.note("by the instance id, with a wrong member id, and one that is not in the group");
        recorder.record(version, &leave(vec![instance("b", "no-member")]));
        recorder.record(version, &leave(vec![instance("c", "")]));
        recorder.record(version, &leave(vec![instance("b", "")]));
        recorder.record_until(3, &first.heartbeat(), |response| response.error_code != 0);
        recorder.note("again");
        recorder.record(version, &leave(vec![instance("b", "")]));
        recorder.note("the last");
        recorder.record(version, &leave(vec![instance("a", "")]));
        recorder.record(5, &membership::describe(&group));
    }
}

fn rejoins_changed(recorder: &mut Recorder) {
    let group = recorder.name("group");
    stable(recorder, &group, "a");
    let mut request = join(&group, &text(""), "a");
    request.protocols[0].metadata = membership::subscription(&[], "changed");
    recorder.note("other metadata of the leader alone");
    recorder.record(9, &request);
    let group = recorder.name("another");
    stable(recorder, &group, "a");
    recorder.note("another protocol of the leader alone");
    let request = membership::join_with(&group, &text(""), &["sticky"]).with_group_instance_id(Some(text("a")));
    recorder.record(9, &request);
}
