//! Owns the journal: one file of entries, one a line, written before what they tell is acknowledged.
//!
//! A line is its checksum (XXH3, eight hex digits) and its JSON. A line that is cut short or does not agree with its checksum was never
//! acknowledged if it is the last one, and is cut off at the start; anywhere else the file is damaged, and the broker does not start.
//! A kill of the process loses nothing that was written; a loss of power may, unless each line is flushed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::directory::Directory;
use super::entry::Entry;
use super::notice::Notice;

/// Its file.
pub const NAME: &str = "journal";
/// What it is written anew into.
pub const BESIDE: &str = "journal.new";

/// A journal is written anew when it has grown to this many times its size after the last time, and no earlier than at `SMALL`.
const GROWTH: u64 = 4;
/// Bytes below which a journal is never worth writing anew.
const SMALL: u64 = 4 << 20;

/// The journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    file: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    folder: Directory,
    file: File,
    fsync: bool,
    size: u64,
    size_when_new: u64,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A line that is not the last one does not agree with its checksum, or is no entry.
    #[error("line {line} of {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn checksum(json: &[u8]) -> u32 {
    // The low half is as good as the whole for telling a torn line.
    u32::try_from(xxhash_rust::xxh3::xxh3_64(json) & u64::from(u32::MAX)).unwrap_or_default()
}

fn line_of(entry: &Entry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(entry)?;
    let mut line = format!("{:08x} ", checksum(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn entry_of(line: &[u8]) -> Option<Entry> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if line.get(8) != Some(&b' ') || sum != checksum(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

impl Journal {
    /// A journal that keeps nothing, for a broker in memory.
    #[must_use]
    pub fn none() -> Self {
        Self { file: None }
    }

    /// Opens the journal and returns what it holds.
    ///
    /// # Errors
    ///
    /// When it is damaged elsewhere than at its end, or cannot be read or written.
    pub fn open(
        folder: &Directory,
        fsync: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<(Self, Vec<Entry>), JournalError> {
        let path = folder.path_of(NAME);
        let storage = |source| JournalError::Storage { path: path.clone(), source };
        let mut file = folder.open_to_append(NAME).map_err(storage)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(storage)?;
        let mut entries = Vec::new();
        let mut whole = 0;
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            match line.strip_suffix(b"\n").and_then(entry_of) {
                Some(entry) => entries.push(entry),
                None if lines.peek().is_none() => break,
                None => return Err(JournalError::Damaged { path, line: number + 1 }),
            }
            whole += line.len();
        }
        if whole < bytes.len() {
            notices.push(Notice::TailCut { path: path.clone(), bytes: (bytes.len() - whole) as u64 });
            file.set_len(whole as u64).map_err(storage)?;
        }
        let size = whole as u64;
        let kept = Kept { folder: folder.clone(), file, fsync, size, size_when_new: size };
        Ok((Self { file: Some(kept) }, entries))
    }

    /// Writes entries, all or none of them; they are the operating system's when this returns.
    ///
    /// # Errors
    ///
    /// When they could not be written. The journal is then as it was.
    pub fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        let mut lines = Vec::new();
        for entry in entries {
            lines.extend(line_of(entry)?);
        }
        let written =
            kept.file.write_all(&lines).and_then(|()| if kept.fsync { kept.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Whatever part of a line stands there must not run into the next one.
            kept.file.set_len(kept.size)?;
            return Err(error);
        }
        kept.size += lines.len() as u64;
        Ok(())
    }

    /// Whether most of the journal is history.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.file.as_ref().is_some_and(|kept| kept.size > SMALL.max(kept.size_when_new * GROWTH))
    }

    /// Replaces the journal by these entries, whole or not at all.
    ///
    /// # Errors
    ///
    /// When they could not be written. The journal is then as it was.
    pub fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let Some(kept) = &mut self.file else { return Ok(()) };
        let mut lines = Vec::new();
        for entry in entries {
            lines.extend(line_of(entry)?);
        }
        let mut file = kept.folder.open_to_append(BESIDE)?;
        file.set_len(0)?;
        file.write_all(&lines)?;
        file.sync_data()?;
        kept.folder.rename(BESIDE, NAME)?;
        kept.file = file;
        kept.size = lines.len() as u64;
        kept.size_when_new = kept.size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::transactions::TransactionEntry;

    fn entry(number: i64) -> Entry {
        Entry::Transaction(TransactionEntry::ProducerIds { until: number })
    }

    fn entries(numbers: std::ops::Range<i64>) -> Vec<Entry> {
        numbers.map(entry).collect()
    }

    fn folder() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::of_test(folder.path());
        (folder, directory)
    }

    fn open(folder: &Directory) -> (Journal, Vec<Entry>, Vec<Notice>) {
        let mut notices = Vec::new();
        let (journal, entries) = Journal::open(folder, false, &mut notices).expect("opens");
        (journal, entries, notices)
    }

    #[test]
    fn what_was_appended_is_there_after_a_start_wherever_the_file_is_cut() {
        let (_kept, folder) = folder();
        let path = folder.path_of(NAME);
        open(&folder).0.append(&entries(0..5)).expect("appended");
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let lines = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
            let (mut journal, found, notices) = open(&folder);
            assert_eq!(found, entries(0..i64::try_from(lines).expect("few")), "cut at {cut}");
            assert_eq!(notices.is_empty(), cut == 0 || whole[cut - 1] == b'\n', "cut at {cut}");
            journal.append(&[entry(9)]).expect("appended");
            assert_eq!(open(&folder).1.last(), Some(&entry(9)), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_was_altered_is_damage_unless_it_is_the_last() {
        let (_kept, folder) = folder();
        let path = folder.path_of(NAME);
        open(&folder).0.append(&entries(0..3)).expect("appended");
        let whole = std::fs::read(&path).expect("read");
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            std::fs::write(&path, &altered).expect("written");
            let line = whole[..at].split(|byte| *byte == b'\n').count() - 1;
            match Journal::open(&folder, false, &mut Vec::new()) {
                // The end of a line that is no end joins it with the next one.
                Ok((_, found)) => assert!(line == 2 || line == 1 && whole[at] == b'\n', "byte {at}: {found:?}"),
                Err(error) => {
                    assert!(matches!(error, JournalError::Damaged { line: told, .. } if told == line + 1), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_rewritten_journal_holds_what_it_was_rewritten_with_and_what_came_after() {
        let (_kept, folder) = folder();
        let (mut journal, _, _) = open(&folder);
        let history = entries(0..1000);
        while !journal.is_long() {
            journal.append(&history).expect("appended");
        }
        journal.rewrite(&entries(0..2)).expect("rewritten");
        assert!(!journal.is_long());
        journal.append(&[entry(7)]).expect("appended");
        assert_eq!(open(&folder).1, [entry(0), entry(1), entry(7)]);
    }
}
