//! Owns a segment: a stretch of a log's batches with what is known of them, so that most questions need no reading.

use std::io;
use std::path::PathBuf;

use super::batch::StoredBatch;
use super::digest::extend_digest;
use super::header::{HEADER, Header};
use super::index::Index;
use super::open_files::OpenFiles;
use super::segment_data::{Position, SegmentData};
use crate::broker::directory::Directory;

/// A segment of a log.
#[derive(Debug)]
pub struct Segment {
    /// The offset in its name: nothing in it lies below.
    pub base_offset: i64,
    /// Its bytes.
    pub data: SegmentData,
    /// How many bytes.
    pub size: u64,
    /// Where to look in it.
    pub index: Index,
    /// The last offset in it; the one before its base while it is empty.
    pub last_offset: i64,
    /// The largest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// The largest timestamp of its first batch: what `segment.ms` is counted from.
    pub first_timestamp: i64,
    /// When it was made, or opened.
    pub created: i64,
    /// Size of its largest batch.
    pub largest_batch: usize,
    /// Whether something was written that the disk may not have yet.
    pub unflushed: bool,
    /// Digest of the headers in it.
    pub digest: u64,
}

impl Segment {
    /// An empty segment in memory.
    #[must_use]
    pub fn in_memory(base_offset: i64, now: i64) -> Self {
        Self::with_data(base_offset, SegmentData::Memory(Vec::new()), now)
    }

    /// An empty segment in a new file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
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

    /// A file as it is, of which nothing is known yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(files: &OpenFiles, dir: &Directory, name: &str, base_offset: i64, now: i64) -> io::Result<Self> {
        Ok(Self::with_data(base_offset, SegmentData::File(files.open(dir, name)?), now))
    }

    /// An empty segment over these bytes.
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

    /// Writes a batch, which is to be noted then; after an error the segment is as it was, unless the error comes with `true`.
    ///
    /// # Errors
    ///
    /// When it could not be written; with whether a part of it may be there.
    pub fn write(&mut self, batch: &StoredBatch, fsync: bool) -> Result<Position, (io::Error, bool)> {
        let position = self.data.append(batch, self.size, fsync)?;
        self.unflushed = !fsync;
        Ok(position)
    }

    /// Takes back what was written and not noted.
    ///
    /// # Errors
    ///
    /// When the file cannot be cut.
    pub fn undo_write(&mut self) -> io::Result<()> {
        match &mut self.data {
            SegmentData::Memory(pieces) => drop(pieces.pop()),
            SegmentData::File(file) => file.get()?.set_len(self.size)?,
        }
        Ok(())
    }

    /// Takes in a batch that stands in the data, and begins with this front.
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

    /// Whether a batch of this size and with this last offset must go into the next segment.
    #[must_use]
    pub fn is_full(&self, size: usize, last_offset: i64, segment_bytes: u64) -> bool {
        let bytes = self.size + size as u64 > segment_bytes.min(i32::MAX.cast_unsigned().into());
        self.size > 0 && (bytes || last_offset - self.base_offset > i32::MAX.into())
    }

    /// Whether `segment.ms` are over: counted by the records' times where they have some.
    #[must_use]
    pub fn is_old(&self, timestamp: i64, now: i64, segment_ms: i64) -> bool {
        let waited = if self.first_timestamp >= 0 && timestamp >= 0 {
            timestamp - self.first_timestamp
        } else {
            now - self.created
        };
        self.size > 0 && waited > segment_ms
    }

    /// How old its newest record is, or itself where no record has a time.
    #[must_use]
    pub fn newest_timestamp(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.created }
    }

    /// Makes the disk have it.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn flush(&mut self) -> io::Result<()> {
        if let SegmentData::File(file) = &self.data
            && self.unflushed
        {
            file.get()?.sync_data()?;
        }
        self.unflushed = false;
        Ok(())
    }

    /// Removes its file. Who reads it still can.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn remove(&self) -> io::Result<()> {
        match &self.data {
            SegmentData::Memory(_) => Ok(()),
            SegmentData::File(file) => file.remove(),
        }
    }
}

/// Kafka's name for a segment's file.
#[must_use]
pub fn name_of(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

/// Where that file lies, for people.
#[must_use]
pub fn path_of(dir: &Directory, base_offset: i64) -> PathBuf {
    dir.path_of(&name_of(base_offset))
}

/// The base offset in a segment's file name.
#[must_use]
pub fn base_offset_of(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|offset| *offset >= 0)
}
