//! Owns the rules of compaction: which records of which batches stay, decided outside of the broker's lock.

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

/// More keys than this are not scan at in one go, which bounds the memory to some 70 MB; the rest is left for the next one.
const MAX_KEYS: usize = 1_800_000;

/// A segment to be compacted.
#[derive(Debug, Clone)]
pub struct CleanableSegment {
    /// Its base offset.
    pub base_offset: i64,
    /// The last offset in it.
    pub last_offset: i64,
    /// Its bytes.
    pub data: SegmentData,
    /// How many.
    pub size: u64,
    /// When it was made.
    pub created: i64,
}

/// A key's 128 bits are as good as a hash can be.
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

/// The newest offset of each key in a stretch of the log. OffsetMap are told apart by 128 bits of XXH3.
#[derive(Debug, Default)]
pub struct OffsetMap {
    newest: HashMap<u128, i64, BuildHasherDefault<IdentityHasher>>,
    /// The last offset that was scan at.
    pub last_offset: i64,
}

/// What decides about batches, beside their keys.
#[derive(Debug)]
pub struct CleanerRules {
    /// Delete horizons before this have come.
    pub now: i64,
    /// The horizon of what is to go one day from now on.
    pub horizon: i64,
    /// Each producer's epoch and the last offset of its last batch.
    pub last_written: BTreeMap<i64, (i16, Option<i64>)>,
    /// First and last offset of each producer's aborted transactions, in order.
    pub aborted: BTreeMap<i64, Vec<(i64, i64)>>,
}

impl CleanerRules {
    /// Takes over the aborted transactions.
    pub fn take_aborted(&mut self, all: &[AbortedEntry]) {
        for aborted in all {
            let stretch = (aborted.transaction.first_offset, aborted.last_offset);
            self.aborted.entry(aborted.transaction.producer_id).or_default().push(stretch);
        }
    }

    fn is_aborted(&self, header: &Header) -> bool {
        let Some(stretches) = self.aborted.get(&header.producer_id).filter(|_| header.is_transactional()) else {
            return false;
        };
        let next = stretches.partition_point(|(_, last)| *last < header.base_offset);
        stretches.get(next).is_some_and(|(first, _)| *first <= header.last_offset())
    }

    /// Whether the producer's last sequence, or its epoch where it has none, is known from this batch only.
    fn is_last_of_its_producer(&self, header: &Header) -> bool {
        match self.last_written.get(&header.producer_id) {
            Some((_, Some(last_offset))) => *last_offset == header.last_offset(),
            Some((epoch, None)) => header.is_control() && *epoch == header.producer_epoch,
            None => false,
        }
    }
}

impl OffsetMap {
    /// Looks at the sources from an offset on.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn build(sources: &[CleanableSegment], from: i64, rules: &CleanerRules) -> io::Result<Self> {
        let mut keys = Self::default();
        for source in sources.iter().filter(|source| source.last_offset >= from) {
            let mut batches = source.data.read_batches(source.size);
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
        keys.last_offset = sources.last().map_or(-1, |source| source.last_offset);
        Ok(keys)
    }

    fn is_newest(&self, record: &RecordView<'_>, offset: i64) -> bool {
        let newest = |key| self.newest.get(&xxh3_128(key)).copied().unwrap_or(-1);
        offset > self.last_offset || record.key.is_some_and(|key| offset >= newest(key))
    }
}

/// Goes through the log from its beginning, batch by batch.
#[derive(Debug)]
pub struct Cleaner {
    rules: CleanerRules,
    keys: OffsetMap,
    /// ProducerStates in a transaction of which a batch has been seen.
    in_transaction: BTreeSet<i64>,
    /// Offsets of markers that are gone.
    pub dropped_markers: BTreeSet<i64>,
}

impl Cleaner {
    /// Before the first batch.
    #[must_use]
    pub fn new(rules: CleanerRules, keys: OffsetMap) -> Self {
        Self { rules, keys, in_transaction: BTreeSet::new(), dropped_markers: BTreeSet::new() }
    }

    /// What is left of the next batch.
    ///
    /// # Errors
    ///
    /// When its records cannot be read.
    pub fn clean(&mut self, header: &Header, batch: &Bytes) -> io::Result<Option<(Header, Bytes)>> {
        let last = header.last_offset() == self.keys.last_offset;
        let mut keep = Keep {
            header: last || (header.producer_id >= 0 && self.rules.is_last_of_its_producer(header)),
            horizon: self.rules.horizon,
            idle_marker: false,
        };
        let due = header.delete_horizon().is_some_and(|horizon| horizon <= self.rules.now);
        if header.is_control() {
            // While there was a record of its transaction in the log, a marker stays; then for delete.retention.ms more (KIP-534).
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
