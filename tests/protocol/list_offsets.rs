//! Cases of offset lookup: start, end, timestamp and leader epoch.

use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest, TopicName};

use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::batch::Batch;
use super::requests;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("list_offsets_of_an_empty_partition", empty),
    ("list_offsets_finds_both_ends", ends),
    ("list_offsets_by_timestamp", times),
    ("list_offsets_finds_the_largest_timestamp", largest),
    ("list_offsets_after_delete_records", after_delete_records),
    ("list_offsets_refuses_unknown_partitions", refused),
    ("offset_for_leader_epoch_at_every_version", leader_epoch),
];

/// Versions of kafka-python, kcat, one in between, confluent-kafka, and Java.
const VERSIONS: [i16; 5] = [1, 2, 5, 7, 10];

fn empty(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for version in VERSIONS {
        for at in [-2, -1, 0, recorder.zero] {
            let what = if at > 0 { "a time".to_owned() } else { at.to_string() };
            recorder.note(&what);
            recorder.record(version, &requests::list_offsets(&target.name, &[(0, at)], 0));
        }
    }
    recorder.note("-3");
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -3)], 0));
}

fn ends(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let batch = Batch::of(recorder.zero, &["a", "b", "c"]).bytes();
    recorder.request(9, &requests::produce(9, &target, &[(1, batch)]));
    for version in VERSIONS {
        for at in [-2, -1] {
            recorder.note(&at.to_string());
            recorder.record(version, &requests::list_offsets(&target.name, &[(0, at), (1, at)], 0));
        }
    }
    recorder.note("read committed");
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -1), (1, -1)], 1));
    recorder.note("the local log, and what is tiered");
    recorder.record(10, &requests::list_offsets(&target.name, &[(1, -4)], 0));
    recorder.record(10, &requests::list_offsets(&target.name, &[(1, -5)], 0));
    recorder.note("below the versions that know them");
    recorder.record(5, &requests::list_offsets(&target.name, &[(1, -3)], 0));
    recorder.record(7, &requests::list_offsets(&target.name, &[(1, -4)], 0));
    recorder.record(8, &requests::list_offsets(&target.name, &[(1, -5)], 0));
    recorder.note("no such place");
    recorder.record(10, &requests::list_offsets(&target.name, &[(1, -6)], 0));
    recorder.record(10, &requests::list_offsets(&target.name, &[(1, -99)], 0));
}

fn times(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let zero = recorder.zero;
    let batches = [
        Batch::timed(&[zero, zero + 10, zero + 20], &["a", "b", "c"]),
        // Timestamps may decrease; the first offset with the timestamp or a later one counts.
        Batch::timed(&[zero + 15, zero + 50, zero + 40], &["d", "e", "f"]),
        Batch::timed(&[zero + 30], &["g"]),
    ];
    for batch in batches {
        recorder.request(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    }
    for version in [1, 10] {
        for after in [-5, 0, 5, 10, 15, 20, 21, 30, 40, 45, 50, 51] {
            recorder.note(&format!("t{after:+}"));
            recorder.record(version, &requests::list_offsets(&target.name, &[(0, zero + after)], 0));
        }
    }
    recorder.note("time 0");
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, 0)], 0));
}

fn largest(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let zero = recorder.zero;
    for (times, values) in [
        (&[zero, zero + 10, zero + 5][..], &["a", "b", "c"][..]),
        (&[zero + 10, zero + 3], &["d", "e"]),
        (&[zero + 2, zero + 20, zero + 20], &["f", "g", "h"]),
        (&[zero + 20], &["i"]),
    ] {
        let batch = Batch::timed(times, values).bytes();
        recorder.request(9, &requests::produce(9, &target, &[(0, batch)]));
        for version in [7, 10] {
            recorder.record(version, &requests::list_offsets(&target.name, &[(0, -3)], 0));
        }
    }
    recorder.note("read committed");
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -3)], 1));
    recorder.note("all alike");
    let target = recorder.target("alike", 1);
    let batch = Batch::of(zero, &["a", "b", "c"]).bytes();
    recorder.request(9, &requests::produce(9, &target, &[(0, batch)]));
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -3)], 0));
}

fn after_delete_records(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let zero = recorder.zero;
    for first in [0, 3] {
        let batch = Batch::timed(&[zero + first, zero + first + 1, zero + first + 2], &["a", "b", "c"]).bytes();
        recorder.request(9, &requests::produce(9, &target, &[(0, batch)]));
    }
    for before in [2, 4, -1] {
        recorder.request(2, &requests::delete_records(&target.name, &[(0, before)]));
        for at in [-2, -1, -3, zero, zero + 2, zero + 5] {
            recorder.note(&format!("deleted before {before}; {}", if at < 0 { at } else { at - zero }));
            recorder.record(7, &requests::list_offsets(&target.name, &[(0, at)], 0));
        }
    }
}

fn refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let unknown = recorder.name("unknown");
    for version in VERSIONS {
        recorder.record(version, &requests::list_offsets(&unknown, &[(0, -1)], 0));
        recorder.record(version, &requests::list_offsets(&target.name, &[(0, -1), (5, -1)], 0));
    }
    for version in [4, 10] {
        for epoch in [0, 1, -2] {
            recorder.note(&format!("current leader epoch {epoch}"));
            let mut request = requests::list_offsets(&target.name, &[(0, -1)], 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            recorder.record(version, &request);
        }
    }
    recorder.note("the same partition twice");
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, -1), (0, -2)], 0));
}

fn leader_epoch(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let batch = Batch::of(recorder.zero, &["a", "b", "c"]).bytes();
    recorder.request(9, &requests::produce(9, &target, &[(0, batch)]));
    let epoch_request = |name: &StrBytes, partition, current, epoch| {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic =
            OffsetForLeaderTopic::default().with_topic(TopicName(name.clone())).with_partitions(vec![partition]);
        OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
    };
    for version in [2, 3, 4] {
        for partition in [0, 1] {
            for (current, epoch) in [(-1, 0), (0, 0), (-1, 1), (-1, -1), (1, 0), (-2, 0)] {
                recorder.note(&format!("partition {partition}, current leader epoch {current}, epoch {epoch}"));
                recorder.record(version, &epoch_request(&target.name, partition, current, epoch));
            }
        }
    }
    recorder.note("unknown");
    recorder.record(4, &epoch_request(&target.name, 5, -1, 0));
    recorder.record(4, &epoch_request(&recorder.name("unknown"), 0, -1, 0));
}
