//! Workload settings with their defaults and bounds, and the default start time.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use thiserror::Error;

use super::shape::Step;
use super::{Rate, Shape};
use crate::domain::EventTime;

/// Default number of orders.
pub const DEFAULT_COUNT: NonZeroU64 = NonZeroU64::new(10_000).expect("not zero");
/// Default density in event time, in orders per minute.
pub const DEFAULT_ORDERS_PER_MINUTE: NonZeroU64 = NonZeroU64::new(250).expect("not zero");
/// Default fraction of orders whose payment fails.
pub const DEFAULT_FAILURE_RATE: Fraction = Fraction::percent(5);
/// Default number of restaurants.
pub const DEFAULT_RESTAURANTS: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Default number of items on each restaurant's menu.
pub const DEFAULT_ITEMS: NonZeroU32 = NonZeroU32::new(40).expect("not zero");
/// Default number of users.
pub const DEFAULT_USERS: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// The largest number of restaurants, and of items on a menu: they are kept in memory.
pub const MAX_NAMES: u32 = 1_000_000;

/// Everything that determines the records of a workload: the same settings give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadSettings {
    /// The seed of all random numbers.
    pub seed: u64,
    /// Event time of event 0.
    pub start: EventTime,
    /// The mean rate of events in event time.
    pub spacing: Rate,
    /// How they are spread over event time.
    pub shape: Shape,
    /// Fraction of orders whose payment failed.
    pub failure_rate: Fraction,
    /// Fraction of events that are poison records instead.
    pub poison_rate: Fraction,
    /// Fraction of events that repeat an earlier record of the run instead; never event 0.
    pub duplicate_rate: Fraction,
    /// Number of restaurants.
    pub restaurants: NonZeroU32,
    /// Number of items on each restaurant's menu.
    pub items: NonZeroU32,
    /// Number of users.
    pub users: NonZeroU32,
}

/// Why the settings are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WorkloadError {
    /// More restaurants or items than [`MAX_NAMES`].
    #[error("at most {max} {0} are supported", max = crate::units::grouped(MAX_NAMES))]
    TooMany(&'static str),
}

impl WorkloadSettings {
    /// The defaults, with a seed and a start.
    #[must_use]
    pub const fn with_defaults(seed: u64, start: EventTime) -> Self {
        Self {
            seed,
            start,
            spacing: Rate::per_minute(DEFAULT_ORDERS_PER_MINUTE),
            shape: Shape::Lunch,
            failure_rate: DEFAULT_FAILURE_RATE,
            poison_rate: Fraction::NONE,
            duplicate_rate: Fraction::NONE,
            restaurants: DEFAULT_RESTAURANTS,
            items: DEFAULT_ITEMS,
            users: DEFAULT_USERS,
        }
    }

    /// The event time of an order, rounded down to a millisecond; `None` after the year 9999.
    ///
    /// Times do not decrease with the index, so a run fits if its last index does.
    #[must_use]
    pub fn event_time(&self, index: u64) -> Option<EventTime> {
        self.event_time_with(index, &mut None)
    }

    /// The same, with the step of an earlier call: see [`Shape::due`].
    pub(super) fn event_time_with(&self, index: u64, step: &mut Option<Step>) -> Option<EventTime> {
        EventTime::from_millis(self.start.millis().checked_add(self.millis_after_start(index, step)?)?)
    }

    /// The last full hour from which the event times of `count` orders end before `now_millis` (milliseconds since the
    /// epoch), whatever the start of these settings; `None` if it would be before 1970.
    #[must_use]
    pub fn default_start(&self, now_millis: i64, count: u64) -> Option<EventTime> {
        const HOUR_MILLIS: i64 = 60 * 60 * 1000;
        let span = self.millis_after_start(count.saturating_sub(1), &mut None)?;
        let latest = now_millis.checked_sub(1)?.checked_sub(span)?;
        EventTime::from_millis(latest - latest.rem_euclid(HOUR_MILLIS))
    }

    fn millis_after_start(&self, index: u64, step: &mut Option<Step>) -> Option<i64> {
        i64::try_from(self.shape.due(self.spacing, self.seed, index, step).as_millis()).ok()
    }
}

/// A fraction of events, from none to all, in parts per billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u32);

/// The error of a text that is not a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a percentage from 0% to 100% or a number from 0 to 1, in steps of one billionth")]
pub struct FractionError;

impl Fraction {
    /// No event.
    pub const NONE: Self = Self(0);
    /// Every event.
    pub const ALL: Self = Self(Self::WHOLE);

    const WHOLE: u32 = 1_000_000_000;

    /// A percentage; 100 or more is all events.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent as u32 * (Self::WHOLE / 100)) }
    }

    /// Whether a uniformly distributed word falls into this fraction of all 64-bit words.
    #[must_use]
    pub(super) const fn includes(self, word: u64) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "below a billion")]
        let billionth = ((word as u128 * Self::WHOLE as u128) >> 64) as u32;
        billionth < self.0
    }
}

impl FromStr for Fraction {
    type Err = FractionError;

    /// Parses `5%`, `0.5%` or `0.05`.
    fn from_str(text: &str) -> Result<Self, FractionError> {
        // A billionth has nine decimals, and seven as a percentage.
        let (number, decimals) = text.strip_suffix('%').map_or((text, 9), |number| (number, 7));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if !digits(whole) || !(fraction.is_empty() || digits(fraction)) || fraction.len() > decimals {
            return Err(FractionError);
        }
        let parts: u32 = format!("{whole}{fraction:0<decimals$}").parse().map_err(|_| FractionError)?;
        if parts > Self::WHOLE { Err(FractionError) } else { Ok(Self(parts)) }
    }
}

impl fmt::Display for Fraction {
    /// A percentage, as in `5%` or `0.25%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PERCENT: u32 = Fraction::WHOLE / 100;
        let (whole, fraction) = (self.0 / PERCENT, self.0 % PERCENT);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{fraction:07}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_percentages_and_numbers_up_to_one() {
        for (text, shown) in [
            ("5%", "5%"),
            ("0.05", "5%"),
            ("0", "0%"),
            ("0.0", "0%"),
            ("1", "100%"),
            ("100%", "100%"),
            ("0.25%", "0.25%"),
            ("0.000000001", "0.0000001%"),
            ("33.3333333%", "33.3333333%"),
            ("007.50%", "7.5%"),
        ] {
            assert_eq!(text.parse::<Fraction>().map(|fraction| fraction.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in
            ["", "%", ".", ".5", "-1%", "+1%", "5", "1.1", "100.1%", "0.0000000001", "1e-2", "5 %", "NaN", "0.-5"]
        {
            assert_eq!(text.parse::<Fraction>(), Err(FractionError), "{text:?}");
        }
        assert_eq!("5%".parse(), Ok(DEFAULT_FAILURE_RATE));
    }

    #[test]
    fn includes_the_fraction_of_words() {
        for word in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!Fraction::NONE.includes(word));
            assert!(Fraction::ALL.includes(word));
        }
        assert!(Fraction::percent(50).includes(u64::MAX / 2 - (1 << 40)));
        assert!(!Fraction::percent(50).includes(u64::MAX / 2 + (1 << 40)));
    }

    const NOON: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

    #[test]
    fn the_default_start_is_a_full_hour() {
        let settings = WorkloadSettings { shape: Shape::Flat, ..WorkloadSettings::with_defaults(1, EventTime::MAX) };
        let start = |now| settings.default_start(now, 10_000).expect("in range").millis();
        // The last of them is at 39:59.760.
        let last = 39 * 60_000 + 59_760;
        assert_eq!(start(NOON + 40 * 60_000), NOON);
        assert_eq!(start(NOON + last + 1), NOON);
        assert_eq!(start(NOON + last), NOON - 3_600_000, "it ends before now");
        assert_eq!(start(NOON), NOON - 3_600_000);
        assert_eq!(settings.default_start(1, 1).map(EventTime::millis), Some(0));
        assert_eq!(settings.default_start(0, 1), None);
        assert_eq!(settings.default_start(NOON, u64::MAX), None);
    }

    #[test]
    fn a_default_run_fits_into_an_hour() {
        let settings = WorkloadSettings::with_defaults(1, EventTime::MAX);
        let start = settings.default_start(NOON + 40 * 60_000, DEFAULT_COUNT.get());
        assert_eq!(start.map(EventTime::millis), Some(NOON), "10,000 orders take 40 minutes");
    }

    #[test]
    fn event_time_ends_with_the_year_9999() {
        for shape in [Shape::Lunch, Shape::Flat] {
            let settings = WorkloadSettings { shape, ..WorkloadSettings::with_defaults(1, EventTime::MAX) };
            assert_eq!(settings.event_time(0), Some(EventTime::MAX));
            assert_eq!(settings.event_time(1), None);
            assert_eq!(settings.event_time(u64::MAX), None);
        }
    }

    proptest! {
        #[test]
        fn a_fraction_round_trips_through_text(parts in 0u32..=1_000_000_000) {
            let fraction = Fraction(parts);
            prop_assert_eq!(fraction.to_string().parse(), Ok(fraction));
        }

        #[test]
        fn the_default_start_is_the_last_hour_that_fits(
            now in 0i64..4_000_000_000_000, count in 1u64..1_000_000, per_minute in 1u64..100_000, seed in any::<u64>(),
            shape in prop_oneof![Just(Shape::Lunch), Just(Shape::Flat)],
        ) {
            let spacing = Rate::per_minute(NonZeroU64::new(per_minute).expect("not zero"));
            let settings = WorkloadSettings { spacing, shape, ..WorkloadSettings::with_defaults(seed, EventTime::MAX) };
            let Some(start) = settings.default_start(now, count) else { return Ok(()) };
            let last = WorkloadSettings { start, ..settings }.event_time(count - 1).expect("in range").millis();
            prop_assert_eq!(start.millis() % 3_600_000, 0);
            prop_assert!(last < now && last + 3_600_000 >= now);
        }
    }
}
