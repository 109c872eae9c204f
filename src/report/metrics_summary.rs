//! Short text of the metrics: the totals, the files that have the tables, and the result last.

use std::fmt::{self, Write};

use super::text_table::{Align, TextTable};
use super::{Detail, metrics_report, tables_line, write_tables_in_files};
use crate::analytics::MetricsDocument;
use crate::printable::printable;
use crate::replay::RestoredPartition;
use crate::units::{counted, grouped, grouped_decimal};

/// The most lines about reasons of rejections.
const REASON_LINES: usize = 3;

/// The totals of the metrics, and the number of decided orders last. `files` have all tables.
///
/// The labels are those of [`metrics_report`], whose format other programs read; the numbers are for people.
#[must_use]
pub fn metrics_summary(document: &MetricsDocument, files: &[String]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_totals(&mut out, document)
        .and_then(|()| writeln!(out, "{}", tables_line(&tables(document), files)))
        .and_then(|()| write_decided(&mut out, document))
        .unwrap_or_default();
    out
}

/// The metrics of a group after an undo, and what the undo has restored. `files` have all tables.
#[must_use]
pub fn undo_report(
    document: &MetricsDocument,
    restored: &[RestoredPartition],
    group: &str,
    detail: Detail,
    files: &[String],
) -> String {
    let mut out = String::new();
    // As above.
    write_undo(&mut out, document, restored, group, detail, files).unwrap_or_default();
    out
}

fn write_totals(out: &mut String, document: &MetricsDocument) -> fmt::Result {
    writeln!(out, "Total Orders: {}", grouped(document.total_orders))?;
    writeln!(out, "Failed Orders: {}", grouped(document.failed_orders))?;
    writeln!(out, "Failure Rate: {}%", document.failure_rate_percent)?;
    writeln!(out, "Average Orders per Minute: {}", grouped_decimal(&document.average_orders_per_minute))?;
    writeln!(out, "Current Orders per Minute: {}", grouped(document.current_orders_per_minute))?;
    let inventory = &document.inventory;
    writeln!(out, "Inventory:")?;
    writeln!(out, "  Reserved Orders: {}", grouped(inventory.reserved_orders))?;
    writeln!(out, "  Rejected Orders: {}", grouped(inventory.rejected_orders))?;
    writeln!(out, "  Released Orders: {}", grouped(inventory.released_orders))?;
    writeln!(out, "  Pending Orders: {}", grouped(inventory.pending_orders))?;
    writeln!(out, "  Rejection Rate: {}%", inventory.rejection_rate_percent)?;
    writeln!(out, "  Unfulfilled Rate: {}%", inventory.unfulfilled_rate_percent)?;
    writeln!(out, "  Reserved Revenue: {}", grouped_decimal(&inventory.reserved_revenue))?;
    let reasons = &inventory.rejected_by_reason;
    // Reasons are texts of records, so there may be any number of them.
    let named = if reasons.len() > REASON_LINES { REASON_LINES - 1 } else { reasons.len() };
    for (reason, lines) in reasons.iter().take(named) {
        writeln!(out, "  Rejected Lines, {}: {}", printable(reason), grouped(*lines))?;
    }
    if reasons.len() > named {
        let lines = reasons.values().skip(named).fold(0, |sum: u64, lines| sum.saturating_add(*lines));
        let others = grouped((reasons.len() - named) as u64);
        writeln!(out, "  Rejected Lines, {others} other reasons: {}", grouped(lines))?;
    }
    writeln!(out, "Skipped Records: {}", grouped(document.skipped_records))?;
    writeln!(out, "Bad Records: {}", grouped(document.bad_records))
}

/// `Minutes (40), restaurants (20) and partitions (12)`
pub(super) fn tables(document: &MetricsDocument) -> String {
    let [minutes, restaurants] = document.counted().map(grouped);
    format!("Minutes ({minutes}), restaurants ({restaurants}) and partitions ({})", document.range.len())
}

/// Orders without a decision are waiting for `inventory`.
fn write_decided(out: &mut String, document: &MetricsDocument) -> fmt::Result {
    let inventory = &document.inventory;
    let decided = [inventory.reserved_orders, inventory.rejected_orders, inventory.released_orders];
    let decided = decided.iter().fold(0, |sum: u64, orders| sum.saturating_add(*orders));
    writeln!(out, "Orders decided: {} of {}", grouped(decided), grouped(document.total_orders))
}

fn write_undo(
    out: &mut String,
    document: &MetricsDocument,
    restored: &[RestoredPartition],
    group: &str,
    detail: Detail,
    files: &[String],
) -> fmt::Result {
    match detail {
        Detail::Summary => {
            write_totals(out, document)?;
            write_tables_in_files(out, &tables(document), files)?;
        }
        Detail::Full => {
            write!(out, "{}\nRestored:\n", metrics_report(document))?;
            let [partition, old, new] = ["partition", "old", "new"].map(|name| (name, Align::Right));
            let mut table = TextTable::new([("topic", Align::Left), partition, old, new]);
            for row in restored {
                table.row([
                    printable(&row.topic).into(),
                    row.partition.to_string(),
                    row.from.to_string(),
                    row.to.to_string(),
                ]);
            }
            write!(out, "{table}")?;
        }
    }
    let moved = restored.iter().filter(|row| row.from != row.to).count() as u64;
    let offsets = match moved {
        0 => "every offset was already the same".to_owned(),
        moved => format!("the offsets of {} changed", counted(moved, "partition")),
    };
    writeln!(
        out,
        "Restored: offsets and state of {} of group {} from before its last replay or first pass; {offsets}",
        counted(restored.len() as u64, "partition"),
        printable(group)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::test_support::example;
    use crate::analytics::{Metrics, Revenue};

    fn files() -> Vec<String> {
        vec!["metrics_output.txt".to_owned()]
    }

    #[test]
    fn totals_files_and_the_result_are_shown() {
        let mut document = example();
        document.total_orders = 1_234_567;
        document.inventory.reserved_revenue = Revenue(27_888_330);
        insta::assert_snapshot!("metrics_summary", metrics_summary(&document, &files()));
        let nothing = metrics_summary(&Metrics::default().document(), &[]);
        assert!(nothing.ends_with("and partitions (0): --full\nOrders decided: 0 of 0\n"), "{nothing}");
    }

    /// Labels above the first blank line of the report are a contract; the summary must not drift away from them.
    #[test]
    fn labels_are_those_of_the_report() {
        let (document, labels) = (example(), |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
        });
        let report = labels(&metrics_report(&document));
        let summary = labels(&metrics_summary(&document, &files()));
        let (_, own) = summary.split_last_chunk::<2>().expect("lines");
        assert!(own.iter().all(|label| label.starts_with("Minutes (") || label == "Orders decided"), "{own:?}");
        for label in &summary[..summary.len() - 2] {
            assert!(report.contains(label), "{label} is not in the report");
        }
    }

    #[test]
    fn many_reasons_fit_on_the_screen() {
        let mut document = example();
        document.inventory.rejected_by_reason = (0..1_000).map(|number| (format!("r{number:03}"), 2)).collect();
        let text = metrics_summary(&document, &files());
        assert!(text.lines().count() <= 20, "{text}");
        assert!(text.contains("  Rejected Lines, r001: 2\n  Rejected Lines, 998 other reasons: 1,996\n"), "{text}");
    }

    #[test]
    fn undo_says_what_it_restored() {
        let row = |partition, from| RestoredPartition { topic: "order-events".into(), partition, from, to: 40 };
        let restored = [row(0, 40), row(1, 30)];
        let text = undo_report(&example(), &restored, "readers", Detail::Summary, &[]);
        let last =
            "Restored: offsets and state of 2 partitions of group readers from before its last replay or first pass";
        assert!(text.ends_with(&format!("{last}; the offsets of 1 partition changed\n")), "{text}");
        assert!(text.lines().count() <= 20, "{text}");
        assert!(!text.contains("Minutes (") && !text.contains("--full"), "a second undo is another undo: {text}");
        let text = undo_report(&example(), &restored, "readers", Detail::Summary, &["report.json".to_owned()]);
        assert!(text.contains(" and partitions (2): report.json\nRestored: "), "{text}");
        let text = undo_report(&example(), &restored[..1], "readers", Detail::Full, &[]);
        assert!(
            text.contains("Restored:\n  topic         partition  old  new\n  order-events          0   40   40\n"),
            "{text}"
        );
        assert!(text.ends_with("; every offset was already the same\n"), "{text}");
    }

    #[test]
    fn names_are_escaped() {
        let mut document = example();
        document.inventory.rejected_by_reason = [("\u{1b}[2J".to_owned(), 1)].into();
        let text = undo_report(&document, &[], "\u{1b}[2J", Detail::Summary, &["a\u{1b}[2J".to_owned()]);
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    }
}
