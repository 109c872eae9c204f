//! Owns the claims about starts over a journal that is not what it was.

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
    let (mut opening, _) = JournalRecovery::read(&Directory::for_test(dir), CLUSTER, false).expect("opens");
    let (ends, mut journal) = opening.begin(&mut Vec::new()).expect("begins");
    opening.finish(&ends, &mut journal, &[]).expect("finishes");
    journal
}

/// A folder whose broker was killed after these entries.
fn killed(numbers: std::ops::Range<i64>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut journal = start(dir.path());
    for number in numbers {
        journal.append(&[entry(number)]).expect("appended");
    }
    let path = dir.path().join("journal");
    (dir, path)
}

#[test]
fn a_journal_that_lost_its_end_is_not_passed_over_wherever_it_is_cut() {
    let (dir, path) = killed(0..5);
    let whole = fs::read(&path).expect("read");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3, 4]));
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        let damage = read(dir.path()).expect_err("refused");
        let told = damage.to_string();
        assert!(
            told.contains("journal") && (told.contains("lost its end") || told.contains("line 1")),
            "{cut}: {told}"
        );
    }
    fs::remove_file(&path).expect("removed");
    let damage = read(dir.path()).expect_err("refused");
    assert!(matches!(&damage, Corruption::Missing { path: told, .. } if *told == path), "{damage}");
}

#[test]
fn a_journal_with_an_altered_bit_is_refused_by_its_name() {
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
fn lines_in_another_order_are_not_those_that_were_written() {
    let (dir, path) = killed(0..5);
    let text = fs::read_to_string(&path).expect("read");
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines[2].len(), lines[3].len());
    lines.swap(2, 3);
    fs::write(&path, lines.concat()).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::Mismatch { .. })), "each is whole, and so is the file's length");
}

#[test]
fn an_older_journal_and_another_folders_are_refused() {
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
    assert!(matches!(read(dir.path()), Err(Corruption::Mismatch { .. })), "one that was written anew since");
    fs::remove_file(dir.path().join(ends::NAME)).expect("removed");
    assert!(matches!(read(dir.path()), Err(Corruption::Missing { .. })), "without the file `ends`");
}

#[test]
fn what_was_being_written_when_the_process_was_killed_is_cut_and_told() {
    let (dir, path) = killed(0..3);
    let whole = fs::read(&path).expect("read");
    // As the broker does it: first how long the journal is to be, then the line, then that it is.
    let found = EndsFile::read(&Directory::for_test(dir.path()), false).expect("read").expect("there");
    let line_length = 20;
    found
        .ends
        .write_journal(&JournalEnd { intended: whole.len() as u64 + line_length, ..found.journal })
        .expect("written");
    for torn in 1..=usize::try_from(line_length).expect("few") {
        fs::write(&path, [&whole[..], &vec![b'x'; torn]].concat()).expect("written");
        let (mut opening, _) = JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
        assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
        let mut events = Vec::new();
        if torn == 20 {
            opening.begin(&mut events).expect("begins");
            assert_eq!(events, [BrokerEvent::TailTruncated { path: path.clone(), bytes: 20, unacknowledged: true }]);
            assert_eq!(fs::read(&path).expect("read"), whole);
        }
    }
    // More than one write cannot have been on its way.
    fs::write(&path, [&whole[..], &[b'x'; 21]].concat()).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })));
    fs::write(&path, [&whole[..], &whole[..]].concat()).expect("doubled");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })));
}

#[test]
fn where_the_machine_went_down_more_may_be_on_the_disk_than_is_written_down() {
    let (dir, path) = killed(0..5);
    let all = fs::read(&path).expect("read");
    let three = JournalLines::parse(&all).whole.get(3).map(|line| (line.end, line.digest)).expect("five");
    let found = EndsFile::read(&Directory::for_test(dir.path()), false).expect("read").expect("there");
    let here = JournalEnd { acknowledged: three.0, digest: three.1, intended: three.0, ..found.journal };
    found.ends.write_journal(&here).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })), "not in the same run of the machine");
    found.ends.write_journal(&JournalEnd { boot_id: 1, ..here }).expect("written");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3, 4]));
    fs::write(&path, &all[..all.len() - 3]).expect("written");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2, 3]));
    fs::write(&path, &all[..usize::try_from(three.0).expect("few") - 1]).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::Truncated { .. })), "less is a loss all the same");
    fs::write(&path, &all).expect("written");
    found.ends.write_journal(&JournalEnd { boot_id: 1, clean: true, ..here }).expect("written");
    assert!(matches!(read(dir.path()), Err(Corruption::TooLong { .. })), "after a stop the disk had it all");
}

#[test]
fn a_kill_between_the_steps_of_writing_anew_loses_nothing() {
    let (dir, path) = killed(0..3);
    let before = fs::read(dir.path().join(ends::NAME)).expect("read");
    let mut journal = start(dir.path());
    journal.rewrite(&[entry(77), entry(78)]).expect("rewritten");
    // The new journal has its name, and the file `ends` does not know of it yet.
    fs::write(dir.path().join(ends::NAME), before).expect("put back");
    assert_eq!(read(dir.path()), Ok(vec![77, 78]));
    let whole = fs::read(&path).expect("read");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        assert!(read(dir.path()).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_journal_of_an_earlier_version_is_taken_as_it_is_and_upgraded() {
    let (dir, path) = killed(0..3);
    let text = fs::read_to_string(&path).expect("read");
    let without_head = text.split_once('\n').expect("lines").1.to_owned();
    fs::remove_file(dir.path().join(ends::NAME)).expect("removed");
    for torn in ["", "1234"] {
        fs::write(&path, format!("{without_head}{torn}")).expect("written");
        let (opening, entries) =
            JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
        assert!(matches!(opening.state, DataDirState::Unrecorded));
        assert_eq!(entries.len(), 3);
    }
    let (mut opening, entries) =
        JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens");
    let (ends, mut journal) = opening.begin(&mut Vec::new()).expect("begins");
    // A kill before the end of it begins anew, or goes on where it was.
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
    journal.rewrite(&entries).expect("rewritten");
    assert_eq!(read(dir.path()), Ok(vec![0, 1, 2]));
    drop(ends);
    assert!(JournalRecovery::read(&Directory::for_test(dir.path()), CLUSTER, false).expect("opens").0.is_recorded());
}
