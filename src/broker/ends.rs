//! The file `ends`: where the journal and every log end. It is updated after each write to them, before the write is
//! acknowledged.
//!
//! With it, recovery detects a truncated file: if the process is killed, the operating system keeps both writes. After
//! a power loss, the disk may have one without the other, so the file also records the boot id.
//!
//! The file consists of slots of 128 bytes with a checksum each. The first slot is the journal's; a free slot is all
//! zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::corruption::{Corruption, OpenError};
use super::directory::Directory;
use super::kill_points;

pub const NAME: &str = "ends";
/// Name until its content is complete.
pub const NEW_NAME: &str = "ends.new";
/// A slot never crosses a disk sector.
const SLOT_SIZE: usize = 128;
/// Position of a slot's checksum.
const CHECKSUM_AT: usize = SLOT_SIZE - 8;

const JOURNAL: u32 = 1;
const LOG: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Base offset of the first segment. Files below it were deleted.
    pub first: i64,
    /// Base offset of the active segment.
    pub active: i64,
    /// The next offset.
    pub end: i64,
    /// Bytes of the active segment.
    pub size: u64,
    /// Digest of the batch headers in the active segment.
    pub digest: u64,
    /// Sum of the digests of all closed segments.
    pub closed_digest: u64,
    /// The next value of `closed_digest`. It differs only while a compaction replaces segments.
    pub pending_digest: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    pub cluster_id: Uuid,
    /// Number of rewrites.
    pub generation: u64,
    /// Acknowledged bytes.
    pub acknowledged: u64,
    /// Digest of the acknowledged lines.
    pub digest: u64,
    /// Size of the journal after the write in progress.
    pub intended: u64,
    /// Boot id of the machine, 0 if unknown.
    pub boot_id: u64,
    /// Clean shutdown: nothing was written since.
    pub clean: bool,
}

#[derive(Debug)]
struct Shared {
    file: File,
    fsync: bool,
    slots: Mutex<FreeSlots>,
}

impl Shared {
    fn put(&self, bytes: &[u8; SLOT_SIZE], slot: u64) -> io::Result<()> {
        kill_points::passed();
        self.file.write_all_at(bytes, slot * SLOT_SIZE as u64)?;
        kill_points::passed();
        Ok(())
    }
}

#[derive(Debug)]
struct FreeSlots {
    free: Vec<u64>,
    /// The first slot after the end of the file.
    next: u64,
}

/// The open file.
#[derive(Debug, Clone)]
pub struct EndsFile {
    shared: Arc<Shared>,
}

/// Content of the file at the start.
#[derive(Debug)]
pub struct EndsContents {
    pub ends: EndsFile,
    pub journal: JournalEnd,
    /// By topic id and partition.
    pub logs: BTreeMap<(Uuid, i32), (EndsSlot, LogEnd)>,
}

#[derive(Debug, Clone)]
pub struct EndsSlot {
    ends: EndsFile,
    number: u64,
    topic: Uuid,
    partition: i32,
}

impl EndsFile {
    /// Reads the file; `None` if it does not exist. Every slot must match its checksum.
    pub fn read(dir: &Directory, fsync: bool) -> Result<Option<EndsContents>, OpenError> {
        let path = dir.path_of(NAME);
        // Slots are overwritten in place, so the file is not opened for appending.
        let mut file = match dir.open_to_write(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::storage(&path)(error)),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(OpenError::storage(&path))?;
        let slots = Mutex::new(FreeSlots { free: Vec::new(), next: 0 });
        let ends = Self { shared: Arc::new(Shared { file, fsync, slots }) };
        let (mut journal, mut logs, mut free) = (None, BTreeMap::new(), Vec::new());
        let broken = |at: usize, why| Corruption::Corrupt { path: path.clone(), at: at as u64, why };
        for (at, slot) in (0..).step_by(SLOT_SIZE).zip(bytes.chunks(SLOT_SIZE)) {
            let number = (at / SLOT_SIZE) as u64;
            match SlotContent::read(slot).map_err(|why| broken(at, why))? {
                SlotContent::Free => free.push(number),
                SlotContent::Journal(end) if at == 0 => journal = Some(end),
                SlotContent::Journal(_) => return Err(broken(at, "the journal's slot must be the first one").into()),
                SlotContent::Log(topic, partition, end) => {
                    let slot = EndsSlot { ends: ends.clone(), number, topic, partition };
                    if logs.insert((topic, partition), (slot, end)).is_some() {
                        return Err(broken(at, "a log has two slots").into());
                    }
                }
            }
        }
        let journal = journal.ok_or_else(|| broken(0, "the journal's slot is empty"))?;
        *ends.slots() = FreeSlots { free, next: bytes.len().div_ceil(SLOT_SIZE) as u64 };
        Ok(Some(EndsContents { ends, journal, logs }))
    }

    /// Creates the file under a temporary name; see [`EndsFile::publish`].
    pub fn create(dir: &Directory, fsync: bool, journal: &JournalEnd) -> io::Result<Self> {
        let file = dir.create_to_write(NEW_NAME)?;
        let slots = Mutex::new(FreeSlots { free: Vec::new(), next: 1 });
        let ends = Self { shared: Arc::new(Shared { file, fsync, slots }) };
        ends.write_journal(journal)?;
        Ok(ends)
    }

    /// Renames the complete file to its final name.
    pub fn publish(&self, dir: &Directory) -> io::Result<()> {
        self.shared.file.sync_all()?;
        dir.rename(NEW_NAME, NAME)
    }

    /// Finishes a [`EndsFile::publish`] that was killed before the rename. Returns whether there was one.
    pub fn finish_publish(dir: &Directory) -> io::Result<bool> {
        match dir.rename(NEW_NAME, NAME) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn write_journal(&self, end: &JournalEnd) -> io::Result<()> {
        self.shared.put(&SlotContent::Journal(*end).bytes(), 0)
    }

    pub fn sync(&self) -> io::Result<()> {
        self.shared.file.sync_all()
    }

    /// A free slot for a log.
    #[must_use]
    pub fn slot(&self, topic: Uuid, partition: i32) -> EndsSlot {
        let mut slots = self.slots();
        let number = slots.free.pop().unwrap_or_else(|| {
            slots.next += 1;
            slots.next - 1
        });
        EndsSlot { ends: self.clone(), number, topic, partition }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, FreeSlots> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndsSlot {
    /// Records the end of the log.
    pub fn write(&self, end: &LogEnd) -> io::Result<()> {
        let bytes = SlotContent::Log(self.topic, self.partition, *end).bytes();
        self.ends.shared.put(&bytes, self.number)
    }

    /// Records the end of the log before its files are removed or replaced. With `fsync` it is flushed, because the disk
    /// must have the new end before the files change.
    pub fn write_through(&self, end: &LogEnd) -> io::Result<()> {
        self.write(end)?;
        if self.ends.shared.fsync { self.ends.shared.file.sync_data() } else { Ok(()) }
    }

    /// Frees the slot of a deleted log.
    pub fn release(self) -> io::Result<()> {
        self.ends.shared.put(&[0; SLOT_SIZE], self.number)?;
        self.ends.slots().free.push(self.number);
        Ok(())
    }
}

enum SlotContent {
    Free,
    Journal(JournalEnd),
    Log(Uuid, i32, LogEnd),
}

impl SlotContent {
    fn bytes(&self) -> [u8; SLOT_SIZE] {
        let mut bytes = [0; SLOT_SIZE];
        let mut at = &mut bytes[..CHECKSUM_AT];
        match self {
            Self::Free => return bytes,
            Self::Journal(end) => {
                at.put_u32(JOURNAL);
                at.put_u32(end.clean.into());
                at.put_slice(end.cluster_id.as_bytes());
                for field in [end.generation, end.acknowledged, end.digest, end.intended, end.boot_id] {
                    at.put_u64(field);
                }
            }
            Self::Log(topic, partition, end) => {
                at.put_u32(LOG);
                at.put_i32(*partition);
                at.put_slice(topic.as_bytes());
                for field in [end.first, end.active, end.end] {
                    at.put_i64(field);
                }
                for field in [end.size, end.digest, end.closed_digest, end.pending_digest] {
                    at.put_u64(field);
                }
            }
        }
        let sum = xxh3_64(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let Some(whole) = bytes.first_chunk::<SLOT_SIZE>() else { return Err("a slot is incomplete") };
        if whole == &[0; SLOT_SIZE] {
            return Ok(Self::Free);
        }
        let (mut at, mut sum) = whole.split_at(CHECKSUM_AT);
        if xxh3_64(at) != sum.get_u64() {
            return Err("a slot does not match its checksum");
        }
        let (kind, number) = (at.get_u32(), at.get_i32());
        let mut id = [0; 16];
        at.copy_to_slice(&mut id);
        let id = Uuid::from_bytes(id);
        match kind {
            JOURNAL => Ok(Self::Journal(JournalEnd {
                cluster_id: id,
                generation: at.get_u64(),
                acknowledged: at.get_u64(),
                digest: at.get_u64(),
                intended: at.get_u64(),
                boot_id: at.get_u64(),
                clean: number != 0,
            })),
            LOG => Ok(Self::Log(
                id,
                number,
                LogEnd {
                    first: at.get_i64(),
                    active: at.get_i64(),
                    end: at.get_i64(),
                    size: at.get_u64(),
                    digest: at.get_u64(),
                    closed_digest: at.get_u64(),
                    pending_digest: at.get_u64(),
                },
            )),
            _ => Err("a slot has an unknown type"),
        }
    }
}

/// Identifies the current boot of the machine; 0 if unknown.
#[must_use]
pub fn boot_id() -> u64 {
    std::fs::read("/proc/sys/kernel/random/boot_id").map_or(0, |id| xxh3_64(&id))
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
