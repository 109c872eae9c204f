//! Owns the journal: one file of entries, one a line, written before what they tell is acknowledged.
//!
//! A line is its checksum (XXH3, eight hex digits) and its JSON. Where the journal ends is kept in the file `ends`, with a digest of all
//! that is before: at a start it is exactly what was acknowledged (`opening.rs`), or the broker does not start.
//! A kill of the process loses nothing that was written; a loss of power may, unless each line is flushed.

use std::fs::File;
use std::io::{self, Write};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::directory::Directory;
use super::ends::{EndsFile, JournalEnd};
use super::journal_entry::{JournalEntry, JournalHeader};
use super::kill_points;

/// Its file.
pub const NAME: &str = "journal";
/// What it is written anew into.
pub const NEW_NAME: &str = "journal.new";

/// A journal is written anew when it has grown to this many times its size after the last time, and no earlier than at `SMALL`.
const GROWTH: u64 = 4;
/// Bytes below which a journal is never worth writing anew.
const SMALL: u64 = 4 << 20;

/// The journal, open for writing.
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

/// A line of a journal, and what it ends.
#[derive(Debug)]
pub struct JournalLine {
    /// What it tells.
    pub entry: JournalEntry,
    /// Bytes up to its end.
    pub end: u64,
    /// Digest of those bytes.
    pub digest: u64,
}

/// A journal as it was found.
#[derive(Debug, Default)]
pub struct JournalLines {
    /// The lines up to the first one that is not whole.
    pub whole: Vec<JournalLine>,
    /// Whether lines follow that one.
    pub broken_within: bool,
    /// Bytes of the file.
    pub length: u64,
}

impl JournalLines {
    /// Reads a journal's bytes.
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

    /// Bytes of the lines that are whole.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.whole.last().map_or(0, |line| line.end)
    }

    /// Digest of the lines that are whole.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.whole.last().map_or(0, |line| line.digest)
    }

    /// The journal's first line, if it has one of its own.
    #[must_use]
    pub fn head(&self) -> Option<&JournalHeader> {
        match self.whole.first() {
            Some(JournalLine { entry: JournalEntry::Head(head), .. }) => Some(head),
            _ => None,
        }
    }
}

fn checksum(json: &[u8]) -> u32 {
    // The low half is as good as the whole for telling a torn line.
    u32::try_from(xxh3_64(json) & u64::from(u32::MAX)).unwrap_or_default()
}

/// The digest with one more line.
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

/// The lines of these entries, and the digest behind them.
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
    /// A journal that keeps nothing, for a broker in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { file: None }
    }

    /// Goes on with the journal of this folder, which ends so. What stands behind is cut off.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or written.
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

    /// Writes entries, all or none of them; they are the operating system's when this returns.
    ///
    /// # Errors
    ///
    /// When they could not be written. The journal is then as it was.
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
            // Whatever part of a line stands there must not run into the next one.
            kept.file.set_len(before.acknowledged)?;
            return Err(error);
        }
        kept.end = end;
        Ok(())
    }

    /// Whether most of the journal is history.
    #[must_use]
    pub fn needs_rewrite(&self) -> bool {
        self.file.as_ref().is_some_and(|kept| kept.end.acknowledged > SMALL.max(kept.size_when_new * GROWTH))
    }

    /// Replaces the journal by these entries, whole or not at all.
    ///
    /// # Errors
    ///
    /// When they could not be written. The journal is then as it was.
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
        // If this fails, the new journal says itself which one it follows.
        kept.ends.write_journal(&kept.end)?;
        if kept.fsync { kept.ends.sync() } else { Ok(()) }
    }

    /// Notes that all is on the disk, and nothing more is written.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(&mut self) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        kept.file.sync_data()?;
        kept.ends.sync()?;
        kept.ends.write_journal(&JournalEnd { clean: true, ..kept.end })?;
        kept.ends.sync()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
