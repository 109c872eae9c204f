//! Data of a segment, in memory or in a file of Kafka's format, and iteration over its batches.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::batch::StoredBatch;
use super::header::{HEADER, Header, crc_agrees};
use super::open_files::SegmentFile;

pub const CHECKSUM_MISMATCH: &str = "the batch does not match its checksum";
pub const NO_BATCH: &str = "no complete batch at this position";

/// Read ahead while batches are small.
const READ_AHEAD: u64 = 64 << 10;
/// Read size for the header of a large batch. It fits a marker's record too.
const HEADER_READ: u64 = 512;

/// Read size when everything is read.
const READ_SIZE: u64 = 1 << 20;

/// Position of a batch: a byte offset in a file, an index in memory.
pub type Position = u64;

/// A clone reads the same data, even after the segment was deleted.
#[derive(Debug, Clone)]
pub enum SegmentData {
    /// One element per batch.
    Memory(Vec<Bytes>),
    /// Opened on demand.
    File(Arc<SegmentFile>),
}

impl SegmentData {
    /// Appends a batch after `size` bytes and returns its position. After an error nothing of it is left, unless the
    /// error has `true`.
    pub fn append(&mut self, batch: &StoredBatch, size: u64, fsync: bool) -> Result<Position, (io::Error, bool)> {
        match self {
            Self::Memory(pieces) => {
                let mut piece = Vec::with_capacity(batch.size());
                piece.extend_from_slice(&batch.front);
                piece.extend_from_slice(&batch.rest);
                pieces.push(piece.into());
                Ok(pieces.len() as u64 - 1)
            }
            Self::File(file) => {
                let file = file.get().map_err(|error| (error, false))?;
                write_both(&file, &batch.front, &batch.rest).map_err(|error| (error, file.set_len(size).is_err()))?;
                if fsync {
                    // After a failed fsync the content of the disk is unknown, so a retry cannot succeed reliably.
                    file.sync_data().map_err(|error| {
                        let gone = file.set_len(size);
                        (gone.err().unwrap_or(error), true)
                    })?;
                }
                Ok(size)
            }
        }
    }

    /// Truncates a file.
    pub fn cut(&self, size: u64) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::File(file) => file.get()?.set_len(size),
        }
    }

    pub fn read(&self, position: Position, size: usize) -> io::Result<Bytes> {
        match self {
            Self::Memory(pieces) => {
                let piece = usize::try_from(position).ok().and_then(|at| pieces.get(at));
                piece.cloned().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Self::File(file) => {
                let mut bytes = vec![0; size];
                file.get()?.read_exact_at(&mut bytes, position)?;
                Ok(bytes.into())
            }
        }
    }

    /// All batches, up to `end` bytes of a file.
    #[must_use]
    pub fn read_batches(&self, end: u64) -> BatchReader<'_> {
        self.read_batches_from(0, end)
    }

    /// The batches from a position on.
    #[must_use]
    pub fn read_batches_from(&self, from: Position, end: u64) -> BatchReader<'_> {
        BatchReader { data: self, position: from, end, ahead: Bytes::new() }
    }

    /// The batch headers from a position on, up to `end` bytes of a file.
    #[must_use]
    pub fn read_headers(&self, from: Position, end: u64) -> HeaderReader<'_> {
        HeaderReader { data: self, position: from, end, ahead: Vec::new(), ahead_at: 0, small: true }
    }
}

/// Iterates over whole batches in large reads.
#[derive(Debug)]
pub struct BatchReader<'a> {
    data: &'a SegmentData,
    position: Position,
    end: u64,
    ahead: Bytes,
}

impl BatchReader<'_> {
    /// The next batch; `None` at the end. `InvalidData` means that the batch is incomplete or has a wrong CRC.
    pub fn next(&mut self) -> io::Result<Option<(Header, Bytes)>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, NO_BATCH);
        match self.data {
            SegmentData::Memory(pieces) => {
                let Some(piece) = usize::try_from(self.position).ok().and_then(|at| pieces.get(at)) else {
                    return Ok(None);
                };
                self.position += 1;
                Ok(Some((Header::read(piece).ok_or_else(invalid)?, piece.clone())))
            }
            SegmentData::File(file) => {
                if self.position >= self.end {
                    return Ok(None);
                }
                if self.ahead.len() < HEADER {
                    self.fill(file, READ_SIZE)?;
                }
                let header = Header::read(&self.ahead).ok_or_else(invalid)?;
                if self.ahead.len() < header.size {
                    if self.position + header.size as u64 > self.end {
                        return Err(invalid());
                    }
                    self.fill(file, READ_SIZE.max(header.size as u64))?;
                }
                let batch = self.ahead.slice(..header.size);
                if !crc_agrees(&batch) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, CHECKSUM_MISMATCH));
                }
                self.position += header.size as u64;
                self.ahead.advance(header.size);
                Ok(Some((header, batch)))
            }
        }
    }

    fn fill(&mut self, file: &Arc<SegmentFile>, size: u64) -> io::Result<()> {
        let size = usize::try_from(size.min(self.end - self.position)).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        file.get()?.read_exact_at(&mut bytes, self.position)?;
        self.ahead = bytes.into();
        Ok(())
    }
}

fn write_both(mut file: &File, mut front: &[u8], mut rest: &[u8]) -> io::Result<()> {
    while !front.is_empty() {
        match file.write_vectored(&[IoSlice::new(front), IoSlice::new(rest)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_front = written.min(front.len());
                front = &front[of_front..];
                rest = &rest[written - of_front..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.write_all(rest)
}

#[derive(Debug, Clone, Copy)]
pub struct FoundBatch {
    pub position: Position,
    pub header: Header,
    /// The encoded header.
    pub front: [u8; HEADER],
}

/// Iterates over batch headers without reading the records.
#[derive(Debug)]
pub struct HeaderReader<'a> {
    data: &'a SegmentData,
    position: Position,
    end: u64,
    ahead: Vec<u8>,
    ahead_at: u64,
    small: bool,
}

impl HeaderReader<'_> {
    /// The next header; `None` at the end. `InvalidData` means that the batch is incomplete.
    pub fn next(&mut self) -> io::Result<Option<FoundBatch>> {
        let position = self.position;
        let found = match self.data {
            SegmentData::Memory(pieces) => {
                let Some(piece) = usize::try_from(position).ok().and_then(|at| pieces.get(at)) else { return Ok(None) };
                self.position += 1;
                Header::read(piece).zip(piece.first_chunk().copied())
            }
            SegmentData::File(file) => {
                if position >= self.end {
                    return Ok(None);
                }
                let found = self.header_at(file)?.filter(|(header, _)| position + header.size as u64 <= self.end);
                if let Some((header, _)) = found {
                    self.small = (header.size as u64) < LARGE_BATCH;
                    self.position += header.size as u64;
                }
                found
            }
        };
        let (header, front) = found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, NO_BATCH))?;
        Ok(Some(FoundBatch { position, header, front }))
    }

    fn header_at(&mut self, file: &Arc<SegmentFile>) -> io::Result<Option<(Header, [u8; HEADER])>> {
        let held = self.ahead_at..self.ahead_at + self.ahead.len() as u64;
        let whole = self.position + HEADER as u64;
        if whole > self.end {
            return Ok(None);
        }
        if self.position < held.start || whole > held.end {
            let size = if self.small { READ_AHEAD } else { HEADER_READ }.min(self.end - self.position);
            self.ahead.resize(usize::try_from(size).expect("at most READ_AHEAD"), 0);
            self.ahead_at = self.position;
            file.get()?.read_exact_at(&mut self.ahead, self.position)?;
        }
        let at = usize::try_from(self.position - self.ahead_at).expect("in the read range");
        let front = &self.ahead[at..];
        Ok(Header::read(front).zip(front.first_chunk().copied()))
    }
}

/// From this batch size on, read ahead does not pay.
const LARGE_BATCH: u64 = 8 << 10;

/// Bytes read at once to find a batch.
const SEARCH_SIZE: u64 = 1 << 20;
/// Position and value of the magic byte in a header.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Position of the first whole batch in a range of a file, at any offset. It distinguishes a torn write from corruption:
/// no whole batch can follow a torn write.
pub fn find_whole_batch(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at + HEADER as u64 <= to {
        let size = usize::try_from((to - at).min(SEARCH_SIZE)).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at)?;
        let fronts = size - HEADER + 1;
        for start in memchr::memchr_iter(MAGIC, &bytes[MAGIC_AT..MAGIC_AT + fronts]) {
            let position = at + start as u64;
            let Some(header) = Header::read(&bytes[start..]) else { continue };
            if position + header.size as u64 > to {
                continue;
            }
            let mut batch = vec![0; header.size];
            file.read_exact_at(&mut batch, position)?;
            if crc_agrees(&batch) {
                return Ok(Some(position));
            }
        }
        at += fronts as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use kafka_protocol::records::Compression;

    use super::super::test_support::*;
    use super::*;

    #[test]
    fn finds_whole_batches_only() {
        let batch = encode(NO_PRODUCER, &[row("a", &"v".repeat(300), NOW)], Compression::None);
        for lead in [1, 60, 61, 5_000, (1 << 20) - 70, (1 << 20) - 30, (1 << 20) + 5] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![2; lead]).unwrap();
            file.write_all(&batch).unwrap();
            let length = (lead + batch.len()) as u64;
            assert_eq!(find_whole_batch(&file, 1, length).unwrap(), Some(lead as u64), "behind {lead}");
            assert_eq!(find_whole_batch(&file, 1, length - 1).unwrap(), None, "behind {lead}");
        }
    }
}
