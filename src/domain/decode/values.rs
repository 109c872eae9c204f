//! Values of known fields: their JSON types and bounds.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::Taken;
use super::visitor::{FieldValue, ValueVisitor};
use crate::domain::decode_error::Problem;
use crate::domain::{Cents, EventTime};

/// The largest length of an id in bytes.
const MAX_ID_BYTES: usize = 256;

/// The largest integer up to which a double is exact (RFC 8259, section 6).
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// A string.
struct Text;

impl<'a> ValueVisitor<'a> for Text {
    type Value = Result<Cow<'a, str>, Problem>;

    #[inline]
    fn wrong_type(self) -> Self::Value {
        Err(Problem::NoString)
    }

    #[inline]
    fn text(self, text: Cow<'a, str>) -> Self::Value {
        Ok(text)
    }
}

/// A string, or `null`.
struct TextOrNull;

impl<'a> ValueVisitor<'a> for TextOrNull {
    type Value = Result<Option<Cow<'a, str>>, Problem>;

    fn wrong_type(self) -> Self::Value {
        Err(Problem::NoString)
    }

    fn null(self) -> Self::Value {
        Ok(None)
    }

    fn text(self, text: Cow<'a, str>) -> Self::Value {
        Ok(Some(text))
    }
}

/// Reads a string.
#[inline]
pub(super) fn text<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Cow<'a, str>, A::Error> {
    value.read(Text)
}

/// Reads a string or `null`.
#[inline]
pub(super) fn text_or_null<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Option<Cow<'a, str>>, A::Error> {
    value.read(TextOrNull)
}

/// Reads an id of 1 to 256 bytes.
#[inline]
pub(super) fn id<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Cow<'a, str>, A::Error> {
    Ok(id_or_empty(value)?.and_then(|id| if id.is_empty() { Err(Problem::Empty) } else { Ok(id) }))
}

/// Reads an id of 0 to 256 bytes.
#[inline]
pub(super) fn id_or_empty<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Cow<'a, str>, A::Error> {
    Ok(text(value)?.and_then(|id| if id.len() > MAX_ID_BYTES { Err(Problem::LongerThan256) } else { Ok(id) }))
}

/// Reads a timestamp.
#[inline]
pub(super) fn timestamp<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<EventTime, A::Error> {
    Ok(text(value)?.and_then(|text| EventTime::parse(&text).map_err(Problem::Time)))
}

/// Reads a price or total.
#[inline]
pub(super) fn money<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Cents, A::Error> {
    Ok(number(value.json()?).and_then(|number| cents_of(number).ok_or(Problem::NoMoney)))
}

/// Reads a quantity of 1 to 1,000,000.
#[inline]
pub(super) fn quantity<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<u32, A::Error> {
    whole(value, 1..=1_000_000, Problem::NoQuantity)
}

/// Reads a number whose value is an integer within the bounds and those of its type.
#[inline]
pub(super) fn whole<'a, T: TryFrom<u64>, A: MapAccess<'a>>(
    value: FieldValue<'_, A>,
    bounds: RangeInclusive<u64>,
    problem: Problem,
) -> Taken<T, A::Error> {
    Ok(whole_within(value.json()?, bounds, problem))
}

/// As [`whole`], or `null`.
#[inline]
pub(super) fn whole_or_null<'a, T: TryFrom<u64>, A: MapAccess<'a>>(
    value: FieldValue<'_, A>,
    bounds: RangeInclusive<u64>,
    problem: Problem,
) -> Taken<Option<T>, A::Error> {
    let json = value.json()?;
    Ok(if json.get() == "null" { Ok(None) } else { whole_within(json, bounds, problem).map(Some) })
}

#[inline]
fn whole_within<T: TryFrom<u64>>(json: &RawValue, bounds: RangeInclusive<u64>, problem: Problem) -> Result<T, Problem> {
    let value = whole_of(number(json)?).filter(|value| bounds.contains(value));
    value.and_then(|value| T::try_from(value).ok()).ok_or(problem)
}

/// The JSON text of a number.
#[inline]
fn number(json: &RawValue) -> Result<&str, Problem> {
    if is_number(json) { Ok(json.get()) } else { Err(Problem::NoNumber) }
}

/// Whether a JSON text is a number.
#[inline]
pub(super) fn is_number(json: &RawValue) -> bool {
    matches!(json.get().as_bytes(), [b'-' | b'0'..=b'9', ..])
}

/// The integer value of a JSON number: integers exactly, `2.0` and `2e0` as doubles.
#[inline]
fn whole_of(number: &str) -> Option<u64> {
    number.parse().ok().or_else(|| whole_of_double(number))
}

#[cold]
fn whole_of_double(number: &str) -> Option<u64> {
    let value: f64 = number.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in bounds")]
    (value.fract() == 0.0 && (0.0..=EXACT_INTEGERS).contains(&value)).then_some(value as u64)
}

/// The amount of a JSON number.
#[inline]
fn cents_of(number: &str) -> Option<Cents> {
    match plain_cents(number.as_bytes()) {
        Some(cents) => (cents <= Cents::LIMIT).then_some(cents),
        None => number.parse().ok().and_then(Cents::from_units),
    }
}

/// Parses the usual formats `8`, `8.5` and `8.50` without a double; `None` for any other.
#[inline]
fn plain_cents(number: &[u8]) -> Option<Cents> {
    let (units, hundredths) = match number {
        [units @ .., b'.', tenths] => (units, digits(&[*tenths])? * 10),
        [units @ .., b'.', tenths, hundredths] => (units, digits(&[*tenths, *hundredths])?),
        units => (units, 0),
    };
    // Ten digits exceed the largest amount and do not overflow.
    if units.len() > 10 {
        return None;
    }
    Some(Cents(digits(units)? * 100 + hundredths))
}

#[inline]
fn digits(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_recognized_by_value() {
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
    fn money_tolerates_float_errors_only() {
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
        fn plain_cents_agree_with_the_double(number in "(0|[1-9][0-9]{0,10})(\\.[0-9]{1,2})?") {
            let units: f64 = number.parse().expect("a number");
            prop_assert_eq!(cents_of(&number), Cents::from_units(units));
        }
    }
}
