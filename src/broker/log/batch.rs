//! Validation of a producer's record batch, and the form in which it is stored.

use bytes::Bytes;

use super::compression::ZSTD;
use super::header::{HEADER, Header, OVERHEAD, PATCHED, crc_agrees};
use super::records::BatchRecords;

const LEAST_LENGTH: usize = 14;
const MAGIC_AT: usize = 16;

/// One valid record batch (format v2) of a request: length, magic, CRC and record count agree. It is validated outside
/// of the broker's lock, because the CRC is the most expensive part.
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Bytes,
    pub(super) header: Header,
    /// Smallest and largest timestamp of its records, not counting records without one (-1).
    pub(super) timestamps: Option<(i64, i64)>,
    /// Whether every record has a key.
    pub(super) keyed: bool,
    /// Whether the stored header differs from the received one, so that the CRC must be computed again.
    rewrite: bool,
    /// Whether an unknown producer must begin with sequence 0.
    pub(super) starts_at_zero: bool,
}

/// Why a batch is invalid, before any log is involved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// `CORRUPT_MESSAGE`: invalid length or magic, or wrong CRC.
    #[error("the batch is corrupt")]
    Corrupt,
    /// `INVALID_RECORD`: not exactly one batch of format v2. Kafka answers this without the log start offset.
    #[error("a partition's records must be one batch of format v2: {0}")]
    NotSingleBatch(&'static str),
    /// `INVALID_RECORD`: rejected by the log.
    #[error("invalid batch: {0}")]
    Invalid(&'static str),
    /// `UNKNOWN_SERVER_ERROR`, as Kafka answers an unknown codec or a failed decompression.
    #[error("the batch's records cannot be decompressed")]
    Compression,
}

/// Size of the first batch, as Kafka's `MemoryRecords` determines it.
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
    /// Parses the records of one partition in a produce request: exactly one batch, as Kafka requires since version 3.
    /// An incomplete batch after it is dropped, as in Kafka.
    pub fn parse(mut bytes: Bytes) -> Result<Self, BatchError> {
        let size = first_batch_size(&bytes)?.ok_or(BatchError::NotSingleBatch("no complete batch"))?;
        if bytes[MAGIC_AT] < 2 {
            return Err(BatchError::NotSingleBatch("an old format"));
        }
        if first_batch_size(&bytes[size..])?.is_some() {
            return Err(BatchError::NotSingleBatch("more than one batch"));
        }
        bytes.truncate(size);
        if size < HEADER || !crc_agrees(&bytes) {
            return Err(BatchError::Corrupt);
        }
        let counts = BatchError::Invalid("the record count and the last offset differ");
        let mut header = Header::read(&bytes).ok_or(counts)?;
        if header.base_offset != 0 {
            return Err(BatchError::Invalid("the base offset is not 0"));
        }
        if header.is_control() {
            return Err(BatchError::Invalid("clients may not write control batches"));
        }
        if header.count == 0 || header.count - 1 != header.last_offset_delta {
            return Err(counts);
        }
        if header.producer_id >= 0 && header.base_sequence < 0 {
            return Err(BatchError::Invalid("a producer id without a sequence number"));
        }
        // Only a broker sets this attribute. A client's is ignored.
        let has_append_time = header.is_log_append_time();
        header.clear_log_append_time();
        let (timestamps, keyed) = Self::scan_records(&header, &bytes)?;
        Ok(Self { bytes, header, timestamps, keyed, rewrite: has_append_time, starts_at_zero: false })
    }

    /// Requires sequence 0 of a producer that is not known yet: one that adds its partitions by producing (KIP-890).
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
            let record = record.map_err(|_| BatchError::Invalid("its records cannot be parsed"))?;
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

    /// Indexes of the records for which `holds` is true. It gets whether the record has a key, and its timestamp.
    pub(super) fn record_indexes(&self, holds: impl Fn(bool, i64) -> bool) -> Vec<i32> {
        let Ok(records) = BatchRecords::decode(&self.header, &self.bytes) else { return Vec::new() };
        let found = records.iter().filter_map(Result::ok);
        let found = found.filter(|record| holds(record.key.is_some(), records.timestamp(record)));
        found.map(|record| record.offset_delta).collect()
    }

    #[must_use]
    pub fn producer_id(&self) -> i64 {
        self.header.producer_id
    }

    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        self.header.producer_epoch
    }

    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.header.is_transactional()
    }

    #[must_use]
    pub fn is_zstd(&self) -> bool {
        self.header.codec() == ZSTD
    }

    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Splits whole batches; each with its last offset.
    #[cfg(test)]
    #[must_use]
    pub fn split_batches(mut batches: Bytes) -> Vec<(i64, Bytes)> {
        let mut each = Vec::new();
        while let Some(header) = Header::read(&batches) {
            each.push((header.last_offset(), batches.split_to(header.size)));
        }
        each
    }

    /// The header at this offset, and the bytes to store.
    pub(super) fn to_stored(&self, base_offset: i64, append_time: Option<i64>) -> (Header, StoredBatch) {
        let mut header = self.header;
        header.base_offset = base_offset;
        // Like Kafka, correct a largest timestamp that differs from the records.
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

/// A batch as it is stored, in two parts, so that the large one is not copied.
#[derive(Debug)]
pub struct StoredBatch {
    /// The rewritten front.
    pub front: Vec<u8>,
    /// The unchanged rest.
    pub rest: Bytes,
}

impl StoredBatch {
    #[must_use]
    pub fn size(&self) -> usize {
        self.front.len() + self.rest.len()
    }

    #[must_use]
    pub fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let of_front = self.front.len().min(HEADER);
        header[..of_front].copy_from_slice(&self.front[..of_front]);
        header[of_front..].copy_from_slice(&self.rest[..HEADER - of_front]);
        header
    }
}
