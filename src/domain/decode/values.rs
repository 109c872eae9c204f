//! Owns the values of known fields: their JSON types and the bounds that every event shares.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::Taken;
use crate::domain::bad_record::Fault;
use crate::domain::json::JsonReader;
use crate::domain::{Cents, EventTime, TimeError};

/// The longest id, in bytes.
const LONGEST_ID: usize = 256;

/// Integers up to here are exact as a double (RFC 8259, section 6, on what readers of JSON agree about).
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Takes a string.
pub(super) fn text<'a>(reader: &mut JsonReader<'a>, name: &'static str) -> Taken<Cow<'a, str>> {
    if reader.peek()? != b'"' {
        reader.skip()?;
        return Ok(Err(Fault::wrong_type(name, "is not a string")));
    }
    reader.string().map(Ok)
}

/// Takes `event_type` and tells whether it is the wanted one.
pub(super) fn is_event_type(reader: &mut JsonReader<'_>, name: &'static str, wanted: &str) -> Taken<bool> {
    Ok(text(reader, name)?.map(|event_type| event_type == wanted))
}

/// Takes an id of 1 to 256 bytes.
pub(super) fn id<'a>(reader: &mut JsonReader<'a>, name: &'static str) -> Taken<Cow<'a, str>> {
    Ok(id_or_empty(reader, name)?
        .and_then(|id| if id.is_empty() { Err(Fault::bad_value(name, "is empty")) } else { Ok(id) }))
}

/// Takes an id of 0 to 256 bytes.
pub(super) fn id_or_empty<'a>(reader: &mut JsonReader<'a>, name: &'static str) -> Taken<Cow<'a, str>> {
    Ok(text(reader, name)?.and_then(|id| {
        if id.len() > LONGEST_ID { Err(Fault::bad_value(name, "is longer than 256 bytes")) } else { Ok(id) }
    }))
}

/// Takes a string that is one of a few words.
pub(super) fn word<T>(
    reader: &mut JsonReader<'_>,
    name: &'static str,
    problem: &'static str,
    known: impl FnOnce(&str) -> Option<T>,
) -> Taken<T> {
    Ok(text(reader, name)?.and_then(|word| known(&word).ok_or(Fault::bad_value(name, problem))))
}

/// Takes a timestamp.
pub(super) fn timestamp(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<EventTime> {
    Ok(text(reader, name)?.and_then(|text| {
        EventTime::parse(&text).map_err(|error| {
            let problem = match error {
                TimeError::Malformed => "is no RFC 3339 timestamp",
                TimeError::LeapSecond => "has second 60",
                TimeError::OutOfRange => "lies outside the years 1970 to 9999",
            };
            Fault::bad_value(name, problem)
        })
    }))
}

/// Takes a price or total.
pub(super) fn money(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<Cents> {
    Ok(number(reader, name)?.and_then(|number| {
        cents_of(number).ok_or(Fault::bad_value(name, "is not an amount in whole cents from 0 to 10000000.00"))
    }))
}

/// Takes a number of pieces, 1 to 1,000,000.
pub(super) fn quantity(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<u32> {
    whole(reader, name, 1..=1_000_000, "is not a whole number from 1 to 1000000")
}

/// Takes a number that is, by its value, a whole one within the bounds.
pub(super) fn whole<T: TryFrom<u64>>(
    reader: &mut JsonReader<'_>,
    name: &'static str,
    bounds: RangeInclusive<u64>,
    problem: &'static str,
) -> Taken<T> {
    Ok(number(reader, name)?.and_then(|number| {
        whole_of(number)
            .filter(|value| bounds.contains(value))
            .and_then(|value| T::try_from(value).ok())
            .ok_or(Fault::bad_value(name, problem))
    }))
}

/// Takes `null` as `None`, and anything else with `take`.
pub(super) fn nullable<'a, T>(
    reader: &mut JsonReader<'a>,
    take: impl FnOnce(&mut JsonReader<'a>) -> Taken<T>,
) -> Taken<Option<T>> {
    if reader.peek()? == b'n' {
        reader.skip()?;
        return Ok(Ok(None));
    }
    Ok(take(reader)?.map(Some))
}

fn number<'a>(reader: &mut JsonReader<'a>, name: &'static str) -> Taken<&'a str> {
    if !matches!(reader.peek()?, b'-' | b'0'..=b'9') {
        reader.skip()?;
        return Ok(Err(Fault::wrong_type(name, "is not a number")));
    }
    reader.number().map(Ok)
}

/// The whole number that a JSON number is by value: integers exactly, `2.0` and `2e0` as doubles.
fn whole_of(number: &str) -> Option<u64> {
    if number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok();
    }
    let value: f64 = number.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in bounds")]
    (value.fract() == 0.0 && (0.0..=EXACT_INTEGERS).contains(&value)).then_some(value as u64)
}

/// The amount that a JSON number is by value.
fn cents_of(number: &str) -> Option<Cents> {
    match plain_cents(number.as_bytes()) {
        Some(cents) => (cents <= Cents::LIMIT).then_some(cents),
        None => number.parse().ok().and_then(Cents::from_units),
    }
}

/// The usual spellings, `8`, `8.5` and `8.50`, without the way through a double; `None` for every other.
fn plain_cents(number: &[u8]) -> Option<Cents> {
    let (units, hundredths) = match number {
        [units @ .., b'.', tenths] => (units, digits(&[*tenths])? * 10),
        [units @ .., b'.', tenths, hundredths] => (units, digits(&[*tenths, *hundredths])?),
        units => (units, 0),
    };
    if units.len() > 10 {
        return None;
    }
    Some(Cents(digits(units)? * 100 + hundredths))
}

fn digits(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_is_judged_by_value_not_by_spelling() {
        for (number, whole) in [
            ("2", Some(2)),
            ("2.0", Some(2)),
            ("2e0", Some(2)),
            ("20e-1", Some(2)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            ("1.5", None),
            ("-1", None),
            ("1e400", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("9007199254740993", Some(9_007_199_254_740_993)),
        ] {
            assert_eq!(whole_of(number), whole, "{number}");
        }
    }

    #[test]
    fn money_forgives_float_noise_and_nothing_else() {
        for (number, cents) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            ("8", Some(800)),
            ("8.5", Some(850)),
            ("8.50", Some(850)),
            ("8.500", Some(850)),
            ("85e-1", Some(850)),
            ("8.499999999999999", Some(850)),
            ("25.979999999999997", Some(2_598)),
            ("8.505", None),
            ("10000000", Some(1_000_000_000)),
            ("10000000.00", Some(1_000_000_000)),
            ("10000000.01", None),
            ("9007199254740993", None),
            ("99999999999999999999", None),
            ("1e400", None),
            ("-0.01", None),
        ] {
            assert_eq!(cents_of(number), cents.map(Cents), "{number}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_to_cents_is_the_way_through_a_double(number in "(0|[1-9][0-9]{0,10})(\\.[0-9]{1,2})?") {
            let units: f64 = number.parse().expect("a number");
            prop_assert_eq!(cents_of(&number), Cents::from_units(units));
        }
    }
}
