//! Folds over several partitions in one scan, each in the thread that reads its partition.

use std::sync::{Arc, Mutex, PoisonError};

use super::watched_scan::Watch;
use crate::commands::scan_shares::{locked, threads};
use crate::exit::Failure;
use crate::kafka::{OffsetRange, Reader, ScanRecord};
use crate::lag::Isolation;

/// A fold over one range. `S` belongs to the thread that reads it.
pub(super) trait RangeFold<S>: Send {
    /// Adds the next record.
    fn record(&mut self, record: &ScanRecord<'_>, of_thread: &mut S) -> Result<(), Failure>;

    /// Everything before a position was read.
    fn reached(&mut self, position: i64);
}

struct Share<F, S> {
    folds: Vec<Option<F>>,
    /// Folds of ranges that no thread has started to read.
    waiting: Arc<Mutex<Vec<Option<F>>>>,
    of_thread: S,
}

impl<F, S> Share<F, S> {
    fn fold(&mut self, range: usize) -> (Option<&mut F>, &mut S) {
        let Self { folds, waiting, of_thread } = self;
        let fold = &mut folds[range];
        if fold.is_none() {
            *fold = locked(waiting)[range].take();
        }
        (fold.as_mut(), of_thread)
    }
}

impl<F: RangeFold<S>, S: Send> Reader for Share<F, S> {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        match self.fold(record.range) {
            (Some(fold), of_thread) => fold.record(&record, of_thread),
            (None, _) => Ok(()),
        }
    }

    fn reached(&mut self, range: usize, position: i64) {
        if let (Some(fold), _) = self.fold(range) {
            fold.reached(position);
        }
    }
}

/// What a scan leaves: the folds in the order of their ranges, what belonged to the threads, and how it ended. After an
/// error or a stop the folds have what was read until then.
pub(super) struct Scanned<F, S> {
    pub folds: Vec<F>,
    pub of_threads: Vec<S>,
    pub result: Result<(), Failure>,
}

/// Reads the ranges into their folds, with `read_committed`, and shows the progress.
pub(super) fn scan_folds<F: RangeFold<S>, S: Send>(
    watch: &Watch<'_>,
    group: &str,
    ranges: &[OffsetRange],
    folds: Vec<F>,
    mut of_thread: impl FnMut() -> S,
    progress: &'static str,
) -> Scanned<F, S> {
    let waiting = Arc::new(Mutex::new(folds.into_iter().map(Some).collect::<Vec<_>>()));
    let share = |_| {
        Mutex::new(Share {
            folds: ranges.iter().map(|_| None).collect(),
            waiting: Arc::clone(&waiting),
            of_thread: of_thread(),
        })
    };
    let shares: Vec<Mutex<Share<F, S>>> = (0..threads(ranges.len())).map(share).collect();
    let offsets: u64 = ranges.iter().map(OffsetRange::offsets).sum();
    let mut result = Ok(());
    if offsets > 0 {
        let mut bar = watch.context.console.progress(progress, Some(offsets));
        result = watch.scan(Isolation::ReadCommitted, group, ranges, &shares, |records| {
            bar.set(records);
            records
        });
    }
    let mut found: Vec<Option<F>> = std::mem::take(&mut *locked(&waiting));
    let mut of_threads = Vec::new();
    for share in shares {
        let share = share.into_inner().unwrap_or_else(PoisonError::into_inner);
        of_threads.push(share.of_thread);
        for (fold, read) in found.iter_mut().zip(share.folds) {
            if read.is_some() {
                *fold = read;
            }
        }
    }
    Scanned { folds: found.into_iter().flatten().collect(), of_threads, result }
}
