//! Owns the text of a scenario's run: its verdict, what held and what did not, and the last words of what went wrong.

use std::fmt::{self, Write};

use super::text::{Align, Table, printable};
use crate::scenario::{ScenarioDocument, StepOutcome, Verdict, failures};

/// Lines of stderr that are shown of a step that fell.
const LAST_WORDS: usize = 8;
/// Characters of a value that are shown; the document has all of it.
const CELL: usize = 64;

/// A run in a few lines.
#[must_use]
pub fn scenario_report(document: &ScenarioDocument) -> String {
    let mut out = String::new();
    // A string takes every text.
    write_report(&mut out, document).unwrap_or_default();
    out
}

fn write_report(out: &mut String, document: &ScenarioDocument) -> fmt::Result {
    let ScenarioDocument { name, verdict, elapsed_seconds, expectations, steps, file, .. } = document;
    let held = expectations.iter().filter(|outcome| outcome.held).count();
    let word = match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Interrupted => "interrupted: what follows is told of a part",
    };
    let all = expectations.len();
    writeln!(
        out,
        "{}: {word}: {held} of {all} expectations held, {} steps in {elapsed_seconds:.1} s",
        printable(name),
        steps.len()
    )?;
    let mut table =
        Table::new([("", Align::Left), ("", Align::Left), ("expected", Align::Left), ("seen", Align::Left)]);
    for outcome in expectations {
        table.row([
            if outcome.held { "held" } else { "FAILED" }.to_owned(),
            printable(&format!("{} {}", outcome.about, outcome.value)).into_owned(),
            cut(&outcome.expected),
            cut(&outcome.seen.to_string()),
        ]);
    }
    write!(out, "{table}")?;
    if held < all {
        write!(out, "\n{}", failures(file, expectations))?;
        for step in steps.iter().filter(|step| fell(document, step)) {
            writeln!(out, "\nLast words of {}:", printable(&step.name))?;
            for line in step.stderr.iter().rev().take(LAST_WORDS).rev() {
                writeln!(out, "  {}", printable(line))?;
            }
        }
    }
    Ok(())
}

/// A cell of the table: a whole list may have been compared, and its beginning is enough to know it again.
fn cut(text: &str) -> String {
    let shown = printable(text);
    if shown.chars().count() <= CELL {
        return shown.into_owned();
    }
    shown.chars().take(CELL - 1).chain(['…']).collect()
}

/// Whether a step ended otherwise than it was to, or an expectation about it failed and it had something to say.
fn fell(document: &ScenarioDocument, step: &StepOutcome) -> bool {
    !step.stderr.is_empty() && document.expectations.iter().any(|outcome| !outcome.held && outcome.about == step.name)
}
