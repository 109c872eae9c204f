//! Owns what a workload is made from: its settings, their defaults and bounds, and the start that suits a clock.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use thiserror::Error;

use super::Rate;
use crate::domain::EventTime;

/// Number of orders unless told otherwise.
pub const DEFAULT_COUNT: NonZeroU64 = NonZeroU64::new(10_000).expect("not zero");
/// Density of orders in event time unless told otherwise, in orders per minute.
pub const DEFAULT_ORDERS_PER_MINUTE: NonZeroU64 = NonZeroU64::new(250).expect("not zero");
/// Share of orders whose payment fails, unless told otherwise.
pub const DEFAULT_FAILURE_RATE: Fraction = Fraction::percent(5);
/// Number of restaurants unless told otherwise.
pub const DEFAULT_RESTAURANTS: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Number of items on each restaurant's menu unless told otherwise.
pub const DEFAULT_ITEMS: NonZeroU32 = NonZeroU32::new(40).expect("not zero");
/// Number of users unless told otherwise.
pub const DEFAULT_USERS: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// The most restaurants, and the most items on a menu: their tables are held in memory.
pub const MAX_NAMES: u32 = 1_000_000;

/// Everything that the records of a workload depend on: the same settings give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadSettings {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Event time of event 0.
    pub start: EventTime,
    /// Density of the events in event time.
    pub spacing: Rate,
    /// Share of orders whose payment failed.
    pub failure_rate: Fraction,
    /// Share of events that are malformed records instead.
    pub poison_rate: Fraction,
    /// Share of events that repeat an earlier record of the run instead; event 0 never does.
    pub duplicate_rate: Fraction,
    /// Number of restaurants.
    pub restaurants: NonZeroU32,
    /// Number of items on each restaurant's menu.
    pub items: NonZeroU32,
    /// Number of users.
    pub users: NonZeroU32,
}

/// Why there is no workload with these settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WorkloadError {
    /// More restaurants or items than are held in memory.
    #[error("there are at most {MAX_NAMES} {0}")]
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
            failure_rate: DEFAULT_FAILURE_RATE,
            poison_rate: Fraction::NONE,
            duplicate_rate: Fraction::NONE,
            restaurants: DEFAULT_RESTAURANTS,
            items: DEFAULT_ITEMS,
            users: DEFAULT_USERS,
        }
    }

    /// Event time of an order, rounded down to a millisecond; `None` after the year 9999.
    ///
    /// Times never go back as the index grows, so a run fits if its last index has one.
    #[must_use]
    pub fn event_time(&self, index: u64) -> Option<EventTime> {
        let after_start = i64::try_from(self.spacing.due(index).as_millis()).ok()?;
        EventTime::from_millis(self.start.millis().checked_add(after_start)?)
    }
}

/// The last full hour that lets the event time of `count` orders end before `now_millis` (milliseconds since the
/// epoch); `None` if there is none since 1970.
#[must_use]
pub fn default_start(now_millis: i64, count: u64, spacing: Rate) -> Option<EventTime> {
    const HOUR_MILLIS: i64 = 60 * 60 * 1000;
    let span = i64::try_from(spacing.due(count.saturating_sub(1)).as_millis()).ok()?;
    let latest = now_millis.checked_sub(1)?.checked_sub(span)?;
    EventTime::from_millis(latest - latest.rem_euclid(HOUR_MILLIS))
}

/// A share of the events, from none to all of them, kept exactly in parts per billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u32);

/// Why a text is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rate is a percentage from 0% to 100% or a number from 0 to 1, to nine decimals of the whole")]
pub struct FractionError;

impl Fraction {
    /// No event.
    pub const NONE: Self = Self(0);
    /// Every event.
    pub const ALL: Self = Self(Self::WHOLE);

    const WHOLE: u32 = 1_000_000_000;

    /// That many percent; 100 or more is all.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent as u32 * (Self::WHOLE / 100)) }
    }

    /// Whether a word drawn evenly from all 64-bit words falls into this share of them.
    #[must_use]
    pub(super) const fn takes(self, word: u64) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "below a billion")]
        let billionth = ((word as u128 * Self::WHOLE as u128) >> 64) as u32;
        billionth < self.0
    }
}

impl FromStr for Fraction {
    type Err = FractionError;

    /// Reads `5%`, `0.5%` or `0.05`.
    fn from_str(text: &str) -> Result<Self, FractionError> {
        // The billionth is nine decimals of the whole, and seven of a percent.
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
    fn a_share_is_a_percentage_or_a_number_up_to_one() {
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
            assert_eq!(text.parse::<Fraction>().map(|share| share.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in
            ["", "%", ".", ".5", "-1%", "+1%", "5", "1.1", "100.1%", "0.0000000001", "1e-2", "5 %", "NaN", "0.-5"]
        {
            assert_eq!(text.parse::<Fraction>(), Err(FractionError), "{text:?}");
        }
        assert_eq!("5%".parse(), Ok(DEFAULT_FAILURE_RATE));
    }

    #[test]
    fn none_takes_no_word_and_all_takes_every_word() {
        for word in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!Fraction::NONE.takes(word));
            assert!(Fraction::ALL.takes(word));
        }
        assert!(Fraction::percent(50).takes(u64::MAX / 2 - (1 << 40)));
        assert!(!Fraction::percent(50).takes(u64::MAX / 2 + (1 << 40)));
    }

    const NOON: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

    #[test]
    fn ten_thousand_orders_are_forty_minutes_from_a_full_hour() {
        let spacing = Rate::per_minute(DEFAULT_ORDERS_PER_MINUTE);
        let start = |now| default_start(now, 10_000, spacing).expect("in range").millis();
        // The last of them is at 39:59.760.
        let last = 39 * 60_000 + 59_760;
        assert_eq!(start(NOON + 40 * 60_000), NOON);
        assert_eq!(start(NOON + last + 1), NOON);
        assert_eq!(start(NOON + last), NOON - 3_600_000, "it ends before now, not at it");
        assert_eq!(start(NOON), NOON - 3_600_000);
        assert_eq!(default_start(1, 1, spacing).map(EventTime::millis), Some(0));
        assert_eq!(default_start(0, 1, spacing), None);
        assert_eq!(default_start(NOON, u64::MAX, spacing), None);
    }

    #[test]
    fn a_run_that_leaves_the_year_9999_has_no_time_for_its_last_orders() {
        let settings = WorkloadSettings::with_defaults(1, EventTime::MAX);
        assert_eq!(settings.event_time(0), Some(EventTime::MAX));
        assert_eq!(settings.event_time(1), None);
        assert_eq!(settings.event_time(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn a_share_survives_its_text(parts in 0u32..=1_000_000_000) {
            let share = Fraction(parts);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn the_default_start_is_the_last_full_hour_that_fits(
            now in 0i64..4_000_000_000_000, count in 1u64..1_000_000, per_minute in 1u64..100_000,
        ) {
            let spacing = Rate::per_minute(NonZeroU64::new(per_minute).expect("not zero"));
            let Some(start) = default_start(now, count, spacing) else { return Ok(()) };
            let last = WorkloadSettings { spacing, ..WorkloadSettings::with_defaults(0, start) }.event_time(count - 1);
            let last = last.expect("in range").millis();
            prop_assert_eq!(start.millis() % 3_600_000, 0);
            prop_assert!(last < now && last + 3_600_000 >= now);
        }
    }
}
