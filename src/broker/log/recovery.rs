//! Owns opening and closing: what a log must know is read from its segments, and a torn tail is cut.

use std::io;

use super::aborted::AbortedTransactions;
use super::body::Body;
use super::files::OpenFiles;
use super::header::crc_agrees;
use super::producers::Producers;
use super::records::Marker;
use super::segment::{Segment, base_offset_of, name_of};
use super::{Log, LogSettings, LogStorage};
use crate::broker::directory::Directory;
use crate::broker::notice::Notice;

/// Says that the last segment ends as it was written; Kafka's name for it.
pub(super) const CLEAN: &str = ".kafka_cleanshutdown";
/// How the name of a segment ends that compaction has not finished.
pub const CLEANED: &str = ".log.cleaned";

impl Log {
    /// Opens the log, and reads what it must know from its segments: a torn tail is cut, and told in `notices`.
    /// `log_start` is the start that the journal remembers (records below it are deleted, whatever the segments hold).
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written, or a segment that is not the last one is damaged: whatever is wrong there,
    /// records that were acknowledged follow it.
    pub fn open(
        storage: &LogStorage,
        settings: LogSettings,
        log_start: i64,
        now: i64,
        notices: &mut Vec<Notice>,
    ) -> io::Result<Self> {
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
        };
        if let LogStorage::Folder { folder, files, .. } = storage {
            log.load(files, folder, now, notices)?;
        }
        if log.end < log_start {
            // What was acknowledged beyond is gone, and these offsets must not be given to other records.
            for segment in log.segments.drain(..) {
                segment.remove()?;
            }
            (log.producers, log.aborted) = (Producers::default(), AbortedTransactions::default());
            log.end = log_start;
        }
        if log.segments.is_empty() {
            log.segments.push(storage.segment(log_start, now)?);
        }
        log.load_checkpoint();
        log.start = log_start.max(log.segments[0].base_offset);
        log.producers.expire(now);
        log.aborted.forget_before(log.start);
        Ok(log)
    }

    fn load(&mut self, files: &OpenFiles, folder: &Directory, now: i64, notices: &mut Vec<Notice>) -> io::Result<()> {
        folder.make()?;
        let clean = match folder.remove(CLEAN) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let bases = Self::bases(folder)?;
        for (number, base_offset) in bases.iter().enumerate() {
            let name = name_of(*base_offset);
            if self.segments.last().is_some_and(|before| before.last_offset >= *base_offset) {
                // Compaction has merged it into the one before it, and was ended before it removed it.
                folder.remove(&name)?;
                continue;
            }
            let last = number + 1 == bases.len();
            let mut segment = Segment::open(files, folder, &name, *base_offset, now)?;
            if let Some(cut) = self.scan(&mut segment, last && !clean)? {
                if !last {
                    let what = format!("{} is damaged at byte {}", folder.path_of(&name).display(), segment.size);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                segment.body.cut(segment.size)?;
                notices.push(Notice::TailCut { path: folder.path_of(&name), bytes: cut });
            }
            // Who wrote it was killed, maybe before the disk had it.
            segment.unflushed |= last && !clean;
            self.end = segment.last_offset + 1;
            self.segments.push(segment);
        }
        Ok(())
    }

    /// The segments that are there, in their order. What compaction left half-done is removed.
    fn bases(folder: &Directory) -> io::Result<Vec<i64>> {
        let mut bases = Vec::new();
        for name in folder.names()? {
            let Some(name) = name.to_str() else { continue };
            if let Some(base_offset) = base_offset_of(name) {
                bases.push(base_offset);
            } else if name.ends_with(CLEANED) {
                folder.remove(name)?;
            }
        }
        bases.sort_unstable();
        Ok(bases)
    }

    /// Learns from all batches of a segment, and returns how many bytes stand behind the last good one. With `check` its CRC makes it good.
    fn scan(&mut self, segment: &mut Segment, check: bool) -> io::Result<Option<u64>> {
        let Body::File(file) = segment.body.clone() else { return Ok(None) };
        let length = file.get()?.metadata()?.len();
        let body = segment.body.clone();
        let mut walk = body.walk(0, length);
        loop {
            let found = match walk.next() {
                Ok(Some(found)) if found.header.base_offset > segment.last_offset => found,
                Ok(None) => return Ok(None),
                Ok(Some(_)) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
                Err(error) => return Err(error),
            };
            let header = found.header;
            let mut bytes = bytes::Bytes::new();
            if check || header.is_control() {
                bytes = body.read(found.position, header.size)?;
            }
            if check && !crc_agrees(&bytes) {
                break;
            }
            if !header.is_control() {
                self.producers.wrote(&header);
            } else if let Some(marker) = Marker::of(&header, &bytes) {
                self.ended(&header, marker);
            } else {
                // Compaction has emptied it, and kept it for its epoch.
                self.producers.reached_epoch(&header);
            }
            segment.note(&header, found.position);
        }
        segment.unflushed = true;
        Ok(Some(length - segment.size))
    }

    /// Leaves everything on the disk, and a mark that the next open need not check it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(&mut self) -> io::Result<()> {
        let LogStorage::Folder { folder, .. } = &self.storage else { return Ok(()) };
        for segment in &mut self.segments {
            segment.flush()?;
        }
        if !self.refuses {
            folder.write(CLEAN, b"")?;
            folder.flush()?;
        }
        self.refuses = true;
        Ok(())
    }
}
