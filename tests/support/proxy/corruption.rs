//! Corruption of batches in fetch responses.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, FetchResponse, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::rule::{AlteredByte, Corruption, CorruptionKind};
use super::state::Shared;

/// Offsets of a batch's magic byte and checksum, and start of the checksummed bytes.
const MAGIC: usize = 16;
const CRC: usize = 17;
const COVERED: usize = 21;
/// The low byte of the attributes, and its bits for the codec.
const ATTRIBUTES: usize = 22;
const CODEC: u8 = 0x07;
/// The last offset relative to the base offset.
const LAST_OFFSET_DELTA: usize = 23;
/// Start of the records, each with its length.
const RECORDS: usize = 61;
/// Bytes before those that the batch length counts: base offset and length.
const OVERHEAD: usize = 12;

/// Stores topic ids, because `Fetch` responses contain no names.
pub fn learn(shared: &Shared, version: i16, frame: &Bytes) {
    let mut frame = frame.clone();
    if ResponseHeader::decode(&mut frame, ApiKey::Metadata.response_header_version(version)).is_err() {
        return;
    }
    let Ok(reply) = MetadataResponse::decode(&mut frame, version) else { return };
    shared.change(|state| {
        for topic in reply.topics {
            if let Some(name) = topic.name {
                state.topics.insert(topic.topic_id, name.0.to_string());
            }
        }
    });
}

/// A `Fetch` response with the batch corrupted, if it contains the batch.
pub fn apply(shared: &Shared, corruption: Corruption, version: i16, mut frame: Bytes) -> Result<Bytes, String> {
    let context = |error| format!("Fetch version {version}: {error}");
    let header_version = ApiKey::Fetch.response_header_version(version);
    let header = ResponseHeader::decode(&mut frame, header_version).map_err(context)?;
    let mut reply = FetchResponse::decode(&mut frame, version).map_err(context)?;
    for topic in &mut reply.responses {
        let known = shared.change(|state| state.topics.get(&topic.topic_id).cloned());
        if topic.topic.0.as_str() != corruption.topic && known.as_deref() != Some(corruption.topic) {
            continue;
        }
        for partition in
            topic.partitions.iter_mut().filter(|partition| partition.partition_index == corruption.partition)
        {
            let Some(records) = &mut partition.records else { continue };
            let mut bytes = BytesMut::from(&records[..]);
            let done = shared.change(|state| {
                let may = state.counts.corrupted < corruption.times;
                let done = may && corrupt(&mut bytes, corruption);
                state.counts.corrupted += u64::from(done);
                done
            });
            if done {
                *records = bytes.freeze();
            }
        }
    }
    let mut written = BytesMut::new();
    header.encode(&mut written, header_version).map_err(context)?;
    reply.encode(&mut written, version).map_err(context)?;
    Ok(written.freeze())
}

/// Corrupts the batch with the offset, if it is complete.
fn corrupt(bytes: &mut BytesMut, corruption: Corruption) -> bool {
    let mut at = 0;
    while let Some(batch) = bytes.get(at..).filter(|rest| rest.len() > LAST_OFFSET_DELTA + 4) {
        let number = |from: usize| i32::from_be_bytes(batch[from..from + 4].try_into().expect("four bytes"));
        let base = i64::from_be_bytes(batch[..8].try_into().expect("eight bytes"));
        let size = usize::try_from(number(8)).expect("a length") + OVERHEAD;
        let last = base + i64::from(number(LAST_OFFSET_DELTA));
        let Some(batch) = bytes.get_mut(at..at + size) else { return false };
        if (base..=last).contains(&corruption.offset) {
            if let CorruptionKind::Record(byte) = corruption.how {
                let altered = alter(batch, corruption.offset - base, byte);
                let rest = bytes[at + size..].to_vec();
                bytes.truncate(at);
                bytes.extend_from_slice(&altered);
                bytes.extend_from_slice(&rest);
                return true;
            }
            match corruption.how {
                // The last byte is the header count of the last record.
                CorruptionKind::Bit => batch[size - 3] ^= 1,
                CorruptionKind::Compression => batch[ATTRIBUTES] = batch[ATTRIBUTES] & !CODEC | 4,
                CorruptionKind::Codec => batch[ATTRIBUTES] |= CODEC,
                CorruptionKind::Records => batch[RECORDS..RECORDS + 5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]),
                CorruptionKind::Format => batch[MAGIC] = 9,
                CorruptionKind::Record(_) => {}
            }
            if corruption.how != CorruptionKind::Bit {
                let crc = crc32c::crc32c(&batch[COVERED..]);
                batch[CRC..COVERED].copy_from_slice(&crc.to_be_bytes());
            }
            return true;
        }
        at += size;
    }
    false
}

/// The batch with an altered byte in the record with this offset delta. The record must be there.
fn alter(batch: &[u8], delta: i64, byte: AlteredByte) -> Vec<u8> {
    let mut altered = batch[..RECORDS].to_vec();
    match batch[ATTRIBUTES] & CODEC {
        0 => altered.extend_from_slice(&batch[RECORDS..]),
        1 => {
            altered[ATTRIBUTES] &= !CODEC;
            let mut records = flate2::read::MultiGzDecoder::new(&batch[RECORDS..]);
            records.read_to_end(&mut altered).expect("gzip");
        }
        codec => panic!("codec {codec}"),
    }
    let mut at = RECORDS;
    loop {
        let length = varint(&altered, &mut at);
        let end = at + usize::try_from(length).expect("a length");
        // The attributes of the record.
        at += 1;
        varint(&altered, &mut at);
        if varint(&altered, &mut at) != delta {
            at = end;
            continue;
        }
        for is_key in [true, false] {
            let length = usize::try_from(varint(&altered, &mut at)).unwrap_or(0);
            if is_key == byte.is_key {
                assert!(byte.index < length, "{byte:?} of {length}");
                altered[at + byte.index] ^= byte.bits;
            }
            at += length;
        }
        break;
    }
    let length = i32::try_from(altered.len() - OVERHEAD).expect("a length");
    altered[8..OVERHEAD].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&altered[COVERED..]);
    altered[CRC..COVERED].copy_from_slice(&crc.to_be_bytes());
    altered
}

/// A zigzag number of variable length.
fn varint(bytes: &[u8], at: &mut usize) -> i64 {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        }
    }
}
