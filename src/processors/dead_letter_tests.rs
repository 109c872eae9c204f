//! Tests of the dead letter queue: which parts of a record are kept, cut or left out, and the reason header.

use super::*;
use crate::domain::BadReason;
use crate::kafka::RecordHeaders;

const LIMITS: DeadLetterLimits = DeadLetterLimits { topic: 1_000_000, client: LARGEST_RECORD };

fn bad() -> BadRecord {
    BadRecord { reason: BadReason::NotJson, detail: "byte 0: no JSON object begins here".to_owned() }
}

fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> SourceRecord<'a> {
    SourceRecord {
        topic: 0,
        partition: 3,
        offset: 17,
        timestamp_millis: Some(5),
        key,
        value,
        headers: RecordHeaders::default(),
    }
}

/// Incompressible bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A dead letter, with the reason and the checksum headers that cutting added.
fn cut_letter<'a>(key: Option<&'a [u8]>, value: &'a [u8], headers: Headers) -> (DeadLetter<'a>, String) {
    let (mut text, mut checksums) = (String::new(), Vec::new());
    let mut made = DeadLetter { key, value: Some(value), headers };
    if !fits(&made, LIMITS) {
        cut(&mut made, LIMITS, &mut text, &mut checksums);
    }
    let checksums: Vec<String> = checksums.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    (made, format!("{text} {}", checksums.join(" ")))
}

#[test]
fn a_record_that_fits_compressed_is_kept_whole() {
    for bytes in [0, 900_000, 1_200_000, 5_000_000, 20_000_000] {
        let value = vec![b'x'; bytes];
        let made = dead_letter("t", &record(Some(b"k"), Some(&value)), Headers::none(), &bad(), LIMITS);
        assert_eq!((made.key, made.value), (Some(&b"k"[..]), Some(&value[..])), "{bytes}");
    }
    let null = dead_letter("t", &record(None, None), Headers::none(), &bad(), LIMITS);
    assert_eq!((null.key, null.value), (None, None));
}

#[test]
fn a_large_value_is_cut_with_size_and_sha256() {
    let value = noise(1_200_000);
    let (made, reason) = cut_letter(Some(b"k"), &value, Headers::none().with("traceparent", b"00-1"));
    assert_eq!((made.key, made.value), (Some(&b"k"[..]), Some(&value[..65_536])));
    assert_eq!(made.headers.size(), "traceparent00-1".len(), "its own headers are kept");
    assert!(reason.starts_with("; the value is cut: the first 65536 of 1200000 bytes "), "{reason}");
    assert!(reason.contains("foodstream.dlq.value.size=1200000"), "{reason}");
    // It compresses well but exceeds the client's limit.
    let large = vec![b'x'; usize::try_from(LARGEST_RECORD).expect("fits")];
    assert_eq!(cut_letter(None, &large, Headers::none()).0.value.map(<[u8]>::len), Some(65_536));
}

#[test]
fn sha256_is_that_of_sha256sum() {
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn large_keys_and_headers_are_left_out() {
    let key = noise(1_200_000);
    let (made, reason) = cut_letter(Some(&key), b"value", Headers::none());
    assert_eq!((made.key, made.value), (None, Some(&b"value"[..])));
    assert!(reason.contains("the key of 1200000 bytes is left out") && reason.contains("key.sha256="), "{reason}");
    let (made, reason) = cut_letter(Some(b"k"), b"value", Headers::none().with("h", &noise(1_200_000)));
    assert_eq!((made.key, made.value, made.headers.size()), (Some(&b"k"[..]), Some(&b"value"[..]), 0));
    assert_eq!(reason, "; the record's own headers of 1200001 bytes are left out ");
}

/// For every limit of the topic.
#[test]
fn a_dead_letter_fits_after_cutting() {
    let (key, value) = (noise(300_000), noise(3_000_000));
    for topic in [6_000, 66_536, 165_536, 1_114_124, 2_000_000] {
        for (key_bytes, header_bytes, value_bytes) in
            [(0, 0, 3_000_000), (8_192, 30_000, 66_000), (300_000, 0, 10), (9, 2_000_000, 100_000), (1, 1, 1)]
        {
            let limits = DeadLetterLimits { topic, ..LIMITS };
            let headers = Headers::none().with("h", &value[..header_bytes]);
            let record = record(Some(&key[..key_bytes]), Some(&value[..value_bytes]));
            let made = dead_letter("topic", &record, headers, &bad(), limits);
            let parts = [made.key, made.value].map(Option::unwrap_or_default);
            let bytes = parts.iter().map(|part| len(part)).sum::<u64>() + made.headers.size() as u64;
            assert!(bytes < topic, "{bytes} bytes for {topic}");
        }
    }
}
