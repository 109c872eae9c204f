//! The core behind its lock, the senders of deferred responses, and the timer that drives `Core::tick`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::connection_limits::{ConnectionLimits, MemoryBudget};
use super::core::Core;
use super::events::BrokerEvent;
use super::faults::Faults;
use super::response::{DeferredResponse, MaybeDeferred, Ticket};

/// Receives the broker's events.
pub type EventListener = Arc<dyn Fn(&BrokerEvent) + Send + Sync>;

/// The longest sleep of the timer. It bounds how late a wall clock that is set forward is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The state that all connections share.
pub struct SharedCore {
    locked: Mutex<Locked>,
    pub clock: Clock,
    pub faults: Faults,
    pub limits: ConnectionLimits,
    /// Memory for long requests.
    pub request_budget: MemoryBudget,
    /// Memory for records and long responses.
    pub response_budget: MemoryBudget,
    listener: EventListener,
    timer_wakeup: Notify,
}

struct Locked {
    core: Core,
    waiting: HashMap<Ticket, oneshot::Sender<DeferredResponse>>,
}

pub enum CallResult<T> {
    Now(T),
    Later(oneshot::Receiver<DeferredResponse>),
}

impl SharedCore {
    #[must_use]
    pub fn new(core: Core, clock: Clock, faults: Faults, listener: EventListener, limits: ConnectionLimits) -> Self {
        let locked = Mutex::new(Locked { core, waiting: HashMap::new() });
        let (request_budget, response_budget) =
            (MemoryBudget::new(limits.request_memory), MemoryBudget::new(limits.response_memory));
        Self { locked, clock, faults, limits, request_budget, response_budget, listener, timer_wakeup: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // A panic under the lock is a defect in one request. The others continue with the journaled state.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the core with a request whose response may be deferred.
    pub fn call_or_wait<T>(&self, request: impl FnOnce(&mut Core, i64) -> MaybeDeferred<T>) -> CallResult<T> {
        let mut locked = self.lock();
        // Read the clock under the lock, so that time never goes backwards from one request to the next.
        let result = match request(&mut locked.core, self.clock.now()) {
            MaybeDeferred::Now(response) => CallResult::Now(response),
            MaybeDeferred::Later(ticket) => {
                let (sender, receiver) = oneshot::channel();
                locked.waiting.insert(ticket, sender);
                CallResult::Later(receiver)
            }
        };
        self.deliver_ready(locked);
        result
    }

    /// Calls the core with a request whose response is never deferred.
    pub fn call<T>(&self, request: impl FnOnce(&mut Core, i64) -> T) -> T {
        let mut locked = self.lock();
        let result = request(&mut locked.core, self.clock.now());
        self.deliver_ready(locked);
        result
    }

    /// Sends the deferred responses that are ready, unlocks the core, then passes its events on.
    fn deliver_ready(&self, mut locked: MutexGuard<'_, Locked>) {
        let events = locked.core.take_events();
        for (ticket, deferred) in locked.core.take_ready() {
            // The receiver is dropped if its connection was closed.
            locked.waiting.remove(&ticket).and_then(|sender| sender.send(deferred).ok());
        }
        drop(locked);
        for event in &events {
            (self.listener)(event);
        }
    }

    /// Passes on an event that does not come from the core.
    pub fn notify(&self, event: &BrokerEvent) {
        (self.listener)(event);
    }

    /// The number of requests with a deferred response.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Wakes the timer, because a request may have scheduled something earlier than the timer's next deadline.
    pub fn wake_timer(&self) {
        self.timer_wakeup.notify_one();
    }

    /// Ticks the core whenever something is due, and runs compactions outside the lock. Never returns.
    pub async fn run_timer(self: Arc<Self>) {
        loop {
            let (now, next, compaction) = self.call(|core, now| (now, core.tick(now), core.take_compaction(now)));
            if let Some(job) = compaction {
                let shared = Arc::clone(&self);
                // Wake the timer afterwards: the next compaction may be due.
                tokio::task::spawn_blocking(move || {
                    let result = job.run();
                    // Drop the result outside the lock: deleting the replaced segments takes time.
                    drop(shared.call(|core, _| core.finish_compaction(result)));
                    shared.wake_timer();
                });
            }
            let until_due = next.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(u64::try_from(due - now).unwrap_or(0)).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = tokio::time::sleep(until_due) => {}
                () = self.timer_wakeup.notified() => {}
                () = self.clock.advanced() => {}
            }
        }
    }
}
