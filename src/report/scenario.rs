//! Text report of a scenario: every expectation, the stderr of failed steps, and the verdict last.

use std::fmt::{self, Write};
use std::time::Duration;

use super::text_table::{Align, TextTable};
use crate::printable::printable;
use crate::scenario::{ExpectationOutcome, ScenarioDocument, ScenarioVerdict, StepOutcome, failures};
use crate::units::{counted, duration};

/// The most lines of stderr that are shown for a failed step.
const STDERR_LINES: usize = 8;
/// The most characters of a value that are shown. The document has all of it.
const CELL: usize = 64;

/// The report of a run, whose page is at a path. The verdict is the last line.
#[must_use]
pub fn scenario_report(document: &ScenarioDocument, page: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document, page).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &ScenarioDocument, page: &str) -> fmt::Result {
    let ScenarioDocument { name, verdict, elapsed_seconds, expectations, steps, file, .. } = document;
    let held = expectations.iter().filter(|outcome| outcome.held).count();
    let all = expectations.len();
    write_expectations(out, expectations)?;
    if held < all {
        write!(out, "\n{}", failures(file, expectations))?;
        for step in steps.iter().filter(|step| has_failed(document, step)) {
            writeln!(out, "\nLast lines of stderr of {}:", printable(&step.name))?;
            for line in step.stderr.iter().rev().take(STDERR_LINES).rev() {
                writeln!(out, "  {}", printable(line))?;
            }
        }
        writeln!(out)?;
    }
    writeln!(out, "Report: {page}")?;
    let word = match verdict {
        ScenarioVerdict::Passed => "passed",
        ScenarioVerdict::Failed => "failed",
        ScenarioVerdict::Interrupted => "interrupted, the results are partial",
    };
    writeln!(
        out,
        "{}: {word}: {held} of {} held, {} in {}",
        printable(name),
        counted(all as u64, "expectation"),
        counted(steps.len() as u64, "step"),
        duration(Duration::try_from_secs_f64(*elapsed_seconds).unwrap_or_default())
    )
}

fn write_expectations(out: &mut String, expectations: &[ExpectationOutcome]) -> fmt::Result {
    let mut table =
        TextTable::new([("", Align::Left), ("", Align::Left), ("expected", Align::Left), ("seen", Align::Left)]);
    for outcome in expectations {
        table.row([
            if outcome.held { "held" } else { "FAILED" }.to_owned(),
            printable(&format!("{} {}", outcome.about, outcome.value)).into_owned(),
            cut(&outcome.expected),
            cut(&outcome.seen_text()),
        ]);
    }
    write!(out, "{table}")
}

/// A cell of the table. A value may be a long list, whose beginning is enough to recognize it.
fn cut(text: &str) -> String {
    let shown = printable(text);
    if shown.chars().count() <= CELL {
        return shown.into_owned();
    }
    shown.chars().take(CELL - 1).chain(['…']).collect()
}

/// Whether an expectation about a step failed, its exit code included, and it wrote to stderr.
fn has_failed(document: &ScenarioDocument, step: &StepOutcome) -> bool {
    !step.stderr.is_empty() && document.expectations.iter().any(|outcome| !outcome.held && outcome.about == step.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{BrokerFacts, ExpectationOutcome};

    fn outcome(value: &str, seen: serde_json::Value, held: bool) -> ExpectationOutcome {
        ExpectationOutcome {
            about: "orders".to_owned(),
            value: value.to_owned(),
            expected: "10000".to_owned(),
            seen,
            held,
            line: 7,
            why: None,
        }
    }

    fn document(expectations: Vec<ExpectationOutcome>) -> ScenarioDocument {
        ScenarioDocument {
            schema: "foodstream.scenario/1".to_owned(),
            name: "first".to_owned(),
            description: String::new(),
            file: "first.toml".to_owned(),
            verdict: if expectations.iter().all(|outcome| outcome.held) {
                ScenarioVerdict::Passed
            } else {
                ScenarioVerdict::Failed
            },
            broker: BrokerFacts { embedded: true, address: String::new(), prefix: String::new() },
            version: String::new(),
            librdkafka: String::new(),
            started: String::new(),
            elapsed_seconds: 1.25,
            steps: vec![StepOutcome {
                name: "orders".to_owned(),
                run: "produce".to_owned(),
                command: "foodstream produce".to_owned(),
                background: false,
                started_seconds: 0.0,
                ended_seconds: Some(1.0),
                ended_by: None,
                exit_code: Some(0),
                document: None,
                stderr: vec!["a \u{1b}[31mred word".to_owned()],
                uncommitted: None,
            }],
            events: Vec::new(),
            lag: Vec::new(),
            expectations,
            not_shown: Vec::new(),
        }
    }

    #[test]
    fn passed_run_shows_no_stderr() {
        let text = scenario_report(&document(vec![outcome("acknowledged", json!(10_000), true)]), "out/first.html");
        let end = "\nReport: out/first.html\nfirst: passed: 1 of 1 expectation held, 1 step in 1.3 s\n";
        assert!(text.ends_with(end), "{text}");
        assert!(!text.contains("Last lines"), "{text}");
    }

    #[test]
    fn failure_shows_its_line_and_stderr() {
        let seen = json!(vec!["x".repeat(100)]);
        let held = outcome("acknowledged", json!(10_000), true);
        let text = scenario_report(&document(vec![held, outcome("partitions", seen, false)]), "out/first.html");
        for part in [
            "first: failed: 1 of 2",
            "FAILED  orders partitions",
            "first.toml:7",
            "Last lines of stderr of orders:",
            r"a \u{1b}[31mred",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let table: Vec<&str> = text.lines().take(3).collect();
        assert!(table.iter().all(|line| line.chars().count() < 140), "{text}");
    }
}
