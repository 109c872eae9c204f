//! Values of an expectation as text: one format for what was expected and what was seen.

use serde_json::Value;

use super::fixed_point::FixedPoint;
use crate::units::grouped;

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
    use serde_json::json;

    use super::*;

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
}
