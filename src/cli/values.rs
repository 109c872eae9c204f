//! Owns how a typed value is read: numbers, durations, times and addresses, each with what it should look like.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;

use humantime::Duration;

use crate::domain::EventTime;
use crate::workload::MOST_NAMES;

/// RFC 3339, or Kafka's spelling without a zone, which is UTC.
pub(super) fn event_time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).map_err(|error| format!("{error}; as in 2026-11-22T12:00:00Z"))
}

// Numbers and durations take a leading dash as part of the value, so that `--count -5` is told what a count is, and not
// that there is no flag `-5`.

fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, String> {
    let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("a whole number from {} to {} is wanted", range.start(), range.end()))
}

fn positive<T: TryFrom<NonZeroU64>>(text: &str, most: u64) -> Result<T, String> {
    let number = text.parse::<NonZeroU64>().ok().filter(|number| number.get() <= most);
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("a whole number from 1 to {most} is wanted"))
}

pub(super) fn count(text: &str) -> Result<NonZeroU64, String> {
    positive(text, u64::MAX)
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

pub(super) fn names(text: &str) -> Result<NonZeroU32, String> {
    positive(text, MOST_NAMES.into())
}

pub(super) fn users(text: &str) -> Result<NonZeroU32, String> {
    positive(text, u32::MAX.into())
}

pub(super) fn partitions(text: &str) -> Result<i32, String> {
    whole(text, 1..=100_000)
}

pub(super) fn offset(text: &str) -> Result<i64, String> {
    whole(text, 0..=i64::MAX.unsigned_abs())
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| "an address of this machine and a port, as in 127.0.0.1:9092 or [::1]:9092".to_owned())
}

pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = split.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
    match (split, port) {
        (Some((host, _)), Some(port)) => Ok((host.trim_matches(['[', ']']).to_owned(), port)),
        _ => Err("a host and a port, as in my-machine:9092".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<Duration>() {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration is a number above zero with its unit, as in 500ms, 30s, 5m or 1h30m".to_owned()),
    }
}
