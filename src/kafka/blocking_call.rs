//! Calls into the client library on a thread of their own, so that every wait is bounded and a signal is obeyed meanwhile.
//!
//! The library's calls cannot be interrupted, and some outlive their own time-out: `rd_kafka_send_offsets_to_transaction`
//! can wait forever for a coordinator that is gone (librdkafka issues 5456 and 5511). A call that is not back in time is left
//! behind with its thread and the client that it holds; the caller must not use that client again.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::error::{Cause, Error};
use crate::clock::Deadline;

/// The longest wait between two looks at what else there is to do.
const SLICE: Duration = Duration::from_millis(20);

/// Runs a call on a thread and waits for it; `None` when it is not back within `bound`.
///
/// `meanwhile` is called every few moments.
///
/// # Errors
///
/// What `meanwhile` returned; the call is left behind then, too.
pub(super) fn with_check<T: Send + 'static, E: From<Error>>(
    bound: Duration,
    call: impl FnOnce() -> T + Send + 'static,
    mut meanwhile: impl FnMut() -> Result<(), E>,
) -> Result<Option<T>, E> {
    let (answered, answer) = mpsc::channel();
    std::thread::Builder::new()
        .name("call".to_owned())
        // Nothing is received any more when the call was left behind.
        .spawn(move || answered.send(call()).unwrap_or_default())
        .map_err(|_| Error::new(Cause::Broken("no thread can be started: the limit of processes is reached")))?;
    let deadline = Deadline::after(bound);
    loop {
        match answer.recv_timeout(SLICE.min(deadline.remaining())) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Cause::Broken("a call into the client library panicked")).into());
            }
            Err(RecvTimeoutError::Timeout) if deadline.has_passed() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => meanwhile()?,
        }
    }
}

/// As [`with_check`], where nothing else can end the wait.
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
    fn a_call_that_does_not_return_is_left_behind() {
        let (held, never) = mpsc::channel::<()>();
        let answer = with_timeout(Duration::from_millis(50), move || never.recv());
        assert!(answer.expect("no error").is_none());
        drop(held);
        assert_eq!(with_timeout(Duration::from_secs(10), || 7).expect("no error"), Some(7));
    }

    #[test]
    fn what_happens_meanwhile_ends_the_wait() {
        let (held, never) = mpsc::channel::<()>();
        let stop = || Err(Error::new(Cause::Broken("enough")));
        let error = with_check(Duration::from_mins(3), move || never.recv(), stop).expect_err("it was stopped");
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        drop(held);
    }
}
