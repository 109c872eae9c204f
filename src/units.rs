//! Counts, durations and sizes for people: "1 row", "12,345 records", "17 min", "1.5 MiB"; and numbers that
//! people write.
//!
//! JSON, CSV and `JUnit` keep plain numbers.

use std::time::Duration;

/// An integer with a comma after every three digits: `12,345`, `-1,000`.
#[must_use]
pub fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A decimal number with a comma after every three digits of its integer part: `278,883.30`. Other text is unchanged.
#[must_use]
pub fn grouped_decimal(number: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = number.to_string();
    match text.split_once('.') {
        Some((whole, decimals)) => {
            whole.parse::<i128>().map_or(text.clone(), |whole| format!("{}.{decimals}", grouped(whole)))
        }
        None => text,
    }
}

/// A number of things, by a noun whose plural ends in "s": `1 row`, `2,000 rows`, `0 rows`.
#[must_use]
pub fn counted(count: impl Into<i128>, noun: &str) -> String {
    let count = count.into();
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// A duration in one or two units: `250 ms`, `1.5 s`, `30 s`, `90 s`, `17 min`, `2 h 5 min`, `3 d`.
///
/// It is exact to a tenth of a second below ten seconds, to a second below ten minutes, to a minute below a day,
/// and to an hour above.
#[must_use]
pub fn duration(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let millis = duration.as_millis();
    if millis == 0 && !duration.is_zero() {
        return "under 1 ms".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    if millis < 9_950 {
        let tenths = (millis + 50) / 100;
        return if tenths.is_multiple_of(10) {
            format!("{} s", tenths / 10)
        } else {
            format!("{}.{} s", tenths / 10, tenths % 10)
        };
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        let rest = if small == 0 { String::new() } else { format!(" {small} {small_unit}") };
        format!("{} {large_unit}{rest}", grouped(large))
    };
    match seconds {
        0..120 if seconds == MINUTE => "1 min".to_owned(),
        0..120 => format!("{seconds} s"),
        // Seconds still matter for a few minutes, but not from ten minutes on.
        120..600 => pair(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        _ => match (seconds + MINUTE / 2) / MINUTE * MINUTE {
            minutes if minutes < HOUR => pair(minutes / MINUTE, "min", 0, ""),
            minutes if minutes < DAY => pair(minutes / HOUR, "h", minutes % HOUR / MINUTE, "min"),
            minutes => pair(minutes / DAY, "d", minutes % DAY / HOUR, "h"),
        },
    }
}

/// Parses a duration: a number with units, as in `500ms` or `1h30m`, or a number of seconds without one, as in `5` or
/// `0.5`. Every duration that a user writes follows this rule, except in `--fail-if`, where a number without a unit is
/// messages.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    // A number after another unit stays an error: `1h30` could mean minutes or seconds.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let parsed =
        if is_number { humantime::parse_duration(&format!("{text}s")) } else { humantime::parse_duration(text) };
    parsed.ok()
}

/// A size in bytes, in the largest binary unit that it fills: `1 byte`, `512 bytes`, `1.5 KiB`, `64 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return counted(bytes, "byte");
    }
    let mut unit = 0;
    // Tenths of the unit, rounded: 1023.96 KiB is 1 MiB and not 1024 KiB.
    let mut tenths = (u128::from(bytes) * 10 + 512) / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        unit += 1;
        tenths = (u128::from(bytes) * 10 + (512 << (10 * unit))) >> (10 * (unit + 1));
    }
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

/// A number without a sign, as people write it: `10000`, `10_000`, `10k`, `1.5M`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenNumber {
    /// The digits of the number, without a point.
    digits: String,
    /// How many of them are decimals; the last of these is not zero.
    decimals: usize,
}

impl WrittenNumber {
    /// Parses digits, with `_` between them or not, decimals, and one of the suffixes `k`, `K`, `M` and `G`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, zeros) = match text.strip_suffix(['k', 'K', 'M', 'G']) {
            Some(number) if text.ends_with('G') => (number, 9),
            Some(number) if text.ends_with('M') => (number, 6),
            Some(number) => (number, 3),
            None => (text, 0_usize),
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str| {
            text.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if !is_digits(whole) || !is_digits(decimals) {
            return None;
        }
        let (whole, decimals) = (whole.replace('_', ""), decimals.replace('_', ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = format!("{whole}{decimals}{}", "0".repeat(zeros.saturating_sub(decimals.len())));
        Some(Self { digits, decimals: decimals.len().saturating_sub(zeros) })
    }

    /// The number, if it is whole and not too large.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        if self.decimals == 0 { self.digits.parse().ok() } else { None }
    }

    /// The digits as a number, and how many of them are decimals; `None` if the number is too large.
    #[must_use]
    pub fn scaled(&self) -> Option<(u128, usize)> {
        Some((self.digits.parse().ok()?, self.decimals))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_thousands() {
        assert_eq!([grouped(0), grouped(999), grouped(1000), grouped(-1_234_567)], ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!(grouped(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn groups_the_integer_part_of_a_decimal() {
        let shown = ["0.00", "999.99", "278883.30", "x", "1234", "340282366920938463463374607431768211455.00"];
        assert_eq!(
            shown.map(grouped_decimal),
            ["0.00", "999.99", "278,883.30", "x", "1234", "340282366920938463463374607431768211455.00"]
        );
    }

    #[test]
    fn a_number_without_a_unit_is_seconds() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        for (text, wanted) in
            [("1", 1_000), ("0.5", 500), ("90", 90_000), ("500ms", 500), ("1h30m", 5_400_000), ("0", 0)]
        {
            assert_eq!(millis(text), Some(wanted), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1h30", "1,5", "soon", "1 2", "99999999999999999999"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn counts_with_the_right_plural() {
        let shown = [counted(0, "row"), counted(1, "row"), counted(2, "row"), counted(12_345, "record")];
        assert_eq!(shown, ["0 rows", "1 row", "2 rows", "12,345 records"]);
    }

    #[test]
    fn durations_use_the_unit_a_person_would_choose() {
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!(duration(Duration::from_micros(20)), "under 1 ms");
        assert_eq!(
            [of(0), of(250), of(1_000), of(1_500), of(9_940), of(9_999)],
            ["0 ms", "250 ms", "1 s", "1.5 s", "9.9 s", "10 s"]
        );
        assert_eq!([of(30_000), of(60_000), of(90_400), of(119_600)], ["30 s", "1 min", "90 s", "2 min"]);
        assert_eq!([of(125_000), of(1_020_000), of(3_599_000)], ["2 min 5 s", "17 min", "1 h"]);
        assert_eq!([of(7_500_000), of(259_200_000), of(266_400_000)], ["2 h 5 min", "3 d", "3 d 2 h"]);
    }

    #[test]
    fn sizes_use_binary_units() {
        assert_eq!([bytes(0), bytes(1), bytes(1023), bytes(1024)], ["0 bytes", "1 byte", "1,023 bytes", "1 KiB"]);
        assert_eq!(
            [bytes(1536), bytes(1_048_534), bytes(64 << 20), bytes(3 << 30)],
            ["1.5 KiB", "1 MiB", "64 MiB", "3 GiB"]
        );
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }

    proptest! {
        #[test]
        fn every_value_has_a_short_form(value: u64) {
            for text in [grouped(value), duration(Duration::from_millis(value)), bytes(value)] {
                prop_assert!(!text.is_empty() && text.len() < 32, "{}", text);
            }
        }
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        let whole = |text: &str| WrittenNumber::parse(text).and_then(|number| number.whole());
        for (text, number) in [
            ("0", 0),
            ("007", 7),
            ("10000", 10_000),
            ("10_000", 10_000),
            ("10k", 10_000),
            ("10K", 10_000),
            ("1.5M", 1_500_000),
            ("1.500k", 1_500),
            ("0.001k", 1),
            ("2G", 2_000_000_000),
            ("1_000k", 1_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["1.5", "1.0005k", "18446744073709551616", "18446744073709552k"] {
            assert!(WrittenNumber::parse(text).is_some() && whole(text).is_none(), "{text}");
        }
        for text in [
            "", "k", ".", ".5k", "5.k", "-1", "+1", "1e4", "10m", "10kk", "10 k", "1,000", "_1", "1_", "1__0",
            "1.5.5k", "٣",
        ] {
            assert_eq!(WrittenNumber::parse(text), None, "{text:?}");
        }
        let scaled = |text: &str| WrittenNumber::parse(text).and_then(|number| number.scaled());
        assert_eq!(scaled("2.50"), Some((25, 1)));
        assert_eq!(scaled("1.0005k"), Some((10_005, 1)));
        assert_eq!(scaled(&"9".repeat(40)), None);
    }
}
