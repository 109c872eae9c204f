//! Owns compaction of a log in three steps: planned under the broker's lock, done outside of it, put in place under it.

use std::io::{self, Write};
use std::ops::Range;

use super::cleaner::{CleanableSegment, Cleaner, CleanerRules, OffsetMap};
use super::digest;
use super::open_files::OpenFiles;
use super::recovery::CLEANED;
use super::segment::{Segment, name_of};
use super::segment_data::SegmentData;
use super::{Log, LogStorage};
use crate::broker::directory::Directory;
use crate::broker::ends::LogEnd;
use crate::broker::kill_points;

/// Written at once.
const WRITE_SIZE: usize = 1 << 20;
/// Up to where the keys are known to be unique, in decimal; without it everything is scan at again.
pub(super) const CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// A compaction that is due. It holds all that it needs; one at a time may exist for a log.
#[derive(Debug)]
pub struct Compaction {
    dir: Option<(Directory, OpenFiles)>,
    sources: Vec<CleanableSegment>,
    groups: Vec<Range<usize>>,
    dirty_from: i64,
    rules: CleanerRules,
}

/// What it came to.
#[derive(Debug)]
pub struct Compacted {
    groups: Vec<(Vec<i64>, Segment)>,
    cleaned_to: i64,
    dropped_markers: std::collections::BTreeSet<i64>,
}

/// The segments from which others were made. Their bytes go with this, which takes a file system its time.
#[derive(Debug)]
#[must_use = "it is dropped outside of the lock"]
pub struct ReplacedSegments {
    segments: Vec<Segment>,
}

impl Log {
    /// Whether and what is to be compacted now. Segments are Kafka's unit: closed ones, below the last stable offset and
    /// older than `min.compaction.lag.ms`, once their dirty part exceeds `min.cleanable.dirty.ratio`.
    #[must_use]
    pub fn compaction(&self, now: i64) -> Option<Compaction> {
        if !self.settings.compact || self.compaction_disabled {
            return None;
        }
        let stable = self.last_stable_offset();
        let lag = self.settings.min_compaction_lag_ms;
        let pairs = self.segments.iter().zip(&self.segments[1..]);
        let cleanable = pairs
            .take_while(|(segment, next)| {
                next.base_offset <= stable && (lag <= 0 || segment.newest_timestamp() <= now - lag)
            })
            .count();
        let cleanable = &self.segments[..cleanable];
        let total: u64 = cleanable.iter().map(|segment| segment.size).sum();
        let dirty = cleanable.iter().filter(|segment| segment.last_offset >= self.cleaned_to);
        let dirty: u64 = dirty.map(|segment| segment.size).sum();
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
        let ratio = dirty as f64 / total.max(1) as f64;
        if dirty == 0 || ratio <= self.settings.min_cleanable_dirty_ratio {
            return None;
        }
        let mut rules = CleanerRules {
            now,
            horizon: now.saturating_add(self.settings.delete_retention_ms),
            last_written: self.producers.last_written(),
            aborted: std::collections::BTreeMap::new(),
        };
        rules.take_aborted(self.aborted.all());
        let source = |segment: &Segment| CleanableSegment {
            base_offset: segment.base_offset,
            last_offset: segment.last_offset,
            data: segment.data.clone(),
            size: segment.size,
            created: segment.created,
        };
        Some(Compaction {
            dir: self.storage.place(),
            sources: cleanable.iter().map(source).collect(),
            groups: groups(cleanable, self.settings.segment_bytes),
            dirty_from: self.cleaned_to,
            rules,
        })
    }

    /// Puts compacted segments in the place of what they were made from, one file after the other: at each moment the files on
    /// the disk make a log that says the same. Nothing happens if segments were removed meanwhile. What comes back is to be
    /// dropped outside of the lock.
    ///
    /// # Errors
    ///
    /// When a file cannot be renamed or removed.
    pub fn finish(&mut self, compacted: Compacted) -> io::Result<ReplacedSegments> {
        let mut gone = ReplacedSegments { segments: Vec::new() };
        let made_from = compacted.groups.iter().flat_map(|(bases, _)| bases);
        let here = self.segments.iter().map(|segment| &segment.base_offset).take(self.segments.len() - 1);
        let mut here = here.map(Some).chain(std::iter::repeat(None));
        if !made_from.map(Some).all(|base| here.next() == Some(base)) {
            compacted.groups.iter().try_for_each(|(_, segment)| segment.remove())?;
            return Ok(gone);
        }
        for (bases, segment) in compacted.groups {
            let at = self.segment_of(segment.base_offset);
            let closed_digest = self
                .closed_digest
                .wrapping_sub(digest::sum(&self.segments[at..at + bases.len()]))
                .wrapping_add(segment.closed_digest());
            // From here on a start takes the one for the other, and what was merged for repairs.
            self.write_end_through(&LogEnd { pending_digest: closed_digest, ..self.current_end() })?;
            if let (SegmentData::File(new), SegmentData::File(old)) = (&segment.data, &self.segments[at].data) {
                let place = old.detach();
                new.rename(&name_of(segment.base_offset)).inspect_err(|_| old.reattach(place))?;
                kill_points::passed();
            }
            let replaced: Vec<Segment> = self.segments.splice(at..at + bases.len(), [segment]).collect();
            self.closed_digest = closed_digest;
            for merged in &replaced[1..] {
                // A segment that is merged and still there is understood when the log is opened, but only until its
                // markers and tombstones are compacted away elsewhere.
                merged.remove().inspect_err(|_| self.compaction_disabled = true)?;
                kill_points::passed();
            }
            gone.segments.extend(replaced);
            self.write_end(&self.current_end())?;
        }
        self.aborted.remove_markers(&compacted.dropped_markers);
        self.cleaned_to = compacted.cleaned_to;
        if let LogStorage::Directory { dir, fsync, .. } = &self.storage {
            dir.write(CHECKPOINT, self.cleaned_to.to_string().as_bytes())?;
            if *fsync {
                dir.flush()?;
            }
        }
        Ok(gone)
    }

    /// Whether there was ever a compaction.
    pub(super) fn was_compacted(&self) -> io::Result<bool> {
        self.storage.dir().map_or(Ok(false), |dir| Ok(dir.stat(CHECKPOINT)?.is_some()))
    }

    /// Reads how far the keys are unique.
    pub(super) fn load_checkpoint(&mut self) {
        let Some(dir) = self.storage.dir() else { return };
        let known = dir.read(CHECKPOINT).ok().and_then(|text| text.parse().ok());
        // What does not lie in the log was written for another one.
        self.cleaned_to = known.filter(|offset| *offset <= self.end).unwrap_or(0);
    }
}

impl LogStorage {
    /// The folder, if it is one.
    pub(super) fn dir(&self) -> Option<&Directory> {
        match self {
            Self::Memory => None,
            Self::Directory { dir, .. } => Some(dir),
        }
    }

    fn place(&self) -> Option<(Directory, OpenFiles)> {
        match self {
            Self::Memory => None,
            Self::Directory { dir, files, .. } => Some((dir.clone(), files.clone())),
        }
    }
}

/// Neighbours that fit into one segment together.
fn groups(segments: &[Segment], segment_bytes: u64) -> Vec<Range<usize>> {
    let most = segment_bytes.min(i32::MAX.cast_unsigned().into());
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut size = 0;
    for (number, segment) in segments.iter().enumerate() {
        size += segment.size;
        match groups.last_mut() {
            Some(group)
                if size <= most && segment.last_offset - segments[group.start].base_offset <= i32::MAX.into() =>
            {
                group.end = number + 1;
            }
            _ => {
                groups.push(number..number + 1);
                size = segment.size;
            }
        }
    }
    groups
}

impl Compaction {
    /// Reads everything and writes what stays beside it. This takes its time and needs no lock.
    ///
    /// # Errors
    ///
    /// When something cannot be read or written. The log is as it was.
    pub fn run(self) -> io::Result<Compacted> {
        let keys = OffsetMap::build(&self.sources, self.dirty_from, &self.rules)?;
        let last_offset = keys.last_offset;
        let now = self.rules.now;
        let mut cleaner = Cleaner::new(self.rules, keys);
        let mut groups = Vec::new();
        for group in self.groups {
            let sources = &self.sources[group];
            if sources[0].base_offset > last_offset {
                break;
            }
            let made_from = sources.iter().map(|source| source.base_offset).collect();
            groups.push((made_from, merge(self.dir.as_ref(), sources, &mut cleaner, now)?));
        }
        Ok(Compacted { groups, cleaned_to: last_offset + 1, dropped_markers: cleaner.dropped_markers })
    }
}

/// One segment from several, without what goes.
fn merge(
    dir: Option<&(Directory, OpenFiles)>,
    sources: &[CleanableSegment],
    cleaner: &mut Cleaner,
    now: i64,
) -> io::Result<Segment> {
    let base_offset = sources[0].base_offset;
    let mut new = match dir {
        None => Segment::in_memory(base_offset, now),
        Some((dir, files)) => {
            let name = format!("{base_offset:020}{CLEANED}");
            let segment = Segment::open(files, dir, &name, base_offset, now)?;
            segment.data.cut(0)?;
            segment
        }
    };
    new.created = sources.iter().map(|source| source.created).max().unwrap_or(now);
    let mut unwritten = Vec::with_capacity(WRITE_SIZE);
    for source in sources {
        let mut batches = source.data.read_batches(source.size);
        while let Some((header, batch)) = batches.next()? {
            let Some((header, batch)) = cleaner.clean(&header, &batch)? else { continue };
            let front = batch.first_chunk().ok_or_else(|| io::Error::other("a batch has a header"))?;
            match &mut new.data {
                SegmentData::Memory(pieces) => {
                    pieces.push(batch.clone());
                    let position = pieces.len() as u64 - 1;
                    new.add(&header, front, position);
                }
                SegmentData::File(file) => {
                    let position = new.size;
                    unwritten.extend_from_slice(&batch);
                    if unwritten.len() >= WRITE_SIZE {
                        (&*file.get()?).write_all(&unwritten)?;
                        unwritten.clear();
                    }
                    new.add(&header, front, position);
                }
            }
        }
    }
    if let SegmentData::File(file) = &new.data {
        let file = file.get()?;
        (&*file).write_all(&unwritten)?;
        // It replaces what the disk has had for long.
        file.sync_all()?;
    }
    Ok(new)
}
