//! Tests of event time: comparison with `jiff`, and both sides of every bound.

use jiff::Timestamp;
use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<i64, TimeError> {
    EventTime::parse(text).map(EventTime::millis)
}

#[test]
fn parses_the_canonical_format() {
    assert_eq!(parse("1970-01-01T00:00:00.000Z"), Ok(0));
    assert_eq!(parse("2026-11-22T12:00:00.123Z"), Ok(1_795_348_800_123));
    assert_eq!(parse("9999-12-31T23:59:59.999Z"), Ok(253_402_300_799_999));
    assert_eq!(EventTime::MAX.millis(), 253_402_300_799_999);
}

#[test]
fn parses_other_separators_zones_and_decimals() {
    for text in [
        "2026-11-22T12:00:00.120Z",
        "2026-11-22t12:00:00.12z",
        "2026-11-22 12:00:00.120",
        "2026-11-22T12:00:00.120999",
        "2026-11-22T12:00:00.120999999",
        "2026-11-22T12:00:00.1200+00:00",
        "2026-11-22T12:00:00.120-00:00",
        "2026-11-22T14:30:00.12000+02:30",
        "2026-11-21T12:01:00.12000000-23:59",
    ] {
        assert_eq!(parse(text), Ok(1_795_348_800_120), "{text}");
    }
    assert_eq!(parse("2026-11-22T12:00:00"), Ok(1_795_348_800_000));
}

#[test]
fn other_formats_are_malformed() {
    for text in [
        "",
        "2026-11-22",
        "2026-11-22T12:00",
        "2026-11-22T12:00Z",
        "2026-11-22T12:00:00.",
        "2026-11-22T12:00:00.Z",
        "2026-11-22T12:00:00,123Z",
        "2026-11-22T12:00:00.1234567890Z",
        "2026-11-22T12:00:00.12x3Z",
        "2026-11-22T12:00:00.-12Z",
        "2026-11-22T12:00:00+0200",
        "2026-11-22T12:00:00+02",
        "2026-11-22T12:00:00+24:00",
        "2026-11-22T12:00:00+02:60",
        "2026-11-22T12:00:00Z[UTC]",
        "2026-11-22T12:00:00ZZ",
        "2026-11-22T12:00:00 Z",
        " 2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00Z ",
        "2026-11-22_12:00:00Z",
        "2026/11/22T12:00:00Z",
        "20261122T120000Z",
        "2026-W47-7T12:00:00Z",
        "2026-326T12:00:00.000Z",
        "+002026-11-22T12:00:00Z",
        "-2026-11-22T12:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-00-22T12:00:00Z",
        "2026-13-22T12:00:00Z",
        "2026-11-00T12:00:00Z",
        "2026-11-31T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2100-02-29T12:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T12:60:00Z",
        "2026-11-22T12:00:61Z",
        "2026-11-22T12:00:-1Z",
        "1795348800",
        "２026-11-22T12:00:00Z",
    ] {
        assert_eq!(parse(text), Err(TimeError::Malformed), "{text}");
    }
}

#[test]
fn parses_leap_days() {
    assert!(parse("2024-02-29T12:00:00Z").is_ok());
    assert!(parse("2000-02-29T12:00:00Z").is_ok());
}

#[test]
fn second_60_is_a_leap_second() {
    assert_eq!(parse("2016-12-31T23:59:60Z"), Err(TimeError::LeapSecond));
    assert_eq!(parse("2016-12-31T23:59:60.500+01:00"), Err(TimeError::LeapSecond));
}

#[test]
fn the_range_is_checked_in_utc() {
    for text in
        ["0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:30:00+01:00", "9999-12-31T23:30:00-01:00"]
    {
        assert_eq!(parse(text), Err(TimeError::OutOfRange), "{text}");
    }
    assert_eq!(parse("1969-12-31T23:30:00-01:00"), Ok(1_800_000));
    assert_eq!(EventTime::from_millis(-1), None);
    assert_eq!(EventTime::from_millis(253_402_300_800_000), None);
    assert_eq!(EventTime::from_millis(i64::MIN), None);
}

#[test]
fn formats_minutes() {
    assert_eq!(Minute(0).to_string(), "1970-01-01T00:00Z");
    let time = EventTime::parse("2026-11-22T12:34:56.789Z").expect("a timestamp");
    assert_eq!(time.minute().to_string(), "2026-11-22T12:34Z");
}

#[test]
fn formats_minutes_out_of_range() {
    assert_eq!(Minute(-1).to_string(), "1969-12-31T23:59Z");
    for far in [i64::MIN, i64::MAX] {
        assert!(Minute(far).to_string().ends_with('Z'));
    }
}

#[test]
fn every_day_round_trips() {
    let last = EventTime::MAX.millis() / DAY_MILLIS;
    for day in 0..=last {
        assert_eq!(Date::of_day(day).days(), Some(day));
    }
}

proptest! {
    #[test]
    fn write_and_parse_are_inverse(millis in 0..=EventTime::MAX.0) {
        let time = EventTime::from_millis(millis).expect("in range");
        let mut written = Vec::new();
        time.write(&mut written);
        let written = String::from_utf8(written).expect("ASCII");
        prop_assert_eq!(EventTime::parse(&written), Ok(time));
        prop_assert_eq!(&written, &time.to_string());
        let theirs: Timestamp = written.parse().expect("jiff reads it");
        prop_assert_eq!(theirs.as_millisecond(), millis);
    }

    #[test]
    fn agrees_with_jiff(
        (year, month, day) in (0..=9_999_u32, 0..=13_u32, 0..=32_u32),
        (hour, minute, second) in (0..=24_u32, 0..=60_u32, 0..=59_u32),
        separator in "[Tt ]",
        decimals in "(\\.[0-9]{1,9})?",
        zone in "[Zz]|[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]",
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{decimals}{zone}");
        let theirs = text.parse::<Timestamp>().ok().map(|time| time.as_nanosecond().div_euclid(1_000_000));
        match parse(&text) {
            Ok(millis) => prop_assert_eq!(Some(i128::from(millis)), theirs),
            // jiff's range starts earlier and ends a day earlier, so it may not parse times that are out of ours.
            Err(TimeError::OutOfRange) => prop_assert!(
                theirs.is_none_or(|millis| !(0..=i128::from(EventTime::MAX.0)).contains(&millis))
            ),
            Err(_) => prop_assert_eq!(theirs, None),
        }
    }

    #[test]
    fn the_fast_path_agrees_with_jiff(
        (year, month, day) in (0..=9_999_u32, 0..=13_u32, 0..=32_u32),
        (hour, minute, second, milli) in (0..=24_u32, 0..=60_u32, 0..=61_u32, 0..=999_u32),
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}");
        // jiff reads second 60 as second 59.
        let theirs = text.parse::<DateTime>().ok().filter(|_| second != 60);
        let theirs = theirs.map(|time| time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_millis());
        prop_assert_eq!(canonical_millis(format!("{text}Z").as_bytes()).map(i128::from), theirs, "{}", text);
    }

    #[test]
    fn arbitrary_texts_do_not_panic(text in "\\PC{0,40}|[0-9TtZz:.+ -]{0,35}") {
        let read = EventTime::parse(&text);
        if let Ok(time) = read {
            prop_assert!((0..=EventTime::MAX.0).contains(&time.millis()));
        }
    }
}
