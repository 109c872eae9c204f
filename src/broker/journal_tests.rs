//! Tests of the journal. Recovery of a corrupt journal is tested in `journal_recovery_tests.rs`.

use std::path::Path;

use super::*;
use crate::broker::journal_recovery::JournalRecovery;
use crate::broker::transactions::TransactionEntry;
use uuid::Uuid;

fn entry(number: i64) -> JournalEntry {
    JournalEntry::Transaction(TransactionEntry::ProducerIds { until: number })
}

fn entries(numbers: std::ops::Range<i64>) -> Vec<JournalEntry> {
    numbers.map(entry).collect()
}

fn open(dir: &Path) -> (Journal, Vec<JournalEntry>) {
    let (mut recovery, mut entries) =
        JournalRecovery::read(&Directory::for_test(dir), Uuid::from_u128(7), false).expect("opens");
    let (ends, mut journal) = recovery.begin(&mut Vec::new()).expect("begins");
    recovery.finish(&ends, &mut journal, &[]).expect("finishes");
    entries.retain(|entry| !matches!(entry, JournalEntry::Head(_)));
    (journal, entries)
}

#[test]
fn appended_entries_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for number in 0..5 {
        let (mut journal, found) = open(dir.path());
        assert_eq!(found, entries(0..number));
        journal.append(&[entry(number)]).expect("appended");
    }
}

#[test]
fn rewritten_journal_holds_new_entries_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = open(dir.path());
    let history = entries(0..1000);
    while !journal.needs_rewrite() {
        journal.append(&history).expect("appended");
    }
    journal.rewrite(&entries(0..2)).expect("rewritten");
    assert!(!journal.needs_rewrite());
    journal.append(&[entry(7)]).expect("appended");
    assert_eq!(open(dir.path()).1, [entry(0), entry(1), entry(7)]);
}
