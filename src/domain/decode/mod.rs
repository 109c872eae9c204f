//! Owns reading events: which bytes are an order or a decision, which are another event, and which are bad.
//!
//! One pass, borrowing, in three steps: the text must be one JSON object in which no known field stands twice; then
//! `event_type` tells whether the record is ours to judge; only then do the fields' own verdicts, kept meanwhile, count.
//! Known fields are looked at for repetition whatever the event type is, also in the objects of `items` and in `source`.

mod decision;
mod order;
mod values;

#[cfg(test)]
mod oracle;

pub use decision::decode_decision;
pub use order::decode_order;

use super::fault::{Fault, Place, Problem};
use super::json::{Broken, JsonReader};

/// A known field: absent, or its value, or what is wrong with it, which counts only if the record is ours.
type Slot<T, E = Problem> = Option<Result<T, E>>;

/// What taking a value gives: [`Broken`] ends the reading, the inner error is the field's own.
type Taken<T, E = Problem> = Result<Result<T, E>, Broken>;

/// Reads a record's value as exactly one JSON object, calling `known` in front of each known field's value.
#[inline]
fn read_record<'a, F: Copy>(
    value: Option<&'a [u8]>,
    fields: &[(&'static str, F)],
    known: impl FnMut(&mut JsonReader<'a>, F) -> Result<(), Broken>,
) -> Result<(), Fault> {
    let bytes = value.ok_or(Fault { place: Place::Value, problem: Problem::NoValue })?;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault { place: Place::Byte(error.valid_up_to()), problem: Problem::NotUtf8 })?;
    let mut reader = JsonReader::new(text);
    reader.object(fields, known).and_then(|()| reader.end()).map_err(|broken| reader.fault(broken))
}

/// The value of a field that must be there.
#[inline]
fn required<T>(slot: Slot<T>, name: &'static str) -> Result<T, Fault> {
    slot.unwrap_or(Err(Problem::Missing)).map_err(|problem| Fault::of_field(name, problem))
}

/// The value of a field that may be missing.
#[inline]
fn optional<T>(slot: Slot<T>, name: &'static str, otherwise: T) -> Result<T, Fault> {
    slot.unwrap_or(Ok(otherwise)).map_err(|problem| Fault::of_field(name, problem))
}
