//! Result of an audit of a prefix: what the first reading shows, and the document with its evidence.

use super::evidence::Evidence;
use super::readings::Readings;
use super::{Frozen, Reader, witnesses};
use crate::audit::{
    Anomaly, AuditDocument, Check, Claims, CoveredRange, Finding, Findings, PartitionPlan, PrefixTopic, Subject,
    Witness,
};
use crate::exit::Failure;
use crate::printable::printable;
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
        let Some(record) = frozen.ledgers[partition].position_record() else { continue };
        let Some(position) = record.position() else { continue };
        let number = plan.orders.partition;
        if let (Some(expected), Some(settings)) = (&orders.at_position, &plan.orders.settings) {
            frozen.ledgers[partition].compare(number, expected, settings, findings);
            findings.checked(Check::CountsAgree, 1);
            let counts = expected.counts.named().map(|(name, count)| (name, count, position.counts.get(name)));
            let holds = expected.holds.iter().map(|(name, size)| (*name, *size, position.holds.get(*name)));
            let differing = counts.into_iter().chain(holds).find(|(_, count, kept)| *kept != Some(count));
            if let Some((name, count, kept)) = differing {
                findings.violated(Check::CountsAgree, || {
                    Finding::new(Anomaly::WrongValue, format!("the count of {name} in partition {number} differs"))
                        .values(format!("{name} {count}"), kept.map(|kept| format!("{name} {kept}")))
                        .record("position", PrefixTopic::Ledger, number, record.offset)
                });
            }
        }
        if let Some((digest, _)) = orders.marks.between(position.log_start, position.next_offset) {
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
    let check = Check::CommittedReadersAgree;
    for reader in &frozen.readers {
        let Some(source) = frozen.source(&reader.topic) else { continue };
        let log = frozen.log_of(reader);
        let is_gone = |position| frozen.is_gone(reader, position);
        if reader.record.position().is_some_and(is_gone) || frozen.topics.compacted().any(|name| name == reader.topic) {
            continue;
        }
        findings.checked(check, 1);
        let (group, topic, partition) = (printable(&reader.group), &reader.topic, reader.partition);
        let finding = |anomaly: Anomaly, summary: String| {
            let state = reader.state_partition;
            Finding::new(anomaly, summary).record("position", PrefixTopic::State, state, reader.record.offset)
        };
        let position = match (reader.record.position(), reader.record.problem()) {
            (Some(position), None) => position,
            (_, problem) => {
                findings.violated(check, || {
                    let problem = problem.unwrap_or_default();
                    let summary = format!("the position record of group {group} for {topic}/{partition} {problem}");
                    finding(Anomaly::WrongValue, summary).expects("a position record as this version writes it")
                });
                continue;
            }
        };
        let (start, end) = (position.log_start, position.next_offset);
        if let Some(log) = log.filter(|log| end > log.end) {
            // The position was read before the end of the log.
            findings.violated(check, || {
                let summary = format!("group {group} has read {topic}/{partition} beyond its end");
                finding(Anomaly::AbortedRead, summary)
                    .values(format!("records up to offset {end}"), format!("the log ends at {}", log.end))
            });
            continue;
        }
        let read = usize::try_from(partition).ok().and_then(|index| match source {
            PrefixTopic::Orders => readings.orders.get(index)?.marks.between(start, end),
            _ => readings.decisions.get(index)?.marks.between(start, end),
        });
        let counted = position.counts.get("records");
        if read.is_none_or(|(digest, records)| digest != position.digest || Some(&records) != counted) {
            findings.violated(check, || {
                let summary = format!("group {group} has read other records {start} to {end} of {topic}/{partition}");
                let records = |count: Option<&u64>| count.map_or("no count of".to_owned(), u64::to_string);
                finding(Anomaly::AbortedRead, summary).values(
                    format!("{} records with digest {}", records(counted), position.digest),
                    read.map(|(digest, count)| format!("{count} records with digest {digest}")),
                )
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
        // After a stop, or if outputs are gone, only the orders count whose outputs were compared.
        let Some(claims) = claims else { continue };
        let decided = orders.sizes(&claims.decided);
        document.orders += decided.orders;
        findings.checked(Check::OneDecisionPerLine, decided.lines);
        findings.checked(Check::DecisionsHaveASource, decided.lines);
        if orders.bounds().settings.is_some() {
            findings.checked(Check::DecisionsRecompute, decided.lines);
        }
        findings.checked(Check::DeadLettersOnce, orders.sizes(&claims.dead_letters).dead_letters);
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
        // A decision without an order is a violation, but belongs to no line that was compared.
        (result.checked, result.violations) = (found.checked.max(found.violations), found.violations);
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
    let gone = frozen.readers.iter().find(|reader| {
        let is_gone = |position| frozen.is_gone(reader, position);
        frozen.source(&reader.topic).is_some() && reader.record.position().is_some_and(is_gone)
    });
    if let Some(Reader { topic, partition, .. }) = gone {
        unproved.push(format!("records of {topic}/{partition} that an analytics group has counted are gone"));
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
