//! Page of an audit: the verdict, each check with its count, and its evidence as a timeline of records.

use askama::Template;

use super::page::{Html, Page, Section, Sentences, Tile, Tone};
use super::table::{Cell, Collapse, HtmlTable};
use super::{CommandFacts, facts_section, format, not_shown};
use crate::audit::{AuditDocument, AuditVerdict, CheckResult, CoveredRange, RecordState, Subject, Witness};
use crate::domain::EventTime;
use crate::printable::line;
use crate::report::audit_words::{
    CheckOutcome, holding, live, nouns, outcome, repeated, shown, topic_ranges, uncommitted, verdict_reason,
};
use crate::report::printable;
use crate::units::counted;

/// The most evidence of a check that is drawn.
const DRAWN: usize = 50;

pub(super) fn page(document: &AuditDocument, facts: &CommandFacts) -> Page {
    let (tone, word) = verdict(document.verdict);
    Page {
        kind: "Audit",
        title: title(document),
        when: format::start(&facts.started).map(|start| format!("Started {start}")).unwrap_or_default(),
        tone,
        word,
        sentence: sentence(document),
        story: remarks([live(document).map(str::to_owned), uncommitted(document)]),
        warning: None,
        first: unproved_list(document),
        picture: Html::default(),
        tiles: tiles(document),
        below: Html::default(),
        description: repeated(document).map(|repeated| format!("{repeated}.")).into_iter().collect(),
        sections: [
            Some(checks_section(document)),
            evidence_section(document),
            covered_section(&document.covered),
            Some(facts_section(facts)),
            Some(not_shown(not_judged(document.subject))),
        ]
        .into_iter()
        .flatten()
        .collect(),
        version: format::cut(&printable(&facts.version)),
    }
}

/// Sentences from those that apply.
fn remarks(remarks: [Option<String>; 2]) -> String {
    remarks.into_iter().flatten().map(|remark| format!("{remark}.")).collect::<Vec<_>>().join(" ")
}

/// The tone and the word of a verdict.
const fn verdict(verdict: AuditVerdict) -> (Tone, &'static str) {
    match verdict {
        AuditVerdict::Clean => (Tone::Good, "Clean"),
        AuditVerdict::Violated => (Tone::Bad, "Violated"),
        AuditVerdict::Unproved => (Tone::Part, "Unproved"),
    }
}

/// The verdict in a sentence.
fn sentence(document: &AuditDocument) -> String {
    let reason = verdict_reason(document);
    let mut characters = reason.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}

fn title(document: &AuditDocument) -> String {
    match (&document.group, document.subject) {
        (Some(group), Subject::Prefix | Subject::Service) => format!("Audit of {}", format::cut(&printable(group))),
        (None, Subject::Prefix | Subject::Service) => "Audit".to_owned(),
        (_, Subject::Chain) => "Audit of a chain".to_owned(),
    }
}

fn unproved_list(document: &AuditDocument) -> Html {
    if document.unproved.is_empty() {
        return Html::default();
    }
    let sentences = document.unproved.iter().map(|sentence| format!("Not proved: {}.", shown(sentence)));
    Html::of(&Sentences { sentences: sentences.collect() })
}

fn tiles(document: &AuditDocument) -> Vec<Tile> {
    let violations = document.checks.iter().map(|check| check.violations).fold(0, u64::saturating_add);
    let [orders, decisions] = nouns(document.subject);
    let tile = |number: u64, noun: &str| Tile {
        number: format::grouped(number),
        what: if number == 1 { noun.to_owned() } else { format!("{noun}s") },
    };
    let checks = Tile { number: holding(document), what: "checks hold".to_owned() };
    vec![tile(document.orders, orders), tile(document.decisions, decisions), checks, tile(violations, "violation")]
}

/// Each check with its claim, its counts and its outcome.
fn checks_table(document: &AuditDocument) -> ChecksTable {
    let row = |check: &CheckResult| {
        let outcome = outcome(document, check);
        let (class, sign) = match outcome {
            CheckOutcome::Holds => ("good", "✓"),
            CheckOutcome::Violated => ("bad", "✗"),
            CheckOutcome::NotChecked => ("", "◐"),
            CheckOutcome::Empty => ("", "–"),
        };
        CheckRow {
            name: format::cut(&printable(&check.name)),
            claim: format::cut(&printable(&check.claim)),
            checked: format::grouped(check.checked),
            violations: format::grouped(check.violations),
            class,
            sign,
            outcome: outcome.words(),
        }
    };
    ChecksTable { rows: document.checks.iter().map(row).collect() }
}

/// The audits of a scenario run, each with the name of its step.
pub(super) fn run_section(audits: &[(&str, AuditDocument)]) -> Option<Section> {
    let mut section = Section::new("audit", "Audit");
    for (step, document) in audits {
        let (_, word) = verdict(document.verdict);
        section.heading(format!("{}: {}", format::cut(&printable(step)), word.to_lowercase()));
        section.paragraph(sentence(document));
        section.add(&checks_table(document));
        add_evidence(&mut section, document);
    }
    (!audits.is_empty()).then_some(section)
}

fn checks_section(document: &AuditDocument) -> Section {
    let mut section = Section::new("checks", "Checks");
    section.add(&checks_table(document));
    section
}

fn evidence_section(document: &AuditDocument) -> Option<Section> {
    let mut section = Section::new("evidence", "Evidence");
    add_evidence(&mut section, document);
    document.checks.iter().any(|check| check.violations > 0).then_some(section)
}

fn add_evidence(section: &mut Section, document: &AuditDocument) {
    for check in document.checks.iter().filter(|check| check.violations > 0) {
        section.heading(format!(
            "{}: {}",
            format::cut(&printable(&check.name)),
            counted(check.violations, "violation")
        ));
        section.paragraph(format!("The rule: {}.", format::cut(&printable(&check.claim))));
        for witness in check.witnesses().take(DRAWN) {
            section.add(&Evidence::of(witness));
        }
        let left = check.violations.saturating_sub(check.witnesses().take(DRAWN).count() as u64);
        if left > 0 {
            section.paragraph(format!("And {} more.", format::grouped(left)));
        }
    }
}

fn covered_section(covered: &[CoveredRange]) -> Option<Section> {
    let mut section = Section::new("covered", "What was covered");
    section.paragraph(format!("{}.", topic_ranges(covered)));
    let rows = covered.iter().map(|range| {
        vec![
            Cell::Text(format!("{} partition {}", format::cut(&printable(&range.topic)), range.partition)),
            Cell::Number(format::grouped(range.start)),
            Cell::Number(format::grouped(range.end)),
            Cell::Number(format::grouped(range.end.saturating_sub(range.start))),
        ]
    });
    section.add(&HtmlTable {
        class: "small",
        caption: "Offsets of each partition".to_owned(),
        heads: vec![("partition", false), ("from", true), ("before", true), ("offsets", true)],
        rows: rows.collect(),
        fold: Collapse::WhenLong,
    });
    (!covered.is_empty()).then_some(section)
}

const fn not_judged(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Prefix => &[
            "Orders that no broker acknowledged: they are not in the log.",
            "What consumers do outside of Kafka with the decisions that they read.",
            "Whether a record was there and is gone: only what the log has now is compared.",
        ],
        Subject::Service => &[
            "Orders that no broker acknowledged: they are not in the log.",
            "Whether there was stock for a reservation: the events do not say how much is on hand.",
            "What the service does outside of Kafka.",
        ],
        Subject::Chain => &[
            "Whether the content of an output is right: inputs and outputs are matched by one field only.",
            "What the consumer does outside of Kafka.",
        ],
    }
}

#[derive(Debug)]
struct CheckRow {
    name: String,
    claim: String,
    checked: String,
    violations: String,
    class: &'static str,
    sign: &'static str,
    outcome: &'static str,
}

/// A row for each check.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<div class="scroll" role="region" aria-label="Table" tabindex="0"><table class="compared checks">
<caption>Each check, how much it compared, and what does not hold</caption>
<thead><tr><th scope="col">check</th><th scope="col" class="number">checked</th><th scope="col" class="number">violations</th><th scope="col"></th></tr></thead>
<tbody>
{% for row in rows %}<tr><th scope="row"><code>{{ row.name }}</code> <span class="quiet">{{ row.claim }}</span></th>
<td class="number">{{ row.checked }}</td><td class="number">{{ row.violations }}</td>
<td{% if !row.class.is_empty() %} class="{{ row.class }}"{% endif %}><span aria-hidden="true">{{ row.sign }}</span> {{ row.outcome }}</td></tr>
{% endfor %}
</tbody>
</table></div>"#
)]
struct ChecksTable {
    rows: Vec<CheckRow>,
}

#[derive(Debug)]
struct EvidenceRecord {
    role: String,
    place: String,
    /// Its time, and how long after the first record of the evidence.
    time: String,
    class: &'static str,
    state: &'static str,
    key: Option<String>,
    value: Option<String>,
}

/// The evidence of a violation: a timeline of its records, and below it what was expected and seen.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<div class="evidence">
<p><strong>{{ anomaly }}</strong>: {{ summary }}.</p>
{% if !records.is_empty() %}<ol class="records">
{% for record in records %}<li class="{{ record.class }}"><strong>{{ record.role }}</strong> {{ record.place }}
<span class="about">{% if !record.time.is_empty() %}{{ record.time }}, {% endif %}{{ record.state }}{% if let Some(key) = record.key %}, key <code>{{ key }}</code>{% endif %}</span>
{% if let Some(value) = record.value %}<code class="value">{{ value }}</code>{% endif %}</li>
{% endfor %}</ol>
{% endif %}<dl class="facts"><div><dt>expected</dt><dd>{% if let Some(text) = expected %}<code>{{ text }}</code>{% else %}nothing{% endif %}</dd></div>
<div><dt>seen</dt><dd>{% if let Some(text) = seen %}<code>{{ text }}</code>{% else %}nothing{% endif %}</dd></div></dl>
</div>"#
)]
struct Evidence {
    anomaly: &'static str,
    summary: String,
    records: Vec<EvidenceRecord>,
    expected: Option<String>,
    seen: Option<String>,
}

impl Evidence {
    fn of(witness: &Witness) -> Self {
        let times = witness.records.iter().map(|record| record.timestamp.as_deref().and_then(time));
        let times: Vec<Option<EventTime>> = times.collect();
        let first = times.iter().flatten().next();
        let escaped = |text: &Option<String>| text.as_deref().map(|text| line(text).into_owned());
        let records = witness.records.iter().zip(&times).map(|(record, time)| EvidenceRecord {
            role: format::cut(&line(&record.role)),
            place: format!(
                "{} partition {}, offset {}",
                format::cut(&printable(&record.topic)),
                record.partition,
                format::grouped(record.offset)
            ),
            time: match (time, first, &record.timestamp) {
                (Some(time), Some(first), _) if time != first => format!("{time}, {}", after(*first, *time)),
                (Some(time), ..) => time.to_string(),
                (None, _, Some(text)) => format::cut(&line(text)),
                (None, _, None) => String::new(),
            },
            class: match record.state {
                RecordState::Committed => "kept",
                RecordState::Aborted | RecordState::Open => "hidden",
                RecordState::Unknown => "gone",
            },
            state: record.state.words(),
            key: escaped(&record.key),
            value: escaped(&record.value),
        });
        Self {
            anomaly: witness.anomaly.words(),
            summary: shown(&witness.summary).into_owned(),
            records: records.collect(),
            expected: escaped(&witness.expected),
            seen: escaped(&witness.seen),
        }
    }
}

fn time(text: &str) -> Option<EventTime> {
    EventTime::parse(text).ok()
}

/// `1.1 s later`, `0.4 s earlier`
fn after(first: EventTime, time: EventTime) -> String {
    #[allow(clippy::cast_precision_loss, reason = "one decimal of a second is shown")]
    let seconds = time.millis().saturating_sub(first.millis()) as f64 / 1000.0;
    let word = if seconds < 0.0 { "earlier" } else { "later" };
    format!("{} {word}", format::seconds(seconds.abs()))
}
