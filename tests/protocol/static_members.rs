//! Owns the cases about static members: instance ids that outlive member ids (KIP-345).

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{JoinGroupRequest, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::membership::{self, Member};
use super::offsets;
use super::requests::text;

pub const CASES: &[Case] = &[
    ("a_static_member_joins_without_a_second_round", joins),
    ("a_static_leader_comes_back_without_a_rebalance", leader_comes_back),
    ("a_static_follower_comes_back_without_a_rebalance", follower_comes_back),
    ("the_former_member_of_an_instance_is_fenced", fenced),
    ("a_static_member_leaves_by_its_instance_id", leaves),
    ("a_static_member_with_another_protocol_rebalances", comes_back_changed),
];

fn join(group: &StrBytes, member: &StrBytes, instance: &str) -> JoinGroupRequest {
    membership::join(group, member).with_group_instance_id(Some(text(instance)))
}

fn stable(lab: &mut Lab, group: &StrBytes, instance: &str) -> Member {
    membership::alone_by(lab, join(group, &text(""), instance))
}

fn joins(lab: &mut Lab) {
    for version in [5, 6, 9] {
        let group = lab.name(&format!("group{version}"));
        let answer = lab.ask(version, &join(&group, &text(""), "a"));
        let member = Member::of(&group, &answer).under_instance("a");
        lab.ask(3, &member.sync(&[(&member, "all")]));
        lab.ask(3, &member.heartbeat());
        lab.ask(5, &membership::describe(&group));
    }
    lab.note("with a member id that the group does not know");
    let group = lab.name("group");
    lab.ask(5, &join(&group, &text("no-member"), "a"));
    stable(lab, &group, "a");
    lab.ask(5, &join(&group, &text("no-member"), "a"));
    lab.ask(5, &join(&group, &text("no-member"), "b"));
}

fn leader_comes_back(lab: &mut Lab) {
    for version in [5, 7, 9] {
        lab.note(&format!("at version {version}"));
        let group = lab.name(&format!("group{version}"));
        let before = stable(lab, &group, "a");
        let answer = lab.ask(version, &join(&group, &text(""), "a"));
        assert_ne!(answer.member_id, before.id, "another member id");
        let after = Member::of(&group, &answer).under_instance("a");
        lab.ask(3, &after.sync(&[]));
        lab.ask(3, &after.heartbeat());
    }
}

/// A static leader and a static follower, stable; and the follower's name.
fn pair(lab: &mut Lab, group: &StrBytes) -> (Member, Member) {
    let first = stable(lab, group, "a");
    let mut client = lab.connect();
    client.send(5, &join(group, &text(""), "b"));
    lab.put_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    let first = Member::of(group, &lab.put(5, &join(group, &first.id, "a"))).under_instance("a");
    let second = client.receive::<JoinGroupRequest>(5).expect("an answer");
    let second = Member::of(group, &second).under_instance("b");
    lab.put(3, &first.sync(&[(&first, "one"), (&second, "two")]));
    lab.put(3, &second.sync(&[]));
    (first, second)
}

fn follower_comes_back(lab: &mut Lab) {
    for version in [5, 9] {
        lab.note(&format!("at version {version}"));
        let group = lab.name(&format!("group{version}"));
        let (first, _) = pair(lab, &group);
        let answer = lab.ask(version, &join(&group, &text(""), "b"));
        let second = Member::of(&group, &answer).under_instance("b");
        lab.ask(3, &second.sync(&[]));
        lab.ask(3, &first.heartbeat());
        lab.ask(3, &second.heartbeat());
    }
}

fn fenced(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    let before = stable(lab, &group, "a");
    let answer = lab.ask(5, &join(&group, &text(""), "a"));
    let after = Member::of(&group, &answer).under_instance("a");
    lab.note("whoever was the instance before");
    lab.ask(3, &before.heartbeat());
    lab.ask(4, &before.heartbeat());
    lab.ask(3, &before.sync(&[]));
    lab.ask(5, &join(&group, &before.id, "a"));
    lab.ask(7, &offsets::commit_as(7, &before, &target.name, &[(0, 1)]));
    lab.ask(9, &offsets::commit_as(9, &before, &target.name, &[(0, 1)]));
    lab.ask(3, &before.leave_in(3));
    lab.note("its member id without the instance");
    let nameless = Member { instance: None, ..before };
    lab.ask(3, &nameless.heartbeat());
    lab.ask(5, &membership::join(&group, &nameless.id));
    lab.note("an instance that is not in the group");
    lab.ask(3, &after.clone().under_instance("b").heartbeat());
    lab.note("the instance's member id without the instance");
    lab.ask(3, &Member { instance: None, ..after.clone() }.heartbeat());
    lab.note("the instance itself");
    lab.ask(3, &after.heartbeat());
    lab.ask(7, &offsets::commit_as(7, &after, &target.name, &[(0, 1)]));
}

fn leaves(lab: &mut Lab) {
    for version in [3, 5] {
        let group = lab.name(&format!("group{version}"));
        let (first, _) = pair(lab, &group);
        let instance = |name: &str, member: &str| {
            MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(Some(text(name)))
        };
        let leave = |members| LeaveGroupRequest::default().with_group_id(group.clone().into()).with_members(members);
        lab.note("by the instance id, with a wrong member id, and one that is not in the group");
        lab.ask(version, &leave(vec![instance("b", "no-member")]));
        lab.ask(version, &leave(vec![instance("c", "")]));
        lab.ask(version, &leave(vec![instance("b", "")]));
        lab.ask_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
        lab.note("again");
        lab.ask(version, &leave(vec![instance("b", "")]));
        lab.note("the last");
        lab.ask(version, &leave(vec![instance("a", "")]));
        lab.ask(5, &membership::describe(&group));
    }
}

fn comes_back_changed(lab: &mut Lab) {
    let group = lab.name("group");
    stable(lab, &group, "a");
    let mut request = join(&group, &text(""), "a");
    request.protocols[0].metadata = membership::subscription(&[], "changed");
    lab.note("other metadata of the leader alone");
    lab.ask(9, &request);
    let group = lab.name("another");
    stable(lab, &group, "a");
    lab.note("another protocol of the leader alone");
    let request = membership::join_with(&group, &text(""), &["sticky"]).with_group_instance_id(Some(text("a")));
    lab.ask(9, &request);
}
