//! Throttle of a consumer: how long to wait before the next record, for `--throttle`.

use std::time::{Duration, Instant};

/// A limit in records per second. A consumer that was slower than the limit does not catch up in a burst.
#[derive(Debug, Clone)]
pub struct Throttle {
    interval: Duration,
    due: Option<Instant>,
}

impl Throttle {
    /// A limit in records per second; must be above zero.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate.max(1e-6)), due: None }
    }

    /// How long to wait before the next record; zero when it is due.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// Counts a processed record.
    pub fn took(&mut self, now: Instant) {
        // 100 ms of credit compensate for coarse waits without allowing bursts.
        let floor = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
        self.due = Some(self.due.map_or(now, |due| due.max(floor)) + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_the_configured_rate() {
        let mut throttle = Throttle::per_second(500.0);
        let start = crate::clock::now();
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(1) {
            now += throttle.wait(now);
            throttle.took(now);
            taken += 1;
        }
        assert!((500..=501).contains(&taken), "{taken}");
    }

    #[test]
    fn a_pause_is_not_followed_by_a_burst() {
        let mut throttle = Throttle::per_second(10.0);
        let start = crate::clock::now();
        throttle.took(start);
        let later = start + Duration::from_mins(1);
        let mut taken = 0;
        while throttle.wait(later).is_zero() {
            throttle.took(later);
            taken += 1;
        }
        assert!(taken <= 2, "{taken}");
    }
}
