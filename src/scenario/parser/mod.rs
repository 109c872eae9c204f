//! Owns how a script is read: TOML in, a script or every mistake out; nothing of it has run by then.

mod command;
mod expectations;
mod fields;
mod steps;
#[cfg(test)]
mod tests;
mod unroll;

use std::time::Duration;

use toml::de::DeTable;

use super::diagnostic::{DiagnosticSink, quoted, visible};
use super::{CheckLine, Diagnostics, Script};
use fields::Fields;
use unroll::Unroller;

/// The time that a step may take where nobody says otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_mins(1);
/// The time between two samples of lag where nobody says otherwise.
const DEFAULT_SAMPLING: Duration = Duration::from_millis(200);
/// The shortest of these.
const FASTEST_SAMPLING: Duration = Duration::from_millis(50);
/// The longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 10_000;
/// The most expectations.
const MOST_EXPECTATIONS: usize = 1000;

const KEYS: [&str; 6] = ["name", "description", "deadline", "sample_every", "step", "expect"];

impl Script {
    /// Reads a script and checks it as a whole. Each command line is also shown to `check`.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; where the text is no TOML, only those of its form.
    pub fn parse(bytes: &[u8], check: &CheckLine<'_>) -> Result<Self, Diagnostics> {
        let (text, mut sink) = match std::str::from_utf8(bytes) {
            _ if bytes.len() > Self::LARGEST => {
                let mut sink = DiagnosticSink::of("");
                let hint = format!("{} bytes are the most", Self::LARGEST);
                sink.add(0..0, "too large for a script", hint.as_str());
                ("", sink)
            }
            Ok(text) => (text, DiagnosticSink::of(text)),
            Err(error) => {
                let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                let mut sink = DiagnosticSink::of(good);
                sink.add(good.len()..good.len(), "not UTF-8 from here on", "save the script as UTF-8");
                (good, sink)
            }
        };
        let mut script = None;
        if sink.none() {
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in &errors {
                let span = error.span().unwrap_or(text.len()..text.len());
                sink.add(span, visible(error.message()), None);
            }
            if errors.is_empty() {
                script = read(table.get_ref(), check, &mut sink);
            }
        }
        match (sink.mistakes(), script) {
            (Some(mistakes), _) => Err(mistakes),
            (None, Some(script)) => Ok(script),
            (None, None) => Err(Diagnostics::unexplained()),
        }
    }
}

fn read(table: &DeTable<'_>, check: &CheckLine<'_>, sink: &mut DiagnosticSink<'_>) -> Option<Script> {
    let fields = Fields::of(table, 0..0, &KEYS, sink);
    let name = fields.name("name", sink);
    if fields.get("name").is_none() {
        fields.missing("a script without a name", "write name = \"…\" on its first line", sink);
    }
    let description = description(&fields, sink);
    let deadline = fields.time("deadline", Duration::from_millis(1), sink).unwrap_or(DEFAULT_DEADLINE);
    let sample_every = fields.time("sample_every", FASTEST_SAMPLING, sink).unwrap_or(DEFAULT_SAMPLING);

    let mut course = Unroller::new(deadline);
    if let Some(written) = steps::read(&fields, check, sink) {
        course.walk(&written, sink);
    } else if fields.get("step").is_none() {
        let hint = "write [[step]] and below it run = \"produce --count 1000\"";
        fields.missing("a script without a step", hint, sink);
    }
    let expectations = expectations(&fields, &course, sink);
    let (steps, groups) = course.done(&expectations);
    Some(Script { name: name?.value.to_owned(), description: description?, sample_every, groups, steps, expectations })
}

fn description(fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) -> Option<String> {
    let Some(description) = fields.text("description", sink) else {
        if fields.get("description").is_none() {
            fields.missing("a script without a description", "say what it is to show: description = \"…\"", sink);
        }
        return None;
    };
    let text = description.value.trim();
    if let Some(control) = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        sink.add(
            description.span.clone(),
            format!("{} in a description", quoted(&control.to_string())),
            "write plain text",
        );
    }
    if text.is_empty() || text.len() > LONGEST_DESCRIPTION {
        sink.add(description.span, "a description of no use", "say in a few sentences what the script is to show");
    }
    Some(text.replace("\r\n", "\n"))
}

fn expectations(fields: &Fields<'_>, course: &Unroller, sink: &mut DiagnosticSink<'_>) -> Vec<super::Expectation> {
    let Some(value) = fields.get("expect") else {
        let hint = "write [[expect]] and below it step = \"…\", value = \"…\" and equals = …";
        fields.missing("a script that expects nothing proves nothing", hint, sink);
        return Vec::new();
    };
    let Some(list) = value.get_ref().as_array() else {
        fields::wrong_type(value, "[[expect]]", sink);
        return Vec::new();
    };
    if list.is_empty() || list.len() > MOST_EXPECTATIONS {
        let hint = format!("from 1 to {MOST_EXPECTATIONS} of them");
        sink.add(value.span(), format!("{} expectations", list.len()), hint.as_str());
        return Vec::new();
    }
    list.iter().filter_map(|one| expectations::read(one, course, sink)).collect()
}
