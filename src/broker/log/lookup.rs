//! Offset lookup by timestamp.

use std::io;

use super::header::crc_agrees;
use super::records::BatchRecords;
use super::segment::Segment;
use super::segment_data::{CHECKSUM_MISMATCH, FoundBatch};
use super::{IsolationLevel, Log};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: i64,
    /// In milliseconds.
    pub timestamp: i64,
}

impl Log {
    /// The first record with this timestamp or a later one.
    pub fn offset_for_time(&self, timestamp: i64, isolation: IsolationLevel) -> io::Result<Option<TimedOffset>> {
        let limit = self.end_offset(isolation);
        for segment in self.segments.iter().filter(|segment| segment.max_timestamp >= timestamp) {
            let mut headers = segment.data.read_headers(segment.index.floor_of_time(timestamp), segment.size);
            while let Some(found) = headers.next()? {
                if found.header.base_offset >= limit {
                    return Ok(None);
                }
                if found.header.max_timestamp < timestamp || found.header.last_offset() < self.start {
                    continue;
                }
                let at = |it: TimedOffset| it.timestamp >= timestamp && it.offset >= self.start;
                if let Some(record) = segment.first_record(&found, at)? {
                    return Ok((record.offset < limit).then_some(record));
                }
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp.
    pub fn max_timestamp(&self) -> io::Result<Option<TimedOffset>> {
        let Some(largest) = self.segments.iter().map(|segment| segment.max_timestamp).max().filter(|it| *it >= 0)
        else {
            return Ok(None);
        };
        let Some(segment) = self.segments.iter().find(|segment| segment.max_timestamp == largest) else {
            return Ok(None);
        };
        let mut headers = segment.data.read_headers(segment.index.floor_of_time(largest), segment.size);
        while let Some(found) = headers.next()? {
            if found.header.max_timestamp == largest {
                return segment.first_record(&found, |it| it.timestamp == largest);
            }
        }
        Ok(None)
    }
}

impl Segment {
    /// The first record of a batch for which `holds` is true.
    fn first_record(&self, found: &FoundBatch, holds: impl Fn(TimedOffset) -> bool) -> io::Result<Option<TimedOffset>> {
        let bytes = self.data.read(found.position, found.header.size)?;
        if !crc_agrees(&bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, CHECKSUM_MISMATCH));
        }
        let records = BatchRecords::decode(&found.header, &bytes)?;
        for record in records.iter() {
            let record = record?;
            let here = TimedOffset { offset: records.offset(&record), timestamp: records.timestamp(&record) };
            if holds(here) {
                return Ok(Some(here));
            }
        }
        Ok(None)
    }
}
