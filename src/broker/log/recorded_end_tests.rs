//! Tests of recovery with a recorded end.

use std::path::Path;

use super::test_support::*;
use super::*;
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::LogEnd;
use crate::broker::events::BrokerEvent;

fn one() -> Batch {
    batch(NO_PRODUCER, &[row("a", "1", NOW)])
}

/// Creates a log of some batches. Returns its recorded end.
fn filled(dir: &Path, batches: usize) -> LogEnd {
    let (mut log, _) = open(&in_directory(dir), settings());
    for _ in 0..batches {
        log.append(&one(), NOW).unwrap();
    }
    log.current_end()
}

fn recovered(dir: &Path, end: LogEnd, clean: bool, rebooted: bool) -> Result<(i64, Vec<BrokerEvent>), Corruption> {
    let known = LogFilesState::Recorded(Box::new(RecordedEnd { end, clean, rebooted, decided: Vec::new() }));
    let mut log = match Log::open(&in_directory(dir), settings(), 0, NOW, &known) {
        Ok(log) => log,
        Err(OpenError::Corrupted(damage)) => return Err(damage),
        Err(error) => panic!("{error}"),
    };
    let mut events = Vec::new();
    log.apply_repairs(None, &mut events).unwrap();
    Ok((log.high_watermark(), events))
}

fn file(dir: &Path) -> std::path::PathBuf {
    segment::path_of(&Directory::for_test(dir), 0)
}

/// A log with batches past its recorded end.
fn extended(more: usize) -> (tempfile::TempDir, LogEnd) {
    let dir = tempfile::tempdir().unwrap();
    let end = filled(dir.path(), 3);
    let (mut log, _) = open(&in_directory(dir.path()), settings());
    for _ in 0..more {
        log.append(&one(), NOW).unwrap();
    }
    (dir, end)
}

#[test]
fn keeps_the_one_batch_that_was_being_written() {
    for (more, clean, rebooted, expected) in [
        (0, false, false, Some(3)),
        (1, false, false, Some(4)),
        (2, false, false, None),
        (0, true, false, Some(3)),
        (1, true, false, None),
        // After a power loss, the disk may have the log but not its recorded end.
        (9, false, true, Some(12)),
        (1, true, true, None),
    ] {
        let (dir, end) = extended(more);
        let found = recovered(dir.path(), end, clean, rebooted);
        match expected {
            Some(end) => assert_eq!(found, Ok((end, Vec::new())), "{more} more"),
            None => assert!(matches!(found, Err(Corruption::TooLong { .. })), "{more} more: {found:?}"),
        }
    }
}

#[test]
fn cuts_off_a_torn_batch_and_nothing_whole() {
    let size = one().size();
    for torn in 1..size {
        let (dir, end) = extended(1);
        let path = file(dir.path());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..size * 3 + torn]).unwrap();
        let cut =
            |unacknowledged| BrokerEvent::TailTruncated { path: path.clone(), bytes: torn as u64, unacknowledged };
        assert_eq!(recovered(dir.path(), end, false, false), Ok((3, vec![cut(true)])));
        assert_eq!(std::fs::read(&path).unwrap(), &whole[..size * 3]);
        // A whole batch after a torn one means corruption.
        std::fs::write(&path, [&whole[..size * 3 + torn], &whole[..size]].concat()).unwrap();
        assert!(matches!(recovered(dir.path(), end, false, false), Err(Corruption::TooLong { .. })));
        assert!(matches!(recovered(dir.path(), end, false, true), Err(Corruption::TooLong { .. })));
        std::fs::write(&path, &whole[..size * 3 + torn]).unwrap();
        assert_eq!(
            recovered(dir.path(), end, false, true),
            Ok((3, vec![cut(false)])),
            "the disk may have lost acknowledged data"
        );
    }
}

#[test]
fn unrecorded_log_is_cut_only_at_a_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let path = file(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let size = one().size();
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let opened = Log::open(&in_directory(dir.path()), settings(), 0, NOW, &LogFilesState::Unrecorded);
        if at < size * 2 {
            // The CRC does not cover these bytes.
            let uncovered = at % size < 8 || (12..16).contains(&(at % size));
            assert!(opened.is_err() || uncovered, "byte {at}");
        } else {
            assert!(opened.is_ok(), "byte {at}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), altered, "recovery changes nothing");
    }
}

#[test]
fn new_log_must_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0);
    assert!(Log::open(&in_directory(dir.path()), settings(), 0, NOW, &LogFilesState::New).is_ok());
    filled(dir.path(), 1);
    let opened = Log::open(&in_directory(dir.path()), settings(), 0, NOW, &LogFilesState::New);
    assert!(matches!(opened, Err(OpenError::Corrupted(Corruption::UnknownLogs { .. }))), "{opened:?}");
}

#[test]
fn never_begins_a_segment_over_existing_data() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), settings());
    log.append(&one(), NOW).unwrap();
    let foreign = segment::path_of(&Directory::for_test(dir.path()), 1);
    std::fs::write(&foreign, "mine").unwrap();
    assert!(log.roll(NOW).is_err());
    assert_eq!(std::fs::read(&foreign).unwrap(), b"mine");
}
