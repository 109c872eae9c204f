//! Evidence of an audit of a prefix: reads partitions again whose outputs are not what they must be.

use std::collections::BTreeMap;

use super::folds::{Collected, PrefixFold};
use super::readings::Readings;
use super::{Frozen, aborted, was_stopped};
use crate::audit::{
    Claims, DecisionFold, EvidenceJudge, Findings, LetterFold, OrderFold, PartitionPlan, PrefixTopic, shown_bytes,
};
use crate::commands::audit::scan_folds::{Scanned, scan_folds};
use crate::commands::scan_shares::threads;
use crate::exit::Failure;
use crate::external_sort::{self, ExternalSorter};
use crate::kafka::OffsetRange;
use crate::shutdown::Shutdown;

/// What the second reading found.
pub(super) struct Evidence<'a> {
    pub plans: &'a [PartitionPlan],
    /// What is claimed about each partition.
    pub claims: Vec<Option<Claims>>,
    pub findings: Findings,
    pub unproved: Vec<String>,
}

/// Compares the sums of each partition, and reads the partitions again in which they differ.
pub(super) fn collect<'a>(
    frozen: &Frozen<'_>,
    plans: &'a [PartitionPlan],
    readings: &Readings,
    later: &[Option<i64>],
    was_stopped: bool,
) -> Result<Evidence<'a>, Failure> {
    let claims: Vec<Option<Claims>> = plans
        .iter()
        .enumerate()
        .map(|(partition, plan)| readings.claims(frozen, plan, partition, later[partition], was_stopped))
        .collect();
    let mut evidence =
        Evidence { plans, claims, findings: Findings::new(frozen.settings.witnesses), unproved: Vec::new() };
    let suspicious: Vec<Option<Collected>> = plans
        .iter()
        .enumerate()
        .map(|(partition, plan)| suspicious(readings, plan, partition, evidence.claims[partition].as_ref()?))
        .collect();
    if suspicious.iter().all(Option::is_none) {
        return Ok(evidence);
    }
    let partitions = |fits: fn(&Collected) -> bool| {
        let fitting = (0..).zip(&suspicious).filter(|(_, collected)| collected.as_ref().is_some_and(fits));
        fitting.map(|(number, _): (usize, _)| number.to_string()).collect::<Vec<_>>().join(", ")
    };
    let judged = if was_stopped { None } else { read_again(frozen, plans, &suspicious, &evidence.claims)? };
    match judged {
        None => {
            evidence.unproved.push(format!(
                "stopped before the differences were compared: the outputs of these partitions differ from the recomputed ones: {}",
                partitions(|_| true)
            ));
            let unfinished = evidence.claims.iter_mut().zip(&suspicious).filter(|(_, collected)| collected.is_some());
            unfinished.for_each(|(claims, _)| *claims = None);
        }
        Some(findings) if findings.has_violations() => evidence.findings = findings,
        Some(_) => {
            // Values that were cut more than usual are not compared before.
            let partitions = partitions(|collected| collected.short_values.is_empty());
            if !partitions.is_empty() {
                evidence.unproved.push(format!(
                    "the outputs of these partitions differ from the recomputed ones, but no record was found that does: {partitions}"
                ));
            }
        }
    }
    Ok(evidence)
}

/// What must be read again of a partition, if anything.
fn suspicious(readings: &Readings, plan: &PartitionPlan, partition: usize, claims: &Claims) -> Option<Collected> {
    let (orders, decisions, letters) =
        (&readings.orders[partition], &readings.decisions[partition], &readings.dead_letters[partition]);
    let collected = Collected {
        decisions: orders.decisions.differing(&decisions.sums, &claims.decided),
        dead_letters: orders.dead_letters.differing(&letters.sums, &claims.dead_letters),
        short_values: letters.short_values.clone(),
        required: plan.orders.required.clone(),
        ..Collected::default()
    };
    let is_outside = |sources: Option<(i64, i64)>| {
        sources.is_some_and(|(lowest, highest)| {
            highest >= claims.undecided_from
                || highest >= claims.orders_end
                || (claims.begins_at_start && lowest < plan.orders.required.start)
        })
    };
    let is_suspicious = !collected.decisions.is_empty()
        || !collected.dead_letters.is_empty()
        || decisions.has_strays
        || letters.has_strays
        || is_outside(decisions.sources)
        || is_outside(letters.sources);
    is_suspicious.then_some(collected)
}

/// Reads partitions again and judges each record; `None` after a stop.
fn read_again(
    frozen: &Frozen<'_>,
    plans: &[PartitionPlan],
    suspicious: &[Option<Collected>],
    claims: &[Option<Claims>],
) -> Result<Option<Findings>, Failure> {
    let topics = &frozen.topics;
    let orders = topics.ranges(PrefixTopic::Orders, &frozen.orders);
    let decisions = topics.ranges(PrefixTopic::Decisions, &frozen.decisions);
    let letters = topics.ranges(PrefixTopic::DeadLetters, &frozen.dead_letters);
    let (mut ranges, mut folds) = (Vec::new(), Vec::new());
    let read = orders.into_iter().zip(decisions).zip(letters);
    for ((plan, collected), ((mut orders, decisions), letters)) in plans.iter().zip(suspicious).zip(read) {
        let Some(collected) = collected else { continue };
        orders.end = plan.orders.required.end.max(orders.start);
        folds.push(orders_again(plan, collected.clone()));
        ranges.push(orders);
        let fold = DecisionFold::new(plan.decisions.clone(), decisions.start, Vec::new(), 0);
        folds.push(PrefixFold::Decisions(Box::new(fold), Some(collected.clone())));
        ranges.push(decisions);
        let name = topics.name(PrefixTopic::Orders);
        let fold = LetterFold::new(name, plan.orders.partition, &plan.orders.required, letters.start);
        folds.push(PrefixFold::DeadLetters(Box::new(fold), Some(collected.clone())));
        ranges.push(letters);
    }
    let share = frozen.settings.memory / threads(ranges.len()) as u64;
    let Scanned { folds, of_threads, result } =
        scan_folds(&frozen.watch(), &frozen.group, &ranges, folds, || ExternalSorter::new(share), "records compared");
    if was_stopped(result)? {
        return Ok(None);
    }
    let mut judge = EvidenceJudge::new(claims, frozen.settings.witnesses);
    let judged = external_sort::merge(of_threads)?.try_for_each(|entry| {
        frozen.context.shutdown.check()?;
        judge.entry(entry?);
        Ok(())
    });
    if was_stopped(judged)? {
        return Ok(None);
    }
    judge.finish();
    for fold in &folds {
        if let PrefixFold::Decisions(fold, Some(collected)) = fold {
            judge.add_skipped(fold.partition(), &collected.skipped);
        }
    }
    aborted::add(frozen, &folds, &mut judge.findings)?;
    Ok(Some(judge.findings))
}

/// A fold over the orders that must be decided, with what it collects.
fn orders_again(plan: &PartitionPlan, collected: Collected) -> PrefixFold {
    let mut bounds = plan.orders.clone();
    (bounds.fold_end, bounds.ledger_position) = (bounds.required.end, None);
    let mut fold = OrderFold::new(bounds, Vec::new());
    fold.short_values.clone_from(&collected.short_values);
    PrefixFold::Orders(Box::new(fold), Some(collected))
}

/// Partition, order and line of a decision.
type Coordinates = (i32, i64, u32);

/// The values of decisions that follow from the orders, where they can be recomputed.
pub(super) fn recompute(
    frozen: &Frozen<'_>,
    plans: &[PartitionPlan],
    wanted: &[Coordinates],
) -> Result<BTreeMap<Coordinates, String>, Failure> {
    let mut by_partition: BTreeMap<i32, Collected> = BTreeMap::new();
    for (partition, order, line) in wanted {
        by_partition.entry(*partition).or_default().wanted.insert((*order, *line), None);
    }
    let (mut ranges, mut folds) = (Vec::new(), Vec::new());
    let orders = frozen.topics.ranges(PrefixTopic::Orders, &frozen.orders);
    for (plan, range) in plans.iter().zip(orders) {
        let Some(mut collected) = by_partition.remove(&plan.orders.partition) else { continue };
        let last = collected.wanted.keys().next_back().map_or(range.start, |(order, _)| order + 1);
        // Nothing is compared.
        collected.required = plan.orders.required.clone();
        if plan.orders.settings.is_some() {
            ranges.push(OffsetRange { end: last, ..range });
            folds.push(orders_again(plan, collected));
        }
    }
    let scanned =
        scan_folds(&frozen.watch(), &frozen.group, &ranges, folds, || ExternalSorter::new(0), "orders recomputed");
    let _stopped = was_stopped(scanned.result)?;
    let mut found = BTreeMap::new();
    for fold in scanned.folds {
        let PrefixFold::Orders(fold, Some(collected)) = fold else { continue };
        let partition = fold.bounds().partition;
        let kept =
            collected.wanted.into_iter().filter_map(|((order, line), json)| Some(((partition, order, line), json?)));
        found.extend(kept.map(|(coordinates, json)| (coordinates, shown_bytes(&json))));
    }
    Ok(found)
}

/// How many orders have an id that an earlier one has. Fails when a stop is requested.
pub(super) fn repeated(sorters: Vec<ExternalSorter>, shutdown: &Shutdown) -> Result<u64, Failure> {
    let (mut last, mut repeated) = (None, 0);
    for entry in external_sort::merge(sorters)? {
        shutdown.check()?;
        let key = entry?.key;
        repeated += u64::from(last == Some(key));
        last = Some(key);
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Place, Side};
    use crate::shutdown::Signal;

    #[test]
    fn repeated_orders_are_counted_until_a_stop() {
        let sorted = || {
            let mut sorter = ExternalSorter::new(0);
            for key in [7, 3, 7, 7, 5] {
                sorter.push(Entry { key, place: Place::new(Side::Cause, 0, 0), detail: 0 }).expect("memory");
            }
            vec![sorter]
        };
        let shutdown = Shutdown::default();
        assert_eq!(repeated(sorted(), &shutdown).expect("not stopped"), 2);
        assert!(shutdown.request(Signal::Interrupt));
        assert!(repeated(sorted(), &shutdown).expect_err("stopped").code.is_stop());
    }
}
