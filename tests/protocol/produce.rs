//! Owns the cases about produce requests of producers without an id: what is appended where, and what is refused.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;

use super::Case;
use super::batch::{self, Batch};
use super::lab::Lab;
use super::requests::{self, Target, text};

pub const CASES: &[Case] = &[
    ("produce_answers_with_the_first_offset_of_every_batch", offsets),
    ("produce_without_acks_is_not_answered", no_acks),
    ("produce_with_impossible_acks_is_refused", impossible_acks),
    ("produce_to_an_unknown_topic_or_partition_is_refused", unknown_topics),
    ("produce_refuses_spoilt_batches", spoilt),
    ("produce_refuses_what_is_too_large", too_large),
    ("produce_refuses_timestamps_out_of_bounds", timestamps),
    ("produce_refuses_nulls_keys_where_the_topic_is_compacted", compacted),
    ("a_topic_with_log_append_time_stamps_its_records", log_append_time),
    ("one_refused_partition_does_not_stop_the_others", one_refused),
];

/// The lowest version that is left, kcat's, confluent-kafka's, the last with names, and with ids.
const VERSIONS: [i16; 5] = [3, 7, 10, 12, 13];

fn offsets(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    for version in VERSIONS {
        let batches = [(0, Batch::of(lab.zero, &["a", "b", "c"]).bytes()), (1, Batch::of(lab.zero, &["d"]).bytes())];
        lab.ask(version, &requests::produce(version, &target, &batches));
        lab.ask(version, &requests::produce(version, &target, &batches[..1]).with_acks(1));
    }
    lab.note("the offsets that the producer wrote do not matter");
    let mut batch = Batch::of(lab.zero, &["x", "y"]);
    batch.base_offset = 77;
    lab.ask(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    lab.ask(12, &requests::fetch(12, &target, &[(0, 28), (1, 0)]));
}

fn no_acks(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut client = lab.connect();
    for version in VERSIONS {
        let batch = Batch::of(lab.zero, &["a"]).bytes();
        client.send(version, &requests::produce(version, &target, &[(0, batch)]).with_acks(0));
        client.expect_no_answer();
    }
    lab.note("the next request on the connection is the next that is answered");
    let answer = client.request(9, &requests::produce(9, &target, &[(0, Batch::of(lab.zero, &["b"]).bytes())]));
    lab.tell_answer::<ProduceRequest>(9, &answer);
    lab.note("an error without acks closes the connection: nothing else can tell the producer");
    client.send(9, &requests::produce(9, &target, &[(5, Batch::of(lab.zero, &["a"]).bytes())]).with_acks(0));
    client.expect_no_answer();
    client.send(9, &requests::produce(9, &target, &[(0, Batch::of(lab.zero, &["c"]).bytes())]));
    let answer = client.receive::<ProduceRequest>(9);
    lab.note(if answer.is_none() { "closed" } else { "answered" });
}

fn impossible_acks(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for (version, acks) in [(7, 2), (13, 2), (13, -2)] {
        let batch = Batch::of(lab.zero, &["a"]).bytes();
        lab.ask(version, &requests::produce(version, &target, &[(0, batch)]).with_acks(acks));
    }
}

fn unknown_topics(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let unknown = Target { name: lab.name("unknown"), id: uuid::Uuid::from_u128(0xABCD) };
    let batch = Batch::of(lab.zero, &["a"]).bytes();
    for version in VERSIONS {
        lab.ask(version, &requests::produce(version, &unknown, &[(0, batch.clone())]));
        lab.ask(version, &requests::produce(version, &target, &[(5, batch.clone()), (-1, batch.clone())]));
    }
    lab.note("a name that no topic may have");
    let impossible = Target { name: text("a/b"), id: uuid::Uuid::nil() };
    lab.ask(9, &requests::produce(9, &impossible, &[(0, batch.clone())]));
    lab.ask(13, &requests::produce(13, &impossible, &[(0, batch)]));
}

fn spoilt(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let good = Batch::of(lab.zero, &["a", "b"]);
    let spoil = |change: &dyn Fn(&mut BytesMut)| {
        let mut raw = good.raw();
        change(&mut raw);
        raw.freeze()
    };
    let sealed = |change: &dyn Fn(&mut BytesMut)| {
        spoil(&|raw: &mut BytesMut| {
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
        ("a wrong checksum", spoil(&|raw| raw[batch::CRC] ^= 1)),
        ("a byte of a record changed", spoil(&|raw| *raw.last_mut().expect("a byte") ^= 1)),
        ("format 1", spoil(&|raw| raw[batch::MAGIC] = 1)),
        ("format 3", spoil(&|raw| raw[batch::MAGIC] = 3)),
        ("cut short", spoil(&|raw| raw.truncate(raw.len() - 1))),
        ("a header cut short", spoil(&|raw| raw.truncate(40))),
        ("less than a length", spoil(&|raw| raw.truncate(10))),
        ("a length that is too small", spoil(&|raw| raw[8..12].copy_from_slice(&10i32.to_be_bytes()))),
        ("no bytes", Bytes::new()),
        ("two batches", two()),
        ("bytes behind the batch", spoil(&|raw| raw.put_slice(b"more"))),
        ("no records", Batch { records: Vec::new(), ..good.clone() }.bytes()),
        ("no records and no offsets", Batch::of(lab.zero, &[]).bytes()),
        ("a count that is too high", sealed(&|raw| raw[60] = 3)),
        ("a count that is too low", sealed(&|raw| raw[60] = 1)),
        ("a last offset that is too high", Batch { last_offset_delta: 5, ..good.clone() }.bytes()),
        ("a last offset that is too low", Batch { last_offset_delta: 0, ..good.clone() }.bytes()),
        ("a first offset other than 0", Batch { base_offset: 3, ..good.clone() }.bytes()),
        ("a control batch", Batch { attributes: 1 << 5, ..good.clone() }.bytes()),
        ("an unknown compression", sealed(&|raw| raw[22] = 7)),
        ("gzip that is none", sealed(&|raw| raw[22] = 1)),
        ("log append time", Batch { attributes: 1 << 3, ..good.clone() }.bytes()),
    ];
    for (way, bytes) in ways {
        lab.note(way);
        lab.ask(9, &requests::produce(9, &target, &[(0, bytes)]));
    }
    lab.note("what was appended");
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn too_large(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("max.message.bytes", "200")]);
    let whole = |length: usize| {
        let value = "x".repeat(length);
        Batch::of(lab.zero, &[&value]).bytes()
    };
    let fits = (1..200).map(whole).find(|batch| batch.len() == 200).expect("a batch of the limit");
    let larger = (1..200).map(whole).find(|batch| batch.len() == 201).expect("a batch beyond the limit");
    for version in [7, 13] {
        lab.ask(version, &requests::produce(version, &target, &[(0, fits.clone())]));
        lab.ask(version, &requests::produce(version, &target, &[(0, larger.clone())]));
    }
    let target = lab.target("by_default", 1);
    let value = "x".repeat(1_048_588);
    let batch = Batch::of(lab.zero, &[&value]).bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, batch)]));
}

fn timestamps(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let now = lab.zero + 3_600_000;
    for (what, timestamp) in [
        ("none", -1),
        ("long ago", 1),
        ("in half an hour", now + 1_800_000),
        ("in two hours", now + 7_200_000),
        ("negative", -5),
    ] {
        lab.note(what);
        lab.ask(9, &requests::produce(9, &target, &[(0, Batch::of(timestamp, &["a"]).bytes())]));
    }
    lab.note("one record of three in two hours");
    let batch = Batch::timed(&[now, now + 7_200_000, now], &["a", "b", "c"]).bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, batch.clone())]));
    lab.ask(7, &requests::produce(7, &target, &[(0, batch)]));
    lab.note("with bounds of the topic's own");
    let configs = [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")];
    let target = lab.target_with("bounds", 1, &configs);
    for (what, timestamp) in [("two minutes ago", now - 120_000), ("now", now), ("in two minutes", now + 120_000)] {
        lab.note(what);
        lab.ask(9, &requests::produce(9, &target, &[(0, Batch::of(timestamp, &["a"]).bytes())]));
    }
}

fn compacted(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("cleanup.policy", "compact")]);
    let batch = Batch::of(lab.zero, &["a", "b"]);
    lab.ask(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
    lab.ask(7, &requests::produce(7, &target, &[(0, batch.bytes())]));
    let mut keyed = batch;
    keyed.records[1].key = Some(Bytes::from_static(b"key"));
    lab.ask(9, &requests::produce(9, &target, &[(0, keyed.bytes())]));
    keyed.records[0].key = Some(Bytes::from_static(b"key"));
    lab.ask(9, &requests::produce(9, &target, &[(0, keyed.bytes())]));
}

fn log_append_time(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let batch = Batch::timed(&[lab.zero, lab.zero + 5], &["a", "b"]).bytes();
    for version in [7, 13] {
        lab.ask(version, &requests::produce(version, &target, &[(0, batch.clone())]));
    }
    lab.note("any timestamp of the producer's will do");
    let batch = Batch::of(1_000_000_000_000, &["c"]).bytes();
    lab.ask(9, &requests::produce(9, &target, &[(0, batch)]));
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn one_refused(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let good = Batch::of(lab.zero, &["a"]);
    let mut spoilt = good.raw();
    spoilt[batch::CRC] ^= 1;
    let batches = [(0, spoilt.freeze()), (1, good.bytes()), (7, good.bytes())];
    for version in [7, 13] {
        lab.ask(version, &requests::produce(version, &target, &batches));
    }
}
