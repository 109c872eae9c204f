//! Owns when something is to happen to a group without a request: one time per timer, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The group's members had their time to rejoin.
    Join {
        /// The group.
        group: String,
    },
    /// The group's members had their time to ask for their assignment.
    Sync {
        /// The group.
        group: String,
    },
    /// A member was not heard of for its session timeout.
    Heartbeat {
        /// The group.
        group: String,
        /// The member, or a member id that was given out and not used yet.
        member: String,
    },
}

/// The timers that run.
#[derive(Debug, Default)]
pub(super) struct Timers {
    times: BTreeMap<Timer, i64>,
    order: BTreeSet<(i64, Timer)>,
}

impl Timers {
    /// Starts a timer, or starts it anew.
    pub(super) fn schedule(&mut self, timer: Timer, at: i64) {
        self.cancel(&timer);
        self.times.insert(timer.clone(), at);
        self.order.insert((at, timer));
    }

    /// Stops a timer if it runs.
    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.times.remove(timer) {
            self.order.remove(&(at, timer.clone()));
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<i64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the first one that is due.
    pub(super) fn take_due(&mut self, now: i64) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.times.remove(&timer);
        Some(timer)
    }

    /// Those that run.
    #[cfg(test)]
    pub(super) fn running(&self) -> impl Iterator<Item = &Timer> {
        self.times.keys()
    }
}
