//! Lateness histogram of `produce --rate`: log-linear buckets of fixed size, without an allocation per event.

use std::time::Duration;

/// Buckets per octave: a bucket is at most 1/64 of its values wide.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// One bucket per value below `STEPS`, then `STEPS` buckets per octave.
const BUCKETS: usize = STEPS * (u64::BITS - STEP_BITS + 1) as usize;

/// How late events were sent, compared with when they were due.
///
/// In microseconds. A percentile is at least the true one, and exceeds it by at most 1/64 (1.6 %) plus one microsecond.
/// The maximum is exact.
#[derive(Debug, Clone)]
pub struct Lateness {
    buckets: Box<[u64]>,
    records: u64,
    max: Duration,
}

impl Lateness {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), records: 0, max: Duration::ZERO }
    }

    /// Records the lateness of an event; zero for one that was sent in time.
    pub fn record(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.records += 1;
        self.max = self.max.max(late);
    }

    /// The 99th percentile; `None` without events.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        // Nearest rank: the smallest number of events that is at least 99 % of them.
        let rank = (u128::from(self.records) * 99).div_ceil(100);
        let mut seen = 0u128;
        let bucket = self.buckets.iter().position(|&count| {
            seen += u128::from(count);
            rank > 0 && seen >= rank
        })?;
        Some(Duration::from_micros(last_of(bucket)).min(self.max))
    }

    /// The maximum; `None` without events.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (self.records > 0).then_some(self.max)
    }
}

impl Default for Lateness {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a number of microseconds.
#[allow(clippy::cast_possible_truncation, reason = "the last bucket is number 3775")]
const fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let shift = u64::BITS - 1 - micros.leading_zeros() - STEP_BITS;
    shift as usize * STEPS + (micros >> shift) as usize
}

/// The largest number of microseconds in a bucket.
const fn last_of(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let first = ((bucket % STEPS + STEPS) as u64) << shift;
    first | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_histogram_has_no_values() {
        assert_eq!(Lateness::new().p99(), None);
        assert_eq!(Lateness::new().max(), None);
    }

    #[test]
    fn events_in_time_are_not_late() {
        let mut lateness = Lateness::new();
        (0..1_000).for_each(|_| lateness.record(Duration::ZERO));
        assert_eq!((lateness.p99(), lateness.max()), (Some(Duration::ZERO), Some(Duration::ZERO)));
    }

    #[test]
    fn p99_ignores_one_percent_of_events() {
        let mut lateness = Lateness::new();
        (0..99).for_each(|_| lateness.record(Duration::from_micros(10)));
        lateness.record(Duration::from_secs(5));
        assert_eq!(lateness.p99(), Some(Duration::from_micros(10)));
        lateness.record(Duration::from_secs(5));
        assert_eq!(lateness.p99(), Some(Duration::from_secs(5)), "two of 101 are more than one percent");
        assert_eq!(lateness.max(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn buckets_are_contiguous() {
        for index in 1..BUCKETS {
            assert_eq!(bucket(last_of(index - 1) + 1), index);
            assert_eq!(bucket(last_of(index)), index);
        }
        assert_eq!(last_of(BUCKETS - 1), u64::MAX);
        let mut lateness = Lateness::new();
        lateness.record(Duration::MAX);
        assert_eq!(lateness.max(), Some(Duration::MAX));
        assert!(lateness.p99().is_some());
    }

    proptest! {
        #[test]
        fn p99_is_within_its_documented_error(mut nanos in prop::collection::vec(0u64..1 << 50, 1..400)) {
            let mut lateness = Lateness::new();
            for &nanos in &nanos {
                lateness.record(Duration::from_nanos(nanos));
            }
            nanos.sort_unstable();
            let exact = Duration::from_nanos(nanos[(nanos.len() * 99).div_ceil(100) - 1]);
            let found = lateness.p99().expect("events");
            prop_assert!(found >= exact);
            prop_assert!(found <= exact + exact / 64 + Duration::from_micros(1));
            prop_assert_eq!(lateness.max(), nanos.last().map(|&nanos| Duration::from_nanos(nanos)));
        }
    }
}
