//! Short text of a replay and of a plan with many partitions: totals, the first differences, and their causes.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::metrics_summary::tables;
use super::replay_parts::{advice, differences_table, write_note};
use super::text_table::{Align, TextTable};
use super::{tables_line, write_tables_in_files};
use crate::analytics::MetricsDocument;
use crate::printable::printable;
use crate::replay::{Cause, Difference, PlanNote, PlanRow, ReplayDocument, ReplayVerdict};
use crate::units::{counted, grouped, grouped_decimal};

/// The most differences that are listed.
const DIFFERENCES: usize = 5;

/// Everything except the verdict. `files` have all rows of the metrics, `report` has the whole document.
pub(super) fn write_replay_summary(
    out: &mut String,
    document: &ReplayDocument,
    files: &[String],
    report: Option<&str>,
) -> fmt::Result {
    writeln!(out, "Read again: {}", topics(&document.plan))?;
    match document.verdict {
        ReplayVerdict::Identical => write!(out, "{}", totals(&document.before, &document.after))?,
        ReplayVerdict::Different => {
            write_differences(out, document, report)?;
            write_causes(out, &document.causes)?;
        }
    }
    write_note(out, document.note)?;
    let tables = tables(&document.after);
    match document.verdict {
        ReplayVerdict::Identical => writeln!(out, "{}", tables_line(&tables, files)),
        // The next replay would compare with the metrics of this one.
        ReplayVerdict::Different => write_tables_in_files(out, &tables, files),
    }
}

/// The topics of a plan, in its order.
fn by_topic(plan: &[PlanRow]) -> BTreeMap<&str, Vec<&PlanRow>> {
    let mut topics: BTreeMap<&str, Vec<&PlanRow>> = BTreeMap::new();
    for row in plan {
        topics.entry(&row.topic).or_default().push(row);
    }
    topics
}

/// Partitions from which something is read, and the number of offsets.
fn to_read(rows: &[&PlanRow]) -> (u64, i64) {
    let partitions = rows.iter().filter(|row| row.offsets_to_read() > 0).count() as u64;
    (partitions, rows.iter().map(|row| row.offsets_to_read()).sum())
}

/// `10,000 offsets of order-events (6 partitions)`, separated by commas.
fn topics(plan: &[PlanRow]) -> String {
    let topics: Vec<String> = by_topic(plan)
        .into_iter()
        .map(|(topic, rows)| {
            let (partitions, offsets) = to_read(&rows);
            let partitions = counted(partitions, "partition");
            format!("{} of {} ({partitions})", counted(offsets, "offset"), printable(topic))
        })
        .collect();
    if topics.is_empty() { "nothing".to_owned() } else { topics.join(", ") }
}

/// The totals on both sides.
fn totals(before: &MetricsDocument, after: &MetricsDocument) -> String {
    let mut table = TextTable::new([("", Align::Left), ("before", Align::Right), ("after", Align::Right)]);
    let mut row = |label: &str, value: &dyn Fn(&MetricsDocument) -> String| {
        table.row([label.to_owned(), value(before), value(after)]);
    };
    row("Total Orders", &|document| grouped(document.total_orders));
    row("Failed Orders", &|document| grouped(document.failed_orders));
    row("Average Orders per Minute", &|document| grouped_decimal(&document.average_orders_per_minute));
    row("Reserved Orders", &|document| grouped(document.inventory.reserved_orders));
    row("Rejected Orders", &|document| grouped(document.inventory.rejected_orders));
    row("Released Orders", &|document| grouped(document.inventory.released_orders));
    row("Pending Orders", &|document| grouped(document.inventory.pending_orders));
    row("Reserved Revenue", &|document| grouped_decimal(&document.inventory.reserved_revenue));
    row("Bad Records", &|document| grouped(document.bad_records));
    table.to_string()
}

/// Totals first: a difference of a total says more than that of a minute.
fn write_differences(out: &mut String, document: &ReplayDocument, report: Option<&str>) -> fmt::Result {
    if document.differences.is_empty() {
        return Ok(());
    }
    let is_row = |difference: &&Difference| difference.metric.contains('[');
    let (rows, totals): (Vec<&Difference>, Vec<&Difference>) = document.differences.iter().partition(is_row);
    let shown = differences_table(totals.into_iter().chain(rows).take(DIFFERENCES));
    write!(out, "Differences:\n{shown}")?;
    match (document.differing().saturating_sub(DIFFERENCES as u64), report) {
        (0, _) => Ok(()),
        (more, Some(report)) => writeln!(out, "  and {} more: {}", grouped(more), printable(report)),
        (more, None) => writeln!(out, "  and {} more; `--report FILE` lists them", grouped(more)),
    }
}

/// The first cause of each kind, with the number of other partitions that have it, and the advice.
fn write_causes(out: &mut String, causes: &[Cause]) -> fmt::Result {
    let mut kinds: Vec<(&Cause, u64)> = Vec::new();
    for cause in causes {
        match kinds.iter_mut().find(|(first, _)| first.name() == cause.name()) {
            Some((_, others)) => *others += 1,
            None => kinds.push((cause, 0)),
        }
    }
    if !kinds.is_empty() {
        writeln!(out, "Causes:")?;
    }
    for (cause, others) in kinds {
        write!(out, "  {}: {}", cause.name(), printable(&cause.to_string()))?;
        match others {
            0 => writeln!(out)?,
            others => writeln!(out, "; also in {}", counted(others, "other partition"))?,
        }
        writeln!(out, "    {}", advice(cause))?;
    }
    Ok(())
}

/// A row for each topic, and a line for each kind of note.
pub(super) fn write_plan_summary(out: &mut String, plan: &[PlanRow]) -> fmt::Result {
    let columns = ["partitions", "rewound", "offsets to read"].map(|name| (name, Align::Right));
    let [partitions, rewound, offsets] = columns;
    let mut table = TextTable::new([("topic", Align::Left), partitions, rewound, offsets]);
    for (topic, rows) in by_topic(plan) {
        let rewound = rows.iter().filter(|row| row.moves()).count() as u64;
        let (_, offsets) = to_read(&rows);
        table.row([printable(topic).into(), grouped(rows.len() as u64), grouped(rewound), grouped(offsets)]);
    }
    write!(out, "Plan:\n{table}")?;
    let mut notes: BTreeMap<&str, u64> = BTreeMap::new();
    for note in plan.iter().filter_map(|row| row.note) {
        *notes.entry(kind(note)).or_default() += 1;
    }
    notes.iter().try_for_each(|(note, count)| writeln!(out, "  {}: {note}", counted(*count, "partition")))
}

/// A note without its offset.
const fn kind(note: PlanNote) -> &'static str {
    match note {
        PlanNote::Raised { .. } => "raised to the log start",
        PlanNote::Lowered { .. } => "lowered to the group's offset",
        PlanNote::NoRecordSince { .. } => "no record at or after that time, so they stay at the group's offset",
        PlanNote::NoOffset => "no committed offset, nothing to read again",
        PlanNote::Stays => "unchanged",
    }
}
