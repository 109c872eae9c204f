//! Owns the cases about offsets that a transaction commits for a group (KIP-98, KIP-447).

use kafka_protocol::messages::{DeleteGroupsRequest, OffsetFetchRequest, TxnOffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::membership::{self, Member};
use super::offsets;
use super::requests::{Target, text};
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("offsets_of_a_transaction_are_pending_until_its_end", pending),
    ("offsets_of_an_aborted_transaction_are_forgotten", aborted),
    ("offsets_of_a_transaction_without_adding_the_group", not_added),
    ("offsets_of_a_transaction_add_their_group_by_themselves", implicit),
    ("offsets_of_a_transaction_check_the_member", members),
    ("offsets_of_a_transaction_with_an_instance_id", instance),
    ("offsets_beside_a_transaction_wait_for_nobody", beside),
    ("deleting_a_group_forgets_its_pending_offsets", administered),
    ("add_offsets_to_txn_refuses_what_it_does_not_know", add_refused),
];

fn stable(version: i16, group: &StrBytes, topic: &StrBytes) -> OffsetFetchRequest {
    offsets::fetch(version, group, Some((topic, &[0, 1]))).with_require_stable(true)
}

/// Tells the offsets of partitions 0 and 1, to those who wait for pending ones and to those who do not.
fn tell_offsets(lab: &mut Lab, group: &StrBytes, target: &Target) {
    lab.note("stable, then as they are");
    lab.ask(8, &stable(8, group, &target.name));
    lab.ask(8, &offsets::fetch(8, group, Some((&target.name, &[0, 1]))));
}

/// Waits until a group's offset is the awaited one and no other is pending.
fn await_offset(lab: &mut Lab, group: &StrBytes, target: &Target, offset: i64) {
    lab.put_until(8, &stable(8, group, &target.name), |answer| {
        let partition = &answer.groups[0].topics[0].partitions[0];
        partition.error_code == 0 && partition.committed_offset == offset
    });
}

fn one_transaction(lab: &mut Lab, commit: bool) {
    for (add, offset_commit, end) in [(0, 0, 0), (0, 3, 1), (4, 4, 4)] {
        lab.note(&format!("TxnOffsetCommit {offset_commit}"));
        let target = lab.target(&format!("topic{end}"), 2);
        let group = lab.name(&format!("group{end}"));
        let producer = Producer::init(lab, &format!("id{end}"));
        lab.put(8, &offsets::commit(8, &group, &target.name, &[(0, 3), (1, 4)]));
        lab.ask(add, &producer.add_offsets(&group));
        tell_offsets(lab, &group, &target);
        lab.ask(offset_commit, &producer.commit_offset(&group, &target.name, 7));
        tell_offsets(lab, &group, &target);
        lab.note("all, and at other versions");
        lab.ask(8, &offsets::fetch(8, &group, None).with_require_stable(true));
        for version in [7, 9] {
            lab.ask(version, &stable(version, &group, &target.name));
        }
        lab.ask(end, &producer.end(commit));
        await_offset(lab, &group, &target, if commit { 7 } else { 3 });
        tell_offsets(lab, &group, &target);
    }
}

fn pending(lab: &mut Lab) {
    one_transaction(lab, true);
}

fn aborted(lab: &mut Lab) {
    one_transaction(lab, false);
    lab.note("the only offset of a group");
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add_offsets(&group));
    lab.ask(3, &producer.commit_offset(&group, &target.name, 7));
    tell_offsets(lab, &group, &target);
    lab.ask(5, &membership::describe(&group));
    lab.ask(1, &producer.end(false));
    await_offset(lab, &group, &target, -1);
    tell_offsets(lab, &group, &target);
}

fn not_added(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in [0, 3, 4] {
        let group = lab.name(&format!("group{version}"));
        let producer = Producer::init(lab, &format!("id{version}"));
        let expected = transactional::not_in_transaction(version >= 4);
        let refused = |answer: &TxnOffsetCommitResponse| answer.topics[0].partitions[0].error_code == expected;
        lab.note("no transaction");
        lab.ask_until(version, &producer.commit_offset(&group, &target.name, 7), refused);
        lab.note("partitions that do not exist, and metadata that is too long");
        lab.put(0, &producer.add_offsets(&group));
        lab.ask(version, &producer.commit_offset(&group, &lab.name("unknown"), 7));
        let mut request = producer.commit_offset(&group, &target.name, 7);
        request.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(4097)));
        lab.ask(version, &request);
        lab.put(1, &producer.end(false));
    }
}

fn implicit(lab: &mut Lab) {
    for committed in [true, false] {
        lab.note(&format!("committed: {committed}"));
        let target = lab.target(&format!("topic{committed}"), 2);
        let group = lab.name(&format!("group{committed}"));
        let producer = Producer::init(lab, &format!("id{committed}"));
        lab.put(8, &offsets::commit(8, &group, &target.name, &[(0, 3)]));
        lab.ask(5, &producer.commit_offset(&group, &target.name, 7));
        tell_offsets(lab, &group, &target);
        let ended = lab.ask(5, &producer.end(committed));
        await_offset(lab, &group, &target, if committed { 7 } else { 3 });
        tell_offsets(lab, &group, &target);
        lab.note("the epoch of before, and the new one");
        lab.ask(5, &producer.commit_offset(&group, &target.name, 8));
        let next = producer.at(ended.producer_epoch);
        lab.ask(5, &next.commit_offset(&group, &target.name, 9));
        lab.ask(5, &next.end(true));
        await_offset(lab, &group, &target, 9);
    }
}

fn members(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    let member = membership::alone(lab, &group);
    let producer = Producer::init(lab, "id");
    let of = |generation, id: &StrBytes| Member { generation, id: id.clone(), ..member.clone() };
    for version in [3, 5] {
        lab.put(0, &producer.add_offsets(&group));
        for (what, member) in [
            ("the member", member.clone()),
            ("nobody, of a group that lives", of(-1, &text(""))),
            ("an older generation", of(0, &member.id)),
            ("a later generation", of(2, &member.id)),
            ("no generation", of(-1, &member.id)),
            ("an unknown member", of(1, &text("no-member"))),
            ("a generation and no member", of(1, &text(""))),
        ] {
            lab.note(what);
            lab.ask(version, &producer.commit_offset_as(&member, &target.name, 1));
        }
        lab.note("a group without members");
        let empty = lab.name("empty");
        lab.put(0, &producer.add_offsets(&empty));
        for (generation, id) in [(-1, ""), (1, "no-member"), (1, ""), (-1, "no-member")] {
            let member = Member { group: empty.clone(), ..of(generation, &text(id)) };
            lab.note(&format!("generation {generation}, member {id:?}"));
            lab.ask(version, &producer.commit_offset_as(&member, &target.name, 1));
        }
    }
    lab.note("versions before members could be named");
    lab.ask(2, &producer.commit_offset(&group, &target.name, 5));
    lab.note("while the group rebalances");
    let mut second = membership::Joined::connect(lab, 5, &group);
    second.client.send(5, &membership::join(&group, &second.member.id));
    lab.put_until(3, &member.heartbeat(), |answer| answer.error_code != 0);
    lab.ask(3, &producer.commit_offset_as(&member, &target.name, 6));
    let again = Member::of(&group, &lab.put(5, &membership::join(&group, &member.id)));
    lab.note("in the next generation, before the sync and after it");
    lab.ask(3, &producer.commit_offset_as(&member, &target.name, 7));
    lab.ask(3, &producer.commit_offset_as(&again, &target.name, 8));
    lab.put(3, &again.sync(&[]));
    lab.ask(3, &producer.commit_offset_as(&again, &target.name, 9));
    lab.note("the offset of the last one that was taken is committed, though its member has left");
    lab.put(1, &again.leave_in(1));
    lab.put(1, &producer.end(true));
    await_offset(lab, &group, &target, 9);
    lab.ask(8, &offsets::fetch(8, &group, None));
}

fn instance(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let group = lab.name("group");
    let join = membership::join(&group, &text("")).with_group_instance_id(Some(text("a")));
    let before = membership::alone_by(lab, join.clone());
    let after = Member::of(&group, &lab.put(5, &join)).under_instance("a");
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add_offsets(&group));
    for version in [3, 5] {
        lab.ask(version, &producer.commit_offset_as(&before, &target.name, 1));
        lab.ask(version, &producer.commit_offset_as(&after, &target.name, 2));
        lab.ask(version, &producer.commit_offset_as(&after.clone().under_instance("b"), &target.name, 3));
    }
}

fn beside(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add_offsets(&group));
    lab.put(3, &producer.commit_offset(&group, &target.name, 7));
    lab.note("a plain commit of the same partition, and of another one");
    lab.ask(8, &offsets::commit(8, &group, &target.name, &[(0, 5), (1, 6)]));
    tell_offsets(lab, &group, &target);
    lab.note("a second transaction of the same partition");
    let other = Producer::init(lab, "other");
    lab.put(0, &other.add_offsets(&group));
    lab.ask(3, &other.commit_offset(&group, &target.name, 8));
    lab.put(1, &other.end(false));
    other.await_state(lab, "CompleteAbort");
    tell_offsets(lab, &group, &target);
    lab.note("the later plain commit stands against the earlier one of the transaction that ends after it");
    lab.put(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    tell_offsets(lab, &group, &target);
}

fn administered(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add_offsets(&group));
    lab.put(3, &producer.commit_offset(&group, &target.name, 7));
    lab.ask(5, &membership::describe(&group));
    lab.note("the group is deleted while the offset is pending, and then the transaction commits");
    lab.ask(2, &DeleteGroupsRequest::default().with_groups_names(vec![group.clone().into()]));
    tell_offsets(lab, &group, &target);
    lab.put(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    tell_offsets(lab, &group, &target);
}

fn add_refused(lab: &mut Lab) {
    let producer = Producer::init(lab, "id");
    let group = lab.name("group");
    for version in [0, 4] {
        lab.ask(version, &producer.add_offsets(&group));
        lab.note("again, and another");
        lab.ask(version, &producer.add_offsets(&group));
        lab.ask(version, &producer.add_offsets(&lab.name("other")));
        lab.note("no group, an unknown transactional id, none");
        lab.ask(version, &producer.add_offsets(&text("")));
        lab.ask(version, &Producer { id: lab.name("unknown"), ..producer.clone() }.add_offsets(&group));
        lab.ask(version, &Producer { id: text(""), ..producer.clone() }.add_offsets(&group));
    }
}
