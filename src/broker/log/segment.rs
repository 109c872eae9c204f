//! A segment of a log: its data, its sparse index, and the figures that make most reads of it unnecessary.

use std::io;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::batch::StoredBatch;
use super::header::{HEADER, Header};
use super::open_files::OpenFiles;
use super::segment_data::{Position, SegmentData};
use crate::broker::directory::Directory;

#[derive(Debug)]
pub struct Segment {
    /// Base offset from the file name: all offsets in the segment are at or above it.
    pub base_offset: i64,
    pub data: SegmentData,
    /// Bytes of all its batches.
    pub size: u64,
    pub index: Index,
    /// Base offset minus 1 while it is empty.
    pub last_offset: i64,
    /// Largest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// Largest timestamp of its first batch, from which `segment.ms` counts.
    pub first_timestamp: i64,
    /// When it was created or opened.
    pub created: i64,
    /// Bytes of its largest batch.
    pub largest_batch: usize,
    /// Whether some of it may not be on the disk yet.
    pub unflushed: bool,
    /// Digest of its batch headers.
    pub digest: u64,
}

impl Segment {
    #[must_use]
    pub fn in_memory(base_offset: i64, now: i64) -> Self {
        Self::with_data(base_offset, SegmentData::Memory(Vec::new()), now)
    }

    /// Creates an empty segment in a new file.
    pub fn in_directory(files: &OpenFiles, dir: &Directory, base_offset: i64, now: i64) -> io::Result<Self> {
        let segment = Self::open(files, dir, &name_of(base_offset), base_offset, now)?;
        if let SegmentData::File(file) = &segment.data
            && file.get()?.metadata()?.len() > 0
        {
            let what = format!("{} is there already, and holds something", file.path().display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        Ok(segment)
    }

    /// A segment file as it is, before recovery has read it.
    pub fn open(files: &OpenFiles, dir: &Directory, name: &str, base_offset: i64, now: i64) -> io::Result<Self> {
        Ok(Self::with_data(base_offset, SegmentData::File(files.open(dir, name)?), now))
    }

    #[must_use]
    pub fn with_data(base_offset: i64, data: SegmentData, now: i64) -> Self {
        Self {
            base_offset,
            data,
            size: 0,
            index: Index::default(),
            last_offset: base_offset - 1,
            max_timestamp: -1,
            first_timestamp: -1,
            created: now,
            largest_batch: 0,
            unflushed: false,
            digest: 0,
        }
    }

    /// Writes a batch, for a following [`Segment::add`]. After an error the segment is unchanged, unless the error has
    /// `true`: then a part of the batch may be left.
    pub fn write(&mut self, batch: &StoredBatch, fsync: bool) -> Result<Position, (io::Error, bool)> {
        let position = self.data.append(batch, self.size, fsync)?;
        self.unflushed = !fsync;
        Ok(position)
    }

    /// Removes a batch that was written and not added.
    pub fn undo_write(&mut self) -> io::Result<()> {
        match &mut self.data {
            SegmentData::Memory(pieces) => drop(pieces.pop()),
            SegmentData::File(file) => file.get()?.set_len(self.size)?,
        }
        Ok(())
    }

    /// Accounts for a batch at the end of the data.
    pub fn add(&mut self, header: &Header, front: &[u8; HEADER], position: Position) {
        if self.size == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.index.add(header.base_offset, position, header.size as u64, self.max_timestamp);
        self.size += header.size as u64;
        self.last_offset = header.last_offset();
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.largest_batch = self.largest_batch.max(header.size);
        self.digest = extend_digest(self.digest, front);
    }

    /// Whether this batch must go into the next segment.
    #[must_use]
    pub fn is_full(&self, size: usize, last_offset: i64, segment_bytes: u64) -> bool {
        let bytes = self.size + size as u64 > segment_bytes.min(i32::MAX.cast_unsigned().into());
        self.size > 0 && (bytes || last_offset - self.base_offset > i32::MAX.into())
    }

    /// Whether `segment.ms` has passed, by record timestamps if there are any.
    #[must_use]
    pub fn is_old(&self, timestamp: i64, now: i64, segment_ms: i64) -> bool {
        let waited = if self.first_timestamp >= 0 && timestamp >= 0 {
            timestamp - self.first_timestamp
        } else {
            now - self.created
        };
        self.size > 0 && waited > segment_ms
    }

    /// Its largest timestamp, or its creation time if no record has one.
    #[must_use]
    pub fn newest_timestamp(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.created }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if let SegmentData::File(file) = &self.data
            && self.unflushed
        {
            file.get()?.sync_data()?;
        }
        self.unflushed = false;
        Ok(())
    }

    /// Deletes the file. Existing readers can still read it.
    pub fn remove(&self) -> io::Result<()> {
        match &self.data {
            SegmentData::Memory(_) => Ok(()),
            SegmentData::File(file) => file.remove(),
        }
    }
}

/// Kafka's name of a segment file.
#[must_use]
pub fn name_of(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

/// The path for messages.
#[must_use]
pub fn path_of(dir: &Directory, base_offset: i64) -> PathBuf {
    dir.path_of(&name_of(base_offset))
}

#[must_use]
pub fn base_offset_of(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|offset| *offset >= 0)
}

/// Adds a batch header to a segment's digest.
///
/// A header holds the CRC of its batch, so the digest of all headers covers the segment's content, and also what the
/// CRC does not cover: offsets, lengths and the order of batches. Recovery reads all headers anyway.
#[must_use]
pub fn extend_digest(digest: u64, front: &[u8; HEADER]) -> u64 {
    xxh3_64_with_seed(front, digest)
}

impl Segment {
    /// Digest of a closed segment. A log records the sum over its closed segments, so that one of them can be removed
    /// or replaced.
    #[must_use]
    pub fn closed_digest(&self) -> u64 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        place[8..].copy_from_slice(&self.size.to_be_bytes());
        xxh3_64_with_seed(&place, self.digest)
    }
}

/// The sum of the digests of closed segments.
#[must_use]
pub fn digest_sum<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> u64 {
    segments.into_iter().fold(0, |sum, segment| sum.wrapping_add(segment.closed_digest()))
}

/// Bytes between two entries, as Kafka's `index.interval.bytes`.
pub const INTERVAL: u64 = 4096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    base_offset: i64,
    position: u64,
    /// Largest timestamp of all earlier batches.
    timestamp_before: i64,
}

/// 24 bytes per 4 KiB of log or more.
#[derive(Debug, Clone, Default)]
pub struct Index {
    entries: Vec<Entry>,
    since_last: u64,
}

impl Index {
    pub fn add(&mut self, base_offset: i64, position: u64, size: u64, timestamp_before: i64) {
        if self.entries.is_empty() || self.since_last > INTERVAL {
            self.entries.push(Entry { base_offset, position, timestamp_before });
            self.since_last = 0;
        }
        self.since_last += size;
    }

    /// Position at or before the batch that holds this offset, or the next one.
    #[must_use]
    pub fn floor(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.base_offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }

    /// Position at or after the end of all batches below this offset; `None` for the segment's end.
    #[must_use]
    pub fn ceiling(&self, offset: i64) -> Option<u64> {
        let at = self.entries.partition_point(|entry| entry.base_offset < offset);
        self.entries.get(at).map(|entry| entry.position)
    }

    /// Position at or before the first batch that reaches this timestamp.
    #[must_use]
    pub fn floor_of_time(&self, timestamp: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.timestamp_before < timestamp);
        after.checked_sub(1).map_or(0, |at| self.entries[at].position)
    }
}
