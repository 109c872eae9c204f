//! Order sections of a page: orders per minute by outcome, and rejected orders.

use super::{
    bar_charts::{Count, counts_chart},
    format,
    minutes_chart::{AREAS, Minute, MinutesChart, OUTCOMES, minutes_a_bar, texture},
    page::{Figure, Section},
    svg::{Mark, Point, Size},
    table::{Cell, Collapse, HtmlTable},
};
use crate::analytics::{LeftOut, MetricsDocument, MinuteRow, Revenue};
use crate::report::printable;
use crate::units::counted;

/// The most restaurants on a chart. The table has all of them.
const RESTAURANTS: usize = 12;

/// Orders per minute, stacked by outcome; `None` without orders. The chart may be elsewhere on the page.
pub(super) fn orders_section(metrics: &MetricsDocument, step: &str, is_at_the_top: bool) -> Option<Section> {
    let (first, last) = (metrics.by_minute.first()?, metrics.by_minute.last()?);
    let mut section = Section::new("orders", "Orders per minute");
    section.paragraph(format!(
        "{} orders, {} a minute on average: {} reserved, {} rejected, {} released, {} pending. Minutes are event time; \
         the numbers are those of “{}”.",
        format::grouped(metrics.total_orders),
        format::decimal_text(&metrics.average_orders_per_minute.to_string()),
        format::grouped(metrics.inventory.reserved_orders),
        format::grouped(metrics.inventory.rejected_orders),
        format::grouped(metrics.inventory.released_orders),
        format::grouped(metrics.inventory.pending_orders),
        printable(step),
    ));
    if let Some(words) = left_out(metrics) {
        section.paragraph(words);
    }
    if is_at_the_top {
        section.paragraph("Their chart is at the top of this page.");
    } else {
        section.add(&orders_figure(metrics));
    }
    section.add(&minutes_table(
        &metrics.by_minute,
        format!("Orders by minute, from {} to {}", minute_text(&first.minute), minute_text(&last.minute)),
    ));
    Some(section)
}

/// The chart of orders per minute.
pub(super) fn orders_figure(metrics: &MetricsDocument) -> Figure {
    let sizes = [Size::Wide, Size::Narrow];
    let mut figure = minutes_figure("orders", "Orders per minute by outcome", &minutes(metrics), &sizes, 0);
    let note = std::mem::take(&mut figure.caption);
    figure.caption = ["Orders per minute of event time, by outcome.", &note].join(" ").trim_end().into();
    figure
}

/// The note about rows that were left out, if any.
pub(super) fn left_out(metrics: &MetricsDocument) -> Option<String> {
    let LeftOut { by_minute, by_restaurant, .. } = metrics.left_out?;
    let some = |rows: usize, left_out: u64, what: &str| {
        format!("{} of {} {what}", format::grouped(rows as u64), format::grouped(rows as u64 + left_out))
    };
    Some(format!(
        "The tables and charts show {} and {}; the totals include all of them.",
        some(metrics.by_minute.len(), by_minute, "minutes"),
        some(metrics.by_restaurant.len(), by_restaurant, "restaurants"),
    ))
}

/// The bars of a metrics document.
pub(super) fn minutes(metrics: &MetricsDocument) -> Vec<Minute> {
    let minute = |row: &MinuteRow| Minute { label: clock(&row.minute), orders: outcomes(row) };
    metrics.by_minute.iter().map(minute).collect()
}

/// Orders by outcome. An order without a decision is pending, including a failed order that inventory has not read yet.
fn outcomes(row: &MinuteRow) -> [u64; 4] {
    let decided = row.reserved.saturating_add(row.rejected).saturating_add(row.released);
    [row.reserved, row.rejected, row.released, row.total.saturating_sub(decided)]
}

/// The chart of minutes at these sizes.
pub(super) fn minutes_figure(id: &str, title: &str, minutes: &[Minute], sizes: &[Size], at_least: u64) -> Figure {
    let tallest = minutes.iter().max_by_key(|minute| minute.total());
    let description = match (minutes, tallest) {
        ([first, .., last], Some(tallest)) => format!(
            "Stacked bars of {} minutes from {} to {}; the maximum is {} orders at {}.",
            minutes.len(),
            first.label,
            last.label,
            format::grouped(tallest.total()),
            tallest.label
        ),
        (_, Some(only)) => format!("One bar of {} at {}.", counted(only.total(), "order"), only.label),
        _ => "No orders.".to_owned(),
    };
    let chart = MinutesChart { id: id.to_owned(), title: title.to_owned(), description, minutes, at_least };
    let shown = (0..4).filter(|outcome| minutes.iter().any(|minute| minute.orders[*outcome] > 0));
    let legend = shown.map(|outcome| (swatch(outcome), OUTCOMES[outcome].to_owned())).collect();
    let widest = sizes.first().map_or(1, |size| minutes_a_bar(minutes.len(), *size));
    let narrowest = sizes.last().map_or(1, |size| minutes_a_bar(minutes.len(), *size));
    let caption = match (widest, narrowest) {
        (1, 1) => String::new(),
        (1, _) => "On a narrow screen each bar is the mean of several minutes.".to_owned(),
        (together, _) => format!("Each bar is the mean of {together} minutes, or of more on a narrow screen."),
    };
    Figure { charts: sizes.iter().map(|size| chart.at(*size)).collect(), legend, caption, note: "" }
}

fn swatch(outcome: usize) -> Vec<Mark> {
    let area = Mark::Area { class: AREAS[outcome], at: Point(1.0, 1.0), width: 24.0, height: 12.0 };
    [area].into_iter().chain(texture(outcome, [1.0, 25.0], [1.0, 13.0])).collect()
}

fn minutes_table(rows: &[MinuteRow], caption: String) -> HtmlTable {
    let row = |row: &MinuteRow| {
        let [reserved, rejected, released, pending] = outcomes(row);
        let counts = [row.total, reserved, rejected, released, pending];
        let counts = counts.map(|count| Cell::Number(format::grouped(count)));
        [Cell::Text(minute_text(&row.minute))].into_iter().chain(counts).collect()
    };
    HtmlTable {
        class: "",
        caption,
        heads: vec![
            ("minute", false),
            ("orders", true),
            ("reserved", true),
            ("rejected", true),
            ("released", true),
            ("pending", true),
        ],
        rows: rows.iter().map(row).collect(),
        fold: Collapse::Always,
    }
}

/// Rejected orders by reason and by restaurant; `None` without rejected orders.
pub(super) fn stock_section(metrics: &MetricsDocument) -> Option<Section> {
    let inventory = &metrics.inventory;
    if inventory.rejected_orders == 0 && inventory.rejected_by_reason.is_empty() {
        return None;
    }
    let mut section = Section::new("stock", "Rejected orders");
    section.paragraph(format!(
        "{} orders were rejected, {} % of those that could have been reserved. With the failed ones, {} % of all orders \
         were not fulfilled. Reserved revenue: {}.",
        format::grouped(inventory.rejected_orders),
        inventory.rejection_rate_percent,
        inventory.unfulfilled_rate_percent,
        money(inventory.reserved_revenue),
    ));
    let reasons = inventory.rejected_by_reason.iter();
    section.add(&HtmlTable {
        class: "small",
        caption: "Rejected order lines by reason".to_owned(),
        heads: vec![("reason", false), ("lines", true), ("meaning", false)],
        rows: reasons
            .map(|(reason, lines)| {
                let meaning = match reason.as_str() {
                    "out_of_stock" => "less in stock than ordered",
                    "order_incomplete" => "another line of the same order was out of stock",
                    _ => format::NOTHING,
                };
                let reason = Cell::Code(format::cut(&printable(reason)));
                vec![reason, Cell::Number(format::grouped(*lines)), Cell::Text(meaning.to_owned())]
            })
            .collect(),
        fold: Collapse::WhenLong,
    });
    let mut restaurants: Vec<_> = metrics.by_restaurant.iter().filter(|row| row.rejected > 0).collect();
    restaurants.sort_by(|left, right| right.rejected.cmp(&left.rejected).then(left.restaurant.cmp(&right.restaurant)));
    if restaurants.is_empty() {
        return Some(section);
    }
    let counts: Vec<_> = restaurants
        .iter()
        .take(RESTAURANTS)
        .map(|row| {
            let tried = row.reserved.saturating_add(row.rejected);
            Count {
                name: restaurant(&row.restaurant),
                number: row.rejected,
                note: format!("of {}", format::grouped(tried)),
            }
        })
        .collect();
    let title = "Rejected orders by restaurant";
    let description = format!(
        "{} rejected orders; the maximum is {} at {}.",
        counted(restaurants.len() as u64, "restaurant"),
        counts.first().map(|most| format::grouped(most.number)).unwrap_or_default(),
        counts.first().map(|most| most.name.clone()).unwrap_or_default(),
    );
    let chart = |size| counts_chart("stock", title, &description, &counts, size);
    let caption = match restaurants.len() {
        all if all > RESTAURANTS => {
            format!("{title}, out of those reserved or rejected: the first {RESTAURANTS} of {all}.")
        }
        _ => format!("{title}, out of those reserved or rejected."),
    };
    section.add(&Figure {
        charts: vec![chart(Size::Wide), chart(Size::Narrow)],
        legend: Vec::new(),
        caption,
        note: "",
    });
    section.add(&restaurants_table(metrics));
    Some(section)
}

fn restaurants_table(metrics: &MetricsDocument) -> HtmlTable {
    let rows = metrics.by_restaurant.iter().map(|row| {
        let counts = [row.total, row.failed, row.reserved, row.rejected, row.released];
        let counts = counts.map(|count| Cell::Number(format::grouped(count)));
        let share = format::share(row.rejected, row.reserved.saturating_add(row.rejected));
        let last = [Cell::Number(share), Cell::Number(money(row.reserved_revenue))];
        [Cell::Text(restaurant(&row.restaurant))].into_iter().chain(counts).chain(last).collect()
    });
    HtmlTable {
        class: "",
        caption: "All restaurants".to_owned(),
        heads: vec![
            ("restaurant", false),
            ("orders", true),
            ("failed", true),
            ("reserved", true),
            ("rejected", true),
            ("released", true),
            ("rejected of decided", true),
            ("revenue", true),
        ],
        rows: rows.collect(),
        fold: Collapse::Always,
    }
}

fn restaurant(name: &str) -> String {
    if name.is_empty() { "(none)".to_owned() } else { format::cut(&printable(name)) }
}

/// An amount of money, with a comma after every three digits.
pub(super) fn money(revenue: Revenue) -> String {
    let whole = i128::try_from(revenue.0 / 100).unwrap_or(i128::MAX);
    format!("{}.{:02}", format::grouped(whole), revenue.0 % 100)
}

/// `2026-11-22T12:05Z` as `2026-11-22 12:05`.
pub(super) fn minute_text(minute: &str) -> String {
    format::cut(&printable(minute.trim_end_matches('Z'))).replacen('T', " ", 1)
}

/// `2026-11-22T12:05Z` as `12:05`.
fn clock(minute: &str) -> String {
    let minute_text = minute_text(minute);
    match minute_text.split_once(' ') {
        Some((_, clock)) if clock.len() == 5 => clock.to_owned(),
        _ => minute_text,
    }
}
