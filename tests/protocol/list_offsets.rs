//! Owns the cases about finding offsets: by place, by time, by leader epoch.

use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest, TopicName};

use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests;

pub const CASES: &[Case] = &[
    ("list_offsets_of_an_empty_partition", empty),
    ("list_offsets_finds_both_ends", ends),
    ("list_offsets_finds_the_first_record_at_or_after_a_time", times),
    ("list_offsets_finds_the_largest_timestamp", largest),
    ("list_offsets_after_delete_records", after_delete_records),
    ("list_offsets_refuses_what_it_does_not_know", refused),
    ("offset_for_leader_epoch_tells_where_an_epoch_ends", leader_epoch),
];

/// kafka-python's, kcat's, in between, confluent-kafka's, and Java's.
const VERSIONS: [i16; 5] = [1, 2, 5, 7, 10];

fn empty(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for version in VERSIONS {
        for at in [-2, -1, 0, lab.zero] {
            let what = if at > 0 { "a time".to_owned() } else { at.to_string() };
            lab.note(&what);
            lab.ask(version, &requests::list_offsets(&target.name, &[(0, at)], 0));
        }
    }
    lab.note("-3");
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -3)], 0));
}

fn ends(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let batch = Batch::of(lab.zero, &["a", "b", "c"]).bytes();
    lab.put(9, &requests::produce(9, &target, &[(1, batch)]));
    for version in VERSIONS {
        for at in [-2, -1] {
            lab.note(&at.to_string());
            lab.ask(version, &requests::list_offsets(&target.name, &[(0, at), (1, at)], 0));
        }
    }
    lab.note("read committed");
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -1), (1, -1)], 1));
    lab.note("the local log, and what is tiered");
    lab.ask(10, &requests::list_offsets(&target.name, &[(1, -4)], 0));
    lab.ask(10, &requests::list_offsets(&target.name, &[(1, -5)], 0));
    lab.note("below the versions that know them");
    lab.ask(5, &requests::list_offsets(&target.name, &[(1, -3)], 0));
    lab.ask(7, &requests::list_offsets(&target.name, &[(1, -4)], 0));
    lab.ask(8, &requests::list_offsets(&target.name, &[(1, -5)], 0));
    lab.note("no such place");
    lab.ask(10, &requests::list_offsets(&target.name, &[(1, -6)], 0));
    lab.ask(10, &requests::list_offsets(&target.name, &[(1, -99)], 0));
}

fn times(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let zero = lab.zero;
    let batches = [
        Batch::timed(&[zero, zero + 10, zero + 20], &["a", "b", "c"]),
        // Later records may be older: the first offset with the time or a later one is meant.
        Batch::timed(&[zero + 15, zero + 50, zero + 40], &["d", "e", "f"]),
        Batch::timed(&[zero + 30], &["g"]),
    ];
    for batch in batches {
        lab.put(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    }
    for version in [1, 10] {
        for after in [-5, 0, 5, 10, 15, 20, 21, 30, 40, 45, 50, 51] {
            lab.note(&format!("t{after:+}"));
            lab.ask(version, &requests::list_offsets(&target.name, &[(0, zero + after)], 0));
        }
    }
    lab.note("time 0");
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, 0)], 0));
}

fn largest(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let zero = lab.zero;
    for (times, values) in [
        (&[zero, zero + 10, zero + 5][..], &["a", "b", "c"][..]),
        (&[zero + 10, zero + 3], &["d", "e"]),
        (&[zero + 2, zero + 20, zero + 20], &["f", "g", "h"]),
        (&[zero + 20], &["i"]),
    ] {
        let batch = Batch::timed(times, values).bytes();
        lab.put(9, &requests::produce(9, &target, &[(0, batch)]));
        for version in [7, 10] {
            lab.ask(version, &requests::list_offsets(&target.name, &[(0, -3)], 0));
        }
    }
    lab.note("read committed");
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -3)], 1));
    lab.note("all alike");
    let target = lab.target("alike", 1);
    let batch = Batch::of(zero, &["a", "b", "c"]).bytes();
    lab.put(9, &requests::produce(9, &target, &[(0, batch)]));
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -3)], 0));
}

fn after_delete_records(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let zero = lab.zero;
    for first in [0, 3] {
        let batch = Batch::timed(&[zero + first, zero + first + 1, zero + first + 2], &["a", "b", "c"]).bytes();
        lab.put(9, &requests::produce(9, &target, &[(0, batch)]));
    }
    for before in [2, 4, -1] {
        lab.put(2, &requests::delete_records(&target.name, &[(0, before)]));
        for at in [-2, -1, -3, zero, zero + 2, zero + 5] {
            lab.note(&format!("deleted before {before}; {}", if at < 0 { at } else { at - zero }));
            lab.ask(7, &requests::list_offsets(&target.name, &[(0, at)], 0));
        }
    }
}

fn refused(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let unknown = lab.name("unknown");
    for version in VERSIONS {
        lab.ask(version, &requests::list_offsets(&unknown, &[(0, -1)], 0));
        lab.ask(version, &requests::list_offsets(&target.name, &[(0, -1), (5, -1)], 0));
    }
    for version in [4, 10] {
        for epoch in [0, 1, -2] {
            lab.note(&format!("current leader epoch {epoch}"));
            let mut request = requests::list_offsets(&target.name, &[(0, -1)], 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            lab.ask(version, &request);
        }
    }
    lab.note("the same partition twice");
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, -1), (0, -2)], 0));
}

fn leader_epoch(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let batch = Batch::of(lab.zero, &["a", "b", "c"]).bytes();
    lab.put(9, &requests::produce(9, &target, &[(0, batch)]));
    let ask = |name: &StrBytes, partition, current, epoch| {
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
                lab.note(&format!("partition {partition}, current leader epoch {current}, epoch {epoch}"));
                lab.ask(version, &ask(&target.name, partition, current, epoch));
            }
        }
    }
    lab.note("unknown");
    lab.ask(4, &ask(&target.name, 5, -1, 0));
    lab.ask(4, &ask(&lab.name("unknown"), 0, -1, 0));
}
