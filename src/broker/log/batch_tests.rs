//! Tests of batch validation and of the stored form.

use bytes::Bytes;
use kafka_protocol::records::Compression;

use super::header::{HEADER, Header};
use super::test_support::*;
use super::*;

fn rows() -> [Row; 2] {
    [row("a", "1", NOW), row("b", "2", NOW + 1)]
}

fn changed(change: impl FnOnce(&mut Header)) -> Bytes {
    let bytes = encode(producer(1, 0, 0), &rows(), Compression::None);
    let mut header = Header::read(&bytes).unwrap();
    change(&mut header);
    header.write(&bytes[HEADER..]).into()
}

#[test]
fn accepts_exactly_one_batch_of_format_2() {
    let good = changed(|_| ());
    assert!(Batch::parse(good.clone()).is_ok());
    for cut in 0..good.len() {
        assert!(matches!(Batch::parse(good.slice(..cut)), Err(BatchError::NotSingleBatch(_))), "cut at {cut}");
    }
    assert!(matches!(Batch::parse([&good[..], &good[..]].concat().into()), Err(BatchError::NotSingleBatch(_))));
    for at in 21..good.len() {
        let mut flipped = good.to_vec();
        flipped[at] ^= 4;
        assert!(Batch::parse(flipped.into()).is_err(), "flipped at {at}");
    }
    for magic in [0, 1] {
        let mut old = good.to_vec();
        old[16] = magic;
        assert!(matches!(Batch::parse(old.into()), Err(BatchError::NotSingleBatch(_))));
    }
}

#[test]
fn rejects_a_batch_that_contradicts_itself() {
    let refused = |change: fn(&mut Header)| matches!(Batch::parse(changed(change)), Err(BatchError::Invalid(_)));
    assert!(refused(|header| header.base_offset = 1));
    assert!(refused(|header| header.attributes |= 0x20), "control");
    assert!(refused(|header| header.count = 1));
    assert!(refused(|header| header.count = 0));
    assert!(refused(|header| header.last_offset_delta = 2));
    assert!(refused(|header| (header.count, header.last_offset_delta) = (3, 2)));
    assert!(refused(|header| (header.count, header.last_offset_delta) = (1, 0)));
    assert!(refused(|header| header.base_sequence = -1));
    for codec in [1, 7] {
        let other = Batch::parse(changed(|header| header.attributes |= codec));
        assert_eq!(other.unwrap_err(), BatchError::Compression, "codec {codec}");
    }
}

#[test]
fn corrects_a_wrong_largest_timestamp() {
    let (mut log, _) = open(&LogStorage::Memory, settings());
    log.append(&Batch::parse(changed(|header| header.max_timestamp = NOW + 77)).unwrap(), NOW).unwrap();
    let (header, bytes) = &batches(&log)[0];
    assert_eq!(header.max_timestamp, NOW + 1);
    assert!(header::crc_agrees(bytes));
}

#[test]
fn stores_all_but_offset_and_leader_epoch_unchanged() {
    let (mut log, _) = open(&LogStorage::Memory, settings());
    let came = changed(|_| ());
    log.append(&batch(NO_PRODUCER, &rows()), NOW).unwrap();
    log.append(&Batch::parse(came.clone()).unwrap(), NOW).unwrap();
    let (header, stored) = &batches(&log)[1];
    assert_eq!(header.base_offset, 2);
    assert_eq!((&stored[8..12], &stored[12..16], &stored[16..]), (&came[8..12], &[0; 4][..], &came[16..]));
}

#[test]
fn reads_records_with_headers_and_empty_fields() {
    use super::records::BatchRecords;
    let rows = [(Some(""), Some(String::new()), 0), (None, None, NOW), (Some("k"), None, -1)];
    let bytes = encode(NO_PRODUCER, &rows, Compression::None);
    let header = Header::read(&bytes).unwrap();
    let records = BatchRecords::decode(&header, &bytes).unwrap();
    let read: Vec<_> = records.iter().map(|it| it.unwrap()).collect();
    assert_eq!(read.iter().map(|it| it.key).collect::<Vec<_>>(), [Some(&b""[..]), None, Some(&b"k"[..])]);
    assert_eq!(read.iter().map(|it| it.has_value).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(records.timestamp(&read[0]), 0);
}
