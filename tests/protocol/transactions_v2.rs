//! Owns the cases about transactions as Java and franz-go make them (KIP-890): writing to a partition adds it, and every
//! end raises the epoch.

use super::Case;
use super::lab::Lab;
use super::requests::{self, Target, read_committed};
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("a_record_adds_its_partition_to_the_transaction", implicit),
    ("the_end_of_a_transaction_raises_the_epoch", raised),
    ("the_end_of_a_transaction_may_be_asked_for_again", ended_twice),
    ("an_empty_transaction_ends_with_another_epoch", empty),
    ("the_epoch_before_the_end_is_fenced", fenced),
    ("added_partitions_and_implied_ones_are_one_transaction", mixed),
    ("a_transaction_begins_with_sequence_zero_of_its_epoch", sequences),
    ("an_implied_transaction_refuses_what_it_does_not_know", refused),
    ("init_producer_id_fences_an_implied_transaction", init),
];

/// Ends the transaction and takes the epoch that the answer gives.
fn end(lab: &mut Lab, producer: &mut Producer, committed: bool) {
    let answer = lab.ask(5, &producer.end(committed));
    if answer.error_code == 0 {
        producer.go_on(answer.producer_id, answer.producer_epoch);
    }
}

fn tell_all(lab: &mut Lab, target: &Target) {
    lab.ask(12, &read_committed(requests::fetch(12, target, &[(0, 0)])));
    transactional::tell_ends(lab, target, 0);
}

fn implicit(lab: &mut Lab) {
    for version in [12, 13] {
        for committed in [true, false] {
            lab.note(&format!("at version {version}, committed: {committed}"));
            let target = lab.target(&format!("topic{version}{committed}"), 1);
            let mut producer = Producer::init(lab, &format!("id{version}{committed}"));
            lab.ask(version, &producer.produce(version, (&target, 0), 0, &["a", "b"]));
            tell_all(lab, &target);
            end(lab, &mut producer, committed);
            producer.await_state(lab, if committed { "CompleteCommit" } else { "CompleteAbort" });
            tell_all(lab, &target);
        }
    }
}

fn raised(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut producer = Producer::init(lab, "id");
    for committed in [true, false, true] {
        lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
        end(lab, &mut producer, committed);
    }
    producer.await_state(lab, "CompleteCommit");
    tell_all(lab, &target);
}

fn ended_twice(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for committed in [true, false] {
        lab.note(&format!("committed: {committed}"));
        let mut producer = Producer::init(lab, &format!("id{committed}"));
        lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
        let before = producer.clone();
        end(lab, &mut producer, committed);
        lab.note("again with the epoch of before, and the other way");
        lab.ask(5, &before.end(committed));
        lab.ask(5, &before.end(!committed));
        lab.note("with the new epoch");
        lab.ask(5, &producer.end(committed));
    }
}

fn empty(lab: &mut Lab) {
    lab.note("nothing was ever written: commit, then abort");
    let mut producer = Producer::init(lab, "id");
    end(lab, &mut producer, true);
    end(lab, &mut producer, false);
    lab.note("after a transaction: commit, then abort, then again with an older epoch");
    let target = lab.target("topic", 1);
    let mut producer = Producer::init(lab, "other");
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    end(lab, &mut producer, true);
    producer.await_state(lab, "CompleteCommit");
    end(lab, &mut producer, true);
    let before = producer.clone();
    end(lab, &mut producer, false);
    lab.ask(5, &before.end(false));
    end(lab, &mut producer, false);
    tell_all(lab, &target);
}

fn fenced(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut producer = Producer::init(lab, "id");
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    let before = producer.clone();
    end(lab, &mut producer, true);
    producer.await_state(lab, "CompleteCommit");
    lab.note("the epoch of before writes once more");
    for version in [9, 12, 13] {
        lab.ask(version, &before.produce(version, (&target, 0), 1, &["late"]));
    }
    lab.note("even what it wrote already");
    lab.ask(12, &before.produce(12, (&target, 0), 0, &["a"]));
    lab.ask(3, &before.add(&target.name, &[0]));
    lab.ask(5, &before.commit_offset(&lab.name("group"), &target.name, 1));
    lab.note("an epoch that was never given");
    let ahead = producer.at(producer.epoch + 7);
    lab.ask(12, &ahead.produce(12, (&target, 0), 0, &["early"]));
    lab.ask(5, &ahead.end(true));
    tell_all(lab, &target);
}

fn mixed(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let mut producer = Producer::init(lab, "id");
    lab.ask(3, &producer.add(&target.name, &[0]));
    lab.ask(11, &producer.produce(11, (&target, 0), 0, &["a"]));
    lab.ask(12, &producer.produce(12, (&target, 1), 0, &["b"]));
    end(lab, &mut producer, true);
    producer.await_state(lab, "CompleteCommit");
    for partition in [0, 1] {
        lab.ask(12, &requests::fetch(12, &target, &[(partition, 0)]));
    }
    lab.note("begun the newer way and ended the older way: the epoch stays");
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["c"]));
    lab.ask(4, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    lab.ask(12, &producer.produce(12, (&target, 0), 1, &["d"]));
    end(lab, &mut producer, true);
    producer.await_state(lab, "CompleteCommit");
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn sequences(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut producer = Producer::init(lab, "id");
    lab.note("the first batch has sequence 3");
    lab.ask(12, &producer.produce(12, (&target, 0), 3, &["a"]));
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    lab.ask(12, &producer.produce(12, (&target, 0), 5, &["a"]));
    lab.ask(12, &producer.produce(12, (&target, 0), 1, &["b"]));
    end(lab, &mut producer, true);
    producer.await_state(lab, "CompleteCommit");
    lab.note("the next epoch goes on with the sequence, then begins anew");
    lab.ask(12, &producer.produce(12, (&target, 0), 2, &["c"]));
    lab.ask(12, &producer.produce(12, (&target, 0), 0, &["c"]));
    end(lab, &mut producer, false);
    producer.await_state(lab, "CompleteAbort");
    tell_all(lab, &target);
}

fn refused(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let producer = Producer::init(lab, "id");
    let unknown = Target { name: lab.name("unknown"), id: uuid::Uuid::from_u128(0xABCD) };
    let group = lab.name("group");
    for version in [12, 13] {
        lab.note("unknown topics and partitions");
        lab.ask(version, &producer.produce(version, (&unknown, 0), 0, &["a"]));
        lab.ask(version, &producer.produce(version, (&target, 5), 0, &["a"]));
    }
    lab.ask(5, &producer.commit_offset(&group, &unknown.name, 1));
    lab.note("which did not begin a transaction");
    lab.ask(0, &producer.describe());
    for (note, stranger) in [
        ("an unknown transactional id", Producer { id: lab.name("stranger"), ..producer.clone() }),
        ("another's producer id", Producer { number: i64::MAX - 7, ..producer.clone() }),
    ] {
        lab.note(note);
        lab.ask(12, &stranger.produce(12, (&target, 0), 0, &["a"]));
        lab.ask(11, &stranger.produce(11, (&target, 0), 0, &["a"]));
        lab.ask(5, &stranger.commit_offset(&group, &target.name, 1));
        lab.ask(3, &stranger.commit_offset(&group, &target.name, 1));
        lab.ask(5, &stranger.end(true));
        lab.ask(5, &stranger.end(false));
    }
}

fn init(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let old = Producer::init(lab, "id");
    lab.ask(12, &old.produce(12, (&target, 0), 0, &["a"]));
    let new = Producer::init(lab, "id");
    lab.note(&format!("epoch {} after {}", new.epoch, old.epoch));
    lab.ask(12, &old.produce(12, (&target, 0), 1, &["late"]));
    lab.ask(5, &old.end(true));
    lab.ask(5, &old.end(false));
    lab.ask(12, &new.produce(12, (&target, 0), 0, &["b"]));
    lab.ask(5, &new.end(true));
    new.await_state(lab, "CompleteCommit");
    tell_all(lab, &target);
    lab.note("whoever has an open transaction and asks for an epoch with its own");
    let again = Producer::init(lab, "id");
    lab.ask(12, &again.produce(12, (&target, 0), 0, &["c"]));
    lab.ask(5, &again.init_again());
    tell_all(lab, &target);
}
