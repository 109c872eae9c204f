//! Cases of offsets that a transaction commits for a group (KIP-98, KIP-447).

use kafka_protocol::messages::{DeleteGroupsRequest, OffsetFetchRequest, TxnOffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::membership::{self, Member};
use super::offsets;
use super::requests::{Target, text};
use super::test_support::Recorder;
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("transaction_offsets_are_pending", pending),
    ("aborted_transaction_offsets_are_dropped", aborted),
    ("transaction_offsets_need_the_group", not_added),
    ("txn_offset_commit_v5_adds_the_group", implicit),
    ("transaction_offsets_check_the_member", members),
    ("transaction_offsets_of_static_members", instance),
    ("plain_commits_ignore_open_transactions", plain_commits),
    ("deleting_a_group_drops_pending_offsets", administered),
    ("add_offsets_to_txn_refuses_unknown_names", add_refused),
];

fn stable(version: i16, group: &StrBytes, topic: &StrBytes) -> OffsetFetchRequest {
    offsets::fetch(version, group, Some((topic, &[0, 1]))).with_require_stable(true)
}

/// Records the offsets of partitions 0 and 1, with and without `require_stable`.
fn record_offsets(recorder: &mut Recorder, group: &StrBytes, target: &Target) {
    recorder.note("stable, then as they are");
    recorder.record(8, &stable(8, group, &target.name));
    recorder.record(8, &offsets::fetch(8, group, Some((&target.name, &[0, 1]))));
}

/// Waits until a group's offset has this value and none is pending.
fn await_offset(recorder: &mut Recorder, group: &StrBytes, target: &Target, offset: i64) {
    recorder.request_until(8, &stable(8, group, &target.name), |response| {
        let partition = &response.groups[0].topics[0].partitions[0];
        partition.error_code == 0 && partition.committed_offset == offset
    });
}

fn one_transaction(recorder: &mut Recorder, commit: bool) {
    for (add, offset_commit, end) in [(0, 0, 0), (0, 3, 1), (4, 4, 4)] {
        recorder.note(&format!("TxnOffsetCommit {offset_commit}"));
        let target = recorder.target(&format!("topic{end}"), 2);
        let group = recorder.name(&format!("group{end}"));
        let producer = Producer::init(recorder, &format!("id{end}"));
        recorder.request(8, &offsets::commit(8, &group, &target.name, &[(0, 3), (1, 4)]));
        recorder.record(add, &producer.add_offsets(&group));
        record_offsets(recorder, &group, &target);
        recorder.record(offset_commit, &producer.commit_offset(&group, &target.name, 7));
        record_offsets(recorder, &group, &target);
        recorder.note("all, and at other versions");
        recorder.record(8, &offsets::fetch(8, &group, None).with_require_stable(true));
        for version in [7, 9] {
            recorder.record(version, &stable(version, &group, &target.name));
        }
        recorder.record(end, &producer.end(commit));
        await_offset(recorder, &group, &target, if commit { 7 } else { 3 });
        record_offsets(recorder, &group, &target);
    }
}

fn pending(recorder: &mut Recorder) {
    one_transaction(recorder, true);
}

fn aborted(recorder: &mut Recorder) {
    one_transaction(recorder, false);
    recorder.note("the only offset of a group");
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add_offsets(&group));
    recorder.record(3, &producer.commit_offset(&group, &target.name, 7));
    record_offsets(recorder, &group, &target);
    recorder.record(5, &membership::describe(&group));
    recorder.record(1, &producer.end(false));
    await_offset(recorder, &group, &target, -1);
    record_offsets(recorder, &group, &target);
}

fn not_added(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in [0, 3, 4] {
        let group = recorder.name(&format!("group{version}"));
        let producer = Producer::init(recorder, &format!("id{version}"));
        let expected = transactional::not_in_transaction(version >= 4);
        let refused = |response: &TxnOffsetCommitResponse| response.topics[0].partitions[0].error_code == expected;
        recorder.note("no transaction");
        recorder.record_until(version, &producer.commit_offset(&group, &target.name, 7), refused);
        recorder.note("partitions that do not exist, and metadata that is too long");
        recorder.request(0, &producer.add_offsets(&group));
        recorder.record(version, &producer.commit_offset(&group, &recorder.name("unknown"), 7));
        let mut request = producer.commit_offset(&group, &target.name, 7);
        request.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(4097)));
        recorder.record(version, &request);
        recorder.request(1, &producer.end(false));
    }
}

fn implicit(recorder: &mut Recorder) {
    for committed in [true, false] {
        recorder.note(&format!("committed: {committed}"));
        let target = recorder.target(&format!("topic{committed}"), 2);
        let group = recorder.name(&format!("group{committed}"));
        let producer = Producer::init(recorder, &format!("id{committed}"));
        recorder.request(8, &offsets::commit(8, &group, &target.name, &[(0, 3)]));
        recorder.record(5, &producer.commit_offset(&group, &target.name, 7));
        record_offsets(recorder, &group, &target);
        let ended = recorder.record(5, &producer.end(committed));
        await_offset(recorder, &group, &target, if committed { 7 } else { 3 });
        record_offsets(recorder, &group, &target);
        recorder.note("the epoch of before, and the new one");
        recorder.record(5, &producer.commit_offset(&group, &target.name, 8));
        let next = producer.at(ended.producer_epoch);
        recorder.record(5, &next.commit_offset(&group, &target.name, 9));
        recorder.record(5, &next.end(true));
        await_offset(recorder, &group, &target, 9);
    }
}

fn members(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    let member = membership::alone(recorder, &group);
    let producer = Producer::init(recorder, "id");
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    for version in [3, 5] {
        recorder.request(0, &producer.add_offsets(&group));
        for (what, member) in [
            ("the member", member.clone()),
            ("no member, of a live group", of(-1, &text(""))),
            ("an older generation", of(0, &member.id)),
            ("a later generation", of(2, &member.id)),
            ("no generation", of(-1, &member.id)),
            ("an unknown member", of(1, &text("no-member"))),
            ("a generation and no member", of(1, &text(""))),
        ] {
            recorder.note(what);
            recorder.record(version, &producer.commit_offset_as(&member, &target.name, 1));
        }
        recorder.note("a group without members");
        let empty = recorder.name("empty");
        recorder.request(0, &producer.add_offsets(&empty));
        for (generation, id) in [(-1, ""), (1, "no-member"), (1, ""), (-1, "no-member")] {
            let member = Member { group: empty.clone(), ..of(generation, &text(id)) };
            recorder.note(&format!("generation {generation}, member {id:?}"));
            recorder.record(version, &producer.commit_offset_as(&member, &target.name, 1));
        }
    }
    recorder.note("versions before members could be named");
    recorder.record(2, &producer.commit_offset(&group, &target.name, 5));
    recorder.note("while the group rebalances");
    let mut second = membership::Joined::connect(recorder, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    recorder.request_until(3, &member.heartbeat(), |response| response.error_code != 0);
    recorder.record(3, &producer.commit_offset_as(&member, &target.name, 6));
    let again = Member::of(&group, &recorder.request(5, &membership::join(&group, &member.id)));
    recorder.note("in the next generation, before the sync and after it");
    recorder.record(3, &producer.commit_offset_as(&member, &target.name, 7));
    recorder.record(3, &producer.commit_offset_as(&again, &target.name, 8));
    recorder.request(3, &again.sync(&[]));
    recorder.record(3, &producer.commit_offset_as(&again, &target.name, 9));
    recorder.note("the offset of the last one that was taken is committed, though its member has left");
    recorder.request(1, &again.leave_in(1));
    recorder.request(1, &producer.end(true));
    await_offset(recorder, &group, &target, 9);
    recorder.record(8, &offsets::fetch(8, &group, None));
}

fn instance(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let group = recorder.name("group");
    let join = membership::join(&group, &text("")).with_group_instance_id(Some(text("a")));
    let before = membership::alone_by(recorder, join.clone());
    let after = Member::of(&group, &recorder.request(5, &join)).with_instance("a");
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add_offsets(&group));
    for version in [3, 5] {
        recorder.record(version, &producer.commit_offset_as(&before, &target.name, 1));
        recorder.record(version, &producer.commit_offset_as(&after, &target.name, 2));
        recorder.record(version, &producer.commit_offset_as(&after.clone().with_instance("b"), &target.name, 3));
    }
}

fn plain_commits(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add_offsets(&group));
    recorder.request(3, &producer.commit_offset(&group, &target.name, 7));
    recorder.note("a plain commit of the same partition, and of another one");
    recorder.record(8, &offsets::commit(8, &group, &target.name, &[(0, 5), (1, 6)]));
    record_offsets(recorder, &group, &target);
    recorder.note("a second transaction of the same partition");
    let other = Producer::init(recorder, "other");
    recorder.request(0, &other.add_offsets(&group));
    recorder.record(3, &other.commit_offset(&group, &target.name, 8));
    recorder.request(1, &other.end(false));
    other.await_state(recorder, "CompleteAbort");
    record_offsets(recorder, &group, &target);
    recorder.note("the later plain commit wins over the earlier one of the transaction that ends after it");
    recorder.request(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    record_offsets(recorder, &group, &target);
}

fn administered(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add_offsets(&group));
    recorder.request(3, &producer.commit_offset(&group, &target.name, 7));
    recorder.record(5, &membership::describe(&group));
    recorder.note("the group is deleted while the offset is pending, and then the transaction commits");
    recorder.record(2, &DeleteGroupsRequest::default().with_groups_names(vec![group.clone().into()]));
    record_offsets(recorder, &group, &target);
    recorder.request(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    record_offsets(recorder, &group, &target);
}

fn add_refused(recorder: &mut Recorder) {
    let producer = Producer::init(recorder, "id");
    let group = recorder.name("group");
    for version in [0, 4] {
        recorder.record(version, &producer.add_offsets(&group));
        recorder.note("again, and another");
        recorder.record(version, &producer.add_offsets(&group));
        recorder.record(version, &producer.add_offsets(&recorder.name("other")));
        recorder.note("no group, an unknown transactional id, none");
        recorder.record(version, &producer.add_offsets(&text("")));
        recorder.record(version, &Producer { id: recorder.name("unknown"), ..producer.clone() }.add_offsets(&group));
        recorder.record(version, &Producer { id: text(""), ..producer.clone() }.add_offsets(&group));
    }
}
