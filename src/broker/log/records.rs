//! Owns the records inside a batch: reading them one by one, and what a marker's record says.

use std::borrow::Cow;
use std::io;

use super::compression::decompress;
use super::header::{HEADER, Header};

/// One record, as it lies in its batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// Offset, counted from the batch's.
    pub offset_delta: i32,
    /// Timestamp, counted from the batch's base timestamp.
    pub timestamp_delta: i64,
    /// `None` where there is none, which is not the empty key.
    pub key: Option<&'a [u8]>,
    /// Whether there is a value; a record without one deletes its key.
    pub has_value: bool,
    /// The whole record, its length included.
    pub raw: &'a [u8],
    /// What follows the timestamp: offset, key, value, headers.
    pub behind_timestamp: &'a [u8],
    /// Its attributes, which mean nothing yet.
    pub attributes: u8,
}

/// The records of one batch, out of their codec.
#[derive(Debug)]
pub struct BatchRecords<'a> {
    header: Header,
    bytes: Cow<'a, [u8]>,
}

impl<'a> BatchRecords<'a> {
    /// Of a whole batch.
    ///
    /// # Errors
    ///
    /// When they do not come out of their codec.
    pub fn decode(header: &Header, batch: &'a [u8]) -> io::Result<Self> {
        let records = batch.get(HEADER..header.size).ok_or(io::ErrorKind::UnexpectedEof)?;
        // An empty batch that compaction left names a codec and has nothing in it.
        let bytes = if header.count == 0 { Cow::Borrowed(&records[..0]) } else { decompress(header.codec(), records)? };
        Ok(Self { header: *header, bytes })
    }

    /// One by one; the last thing is an error if the bytes are not as many whole records as the header counts.
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

    /// A record's timestamp.
    #[must_use]
    pub fn timestamp(&self, record: &RecordView<'_>) -> i64 {
        if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.saturating_add(record.timestamp_delta)
        }
    }

    /// A record's offset.
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
    let behind_timestamp = at;
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
        behind_timestamp,
        attributes: *attributes,
    })
}

/// Bytes behind their length, `Some(None)` for a length of -1.
#[expect(clippy::option_option, reason = "the outer one is 'cut short', the inner one is a value of the format")]
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

/// Protocol Buffers' zigzag.
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

/// Appends a number as the format writes it.
pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// What a marker's record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Commit, otherwise abort.
    pub commit: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// Reads the marker of a control batch; `None` when the batch is empty, or is another kind of control.
    #[must_use]
    pub fn parse(header: &Header, batch: &[u8]) -> Option<Self> {
        let records = BatchRecords::decode(header, batch).ok()?;
        let record = records.iter().next()?.ok()?;
        let kind = i16::from_be_bytes(*record.key?.get(2..)?.first_chunk()?);
        let mut at = record.behind_timestamp;
        take_varint(&mut at)?;
        take_field(&mut at)?;
        let value = take_field(&mut at)??;
        let coordinator_epoch = i32::from_be_bytes(*value.get(2..)?.first_chunk()?);
        (kind == 0 || kind == 1).then_some(Self { commit: kind == 1, coordinator_epoch })
    }

    /// The marker as the one record of a batch: version 0 of key and value.
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
