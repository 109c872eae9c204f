//! Cases of transactions of Java and franz-go (KIP-890): producing adds the partition, and every end bumps the epoch.

use super::Case;
use super::requests::{self, Target, read_committed};
use super::test_support::Recorder;
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("produce_adds_the_partition", implicit),
    ("end_txn_bumps_the_epoch", raised),
    ("end_txn_v5_can_be_retried", ended_twice),
    ("empty_transactions_bump_the_epoch", empty),
    ("end_txn_fences_the_old_epoch", fenced),
    ("explicit_and_implicit_partitions_mix", mixed),
    ("transaction_sequences_restart_per_epoch", sequences),
    ("implicit_transactions_refuse_unknown_names", refused),
    ("init_producer_id_fences_implicit_transactions", init),
];

/// Ends the transaction and takes the new epoch from the response.
fn end(recorder: &mut Recorder, producer: &mut Producer, committed: bool) {
    let response = recorder.record(5, &producer.end(committed));
    if response.error_code == 0 {
        producer.update(response.producer_id, response.producer_epoch);
    }
}

fn record_all(recorder: &mut Recorder, target: &Target) {
    recorder.record(12, &read_committed(requests::fetch(12, target, &[(0, 0)])));
    transactional::record_ends(recorder, target, 0);
}

fn implicit(recorder: &mut Recorder) {
    for version in [12, 13] {
        for committed in [true, false] {
            recorder.note(&format!("at version {version}, committed: {committed}"));
            let target = recorder.target(&format!("topic{version}{committed}"), 1);
            let mut producer = Producer::init(recorder, &format!("id{version}{committed}"));
            recorder.record(version, &producer.produce(version, (&target, 0), 0, &["a", "b"]));
            record_all(recorder, &target);
            end(recorder, &mut producer, committed);
            producer.await_state(recorder, if committed { "CompleteCommit" } else { "CompleteAbort" });
            record_all(recorder, &target);
        }
    }
}

fn raised(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut producer = Producer::init(recorder, "id");
    for committed in [true, false, true] {
        recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
        end(recorder, &mut producer, committed);
    }
    producer.await_state(recorder, "CompleteCommit");
    record_all(recorder, &target);
}

fn ended_twice(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for committed in [true, false] {
        recorder.note(&format!("committed: {committed}"));
        let mut producer = Producer::init(recorder, &format!("id{committed}"));
        recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
        let before = producer.clone();
        end(recorder, &mut producer, committed);
        recorder.note("again with the epoch of before, and the other way");
        recorder.record(5, &before.end(committed));
        recorder.record(5, &before.end(!committed));
        recorder.note("with the new epoch");
        recorder.record(5, &producer.end(committed));
    }
}

fn empty(recorder: &mut Recorder) {
    recorder.note("nothing was ever written: commit, then abort");
    let mut producer = Producer::init(recorder, "id");
    end(recorder, &mut producer, true);
    end(recorder, &mut producer, false);
    recorder.note("after a transaction: commit, then abort, then again with an older epoch");
    let target = recorder.target("topic", 1);
    let mut producer = Producer::init(recorder, "other");
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    end(recorder, &mut producer, true);
    producer.await_state(recorder, "CompleteCommit");
    end(recorder, &mut producer, true);
    let before = producer.clone();
    end(recorder, &mut producer, false);
    recorder.record(5, &before.end(false));
    end(recorder, &mut producer, false);
    record_all(recorder, &target);
}

fn fenced(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut producer = Producer::init(recorder, "id");
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    let before = producer.clone();
    end(recorder, &mut producer, true);
    producer.await_state(recorder, "CompleteCommit");
    recorder.note("the epoch of before writes once more");
    for version in [9, 12, 13] {
        recorder.record(version, &before.produce(version, (&target, 0), 1, &["late"]));
    }
    recorder.note("even what it wrote already");
    recorder.record(12, &before.produce(12, (&target, 0), 0, &["a"]));
    recorder.record(3, &before.add(&target.name, &[0]));
    recorder.record(5, &before.commit_offset(&recorder.name("group"), &target.name, 1));
    recorder.note("an epoch that was never given");
    let ahead = producer.at(producer.epoch + 7);
    recorder.record(12, &ahead.produce(12, (&target, 0), 0, &["early"]));
    recorder.record(5, &ahead.end(true));
    record_all(recorder, &target);
}

fn mixed(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let mut producer = Producer::init(recorder, "id");
    recorder.record(3, &producer.add(&target.name, &[0]));
    recorder.record(11, &producer.produce(11, (&target, 0), 0, &["a"]));
    recorder.record(12, &producer.produce(12, (&target, 1), 0, &["b"]));
    end(recorder, &mut producer, true);
    producer.await_state(recorder, "CompleteCommit");
    for partition in [0, 1] {
        recorder.record(12, &requests::fetch(12, &target, &[(partition, 0)]));
    }
    recorder.note("begun the newer way and ended the older way: the epoch stays");
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["c"]));
    recorder.record(4, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    recorder.record(12, &producer.produce(12, (&target, 0), 1, &["d"]));
    end(recorder, &mut producer, true);
    producer.await_state(recorder, "CompleteCommit");
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn sequences(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut producer = Producer::init(recorder, "id");
    recorder.note("the first batch has sequence 3");
    recorder.record(12, &producer.produce(12, (&target, 0), 3, &["a"]));
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["a"]));
    recorder.record(12, &producer.produce(12, (&target, 0), 5, &["a"]));
    recorder.record(12, &producer.produce(12, (&target, 0), 1, &["b"]));
    end(recorder, &mut producer, true);
    producer.await_state(recorder, "CompleteCommit");
    recorder.note("the next epoch continues the sequence, then starts again");
    recorder.record(12, &producer.produce(12, (&target, 0), 2, &["c"]));
    recorder.record(12, &producer.produce(12, (&target, 0), 0, &["c"]));
    end(recorder, &mut producer, false);
    producer.await_state(recorder, "CompleteAbort");
    record_all(recorder, &target);
}

fn refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let producer = Producer::init(recorder, "id");
    let unknown = Target { name: recorder.name("unknown"), id: uuid::Uuid::from_u128(0xABCD) };
    let group = recorder.name("group");
    for version in [12, 13] {
        recorder.note("unknown topics and partitions");
        recorder.record(version, &producer.produce(version, (&unknown, 0), 0, &["a"]));
        recorder.record(version, &producer.produce(version, (&target, 5), 0, &["a"]));
    }
    recorder.record(5, &producer.commit_offset(&group, &unknown.name, 1));
    recorder.note("which did not begin a transaction");
    recorder.record(0, &producer.describe());
    for (note, stranger) in [
        ("an unknown transactional id", Producer { id: recorder.name("stranger"), ..producer.clone() }),
        ("another's producer id", Producer { number: i64::MAX - 7, ..producer.clone() }),
    ] {
        recorder.note(note);
        recorder.record(12, &stranger.produce(12, (&target, 0), 0, &["a"]));
        recorder.record(11, &stranger.produce(11, (&target, 0), 0, &["a"]));
        recorder.record(5, &stranger.commit_offset(&group, &target.name, 1));
        recorder.record(3, &stranger.commit_offset(&group, &target.name, 1));
        recorder.record(5, &stranger.end(true));
        recorder.record(5, &stranger.end(false));
    }
}

fn init(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let old = Producer::init(recorder, "id");
    recorder.record(12, &old.produce(12, (&target, 0), 0, &["a"]));
    let new = Producer::init(recorder, "id");
    recorder.note(&format!("epoch {} after {}", new.epoch, old.epoch));
    recorder.record(12, &old.produce(12, (&target, 0), 1, &["late"]));
    recorder.record(5, &old.end(true));
    recorder.record(5, &old.end(false));
    recorder.record(12, &new.produce(12, (&target, 0), 0, &["b"]));
    recorder.record(5, &new.end(true));
    new.await_state(recorder, "CompleteCommit");
    record_all(recorder, &target);
    recorder.note("a producer with an open transaction that requests an epoch with its own");
    let again = Producer::init(recorder, "id");
    recorder.record(12, &again.produce(12, (&target, 0), 0, &["c"]));
    recorder.record(5, &again.init_again());
    record_all(recorder, &target);
}
