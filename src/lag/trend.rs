//! The trend of a group's lag, without the ups and downs of its commits.

use serde::{Deserialize, Serialize};

/// Width of the band, in largest steps between two samples. One step is what a group that keeps up may be behind before it
/// commits.
const WIDTH: f64 = 1.5;
/// Part of the width that the band must be moved before there is a trend.
const MOVED: f64 = 0.25;
/// Samples within the band that end a trend.
const STILL: usize = 8;
/// A band that is this many times too wide, after an unusual step, starts over.
const FAR_TOO_WIDE: f64 = 4.0;

/// The trend of a group's lag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// The lag is 0.
    CaughtUp,
    /// The lag falls.
    Draining,
    /// The lag rises.
    Growing,
    /// The lag neither rises nor falls, except by the commits of the group.
    #[default]
    #[serde(rename = "standing")]
    Steady,
}

/// A band that the lag moves. A lag above it moves it up, which makes the trend `Growing`, and one below it moves it down.
/// A lag that stays within it has no trend: it alternates because the group commits at intervals.
#[derive(Debug, Clone, Default)]
pub(super) struct Band {
    /// The ends of the band; `None` before the first sample.
    ends: Option<(f64, f64)>,
    /// How far it was moved since the last trend ended; below 0 if down.
    moved: f64,
    /// Samples since it was moved.
    still: usize,
    trend: Trend,
}

impl Band {
    /// Adds a sample. `step` is the largest number of records that were written or committed between two of the last
    /// samples.
    pub fn push(&mut self, lag: f64, step: f64) -> Trend {
        let (mut low, mut high) = self.ends.unwrap_or((lag, lag));
        let width = step * WIDTH;
        match self.trend {
            Trend::Growing => low = high - width,
            Trend::Draining => high = low + width,
            Trend::Steady | Trend::CaughtUp if high - low > width * FAR_TOO_WIDE => {
                (low, high) = (lag - width / 2.0, lag + width / 2.0);
            }
            Trend::Steady | Trend::CaughtUp => {
                let more = (width - (high - low)).max(0.0) / 2.0;
                (low, high) = (low - more, high + more);
            }
        }
        if lag > high {
            self.moved = self.moved.max(0.0) + lag - high;
            (low, high, self.still) = (lag - width, lag, 0);
        } else if lag < low {
            self.moved = self.moved.min(0.0) + lag - low;
            (low, high, self.still) = (lag, lag + width, 0);
        } else {
            self.still += 1;
        }
        if self.still >= STILL {
            (self.trend, self.moved) = (Trend::Steady, 0.0);
        } else if self.still == 0 && self.moved.abs() >= width * MOVED {
            self.trend = if self.moved > 0.0 { Trend::Growing } else { Trend::Draining };
        }
        self.ends = Some((low, high));
        self.trend
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The trend after each sample, one a second, of a group that commits every `commit_ms`, for these records a second.
    fn trends(seconds: u32, commit_ms: u32, produced: f64, consumed: f64) -> Vec<Trend> {
        let mut band = Band::default();
        let mut last: Option<(f64, f64)> = None;
        let mut steps = Vec::new();
        let sample = |second: u32| {
            let committed = f64::from(second * 1000 / commit_ms * commit_ms) / 1000.0 * consumed;
            let end = f64::from(second) * produced + 10_000.0;
            if let Some((last_end, last_committed)) = last.replace((end, committed)) {
                steps.push((end - last_end).max(committed - last_committed));
            }
            let step = steps.iter().rev().take(9).copied().fold(0.0, f64::max);
            band.push(end - committed, step)
        };
        (0..seconds).map(sample).collect()
    }

    #[test]
    fn equal_pace_is_steady_however_often_the_group_commits() {
        for commit_ms in (20..=1950).step_by(10) {
            let trends = trends(120, commit_ms, 100.0, 100.0);
            assert_eq!(trends, [Trend::Steady; 120], "a commit every {commit_ms} ms");
        }
        // The first commit that is seen comes late; from then on it is known.
        let rare = trends(120, 5_000, 100.0, 100.0);
        assert_eq!(rare[20..], [Trend::Steady; 100], "a commit every 5 s");
    }

    #[test]
    fn slow_and_fast_groups_have_one_trend() {
        for commit_ms in [50, 300, 700, 1000, 1900, 5000] {
            for (consumed, trend) in [(60.0, Trend::Growing), (150.0, Trend::Draining)] {
                let trends = trends(80, commit_ms, 100.0, consumed);
                assert_eq!(trends[30..], [trend; 50], "a commit every {commit_ms} ms, {consumed} of 100 records/s");
            }
        }
        let slightly = trends(80, 300, 100.0, 95.0);
        assert_eq!(slightly[40..], [Trend::Growing; 40], "5 % too slow is seen after a while");
    }

    #[test]
    fn each_change_of_the_pace_is_one_change_of_the_trend() {
        let mut band = Band::default();
        let mut lag = 1_000.0;
        let mut seen = vec![band.push(lag, 0.0)];
        for (consumed, seconds) in [(20.0, 20), (100.0, 20), (300.0, 12), (100.0, 20)] {
            for _ in 0..seconds {
                lag += 100.0 - consumed;
                seen.push(band.push(lag, f64::max(100.0, consumed)));
            }
        }
        seen.dedup();
        let [steady, growing, draining] = [Trend::Steady, Trend::Growing, Trend::Draining];
        assert_eq!(seen, [steady, growing, steady, draining, steady]);
    }

    #[test]
    fn an_unusual_step_is_forgotten() {
        let mut band = Band::default();
        band.push(1_000_000.0, 0.0);
        band.push(0.0, 1_000_000.0);
        for _ in 0..STILL {
            band.push(0.0, 1_000_000.0);
        }
        // Ten samples later the window has usual steps only.
        let grows: Vec<Trend> = (0..10).map(|second| band.push(f64::from(second) * 80.0, 100.0)).collect();
        assert_eq!(grows.last(), Some(&Trend::Growing));
    }

    proptest! {
        #[test]
        fn noise_within_the_band_does_not_flip_the_trend(
            step in 1.0f64..10_000.0,
            lag in 0.0f64..1_000_000.0,
            noise in proptest::collection::vec(-0.5f64..0.5, 2..200),
        ) {
            let mut band = Band::default();
            for part in noise {
                prop_assert_eq!(band.push(lag + part * step * 0.75, step), Trend::Steady);
            }
        }

        #[test]
        fn noise_on_a_trend_does_not_flip_it(
            step in 10.0f64..10_000.0,
            grows: bool,
            noise in proptest::collection::vec(-0.5f64..0.5, 40..200),
        ) {
            let mut band = Band::default();
            let mut seen = Vec::new();
            let mut lag = 10_000_000.0;
            for part in noise {
                lag += if grows { step / 2.0 } else { -step / 2.0 };
                seen.push(band.push(lag + part * step, step));
            }
            let expected = if grows { Trend::Growing } else { Trend::Draining };
            prop_assert!(seen[10..].iter().all(|trend| *trend == expected), "{:?}", seen);
        }
    }
}
