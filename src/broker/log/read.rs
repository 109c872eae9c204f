//! Owns reading batches: planned under the broker's lock, done outside of it.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::header::{HEADER, Header, crc_agrees};
use super::index::INTERVAL;
use super::open_files::SegmentFile;
use super::segment::Segment;
use super::segment_data::{CHECKSUM_MISMATCH, SegmentData};
use super::{IsolationLevel, Log};

/// How far behind its index entry a batch's header can end.
const SEARCH: u64 = INTERVAL + HEADER as u64;

/// A range of whole batches of a log, to be read outside of the broker's lock: it stays readable when its segment is deleted.
#[derive(Debug, Clone)]
pub struct LogSlice {
    data: SliceData,
}

#[derive(Debug, Clone)]
enum SliceData {
    Memory { batches: Vec<Bytes>, size: usize },
    File(FileRange),
}

/// A part of a file in which the batches lie, somewhere.
#[derive(Debug, Clone)]
struct FileRange {
    file: Arc<SegmentFile>,
    from: u64,
    to: u64,
    largest_batch: usize,
    request: ReadRequest,
}

#[derive(Debug, Clone, Copy)]
struct ReadRequest {
    offset: i64,
    limit: i64,
    max_bytes: usize,
    at_least_one: bool,
}

impl LogSlice {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { data: SliceData::Memory { batches: Vec::new(), size: 0 } }
    }

    /// An upper bound of its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.data {
            SliceData::Memory { size, .. } => *size,
            SliceData::File(range) => {
                let request = range.request;
                let most = if request.at_least_one { range.largest_batch } else { 0 };
                usize::try_from(range.to - range.from).map_or(usize::MAX, |all| all.min(request.max_bytes.max(most)))
            }
        }
    }

    /// The batches: the first holds the offset asked for, the last ends below the limit of the reader's isolation.
    ///
    /// # Errors
    ///
    /// When the segment cannot be read, or (`InvalidData`) when the first batch is not the one that was written.
    pub fn read(&self) -> io::Result<Bytes> {
        match &self.data {
            SliceData::Memory { batches, size } => Ok(match batches.as_slice() {
                [one] => one.clone(),
                many => {
                    let mut bytes = Vec::with_capacity(*size);
                    for batch in many {
                        bytes.extend_from_slice(batch);
                    }
                    bytes.into()
                }
            }),
            SliceData::File(range) => range.read(),
        }
    }
}

impl FileRange {
    fn read(&self) -> io::Result<Bytes> {
        let mut from = self.from;
        'windows: while from < self.to {
            let size = (self.to - from).min(SEARCH.saturating_add(self.request.max_bytes as u64));
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            self.file.get()?.read_exact_at(&mut bytes, from)?;
            let mut at = 0;
            while let Some(header) = Header::read(&bytes[at..]) {
                if header.base_offset >= self.request.limit {
                    return Ok(Bytes::new());
                }
                if header.last_offset() >= self.request.offset {
                    // Behind a large batch and a hole the one that is request may be there in part: read again from where it begins.
                    if at > 0 && bytes.len() < at.saturating_add(header.size.min(self.request.max_bytes)) {
                        from += at as u64;
                        continue 'windows;
                    }
                    return self.cut(bytes, from, at, &header);
                }
                at += header.size;
                if at >= bytes.len() {
                    break;
                }
            }
            if at == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no batch stands here"));
            }
            // Behind a large batch a hole begins, in which the offset lies.
            from += at as u64;
        }
        Ok(Bytes::new())
    }

    /// What was read at a position, from its first batch to the last one that may be had.
    fn cut(&self, mut bytes: Vec<u8>, position: u64, start: usize, first: &Header) -> io::Result<Bytes> {
        let request = self.request;
        let mut end = start;
        let mut damaged = false;
        if first.size > request.max_bytes {
            if !request.at_least_one {
                return Ok(Bytes::new());
            }
            end = start + first.size;
            let here = bytes.len();
            if here < end {
                bytes.resize(end, 0);
                self.file.get()?.read_exact_at(&mut bytes[here..], position + here as u64)?;
            }
            if !crc_agrees(&bytes[start..end]) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, CHECKSUM_MISMATCH));
            }
        }
        let room = bytes.len().min(start.saturating_add(request.max_bytes));
        while let Some(header) = Header::read(&bytes[end..]) {
            if header.base_offset >= request.limit || end + header.size > room {
                break;
            }
            // A disk may forget after the start, and clients need not look.
            if !crc_agrees(&bytes[end..end + header.size]) {
                damaged = true;
                break;
            }
            end += header.size;
        }
        if damaged && end == start {
            return Err(io::Error::new(io::ErrorKind::InvalidData, CHECKSUM_MISMATCH));
        }
        Ok(Bytes::from(bytes).slice(start..end))
    }
}

impl Log {
    /// BatchReader from the one that holds `offset` on, at most `max_bytes` of them but at least one if `at_least_one`.
    /// The offset lies within the log (the caller has scan). Where a segment ends, fewer come.
    #[must_use]
    pub fn read(&self, offset: i64, max_bytes: usize, isolation: IsolationLevel, at_least_one: bool) -> LogSlice {
        let limit = self.end_offset(isolation);
        if offset >= limit || (max_bytes == 0 && !at_least_one) {
            return LogSlice::empty();
        }
        // One that compaction has emptied holds nothing, whatever its name says.
        let holds = |segment: &&Segment| segment.size > 0 && segment.last_offset >= offset;
        let Some(segment) = self.segments[self.segment_of(offset)..].iter().find(holds) else {
            return LogSlice::empty();
        };
        let request = ReadRequest { offset, limit, max_bytes, at_least_one };
        let from = segment.index.floor(offset);
        match &segment.data {
            SegmentData::Memory(_) => memory_slice(segment, from, request),
            SegmentData::File(file) => {
                let end = if limit > segment.last_offset { None } else { segment.index.ceiling(limit) };
                LogSlice {
                    data: SliceData::File(FileRange {
                        file: Arc::clone(file),
                        from,
                        to: end.unwrap_or(segment.size),
                        largest_batch: segment.largest_batch,
                        request,
                    }),
                }
            }
        }
    }

    /// Bytes that a reader at this offset could have now, counted no further than `enough`.
    #[must_use]
    pub fn available(&self, offset: i64, isolation: IsolationLevel, enough: usize) -> usize {
        let limit = self.end_offset(isolation);
        let mut available = 0;
        if offset >= limit {
            return 0;
        }
        for segment in &self.segments[self.segment_of(offset)..] {
            if segment.base_offset >= limit || available >= enough {
                break;
            }
            available += segment.bytes_within(offset, limit, enough - available);
        }
        available.min(enough)
    }
}

fn memory_slice(segment: &Segment, from: u64, request: ReadRequest) -> LogSlice {
    let (mut batches, mut size) = (Vec::new(), 0);
    let mut headers = segment.data.read_headers(from, segment.size);
    while let Ok(Some(found)) = headers.next() {
        let header = found.header;
        if header.base_offset >= request.limit {
            break;
        }
        if header.last_offset() < request.offset {
            continue;
        }
        let fits = size + header.size <= request.max_bytes || (batches.is_empty() && request.at_least_one);
        let Ok(batch) = segment.data.read(found.position, header.size) else { break };
        if !fits {
            break;
        }
        size += header.size;
        batches.push(batch);
    }
    LogSlice { data: SliceData::Memory { batches, size } }
}

impl Segment {
    /// Bytes of the batches within these offsets; those of memory are counted one by one, no further than `enough`.
    fn bytes_within(&self, from: i64, to: i64, enough: usize) -> usize {
        if from > self.last_offset {
            return 0;
        }
        if let SegmentData::File(_) = self.data {
            let start = self.index.floor(from);
            let end = if to > self.last_offset { self.size } else { self.index.ceiling(to).unwrap_or(self.size) };
            let beyond = if to > self.last_offset { 0 } else { SEARCH + self.largest_batch as u64 };
            // Only where the index leaves it open is it worth a look at the headers.
            if (end - start).saturating_sub(SEARCH + beyond) >= enough as u64 {
                return enough;
            }
        }
        let mut bytes = 0;
        let mut headers = self.data.read_headers(self.index.floor(from), self.size);
        while bytes < enough
            && let Ok(Some(found)) = headers.next()
            && found.header.base_offset < to
        {
            if found.header.last_offset() >= from {
                bytes += found.header.size;
            }
        }
        bytes
    }
}
