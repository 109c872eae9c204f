//! Cases of fenced producers: epochs, transaction timeouts, and the errors of every API.

use kafka_protocol::messages::ProducerId;

use super::Case;
use super::requests::{self, text};
use super::test_support::Recorder;
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("init_producer_id_bumps_the_epoch", raised),
    ("init_producer_id_aborts_open_transactions", aborts),
    ("init_producer_id_checks_the_epoch", with_epoch),
    ("init_producer_id_refuses_invalid_requests", refused),
    ("every_api_refuses_fenced_producers", fenced),
    ("fenced_producers_with_open_transactions", fenced_while_open),
    ("transactions_time_out", timed_out),
];

fn raised(recorder: &mut Recorder) {
    let id = recorder.name("id");
    for version in [0, 1, 2, 3, 4, 5] {
        recorder.record(version, &requests::init_producer_id(Some(&id)));
    }
    recorder.note("another id");
    recorder.record(4, &requests::init_producer_id(Some(&recorder.name("other"))));
}

fn aborts(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add(&target.name, &[0]));
    recorder.request(9, &producer.produce(9, (&target, 0), 0, &["a"]));
    recorder.note("with a transaction open");
    let response = recorder.record(4, &requests::init_producer_id(Some(&producer.id)));
    recorder.record(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
    transactional::record_ends(recorder, &target, 0);
    recorder.note("the next one begins at sequence 0");
    let mut next = producer;
    next.update(response.producer_id, response.producer_epoch);
    recorder.record(0, &next.add(&target.name, &[0]));
    recorder.record(9, &next.produce(9, (&target, 0), 1, &["b"]));
    recorder.record(9, &next.produce(9, (&target, 0), 0, &["b"]));
    recorder.record(1, &next.end(true));
}

fn with_epoch(recorder: &mut Recorder) {
    for version in [3, 4, 5] {
        recorder.note(&format!("at version {version}"));
        let first = Producer::init(recorder, &format!("id{version}"));
        let response = recorder.record(version, &first.init_again());
        recorder.note("again: a producer that missed the new epoch may request once more with the last one");
        recorder.record(version, &first.init_again());
        recorder.note("with the new epoch, and then with the first");
        let next = first.at(response.producer_epoch);
        recorder.record(version, &next.init_again());
        recorder.record(version, &first.init_again());
        recorder.note("with an epoch that was never given");
        recorder.record(version, &first.at(99).init_again());
    }
    recorder.note("an id that was never asked for, with a producer id");
    let stranger = Producer { id: recorder.name("stranger"), number: 7_000_000_000, epoch: 3, time: recorder.zero };
    recorder.record(4, &stranger.init_again());
}

fn refused(recorder: &mut Recorder) {
    let id = recorder.name("id");
    for version in [0, 4] {
        for timeout in [900_001, 0, -1] {
            recorder.note(&format!("a transaction time-out of {timeout} ms"));
            recorder.record(version, &requests::init_producer_id(Some(&id)).with_transaction_timeout_ms(timeout));
        }
        recorder.note("an empty transactional id");
        recorder.record(version, &requests::init_producer_id(Some(&text(""))));
    }
    recorder.note("a producer id without an epoch, an epoch without a producer id");
    recorder.record(4, &requests::init_producer_id(Some(&id)).with_producer_id(ProducerId(7)));
    recorder.record(4, &requests::init_producer_id(Some(&id)).with_producer_epoch(7));
}

/// Records the response of every API to a producer, at every version that differs.
fn record_apis(recorder: &mut Recorder, producer: &Producer, target: &requests::Target) {
    let group = recorder.name("group");
    for version in [9, 11, 12] {
        recorder.record(version, &producer.produce(version, (target, 0), 1, &["late"]));
    }
    for version in 0..=3 {
        recorder.record(version, &producer.add(&target.name, &[0]));
    }
    for version in 0..=4 {
        recorder.record(version, &producer.add_offsets(&group));
    }
    for version in 0..=5 {
        recorder.record(version, &producer.commit_offset(&group, &target.name, 1));
    }
    for version in 0..=5 {
        recorder.record(version, &producer.end(true));
    }
    for version in 0..=5 {
        recorder.record(version, &producer.end(false));
    }
}

fn fenced(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let old = Producer::init(recorder, "id");
    recorder.request(0, &old.add(&target.name, &[0]));
    recorder.request(9, &old.produce(9, (&target, 0), 0, &["a"]));
    recorder.request(1, &old.end(true));
    old.await_state(recorder, "CompleteCommit");
    // Twice, since the previous epoch may still request a new one.
    Producer::init(recorder, "id");
    Producer::init(recorder, "id");
    record_apis(recorder, &old, &target);
    for version in 3..=5 {
        recorder.record(version, &old.init_again());
    }
    transactional::record_ends(recorder, &target, 0);
}

fn fenced_while_open(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let old = Producer::init(recorder, "id");
    recorder.request(0, &old.add(&target.name, &[0]));
    recorder.request(9, &old.produce(9, (&target, 0), 0, &["a"]));
    recorder.note("the new one has begun a transaction on the same partition");
    Producer::init(recorder, "id");
    let new = Producer::init(recorder, "id");
    recorder.request(0, &new.add(&target.name, &[0]));
    recorder.request(9, &new.produce(9, (&target, 0), 0, &["b"]));
    record_apis(recorder, &old, &target);
    recorder.note("and nothing has happened to it");
    recorder.record(9, &new.produce(9, (&target, 0), 1, &["c"]));
    recorder.record(1, &new.end(true));
    new.await_state(recorder, "CompleteCommit");
    recorder.record(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
}

fn timed_out(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let id = recorder.name("id");
    let response = recorder.record(4, &requests::init_producer_id(Some(&id)).with_transaction_timeout_ms(2_000));
    let producer = Producer { id, number: *response.producer_id, epoch: response.producer_epoch, time: recorder.zero };
    recorder.record(0, &producer.add(&target.name, &[0]));
    recorder.record(9, &producer.produce(9, (&target, 0), 0, &["a"]));
    producer.await_state(recorder, "CompleteAbort");
    recorder.note("the coordinator aborted it");
    recorder.record(12, &requests::read_committed(requests::fetch(12, &target, &[(0, 0)])));
    transactional::record_ends(recorder, &target, 0);
    recorder.record(9, &producer.produce(9, (&target, 0), 1, &["b"]));
    for version in [0, 3] {
        recorder.record(version, &producer.add(&target.name, &[0]));
    }
    for version in [0, 1, 4, 5] {
        recorder.record(version, &producer.end(true));
        recorder.record(version, &producer.end(false));
    }
    recorder.note("its owner requests an epoch with the old one, and continues");
    let response = recorder.record(4, &producer.init_again());
    if response.error_code == 0 {
        let next = producer.at(response.producer_epoch);
        recorder.record(0, &next.add(&target.name, &[0]));
        recorder.record(9, &next.produce(9, (&target, 0), 0, &["c"]));
        recorder.record(1, &next.end(true));
    }
}
