//! Owns the cases about groups seen from outside: describing, listing and deleting them.

use kafka_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::membership::{self, Joined};
use super::offsets;
use super::requests::text;

pub const CASES: &[Case] = &[
    ("describe_groups_tells_every_state", states),
    ("describe_groups_at_every_version", versions),
    ("list_groups_filters_by_state_and_type", listed),
    ("delete_groups_deletes_only_empty_ones", deleted),
];

fn states(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    lab.note("offsets alone");
    lab.put(8, &offsets::commit(8, &group, &target.name, &[(0, 1)]));
    lab.ask(5, &membership::describe(&group));
    lab.note("joined, and not synced");
    let mut first = Joined::connect(lab, 5, &group);
    first.client.send(5, &membership::join(&group, &first.member.id));
    first.join_answer(lab, 5);
    lab.ask(5, &membership::describe(&group));
    lab.note("synced");
    lab.put(3, &first.member.sync(&[(&first.member, "all")]));
    lab.ask(5, &membership::describe(&group));
    lab.note("another joins");
    let mut second = Joined::connect(lab, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    lab.put_until(3, &first.member.heartbeat(), |answer| answer.error_code != 0);
    lab.ask(5, &membership::describe(&group));
    lab.note("and is in");
    lab.put(5, &membership::join(&group, &first.member.id));
    second.join_answer(lab, 5);
    lab.ask(5, &membership::describe(&group));
}

fn versions(lab: &mut Lab) {
    let group = lab.name("group");
    membership::alone(lab, &group);
    for version in 0..=6 {
        lab.ask(version, &membership::describe(&group));
        lab.ask(version, &membership::describe(&lab.name("unknown")));
        if version >= 3 {
            lab.ask(version, &membership::describe(&group).with_include_authorized_operations(true));
        }
    }
    lab.note("two");
    let unknown = lab.name("unknown");
    lab.ask(5, &DescribeGroupsRequest::default().with_groups(vec![group.clone().into(), unknown.into()]));
}

fn listed(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (stable, empty, simple) = (lab.name("stable"), lab.name("empty"), lab.name("simple"));
    membership::alone(lab, &stable);
    let gone = membership::alone(lab, &empty);
    lab.put(8, &offsets::commit_as(8, &gone, &target.name, &[(0, 1)]));
    lab.put(1, &gone.leave_in(1));
    lab.put(8, &offsets::commit(8, &simple, &target.name, &[(0, 1)]));
    let mut tell = |note: &str, version, states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|kind| text(kind)).collect());
        let mut answer = lab.put(version, &request);
        answer.groups.retain(|group| lab.is_mine(&group.group_id));
        lab.note(note);
        lab.tell_answer::<ListGroupsRequest>(version, &answer);
    };
    for version in 0..=5 {
        tell("all", version, &[], &[]);
    }
    for states in [&["Stable"][..], &["Empty"], &["Empty", "Stable"], &["stable"], &["Dead"], &["NoSuchState"]] {
        tell(&format!("{states:?}"), 4, states, &[]);
        tell(&format!("{states:?}"), 5, states, &[]);
    }
    for types in [&["classic"][..], &["Classic"], &["consumer"], &["classic", "consumer"], &["no-such-type"]] {
        tell(&format!("{types:?}"), 5, &[], types);
    }
    tell("both", 5, &["Empty"], &["classic"]);
    tell("both", 5, &["Empty"], &["consumer"]);
}

fn deleted(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let delete = |groups: &[&StrBytes]| {
        DeleteGroupsRequest::default().with_groups_names(groups.iter().map(|group| (*group).clone().into()).collect())
    };
    for version in 0..=2 {
        let (full, empty) = (lab.name(&format!("full{version}")), lab.name(&format!("empty{version}")));
        let unknown = lab.name("unknown");
        let member = membership::alone(lab, &full);
        lab.put(8, &offsets::commit(8, &empty, &target.name, &[(0, 1)]));
        lab.ask(version, &delete(&[&full, &empty, &unknown]));
        lab.note("what is left");
        lab.ask(8, &offsets::fetch(8, &empty, None));
        lab.ask(5, &membership::describe(&empty));
        lab.ask(3, &member.heartbeat());
        lab.note("after the last member left");
        lab.put(8, &offsets::commit_as(8, &member, &target.name, &[(0, 1)]));
        lab.put(1, &member.leave_in(1));
        lab.ask(version, &delete(&[&full]));
        lab.ask(8, &offsets::fetch(8, &full, None));
    }
    lab.note("a group that is made again begins anew");
    let group = lab.name("full2");
    let member = membership::alone(lab, &group);
    lab.ask(3, &member.heartbeat());
    lab.note(&format!("generation {}", member.generation));
}
