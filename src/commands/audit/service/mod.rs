//! Audit of another inventory service: its events are compared with the lines of the orders below the committed offsets
//! of its group.

mod cut;
mod scan;
mod witnesses;

use self::cut::Cut;
use crate::audit::service::{ClaimedField, Evidence, MOST_OF_AN_ID, Matcher, OrderCheck, Totals, Whole};
use crate::audit::{AuditDocument, Check, Subject};
use crate::cli::OrderField;
use crate::commands::Context;
use crate::commands::audit::comparing::{NOT_COMPARED, each_entry};
use crate::exit::Failure;
use crate::external_sort::{ExternalSorter, merge};
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
    let mut cut = Cut::find(context, &inspector, service)?;
    document.live = !inspector.group_members(group)?.members.is_empty();
    if !cut.freeze(context, &inspector)? {
        document.unproved.push(format!("group {group} has committed no offsets: nothing to judge"));
        document.judge();
        return Ok(document);
    }
    // The second sort needs memory while the first one still has its entries.
    let memory = if field.is_some() { settings.memory / 2 } else { settings.memory };
    let watch = cut.watch(context, &inspector);
    let scanned = scan::read(&watch, group, &cut, field, memory, settings.witnesses)?;
    let (orders_gaps, events_gaps) = (cut.orders.gaps("orders"), cut.events.gaps("events"));
    let ahead = cut.orders.ahead(group);
    let whole = Whole {
        orders: orders_gaps.is_empty() && ahead.is_none() && cut.orders.is_read(&scanned.orders),
        events: events_gaps.is_empty() && cut.events.is_read(&scanned.events),
    };
    document.unproved.extend(ahead.into_iter().chain(orders_gaps).chain(events_gaps));
    if scanned.stopped {
        document.unproved.push("stopped before everything was read".to_owned());
    } else {
        watch.check()?;
        match cut.set_back(context, &inspector) {
            Err(failure) if failure.code.is_stop() => {}
            set_back => document.unproved.extend(set_back?),
        }
    }
    if scanned.skipped > 0 {
        let skipped = counted(scanned.skipped, "record");
        context.console.note(&format!("{skipped} of other event types in {} skipped", service.decisions));
    }
    document.covered = cut.orders.covered(&scanned.orders);
    document.covered.extend(cut.events.covered(&scanned.events));
    document.uncommitted = cut.orders.uncommitted();

    let (matcher, order, all_compared) = compare(context, scanned.sorters, whole, field.is_some(), settings, memory)?;
    if !all_compared {
        document.unproved.push(NOT_COMPARED.to_owned());
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

/// Matches the events with the orders, and then judges the order of those that have one. Returns whether all were
/// compared: a stop leaves out what is not finished.
fn compare(
    context: &Context,
    sorters: Vec<ExternalSorter>,
    whole: Whole,
    keyed: bool,
    settings: &AuditSettings,
    memory: u64,
) -> Result<(Matcher, OrderCheck, bool), Failure> {
    let (shutdown, most) = (&context.shutdown, settings.witnesses);
    let nothing = || (Matcher::new(whole, keyed, most), OrderCheck::new(most));
    let (mut matcher, mut order) = nothing();
    let mut pairs = ExternalSorter::new(memory);
    if !each_entry(shutdown, merge(sorters)?, |entry| matcher.push(entry, |pair| pairs.push(pair)))? {
        let (matcher, order) = nothing();
        return Ok((matcher, order, false));
    }
    matcher.finish(|pair| pairs.push(pair))?;
    let mut push = |pair| {
        order.push(pair);
        Ok(())
    };
    if !each_entry(shutdown, merge(vec![pairs])?, &mut push)? {
        return Ok((matcher, OrderCheck::new(most), false));
    }
    order.finish();
    Ok((matcher, order, true))
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
