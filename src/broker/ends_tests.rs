//! Tests of the file `ends`.

use super::*;

fn journal() -> JournalEnd {
    let cluster_id = Uuid::from_u128(7);
    JournalEnd { cluster_id, generation: 1, acknowledged: 2, digest: 3, intended: 4, boot_id: 5, clean: true }
}

fn log(end: i64) -> LogEnd {
    LogEnd { first: 1, active: 2, end, size: 4, digest: 5, closed_digest: 6, pending_digest: 7 }
}

fn dir() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let directory = Directory::for_test(dir.path());
    (dir, directory)
}

fn read(dir: &Directory) -> Result<EndsContents, OpenError> {
    EndsFile::read(dir, false).map(|found| found.expect("there"))
}

#[test]
fn reads_what_was_written_and_reuses_slots() {
    let (_kept, dir) = dir();
    let ends = EndsFile::create(&dir, false, &journal()).expect("created");
    assert!(EndsFile::read(&dir, false).expect("read").is_none(), "not published yet");
    let slots: Vec<EndsSlot> = (0..4).map(|partition| ends.slot(Uuid::from_u128(1), partition)).collect();
    for (end, slot) in (0..).zip(&slots) {
        slot.write(&log(end)).expect("written");
    }
    ends.publish(&dir).expect("named");
    let found = read(&dir).expect("read");
    assert_eq!(found.journal, journal());
    assert_eq!(found.logs.values().map(|(_, end)| end.end).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let (slot, _) = found.logs.get(&(Uuid::from_u128(1), 2)).cloned().expect("known");
    slot.release().expect("released");
    found.ends.slot(Uuid::from_u128(2), 9).write(&log(77)).expect("written");
    let found = read(&dir).expect("read");
    assert_eq!(found.logs.len(), 4);
    assert_eq!(found.logs[&(Uuid::from_u128(2), 9)].1, log(77));
    assert_eq!(std::fs::metadata(dir.path_of(NAME)).expect("there").len(), 5 * SLOT_SIZE as u64);
}

#[test]
fn detects_every_flipped_bit_and_truncation() {
    let (_kept, dir) = dir();
    let ends = EndsFile::create(&dir, false, &journal()).expect("created");
    ends.slot(Uuid::from_u128(1), 0).write(&log(9)).expect("written");
    ends.slot(Uuid::from_u128(1), 1).write(&log(9)).expect("written");
    ends.publish(&dir).expect("named");
    let whole = std::fs::read(dir.path_of(NAME)).expect("read");
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.path_of(NAME), &altered).expect("written");
        let error = read(&dir).expect_err("damaged");
        assert!(error.to_string().contains("ends is corrupt"), "bit {bit}: {error}");
    }
    for cut in 0..whole.len() {
        std::fs::write(dir.path_of(NAME), &whole[..cut]).expect("written");
        match read(&dir) {
            Ok(found) => assert!(found.logs.len() < 2 && cut > 0, "cut at {cut}"),
            Err(error) => assert!(error.to_string().contains("ends is corrupt"), "cut at {cut}: {error}"),
        }
    }
}
