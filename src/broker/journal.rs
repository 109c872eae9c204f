//! Journal of topics, groups and transactions: one file, one entry per line, written before the change is acknowledged.
//!
//! A line is a checksum (XXH3, eight hex digits) and JSON. The file `ends` records the size of the journal and a digest
//! of its lines, so at the start it is exactly what was acknowledged, or the broker does not start
//! (`journal_recovery.rs`). A kill of the process loses nothing that was written. A power loss may, unless every line
//! is flushed.

use std::fs::File;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::directory::Directory;
use super::ends::{EndsFile, JournalEnd};
use super::groups::GroupEntry;
use super::kill_points;
use super::topics::TopicEntry;
use super::transactions::TransactionEntry;

pub const NAME: &str = "journal";
/// Name of a rewritten journal until it is complete.
pub const NEW_NAME: &str = "journal.new";

/// The journal is rewritten when it has grown by this factor since the last rewrite, but not below `SMALL`.
const GROWTH: u64 = 4;
/// A smaller journal is never rewritten.
const SMALL: u64 = 4 << 20;

#[derive(Debug)]
pub struct Journal {
    file: Option<OpenJournal>,
}

#[derive(Debug)]
struct OpenJournal {
    dir: Directory,
    file: File,
    fsync: bool,
    size_when_new: u64,
    ends: EndsFile,
    end: JournalEnd,
}

#[derive(Debug)]
pub struct JournalLine {
    pub entry: JournalEntry,
    /// Bytes up to the end of the line.
    pub end: u64,
    /// Digest of the lines up to here.
    pub digest: u64,
}

/// The content of a journal file.
#[derive(Debug, Default)]
pub struct JournalLines {
    /// The valid lines before the first invalid one.
    pub whole: Vec<JournalLine>,
    /// Whether more lines follow the first invalid one.
    pub broken_within: bool,
    /// Bytes of the file.
    pub length: u64,
}

impl JournalLines {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut lines = Self { length: bytes.len() as u64, ..Self::default() };
        let (mut end, mut digest) = (0, 0);
        let mut rest = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = rest.next() {
            let Some(entry) = line.strip_suffix(b"\n").and_then(entry_of) else {
                lines.broken_within = rest.peek().is_some();
                break;
            };
            end += line.len() as u64;
            digest = extend_digest(digest, line);
            lines.whole.push(JournalLine { entry, end, digest });
        }
        lines
    }

    /// Bytes of the valid lines.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.whole.last().map_or(0, |line| line.end)
    }

    /// Digest of the valid lines.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.whole.last().map_or(0, |line| line.digest)
    }

    /// The head, which is the first line unless an earlier version wrote the journal.
    #[must_use]
    pub fn head(&self) -> Option<&JournalHeader> {
        match self.whole.first() {
            Some(JournalLine { entry: JournalEntry::Head(head), .. }) => Some(head),
            _ => None,
        }
    }
}

fn checksum(json: &[u8]) -> u32 {
    // 32 bits are enough to detect a torn line.
    u32::try_from(xxh3_64(json) & u64::from(u32::MAX)).unwrap_or_default()
}

/// Adds a line to the digest.
fn extend_digest(digest: u64, line: &[u8]) -> u64 {
    xxh3_64_with_seed(line, digest)
}

fn line_of(entry: &JournalEntry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(entry)?;
    let mut line = format!("{:08x} ", checksum(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn entry_of(line: &[u8]) -> Option<JournalEntry> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if line.get(8) != Some(&b' ') || sum != checksum(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Encodes entries. Returns the lines and the digest after them.
fn lines_of<'a>(entries: impl IntoIterator<Item = &'a JournalEntry>, mut digest: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut lines = Vec::new();
    for entry in entries {
        let line = line_of(entry)?;
        digest = extend_digest(digest, &line);
        lines.extend(line);
    }
    Ok((lines, digest))
}

impl Journal {
    /// A journal of a broker in memory, which stores nothing.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { file: None }
    }

    /// Opens the journal to append after this end. What follows the end is cut off.
    pub fn resume(dir: &Directory, fsync: bool, ends: EndsFile, end: JournalEnd) -> io::Result<Self> {
        let file = dir.open_to_append(NAME)?;
        if file.metadata()?.len() > end.acknowledged {
            file.set_len(end.acknowledged)?;
        }
        let end = JournalEnd { intended: end.acknowledged, clean: false, ..end };
        ends.write_journal(&end)?;
        let size_when_new = end.acknowledged;
        Ok(Self { file: Some(OpenJournal { dir: dir.clone(), file, fsync, size_when_new, ends, end }) })
    }

    /// Appends all entries or none, and returns when the operating system has them. After an error the journal is
    /// unchanged.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        if entries.is_empty() {
            return Ok(());
        }
        let before = kept.end;
        let (lines, digest) = lines_of(entries, before.digest)?;
        let intended = before.acknowledged + lines.len() as u64;
        kept.ends.write_journal(&JournalEnd { intended, ..before })?;
        let end = JournalEnd { acknowledged: intended, digest, intended, ..before };
        let written = kept
            .file
            .write_all(&lines)
            .and_then(|()| if kept.fsync { kept.file.sync_data() } else { Ok(()) })
            .and_then(|()| kept.ends.write_journal(&end));
        if let Err(error) = written {
            // A partial line must not run into the next one.
            kept.file.set_len(before.acknowledged)?;
            return Err(error);
        }
        kept.end = end;
        Ok(())
    }

    /// Whether most of the journal is obsolete.
    #[must_use]
    pub fn needs_rewrite(&self) -> bool {
        self.file.as_ref().is_some_and(|kept| kept.end.acknowledged > SMALL.max(kept.size_when_new * GROWTH))
    }

    /// Replaces the journal atomically by these entries. After an error either the old or the new journal is in use, and
    /// recovery accepts both.
    pub fn rewrite(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        let head = JournalHeader {
            cluster_id: kept.end.cluster_id,
            generation: kept.end.generation + 1,
            follows: kept.end.digest,
            entries: entries.len(),
        };
        let (lines, digest) = lines_of([&JournalEntry::Head(head.clone())].into_iter().chain(entries), 0)?;
        let mut file = kept.dir.open_to_append(NEW_NAME)?;
        file.set_len(0)?;
        file.write_all(&lines)?;
        file.sync_data()?;
        kill_points::passed();
        kept.dir.rename(NEW_NAME, NAME)?;
        kill_points::passed();
        let size = lines.len() as u64;
        kept.file = file;
        kept.size_when_new = size;
        let before = kept.end;
        kept.end = JournalEnd { generation: head.generation, acknowledged: size, digest, intended: size, ..before };
        // If this fails, recovery accepts the new journal by the digest that its head names.
        kept.ends.write_journal(&kept.end)?;
        if kept.fsync { kept.ends.sync() } else { Ok(()) }
    }

    /// Records a clean shutdown, after which nothing more is written.
    pub fn close(&mut self) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        kept.file.sync_data()?;
        kept.ends.sync()?;
        kept.ends.write_journal(&JournalEnd { clean: true, ..kept.end })?;
        kept.ends.sync()
    }
}

/// One line of the journal. An entry records the result of a request, not the request, so applying it cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// The journal's first line.
    Head(JournalHeader),
    /// Topics and their partitions.
    Topic(TopicEntry),
    /// Groups and their offsets.
    Group(GroupEntry),
    /// Producer ids and transactions.
    Transaction(TransactionEntry),
}

/// The first line of a journal. Journals of earlier versions do not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The cluster id of the data directory.
    pub cluster_id: Uuid,
    /// How often the journal was rewritten.
    pub generation: u64,
    /// Digest of the journal that this one replaced.
    pub follows: u64,
    /// The number of entries that the rewrite wrote.
    pub entries: usize,
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
