//! Timers of groups: rebalance timeouts and session timeouts, ordered by deadline.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The members' time to rejoin.
    Join { group: String },
    /// The members' time to send `SyncGroup`.
    Sync { group: String },
    /// A member's session timeout.
    Heartbeat {
        group: String,
        /// A member, or a pending member id.
        member: String,
    },
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    times: BTreeMap<Timer, i64>,
    order: BTreeSet<(i64, Timer)>,
}

impl Timers {
    /// Starts or restarts a timer.
    pub(super) fn schedule(&mut self, timer: Timer, at: i64) {
        self.cancel(&timer);
        self.times.insert(timer.clone(), at);
        self.order.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.times.remove(timer) {
            self.order.remove(&(at, timer.clone()));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<i64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Removes and returns the earliest timer that is due.
    pub(super) fn take_due(&mut self, now: i64) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.times.remove(&timer);
        Some(timer)
    }

    #[cfg(test)]
    pub(super) fn running(&self) -> impl Iterator<Item = &Timer> {
        self.times.keys()
    }
}
