//! Owns how a table of a script is read: each key looked up once by its type, unknown ones told with the one that was meant.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{DiagnosticSink, quoted};

/// The longest name of a script or a step, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest time that may be asked for.
const LONGEST_TIME: Duration = Duration::from_hours(1);

/// Something of the script with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table of a script.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    table: &'a DeTable<'a>,
    /// Where it stands: its heading, or its braces.
    pub(super) span: Range<usize>,
    /// Whether it has keys that are not known: what is missing is then likely one of them.
    strange: bool,
}

impl<'a> Fields<'a> {
    /// A table whose keys are these; others are mistakes.
    pub(super) fn of(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        known: &[&str],
        sink: &mut DiagnosticSink<'_>,
    ) -> Self {
        let mut strange = false;
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            strange = true;
            let hint = match sink.meant(key.get_ref(), known.iter().copied()) {
                Some(meant) => format!("{meant}?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            sink.add(key.span(), format!("unknown key {}", quoted(key.get_ref())), hint.as_str());
        }
        Self { table, span, strange }
    }

    /// A value that is to be a table, with these keys.
    pub(super) fn within(
        value: &'a Spanned<DeValue<'a>>,
        known: &[&str],
        what: &str,
        sink: &mut DiagnosticSink<'_>,
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            wrong_type(value, what, sink);
            return None;
        };
        Some(Self::of(table, value.span(), known, sink))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Tells that something is not there, unless it may be there under a name that is told as unknown.
    pub(super) fn missing(&self, message: &str, hint: &str, sink: &mut DiagnosticSink<'_>) {
        if !self.strange {
            sink.add(self.span.clone(), message, hint);
        }
    }

    /// Where a key stands.
    pub(super) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Which of these keys are there, in the order given.
    pub(super) fn present<'k>(&self, keys: &[&'k str]) -> Vec<&'k str> {
        keys.iter().copied().filter(|key| self.get(key).is_some()).collect()
    }

    pub(super) fn text(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<&'a str>> {
        text(self.get(key)?, sink)
    }

    pub(super) fn flag(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<bool>> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            wrong_type(value, "true or false", sink);
        }
        Some(Located { value: flag?, span: value.span() })
    }

    /// A whole number of a range.
    pub(super) fn whole(
        &self,
        key: &str,
        least: i64,
        most: i64,
        sink: &mut DiagnosticSink<'_>,
    ) -> Option<Located<i64>> {
        let value = self.get(key)?;
        let number = integer(value.get_ref()).filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let wanted = if most == i64::MAX { format!("from {least} on") } else { format!("from {least} to {most}") };
            let found = if value.get_ref().is_integer() {
                String::new()
            } else {
                format!(", and this is {}", kind(value.get_ref()))
            };
            sink.add(value.span(), format!("a whole number {wanted} is wanted{found}"), None);
        }
        Some(Located { value: number?, span: value.span() })
    }

    /// A number, whole or not.
    pub(super) fn number(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<Number>> {
        let value = self.get(key)?;
        let number = number(value.get_ref());
        if number.is_none() {
            wrong_type(value, "a number", sink);
        }
        Some(Located { value: number?, span: value.span() })
    }

    /// A number, a text, true or false.
    pub(super) fn literal(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<Value>> {
        let value = self.get(key)?;
        let literal = match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
            other => number(other).map(Value::Number),
        };
        if literal.is_none() {
            wrong_type(value, "a number, a text, true or false", sink);
        }
        Some(Located { value: literal?, span: value.span() })
    }

    /// A time above zero.
    pub(super) fn time(&self, key: &str, least: Duration, sink: &mut DiagnosticSink<'_>) -> Option<Duration> {
        let typed = self.text(key, sink)?;
        match humantime::parse_duration(typed.value) {
            Ok(time) if time >= least && time <= LONGEST_TIME => Some(time),
            Ok(time) => {
                let (least, most) = (humantime::format_duration(least), humantime::format_duration(LONGEST_TIME));
                let found = humantime::format_duration(time);
                sink.add(typed.span, format!("{found} is no {key}"), format!("from {least} to {most}").as_str());
                None
            }
            Err(_) => {
                let message = format!("{} is no time", quoted(typed.value));
                sink.add(typed.span, message, "a number with its unit, as in 500ms, 30s or 5m");
                None
            }
        }
    }

    /// A name: letters, digits and dashes.
    pub(super) fn name(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<&'a str>> {
        let name = self.text(key, sink)?;
        let letters = name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.value.is_empty() || name.value.len() > LONGEST_NAME || name.value.starts_with('-') || !letters {
            sink.add(
                name.span.clone(),
                format!("{} is no name", quoted(name.value)),
                "letters, digits and dashes, at most 64 of them",
            );
            return None;
        }
        Some(name)
    }
}

pub(super) fn text<'a>(value: &'a Spanned<DeValue<'a>>, sink: &mut DiagnosticSink<'_>) -> Option<Located<&'a str>> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(value, "a text in quotes", sink);
    }
    Some(Located { value: text?, span: value.span() })
}

pub(super) fn wrong_type(value: &Spanned<DeValue<'_>>, wanted: &str, sink: &mut DiagnosticSink<'_>) {
    sink.add(value.span(), format!("{wanted} is wanted, and this is {}", kind(value.get_ref())), None);
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<Number> {
    match value {
        DeValue::Integer(_) => integer(value).map(Number::from),
        DeValue::Float(float) => float.as_str().parse().ok().and_then(Number::from_f64),
        _ => None,
    }
}
