//! Tests of a log in memory and in files.

use kafka_protocol::records::Compression;

use super::test_support::*;
use super::*;
use crate::broker::events::BrokerEvent;

fn both(check: impl Fn(&LogStorage)) {
    check(&LogStorage::Memory);
    let dir = tempfile::tempdir().unwrap();
    check(&in_directory(&dir.path().join("0")));
}

#[test]
fn reads_from_any_offset() {
    both(|storage| {
        let (mut log, _) = open(storage, settings());
        for number in 0..40_i64 {
            let rows = [row("a", &number.to_string(), NOW), row("b", "x", NOW + number)];
            let appended = log.append(&batch(NO_PRODUCER, &rows), NOW).unwrap();
            assert_eq!((appended.base_offset, appended.last_offset), (number * 2, number * 2 + 1));
        }
        assert_eq!((log.start_offset(), log.high_watermark(), log.last_stable_offset()), (0, 80, 80));
        for from in 0..80 {
            let seen = consume(&log, from, IsolationLevel::ReadUncommitted);
            assert_eq!(seen.len(), usize::try_from(80 - from).unwrap());
            assert_eq!(seen[0].offset, from);
        }
    });
}

#[test]
fn read_respects_max_bytes_and_at_least_one() {
    both(|storage| {
        let (mut log, _) = open(storage, settings());
        let one = batch(NO_PRODUCER, &[row("a", &"v".repeat(9_000), NOW)]);
        for _ in 0..5 {
            log.append(&one, NOW).unwrap();
        }
        let size = one.size();
        let read = |max, at_least_one| {
            log.read(2, max, IsolationLevel::ReadUncommitted, at_least_one).read().unwrap().len() / size
        };
        assert_eq!(read(size * 2 + 5, false), 2);
        assert_eq!(read(size, false), 1);
        assert_eq!(read(size - 1, false), 0);
        assert_eq!(read(size - 1, true), 1);
        assert_eq!(read(0, true), 1);
        assert_eq!(read(0, false), 0);
        assert_eq!(read(usize::MAX / 2, false), 3);
        assert_eq!(log.available(2, IsolationLevel::ReadUncommitted, usize::MAX), size * 3);
        assert_eq!(log.available(5, IsolationLevel::ReadUncommitted, 1), 0);
        assert_eq!(log.available(4, IsolationLevel::ReadUncommitted, 1), 1);
    });
}

#[test]
fn duplicate_returns_the_first_offset() {
    both(|storage| {
        let (mut log, _) = open(storage, settings());
        let rows = [row("a", "1", NOW), row("a", "2", NOW)];
        for number in 0..7 {
            log.append(&batch(producer(9, 0, number * 2), &rows), NOW).unwrap();
        }
        let again = log.append(&batch(producer(9, 0, 4), &rows), NOW).unwrap();
        assert_eq!((again.base_offset, again.last_offset, again.duplicate), (4, 5, true));
        assert_eq!(log.high_watermark(), 14);
        let forgotten = log.append(&batch(producer(9, 0, 2), &rows), NOW);
        assert!(matches!(forgotten, Err(AppendError::OutOfOrderSequence)), "{forgotten:?}");
        let old =
            log.append(&batch(producer(9, 1, 0), &rows), NOW).and(log.append(&batch(producer(9, 0, 14), &rows), NOW));
        assert!(matches!(old, Err(AppendError::InvalidProducerEpoch)), "{old:?}");
        let gap = log.append(&batch(producer(9, 2, 1), &rows), NOW);
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence)), "{gap:?}");
    });
}

#[test]
fn marker_advances_the_last_stable_offset() {
    both(|storage| {
        let (mut log, _) = open(storage, settings());
        let rows = [row("a", "1", NOW)];
        log.append(&batch(NO_PRODUCER, &rows), NOW).unwrap();
        log.append(&batch(in_transaction(1, 0, 0), &rows), NOW).unwrap();
        log.append(&batch(in_transaction(2, 0, 0), &rows), NOW).unwrap();
        assert_eq!(log.last_stable_offset(), 1);
        assert_eq!(consume(&log, 0, IsolationLevel::ReadCommitted).len(), 1);
        assert_eq!(log.available(1, IsolationLevel::ReadCommitted, 1), 0);
        assert_eq!(log.end_transaction(1, 0, false, 3, NOW).unwrap(), Some(3));
        assert_eq!(log.last_stable_offset(), 2);
        assert_eq!(log.end_transaction(2, 0, true, 3, NOW).unwrap(), Some(4));
        assert_eq!(log.last_stable_offset(), 5);
        assert_eq!(log.aborted(0, 5), [AbortedTransaction { producer_id: 1, first_offset: 1 }]);
        let seen: Vec<i64> = consume(&log, 0, IsolationLevel::ReadCommitted).iter().map(|seen| seen.offset).collect();
        assert_eq!(seen, [0, 2]);
        assert_eq!(log.end_transaction(2, -1, true, 3, NOW).unwrap(), None);
    });
}

#[test]
fn reopened_log_has_the_same_state() {
    for clean in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let storage = in_directory(dir.path());
        let (mut log, _) = open(&storage, LogSettings { segment_bytes: 400, ..settings() });
        let rows = [row("a", "1", NOW), row("b", "1", NOW)];
        for number in 0..10 {
            log.append(&batch(in_transaction(1, 0, number * 2), &rows), NOW).unwrap();
            log.append(&batch(in_transaction(2, 0, number * 2), &rows), NOW).unwrap();
            log.end_transaction(1, 0, number % 3 == 0, 7, NOW).unwrap();
        }
        let before = (log.producers(), log.last_stable_offset(), log.high_watermark(), log.aborted(0, 99), log.size());
        let records = batches(&log);
        if clean {
            log.close().unwrap();
        }
        let (log, events) = open(&storage, settings());
        assert_eq!(events, []);
        assert!(log.segments.len() > 5);
        assert_eq!(
            before,
            (log.producers(), log.last_stable_offset(), log.high_watermark(), log.aborted(0, 99), log.size())
        );
        assert_eq!(records, batches(&log));
    }
}

#[test]
fn torn_write_is_cut_off_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let storage = in_directory(dir.path());
    let (mut log, _) = open(&storage, settings());
    let one = batch(NO_PRODUCER, &[row("a", "1", NOW)]);
    for _ in 0..3 {
        log.append(&one, NOW).unwrap();
    }
    let path = dir.path().join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (log, events) = open(&storage, settings());
        let whole = cut / one.size();
        assert_eq!(log.high_watermark(), i64::try_from(whole).unwrap());
        let torn = (cut - whole * one.size()) as u64;
        let expected =
            (torn > 0).then(|| BrokerEvent::TailTruncated { path: path.clone(), bytes: torn, unacknowledged: false });
        assert_eq!(events, Vec::from_iter(expected));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), log.size());
    }
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    assert_eq!(open(&storage, settings()).0.high_watermark(), 2);
}

#[test]
fn reads_records_of_every_codec() {
    let rows = [row("a", &"v".repeat(5_000), NOW), row("b", "2", NOW + 5)];
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let batch = Batch::parse(encode(NO_PRODUCER, &rows, codec)).unwrap();
        assert!(batch.keyed);
        assert_eq!(batch.timestamps, Some((NOW, NOW + 5)));
    }
}
