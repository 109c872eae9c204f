//! Connection limits: the number of connections, timeouts of requests and responses, and the memory that all requests
//! and responses share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests and responses up to this size need no reservation in a [`MemoryBudget`]. At the maximum number of
/// connections they take 64 MiB each. Heartbeats and everything else that keeps a client alive is smaller.
pub const SMALL_FRAME: usize = 64 * 1024;

/// The largest response. It is librdkafka's default of `receive.message.max.bytes`; clients reject larger ones.
pub const MAX_RESPONSE_BYTES: usize = 100_000_000;

/// Bytes per semaphore permit. A semaphore hands out at most `u32::MAX` permits at a time.
const UNIT: usize = 1024;

/// Limits on what clients may demand of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of open connections. A further one evicts an idle connection, or waits until one closes.
    pub max_connections: usize,
    /// Time for the first request of a new connection. Real clients send it at once; Apache Kafka waits for
    /// `connections.max.idle.ms`. After its first request a connection may stay idle: it may be all that keeps the
    /// broker running.
    pub first_request_timeout: Duration,
    /// Time from the first to the last byte of a request, without the wait for memory.
    pub request_timeout: Duration,
    /// Time between two reads of a large request.
    pub request_stall_timeout: Duration,
    /// Time between two writes of a response.
    pub response_stall_timeout: Duration,
    /// Time until a client must have read a whole response.
    pub response_timeout: Duration,
    /// Time that a large request or response waits for memory.
    pub memory_timeout: Duration,
    /// A connection that has sent no request can be evicted after this time.
    pub min_idle_unused: Duration,
    /// A connection can be evicted after this time without a request.
    pub min_idle_used: Duration,
    /// Bytes that all large requests may take together. At least the largest request.
    pub request_memory: usize,
    /// Bytes that all large responses may take together, including the records that they contain.
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

/// Bytes that all connections share.
///
/// Reservations are granted in the order of their requests, so that a large one is not starved by small ones, and
/// always whole, so that none blocks others while it waits for its rest.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    left: Arc<Semaphore>,
    total: u32,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self { left: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Reserves bytes as soon as they are free; `None` after `timeout`. A reservation larger than the budget takes the
    /// whole budget.
    pub async fn reserve(&self, bytes: usize, timeout: Duration) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        let taken = Arc::clone(&self.left).acquire_many_owned(units);
        tokio::time::timeout(timeout, taken).await.ok()?.ok().map(Reservation)
    }

    /// Bytes that are reserved.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        (self.total as usize - self.left.available_permits()) * UNIT
    }
}

/// Reserved bytes, released when dropped.
#[derive(Debug)]
pub struct Reservation(#[expect(dead_code, reason = "the permit is held until it is dropped")] OwnedSemaphorePermit);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn try_reserve(budget: &MemoryBudget, bytes: usize) -> Option<Reservation> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("built");
        runtime.block_on(budget.reserve(bytes, Duration::from_millis(1)))
    }

    #[test]
    fn reserved_bytes_are_free_again_when_dropped() {
        let budget = MemoryBudget::new(10 * UNIT);
        let first = try_reserve(&budget, 6 * UNIT - 1).expect("reserved");
        assert_eq!(budget.held(), 6 * UNIT);
        assert!(try_reserve(&budget, 5 * UNIT).is_none());
        let second = try_reserve(&budget, 4 * UNIT).expect("reserved");
        drop((first, second));
        assert_eq!(budget.held(), 0);
        assert!(try_reserve(&budget, usize::MAX).is_some(), "more than the budget takes all of it");
    }

    #[tokio::test]
    async fn reservations_are_granted_in_order() {
        let budget = MemoryBudget::new(10 * UNIT);
        let held = budget.reserve(5 * UNIT, LONG).await.expect("reserved");
        let (large, small) = (budget.clone(), budget.clone());
        let large = tokio::spawn(async move { large.reserve(10 * UNIT, LONG).await.expect("reserved") });
        tokio::task::yield_now().await;
        let small = tokio::spawn(async move { small.reserve(UNIT, LONG).await.expect("reserved") });
        tokio::task::yield_now().await;
        assert!(!large.is_finished() && !small.is_finished(), "a small one does not overtake a large one");
        drop(held);
        drop(large.await.expect("no panic"));
        drop(small.await.expect("no panic"));
        assert_eq!(budget.held(), 0);
    }
}
