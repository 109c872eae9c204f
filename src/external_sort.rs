//! External sort: sorts more entries than fit into memory, in sorted runs in temporary files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use crate::audit::Entry;
use crate::exit::{Code, Failure};
use crate::printable;

/// The buffer of each file while runs are written and merged, in bytes.
const FILE_BUFFER: usize = 64 * 1024;

/// The most runs of a sorter. Each is an open file, and merging needs a buffer for each.
const MOST_RUNS: usize = 64;

/// Collects entries. Several sorters, one for each thread, are merged by [`merge`].
#[derive(Debug)]
pub struct ExternalSorter {
    entries: Vec<Entry>,
    /// The most entries in memory.
    most: usize,
    /// Sorted runs. The files have no name, so they are gone with the process, however it ends.
    runs: Vec<File>,
}

impl ExternalSorter {
    /// A sorter that uses about this many bytes of memory.
    #[must_use]
    pub fn new(memory: u64) -> Self {
        let most = usize::try_from(memory).unwrap_or(usize::MAX) / size_of::<Entry>();
        Self { entries: Vec::new(), most: most.max(1_024), runs: Vec::new() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// With exit code 8 when a temporary file cannot be written.
    pub fn push(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.entries.len() == self.most {
            self.write_run()?;
        }
        if self.entries.len() == self.entries.capacity() {
            // Doubling could exceed the limit.
            let more = self.entries.len().clamp(1_024, 1 << 20).min(self.most - self.entries.len());
            self.entries.reserve_exact(more);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn write_run(&mut self) -> Result<(), Failure> {
        if self.runs.len() == MOST_RUNS {
            let runs = std::mem::take(&mut self.runs).into_iter().map(Run::of_file).collect();
            self.runs.push(write(SortedEntries::of(runs)?)?);
        }
        self.entries.sort_unstable();
        let run = write(self.entries.iter().copied().map(Ok))?;
        self.runs.push(run);
        self.entries.clear();
        Ok(())
    }
}

fn write(entries: impl Iterator<Item = Result<Entry, Failure>>) -> Result<File, Failure> {
    let file = tempfile::tempfile().map_err(|error| failure(&error))?;
    let mut out = BufWriter::with_capacity(FILE_BUFFER, file);
    for entry in entries {
        out.write_all(&entry?.encode()).map_err(|error| failure(&error))?;
    }
    let mut file = out.into_inner().map_err(|error| failure(error.error()))?;
    file.rewind().map_err(|error| failure(&error))?;
    Ok(file)
}

fn failure(error: &io::Error) -> Failure {
    let folder = printable::path(&std::env::temp_dir());
    Failure::new(Code::Output, format!("a temporary file in {folder} cannot be used: {error}"))
        .hint("free some space there, set TMPDIR to another directory, or use a larger --memory")
}

/// The entries of all sorters, in order. An error ends the iteration.
///
/// # Errors
///
/// With exit code 8 when a temporary file cannot be read.
pub fn merge(sorters: Vec<ExternalSorter>) -> Result<SortedEntries, Failure> {
    let mut runs = Vec::new();
    for mut sorter in sorters {
        sorter.entries.sort_unstable();
        runs.extend(sorter.runs.into_iter().map(Run::of_file));
        runs.push(Run::Memory(sorter.entries.into_iter()));
    }
    SortedEntries::of(runs)
}

/// Entries in order.
#[derive(Debug)]
pub struct SortedEntries {
    runs: Vec<Run>,
    /// The next entry of each run that has one.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

#[derive(Debug)]
enum Run {
    Memory(std::vec::IntoIter<Entry>),
    File(BufReader<File>),
}

impl SortedEntries {
    fn of(mut runs: Vec<Run>) -> Result<Self, Failure> {
        let mut heads = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            if let Some(entry) = run.next()? {
                heads.push(Reverse((entry, index)));
            }
        }
        Ok(Self { runs, heads })
    }
}

impl Run {
    fn of_file(file: File) -> Self {
        Self::File(BufReader::with_capacity(FILE_BUFFER, file))
    }

    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let reader = match self {
            Self::Memory(entries) => return Ok(entries.next()),
            Self::File(reader) => reader,
        };
        let mut bytes = [0; Entry::SIZE];
        match reader.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(Entry::decode(&bytes))),
            // A run consists of whole entries.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }
}

impl Iterator for SortedEntries {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((entry, index)) = *head;
        match self.runs[index].next() {
            Ok(Some(next)) => *head = Reverse((next, index)),
            Ok(None) => drop(std::collections::binary_heap::PeekMut::pop(head)),
            Err(failure) => {
                drop(head);
                self.heads.clear();
                return Some(Err(failure));
            }
        }
        Some(Ok(entry))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Place, Side};

    fn entry(key: u128, offset: i64) -> Entry {
        Entry { key, place: Place::new(Side::Cause, 0, offset), detail: 7 }
    }

    #[test]
    fn more_entries_than_memory_are_sorted() {
        let mut sorters = [ExternalSorter::new(0), ExternalSorter::new(0)];
        for offset in 0..200_000_i64 {
            let key = u128::from(offset.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let half = usize::try_from(offset % 2).expect("0 or 1");
            sorters[half].push(entry(key, offset)).expect("pushed");
        }
        assert!(sorters.iter().all(|sorter| (4..=MOST_RUNS).contains(&sorter.runs.len())), "{}", sorters[0].runs.len());
        let sorted: Vec<Entry> = merge(sorters.into()).expect("merged").collect::<Result<_, _>>().expect("read");
        assert_eq!(sorted.len(), 200_000);
        assert!(sorted.is_sorted());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_added(entries in prop::collection::vec((any::<u8>(), 0_i64..100), 0..200)) {
            let mut sorter = ExternalSorter::new(0);
            let mut expected: Vec<Entry> =
                entries.iter().map(|(key, offset)| entry(u128::from(*key), *offset)).collect();
            for entry in &expected {
                sorter.push(*entry).expect("pushed");
            }
            expected.sort_unstable();
            let sorted: Vec<Entry> = merge(vec![sorter]).expect("merged").collect::<Result<_, _>>().expect("read");
            prop_assert_eq!(sorted, expected);
        }
    }
}
