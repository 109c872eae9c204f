//! Audit of another inventory service: its events are compared with the lines of the orders below the committed offsets
//! of its group.

mod cut;
mod scan;
mod witnesses;

use std::sync::Arc;

use self::cut::Cut;
use crate::audit::service::{ClaimedField, Evidence, MOST_OF_AN_ID, Matcher, OrderCheck, Totals, Whole};
use crate::audit::{AuditDocument, Check, CoveredRange, Subject};
use crate::cli::OrderField;
use crate::commands::Context;
use crate::commands::audit::comparing::{NOT_COMPARED, each_entry};
use crate::exit::Failure;
use crate::external_sort::{self, ExternalSorter};
use crate::kafka::Inspector;
use crate::settings::{AuditSettings, ServiceSettings};
use crate::units::{counted, grouped};

/// Judges the events of a service about the orders of the prefix. After a stop it judges what was read until then.
pub(super) fn audit(
    context: &Context,
    settings: &AuditSettings,
    service: &ServiceSettings,
) -> Result<AuditDocument, Failure> {
    let group = &service.group;
    let inspector = Inspector::open(&context.common.connection, group, &context.shutdown)?.describe_only();
    let field = service.ordered_by.map(claimed);
    let mut document = AuditDocument::new(Subject::Service);
    document.group = Some(group.clone());
    if field.is_none() {
        // Nothing is claimed about keys and order.
        let not_claimed = [Check::KeysAreKept.name(), Check::OrderIsKept.name()];
        document.checks.retain(|check| !not_claimed.contains(&check.name.as_str()));
    }
    let partitions = cut::find(context, &inspector, service)?;
    document.live = !inspector.group_members(group)?.members.is_empty();
    let Some(cut) = Cut::freeze(context, &inspector, &partitions)? else {
        document.unproved.push(format!("group {group} has committed no offsets: nothing to judge"));
        document.judge();
        return Ok(document);
    };
    let cut = Arc::new(cut);
    // The second sort needs memory while the first one still has its entries.
    let memory = if field.is_some() { settings.memory / 2 } else { settings.memory };
    let watch = cut.watch(context, &inspector, &partitions);
    let scanned = scan::read(&watch, group, &cut, field, memory, settings.witnesses)?;
    document.unproved.clone_from(&cut.unproved);
    if scanned.stopped {
        document.unproved.push("stopped before everything was read".to_owned());
    } else {
        watch.check()?;
        match cut.set_back(context, &inspector, &partitions) {
            Err(failure) if failure.code.is_stop() => {}
            set_back => document.unproved.extend(set_back?),
        }
    }
    if scanned.skipped > 0 {
        let skipped = counted(scanned.skipped, "record");
        context.console.note(&format!("{skipped} of other event types in {} skipped", service.decisions));
    }
    let ends_reached: Vec<bool> =
        cut.ranges.iter().zip(&scanned.positions).map(|(range, position)| *position >= range.end).collect();
    let (orders_read, events_read) = ends_reached.split_at(cut.committed.len());
    let whole = Whole {
        orders: cut.orders_whole && orders_read.iter().all(|read| *read),
        events: cut.events_whole && events_read.iter().all(|read| *read),
    };
    document.covered = covered(&cut, &scanned.positions);
    note_unjudged(context, &cut, document.live);

    let mut matcher = Matcher::new(whole, field.is_some(), settings.witnesses);
    let mut pairs = ExternalSorter::new(memory);
    let mut order = OrderCheck::new(settings.witnesses);
    let entries = external_sort::merge(scanned.sorters)?;
    if each_entry(&context.shutdown, entries, |entry| matcher.push(entry, |pair| pairs.push(pair)))? {
        matcher.finish(|pair| pairs.push(pair))?;
        let all_compared = each_entry(&context.shutdown, external_sort::merge(vec![pairs])?, |pair| {
            order.push(pair);
            Ok(())
        })?;
        if all_compared {
            order.finish();
        } else {
            document.unproved.push(NOT_COMPARED.to_owned());
            order = OrderCheck::new(settings.witnesses);
        }
    } else {
        document.unproved.push(NOT_COMPARED.to_owned());
        matcher = Matcher::new(whole, field.is_some(), settings.witnesses);
    }

    let Matcher { totals, mut evidence, .. } = matcher;
    evidence.merge(scanned.evidence);
    evidence.merge(order.evidence);
    fill(&mut document, &totals, scanned.unreadable, order.events, &evidence);
    explain(&mut document, &totals);
    witnesses::add(context, service, field, &mut document, &evidence, settings.witnesses)?;
    document.judge();
    Ok(document)
}

/// The offsets that were judged: of the orders those below the committed offsets.
fn covered(cut: &Cut, positions: &[i64]) -> Vec<CoveredRange> {
    let limits = cut.committed.iter().copied().chain(std::iter::repeat(i64::MAX));
    let ranges = cut.ranges.iter().zip(positions).zip(limits);
    ranges
        .map(|((range, position), limit)| CoveredRange {
            topic: range.topic_partition.topic.clone(),
            partition: range.topic_partition.partition,
            start: range.start,
            end: (*position).min(limit).max(range.start),
        })
        .collect()
}

/// Says how much a service that is not running has left: nothing is claimed about it.
fn note_unjudged(context: &Context, cut: &Cut, is_live: bool) {
    let left = cut.ranges.iter().zip(&cut.committed);
    let left: i64 = left.map(|(range, committed)| (range.end - range.start.max(*committed)).max(0)).sum();
    if left > 0 && !is_live {
        let offsets = counted(left.unsigned_abs(), "offset");
        context.console.note(&format!(
            "the service has not committed the last {offsets} of the orders: nothing is claimed about them"
        ));
    }
}

const fn claimed(field: OrderField) -> ClaimedField {
    match field {
        OrderField::RestaurantId => ClaimedField::RestaurantId,
        OrderField::UserId => ClaimedField::UserId,
        OrderField::OrderId => ClaimedField::OrderId,
    }
}

/// Fills in the counts.
fn fill(document: &mut AuditDocument, totals: &Totals, unreadable: u64, paired: u64, evidence: &Evidence) {
    document.orders = totals.orders;
    document.decisions = totals.events;
    document.repeated_orders = totals.repeated_orders;
    let known = totals.known_events - totals.known_without_line;
    for (check, checked) in [
        (Check::OrderIsKept, paired),
        (Check::NoLineLost, totals.lines - totals.lines_without_event),
        (Check::NoLineDoubled, known),
        (Check::NoLineInvented, totals.events - totals.events_without_order),
        (Check::LinesAsOrdered, known + unreadable),
        (Check::KeysAreKept, totals.keys),
    ] {
        if let Some(result) = document.check(check) {
            result.checked = checked;
            result.violations = evidence.violations(check);
        }
    }
}

/// Adds why something is not proved.
fn explain(document: &mut AuditDocument, totals: &Totals) {
    let mut unproved = Vec::new();
    if totals.lines_without_event > 0 {
        let lines = counted(totals.lines_without_event, "line");
        unproved.push(format!("{lines} without an event: it may be among those that were not read"));
    }
    let without_line = totals.known_without_line + totals.events_without_order;
    if without_line > 0 {
        let events = counted(without_line, "event");
        unproved.push(format!("{events} without an order line: it may be among those that were not read"));
    }
    if totals.crowded_ids > 0 {
        let (ids, entries) = (counted(totals.crowded_ids, "order id"), grouped(totals.not_compared));
        let most = grouped(MOST_OF_AN_ID);
        unproved.push(format!("{entries} lines and events of {ids} were not compared: of one id at most {most} are"));
    }
    // A live service is about to commit them.
    if totals.uncommitted_events > 0 && !document.live {
        let events = counted(totals.uncommitted_events, "event");
        unproved.push(format!(
            "{events} about orders at or above the committed offset: the service will decide them again when it is started again"
        ));
    }
    document.unproved.append(&mut unproved);
}
