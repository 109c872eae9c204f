//! Typed access to a TOML table of a script: checks the type of each value, and reports unknown keys.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{DiagnosticSink, quoted};

/// The longest name of a script or a step, in bytes.
const MAX_NAME: usize = 64;

/// A value of the script with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table of a script.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    table: &'a DeTable<'a>,
    /// Its position: its header, or its braces.
    pub(super) span: Range<usize>,
    /// Whether it has unknown keys. A missing key is then probably one of them, misspelt.
    has_unknown_keys: bool,
}

impl<'a> Fields<'a> {
    /// A table with these keys. Others are reported as unknown.
    pub(super) fn of(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        known: &[&str],
        sink: &mut DiagnosticSink<'_>,
    ) -> Self {
        let mut has_unknown_keys = false;
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            has_unknown_keys = true;
            let hint = match sink.suggest(key.get_ref(), known.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("expected one of {}", known.join(", ")),
            };
            sink.add(key.span(), format!("unknown key {}", quoted(key.get_ref())), hint.as_str());
        }
        Self { table, span, has_unknown_keys }
    }

    /// A value that must be a table, with these keys.
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

    /// Reports a missing key, unless it may be present as an unknown, misspelt one.
    pub(super) fn missing(&self, message: &str, hint: &str, sink: &mut DiagnosticSink<'_>) {
        if !self.has_unknown_keys {
            sink.add(self.span.clone(), message, hint);
        }
    }

    /// The position of a key.
    pub(super) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Those of the given keys that are present, in the given order.
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

    /// An integer in a range.
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
            let range =
                if most == i64::MAX { format!("of {least} or more") } else { format!("between {least} and {most}") };
            let found =
                if value.get_ref().is_integer() { String::new() } else { format!(", found {}", kind(value.get_ref())) };
            sink.add(value.span(), format!("expected an integer {range}{found}"), None);
        }
        Some(Located { value: number?, span: value.span() })
    }

    /// An integer or a float.
    pub(super) fn number(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<Number>> {
        let value = self.get(key)?;
        let number = number(value.get_ref());
        if number.is_none() {
            wrong_type(value, "a number", sink);
        }
        Some(Located { value: number?, span: value.span() })
    }

    /// A number, a string, or a boolean.
    pub(super) fn literal(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<Value>> {
        let value = self.get(key)?;
        let literal = match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
            other => number(other).map(Value::Number),
        };
        if literal.is_none() {
            wrong_type(value, "a number, a string or a boolean", sink);
        }
        Some(Located { value: literal?, span: value.span() })
    }

    /// A duration between `least` and `most`.
    pub(super) fn time(
        &self,
        key: &str,
        least: Duration,
        most: Duration,
        sink: &mut DiagnosticSink<'_>,
    ) -> Option<Duration> {
        let typed = self.text(key, sink)?;
        match humantime::parse_duration(typed.value) {
            Ok(time) if time >= least && time <= most => Some(time),
            Ok(time) => {
                let [least, most, found] = [least, most, time].map(humantime::format_duration);
                let message = format!("{key} must be between {least} and {most}, not {found}");
                let hint = (key == "wait").then_some(
                    "wait for what the script needs, as in { records = \"order-events\", at_least = 1000 }: it takes as long as it must",
                );
                sink.add(typed.span, message, hint);
                None
            }
            Err(_) => {
                let message = format!("invalid duration {}", quoted(typed.value));
                sink.add(typed.span, message, "write a number with its unit, as in 500ms, 30s or 5m");
                None
            }
        }
    }

    /// A name: letters, digits and dashes.
    pub(super) fn name(&self, key: &str, sink: &mut DiagnosticSink<'_>) -> Option<Located<&'a str>> {
        let name = self.text(key, sink)?;
        let letters = name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.value.is_empty() || name.value.len() > MAX_NAME || name.value.starts_with('-') || !letters {
            sink.add(
                name.span.clone(),
                format!("invalid name {}", quoted(name.value)),
                "use at most 64 letters, digits and dashes",
            );
            return None;
        }
        Some(name)
    }
}

pub(super) fn text<'a>(value: &'a Spanned<DeValue<'a>>, sink: &mut DiagnosticSink<'_>) -> Option<Located<&'a str>> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(value, "a string", sink);
    }
    Some(Located { value: text?, span: value.span() })
}

/// The position in the script of a range within a string. If the string has escapes in the script, the position of all
/// of it.
pub(super) fn in_text(text: &Located<&str>, place: &Range<usize>, script: &str) -> Range<usize> {
    let quotes = |many: usize| {
        let start = text.span.start + many;
        let inside = script.get(start..start + text.value.len()).is_some_and(|written| written == text.value);
        (inside && !place.is_empty()).then(|| start + place.start..start + place.end)
    };
    quotes(1).or_else(|| quotes(3)).unwrap_or(text.span.clone())
}

pub(super) fn wrong_type(value: &Spanned<DeValue<'_>>, expected: &str, sink: &mut DiagnosticSink<'_>) {
    sink.add(value.span(), format!("expected {expected}, found {}", kind(value.get_ref())), None);
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
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
