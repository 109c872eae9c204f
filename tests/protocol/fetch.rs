//! Owns the cases about reading: where from, how much, how long to wait, and what is refused.

use kafka_protocol::messages::FetchRequest;
use uuid::Uuid;

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests::{self, Target};

pub const CASES: &[Case] = &[
    ("fetch_gives_whole_batches_from_any_offset", positions),
    ("fetch_beyond_either_end_is_out_of_range", out_of_range),
    ("fetch_of_unknown_topics_and_partitions_is_refused", unknown),
    ("fetch_gives_a_batch_however_small_the_limits", limits),
    ("fetch_at_the_end_waits_and_answers_empty", empty),
    ("fetch_at_the_end_wakes_up_for_new_records", wakes_up),
    ("fetch_waits_for_its_minimum_over_all_partitions", minimum),
    ("fetch_does_not_wait_with_errors", errors_at_once),
    ("fetch_waits_beside_partitions_that_do_not_exist", waits_beside_unknown),
    ("fetch_holds_leader_epochs_against_its_own", leader_epochs),
    ("fetch_sessions_that_do_not_exist_are_refused", sessions),
    ("fetch_of_a_deleted_topic_is_refused", deleted_topic),
];

/// kafka-python's, kcat's, the last with names, confluent-kafka's, and the newest.
const VERSIONS: [i16; 5] = [4, 11, 12, 16, 18];

/// Appends batches of two records each: offsets 0 and 1, 2 and 3, and so on.
fn fill(lab: &mut Lab, target: &Target, partition: i32, batches: usize) {
    for _ in 0..batches {
        let batch = Batch::of(lab.zero, &["a", "b"]).bytes();
        lab.put(9, &requests::produce(9, target, &[(partition, batch)]));
    }
}

fn positions(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 3);
    for version in VERSIONS {
        for offset in [0, 3, 6] {
            lab.note(&format!("from {offset}"));
            lab.ask(version, &requests::fetch(version, &target, &[(0, offset)]));
        }
    }
}

fn out_of_range(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 3);
    lab.put(2, &requests::delete_records(&target.name, &[(0, 3)]));
    for version in VERSIONS {
        for offset in [7, 2, 0, -1] {
            lab.note(&format!("from {offset}"));
            lab.ask(version, &requests::fetch(version, &target, &[(0, offset)]));
        }
    }
    lab.note("from the start, in the middle of a batch");
    lab.ask(12, &requests::fetch(12, &target, &[(0, 3)]));
}

fn unknown(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 1);
    for id in [Uuid::from_u128(0xABCD), Uuid::nil()] {
        let unknown = Target { name: lab.name("unknown"), id };
        for version in VERSIONS {
            lab.ask(version, &requests::fetch(version, &unknown, &[(0, 0)]));
        }
    }
    for version in VERSIONS {
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0), (5, 0)]));
    }
    lab.note("no topics");
    for version in VERSIONS {
        let mut request = requests::fetch(version, &target, &[]);
        request.topics.clear();
        lab.ask(version, &request);
    }
}

fn limits(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    fill(lab, &target, 0, 3);
    fill(lab, &target, 1, 3);
    let all = [(0, 0), (1, 0)];
    let limited = |version, partition: i32, whole: i32| {
        let mut request = requests::fetch(version, &target, &all).with_max_bytes(whole);
        for asked in &mut request.topics[0].partitions {
            asked.partition_max_bytes = partition;
        }
        request
    };
    let one = i32::try_from(Batch::of(lab.zero, &["a", "b"]).bytes().len()).expect("a length");
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
            lab.note(what);
            lab.ask(version, &limited(version, partition, whole));
        }
    }
}

fn waiting(version: i16, target: &Target, from: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    requests::fetch(version, target, from).with_min_bytes(1).with_max_wait_ms(max_wait_ms)
}

fn empty(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    lab.note("a new topic");
    for version in VERSIONS {
        lab.ask(version, &waiting(version, &target, &[(0, 0), (1, 0)], 10));
    }
    fill(lab, &target, 0, 1);
    lab.note("at the end of one, and at the start of the other");
    for version in VERSIONS {
        lab.ask(version, &waiting(version, &target, &[(0, 2), (1, 0)], 10));
    }
}

fn wakes_up(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in VERSIONS {
        let end = requests::first_offset(&lab.put(7, &requests::list_offsets(&target.name, &[(0, -1)], 0)));
        let mut reader = lab.connect();
        reader.send(version, &waiting(version, &target, &[(0, end), (1, 0)], 600_000));
        fill(lab, &target, 0, 1);
        let answer = reader.receive::<FetchRequest>(version).expect("an answer");
        lab.tell_answer::<FetchRequest>(version, &answer);
    }
}

fn minimum(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let one = i32::try_from(Batch::of(lab.zero, &["a", "b"]).bytes().len()).expect("a length");
    let waiting = waiting(12, &target, &[(0, 0), (1, 0)], 600_000);
    fill(lab, &target, 0, 1);
    lab.note("the minimum is there");
    lab.ask(12, &waiting.clone().with_min_bytes(one));
    lab.note("it comes in two partitions");
    let mut reader = lab.connect();
    reader.send(12, &waiting.with_min_bytes(3 * one));
    fill(lab, &target, 1, 1);
    fill(lab, &target, 0, 1);
    let answer = reader.receive::<FetchRequest>(12).expect("an answer");
    lab.tell_answer::<FetchRequest>(12, &answer);
}

fn errors_at_once(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in VERSIONS {
        lab.ask(version, &waiting(version, &target, &[(5, 0)], 600_000));
        lab.ask(version, &waiting(version, &target, &[(0, 0), (1, 7)], 600_000));
        lab.note("a partition that does not exist does not end the wait for another");
        lab.ask(version, &waiting(version, &target, &[(0, 0), (5, 0)], 10));
    }
}

/// What does not exist is told when the wait is over, and does not end it.
fn waits_beside_unknown(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let unknown = Target { name: lab.name("unknown"), id: Uuid::from_u128(0xABCD) };
    for version in VERSIONS {
        for what in ["a partition that does not exist", "a topic that does not exist"] {
            let end = requests::first_offset(&lab.put(7, &requests::list_offsets(&target.name, &[(0, -1)], 0)));
            lab.note(what);
            let mut beside = waiting(version, &target, &[(0, end)], 600_000);
            if what.starts_with("a topic") {
                beside.topics.extend(waiting(version, &unknown, &[(0, 0)], 600_000).topics);
            } else {
                beside = waiting(version, &target, &[(0, end), (5, 0)], 600_000);
            }
            let mut reader = lab.connect();
            reader.send(version, &beside);
            fill(lab, &target, 0, 1);
            let answer = reader.receive::<FetchRequest>(version).expect("an answer");
            lab.tell_answer::<FetchRequest>(version, &answer);
        }
    }
}

fn leader_epochs(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 1);
    for version in [9, 12, 18] {
        for epoch in [-1, 0, 1, -2] {
            lab.note(&format!("current leader epoch {epoch}"));
            let mut request = requests::fetch(version, &target, &[(0, 0)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            lab.ask(version, &request);
        }
    }
    for epoch in [0, 1] {
        lab.note(&format!("last fetched epoch {epoch}"));
        let mut request = requests::fetch(12, &target, &[(0, 1)]);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        lab.ask(12, &request);
    }
}

fn sessions(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 1);
    for version in [7, 11, 12, 18] {
        lab.note("a first request of a session is answered like one without");
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0)]).with_session_epoch(0));
        lab.note("sessions that do not exist");
        for (id, epoch) in [(123_456_789, 1), (0, 1), (123_456_789, 0), (123_456_789, -1)] {
            let request = requests::fetch(version, &target, &[(0, 0)]).with_session_id(id).with_session_epoch(epoch);
            lab.ask(version, &request);
        }
    }
}

fn deleted_topic(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    fill(lab, &target, 0, 1);
    lab.delete_topic("topic");
    for version in VERSIONS {
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
    lab.note("a new topic of the name has another id");
    lab.target("topic", 1);
    for version in VERSIONS {
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
}
