//! Deadline of a repeated call, extended once if the process was suspended (SIGSTOP, laptop sleep) during the call.

use std::time::Duration;

use crate::clock::Deadline;

/// The extra time, once, for a call whose process was suspended: the broker's response may be waiting.
const SUSPENSION_GRACE: Duration = Duration::from_secs(2);

/// How much later than its timeout a call returns if the process was suspended in it.
const SUSPENSION_THRESHOLD: Duration = Duration::from_millis(500);

/// The deadline for a call and its repetitions.
///
/// A process that is suspended during a call resumes after the deadline, with the response waiting; then the call is
/// repeated once more.
pub(super) struct CallDeadline {
    bound: Duration,
    deadline: Deadline,
    extended: bool,
}

impl CallDeadline {
    pub fn new(timeout: Duration) -> Self {
        Self { bound: timeout, deadline: Deadline::after(timeout), extended: false }
    }

    pub fn bound(&self) -> Duration {
        self.deadline.remaining().max(if self.extended { SUSPENSION_GRACE } else { Duration::from_millis(1) })
    }

    /// Whether the call may be repeated.
    pub fn may_retry(&mut self) -> bool {
        let was_suspended = self.deadline.elapsed() > self.bound + SUSPENSION_THRESHOLD;
        !self.deadline.has_passed() || was_suspended && !std::mem::replace(&mut self.extended, true)
    }
}
