//! Owns the tests of what a broker knows again after a start.

use std::path::Path;

use super::super::fixture::{NOW, append, make, open};
use super::*;
use crate::broker::directory::Directory;
use crate::broker::entry::Entry;

fn started(folder: &Path) -> Core {
    open(Storage::Folder(Directory::of_test(folder)))
}

/// Name, id, partitions, overrides and the first log's offsets.
type Seen = (String, Uuid, usize, Overrides, (i64, i64));

fn seen(core: &Core) -> Vec<Seen> {
    let row = |topic: &Topic| {
        let log = &topic.logs[0];
        let offsets = (log.start_offset(), log.high_watermark());
        (topic.name.clone(), topic.id, topic.logs.len(), topic.overrides.clone(), offsets)
    };
    core.topics.iter().map(row).collect()
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("topics")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn a_life(core: &mut Core) {
    let id = make(core, "grown", 1, &[("retention.ms", "1000000000")]);
    core.grow_topic(id, 3, NOW).unwrap();
    let id = make(core, "altered", 1, &[("retention.ms", "77")]);
    core.configure_topic(id, Overrides::from([("segment.ms".to_owned(), "5".to_owned())]), NOW).unwrap();
    let id = make(core, "gone", 2, &[]);
    core.remove_topic(id).unwrap();
    let id = make(core, "cut", 1, &[]);
    for value in ["1", "2", "3"] {
        append(core, "cut", "k", value, NOW);
    }
    core.record(&[Entry::Topic(TopicEntry::LogStart { id, partition: 0, offset: 2 })]).unwrap();
    core.topics.log_mut("cut", 0).unwrap().delete_records_before(2).unwrap();
    make(core, "Case", 1, &[]);
    make(core, "case", 1, &[]);
}

#[test]
fn topics_are_known_again_after_a_stop_and_after_a_kill() {
    for stops in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut core = started(folder.path());
        a_life(&mut core);
        let before = seen(&core);
        if stops {
            core.close().unwrap();
        }
        drop(core);
        let core = started(folder.path());
        assert_eq!(seen(&core), before);
        assert_eq!(before.len(), 5);
        assert_eq!(before.iter().find(|row| row.0 == "cut").unwrap().4, (2, 3));
        assert_eq!(folders(folder.path()).len(), 5);
    }
}

#[test]
fn a_fresh_journal_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    a_life(&mut core);
    let before = seen(&core);
    let entries: Vec<Entry> = core.topics.snapshot().into_iter().map(Entry::Topic).collect();
    core.journal.rewrite(&entries).unwrap();
    drop(core);
    assert_eq!(seen(&started(folder.path())), before);
}

#[test]
fn a_topic_that_was_made_again_has_none_of_the_old_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let old = make(&mut core, "a", 1, &[]);
    append(&mut core, "a", "k", "1", NOW);
    core.remove_topic(old).unwrap();
    let new = make(&mut core, "a", 1, &[]);
    assert_ne!(old, new);
    drop(core);
    let core = started(folder.path());
    assert_eq!(seen(&core), [("a".to_owned(), new, 1, Overrides::new(), (0, 0))]);
}

#[test]
fn folders_that_no_topic_owns_are_removed_and_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let id = make(&mut core, "a", 1, &[]);
    drop(core);
    let topics = folder.path().join("topics");
    std::fs::create_dir_all(topics.join(Uuid::from_u128(9).to_string()).join("0")).unwrap();
    std::fs::create_dir_all(topics.join("notes")).unwrap();
    let core = started(folder.path());
    let mut expected = vec![id.to_string(), "notes".to_owned()];
    expected.sort();
    assert_eq!(folders(folder.path()), expected);
    assert!(core.notices.iter().all(|notice| !matches!(notice, Notice::Trouble { .. })));
}

#[test]
fn a_topic_whose_logs_cannot_be_made_is_not_there_now_nor_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    // A file where the folder should be.
    std::fs::write(folder.path().join("topics"), b"").unwrap();
    assert!(core.make_topic("a", 2, Overrides::new(), NOW).is_err());
    assert!(core.topics.get("a").is_none());
    std::fs::remove_file(folder.path().join("topics")).unwrap();
    drop(core);
    assert_eq!(seen(&started(folder.path())), []);
}
