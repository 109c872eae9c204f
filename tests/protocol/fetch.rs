//! Cases of `Fetch`: offsets, limits, waiting, sessions and errors.

use kafka_protocol::messages::FetchRequest;
use uuid::Uuid;

use super::Case;
use super::batch::Batch;
use super::requests::{self, Target};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("fetch_returns_whole_batches", positions),
    ("fetch_out_of_range", out_of_range),
    ("fetch_refuses_unknown_partitions", unknown),
    ("fetch_returns_a_batch_despite_small_limits", limits),
    ("fetch_at_the_end_times_out_empty", empty),
    ("fetch_at_the_end_returns_new_records", wakes_up),
    ("fetch_min_bytes_counts_all_partitions", minimum),
    ("fetch_returns_errors_at_once", errors_at_once),
    ("fetch_waits_despite_unknown_partitions", waits_despite_unknown),
    ("fetch_checks_leader_epochs", leader_epochs),
    ("fetch_refuses_unknown_sessions", sessions),
    ("fetch_refuses_deleted_topics", deleted_topic),
];

/// Versions of kafka-python, kcat, the last one with topic names, confluent-kafka, and the newest.
const VERSIONS: [i16; 5] = [4, 11, 12, 16, 18];

/// Appends batches of two records each.
fn fill(recorder: &mut Recorder, target: &Target, partition: i32, batches: usize) {
    for _ in 0..batches {
        let batch = Batch::of(recorder.zero, &["a", "b"]).bytes();
        recorder.request(9, &requests::produce(9, target, &[(partition, batch)]));
    }
}

fn positions(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 3);
    for version in VERSIONS {
        for offset in [0, 3, 6] {
            recorder.note(&format!("from {offset}"));
            recorder.record(version, &requests::fetch(version, &target, &[(0, offset)]));
        }
    }
}

fn out_of_range(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 3);
    recorder.request(2, &requests::delete_records(&target.name, &[(0, 3)]));
    for version in VERSIONS {
        for offset in [7, 2, 0, -1] {
            recorder.note(&format!("from {offset}"));
            recorder.record(version, &requests::fetch(version, &target, &[(0, offset)]));
        }
    }
    recorder.note("from the start, in the middle of a batch");
    recorder.record(12, &requests::fetch(12, &target, &[(0, 3)]));
}

fn unknown(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 1);
    for id in [Uuid::from_u128(0xABCD), Uuid::nil()] {
        let unknown = Target { name: recorder.name("unknown"), id };
        for version in VERSIONS {
            recorder.record(version, &requests::fetch(version, &unknown, &[(0, 0)]));
        }
    }
    for version in VERSIONS {
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0), (5, 0)]));
    }
    recorder.note("no topics");
    for version in VERSIONS {
        let mut request = requests::fetch(version, &target, &[]);
        request.topics.clear();
        recorder.record(version, &request);
    }
}

fn limits(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    fill(recorder, &target, 0, 3);
    fill(recorder, &target, 1, 3);
    let all = [(0, 0), (1, 0)];
    let limited = |version, partition: i32, whole: i32| {
        let mut request = requests::fetch(version, &target, &all).with_max_bytes(whole);
        for partition_request in &mut request.topics[0].partitions {
            partition_request.partition_max_bytes = partition;
        }
        request
    };
    let one = i32::try_from(Batch::of(recorder.zero, &["a", "b"]).bytes().len()).expect("a length");
    for (what, partition, whole) in [
        ("a byte of each partition", 1, 1 << 20),
        ("no byte", 0, 0),
        ("a byte in all", 1 << 20, 1),
        ("a batch of each partition", one, 1 << 20),
        ("two batches of each partition", 2 * one, 1 << 20),
        ("four batches in all", 1 << 20, 4 * one),
        ("five batches in all, two of each partition", 2 * one, 5 * one),
    ] {
        for version in [4, 18] {
            recorder.note(what);
            recorder.record(version, &limited(version, partition, whole));
        }
    }
}

fn waiting(version: i16, target: &Target, from: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    requests::fetch(version, target, from).with_min_bytes(1).with_max_wait_ms(max_wait_ms)
}

fn empty(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    recorder.note("a new topic");
    for version in VERSIONS {
        recorder.record(version, &waiting(version, &target, &[(0, 0), (1, 0)], 10));
    }
    fill(recorder, &target, 0, 1);
    recorder.note("at the end of one, and at the start of the other");
    for version in VERSIONS {
        recorder.record(version, &waiting(version, &target, &[(0, 2), (1, 0)], 10));
    }
}

fn wakes_up(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in VERSIONS {
        let end = requests::first_offset(&recorder.request(7, &requests::list_offsets(&target.name, &[(0, -1)], 0)));
        let mut reader = recorder.connect();
        reader.send(version, &waiting(version, &target, &[(0, end), (1, 0)], 600_000));
        fill(recorder, &target, 0, 1);
        let response = reader.receive::<FetchRequest>(version).expect("a response");
        recorder.record_response::<FetchRequest>(version, &response);
    }
}

fn minimum(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let one = i32::try_from(Batch::of(recorder.zero, &["a", "b"]).bytes().len()).expect("a length");
    let waiting = waiting(12, &target, &[(0, 0), (1, 0)], 600_000);
    fill(recorder, &target, 0, 1);
    recorder.note("the minimum is there");
    recorder.record(12, &waiting.clone().with_min_bytes(one));
    recorder.note("it comes in two partitions");
    let mut reader = recorder.connect();
    reader.send(12, &waiting.with_min_bytes(3 * one));
    fill(recorder, &target, 1, 1);
    fill(recorder, &target, 0, 1);
    let response = reader.receive::<FetchRequest>(12).expect("a response");
    recorder.record_response::<FetchRequest>(12, &response);
}

fn errors_at_once(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in VERSIONS {
        recorder.record(version, &waiting(version, &target, &[(5, 0)], 600_000));
        recorder.record(version, &waiting(version, &target, &[(0, 0), (1, 7)], 600_000));
        recorder.note("a partition that does not exist does not end the wait for another");
        recorder.record(version, &waiting(version, &target, &[(0, 0), (5, 0)], 10));
    }
}

/// Unknown partitions do not end the wait; the response has their errors when the wait is over.
fn waits_despite_unknown(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let unknown = Target { name: recorder.name("unknown"), id: Uuid::from_u128(0xABCD) };
    for version in VERSIONS {
        for what in ["a partition that does not exist", "a topic that does not exist"] {
            let end =
                requests::first_offset(&recorder.request(7, &requests::list_offsets(&target.name, &[(0, -1)], 0)));
            recorder.note(what);
            let mut request = waiting(version, &target, &[(0, end)], 600_000);
            if what.starts_with("a topic") {
                request.topics.extend(waiting(version, &unknown, &[(0, 0)], 600_000).topics);
            } else {
                request = waiting(version, &target, &[(0, end), (5, 0)], 600_000);
            }
            let mut reader = recorder.connect();
            reader.send(version, &request);
            fill(recorder, &target, 0, 1);
            let response = reader.receive::<FetchRequest>(version).expect("a response");
            recorder.record_response::<FetchRequest>(version, &response);
        }
    }
}

fn leader_epochs(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 1);
    for version in [9, 12, 18] {
        for epoch in [-1, 0, 1, -2] {
            recorder.note(&format!("current leader epoch {epoch}"));
            let mut request = requests::fetch(version, &target, &[(0, 0)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            recorder.record(version, &request);
        }
    }
    for epoch in [0, 1] {
        recorder.note(&format!("last fetched epoch {epoch}"));
        let mut request = requests::fetch(12, &target, &[(0, 1)]);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        recorder.record(12, &request);
    }
}

fn sessions(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 1);
    for version in [7, 11, 12, 18] {
        recorder.note("a first request of a session is answered like one without");
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0)]).with_session_epoch(0));
        recorder.note("sessions that do not exist");
        for (id, epoch) in [(123_456_789, 1), (0, 1), (123_456_789, 0), (123_456_789, -1)] {
            let request = requests::fetch(version, &target, &[(0, 0)]).with_session_id(id).with_session_epoch(epoch);
            recorder.record(version, &request);
        }
    }
}

fn deleted_topic(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    fill(recorder, &target, 0, 1);
    recorder.delete_topic("topic");
    for version in VERSIONS {
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
    recorder.note("a new topic of the name has another id");
    recorder.target("topic", 1);
    for version in VERSIONS {
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
}
