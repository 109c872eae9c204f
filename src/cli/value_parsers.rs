//! Parsers of argument values: numbers, durations, times and addresses, with errors that say what is expected.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::str::FromStr;

use humantime::Duration;

use crate::audit::{FanOut, MatchField};
use crate::domain::EventTime;
use crate::replay::{FilterError, TopicFilter};
use crate::units::{WrittenNumber, parse_duration};
use crate::workload::MAX_NAMES;

/// A `KEY=VALUE` argument. `Debug` hides it, because the value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Property(String);

impl Property {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Property {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Property(…)")
    }
}

/// RFC 3339, or Kafka's format without a zone, which is UTC. The offset may have Java's form, `+0530` or `+05`.
pub(super) fn event_time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(&with_colon(text))
        .map_err(|error| format!("{error}; expected a time such as 2026-11-22T12:00:00Z or 2026-11-22T17:30:00+05:30"))
}

/// Inserts the colon that RFC 3339 wants in the offset. The text before an offset has at least 19 characters.
fn with_colon(text: &str) -> Cow<'_, str> {
    let sign = text.rfind(['+', '-']).filter(|sign| *sign >= 19);
    let Some((time, offset)) = sign.and_then(|sign| text.split_at_checked(sign)) else { return text.into() };
    match offset.as_bytes() {
        [_, digits @ ..] if !digits.iter().all(u8::is_ascii_digit) => text.into(),
        [_, _, _] => format!("{time}{offset}:00").into(),
        [_, _, _, _, _] => format!("{time}{}:{}", &offset[..3], &offset[3..]).into(),
        _ => text.into(),
    }
}

// Numbers and durations accept a leading dash in the value, so that `--count -5` gets an error about the count instead
// of an unknown option `-5`.

fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, String> {
    let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected an integer between {} and {}", range.start(), range.end()))
}

fn positive<T: TryFrom<NonZeroU64>>(text: &str, most: u64) -> Result<T, String> {
    let number = WrittenNumber::parse(text).and_then(|number| NonZeroU64::new(number.whole()?));
    let number = number.filter(|number| number.get() <= most).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected an integer between 1 and {most}, as in 10000 or 10k"))
}

pub(super) fn count(text: &str) -> Result<NonZeroU64, String> {
    positive(text, u64::MAX)
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

pub(super) fn names(text: &str) -> Result<NonZeroU32, String> {
    positive(text, MAX_NAMES.into())
}

pub(super) fn users(text: &str) -> Result<NonZeroU32, String> {
    positive(text, u32::MAX.into())
}

/// The embedded broker allows 10,000 partitions, and four topics of a prefix have this many each.
pub(super) fn partitions(text: &str) -> Result<i32, String> {
    whole(text, 1..=2_000)
}

pub(super) fn offset(text: &str) -> Result<i64, String> {
    whole(text, 0..=i64::MAX.unsigned_abs())
}

/// A negative number of offsets.
pub(super) fn shift(text: &str) -> Result<i64, String> {
    let number = |text| WrittenNumber::parse(text).and_then(|number| number.whole());
    let back = text.strip_prefix('-').and_then(number).and_then(|back| 0_i64.checked_sub_unsigned(back));
    match (back, number(text)) {
        (Some(shift @ ..0), _) => Ok(shift),
        (_, Some(ahead)) => {
            Err(format!("a replay only goes back: expected a negative number, as in -{}", ahead.max(1)))
        }
        _ => Err("expected a negative integer, as in -500".to_owned()),
    }
}

pub(super) fn topic_filter(text: &str) -> Result<TopicFilter, String> {
    text.parse().map_err(|error: FilterError| error.to_string())
}

pub(super) fn match_field(text: &str) -> Result<MatchField, String> {
    text.parse()
}

pub(super) fn fan_out(text: &str) -> Result<FanOut, String> {
    text.parse()
}

/// How much evidence to show. A report with more of it is not read.
pub(super) fn witnesses(text: &str) -> Result<usize, String> {
    whole(text, 1..=1_000)
}

/// A size in bytes, in decimal units as in `256MB`, or in binary ones as in `1GiB`.
pub(super) fn size(text: &str) -> Result<NonZeroU64, String> {
    let text = text.strip_suffix('B').unwrap_or(text);
    let (number, unit) = match text.strip_suffix('i') {
        Some(binary) if binary.ends_with(['k', 'K']) => (&binary[..binary.len() - 1], 1 << 10),
        Some(binary) if binary.ends_with('M') => (&binary[..binary.len() - 1], 1 << 20),
        Some(binary) if binary.ends_with('G') => (&binary[..binary.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number = WrittenNumber::parse(number).and_then(|number| number.whole()?.checked_mul(unit));
    number
        .filter(|bytes| *bytes >= 1_000_000)
        .and_then(NonZeroU64::new)
        .ok_or_else(|| "expected a size of at least 1MB, as in 256MB or 1GiB".to_owned())
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric
        .parse()
        .map_err(|_| "expected an IP address of this machine and a port, as in 127.0.0.1:9092 or [::1]:9092".to_owned())
}

pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = split.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
    match (split, port) {
        (Some((host, _)), Some(port)) => Ok((host.trim_matches(['[', ']']).to_owned(), port)),
        _ => Err("expected a host and a port, as in my-machine:9092".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    within(text, LONGEST, "1y")
}

/// librdkafka counts milliseconds in 32 bits.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    within(text, std::time::Duration::from_hours(24 * 20), "20d")
}

/// A span of event time, up to the largest possible one.
pub(super) fn event_span(text: &str) -> Result<Duration, String> {
    within(text, LONGEST * 10_000, "10000y")
}

/// A year in humantime: 365.25 days.
const LONGEST: std::time::Duration = std::time::Duration::from_hours(8_766);

fn within(text: &str, most: std::time::Duration, limit: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() && duration <= most => Ok(duration.into()),
        _ => Err(format!(
            "expected a positive number of seconds, or with a unit as in 500ms, 30s or 1h30m, at most {limit}"
        )),
    }
}

/// A duration as above, or in ISO 8601 with days, hours, minutes and seconds as in Kafka's tools: `PT5M`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let is_iso = text.starts_with(['P', 'p']);
    let parsed = if is_iso { iso_8601(text) } else { parse_duration(text) };
    parsed.filter(|duration| !duration.is_zero()).map(Into::into).ok_or_else(|| {
        "expected a positive number of seconds, or a duration as in 90s, 5m, 1h30m, PT5M or P1DT2H".to_owned()
    })
}

/// `PnDTnHnMn.nS` as in Java's `Duration`, without signs. Years, months and weeks are not allowed.
fn iso_8601(text: &str) -> Option<std::time::Duration> {
    let text = text.to_ascii_uppercase();
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    let number = |digits: &str| -> Option<u64> {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let mut seconds = match days {
        "" if time.is_empty() => return None,
        "" => 0,
        days => number(days.strip_suffix('D')?)?.checked_mul(86_400)?,
    };
    let (mut rest, mut nanos) = (time, 0);
    for (unit, length) in [('H', 3_600), ('M', 60), ('S', 1)] {
        let Some((digits, after)) = rest.split_once(unit) else { continue };
        let whole = match digits.split_once(['.', ',']) {
            Some((whole, decimals)) if unit == 'S' && (1..=9).contains(&decimals.len()) => {
                nanos = u32::try_from(number(&format!("{decimals:0<9}"))?).ok()?;
                whole
            }
            Some(_) => return None,
            None => digits,
        };
        seconds = number(whole)?.checked_mul(length)?.checked_add(seconds)?;
        rest = after;
    }
    rest.is_empty().then(|| std::time::Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_durations_in_both_formats() {
        let seconds = |text: &str| span(text).map(|span| span.as_secs_f64());
        for (text, wanted) in [
            ("90s", 90.0),
            ("90", 90.0),
            ("1h30m", 5_400.0),
            ("PT5M", 300.0),
            ("P1DT2H", 93_600.0),
            ("P2D", 172_800.0),
            ("pt1h1m1.5s", 3_661.5),
            ("PT0,25S", 0.25),
        ] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "P1W",
            "P1M",
            "P1Y",
            "P1H",
            "PT1D",
            "PT-5M",
            "-PT5M",
            "PT5",
            "PT5M1H",
            "PT1M2M",
            "PT1.5M",
            "PT.5S",
            "PT1.S",
            "PT0S",
            "0s",
            "0",
            "1h30",
            "PT99999999999999999999S",
            "P999999999999999999D",
            "PTéS",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accepts_offsets_of_rfc_3339_and_java() {
        let same = |text: &str, wanted: &str| assert_eq!(event_time(text), event_time(wanted), "{text}");
        for time in ["2026-11-22T12:00:00", "2026-11-22 12:00:00.123"] {
            same(&format!("{time}+0530"), &format!("{time}+05:30"));
            same(&format!("{time}-0530"), &format!("{time}-05:30"));
            same(&format!("{time}+05"), &format!("{time}+05:00"));
            same(&format!("{time}-00"), &format!("{time}Z"));
            assert!(event_time(&format!("{time}+05")).is_ok());
            for wrong in ["+5", "+053", "+05300", "+0x30", "+2430", "+", "-", "+é0"] {
                assert!(event_time(&format!("{time}{wrong}")).is_err(), "{time}{wrong}");
            }
        }
        assert!(event_time("2026-11-22").is_err() && event_time("").is_err() && event_time("+0530").is_err());
    }

    #[test]
    fn a_number_out_of_range_reports_the_range() {
        assert_eq!(partitions("2000"), Ok(2_000));
        assert_eq!(partitions("9999"), Err("expected an integer between 1 and 2000".to_owned()));
        let refused = |parse: fn(&str) -> Result<Duration, String>, text: &str, range: &str| {
            let message = parse(text).expect_err(text);
            assert!(message.ends_with(range), "{message}");
        };
        refused(timeout, "100000y", "at most 20d");
        refused(timeout, "21d", "at most 20d");
        refused(duration, "366d", "at most 1y");
        refused(duration, "0s", "at most 1y");
        refused(event_span, "292277024y", "at most 10000y");
        refused(duration, "0", "at most 1y");
        refused(timeout, "1728001", "at most 20d");
        assert_eq!(timeout("5").map(Into::into), Ok(std::time::Duration::from_secs(5)));
        assert_eq!(duration("0.5").map(Into::into), Ok(std::time::Duration::from_millis(500)));
        assert!(timeout("20d").is_ok() && duration("1y").is_ok() && event_span("10000y").is_ok());
    }

    #[test]
    fn a_count_may_have_a_suffix() {
        let number = |text: &str| count(text).map(NonZeroU64::get);
        assert_eq!([number("10k"), number("1.5M"), number("10_000")], [Ok(10_000), Ok(1_500_000), Ok(10_000)]);
        assert_eq!(names("2k").map(NonZeroU32::get), Ok(2_000));
        assert!(names("2M").is_err() && number("0k").is_err() && number("1.5").is_err());
    }

    #[test]
    fn a_size_has_decimal_or_binary_units() {
        let bytes = |text: &str| size(text).map(NonZeroU64::get).ok();
        assert_eq!([bytes("256MB"), bytes("1.5GB")], [Some(256_000_000), Some(1_500_000_000)]);
        assert_eq!([bytes("1GiB"), bytes("2MiB"), bytes("3000000")], [Some(1 << 30), Some(2 << 20), Some(3_000_000)]);
        assert!(
            ["", "B", "iB", "1", "999kB", "-1MB", "1TB", "99999999999999999999GB", "1MiiB"]
                .iter()
                .all(|text| size(text).is_err())
        );
    }

    #[test]
    fn a_shift_must_go_back() {
        assert_eq!([shift("-500"), shift("-1.5k")], [Ok(-500), Ok(-1_500)]);
        assert_eq!(shift(&i64::MIN.to_string()), Ok(i64::MIN));
        for text in ["-0", "--5", "-9223372036854775809"] {
            assert!(shift(text).is_err(), "{text}");
        }
        assert_eq!(shift("500"), Err("a replay only goes back: expected a negative number, as in -500".into()));
        assert!(shift("0").is_err() && shift("far").is_err());
    }
}
