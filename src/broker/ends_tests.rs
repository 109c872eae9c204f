//! Owns the claims about the file `ends` itself.

use super::*;

fn journal() -> JournalEnd {
    let cluster_id = Uuid::from_u128(7);
    JournalEnd { cluster_id, generation: 1, acknowledged: 2, chain: 3, intended: 4, boot: 5, clean: true }
}

fn log(end: i64) -> LogEnd {
    LogEnd { first: 1, active: 2, end, size: 4, digest: 5, sealed: 6, intended: 7 }
}

fn folder() -> (tempfile::TempDir, Directory) {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = Directory::of_test(folder.path());
    (folder, directory)
}

fn read(folder: &Directory) -> Result<Found, OpenError> {
    Ends::read(folder, false).map(|found| found.expect("there"))
}

#[test]
fn what_was_written_is_read_and_a_place_is_used_again() {
    let (_kept, folder) = folder();
    let ends = Ends::begin(&folder, false, &journal()).expect("begun");
    assert!(Ends::read(&folder, false).expect("read").is_none(), "it has no name yet");
    let slots: Vec<Slot> = (0..4).map(|partition| ends.slot(Uuid::from_u128(1), partition)).collect();
    for (end, slot) in (0..).zip(&slots) {
        slot.write(&log(end)).expect("written");
    }
    ends.publish(&folder).expect("named");
    let found = read(&folder).expect("read");
    assert_eq!(found.journal, journal());
    assert_eq!(found.logs.values().map(|(_, end)| end.end).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let (slot, _) = found.logs.get(&(Uuid::from_u128(1), 2)).cloned().expect("known");
    slot.release().expect("released");
    found.ends.slot(Uuid::from_u128(2), 9).write(&log(77)).expect("written");
    let found = read(&folder).expect("read");
    assert_eq!(found.logs.len(), 4);
    assert_eq!(found.logs[&(Uuid::from_u128(2), 9)].1, log(77));
    assert_eq!(std::fs::metadata(folder.path_of(NAME)).expect("there").len(), 5 * PLACE as u64);
}

#[test]
fn a_bit_that_is_not_as_it_was_written_is_found_wherever_it_is() {
    let (_kept, folder) = folder();
    let ends = Ends::begin(&folder, false, &journal()).expect("begun");
    ends.slot(Uuid::from_u128(1), 0).write(&log(9)).expect("written");
    ends.slot(Uuid::from_u128(1), 1).write(&log(9)).expect("written");
    ends.publish(&folder).expect("named");
    let whole = std::fs::read(folder.path_of(NAME)).expect("read");
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(folder.path_of(NAME), &altered).expect("written");
        let error = read(&folder).expect_err("damaged");
        assert!(error.to_string().contains("ends is damaged"), "bit {bit}: {error}");
    }
    for cut in 0..whole.len() {
        std::fs::write(folder.path_of(NAME), &whole[..cut]).expect("written");
        match read(&folder) {
            Ok(found) => assert!(found.logs.len() < 2 && cut > 0, "cut at {cut}"),
            Err(error) => assert!(error.to_string().contains("ends is damaged"), "cut at {cut}: {error}"),
        }
    }
}
