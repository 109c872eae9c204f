//! Owns the last bound: calls into the client library that are known to outlive their own time-out.
//!
//! `rd_kafka_send_offsets_to_transaction` can wait for ever for a coordinator that is gone (librdkafka issues 5456 and
//! 5511). Nothing can interrupt such a call, so the process ends: whatever transaction was open is aborted by the broker.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::Deadline;
use crate::exit::{self, Code};

struct Watch {
    guarded: Mutex<Option<(Deadline, &'static str)>>,
    changed: Condvar,
}

static WATCH: OnceLock<&'static Watch> = OnceLock::new();

/// Runs a call that must be back within `bound`; ends the process with exit code 4 when it is not.
///
/// One call at a time is guarded: the transactional loop makes one at a time.
pub fn guarded<T>(what: &'static str, bound: Duration, call: impl FnOnce() -> T) -> T {
    let watch = WATCH.get_or_init(start);
    *watch.guarded.lock().unwrap_or_else(PoisonError::into_inner) = Some((Deadline::after(bound), what));
    let result = call();
    *watch.guarded.lock().unwrap_or_else(PoisonError::into_inner) = None;
    result
}

fn start() -> &'static Watch {
    let watch: &'static Watch = Box::leak(Box::new(Watch { guarded: Mutex::new(None), changed: Condvar::new() }));
    // The thread is only a bound on the process: without it the calls work as they do in other programs.
    drop(std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let mut guarded = watch.guarded.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((deadline, what)) = &*guarded
                && deadline.has_passed()
            {
                crate::console::last_words(&format!("{what} did not return within its bound: the coordinator is gone"));
                exit::abandon(Code::Unreachable);
            }
            // Woken a few times a second, not per call: a call costs two uncontended locks.
            guarded = watch
                .changed
                .wait_timeout(guarded, Duration::from_millis(250))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }));
    watch
}
