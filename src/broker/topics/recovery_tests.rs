//! Tests of topic recovery at the start.

use std::path::Path;

use super::super::test_support::{NOW, append, make, open};
use super::*;
use crate::broker::core::NodeSettings;
use crate::broker::journal::JournalEntry;

fn started(folder: &Path) -> Core {
    open(Storage::Directory(Directory::for_test(folder)))
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

/// Creates, grows, configures, deletes and truncates topics.
fn change_topics(core: &mut Core) {
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
    core.record(&[JournalEntry::Topic(TopicEntry::LogStart { id, partition: 0, offset: 2 })]).unwrap();
    core.topics.log_mut("cut", 0).unwrap().delete_records_before(2).unwrap();
    make(core, "Case", 1, &[]);
    make(core, "case", 1, &[]);
}

#[test]
fn restores_topics_after_stop_and_kill() {
    for stops in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut core = started(folder.path());
        change_topics(&mut core);
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
fn restores_topics_from_a_rewritten_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    change_topics(&mut core);
    let before = seen(&core);
    let entries: Vec<JournalEntry> = core.topics.snapshot().into_iter().map(JournalEntry::Topic).collect();
    core.journal.rewrite(&entries).unwrap();
    drop(core);
    assert_eq!(seen(&started(folder.path())), before);
}

#[test]
fn a_recreated_topic_has_no_old_records() {
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
fn sets_empty_unknown_topic_directories_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let id = make(&mut core, "a", 1, &[]);
    drop(core);
    let topics = folder.path().join("topics");
    let unknown = topics.join(Uuid::from_u128(9).to_string());
    std::fs::create_dir_all(unknown.join("0")).unwrap();
    std::fs::create_dir_all(topics.join("notes")).unwrap();
    for _ in 0..2 {
        let core = started(folder.path());
        let mut expected = vec![format!("{}.set-aside", Uuid::from_u128(9)), id.to_string(), "notes".to_owned()];
        expected.sort();
        assert_eq!(folders(folder.path()), expected);
        assert!(
            core.events.iter().all(|event| matches!(event, BrokerEvent::SetAside { path, .. } if *path == unknown))
        );
    }
}

fn refused(folder: &Path) -> Corruption {
    let opened =
        Core::open(Storage::Directory(Directory::for_test(folder)), NodeSettings::default(), Uuid::from_u128(7), NOW);
    match opened {
        Err(OpenError::Corrupted(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_logs_that_are_not_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let id = make(&mut core, "a", 2, &[]);
    append(&mut core, "a", "k", "1", NOW);
    drop(core);
    let log = folder.path().join("topics").join(id.to_string());
    let before = std::fs::read(log.join("0/00000000000000000000.log")).unwrap();
    let journal = std::fs::read(folder.path().join("journal")).unwrap();
    let ends = std::fs::read(folder.path().join("ends")).unwrap();
    for (journal, ends, named) in [
        (None, Some(&ends), "journal"),
        (Some(vec![]), Some(&ends), "journal"),
        (Some(journal), None, "ends"),
        // Without both, it looks like the directory of an older version without its journal.
        (None, None, log.to_str().unwrap()),
        (Some(vec![]), None, log.to_str().unwrap()),
    ] {
        for (name, content) in [("journal", journal.as_ref()), ("ends", ends)] {
            match content {
                Some(content) => std::fs::write(folder.path().join(name), content).unwrap(),
                None => drop(std::fs::remove_file(folder.path().join(name))),
            }
        }
        let damage = refused(folder.path());
        assert!(damage.to_string().contains(named), "{damage}");
        assert_eq!(std::fs::read(log.join("0/00000000000000000000.log")).unwrap(), before);
        assert_eq!(folder.path().join("ends").exists(), ends.is_some());
    }
}

#[test]
fn allows_one_batch_past_the_recorded_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    make(&mut core, "a", 1, &[]);
    make(&mut core, "b", 1, &[]);
    let ends = std::fs::read(folder.path().join("ends")).unwrap();
    append(&mut core, "a", "k", "1", NOW);
    append(&mut core, "b", "k", "1", NOW);
    drop(core);
    let now = std::fs::read(folder.path().join("ends")).unwrap();
    std::fs::write(folder.path().join("ends"), &ends).unwrap();
    let damage = refused(folder.path());
    assert!(matches!(&damage, Corruption::Mismatch { path, .. } if *path == folder.path().join("ends")), "{damage}");
    std::fs::write(folder.path().join("ends"), now).unwrap();
    let mut core = started(folder.path());
    let ends = std::fs::read(folder.path().join("ends")).unwrap();
    append(&mut core, "a", "k", "2", NOW);
    drop(core);
    std::fs::write(folder.path().join("ends"), ends).unwrap();
    assert_eq!(seen(&started(folder.path())).iter().map(|row| row.4.1).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn refuses_unknown_partitions_with_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let id = make(&mut core, "a", 1, &[]);
    drop(core);
    let beyond = folder.path().join("topics").join(id.to_string()).join("1");
    std::fs::create_dir_all(&beyond).unwrap();
    std::fs::write(beyond.join("00000000000000000000.log"), b"").unwrap();
    drop(started(folder.path()));
    std::fs::write(beyond.join("00000000000000000000.log"), b"x").unwrap();
    assert_eq!(refused(folder.path()), Corruption::UnknownLogs { paths: vec![beyond] });
}

#[test]
fn removes_files_of_deleted_topics() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    let id = make(&mut core, "a", 1, &[]);
    append(&mut core, "a", "k", "1", NOW);
    let remains = folder.path().join("topics").join(id.to_string());
    core.record(&[JournalEntry::Topic(TopicEntry::Deleted { id })]).unwrap();
    drop(core);
    let mut core = started(folder.path());
    assert!(core.topics.get("a").is_none() && !remains.exists());
    // Also when they cannot be removed at once and the journal is rewritten in the meantime.
    std::fs::create_dir_all(remains.join("0")).unwrap();
    std::fs::write(remains.join("0/00000000000000000000.log"), b"x").unwrap();
    std::fs::write(remains.join("0/00000000000000000007.log.cleaned.set-aside-1"), b"x").unwrap();
    core.topics.unremoved.insert(id);
    let entries = core.snapshot();
    core.journal.rewrite(&entries).unwrap();
    drop(core);
    drop(started(folder.path()));
    assert!(!remains.exists());
}

#[test]
fn a_topic_whose_logs_fail_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = started(folder.path());
    // A file in place of the directory.
    std::fs::write(folder.path().join("topics"), b"").unwrap();
    assert!(core.make_topic("a", 2, Overrides::new(), NOW).is_err());
    assert!(core.topics.get("a").is_none());
    std::fs::remove_file(folder.path().join("topics")).unwrap();
    drop(core);
    assert_eq!(seen(&started(folder.path())), []);
}
