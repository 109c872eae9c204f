//! Rules of log compaction: which records, tombstones and markers stay. Runs outside of the broker's lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::aborted::AbortedEntry;
use super::header::Header;
use super::records::{BatchRecords, Marker, RecordView};
use super::rewrite::{Keep, rewrite};
use super::segment_data::SegmentData;

/// Keys per run, which bounds its memory to about 70 MB. The next run continues after them.
const MAX_KEYS: usize = 1_800_000;

#[derive(Debug, Clone)]
pub struct CleanableSegment {
    pub base_offset: i64,
    pub last_offset: i64,
    pub data: SegmentData,
    pub size: u64,
    /// When the segment was created.
    pub created: i64,
}

/// Keys are hashed already.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Newest offset of each key in a range of the log. Keys are identified by 128 bits of XXH3.
#[derive(Debug, Default)]
pub struct OffsetMap {
    newest: HashMap<u128, i64, BuildHasherDefault<IdentityHasher>>,
    /// The last offset that was read.
    pub last_offset: i64,
}

#[derive(Debug)]
pub struct CleanerRules {
    /// Delete horizons up to this time have passed.
    pub now: i64,
    /// Delete horizon for tombstones and markers that do not have one yet.
    pub horizon: i64,
    /// Each producer's epoch, and the last offset of its last batch.
    pub last_written: BTreeMap<i64, (i16, Option<i64>)>,
    /// First and last offset of each producer's aborted transactions, in order.
    pub aborted: BTreeMap<i64, Vec<(i64, i64)>>,
}

impl CleanerRules {
    pub fn take_aborted(&mut self, all: &[AbortedEntry]) {
        for aborted in all {
            let range = (aborted.transaction.first_offset, aborted.last_offset);
            self.aborted.entry(aborted.transaction.producer_id).or_default().push(range);
        }
    }

    fn is_aborted(&self, header: &Header) -> bool {
        let Some(ranges) = self.aborted.get(&header.producer_id).filter(|_| header.is_transactional()) else {
            return false;
        };
        let next = ranges.partition_point(|(_, last)| *last < header.base_offset);
        ranges.get(next).is_some_and(|(first, _)| *first <= header.last_offset())
    }

    /// Whether this batch is the only source of the producer's last sequence, or of its epoch if it has no sequence.
    fn is_last_of_its_producer(&self, header: &Header) -> bool {
        match self.last_written.get(&header.producer_id) {
            Some((_, Some(last_offset))) => *last_offset == header.last_offset(),
            Some((epoch, None)) => header.is_control() && *epoch == header.producer_epoch,
            None => false,
        }
    }
}

impl OffsetMap {
    /// Reads the keys from an offset on.
    pub fn build(segments: &[CleanableSegment], from: i64, rules: &CleanerRules) -> io::Result<Self> {
        let mut keys = Self::default();
        for segment in segments.iter().filter(|segment| segment.last_offset >= from) {
            let mut batches = segment.data.read_batches(segment.size);
            while let Some((header, bytes)) = batches.next()? {
                if header.last_offset() < from || header.is_control() || rules.is_aborted(&header) {
                    continue;
                }
                if keys.newest.len() >= MAX_KEYS {
                    keys.last_offset = header.base_offset - 1;
                    return Ok(keys);
                }
                let records = BatchRecords::decode(&header, &bytes)?;
                for record in records.iter() {
                    let record = record?;
                    if let Some(key) = record.key {
                        keys.newest.insert(xxh3_128(key), records.offset(&record));
                    }
                }
            }
        }
        keys.last_offset = segments.last().map_or(-1, |segment| segment.last_offset);
        Ok(keys)
    }

    fn is_newest(&self, record: &RecordView<'_>, offset: i64) -> bool {
        let newest = |key| self.newest.get(&xxh3_128(key)).copied().unwrap_or(-1);
        offset > self.last_offset || record.key.is_some_and(|key| offset >= newest(key))
    }
}

/// Cleans a log batch by batch, from its beginning.
#[derive(Debug)]
pub struct Cleaner {
    rules: CleanerRules,
    keys: OffsetMap,
    /// Producers of which a transactional batch was seen whose marker has not followed yet.
    in_transaction: BTreeSet<i64>,
    /// Offsets of the removed markers.
    pub dropped_markers: BTreeSet<i64>,
}

impl Cleaner {
    #[must_use]
    pub fn new(rules: CleanerRules, keys: OffsetMap) -> Self {
        Self { rules, keys, in_transaction: BTreeSet::new(), dropped_markers: BTreeSet::new() }
    }

    /// Returns what is left of the next batch.
    pub fn clean(&mut self, header: &Header, batch: &Bytes) -> io::Result<Option<(Header, Bytes)>> {
        let last = header.last_offset() == self.keys.last_offset;
        let mut keep = Keep {
            header: last || (header.producer_id >= 0 && self.rules.is_last_of_its_producer(header)),
            horizon: self.rules.horizon,
            idle_marker: false,
        };
        let due = header.delete_horizon().is_some_and(|horizon| horizon <= self.rules.now);
        if header.is_control() {
            // A marker stays while the log has a record of its transaction, then for delete.retention.ms (KIP-534).
            let idle = Marker::parse(header, batch).is_none() || !self.in_transaction.remove(&header.producer_id);
            keep.idle_marker = idle;
            let left = rewrite(header, batch, keep, |_, _| !(idle && due))?;
            if idle && due {
                self.dropped_markers.insert(header.base_offset);
            }
            return Ok(left);
        }
        if header.is_transactional() {
            self.in_transaction.insert(header.producer_id);
        }
        if self.rules.is_aborted(header) {
            return rewrite(header, batch, keep, |_, _| false);
        }
        let keys = &self.keys;
        rewrite(header, batch, keep, |record, offset| {
            offset > keys.last_offset || (keys.is_newest(record, offset) && (record.has_value || !due))
        })
    }
}
