//! Owns the cases about producers that are no longer: epochs, time-outs, and who is told what about them.

use kafka_protocol::messages::ProducerId;

use super::Case;
use super::lab::Lab;
use super::requests::{self, text};
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("init_producer_id_raises_the_epoch", raised),
    ("init_producer_id_aborts_what_is_open", aborts),
    ("init_producer_id_with_an_epoch_is_for_its_owner", with_epoch),
    ("init_producer_id_refuses_what_cannot_be", refused),
    ("a_fenced_producer_is_told_so_by_every_call", fenced),
    ("a_fenced_producer_with_an_open_transaction_is_told_so", fenced_while_open),
    ("a_transaction_that_takes_too_long_is_aborted", timed_out),
];

fn raised(lab: &mut Lab) {
    let id = lab.name("id");
    for version in [0, 1, 2, 3, 4, 5] {
        lab.ask(version, &requests::init_producer_id(Some(&id)));
    }
    lab.note("another id");
    lab.ask(4, &requests::init_producer_id(Some(&lab.name("other"))));
}

fn aborts(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add(&target.name, &[0]));
    lab.put(9, &producer.produce(9, (&target, 0), 0, &["a"]));
    lab.note("with a transaction open");
    let answer = lab.ask(4, &requests::init_producer_id(Some(&producer.id)));
    lab.ask(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
    transactional::tell_ends(lab, &target, 0);
    lab.note("the next one begins at sequence 0");
    let mut next = producer;
    next.go_on(answer.producer_id, answer.producer_epoch);
    lab.ask(0, &next.add(&target.name, &[0]));
    lab.ask(9, &next.produce(9, (&target, 0), 1, &["b"]));
    lab.ask(9, &next.produce(9, (&target, 0), 0, &["b"]));
    lab.ask(1, &next.end(true));
}

fn with_epoch(lab: &mut Lab) {
    for version in [3, 4, 5] {
        lab.note(&format!("at version {version}"));
        let first = Producer::init(lab, &format!("id{version}"));
        let answer = lab.ask(version, &first.init_again());
        lab.note("again: whoever did not hear of the new epoch may ask once more with the last one");
        lab.ask(version, &first.init_again());
        lab.note("with the new epoch, and then with the first");
        let next = first.at(answer.producer_epoch);
        lab.ask(version, &next.init_again());
        lab.ask(version, &first.init_again());
        lab.note("with an epoch that was never given");
        lab.ask(version, &first.at(99).init_again());
    }
    lab.note("an id that was never asked for, with a producer id");
    let stranger = Producer { id: lab.name("stranger"), number: 7_000_000_000, epoch: 3, time: lab.zero };
    lab.ask(4, &stranger.init_again());
}

fn refused(lab: &mut Lab) {
    let id = lab.name("id");
    for version in [0, 4] {
        for timeout in [900_001, 0, -1] {
            lab.note(&format!("a transaction time-out of {timeout} ms"));
            lab.ask(version, &requests::init_producer_id(Some(&id)).with_transaction_timeout_ms(timeout));
        }
        lab.note("an empty transactional id");
        lab.ask(version, &requests::init_producer_id(Some(&text(""))));
    }
    lab.note("a producer id without an epoch, an epoch without a producer id");
    lab.ask(4, &requests::init_producer_id(Some(&id)).with_producer_id(ProducerId(7)));
    lab.ask(4, &requests::init_producer_id(Some(&id)).with_producer_epoch(7));
}

/// What every call tells a producer, at every version that says it differently.
fn tell_calls(lab: &mut Lab, producer: &Producer, target: &requests::Target) {
    let group = lab.name("group");
    for version in [9, 11, 12] {
        lab.ask(version, &producer.produce(version, (target, 0), 1, &["late"]));
    }
    for version in 0..=3 {
        lab.ask(version, &producer.add(&target.name, &[0]));
    }
    for version in 0..=4 {
        lab.ask(version, &producer.add_offsets(&group));
    }
    for version in 0..=5 {
        lab.ask(version, &producer.commit_offset(&group, &target.name, 1));
    }
    for version in 0..=5 {
        lab.ask(version, &producer.end(true));
    }
    for version in 0..=5 {
        lab.ask(version, &producer.end(false));
    }
}

fn fenced(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let old = Producer::init(lab, "id");
    lab.put(0, &old.add(&target.name, &[0]));
    lab.put(9, &old.produce(9, (&target, 0), 0, &["a"]));
    lab.put(1, &old.end(true));
    old.await_state(lab, "CompleteCommit");
    // Twice, since the last epoch but one is allowed to ask for a new one.
    Producer::init(lab, "id");
    Producer::init(lab, "id");
    tell_calls(lab, &old, &target);
    for version in 3..=5 {
        lab.ask(version, &old.init_again());
    }
    transactional::tell_ends(lab, &target, 0);
}

fn fenced_while_open(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let old = Producer::init(lab, "id");
    lab.put(0, &old.add(&target.name, &[0]));
    lab.put(9, &old.produce(9, (&target, 0), 0, &["a"]));
    lab.note("the new one has begun a transaction on the same partition");
    Producer::init(lab, "id");
    let new = Producer::init(lab, "id");
    lab.put(0, &new.add(&target.name, &[0]));
    lab.put(9, &new.produce(9, (&target, 0), 0, &["b"]));
    tell_calls(lab, &old, &target);
    lab.note("and nothing has happened to it");
    lab.ask(9, &new.produce(9, (&target, 0), 1, &["c"]));
    lab.ask(1, &new.end(true));
    new.await_state(lab, "CompleteCommit");
    lab.ask(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
}

fn timed_out(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let id = lab.name("id");
    let answer = lab.ask(4, &requests::init_producer_id(Some(&id)).with_transaction_timeout_ms(2_000));
    let producer = Producer { id, number: *answer.producer_id, epoch: answer.producer_epoch, time: lab.zero };
    lab.ask(0, &producer.add(&target.name, &[0]));
    lab.ask(9, &producer.produce(9, (&target, 0), 0, &["a"]));
    producer.await_state(lab, "CompleteAbort");
    lab.note("the coordinator aborted it");
    lab.ask(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
    transactional::tell_ends(lab, &target, 0);
    lab.ask(9, &producer.produce(9, (&target, 0), 1, &["b"]));
    for version in [0, 3] {
        lab.ask(version, &producer.add(&target.name, &[0]));
    }
    for version in [0, 1, 4, 5] {
        lab.ask(version, &producer.end(true));
        lab.ask(version, &producer.end(false));
    }
    lab.note("its owner asks for an epoch with the old one, and goes on");
    let answer = lab.ask(4, &producer.init_again());
    if answer.error_code == 0 {
        let next = producer.at(answer.producer_epoch);
        lab.ask(0, &next.add(&target.name, &[0]));
        lab.ask(9, &next.produce(9, (&target, 0), 0, &["c"]));
        lab.ask(1, &next.end(true));
    }
}
