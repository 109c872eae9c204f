//! Owns several snapshots at a group in a row: how fast it is written to and read, and where that leads.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::sample::{GroupSample, in_seconds};

/// Looks that a rate is taken over, at most.
const WINDOW: usize = 10;

/// When a look was taken, and of each partition then the end and the group's committed offset.
type Snapshot = (i64, BTreeMap<(String, i32), (i64, i64)>);

/// The last snapshots at a group.
#[derive(Debug, Clone, Default)]
pub struct RateWindow {
    snapshots: VecDeque<Snapshot>,
    waiting: Option<i64>,
}

/// How fast a group was written to and read, in offsets a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// By how much the ends grew.
    pub produced: f64,
    /// By how much the committed offsets did.
    pub consumed: f64,
    /// Where it leads.
    pub trend: Trend,
    /// When nothing will wait any more at this pace; only for a group that drains.
    pub drain_seconds: Option<f64>,
}

/// Where lag is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Nothing waits.
    CaughtUp,
    /// It falls.
    Draining,
    /// It rises.
    Growing,
    /// It neither rises nor falls.
    #[serde(rename = "standing")]
    Steady,
}

impl RateWindow {
    /// Takes the next look.
    ///
    /// Where an offset went back, somebody rewound the group or made the topic anew: rates begin anew with it.
    pub fn push(&mut self, sample: &GroupSample) {
        let stands: BTreeMap<(String, i32), (i64, i64)> = sample
            .partitions
            .iter()
            .filter_map(|seen| {
                let end = seen.bounds?.end(sample.isolation);
                Some(((seen.topic.clone(), seen.partition), (end, seen.committed?)))
            })
            .collect();
        if let Some((_, last)) = self.snapshots.back() {
            let went_back = stands.iter().any(|(place, (end, committed))| {
                last.get(place).is_some_and(|(last_end, last_committed)| end < last_end || committed < last_committed)
            });
            if went_back {
                self.snapshots.clear();
            }
        }
        self.snapshots.push_back((sample.at_millis, stands));
        if self.snapshots.len() > WINDOW {
            self.snapshots.pop_front();
        }
        self.waiting = sample.messages();
    }

    /// The pace over the snapshots that saw every partition of the last one, once there are two of them: a partition that the
    /// group has just begun with was not read in a moment.
    #[must_use]
    pub fn pace(&self) -> Option<Rates> {
        let (ended, last) = self.snapshots.back()?;
        let (begun, first) =
            self.snapshots.iter().find(|(_, look)| last.keys().all(|place| look.contains_key(place)))?;
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
        let (trend, drain_seconds) = match consumed.saturating_sub(produced) {
            _ if waiting == 0 => (Trend::CaughtUp, None),
            0 => (Trend::Steady, None),
            net if net < 0 => (Trend::Growing, None),
            net => (Trend::Draining, Some(as_number(waiting) / (as_number(net) / elapsed))),
        };
        let a_second = |offsets: i64| as_number(offsets) / elapsed;
        Some(Rates { produced: a_second(produced), consumed: a_second(consumed), trend, drain_seconds })
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate of more than 2^53 offsets needs no more digits")]
fn as_number(offsets: i64) -> f64 {
    offsets as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::sample_tests::{group, partition};
    use crate::lag::{NextRecord, PartitionSample};

    fn look(committed: i64, end: i64) -> Vec<PartitionSample> {
        vec![partition(Some(committed), 0, end, NextRecord::Unknown)]
    }

    fn pace(snapshots: &[(i64, i64, i64)]) -> Option<Rates> {
        let mut rates = RateWindow::default();
        for (at, committed, end) in snapshots {
            rates.push(&group(*at, look(*committed, *end)));
        }
        rates.pace()
    }

    #[test]
    fn a_pace_needs_two_looks_and_time_between_them() {
        assert_eq!(pace(&[]), None);
        assert_eq!(pace(&[(0, 0, 10)]), None);
        assert_eq!(pace(&[(5, 0, 10), (5, 3, 10)]), None);
        assert_eq!(pace(&[(5, 0, 10), (4, 3, 10)]), None, "a clock that was set back");
    }

    #[test]
    fn it_says_how_fast_and_where_to() {
        let drains = pace(&[(0, 0, 1000), (1000, 300, 1100)]).expect("a pace");
        assert_eq!((drains.produced, drains.consumed), (100.0, 300.0));
        assert_eq!((drains.trend, drains.drain_seconds), (Trend::Draining, Some(4.0)));
        let grows = pace(&[(0, 0, 1000), (2000, 100, 2000)]).expect("a pace");
        assert_eq!((grows.produced, grows.consumed, grows.trend), (500.0, 50.0, Trend::Growing));
        assert_eq!(grows.drain_seconds, None);
        assert_eq!(pace(&[(0, 5, 9), (1000, 5, 9)]).expect("a pace").trend, Trend::Steady);
        let done = pace(&[(0, 5, 9), (1000, 9, 9)]).expect("a pace");
        assert_eq!((done.trend, done.consumed, done.drain_seconds), (Trend::CaughtUp, 4.0, None));
    }

    #[test]
    fn only_the_last_looks_count_and_none_from_before_a_rewind() {
        let mut snapshots: Vec<(i64, i64, i64)> = (0..30).map(|n| (n * 1000, 0, n * 1000)).collect();
        snapshots.extend((30..40).map(|n| (n * 1000, 0, 29_000)));
        assert!(pace(&snapshots).expect("a pace").produced < 1e-9, "what was produced before the window is forgotten");
        let rewound = pace(&[(0, 500, 1000), (1000, 600, 1000), (2000, 0, 1000), (3000, 40, 1000)]).expect("a pace");
        assert_eq!((rewound.consumed, rewound.trend), (40.0, Trend::Draining));
        let recreated = pace(&[(0, 500, 1000), (1000, 500, 10)]);
        assert_eq!(recreated, None);
    }

    #[test]
    fn a_partition_that_came_later_does_not_count_as_consumed() {
        let mut rates = RateWindow::default();
        rates.push(&group(0, look(10, 20)));
        let both = |committed, late| {
            let mut partitions = look(committed, 20);
            partitions.push(PartitionSample { partition: 1, ..partition(Some(late), 0, 900, NextRecord::Unknown) });
            partitions
        };
        rates.push(&group(1000, both(12, 890)));
        assert_eq!(rates.pace(), None);
        rates.push(&group(2000, both(15, 892)));
        assert!((rates.pace().expect("a pace").consumed - 5.0).abs() < 1e-9);
    }
}
