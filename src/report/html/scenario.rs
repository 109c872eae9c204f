//! Page of a scenario run: its verdict and what happened first, then its sections in order.

use super::{
    audit,
    dead_letters::DeadLetterTable,
    format,
    lag::LagView,
    orders::{orders_figure, orders_section, stock_section},
    page::Tone,
    page::{Html, Page, Section, Sentences},
    replay::add_replay,
    steps::{commands_section, facts_section, timeline_section},
    summary::{Subject, Summary},
    table::{Cell, Collapse, HtmlTable},
    time_axis::TimeAxis,
};
use crate::replay::{ReplayDocument, ReplayVerdict};
use crate::report::printable;
use crate::scenario::{ExpectationOutcome, ScenarioDocument, ScenarioVerdict};
use crate::topics::Names;
use crate::units::counted;

/// The most failed expectations right below the verdict. The section of expectations has all of them.
const AT_THE_TOP: usize = 10;
/// The longest value in the table of expectations, in characters.
const LONGEST_VALUE: usize = 110;

/// The page of a run.
pub(super) fn page(document: &ScenarioDocument) -> Page {
    let failed: Vec<_> = document.expectations.iter().filter(|expectation| !expectation.held).collect();
    let view = lag_view(document);
    let summary = Summary::of(document, &view);
    let at_the_top = match summary.subject {
        Subject::Lag(group) => Some(group),
        _ => None,
    };
    let lag = view.section(at_the_top);
    let replays = replay_section(&summary.replays);
    let (metrics, is_picture) = (summary.metrics.as_ref(), summary.subject == Subject::Orders);
    let orders = metrics.and_then(|(metrics, step)| orders_section(metrics, step, is_picture));
    let stock = metrics.and_then(|(metrics, _)| stock_section(metrics));
    let bad_records = dead_letter_section(&summary);
    let timeline = timeline_section(document, &view.axis);
    let audits = audit::run_section(&summary.audits);
    let expectations = expectations_section(&document.expectations);
    // The sections about the subject come first.
    let first = match summary.subject {
        Subject::Lag(_) => [lag, audits, timeline, expectations, orders, stock, bad_records, replays],
        Subject::Replays => [replays, audits, expectations, orders, stock, bad_records, lag, timeline],
        _ => [orders, stock, bad_records, audits, expectations, replays, lag, timeline],
    };
    let last =
        [Some(commands_section(document)), Some(facts_section(document)), not_shown_section(&document.not_shown)];
    let (tone, word) = match document.verdict {
        ScenarioVerdict::Passed => (Tone::Good, "Passed"),
        ScenarioVerdict::Failed => (Tone::Bad, "Failed"),
        ScenarioVerdict::Interrupted => (Tone::Part, "Interrupted"),
    };
    Page {
        kind: "Scenario",
        title: format::cut(&printable(&document.name)),
        when: when(document),
        tone,
        word,
        sentence: sentence(document, &failed),
        story: summary.story(),
        warning: (document.verdict == ScenarioVerdict::Interrupted).then(|| warning(document)),
        first: match failed.as_slice() {
            [] => Html::default(),
            failed => Html::of(&expectations_table("Failed expectations", &failed[..failed.len().min(AT_THE_TOP)])),
        },
        picture: match summary.subject {
            Subject::Lag(group) => Html::of(&view.figure(group)),
            _ => Html::default(),
        },
        tiles: summary.tiles(),
        below: below(&summary),
        description: document.description.split("\n\n").map(paragraph).filter(|text| !text.is_empty()).collect(),
        sections: first.into_iter().chain(last).flatten().collect(),
        version: format::cut(&printable(&document.version)),
    }
}

/// The lag of a run, with the axis of its charts and of its timeline.
pub(super) fn lag_view(document: &ScenarioDocument) -> LagView<'_> {
    let ends = document.steps.iter().filter_map(|step| step.ended_seconds).filter(|end| !end.is_nan());
    let end = ends.fold(document.elapsed_seconds, f64::max);
    let axis = TimeAxis::new(&document.lag, end, &document.started);
    let prefix = &document.broker.prefix;
    LagView { groups: &document.lag, events: &document.events, steps: &document.steps, prefix, axis }
}

/// Start, duration and broker of the run.
fn when(document: &ScenarioDocument) -> String {
    let started = format::start(&document.started).map(|start| format!("Started {start}, took "));
    let broker = if document.broker.embedded { "a private embedded broker" } else { "a cluster" };
    format!("{}{} on {broker}", started.as_deref().unwrap_or("Took "), format::seconds(document.elapsed_seconds))
}

/// The table or chart below the tiles.
fn below(summary: &Summary<'_>) -> Html {
    match (summary.subject, &summary.metrics) {
        (Subject::DeadLetters, _) => Html::of(&dead_letter_table(summary)),
        (Subject::Replays, _) => Html::of(&replays_table(&summary.replays)),
        (Subject::Orders, Some((metrics, _))) => Html::of(&orders_figure(metrics)),
        _ => Html::default(),
    }
}

fn dead_letter_table(summary: &Summary<'_>) -> DeadLetterTable {
    let topic = Names::new(&summary.document.broker.prefix).dead_letters();
    DeadLetterTable::new(&summary.dead_letters, &topic, summary.is_complete)
}

/// The bad records, unless they are the subject of the page.
fn dead_letter_section(summary: &Summary<'_>) -> Option<Section> {
    if summary.dead_letters.is_empty() || summary.subject == Subject::DeadLetters {
        return None;
    }
    let mut section = Section::new("bad-records", "Bad records");
    section.add(&dead_letter_table(summary));
    Some(section)
}

fn replays_table(replays: &[(&str, ReplayDocument)]) -> HtmlTable {
    let rows = replays.iter().map(|(step, replay)| {
        let verdict = match replay.verdict {
            ReplayVerdict::Identical => Cell::Word { class: "good", sign: "=", text: "identical".to_owned() },
            ReplayVerdict::Different => Cell::Word { class: "bad", sign: "≠", text: "different".to_owned() },
        };
        vec![
            Cell::Text(format::cut(&printable(step))),
            Cell::Number(format::grouped(replay.records)),
            Cell::Number(format::grouped(replay.before.total_orders)),
            Cell::Number(format::grouped(replay.after.total_orders)),
            verdict,
        ]
    });
    HtmlTable {
        class: "replays",
        caption: "Replays".to_owned(),
        heads: vec![
            ("replay", false),
            ("records read again", true),
            ("orders before", true),
            ("orders after", true),
            ("metrics and digests", false),
        ],
        rows: rows.collect(),
        fold: Collapse::WhenLong,
    }
}

/// The lines of a text as one paragraph.
fn paragraph(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    printable(&words.join(" ")).into_owned()
}

fn sentence(document: &ScenarioDocument, failed: &[&ExpectationOutcome]) -> String {
    let all = document.expectations.len();
    match (document.verdict, failed) {
        (ScenarioVerdict::Passed, _) if all == 1 => "The only expectation held.".to_owned(),
        (ScenarioVerdict::Passed, _) => {
            format!("All {} expectations held.", format::grouped(all as u64))
        }
        (ScenarioVerdict::Failed, [first, ..]) => {
            let which = if failed.len() == 1 { "It is" } else { "The first is" };
            format!(
                "{} of {} failed. {which} {} of {}: expected {}, seen {} (line {}).",
                format::grouped(failed.len() as u64),
                counted(all as u64, "expectation"),
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
            format!("Stopped by a signal after {}: the run proves nothing.", format::seconds(document.elapsed_seconds))
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

fn replay_section(replays: &[(&str, ReplayDocument)]) -> Option<Section> {
    let mut section = Section::new("replay", "Before and after the replay");
    for (index, (step, replay)) in replays.iter().enumerate() {
        section.heading(format::cut(&printable(step)));
        add_replay(&mut section, &format!("replay{index}"), replay);
    }
    (!replays.is_empty()).then_some(section)
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
    // The document has more of a long value, such as a list.
    let shortened = |text: &str| format::cut_to(&printable(text), LONGEST_VALUE);
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
                    format!("{}; {}", shortened(&expectation.expected), format::cut(&printable(why)))
                }
                None => shortened(&expectation.expected),
            }),
            Cell::Number(shortened(&expectation.seen_text())),
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
