//! Decisions that are missing, but were written in a transaction that was aborted or is still open.

use super::Frozen;
use super::folds::PrefixFold;
use crate::audit::{Anomaly, Check, DecisionFold, Finding, Findings, PrefixTopic};
use crate::commands::audit::witness_records::{self, RecordPlace};
use crate::domain::{DecisionRecord, decode_decision};
use crate::exit::Failure;
use crate::kafka::TopicPartition;
use crate::lag::Isolation;

/// The most offsets that are read.
const MOST_OFFSETS: usize = 10_000;

/// The most records that a finding gets.
const MOST_RECORDS: usize = 4;

/// Adds to each missing decision the records of it that committed readers do not see. They are where it would be.
pub(super) fn add(frozen: &Frozen<'_>, folds: &[PrefixFold], findings: &mut Findings) -> Result<(), Failure> {
    let mut holes: Vec<(i32, i64)> = Vec::new();
    for (partition, line) in findings.first_mut(Check::OneDecisionPerLine).iter().filter_map(missing) {
        let of_partition = folds.iter().filter_map(decisions).filter(|fold| fold.partition() == partition);
        let fitting = of_partition.flat_map(DecisionFold::holes).filter(|hole| hole.fits(line));
        holes.extend(fitting.flat_map(|hole| hole.range.clone()).map(|offset| (partition, offset)).take(MOST_OFFSETS));
        holes.sort_unstable();
        holes.dedup();
        holes.truncate(MOST_OFFSETS);
    }
    let place = |(partition, offset): &(i32, i64)| RecordPlace {
        role: "decision",
        topic_partition: TopicPartition::new(frozen.topics.name(PrefixTopic::Decisions), *partition),
        offset: *offset,
    };
    let places: Vec<RecordPlace> = holes.iter().map(place).collect();
    let read = witness_records::read_whole(frozen.context, &frozen.group, Isolation::ReadUncommitted, &places)?;
    let found: Vec<(i32, i64, (i64, u32))> = read
        .iter()
        .filter_map(|(record, found)| match decode_decision(found.value.as_deref()) {
            Ok(DecisionRecord::Decision(decision)) if decision.source.partition == record.partition => {
                Some((record.partition, record.offset, (decision.source.offset, decision.line)))
            }
            _ => None,
        })
        .collect();
    for finding in findings.first_mut(Check::OneDecisionPerLine) {
        let Some(wanted) = missing(finding) else { continue };
        let own = found.iter().filter(|(partition, _, line)| (*partition, *line) == wanted).take(MOST_RECORDS);
        let records =
            own.map(|(partition, offset, _)| ("uncommitted decision", PrefixTopic::Decisions, *partition, *offset));
        finding.records.extend(records);
    }
    Ok(())
}

const fn decisions(fold: &PrefixFold) -> Option<&DecisionFold> {
    match fold {
        PrefixFold::Decisions(fold, _) => Some(fold),
        _ => None,
    }
}

/// Partition, and order and line, of a decision that is missing.
fn missing(finding: &Finding) -> Option<(i32, (i64, u32))> {
    let is_missing = matches!(finding.anomaly, Anomaly::LostWrite | Anomaly::TornTransaction);
    finding.about.filter(|_| is_missing).map(|(partition, order, line)| (partition, (order, line)))
}
