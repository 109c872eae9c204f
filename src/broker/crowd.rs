//! Owns who is connected, and who gives up its place when there is none left: whoever has said nothing for the longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::bounds::Bounds;

/// Everybody who is connected.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<HashMap<u64, Place>>>);

/// What is known of a connection.
#[derive(Debug, Clone)]
struct Place {
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
pub struct Seat {
    crowd: Crowd,
    /// Of the connection.
    pub number: u64,
    leave: Arc<Notify>,
}

impl Crowd {
    fn places(&self) -> MutexGuard<'_, HashMap<u64, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection its place.
    #[must_use]
    pub fn seat(&self, number: u64) -> Seat {
        let leave = Arc::new(Notify::new());
        let place = Place { asked: false, since: Instant::now(), leave: Arc::clone(&leave), leaves: false };
        self.places().insert(number, place);
        Seat { crowd: self.clone(), number, leave }
    }

    /// Has one connection give up its place: of those that never asked for anything the one that came first, otherwise the one whose last
    /// request is the longest ago; none that came or asked a moment ago. Whether one was found.
    #[must_use]
    pub fn make_room(&self, bounds: &Bounds) -> bool {
        let mut places = self.places();
        let now = Instant::now();
        let is_quiet = |place: &Place| {
            let patience: Duration = if place.asked { bounds.quiet } else { bounds.silence };
            !place.leaves && now.duration_since(place.since) >= patience
        };
        let found = places.values_mut().filter(|place| is_quiet(place)).min_by_key(|place| (place.asked, place.since));
        let Some(place) = found else { return false };
        place.leaves = true;
        place.leave.notify_one();
        true
    }
}

impl Seat {
    /// A request of it was answered.
    pub fn has_asked(&self) {
        if let Some(place) = self.crowd.places().get_mut(&self.number) {
            (place.asked, place.since) = (true, Instant::now());
        }
    }

    /// Resolves when it is to give up its place.
    pub async fn is_taken(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.places().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Bounds = Bounds {
        connections: 3,
        first_request: Duration::MAX,
        request: Duration::MAX,
        stall: Duration::MAX,
        answer: Duration::MAX,
        whole_answer: Duration::MAX,
        room: Duration::MAX,
        silence: Duration::ZERO,
        quiet: Duration::ZERO,
        requests: 0,
        answers: 0,
    };

    async fn is_taken(seat: &Seat) -> bool {
        tokio::select! {
            biased;
            () = seat.is_taken() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_oldest_that_never_asked_goes_first_and_then_who_asked_the_longest_ago() {
        let crowd = Crowd::default();
        let [first, second, third] = [1, 2, 3].map(|number| crowd.seat(number));
        first.has_asked();
        assert!(crowd.make_room(&NOW) && crowd.make_room(&NOW));
        assert!(is_taken(&second).await && is_taken(&third).await && !is_taken(&first).await);
        let fourth = crowd.seat(4);
        fourth.has_asked();
        first.has_asked();
        assert!(crowd.make_room(&NOW) && is_taken(&fourth).await && !is_taken(&first).await);
        assert!(crowd.make_room(&NOW) && is_taken(&first).await);
        assert!(!crowd.make_room(&NOW), "all of them are about to go");
        drop((first, second, third, fourth));
        assert!(crowd.places().is_empty());
    }

    #[tokio::test]
    async fn who_came_or_asked_a_moment_ago_stays() {
        let crowd = Crowd::default();
        let (new, busy) = (crowd.seat(1), crowd.seat(2));
        busy.has_asked();
        let patient = Bounds { silence: Duration::from_mins(1), quiet: Duration::from_mins(1), ..NOW };
        assert!(!crowd.make_room(&patient));
        assert!(crowd.make_room(&Bounds { silence: Duration::ZERO, ..patient }) && is_taken(&new).await);
    }
}
