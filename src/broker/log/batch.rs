//! Owns a client's batch before it is in a log: that it is whole and says the truth about itself, and how it is stored.

use bytes::Bytes;

use super::compression::ZSTD;
use super::header::{HEADER, Header, PATCHED, crc_agrees};
use super::records::Records;

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
}

/// What is wrong with a batch, before a log was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Cut short, longer than its length says, or its CRC differs.
    #[error("the batch is corrupt")]
    Corrupt,
    /// Not format v2.
    #[error("the batch has an old format")]
    OldFormat,
    /// Anything else that Kafka answers `INVALID_RECORD`: no records, counts that disagree, control records from a client, …
    #[error("the batch is not valid: {0}")]
    Invalid(&'static str),
}

impl Batch {
    /// Takes what stands in a produce request for one partition: exactly one batch, as Kafka demands from version 3 on.
    ///
    /// # Errors
    ///
    /// When it is not one whole valid batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        match bytes.get(16) {
            None => return Err(BatchError::Corrupt),
            Some(0 | 1) => return Err(BatchError::OldFormat),
            Some(_) => {}
        }
        let header = Header::read(&bytes).ok_or(BatchError::Corrupt)?;
        if bytes.len() > header.size {
            return Err(BatchError::Invalid("more than one batch"));
        }
        if bytes.len() < header.size || !crc_agrees(&header, &bytes) {
            return Err(BatchError::Corrupt);
        }
        if header.base_offset != 0 {
            return Err(BatchError::Invalid("the base offset is not 0"));
        }
        if header.is_control() {
            return Err(BatchError::Invalid("a client wrote a control batch"));
        }
        if header.count == 0 || header.count - 1 != header.last_offset_delta {
            return Err(BatchError::Invalid("the record count and the last offset disagree"));
        }
        if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
            return Err(BatchError::Invalid("a producer without epoch or sequence"));
        }
        if header.producer_id < 0 && header.is_transactional() {
            return Err(BatchError::Invalid("a transaction without producer"));
        }
        let (timestamps, keyed) = Self::look_inside(&header, &bytes)?;
        Ok(Self { bytes, header, timestamps, keyed })
    }

    fn look_inside(header: &Header, bytes: &[u8]) -> Result<(Option<(i64, i64)>, bool), BatchError> {
        let unreadable = |_| BatchError::Invalid("its records cannot be read");
        let records = Records::of(header, bytes).map_err(unreadable)?;
        let mut timestamps = None;
        let mut keyed = true;
        for (expected, record) in (0..).zip(records.iter()) {
            let record = record.map_err(unreadable)?;
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

    /// Sequence of the first record, -1 for none.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        self.header.base_sequence
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

    /// Its header at this offset, and the batch as it is stored there: what is written anew, and what stays as it came.
    pub(super) fn placed(&self, base_offset: i64, append_time: Option<i64>) -> (Header, Placed) {
        let mut header = self.header;
        header.base_offset = base_offset;
        // A client that told another largest timestamp than its records have is put right, as Kafka does it.
        header.max_timestamp = self.timestamps.map_or(-1, |(_, most)| most);
        if let Some(now) = append_time {
            header.set_log_append_time(now);
        }
        if header.attributes == self.header.attributes && header.max_timestamp == self.header.max_timestamp {
            let front = header.patch(base_offset).to_vec();
            return (header, Placed { front, rest: self.bytes.slice(PATCHED..) });
        }
        let front = header.write(&self.bytes[HEADER..]);
        (header, Placed { front, rest: Bytes::new() })
    }
}

/// A batch as it goes into a segment, in two pieces so that the large one need not be copied.
#[derive(Debug)]
pub struct Placed {
    /// The front, written anew.
    pub front: Vec<u8>,
    /// What follows, as it came.
    pub rest: Bytes,
}

impl Placed {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.front.len() + self.rest.len()
    }
}
