//! Owns holding a log's files against what is written down of its end: they are what was acknowledged, or the log is not opened.

use std::io;
use std::path::PathBuf;

use super::Log;
use super::digest;
use super::missing_markers::DecidedMarker;
use super::open_files::OpenFiles;
use super::records::Marker;
use super::recovery::Scan;
use super::segment::{Segment, name_of, path_of};
use super::segment_data::SegmentData;
use super::torn_write::find_whole_batch;
use crate::broker::corruption::{Corruption, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::{self, LogEnd};
use crate::broker::events::BrokerEvent;

/// What is written down of a log.
#[derive(Debug, Clone)]
pub struct RecordedEnd {
    /// Where it ended.
    pub end: LogEnd,
    /// The broker was stopped then: nothing can have been on its way, and the disk has had it all.
    pub clean: bool,
    /// The machine was started since: the disk may have lost the last of what is written down.
    pub rebooted: bool,
    /// Ends of transactions in it, the last one last.
    pub decided: Vec<DecidedMarker>,
}

impl RecordedEnd {
    /// How many batches may stand behind the end that is written down: the one that was being written when the process was killed.
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
            |path: PathBuf| Corruption::Missing { path, because: format!("the file `{}` knows of it", ends::NAME) };
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
        let sum = digest::sum(&self.segments);
        if sum != end.closed_digest && sum != end.pending_digest {
            let Some(merged) = self.merged(&end) else { return Err(self.segments_mismatch(dir, &end)) };
            // Compaction has put one in the place of several, and was ended before it had removed them all.
            for base in closed.drain(merged) {
                self.repairs.removed.push(name_of(base));
            }
            self.clear();
            self.load_closed(files, dir, &closed, recorded, now)?;
        }
        self.closed_digest = digest::sum(&self.segments);
        self.load_active(files, dir, recorded, now)?;
        let mut beyond_active = beyond.into_iter();
        let mut left = self.load_tail(recorded.max_unrecorded(), recorded)?;
        for base in &mut beyond_active {
            let path = path_of(dir, base);
            if base != self.end || recorded.clean {
                let why = format!("the file `{}` does not know of it", ends::NAME);
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

    /// Which segments were merged into the one before them, if all others add up to what is written down.
    fn merged(&self, end: &LogEnd) -> Option<std::ops::Range<usize>> {
        let digests: Vec<u64> = self.segments.iter().map(Segment::closed_digest).collect();
        let all = digests.iter().fold(0_u64, |sum, seal| sum.wrapping_add(*seal));
        // The first one is never merged into another.
        (1..digests.len()).find_map(|from| {
            let mut left = all;
            (from..digests.len()).find_map(|last| {
                left = left.wrapping_sub(digests[last]);
                (left == end.closed_digest || left == end.pending_digest).then_some(from..last + 1)
            })
        })
    }

    /// The closed segments are not those that were there: names the one that is gone, if that shows.
    fn segments_mismatch(&self, dir: &Directory, end: &LogEnd) -> OpenError {
        let nexts = self.segments.iter().skip(1).map(|segment| segment.base_offset).chain([end.active]);
        for (segment, next) in self.segments.iter().zip(nexts) {
            let follows = segment.last_offset + 1;
            if !self.settings.compact && follows < next {
                let because = format!("records from offset {follows} to {} stood there", next - 1);
                return Corruption::Missing { path: path_of(dir, follows), because }.into();
            }
        }
        let names: Vec<String> = self.segments.iter().map(|segment| name_of(segment.base_offset)).collect();
        let why = format!("its closed segments ({}) are not those that were closed here", names.join(", "));
        Corruption::Mismatch { path: dir.path(), why }.into()
    }

    /// The segment that was appended to, up to the end that is written down.
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
            // The last batch ends within what is left, and so do all before it.
            Scan::Complete | Scan::Stopped(_) if length < end.size => {
                let short = Corruption::Truncated { path: path.clone(), acknowledged: end.size, found: length };
                let markers = self.missing_markers(&segment, recorded).ok_or(short)?;
                let count = markers.len();
                let cut = segment.size;
                let mut bytes = Vec::new();
                for (header, marker) in markers {
                    let position = segment.size;
                    let front = marker.first_chunk().copied().unwrap_or([0; super::header::HEADER]);
                    if let Some(told) = Marker::parse(&header, &marker) {
                        self.apply_marker(&header, told);
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
            let why = "its batches are not those that were written there".to_owned();
            return Err(Corruption::Mismatch { path, why }.into());
        }
        // Who wrote it was killed, maybe before the disk had it.
        segment.unflushed = !recorded.clean;
        self.end = end.end;
        self.segments.push(segment);
        Ok(())
    }

    /// What stands behind the end that is written down: whole batches stay, so many at most, and what is torn goes.
    fn load_tail(&mut self, most: usize, recorded: &RecordedEnd) -> Result<usize, OpenError> {
        let SegmentData::File(file) = self.active().data.clone() else { return Ok(most) };
        let mut segment = self.segments.pop().expect("the active one");
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

/// What is left to be said of an error that a log's reading ends with.
pub(super) fn is_invalid(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
