//! Script parser: reads TOML and returns a script, or all of its mistakes.

mod command;
mod expectations;
mod fields;
mod steps;
#[cfg(test)]
mod tests;
mod unroll;
mod value_types;

use std::time::Duration;

use toml::de::DeTable;

use super::diagnostic::{DiagnosticSink, quoted, visible};
use super::{CheckCommand, Diagnostics, Script};
use crate::units::{self, counted, grouped};
use fields::Fields;
use unroll::Unroller;

const DEFAULT_DEADLINE: Duration = Duration::from_mins(1);
const MIN_DEADLINE: Duration = Duration::from_millis(1);
/// The longest deadline.
const MAX_DURATION: Duration = Duration::from_hours(1);
/// The default time between two lag samples.
const DEFAULT_SAMPLING: Duration = Duration::from_millis(200);
const MIN_SAMPLING: Duration = Duration::from_millis(50);
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 10_000;
const MAX_EXPECTATIONS: usize = 1000;

const KEYS: [&str; 6] = ["name", "description", "deadline", "sample_every", "step", "expect"];

impl Script {
    /// Parses a script and validates it as a whole. `check` validates each command line.
    ///
    /// # Errors
    ///
    /// All mistakes; only the syntax errors if the text is not TOML. Warnings are in the script.
    pub fn parse(bytes: &[u8], check: &CheckCommand<'_>) -> Result<Self, Diagnostics> {
        let (text, mut sink) = match std::str::from_utf8(bytes) {
            _ if bytes.len() > Self::MAX_BYTES => {
                let mut sink = DiagnosticSink::of("");
                let hint = format!("the limit is {}", units::bytes(Self::MAX_BYTES as u64));
                sink.add(0..0, "the script is too large", hint.as_str());
                ("", sink)
            }
            Ok(text) => (text, DiagnosticSink::of(text)),
            Err(error) => {
                let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                let mut sink = DiagnosticSink::of(good);
                sink.add(good.len()..good.len(), "invalid UTF-8", "save the script as UTF-8");
                (good, sink)
            }
        };
        let mut script = None;
        if sink.is_empty() {
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in &errors {
                let span = error.span().unwrap_or(text.len()..text.len());
                sink.add(span, visible(error.message()), None);
            }
            if errors.is_empty() {
                script = read(table.get_ref(), check, &mut sink);
            }
        }
        match (sink.finish(), script) {
            (Some(diagnostics), _) => Err(diagnostics),
            (None, Some(script)) => Ok(Self { warnings: sink.warnings(), ..script }),
            (None, None) => Err(Diagnostics::unknown()),
        }
    }
}

fn read(table: &DeTable<'_>, check: &CheckCommand<'_>, sink: &mut DiagnosticSink<'_>) -> Option<Script> {
    let fields = Fields::of(table, 0..0, &KEYS, sink);
    let name = fields.name("name", sink);
    if fields.get("name").is_none() {
        fields.missing("the script has no name", "add name = \"…\" as its first line", sink);
    }
    let description = description(&fields, sink);
    let deadline = fields.time("deadline", MIN_DEADLINE, MAX_DURATION, sink).unwrap_or(DEFAULT_DEADLINE);
    let sample_every = fields.time("sample_every", MIN_SAMPLING, MAX_DURATION, sink).unwrap_or(DEFAULT_SAMPLING);

    let mut unroller = Unroller::new(deadline);
    if let Some(written) = steps::read(&fields, check, sink) {
        unroller.walk(&written, sink);
    } else if fields.get("step").is_none() {
        let hint = "add [[step]], followed by run = \"produce --count 1000\"";
        fields.missing("the script has no steps", hint, sink);
    }
    let expectations = expectations(&fields, &unroller, sink);
    let (steps, groups) = unroller.finish(&expectations);
    Some(Script {
        name: name?.value.to_owned(),
        description: description?,
        sample_every,
        groups,
        steps,
        expectations,
        warnings: Vec::new(),
    })
}

fn description(fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) -> Option<String> {
    let Some(description) = fields.text("description", sink) else {
        if fields.get("description").is_none() {
            fields.missing("the script has no description", "add description = \"…\", with what it shows", sink);
        }
        return None;
    };
    let text = description.value.trim();
    if let Some(control) = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        sink.add(
            description.span.clone(),
            format!("control character {} in the description", quoted(&control.to_string())),
            "use plain text",
        );
    }
    if text.is_empty() || text.len() > MAX_DESCRIPTION {
        sink.add(
            description.span,
            "the description is empty or too long",
            "describe in a few sentences what the script shows",
        );
    }
    Some(text.replace("\r\n", "\n"))
}

fn expectations(fields: &Fields<'_>, unroller: &Unroller, sink: &mut DiagnosticSink<'_>) -> Vec<super::Expectation> {
    let Some(value) = fields.get("expect") else {
        let hint = "add [[expect]], followed by step = \"…\", value = \"…\" and equals = …";
        fields.missing("the script has no expectations, so it proves nothing", hint, sink);
        return Vec::new();
    };
    let Some(list) = value.get_ref().as_array() else {
        fields::wrong_type(value, "[[expect]]", sink);
        return Vec::new();
    };
    if list.is_empty() || list.len() > MAX_EXPECTATIONS {
        let hint = format!("a script has 1 to {} expectations", grouped(MAX_EXPECTATIONS as u64));
        let message = format!("the script has {}", counted(list.len() as u64, "expectation"));
        sink.add(value.span(), message, hint.as_str());
        return Vec::new();
    }
    list.iter().filter_map(|one| expectations::read(one, unroller, sink)).collect()
}
