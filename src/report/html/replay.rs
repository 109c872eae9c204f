//! Replay section of a page: the verdict, and every metric before and after, those that differ first.

use serde_json::{Map, Value};

use super::{
    format,
    orders::{left_out, minutes, minutes_figure},
    page::{Figure, Html, Pair, Section, Sentences},
    svg::Size,
    table::{Cell, Collapse, HtmlTable},
};
use crate::analytics::MetricsDocument;
use crate::replay::{Note, PlanRow, ReplayDocument, ReplayVerdict};
use crate::report::{printable, replay::note_text};
use crate::units::counted;

/// The most metrics that are listed.
const METRICS: usize = 20_000;

/// A metric before and after.
#[derive(Debug, Clone, PartialEq)]
struct Compared {
    path: String,
    before: Value,
    after: Value,
}

impl Compared {
    fn is_equal(&self) -> bool {
        self.before == self.after
    }

    /// Whether it belongs to a minute, a restaurant, or a partition.
    fn is_row(&self) -> bool {
        self.path.contains('[')
    }
}

/// The verdict in a sentence.
pub(super) fn sentence(document: &ReplayDocument) -> String {
    let verb = if document.records == 1 { "was" } else { "were" };
    let read = format!("{} {verb} read again", counted(document.records, "record"));
    match (document.verdict, document.differing()) {
        (ReplayVerdict::Identical, _) => format!("{read}, and every metric and every digest is the same."),
        (ReplayVerdict::Different, 0) => match document.causes.first() {
            Some(cause) => format!("{read}: {}.", printable(&cause.to_string())),
            None => format!("{read}, which proves nothing."),
        },
        (ReplayVerdict::Different, 1) => format!("{read}, and 1 metric differs."),
        (ReplayVerdict::Different, differing) => {
            format!("{read}, and {} metrics differ.", format::grouped(differing))
        }
    }
}

/// Adds the results of a replay to a section. `id` is unique among the replays of a page.
pub(super) fn add_replay(section: &mut Section, id: &str, document: &ReplayDocument) {
    section.paragraph(sentence(document));
    match document.note {
        Some(Note::FirstPass) => section.paragraph(
            "The group had neither offsets nor state: the metrics before are from a first pass, just before the replay.",
        ),
        Some(Note::LeftAlone) => {
            section.paragraph("The group was not rewound: its offsets and its state are unchanged.");
        }
        None => {}
    }
    if !document.causes.is_empty() {
        let sentences =
            document.causes.iter().map(|cause| format!("{}: {}.", cause.name(), printable(&cause.to_string())));
        section.add(&Sentences { sentences: sentences.collect() });
    }
    if let Some(words) = left_out(&document.after) {
        section.paragraph(words);
    }
    let compared = compared(&document.before, &document.after);
    let (differing, equal): (Vec<_>, Vec<_>) = compared.iter().partition(|metric| !metric.is_equal());
    if !differing.is_empty() {
        let mut table = table("Metrics that differ".to_owned(), &differing);
        // Differences are collapsed only if there are very many.
        table.fold = if differing.len() > 100 { Collapse::Always } else { Collapse::Never };
        section.add(&table);
    }
    section.add(&pair(id, document));
    let (rows, totals): (Vec<_>, Vec<_>) = equal.into_iter().partition(|metric| metric.is_row());
    if !totals.is_empty() {
        let mut table = table("Metrics that are the same".to_owned(), &totals);
        table.fold = Collapse::Never;
        section.add(&table);
    }
    if !rows.is_empty() {
        let mut table = table("Metrics that are the same, by minute, restaurant and partition".to_owned(), &rows);
        table.fold = Collapse::Always;
        section.add(&table);
    }
    if !document.plan.is_empty() {
        section.add(&plan_table(&document.plan));
    }
}

/// Orders per minute before and after, on the same scale.
fn pair(id: &str, document: &ReplayDocument) -> Pair {
    let [before, after] = [&document.before, &document.after].map(minutes);
    let tallest = before.iter().chain(&after).map(super::minutes_chart::Minute::total).max().unwrap_or_default();
    let side = |heading: &str, side: &str, minutes| {
        let title = format!("Orders per minute by outcome, {heading}");
        let figure: Figure = minutes_figure(&format!("{id}{side}"), &title, minutes, &[Size::Half], tallest);
        (format!("Orders per minute, {heading}"), Html::of(&figure))
    };
    Pair {
        sides: vec![
            side("before: from the group’s state", "before", &before),
            side("after: read again", "after", &after),
        ],
    }
}

fn table(caption: String, metrics: &[&Compared]) -> HtmlTable {
    let row = |metric: &&Compared| {
        let verdict = if metric.is_equal() {
            Cell::Word { class: "good", sign: "=", text: "equal".to_owned() }
        } else {
            Cell::Word { class: "bad", sign: "≠", text: "differs".to_owned() }
        };
        let value = |value: &Value| match value {
            Value::Number(_) | Value::Null => Cell::Number(format::value(value)),
            // Money is a string of digits.
            Value::String(text)
                if text.len() < 24 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') =>
            {
                Cell::Number(format::decimal_text(text))
            }
            _ => Cell::Code(format::value(value)),
        };
        vec![Cell::Text(format::cut(&printable(&metric.path))), value(&metric.before), value(&metric.after), verdict]
    };
    HtmlTable {
        class: "compared",
        caption,
        heads: vec![("metric", false), ("before", true), ("after", true), ("", false)],
        rows: metrics.iter().map(row).collect(),
        fold: Collapse::WhenLong,
    }
}

/// Every metric of two documents, by the path that a replay's differences use.
fn compared(before: &MetricsDocument, after: &MetricsDocument) -> Vec<Compared> {
    // Cannot fail: documents consist of integers, strings and maps with string keys.
    let [before, after] = [before, after].map(|document| leaves(&serde_json::to_value(document).unwrap_or_default()));
    let added = after.keys().filter(|path| !before.contains_key(*path));
    let paths = before.keys().chain(added).filter(|path| path.as_str() != "schema").take(METRICS);
    paths
        .map(|path| {
            let [before, after] = [&before, &after].map(|side| side.get(path).cloned().unwrap_or_default());
            Compared { path: path.clone(), before, after }
        })
        .collect()
}

fn leaves(document: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    walk("", document, &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // A field is joined with a dot; a name that is data is in brackets.
                let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                match (is_word, path) {
                    (true, "") => walk(name, value, found),
                    (true, _) => walk(&format!("{path}.{name}"), value, found),
                    (false, _) => walk(&format!("{path}[{name}]"), value, found),
                }
            }
        }
        Value::Array(rows) => {
            for row in rows {
                walk(&format!("{path}[{}]", name_of(row)), row, found);
            }
        }
        // The name of a row is part of its path.
        _ if ["].minute", "].restaurant", "].topic", "].partition"].iter().any(|name| path.ends_with(name)) => {}
        _ => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

fn name_of(row: &Value) -> String {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    match (text("topic"), row.get("partition")) {
        (Some(topic), Some(partition)) => format!("{topic}/{partition}"),
        _ => text("minute").or_else(|| text("restaurant")).unwrap_or_default().to_owned(),
    }
}

fn plan_table(plan: &[PlanRow]) -> HtmlTable {
    let rows = plan.iter().map(|row| {
        let from = row.from.map_or_else(|| format::NOTHING.to_owned(), format::grouped);
        let note = row.note.map(note_text).unwrap_or_default();
        vec![
            Cell::Text(format!("{} {}", format::cut(&printable(&row.topic)), row.partition)),
            Cell::Number(from),
            Cell::Number(format::grouped(row.to)),
            Cell::Number(format::grouped(row.end)),
            Cell::Number(format::grouped(row.offsets_to_read())),
            Cell::Text(note),
        ]
    });
    HtmlTable {
        class: "",
        caption: "Old and new offset of each partition".to_owned(),
        heads: vec![
            ("partition", false),
            ("old", true),
            ("new", true),
            ("read up to", true),
            ("offsets read", true),
            ("note", false),
        ],
        rows: rows.collect(),
        fold: Collapse::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{analytics::test_support::example, replay::differences};

    #[test]
    fn differing_metrics_match_the_replays_differences() {
        let (before, mut after) = (example(), example());
        assert!(compared(&before, &after).iter().all(Compared::is_equal));
        after.total_orders += 1;
        after.inventory.pending_orders -= 2;
        after.by_minute[0].failed += 1;
        after.range[1].end += 1;
        let found = compared(&before, &after);
        let differing: Vec<_> =
            found.iter().filter(|metric| !metric.is_equal()).map(|metric| metric.path.as_str()).collect();
        let named: Vec<_> =
            differences(&before, &after, usize::MAX).first.into_iter().map(|difference| difference.metric).collect();
        assert_eq!(differing, named);
        assert!(found.len() > 60, "{}", found.len());
    }

    #[test]
    fn missing_row_is_listed_value_by_value() {
        let (before, mut after) = (example(), example());
        after.by_restaurant.remove(1);
        let found = compared(&before, &after);
        let gone = found.iter().filter(|metric| metric.after.is_null());
        assert_eq!(gone.count(), 6, "the six values of a restaurant");
    }
}
