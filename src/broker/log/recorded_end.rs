//! Recovery of a log whose end is recorded in the file `ends`: its files hold exactly what was acknowledged, or the log
//! is not opened.

use std::io;
use std::path::PathBuf;

use super::Log;
use super::header::{Header, marker_header};
use super::open_files::OpenFiles;
use super::records::Marker;
use super::recovery::Scan;
use super::segment::{Segment, digest_sum, extend_digest, name_of, path_of};
use super::segment_data::{SegmentData, find_whole_batch};
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::{self, LogEnd};
use crate::broker::events::BrokerEvent;

/// The end of a log as it is recorded in the file `ends`, and the circumstances of the last stop.
#[derive(Debug, Clone)]
pub struct RecordedEnd {
    pub end: LogEnd,
    /// Clean shutdown: no write was in progress, and everything was flushed.
    pub clean: bool,
    /// The machine was rebooted since: the disk may have lost the last recorded ends.
    pub rebooted: bool,
    /// Decided transaction markers of this partition, in order.
    pub decided: Vec<DecidedMarker>,
}

impl RecordedEnd {
    /// How many batches may follow the recorded end: the one that was being written when the process was killed.
    fn max_unrecorded(&self) -> usize {
        match (self.clean, self.rebooted) {
            (true, _) => 0,
            (false, true) => usize::MAX,
            (false, false) => 1,
        }
    }
}

impl Log {
    pub(super) fn load_recorded(
        &mut self,
        files: &OpenFiles,
        dir: &Directory,
        recorded: &RecordedEnd,
        now: i64,
    ) -> Result<(), OpenError> {
        let end = recorded.end;
        let missing =
            |path: PathBuf| Corruption::Missing { path, because: format!("the file `{}` lists it", ends::NAME) };
        let bases = match Self::base_offsets(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(dir.path()).into()),
            bases => bases.map_err(OpenError::storage(&dir.path()))?,
        };
        let (below, rest): (Vec<i64>, Vec<i64>) = bases.into_iter().partition(|base| *base < end.first);
        let beyond: Vec<i64> = rest.iter().copied().filter(|base| *base > end.active).collect();
        let mut closed: Vec<i64> = rest.iter().copied().filter(|base| *base < end.active).collect();
        let first = closed.first().copied().unwrap_or(end.active);
        if first != end.first {
            return Err(missing(path_of(dir, end.first)).into());
        }
        if !rest.contains(&end.active) {
            return Err(missing(path_of(dir, end.active)).into());
        }
        self.load_closed(files, dir, &closed, recorded, now)?;
        let sum = digest_sum(&self.segments);
        if sum != end.closed_digest && sum != end.pending_digest {
            let Some(merged) = self.merged(&end) else { return Err(self.segments_mismatch(dir, &end)) };
            // Compaction put one segment in the place of several, and was killed before it removed them all.
            for base in closed.drain(merged) {
                self.repairs.removed.push(name_of(base));
            }
            self.clear();
            self.load_closed(files, dir, &closed, recorded, now)?;
        }
        self.closed_digest = digest_sum(&self.segments);
        self.load_active(files, dir, recorded, now)?;
        let mut beyond_active = beyond.into_iter();
        let mut left = self.load_tail(recorded.max_unrecorded(), recorded)?;
        for base in &mut beyond_active {
            let path = path_of(dir, base);
            if base != self.end || recorded.clean {
                let why = format!("the file `{}` does not list it", ends::NAME);
                return Err(Corruption::Mismatch { path, why }.into());
            }
            self.closed_digest = self.closed_digest.wrapping_add(self.active().closed_digest());
            let segment = Segment::open(files, dir, &name_of(base), base, now).map_err(OpenError::storage(&path))?;
            self.segments.push(segment);
            left = self.load_tail(left, recorded)?;
        }
        self.repairs.removed.extend(below.into_iter().map(name_of));
        self.find_unfinished_compaction(dir, true).map_err(OpenError::storage(&dir.path()))
    }

    fn clear(&mut self) {
        self.segments.clear();
        self.producers = super::ProducerStates::default();
        self.aborted = super::AbortedTransactions::default();
    }

    fn load_closed(
        &mut self,
        files: &OpenFiles,
        dir: &Directory,
        bases: &[i64],
        recorded: &RecordedEnd,
        now: i64,
    ) -> Result<(), OpenError> {
        for base in bases {
            let path = path_of(dir, *base);
            let mut segment =
                Segment::open(files, dir, &name_of(*base), *base, now).map_err(OpenError::storage(&path))?;
            let length = segment.length().map_err(OpenError::storage(&path))?;
            let scan = self.scan(&mut segment, length, !recorded.clean).map_err(OpenError::storage(&path))?;
            if let Scan::Stopped(why) = scan {
                return Err(Corruption::Corrupt { path, at: segment.size, why }.into());
            }
            segment.unflushed = !recorded.clean;
            self.segments.push(segment);
        }
        Ok(())
    }

    /// The segments that were merged into the one before them, if the digest of all others is the recorded one.
    fn merged(&self, end: &LogEnd) -> Option<std::ops::Range<usize>> {
        let digests: Vec<u64> = self.segments.iter().map(Segment::closed_digest).collect();
        let all = digests.iter().fold(0_u64, |sum, digest| sum.wrapping_add(*digest));
        // The first segment is never merged into another.
        (1..digests.len()).find_map(|from| {
            let mut left = all;
            (from..digests.len()).find_map(|last| {
                left = left.wrapping_sub(digests[last]);
                (left == end.closed_digest || left == end.pending_digest).then_some(from..last + 1)
            })
        })
    }

    /// Error for closed segments that differ from the recorded ones. It names the missing segment, if that can be
    /// determined.
    fn segments_mismatch(&self, dir: &Directory, end: &LogEnd) -> OpenError {
        let nexts = self.segments.iter().skip(1).map(|segment| segment.base_offset).chain([end.active]);
        for (segment, next) in self.segments.iter().zip(nexts) {
            let follows = segment.last_offset + 1;
            if !self.settings.compact && follows < next {
                let because = format!("it held the records from offset {follows} to {}", next - 1);
                return Corruption::Missing { path: path_of(dir, follows), because }.into();
            }
        }
        let names: Vec<String> = self.segments.iter().map(|segment| name_of(segment.base_offset)).collect();
        let why = format!("its closed segments ({}) are not the ones that were recorded", names.join(", "));
        Corruption::Mismatch { path: dir.path(), why }.into()
    }

    /// Loads the active segment up to its recorded end.
    fn load_active(
        &mut self,
        files: &OpenFiles,
        dir: &Directory,
        recorded: &RecordedEnd,
        now: i64,
    ) -> Result<(), OpenError> {
        let end = recorded.end;
        let path = path_of(dir, end.active);
        let mut segment =
            Segment::open(files, dir, &name_of(end.active), end.active, now).map_err(OpenError::storage(&path))?;
        let length = segment.length().map_err(OpenError::storage(&path))?;
        let scan = self.scan(&mut segment, length.min(end.size), !recorded.clean).map_err(OpenError::storage(&path))?;
        match scan {
            Scan::Complete if length >= end.size => {}
            // The file is shorter than its recorded end, and may end inside a batch. Only missing markers can be restored.
            Scan::Complete | Scan::Stopped(_) if length < end.size => {
                let short = Corruption::Truncated { path: path.clone(), acknowledged: end.size, found: length };
                let markers = self.missing_markers(&segment, recorded).ok_or(short)?;
                let count = markers.len();
                let cut = segment.size;
                let mut bytes = Vec::new();
                for (header, marker) in markers {
                    let position = segment.size;
                    let front = marker.first_chunk().copied().unwrap_or([0; super::header::HEADER]);
                    if let Some(parsed) = Marker::parse(&header, &marker) {
                        self.apply_marker(&header, parsed);
                    }
                    segment.add(&header, &front, position);
                    bytes.extend(marker);
                }
                self.repairs.truncated.push((name_of(end.active), cut, bytes));
                self.repairs.events.push(BrokerEvent::MarkersRestored { path: path.clone(), count });
            }
            Scan::Complete => {}
            Scan::Stopped(why) => return Err(Corruption::Corrupt { path, at: segment.size, why }.into()),
        }
        if segment.digest != end.digest || segment.last_offset + 1 != end.end {
            let why = "its batches are not the ones that were written".to_owned();
            return Err(Corruption::Mismatch { path, why }.into());
        }
        // After a kill, the disk may not have it yet.
        segment.unflushed = !recorded.clean;
        self.end = end.end;
        self.segments.push(segment);
        Ok(())
    }

    /// Loads the batches past the recorded end: `most` whole batches stay, and a torn write is cut off.
    fn load_tail(&mut self, most: usize, recorded: &RecordedEnd) -> Result<usize, OpenError> {
        let SegmentData::File(file) = self.active().data.clone() else { return Ok(most) };
        let mut segment = self.segments.pop().expect("the active segment");
        let path = file.path();
        let storage = OpenError::storage(&path);
        let (known, expected) = (segment.size, self.end);
        let scan = self.scan_tail(&mut segment, expected, most).map_err(storage)?;
        let length = segment.length().map_err(OpenError::storage(&path))?;
        if length > segment.size {
            let long = Corruption::TooLong { path: path.clone(), acknowledged: known };
            if recorded.clean {
                return Err(long.into());
            }
            let whole = file.get().and_then(|file| find_whole_batch(&file, segment.size, length));
            let whole = whole.map_err(OpenError::storage(&path))?;
            if whole.is_some() {
                return Err(long.into());
            }
            self.repairs.truncated.push((name_of(segment.base_offset), segment.size, Vec::new()));
            let bytes = length - segment.size;
            self.repairs.events.push(BrokerEvent::TailTruncated { path, bytes, unacknowledged: !recorded.rebooted });
        }
        self.end = self.end.max(segment.last_offset + 1);
        self.past_end += scan;
        self.segments.push(segment);
        Ok(most.saturating_sub(scan))
    }
}

/// Whether a read failed because of the content, not because of the disk.
pub(super) fn is_invalid(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Markers that are restored at most.
const MAX_MARKERS: usize = 8;

/// Decided end of a transaction in one partition, from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedMarker {
    pub producer_id: i64,
    pub epoch: i16,
    /// Commit, otherwise abort.
    pub commit: bool,
    pub coordinator_epoch: i32,
    /// When it was decided.
    pub at: i64,
}

pub type MarkerBatch = (Header, Vec<u8>);

impl Log {
    /// The markers after the end of a truncated segment. `None` unless they reproduce the recorded end byte for byte.
    pub(super) fn missing_markers(&self, active: &Segment, recorded: &RecordedEnd) -> Option<Vec<MarkerBatch>> {
        let most = recorded.decided.len().min(MAX_MARKERS);
        (1..=most).find_map(|count| {
            let (mut markers, mut digest, mut size) = (Vec::new(), active.digest, active.size);
            let mut offset = active.last_offset + 1;
            for decided in &recorded.decided[recorded.decided.len() - count..] {
                let (header, bytes) = self.marker(offset, decided);
                digest = extend_digest(digest, bytes.first_chunk()?);
                size += bytes.len() as u64;
                offset += 1;
                markers.push((header, bytes));
            }
            (digest == recorded.end.digest && size == recorded.end.size && offset == recorded.end.end)
                .then_some(markers)
        })
    }

    fn marker(&self, offset: i64, decided: &DecidedMarker) -> MarkerBatch {
        let DecidedMarker { producer_id, epoch, commit, coordinator_epoch, at } = *decided;
        let mut header = marker_header(offset, producer_id, epoch, at);
        if self.settings.log_append_time {
            header.set_log_append_time(at);
        }
        let bytes = header.write(&Marker { commit, coordinator_epoch }.record());
        (Header::read(&bytes).unwrap_or(header), bytes)
    }
}
