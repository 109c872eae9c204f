//! Text report of the metrics: the original program's report first, then the additions.

use std::fmt::{self, Write};

use super::text_table::{Align, TextTable, write_rows};
use crate::analytics::MetricsDocument;
use crate::printable::printable;

/// The report in `metrics_output.txt`, `metrics_initial.txt`, `metrics_after_replay.txt` and on stdout.
///
/// The labels and number formats above the first blank line are those of the original program: readers of its files
/// rely on them.
#[must_use]
pub fn metrics_report(document: &MetricsDocument) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document).unwrap_or_default();
    out
}

fn write_head(out: &mut String, document: &MetricsDocument) -> fmt::Result {
    writeln!(out, "Total Orders: {}", document.total_orders)?;
    writeln!(out, "Failed Orders: {}", document.failed_orders)?;
    writeln!(out, "Failure Rate: {}%", document.failure_rate_percent)?;
    writeln!(out, "Average Orders per Minute: {}", document.average_orders_per_minute)?;
    writeln!(out, "Current Orders per Minute: {}", document.current_orders_per_minute)?;
    writeln!(out, "Orders by Minute:")?;
    for (minute, orders) in &document.orders_by_minute {
        writeln!(out, "  {}: {orders}", minute_text(minute))?;
    }
    if document.orders_by_minute.is_empty() {
        writeln!(out, "  none")?;
    }
    Ok(())
}

fn write_inventory(out: &mut String, document: &MetricsDocument) -> fmt::Result {
    let inventory = &document.inventory;
    writeln!(out, "\nInventory:")?;
    writeln!(out, "  Reserved Orders: {}", inventory.reserved_orders)?;
    writeln!(out, "  Rejected Orders: {}", inventory.rejected_orders)?;
    writeln!(out, "  Released Orders: {}", inventory.released_orders)?;
    writeln!(out, "  Pending Orders: {}", inventory.pending_orders)?;
    writeln!(out, "  Rejection Rate: {}%", inventory.rejection_rate_percent)?;
    writeln!(out, "  Unfulfilled Rate: {}%", inventory.unfulfilled_rate_percent)?;
    writeln!(out, "  Reserved Revenue: {}", inventory.reserved_revenue)?;
    for (reason, lines) in &inventory.rejected_by_reason {
        writeln!(out, "  Rejected Lines, {}: {lines}", printable(reason))?;
    }
    Ok(())
}

fn write_report(out: &mut String, document: &MetricsDocument) -> fmt::Result {
    write_head(out, document)?;
    write_inventory(out, document)?;

    writeln!(out, "\nBy Restaurant:")?;
    let counts = ["total", "failed", "reserved", "rejected", "released", "revenue"].map(|name| (name, Align::Right));
    let [total, failed, reserved, rejected, released, revenue] = counts;
    let restaurant = ("restaurant", Align::Left);
    let columns = [restaurant, total, failed, reserved, rejected, released, revenue];
    write_rows(out, columns, document.by_restaurant.iter(), |row| {
        let name = if row.restaurant.is_empty() { "(none)".into() } else { printable(&row.restaurant) };
        let [total, failed, reserved, rejected, released] =
            [row.total, row.failed, row.reserved, row.rejected, row.released].map(|count| count.to_string());
        [name.into(), total, failed, reserved, rejected, released, row.reserved_revenue.to_string()]
    })?;

    writeln!(out, "\nSkipped Records: {}", document.skipped_records)?;
    writeln!(out, "Bad Records: {}", document.bad_records)?;

    writeln!(out, "\nRange:")?;
    let mut table = TextTable::new([
        ("topic", Align::Left),
        ("partition", Align::Right),
        ("start", Align::Right),
        ("end", Align::Right),
        ("digest", Align::Left),
    ]);
    for row in &document.range {
        let [partition, start, end] = [row.partition.into(), row.start, row.end].map(|number: i64| number.to_string());
        table.row([printable(&row.topic).into(), partition, start, end, row.digest.to_string()]);
    }
    write!(out, "{table}")
}

/// The metrics on one line without a line break, for a live view that is not on a terminal.
#[must_use]
pub fn metrics_line(document: &MetricsDocument) -> String {
    let inventory = &document.inventory;
    let newest = document.orders_by_minute.keys().next_back();
    let newest = newest.map(|minute| format!(" at {}", minute_text(minute))).unwrap_or_default();
    format!(
        "orders {} ({} failed, {}%), {} a minute, {} now{newest}; reserved {}, rejected {} ({}%), released {}, pending {}",
        document.total_orders,
        document.failed_orders,
        document.failure_rate_percent,
        document.average_orders_per_minute,
        document.current_orders_per_minute,
        inventory.reserved_orders,
        inventory.rejected_orders,
        inventory.rejection_rate_percent,
        inventory.released_orders,
        inventory.pending_orders,
    )
}

/// `2026-11-22T12:00Z` in the format of the original: `2026-11-22 12:00`.
pub(super) fn minute_text(minute: &str) -> String {
    printable(minute.trim_end_matches('Z')).replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::{Metrics, test_support::example};

    #[test]
    fn report_format_is_stable() {
        insta::assert_snapshot!("metrics_report", metrics_report(&example()));
    }

    #[test]
    fn empty_report_has_the_same_labels() {
        insta::assert_snapshot!("metrics_report_of_nothing", metrics_report(&Metrics::default().document()));
    }

    #[test]
    fn line_has_no_line_break() {
        let line = metrics_line(&example());
        insta::assert_snapshot!("metrics_line", line);
        assert!(!line.contains('\n'));
        assert!(metrics_line(&Metrics::default().document()).contains("0 now;"));
    }

    #[test]
    fn names_are_escaped() {
        let report = metrics_report(&example());
        assert!(!report.chars().any(|character| character.is_control() && character != '\n'));
        assert!(report.contains(r"a \u{1b}[31mred\u{202e} name\n"));
    }
}
