//! Opening and closing a log: recovery reads its segments and rebuilds index, producer state and transaction index. The
//! repairs that it finds necessary are applied after all files of the data directory have been checked.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;

use super::aborted::AbortedTransactions;
use super::header::{HEADER, Header, crc_agrees};
use super::open_files::OpenFiles;
use super::producers::ProducerStates;
use super::recorded_end::{RecordedEnd, is_invalid};
use super::records::Marker;
use super::segment::{Segment, base_offset_of, digest_sum, name_of, path_of};
use super::segment_data::{CHECKSUM_MISMATCH, NO_BATCH, SegmentData, find_whole_batch};
use super::{Log, LogSettings, LogStorage};
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::EndsSlot;
use crate::broker::events::BrokerEvent;
use crate::broker::kill_points;

/// Kafka's clean shutdown marker. Earlier versions wrote it.
pub const CLEAN: &str = ".kafka_cleanshutdown";
/// Suffix of a segment that compaction has not finished.
pub const CLEANED: &str = ".log.cleaned";
const OFFSETS_OUT_OF_ORDER: &str = "its offsets do not follow those before it";

/// What is recorded of a log's files before recovery reads them.
#[derive(Debug, Clone)]
pub enum LogFilesState {
    /// The log does not exist yet.
    New,
    /// Nothing: an earlier version wrote it. Recovery trusts its files.
    Unrecorded,
    /// Where it ended.
    Recorded(Box<RecordedEnd>),
}

pub enum Scan {
    Complete,
    /// Why the scan stopped before the end.
    Stopped(&'static str),
}

impl Log {
    /// Recovers a log from its files without changing any, except that a new log gets its first file. Before any other
    /// use, call [`Log::apply_repairs`]. `log_start` is the log start offset from the journal: records below it are
    /// deleted, whatever the segments hold.
    pub fn open(
        storage: &LogStorage,
        settings: LogSettings,
        log_start: i64,
        now: i64,
        known: &LogFilesState,
    ) -> Result<Self, OpenError> {
        let mut log = Self {
            storage: storage.clone(),
            settings,
            segments: Vec::new(),
            start: log_start,
            end: log_start,
            producers: ProducerStates::default(),
            aborted: AbortedTransactions::default(),
            cleaned_to: 0,
            write_failed: false,
            compaction_disabled: false,
            closed_digest: 0,
            past_end: 0,
            slot: None,
            repairs: Repairs::default(),
        };
        if let LogStorage::Directory { dir, files, .. } = storage {
            match known {
                LogFilesState::New => log.load_new(dir)?,
                LogFilesState::Unrecorded => log.load_unrecorded(files, dir, now)?,
                LogFilesState::Recorded(recorded) => {
                    log.load_recorded(files, dir, recorded, now)?;
                    log.check_start(dir, log_start)?;
                }
            }
        }
        if log.end < log_start {
            // The records up to the log start are gone, but their offsets must not be used again.
            let on_disk =
                |segment: Segment| matches!(segment.data, SegmentData::File(_)).then(|| name_of(segment.base_offset));
            log.repairs.set_aside.extend(log.segments.drain(..).filter_map(on_disk));
            (log.producers, log.aborted) = (ProducerStates::default(), AbortedTransactions::default());
            (log.end, log.closed_digest) = (log_start, 0);
        }
        if log.segments.is_empty() {
            let path = storage.dir().map_or_else(PathBuf::new, |dir| path_of(dir, log_start));
            log.segments.push(storage.segment(log_start, now).map_err(OpenError::storage(&path))?);
        }
        log.load_checkpoint();
        log.start = log_start.max(log.segments[0].base_offset);
        log.producers.expire(now);
        log.aborted.remove_before(log.start);
        Ok(log)
    }

    /// A new log has no files, or empty ones from a start that failed.
    fn load_new(&mut self, dir: &Directory) -> Result<(), OpenError> {
        let storage = || OpenError::storage(&dir.path());
        dir.create().map_err(storage())?;
        for base_offset in Self::base_offsets(dir).map_err(storage())? {
            let (name, path) = (name_of(base_offset), path_of(dir, base_offset));
            if dir.stat(&name).map_err(OpenError::storage(&path))?.is_some_and(|seen| seen.size > 0) {
                return Err(Corruption::UnknownLogs { paths: vec![path] }.into());
            }
            if base_offset != self.start {
                self.repairs.removed.push(name);
            }
        }
        Ok(())
    }

    /// The journal records a new log start offset before segments are deleted.
    fn check_start(&self, dir: &Directory, log_start: i64) -> Result<(), OpenError> {
        let first = self.segments[0].base_offset;
        if first > log_start || self.end < log_start {
            let why = format!(
                "it holds offsets {first} to {}, but its log start offset in the journal is {log_start}: one of the two is older",
                self.end
            );
            return Err(Corruption::Mismatch { path: dir.path(), why }.into());
        }
        Ok(())
    }

    /// Loads a log without a recorded end: a torn write at its end is cut off, anything else that is wrong is an error.
    fn load_unrecorded(&mut self, files: &OpenFiles, dir: &Directory, now: i64) -> Result<(), OpenError> {
        let storage = || OpenError::storage(&dir.path());
        dir.create().map_err(storage())?;
        let clean = dir.stat(CLEAN).map_err(storage())?.is_some();
        // After a compaction, offsets may be missing anywhere.
        let dense = !self.settings.compact && !self.was_compacted().map_err(storage())?;
        let bases = Self::base_offsets(dir).map_err(storage())?;
        for (number, base_offset) in bases.iter().enumerate() {
            let (name, path) = (name_of(*base_offset), path_of(dir, *base_offset));
            if self.segments.last().is_some_and(|before| before.last_offset >= *base_offset) {
                // Compaction merged it into the segment before it, and was killed before removing it.
                self.repairs.set_aside.push(name);
                continue;
            }
            if dense && number > 0 && self.end < *base_offset {
                let because = format!("it held the records from offset {} to {}", self.end, base_offset - 1);
                return Err(Corruption::Missing { path: path_of(dir, self.end), because }.into());
            }
            let last = number + 1 == bases.len();
            let opened = Segment::open(files, dir, &name, *base_offset, now);
            let mut segment = opened.map_err(OpenError::storage(&path))?;
            let length = segment.length().map_err(OpenError::storage(&path))?;
            if let Scan::Stopped(why) = self.scan(&mut segment, length, !clean).map_err(OpenError::storage(&path))? {
                let broken = Corruption::Corrupt { path: path.clone(), at: segment.size, why };
                let SegmentData::File(file) = &segment.data else { return Err(broken.into()) };
                let storage = || OpenError::storage(&path);
                let file = file.get().map_err(storage())?;
                let followed = !last || find_whole_batch(&file, segment.size, length).map_err(storage())?.is_some();
                if followed {
                    return Err(broken.into());
                }
                let bytes = length - segment.size;
                self.repairs.truncated.push((name, segment.size, Vec::new()));
                self.repairs.events.push(BrokerEvent::TailTruncated { path, bytes, unacknowledged: false });
            }
            // After a kill, the disk may not have it yet.
            segment.unflushed |= last && !clean;
            self.end = segment.last_offset + 1;
            self.segments.push(segment);
        }
        if let Some((_, closed)) = self.segments.split_last() {
            self.closed_digest = digest_sum(closed);
        }
        self.find_unfinished_compaction(dir, false).map_err(storage())
    }

    /// Base offsets of all segment files, in order.
    pub(super) fn base_offsets(dir: &Directory) -> io::Result<Vec<i64>> {
        let mut bases = Vec::new();
        for name in dir.names()? {
            bases.extend(name.to_str().and_then(base_offset_of));
        }
        bases.sort_unstable();
        Ok(bases)
    }

    /// Reads the batches of a segment up to a length. With `whole`, it reads their records too and checks every CRC.
    pub(super) fn scan(&mut self, segment: &mut Segment, length: u64, whole: bool) -> io::Result<Scan> {
        let data = segment.data.clone();
        if whole {
            let mut batches = data.read_batches(length);
            loop {
                match batches.next() {
                    Ok(None) => return Ok(Scan::Complete),
                    Ok(Some((header, batch))) if header.base_offset > segment.last_offset => {
                        self.apply_batch(segment, &header, &batch);
                    }
                    Ok(Some(_)) => return Ok(Scan::Stopped(OFFSETS_OUT_OF_ORDER)),
                    Err(error) if is_invalid(&error) => return Ok(Scan::Stopped(why(&error))),
                    Err(error) => return Err(error),
                }
            }
        }
        let mut headers = data.read_headers(0, length);
        loop {
            match headers.next() {
                Ok(None) => return Ok(Scan::Complete),
                Ok(Some(found)) if found.header.base_offset > segment.last_offset => {
                    let size = if found.header.is_control() { found.header.size } else { 0 };
                    let mut batch = data.read(found.position, size)?;
                    if size > 0 && !crc_agrees(&batch) {
                        return Ok(Scan::Stopped(CHECKSUM_MISMATCH));
                    }
                    if size == 0 {
                        batch = Bytes::copy_from_slice(&found.front);
                    }
                    self.apply_batch(segment, &found.header, &batch);
                }
                Ok(Some(_)) => return Ok(Scan::Stopped(OFFSETS_OUT_OF_ORDER)),
                Err(error) if is_invalid(&error) => return Ok(Scan::Stopped(NO_BATCH)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads at most `most` batches past the segment's end, with consecutive offsets. Returns how many there were.
    pub(super) fn scan_tail(&mut self, segment: &mut Segment, mut offset: i64, most: usize) -> io::Result<usize> {
        let data = segment.data.clone();
        let mut batches = data.read_batches_from(segment.size, segment.length()?);
        let mut count = 0;
        while count < most {
            match batches.next() {
                Ok(Some((header, batch))) if header.base_offset == offset => {
                    self.apply_batch(segment, &header, &batch);
                    offset = header.last_offset() + 1;
                    count += 1;
                }
                Ok(_) => break,
                Err(error) if is_invalid(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Applies a batch of a segment. Without a marker in it, the header is enough.
    fn apply_batch(&mut self, segment: &mut Segment, header: &Header, batch: &Bytes) {
        if !header.is_control() {
            self.producers.add_batch(header);
        } else if let Some(marker) = Marker::parse(header, batch) {
            self.apply_marker(header, marker);
        } else {
            // Compaction has removed the marker, and kept the batch for its epoch.
            self.producers.update_epoch(header);
        }
        let front = batch.first_chunk::<HEADER>().expect("a header was read");
        let position = segment.size;
        segment.add(header, front, position);
    }

    /// Flushes everything. Returns whether all acknowledged data is on the disk, so that the next start can skip the
    /// checks.
    pub fn close(&mut self) -> io::Result<bool> {
        let LogStorage::Directory { dir, .. } = &self.storage else { return Ok(true) };
        for segment in &mut self.segments {
            segment.flush()?;
        }
        dir.flush()?;
        Ok(!std::mem::replace(&mut self.write_failed, true))
    }
}

fn why(error: &io::Error) -> &'static str {
    if error.to_string() == CHECKSUM_MISMATCH { CHECKSUM_MISMATCH } else { NO_BATCH }
}

impl Segment {
    /// Size of the file.
    pub(super) fn length(&self) -> io::Result<u64> {
        match &self.data {
            SegmentData::Memory(_) => Ok(self.size),
            SegmentData::File(file) => Ok(file.get()?.metadata()?.len()),
        }
    }
}

/// By file names in the log's directory.
#[derive(Debug, Default)]
pub struct Repairs {
    /// Files to truncate to a length, and bytes to append then.
    pub truncated: Vec<(String, u64, Vec<u8>)>,
    /// Files that are not part of the log, according to its recorded end.
    pub removed: Vec<String>,
    /// Files that seem not to be part of the log.
    pub set_aside: Vec<String>,
    pub events: Vec<BrokerEvent>,
}

impl Log {
    /// Applies the repairs. From then on the log's end is recorded in this slot.
    pub fn apply_repairs(&mut self, slot: Option<EndsSlot>, events: &mut Vec<BrokerEvent>) -> io::Result<()> {
        let repairs = std::mem::take(&mut self.repairs);
        let dir = self.storage.dir().cloned();
        if let Some(dir) = &dir {
            for (name, length, bytes) in &repairs.truncated {
                let mut file = dir.open_to_change(name)?;
                file.set_len(*length)?;
                file.write_all(bytes)?;
            }
        }
        events.extend(repairs.events);
        self.slot = slot;
        if self.slot.is_some() {
            self.write_end_through(&self.current_end())?;
        }
        let Some(dir) = dir else { return Ok(()) };
        for name in &repairs.removed {
            dir.remove(name)?;
            kill_points::passed();
        }
        for name in &repairs.set_aside {
            let place = dir.set_aside(name)?;
            events.push(BrokerEvent::SetAside { path: dir.path_of(name), moved_to: dir.path_of(&place) });
        }
        match dir.remove(CLEAN) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Finds files of a compaction that was killed.
    pub(super) fn find_unfinished_compaction(&mut self, dir: &Directory, is_known: bool) -> io::Result<()> {
        for name in dir.names()? {
            if let Some(name) = name.to_str().filter(|name| name.ends_with(CLEANED)) {
                if is_known { &mut self.repairs.removed } else { &mut self.repairs.set_aside }.push(name.to_owned());
            }
        }
        Ok(())
    }
}
