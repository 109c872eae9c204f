//! A segment of a log: its data, index, and the figures that make most reads of it unnecessary.

use std::io;
use std::path::PathBuf;

use super::batch::StoredBatch;
use super::digest::extend_digest;
use super::header::{HEADER, Header};
use super::index::Index;
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
