//! Owns reading events: which bytes are an order or a decision, which are another event, and which are bad.
//!
//! `serde_json` reads, borrowing, in three steps: the text must be one JSON object in which no known field stands twice;
//! then `event_type` tells whether the record is ours to judge; only then do the fields' own verdicts, kept meanwhile,
//! count. Known fields are looked at for repetition whatever the event type is, also in the objects of `items` and in
//! `source`.

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

use self::skipped_values::unseen_fault;
use self::visitor::{Any, Fields, Reading, ValueVisitor, read_fields};
use super::decode_error::{DecodeError, Location, Problem};
use super::{BadReason, BadRecord};

/// A known field: absent, or its value, or what is wrong with it, which counts only if the record is ours.
type Slot<T, E = Problem> = Option<Result<T, E>>;

/// What taking a value gives: `X` ends the reading, the inner error is the field's own.
type Taken<T, X> = Result<Result<T, Problem>, X>;

/// Why a text was not read to its end.
struct Ended {
    /// What `serde_json` says, and where.
    error: serde_json::Error,
    /// What was found that is no matter of syntax; `error` then tells only where.
    fault: Option<DecodeError>,
}

/// Reads a record's value as exactly one JSON object. Of several faults that end the reading the first in the text counts.
#[inline]
fn read_record<'a, F: Fields<'a> + Default>(value: Option<&'a [u8]>) -> Result<F, BadRecord> {
    let bytes = value.ok_or(DecodeError { place: Location::Value, problem: Problem::NoValue })?;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| DecodeError { place: Location::Byte(error.valid_up_to()), problem: Problem::NotUtf8 })?;
    let object_begins = text.trim_start_matches([' ', '\t', '\n', '\r']);
    if !object_begins.starts_with('{') {
        let place = Location::Byte(text.len() - object_begins.len());
        return Err(DecodeError { place, problem: Problem::NotAnObject }.into());
    }
    match (read_object(text), unseen_fault(text)) {
        (Ok(fields), None) => Ok(fields),
        (Ok(_), Some((_, bad))) => Err(bad),
        (Err(ended), unseen) => Err(first_fault(text, &ended, unseen)),
    }
}

#[cold]
fn first_fault(text: &str, ended: &Ended, unseen: Option<(usize, BadRecord)>) -> BadRecord {
    let (end, malformed) = not_json(text, 0, &ended.error);
    match unseen {
        Some((byte, bad)) if byte < end => bad,
        _ => ended.fault.map_or(malformed, BadRecord::from),
    }
}

/// Reads a text that begins like an object; once more, carefully, if it seems to be no JSON.
#[inline]
fn read_object<'a, F: Fields<'a> + Default>(text: &'a str) -> Result<F, Ended> {
    read_object_once(text, &Reading::default()).or_else(|ended| match ended.fault {
        Some(_) => Err(ended),
        None => read_object_once(text, &Reading { careful: true, ..Reading::default() }),
    })
}

fn read_object_once<'a, F: Fields<'a> + Default>(text: &'a str, reading: &Reading) -> Result<F, Ended> {
    let mut fields = F::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let object = Any { wanted: Record(&mut fields), reading };
    match reader.deserialize_any(object).and_then(|()| reader.end()) {
        Ok(()) => Ok(fields),
        Err(error) => Err(Ended { error, fault: reading.fault.get() }),
    }
}

/// The outer object.
struct Record<'f, F>(&'f mut F);

impl<'a, F: Fields<'a>> ValueVisitor<'a> for Record<'_, F> {
    type Value = ();

    /// Never asked for: the text begins like an object.
    fn wrong(self) {}

    #[inline]
    fn object<A: MapAccess<'a>>(self, fields: A, reading: &Reading) -> Result<(), A::Error> {
        read_fields(self.0, fields, reading)
    }
}

/// What `serde_json` says of a text that begins at that byte of the record, and at which byte of the record it says so.
#[cold]
fn not_json(text: &str, begin: usize, error: &serde_json::Error) -> (usize, BadRecord) {
    let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let read = lines_before.map(str::len).sum::<usize>() + error.column();
    // At the end nothing is at fault but that it ends; else the last byte that was read is.
    let byte = begin + if error.is_eof() { read } else { read.saturating_sub(1) };
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(&*words, |(words, _)| words);
    (byte, BadRecord { reason: BadReason::NotJson, detail: format!("byte {byte}: {words}") })
}

/// The value of a field that must be there.
#[inline]
fn required<T>(slot: Slot<T>, name: &'static str) -> Result<T, DecodeError> {
    slot.unwrap_or(Err(Problem::Missing)).map_err(|problem| DecodeError::of_field(name, problem))
}

/// The value of a field that may be missing.
#[inline]
fn optional<T>(slot: Slot<T>, name: &'static str, otherwise: T) -> Result<T, DecodeError> {
    slot.unwrap_or(Ok(otherwise)).map_err(|problem| DecodeError::of_field(name, problem))
}
