//! Owns the broker's time: the wall clock, and how far a test has moved it ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// The wall clock, ahead by what a test has added. Clones share that.
///
/// Time-outs follow it too: a laptop that slept has let its sessions expire, as on any broker.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead: Arc<AtomicI64>,
    advanced: Arc<Notify>,
}

impl Clock {
    /// Milliseconds since the epoch.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the broker's clock is read here and nowhere else in this room")]
    pub fn now(&self) -> i64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
        i64::try_from(wall).unwrap_or(i64::MAX).saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Moves it ahead; what has become due is done at once.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(millis, Ordering::Relaxed);
        self.advanced.notify_waiters();
    }

    /// Returns when somebody moves it.
    pub async fn advanced(&self) {
        self.advanced.notified().await;
    }
}
