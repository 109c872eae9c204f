//! Owns the pace of a throttled consumer: how long to wait before the next record.

use std::time::{Duration, Instant};

/// A pace of so many records a second. A consumer that was slower than its pace does not catch up in a burst.
#[derive(Debug, Clone)]
pub struct Throttle {
    interval: Duration,
    due: Option<Instant>,
}

impl Throttle {
    /// A pace in records a second; must be above zero.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate.max(1e-6)), due: None }
    }

    /// How long to wait before the next record may be taken; zero when it is due.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// A record was taken.
    pub fn took(&mut self, now: Instant) {
        // A tenth of a second of credit evens out the granularity of waits without allowing bursts.
        let floor = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
        self.due = Some(self.due.map_or(now, |due| due.max(floor)) + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_records_as_the_rate_says() {
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
    fn a_pause_is_not_made_up_for_in_a_burst() {
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
