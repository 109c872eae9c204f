//! Registry of open connections, and eviction of the one that has been idle the longest when the maximum is reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection_limits::ConnectionLimits;

/// All open connections, by number.
#[derive(Debug, Clone, Default)]
pub struct ConnectionRegistry(Arc<Mutex<HashMap<u64, ConnectionState>>>);

#[derive(Debug, Clone)]
struct ConnectionState {
    /// At least one of its requests was answered.
    used: bool,
    /// The time of its last request, or of its start.
    active_at: Instant,
    evict: Arc<Notify>,
    evicted: bool,
}

/// A connection's entry in the registry, removed when dropped.
#[derive(Debug)]
pub struct Registration {
    registry: ConnectionRegistry,
    /// The number of the connection.
    pub number: u64,
    evict: Arc<Notify>,
}

impl ConnectionRegistry {
    fn connections(&self) -> MutexGuard<'_, HashMap<u64, ConnectionState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    #[must_use]
    pub fn register(&self, number: u64) -> Registration {
        let evict = Arc::new(Notify::new());
        let state =
            ConnectionState { used: false, active_at: Instant::now(), evict: Arc::clone(&evict), evicted: false };
        self.connections().insert(number, state);
        Registration { registry: self.clone(), number, evict }
    }

    /// Evicts one idle connection and returns whether there was one: the oldest that has sent no request, otherwise the
    /// one with the oldest last request. Connections that were active within the limits are kept.
    #[must_use]
    pub fn evict_idle(&self, limits: &ConnectionLimits) -> bool {
        let mut connections = self.connections();
        let now = Instant::now();
        let is_idle = |state: &ConnectionState| {
            let min_idle: Duration = if state.used { limits.min_idle_used } else { limits.min_idle_unused };
            !state.evicted && now.duration_since(state.active_at) >= min_idle
        };
        let idle = connections.values_mut().filter(|state| is_idle(state));
        let Some(state) = idle.min_by_key(|state| (state.used, state.active_at)) else { return false };
        state.evicted = true;
        state.evict.notify_one();
        true
    }
}

impl Registration {
    /// Records that a request of the connection was answered.
    pub fn served_request(&self) {
        if let Some(state) = self.registry.connections().get_mut(&self.number) {
            (state.used, state.active_at) = (true, Instant::now());
        }
    }

    /// Resolves when the connection is evicted.
    pub async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.connections().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_IDLE_TIME: ConnectionLimits = ConnectionLimits {
        max_connections: 3,
        first_request_timeout: Duration::MAX,
        request_timeout: Duration::MAX,
        request_stall_timeout: Duration::MAX,
        response_stall_timeout: Duration::MAX,
        response_timeout: Duration::MAX,
        memory_timeout: Duration::MAX,
        min_idle_unused: Duration::ZERO,
        min_idle_used: Duration::ZERO,
        request_memory: 0,
        response_memory: 0,
    };

    async fn is_evicted(registration: &Registration) -> bool {
        tokio::select! {
            biased;
            () = registration.evicted() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn evicts_unused_connections_first_then_the_oldest() {
        let registry = ConnectionRegistry::default();
        let [first, second, third] = [1, 2, 3].map(|number| registry.register(number));
        first.served_request();
        assert!(registry.evict_idle(&NO_IDLE_TIME) && registry.evict_idle(&NO_IDLE_TIME));
        assert!(is_evicted(&second).await && is_evicted(&third).await && !is_evicted(&first).await);
        let fourth = registry.register(4);
        fourth.served_request();
        first.served_request();
        assert!(registry.evict_idle(&NO_IDLE_TIME) && is_evicted(&fourth).await && !is_evicted(&first).await);
        assert!(registry.evict_idle(&NO_IDLE_TIME) && is_evicted(&first).await);
        assert!(!registry.evict_idle(&NO_IDLE_TIME), "all are evicted");
        drop((first, second, third, fourth));
        assert!(registry.connections().is_empty());
    }

    #[tokio::test]
    async fn keeps_connections_that_were_active_recently() {
        let registry = ConnectionRegistry::default();
        let (new, busy) = (registry.register(1), registry.register(2));
        busy.served_request();
        let minute = Duration::from_mins(1);
        let patient = ConnectionLimits { min_idle_unused: minute, min_idle_used: minute, ..NO_IDLE_TIME };
        assert!(!registry.evict_idle(&patient));
        let hasty = ConnectionLimits { min_idle_unused: Duration::ZERO, ..patient };
        assert!(registry.evict_idle(&hasty) && is_evicted(&new).await);
    }
}
