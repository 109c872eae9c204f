//! Event time in milliseconds since the epoch, its minute, and their RFC 3339 texts.

use std::fmt;

use thiserror::Error;

/// An instant of event time, in whole milliseconds since 1970-01-01T00:00:00Z, in the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventTime(i64);

/// A minute of event time, counted from 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Minute(pub i64);

/// Why a text is not an event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    /// It does not parse.
    #[error("not an RFC 3339 timestamp")]
    Malformed,
    /// It has second 60.
    #[error("leap seconds (second 60) are not supported")]
    LeapSecond,
    /// It is outside the years 1970 to 9999.
    #[error("outside the years 1970 to 9999")]
    OutOfRange,
}

const MINUTE_MILLIS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;
const DAY_MILLIS: i64 = DAY_MINUTES * MINUTE_MILLIS;

impl EventTime {
    /// The last instant, 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self((days_before_year(10_000) - EPOCH_DAYS) * DAY_MILLIS - 1);

    /// The instant `millis` milliseconds after the epoch; `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 with 0 to 9 decimals, truncated to milliseconds; a time without a zone is UTC.
    ///
    /// Date and time are separated by `T`, `t` or a space, as RFC 3339, section 5.6, allows. The range of years is
    /// checked in UTC.
    ///
    /// # Errors
    ///
    /// When it does not parse, has second 60, or is outside the years 1970 to 9999.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let millis = match canonical_millis(text.as_bytes()) {
            Some(millis) => millis,
            None => other_millis(text)?,
        };
        Self::from_millis(millis).ok_or(TimeError::OutOfRange)
    }

    /// The minute of this instant.
    #[must_use]
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(MINUTE_MILLIS))
    }

    /// Appends `YYYY-MM-DDTHH:mm:ss.SSSZ`.
    pub fn write(self, out: &mut Vec<u8>) {
        let date = Date::of_day(self.0 / DAY_MILLIS);
        let millis = self.0 % DAY_MILLIS;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_digits(&mut text[0..4], date.year);
        put_digits(&mut text[5..7], date.month);
        put_digits(&mut text[8..10], date.day);
        put_digits(&mut text[11..13], millis / 3_600_000);
        put_digits(&mut text[14..16], millis / MINUTE_MILLIS % 60);
        put_digits(&mut text[17..19], millis / 1_000 % 60);
        put_digits(&mut text[20..23], millis % 1_000);
        out.extend_from_slice(&text);
    }
}

impl fmt::Display for EventTime {
    /// `YYYY-MM-DDTHH:mm:ss.SSSZ`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = Date::of_day(self.0 / DAY_MILLIS);
        let millis = self.0 % DAY_MILLIS;
        let (hour, minute) = (millis / 3_600_000, millis / MINUTE_MILLIS % 60);
        let (second, milli) = (millis / 1_000 % 60, millis % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl fmt::Display for Minute {
    /// `YYYY-MM-DDTHH:mmZ`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = Date::of_day(self.0.div_euclid(DAY_MINUTES));
        let minutes = self.0.rem_euclid(DAY_MINUTES);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minutes / 60, minutes % 60)
    }
}

/// Parses the format that foodstream writes, `YYYY-MM-DDTHH:mm:ss.SSSZ`, as milliseconds since the epoch; `None` for
/// other formats and invalid times.
#[inline]
fn canonical_millis(text: &[u8]) -> Option<i64> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'.', f0, f1, f2, b'Z'] =
        text
    else {
        return None;
    };
    let (year, month, day) = (digits(&[y0, y1, y2, y3])?, digits(&[m0, m1])?, digits(&[d0, d1])?);
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let minutes = (Date { year, month, day }.days()? * 24 + hour) * 60 + minute;
    Some(minutes * MINUTE_MILLIS + second * 1_000 + digits(&[f0, f1, f2])?)
}

/// Parses every other format of RFC 3339 (section 5.6), with or without a zone: milliseconds since the epoch, rounded
/// down.
fn other_millis(text: &str) -> Result<i64, TimeError> {
    let parts = text.as_bytes().split_first_chunk::<19>().and_then(|(local, rest)| {
        let (decimals, zone) = split_decimals(rest)?;
        Some((local, decimals, minutes_ahead(zone)?))
    });
    let (local, decimals, ahead) = parts.ok_or(TimeError::Malformed)?;
    let mut canonical = *b"0000-00-00T00:00:00.000Z";
    canonical[..local.len()].copy_from_slice(local);
    if matches!(local[10], b't' | b' ') {
        canonical[10] = b'T';
    }
    for (digit, decimal) in canonical[20..23].iter_mut().zip(decimals) {
        *digit = *decimal;
    }
    let has_leap_second = local.ends_with(b":60");
    if has_leap_second {
        canonical[17..19].copy_from_slice(b"59");
    }
    let millis = canonical_millis(&canonical).ok_or(TimeError::Malformed)?;
    if has_leap_second { Err(TimeError::LeapSecond) } else { Ok(millis - ahead * MINUTE_MILLIS) }
}

/// The one to nine decimals of the second, if there are some, and what follows them.
fn split_decimals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((&[], text)) };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&count).then(|| text.split_at(count))
}

/// The offset of a zone from UTC; no zone is UTC.
fn minutes_ahead(zone: &[u8]) -> Option<i64> {
    match zone {
        [] | [b'Z' | b'z'] => Some(0),
        &[sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
            let ahead = (hours <= 23 && minutes <= 59).then_some(hours * 60 + minutes)?;
            Some(if sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

#[inline]
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Fills `text` with the decimal digits of a number that is not negative and fits.
fn put_digits(text: &mut [u8], number: i64) {
    let mut left = number;
    for byte in text.iter_mut().rev() {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a single digit")]
        let digit = (left % 10) as u8;
        *byte = b'0' + digit;
        left /= 10;
    }
}

/// A day of the proleptic Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Days before each month of a common and of a leap year, and days in the year.
const DAYS_BEFORE_MONTH: [[i64; 13]; 2] = [
    [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365],
    [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366],
];

/// Days from 0000-01-01 to the epoch.
const EPOCH_DAYS: i64 = days_before_year(1970);

/// Days from 0000-01-01 to the year's first day.
const fn days_before_year(year: i64) -> i64 {
    let last = year - 1;
    // Year 0 is a leap year, which the three divisions do not count.
    let leap_years = last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400) + 1;
    year * 365 + leap_years
}

const fn months_of_year(year: i64) -> &'static [i64; 13] {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    &DAYS_BEFORE_MONTH[leap as usize]
}

impl Date {
    /// Days since the epoch; `None` if the date does not exist.
    fn days(&self) -> Option<i64> {
        let month = usize::try_from(self.month).ok().filter(|month| (1..=12).contains(month))?;
        let months = months_of_year(self.year);
        let day_of_year = months[month - 1] + self.day - 1;
        (self.day >= 1 && day_of_year < months[month]).then(|| days_before_year(self.year) - EPOCH_DAYS + day_of_year)
    }

    /// The date `day` days after the epoch.
    fn of_day(day: i64) -> Self {
        let days = day + EPOCH_DAYS;
        // 400 years have 146,097 days, so the quotient is at most one year off.
        let mut year = (days * 400).div_euclid(146_097);
        if days < days_before_year(year) {
            year -= 1;
        } else if days >= days_before_year(year + 1) {
            year += 1;
        }
        let months = months_of_year(year);
        let day_of_year = days - days_before_year(year);
        // Months have fewer than 32 days, so the quotient is the month or the one before it.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 365")]
        let mut month = (day_of_year / 32) as usize;
        if day_of_year >= months[month + 1] {
            month += 1;
        }
        #[allow(clippy::cast_possible_wrap, reason = "at most 12")]
        Self { year, month: month as i64 + 1, day: day_of_year - months[month] + 1 }
    }
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
