//! Cases of compressed batches: validation, versions, and compression by the broker.

use super::Case;
use super::batch::Batch;
use super::codec::{self, GZIP, LZ4, NONE, SNAPPY, ZSTD};
use super::requests;
use super::test_support::Recorder;

pub const CASES: &[Case] =
    &[("compressed_batches_are_stored_unchanged", kept), ("compressed_batches_are_validated", checked)];

/// Cases of `compression.type`, which the embedded broker ignores (`docs/reference/brokers.md`).
pub const APACHE_CASES: &[Case] = &[
    ("compression_type_recompresses_batches", by_topic),
    ("zstd_needs_newer_versions", zstd),
    ("finds_duplicates_of_compressed_batches", duplicates),
];

const CODECS: [i16; 5] = [NONE, GZIP, SNAPPY, LZ4, ZSTD];

fn kept(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    for codec in CODECS {
        let batch = Batch::of(recorder.zero, &["a", "b"]).compressed(codec).bytes();
        recorder.record(9, &requests::produce(9, &target, &[(0, batch.clone())]));
        let fetched = recorder.request(12, &requests::fetch(12, &target, &[(0, i64::from(codec) * 2)]));
        let records = fetched.responses[0].partitions[0].records.as_ref().expect("records");
        // The broker sets offset and leader epoch; from the magic byte on the batch must be the producer's.
        let same = records.len() == batch.len() && records[16..] == batch[16..];
        recorder.note(&format!("{}: {}", codec::name(codec), if same { "kept" } else { "changed" }));
    }
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
    recorder.note("a fetch from the middle of a compressed batch");
    recorder.record(12, &requests::fetch(12, &target, &[(0, 5)]));
    recorder.record(7, &requests::list_offsets(&target.name, &[(0, recorder.zero)], 0));
}

fn by_topic(recorder: &mut Recorder) {
    for kind in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        recorder.note(kind);
        let target = recorder.target_with(kind, 1, &[("compression.type", kind)]);
        for codec in CODECS {
            let batch = Batch::of(recorder.zero, &["a", "b"]).compressed(codec).bytes();
            recorder.request(9, &requests::produce(9, &target, &[(0, batch)]));
        }
        recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
    }
}

fn zstd(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let batch = Batch::of(recorder.zero, &["a"]).compressed(ZSTD).bytes();
    let plain = Batch::of(recorder.zero, &["plain"]).bytes();
    for version in [3, 6, 7] {
        recorder.record(version, &requests::produce(version, &target, &[(0, batch.clone()), (1, plain.clone())]));
    }
    for version in [4, 9, 10] {
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
    recorder.note("a topic that is compressed so by the broker");
    let target = recorder.target_with("zstd", 1, &[("compression.type", "zstd")]);
    recorder.record(3, &requests::produce(3, &target, &[(0, plain.clone())]));
    recorder.record(7, &requests::produce(7, &target, &[(0, plain)]));
    for version in [4, 9, 10] {
        recorder.record(version, &requests::fetch(version, &target, &[(0, 0)]));
    }
}

fn checked(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let compacted = recorder.target_with("compacted", 1, &[("cleanup.policy", "compact")]);
    let appended = recorder.target_with("appended", 1, &[("message.timestamp.type", "LogAppendTime")]);
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        recorder.note(codec::name(codec));
        let good = Batch::of(recorder.zero, &["a", "b"]).compressed(codec);
        recorder.record(9, &requests::produce(9, &compacted, &[(0, good.bytes())]));
        recorder.record(9, &requests::produce(9, &appended, &[(0, good.bytes())]));
        let late = Batch::of(recorder.zero + 20_000_000, &["a"]).compressed(codec).bytes();
        recorder.record(9, &requests::produce(9, &target, &[(0, late)]));
        let long = Batch { last_offset_delta: 5, ..good }.bytes();
        recorder.record(9, &requests::produce(9, &target, &[(0, long)]));
    }
    recorder.record(12, &requests::fetch(12, &appended, &[(0, 0)]));
    recorder.note("the limit is for the bytes as they come");
    let limited = recorder.target_with("limited", 1, &[("max.message.bytes", "200")]);
    let value = "x".repeat(5_000);
    for codec in [NONE, GZIP] {
        let batch = Batch::of(recorder.zero, &[&value]).compressed(codec).bytes();
        recorder.record(9, &requests::produce(9, &limited, &[(0, batch)]));
    }
}

fn duplicates(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("compression.type", "gzip")]);
    let response = recorder.request(4, &requests::init_producer_id(None));
    let me = (*response.producer_id, response.producer_epoch);
    for codec in CODECS {
        let batch = Batch::of(recorder.zero, &["a"]).by(me, i32::from(codec)).compressed(codec).bytes();
        recorder.record(9, &requests::produce(9, &target, &[(0, batch.clone())]));
        recorder.record(9, &requests::produce(9, &target, &[(0, batch)]));
    }
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}
