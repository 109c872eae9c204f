//! Tests of compaction; that the table stays the same is tested in `model_tests.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use kafka_protocol::records::Compression;

use super::test_support::*;
use super::*;
use crate::broker::ends;
use crate::broker::events::BrokerEvent;

fn compacted() -> LogSettings {
    LogSettings {
        compact: true,
        delete: false,
        segment_bytes: 400,
        delete_retention_ms: 1_000,
        min_cleanable_dirty_ratio: 0.01,
        ..settings()
    }
}

fn compact(log: &mut Log, now: i64) {
    let compacted = log.compaction(now).expect("due").run().unwrap();
    drop(log.finish(compacted).unwrap());
}

/// Appends until the next compaction covers everything that is in the log now.
fn fill(log: &mut Log, now: i64) {
    let before = log.high_watermark();
    while log.segments.last().unwrap().base_offset < before {
        log.append(&batch(NO_PRODUCER, &[row("filler", "", now)]), now).unwrap();
    }
}

fn keys(log: &Log) -> Vec<(i64, String)> {
    let seen = consume(log, log.start_offset(), IsolationLevel::ReadUncommitted).into_iter();
    seen.map(|seen| (seen.offset, seen.key.unwrap())).filter(|(_, key)| key != "filler").collect()
}

fn tombstone(key: &'static str) -> Row {
    (Some(key), None, NOW)
}

#[test]
fn removes_a_tombstone_after_delete_retention() {
    for storage in [LogStorage::Memory, in_directory(&tempfile::tempdir().unwrap().keep())] {
        let (mut log, _) = open(&storage, compacted());
        log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW), row("b", "1", NOW)]), NOW).unwrap();
        log.append(&batch(NO_PRODUCER, &[tombstone("a")]), NOW).unwrap();
        fill(&mut log, NOW);
        compact(&mut log, NOW);
        let left = [(1, "b".to_owned()), (2, "a".to_owned())];
        assert_eq!(keys(&log), left);
        let seen = consume(&log, 2, IsolationLevel::ReadUncommitted);
        assert_eq!((seen[0].timestamp, &seen[0].value), (NOW, &None), "the delete horizon does not change timestamps");
        fill(&mut log, NOW);
        compact(&mut log, NOW + 999);
        assert_eq!(keys(&log), left);
        fill(&mut log, NOW);
        compact(&mut log, NOW + 1_000);
        assert_eq!(keys(&log), left[..1]);
        log.remove().unwrap();
    }
}

#[test]
fn removes_a_marker_after_its_transaction() {
    let (mut log, _) = open(&LogStorage::Memory, compacted());
    let markers = |log: &Log| batches(log).iter().filter(|(header, _)| header.is_control()).count();
    log.append(&batch(in_transaction(1, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    log.end_transaction(1, 0, false, 0, NOW).unwrap();
    log.append(&batch(in_transaction(1, 0, 1), &[row("a", "2", NOW)]), NOW).unwrap();
    log.end_transaction(1, 0, true, 0, NOW).unwrap();
    log.append(&batch(NO_PRODUCER, &[row("a", "3", NOW)]), NOW).unwrap();
    for (later, left, aborted) in [(0, 2, 1), (0, 2, 1), (999, 2, 1), (1_000, 1, 0)] {
        fill(&mut log, NOW);
        compact(&mut log, NOW + later);
        // The producer's last batch stays, and with it its marker.
        assert_eq!((markers(&log), log.aborted(0, 99).len()), (left, aborted), "after {later}");
    }
    assert_eq!(log.last_stable_offset(), log.high_watermark());
}

#[test]
fn keeps_the_epoch_of_an_empty_marker() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), compacted());
    log.append(&batch(in_transaction(1, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    log.end_transaction(1, 1, false, 0, NOW).unwrap();
    for later in [0, 0, 1_000] {
        fill(&mut log, NOW);
        compact(&mut log, NOW + later);
    }
    let marker = batches(&log).into_iter().find(|(header, _)| header.is_control()).unwrap().0;
    assert_eq!((marker.count, marker.producer_epoch), (0, 1));
    let (mut log, _) = open(&in_directory(dir.path()), compacted());
    let zombie = log.append(&batch(in_transaction(1, 0, 1), &[row("a", "1", NOW)]), NOW);
    assert!(matches!(zombie, Err(AppendError::InvalidProducerEpoch)), "{zombie:?}");
}

#[test]
fn keeps_the_codec_of_a_batch() {
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let (mut log, _) = open(&LogStorage::Memory, LogSettings { segment_bytes: 100_000, ..compacted() });
    for (codec, key) in codecs.into_iter().zip(["b", "c", "d", "e"]) {
        let rows = [row("a", &"1".repeat(40_000), NOW), row(key, &"2".repeat(40_000), NOW)];
        log.append(&Batch::parse(encode(NO_PRODUCER, &rows, codec)).unwrap(), NOW).unwrap();
    }
    log.roll(NOW).unwrap();
    compact(&mut log, NOW);
    let left: Vec<_> = batches(&log).iter().map(|(header, _)| (header.codec(), header.count)).collect();
    assert_eq!(left, [(1, 1), (2, 1), (3, 1), (4, 2)]);
    assert_eq!(keys(&log), [(1, "b"), (3, "c"), (5, "d"), (6, "a"), (7, "e")].map(|(at, key)| (at, key.to_owned())));
}

#[test]
fn skips_open_young_active_and_clean_segments() {
    let settings = LogSettings { min_compaction_lag_ms: 100, min_cleanable_dirty_ratio: 0.5, ..compacted() };
    let (mut log, _) = open(&LogStorage::Memory, settings.clone());
    log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW)]), NOW).unwrap();
    assert!(log.compaction(NOW + 500).is_none(), "the segment is active");
    fill(&mut log, NOW);
    assert!(log.compaction(NOW + 99).is_none(), "within min.compaction.lag.ms");
    assert!(log.compaction(NOW + 100).is_some());
    let cleaned_to = log.segments.last().unwrap().base_offset;
    log.append(&batch(in_transaction(1, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    compact(&mut log, NOW + 100);
    assert_eq!(log.cleaned_to, cleaned_to);
    fill(&mut log, NOW);
    fill(&mut log, NOW);
    assert!(log.compaction(NOW + 500).is_none(), "above the last stable offset");
    log.end_transaction(1, 0, true, 0, NOW).unwrap();
    assert!(log.compaction(NOW + 500).is_some());
    log.configure(LogSettings { compact: false, ..settings });
    assert!(log.compaction(NOW + 500).is_none());
}

#[test]
fn does_not_restore_segments_deleted_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), compacted());
    for _ in 0..20 {
        log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW), row("b", "1", NOW)]), NOW).unwrap();
    }
    let compacted = log.compaction(NOW).unwrap().run().unwrap();
    log.delete_records_before(25).unwrap();
    let before = batches(&log);
    drop(log.finish(compacted).unwrap());
    assert_eq!(batches(&log), before);
    assert!(
        std::fs::read_dir(dir.path()).unwrap().all(|it| !it.unwrap().path().to_str().unwrap().ends_with("cleaned"))
    );
}

fn table(log: &Log) -> BTreeMap<String, Option<String>> {
    let seen = consume(log, log.start_offset(), IsolationLevel::ReadCommitted).into_iter();
    seen.map(|seen| (seen.key.unwrap(), seen.value)).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A kill is possible after each step of replacing the files.
#[test]
fn killed_compaction_leaves_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0");
    let (mut log, _) = open(&in_directory(&path), compacted());
    for (sequence, number) in (0..).zip(0..60) {
        let rows = [row(["a", "b", "c"][number % 3], &number.to_string(), NOW)];
        log.append(&batch(in_transaction(1, 0, sequence), &rows), NOW).unwrap();
        if number % 4 == 3 {
            log.end_transaction(1, 0, number % 8 == 3, 0, NOW).unwrap();
        }
    }
    log.configure(LogSettings { segment_bytes: 1_500, ..compacted() });
    let expected = table(&log);
    let before: Vec<_> = log.segments.iter().map(path_of).collect();
    let compacted_log = log.compaction(NOW).unwrap().run().unwrap();
    let cleaned = dir.path().join("cleaned");
    copy(&path, &cleaned);
    drop(log.finish(compacted_log).unwrap());
    let after: Vec<_> = log.segments.iter().map(path_of).collect();
    assert!(after.len() + 3 < before.len() && after.len() > 3, "{} of {}", after.len(), before.len());
    // A kill leaves the first renames and removals done.
    let mut files = Vec::new();
    for old in before.iter().filter(|old| **old != *before.last().unwrap()) {
        files.push((old.file_name().unwrap().to_owned(), after.contains(old)));
    }
    let killed_after = |done: usize, how: &str| {
        let here = dir.path().join(format!("killed-{how}-{done}"));
        copy(&cleaned, &here);
        for (name, renamed) in &files[..done] {
            let new = here.join(format!("{}.cleaned", name.to_str().unwrap()));
            if *renamed {
                std::fs::rename(new, here.join(name)).unwrap();
            } else {
                std::fs::remove_file(here.join(name)).unwrap();
            }
        }
        here
    };
    let check = |killed: &Log, here: &Path, done: usize| {
        assert_eq!(table(killed), expected, "killed after {done}");
        assert_eq!(killed.last_stable_offset(), log.last_stable_offset());
        assert!(
            killed.segments.windows(2).all(|pair| pair[0].last_offset < pair[1].base_offset),
            "killed after {done}"
        );
        assert!(std::fs::read_dir(here).unwrap().all(|it| !it.unwrap().path().to_str().unwrap().ends_with("cleaned")));
    };
    let mut sums = BTreeMap::new();
    for done in 0..=files.len() {
        let here = killed_after(done, "unrecorded");
        let (killed, events) = open(&in_directory(&here), compacted());
        assert!(events.iter().all(|event| matches!(event, BrokerEvent::SetAside { .. })), "{events:?}");
        check(&killed, &here, done);
        if done == files.len() || files[done].1 {
            sums.insert(done, killed.current_end());
        }
    }
    // The same with a recorded end: merged files are removed, and a file that differs from the recorded one is
    // rejected.
    for done in 0..=files.len() {
        let (_, before) = sums.range(..=done).next_back().unwrap();
        let after = sums.range(done + 1..).next().map_or(before, |(_, after)| after);
        for (closed_digest, pending_digest) in
            [(before.closed_digest, after.closed_digest), (before.closed_digest, before.closed_digest)]
        {
            let here = killed_after(done, "recorded");
            let end = ends::LogEnd { closed_digest, pending_digest, ..log.current_end() };
            let known = LogFilesState::Recorded(Box::new(RecordedEnd {
                end,
                clean: false,
                rebooted: false,
                decided: Vec::new(),
            }));
            let opened = Log::open(&in_directory(&here), compacted(), 0, NOW, &known);
            if pending_digest == closed_digest && !sums.contains_key(&done) {
                assert!(opened.is_err(), "after {done}: no compaction was running");
            } else {
                let (mut opened, mut events) = (opened.unwrap(), Vec::new());
                opened.apply_repairs(None, &mut events).unwrap();
                assert_eq!(events, []);
                check(&opened, &here, done);
            }
            std::fs::remove_dir_all(here).unwrap();
        }
    }
    assert!(sums.len() > 3 && sums.len() <= files.len());
}

#[test]
fn does_not_compact_or_read_a_corrupt_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), compacted());
    for number in 0..40_i64 {
        log.append(&batch(NO_PRODUCER, &[row("a", &number.to_string(), NOW)]), NOW).unwrap();
    }
    let path = path_of(&log.segments[1]);
    let offset = log.segments[1].base_offset;
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let kind = |error: std::io::Error| error.kind();
    let invalid = std::io::ErrorKind::InvalidData;
    assert_eq!(log.compaction(NOW).unwrap().run().map(|_| ()).map_err(kind), Err(invalid));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let last = log.segments[1].last_offset;
    let read = |from| log.read(from, 1 << 20, IsolationLevel::ReadUncommitted, true).read().map_err(kind);
    let before = read(offset).expect("the batches before it are valid");
    assert_eq!(headers(&before).last().unwrap().last_offset(), last - 1);
    assert_eq!(read(last), Err(invalid));
    assert_eq!(headers(&read(last + 1).unwrap())[0].base_offset, last + 1);
    assert_eq!(log.offset_for_time(NOW, IsolationLevel::ReadUncommitted).unwrap().unwrap().offset, 0);
}

#[test]
fn reads_past_segments_that_compaction_emptied() {
    for storage in [LogStorage::Memory, in_directory(&tempfile::tempdir().unwrap().keep())] {
        let (mut log, _) = open(&storage, compacted());
        for number in 0..40_i64 {
            log.append(&batch(NO_PRODUCER, &[row("a", &number.to_string(), NOW)]), NOW).unwrap();
        }
        log.configure(LogSettings { segment_bytes: 1, ..compacted() });
        compact(&mut log, NOW);
        let emptied = log.segments.iter().filter(|segment| segment.size == 0).count();
        assert!(emptied > 2, "{emptied} segments are empty");
        for from in 0..40 {
            assert!(!consume(&log, from, IsolationLevel::ReadUncommitted).is_empty(), "from {from}");
            assert!(
                !log.read(from, 1, IsolationLevel::ReadUncommitted, true).read().unwrap().is_empty(),
                "from {from}"
            );
        }
    }
}

#[test]
fn is_clean_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), compacted());
    fill(&mut log, NOW);
    log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW)]), NOW).unwrap();
    fill(&mut log, NOW);
    compact(&mut log, NOW);
    let (log, _) = open(&in_directory(dir.path()), compacted());
    assert!(log.cleaned_to > 0);
    assert!(log.compaction(NOW).is_none());
}

/// A read in a gap begins at the batch before it, which may be as large as the read.
#[test]
fn read_in_a_gap_returns_the_next_large_batch() {
    let large = "x".repeat(20_000);
    for storage in [LogStorage::Memory, in_directory(&tempfile::tempdir().unwrap().keep())] {
        let (mut log, _) = open(&storage, LogSettings { segment_bytes: 60_000, ..compacted() });
        log.append(&batch(NO_PRODUCER, &[row("a", &large, NOW)]), NOW).unwrap();
        log.append(&batch(NO_PRODUCER, &[row("gone", "1", NOW)]), NOW).unwrap();
        log.append(&batch(NO_PRODUCER, &[row("b", &large, NOW)]), NOW).unwrap();
        log.append(&batch(NO_PRODUCER, &[row("gone", "2", NOW), row("c", &large, NOW)]), NOW).unwrap();
        fill(&mut log, NOW);
        compact(&mut log, NOW);
        let read = |offset| log.read(offset, 24_000, IsolationLevel::ReadUncommitted, true).read().unwrap();
        assert_eq!(read(1), read(2));
        assert!(read(1).len() > 20_000, "{} bytes", read(1).len());
    }
}
