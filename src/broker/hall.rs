//! Owns the one lock: the core behind it, the answers that are waited for, and the timer that makes time pass for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::answer::{Answer, Deferred, Ticket};
use super::bounds::{Bounds, Budget};
use super::clock::Clock;
use super::core::Core;
use super::faults::Faults;
use super::notice::Notice;

/// Hears what the broker has to tell beside its answers.
pub type Listener = Arc<dyn Fn(&Notice) + Send + Sync>;

/// The longest that the timer sleeps: a wall clock that is set forward is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What all connections share.
pub struct Hall {
    room: Mutex<Room>,
    /// The broker's time.
    pub clock: Clock,
    /// What is done to which request.
    pub faults: Faults,
    /// What connections may ask of the broker.
    pub bounds: Bounds,
    /// Room for long requests.
    pub requests: Budget,
    /// Room for records and long answers.
    pub answers: Budget,
    listener: Listener,
    rouse: Notify,
}

struct Room {
    core: Core,
    waiting: HashMap<Ticket, oneshot::Sender<Deferred>>,
}

/// What a call to the core came to.
pub enum Called<T> {
    /// The answer.
    Now(T),
    /// The answer is to come.
    Later(oneshot::Receiver<Deferred>),
}

impl Hall {
    /// Puts a core behind its lock.
    #[must_use]
    pub fn new(core: Core, clock: Clock, faults: Faults, listener: Listener, bounds: Bounds) -> Self {
        let room = Mutex::new(Room { core, waiting: HashMap::new() });
        let (requests, answers) = (Budget::new(bounds.requests), Budget::new(bounds.answers));
        Self { room, clock, faults, bounds, requests, answers, listener, rouse: Notify::new() }
    }

    fn enter(&self) -> MutexGuard<'_, Room> {
        // A panic under the lock is a defect in one request; the others go on with what is journalled.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the core something whose answer may have to wait.
    pub fn ask<T>(&self, question: impl FnOnce(&mut Core, i64) -> Answer<T>) -> Called<T> {
        let mut room = self.enter();
        // The time is taken under the lock, so that it never goes backwards from one request to the next.
        let called = match question(&mut room.core, self.clock.now()) {
            Answer::Now(answer) => Called::Now(answer),
            Answer::Later(ticket) => {
                let (sender, receiver) = oneshot::channel();
                room.waiting.insert(ticket, sender);
                Called::Later(receiver)
            }
        };
        self.hand_out(room);
        called
    }

    /// Tells the core something, or asks what it can answer at once.
    pub fn tell<T>(&self, statement: impl FnOnce(&mut Core, i64) -> T) -> T {
        let mut room = self.enter();
        let answer = statement(&mut room.core, self.clock.now());
        self.hand_out(room);
        answer
    }

    /// Gives what has become ready to those who wait for it, and tells what there is to tell.
    fn hand_out(&self, mut room: MutexGuard<'_, Room>) {
        let notices = room.core.take_notices();
        for (ticket, deferred) in room.core.take_ready() {
            // Whoever waited may be gone with the connection; then nobody misses the answer.
            room.waiting.remove(&ticket).and_then(|sender| sender.send(deferred).ok());
        }
        drop(room);
        for notice in &notices {
            (self.listener)(notice);
        }
    }

    /// Passes a notice on that is not the core's.
    pub fn notice(&self, notice: &Notice) {
        (self.listener)(notice);
    }

    /// How many requests wait for their answer.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.enter().waiting.len()
    }

    /// Something may have become due earlier than the timer knows.
    pub fn rouse(&self) {
        self.rouse.notify_one();
    }

    /// Makes time pass for the core, for ever.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            let (now, next, compaction) = self.tell(|core, now| (now, core.tick(now), core.take_compaction(now)));
            if let Some(job) = compaction {
                let hall = Arc::clone(&self);
                // The end of it is due work again, and may be followed by the next one.
                tokio::task::spawn_blocking(move || {
                    let result = job.run();
                    // Giving back what was replaced takes a file system its time, too.
                    drop(hall.tell(|core, _| core.finish_compaction(result)));
                    hall.rouse();
                });
            }
            let until_due = next.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(u64::try_from(due - now).unwrap_or(0)).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = tokio::time::sleep(until_due) => {}
                () = self.rouse.notified() => {}
                () = self.clock.advanced() => {}
            }
        }
    }
}
