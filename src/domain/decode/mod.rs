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

use super::bad_record::{BadReason, Fault};
use super::json::JsonReader;

/// A known field: absent, or its value, or what is wrong with it, which counts only if the record is ours.
type Slot<T> = Option<Result<T, Fault>>;

/// What taking a value gives: the outer fault ends the reading, the inner one is the field's own.
type Taken<T> = Result<Result<T, Fault>, Fault>;

/// Reads a record's value as exactly one JSON object, handing each field to `field`, which must take its value.
fn read_record<'a>(
    value: Option<&'a [u8]>,
    field: impl FnMut(&mut JsonReader<'a>, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let bytes = value.ok_or(Fault::NO_VALUE)?;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault::at_byte(error.valid_up_to(), BadReason::NotUtf8, "not UTF-8"))?;
    let mut reader = JsonReader::new(text);
    if reader.peek()? != b'{' {
        return Err(reader.malformed("no JSON object begins here"));
    }
    reader.object(field)?;
    reader.end()
}

/// Fills a field's slot, once.
fn fill<T>(slot: &mut Slot<T>, name: &'static str, take: impl FnOnce(&'static str) -> Taken<T>) -> Result<(), Fault> {
    if slot.is_some() {
        return Err(Fault::duplicate(name));
    }
    *slot = Some(take(name)?);
    Ok(())
}

/// The value of a field that must be there.
fn required<T>(slot: Slot<T>, name: &'static str) -> Result<T, Fault> {
    slot.unwrap_or(Err(Fault::missing(name)))
}
