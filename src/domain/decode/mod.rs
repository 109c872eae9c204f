//! JSON decoder of events: recognizes orders, decisions, other events, and bad records. See `docs/reference/events.md`.
//!
//! `serde_json` parses without copying, in three steps. First, the text must be one JSON object without duplicate known
//! fields. Then `event_type` decides whether the record is skipped. Last, the errors of the fields, kept until then,
//! make the record bad. Duplicates are checked for every event type, also in the objects of `items` and in `source`.

mod decision;
mod order;
mod skipped_values;
mod values;
mod visitor;

#[cfg(test)]
mod model_tests;

pub use decision::decode_decision;
pub use order::decode_order;

use serde::Deserializer as _;
use serde::de::MapAccess;

use self::skipped_values::check_skipped;
use self::visitor::{AnyValue, Fields, ReadContext, ValueVisitor, read_fields};
use super::decode_error::{DecodeError, Location, Problem};
use super::{BadReason, BadRecord};

/// A known field: absent, its value, or its error, which counts only if the record is not skipped.
type Slot<T, E = Problem> = Option<Result<T, E>>;

/// The result of reading a value: `X` ends the parsing, the inner error is that of the field.
type Taken<T, X> = Result<Result<T, Problem>, X>;

/// Why the parsing ended early.
struct ParseFailure {
    /// The error of `serde_json`, with its location.
    json: serde_json::Error,
    /// An error that is not one of syntax; `json` then only has its location.
    error: Option<DecodeError>,
}

/// Parses a record's value as exactly one JSON object. Of several errors that end the parsing, the first in the text
/// counts.
#[inline]
fn read_record<'a, F: Fields<'a> + Default>(value: Option<&'a [u8]>) -> Result<F, BadRecord> {
    let bytes = value.ok_or(DecodeError { location: Location::Value, problem: Problem::NoValue })?;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| DecodeError { location: Location::Byte(error.valid_up_to()), problem: Problem::NotUtf8 })?;
    let object = text.trim_start_matches([' ', '\t', '\n', '\r']);
    if !object.starts_with('{') {
        let location = Location::Byte(text.len() - object.len());
        return Err(DecodeError { location, problem: Problem::NotAnObject }.into());
    }
    match (read_object(text), check_skipped(text)) {
        (Ok(fields), None) => Ok(fields),
        (Ok(_), Some((_, bad))) => Err(bad),
        (Err(failure), skipped) => Err(first_error(text, &failure, skipped)),
    }
}

#[cold]
fn first_error(text: &str, failure: &ParseFailure, skipped: Option<(usize, BadRecord)>) -> BadRecord {
    let (end, syntax_error) = not_json(text, 0, &failure.json);
    match skipped {
        Some((byte, bad)) if byte < end => bad,
        _ => failure.error.map_or(syntax_error, BadRecord::from),
    }
}

/// Parses a text that starts like an object; a second time, in careful mode, if it has a syntax error.
#[inline]
fn read_object<'a, F: Fields<'a> + Default>(text: &'a str) -> Result<F, ParseFailure> {
    read_object_once(text, &ReadContext::default()).or_else(|failure| match failure.error {
        Some(_) => Err(failure),
        None => read_object_once(text, &ReadContext { careful: true, ..ReadContext::default() }),
    })
}

fn read_object_once<'a, F: Fields<'a> + Default>(text: &'a str, context: &ReadContext) -> Result<F, ParseFailure> {
    let mut fields = F::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let object = AnyValue { visitor: RootObject(&mut fields), context };
    match reader.deserialize_any(object).and_then(|()| reader.end()) {
        Ok(()) => Ok(fields),
        Err(json) => Err(ParseFailure { json, error: context.error.get() }),
    }
}

/// The outer object.
struct RootObject<'f, F>(&'f mut F);

impl<'a, F: Fields<'a>> ValueVisitor<'a> for RootObject<'_, F> {
    type Value = ();

    /// Never called: the text starts like an object.
    fn wrong_type(self) {}

    #[inline]
    fn object<A: MapAccess<'a>>(self, fields: A, context: &ReadContext) -> Result<(), A::Error> {
        read_fields(self.0, fields, context)
    }
}

/// Converts an error of `serde_json` in a text that starts at byte `begin` of the record; also returns the byte of the
/// error.
#[cold]
fn not_json(text: &str, begin: usize, error: &serde_json::Error) -> (usize, BadRecord) {
    let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let read = lines_before.map(str::len).sum::<usize>() + error.column();
    // At the end of the input the error is after the last byte; otherwise it is the last byte read.
    let byte = begin + if error.is_eof() { read } else { read.saturating_sub(1) };
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    (byte, BadRecord { reason: BadReason::NotJson, detail: format!("byte {byte}: {text}") })
}

/// The value of a required field.
#[inline]
fn required<T>(slot: Slot<T>, name: &'static str) -> Result<T, DecodeError> {
    slot.unwrap_or(Err(Problem::Missing)).map_err(|problem| DecodeError::of_field(name, problem))
}

/// The value of an optional field.
#[inline]
fn optional<T>(slot: Slot<T>, name: &'static str, default: T) -> Result<T, DecodeError> {
    slot.unwrap_or(Ok(default)).map_err(|problem| DecodeError::of_field(name, problem))
}
