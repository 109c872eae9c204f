//! Fixed-point decimal numbers for comparisons, so that sums of money are exact; and values as text, in one format for
//! what was expected and what was seen.

use serde_json::{Number, Value};

use crate::units::grouped;

/// Digits after the decimal point. Floats with more digits are rounded.
const DIGITS: usize = 9;
const ONE: i128 = 1_000_000_000;
/// The largest absolute value: far above any count, and small enough that sums and percentages stay in range.
const LARGEST: i128 = 1_000_000_000_000_000_000 * ONE;

/// A number in units of 10⁻⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FixedPoint(i128);

impl FixedPoint {
    pub(super) const ZERO: Self = Self(0);

    /// Converts a JSON number, or a decimal number as text (the format of money in documents). `None` for anything
    /// else, and for a number that is too large.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::of_number(number),
            Value::String(text) => Self::parse(text),
            _ => None,
        }
    }

    pub(super) fn of_number(number: &Number) -> Option<Self> {
        // An integer is printed exactly, a float with the fewest digits that identify it.
        Self::parse(&number.to_string()).or_else(|| Self::approximate(number.as_f64()?))
    }

    /// Parses `-12.50`: an optional sign, digits, and an optional fraction.
    fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(rest) || rest.len() > DIGITS || whole.len() > 20 {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let rest: i128 = format!("{rest:0<DIGITS$}").parse().ok()?;
        Self(sign * (whole * ONE + rest)).in_range()
    }

    /// Rounds a float; `None` if it is not finite or too large.
    pub(super) fn approximate(float: f64) -> Option<Self> {
        let scaled = (float * 1e9).round();
        if !scaled.is_finite() || scaled.abs() >= 1e27 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a whole number below 10^27, looked at one line above")]
        Some(Self(scaled as i128))
    }

    fn in_range(self) -> Option<Self> {
        (self.0.abs() <= LARGEST).then_some(self)
    }

    /// The sum; `None` if it is too large.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        Self(self.0 + other.0).in_range()
    }

    /// Whether this differs from `expected` by at most that many percent of it.
    pub(super) fn is_within(self, percent: f64, expected: Self) -> bool {
        // The resolution is a thousandth of a percent.
        #[allow(clippy::cast_possible_truncation, reason = "a tolerance is above 0 and at most 100 percent")]
        let thousandths = (percent.clamp(0.0, 100.0) * 1000.0).round() as i128;
        (self.0 - expected.0).abs() * 100_000 <= thousandths * expected.0.abs()
    }

    /// As JSON: an integer if possible, otherwise a float.
    pub(super) fn to_json(self) -> Value {
        if self.0 % ONE == 0
            && let Ok(whole) = i64::try_from(self.0 / ONE)
        {
            return Value::from(whole);
        }
        #[allow(clippy::cast_precision_loss, reason = "as near as a JSON number gets")]
        let float = self.0 as f64 / 1e9;
        Value::from(float)
    }
}

/// The most characters of a value that are shown.
const LONGEST_SHOWN: usize = 200;

/// A value on one line: a number with its thousands separated (`10,000`, `0.05`), money with its decimals
/// (`278,883.30`), other text as it is, a list of these in brackets, another list or an object as JSON, shortened.
#[must_use]
pub fn value_text(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => {
            let text = number.to_string();
            // A float without a fraction is an integer to a comparison.
            let fraction =
                text.split_once('.').filter(|(_, digits)| digits.bytes().all(|digit| digit.is_ascii_digit()));
            decimal(fraction.map_or(text.as_str(), |_| text.trim_end_matches('0').trim_end_matches('.')))
        }
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) if FixedPoint::of(value).is_some() => decimal(text),
        Value::String(text) => text.clone(),
        Value::Array(members) if members.iter().all(|member| !member.is_array() && !member.is_object()) => {
            format!("[{}]", members.iter().map(value_text).collect::<Vec<_>>().join(", "))
        }
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let short: String = text.chars().take(LONGEST_SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { text }
}

/// Separates the thousands of a decimal number, and keeps its fraction. Another notation is returned as it is.
fn decimal(text: &str) -> String {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let is_negative = whole.starts_with('-') && text.bytes().any(|digit| matches!(digit, b'1'..=b'9'));
    match whole.trim_start_matches('-').parse::<i128>() {
        Ok(whole) if fraction.bytes().skip(1).all(|digit| digit.is_ascii_digit()) => {
            format!("{}{}{fraction}", if is_negative { "-" } else { "" }, grouped(whole))
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn parses_numbers_and_money_exactly() {
        for value in [json!(3), json!(3.0), json!("3"), json!("3.00")] {
            assert_eq!(FixedPoint::of(&value), Some(FixedPoint(3 * ONE)), "{value}");
        }
        assert_eq!(FixedPoint::of(&json!(4.76)), FixedPoint::of(&json!("4.76")));
        assert_eq!(FixedPoint::of(&json!(-0.5)), Some(FixedPoint(-ONE / 2)));
        assert_eq!(FixedPoint::of(&json!(1e-3)), Some(FixedPoint(ONE / 1000)));
        assert_eq!(FixedPoint::of(&json!(u64::MAX)), None, "above 10^18");
        for value in [
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(""),
            json!("."),
            json!("1e3"),
            json!("3 "),
            json!("identical"),
            json!(1e300),
        ] {
            assert_eq!(FixedPoint::of(&value), None, "{value}");
        }
        let cents = ["0.10", "0.20"].map(|text| FixedPoint::of(&json!(text)).expect("a number"));
        assert_eq!(cents[0].plus(cents[1]), FixedPoint::of(&json!(0.3)));
        assert_eq!(cents[1].to_json(), json!(0.2));
    }

    #[test]
    fn tolerance_is_relative_and_inclusive() {
        let amount = |number: f64| FixedPoint::approximate(number).expect("finite");
        for (seen, percent, wanted, within) in [
            (110.0, 10.0, 100.0, true),
            (90.0, 10.0, 100.0, true),
            (110.001, 10.0, 100.0, false),
            (-95.0, 10.0, -100.0, true),
            (0.0, 100.0, 0.0, true),
            (0.000_1, 100.0, 0.0, false),
            (5.0, 100.0, 10.0, true),
        ] {
            assert_eq!(amount(seen).is_within(percent, amount(wanted)), within, "{seen} {percent} {wanted}");
        }
    }

    #[test]
    fn equal_numbers_have_one_text() {
        for (values, text) in [
            ([json!(10_000), json!(10_000.0)], "10,000"),
            ([json!(0.05), json!("0.05")], "0.05"),
            ([json!(-1_234.5), json!("-1234.5")], "-1,234.5"),
            ([json!(0), json!(-0.0)], "0"),
            ([json!(278_883.3), json!("278883.3")], "278,883.3"),
        ] {
            assert_eq!(values.each_ref().map(value_text), [text, text], "{values:?}");
        }
        assert_eq!(value_text(&json!("278883.30")), "278,883.30");
        assert_eq!(value_text(&json!(-0.5)), "-0.5");
        assert_eq!(value_text(&json!(u64::MAX)), "18,446,744,073,709,551,615");
    }

    #[test]
    fn other_values_are_plain_and_short() {
        assert_eq!(value_text(&json!(1e300)), "1e+300");
        assert_eq!(value_text(&json!("identical")), "identical");
        assert_eq!(value_text(&json!("")), "\"\"");
        assert_eq!([value_text(&json!(null)), value_text(&json!(true))], ["nothing", "true"]);
        assert_eq!(value_text(&json!([1000, "x"])), "[1,000, x]");
        assert_eq!(value_text(&json!([{"a": 1000}])), "[{\"a\":1000}]");
        assert_eq!(value_text(&json!("x".repeat(1000))).chars().count(), LONGEST_SHOWN + 1);
    }

    proptest! {
        #[test]
        fn order_matches_integers(left in -1_000_000_000i64..1_000_000_000, right in -1_000_000_000i64..1_000_000_000) {
            let amount = |cents: i64| FixedPoint::of(&json!(format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)));
            prop_assert_eq!(amount(left).cmp(&amount(right)), left.cmp(&right));
        }

        #[test]
        fn arithmetic_never_overflows(left: f64, right: f64, percent: f64) {
            if let (Some(left), Some(right)) = (FixedPoint::approximate(left), FixedPoint::approximate(right)) {
                let _ = (left.plus(right), left.is_within(percent, right), left.to_json());
            }
        }
    }
}
