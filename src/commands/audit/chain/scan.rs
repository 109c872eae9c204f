//! Scan of a chain: reads the inputs, then the outputs, into sorters.

use std::sync::{Arc, Mutex, PoisonError};

use super::topics::Frozen;
use crate::audit::{Demand, Entry, MatchedField, Place, RecordParts, Side, Unmatched};
use crate::commands::Context;
use crate::commands::audit::frozen_topic::{FrozenTopic, offsets_between};
use crate::commands::audit::watched_scan::Watch;
use crate::commands::scan_shares::{locked, threads};
use crate::console::Progress;
use crate::exit::Failure;
use crate::external_sort::ExternalSorter;
use crate::kafka::{Inspector, Reader, ScanRecord};
use crate::lag::Isolation;
use crate::settings::{AuditSettings, ChainSettings};

/// What was read.
#[derive(Debug)]
pub(super) struct ChainScan {
    pub sorters: Vec<ExternalSorter>,
    pub inputs: SideScan,
    pub outputs: SideScan,
    /// Whether a stop ended the reading.
    pub is_stopped: bool,
}

/// What was read of one topic.
#[derive(Debug)]
pub(super) struct SideScan {
    /// Of each partition, the position that was reached.
    pub positions: Vec<i64>,
    /// All records.
    pub records: u64,
    pub unmatched: Unmatched,
    /// The unmatched records that must have outputs.
    pub required_unmatched: u64,
}

/// One thread's part of a topic.
#[derive(Debug)]
struct Share {
    side: Side,
    field: Arc<MatchedField>,
    /// Records below these offsets must have outputs.
    required: Arc<[i64]>,
    sorter: ExternalSorter,
    read: SideScan,
}

impl Reader for Share {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        let ScanRecord { range, offset, key, value, .. } = record;
        let mut header = None;
        if let Some(name) = self.field.header() {
            record.headers.each(|found, value| {
                if found == name {
                    header = value;
                }
            });
        }
        // A topic has at most as many partitions as fit into a place.
        let place = Place::new(self.side, i32::try_from(range).unwrap_or(Place::MAX_PARTITION), offset);
        let demand = if offset < self.required[range] { Demand::Required } else { Demand::Optional };
        self.read.records += 1;
        self.read.positions[range] = offset + 1;
        if let Some(key) = self.field.hash(RecordParts { key, value, header }) {
            return self.sorter.push(Entry { key, place, detail: demand.detail() });
        }
        self.read.unmatched.add(place);
        self.read.required_unmatched += u64::from(demand == Demand::Required);
        Ok(())
    }

    fn reached(&mut self, range: usize, position: i64) {
        let reached = &mut self.read.positions[range];
        *reached = (*reached).max(position);
    }
}

/// Reads both topics. The inputs come first: what is known of all inputs can be claimed of a part of the outputs.
pub(super) fn read(
    context: &Context,
    settings: &AuditSettings,
    chain: &ChainSettings,
    inspector: &Inspector,
    group: &str,
    frozen: &Frozen,
) -> Result<ChainScan, Failure> {
    let threads = threads(usize::MAX);
    let memory = settings.memory / u64::try_from(threads).unwrap_or(1);
    let mut reading = Reading {
        context,
        inspector: inspector.clone(),
        group,
        witnesses: settings.witnesses,
        sorters: (0..threads).map(|_| ExternalSorter::new(memory)).collect(),
        progress: context.console.progress("offsets read", Some(frozen.inputs.offsets() + frozen.outputs.offsets())),
        passed: 0,
        is_stopped: false,
    };
    let field = MatchedField::new(&chain.match_in);
    let inputs = reading.side(&frozen.inputs, Side::Cause, field, Isolation::ReadCommitted)?;
    let field = MatchedField::new(&chain.match_out);
    let outputs = reading.side(&frozen.outputs, Side::Effect, field, chain.isolation)?;
    Ok(ChainScan { sorters: reading.sorters, inputs, outputs, is_stopped: reading.is_stopped })
}

struct Reading<'a> {
    context: &'a Context,
    inspector: Inspector,
    group: &'a str,
    witnesses: usize,
    sorters: Vec<ExternalSorter>,
    progress: Progress<'a>,
    /// The offsets of the topics that were read before.
    passed: u64,
    is_stopped: bool,
}

impl Reading<'_> {
    fn side(
        &mut self,
        topic: &FrozenTopic,
        side: Side,
        field: MatchedField,
        isolation: Isolation,
    ) -> Result<SideScan, Failure> {
        let ranges = topic.ranges();
        let (field, required) =
            (Arc::new(field), topic.required.iter().map(|required| required.unwrap_or(0)).collect());
        let nothing = || SideScan {
            positions: topic.starts.clone(),
            records: 0,
            unmatched: Unmatched::new(self.witnesses),
            required_unmatched: 0,
        };
        let shares: Vec<Mutex<Share>> = std::mem::take(&mut self.sorters)
            .into_iter()
            .map(|sorter| {
                let (field, required) = (Arc::clone(&field), Arc::clone(&required));
                Mutex::new(Share { side, field, required, sorter, read: nothing() })
            })
            .collect();
        let mut all = nothing();
        if !self.is_stopped {
            let watch = Watch::new(self.context, &self.inspector, vec![topic.watched()]);
            let read = watch.scan(isolation, self.group, &ranges, &shares, |_| {
                let shares = shares.iter();
                let offsets = shares.map(|share| offsets_between(&topic.starts, &locked(share).read.positions)).sum();
                self.progress.set(self.passed + offsets);
                offsets
            });
            match read {
                Err(failure) if failure.code.is_stop() => self.is_stopped = true,
                other => other?,
            }
        }
        for share in shares {
            let Share { sorter, read, .. } = share.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.sorters.push(sorter);
            all.records += read.records;
            all.required_unmatched += read.required_unmatched;
            all.unmatched.merge(&read.unmatched);
            for (position, own) in all.positions.iter_mut().zip(read.positions) {
                *position = (*position).max(own);
            }
        }
        self.passed += offsets_between(&topic.starts, &all.positions);
        Ok(all)
    }
}
