//! Scan of orders and events into entries, with one share for each core.

use std::sync::{Arc, Mutex, PoisonError};

use super::cut::Cut;
use crate::audit::service::{ClaimedField, EventRead, Evidence, Fault, Finding, event_entries, order_entries};
use crate::audit::{Place, Side};
use crate::commands::audit::frozen_topic::offsets_between;
use crate::commands::audit::watched_scan::Watch;
use crate::commands::scan_shares::{locked, threads};
use crate::exit::Failure;
use crate::external_sort::ExternalSorter;
use crate::kafka::{Reader, ScanRecord};
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
    /// The position of each partition of the orders.
    pub orders: Vec<i64>,
    /// The position of each partition of the events.
    pub events: Vec<i64>,
    /// Whether a signal ended it.
    pub stopped: bool,
}

struct Share {
    /// The group's offset of each partition of the orders, whose ranges come before those of the events.
    committed: Arc<[i64]>,
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
        // A topic has at most as many partitions as fit into a place.
        let partition = |index: usize| i32::try_from(index).unwrap_or(Place::MAX_PARTITION);
        if let Some(committed) = self.committed.get(range) {
            let place = Place::new(Side::Cause, partition(range), offset);
            order_entries(record.value, place, offset >= *committed, self.field, |entry| self.sorter.push(entry))?;
        } else {
            let place = Place::new(Side::Effect, partition(range - self.committed.len()), offset);
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
    cut: &Cut,
    field: Option<ClaimedField>,
    memory: u64,
    witnesses: usize,
) -> Result<Scanned, Failure> {
    let ranges = cut.ranges();
    let starts: Vec<i64> = ranges.iter().map(|range| range.start).collect();
    let committed: Arc<[i64]> = cut.orders.required.iter().map(|required| required.unwrap_or(0)).collect();
    let threads = threads(ranges.len());
    let share = || {
        Mutex::new(Share {
            committed: Arc::clone(&committed),
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
    if ranges.iter().any(|range| range.offsets() > 0) {
        let offsets = cut.orders.offsets() + cut.events.offsets();
        let mut progress = watch.context.console.progress("offsets read", Some(offsets));
        let result = watch.scan(Isolation::ReadCommitted, group, &ranges, &shares, |_| {
            let passed = shares.iter().map(|share| offsets_between(&starts, &locked(share).positions)).sum();
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
        orders: cut.orders.starts.clone(),
        events: cut.events.starts.clone(),
        stopped,
    };
    for share in shares {
        let share = share.into_inner().unwrap_or_else(PoisonError::into_inner);
        scanned.sorters.push(share.sorter);
        scanned.evidence.merge(share.evidence);
        scanned.skipped += share.skipped;
        scanned.unreadable += share.unreadable;
        let positions = scanned.orders.iter_mut().chain(&mut scanned.events);
        for (position, own) in positions.zip(share.positions) {
            *position = own.max(*position);
        }
    }
    Ok(scanned)
}
