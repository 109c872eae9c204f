//! Owns how much connections may ask of the broker: how many they are, how long each may keep it waiting, and the bytes that all of
//! them together may have it hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests and answers up to this length are held without asking: with the most connections that there may be they come to
/// 64 MiB each. Whatever keeps a client alive and a command going is shorter.
pub const SMALL_FRAME: usize = 64 * 1024;

/// The longest answer. More is read by no client unless it is told to (`receive.message.max.bytes` of librdkafka is as much).
pub const MAX_RESPONSE_BYTES: usize = 100_000_000;

/// What a permit stands for: a semaphore counts no further than 32 bits at a time.
const UNIT: usize = 1024;

/// What connections may ask of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are served at a time. One more takes the place of one that says nothing, or waits for a place.
    pub max_connections: usize,
    /// How long a new connection has for its first request. No client connects and says nothing; Kafka itself would wait for
    /// `connections.max.idle.ms`. One that has asked may be silent: it may be all that keeps the broker from leaving.
    pub first_request_timeout: Duration,
    /// From the first byte of a request to its last one. What waits for room does not count.
    pub request_timeout: Duration,
    /// Between two pieces of a long request.
    pub request_stall_timeout: Duration,
    /// Between two pieces of an answer that are taken.
    pub response_stall_timeout: Duration,
    /// Until all of an answer is taken.
    pub response_timeout: Duration,
    /// How long a long request or answer waits for its room.
    pub memory_timeout: Duration,
    /// From when on a connection may lose its place to a new one, if it has asked for nothing yet.
    pub min_idle_unused: Duration,
    /// The same, after its last request.
    pub min_idle_used: Duration,
    /// Bytes of long requests that are held together. At least the longest request.
    pub request_memory: usize,
    /// Bytes of records and of long answers that are held together.
    pub response_memory: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            first_request_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_mins(1),
            request_stall_timeout: Duration::from_secs(10),
            response_stall_timeout: Duration::from_mins(1),
            response_timeout: Duration::from_mins(10),
            memory_timeout: Duration::from_mins(2),
            min_idle_unused: Duration::from_secs(1),
            min_idle_used: Duration::from_secs(10),
            request_memory: 128 << 20,
            response_memory: 256 << 20,
        }
    }
}

/// Bytes that all connections share. Whoever asks first is given first, so that a long one is not passed over for ever, and all at
/// once, so that nobody waits for more while it keeps others from what it has.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    left: Arc<Semaphore>,
    most: u32,
}

impl MemoryBudget {
    /// Of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let most = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self { left: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Reservation for so many bytes, as soon as it is there. What is longer than all of it gets all of it. `None` if it is not there in time.
    pub async fn reserve(&self, bytes: usize, bound: Duration) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.most);
        let taken = Arc::clone(&self.left).acquire_many_owned(units);
        tokio::time::timeout(bound, taken).await.ok()?.ok().map(Reservation)
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        (self.most as usize - self.left.available_permits()) * UNIT
    }
}

/// Reservation for some bytes, given back when dropped.
#[derive(Debug)]
pub struct Reservation(#[expect(dead_code, reason = "what it holds it holds by being there")] OwnedSemaphorePermit);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn soon(budget: &MemoryBudget, bytes: usize) -> Option<Reservation> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("built");
        runtime.block_on(budget.reserve(bytes, Duration::from_millis(1)))
    }

    #[test]
    fn what_is_held_is_not_given_again_until_it_is_dropped() {
        let budget = MemoryBudget::new(10 * UNIT);
        let first = soon(&budget, 6 * UNIT - 1).expect("room");
        assert_eq!(budget.held(), 6 * UNIT);
        assert!(soon(&budget, 5 * UNIT).is_none());
        let second = soon(&budget, 4 * UNIT).expect("room");
        drop((first, second));
        assert_eq!(budget.held(), 0);
        assert!(soon(&budget, usize::MAX).is_some(), "what is longer than all of it gets all of it");
    }

    #[tokio::test]
    async fn who_asks_first_is_given_first() {
        let budget = MemoryBudget::new(10 * UNIT);
        let held = budget.reserve(5 * UNIT, LONG).await.expect("room");
        let (long, short) = (budget.clone(), budget.clone());
        let long = tokio::spawn(async move { long.reserve(10 * UNIT, LONG).await.expect("room") });
        tokio::task::yield_now().await;
        let short = tokio::spawn(async move { short.reserve(UNIT, LONG).await.expect("room") });
        tokio::task::yield_now().await;
        assert!(!long.is_finished() && !short.is_finished(), "a short one does not pass a long one");
        drop(held);
        drop(long.await.expect("no panic"));
        drop(short.await.expect("no panic"));
        assert_eq!(budget.held(), 0);
    }
}
