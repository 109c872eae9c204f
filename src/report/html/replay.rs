//! Owns the part about a replay: what was read again, and every metric before and after, the differing ones first.

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

/// Metrics of one side that are compared; a document with more of them is told of as far as that.
const METRICS: usize = 20_000;

/// One metric on both sides.
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

    /// Whether it is one of many: a minute's, a restaurant's, a partition's.
    fn is_row(&self) -> bool {
        self.path.contains('[')
    }
}

/// The verdict in a sentence.
pub(super) fn sentence(document: &ReplayDocument) -> String {
    let records = format::grouped(document.records);
    match (document.verdict, document.differing()) {
        (ReplayVerdict::Identical, _) => {
            format!("{records} records were read again, and every metric and every digest is the same.")
        }
        (ReplayVerdict::Different, 0) => match document.causes.first() {
            Some(cause) => format!("{records} records were read again: {}.", printable(&cause.to_string())),
            None => format!("{records} records were read again, and nothing was proved."),
        },
        (ReplayVerdict::Different, 1) => format!("{records} records were read again, and 1 metric differs."),
        (ReplayVerdict::Different, differing) => {
            format!("{records} records were read again, and {} metrics differ.", format::grouped(differing))
        }
    }
}

/// Adds what a replay found to a section. `id` keeps several replays on one page apart.
pub(super) fn add_replay(section: &mut Section, id: &str, document: &ReplayDocument) {
    section.paragraph(sentence(document));
    match document.note {
        Some(Note::FirstPass) => section.paragraph(
            "The group had neither offsets nor state: what is compared with was counted by a first pass just before.",
        ),
        Some(Note::LeftAlone) => {
            section.paragraph("The group was not rewound: its offsets and its state are as they were.");
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
        // What went wrong is never folded, unless it is a book.
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
        let mut table = table("The same by minute, by restaurant and by partition".to_owned(), &rows);
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
            // A sum of money is a string of digits.
            Value::String(text)
                if text.len() < 24 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') =>
            {
                Cell::Number(text.clone())
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

/// Every metric of two documents under the path by which a replay's differences name it.
fn compared(before: &MetricsDocument, after: &MetricsDocument) -> Vec<Compared> {
    // Documents are integers, strings and string-keyed maps: they always serialize.
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
                // A name of ours is a word; one that is data stands in brackets.
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
        // What names a row tells nothing of its own.
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
        caption: "From where to where each partition went".to_owned(),
        heads: vec![
            ("partition", false),
            ("stood at", true),
            ("rewound to", true),
            ("read up to", true),
            ("offsets", true),
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
    fn every_metric_is_compared_and_those_that_differ_are_the_ones_that_the_replay_names() {
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
    fn a_row_that_is_gone_is_told_value_by_value() {
        let (before, mut after) = (example(), example());
        after.by_restaurant.remove(1);
        let found = compared(&before, &after);
        let gone = found.iter().filter(|metric| metric.after.is_null());
        assert_eq!(gone.count(), 6, "the six values of a restaurant");
    }
}
