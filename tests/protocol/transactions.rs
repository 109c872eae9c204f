//! Owns the cases about transactions as librdkafka makes them: every partition is added before it is written to.

use kafka_protocol::messages::{FetchRequest, ProduceRequest, ProducerId};

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests::{self, Target, read_committed};
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("a_committed_transaction_is_read_up_to_its_marker", committed),
    ("an_aborted_transaction_is_listed_for_readers", aborted),
    ("the_last_stable_offset_is_the_first_open_transaction", interleaved),
    ("aborted_transactions_are_told_where_they_matter", aborted_ranges),
    ("a_reader_of_committed_records_wakes_up_at_the_commit", wakes_up),
    ("list_offsets_by_time_with_transactions", by_time),
    ("a_transaction_may_be_ended_twice_the_same_way", ended_twice),
    ("a_transaction_without_partitions_cannot_be_ended", empty),
    ("a_partition_that_was_not_added_takes_no_records", not_added),
    ("add_partitions_to_txn_refuses_all_for_one", add_refused),
    ("several_transactions_follow_each_other", several),
    ("a_transaction_outlives_a_topic_of_it", deleted_topic),
    ("records_and_markers_of_many_partitions", many_partitions),
];

/// Begins a transaction on partition 0 with one batch, quietly.
fn begin(lab: &mut Lab, producer: &Producer, target: &Target, sequence: i32, values: &[&str]) {
    lab.put(0, &producer.add(&target.name, &[0]));
    let answer = lab.put(9, &producer.produce(9, (target, 0), sequence, values));
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "the batch is appended");
}

fn end(lab: &mut Lab, producer: &Producer, committed: bool) {
    let answer = lab.put(1, &producer.end(committed));
    assert_eq!(answer.error_code, 0, "the transaction ends");
    producer.await_state(lab, if committed { "CompleteCommit" } else { "CompleteAbort" });
}

/// Tells what both kinds of readers get of a partition.
fn tell_readers(lab: &mut Lab, target: &Target, partition: i32, from: i64) {
    let request = requests::fetch(12, target, &[(partition, from)]);
    lab.note(&format!("uncommitted from {from}"));
    lab.ask(12, &request);
    lab.note(&format!("committed from {from}"));
    lab.ask(12, &read_committed(request));
}

/// One transaction at the versions that clients speak, each in a topic and an id of its own.
fn one_transaction(lab: &mut Lab, commit: bool) {
    for (add, produce, end) in [(0, 7, 0), (0, 10, 1), (3, 11, 4)] {
        let target = lab.target(&format!("topic{end}"), 1);
        let producer = Producer::init(lab, &format!("id{end}"));
        lab.note("begun");
        lab.ask(add, &producer.add(&target.name, &[0]));
        lab.ask(produce, &producer.produce(produce, (&target, 0), 0, &["a", "b"]));
        lab.put(9, &requests::produce(9, &target, &[(0, Batch::of(lab.zero, &["plain"]).bytes())]));
        tell_readers(lab, &target, 0, 0);
        transactional::tell_ends(lab, &target, 0);
        lab.note("ended");
        lab.ask(end, &producer.end(commit));
        producer.await_state(lab, if commit { "CompleteCommit" } else { "CompleteAbort" });
        tell_readers(lab, &target, 0, 0);
        tell_readers(lab, &target, 0, 3);
        transactional::tell_ends(lab, &target, 0);
    }
}

fn committed(lab: &mut Lab) {
    one_transaction(lab, true);
}

fn aborted(lab: &mut Lab) {
    one_transaction(lab, false);
    lab.note("at other versions of fetch");
    let target = lab.target("topic", 1);
    let producer = Producer::init(lab, "id");
    begin(lab, &producer, &target, 0, &["a"]);
    end(lab, &producer, false);
    for version in [4, 11, 16, 18] {
        lab.ask(version, &read_committed(requests::fetch(version, &target, &[(0, 0)])));
    }
}

fn interleaved(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (first, second) = (Producer::init(lab, "first"), Producer::init(lab, "second"));
    begin(lab, &first, &target, 0, &["first"]);
    begin(lab, &second, &target, 0, &["second"]);
    begin(lab, &first, &target, 1, &["first"]);
    transactional::tell_ends(lab, &target, 0);
    lab.note("the second commits, and the first is still open");
    end(lab, &second, true);
    transactional::tell_ends(lab, &target, 0);
    tell_readers(lab, &target, 0, 0);
    lab.note("the second begins another one, and the first aborts");
    begin(lab, &second, &target, 1, &["second again"]);
    end(lab, &first, false);
    transactional::tell_ends(lab, &target, 0);
    tell_readers(lab, &target, 0, 0);
    lab.note("the second commits");
    end(lab, &second, true);
    transactional::tell_ends(lab, &target, 0);
    tell_readers(lab, &target, 0, 0);
}

fn aborted_ranges(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let (first, second) = (Producer::init(lab, "first"), Producer::init(lab, "second"));
    // Offsets: first 0-1, second 2, first's abort 3, second 4, second's abort 5, first 6, commit 7, second 8, abort 9.
    begin(lab, &first, &target, 0, &["a", "b"]);
    begin(lab, &second, &target, 0, &["c"]);
    end(lab, &first, false);
    begin(lab, &second, &target, 1, &["d"]);
    end(lab, &second, false);
    begin(lab, &first, &target, 2, &["e"]);
    end(lab, &first, true);
    begin(lab, &second, &target, 2, &["f"]);
    end(lab, &second, false);
    for from in 0..=10 {
        lab.note(&format!("from {from}"));
        lab.ask(12, &read_committed(requests::fetch(12, &target, &[(0, from)])));
    }
    lab.note("from 0, one batch only");
    let mut request = read_committed(requests::fetch(12, &target, &[(0, 0)]));
    request.topics[0].partitions[0].partition_max_bytes = 1;
    lab.ask(12, &request);
    lab.note("after the first records were deleted");
    lab.put(2, &requests::delete_records(&target.name, &[(0, 4)]));
    lab.ask(12, &read_committed(requests::fetch(12, &target, &[(0, 4)])));
    transactional::tell_ends(lab, &target, 0);
}

fn wakes_up(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let producer = Producer::init(lab, "id");
    begin(lab, &producer, &target, 0, &["a"]);
    let waiting =
        || read_committed(requests::fetch(12, &target, &[(0, 0)])).with_min_bytes(1).with_max_wait_ms(600_000);
    let mut reader = lab.connect();
    reader.send(12, &waiting());
    lab.put(1, &producer.end(true));
    let answer = reader.receive::<FetchRequest>(12).expect("an answer");
    producer.await_state(lab, "CompleteCommit");
    // The first byte to be had is the batch; how far the marker's append is told beside it is a matter of moments.
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    lab.note(if answer.responses[0].partitions[0].records.as_ref().is_some_and(|records| !records.is_empty()) {
        "it woke up to records"
    } else {
        "it woke up to nothing"
    });
}

fn by_time(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut producer = Producer::init(lab, "id");
    begin(lab, &producer, &target, 0, &["a"]);
    end(lab, &producer, true);
    producer.time += 10;
    begin(lab, &producer, &target, 1, &["b"]);
    let ask = |lab: &mut Lab| {
        for at in [lab.zero, lab.zero + 5, lab.zero + 10, lab.zero + 11, -3] {
            for isolation in [0, 1] {
                let place = if at < 0 { at } else { at - lab.zero };
                lab.note(&format!("{place}, isolation {isolation}"));
                lab.ask(7, &requests::list_offsets(&target.name, &[(0, at)], isolation));
            }
        }
    };
    lab.note("the second is open");
    ask(lab);
    lab.note("the second is aborted");
    end(lab, &producer, false);
    ask(lab);
}

fn ended_twice(lab: &mut Lab) {
    for version in [0, 1, 4] {
        for committed in [true, false] {
            lab.note(&format!("committed: {committed}"));
            let target = lab.target(&format!("topic{version}{committed}"), 1);
            let producer = Producer::init(lab, &format!("id{version}{committed}"));
            begin(lab, &producer, &target, 0, &["a"]);
            lab.ask(version, &producer.end(committed));
            lab.note("again, and the other way");
            lab.ask(version, &producer.end(committed));
            lab.ask(version, &producer.end(!committed));
            lab.note("once more");
            lab.ask(version, &producer.end(committed));
        }
    }
}

fn empty(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for version in [0, 1, 4] {
        for committed in [true, false] {
            let producer = Producer::init(lab, &format!("id{version}{committed}"));
            lab.ask(version, &producer.end(committed));
        }
    }
    lab.note("partitions that got no records");
    let producer = Producer::init(lab, "id");
    lab.ask(0, &producer.add(&target.name, &[0]));
    lab.ask(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    transactional::tell_ends(lab, &target, 0);
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
    lab.note("an unknown transactional id");
    lab.ask(1, &Producer { id: lab.name("unknown"), ..producer }.end(true));
}

/// Asks for an append to a partition that is not in the transaction.
fn refused(lab: &mut Lab, version: i16, request: &ProduceRequest) {
    let expected = transactional::not_in_transaction(version >= 11);
    lab.ask_until(version, request, |answer| answer.responses[0].partition_responses[0].error_code == expected);
}

fn not_added(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in [7, 9, 10, 11] {
        let producer = Producer::init(lab, &format!("id{version}"));
        lab.note("no transaction");
        refused(lab, version, &producer.produce(version, (&target, 0), 0, &["a"]));
        lab.note("another partition");
        lab.put(0, &producer.add(&target.name, &[1]));
        refused(lab, version, &producer.produce(version, (&target, 0), 0, &["a"]));
        lab.ask(version, &producer.produce(version, (&target, 1), 0, &["a"]));
        end(lab, &producer, false);
        lab.note("a transaction that is over");
        refused(lab, version, &producer.produce(version, (&target, 1), 1, &["a"]));
    }
    lab.note("records that are not transactional, of a producer with a transactional id");
    let producer = Producer::init(lab, "plain");
    let batch = Batch::of(lab.zero, &["a"]).by((producer.number, producer.epoch), 0).bytes();
    lab.ask(9, &requests::produce_in_transaction(9, &target, &producer.id, 0, batch.clone()));
    lab.ask(9, &requests::produce(9, &target, &[(0, batch)]));
    transactional::tell_ends(lab, &target, 0);
}

fn add_refused(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let producer = Producer::init(lab, "id");
    for version in 0..=3 {
        lab.note("two, and two again");
        lab.ask(version, &producer.add(&target.name, &[0, 1]));
        lab.note("one that does not exist beside one that does");
        lab.ask(version, &producer.add(&target.name, &[0, 5]));
        lab.ask(version, &producer.add(&lab.name("unknown"), &[0]));
        lab.note("none");
        lab.ask(version, &producer.add(&target.name, &[]));
        lab.note("an unknown transactional id, and none");
        lab.ask(version, &Producer { id: lab.name("unknown"), ..producer.clone() }.add(&target.name, &[0]));
        lab.ask(version, &Producer { id: requests::text(""), ..producer.clone() }.add(&target.name, &[0]));
        lab.note("another's producer id");
        let other = Producer { number: i64::MAX - 7, ..producer.clone() };
        lab.ask(version, &other.add(&target.name, &[0]));
    }
    lab.note("another's producer id in the other calls");
    let other = Producer { number: i64::MAX - 7, ..producer.clone() };
    lab.ask(1, &other.end(true));
    lab.ask(0, &other.add_offsets(&lab.name("group")));
    lab.ask(4, &other.init_again());
    lab.ask(4, &producer.init_again().with_producer_id(ProducerId(-1)));
}

fn several(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let producer = Producer::init(lab, "id");
    for (sequence, committed) in [(0, true), (1, false), (2, true)] {
        lab.ask(0, &producer.add(&target.name, &[0]));
        lab.ask(9, &producer.produce(9, (&target, 0), sequence, &["a"]));
        lab.ask(1, &producer.end(committed));
    }
    producer.await_state(lab, "CompleteCommit");
    lab.note("sequences go on from transaction to transaction, and duplicates are found over markers");
    lab.put(0, &producer.add(&target.name, &[0]));
    lab.ask(9, &producer.produce(9, (&target, 0), 2, &["a"]));
    lab.ask(9, &producer.produce(9, (&target, 0), 4, &["a"]));
    end(lab, &producer, true);
    tell_readers(lab, &target, 0, 0);
}

fn deleted_topic(lab: &mut Lab) {
    let (kept, deleted) = (lab.target("kept", 1), lab.target("deleted", 1));
    let producer = Producer::init(lab, "id");
    begin(lab, &producer, &kept, 0, &["a"]);
    begin(lab, &producer, &deleted, 0, &["b"]);
    lab.delete_topic("deleted");
    lab.ask(9, &producer.produce(9, (&deleted, 0), 1, &["c"]));
    lab.ask(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    tell_readers(lab, &kept, 0, 0);
    lab.note("a topic that is made again knows nothing of it");
    let again = lab.target("deleted", 1);
    transactional::tell_ends(lab, &again, 0);
}

fn many_partitions(lab: &mut Lab) {
    let (one, other) = (lab.target("one", 2), lab.target("other", 1));
    let producer = Producer::init(lab, "id");
    lab.ask(0, &producer.add(&one.name, &[0, 1]));
    lab.ask(0, &producer.add(&other.name, &[0]));
    lab.ask(9, &producer.produce(9, (&one, 0), 0, &["a"]));
    lab.ask(9, &producer.produce(9, (&other, 0), 0, &["b", "c"]));
    end(lab, &producer, true);
    for (target, partition) in [(&one, 0), (&one, 1), (&other, 0)] {
        tell_readers(lab, target, partition, 0);
    }
}
