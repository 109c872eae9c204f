//! Owns time outside of events: the wall clock, deadlines and pauses; everything else takes them as arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds of the wall clock since the epoch.
#[must_use]
pub fn wall_millis() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "this function is the owner of that call")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The monotonic clock.
#[must_use]
pub fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "this function is the owner of that call")]
    Instant::now()
}

/// Waits without doing anything; for the pauses inside loops that wait for a condition with a deadline.
pub fn pause(duration: Duration) {
    #[allow(clippy::disallowed_methods, reason = "this function is the owner of that call")]
    std::thread::sleep(duration);
}

/// The bound of a wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    bound: Duration,
}

impl Deadline {
    /// A bound that starts now.
    #[must_use]
    pub fn after(bound: Duration) -> Self {
        Self { start: now(), bound }
    }

    /// The same start with another bound.
    #[must_use]
    pub fn bounded(&self, bound: Duration) -> Self {
        Self { start: self.start, bound }
    }

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.bound.saturating_sub(self.start.elapsed())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Time since it was set.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Starts the bound again from now: progress was made.
    pub fn renew(&mut self) {
        self.start = now();
    }
}
