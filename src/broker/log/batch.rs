//! Owns a client's batch before it is in a log: that it is whole and says the truth about itself, and how it is stored.

use bytes::Bytes;

use super::compression::ZSTD;
use super::header::{HEADER, Header, OVERHEAD, PATCHED, crc_agrees};
use super::records::BatchRecords;

/// The length field of the smallest batch of any format.
const LEAST_LENGTH: usize = 14;
/// Where the format's number stands.
const MAGIC_AT: usize = 16;

/// One record batch (format v2) that came off the wire and is whole: length, magic, CRC and record count agree.
/// Made outside of the broker's lock, because the CRC costs the most.
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Bytes,
    pub(super) header: Header,
    /// The smallest and the largest timestamp that a record really has, those without one (-1) not counted.
    pub(super) timestamps: Option<(i64, i64)>,
    /// Whether each record has a key.
    pub(super) keyed: bool,
    /// Whether its header is stored otherwise than it came.
    rewrite: bool,
    /// Whether a producer that is not known yet must begin with sequence 0.
    pub(super) starts_at_zero: bool,
}

/// What is wrong with a batch, before a log was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// `CORRUPT_MESSAGE`: its length or its magic cannot be, or its CRC differs.
    #[error("the batch is corrupt")]
    Corrupt,
    /// `INVALID_RECORD`: the request holds something else than one batch of format v2, so no log is asked.
    #[error("a partition's records are not one batch of format 2: {0}")]
    NotSingleBatch(&'static str),
    /// `INVALID_RECORD`: a log would not have it.
    #[error("the batch is not valid: {0}")]
    Invalid(&'static str),
    /// `UNKNOWN_SERVER_ERROR`, which is what Kafka makes of a codec that it does not know or that fails.
    #[error("the batch's records cannot be uncompressed")]
    Compression,
}

/// Bytes of the batch at the front, as Kafka's reader of memory finds them.
fn first_batch_size(bytes: &[u8]) -> Result<Option<usize>, BatchError> {
    let Some(length) = bytes.get(8..OVERHEAD).and_then(|length| length.try_into().ok()).map(i32::from_be_bytes) else {
        return Ok(None);
    };
    let size = usize::try_from(length).ok().filter(|length| *length >= LEAST_LENGTH).ok_or(BatchError::Corrupt)?;
    let Some(magic) = bytes.get(MAGIC_AT) else { return Ok(None) };
    if *magic > 2 {
        return Err(BatchError::Corrupt);
    }
    Ok(Some(size + OVERHEAD).filter(|size| *size <= bytes.len()))
}

impl Batch {
    /// Takes what stands in a produce request for one partition: exactly one batch, as Kafka demands from version 3 on.
    /// Half a batch behind it is dropped, as Kafka does.
    ///
    /// # Errors
    ///
    /// When it is not one whole valid batch.
    pub fn parse(mut bytes: Bytes) -> Result<Self, BatchError> {
        let size = first_batch_size(&bytes)?.ok_or(BatchError::NotSingleBatch("none is whole"))?;
        if bytes[MAGIC_AT] < 2 {
            return Err(BatchError::NotSingleBatch("an old format"));
        }
        if first_batch_size(&bytes[size..])?.is_some() {
            return Err(BatchError::NotSingleBatch("there are more"));
        }
        bytes.truncate(size);
        if size < HEADER || !crc_agrees(&bytes) {
            return Err(BatchError::Corrupt);
        }
        let counts = BatchError::Invalid("the record count and the last offset disagree");
        let mut header = Header::read(&bytes).ok_or(counts)?;
        if header.base_offset != 0 {
            return Err(BatchError::Invalid("the base offset is not 0"));
        }
        if header.is_control() {
            return Err(BatchError::Invalid("a client wrote a control batch"));
        }
        if header.count == 0 || header.count - 1 != header.last_offset_delta {
            return Err(counts);
        }
        if header.producer_id >= 0 && header.base_sequence < 0 {
            return Err(BatchError::Invalid("a producer without a sequence"));
        }
        // Only a broker says so; from a client it means nothing.
        let came_so = header.is_log_append_time();
        header.clear_log_append_time();
        let (timestamps, keyed) = Self::scan_records(&header, &bytes)?;
        Ok(Self { bytes, header, timestamps, keyed, rewrite: came_so, starts_at_zero: false })
    }

    /// The same, and a producer that is not known yet has to begin with sequence 0: one that adds its partitions by producing (KIP-890).
    #[must_use]
    pub fn starting_at_zero(mut self) -> Self {
        self.starts_at_zero = true;
        self
    }

    fn scan_records(header: &Header, bytes: &[u8]) -> Result<(Option<(i64, i64)>, bool), BatchError> {
        let records = BatchRecords::decode(header, bytes).map_err(|_| BatchError::Compression)?;
        let mut timestamps = None;
        let mut keyed = true;
        for (expected, record) in (0..).zip(records.iter()) {
            let record = record.map_err(|_| BatchError::Invalid("its records cannot be read"))?;
            if record.offset_delta != expected {
                return Err(BatchError::Invalid("its offsets have gaps"));
            }
            keyed &= record.key.is_some();
            let timestamp = records.timestamp(&record);
            if timestamp != -1 {
                let (least, most) = timestamps.unwrap_or((timestamp, timestamp));
                timestamps = Some((timestamp.min(least), timestamp.max(most)));
            }
        }
        Ok((timestamps, keyed))
    }

    /// The numbers of the records, counted in the batch from 0, of which this holds; it is given whether there is a key, and the timestamp.
    pub(super) fn record_indexes(&self, holds: impl Fn(bool, i64) -> bool) -> Vec<i32> {
        let Ok(records) = BatchRecords::decode(&self.header, &self.bytes) else { return Vec::new() };
        let wanted = records.iter().filter_map(Result::ok);
        let wanted = wanted.filter(|record| holds(record.key.is_some(), records.timestamp(record)));
        wanted.map(|record| record.offset_delta).collect()
    }

    /// The producer id, -1 for none.
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        self.header.producer_id
    }

    /// The producer's epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        self.header.producer_epoch
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.header.is_transactional()
    }

    /// Whether it is compressed with zstd, which a produce request may use from version 7 on.
    #[must_use]
    pub fn is_zstd(&self) -> bool {
        self.header.codec() == ZSTD
    }

    /// Size in bytes, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whole batches that stand one after the other, each with its last offset.
    #[cfg(test)]
    #[must_use]
    pub fn split_batches(mut batches: Bytes) -> Vec<(i64, Bytes)> {
        let mut each = Vec::new();
        while let Some(header) = Header::read(&batches) {
            each.push((header.last_offset(), batches.split_to(header.size)));
        }
        each
    }

    /// Its header at this offset, and the batch as it is stored there: what is written anew, and what stays as it came.
    pub(super) fn to_stored(&self, base_offset: i64, append_time: Option<i64>) -> (Header, StoredBatch) {
        let mut header = self.header;
        header.base_offset = base_offset;
        // A client that told another largest timestamp than its records have is put right, as Kafka does it.
        header.max_timestamp = self.timestamps.map_or(-1, |(_, most)| most);
        if let Some(now) = append_time {
            header.set_log_append_time(now);
        }
        if !self.rewrite
            && header.attributes == self.header.attributes
            && header.max_timestamp == self.header.max_timestamp
        {
            let front = header.patch(base_offset).to_vec();
            return (header, StoredBatch { front, rest: self.bytes.slice(PATCHED..) });
        }
        let front = header.write(&self.bytes[HEADER..]);
        (header, StoredBatch { front, rest: Bytes::new() })
    }
}

/// A batch as it goes into a segment, in two pieces so that the large one need not be copied.
#[derive(Debug)]
pub struct StoredBatch {
    /// The front, written anew.
    pub front: Vec<u8>,
    /// What follows, as it came.
    pub rest: Bytes,
}

impl StoredBatch {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.front.len() + self.rest.len()
    }

    /// The header as it is stored, from whichever pieces.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let of_front = self.front.len().min(HEADER);
        header[..of_front].copy_from_slice(&self.front[..of_front]);
        header[of_front..].copy_from_slice(&self.rest[..HEADER - of_front]);
        header
    }
}
