//! Owns the claims about the journal itself; what a start makes of one that is damaged is claimed beside `opening.rs`.

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
    let (mut opening, mut entries) =
        JournalRecovery::read(&Directory::for_test(dir), Uuid::from_u128(7), false).expect("opens");
    let (ends, mut journal) = opening.begin(&mut Vec::new()).expect("begins");
    opening.finish(&ends, &mut journal, &[]).expect("finishes");
    entries.retain(|entry| !matches!(entry, JournalEntry::Head(_)));
    (journal, entries)
}

#[test]
fn what_was_appended_is_there_after_a_start() {
    let dir = tempfile::tempdir().expect("a folder");
    for number in 0..5 {
        let (mut journal, found) = open(dir.path());
        assert_eq!(found, entries(0..number));
        journal.append(&[entry(number)]).expect("appended");
    }
}

#[test]
fn a_rewritten_journal_holds_what_it_was_rewritten_with_and_what_came_after() {
    let dir = tempfile::tempdir().expect("a folder");
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
