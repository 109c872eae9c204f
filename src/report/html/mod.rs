//! HTML pages: one self-contained file for a scenario run, a replay, an audit, or lag over time.
//!
//! Pure functions from documents to text. A page runs no script and fetches nothing. Its charts are inline SVG, each
//! with a table of its values, readable without colour, with layouts for desktop, phone and paper. Text from records,
//! scripts or a cluster goes through [`printable`] and a template, which escapes it.

mod audit;
#[cfg(test)]
mod audit_tests;
mod bar_charts;
mod dead_letters;
mod event_labels;
mod format;
mod lag;
mod lag_chart;
mod lag_series;
mod minutes_chart;
mod orders;
#[cfg(test)]
mod outcome_tests;
mod page;
mod replay;
mod scale;
mod scenario;
mod steps;
mod summary;
mod svg;
mod svg_file;
mod table;
#[cfg(test)]
mod tests;
mod time_axis;

use crate::audit::AuditDocument;
use crate::lag::LagDocument;
use crate::replay::{ReplayDocument, ReplayVerdict};
use crate::report::printable;
use crate::scenario::{LagSeries, RunEvent, ScenarioDocument};
use crate::units::counted;

use lag::LagView;
use page::{FactList, Html, Page, Section, Sentences, Tile, Tone};
use time_axis::TimeAxis;

/// The facts about a command that its page shows. The page of a scenario gets them from the document.
#[derive(Debug, Clone, Default)]
pub struct CommandFacts {
    /// The command line, with the program's name.
    pub command: String,
    /// The consumer group.
    pub group: String,
    /// The broker's address.
    pub broker: String,
    /// Version of foodstream.
    pub version: String,
    /// Version of librdkafka.
    pub librdkafka: String,
    /// Start of the command: RFC 3339, UTC.
    pub started: String,
}

/// The page of a scenario run.
#[must_use]
pub fn scenario_page(document: &ScenarioDocument) -> String {
    Html::of(&scenario::page(document)).to_string()
}

/// The lag chart of a run's busiest group as an SVG file. Without lag it has a sentence in the place of the chart.
#[must_use]
pub fn lag_svg(document: &ScenarioDocument) -> String {
    svg_file::of(&scenario::lag_view(document), &document.name)
}

/// The page of an audit.
#[must_use]
pub fn audit_page(document: &AuditDocument, facts: &CommandFacts) -> String {
    Html::of(&audit::page(document, facts)).to_string()
}

/// The page of a replay.
#[must_use]
pub fn replay_page(document: &ReplayDocument, facts: &CommandFacts) -> String {
    let (tone, word) = match document.verdict {
        ReplayVerdict::Identical => (Tone::Good, "Identical"),
        ReplayVerdict::Different => (Tone::Bad, "Different"),
    };
    let mut section = Section::new("replay", "Before and after");
    replay::add_replay(&mut section, "replay", document);
    let stock = orders::stock_section(&document.after);
    let tile = |number: String, what: &str| Tile { number, what: what.to_owned() };
    let page = Page {
        kind: "Replay",
        title: format!("Replay of {}", format::cut(&printable(&facts.group))),
        when: format::start(&facts.started).map(|start| format!("Started {start}")).unwrap_or_default(),
        tone,
        word,
        sentence: replay::sentence(document),
        story: String::new(),
        warning: None,
        first: Html::default(),
        picture: Html::default(),
        tiles: vec![
            tile(format::grouped(document.records), "records read again"),
            tile(format::grouped(document.differing()), "metrics that differ"),
            tile(format::grouped(document.after.total_orders), "orders"),
        ],
        below: Html::default(),
        description: Vec::new(),
        sections: [Some(section), stock, Some(facts_section(facts)), Some(not_shown(&[
            "Whether the records are those that were sent: a replay compares the log with what was counted from it.",
            "Whether another program would count the same: foodstream counted both sides.",
        ]))]
        .into_iter()
        .flatten()
        .collect(),
        version: format::cut(&printable(&facts.version)),
    };
    Html::of(&page).to_string()
}

/// The page of lag over time. Times are relative to the first sample; `seconds` is the duration of the watch.
#[must_use]
pub fn lag_page(groups: &[LagSeries], events: &[RunEvent], seconds: f64, facts: &CommandFacts) -> String {
    lag_page_from(groups, events, seconds, facts, &facts.started)
}

/// The page of lag since `first`, the time of the first sample.
fn lag_page_from(groups: &[LagSeries], events: &[RunEvent], seconds: f64, facts: &CommandFacts, first: &str) -> String {
    let axis = TimeAxis::new(groups, seconds, first);
    let view = LagView { groups, events, steps: &[], prefix: "", axis };
    let busiest = view.busiest();
    let last = groups.iter().filter_map(|group| group.samples.last()?.messages);
    let waiting = last.clone().fold(0_i64, i64::saturating_add);
    let samples = groups.iter().map(|group| group.samples.len() as u64).sum::<u64>();
    let known = last.count();
    let (tone, word, sentence) = lag_verdict(groups.len(), known, waiting);
    let title = match groups {
        [only] => format!("Lag of {}", format::cut(&printable(&only.group))),
        _ => format!("Lag of {}", counted(groups.len() as u64, "group")),
    };
    let shown = |number: String, what: &str| Tile { number, what: what.to_owned() };
    // Of several groups the lag at the end is a sum, which has no peak.
    let peak = busiest.filter(|_| groups.len() == 1).and_then(|group| lag::peak(&groups[group]));
    let tiles = [
        (known == groups.len()).then(|| shown(format::grouped(waiting), "messages of lag at the end")),
        peak.map(|(_, messages)| shown(format::grouped(messages), "messages of lag at the peak")),
        (groups.len() > 1).then(|| shown(format::grouped(groups.len() as u64), "groups")),
        Some(shown(format::grouped(samples), "samples")),
        (seconds > 0.0).then(|| shown(format::seconds(seconds), "watched")),
    ];
    let page = Page {
        kind: "Lag",
        title,
        when: format::start(first).map(|start| format!("First sample {start}")).unwrap_or_default(),
        tone,
        word,
        sentence,
        story: busiest.map(|group| lag::rise(&groups[group])).unwrap_or_default(),
        warning: None,
        first: Html::default(),
        picture: busiest.map(|group| Html::of(&view.figure(group))).unwrap_or_default(),
        tiles: tiles.into_iter().flatten().collect(),
        below: Html::default(),
        description: Vec::new(),
        sections: [
            view.section(busiest),
            Some(facts_section(facts)),
            Some(not_shown(&[
                "What happened between two samples: a lag that rose and fell in between is not visible.",
            ])),
        ]
        .into_iter()
        .flatten()
        .collect(),
        version: format::cut(&printable(&facts.version)),
    };
    Html::of(&page).to_string()
}

/// The tone, the word and the sentence about the lag at the end, which is known of that many groups.
fn lag_verdict(groups: usize, known: usize, waiting: i64) -> (Tone, &'static str, String) {
    let lag = if waiting == 0 { "0".to_owned() } else { counted(waiting, "message") };
    let word = if waiting == 0 { "Unknown" } else { "Lagging" };
    let others = if groups - known == 1 { "other" } else { "others" };
    match known {
        0 => {
            let why = "no group has a committed offset on every partition";
            (Tone::Plain, "Unknown", format!("The lag at the end is unknown: {why}."))
        }
        _ if known < groups => {
            let sentence = format!(
                "The lag at the end is {lag} in {known} of {}, and unknown in the {others}.",
                counted(groups as u64, "group")
            );
            (Tone::Plain, word, sentence)
        }
        _ if waiting == 0 => (Tone::Good, "Drained", format!("The lag at the end is {lag}.")),
        _ => (Tone::Plain, "Lagging", format!("The lag at the end is {lag}.")),
    }
}

/// The page of a lag document: the samples of a watch, or a single sample.
#[must_use]
pub fn lag_document_page(document: &LagDocument, facts: &CommandFacts) -> String {
    let (groups, seconds, first) = lag_series::over_time(document);
    lag_page_from(&groups, &[], seconds, facts, &first)
}

fn facts_section(facts: &CommandFacts) -> Section {
    let mut section = Section::new("facts", "Command and versions");
    let CommandFacts { command, group, broker, version, librdkafka, started } = facts;
    let named = [
        ("command", command),
        ("group", group),
        ("broker", broker),
        ("foodstream", version),
        ("librdkafka", librdkafka),
        ("started", started),
    ];
    let known = named.into_iter().filter(|(_, fact)| !fact.is_empty());
    section
        .add(&FactList { facts: known.map(|(name, fact)| (name.to_owned(), printable(fact).into_owned())).collect() });
    section
}

fn not_shown(sentences: &[&str]) -> Section {
    let mut section = Section::new("not-shown", "What this does not show");
    section.add(&Sentences { sentences: sentences.iter().map(|sentence| (*sentence).to_owned()).collect() });
    section
}
