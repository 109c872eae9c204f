//! Wall clock, monotonic clock, deadlines and pauses. Other modules get the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall clock, in milliseconds since the Unix epoch.
#[must_use]
pub fn wall_millis() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "the only caller")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[must_use]
pub fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the only caller")]
    Instant::now()
}

/// Sleeps. Only for the short pauses of a loop that polls a condition until a deadline.
pub fn pause(duration: Duration) {
    #[allow(clippy::disallowed_methods, reason = "the only caller")]
    std::thread::sleep(duration);
}

/// A bound on a wait, counted from a start.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    bound: Duration,
}

impl Deadline {
    #[must_use]
    pub fn after(bound: Duration) -> Self {
        Self { start: now(), bound }
    }

    /// The same start with another bound.
    #[must_use]
    pub fn bounded(&self, bound: Duration) -> Self {
        Self { start: self.start, bound }
    }

    /// Zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.bound.saturating_sub(self.start.elapsed())
    }

    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Starts the bound again from now, after progress.
    pub fn renew(&mut self) {
        self.start = now();
    }
}
