//! Cases of group administration: describe, list and delete.

use kafka_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::membership::{self, Joined};
use super::offsets;
use super::requests::text;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("describe_groups_in_every_state", states),
    ("describe_groups_at_every_version", versions),
    ("list_groups_filters_by_state_and_type", listed),
    ("delete_groups_deletes_only_empty_groups", deleted),
];

fn states(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    recorder.note("offsets alone");
    recorder.request(8, &offsets::commit(8, &group, &target.name, &[(0, 1)]));
    recorder.record(5, &membership::describe(&group));
    recorder.note("joined, and not synced");
    let mut first = Joined::connect(recorder, 5, &group);
    first.client.send(5, &membership::join(&group, &first.member.id));
    first.record_join(recorder, 5);
    recorder.record(5, &membership::describe(&group));
    recorder.note("synced");
    recorder.request(3, &first.member.sync(&[(&first.member, "all")]));
    recorder.record(5, &membership::describe(&group));
    recorder.note("another joins");
    let mut second = Joined::connect(recorder, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    recorder.request_until(3, &first.member.heartbeat(), |response| response.error_code != 0);
    recorder.record(5, &membership::describe(&group));
    recorder.note("and is in");
    recorder.request(5, &membership::join(&group, &first.member.id));
    second.record_join(recorder, 5);
    recorder.record(5, &membership::describe(&group));
}

fn versions(recorder: &mut Recorder) {
    let group = recorder.name("group");
    membership::alone(recorder, &group);
    for version in 0..=6 {
        recorder.record(version, &membership::describe(&group));
        recorder.record(version, &membership::describe(&recorder.name("unknown")));
        if version >= 3 {
            recorder.record(version, &membership::describe(&group).with_include_authorized_operations(true));
        }
    }
    recorder.note("two");
    let unknown = recorder.name("unknown");
    recorder.record(5, &DescribeGroupsRequest::default().with_groups(vec![group.clone().into(), unknown.into()]));
}

fn listed(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (stable, empty, simple) = (recorder.name("stable"), recorder.name("empty"), recorder.name("simple"));
    membership::alone(recorder, &stable);
    let gone = membership::alone(recorder, &empty);
    recorder.request(8, &offsets::commit_as(8, &gone, &target.name, &[(0, 1)]));
    recorder.request(1, &gone.leave_in(1));
    recorder.request(8, &offsets::commit(8, &simple, &target.name, &[(0, 1)]));
    let mut record = |note: &str, version, states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|kind| text(kind)).collect());
        let mut response = recorder.request(version, &request);
        response.groups.retain(|group| recorder.is_own_name(&group.group_id));
        recorder.note(note);
        recorder.record_response::<ListGroupsRequest>(version, &response);
    };
    for version in 0..=5 {
        record("all", version, &[], &[]);
    }
    for states in [&["Stable"][..], &["Empty"], &["Empty", "Stable"], &["stable"], &["Dead"], &["NoSuchState"]] {
        record(&format!("{states:?}"), 4, states, &[]);
        record(&format!("{states:?}"), 5, states, &[]);
    }
    for types in [&["classic"][..], &["Classic"], &["consumer"], &["classic", "consumer"], &["no-such-type"]] {
        record(&format!("{types:?}"), 5, &[], types);
    }
    record("both", 5, &["Empty"], &["classic"]);
    record("both", 5, &["Empty"], &["consumer"]);
}

fn deleted(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let delete = |groups: &[&StrBytes]| {
        DeleteGroupsRequest::default().with_groups_names(groups.iter().map(|group| (*group).clone().into()).collect())
    };
    for version in 0..=2 {
        let (full, empty) = (recorder.name(&format!("full{version}")), recorder.name(&format!("empty{version}")));
        let unknown = recorder.name("unknown");
        let member = membership::alone(recorder, &full);
        recorder.request(8, &offsets::commit(8, &empty, &target.name, &[(0, 1)]));
        recorder.record(version, &delete(&[&full, &empty, &unknown]));
        recorder.note("what is left");
        recorder.record(8, &offsets::fetch(8, &empty, None));
        recorder.record(5, &membership::describe(&empty));
        recorder.record(3, &member.heartbeat());
        recorder.note("after the last member left");
        recorder.request(8, &offsets::commit_as(8, &member, &target.name, &[(0, 1)]));
        recorder.request(1, &member.leave_in(1));
        recorder.record(version, &delete(&[&full]));
        recorder.record(8, &offsets::fetch(8, &full, None));
    }
    recorder.note("a group that is created again starts empty");
    let group = recorder.name("full2");
    let member = membership::alone(recorder, &group);
    recorder.record(3, &member.heartbeat());
    recorder.note(&format!("generation {}", member.generation));
}
