//! Owns who is connected, and who gives up its place when there is none left: whoever has said nothing for the longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection_limits::ConnectionLimits;

/// Everybody who is connected.
#[derive(Debug, Clone, Default)]
pub struct ConnectionRegistry(Arc<Mutex<HashMap<u64, ConnectionState>>>);

/// What is known of a connection.
#[derive(Debug, Clone)]
struct ConnectionState {
    /// Whether a request of it was ever answered.
    asked: bool,
    /// Since its last request, or since it came.
    since: Instant,
    leave: Arc<Notify>,
    /// It was asked to go.
    leaves: bool,
}

/// A connection's place. Dropped, it is free.
#[derive(Debug)]
pub struct Registration {
    registry: ConnectionRegistry,
    /// Of the connection.
    pub number: u64,
    leave: Arc<Notify>,
}

impl ConnectionRegistry {
    fn places(&self) -> MutexGuard<'_, HashMap<u64, ConnectionState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection its place.
    #[must_use]
    pub fn register(&self, number: u64) -> Registration {
        let leave = Arc::new(Notify::new());
        let place = ConnectionState { asked: false, since: Instant::now(), leave: Arc::clone(&leave), leaves: false };
        self.places().insert(number, place);
        Registration { registry: self.clone(), number, leave }
    }

    /// Has one connection give up its place: of those that never asked for anything the one that came first, otherwise the one whose last
    /// request is the longest ago; none that came or asked a moment ago. Whether one was found.
    #[must_use]
    pub fn evict_idle(&self, limits: &ConnectionLimits) -> bool {
        let mut places = self.places();
        let now = Instant::now();
        let is_quiet = |place: &ConnectionState| {
            let patience: Duration = if place.asked { limits.min_idle_used } else { limits.min_idle_unused };
            !place.leaves && now.duration_since(place.since) >= patience
        };
        let found = places.values_mut().filter(|place| is_quiet(place)).min_by_key(|place| (place.asked, place.since));
        let Some(place) = found else { return false };
        place.leaves = true;
        place.leave.notify_one();
        true
    }
}

impl Registration {
    /// A request of it was answered.
    pub fn served_request(&self) {
        if let Some(place) = self.registry.places().get_mut(&self.number) {
            (place.asked, place.since) = (true, Instant::now());
        }
    }

    /// Resolves when it is to give up its place.
    pub async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.places().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ConnectionLimits = ConnectionLimits {
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

    async fn is_taken(registration: &Registration) -> bool {
        tokio::select! {
            biased;
            () = registration.evicted() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_oldest_that_never_asked_goes_first_and_then_who_asked_the_longest_ago() {
        let registry = ConnectionRegistry::default();
        let [first, second, third] = [1, 2, 3].map(|number| registry.register(number));
        first.served_request();
        assert!(registry.evict_idle(&NOW) && registry.evict_idle(&NOW));
        assert!(is_taken(&second).await && is_taken(&third).await && !is_taken(&first).await);
        let fourth = registry.register(4);
        fourth.served_request();
        first.served_request();
        assert!(registry.evict_idle(&NOW) && is_taken(&fourth).await && !is_taken(&first).await);
        assert!(registry.evict_idle(&NOW) && is_taken(&first).await);
        assert!(!registry.evict_idle(&NOW), "all of them are about to go");
        drop((first, second, third, fourth));
        assert!(registry.places().is_empty());
    }

    #[tokio::test]
    async fn who_came_or_asked_a_moment_ago_stays() {
        let registry = ConnectionRegistry::default();
        let (new, busy) = (registry.register(1), registry.register(2));
        busy.served_request();
        let patient =
            ConnectionLimits { min_idle_unused: Duration::from_mins(1), min_idle_used: Duration::from_mins(1), ..NOW };
        assert!(!registry.evict_idle(&patient));
        assert!(
            registry.evict_idle(&ConnectionLimits { min_idle_unused: Duration::ZERO, ..patient })
                && is_taken(&new).await
        );
    }
}
