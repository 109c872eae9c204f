//! Result of an audit of a prefix: what the first reading shows, and the document with its evidence.

use super::evidence::Evidence;
use super::readings::Readings;
use super::{Frozen, ReaderPosition, witnesses};
use crate::audit::{
    Anomaly, AuditDocument, Check, Claims, CoveredRange, Finding, Findings, PartitionPlan, PrefixTopic, Subject,
    Witness,
};
use crate::exit::Failure;
use crate::units::grouped;

/// Compares position records, counts, digests and the ledger with what was read, and adds what the folds found.
pub(super) fn compare(
    frozen: &Frozen<'_>,
    plans: &[PartitionPlan],
    readings: &mut Readings,
    was_stopped: bool,
    findings: &mut Findings,
) {
    for (partition, plan) in plans.iter().enumerate() {
        let (orders, decisions) = (&readings.orders[partition], &mut readings.decisions[partition]);
        if !plan.has_sources {
            continue;
        }
        findings.append(decisions.take_findings());
        findings.checked(Check::DecisionsHaveASource, decisions.decisions);
        if plan.decisions.settings.is_some() {
            findings.checked(Check::DecisionsRecompute, decisions.decisions);
        }
        findings.checked(Check::DeadLettersOnce, orders.required.dead_letters);
        let Some(position) = frozen.ledgers[partition].position() else { continue };
        let number = plan.orders.partition;
        let record = frozen.ledgers[partition].position_offset();
        if let (Some(expected), Some(settings)) = (&orders.at_position, &plan.orders.settings) {
            frozen.ledgers[partition].compare(number, expected, settings, findings);
            findings.checked(Check::CountsAgree, 1);
            let differing = expected
                .counts
                .named()
                .into_iter()
                // An older version kept fewer counts and no sizes.
                .filter_map(|(name, count)| Some((name, count, *position.counts.get(name)?)))
                .chain(
                    expected.holds.iter().filter_map(|(name, size)| Some((*name, *size, *position.holds.get(*name)?))),
                )
                .find(|(_, count, kept)| count != kept);
            if let Some((name, count, kept)) = differing {
                findings.violated(Check::CountsAgree, || {
                    Finding::new(Anomaly::WrongValue, format!("the count of {name} in partition {number} is another"))
                        .values(format!("{name} {count}"), format!("{name} {kept}"))
                        .record("position", PrefixTopic::Ledger, number, record)
                });
            }
        }
        if let Some((digest, _)) = orders.marks.between(position.log_start, position.next_offset)
            && position.counts.contains_key("records")
        {
            // An older version kept no digest.
            findings.checked(Check::RecordsUnchanged, 1);
            if digest != position.digest {
                let Some(changed) = frozen.ledgers[partition].changed_orders(&orders.marks) else { continue };
                findings.violated(Check::RecordsUnchanged, || {
                    let (start, end) = (changed.range.start, changed.range.end);
                    let topic = frozen.topics.name(PrefixTopic::Orders);
                    let summary =
                        format!("records {start} to {end} of {topic}/{number} are not those that were decided");
                    Finding::new(Anomaly::WrongValue, summary)
                        .values(format!("digest {}", changed.expected), format!("digest {}", changed.found))
                        .record("position before", PrefixTopic::Ledger, number, changed.records.0)
                        .record("position", PrefixTopic::Ledger, number, changed.records.1)
                });
            }
        }
    }
    if !was_stopped {
        compare_readers(frozen, readings, findings);
    }
}

/// Compares what analytics groups have read with what is there now.
fn compare_readers(frozen: &Frozen<'_>, readings: &Readings, findings: &mut Findings) {
    for ReaderPosition { group, topic, partition, position, record } in &frozen.readers {
        let Ok(index) = usize::try_from(*partition) else { continue };
        let (marks, ends) = match frozen.source(topic) {
            Some(PrefixTopic::Orders) => (readings.orders.get(index).map(|fold| &fold.marks), &frozen.orders.ends),
            Some(_) => (readings.decisions.get(index).map(|fold| &fold.marks), &frozen.decisions.ends),
            None => continue,
        };
        if frozen.was_recreated(topic, position) || frozen.topics.compacted().any(|compacted| compacted == topic) {
            continue;
        }
        let Some((marks, &log_end)) = marks.zip(ends.get(index)) else { continue };
        let (start, end) = (position.log_start, position.next_offset);
        if end > log_end {
            // The position was read before the end of the log.
            findings.checked(Check::CommittedReadersAgree, 1);
            findings.violated(Check::CommittedReadersAgree, || {
                let summary = format!("group {group} has read {topic}/{partition} beyond its end");
                Finding::new(Anomaly::AbortedRead, summary)
                    .values(format!("records up to offset {end}"), format!("the log ends at {log_end}"))
                    .record("position", PrefixTopic::State, record.0, record.1)
            });
            continue;
        }
        let Some((digest, records)) = marks.between(start, end) else { continue };
        findings.checked(Check::CommittedReadersAgree, 1);
        let Some(&counted) = position.counts.get("records") else { continue };
        if digest != position.digest || records != counted {
            findings.violated(Check::CommittedReadersAgree, || {
                let summary = format!("group {group} has read other records {start} to {end} of {topic}/{partition}");
                Finding::new(Anomaly::AbortedRead, summary)
                    .values(
                        format!("{counted} records with digest {}", position.digest),
                        format!("{records} records with digest {digest}"),
                    )
                    .record("position", PrefixTopic::State, record.0, record.1)
            });
        }
    }
}

/// Builds the document.
pub(super) fn document(
    frozen: &Frozen<'_>,
    plans: &[PartitionPlan],
    readings: &Readings,
    mut findings: Findings,
    evidence: Evidence,
    was_stopped: bool,
) -> Result<AuditDocument, Failure> {
    let mut document = AuditDocument::new(Subject::Prefix);
    document.group = Some(frozen.group.clone());
    for (orders, claims) in readings.orders.iter().zip(&evidence.claims) {
        // After a stop, or if decisions are gone, only the orders count whose decisions were read.
        let (orders, lines) = match claims {
            Some(claims) if claims.decided == orders.bounds().required => {
                (orders.required.orders, orders.required.lines)
            }
            Some(claims) => orders.orders_and_lines(&claims.decided),
            None => (0, 0),
        };
        document.orders += orders;
        findings.checked(Check::OneDecisionPerLine, lines);
    }
    document.decisions = readings.decisions.iter().map(|fold| fold.decisions).sum();
    document.unproved.extend(unproved(frozen, plans, was_stopped));
    document.unproved.extend(evidence.unproved);
    document.covered = covered(frozen, readings, &evidence.claims);
    findings.append(evidence.findings);
    let mut witnesses = witnesses::of(frozen, &findings, evidence.plans)?.into_iter();
    for (check, found) in findings.by_check() {
        let own: Vec<Witness> = witnesses.by_ref().take(found.first.len()).collect();
        let Some(result) = document.check(check) else { continue };
        (result.checked, result.violations) = (found.checked, found.violations);
        for witness in own {
            result.witness(witness, frozen.settings.witnesses);
        }
    }
    document.judge();
    Ok(document)
}

/// What could not be judged.
fn unproved(frozen: &Frozen<'_>, plans: &[PartitionPlan], was_stopped: bool) -> Vec<String> {
    let mut unproved: Vec<String> = plans.iter().flat_map(|plan| plan.unproved.clone()).collect();
    if was_stopped {
        unproved.push("stopped before everything was read".to_owned());
    }
    for topic in frozen.topics.compacted() {
        unproved.push(format!("{topic} is compacted: records with the same key may be gone"));
    }
    let has_orders = frozen.orders.starts.iter().zip(&frozen.orders.ends).any(|(start, end)| start < end);
    if has_orders && frozen.committed.iter().all(Option::is_none) {
        let owner = frozen.ledgers.iter().find_map(|ledger| Some(&ledger.position()?.group));
        let owner = owner.filter(|owner| **owner != frozen.group);
        let owner = owner.map_or_else(String::new, |owner| format!("; the ledger belongs to group {owner}"));
        unproved
            .push(format!("group {} has committed no offsets: no order is claimed to be decided{owner}", frozen.group));
    }
    for (partition, start) in frozen.dead_letters.starts.iter().enumerate().filter(|(_, start)| **start > 0) {
        unproved.push(format!(
            "dead letters of partition {partition} below offset {} are gone: bad records before them cannot be judged",
            grouped(*start)
        ));
    }
    let gone = |ReaderPosition { topic, partition, position, .. }: &ReaderPosition| {
        let starts = match frozen.source(topic)? {
            PrefixTopic::Orders => &frozen.orders.starts,
            _ => &frozen.decisions.starts,
        };
        let start = *starts.get(usize::try_from(*partition).ok()?)?;
        (position.log_start < start || frozen.was_recreated(topic, position)).then(|| format!("{topic}/{partition}"))
    };
    let gone: Vec<String> = frozen.readers.iter().filter_map(gone).collect();
    if let Some(first) = gone.first() {
        unproved.push(format!("records of {first} that an analytics group has counted are gone"));
    }
    unproved
}

/// What was judged of each partition.
fn covered(frozen: &Frozen<'_>, readings: &Readings, claims: &[Option<Claims>]) -> Vec<CoveredRange> {
    let mut covered = Vec::new();
    let mut add = |topic: PrefixTopic, partition: usize, start: i64, end: i64| {
        covered.push(CoveredRange {
            topic: frozen.topics.name(topic).to_owned(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            start,
            end: end.max(start),
        });
    };
    for partition in frozen.partitions() {
        let start = frozen.orders.starts[partition];
        let decided = claims[partition].as_ref().map_or(start..start, |claims| claims.decided.clone());
        add(PrefixTopic::Orders, partition, decided.start, decided.end);
    }
    for partition in frozen.partitions() {
        let end = readings.decisions[partition].position;
        add(PrefixTopic::Decisions, partition, frozen.decisions.starts[partition], end);
    }
    for partition in frozen.partitions() {
        let offsets = &frozen.ledger_offsets;
        add(PrefixTopic::Ledger, partition, offsets.starts[partition], offsets.ends[partition]);
    }
    for partition in frozen.partitions() {
        let end = readings.dead_letters[partition].position;
        add(PrefixTopic::DeadLetters, partition, frozen.dead_letters.starts[partition], end);
    }
    covered
}
