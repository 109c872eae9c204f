//! Owns the one lock: the core behind it, the answers that are waited for, and the timer that makes time pass for it.

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

/// Hears what the broker has to tell beside its answers.
pub type NoticeListener = Arc<dyn Fn(&BrokerEvent) + Send + Sync>;

/// The longest that the timer sleeps: a wall clock that is set forward is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What all connections share.
pub struct SharedCore {
    locked: Mutex<Locked>,
    /// The broker's time.
    pub clock: Clock,
    /// What is done to which request.
    pub faults: Faults,
    /// What connections may ask of the broker.
    pub limits: ConnectionLimits,
    /// Locked for long requests.
    pub request_budget: MemoryBudget,
    /// Locked for records and long answers.
    pub response_budget: MemoryBudget,
    listener: NoticeListener,
    timer_wakeup: Notify,
}

struct Locked {
    core: Core,
    waiting: HashMap<Ticket, oneshot::Sender<DeferredResponse>>,
}

/// What a call to the core came to.
pub enum CallResult<T> {
    /// The answer.
    Now(T),
    /// The answer is to come.
    Later(oneshot::Receiver<DeferredResponse>),
}

impl SharedCore {
    /// Puts a core behind its lock.
    #[must_use]
    pub fn new(core: Core, clock: Clock, faults: Faults, listener: NoticeListener, limits: ConnectionLimits) -> Self {
        let locked = Mutex::new(Locked { core, waiting: HashMap::new() });
        let (request_budget, response_budget) =
            (MemoryBudget::new(limits.request_memory), MemoryBudget::new(limits.response_memory));
        Self { locked, clock, faults, limits, request_budget, response_budget, listener, timer_wakeup: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // A panic under the lock is a defect in one request; the others go on with what is journalled.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the core something whose answer may have to wait.
    pub fn call_or_wait<T>(&self, request: impl FnOnce(&mut Core, i64) -> MaybeDeferred<T>) -> CallResult<T> {
        let mut locked = self.lock();
        // The time is taken under the lock, so that it never goes backwards from one request to the next.
        let called = match request(&mut locked.core, self.clock.now()) {
            MaybeDeferred::Now(answer) => CallResult::Now(answer),
            MaybeDeferred::Later(ticket) => {
                let (sender, receiver) = oneshot::channel();
                locked.waiting.insert(ticket, sender);
                CallResult::Later(receiver)
            }
        };
        self.deliver_ready(locked);
        called
    }

    /// Tells the core something, or asks what it can answer at once.
    pub fn call<T>(&self, request: impl FnOnce(&mut Core, i64) -> T) -> T {
        let mut locked = self.lock();
        let answer = request(&mut locked.core, self.clock.now());
        self.deliver_ready(locked);
        answer
    }

    /// Gives what has become ready to those who wait for it, and tells what there is to tell.
    fn deliver_ready(&self, mut locked: MutexGuard<'_, Locked>) {
        let events = locked.core.take_events();
        for (ticket, deferred) in locked.core.take_ready() {
            // Whoever waited may be gone with the connection; then nobody misses the answer.
            locked.waiting.remove(&ticket).and_then(|sender| sender.send(deferred).ok());
        }
        drop(locked);
        for event in &events {
            (self.listener)(event);
        }
    }

    /// Passes a notice on that is not the core's.
    pub fn notify(&self, event: &BrokerEvent) {
        (self.listener)(event);
    }

    /// How many requests wait for their answer.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Something may have become due earlier than the timer knows.
    pub fn wake_timer(&self) {
        self.timer_wakeup.notify_one();
    }

    /// Makes time pass for the core, for ever.
    pub async fn run_timer(self: Arc<Self>) {
        loop {
            let (now, next, compaction) = self.call(|core, now| (now, core.tick(now), core.take_compaction(now)));
            if let Some(job) = compaction {
                let shared = Arc::clone(&self);
                // The end of it is due work again, and may be followed by the next one.
                tokio::task::spawn_blocking(move || {
                    let result = job.run();
                    // Giving back what was replaced takes a file system its time, too.
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
