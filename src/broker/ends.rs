//! Owns the file `ends`: where the journal and every log end, written behind each write of theirs and before it is acknowledged.
//!
//! It is what tells a file that lost its end from one that never had it: the operating system keeps both writes when the process is
//! killed. A slot of 128 bytes each, the first one the journal's, with a checksum of its own; a free slot is zeros.
//! A loss of power may keep one write and not the other. Which machine run wrote it is written down, too, so that this is known.

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

/// The file.
pub const NAME: &str = "ends";
/// What it is called until everything in it is written.
pub const NEW_NAME: &str = "ends.new";
/// Bytes of a slot. They never cross a sector of a disk.
const SLOT_SIZE: usize = 128;
/// Where a slot's checksum begins.
const CHECKSUM_AT: usize = SLOT_SIZE - 8;

const JOURNAL: u32 = 1;
const LOG: u32 = 2;

/// Where a log ends, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Base offset of the first segment: files below are remains of what was deleted.
    pub first: i64,
    /// Base offset of the segment that is appended to.
    pub active: i64,
    /// The next offset.
    pub end: i64,
    /// Bytes of the active segment.
    pub size: u64,
    /// Digest of the headers in the active segment.
    pub digest: u64,
    /// Sum of the seals of all other segments.
    pub closed_digest: u64,
    /// What that sum is about to become; the same but while a compaction is put in its slot.
    pub pending_digest: u64,
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    /// The cluster whose journal it is.
    pub cluster_id: Uuid,
    /// How often it was written anew.
    pub generation: u64,
    /// Bytes that were acknowledged.
    pub acknowledged: u64,
    /// Digest of those bytes.
    pub digest: u64,
    /// Bytes that it has when the write that is under way is whole.
    pub intended: u64,
    /// The run of the machine, 0 if it is not known.
    pub boot_id: u64,
    /// The broker was stopped, and nothing was written since.
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

/// Which slots are taken.
#[derive(Debug)]
struct FreeSlots {
    free: Vec<u64>,
    /// The first one that never was.
    next: u64,
}

/// The file, open for writing.
#[derive(Debug, Clone)]
pub struct EndsFile {
    shared: Arc<Shared>,
}

/// What the file held at the start.
#[derive(Debug)]
pub struct EndsContents {
    /// The file.
    pub ends: EndsFile,
    /// Of the journal.
    pub journal: JournalEnd,
    /// Of the logs, by topic and partition, each with its slot.
    pub logs: BTreeMap<(Uuid, i32), (EndsSlot, LogEnd)>,
}

/// A log's slot.
#[derive(Debug, Clone)]
pub struct EndsSlot {
    ends: EndsFile,
    slot: u64,
    topic: Uuid,
    partition: i32,
}

impl EndsFile {
    /// Reads the file of a folder; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a slot does not agree with its checksum.
    pub fn read(dir: &Directory, fsync: bool) -> Result<Option<EndsContents>, OpenError> {
        let path = dir.path_of(NAME);
        // FreeSlots are written where they are, so not at the end.
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
                SlotContent::Journal(_) => return Err(broken(at, "the journal's slot is the first one").into()),
                SlotContent::Log(topic, partition, end) => {
                    let slot = EndsSlot { ends: ends.clone(), slot: number, topic, partition };
                    if logs.insert((topic, partition), (slot, end)).is_some() {
                        return Err(broken(at, "a log has one slot").into());
                    }
                }
            }
        }
        let journal = journal.ok_or_else(|| broken(0, "the journal's slot is empty"))?;
        *ends.slots() = FreeSlots { free, next: bytes.len().div_ceil(SLOT_SIZE) as u64 };
        Ok(Some(EndsContents { ends, journal, logs }))
    }

    /// Begins the file beside its slot; see [`EndsFile::publish`].
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(dir: &Directory, fsync: bool, journal: &JournalEnd) -> io::Result<Self> {
        let file = dir.create_to_write(NEW_NAME)?;
        let slots = Mutex::new(FreeSlots { free: Vec::new(), next: 1 });
        let ends = Self { shared: Arc::new(Shared { file, fsync, slots }) };
        ends.write_journal(journal)?;
        Ok(ends)
    }

    /// Gives the file its name, when all is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be flushed or renamed.
    pub fn publish(&self, dir: &Directory) -> io::Result<()> {
        self.shared.file.sync_all()?;
        dir.rename(NEW_NAME, NAME)
    }

    /// Finishes a [`EndsFile::publish`] that the end of the process has cut short. Says whether there was one.
    ///
    /// # Errors
    ///
    /// When the file cannot be renamed.
    pub fn finish_publish(dir: &Directory) -> io::Result<bool> {
        match dir.rename(NEW_NAME, NAME) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes where the journal ends.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_journal(&self, end: &JournalEnd) -> io::Result<()> {
        self.shared.put(&SlotContent::Journal(*end).bytes(), 0)
    }

    /// Makes the disk have everything.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn sync(&self) -> io::Result<()> {
        self.shared.file.sync_all()
    }

    /// A slot for a log that has none.
    #[must_use]
    pub fn slot(&self, topic: Uuid, partition: i32) -> EndsSlot {
        let mut slots = self.slots();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.next += 1;
            slots.next - 1
        });
        EndsSlot { ends: self.clone(), slot, topic, partition }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, FreeSlots> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndsSlot {
    /// Writes where the log ends.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, end: &LogEnd) -> io::Result<()> {
        let bytes = SlotContent::Log(self.topic, self.partition, *end).bytes();
        self.ends.shared.put(&bytes, self.slot)
    }

    /// The same before files of the log go or are replaced: the disk must know of it first, where the disk counts.
    ///
    /// # Errors
    ///
    /// As [`EndsSlot::write`].
    pub fn write_through(&self, end: &LogEnd) -> io::Result<()> {
        self.write(end)?;
        if self.ends.shared.fsync { self.ends.shared.file.sync_data() } else { Ok(()) }
    }

    /// The log is gone.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub fn release(self) -> io::Result<()> {
        self.ends.shared.put(&[0; SLOT_SIZE], self.slot)?;
        self.ends.slots().free.push(self.slot);
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
        let Some(whole) = bytes.first_chunk::<SLOT_SIZE>() else { return Err("a slot is cut short") };
        if whole == &[0; SLOT_SIZE] {
            return Ok(Self::Free);
        }
        let (mut at, mut sum) = whole.split_at(CHECKSUM_AT);
        if xxh3_64(at) != sum.get_u64() {
            return Err("a slot does not agree with its checksum");
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
            _ => Err("a slot is of no known kind"),
        }
    }
}

/// Which run of the machine this is; 0 where the system does not say.
#[must_use]
pub fn boot_id() -> u64 {
    std::fs::read("/proc/sys/kernel/random/boot_id").map_or(0, |id| xxh3_64(&id))
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
