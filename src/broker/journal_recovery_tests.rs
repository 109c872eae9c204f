//! Tests of journal recovery.

use std::fs;
use std::path::Path;

use super::*;
use crate::broker::transactions::TransactionEntry;

const CLUSTER: Uuid = Uuid::from_u128(7);

fn entry(number: i64) -> JournalEntry {
    JournalEntry::Transaction(TransactionEntry::ProducerIds { until: number })
}

fn read(dir: &Path) -> Result<Vec<i64>, Corruption> {
    let (_, entries) = match JournalRecovery::read(&Directory::for_test(dir), CLUSTER, false) {
        Ok(opened) => opened,
        Err(OpenError::Corrupted(damage)) => return Err(damage),
        Err(error) => panic!("{error}"),
    };
    let numbers = entries.into_iter().filter_map(|entry| match entry {
        JournalEntry::Transaction(TransactionEntry::ProducerIds { until }) => Some(until),
        _ => None,
    });
    Ok(numbers.collect())
}

fn start(dir: &Path) -> Journal {
    let (mut recovery, _) = JournalRecovery::read(&Directory::for_test(dir), CLUSTER, false).expect("opens");
    let (ends, mut journal) = recovery.begin(&mut Vec::new()).expect("begins");
    recovery.finish(&ends, &mut journal, &[]).expect("finishes");
    journal
}

/// The data directory of a broker that was killed after these entries.
fn killed(numbers: std::ops::Range<i64>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut journal = start(dir.path());
    for number in numbers {
        journal.append(&[entry(number)]).expect("appended");
    }
    let path = dir.path().join("journal");
    (dir, path)
}

#[test]
fn rejects_a_truncated_journal() {
    let (dir, path) = killed(0..5);
    let whole = fs::read(&path).expect("read");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3, 4]));
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        let damage = read(dir.path()).expect_err("refused");
        let message = damage.to_string();
        assert!(
            message.contains("journal") && (message.contains("is truncated") || message.contains("line 1")),
            "{cut}: {message}"
        );
    }
    fs::remove_file(&path).expect("removed");
    let damage = read(dir.path()).expect_err("refused");
    assert!(matches!(&damage, Corruption::Missing { path: message, .. } if *message == path), "{damage}");
}

#[test]
fn rejects_every_flipped_bit() {
    let (dir, path) = killed(0..3);
    let whole = fs::read(&path).expect("read");
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &altered).expect("written");
        let damage = read(dir.path()).expect_err("refused");
        assert!(damage.to_string().contains("journal"), "bit {bit}: {damage}");
    }
}

#[test]
fn rejects_swapped_lines() {
    let (dir, path) = killed(0..5);
    let text = fs::read_to_string(&path).expect("read");
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines[2].len(), lines[3].len());
    lines.swap(2, 3);
    fs::write(&path, lines.concat()).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::Mismatch { .. })), "every line and the file's length are valid");
}

#[test]
fn rejects_an_older_and_a_foreign_journal() {
    let (dir, path) = killed(0..3);
    let old = fs::read(&path).expect("read");
    let mut journal = start(dir.path());
    journal.append(&[entry(3)]).expect("appended");
    fs::write(&path, &old).expect("put back");
    assert!(matches!(read(dir.path()), Err(Corruption::Truncated { .. })));
    let (_other, other) = killed(7..12);
    fs::copy(other, &path).expect("swapped");
    assert!(matches!(read(dir.path()), Err(Corruption::Mismatch { .. } | Corruption::CorruptLine { .. })));
    journal.rewrite(&[entry(3)]).expect("rewritten");
    fs::write(&path, &old).expect("put back");
    assert!(matches!(read(dir.path()), Err(Corruption::Mismatch { .. })), "rewritten since");
    fs::remove_file(dir.path().join(ends::NAME)).expect("removed");
    assert!(matches!(read(dir.path()), Err(Corruption::Missing { .. })), "without the file `ends`");
}

#[test]
fn cuts_off_an_unfinished_write() {
    let (dir, path) = killed(0..3);
    let whole = fs::read(&path).expect("read");
    // In the broker's order: intended size, line, acknowledged size.
    let found = EndsFile::read(&Directory::for_test(dir.path()), false).expect("read").expect("there");
    let line_length = 20;
    found
        .ends
        .write_journal(&JournalEnd { intended: whole.len() as u64 + line_length, ..found.journal })
        .expect("written");
    for torn in 1..=usize::try_from(line_length).expect("few") {
        fs::write(&path, [&whole[..], &vec![b'x'; torn]].concat()).expect("written");
        let (mut recovery, _) = JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
        assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
        let mut events = Vec::new();
        if torn == 20 {
            recovery.begin(&mut events).expect("begins");
            assert_eq!(events, [BrokerEvent::TailTruncated { path: path.clone(), bytes: 20, unacknowledged: true }]);
            assert_eq!(fs::read(&path).expect("read"), whole);
        }
    }
    // Only one write can have been in progress.
    fs::write(&path, [&whole[..], &[b'x'; 21]].concat()).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })));
    fs::write(&path, [&whole[..], &whole[..]].concat()).expect("doubled");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })));
}

#[test]
fn after_a_reboot_the_disk_may_have_more_lines() {
    let (dir, path) = killed(0..5);
    let all = fs::read(&path).expect("read");
    let three = JournalLines::parse(&all).whole.get(3).map(|line| (line.end, line.digest)).expect("five");
    let found = EndsFile::read(&Directory::for_test(dir.path()), false).expect("read").expect("there");
    let here = JournalEnd { acknowledged: three.0, digest: three.1, intended: three.0, ..found.journal };
    found.ends.write_journal(&here).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })), "same boot");
    found.ends.write_journal(&JournalEnd { boot_id: 1, ..here }).expect("written");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3, 4]));
    fs::write(&path, &all[..all.len() - 3]).expect("written");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3]));
    fs::write(&path, &all[..usize::try_from(three.0).expect("few") - 1]).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::Truncated { .. })), "acknowledged lines are missing");
    fs::write(&path, &all).expect("written");
    found.ends.write_journal(&JournalEnd { boot_id: 1, clean: true, ..here }).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })), "everything was flushed");
}

#[test]
fn survives_a_kill_during_a_rewrite() {
    let (dir, path) = killed(0..3);
    let before = fs::read(dir.path().join(ends::NAME)).expect("read");
    let mut journal = start(dir.path());
    journal.rewrite(&[entry(77), entry(78)]).expect("rewritten");
    // The new journal has its final name, but the file `ends` does not record it yet.
    fs::write(dir.path().join(ends::NAME), before).expect("put back");
    assert_eq!(read(dir.path()), Ok(vec![77, 78]));
    let whole = fs::read(&path).expect("read");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        assert!(read(dir.path()).is_err(), "cut at {cut}");
    }
}

#[test]
fn upgrades_a_journal_of_an_earlier_version() {
    let (dir, path) = killed(0..3);
    let text = fs::read_to_string(&path).expect("read");
    let without_head = text.split_once('\n').expect("lines").1.to_owned();
    fs::remove_file(dir.path().join(ends::NAME)).expect("removed");
    for torn in ["", "1234"] {
        fs::write(&path, format!("{without_head}{torn}")).expect("written");
        let (recovery, entries) =
            JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
        assert!(matches!(recovery.state, DataDirState::Unrecorded));
        assert_eq!(entries.len(), 3);
    }
    let (mut recovery, entries) =
        JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
    let (ends, mut journal) = recovery.begin(&mut Vec::new()).expect("begins");
    // After a kill here, recovery starts over or continues.
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
    journal.rewrite(&entries).expect("rewritten");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
    drop(ends);
    assert!(JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens").0.is_recorded());
}
