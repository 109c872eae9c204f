//! Log compaction in three steps: planned under the broker's lock, run outside of it, put in place under it.

use std::io::{self, Write};
use std::ops::Range;

use super::cleaner::{CleanableSegment, Cleaner, CleanerRules, OffsetMap};
use super::open_files::OpenFiles;
use super::recovery::CLEANED;
use super::segment::{Segment, digest_sum, name_of};
use super::segment_data::SegmentData;
use super::{Log, LogStorage};
use crate::broker::directory::Directory;
use crate::broker::ends::LogEnd;
use crate::broker::kill_points;

const WRITE_SIZE: usize = 1 << 20;
/// File with the first dirty offset, in decimal. Without it all closed segments count as dirty.
pub(super) const CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// A planned compaction. At most one per log may exist.
#[derive(Debug)]
pub struct Compaction {
    dir: Option<(Directory, OpenFiles)>,
    segments: Vec<CleanableSegment>,
    groups: Vec<Range<usize>>,
    dirty_from: i64,
    rules: CleanerRules,
}

/// Result of a compaction.
#[derive(Debug)]
pub struct Compacted {
    groups: Vec<(Vec<i64>, Segment)>,
    cleaned_to: i64,
    dropped_markers: std::collections::BTreeSet<i64>,
}

/// The segments that were replaced. Dropping them frees their disk space, which may take long.
#[derive(Debug)]
#[must_use = "drop it outside of the lock"]
pub struct ReplacedSegments {
    segments: Vec<Segment>,
}

impl Log {
    /// The compaction that is due now. As in Kafka, it covers closed segments below the last stable offset that are
    /// older than `min.compaction.lag.ms`, once their dirty ratio exceeds `min.cleanable.dirty.ratio`.
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
        let cleanable_segment = |segment: &Segment| CleanableSegment {
            base_offset: segment.base_offset,
            last_offset: segment.last_offset,
            data: segment.data.clone(),
            size: segment.size,
            created: segment.created,
        };
        Some(Compaction {
            dir: self.storage.place(),
            segments: cleanable.iter().map(cleanable_segment).collect(),
            groups: groups(cleanable, self.settings.segment_bytes),
            dirty_from: self.cleaned_to,
            rules,
        })
    }

    /// Puts the compacted segments in place, one file after the other: after every step, the files on the disk are a
    /// valid log with the same content. Does nothing if some of the segments were removed in the meantime. Drop the
    /// result outside of the lock.
    pub fn finish(&mut self, compacted: Compacted) -> io::Result<ReplacedSegments> {
        let mut result = ReplacedSegments { segments: Vec::new() };
        let made_from = compacted.groups.iter().flat_map(|(bases, _)| bases);
        let here = self.segments.iter().map(|segment| &segment.base_offset).take(self.segments.len() - 1);
        let mut here = here.map(Some).chain(std::iter::repeat(None));
        if !made_from.map(Some).all(|base| here.next() == Some(base)) {
            compacted.groups.iter().try_for_each(|(_, segment)| segment.remove())?;
            return Ok(result);
        }
        for (bases, segment) in compacted.groups {
            let at = self.segment_of(segment.base_offset);
            let closed_digest = self
                .closed_digest
                .wrapping_sub(digest_sum(&self.segments[at..at + bases.len()]))
                .wrapping_add(segment.closed_digest());
            // From here on, recovery accepts the new segment instead of the old one, and removes the merged ones.
            self.write_end_through(&LogEnd { pending_digest: closed_digest, ..self.current_end() })?;
            if let (SegmentData::File(new), SegmentData::File(old)) = (&segment.data, &self.segments[at].data) {
                let place = old.detach();
                new.rename(&name_of(segment.base_offset)).inspect_err(|_| old.reattach(place))?;
                kill_points::passed();
            }
            let replaced: Vec<Segment> = self.segments.splice(at..at + bases.len(), [segment]).collect();
            self.closed_digest = closed_digest;
            for merged in &replaced[1..] {
                // Recovery can still remove a merged segment now, but not after a later compaction has removed markers
                // or tombstones of it from the new one.
                merged.remove().inspect_err(|_| self.compaction_disabled = true)?;
                kill_points::passed();
            }
            result.segments.extend(replaced);
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
        Ok(result)
    }

    /// Whether the log was ever compacted.
    pub(super) fn was_compacted(&self) -> io::Result<bool> {
        self.storage.dir().map_or(Ok(false), |dir| Ok(dir.stat(CHECKPOINT)?.is_some()))
    }

    pub(super) fn load_checkpoint(&mut self) {
        let Some(dir) = self.storage.dir() else { return };
        let known = dir.read(CHECKPOINT).ok().and_then(|text| text.parse().ok());
        // An offset past the end was written for another log.
        self.cleaned_to = known.filter(|offset| *offset <= self.end).unwrap_or(0);
    }
}

impl LogStorage {
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

/// Groups neighbours that fit into one segment.
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
    /// Reads all segments and writes the compacted ones to new files. This takes long and needs no lock.
    pub fn run(self) -> io::Result<Compacted> {
        let keys = OffsetMap::build(&self.segments, self.dirty_from, &self.rules)?;
        let last_offset = keys.last_offset;
        let now = self.rules.now;
        let mut cleaner = Cleaner::new(self.rules, keys);
        let mut groups = Vec::new();
        for group in self.groups {
            let segments = &self.segments[group];
            if segments[0].base_offset > last_offset {
                break;
            }
            let made_from = segments.iter().map(|segment| segment.base_offset).collect();
            groups.push((made_from, merge(self.dir.as_ref(), segments, &mut cleaner, now)?));
        }
        Ok(Compacted { groups, cleaned_to: last_offset + 1, dropped_markers: cleaner.dropped_markers })
    }
}

/// Compacts several segments into one.
fn merge(
    dir: Option<&(Directory, OpenFiles)>,
    segments: &[CleanableSegment],
    cleaner: &mut Cleaner,
    now: i64,
) -> io::Result<Segment> {
    let base_offset = segments[0].base_offset;
    let mut new = match dir {
        None => Segment::in_memory(base_offset, now),
        Some((dir, files)) => {
            let name = format!("{base_offset:020}{CLEANED}");
            let segment = Segment::open(files, dir, &name, base_offset, now)?;
            segment.data.cut(0)?;
            segment
        }
    };
    new.created = segments.iter().map(|segment| segment.created).max().unwrap_or(now);
    let mut unwritten = Vec::with_capacity(WRITE_SIZE);
    for segment in segments {
        let mut batches = segment.data.read_batches(segment.size);
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
        // It replaces data that may have been on the disk for long.
        file.sync_all()?;
    }
    Ok(new)
}
