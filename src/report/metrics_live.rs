//! The live screen of `analytics`: the totals, then orders by minute, newest first.

use crate::analytics::MetricsDocument;
use crate::frame::{Age, Cell, Column, Frame, Kind, Rest, Row, Table, Text};
use crate::printable::printable;
use crate::units::{counted, grouped};

use super::metrics::minute_text;

/// The metrics of a group. `age` is the time since the cluster last responded.
pub(crate) fn metrics_frame(document: &MetricsDocument, group: &str, age: Option<Age>) -> Frame {
    let group = printable(group);
    let orders = counted(document.total_orders, "order");
    let inventory = &document.inventory;
    let rejected = format!("{} rejected", grouped(inventory.rejected_orders));
    Frame {
        title: Text::new(format!("Metrics of {group}")).or(group).or("Metrics"),
        totals: vec![order_totals(document), decision_totals(document)],
        sum: Text::new(format!("{orders}, {rejected}")).or(orders).or(grouped(document.total_orders)),
        tables: vec![minutes(document), reasons(document)],
        age,
    }
}

fn order_totals(document: &MetricsDocument) -> Table {
    let columns = [
        ("orders", 0),
        ("failed", 1),
        ("failed %", 4),
        ("a minute", 3),
        ("this minute", 2),
        ("skipped", 6),
        ("bad records", 5),
    ];
    one_row(
        &columns,
        [
            grouped(document.total_orders),
            grouped(document.failed_orders),
            document.failure_rate_percent.to_string(),
            document.average_orders_per_minute.to_string(),
            grouped(document.current_orders_per_minute),
            grouped(document.skipped_records),
            grouped(document.bad_records),
        ],
    )
}

fn decision_totals(document: &MetricsDocument) -> Table {
    let inventory = &document.inventory;
    let columns = [
        ("reserved", 1),
        ("rejected", 0),
        ("rejected %", 3),
        ("released", 4),
        ("pending", 2),
        ("unfulfilled %", 6),
        ("revenue", 5),
    ];
    one_row(
        &columns,
        [
            grouped(inventory.reserved_orders),
            grouped(inventory.rejected_orders),
            inventory.rejection_rate_percent.to_string(),
            grouped(inventory.released_orders),
            grouped(inventory.pending_orders),
            inventory.unfulfilled_rate_percent.to_string(),
            inventory.reserved_revenue.to_string(),
        ],
    )
}

/// Numbers below their names.
fn one_row<const N: usize>(columns: &[(&'static str, u8); N], cells: [String; N]) -> Table {
    let columns = columns.map(|(heading, importance)| Column::new(heading, Kind::Number, importance));
    let row = Row { cells: cells.into_iter().map(Cell::from).collect(), rank: 0, amount: None };
    Table { columns: columns.to_vec(), rows: vec![row], rest: Rest { which: "more", noun: "row", unit: None } }
}

fn minutes(document: &MetricsDocument) -> Table {
    let most = document.orders_by_minute.values().copied().max().unwrap_or(0).max(1);
    let rows = document.orders_by_minute.iter().rev().enumerate().map(|(age, (minute, orders))| Row {
        cells: vec![
            Cell::Text(minute_text(minute)),
            Cell::Text(grouped(*orders)),
            Cell::Span { from: 0.0, to: share(*orders, most), fill: '=' },
        ],
        // The newest are shown.
        rank: i64::try_from(age).map_or(i64::MIN, |age| -age),
        amount: i64::try_from(*orders).ok(),
    });
    Table {
        columns: vec![
            Column::new("minute", Kind::Name, 1),
            Column::new("orders", Kind::Number, 0),
            Column::new("", Kind::Chart, 2),
        ],
        rows: rows.collect(),
        rest: Rest { which: "earlier", noun: "minute", unit: Some("order") },
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of a bar")]
fn share(orders: u64, most: u64) -> f64 {
    orders as f64 / most as f64
}

fn reasons(document: &MetricsDocument) -> Table {
    let rows =
        document.inventory.rejected_by_reason.iter().filter(|(_, lines)| **lines > 0).map(|(reason, lines)| Row {
            cells: vec![Cell::Text(printable(reason).into_owned()), Cell::Text(grouped(*lines))],
            rank: i64::try_from(*lines).unwrap_or(i64::MAX),
            amount: i64::try_from(*lines).ok(),
        });
    Table {
        columns: vec![Column::new("rejected because", Kind::Name, 1), Column::new("lines", Kind::Number, 0)],
        rows: rows.collect(),
        rest: Rest { which: "more", noun: "reason", unit: Some("line") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::test_support::example;
    use crate::frame::{Size, Surroundings, fit};

    #[test]
    fn newest_minutes_are_shown() {
        let mut document = example();
        document.orders_by_minute = (0..60).map(|minute| (format!("2026-11-22T12:{minute:02}Z"), minute)).collect();
        let frame = metrics_frame(&document, "analytics", None);
        let around = Surroundings { footer: Text::new("footer"), ..Surroundings::default() };
        let shown = |rows, columns| {
            let lines = fit(&frame, &around, Size { rows, columns });
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
        };
        let wide = shown(24, 80);
        assert!(wide.contains("2026-11-22 12:59") && !wide.contains("2026-11-22 12:20"), "{wide}");
        assert!(wide.contains(" earlier minutes: "), "{wide}");
        let narrow = shown(12, 40);
        assert!(narrow.contains("2026-11-22 12:59") && narrow.contains(" earlier minutes: "), "{narrow}");
    }
}
