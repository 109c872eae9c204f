//! Cases of idempotent producers: ids, epochs, duplicates, gaps, and sequence wraparound.

use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;

use super::Case;
use super::batch::Batch;
use super::requests::{self, Target};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("idempotent_producers_get_new_ids", ids),
    ("duplicates_return_the_original_offset", duplicates),
    ("sequence_gaps_are_refused", gaps),
    ("new_epochs_begin_at_sequence_0", epochs),
    ("sequences_wrap_to_0", wrap),
    ("unknown_producers_may_begin_anywhere", unknown_producer),
    ("sequences_are_per_partition", partitions),
    ("incomplete_producer_fields_are_refused", half),
    ("deleted_records_are_still_duplicates", deleted),
];

fn idempotent() -> InitProducerIdRequest {
    requests::init_producer_id(None)
}

/// A new producer id with epoch 0.
fn producer(recorder: &mut Recorder) -> (i64, i16) {
    let response = recorder.request(4, &idempotent());
    (*response.producer_id, response.producer_epoch)
}

fn batch(recorder: &Recorder, producer: (i64, i16), sequence: i32, values: &[&str]) -> Bytes {
    Batch::of(recorder.zero, values).by(producer, sequence).bytes()
}

/// Appends a batch and records the response under a comment.
fn append(recorder: &mut Recorder, note: &str, target: &Target, producer: (i64, i16), sequence: i32, values: &[&str]) {
    let batch = batch(recorder, producer, sequence, values);
    recorder.note(note);
    recorder.record(9, &requests::produce(9, target, &[(0, batch)]));
}

fn ids(recorder: &mut Recorder) {
    for version in 0..=5 {
        recorder.record(version, &idempotent());
    }
    recorder.note("the transaction time-out does not matter");
    recorder.record(5, &idempotent().with_transaction_timeout_ms(-1));
    recorder.note("an id and an epoch without a transactional id");
    let response = recorder.record(5, &idempotent());
    recorder
        .record(5, &idempotent().with_producer_id(response.producer_id).with_producer_epoch(response.producer_epoch));
    recorder.record(5, &idempotent().with_producer_id(response.producer_id));
}

fn duplicates(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let me = producer(recorder);
    for sequence in 0..6 {
        append(recorder, &format!("sequence {}", 2 * sequence), &target, me, 2 * sequence, &["a", "b"]);
    }
    for sequence in (0..6).rev() {
        append(recorder, &format!("sequence {} again", 2 * sequence), &target, me, 2 * sequence, &["a", "b"]);
    }
    recorder.note("again at the other versions");
    let again = batch(recorder, me, 10, &["a", "b"]);
    for version in [3, 7, 10, 13] {
        recorder.record(version, &requests::produce(version, &target, &[(0, again.clone())]));
    }
    append(recorder, "sequence 10 with fewer records", &target, me, 10, &["a"]);
    append(recorder, "sequence 10 with more records", &target, me, 10, &["a", "b", "c"]);
    append(recorder, "sequence 11", &target, me, 11, &["a"]);
    append(recorder, "sequence 12", &target, me, 12, &["a"]);
}

fn gaps(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let me = producer(recorder);
    append(recorder, "sequence 0", &target, me, 0, &["a", "b"]);
    append(recorder, "sequence 3 where 2 is due", &target, me, 3, &["a"]);
    let late = batch(recorder, me, 3, &["a"]);
    recorder.record(7, &requests::produce(7, &target, &[(0, late.clone())]));
    recorder.record(13, &requests::produce(13, &target, &[(0, late)]));
    append(recorder, "sequence 2", &target, me, 2, &["a"]);
}

fn epochs(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (id, epoch) = producer(recorder);
    append(recorder, "epoch 0", &target, (id, epoch), 0, &["a"]);
    append(recorder, "epoch 1 that continues the sequence", &target, (id, 1), 1, &["b"]);
    append(recorder, "epoch 1 from the start", &target, (id, 1), 0, &["b"]);
    append(recorder, "epoch 0 continues", &target, (id, 0), 1, &["c"]);
    append(recorder, "epoch 0 again", &target, (id, 0), 0, &["a"]);
    let old = batch(recorder, (id, 0), 1, &["c"]);
    recorder.record(13, &requests::produce(13, &target, &[(0, old)]));
    append(recorder, "epoch 5", &target, (id, 5), 0, &["d"]);
    append(recorder, "epoch 1 continues", &target, (id, 1), 1, &["e"]);
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn wrap(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let me = producer(recorder);
    append(recorder, "the two largest", &target, me, i32::MAX - 1, &["a", "b"]);
    append(recorder, "zero", &target, me, 0, &["c"]);
    append(recorder, "zero again", &target, me, 0, &["c"]);
    append(recorder, "the two largest again", &target, me, i32::MAX - 1, &["a", "b"]);
    let me = producer(recorder);
    append(recorder, "a batch across the end", &target, me, i32::MAX, &["a", "b", "c"]);
    append(recorder, "the same again", &target, me, i32::MAX, &["a", "b", "c"]);
    append(recorder, "a gap behind it", &target, me, 3, &["d"]);
    append(recorder, "what is due", &target, me, 2, &["d"]);
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn unknown_producer(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let me = producer(recorder);
    append(recorder, "a first sequence of 7", &target, me, 7, &["a"]);
    append(recorder, "the next", &target, me, 8, &["b"]);
    append(recorder, "zero", &target, me, 0, &["c"]);
    append(recorder, "an id that was never given, at epoch 3", &target, (i64::MAX - 7, 3), 4, &["d"]);
}

fn partitions(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let me = producer(recorder);
    let first = batch(recorder, me, 0, &["a"]);
    for _ in 0..2 {
        recorder.record(9, &requests::produce(9, &target, &[(0, first.clone()), (1, first.clone())]));
    }
    let next = batch(recorder, me, 1, &["b"]);
    recorder.record(9, &requests::produce(9, &target, &[(1, next)]));
    let gap = batch(recorder, me, 2, &["c"]);
    recorder.record(9, &requests::produce(9, &target, &[(0, gap.clone()), (1, gap)]));
}

fn half(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (id, _) = producer(recorder);
    append(recorder, "without a sequence", &target, (id, 0), -1, &["a"]);
    append(recorder, "without an epoch", &target, (id, -1), 0, &["a"]);
    append(recorder, "without an id", &target, (-1, 0), 0, &["a"]);
    append(recorder, "with a sequence alone", &target, (-1, -1), 0, &["a"]);
    recorder.note("in a transaction without a transactional id");
    let batch = Batch::of(recorder.zero, &["a"]).by((id, 0), 0).in_transaction().bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    recorder.note("in a transaction without a producer id");
    let batch = Batch::of(recorder.zero, &["a"]).in_transaction().bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, batch)]));
    recorder.note("two batches of a producer, and a batch with one without a producer");
    let target = recorder.target("two", 2);
    let good = self::batch(recorder, (id, 0), 0, &["a"]);
    let plain = Batch::of(recorder.zero, &["a"]).bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, good), (1, plain)]));
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0), (1, 0)]));
}

fn deleted(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let me = producer(recorder);
    append(recorder, "sequence 0", &target, me, 0, &["a", "b"]);
    recorder.record(2, &requests::delete_records(&target.name, &[(0, -1)]));
    append(recorder, "sequence 0 again", &target, me, 0, &["a", "b"]);
    append(recorder, "sequence 2", &target, me, 2, &["c"]);
}
