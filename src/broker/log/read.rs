//! Reads of record batches: planned under the broker's lock, done outside of it.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::header::{HEADER, Header, crc_agrees};
use super::open_files::SegmentFile;
use super::segment::INTERVAL;
use super::segment::Segment;
use super::segment_data::{CHECKSUM_MISMATCH, SegmentData};
use super::{IsolationLevel, Log};

/// Largest distance from an index entry to the end of the header of the batch after it.
const SEARCH: u64 = INTERVAL + HEADER as u64;

/// A planned read of whole batches, to be done outside of the broker's lock. It stays readable when its segment is
/// deleted.
#[derive(Debug, Clone)]
pub struct LogSlice {
    data: SliceData,
}

#[derive(Debug, Clone)]
enum SliceData {
    Memory { batches: Vec<Bytes>, size: usize },
    File(FileRange),
}

/// The part of a segment file that contains the batches.
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
    #[must_use]
    pub fn empty() -> Self {
        Self { data: SliceData::Memory { batches: Vec::new(), size: 0 } }
    }

    /// Upper bound of the size in bytes.
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

    /// Reads the batches: the first one holds the requested offset, the last one ends below the limit of the isolation
    /// level. `InvalidData` means that the first batch is corrupt; batches before a later corrupt one are returned.
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
                    // The requested batch follows a large batch and a gap, and was read in part. Read again from its
                    // start.
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
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no batch at this position"));
            }
            // The offset is in a gap after a large batch.
            from += at as u64;
        }
        Ok(Bytes::new())
    }

    /// Cuts what was read to whole, valid batches within the limits.
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
            // The disk may have lost data since the start, and clients need not check CRCs.
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
    /// Plans a read from the batch that holds `offset` on: at most `max_bytes`, but at least one batch if
    /// `at_least_one`. The caller has checked that the offset is in the log. A read ends at the end of a segment.
    #[must_use]
    pub fn read(&self, offset: i64, max_bytes: usize, isolation: IsolationLevel, at_least_one: bool) -> LogSlice {
        let limit = self.end_offset(isolation);
        if offset >= limit || (max_bytes == 0 && !at_least_one) {
            return LogSlice::empty();
        }
        // Compaction may have left a segment empty.
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

    /// Bytes that a reader at this offset could get now, counted up to `enough`.
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
    /// Bytes of the batches in an offset range, counted up to `enough`.
    fn bytes_within(&self, from: i64, to: i64, enough: usize) -> usize {
        if from > self.last_offset {
            return 0;
        }
        if let SegmentData::File(_) = self.data {
            let start = self.index.floor(from);
            let end = if to > self.last_offset { self.size } else { self.index.ceiling(to).unwrap_or(self.size) };
            let beyond = if to > self.last_offset { 0 } else { SEARCH + self.largest_batch as u64 };
            // Read headers only if the index cannot decide.
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
