//! Owns opening and closing: what a log must know is read from its segments.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::aborted::AbortedTransactions;
use super::digest;
use super::header::{HEADER, Header, crc_agrees};
use super::open_files::OpenFiles;
use super::producers::ProducerStates;
use super::recorded_end::{RecordedEnd, is_invalid};
use super::records::Marker;
use super::repairs::Repairs;
use super::segment::{Segment, base_offset_of, name_of, path_of};
use super::segment_data::{CHECKSUM_MISMATCH, NO_BATCH, SegmentData};
use super::torn_write::find_whole_batch;
use super::{Log, LogSettings, LogStorage};
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::events::BrokerEvent;

/// Kafka's mark that a log was closed; earlier versions left it.
pub const CLEAN: &str = ".kafka_cleanshutdown";
/// How the name of a segment ends that compaction has not finished.
pub const CLEANED: &str = ".log.cleaned";
/// Why a batch cannot be where it is.
const OFFSETS_OUT_OF_ORDER: &str = "its offsets do not follow those before it";

/// What is known of a log before its files are scan at.
#[derive(Debug, Clone)]
pub enum LogFilesState {
    /// That there is none yet.
    New,
    /// Nothing: an earlier version has written it. Its files are taken for what they say.
    Unrecorded,
    /// How it ended.
    Recorded(Box<RecordedEnd>),
}

/// How far a segment could be scan through.
pub enum Scan {
    /// To where it should be.
    Complete,
    /// Not that far: why.
    Stopped(&'static str),
}

impl Log {
    /// Looks at a log's files, and learns from them what it must know. Nothing is changed by it but that a new log's file is made; see
    /// [`Log::settle`], without which the log is not to be used. `log_start` is the start that the journal remembers (records below it are
    /// deleted, whatever the segments hold).
    ///
    /// # Errors
    ///
    /// When the files are not what was acknowledged, or cannot be read.
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
            // What was acknowledged beyond is gone, and these offsets must not be given to other records.
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

    /// Nothing may be there yet; empty files are what a start that failed has left.
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

    /// Records go from the front only after the journal has been told so.
    fn check_start(&self, dir: &Directory, log_start: i64) -> Result<(), OpenError> {
        let first = self.segments[0].base_offset;
        if first > log_start || self.end < log_start {
            let why = format!(
                "it holds offsets {first} to {}, and by the journal it begins with {log_start}: one of the two is older",
                self.end
            );
            return Err(Corruption::Mismatch { path: dir.path(), why }.into());
        }
        Ok(())
    }

    /// Takes the files for what they say: a torn tail goes, and anything else that is wrong is damage.
    fn load_unrecorded(&mut self, files: &OpenFiles, dir: &Directory, now: i64) -> Result<(), OpenError> {
        let storage = || OpenError::storage(&dir.path());
        dir.create().map_err(storage())?;
        let clean = dir.stat(CLEAN).map_err(storage())?.is_some();
        // Where there was a compaction, offsets may be missing everywhere.
        let dense = !self.settings.compact && !self.was_compacted().map_err(storage())?;
        let bases = Self::base_offsets(dir).map_err(storage())?;
        for (number, base_offset) in bases.iter().enumerate() {
            let (name, path) = (name_of(*base_offset), path_of(dir, *base_offset));
            if self.segments.last().is_some_and(|before| before.last_offset >= *base_offset) {
                // Compaction has merged it into the one before it, and was ended before it removed it.
                self.repairs.set_aside.push(name);
                continue;
            }
            if dense && number > 0 && self.end < *base_offset {
                let because = format!("records from offset {} to {} stood there", self.end, base_offset - 1);
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
            // Who wrote it was killed, maybe before the disk had it.
            segment.unflushed |= last && !clean;
            self.end = segment.last_offset + 1;
            self.segments.push(segment);
        }
        if let Some((_, closed)) = self.segments.split_last() {
            self.closed_digest = digest::sum(closed);
        }
        self.find_unfinished_compaction(dir, false).map_err(storage())
    }

    /// The segments that are there, in their order.
    pub(super) fn base_offsets(dir: &Directory) -> io::Result<Vec<i64>> {
        let mut bases = Vec::new();
        for name in dir.names()? {
            bases.extend(name.to_str().and_then(base_offset_of));
        }
        bases.sort_unstable();
        Ok(bases)
    }

    /// Learns from the batches of a segment up to a length. With `whole` each is read as a whole, and its checksum must agree.
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

    /// Learns from the batches behind the segment's end, so many at most, which must continue it. Returns how many there were.
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

    /// Takes in a batch that stands in a segment; of one without a marker its header is enough.
    fn apply_batch(&mut self, segment: &mut Segment, header: &Header, batch: &Bytes) {
        if !header.is_control() {
            self.producers.add_batch(header);
        } else if let Some(marker) = Marker::parse(header, batch) {
            self.apply_marker(header, marker);
        } else {
            // Compaction has emptied it, and kept it for its epoch.
            self.producers.update_epoch(header);
        }
        let front = batch.first_chunk::<HEADER>().expect("a header was read");
        let position = segment.size;
        segment.add(header, front, position);
    }

    /// Leaves everything on the disk. Returns whether all that was acknowledged is there, so that the next start need not look.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
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
    /// Bytes of its file, whatever is in them.
    ///
    /// # Errors
    ///
    /// When the file cannot be asked.
    pub(super) fn length(&self) -> io::Result<u64> {
        match &self.data {
            SegmentData::Memory(_) => Ok(self.size),
            SegmentData::File(file) => Ok(file.get()?.metadata()?.len()),
        }
    }
}
