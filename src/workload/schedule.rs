//! Event rates, and when each event is due, in exact integers.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::units::WrittenNumber;

const SECOND: u64 = 1_000_000_000;

/// A steady rate: events per nanoseconds, in lowest terms.
///
/// It is the schedule of an open loop, in which event *i* is due *i*/R after the start, however late the events before
/// it were. It is also the density of a workload in event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    events: NonZeroU64,
    nanos: NonZeroU64,
}

/// Why a text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RateError {
    /// It does not parse.
    #[error("expected a number of events per time, as in 500/s, 30/m or 1/10s; without a unit it is per second")]
    Malformed,
    /// It is zero, or its time is.
    #[error("expected a rate above zero, as in 500/s, 30/m or 1/10s")]
    Zero,
    /// Its events or nanoseconds, in lowest terms, exceed 64 bits.
    #[error("the rate is too large or too small to be represented exactly")]
    TooExtreme,
}

impl Rate {
    /// A rate in events per minute.
    #[must_use]
    pub const fn per_minute(events: NonZeroU64) -> Self {
        const MINUTE: NonZeroU64 = NonZeroU64::new(60 * SECOND).expect("not zero");
        Self::reduced(events, MINUTE)
    }

    const fn reduced(events: NonZeroU64, nanos: NonZeroU64) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "a common divisor is at most as large as either term")]
        let divisor = common_divisor(events.get() as u128, nanos.get() as u128) as u64;
        match (NonZeroU64::new(events.get() / divisor), NonZeroU64::new(nanos.get() / divisor)) {
            (Some(events), Some(nanos)) => Self { events, nanos },
            // Unreachable for the same reason; correct anyway.
            _ => Self { events, nanos },
        }
    }

    /// When an event is due after the start: index / rate, rounded down to a nanosecond.
    #[must_use]
    pub fn due(self, index: u64) -> Duration {
        self.due_fraction(index, 1)
    }

    /// The same for a fraction of events. The denominator is not zero.
    pub(super) fn due_fraction(self, numerator: u64, denominator: u64) -> Duration {
        let events = u128::from(denominator) * u128::from(self.events.get());
        let nanos = u128::from(numerator) * u128::from(self.nanos.get()) / events;
        #[allow(clippy::cast_possible_truncation, reason = "a remainder below a billion")]
        let rest = (nanos % u128::from(SECOND)) as u32;
        u64::try_from(nanos / u128::from(SECOND)).map_or(Duration::MAX, |seconds| Duration::new(seconds, rest))
    }

    /// The number of events with `due(index) < elapsed`.
    #[must_use]
    pub fn due_before(self, elapsed: Duration) -> u64 {
        // 64 bits hold 584 years of nanoseconds, and the product fits 128 bits.
        let elapsed = elapsed.as_nanos().min(u64::MAX.into());
        let events = (elapsed * u128::from(self.events.get())).div_ceil(self.nanos.get().into());
        u64::try_from(events).unwrap_or(u64::MAX)
    }
}

const fn common_divisor(left: u128, right: u128) -> u128 {
    let (mut divisor, mut rest) = (left, right);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    divisor
}

impl FromStr for Rate {
    type Err = RateError;

    /// Parses `500/s`, `30/m`, `2.5/h`, `1/10s`, `1.5k/s`, or `500` for events per second.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let (number, time) = text.split_once('/').unwrap_or((text, "s"));
        let number = WrittenNumber::parse(number).ok_or(RateError::Malformed)?;
        let one = if time.starts_with(|first: char| first.is_ascii_alphabetic()) { "1" } else { "" };
        let time = humantime::parse_duration(&format!("{one}{time}")).map_err(|_| RateError::Malformed)?;

        // Moves the decimals of the events into the time.
        let (events, decimals) = number.scaled().ok_or(RateError::TooExtreme)?;
        let scale = u32::try_from(decimals).ok().and_then(|count| 10u128.checked_pow(count));
        let nanos = scale.and_then(|scale| scale.checked_mul(time.as_nanos())).ok_or(RateError::TooExtreme)?;
        if events == 0 || nanos == 0 {
            return Err(RateError::Zero);
        }
        let divisor = common_divisor(events, nanos);
        let term =
            |term: u128| u64::try_from(term / divisor).ok().and_then(NonZeroU64::new).ok_or(RateError::TooExtreme);
        Ok(Self { events: term(events)?, nanos: term(nanos)? })
    }
}

impl fmt::Display for Rate {
    /// With the shortest unit that gives an integer, as in `500/s`; otherwise events per time, as in `2/3s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, seconds) in [("s", 1), ("m", 60), ("h", 60 * 60), ("day", 24 * 60 * 60)] {
            let events = u128::from(self.events.get()) * u128::from(seconds * SECOND);
            if events.is_multiple_of(self.nanos.get().into()) {
                return write!(f, "{}/{unit}", events / u128::from(self.nanos.get()));
            }
        }
        let time = humantime::format_duration(Duration::from_nanos(self.nanos.get())).to_string();
        write!(f, "{}/{}", self.events, time.replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn parses_and_shows_rates() {
        for (text, shown) in [
            ("500", "500/s"),
            ("500/s", "500/s"),
            ("30/m", "30/m"),
            ("60/min", "1/s"),
            ("90/h", "90/h"),
            ("1/10s", "6/m"),
            ("0.5/s", "30/m"),
            ("2.50/s", "150/m"),
            ("1/500ms", "2/s"),
            ("3/7s", "3/7s"),
            ("2/7s", "1/3s500ms"),
            ("1000000/s", "1000000/s"),
            ("3/day", "3/day"),
            ("1.5k/s", "1500/s"),
            ("2k", "2000/s"),
            ("1_000/m", "1000/m"),
        ] {
            assert_eq!(rate(text).to_string(), shown, "{text}");
        }
        for text in ["", "/s", "-1/s", "+1/s", "1/", "1/x", ".5/s", "1./s", "1e3/s", "1/s/s", "1 000/s", "NaN"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Malformed), "{text:?}");
        }
        for text in ["0", "0/s", "0.0/m", "5/0s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Zero), "{text:?}");
        }
        for text in ["18446744073709551617/s", "0.00000000000000000001/s", &format!("1.{}1", "0".repeat(60))] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::TooExtreme), "{text:?}");
        }
    }

    #[test]
    fn events_are_due_at_index_by_rate() {
        assert_eq!(rate("500/s").due(1), Duration::from_millis(2));
        assert_eq!(rate("3/s").due(1), Duration::from_nanos(333_333_333));
        assert_eq!(
            rate("3/s").due(3_000_000_000_000),
            Duration::from_secs(1_000_000_000_000),
            "errors do not accumulate"
        );
        assert_eq!(rate("1/day").due(u64::MAX), Duration::MAX);
        assert_eq!(
            Rate::per_minute(NonZeroU64::new(250).expect("not zero")).due(9_999),
            Duration::from_millis(2_399_760)
        );
    }

    #[test]
    fn counts_events_due_before_a_time() {
        assert_eq!(rate("500/s").due_before(Duration::from_secs(1)), 500);
        assert_eq!(rate("500/s").due_before(Duration::ZERO), 0);
        assert_eq!(rate("500/s").due_before(Duration::from_nanos(1)), 1, "the first is due immediately");
        assert_eq!(rate("18446744073709551615/s").due_before(Duration::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn due_and_due_before_are_inverse(
            events in 1u64..1_000_000, time in 1u64..100_000_000_000, index in 0u64..1_000_000_000,
        ) {
            let rate: Rate = format!("{events}/{time}ns").parse().expect("a rate");
            let due = rate.due(index);
            prop_assert!(rate.due_before(due) <= index);
            prop_assert!(rate.due_before(due + Duration::from_nanos(1)) > index);
            prop_assert!(rate.due(index + 1) >= due);
        }

        #[test]
        fn a_rate_round_trips_through_text(events in 1u64.., nanos in 1u64..) {
            let (Some(events), Some(nanos)) = (NonZeroU64::new(events), NonZeroU64::new(nanos)) else { return Ok(()) };
            let rate = Rate::reduced(events, nanos);
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }
}
