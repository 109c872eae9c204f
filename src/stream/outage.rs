//! Outages: since when the cluster has not answered, for how long that is lived through, and what is done meanwhile.

use std::time::Duration;

use crate::clock::Deadline;

/// How long an outage is left to pass before anything is said of it and the cluster is asked whether it answers, and how
/// often it is asked.
const PROBE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts: a cluster in trouble is not helped by a hundred of them a second.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What an attempt gets when the time for the outage is over: for one look at whether it is, too.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// The outages of a loop: the one that lasts, if one does, and the last sign of any.
pub(super) struct Outages {
    /// How long one may last before the loop ends.
    timeout: Duration,
    /// Whether the loop goes on however long one lasts.
    survives: bool,
    current: Option<Outage>,
    /// Since when the loop waits for the cluster: for a commit, or for an answer while it has nothing else to do.
    waiting: Deadline,
    /// When the cluster is asked next whether it answers.
    probe: Deadline,
    /// When a client found out for the last time that the cluster does not answer.
    last_trouble: Option<Deadline>,
}

/// A time in which the cluster does not answer.
struct Outage {
    /// From the beginning of the wait that led to its first error, for as long as it may last.
    since: Deadline,
    /// The first error.
    cause: String,
    /// Attempts that failed in it.
    attempts: u32,
    /// The next attempt.
    next: Deadline,
    /// Whether a line has said so.
    told: bool,
}

impl Outages {
    /// None yet. One may last for `timeout`, or however long where the loop `survives` it.
    pub fn new(timeout: Duration, survives: bool) -> Self {
        let (waiting, probe) = (Deadline::after(Duration::ZERO), Deadline::after(PROBE));
        Self { timeout, survives, current: None, waiting, probe, last_trouble: None }
    }

    /// The loop begins to wait for the cluster.
    pub fn wait_begins(&mut self) {
        self.waiting = Deadline::after(Duration::ZERO);
    }

    /// Something went wrong that may be an outage: counts from the beginning of the wait on, unless one lasts already. It ends
    /// with the next commit, preparation or answer.
    pub fn begin(&mut self, cause: &str) {
        let since = self.waiting.bounded(self.timeout);
        let next = Deadline::after(Duration::ZERO);
        self.current.get_or_insert_with(|| Outage { since, cause: cause.to_owned(), attempts: 0, next, told: false });
    }

    /// The cluster does not answer, as a client has found out: unlike a failed transaction, which may be this process's own
    /// standing still.
    pub fn trouble(&mut self, cause: &str) {
        self.last_trouble = Some(Deadline::after(Duration::ZERO));
        self.begin(cause);
    }

    /// The cluster answers.
    pub fn end(&mut self) {
        self.current = None;
    }

    /// Whether one lasts.
    pub fn lasts(&self) -> bool {
        self.current.is_some()
    }

    /// The first error of one that lasts for longer than the loop goes on.
    pub fn too_long(&self) -> Option<&str> {
        let outage = self.current.as_ref().filter(|outage| outage.since.has_passed() && !self.survives);
        outage.map(|outage| outage.cause.as_str())
    }

    /// How long one has lasted, once that is worth telling.
    pub fn age(&self) -> Option<Duration> {
        self.current.as_ref().map(|outage| outage.since.elapsed()).filter(|age| *age >= PROBE)
    }

    /// The first error of one that nobody has been told of.
    pub fn untold(&mut self) -> Option<&str> {
        self.age()?;
        let outage = self.current.as_mut()?;
        (!std::mem::replace(&mut outage.told, true)).then_some(outage.cause.as_str())
    }

    /// How long the next attempt may wait: what is left of the time that an outage may last.
    pub fn patience(&self) -> Duration {
        match &self.current {
            // Each attempt is short, so that what is shown does not stand still meanwhile.
            Some(outage) if self.survives => self.timeout.min(Duration::from_secs(2 << outage.attempts.min(4))),
            Some(outage) => outage.since.remaining().max(LEAST_PATIENCE),
            None => self.timeout,
        }
    }

    /// Whether the pause behind the last failed attempt is over.
    pub fn may_attempt(&self) -> bool {
        self.current.as_ref().is_none_or(|outage| outage.next.has_passed())
    }

    /// An attempt has failed in it: the next one comes after a pause.
    pub fn attempt_failed(&mut self) {
        if let Some(outage) = &mut self.current {
            outage.next = Deadline::after(Duration::from_millis(50 << outage.attempts.min(6)).min(LONGEST_PAUSE));
            outage.attempts += 1;
        }
    }

    /// Whether it is time to ask the cluster whether it answers.
    pub fn is_to_be_probed(&self) -> bool {
        self.probe.has_passed()
    }

    /// The cluster was asked.
    pub fn probed(&mut self) {
        self.probe = Deadline::after(PROBE);
    }

    /// Whether the cluster did not answer some time within `duration` before now.
    pub fn troubled_within(&self, duration: Duration) -> bool {
        self.last_trouble.is_some_and(|trouble| trouble.elapsed() <= duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    #[test]
    fn an_outage_counts_from_the_beginning_of_the_wait_and_keeps_its_first_cause() {
        let mut outages = Outages::new(Duration::ZERO, false);
        assert_eq!(outages.too_long(), None);
        outages.begin("first");
        outages.trouble("second");
        assert_eq!(outages.too_long(), Some("first"));
        outages.end();
        assert!(!outages.lasts() && outages.too_long().is_none());
        assert!(outages.troubled_within(LONG), "the trouble is remembered");
    }

    #[test]
    fn a_failed_transaction_alone_is_no_trouble_of_the_cluster() {
        let mut outages = Outages::new(LONG, false);
        outages.begin("fenced");
        assert!(outages.lasts() && !outages.troubled_within(LONG));
    }

    #[test]
    fn who_survives_outages_waits_in_short_attempts_that_grow() {
        let mut outages = Outages::new(LONG, true);
        assert_eq!(outages.patience(), LONG);
        outages.trouble("away");
        assert_eq!(outages.patience(), Duration::from_secs(2));
        assert!(outages.may_attempt());
        for _ in 0..20 {
            outages.attempt_failed();
        }
        assert_eq!(outages.patience(), Duration::from_secs(32));
        assert!(!outages.may_attempt());
        assert_eq!(Outages::new(Duration::ZERO, true).too_long(), None);
    }

    #[test]
    fn what_is_left_of_the_time_is_never_nothing() {
        let mut outages = Outages::new(Duration::ZERO, false);
        outages.begin("away");
        assert_eq!(outages.patience(), LEAST_PATIENCE);
    }
}
