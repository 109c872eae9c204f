//! Blocking librdkafka calls on their own thread, with a timeout, so that a signal can end the wait.
//!
//! The calls cannot be interrupted, and some outlive their timeout: `rd_kafka_send_offsets_to_transaction` can wait
//! forever for a coordinator that left the cluster (librdkafka issues 5456 and 5511). A call that does not return in
//! time is abandoned together with its thread and its client; the caller must not use that client again.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::error::{Cause, Error};
use crate::clock::Deadline;

/// The interval between two checks.
const SLICE: Duration = Duration::from_millis(20);

/// Runs a call on a thread and waits for it; `None` when it has not returned within `bound`. Calls `check` every few
/// milliseconds.
///
/// # Errors
///
/// The error of `check`; the call is abandoned then, too.
pub(super) fn with_check<T: Send + 'static, E: From<Error>>(
    bound: Duration,
    call: impl FnOnce() -> T + Send + 'static,
    mut check: impl FnMut() -> Result<(), E>,
) -> Result<Option<T>, E> {
    let (answered, answer) = mpsc::channel();
    std::thread::Builder::new()
        .name("call".to_owned())
        // Nothing receives the result of an abandoned call.
        .spawn(move || answered.send(call()).unwrap_or_default())
        .map_err(|_| Error::new(Cause::Broken("no thread could be started: the process limit is reached")))?;
    let deadline = Deadline::after(bound);
    loop {
        match answer.recv_timeout(SLICE.min(deadline.remaining())) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Cause::Broken("a call into librdkafka panicked")).into());
            }
            Err(RecvTimeoutError::Timeout) if deadline.has_passed() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => check()?,
        }
    }
}

/// As [`with_check`], without a check.
///
/// # Errors
///
/// When no thread can be started.
pub(super) fn with_timeout<T: Send + 'static>(
    bound: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, Error> {
    with_check(bound, call, || Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ErrorKind;

    #[test]
    fn abandons_a_call_that_does_not_return() {
        let (held, never) = mpsc::channel::<()>();
        let answer = with_timeout(Duration::from_millis(50), move || never.recv());
        assert!(answer.expect("no error").is_none());
        drop(held);
        assert_eq!(with_timeout(Duration::from_secs(10), || 7).expect("no error"), Some(7));
    }

    #[test]
    fn a_failed_check_ends_the_wait() {
        let (held, never) = mpsc::channel::<()>();
        let stop = || Err(Error::new(Cause::Broken("enough")));
        let error = with_check(Duration::from_mins(3), move || never.recv(), stop).expect_err("it was stopped");
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        drop(held);
    }
}
