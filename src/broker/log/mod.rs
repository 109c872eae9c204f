//! Owns the log of one partition: batches as they came, in segments, with what readers and producers must know of them.
//!
//! A log knows no topic and no protocol message: batches go in, slices of batches come out. Offsets, positions and
//! transactions are counted here and nowhere else. The files are Kafka's, byte for byte: its tools read them.

use std::io;

mod aborted;
mod append;
mod batch;
mod cleaner;
mod compaction;
mod compression;
mod digest;
mod header;
mod index;
mod lookup;
mod missing_markers;
mod open_files;
mod producers;
mod read;
mod recorded_end;
mod records;
mod recovery;
mod repairs;
mod retention;
mod rewrite;
mod segment;
mod segment_data;
mod settings;
mod torn_write;

pub use aborted::AbortedTransaction;
pub use append::{AppendError, Appended};
pub use batch::{Batch, BatchError};
pub use compaction::{Compacted, Compaction, ReplacedSegments};
pub use header::has_transactional_attribute;
pub use lookup::TimedOffset;
pub use missing_markers::DecidedMarker;
pub use open_files::OpenFiles;
pub use producers::ProducerState;
pub use read::LogSlice;
pub use recorded_end::RecordedEnd;
pub use recovery::LogFilesState;
pub use settings::{LogSettings, LogStorage};

use aborted::AbortedTransactions;
use compaction::CHECKPOINT;
use producers::ProducerStates;
use recovery::{CLEAN, CLEANED};
use repairs::Repairs;
use segment::{Segment, base_offset_of};
use segment_data::SegmentData;

use super::directory::{Directory, original_name};
use super::ends::EndsSlot;

/// Removes the files of a log, also those that were set aside, and their folder; one in which something else lies stays with that.
///
/// # Errors
///
/// When they cannot be removed, or something else lies there.
pub fn remove_files(dir: &Directory) -> io::Result<()> {
    dir.remove_dir_with(|name| {
        let name = original_name(name);
        base_offset_of(name).is_some() || name.ends_with(CLEANED) || [CLEAN, CHECKPOINT].contains(&name)
    })
}
/// What a reader is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Everything below the last stable offset.
    ReadCommitted,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    storage: LogStorage,
    settings: LogSettings,
    /// By base offset; never none, and the last one is appended to.
    segments: Vec<Segment>,
    start: i64,
    end: i64,
    producers: ProducerStates,
    aborted: AbortedTransactions,
    /// Below this a compacted log holds each key once.
    cleaned_to: i64,
    /// A write has failed and left something behind that could not be taken back: nothing may follow it.
    write_failed: bool,
    /// Files are left that are to be scan at when the log is opened, before anything else is compacted.
    compaction_disabled: bool,
    /// Sum of the digests of all segments but the active one.
    closed_digest: u64,
    /// How many batches stood behind the end that is written down of it.
    past_end: usize,
    /// Its place in the file `ends`.
    slot: Option<EndsSlot>,
    /// What its opening found and has not done yet.
    repairs: Repairs,
}

impl Log {
    /// Takes other settings from here on.
    pub fn configure(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    /// The first offset that can be read.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The next offset to be written: on a single node also the high watermark.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.end
    }

    /// The first offset of the oldest open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.producers.first_unstable_offset().map_or(self.end, |first| first.max(self.start))
    }

    /// How many batches its opening found behind the end that is written down of it.
    #[must_use]
    pub fn batches_past_end(&self) -> usize {
        self.past_end
    }

    /// Where a reader of this isolation must stop.
    #[must_use]
    pub fn end_offset(&self, isolation: IsolationLevel) -> i64 {
        match isolation {
            IsolationLevel::ReadUncommitted => self.high_watermark(),
            IsolationLevel::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// Bytes of the segments.
    #[cfg(test)]
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// The transactions aborted in these offsets, as a fetch of `read_committed` needs them.
    #[must_use]
    pub fn aborted(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        self.aborted.within(from, to)
    }

    /// The producers that wrote here and are not forgotten.
    #[must_use]
    pub fn producers(&self) -> Vec<ProducerState> {
        self.producers.states()
    }

    /// Removes its files.
    ///
    /// # Errors
    ///
    /// When they cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        for segment in &self.segments {
            if let SegmentData::File(file) = &segment.data {
                drop(file.detach());
            }
        }
        let removed = match &self.storage {
            LogStorage::Memory => Ok(()),
            LogStorage::Directory { dir, .. } => {
                // A compaction that is on its way may put a file there in between.
                let again = |error: &io::Error| error.kind() == io::ErrorKind::DirectoryNotEmpty;
                remove_files(dir).or_else(|error| if again(&error) { remove_files(dir) } else { Err(error) })
            }
        };
        // The journal says that the topic is gone: a place that is left is given up by the next start.
        removed.and_then(|()| self.slot.map_or(Ok(()), EndsSlot::release))
    }

    /// Number of the segment in which this offset lies or would lie.
    fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has an active segment")
    }
}

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod compaction_tests;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod recorded_end_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod test_support;
