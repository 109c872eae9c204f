//! Page of a scenario run: its verdict, its sections in order, and every expectation.

use serde_json::Value;

use super::{
    format,
    lag::lag_section,
    orders::{orders_section, stock_section},
    page::{Html, Page, Section, Sentences, Tile, Tone},
    replay::add_replay,
    steps::{commands_section, facts_section, timeline_section},
    table::{Cell, Collapse, HtmlTable},
};
use crate::analytics::MetricsDocument;
use crate::replay::ReplayDocument;
use crate::report::printable;
use crate::scenario::{ExpectationOutcome, ScenarioDocument, ScenarioVerdict};

/// The most failed expectations right below the verdict. The section of expectations has all of them.
const AT_THE_TOP: usize = 10;

/// The page of a run.
pub(super) fn page(document: &ScenarioDocument) -> Page {
    let failed: Vec<_> = document.expectations.iter().filter(|expectation| !expectation.held).collect();
    let metrics = last_metrics(document);
    let orders = metrics.as_ref().and_then(|(metrics, step)| orders_section(metrics, step));
    let stock = metrics.as_ref().and_then(|(metrics, _)| stock_section(metrics));
    let sections = [
        orders,
        lag_section(&document.lag, &document.events, document.elapsed_seconds),
        replay_section(document),
        stock,
        expectations_section(&document.expectations),
        timeline_section(document),
        Some(commands_section(document)),
        Some(facts_section(document)),
        not_shown_section(&document.not_shown),
    ];
    let (tone, word) = match document.verdict {
        ScenarioVerdict::Passed => (Tone::Good, "Passed"),
        ScenarioVerdict::Failed => (Tone::Bad, "Failed"),
        ScenarioVerdict::Interrupted => (Tone::Part, "Interrupted"),
    };
    Page {
        kind: "Scenario",
        title: format::cut(&printable(&document.name)),
        tone,
        word,
        sentence: sentence(document, &failed),
        warning: (document.verdict == ScenarioVerdict::Interrupted).then(|| warning(document)),
        first: match failed.as_slice() {
            [] => Html::default(),
            failed => Html::of(&expectations_table("Failed expectations", &failed[..failed.len().min(AT_THE_TOP)])),
        },
        tiles: tiles(document, metrics.as_ref().map(|(metrics, _)| metrics)),
        description: document.description.split("\n\n").map(paragraph).filter(|text| !text.is_empty()).collect(),
        sections: sections.into_iter().flatten().collect(),
        version: format::cut(&printable(&document.version)),
    }
}

/// The lines of a text as one paragraph.
fn paragraph(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    printable(&words.join(" ")).into_owned()
}

fn sentence(document: &ScenarioDocument, failed: &[&ExpectationOutcome]) -> String {
    let all = document.expectations.len();
    let took = format::seconds(document.elapsed_seconds);
    let broker = if document.broker.embedded { "a private embedded broker" } else { "a cluster" };
    match (document.verdict, failed) {
        (ScenarioVerdict::Passed, _) if all == 1 => {
            format!("The only expectation held; the run took {took} on {broker}.")
        }
        (ScenarioVerdict::Passed, _) => {
            format!("All {} expectations held; the run took {took} on {broker}.", format::grouped(all as u64))
        }
        (ScenarioVerdict::Failed, [first, ..]) => {
            let which = if failed.len() == 1 { "It is" } else { "The first is" };
            format!(
                "{} of {} expectations failed. {which} {} of {}: expected {}, seen {} (line {}).",
                format::grouped(failed.len() as u64),
                format::grouped(all as u64),
                format::cut(&printable(&first.value)),
                format::cut(&printable(&first.about)),
                format::cut(&printable(&first.expected)),
                format::cut(&printable(&first.seen_text())),
                first.line,
            )
        }
        (ScenarioVerdict::Failed, []) => match all {
            0 => "A step failed before any expectation was checked.".to_owned(),
            _ => "A step failed; all expectations that could be checked held.".to_owned(),
        },
        (ScenarioVerdict::Interrupted, _) => {
            format!("Stopped by a signal after {took}: the run proves nothing.")
        }
    }
}

fn warning(document: &ScenarioDocument) -> String {
    format!(
        "It was stopped after {}. This page shows a partial run, with {} expectations checked.",
        format::seconds(document.elapsed_seconds),
        format::grouped(document.expectations.len() as u64)
    )
}

fn tiles(document: &ScenarioDocument, metrics: Option<&MetricsDocument>) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut tile = |number: String, what: &str| tiles.push(Tile { number, what: what.to_owned() });
    let held = document.expectations.iter().filter(|expectation| expectation.held).count();
    if !document.expectations.is_empty() {
        let all = format::grouped(document.expectations.len() as u64);
        tile(format!("{} of {all}", format::grouped(held as u64)), "expectations held");
    }
    if let Some(metrics) = metrics {
        tile(format::grouped(metrics.total_orders), "orders");
        tile(format::grouped(metrics.inventory.reserved_orders), "reserved");
        tile(format::grouped(metrics.inventory.rejected_orders), "rejected");
    }
    let samples = document.lag.iter().flat_map(|group| &group.samples);
    if let Some(peak) = samples.filter_map(|sample| sample.messages).max() {
        tile(format::grouped(peak), "messages of lag at the peak");
    }
    tile(format::seconds(document.elapsed_seconds), "duration");
    tiles
}

/// The last metrics of a run, from a metrics document or a replay, and the step that printed them.
fn last_metrics(document: &ScenarioDocument) -> Option<(MetricsDocument, &str)> {
    document.steps.iter().rev().find_map(|step| {
        let found = step.document.as_ref()?;
        let metrics = match schema(found)? {
            "foodstream.metrics/1" => serde_json::from_value(found.clone()).ok()?,
            "foodstream.replay/1" => serde_json::from_value::<ReplayDocument>(found.clone()).ok()?.after,
            _ => return None,
        };
        Some((metrics, step.name.as_str()))
    })
}

fn schema(document: &Value) -> Option<&str> {
    document.get("schema")?.as_str()
}

fn replay_section(document: &ScenarioDocument) -> Option<Section> {
    let mut section = Section::new("replay", "Before and after the replay");
    let mut found = 0;
    for step in &document.steps {
        let Some(document) = step.document.as_ref().filter(|found| schema(found) == Some("foodstream.replay/1")) else {
            continue;
        };
        let Ok(replay) = serde_json::from_value::<ReplayDocument>(document.clone()) else { continue };
        section.heading(format::cut(&printable(&step.name)));
        add_replay(&mut section, &format!("replay{found}"), &replay);
        found += 1;
    }
    (found > 0).then_some(section)
}

fn expectations_section(expectations: &[ExpectationOutcome]) -> Option<Section> {
    if expectations.is_empty() {
        return None;
    }
    let mut section = Section::new("expectations", "Expectations");
    let all: Vec<_> = expectations.iter().collect();
    let table = expectations_table("All expectations, in the order of the script", &all);
    section.add(&table);
    Some(section)
}

fn expectations_table(caption: &str, expectations: &[&ExpectationOutcome]) -> HtmlTable {
    let rows = expectations.iter().map(|expectation| {
        let verdict = if expectation.held {
            Cell::Word { class: "good", sign: "✓", text: "held".to_owned() }
        } else {
            Cell::Word { class: "bad", sign: "✗", text: "not held".to_owned() }
        };
        vec![
            Cell::Text(format!(
                "{}: {}",
                format::cut(&printable(&expectation.about)),
                format::cut(&printable(&expectation.value))
            )),
            Cell::Text(match &expectation.why {
                Some(why) => {
                    format!("{}; {}", format::cut(&printable(&expectation.expected)), format::cut(&printable(why)))
                }
                None => format::cut(&printable(&expectation.expected)),
            }),
            Cell::Number(format::cut(&printable(&expectation.seen_text()))),
            verdict,
            Cell::Number(expectation.line.to_string()),
        ]
    });
    HtmlTable {
        class: "expectations",
        caption: caption.to_owned(),
        heads: vec![("value", false), ("expected", false), ("seen", true), ("verdict", false), ("line", true)],
        rows: rows.collect(),
        fold: Collapse::Never,
    }
}

fn not_shown_section(sentences: &[String]) -> Option<Section> {
    if sentences.is_empty() {
        return None;
    }
    let mut section = Section::new("not-shown", "What this run does not show");
    section.add(&Sentences { sentences: sentences.iter().map(|sentence| paragraph(sentence)).collect() });
    Some(section)
}
