//! Broker clock: the wall clock plus an offset that tests can increase.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// The clock of a broker: the wall clock plus the sum of all calls of [`Clock::advance`]. Clones share the offset.
///
/// Every timeout of the broker follows this clock: session and rebalance timeouts, transaction timeouts, retention,
/// fetch waits. A test that moves it sees the timeout happen at once. On a machine that was suspended, sessions expire
/// as on any broker.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead: Arc<AtomicI64>,
    advanced: Arc<Notify>,
}

impl Clock {
    /// Milliseconds since the epoch.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the only place in this module that reads the clock")]
    pub fn now(&self) -> i64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
        i64::try_from(wall).unwrap_or(i64::MAX).saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Moves the clock forward and wakes the broker's timer, which runs everything that is due by then.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(millis, Ordering::Relaxed);
        self.advanced.notify_waiters();
    }

    /// Resolves at the next call of [`Clock::advance`].
    pub async fn advanced(&self) {
        self.advanced.notified().await;
    }
}
