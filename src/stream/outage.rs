//! Broker outages: detection, retries with backoff, and the deadline after which the loop gives up.

use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};

/// How long an outage lasts before it is reported and the cluster is probed, and the time between probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The longest backoff between two attempts.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The shortest timeout of an attempt: enough for one request after the deadline has passed.
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// Tracks the current outage, if any, and the last time that the cluster was unreachable.
pub(super) struct Outages {
    /// How long an outage may last before the loop ends.
    timeout: Duration,
    /// Whether to retry without limit.
    unlimited: bool,
    current: Option<Outage>,
    /// Since when the loop has been waiting for the cluster: for a commit, or for a response while it is idle.
    waiting_since: Deadline,
    next_probe: Deadline,
    last_answer: Instant,
    /// When a client last reported that the cluster does not respond.
    last_unreachable: Option<Deadline>,
}

/// A period in which the cluster does not respond.
struct Outage {
    /// Starts with the wait that led to the first error; passes when the outage has lasted too long.
    deadline: Deadline,
    /// The first error.
    cause: String,
    failed_attempts: u32,
    next_attempt: Deadline,
    /// Whether the user was notified.
    reported: bool,
}

impl Outages {
    pub fn new(timeout: Duration, unlimited: bool) -> Self {
        Self {
            timeout,
            unlimited,
            current: None,
            waiting_since: Deadline::after(Duration::ZERO),
            next_probe: Deadline::after(PROBE_INTERVAL),
            last_answer: clock::now(),
            last_unreachable: None,
        }
    }

    /// The loop starts to wait for the cluster.
    pub fn start_waiting(&mut self) {
        self.waiting_since = Deadline::after(Duration::ZERO);
    }

    /// Records an error that may be an outage. An outage counts from the start of the wait and keeps its first error;
    /// later errors do not restart it. It ends with the next commit, restored assignment or response.
    pub fn record_failure(&mut self, cause: &str) {
        let deadline = self.waiting_since.bounded(self.timeout);
        let next_attempt = Deadline::after(Duration::ZERO);
        self.current.get_or_insert_with(|| Outage {
            deadline,
            cause: cause.to_owned(),
            failed_attempts: 0,
            next_attempt,
            reported: false,
        });
    }

    /// Records that the cluster does not respond. A failed transaction alone does not show that: this process may have
    /// been paused.
    pub fn record_unreachable(&mut self, cause: &str) {
        self.last_unreachable = Some(Deadline::after(Duration::ZERO));
        self.record_failure(cause);
    }

    /// The cluster responds.
    pub fn clear(&mut self) {
        self.current = None;
        self.answered();
    }

    /// Records a response. It does not end an outage: another broker of the cluster may still be silent.
    pub fn answered(&mut self) {
        self.last_answer = clock::now();
    }

    /// When the cluster last responded. While it responds, the lookups of an idle loop keep this up to date.
    pub fn last_answer(&self) -> Instant {
        self.last_answer
    }

    pub fn is_ongoing(&self) -> bool {
        self.current.is_some()
    }

    /// The first error of an outage that has lasted for longer than the timeout.
    pub fn expired(&self) -> Option<&str> {
        let outage = self.current.as_ref().filter(|outage| outage.deadline.has_passed() && !self.unlimited);
        outage.map(|outage| outage.cause.as_str())
    }

    /// How long the outage has lasted; `None` while it is too short to report.
    pub fn age(&self) -> Option<Duration> {
        self.current.as_ref().map(|outage| outage.deadline.elapsed()).filter(|age| *age >= PROBE_INTERVAL)
    }

    /// The first error of an outage that was not reported yet; marks it as reported.
    pub fn take_unreported(&mut self) -> Option<&str> {
        self.age()?;
        let outage = self.current.as_mut()?;
        (!std::mem::replace(&mut outage.reported, true)).then_some(outage.cause.as_str())
    }

    /// The timeout of the next attempt: the rest of the time that an outage may last.
    pub fn attempt_timeout(&self) -> Duration {
        match &self.current {
            // Attempts without limit are short, so that the listener is called in between.
            Some(outage) if self.unlimited => self.timeout.min(Duration::from_secs(2 << outage.failed_attempts.min(4))),
            Some(outage) => outage.deadline.remaining().max(MIN_ATTEMPT_TIMEOUT),
            None => self.timeout,
        }
    }

    /// Whether the backoff after the last failed attempt is over.
    pub fn may_attempt(&self) -> bool {
        self.current.as_ref().is_none_or(|outage| outage.next_attempt.has_passed())
    }

    /// Delays the next attempt after a failed one.
    pub fn back_off(&mut self) {
        if let Some(outage) = &mut self.current {
            let backoff = Duration::from_millis(50 << outage.failed_attempts.min(6)).min(MAX_BACKOFF);
            outage.next_attempt = Deadline::after(backoff);
            outage.failed_attempts += 1;
        }
    }

    /// Whether it is time to probe the cluster.
    pub fn probe_due(&self) -> bool {
        self.next_probe.has_passed()
    }

    /// The cluster was probed.
    pub fn probed(&mut self) {
        self.next_probe = Deadline::after(PROBE_INTERVAL);
    }

    /// Whether the cluster was unreachable at some time in the last `duration`.
    pub fn was_unreachable_within(&self, duration: Duration) -> bool {
        self.last_unreachable.is_some_and(|last| last.elapsed() <= duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    #[test]
    fn counts_from_the_wait_and_keeps_the_first_cause() {
        let mut outages = Outages::new(Duration::ZERO, false);
        assert_eq!(outages.expired(), None);
        outages.record_failure("first");
        outages.record_unreachable("second");
        assert_eq!(outages.expired(), Some("first"));
        outages.clear();
        assert!(!outages.is_ongoing() && outages.expired().is_none());
        assert!(outages.was_unreachable_within(LONG), "remembered after the outage");
    }

    #[test]
    fn a_failed_transaction_is_not_an_unreachable_cluster() {
        let mut outages = Outages::new(LONG, false);
        outages.record_failure("fenced");
        assert!(outages.is_ongoing() && !outages.was_unreachable_within(LONG));
    }

    #[test]
    fn unlimited_attempts_are_short_and_grow() {
        let mut outages = Outages::new(LONG, true);
        assert_eq!(outages.attempt_timeout(), LONG);
        outages.record_unreachable("away");
        assert_eq!(outages.attempt_timeout(), Duration::from_secs(2));
        assert!(outages.may_attempt());
        for _ in 0..20 {
            outages.back_off();
        }
        assert_eq!(outages.attempt_timeout(), Duration::from_secs(32));
        assert!(!outages.may_attempt());
        assert_eq!(Outages::new(Duration::ZERO, true).expired(), None);
    }

    #[test]
    fn an_attempt_has_a_minimum_timeout() {
        let mut outages = Outages::new(Duration::ZERO, false);
        outages.record_failure("away");
        assert_eq!(outages.attempt_timeout(), MIN_ATTEMPT_TIMEOUT);
    }
}
