//! Recovery of a data directory of an earlier version, which has no file `ends`.

use std::path::Path;

use super::workload::{begin_foreign, broker_state, start};
use super::{Files, Killed, read, write};
use crate::broker::events::BrokerEvent;

/// Records by topic in the old data directory.
const OLD_RECORDS: [(&str, i64); 4] =
    [("inventory-events", 21), ("inventory-ledger", 22), ("order-events", 18), ("order-events-dlq", 0)];

/// Written by a version without the file `ends`, and killed after two runs of `produce` and one of `inventory`.
#[test]
fn serves_and_upgrades_an_earlier_format() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let old = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders/format-1"));
    write(dir.path(), &Files::new(), &old);
    let (core, events, lock) = start(dir.path()).expect("starts");
    assert_eq!(events, []);
    let first = broker_state(&core).expect("read");
    assert_eq!(first.records(), OLD_RECORDS.map(|(topic, records)| (topic.to_owned(), records)).into());
    drop((core, lock));
    let after = read(dir.path());
    for (name, bytes) in old.iter().filter(|(name, _)| name.starts_with("topics")) {
        assert!(after[name] == *bytes, "{} was changed", name.display());
    }
    assert!(after.contains_key(Path::new("ends")));
    let (core, events, _lock) = start(dir.path()).expect("starts again");
    assert_eq!((events, &broker_state(&core).expect("read")), (Vec::new(), &first));
    // It is rejected without its journal, like a newer one.
    let bare = tempfile::tempdir().expect("a temporary directory");
    let mut without = old.clone();
    without.remove(Path::new("journal"));
    write(bare.path(), &Files::new(), &without);
    let message = start(bare.path()).map(|_| ()).expect_err("refused");
    assert!(message.contains("journal is not as this broker left it: it is missing or empty"), "{message}");
}

/// Removes everything that an earlier version did not write.
fn as_an_earlier_version(files: &Files) -> Files {
    let text = |name: &str| String::from_utf8(files[Path::new(name)].clone()).expect("text");
    let (_, journal) =
        text("journal").split_once('\n').map(|(head, rest)| (head.to_owned(), rest.to_owned())).expect("lines");
    let format = text("format.json").replace("\"format\":2", "\"format\":1");
    let mut files = files.clone();
    files.remove(Path::new("ends"));
    files.insert("journal".into(), journal.into_bytes());
    files.insert("format.json".into(), format.into_bytes());
    files
}

#[test]
fn restores_a_marker_of_an_unrecorded_log() {
    let killed = Killed::new();
    let old = as_an_earlier_version(&killed.files);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let paid: Vec<_> = killed.logs_of("paid");
    assert_eq!(paid.len(), 2);
    let mut current = Files::new();
    for (number, name) in (0..).zip(&paid) {
        for torn in [0, 1, 77] {
            let mut files = old.clone();
            let content = files.get_mut(name).expect("there");
            content.truncate(content.len() - 78 + torn);
            write(dir.path(), &current, &files);
            let (core, events, _lock) = start(dir.path()).expect("starts");
            let ended = BrokerEvent::TransactionEnded { topic: "paid".into(), partition: number, committed: true };
            assert_eq!(events.last(), Some(&ended));
            assert_eq!(events.len(), if torn == 0 { 1 } else { 2 });
            assert!(broker_state(&core).expect("read") == killed.acknowledged, "{}: {torn} bytes left", name.display());
            current = read(dir.path());
        }
    }
}

#[test]
fn aborts_a_transaction_that_no_journal_lists() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut core, _, lock) = start(dir.path()).expect("starts");
    begin_foreign(&mut core);
    drop((core, lock));
    let (core, events, _lock) = start(dir.path()).expect("starts");
    assert_eq!(events, [BrokerEvent::TransactionEnded { topic: "paid".into(), partition: 0, committed: false }]);
    let log = core.topics.log("paid", 0).expect("made");
    assert_eq!(log.last_stable_offset(), log.high_watermark());
    assert_eq!(log.aborted(0, i64::MAX).len(), 1);
}
