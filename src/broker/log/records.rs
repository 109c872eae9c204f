//! Records of a batch, and the record of a transaction marker.

use std::borrow::Cow;
use std::io;

use super::compression::decompress;
use super::header::{HEADER, Header};

/// A record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    /// `None` for null, which differs from the empty key.
    pub key: Option<&'a [u8]>,
    /// A record without a value is a tombstone.
    pub has_value: bool,
    /// The whole record, including its length.
    pub raw: &'a [u8],
    /// The bytes after the timestamp: offset, key, value, headers.
    pub after_timestamp: &'a [u8],
    /// Unused by Kafka so far.
    pub attributes: u8,
}

/// The decompressed records of a batch.
#[derive(Debug)]
pub struct BatchRecords<'a> {
    header: Header,
    bytes: Cow<'a, [u8]>,
}

impl<'a> BatchRecords<'a> {
    /// Decompresses the records of a whole batch.
    pub fn decode(header: &Header, batch: &'a [u8]) -> io::Result<Self> {
        let records = batch.get(HEADER..header.size).ok_or(io::ErrorKind::UnexpectedEof)?;
        // A batch without records has no data to decompress, whatever codec its header names.
        let bytes = if header.count == 0 { Cow::Borrowed(&records[..0]) } else { decompress(header.codec(), records)? };
        Ok(Self { header: *header, bytes })
    }

    /// The last item is an error if the bytes are not exactly as many records as the header says.
    pub fn iter(&self) -> impl Iterator<Item = io::Result<RecordView<'_>>> {
        let mut rest = &*self.bytes;
        let mut left = self.header.count;
        std::iter::from_fn(move || {
            if left == 0 {
                let behind = std::mem::take(&mut rest);
                return (!behind.is_empty()).then(|| Err(io::ErrorKind::InvalidData.into()));
            }
            left -= 1;
            let record = take_record(&mut rest);
            if record.is_none() {
                (left, rest) = (0, &[]);
            }
            Some(record.ok_or_else(|| io::ErrorKind::InvalidData.into()))
        })
    }

    #[must_use]
    pub fn timestamp(&self, record: &RecordView<'_>) -> i64 {
        if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.saturating_add(record.timestamp_delta)
        }
    }

    #[must_use]
    pub fn offset(&self, record: &RecordView<'_>) -> i64 {
        self.header.base_offset + i64::from(record.offset_delta)
    }
}

fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<RecordView<'a>> {
    let whole = *bytes;
    let size = usize::try_from(take_varint(bytes)?).ok()?;
    let (mut at, behind) = bytes.split_at_checked(size)?;
    let raw = &whole[..whole.len() - behind.len()];
    *bytes = behind;
    let (attributes, rest) = at.split_first()?;
    at = rest;
    let timestamp_delta = take_varlong(&mut at)?;
    let after_timestamp = at;
    let offset_delta = take_varint(&mut at)?;
    let key = take_field(&mut at)?;
    let has_value = take_field(&mut at)?.is_some();
    let headers = take_varint(&mut at)?;
    if headers < 0 {
        return None;
    }
    for _ in 0..headers {
        take_field(&mut at)??;
        take_field(&mut at)?;
    }
    at.is_empty().then_some(RecordView {
        offset_delta,
        timestamp_delta,
        key,
        has_value,
        raw,
        after_timestamp,
        attributes: *attributes,
    })
}

/// Length-prefixed bytes; `Some(None)` for length -1.
#[expect(clippy::option_option, reason = "the outer one means truncated, the inner one null")]
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let size = take_varint(bytes)?;
    if size == -1 {
        return Some(None);
    }
    let (field, behind) = bytes.split_at_checked(usize::try_from(size).ok()?)?;
    *bytes = behind;
    Some(Some(field))
}

fn take_varint(bytes: &mut &[u8]) -> Option<i32> {
    i32::try_from(take_varlong(bytes)?).ok()
}

/// Zigzag encoding, as in Protocol Buffers.
fn take_varlong(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Content of a transaction marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Commit, otherwise abort.
    pub commit: bool,
    pub coordinator_epoch: i32,
}

impl Marker {
    /// Parses the marker of a control batch. `None` if the batch is empty or another type of control batch.
    #[must_use]
    pub fn parse(header: &Header, batch: &[u8]) -> Option<Self> {
        let records = BatchRecords::decode(header, batch).ok()?;
        let record = records.iter().next()?.ok()?;
        let kind = i16::from_be_bytes(*record.key?.get(2..)?.first_chunk()?);
        let mut at = record.after_timestamp;
        take_varint(&mut at)?;
        take_field(&mut at)?;
        let value = take_field(&mut at)??;
        let coordinator_epoch = i32::from_be_bytes(*value.get(2..)?.first_chunk()?);
        (kind == 0 || kind == 1).then_some(Self { commit: kind == 1, coordinator_epoch })
    }

    /// Encodes the marker as the only record of a batch, with version 0 of key and value.
    #[must_use]
    pub fn record(self) -> Vec<u8> {
        let mut body = vec![0, 0, 0];
        put_varlong(&mut body, 4);
        body.extend_from_slice(&[0, 0, 0, u8::from(self.commit)]);
        put_varlong(&mut body, 6);
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        put_varlong(&mut body, 0);
        let mut record = Vec::with_capacity(body.len() + 1);
        put_varlong(&mut record, body.len().cast_signed() as i64);
        record.extend_from_slice(&body);
        record
    }
}
