//! Cases of `Produce` without a producer id: offsets, acks, validation and limits.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;

use super::Case;
use super::batch::{self, Batch};
use super::requests::{self, Target, text};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("produce_returns_the_base_offset", offsets),
    ("produce_with_acks_0_has_no_response", no_acks),
    ("produce_refuses_invalid_acks", impossible_acks),
    ("produce_refuses_unknown_partitions", unknown_topics),
    ("produce_refuses_corrupt_batches", corrupt),
    ("produce_refuses_large_batches", too_large),
    ("produce_refuses_timestamps_out_of_range", timestamps),
    ("compacted_topics_refuse_null_keys", compacted),
    ("log_append_time_replaces_timestamps", log_append_time),
    ("partitions_fail_independently", one_refused),
];

/// The lowest version, kcat, confluent-kafka, the last one with topic names, and one with topic ids.
const VERSIONS: [i16; 5] = [3, 7, 10, 12, 13];

fn offsets(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    for version in VERSIONS {
        let batches =
            [(0, Batch::of(recorder.zero, &["a", "b", "c"]).bytes()), (1, Batch::of(recorder.zero, &["d"]).bytes())];
        recorder.record(version, &requests::produce(version, &target, &batches));
        recorder.record(version, &requests::produce(version, &target, &batches[..1]).with_acks(1));
    }
    recorder.note("the offsets that the producer wrote do not matter");
    let mut batch = Batch::of(recorder.zero, &["x", "y"]);
    batch.base_offset = 77;
    recorder.record(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    recorder.record(12, &requests::fetch(12, &target, &[(0, 28), (1, 0)]));
}

fn no_acks(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut client = recorder.connect();
    for version in VERSIONS {
        let batch = Batch::of(recorder.zero, &["a"]).bytes();
        client.send(version, &requests::produce(version, &target, &[(0, batch)]).with_acks(0));
        client.expect_no_response();
    }
    recorder.note("the next request on the connection is the next that is answered");
    let response = client.request(9, &requests::produce(9, &target, &[(0, Batch::of(recorder.zero, &["b"]).bytes())]));
    recorder.record_response::<ProduceRequest>(9, &response);
    recorder.note("an error without acks closes the connection: nothing else informs the producer");
    client.send(9, &requests::produce(9, &target, &[(5, Batch::of(recorder.zero, &["a"]).bytes())]).with_acks(0));
    client.expect_no_response();
    client.send(9, &requests::produce(9, &target, &[(0, Batch::of(recorder.zero, &["c"]).bytes())]));
    let response = client.receive::<ProduceRequest>(9);
    recorder.note(if response.is_none() { "closed" } else { "answered" });
}

fn impossible_acks(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for (version, acks) in [(7, 2), (13, 2), (13, -2)] {
        let batch = Batch::of(recorder.zero, &["a"]).bytes();
        recorder.record(version, &requests::produce(version, &target, &[(0, batch)]).with_acks(acks));
    }
}

fn unknown_topics(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let unknown = Target { name: recorder.name("unknown"), id: uuid::Uuid::from_u128(0xABCD) };
    let batch = Batch::of(recorder.zero, &["a"]).bytes();
    for version in VERSIONS {
        recorder.record(version, &requests::produce(version, &unknown, &[(0, batch.clone())]));
        recorder.record(version, &requests::produce(version, &target, &[(5, batch.clone()), (-1, batch.clone())]));
    }
    recorder.note("a name that no topic may have");
    let impossible = Target { name: text("a/b"), id: uuid::Uuid::nil() };
    recorder.record(9, &requests::produce(9, &impossible, &[(0, batch.clone())]));
    recorder.record(13, &requests::produce(13, &impossible, &[(0, batch)]));
}

fn corrupt(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let good = Batch::of(recorder.zero, &["a", "b"]);
    let mutate = |change: &dyn Fn(&mut BytesMut)| {
        let mut raw = good.raw();
        change(&mut raw);
        raw.freeze()
    };
    let sealed = |change: &dyn Fn(&mut BytesMut)| {
        mutate(&|raw: &mut BytesMut| {
            change(raw);
            batch::seal(raw);
        })
    };
    let two = || {
        let mut both = good.raw();
        both.put(good.bytes());
        both.freeze()
    };
    let ways: Vec<(&str, Bytes)> = vec![
        ("a wrong checksum", mutate(&|raw| raw[batch::CRC] ^= 1)),
        ("a byte of a record changed", mutate(&|raw| *raw.last_mut().expect("a byte") ^= 1)),
        ("format 1", mutate(&|raw| raw[batch::MAGIC] = 1)),
        ("format 3", mutate(&|raw| raw[batch::MAGIC] = 3)),
        ("cut short", mutate(&|raw| raw.truncate(raw.len() - 1))),
        ("a header cut short", mutate(&|raw| raw.truncate(40))),
        ("less than a length", mutate(&|raw| raw.truncate(10))),
        ("a length that is too small", mutate(&|raw| raw[8..12].copy_from_slice(&10i32.to_be_bytes()))),
        ("no bytes", Bytes::new()),
        ("two batches", two()),
        ("bytes behind the batch", mutate(&|raw| raw.put_slice(b"more"))),
        ("no records", Batch { records: Vec::new(), ..good.clone() }.bytes()),
        ("no records and no offsets", Batch::of(recorder.zero, &[]).bytes()),
        ("a count that is too high", sealed(&|raw| raw[60] = 3)),
        ("a count that is too low", sealed(&|raw| raw[60] = 1)),
        ("a last offset that is too high", Batch { last_offset_delta: 5, ..good.clone() }.bytes()),
        ("a last offset that is too low", Batch { last_offset_delta: 0, ..good.clone() }.bytes()),
        ("a first offset other than 0", Batch { base_offset: 3, ..good.clone() }.bytes()),
        ("a control batch", Batch { attributes: 1 << 5, ..good.clone() }.bytes()),
        ("an unknown compression", sealed(&|raw| raw[22] = 7)),
        ("invalid gzip", sealed(&|raw| raw[22] = 1)),
        ("log append time", Batch { attributes: 1 << 3, ..good.clone() }.bytes()),
    ];
    for (way, bytes) in ways {
        recorder.note(way);
        recorder.record(9, &requests::produce(9, &target, &[(0, bytes)]));
    }
    recorder.note("what was appended");
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn too_large(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("max.message.bytes", "200")]);
    let whole = |length: usize| {
        let value = "x".repeat(length);
        Batch::of(recorder.zero, &[&value]).bytes()
    };
    let fits = (1..200).map(whole).find(|batch| batch.len() == 200).expect("a batch of the limit");
    let larger = (1..200).map(whole).find(|batch| batch.len() == 201).expect("a batch beyond the limit");
    for version in [7, 13] {
        recorder.record(version, &requests::produce(version, &target, &[(0, fits.clone())]));
        recorder.record(version, &requests::produce(version, &target, &[(0, larger.clone())]));
    }
    let target = recorder.target("by_default", 1);
    let value = "x".repeat(1_048_588);
    let batch = Batch::of(recorder.zero, &[&value]).bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, batch)]));
}

fn timestamps(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let now = recorder.zero + 3_600_000;
    for (what, timestamp) in [
        ("none", -1),
        ("long ago", 1),
        ("in half an hour", now + 1_800_000),
        ("in two hours", now + 7_200_000),
        ("negative", -5),
    ] {
        recorder.note(what);
        recorder.record(9, &requests::produce(9, &target, &[(0, Batch::of(timestamp, &["a"]).bytes())]));
    }
    recorder.note("one record of three in two hours");
    let batch = Batch::timed(&[now, now + 7_200_000, now], &["a", "b", "c"]).bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    recorder.record(7, &requests::produce(7, &target, &[(0, batch)]));
    recorder.note("with bounds of the topic's own");
    let configs = [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")];
    let target = recorder.target_with("bounds", 1, &configs);
    for (what, timestamp) in [("two minutes ago", now - 120_000), ("now", now), ("in two minutes", now + 120_000)] {
        recorder.note(what);
        recorder.record(9, &requests::produce(9, &target, &[(0, Batch::of(timestamp, &["a"]).bytes())]));
    }
}

fn compacted(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("cleanup.policy", "compact")]);
    let batch = Batch::of(recorder.zero, &["a", "b"]);
    recorder.record(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    recorder.record(7, &requests::produce(7, &target, &[(0, batch.bytes())]));
    let mut keyed = batch;
    keyed.records[1].key = Some(Bytes::from_static(b"key"));
    recorder.record(9, &requests::produce(9, &target, &[(0, keyed.bytes())]));
    keyed.records[0].key = Some(Bytes::from_static(b"key"));
    recorder.record(9, &requests::produce(9, &target, &[(0, keyed.bytes())]));
}

fn log_append_time(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let batch = Batch::timed(&[recorder.zero, recorder.zero + 5], &["a", "b"]).bytes();
    for version in [7, 13] {
        recorder.record(version, &requests::produce(version, &target, &[(0, batch.clone())]));
    }
    recorder.note("any timestamp of the producer's will do");
    let batch = Batch::of(1_000_000_000_000, &["c"]).bytes();
    recorder.record(9, &requests::produce(9, &target, &[(0, batch)]));
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn one_refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let good = Batch::of(recorder.zero, &["a"]);
    let mut corrupt = good.raw();
    corrupt[batch::CRC] ^= 1;
    let batches = [(0, corrupt.freeze()), (1, good.bytes()), (7, good.bytes())];
    for version in [7, 13] {
        recorder.record(version, &requests::produce(version, &target, &batches));
    }
}
