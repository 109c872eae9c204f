//! Header of a record batch (format v2, 61 bytes).

use bytes::{Buf, BufMut};

pub const HEADER: usize = 61;
/// The batch length does not count the base offset and itself.
pub const OVERHEAD: usize = 12;
/// Base offset, length and leader epoch are patched in every batch. The CRC does not cover them.
pub const PATCHED: usize = 16;
/// Position of the CRC, and of the bytes that it covers.
const CRC: usize = 17;
const CRC_COVERED: usize = 21;

const MAGIC: i8 = 2;
const COMPRESSION: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// The base timestamp is the delete horizon (KIP-534).
const DELETE_HORIZON: i16 = 0x40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record, even if compaction has removed that record.
    pub base_offset: i64,
    /// Bytes of the batch including the header.
    pub size: usize,
    /// CRC-32C of everything after itself.
    pub crc: u32,
    /// Compression, timestamp type, transactional, control, delete horizon.
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// Base of the records' timestamp deltas; the delete horizon if the attribute is set.
    pub base_timestamp: i64,
    /// Largest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// -1 for none.
    pub producer_id: i64,
    /// -1 for none.
    pub producer_epoch: i16,
    /// -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl Header {
    /// Parses a header. Returns `None` if it is not a valid header of format v2.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut at: &[u8] = bytes.first_chunk::<HEADER>()?;
        let base_offset = at.get_i64();
        let size = usize::try_from(at.get_i32()).ok()? + OVERHEAD;
        at.advance(4);
        let magic = at.get_i8();
        let header = Self {
            base_offset,
            size,
            crc: at.get_u32(),
            attributes: at.get_i16(),
            last_offset_delta: at.get_i32(),
            base_timestamp: at.get_i64(),
            max_timestamp: at.get_i64(),
            producer_id: at.get_i64(),
            producer_epoch: at.get_i16(),
            base_sequence: at.get_i32(),
            count: at.get_i32(),
        };
        let whole = magic == MAGIC && size >= HEADER && header.last_offset_delta >= 0 && header.count >= 0;
        (whole && base_offset >= 0 && base_offset.checked_add(i64::from(header.last_offset_delta)).is_some())
            .then_some(header)
    }

    /// Encodes the header and the records. Size and CRC are computed here.
    #[must_use]
    pub fn write(&self, records: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + records.len());
        bytes.put_i64(self.base_offset);
        let length = HEADER - OVERHEAD + records.len();
        bytes.put_i32(i32::try_from(length).expect("a batch is smaller than its bounded records"));
        bytes.put_i32(0);
        bytes.put_i8(MAGIC);
        bytes.put_u32(0);
        bytes.put_i16(self.attributes);
        bytes.put_i32(self.last_offset_delta);
        bytes.put_i64(self.base_timestamp);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.producer_id);
        bytes.put_i16(self.producer_epoch);
        bytes.put_i32(self.base_sequence);
        bytes.put_i32(self.count);
        bytes.extend_from_slice(records);
        let crc = crc32c::crc32c(&bytes[CRC_COVERED..]);
        bytes[CRC..CRC_COVERED].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The patched bytes of a batch at this offset, in leader epoch 0.
    #[must_use]
    pub fn patch(&self, base_offset: i64) -> [u8; PATCHED] {
        let mut patched = [0; PATCHED];
        let length = i32::try_from(self.size - OVERHEAD).expect("it was read from an i32");
        let mut at: &mut [u8] = &mut patched;
        at.put_i64(base_offset);
        at.put_i32(length);
        at.put_i32(0);
        patched
    }

    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    #[must_use]
    pub fn codec(&self) -> i16 {
        self.attributes & COMPRESSION
    }

    /// Whether all records have the largest timestamp of the batch.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn set_log_append_time(&mut self, now: i64) {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = now;
    }

    pub fn clear_log_append_time(&mut self) {
        self.attributes &= !LOG_APPEND_TIME;
    }

    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is a control batch, which holds a transaction marker.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When its tombstones or its marker may be removed.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Sets when its tombstones or its marker may be removed. This is also the new base of the records' timestamps.
    pub fn set_delete_horizon(&mut self, horizon: i64) {
        self.attributes |= DELETE_HORIZON;
        self.base_timestamp = horizon;
    }

    /// Header of the same batch without records: no codec, no delete horizon.
    pub fn clear_records(&mut self) {
        self.attributes &= !(COMPRESSION | DELETE_HORIZON);
        self.base_timestamp = self.max_timestamp;
        self.count = 0;
    }

    /// Sequence number of the last record, -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { -1 } else { sequence_after(self.base_sequence, self.last_offset_delta) }
    }
}

/// Header of a transaction marker.
#[must_use]
pub fn marker_header(base_offset: i64, producer_id: i64, producer_epoch: i16, now: i64) -> Header {
    Header {
        base_offset,
        size: 0,
        crc: 0,
        attributes: TRANSACTIONAL | CONTROL,
        last_offset_delta: 0,
        base_timestamp: now,
        max_timestamp: now,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        count: 1,
    }
}

/// Sequence numbers wrap to 0 after `i32::MAX`.
#[must_use]
pub fn sequence_after(sequence: i32, records: i32) -> i32 {
    sequence.checked_add(records).unwrap_or_else(|| records - (i32::MAX - sequence) - 1)
}

/// Whether the CRC of a whole batch is right.
#[must_use]
pub fn crc_agrees(batch: &[u8]) -> bool {
    let crc = batch.get(CRC..CRC_COVERED).and_then(|crc| crc.try_into().ok()).map(u32::from_be_bytes);
    batch.get(CRC_COVERED..).is_some_and(|covered| crc == Some(crc32c::crc32c(covered)))
}

/// Whether unvalidated bytes have the transactional attribute.
#[must_use]
pub fn has_transactional_attribute(bytes: &[u8]) -> bool {
    bytes
        .get(CRC_COVERED..CRC_COVERED + 2)
        .and_then(|attributes| attributes.try_into().ok())
        .map(i16::from_be_bytes)
        .is_some_and(|attributes| attributes & TRANSACTIONAL != 0)
}
