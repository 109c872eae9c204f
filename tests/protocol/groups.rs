//! Cases of the classic group protocol: join, sync, heartbeat, rebalance and leave.

use kafka_protocol::messages::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::membership::{self, Joined, Member};
use super::requests::text;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("first_member_at_every_version", first_member),
    ("two_members_share_a_generation", two_members),
    ("a_new_member_starts_a_rebalance", rebalance),
    ("missing_a_rebalance_removes_a_member", missed),
    ("session_timeouts_remove_members", silent),
    ("leaving_members_start_a_rebalance", leaving),
    ("checks_generations_and_members", checks),
    ("join_group_refuses_invalid_requests", refused_joins),
    ("chooses_a_common_protocol", choice),
    ("rejoining_unchanged_keeps_the_generation", joins_again),
    ("sync_group_waits_for_the_leader", sync),
    ("joining_before_the_sync_starts_a_rebalance", joins_before_sync),
    ("leaving_ends_the_wait_for_a_member", leaves_the_wait),
    ("a_new_leader_follows_one_that_leaves", leader_leaves),
    ("empty_groups_keep_their_generation", emptied),
];

fn first_member(recorder: &mut Recorder) {
    for version in 0..=9 {
        let group = recorder.name(&format!("group{version}"));
        let mut request = membership::join(&group, &text(""));
        if version == 0 {
            request.rebalance_timeout_ms = -1;
        }
        let mut response = recorder.record(version, &request);
        if version >= 4 {
            response = recorder.record(version, &request.with_member_id(response.member_id));
        }
        let member = Member::of(&group, &response);
        // The versions of the other APIs of clients that join at this version.
        let (sync, heartbeat, leave) = match version {
            0..3 => (0, 0, 0),
            3..5 => (1, 1, 1),
            5 => (3, 3, 1),
            6 => (4, 4, 4),
            _ => (5, 4, 5),
        };
        recorder.record(sync, &member.sync_in(sync, &[(&member, "all")]));
        recorder.record(heartbeat, &member.heartbeat());
        recorder.record(leave, &member.leave_in(leave));
        recorder.record(heartbeat, &member.heartbeat());
    }
}

fn two_members(recorder: &mut Recorder) {
    for version in [2, 5, 9] {
        recorder.note(&format!("members that join at version {version}"));
        let group = recorder.name(&format!("group{version}"));
        let (mut first, mut second) = membership::pair(recorder, version, &group);
        second.client.send(3, &second.member.sync(&[]));
        let assignments = [(&first.member, "one"), (&second.member, "two")];
        first.client.send(3, &first.member.sync(&assignments));
        first.record::<SyncGroupRequest>(recorder, 3);
        second.record::<SyncGroupRequest>(recorder, 3);
        for joined in [&mut first, &mut second] {
            joined.client.send(3, &joined.member.heartbeat());
            joined.record::<HeartbeatRequest>(recorder, 3);
        }
    }
}

fn rebalance(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let first = membership::alone(recorder, &group);
    let mut second = Joined::connect(recorder, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    recorder.note("the first must join again, and until then it may do everything else");
    recorder.record_until(3, &first.heartbeat(), |response| response.error_code != 0);
    recorder.record(3, &first.sync(&[(&first, "all")]));
    recorder.record(3, &first.heartbeat());
    recorder.note("both are in the next generation");
    let response = recorder.record(5, &membership::join(&group, &first.id));
    second.record_join(recorder, 5);
    let again = Member::of(&group, &response);
    recorder.note("which is not synced");
    recorder.record(3, &again.heartbeat());
    recorder.record(3, &first.heartbeat());
    recorder.record(3, &first.sync(&[]));
    recorder.note("and then is");
    recorder.record(3, &again.sync(&[(&again, "one"), (&second.member, "two")]));
    second.client.send(3, &second.member.sync(&[]));
    second.record::<SyncGroupRequest>(recorder, 3);
    recorder.record(3, &again.heartbeat());
}

fn missed(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let mut first = Joined::connect(recorder, 5, &group);
    let request = membership::join(&group, &first.member.id).with_rebalance_timeout_ms(3_000);
    first.client.send(5, &request);
    first.record_join(recorder, 5);
    let all = [(&first.member, "all")];
    recorder.record(3, &first.member.sync(&all));
    let mut second = Joined::connect(recorder, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id).with_rebalance_timeout_ms(3_000));
    recorder.note("the second waits for the first, in vain");
    second.record_join(recorder, 5);
    recorder.record(3, &second.member.sync(&[(&second.member, "all")]));
    recorder.record(3, &first.member.heartbeat());
    recorder.record(3, &second.member.heartbeat());
}

fn silent(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let mut first = Joined::connect(recorder, 5, &group);
    first.client.send(5, &membership::join(&group, &first.member.id).with_session_timeout_ms(6000));
    first.record_join(recorder, 5);
    recorder.request(3, &first.member.sync(&[(&first.member, "all")]));
    recorder.note("without a heartbeat for the session time-out");
    recorder.record_until(5, &membership::describe(&group), |response| &*response.groups[0].group_state == "Empty");
    recorder.record(3, &first.member.heartbeat());
    recorder.record(5, &membership::join(&group, &first.member.id));
}

fn leaving(recorder: &mut Recorder) {
    for version in [1, 3, 5] {
        recorder.note(&format!("a member leaves at version {version}"));
        let group = recorder.name(&format!("group{version}"));
        let (first, second) = membership::synced_pair(recorder, &group);
        recorder.record(version, &second.leave_in(version));
        recorder.record_until(3, &first.heartbeat(), |response| response.error_code != 0);
        let response = recorder.record(5, &membership::join(&group, &first.id));
        let first = Member::of(&group, &response);
        recorder.record(3, &first.sync(&[(&first, "all")]));
        recorder.record(3, &second.heartbeat());
        recorder.record(version, &second.leave_in(version));
    }
    recorder.note("two members leave in one request, with one that does not exist");
    let group = recorder.name("both");
    let (first, second) = membership::synced_pair(recorder, &group);
    let mut request = first.leave_in(4);
    request.members.extend(second.leave_in(4).members);
    let mut stranger = second.leave_in(4).members.remove(0);
    stranger.member_id = text("no-member");
    request.members.push(stranger);
    recorder.record(4, &request);
    recorder.record(5, &membership::describe(&group));
    recorder.note("no member leaves, and a member leaves a group that does not exist");
    recorder.record(4, &LeaveGroupRequest::default().with_group_id(group.clone().into()));
    let stranger = Member { group: recorder.name("unknown"), id: text("no-member"), generation: 1, instance: None };
    for version in [0, 1, 3, 5] {
        recorder.record(version, &stranger.leave_in(version));
    }
}

fn checks(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let member = membership::alone(recorder, &group);
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    let unknown = text("no-member");
    for version in [0, 3, 4] {
        for generation in [0, 1, 2, -1] {
            recorder.note(&format!("generation {generation}"));
            recorder.record(version, &of(generation, &member.id).heartbeat());
        }
        recorder.note("an unknown member, and none");
        recorder.record(version, &of(1, &unknown).heartbeat());
        recorder.record(version, &of(1, &text("")).heartbeat());
    }
    for version in [1, 3, 5] {
        for generation in [0, 2, -1] {
            recorder.note(&format!("generation {generation}"));
            recorder.record(version, &of(generation, &member.id).sync_in(version, &[]));
        }
        recorder.note("an unknown member, and none");
        recorder.record(version, &of(1, &unknown).sync_in(version, &[]));
        recorder.record(version, &of(1, &text("")).sync_in(version, &[]));
    }
    recorder.note("an unknown member joins");
    recorder.record(3, &membership::join(&group, &unknown));
    recorder.record(9, &membership::join(&group, &unknown));
    recorder.note("a group that does not exist");
    let stranger = Member { group: recorder.name("unknown"), ..member.clone() };
    recorder.record(3, &stranger.heartbeat());
    recorder.record(3, &stranger.sync(&[]));
    recorder.record(5, &membership::join(&stranger.group, &unknown));
    recorder.note("a group without a name");
    let nameless = Member { group: text(""), ..member };
    recorder.record(3, &nameless.heartbeat());
    recorder.record(3, &nameless.sync(&[]));
    recorder.record(1, &nameless.leave_in(1));
    recorder.record(4, &nameless.leave_in(4));
}

fn refused_joins(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let join = |change: &dyn Fn(JoinGroupRequest) -> JoinGroupRequest| change(membership::join(&group, &text("")));
    for version in [2, 5, 9] {
        for (what, request) in [
            ("no group", join(&|join| join.with_group_id(text("").into()))),
            ("a session time-out too small", join(&|join| join.with_session_timeout_ms(5999))),
            ("a session time-out too large", join(&|join| join.with_session_timeout_ms(1_800_001))),
            ("no protocols", join(&|join| join.with_protocols(Vec::new()))),
            ("no protocol type", join(&|join| join.with_protocol_type(text("")))),
        ] {
            recorder.note(what);
            recorder.record(version, &request);
        }
    }
    recorder.note("in a group with a member: another type, another protocol");
    membership::alone(recorder, &group);
    for version in [2, 9] {
        recorder.record(version, &join(&|join| join.with_protocol_type(text("connect"))));
        recorder.record(version, &membership::join_with(&group, &text(""), &["sticky"]));
    }
}

fn choice(recorder: &mut Recorder) {
    for (note, theirs) in [
        ("one that both know", &["roundrobin"][..]),
        ("the one that both like best of those that both know", &["other", "sticky", "roundrobin"]),
    ] {
        recorder.note(note);
        let group = recorder.name(theirs[0]);
        let first = membership::alone_with(recorder, &group, &["range", "sticky", "roundrobin"]);
        let mut second = Joined::connect(recorder, 5, &group);
        second.client.send(5, &membership::join_with(&group, &second.member.id, theirs));
        recorder.request_until(3, &first.heartbeat(), |response| response.error_code != 0);
        recorder.record(5, &membership::join_with(&group, &first.id, &["range", "sticky", "roundrobin"]));
        second.record_join(recorder, 5);
    }
}

fn joins_again(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let (first, second) = membership::synced_pair(recorder, &group);
    recorder.note("a follower in a stable group gets its generation back");
    for version in [2, 5, 9] {
        recorder.record(version, &membership::join(&group, &second.id));
    }
    recorder.record(3, &second.sync(&[]));
    recorder.record(3, &second.heartbeat());
    recorder.record(3, &first.heartbeat());
    recorder.note("a follower with other metadata rebalances");
    let mut changed = membership::join(&group, &second.id);
    changed.protocols[0].metadata = membership::subscription(&[], "changed");
    let mut client = recorder.connect();
    client.send(5, &changed);
    recorder.record_until(3, &first.heartbeat(), |response| response.error_code != 0);
    recorder.record(5, &membership::join(&group, &first.id));
    let response = client.receive::<JoinGroupRequest>(5).expect("a response");
    recorder.record_response::<JoinGroupRequest>(5, &response);
    recorder.note("a leader rebalances in any case");
    let alone = recorder.name("alone");
    let leader = membership::alone(recorder, &alone);
    let response = recorder.record(5, &membership::join(&alone, &leader.id));
    recorder.note("a member that joins again before the sync is answered the same");
    recorder.record(5, &membership::join(&alone, &leader.id));
    recorder.record(3, &Member::of(&alone, &response).sync(&[]));
}

fn sync(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let (first, mut second) = membership::pair(recorder, 5, &group);
    second.client.send(3, &second.member.sync(&[]));
    recorder.note("only the leader's assignments count, and who is left out gets none");
    let response = recorder.record(3, &first.member.sync(&[(&first.member, "one"), (&second.member, "two")]));
    assert_eq!(&response.assignment[..], b"one");
    second.record::<SyncGroupRequest>(recorder, 3);
    recorder.note("again");
    recorder.record(3, &second.member.sync(&[(&second.member, "stolen")]));
    recorder.record(3, &first.member.sync(&[(&first.member, "changed")]));
    recorder.note("with names of type and protocol");
    let member = &first.member;
    recorder.record(5, &member.sync_in(5, &[]));
    recorder.record(5, &member.sync_in(5, &[]).with_protocol_name(Some(text("other"))));
    recorder.record(5, &member.sync_in(5, &[]).with_protocol_type(Some(text("other"))));
    recorder.record(5, &member.sync_in(5, &[]).with_protocol_name(None).with_protocol_type(None));
    recorder.note("an assignment for one of two");
    let group = recorder.name("half");
    let (first, mut second) = membership::pair(recorder, 5, &group);
    recorder.record(3, &first.member.sync(&[(&first.member, "one")]));
    second.client.send(3, &second.member.sync(&[]));
    second.record::<SyncGroupRequest>(recorder, 3);
}

fn joins_before_sync(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let (first, mut second) = membership::pair(recorder, 5, &group);
    second.client.send(3, &second.member.sync(&[]));
    let mut third = Joined::connect(recorder, 5, &group);
    third.client.send(5, &membership::join(&group, &third.member.id));
    recorder.note("a member that waits for the leader's sync, and the leader, must join again");
    second.record::<SyncGroupRequest>(recorder, 3);
    recorder.record(3, &first.member.sync(&[(&first.member, "one")]));
    recorder.record(3, &first.member.heartbeat());
    second.client.send(5, &membership::join(&group, &second.member.id));
    recorder.record(5, &membership::join(&group, &first.member.id));
    second.record_join(recorder, 5);
    third.record_join(recorder, 5);
}

fn leaves_the_wait(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let (first, second) = membership::synced_pair(recorder, &group);
    let mut third = Joined::connect(recorder, 5, &group);
    third.client.send(5, &membership::join(&group, &third.member.id));
    recorder.request_until(3, &first.heartbeat(), |response| response.error_code != 0);
    let mut waiting = recorder.connect();
    waiting.send(5, &membership::join(&group, &first.id));
    recorder.note("the first and the third wait for the second, which leaves");
    recorder.record(1, &second.leave_in(1));
    let response = waiting.receive::<JoinGroupRequest>(5).expect("a response");
    recorder.record_response::<JoinGroupRequest>(5, &response);
    third.record_join(recorder, 5);
    recorder.note("a member that waits for the sync leaves");
    let first = Member::of(&group, &response);
    third.client.send(3, &third.member.sync(&[]));
    recorder.record(1, &first.leave_in(1));
    third.record::<SyncGroupRequest>(recorder, 3);
    recorder.record(5, &membership::join(&group, &third.member.id));
}

fn leader_leaves(recorder: &mut Recorder) {
    let group = recorder.name("group");
    let (first, second) = membership::synced_pair(recorder, &group);
    recorder.record(1, &first.leave_in(1));
    recorder.record_until(3, &second.heartbeat(), |response| response.error_code != 0);
    let response = recorder.record(5, &membership::join(&group, &second.id));
    let second = Member::of(&group, &response);
    recorder.record(3, &second.sync(&[(&second, "all")]));
    recorder.record(3, &second.heartbeat());
}

fn emptied(recorder: &mut Recorder) {
    let group = recorder.name("group");
    for _ in 0..2 {
        let member = membership::alone(recorder, &group);
        recorder.note(&format!("generation {}", member.generation));
        recorder.record(1, &member.leave_in(1));
        recorder.record(5, &membership::describe(&group));
    }
    recorder.note("another type of protocol may have it now");
    recorder.record(2, &membership::join(&group, &text("")).with_protocol_type(text("connect")));
}
