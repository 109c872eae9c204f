//! Produce and consume rates of a group over its last samples, and the trend of its lag.

use std::collections::{BTreeMap, VecDeque};

use super::sample::{GroupSample, in_seconds};
use super::trend::{Band, Trend};

/// The most samples that a rate is computed over.
const WINDOW: usize = 10;

/// The time of a sample, and the end and the committed offset of each partition.
type Offsets = (i64, BTreeMap<(String, i32), (i64, i64)>);

/// The last samples of a group.
#[derive(Debug, Clone, Default)]
pub struct RateWindow {
    samples: VecDeque<Offsets>,
    waiting: Option<i64>,
    band: Band,
    trend: Trend,
}

/// How fast a group was written to and read, in offsets a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Growth of the log ends.
    pub produced: f64,
    /// Growth of the committed offsets.
    pub consumed: f64,
    /// The resulting trend.
    pub trend: Trend,
    /// Time until the lag is 0 at these rates; only for a group that drains.
    pub drain_seconds: Option<f64>,
}

impl RateWindow {
    /// Adds a sample.
    ///
    /// An offset that decreased means that the group was rewound or the topic recreated, so the window starts over.
    pub fn push(&mut self, sample: &GroupSample) {
        let offsets: BTreeMap<(String, i32), (i64, i64)> = sample
            .partitions
            .iter()
            .filter_map(|seen| {
                let end = seen.bounds?.end(sample.isolation);
                Some(((seen.topic.clone(), seen.partition), (end, seen.committed?)))
            })
            .collect();
        if let Some((_, last)) = self.samples.back() {
            let has_decreased = offsets.iter().any(|(place, (end, committed))| {
                last.get(place).is_some_and(|(last_end, last_committed)| end < last_end || committed < last_committed)
            });
            // The lag of other partitions is another lag.
            if has_decreased || !last.keys().eq(offsets.keys()) {
                self.band = Band::default();
            }
            if has_decreased {
                self.samples.clear();
            }
        }
        self.samples.push_back((sample.at_millis, offsets));
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
        self.waiting = sample.messages();
        self.trend = self.band.push(as_number(self.lag()), as_number(self.largest_step()));
    }

    /// The lag of the partitions of the last sample.
    fn lag(&self) -> i64 {
        let last = self.samples.back().map(|(_, offsets)| offsets.values());
        last.into_iter().flatten().fold(0, |sum, (end, committed)| sum.saturating_add(end.saturating_sub(*committed)))
    }

    /// The largest number of offsets that were written or committed between two samples of the window.
    fn largest_step(&self) -> i64 {
        let step = |((_, before), (_, after)): (&Offsets, &Offsets)| {
            let (mut written, mut committed) = (0i64, 0i64);
            for (place, (end, offset)) in after {
                if let Some((last_end, last_offset)) = before.get(place) {
                    written = written.saturating_add(end.saturating_sub(*last_end));
                    committed = committed.saturating_add(offset.saturating_sub(*last_offset));
                }
            }
            written.max(committed)
        };
        self.samples.iter().zip(self.samples.iter().skip(1)).map(step).max().unwrap_or(0)
    }

    /// The rates over the samples that contain every partition of the last one, if there are at least two. Older
    /// samples are left out: the committed offset of a partition that is new to the group was not consumed within the
    /// window.
    #[must_use]
    pub fn rates(&self) -> Option<Rates> {
        let (ended, last) = self.samples.back()?;
        let (begun, first) =
            self.samples.iter().find(|(_, offsets)| last.keys().all(|place| offsets.contains_key(place)))?;
        let elapsed = in_seconds(ended.saturating_sub(*begun));
        let waiting = self.waiting?;
        if elapsed <= 0.0 {
            return None;
        }
        let (mut produced, mut consumed) = (0i64, 0i64);
        for (place, (end, committed)) in last {
            if let Some((first_end, first_committed)) = first.get(place) {
                produced = produced.saturating_add(end.saturating_sub(*first_end));
                consumed = consumed.saturating_add(committed.saturating_sub(*first_committed));
            }
        }
        let net = consumed.saturating_sub(produced);
        let (trend, drain_seconds) = match self.trend {
            _ if waiting == 0 => (Trend::CaughtUp, None),
            Trend::Draining if net > 0 => (Trend::Draining, Some(as_number(waiting) / (as_number(net) / elapsed))),
            trend => (trend, None),
        };
        let a_second = |offsets: i64| as_number(offsets) / elapsed;
        Some(Rates { produced: a_second(produced), consumed: a_second(consumed), trend, drain_seconds })
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate of more than 2^53 offsets needs no more digits")]
pub(super) fn as_number(offsets: i64) -> f64 {
    offsets as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, PartitionSample};

    fn sampled(committed: i64, end: i64) -> Vec<PartitionSample> {
        vec![partition(Some(committed), 0, end, NextRecord::Unknown)]
    }

    fn rates(samples: &[(i64, i64, i64)]) -> Option<Rates> {
        let mut window = RateWindow::default();
        for (at, committed, end) in samples {
            window.push(&group(*at, sampled(*committed, *end)));
        }
        window.rates()
    }

    #[test]
    fn rates_need_two_samples_and_elapsed_time() {
        assert_eq!(rates(&[]), None);
        assert_eq!(rates(&[(0, 0, 10)]), None);
        assert_eq!(rates(&[(5, 0, 10), (5, 3, 10)]), None);
        assert_eq!(rates(&[(5, 0, 10), (4, 3, 10)]), None, "a clock that was set back");
    }

    #[test]
    fn rates_give_the_trend() {
        // A sample a second, with this many records committed and written in each.
        let series = |consumed: i64, produced: i64| {
            let samples: Vec<_> = (0..6).map(|at| (at * 1000, at * consumed, 5_000 + at * produced)).collect();
            rates(&samples).expect("rates")
        };
        let drains = series(300, 100);
        assert_eq!((drains.produced, drains.consumed), (100.0, 300.0));
        assert_eq!((drains.trend, drains.drain_seconds), (Trend::Draining, Some(20.0)));
        let grows = series(50, 500);
        assert_eq!((grows.produced, grows.consumed, grows.trend), (500.0, 50.0, Trend::Growing));
        assert_eq!(grows.drain_seconds, None);
        assert_eq!(series(0, 0).trend, Trend::Steady);
        assert_eq!(series(100, 100).trend, Trend::Steady);
        let done = rates(&[(0, 5, 9), (1000, 9, 9)]).expect("rates");
        assert_eq!((done.trend, done.consumed, done.drain_seconds), (Trend::CaughtUp, 4.0, None));
    }

    #[test]
    fn window_is_bounded_and_restarts_after_a_rewind() {
        let mut samples: Vec<(i64, i64, i64)> = (0..30).map(|n| (n * 1000, 0, n * 1000)).collect();
        samples.extend((30..40).map(|n| (n * 1000, 0, 29_000)));
        assert!(rates(&samples).expect("rates").produced < 1e-9, "records produced before the window do not count");
        let rewound = rates(&[(0, 500, 1000), (1000, 600, 1000), (2000, 0, 1000), (3000, 40, 1000)]).expect("rates");
        assert_eq!((rewound.consumed, rewound.trend), (40.0, Trend::Steady));
        let recreated = rates(&[(0, 500, 1000), (1000, 500, 10)]);
        assert_eq!(recreated, None);
    }

    #[test]
    fn new_partition_does_not_count_as_consumed() {
        let mut window = RateWindow::default();
        window.push(&group(0, sampled(10, 20)));
        let both = |committed, late| {
            let mut partitions = sampled(committed, 20);
            partitions.push(PartitionSample { partition: 1, ..partition(Some(late), 0, 900, NextRecord::Unknown) });
            partitions
        };
        window.push(&group(1000, both(12, 890)));
        assert_eq!(window.rates(), None);
        window.push(&group(2000, both(15, 892)));
        assert!((window.rates().expect("rates").consumed - 5.0).abs() < 1e-9);
    }
}
