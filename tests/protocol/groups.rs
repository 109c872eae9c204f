//! Owns the cases about the classic group protocol: joining, rebalancing, staying and leaving.

use kafka_protocol::messages::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::membership::{self, Joined, Member};
use super::requests::text;

pub const CASES: &[Case] = &[
    ("a_first_member_joins_at_every_version", first_member),
    ("two_members_share_a_generation", two_members),
    ("a_new_member_rebalances_the_others", rebalance),
    ("a_member_that_misses_a_rebalance_is_removed", missed),
    ("a_silent_member_is_removed", silent),
    ("members_that_leave_are_missed_by_the_rest", leaving),
    ("generations_and_members_are_checked", checks),
    ("join_group_refuses_what_cannot_be", refused_joins),
    ("the_group_chooses_a_protocol_that_all_know", choice),
    ("a_member_that_joins_again_unchanged_stays", joins_again),
    ("sync_group_waits_for_the_leader", sync),
    ("a_member_that_joins_before_the_sync_begins_a_new_rebalance", joins_before_sync),
    ("a_member_that_leaves_ends_the_wait_for_it", leaves_the_wait),
    ("a_leader_that_leaves_is_followed_by_another", leader_leaves),
    ("a_group_that_emptied_goes_on_with_its_generation", emptied),
];

fn first_member(lab: &mut Lab) {
    for version in 0..=9 {
        let group = lab.name(&format!("group{version}"));
        let mut request = membership::join(&group, &text(""));
        if version == 0 {
            request.rebalance_timeout_ms = -1;
        }
        let mut answer = lab.ask(version, &request);
        if version >= 4 {
            answer = lab.ask(version, &request.with_member_id(answer.member_id));
        }
        let member = Member::of(&group, &answer);
        // The other calls of the clients that join at this version.
        let (sync, heartbeat, leave) = match version {
            0..3 => (0, 0, 0),
            3..5 => (1, 1, 1),
            5 => (3, 3, 1),
            6 => (4, 4, 4),
            _ => (5, 4, 5),
        };
        lab.ask(sync, &member.sync_in(sync, &[(&member, "all")]));
        lab.ask(heartbeat, &member.heartbeat());
        lab.ask(leave, &member.leave_in(leave));
        lab.ask(heartbeat, &member.heartbeat());
    }
}

fn two_members(lab: &mut Lab) {
    for version in [2, 5, 9] {
        lab.note(&format!("members that join at version {version}"));
        let group = lab.name(&format!("group{version}"));
        let (mut first, mut second) = membership::pair(lab, version, &group);
        second.client.send(3, &second.member.sync(&[]));
        let assignments = [(&first.member, "one"), (&second.member, "two")];
        first.client.send(3, &first.member.sync(&assignments));
        first.tell::<SyncGroupRequest>(lab, 3);
        second.tell::<SyncGroupRequest>(lab, 3);
        for joined in [&mut first, &mut second] {
            joined.client.send(3, &joined.member.heartbeat());
            joined.tell::<HeartbeatRequest>(lab, 3);
        }
    }
}

fn rebalance(lab: &mut Lab) {
    let group = lab.name("group");
    let first = membership::alone(lab, &group);
    let mut second = Joined::connect(lab, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    lab.note("the first is told to join again, and until then it may do everything else");
    lab.ask_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    lab.ask(3, &first.sync(&[(&first, "all")]));
    lab.ask(3, &first.heartbeat());
    lab.note("both are in the next generation");
    let answer = lab.ask(5, &membership::join(&group, &first.id));
    second.join_answer(lab, 5);
    let again = Member::of(&group, &answer);
    lab.note("which is not synced");
    lab.ask(3, &again.heartbeat());
    lab.ask(3, &first.heartbeat());
    lab.ask(3, &first.sync(&[]));
    lab.note("and then is");
    lab.ask(3, &again.sync(&[(&again, "one"), (&second.member, "two")]));
    second.client.send(3, &second.member.sync(&[]));
    second.tell::<SyncGroupRequest>(lab, 3);
    lab.ask(3, &again.heartbeat());
}

fn missed(lab: &mut Lab) {
    let group = lab.name("group");
    let mut first = Joined::connect(lab, 5, &group);
    let request = membership::join(&group, &first.member.id).with_rebalance_timeout_ms(3_000);
    first.client.send(5, &request);
    first.join_answer(lab, 5);
    let all = [(&first.member, "all")];
    lab.ask(3, &first.member.sync(&all));
    let mut second = Joined::connect(lab, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id).with_rebalance_timeout_ms(3_000));
    lab.note("the second waits for the first, in vain");
    second.join_answer(lab, 5);
    lab.ask(3, &second.member.sync(&[(&second.member, "all")]));
    lab.ask(3, &first.member.heartbeat());
    lab.ask(3, &second.member.heartbeat());
}

fn silent(lab: &mut Lab) {
    let group = lab.name("group");
    let mut first = Joined::connect(lab, 5, &group);
    first.client.send(5, &membership::join(&group, &first.member.id).with_session_timeout_ms(6000));
    first.join_answer(lab, 5);
    lab.put(3, &first.member.sync(&[(&first.member, "all")]));
    lab.note("without a heartbeat for the session time-out");
    lab.ask_until(5, &membership::describe(&group), |answer| &*answer.groups[0].group_state == "Empty");
    lab.ask(3, &first.member.heartbeat());
    lab.ask(5, &membership::join(&group, &first.member.id));
}

fn leaving(lab: &mut Lab) {
    for version in [1, 3, 5] {
        lab.note(&format!("a member leaves at version {version}"));
        let group = lab.name(&format!("group{version}"));
        let (first, second) = membership::synced_pair(lab, &group);
        lab.ask(version, &second.leave_in(version));
        lab.ask_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
        let answer = lab.ask(5, &membership::join(&group, &first.id));
        let first = Member::of(&group, &answer);
        lab.ask(3, &first.sync(&[(&first, "all")]));
        lab.ask(3, &second.heartbeat());
        lab.ask(version, &second.leave_in(version));
    }
    lab.note("two members leave in one request, beside one that does not exist");
    let group = lab.name("both");
    let (first, second) = membership::synced_pair(lab, &group);
    let mut request = first.leave_in(4);
    request.members.extend(second.leave_in(4).members);
    let mut stranger = second.leave_in(4).members.remove(0);
    stranger.member_id = text("no-member");
    request.members.push(stranger);
    lab.ask(4, &request);
    lab.ask(5, &membership::describe(&group));
    lab.note("nobody leaves, and somebody leaves a group that does not exist");
    lab.ask(4, &LeaveGroupRequest::default().with_group_id(group.clone().into()));
    let stranger = Member { group: lab.name("unknown"), id: text("no-member"), generation: 1, instance: None };
    for version in [0, 1, 3, 5] {
        lab.ask(version, &stranger.leave_in(version));
    }
}

fn checks(lab: &mut Lab) {
    let group = lab.name("group");
    let member = membership::alone(lab, &group);
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    let nobody = text("no-member");
    for version in [0, 3, 4] {
        for generation in [0, 1, 2, -1] {
            lab.note(&format!("generation {generation}"));
            lab.ask(version, &of(generation, &member.id).heartbeat());
        }
        lab.note("an unknown member, and none");
        lab.ask(version, &of(1, &nobody).heartbeat());
        lab.ask(version, &of(1, &text("")).heartbeat());
    }
    for version in [1, 3, 5] {
        for generation in [0, 2, -1] {
            lab.note(&format!("generation {generation}"));
            lab.ask(version, &of(generation, &member.id).sync_in(version, &[]));
        }
        lab.note("an unknown member, and none");
        lab.ask(version, &of(1, &nobody).sync_in(version, &[]));
        lab.ask(version, &of(1, &text("")).sync_in(version, &[]));
    }
    lab.note("an unknown member joins");
    lab.ask(3, &membership::join(&group, &nobody));
    lab.ask(9, &membership::join(&group, &nobody));
    lab.note("a group that does not exist");
    let stranger = Member { group: lab.name("unknown"), ..member.clone() };
    lab.ask(3, &stranger.heartbeat());
    lab.ask(3, &stranger.sync(&[]));
    lab.ask(5, &membership::join(&stranger.group, &nobody));
    lab.note("a group without a name");
    let nameless = Member { group: text(""), ..member };
    lab.ask(3, &nameless.heartbeat());
    lab.ask(3, &nameless.sync(&[]));
    lab.ask(1, &nameless.leave_in(1));
    lab.ask(4, &nameless.leave_in(4));
}

fn refused_joins(lab: &mut Lab) {
    let group = lab.name("group");
    let join = |change: &dyn Fn(JoinGroupRequest) -> JoinGroupRequest| change(membership::join(&group, &text("")));
    for version in [2, 5, 9] {
        for (what, request) in [
            ("no group", join(&|join| join.with_group_id(text("").into()))),
            ("a session time-out too small", join(&|join| join.with_session_timeout_ms(5999))),
            ("a session time-out too large", join(&|join| join.with_session_timeout_ms(1_800_001))),
            ("no protocols", join(&|join| join.with_protocols(Vec::new()))),
            ("no protocol type", join(&|join| join.with_protocol_type(text("")))),
        ] {
            lab.note(what);
            lab.ask(version, &request);
        }
    }
    lab.note("in a group with a member: another type, another protocol");
    membership::alone(lab, &group);
    for version in [2, 9] {
        lab.ask(version, &join(&|join| join.with_protocol_type(text("connect"))));
        lab.ask(version, &membership::join_with(&group, &text(""), &["sticky"]));
    }
}

fn choice(lab: &mut Lab) {
    for (note, theirs) in [
        ("one that both know", &["roundrobin"][..]),
        ("the one that both like best of those that both know", &["other", "sticky", "roundrobin"]),
    ] {
        lab.note(note);
        let group = lab.name(theirs[0]);
        let first = membership::alone_with(lab, &group, &["range", "sticky", "roundrobin"]);
        let mut second = Joined::connect(lab, 5, &group);
        second.client.send(5, &membership::join_with(&group, &second.member.id, theirs));
        lab.put_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
        lab.ask(5, &membership::join_with(&group, &first.id, &["range", "sticky", "roundrobin"]));
        second.join_answer(lab, 5);
    }
}

fn joins_again(lab: &mut Lab) {
    let group = lab.name("group");
    let (first, second) = membership::synced_pair(lab, &group);
    lab.note("a follower in a stable group gets its generation back");
    for version in [2, 5, 9] {
        lab.ask(version, &membership::join(&group, &second.id));
    }
    lab.ask(3, &second.sync(&[]));
    lab.ask(3, &second.heartbeat());
    lab.ask(3, &first.heartbeat());
    lab.note("a follower with other metadata rebalances");
    let mut changed = membership::join(&group, &second.id);
    changed.protocols[0].metadata = membership::subscription(&[], "changed");
    let mut client = lab.connect();
    client.send(5, &changed);
    lab.ask_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    lab.ask(5, &membership::join(&group, &first.id));
    let answer = client.receive::<JoinGroupRequest>(5).expect("an answer");
    lab.tell_answer::<JoinGroupRequest>(5, &answer);
    lab.note("a leader rebalances in any case");
    let alone = lab.name("alone");
    let leader = membership::alone(lab, &alone);
    let answer = lab.ask(5, &membership::join(&alone, &leader.id));
    lab.note("a member that joins again before the sync is answered the same");
    lab.ask(5, &membership::join(&alone, &leader.id));
    lab.ask(3, &Member::of(&alone, &answer).sync(&[]));
}

fn sync(lab: &mut Lab) {
    let group = lab.name("group");
    let (first, mut second) = membership::pair(lab, 5, &group);
    second.client.send(3, &second.member.sync(&[]));
    lab.note("only the leader's assignments count, and who is left out gets none");
    let answer = lab.ask(3, &first.member.sync(&[(&first.member, "one"), (&second.member, "two")]));
    assert_eq!(&answer.assignment[..], b"one");
    second.tell::<SyncGroupRequest>(lab, 3);
    lab.note("again");
    lab.ask(3, &second.member.sync(&[(&second.member, "stolen")]));
    lab.ask(3, &first.member.sync(&[(&first.member, "changed")]));
    lab.note("with names of type and protocol");
    let member = &first.member;
    lab.ask(5, &member.sync_in(5, &[]));
    lab.ask(5, &member.sync_in(5, &[]).with_protocol_name(Some(text("other"))));
    lab.ask(5, &member.sync_in(5, &[]).with_protocol_type(Some(text("other"))));
    lab.ask(5, &member.sync_in(5, &[]).with_protocol_name(None).with_protocol_type(None));
    lab.note("an assignment for one of two");
    let group = lab.name("half");
    let (first, mut second) = membership::pair(lab, 5, &group);
    lab.ask(3, &first.member.sync(&[(&first.member, "one")]));
    second.client.send(3, &second.member.sync(&[]));
    second.tell::<SyncGroupRequest>(lab, 3);
}

fn joins_before_sync(lab: &mut Lab) {
    let group = lab.name("group");
    let (first, mut second) = membership::pair(lab, 5, &group);
    second.client.send(3, &second.member.sync(&[]));
    let mut third = Joined::connect(lab, 5, &group);
    third.client.send(5, &membership::join(&group, &third.member.id));
    lab.note("who waits for the leader's sync, and the leader, are told to join again");
    second.tell::<SyncGroupRequest>(lab, 3);
    lab.ask(3, &first.member.sync(&[(&first.member, "one")]));
    lab.ask(3, &first.member.heartbeat());
    second.client.send(5, &membership::join(&group, &second.member.id));
    lab.ask(5, &membership::join(&group, &first.member.id));
    second.join_answer(lab, 5);
    third.join_answer(lab, 5);
}

fn leaves_the_wait(lab: &mut Lab) {
    let group = lab.name("group");
    let (first, second) = membership::synced_pair(lab, &group);
    let mut third = Joined::connect(lab, 5, &group);
    third.client.send(5, &membership::join(&group, &third.member.id));
    lab.put_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    let mut waiting = lab.connect();
    waiting.send(5, &membership::join(&group, &first.id));
    lab.note("the first and the third wait for the second, which leaves");
    lab.ask(1, &second.leave_in(1));
    let answer = waiting.receive::<JoinGroupRequest>(5).expect("an answer");
    lab.tell_answer::<JoinGroupRequest>(5, &answer);
    third.join_answer(lab, 5);
    lab.note("a member that waits for the sync leaves");
    let first = Member::of(&group, &answer);
    third.client.send(3, &third.member.sync(&[]));
    lab.ask(1, &first.leave_in(1));
    third.tell::<SyncGroupRequest>(lab, 3);
    lab.ask(5, &membership::join(&group, &third.member.id));
}

fn leader_leaves(lab: &mut Lab) {
    let group = lab.name("group");
    let (first, second) = membership::synced_pair(lab, &group);
    lab.ask(1, &first.leave_in(1));
    lab.ask_until(3, &second.heartbeat(), |answer| answer.error_code != 0);
    let answer = lab.ask(5, &membership::join(&group, &second.id));
    let second = Member::of(&group, &answer);
    lab.ask(3, &second.sync(&[(&second, "all")]));
    lab.ask(3, &second.heartbeat());
}

fn emptied(lab: &mut Lab) {
    let group = lab.name("group");
    for _ in 0..2 {
        let member = membership::alone(lab, &group);
        lab.note(&format!("generation {}", member.generation));
        lab.ask(1, &member.leave_in(1));
        lab.ask(5, &membership::describe(&group));
    }
    lab.note("another type of protocol may have it now");
    lab.ask(2, &membership::join(&group, &text("")).with_protocol_type(text("connect")));
}
