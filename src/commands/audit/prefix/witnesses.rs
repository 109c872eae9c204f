//! Witnesses of a prefix: the records of all findings, read again at once, and what they show.

use super::{Frozen, evidence};
use crate::audit::{Finding, Findings, PartitionPlan, PrefixTopic, Witness};
use crate::commands::audit::witness_records::{self, RecordPlace};
use crate::exit::Failure;
use crate::kafka::TopicPartition;
use crate::lag::Isolation;

/// The witnesses of all findings, in the order of their checks.
pub(super) fn of(frozen: &Frozen<'_>, findings: &Findings, plans: &[PartitionPlan]) -> Result<Vec<Witness>, Failure> {
    let findings: Vec<&Finding> = findings.by_check().flat_map(|(_, found)| &found.first).collect();
    let places: Vec<Vec<RecordPlace>> = findings.iter().map(|finding| places(frozen, finding)).collect();
    // The records of a hanging transaction are not committed.
    let isolation = Isolation::ReadUncommitted;
    let mut records = witness_records::read(frozen.context, &frozen.group, isolation, &places.concat())?.into_iter();
    let about: Vec<(i32, i64, u32)> = findings.iter().filter_map(|finding| finding.about).collect();
    let recomputed = evidence::recompute(frozen, plans, &about)?;
    let witness = |(finding, places): (&Finding, &Vec<RecordPlace>)| {
        let own = records.by_ref().take(places.len()).collect();
        finding.witness(own, finding.about.and_then(|about| recomputed.get(&about).cloned()))
    };
    Ok(findings.into_iter().zip(&places).map(witness).collect())
}

/// Where the records of a finding are.
fn places(frozen: &Frozen<'_>, finding: &Finding) -> Vec<RecordPlace> {
    let is_there = |(_, topic, partition, offset): &&(_, PrefixTopic, i32, i64)| {
        // A decision may name an order that does not exist.
        let end = usize::try_from(*partition).ok().and_then(|index| frozen.orders.ends.get(index));
        *topic != PrefixTopic::Orders || end.is_some_and(|end| offset < end)
    };
    let place = |(role, topic, partition, offset): &(&'static str, PrefixTopic, i32, i64)| RecordPlace {
        role,
        topic_partition: TopicPartition::new(frozen.topics.name(*topic), *partition),
        offset: *offset,
    };
    finding.records.iter().filter(is_there).map(place).collect()
}
