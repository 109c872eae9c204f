//! Scan of log ranges into metrics, for `analytics --from-beginning` and `replay`.

use std::sync::{Arc, Mutex, PoisonError};

use super::Context;
use super::group::InputPartition;
use super::scan_shares::{locked, threads};
use crate::analytics::{CountsStore, Feed, Metrics};
use crate::exit::Failure;
use crate::kafka::{OffsetRange, Reader, ScanRecord, scan};
use crate::state::Digest;

/// What was counted of a partition up to a position.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub counts: CountsStore,
    pub digest: Digest,
    pub records: u64,
    /// Everything below it is counted.
    pub position: i64,
}

impl Fold {
    pub fn empty(log_start: i64) -> Self {
        Self { position: log_start, ..Self::default() }
    }
}

/// Folds during a scan, each in the share that reads its range.
#[derive(Debug)]
pub(super) struct RunningFolds {
    shares: Vec<Mutex<FoldShare>>,
    /// Folds of ranges that no thread has started to read.
    waiting: Arc<Mutex<Vec<Option<Fold>>>>,
}

#[derive(Debug)]
struct FoldShare {
    feeds: Arc<[Feed]>,
    folds: Vec<Option<Fold>>,
    waiting: Arc<Mutex<Vec<Option<Fold>>>>,
}

impl FoldShare {
    fn fold(&mut self, range: usize) -> &mut Fold {
        let waiting = &self.waiting;
        self.folds[range].get_or_insert_with(|| locked(waiting)[range].take().unwrap_or_default())
    }
}

impl Reader for FoldShare {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        let feed = self.feeds[record.range];
        let fold = self.fold(record.range);
        fold.counts.record(feed, record.value);
        fold.digest.add(record.offset, record.key, record.value);
        fold.records += 1;
        fold.position = record.offset + 1;
        Ok(())
    }

    fn reached(&mut self, range: usize, position: i64) {
        let fold = self.fold(range);
        fold.position = fold.position.max(position);
    }
}

impl RunningFolds {
    fn new(inputs: &[InputPartition], folds: Vec<Fold>) -> Self {
        let feeds: Arc<[Feed]> = inputs.iter().map(|input| input.feed).collect();
        let waiting = Arc::new(Mutex::new(folds.into_iter().map(Some).collect::<Vec<_>>()));
        let share = || {
            Mutex::new(FoldShare {
                feeds: Arc::clone(&feeds),
                folds: inputs.iter().map(|_| None).collect(),
                waiting: Arc::clone(&waiting),
            })
        };
        Self { shares: (0..threads(inputs.len())).map(|_| share()).collect(), waiting }
    }

    /// Calls `show` for each fold that is being read, with its range. Other threads continue to read.
    pub fn each(&self, mut show: impl FnMut(usize, &mut Fold)) {
        for share in &self.shares {
            for (range, fold) in locked(share).folds.iter_mut().enumerate() {
                if let Some(fold) = fold {
                    show(range, fold);
                }
            }
        }
    }

    /// The offsets that were passed since the scan began at these positions.
    pub fn offsets(&self, starts: &[i64]) -> u64 {
        let mut passed = 0;
        self.each(|range, fold| passed += u64::try_from(fold.position - starts[range]).unwrap_or(0));
        passed
    }

    fn into_folds(self) -> Vec<Fold> {
        let mut folds: Vec<Option<Fold>> = std::mem::take(&mut *locked(&self.waiting));
        for share in self.shares {
            let share = share.into_inner().unwrap_or_else(PoisonError::into_inner);
            for (input, fold) in folds.iter_mut().zip(share.folds) {
                if fold.is_some() {
                    *input = fold;
                }
            }
        }
        folds.into_iter().map(Option::unwrap_or_default).collect()
    }
}

/// Reads each input from its fold's position to its end, at scan speed.
///
/// `tick` is called about every 50 ms, and may inspect the folds.
pub(super) fn fold(
    context: &Context,
    group: &str,
    inputs: &[InputPartition],
    folds: Vec<Fold>,
    ends: &[i64],
    mut tick: impl FnMut(&RunningFolds) -> Result<(), Failure>,
) -> Result<Vec<Fold>, Failure> {
    let ranges: Vec<OffsetRange> = inputs
        .iter()
        .zip(&folds)
        .zip(ends)
        .map(|((input, fold), end)| OffsetRange {
            topic_partition: input.source.clone(),
            start: fold.position,
            end: *end,
        })
        .collect();
    let folding = RunningFolds::new(inputs, folds);
    if ranges.iter().any(|range| range.offsets() > 0) {
        let connection = &context.common.connection;
        scan(connection, group, &ranges, &folding.shares, &context.shutdown, |_| tick(&folding))?;
    }
    Ok(folding.into_folds())
}

/// The metrics of folds that start at these offsets.
pub(super) fn metrics(inputs: &[InputPartition], folds: &[Fold], starts: &[i64]) -> Metrics {
    let mut metrics = Metrics::default();
    for ((input, fold), start) in inputs.iter().zip(folds).zip(starts) {
        metrics.add(&fold.counts);
        metrics.add_range(&input.source.topic, input.source.partition, *start, fold.position, fold.digest);
    }
    metrics
}
