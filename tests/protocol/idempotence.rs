//! Owns the cases about producers with an id: ids and epochs, duplicates, gaps, and the end of the numbers.

use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests::{self, Target};

pub const CASES: &[Case] = &[
    ("a_producer_without_transactions_gets_an_id_of_its_own", ids),
    ("a_duplicate_batch_is_answered_with_its_first_offset", duplicates),
    ("a_gap_in_the_sequence_is_refused", gaps),
    ("a_new_epoch_begins_at_sequence_zero", epochs),
    ("sequences_go_on_at_zero_after_the_largest", wrap),
    ("a_producer_may_begin_at_any_sequence_where_it_is_unknown", unknown_producer),
    ("partitions_count_sequences_apart", partitions),
    ("half_an_idempotent_batch_is_refused", half),
    ("deleted_records_are_remembered_as_duplicates", deleted),
];

fn idempotent() -> InitProducerIdRequest {
    requests::init_producer_id(None)
}

/// A new producer id with epoch 0.
fn producer(lab: &mut Lab) -> (i64, i16) {
    let answer = lab.put(4, &idempotent());
    (*answer.producer_id, answer.producer_epoch)
}

fn batch(lab: &Lab, producer: (i64, i16), sequence: i32, values: &[&str]) -> Bytes {
    Batch::of(lab.zero, values).by(producer, sequence).bytes()
}

/// Appends and tells the answer under what it is about.
fn append(lab: &mut Lab, note: &str, target: &Target, producer: (i64, i16), sequence: i32, values: &[&str]) {
    let batch = batch(lab, producer, sequence, values);
    lab.note(note);
    lab.ask(9, &requests::produce(9, target, &[(0, batch)]));
}

fn ids(lab: &mut Lab) {
    for version in 0..=5 {
        lab.ask(version, &idempotent());
    }
    lab.note("the transaction time-out does not matter");
    lab.ask(5, &idempotent().with_transaction_timeout_ms(-1));
    lab.note("an id and an epoch without a transactional id");
    let answer = lab.ask(5, &idempotent());
    lab.ask(5, &idempotent().with_producer_id(answer.producer_id).with_producer_epoch(answer.producer_epoch));
    lab.ask(5, &idempotent().with_producer_id(answer.producer_id));
}

fn duplicates(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let me = producer(lab);
    for sequence in 0..6 {
        append(lab, &format!("sequence {}", 2 * sequence), &target, me, 2 * sequence, &["a", "b"]);
    }
    for sequence in (0..6).rev() {
        append(lab, &format!("sequence {} again", 2 * sequence), &target, me, 2 * sequence, &["a", "b"]);
    }
    lab.note("again at the other versions");
    let again = batch(lab, me, 10, &["a", "b"]);
    for version in [3, 7, 10, 13] {
        lab.ask(version, &requests::produce(version, &target, &[(0, again.clone())]));
    }
    append(lab, "sequence 10 with fewer records", &target, me, 10, &["a"]);
    append(lab, "sequence 10 with more records", &target, me, 10, &["a", "b", "c"]);
    append(lab, "sequence 11", &target, me, 11, &["a"]);
    append(lab, "sequence 12", &target, me, 12, &["a"]);
}

fn gaps(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let me = producer(lab);
    append(lab, "sequence 0", &target, me, 0, &["a", "b"]);
    append(lab, "sequence 3 where 2 is due", &target, me, 3, &["a"]);
    let late = batch(lab, me, 3, &["a"]);
    lab.ask(7, &requests::produce(7, &target, &[(0, late.clone())]));
    lab.ask(13, &requests::produce(13, &target, &[(0, late)]));
    append(lab, "sequence 2", &target, me, 2, &["a"]);
}

fn epochs(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (id, epoch) = producer(lab);
    append(lab, "epoch 0", &target, (id, epoch), 0, &["a"]);
    append(lab, "epoch 1 that goes on with the sequence", &target, (id, 1), 1, &["b"]);
    append(lab, "epoch 1 from the start", &target, (id, 1), 0, &["b"]);
    append(lab, "epoch 0 goes on", &target, (id, 0), 1, &["c"]);
    append(lab, "epoch 0 again", &target, (id, 0), 0, &["a"]);
    let old = batch(lab, (id, 0), 1, &["c"]);
    lab.ask(13, &requests::produce(13, &target, &[(0, old)]));
    append(lab, "epoch 5", &target, (id, 5), 0, &["d"]);
    append(lab, "epoch 1 goes on", &target, (id, 1), 1, &["e"]);
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn wrap(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let me = producer(lab);
    append(lab, "the two largest", &target, me, i32::MAX - 1, &["a", "b"]);
    append(lab, "zero", &target, me, 0, &["c"]);
    append(lab, "zero again", &target, me, 0, &["c"]);
    append(lab, "the two largest again", &target, me, i32::MAX - 1, &["a", "b"]);
    let me = producer(lab);
    append(lab, "a batch across the end", &target, me, i32::MAX, &["a", "b", "c"]);
    append(lab, "the same again", &target, me, i32::MAX, &["a", "b", "c"]);
    append(lab, "a gap behind it", &target, me, 3, &["d"]);
    append(lab, "what is due", &target, me, 2, &["d"]);
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn unknown_producer(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let me = producer(lab);
    append(lab, "a first sequence of 7", &target, me, 7, &["a"]);
    append(lab, "the next", &target, me, 8, &["b"]);
    append(lab, "zero", &target, me, 0, &["c"]);
    append(lab, "an id that was never given, at epoch 3", &target, (i64::MAX - 7, 3), 4, &["d"]);
}

fn partitions(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let me = producer(lab);
    let first = batch(lab, me, 0, &["a"]);
    for _ in 0..2 {
        lab.ask(9, &requests::produce(9, &target, &[(0, first.clone()), (1, first.clone())]));
    }
    let next = batch(lab, me, 1, &["b"]);
    lab.ask(9, &requests::produce(9, &target, &[(1, next)]));
    let gap = batch(lab, me, 2, &["c"]);
    lab.ask(9, &requests::produce(9, &target, &[(0, gap.clone()), (1, gap)]));
}

fn half(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (id, _) = producer(lab);
    append(lab, "without a sequence", &target, (id, 0), -1, &["a"]);
    append(lab, "without an epoch", &target, (id, -1), 0, &["a"]);
    append(lab, "without an id", &target, (-1, 0), 0, &["a"]);
    append(lab, "with a sequence alone", &target, (-1, -1), 0, &["a"]);
    lab.note("in a transaction without a transactional id");
    let batch = Batch::of(lab.zero, &["a"]).by((id, 0), 0).in_transaction().bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    lab.note("in a transaction without a producer id");
    let batch = Batch::of(lab.zero, &["a"]).in_transaction().bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, batch)]));
    lab.note("two batches of a producer, and a batch beside one without a producer");
    let target = lab.target("two", 2);
    let good = self::batch(lab, (id, 0), 0, &["a"]);
    let plain = Batch::of(lab.zero, &["a"]).bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, good), (1, plain)]));
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0), (1, 0)]));
}

fn deleted(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let me = producer(lab);
    append(lab, "sequence 0", &target, me, 0, &["a", "b"]);
    lab.ask(2, &requests::delete_records(&target.name, &[(0, -1)]));
    append(lab, "sequence 0 again", &target, me, 0, &["a", "b"]);
    append(lab, "sequence 2", &target, me, 2, &["c"]);
}
