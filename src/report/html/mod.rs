//! Owns the pages that people look at: one self-contained HTML file for a scenario's run, a replay, or lag over time.
//!
//! Documents in, a string out. A page runs no script and fetches nothing; its pictures are inline SVG with a table beside
//! each, readable without colour, and laid out for a desk, a phone and paper. Whatever comes from records, scripts or a
//! cluster goes through [`printable`] and a template, which escapes it.

mod bar_charts;
mod format;
mod lag;
mod lag_chart;
mod lag_series;
mod minutes_chart;
mod orders;
mod page;
mod replay;
mod scale;
mod scenario;
mod steps;
mod svg;
mod table;
#[cfg(test)]
mod tests;

use crate::lag::LagDocument;
use crate::replay::{ReplayDocument, ReplayVerdict};
use crate::report::printable;
use crate::scenario::{LagSeries, RunEvent, ScenarioDocument};

use page::{FactList, Html, Page, Section, Sentences, Tile, Tone};

/// What a page of one command says about it; of a scenario's run, its document says it.
#[derive(Debug, Clone, Default)]
pub struct CommandFacts {
    /// The command line that shows the same, the program's name included.
    pub command: String,
    /// The consumer group.
    pub group: String,
    /// The broker's address.
    pub broker: String,
    /// Version of foodstream.
    pub version: String,
    /// Version of librdkafka.
    pub librdkafka: String,
    /// When it started: RFC 3339, UTC.
    pub started: String,
}

/// The page of a scenario's run.
#[must_use]
pub fn scenario_page(document: &ScenarioDocument) -> String {
    Html::of(&scenario::page(document)).to_string()
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
        tone,
        word,
        sentence: replay::sentence(document),
        warning: None,
        first: Html::default(),
        tiles: vec![
            tile(format::grouped(document.records), "records read again"),
            tile(format::grouped(document.differences.len() as u64), "metrics that differ"),
            tile(format::grouped(document.after.total_orders), "orders"),
        ],
        description: Vec::new(),
        sections: [Some(section), stock, Some(facts_section(facts)), Some(not_shown(&[
            "That the records are the ones that were sent: a replay compares what the log holds with what was counted of it.",
            "That another program would count the same: both sides were counted by foodstream.",
        ]))]
        .into_iter()
        .flatten()
        .collect(),
        version: format::cut(&printable(&facts.version)),
    };
    Html::of(&page).to_string()
}

/// The page of lag over time. Moments count from the first look; `seconds` is how long was looked.
#[must_use]
pub fn lag_page(groups: &[LagSeries], events: &[RunEvent], seconds: f64, facts: &CommandFacts) -> String {
    let last = groups.iter().filter_map(|group| group.samples.iter().rev().find_map(|sample| sample.messages));
    let waiting = last.clone().fold(0_i64, i64::saturating_add);
    let samples = groups.iter().map(|group| group.samples.len() as u64).sum::<u64>();
    let known = last.count();
    let (tone, word, sentence) = match (known, waiting) {
        (0, _) => (Tone::Plain, "Not known", "No group has committed anything, so that no lag is known.".to_owned()),
        (_, 0) => (Tone::Good, "Drained", "Nothing waits at the end.".to_owned()),
        _ => (Tone::Plain, "Waiting", format!("{} messages wait at the end.", format::grouped(waiting))),
    };
    let title = match groups {
        [only] => format!("Lag of {}", format::cut(&printable(&only.group))),
        _ => format!("Lag of {} groups", groups.len()),
    };
    let shown = |number: String, what: &str| Tile { number, what: what.to_owned() };
    let page = Page {
        kind: "Lag",
        title,
        tone,
        word,
        sentence,
        warning: None,
        first: Html::default(),
        tiles: vec![
            shown(format::grouped(waiting), "messages that wait at the end"),
            shown(format::grouped(samples), "samples"),
            shown(format::seconds(seconds), "looked for"),
        ],
        description: Vec::new(),
        sections: [
            lag::lag_section(groups, events, seconds),
            Some(facts_section(facts)),
            Some(not_shown(&[
                "What happened between two samples: a lag that rose and fell again in between left no trace here.",
            ])),
        ]
        .into_iter()
        .flatten()
        .collect(),
        version: format::cut(&printable(&facts.version)),
    };
    Html::of(&page).to_string()
}

/// The page of what `lag` has seen: of a watch its samples, otherwise the one look.
#[must_use]
pub fn lag_document_page(document: &LagDocument, facts: &CommandFacts) -> String {
    let (groups, seconds) = lag_series::over_time(document);
    lag_page(&groups, &[], seconds, facts)
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
