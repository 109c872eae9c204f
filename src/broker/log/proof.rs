//! Owns holding a log's files against what is written down of its end: they are what was acknowledged, or the log is not opened.

use std::io;
use std::path::PathBuf;

use super::Log;
use super::body::Body;
use super::files::OpenFiles;
use super::missing_markers::Decided;
use super::records::Marker;
use super::recovery::Looked;
use super::seal;
use super::segment::{Segment, name_of, path_of};
use super::torn::whole_batch;
use crate::broker::damage::{Damage, OpenError};
use crate::broker::directory::Directory;
use crate::broker::ends::{self, LogEnd};
use crate::broker::notice::Notice;

/// What is written down of a log.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Where it ended.
    pub end: LogEnd,
    /// The broker was stopped then: nothing can have been on its way, and the disk has had it all.
    pub clean: bool,
    /// The machine was started since: the disk may have lost the last of what is written down.
    pub rebooted: bool,
    /// Ends of transactions in it, the last one last.
    pub decided: Vec<Decided>,
}

impl Proof {
    /// How many batches may stand behind the end that is written down: the one that was being written when the process was killed.
    fn most_beyond(&self) -> usize {
        match (self.clean, self.rebooted) {
            (true, _) => 0,
            (false, true) => usize::MAX,
            (false, false) => 1,
        }
    }
}

impl Log {
    pub(super) fn load_proven(
        &mut self,
        files: &OpenFiles,
        folder: &Directory,
        proof: &Proof,
        now: i64,
    ) -> Result<(), OpenError> {
        let end = proof.end;
        let missing =
            |path: PathBuf| Damage::Missing { path, because: format!("the file `{}` knows of it", ends::NAME) };
        let bases = match Self::bases(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(folder.path()).into()),
            bases => bases.map_err(OpenError::storage(&folder.path()))?,
        };
        let (below, rest): (Vec<i64>, Vec<i64>) = bases.into_iter().partition(|base| *base < end.first);
        let beyond: Vec<i64> = rest.iter().copied().filter(|base| *base > end.active).collect();
        let mut closed: Vec<i64> = rest.iter().copied().filter(|base| *base < end.active).collect();
        let first = closed.first().copied().unwrap_or(end.active);
        if first != end.first {
            return Err(missing(path_of(folder, end.first)).into());
        }
        if !rest.contains(&end.active) {
            return Err(missing(path_of(folder, end.active)).into());
        }
        self.load_closed(files, folder, &closed, proof, now)?;
        let sum = seal::sum(&self.segments);
        if sum != end.sealed && sum != end.intended {
            let Some(merged) = self.merged(&end) else { return Err(self.segments_altered(folder, &end)) };
            // Compaction has put one in the place of several, and was ended before it had removed them all.
            for base in closed.drain(merged) {
                self.remains.removed.push(name_of(base));
            }
            self.forget_everything();
            self.load_closed(files, folder, &closed, proof, now)?;
        }
        self.sealed = seal::sum(&self.segments);
        self.load_active(files, folder, proof, now)?;
        let mut beyond_active = beyond.into_iter();
        let mut left = self.load_tail(proof.most_beyond(), proof)?;
        for base in &mut beyond_active {
            let path = path_of(folder, base);
            if base != self.end || proof.clean {
                let why = format!("the file `{}` does not know of it", ends::NAME);
                return Err(Damage::Altered { path, why }.into());
            }
            self.sealed = self.sealed.wrapping_add(self.active().seal());
            let segment = Segment::open(files, folder, &name_of(base), base, now).map_err(OpenError::storage(&path))?;
            self.segments.push(segment);
            left = self.load_tail(left, proof)?;
        }
        self.remains.removed.extend(below.into_iter().map(name_of));
        self.note_half_done(folder, true).map_err(OpenError::storage(&folder.path()))
    }

    fn forget_everything(&mut self) {
        self.segments.clear();
        self.producers = super::Producers::default();
        self.aborted = super::AbortedTransactions::default();
    }

    fn load_closed(
        &mut self,
        files: &OpenFiles,
        folder: &Directory,
        bases: &[i64],
        proof: &Proof,
        now: i64,
    ) -> Result<(), OpenError> {
        for base in bases {
            let path = path_of(folder, *base);
            let mut segment =
                Segment::open(files, folder, &name_of(*base), *base, now).map_err(OpenError::storage(&path))?;
            let length = segment.length().map_err(OpenError::storage(&path))?;
            let looked = self.look(&mut segment, length, !proof.clean).map_err(OpenError::storage(&path))?;
            if let Looked::Stopped(why) = looked {
                return Err(Damage::Broken { path, at: segment.size, why }.into());
            }
            segment.unflushed = !proof.clean;
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Which segments were merged into the one before them, if all others add up to what is written down.
    fn merged(&self, end: &LogEnd) -> Option<std::ops::Range<usize>> {
        let seals: Vec<u64> = self.segments.iter().map(Segment::seal).collect();
        let all = seals.iter().fold(0_u64, |sum, seal| sum.wrapping_add(*seal));
        // The first one is never merged into another.
        (1..seals.len()).find_map(|from| {
            let mut left = all;
            (from..seals.len()).find_map(|last| {
                left = left.wrapping_sub(seals[last]);
                (left == end.sealed || left == end.intended).then_some(from..last + 1)
            })
        })
    }

    /// The closed segments are not those that were there: names the one that is gone, if that shows.
    fn segments_altered(&self, folder: &Directory, end: &LogEnd) -> OpenError {
        let nexts = self.segments.iter().skip(1).map(|segment| segment.base_offset).chain([end.active]);
        for (segment, next) in self.segments.iter().zip(nexts) {
            let follows = segment.last_offset + 1;
            if !self.settings.compact && follows < next {
                let because = format!("records from offset {follows} to {} stood there", next - 1);
                return Damage::Missing { path: path_of(folder, follows), because }.into();
            }
        }
        let names: Vec<String> = self.segments.iter().map(|segment| name_of(segment.base_offset)).collect();
        let why = format!("its closed segments ({}) are not those that were closed here", names.join(", "));
        Damage::Altered { path: folder.path(), why }.into()
    }

    /// The segment that was appended to, up to the end that is written down.
    fn load_active(&mut self, files: &OpenFiles, folder: &Directory, proof: &Proof, now: i64) -> Result<(), OpenError> {
        let end = proof.end;
        let path = path_of(folder, end.active);
        let mut segment =
            Segment::open(files, folder, &name_of(end.active), end.active, now).map_err(OpenError::storage(&path))?;
        let length = segment.length().map_err(OpenError::storage(&path))?;
        let looked = self.look(&mut segment, length.min(end.size), !proof.clean).map_err(OpenError::storage(&path))?;
        match looked {
            Looked::Whole if length >= end.size => {}
            // The last batch ends within what is left, and so do all before it.
            Looked::Whole | Looked::Stopped(_) if length < end.size => {
                let short = Damage::Short { path: path.clone(), acknowledged: end.size, found: length };
                let markers = self.missing_markers(&segment, proof).ok_or(short)?;
                let count = markers.len();
                let cut = segment.size;
                let mut bytes = Vec::new();
                for (header, marker) in markers {
                    let position = segment.size;
                    let front = marker.first_chunk().copied().unwrap_or([0; super::header::HEADER]);
                    if let Some(told) = Marker::of(&header, &marker) {
                        self.ended(&header, told);
                    }
                    segment.note(&header, &front, position);
                    bytes.extend(marker);
                }
                self.remains.mended.push((name_of(end.active), cut, bytes));
                self.remains.notices.push(Notice::MarkersRestored { path: path.clone(), count });
            }
            Looked::Whole => {}
            Looked::Stopped(why) => return Err(Damage::Broken { path, at: segment.size, why }.into()),
        }
        if segment.digest != end.digest || segment.last_offset + 1 != end.end {
            let why = "its batches are not those that were written there".to_owned();
            return Err(Damage::Altered { path, why }.into());
        }
        // Who wrote it was killed, maybe before the disk had it.
        segment.unflushed = !proof.clean;
        self.end = end.end;
        self.segments.push(segment);
        Ok(())
    }

    /// What stands behind the end that is written down: whole batches stay, so many at most, and what is torn goes.
    fn load_tail(&mut self, most: usize, proof: &Proof) -> Result<usize, OpenError> {
        let Body::File(file) = self.active().body.clone() else { return Ok(most) };
        let mut segment = self.segments.pop().expect("the active one");
        let path = file.path();
        let storage = OpenError::storage(&path);
        let (known, expected) = (segment.size, self.end);
        let looked = self.look_beyond(&mut segment, expected, most).map_err(storage)?;
        let length = segment.length().map_err(OpenError::storage(&path))?;
        if length > segment.size {
            let long = Damage::Long { path: path.clone(), acknowledged: known };
            if proof.clean {
                return Err(long.into());
            }
            let whole = file.get().and_then(|file| whole_batch(&file, segment.size, length));
            let whole = whole.map_err(OpenError::storage(&path))?;
            if whole.is_some() {
                return Err(long.into());
            }
            self.remains.mended.push((name_of(segment.base_offset), segment.size, Vec::new()));
            let bytes = length - segment.size;
            self.remains.notices.push(Notice::TailCut { path, bytes, unacknowledged: !proof.rebooted });
        }
        self.end = self.end.max(segment.last_offset + 1);
        self.beyond += looked;
        self.segments.push(segment);
        Ok(most.saturating_sub(looked))
    }
}

/// What is left to be said of an error that a log's reading ends with.
pub(super) fn is_invalid(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
