//! Cases of transactions of librdkafka, which adds partitions explicitly before writing to them.

use kafka_protocol::messages::{FetchRequest, ProduceRequest, ProducerId};

use super::Case;
use super::batch::Batch;
use super::requests::{self, Target, read_committed};
use super::test_support::Recorder;
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("committed_transactions_are_visible", committed),
    ("fetch_lists_aborted_transactions", aborted),
    ("lso_is_the_first_open_transaction", interleaved),
    ("aborted_transactions_by_fetch_range", aborted_ranges),
    ("read_committed_fetch_completes_at_commit", wakes_up),
    ("list_offsets_by_time_with_transactions", by_time),
    ("end_txn_can_be_retried", ended_twice),
    ("end_txn_without_partitions", empty),
    ("produce_refuses_partitions_not_added", not_added),
    ("add_partitions_to_txn_is_all_or_nothing", add_refused),
    ("consecutive_transactions", several),
    ("transactions_survive_deleted_topics", deleted_topic),
    ("markers_in_many_partitions", many_partitions),
];

/// Begins a transaction on partition 0 with one batch, without recording it.
fn begin(recorder: &mut Recorder, producer: &Producer, target: &Target, sequence: i32, values: &[&str]) {
    recorder.request(0, &producer.add(&target.name, &[0]));
    let response = recorder.request(9, &producer.produce(9, (target, 0), sequence, values));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "the batch is appended");
}

fn end(recorder: &mut Recorder, producer: &Producer, committed: bool) {
    let response = recorder.request(1, &producer.end(committed));
    assert_eq!(response.error_code, 0, "the transaction ends");
    producer.await_state(recorder, if committed { "CompleteCommit" } else { "CompleteAbort" });
}

/// Records what `read_uncommitted` and `read_committed` fetches return.
fn record_fetches(recorder: &mut Recorder, target: &Target, partition: i32, from: i64) {
    let request = requests::fetch(12, target, &[(partition, from)]);
    recorder.note(&format!("uncommitted from {from}"));
    recorder.record(12, &request);
    recorder.note(&format!("committed from {from}"));
    recorder.record(12, &read_committed(request));
}

/// One transaction at each version that clients use, each with its own topic and id.
fn one_transaction(recorder: &mut Recorder, commit: bool) {
    for (add, produce, end) in [(0, 7, 0), (0, 10, 1), (3, 11, 4)] {
        let target = recorder.target(&format!("topic{end}"), 1);
        let producer = Producer::init(recorder, &format!("id{end}"));
        recorder.note("begun");
        recorder.record(add, &producer.add(&target.name, &[0]));
        recorder.record(produce, &producer.produce(produce, (&target, 0), 0, &["a", "b"]));
        recorder.request(9, &requests::produce(9, &target, &[(0, Batch::of(recorder.zero, &["plain"]).bytes())]));
        record_fetches(recorder, &target, 0, 0);
        transactional::record_ends(recorder, &target, 0);
        recorder.note("ended");
        recorder.record(end, &producer.end(commit));
        producer.await_state(recorder, if commit { "CompleteCommit" } else { "CompleteAbort" });
        record_fetches(recorder, &target, 0, 0);
        record_fetches(recorder, &target, 0, 3);
        transactional::record_ends(recorder, &target, 0);
    }
}

fn committed(recorder: &mut Recorder) {
    one_transaction(recorder, true);
}

fn aborted(recorder: &mut Recorder) {
    one_transaction(recorder, false);
    recorder.note("at other versions of fetch");
    let target = recorder.target("topic", 1);
    let producer = Producer::init(recorder, "id");
    begin(recorder, &producer, &target, 0, &["a"]);
    end(recorder, &producer, false);
    for version in [4, 11, 16, 18] {
        recorder.record(version, &read_committed(requests::fetch(version, &target, &[(0, 0)])));
    }
}

fn interleaved(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (first, second) = (Producer::init(recorder, "first"), Producer::init(recorder, "second"));
    begin(recorder, &first, &target, 0, &["first"]);
    begin(recorder, &second, &target, 0, &["second"]);
    begin(recorder, &first, &target, 1, &["first"]);
    transactional::record_ends(recorder, &target, 0);
    recorder.note("the second commits, and the first is still open");
    end(recorder, &second, true);
    transactional::record_ends(recorder, &target, 0);
    record_fetches(recorder, &target, 0, 0);
    recorder.note("the second begins another one, and the first aborts");
    begin(recorder, &second, &target, 1, &["second again"]);
    end(recorder, &first, false);
    transactional::record_ends(recorder, &target, 0);
    record_fetches(recorder, &target, 0, 0);
    recorder.note("the second commits");
    end(recorder, &second, true);
    transactional::record_ends(recorder, &target, 0);
    record_fetches(recorder, &target, 0, 0);
}

fn aborted_ranges(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let (first, second) = (Producer::init(recorder, "first"), Producer::init(recorder, "second"));
    // Offsets: first 0-1, second 2, first's abort 3, second 4, second's abort 5, first 6, commit 7, second 8, abort 9.
    begin(recorder, &first, &target, 0, &["a", "b"]);
    begin(recorder, &second, &target, 0, &["c"]);
    end(recorder, &first, false);
    begin(recorder, &second, &target, 1, &["d"]);
    end(recorder, &second, false);
    begin(recorder, &first, &target, 2, &["e"]);
    end(recorder, &first, true);
    begin(recorder, &second, &target, 2, &["f"]);
    end(recorder, &second, false);
    for from in 0..=10 {
        recorder.note(&format!("from {from}"));
        recorder.record(12, &read_committed(requests::fetch(12, &target, &[(0, from)])));
    }
    recorder.note("from 0, one batch only");
    let mut request = read_committed(requests::fetch(12, &target, &[(0, 0)]));
    request.topics[0].partitions[0].partition_max_bytes = 1;
    recorder.record(12, &request);
    recorder.note("after the first records were deleted");
    recorder.request(2, &requests::delete_records(&target.name, &[(0, 4)]));
    recorder.record(12, &read_committed(requests::fetch(12, &target, &[(0, 4)])));
    transactional::record_ends(recorder, &target, 0);
}

fn wakes_up(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let producer = Producer::init(recorder, "id");
    begin(recorder, &producer, &target, 0, &["a"]);
    let waiting =
        || read_committed(requests::fetch(12, &target, &[(0, 0)])).with_min_bytes(1).with_max_wait_ms(600_000);
    let mut reader = recorder.connect();
    reader.send(12, &waiting());
    recorder.request(1, &producer.end(true));
    let response = reader.receive::<FetchRequest>(12).expect("a response");
    producer.await_state(recorder, "CompleteCommit");
    // The fetch completes with the batch; whether the response already has the marker depends on timing.
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    recorder.note(if response.responses[0].partitions[0].records.as_ref().is_some_and(|records| !records.is_empty()) {
        "it woke up to records"
    } else {
        "it woke up to nothing"
    });
}

fn by_time(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut producer = Producer::init(recorder, "id");
    begin(recorder, &producer, &target, 0, &["a"]);
    end(recorder, &producer, true);
    producer.time += 10;
    begin(recorder, &producer, &target, 1, &["b"]);
    let record = |recorder: &mut Recorder| {
        for at in [recorder.zero, recorder.zero + 5, recorder.zero + 10, recorder.zero + 11, -3] {
            for isolation in [0, 1] {
                let timestamp = if at < 0 { at } else { at - recorder.zero };
                recorder.note(&format!("{timestamp}, isolation {isolation}"));
                recorder.record(7, &requests::list_offsets(&target.name, &[(0, at)], isolation));
            }
        }
    };
    recorder.note("the second is open");
    record(recorder);
    recorder.note("the second is aborted");
    end(recorder, &producer, false);
    record(recorder);
}

fn ended_twice(recorder: &mut Recorder) {
    for version in [0, 1, 4] {
        for committed in [true, false] {
            recorder.note(&format!("committed: {committed}"));
            let target = recorder.target(&format!("topic{version}{committed}"), 1);
            let producer = Producer::init(recorder, &format!("id{version}{committed}"));
            begin(recorder, &producer, &target, 0, &["a"]);
            recorder.record(version, &producer.end(committed));
            recorder.note("again, and the other way");
            recorder.record(version, &producer.end(committed));
            recorder.record(version, &producer.end(!committed));
            recorder.note("once more");
            recorder.record(version, &producer.end(committed));
        }
    }
}

fn empty(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for version in [0, 1, 4] {
        for committed in [true, false] {
            let producer = Producer::init(recorder, &format!("id{version}{committed}"));
            recorder.record(version, &producer.end(committed));
        }
    }
    recorder.note("partitions that got no records");
    let producer = Producer::init(recorder, "id");
    recorder.record(0, &producer.add(&target.name, &[0]));
    recorder.record(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    transactional::record_ends(recorder, &target, 0);
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
    recorder.note("an unknown transactional id");
    recorder.record(1, &Producer { id: recorder.name("unknown"), ..producer }.end(true));
}

/// Records the error of a produce request to a partition that is not in the transaction.
fn refused(recorder: &mut Recorder, version: i16, request: &ProduceRequest) {
    let expected = transactional::not_in_transaction(version >= 11);
    recorder
        .record_until(version, request, |response| response.responses[0].partition_responses[0].error_code == expected);
}

fn not_added(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in [7, 9, 10, 11] {
        let producer = Producer::init(recorder, &format!("id{version}"));
        recorder.note("no transaction");
        refused(recorder, version, &producer.produce(version, (&target, 0), 0, &["a"]));
        recorder.note("another partition");
        recorder.request(0, &producer.add(&target.name, &[1]));
        refused(recorder, version, &producer.produce(version, (&target, 0), 0, &["a"]));
        recorder.record(version, &producer.produce(version, (&target, 1), 0, &["a"]));
        end(recorder, &producer, false);
        recorder.note("a transaction that is over");
        refused(recorder, version, &producer.produce(version, (&target, 1), 1, &["a"]));
    }
    recorder.note("records that are not transactional, of a producer with a transactional id");
    let producer = Producer::init(recorder, "plain");
    let batch = Batch::of(recorder.zero, &["a"]).by((producer.number, producer.epoch), 0).bytes();
    recorder.record(9, &requests::produce_in_transaction(9, &target, &producer.id, 0, batch.clone()));
    recorder.record(9, &requests::produce(9, &target, &[(0, batch)]));
    transactional::record_ends(recorder, &target, 0);
}

fn add_refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let producer = Producer::init(recorder, "id");
    for version in 0..=3 {
        recorder.note("two, and two again");
        recorder.record(version, &producer.add(&target.name, &[0, 1]));
        recorder.note("one that does not exist with one that does");
        recorder.record(version, &producer.add(&target.name, &[0, 5]));
        recorder.record(version, &producer.add(&recorder.name("unknown"), &[0]));
        recorder.note("none");
        recorder.record(version, &producer.add(&target.name, &[]));
        recorder.note("an unknown transactional id, and none");
        recorder
            .record(version, &Producer { id: recorder.name("unknown"), ..producer.clone() }.add(&target.name, &[0]));
        recorder.record(version, &Producer { id: requests::text(""), ..producer.clone() }.add(&target.name, &[0]));
        recorder.note("another's producer id");
        let other = Producer { number: i64::MAX - 7, ..producer.clone() };
        recorder.record(version, &other.add(&target.name, &[0]));
    }
    recorder.note("another's producer id in the other calls");
    let other = Producer { number: i64::MAX - 7, ..producer.clone() };
    recorder.record(1, &other.end(true));
    recorder.record(0, &other.add_offsets(&recorder.name("group")));
    recorder.record(4, &other.init_again());
    recorder.record(4, &producer.init_again().with_producer_id(ProducerId(-1)));
}

fn several(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let producer = Producer::init(recorder, "id");
    for (sequence, committed) in [(0, true), (1, false), (2, true)] {
        recorder.record(0, &producer.add(&target.name, &[0]));
        recorder.record(9, &producer.produce(9, (&target, 0), sequence, &["a"]));
        recorder.record(1, &producer.end(committed));
    }
    producer.await_state(recorder, "CompleteCommit");
    recorder.note("sequences go on from transaction to transaction, and duplicates are found over markers");
    recorder.request(0, &producer.add(&target.name, &[0]));
    recorder.record(9, &producer.produce(9, (&target, 0), 2, &["a"]));
    recorder.record(9, &producer.produce(9, (&target, 0), 4, &["a"]));
    end(recorder, &producer, true);
    record_fetches(recorder, &target, 0, 0);
}

fn deleted_topic(recorder: &mut Recorder) {
    let (kept, deleted) = (recorder.target("kept", 1), recorder.target("deleted", 1));
    let producer = Producer::init(recorder, "id");
    begin(recorder, &producer, &kept, 0, &["a"]);
    begin(recorder, &producer, &deleted, 0, &["b"]);
    recorder.delete_topic("deleted");
    recorder.record(9, &producer.produce(9, (&deleted, 0), 1, &["c"]));
    recorder.record(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    record_fetches(recorder, &kept, 0, 0);
    recorder.note("a topic that is made again knows nothing of it");
    let again = recorder.target("deleted", 1);
    transactional::record_ends(recorder, &again, 0);
}

fn many_partitions(recorder: &mut Recorder) {
    let (one, other) = (recorder.target("one", 2), recorder.target("other", 1));
    let producer = Producer::init(recorder, "id");
    recorder.record(0, &producer.add(&one.name, &[0, 1]));
    recorder.record(0, &producer.add(&other.name, &[0]));
    recorder.record(9, &producer.produce(9, (&one, 0), 0, &["a"]));
    recorder.record(9, &producer.produce(9, (&other, 0), 0, &["b", "c"]));
    end(recorder, &producer, true);
    for (target, partition) in [(&one, 0), (&one, 1), (&other, 0)] {
        record_fetches(recorder, target, partition, 0);
    }
}
