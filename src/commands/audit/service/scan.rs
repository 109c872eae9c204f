//! Scan of orders and events into entries, with one share for each core.

use std::sync::{Arc, Mutex, PoisonError};

use super::cut::Cut;
use crate::audit::service::{ClaimedField, EventRead, Evidence, Fault, Finding, event_entries, order_entries};
use crate::audit::{Place, Side};
use crate::commands::audit::watched_scan::Watch;
use crate::commands::scan_shares::{locked, threads};
use crate::exit::Failure;
use crate::external_sort::ExternalSorter;
use crate::kafka::{OffsetRange, Reader, ScanRecord};
use crate::lag::Isolation;

/// What a scan found, and how far it came.
pub(super) struct Scanned {
    pub sorters: Vec<ExternalSorter>,
    /// Records that are not events.
    pub evidence: Evidence,
    /// Events of other types.
    pub skipped: u64,
    /// How many records are not events.
    pub unreadable: u64,
    /// The position of each range of the cut.
    pub positions: Vec<i64>,
    /// Whether a signal ended it.
    pub stopped: bool,
}

struct Share {
    cut: Arc<Cut>,
    field: Option<ClaimedField>,
    sorter: ExternalSorter,
    evidence: Evidence,
    skipped: u64,
    unreadable: u64,
    positions: Vec<i64>,
}

impl Reader for Share {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        let (range, offset) = (record.range, record.offset);
        let partition = self.cut.ranges[range].topic_partition.partition;
        if let Some(committed) = self.cut.committed.get(range) {
            let place = Place::new(Side::Cause, partition, offset);
            order_entries(record.value, place, offset >= *committed, self.field, |entry| self.sorter.push(entry))?;
        } else {
            let place = Place::new(Side::Effect, partition, offset);
            let keyed = self.field.is_some();
            match event_entries(record.key, record.value, place, keyed, |entry| self.sorter.push(entry))? {
                EventRead::Event => {}
                EventRead::Other => self.skipped += 1,
                EventRead::Unreadable => {
                    self.unreadable += 1;
                    self.evidence.add(Finding::of_event(Fault::Unreadable, place));
                }
            }
        }
        self.positions[range] = offset + 1;
        Ok(())
    }

    fn reached(&mut self, range: usize, position: i64) {
        self.positions[range] = self.positions[range].max(position);
    }
}

/// Reads the ranges of the cut. A stop ends the reading, and what was read until then is the result.
pub(super) fn read(
    watch: &Watch<'_>,
    group: &str,
    cut: &Arc<Cut>,
    field: Option<ClaimedField>,
    memory: u64,
    witnesses: usize,
) -> Result<Scanned, Failure> {
    let starts: Vec<i64> = cut.ranges.iter().map(|range| range.start).collect();
    let threads = threads(cut.ranges.len());
    let share = || {
        Mutex::new(Share {
            cut: Arc::clone(cut),
            field,
            sorter: ExternalSorter::new(memory / threads as u64),
            evidence: Evidence::new(witnesses),
            skipped: 0,
            unreadable: 0,
            positions: starts.clone(),
        })
    };
    let shares: Vec<Mutex<Share>> = (0..threads).map(|_| share()).collect();
    let mut stopped = false;
    if cut.ranges.iter().any(|range| range.offsets() > 0) {
        let mut progress =
            watch.context.console.progress("offsets read", Some(cut.ranges.iter().map(OffsetRange::offsets).sum()));
        let passed = || {
            let of = |share: &Mutex<Share>| {
                let share = locked(share);
                let pairs = share.positions.iter().zip(&starts);
                pairs.map(|(position, start)| u64::try_from(position - start).unwrap_or(0)).sum::<u64>()
            };
            shares.iter().map(of).sum()
        };
        let result = watch.scan(Isolation::ReadCommitted, group, &cut.ranges, &shares, |_| {
            let passed = passed();
            progress.set(passed);
            passed
        });
        match result {
            Err(failure) if failure.code.is_stop() => stopped = true,
            other => other?,
        }
    }
    let mut scanned = Scanned {
        sorters: Vec::new(),
        evidence: Evidence::new(witnesses),
        skipped: 0,
        unreadable: 0,
        positions: starts,
        stopped,
    };
    for share in shares {
        let share = share.into_inner().unwrap_or_else(PoisonError::into_inner);
        scanned.sorters.push(share.sorter);
        scanned.evidence.merge(share.evidence);
        scanned.skipped += share.skipped;
        scanned.unreadable += share.unreadable;
        for (position, own) in scanned.positions.iter_mut().zip(share.positions) {
            *position = own.max(*position);
        }
    }
    Ok(scanned)
}
