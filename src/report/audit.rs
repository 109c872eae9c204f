//! Text report of an audit: the checks, the evidence of what does not hold, what was covered, and the verdict last.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::audit_words::{
    CheckOutcome, live, outcome, repeated, shown, topic_ranges, uncommitted, verdict_reason, verdict_word,
    witness_title,
};
use super::text_table::{Align, TextTable};
use super::{Detail, tables_line};
use crate::audit::{AuditDocument, CheckResult, CoveredRange, WitnessRecord};
use crate::printable::{line, printable};
use crate::units::grouped;

/// The longest line of evidence in a [`Detail::Summary`], in characters.
const WIDTH: usize = 120;
/// The most sentences about what is not proved in a [`Detail::Summary`].
const UNPROVED: usize = 5;
/// The most evidence that `--witnesses` keeps.
const MOST_WITNESSES: u64 = 1_000;

/// The report, with the verdict last. `files` have all of it.
#[must_use]
pub fn audit_report(document: &AuditDocument, detail: Detail, files: &[String]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document, detail, files).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &AuditDocument, detail: Detail, files: &[String]) -> fmt::Result {
    write!(out, "{}", checks_table(document))?;
    for check in document.checks.iter().filter(|check| check.violations > 0) {
        write_evidence(out, check, detail)?;
    }
    match detail {
        Detail::Summary => writeln!(out, "Covered: {}", topic_ranges(&document.covered))?,
        Detail::Full => write!(out, "Covered:\n{}", covered_table(&document.covered))?,
    }
    if let Some(live) = live(document) {
        writeln!(out, "{live}")?;
    }
    for remark in [uncommitted(document), repeated(document)].into_iter().flatten() {
        writeln!(out, "{remark}")?;
    }
    write_unproved(out, &document.unproved, detail, files)?;
    writeln!(out, "Verdict: {}: {}", verdict_word(document.verdict), verdict_reason(document))
}

/// A row for each check.
fn checks_table(document: &AuditDocument) -> String {
    let [checked, violations] = ["checked", "violations"].map(|name| (name, Align::Right));
    let mut table = TextTable::new([("check", Align::Left), checked, violations, ("", Align::Left)]);
    for check in &document.checks {
        let outcome = match outcome(document, check) {
            CheckOutcome::Violated => "VIOLATED",
            other => other.words(),
        };
        table.row([
            printable(&check.name).into(),
            grouped(check.checked),
            grouped(check.violations),
            outcome.to_owned(),
        ]);
    }
    table.to_string()
}

/// The evidence of a check: the rule once, then what was expected and seen, and the records that show it.
fn write_evidence(out: &mut String, check: &CheckResult, detail: Detail) -> fmt::Result {
    for (number, witness) in check.witnesses().enumerate() {
        writeln!(out, "{}: {}", printable(&check.name), witness_title(witness))?;
        let roles = witness.records.iter().map(|record| line(&record.role).chars().count());
        let width = roles.fold("expected".len(), usize::max);
        if number == 0 {
            writeln!(out, "{}", fitted(&format!("  {:<width$}  {}", "rule", printable(&check.claim)), detail))?;
        }
        let [expected, seen] =
            [&witness.expected, &witness.seen].map(|text| text.as_deref().map_or("nothing".into(), line));
        let same = if detail == Detail::Summary { same_start(&expected, &seen) } else { 0 };
        for (label, text) in [("expected", &expected), ("seen", &seen)] {
            let dots = if same > 0 { "…" } else { "" };
            writeln!(out, "{}", fitted(&format!("  {label:<width$}  {dots}{}", &text[same..]), detail))?;
        }
        for record in &witness.records {
            writeln!(out, "{}", fitted(&record_line(record, width), detail))?;
        }
    }
    let listed = check.witnesses().count() as u64;
    match check.violations.saturating_sub(listed) {
        0 => Ok(()),
        more if listed >= MOST_WITNESSES => writeln!(out, "  and {} more", grouped(more)),
        more => {
            let wanted = check.violations.min(MOST_WITNESSES);
            writeln!(out, "  and {} more: `--witnesses {wanted}`", grouped(more))
        }
    }
}

/// `  order     order-events/3 offset 17  2026-11-22T12:00:00.123Z  committed  key  value`, with the role in a column of
/// that width.
fn record_line(record: &WitnessRecord, width: usize) -> String {
    let WitnessRecord { role, topic, partition, offset, timestamp, state, key, value } = record;
    let mut text = format!("  {:<width$}  {}/{partition} offset {offset}", line(role), printable(topic));
    let parts = [timestamp.as_deref(), Some(state.words()), key.as_deref(), value.as_deref()];
    for part in parts.into_iter().flatten() {
        text.push_str("  ");
        text.push_str(&line(part));
    }
    text
}

/// How many bytes to leave out of two long texts, so that their first difference is not cut off.
fn same_start(one: &str, other: &str) -> usize {
    /// Characters that are shown before the difference, and those that a text may begin with instead.
    const BEFORE: usize = 24;
    const SHORT: usize = 60;
    let pairs = one.char_indices().zip(other.chars());
    let same: Vec<usize> = pairs.take_while(|((_, left), right)| left == right).map(|((at, _), _)| at).collect();
    if same.len() < SHORT || one == other { 0 } else { same[same.len() - BEFORE] }
}

/// A line, cut in a summary.
fn fitted(text: &str, detail: Detail) -> Cow<'_, str> {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) if detail == Detail::Summary => Cow::Owned(format!("{}…", &text[..end])),
        _ => Cow::Borrowed(text),
    }
}

fn covered_table(covered: &[CoveredRange]) -> String {
    let columns = ["partition", "from", "before", "offsets"].map(|name| (name, Align::Right));
    let [partition, from, before, offsets] = columns;
    let mut table = TextTable::new([("topic", Align::Left), partition, from, before, offsets]);
    for range in covered {
        table.row([
            printable(&range.topic).into(),
            range.partition.to_string(),
            range.start.to_string(),
            range.end.to_string(),
            grouped(range.end.saturating_sub(range.start)),
        ]);
    }
    table.to_string()
}

fn write_unproved(out: &mut String, sentences: &[String], detail: Detail, files: &[String]) -> fmt::Result {
    let most = if detail == Detail::Full { usize::MAX } else { UNPROVED };
    for sentence in sentences.iter().take(most) {
        writeln!(out, "Not proved: {}", shown(sentence))?;
    }
    match sentences.len().saturating_sub(most) {
        0 => Ok(()),
        more => writeln!(out, "{}", tables_line(&format!("  and {} more", grouped(more as u64)), files)),
    }
}
