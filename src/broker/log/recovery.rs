//! Owns opening and closing: what a log must know is read from its segments.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::aborted::AbortedTransactions;
use super::body::{Body, DISAGREES, NO_BATCH};
use super::files::OpenFiles;
use super::header::{HEADER, Header, crc_agrees};
use super::producers::Producers;
use super::proof::{Proof, is_invalid};
use super::records::Marker;
use super::remains::Remains;
use super::seal;
use super::segment::{Segment, base_offset_of, name_of, path_of};
use super::torn::whole_batch;
use super::{Log, LogSettings, LogStorage};
use crate::broker::damage::{Damage, OpenError};
use crate::broker::directory::Directory;
use crate::broker::notice::Notice;

/// Kafka's mark that a log was closed; earlier versions left it.
pub const CLEAN: &str = ".kafka_cleanshutdown";
/// How the name of a segment ends that compaction has not finished.
pub const CLEANED: &str = ".log.cleaned";
/// Why a batch cannot be where it is.
const GOES_BACK: &str = "its offsets do not follow those before it";

/// What is known of a log before its files are looked at.
#[derive(Debug, Clone)]
pub enum Known {
    /// That there is none yet.
    New,
    /// Nothing: an earlier version has written it. Its files are taken for what they say.
    Nothing,
    /// How it ended.
    End(Box<Proof>),
}

/// How far a segment could be looked through.
pub enum Looked {
    /// To where it should be.
    Whole,
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
        known: &Known,
    ) -> Result<Self, OpenError> {
        let mut log = Self {
            storage: storage.clone(),
            settings,
            segments: Vec::new(),
            start: log_start,
            end: log_start,
            producers: Producers::default(),
            aborted: AbortedTransactions::default(),
            cleaned_to: 0,
            refuses: false,
            refuses_compaction: false,
            sealed: 0,
            beyond: 0,
            slot: None,
            remains: Remains::default(),
        };
        if let LogStorage::Folder { folder, files, .. } = storage {
            match known {
                Known::New => log.load_new(folder)?,
                Known::Nothing => log.load(files, folder, now)?,
                Known::End(proof) => {
                    log.load_proven(files, folder, proof, now)?;
                    log.agrees_with_start(folder, log_start)?;
                }
            }
        }
        if log.end < log_start {
            // What was acknowledged beyond is gone, and these offsets must not be given to other records.
            let on_disk =
                |segment: Segment| matches!(segment.body, Body::File(_)).then(|| name_of(segment.base_offset));
            log.remains.aside.extend(log.segments.drain(..).filter_map(on_disk));
            (log.producers, log.aborted) = (Producers::default(), AbortedTransactions::default());
            (log.end, log.sealed) = (log_start, 0);
        }
        if log.segments.is_empty() {
            let path = storage.folder().map_or_else(PathBuf::new, |folder| path_of(folder, log_start));
            log.segments.push(storage.segment(log_start, now).map_err(OpenError::storage(&path))?);
        }
        log.load_checkpoint();
        log.start = log_start.max(log.segments[0].base_offset);
        log.producers.expire(now);
        log.aborted.forget_before(log.start);
        Ok(log)
    }

    /// Nothing may be there yet; empty files are what a start that failed has left.
    fn load_new(&mut self, folder: &Directory) -> Result<(), OpenError> {
        let storage = || OpenError::storage(&folder.path());
        folder.make().map_err(storage())?;
        for base_offset in Self::bases(folder).map_err(storage())? {
            let (name, path) = (name_of(base_offset), path_of(folder, base_offset));
            if folder.look_at(&name).map_err(OpenError::storage(&path))?.is_some_and(|seen| seen.size > 0) {
                return Err(Damage::Unknown { paths: vec![path] }.into());
            }
            if base_offset != self.start {
                self.remains.removed.push(name);
            }
        }
        Ok(())
    }

    /// Records go from the front only after the journal has been told so.
    fn agrees_with_start(&self, folder: &Directory, log_start: i64) -> Result<(), OpenError> {
        let first = self.segments[0].base_offset;
        if first > log_start || self.end < log_start {
            let why = format!(
                "it holds offsets {first} to {}, and by the journal it begins with {log_start}: one of the two is older",
                self.end
            );
            return Err(Damage::Altered { path: folder.path(), why }.into());
        }
        Ok(())
    }

    /// Takes the files for what they say: a torn tail goes, and anything else that is wrong is damage.
    fn load(&mut self, files: &OpenFiles, folder: &Directory, now: i64) -> Result<(), OpenError> {
        let storage = || OpenError::storage(&folder.path());
        folder.make().map_err(storage())?;
        let clean = folder.look_at(CLEAN).map_err(storage())?.is_some();
        // Where there was a compaction, offsets may be missing everywhere.
        let dense = !self.settings.compact && !self.was_compacted().map_err(storage())?;
        let bases = Self::bases(folder).map_err(storage())?;
        for (number, base_offset) in bases.iter().enumerate() {
            let (name, path) = (name_of(*base_offset), path_of(folder, *base_offset));
            if self.segments.last().is_some_and(|before| before.last_offset >= *base_offset) {
                // Compaction has merged it into the one before it, and was ended before it removed it.
                self.remains.aside.push(name);
                continue;
            }
            if dense && number > 0 && self.end < *base_offset {
                let because = format!("records from offset {} to {} stood there", self.end, base_offset - 1);
                return Err(Damage::Missing { path: path_of(folder, self.end), because }.into());
            }
            let last = number + 1 == bases.len();
            let opened = Segment::open(files, folder, &name, *base_offset, now);
            let mut segment = opened.map_err(OpenError::storage(&path))?;
            let length = segment.length().map_err(OpenError::storage(&path))?;
            if let Looked::Stopped(why) = self.look(&mut segment, length, !clean).map_err(OpenError::storage(&path))? {
                let broken = Damage::Broken { path: path.clone(), at: segment.size, why };
                let Body::File(file) = &segment.body else { return Err(broken.into()) };
                let storage = || OpenError::storage(&path);
                let file = file.get().map_err(storage())?;
                let followed = !last || whole_batch(&file, segment.size, length).map_err(storage())?.is_some();
                if followed {
                    return Err(broken.into());
                }
                let bytes = length - segment.size;
                self.remains.mended.push((name, segment.size, Vec::new()));
                self.remains.notices.push(Notice::TailCut { path, bytes, unacknowledged: false });
            }
            // Who wrote it was killed, maybe before the disk had it.
            segment.unflushed |= last && !clean;
            self.end = segment.last_offset + 1;
            self.segments.push(segment);
        }
        if let Some((_, closed)) = self.segments.split_last() {
            self.sealed = seal::sum(closed);
        }
        self.note_half_done(folder, false).map_err(storage())
    }

    /// The segments that are there, in their order.
    pub(super) fn bases(folder: &Directory) -> io::Result<Vec<i64>> {
        let mut bases = Vec::new();
        for name in folder.names()? {
            bases.extend(name.to_str().and_then(base_offset_of));
        }
        bases.sort_unstable();
        Ok(bases)
    }

    /// Learns from the batches of a segment up to a length. With `whole` each is read as a whole, and its checksum must agree.
    pub(super) fn look(&mut self, segment: &mut Segment, length: u64, whole: bool) -> io::Result<Looked> {
        let body = segment.body.clone();
        if whole {
            let mut batches = body.batches(length);
            loop {
                match batches.next() {
                    Ok(None) => return Ok(Looked::Whole),
                    Ok(Some((header, batch))) if header.base_offset > segment.last_offset => {
                        self.learn(segment, &header, &batch);
                    }
                    Ok(Some(_)) => return Ok(Looked::Stopped(GOES_BACK)),
                    Err(error) if is_invalid(&error) => return Ok(Looked::Stopped(why(&error))),
                    Err(error) => return Err(error),
                }
            }
        }
        let mut walk = body.walk(0, length);
        loop {
            match walk.next() {
                Ok(None) => return Ok(Looked::Whole),
                Ok(Some(found)) if found.header.base_offset > segment.last_offset => {
                    let size = if found.header.is_control() { found.header.size } else { 0 };
                    let mut batch = body.read(found.position, size)?;
                    if size > 0 && !crc_agrees(&batch) {
                        return Ok(Looked::Stopped(DISAGREES));
                    }
                    if size == 0 {
                        batch = Bytes::copy_from_slice(&found.front);
                    }
                    self.learn(segment, &found.header, &batch);
                }
                Ok(Some(_)) => return Ok(Looked::Stopped(GOES_BACK)),
                Err(error) if is_invalid(&error) => return Ok(Looked::Stopped(NO_BATCH)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Learns from the batches behind the segment's end, so many at most, which must continue it. Returns how many there were.
    pub(super) fn look_beyond(&mut self, segment: &mut Segment, mut offset: i64, most: usize) -> io::Result<usize> {
        let body = segment.body.clone();
        let mut batches = body.batches_from(segment.size, segment.length()?);
        let mut count = 0;
        while count < most {
            match batches.next() {
                Ok(Some((header, batch))) if header.base_offset == offset => {
                    self.learn(segment, &header, &batch);
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
    fn learn(&mut self, segment: &mut Segment, header: &Header, batch: &Bytes) {
        if !header.is_control() {
            self.producers.wrote(header);
        } else if let Some(marker) = Marker::of(header, batch) {
            self.ended(header, marker);
        } else {
            // Compaction has emptied it, and kept it for its epoch.
            self.producers.reached_epoch(header);
        }
        let front = batch.first_chunk::<HEADER>().expect("a header was read");
        let position = segment.size;
        segment.note(header, front, position);
    }

    /// Leaves everything on the disk. Returns whether all that was acknowledged is there, so that the next start need not look.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(&mut self) -> io::Result<bool> {
        let LogStorage::Folder { folder, .. } = &self.storage else { return Ok(true) };
        for segment in &mut self.segments {
            segment.flush()?;
        }
        folder.flush()?;
        Ok(!std::mem::replace(&mut self.refuses, true))
    }
}

fn why(error: &io::Error) -> &'static str {
    if error.to_string() == DISAGREES { DISAGREES } else { NO_BATCH }
}

impl Segment {
    /// Bytes of its file, whatever is in them.
    ///
    /// # Errors
    ///
    /// When the file cannot be asked.
    pub(super) fn length(&self) -> io::Result<u64> {
        match &self.body {
            Body::Memory(_) => Ok(self.size),
            Body::File(file) => Ok(file.get()?.metadata()?.len()),
        }
    }
}
