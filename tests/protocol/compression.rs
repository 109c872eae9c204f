//! Owns the cases about compressed batches: who may send and read them, and when a broker compresses by itself.

use super::Case;
use super::batch::Batch;
use super::codec::{self, GZIP, LZ4, NONE, SNAPPY, ZSTD};
use super::lab::Lab;
use super::requests;

pub const CASES: &[Case] =
    &[("compressed_batches_are_kept_as_they_came", kept), ("a_compressed_batch_is_checked_like_any_other", checked)];

/// Cases about a topic's `compression.type`: the embedded broker keeps batches as they came, whatever it says (`docs/REFERENCE.md`).
pub const APACHE_CASES: &[Case] = &[
    ("a_topic_with_a_compression_type_compresses_by_itself", by_topic),
    ("zstd_is_for_the_versions_that_know_it", zstd),
    ("duplicates_of_compressed_batches_are_found", duplicates),
];

const CODECS: [i16; 5] = [NONE, GZIP, SNAPPY, LZ4, ZSTD];

fn kept(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    for codec in CODECS {
        let batch = Batch::of(lab.zero, &["a", "b"]).compressed(codec).bytes();
        lab.ask(9, &requests::produce(9, &target, &[(0, batch.clone())]));
        let fetched = lab.put(12, &requests::fetch(12, &target, &[(0, i64::from(codec) * 2)]));
        let records = fetched.responses[0].partitions[0].records.as_ref().expect("records");
        // Offset and leader epoch are the broker's; from the magic byte on it is the producer's batch.
        let same = records.len() == batch.len() && records[16..] == batch[16..];
        lab.note(&format!("{}: {}", codec::name(codec), if same { "kept" } else { "changed" }));
    }
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
    lab.note("a fetch from the middle of a compressed batch");
    lab.ask(12, &requests::fetch(12, &target, &[(0, 5)]));
    lab.ask(7, &requests::list_offsets(&target.name, &[(0, lab.zero)], 0));
}

fn by_topic(lab: &mut Lab) {
    for kind in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        lab.note(kind);
        let target = lab.target_with(kind, 1, &[("compression.type", kind)]);
        for codec in CODECS {
            let batch = Batch::of(lab.zero, &["a", "b"]).compressed(codec).bytes();
            lab.put(9, &requests::produce(9, &target, &[(0, batch)]));
        }
        lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
    }
}

fn zstd(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let batch = Batch::of(lab.zero, &["a"]).compressed(ZSTD).bytes();
    let plain = Batch::of(lab.zero, &["plain"]).bytes();
    for version in [3, 6, 7] {
        lab.ask(version, &requests::produce(version, &target, &[(0, batch.clone()), (1, plain.clone())]));
    }
    for version in [4, 9, 10] {
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
    lab.note("a topic that is compressed so by the broker");
    let target = lab.target_with("zstd", 1, &[("compression.type", "zstd")]);
    lab.ask(3, &requests::produce(3, &target, &[(0, plain.clone())]));
    lab.ask(7, &requests::produce(7, &target, &[(0, plain)]));
    for version in [4, 9, 10] {
        lab.ask(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
}

fn checked(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let compacted = lab.target_with("compacted", 1, &[("cleanup.policy", "compact")]);
    let appended = lab.target_with("appended", 1, &[("message.timestamp.type", "LogAppendTime")]);
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        lab.note(codec::name(codec));
        let good = Batch::of(lab.zero, &["a", "b"]).compressed(codec);
        lab.ask(9, &requests::produce(9, &compacted, &[(0, good.bytes())]));
        lab.ask(9, &requests::produce(9, &appended, &[(0, good.bytes())]));
        let late = Batch::of(lab.zero + 20_000_000, &["a"]).compressed(codec).bytes();
        lab.ask(9, &requests::produce(9, &target, &[(0, late)]));
        let long = Batch { last_offset_delta: 5, ..good }.bytes();
        lab.ask(9, &requests::produce(9, &target, &[(0, long)]));
    }
    lab.ask(12, &requests::fetch(12, &appended, &[(0, 0)]));
    lab.note("the limit is for the bytes as they come");
    let limited = lab.target_with("limited", 1, &[("max.message.bytes", "200")]);
    let value = "x".repeat(5_000);
    for codec in [NONE, GZIP] {
        let batch = Batch::of(lab.zero, &[&value]).compressed(codec).bytes();
        lab.ask(9, &requests::produce(9, &limited, &[(0, batch)]));
    }
}

fn duplicates(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("compression.type", "gzip")]);
    let answer = lab.put(4, &requests::init_producer_id(None));
    let me = (*answer.producer_id, answer.producer_epoch);
    for codec in CODECS {
        let batch = Batch::of(lab.zero, &["a"]).by(me, i32::from(codec)).compressed(codec).bytes();
        lab.ask(9, &requests::produce(9, &target, &[(0, batch.clone())]));
        lab.ask(9, &requests::produce(9, &target, &[(0, batch)]));
    }
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}
