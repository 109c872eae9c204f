//! Tests of retention, segment roll, append checks and lookup by time.

use super::test_support::*;
use super::*;

fn small() -> LogSettings {
    LogSettings { segment_bytes: 300, ..settings() }
}

fn filled(storage: &LogStorage, settings: LogSettings) -> Log {
    let (mut log, _) = open(storage, settings);
    for number in 0..20 {
        log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW + number), row("b", "1", NOW + number)]), NOW + number)
            .unwrap();
    }
    log
}

#[test]
fn deletes_segments_that_are_too_old() {
    let dir = tempfile::tempdir().unwrap();
    for storage in [LogStorage::Memory, in_directory(dir.path())] {
        let mut log = filled(&storage, LogSettings { retention_ms: Some(100), ..small() });
        let segments = log.segments.len();
        assert!(!log.apply_retention(NOW + 100).unwrap());
        assert!(log.apply_retention(NOW + 105).unwrap());
        let kept = log.start_offset();
        assert!(log.segments.len() < segments && kept > 0 && log.segments[0].base_offset == kept);
        assert!(log.segments[0].max_timestamp >= NOW + 5);
        // The active segment is closed before it is deleted as the last one.
        assert!(log.apply_retention(NOW + 120).unwrap());
        assert_eq!((log.start_offset(), log.high_watermark(), log.size()), (40, 40, 0));
        assert!(!log.apply_retention(NOW + 9_000).unwrap());
        assert_eq!(log.append(&batch(NO_PRODUCER, &[row("a", "1", NOW)]), NOW).unwrap().base_offset, 40);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn deletes_segments_over_the_size_limit() {
    let mut log = filled(&LogStorage::Memory, LogSettings { retention_bytes: Some(1_000), ..small() });
    assert!(log.apply_retention(NOW).unwrap());
    assert!(log.size() >= 1_000 && log.size() - log.segments[0].size < 1_000);
    log.configure(LogSettings { retention_bytes: Some(0), delete: false, ..small() });
    assert!(!log.apply_retention(NOW).unwrap());
}

#[test]
fn deleted_records_stay_deleted_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(&in_directory(dir.path()), small());
    log.delete_records_before(7).unwrap();
    assert_eq!(consume(&log, 7, IsolationLevel::ReadUncommitted)[0].offset, 7);
    assert!(log.segments[0].base_offset <= 7 && log.segments[1].base_offset > 7);
    log.delete_records_before(3).unwrap();
    assert_eq!(log.start_offset(), 7);
    let log = Log::open(&in_directory(dir.path()), small(), 7, NOW, &LogFilesState::Unrecorded).unwrap();
    assert_eq!((log.start_offset(), log.high_watermark()), (7, 40));
    // Offsets below the log start of the journal are not used again, whatever the files hold.
    let log = Log::open(&in_directory(dir.path()), small(), 50, NOW, &LogFilesState::Unrecorded).unwrap();
    assert_eq!((log.start_offset(), log.high_watermark(), log.size()), (50, 50, 0));
}

#[test]
fn deletes_a_segment_when_the_next_one_is_the_start() {
    let mut log = filled(&LogStorage::Memory, small());
    let next = log.segments[1].base_offset;
    log.delete_records_before(next - 1).unwrap();
    assert_eq!(log.segments[0].base_offset, 0);
    log.delete_records_before(next).unwrap();
    assert_eq!(log.segments[0].base_offset, next);
}

#[test]
fn planned_read_survives_deletion() {
    let dir = tempfile::tempdir().unwrap();
    for storage in [LogStorage::Memory, in_directory(dir.path())] {
        let mut log = filled(&storage, small());
        let slice = log.read(0, 1 << 20, IsolationLevel::ReadUncommitted, true);
        let before = slice.read().unwrap();
        log.delete_records_before(40).unwrap();
        log.remove().unwrap();
        assert!(!before.is_empty());
        assert_eq!(slice.read().unwrap(), before);
    }
}

#[test]
fn rolls_by_bytes_and_by_time() {
    let mut log = filled(&LogStorage::Memory, LogSettings { segment_ms: 10, ..settings() });
    assert_eq!(log.segments.iter().map(|segment| segment.base_offset).collect::<Vec<_>>(), [0, 22]);
    log.configure(small());
    assert!(filled(&LogStorage::Memory, small()).segments.iter().all(|segment| segment.size <= 300));
}

#[test]
fn rejects_batches_by_topic_settings() {
    let (mut log, _) =
        open(&LogStorage::Memory, LogSettings { compact: true, timestamp_before_max_ms: 100, ..settings() });
    let keyless = batch(NO_PRODUCER, &[row("a", "1", NOW), (None, None, NOW)]);
    assert!(matches!(log.append(&keyless, NOW), Err(AppendError::NoKey(records)) if records == [1]));
    let good = batch(NO_PRODUCER, &[row("a", "1", NOW), row("a", "1", NOW - 100)]);
    assert!(matches!(log.append(&good, NOW + 1), Err(AppendError::InvalidTimestamp(records)) if records == [1]));
    assert!(
        matches!(log.append(&good, NOW - 3_600_001), Err(AppendError::InvalidTimestamp(records)) if records == [0])
    );
    assert!(log.append(&batch(NO_PRODUCER, &[row("a", "1", -1)]), NOW).is_ok(), "a record may have no timestamp");
    assert!(log.append(&good, NOW).is_ok());
    let size = u32::try_from(good.size()).unwrap();
    log.configure(LogSettings { max_message_bytes: size - 1, ..settings() });
    assert!(matches!(log.append(&good, NOW), Err(AppendError::TooLarge)));
    log.configure(LogSettings { segment_bytes: u64::from(size) - 1, ..settings() });
    assert!(matches!(log.append(&good, NOW), Err(AppendError::LargerThanSegment)));
    log.configure(settings());
    log.append(&batch(in_transaction(1, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    let outside = batch(producer(1, 0, 1), &[row("a", "1", NOW)]);
    assert!(matches!(log.append(&outside, NOW), Err(AppendError::InvalidTransactionState)));
    assert_eq!(log.high_watermark(), 4);
}

#[test]
fn log_append_time_replaces_client_timestamps() {
    let (mut log, _) = open(&LogStorage::Memory, LogSettings { log_append_time: true, ..settings() });
    let appended = log.append(&batch(producer(1, 0, 0), &[row("a", "1", 5), row("a", "2", 9)]), NOW).unwrap();
    assert_eq!(appended.log_append_time, NOW);
    log.end_transaction(1, 0, true, 0, NOW + 1).unwrap();
    for (header, bytes) in batches(&log) {
        assert!(header.is_log_append_time() && header::crc_agrees(&bytes));
    }
    let again = log.append(&batch(producer(1, 0, 0), &[row("a", "1", 5), row("a", "2", 9)]), NOW + 7).unwrap();
    assert_eq!((again.duplicate, again.log_append_time), (true, NOW));
    let found = log.offset_for_time(NOW, IsolationLevel::ReadCommitted).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (0, NOW));
    assert_eq!(log.max_timestamp().unwrap(), Some(TimedOffset { offset: 2, timestamp: NOW + 1 }));
}

#[test]
fn max_timestamp_is_that_of_the_first_such_record() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), LogSettings { segment_bytes: 1_000, ..settings() });
    assert_eq!(log.max_timestamp().unwrap(), None);
    for number in 0..60_i64 {
        let late = NOW + if number == 13 || number == 44 { 500 } else { number };
        log.append(&batch(NO_PRODUCER, &[row("a", "1", 0), row("a", "1", late), row("a", "1", late)]), NOW).unwrap();
    }
    assert_eq!(log.max_timestamp().unwrap(), Some(TimedOffset { offset: 40, timestamp: NOW + 500 }));
}

#[test]
fn producer_expires_unless_its_transaction_is_open() {
    let (mut log, _) = open(&LogStorage::Memory, settings());
    log.append(&batch(producer(1, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    log.append(&batch(in_transaction(2, 0, 0), &[row("a", "1", NOW)]), NOW).unwrap();
    log.apply_retention(NOW + 86_399_999).unwrap();
    assert_eq!(log.producers().len(), 2);
    log.apply_retention(NOW + 86_400_000).unwrap();
    assert_eq!(log.producers().iter().map(|it| it.producer_id).collect::<Vec<_>>(), [2]);
    assert!(log.append(&batch(producer(1, 0, 77), &[row("a", "1", NOW)]), NOW).is_ok());
}

#[test]
fn failed_write_changes_nothing_and_blocks_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(&in_directory(dir.path()), settings());
    let before = batches(&log);
    let path = path_of(&log.segments[0]);
    log.segments[0].data =
        segment_data::SegmentData::File(open_files::SegmentFile::without_path(std::fs::File::open(&path).unwrap()));
    let one = batch(producer(1, 0, 0), &[row("a", "1", NOW)]);
    assert!(matches!(log.append(&one, NOW), Err(AppendError::Storage(_))));
    assert_eq!((log.high_watermark(), log.producers()), (40, Vec::new()));
    assert!(log.write_failed, "truncation fails too");
    assert!(log.end_transaction(1, 0, true, 0, NOW).is_err());
    assert_eq!(batches(&log), before);
}

#[test]
fn corruption_before_other_segments_is_not_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(&in_directory(dir.path()), small());
    let path = path_of(&log.segments[1]);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    let error = Log::open(&in_directory(dir.path()), small(), 0, NOW, &LogFilesState::Unrecorded).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn reads_past_a_gap_after_a_large_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), LogSettings { compact: true, ..settings() });
    let large = "v".repeat(100_000);
    log.append(&batch(NO_PRODUCER, &[row("a", &large, NOW)]), NOW).unwrap();
    for key in ["b", "c", "b", "c", "d"] {
        log.append(&batch(NO_PRODUCER, &[row(key, "1", NOW)]), NOW).unwrap();
    }
    log.roll(NOW).unwrap();
    let compacted = log.compaction(NOW).unwrap().run().unwrap();
    drop(log.finish(compacted).unwrap());
    for (from, first) in [(0, 0), (1, 3), (2, 3), (3, 3), (4, 4)] {
        let bytes = log.read(from, 10, IsolationLevel::ReadUncommitted, true).read().unwrap();
        assert_eq!(decode(&bytes)[0].offset, first, "from {from}");
        assert!(log.available(from, IsolationLevel::ReadUncommitted, 1) == 1);
    }
}

/// Larger than one read.
#[test]
fn reads_a_large_segment_of_small_and_large_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), LogSettings { compact: true, ..settings() });
    let mut size = 1_usize;
    while log.size() < 3 << 20 {
        // Mixes small batches with some of more than 64 KiB.
        size = size * 7919 % 100_003;
        let value = "v".repeat(if size.is_multiple_of(50) { size } else { size % 300 });
        log.append(&batch(producer(1, 0, i32::try_from(log.high_watermark()).unwrap()), &[row("a", &value, NOW)]), NOW)
            .unwrap();
    }
    let all = batches(&log);
    let (log, events) = open(&in_directory(dir.path()), LogSettings { compact: true, ..settings() });
    assert_eq!(events, []);
    assert_eq!(batches(&log), all);
    for (header, bytes) in all.iter().step_by(7) {
        let one = log.read(header.base_offset, bytes.len(), IsolationLevel::ReadUncommitted, false).read().unwrap();
        assert_eq!(one, *bytes);
    }
    let mut stepped = log.segments[0].data.read_batches(log.size());
    for (header, bytes) in &all {
        assert_eq!(stepped.next().unwrap(), Some((*header, bytes.clone())));
    }
    assert_eq!(stepped.next().unwrap(), None);
}
