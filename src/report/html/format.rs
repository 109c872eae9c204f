//! Formatting of numbers, times and values on a page.

use serde_json::Value;

use crate::report::printable;
use crate::scenario::value_text;
use crate::units;

/// Shown for a missing value.
pub(super) const NOTHING: &str = "–";

/// Between a number and its unit, which stay on a line.
const SPACE: char = '\u{a0}';

/// The longest text of a value that a cell shows, in characters.
const LONGEST: usize = 240;

/// An integer with a comma after every three digits and a minus sign: `−12,345`.
pub(super) fn grouped(number: impl Into<i128>) -> String {
    units::grouped(number).replace('-', "−")
}

/// A number with at most that many decimals, without trailing zeros.
pub(super) fn decimal(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return NOTHING.to_owned();
    }
    if number.abs() >= 1e15 {
        return format!("{number:.2e}");
    }
    let text = format!("{:.decimals$}", number.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let is_zero = rest.is_empty() && whole == "0";
    let sign = if number < 0.0 && !is_zero { "−" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    // The number is below 1e15, so it parses.
    let whole = whole.parse::<i64>().map_or_else(|_| whole.to_owned(), units::grouped);
    format!("{sign}{whole}{point}{rest}")
}

/// A decimal number as text, such as money, with a comma after every three digits: `278,883.30`.
pub(super) fn decimal_text(text: &str) -> String {
    value_text(&Value::String(text.to_owned()))
}

/// The label of a number on an axis: always short.
pub(super) fn short(number: f64) -> String {
    let size = number.abs();
    match size {
        _ if size >= 1e15 => format!("{number:.0e}"),
        _ if size >= 1e12 => format!("{}T", decimal(number / 1e12, 1)),
        _ if size >= 1e9 => format!("{}G", decimal(number / 1e9, 1)),
        _ if size >= 1e6 => format!("{}M", decimal(number / 1e6, 1)),
        _ => decimal(number, 2),
    }
}

/// A duration: `3.2 s`, `121.4 s`, `5 min 3 s`, `1 h 2 min`. Like [`moment`] it uses seconds up to three minutes, which
/// `units::duration` does not.
pub(super) fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    if !size.is_finite() || size < 179.95 {
        return match decimal(seconds, 1) {
            nothing if nothing == NOTHING => nothing,
            number => format!("{number}{SPACE}s"),
        };
    }
    if size >= 1e15 {
        return format!("{}{SPACE}s", decimal(seconds, 0));
    }
    let sign = if seconds < 0.0 { "−" } else { "" };
    let whole = size.round();
    let (hours, minutes) = ((whole / 3600.0).floor(), (whole / 60.0).floor());
    if hours < 1.0 {
        return format!("{sign}{minutes:.0}{SPACE}min {:.0}{SPACE}s", whole - minutes * 60.0);
    }
    format!("{sign}{}{SPACE}h {:.0}{SPACE}min", decimal(hours, 0), minutes - hours * 60.0)
}

/// The label of a time on an axis that ends at `end`: `30 s`, `1:30`, `2:05`.
pub(super) fn moment(at: f64, end: f64) -> String {
    if end <= 180.0 || !at.is_finite() {
        return format!("{} s", decimal(at, 2));
    }
    let whole = at.round();
    let (hours, minutes) = ((whole / 3600.0).floor(), (whole / 60.0).floor() % 60.0);
    if end < 7200.0 {
        return format!("{:.0}:{:02.0}", (whole / 60.0).floor(), whole % 60.0);
    }
    format!("{}:{minutes:02.0}", short(hours))
}

/// The label of an age on an axis that ends at `end`: in days if it is longer than a month, so that it is short.
pub(super) fn age(at: f64, end: f64) -> String {
    if end <= 3e6 {
        return moment(at, end);
    }
    let days = (at / 86_400.0).round();
    let (unit, sign) = match days.abs() {
        size if size >= 999.5e6 => (1e9, "G"),
        size if size >= 999.5e3 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    // At most eight characters, which is the room next to the axis.
    format!("{}{sign} d", decimal(days / unit, usize::from(days.abs() < unit * 100.0)))
}

/// The date and the clock time of a start, of RFC 3339: `2026-11-22 12:41:07 UTC`.
pub(super) fn start(started: &str) -> Option<String> {
    let text = crate::domain::EventTime::parse(started).ok()?.to_string();
    Some(format!("{} {} UTC", text.get(..10)?, text.get(11..19)?))
}

/// A share in percent: `4.8 %`.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NOTHING.to_owned();
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let percent = part as f64 * 100.0 / whole as f64;
    format!("{} %", decimal(percent, 1))
}

/// A value of a document: a formatted number, printable text, or short JSON.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => grouped(number),
            (_, Some(number), _) => grouped(number),
            (_, _, Some(number)) => decimal(number, 3),
            _ => number.to_string(),
        },
        Value::String(text) => cut(&printable(text)),
        Value::Array(_) | Value::Object(_) => cut(&printable(&value.to_string())),
    }
}

/// Text, shortened to fit a cell.
pub(super) fn cut(text: &str) -> String {
    cut_to(text, LONGEST)
}

/// Text of at most that many characters, and a sign that it was longer.
pub(super) fn cut_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn thousands_have_separators() {
        assert_eq!([grouped(0), grouped(999), grouped(1000), grouped(-1_234_567)], ["0", "999", "1,000", "−1,234,567"]);
        assert_eq!(grouped(i64::MIN), "−9,223,372,036,854,775,808");
        assert_eq!([decimal(1234.50, 2), decimal(-0.001, 2), decimal(0.25, 1)], ["1,234.5", "0", "0.2"]);
        assert_eq!([decimal(f64::NAN, 2), decimal(f64::INFINITY, 2)], [NOTHING, NOTHING]);
        assert_eq!([short(12_000.0), short(2_500_000.0), short(3e9), short(1e18)], ["12,000", "2.5M", "3G", "1e18"]);
    }

    /// The text with a space that does not break in the place of each `_`.
    fn on_a_line(text: &str) -> String {
        text.replace('_', "\u{a0}")
    }

    #[test]
    fn durations_and_times_use_natural_units() {
        assert_eq!(
            [seconds(0.04), seconds(3.25), seconds(59.94), seconds(179.96)],
            ["0_s", "3.2_s", "59.9_s", "3_min 0_s"].map(on_a_line)
        );
        let long = ["3_min 3_s", "1_h 0_min", "2_h 3_min"].map(on_a_line);
        assert_eq!([seconds(183.4), seconds(3599.6), seconds(7380.0)], long);
        assert_eq!([moment(90.0, 120.0), moment(90.0, 600.0), moment(7500.0, 9000.0)], ["90 s", "1:30", "2:05"]);
        assert_eq!(seconds(f64::NAN), NOTHING);
        assert_eq!([share(1, 3), share(1, 0)], ["33.3 %", NOTHING]);
    }

    #[test]
    fn values_are_printable_and_short() {
        assert_eq!(value(&json!(12345)), "12,345");
        assert_eq!(value(&json!(u64::MAX)), "18,446,744,073,709,551,615");
        assert_eq!(value(&json!(0.125)), "0.125");
        assert_eq!(value(&json!("a\u{1b}[2J")), r"a\u{1b}[2J");
        assert_eq!(value(&json!({"a": ["x"]})), r#"{"a":["x"]}"#);
        assert_eq!(value(&json!("x".repeat(1000))).chars().count(), LONGEST + 1);
    }

    #[test]
    fn ages_are_in_round_units() {
        assert_eq!([age(90.0, 600.0), age(8.64e7, 1e8)], ["1:30", "1,000 d"]);
        assert_eq!([age(1e10, 1e10), age(-5e13, 5e13), age(1e15, 1e15)], ["116k d", "−579M d", "11.6G d"]);
    }

    proptest! {
        #[test]
        fn ages_have_at_most_eight_characters(exponent in 6.5f64..15.0, is_negative: bool) {
            let at = 10f64.powf(exponent) * if is_negative { -1.0 } else { 1.0 };
            prop_assert!(age(at, at.abs()).chars().count() <= 8, "{}", age(at, at.abs()));
        }

        #[test]
        fn every_number_has_a_short_form(number: f64) {
            for text in [decimal(number, 2), short(number), seconds(number), moment(number, 1.0), moment(number, 1e6)] {
                prop_assert!(!text.is_empty() && text.chars().count() < 32, "{}", text);
            }
        }
    }
}
