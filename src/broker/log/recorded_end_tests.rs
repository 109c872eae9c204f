//! Owns the claims about a log that is held against what is written down of its end.

use std::path::Path;

use super::test_support::*;
use super::*;
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::LogEnd;
use crate::broker::events::BrokerEvent;

fn one() -> Batch {
    batch(NOBODY, &[row("a", "1", NOW)])
}

/// A log of so many batches, and what is written down of it.
fn filled(dir: &Path, batches: usize) -> LogEnd {
    let (mut log, _) = open(&in_directory(dir), settings());
    for _ in 0..batches {
        log.append(&one(), NOW).unwrap();
    }
    log.current_end()
}

fn proven(dir: &Path, end: LogEnd, clean: bool, rebooted: bool) -> Result<(i64, Vec<BrokerEvent>), Corruption> {
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

/// What a folder holds that went on after this was written down.
fn gone_on(more: usize) -> (tempfile::TempDir, LogEnd) {
    let dir = tempfile::tempdir().unwrap();
    let end = filled(dir.path(), 3);
    let (mut log, _) = open(&in_directory(dir.path()), settings());
    for _ in 0..more {
        log.append(&one(), NOW).unwrap();
    }
    (dir, end)
}

#[test]
fn the_batch_that_was_on_its_way_stays_and_more_cannot_have_been() {
    for (more, clean, rebooted, expected) in [
        (0, false, false, Some(3)),
        (1, false, false, Some(4)),
        (2, false, false, None),
        (0, true, false, Some(3)),
        (1, true, false, None),
        // A disk that lost power may have the one and not the other.
        (9, false, true, Some(12)),
        (1, true, true, None),
    ] {
        let (dir, end) = gone_on(more);
        let found = proven(dir.path(), end, clean, rebooted);
        match expected {
            Some(end) => assert_eq!(found, Ok((end, Vec::new())), "{more} more"),
            None => assert!(matches!(found, Err(Corruption::TooLong { .. })), "{more} more: {found:?}"),
        }
    }
}

#[test]
fn a_batch_that_is_torn_is_cut_and_told_and_nothing_whole_is_cut_with_it() {
    let size = one().size();
    for torn in 1..size {
        let (dir, end) = gone_on(1);
        let path = file(dir.path());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..size * 3 + torn]).unwrap();
        let cut =
            |unacknowledged| BrokerEvent::TailTruncated { path: path.clone(), bytes: torn as u64, unacknowledged };
        assert_eq!(proven(dir.path(), end, false, false), Ok((3, vec![cut(true)])));
        assert_eq!(std::fs::read(&path).unwrap(), &whole[..size * 3]);
        // Something whole behind something torn is no write that was cut short.
        std::fs::write(&path, [&whole[..size * 3 + torn], &whole[..size]].concat()).unwrap();
        assert!(matches!(proven(dir.path(), end, false, false), Err(Corruption::TooLong { .. })));
        assert!(matches!(proven(dir.path(), end, false, true), Err(Corruption::TooLong { .. })));
        std::fs::write(&path, &whole[..size * 3 + torn]).unwrap();
        assert_eq!(proven(dir.path(), end, false, true), Ok((3, vec![cut(false)])), "who knows what the disk lost");
    }
}

#[test]
fn without_what_is_written_down_a_tail_is_cut_only_if_nothing_whole_stands_behind_it() {
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
            // Of the first bytes of a batch its checksum knows nothing.
            let uncovered = at % size < 8 || (12..16).contains(&(at % size));
            assert!(opened.is_err() || uncovered, "byte {at}");
        } else {
            assert!(opened.is_ok(), "byte {at}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), altered, "looking changes nothing");
    }
}

#[test]
fn a_log_of_which_nothing_is_written_down_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0);
    assert!(Log::open(&in_directory(dir.path()), settings(), 0, NOW, &LogFilesState::New).is_ok());
    filled(dir.path(), 1);
    let opened = Log::open(&in_directory(dir.path()), settings(), 0, NOW, &LogFilesState::New);
    assert!(matches!(opened, Err(OpenError::Corrupted(Corruption::UnknownLogs { .. }))), "{opened:?}");
}

#[test]
fn a_segment_is_never_begun_over_a_file_that_holds_something() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&in_directory(dir.path()), settings());
    log.append(&one(), NOW).unwrap();
    let foreign = segment::path_of(&Directory::for_test(dir.path()), 1);
    std::fs::write(&foreign, "mine").unwrap();
    assert!(log.roll(NOW).is_err());
    assert_eq!(std::fs::read(&foreign).unwrap(), b"mine");
}
