//! Requests that are sent again while their errors pass, each attempt longer than the last one that was not answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::acl::Permission;
use super::client_context::ErrorLog;
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::error_codes::ErrorKind;
use super::{blocking_call, connection_fault};
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// The first attempt of a client that has no answer yet. Short enough that a request to a broker that is gone is soon sent
/// to another one.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// How long nothing is said about a wait.
const SILENCE: Duration = Duration::from_secs(1);

/// How long an address that cannot be connected to is tried, where the user did not say how long to wait: it may be a broker
/// that is just being started.
const NOBODY_THERE: Duration = Duration::from_secs(4);

/// The pause before the next attempt after an error that came at once.
const PAUSE: Duration = Duration::from_millis(20);

/// When a fault of the connection is looked at for the first time, and again: a probe of its port may be needed for that.
const FIRST_PROBE: Duration = Duration::from_millis(100);
const NEXT_PROBE: Duration = Duration::from_millis(500);

/// What an attempt gets beyond the library's own time-out before it is left behind.
const GRACE: Duration = Duration::from_millis(500);

/// How long an attempt may take. A late answer is thrown away by the library, so attempts grow on a slow broker, and shrink
/// again to twice what the last answer took.
#[derive(Debug)]
pub(super) struct AttemptTimeout(AtomicU64);

impl Default for AttemptTimeout {
    fn default() -> Self {
        Self::of(FIRST_ATTEMPT)
    }
}

impl AttemptTimeout {
    /// Begins with another first attempt than requests have.
    pub fn of(first_attempt: Duration) -> Self {
        Self(AtomicU64::new(millis(first_attempt)))
    }

    /// How long the next attempt may take.
    pub fn attempt(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn grow(&self) {
        self.0.store(millis(self.attempt() * 2), Ordering::Relaxed);
    }

    /// Takes what an answer took.
    pub fn answered_after(&self, duration: Duration) {
        self.0.store(millis(FIRST_ATTEMPT.max(duration * 2)), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request to be sent until it is answered.
pub(super) struct Request<'a> {
    /// The work, in the user's words.
    pub doing: &'a str,
    /// The permissions that it needs.
    pub needs: &'a [Permission],
    /// How long what is missing may be something that was just made.
    pub missing_for: Duration,
    /// The bound of all attempts together.
    pub timeout: Duration,
}

/// What was done beside a request.
struct Looked {
    told: bool,
    probe: Deadline,
}

/// Where a client's requests are sent from.
pub(super) struct Retry<'a> {
    pub connection: &'a Connection,
    pub log: &'a ErrorLog,
    pub attempt_timeout: &'a AttemptTimeout,
    pub shutdown: &'a Shutdown,
    /// Brings in what the client heard meanwhile.
    pub listen: &'a dyn Fn(),
}

impl Retry<'_> {
    /// Sends a request until it is answered, until its error does not pass, or until its timeout.
    ///
    /// `refresh` is called between two attempts when the leader or the coordinator may have moved.
    ///
    /// # Errors
    ///
    /// The last error, at the latest a moment after the timeout; at once when a stop was asked for, when a permission is
    /// missing, or when the connection cannot come about.
    pub fn send<T, A>(&self, request: &Request<'_>, attempt: A, mut refresh: impl FnMut(Duration)) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(Duration) -> Result<T, KafkaError> + Clone + Send + 'static,
    {
        let Request { doing, needs, .. } = *request;
        let deadline = Deadline::after(request.timeout);
        let mut looked = Looked { told: false, probe: Deadline::after(FIRST_PROBE) };
        loop {
            let bound = deadline.remaining().min(self.attempt_timeout.attempt()).max(Duration::from_millis(1));
            let started = clock::now();
            let answer = {
                let attempt = attempt.clone();
                blocking_call::with_check(
                    bound + GRACE,
                    move || attempt(bound),
                    || self.look(request, &deadline, &mut looked),
                )?
            };
            let error = match answer {
                Some(Ok(value)) => {
                    self.connection.mark_worked();
                    self.attempt_timeout.answered_after(started.elapsed());
                    return Ok(value);
                }
                Some(Err(error)) => error,
                None => KafkaError::AdminOp(Rd::OperationTimedOut),
            };
            self.look(request, &deadline, &mut looked)?;
            let kind = error::kind(&error);
            let passes = kind.is_retriable() || kind == ErrorKind::Missing && deadline.elapsed() < request.missing_for;
            if !passes || deadline.has_passed() {
                return Err(error::of_call(&error, doing, needs, self.log));
            }
            if started.elapsed() >= bound {
                self.attempt_timeout.grow();
            }
            if kind != ErrorKind::Transient {
                refresh(deadline.remaining().min(FIRST_ATTEMPT));
            }
            if started.elapsed() < PAUSE {
                self.shutdown.pause(PAUSE.min(deadline.remaining()));
            }
        }
    }

    /// What ends a wait before its time, and the line that says what is waited for.
    fn look(&self, request: &Request<'_>, deadline: &Deadline, looked: &mut Looked) -> Result<(), Error> {
        Error::check(self.shutdown)?;
        (self.listen)();
        if let Some((code, words)) = self.log.authorization_error(request.needs) {
            return Err(error::of_code(code, &words, request.doing, request.needs, self.log));
        }
        let probes = looked.probe.has_passed();
        if probes {
            looked.probe = Deadline::after(NEXT_PROBE);
        }
        if probes && let Some(fault) = self.log.confirmed_fault() {
            return Err(Error::new(Cause::Connection(fault)).context(request.doing).of(&self.log.connection));
        }
        let faults = self.log.unreachable_addresses();
        if let Some(faults) = &faults
            && !self.connection.timeout_is_explicit
            && deadline.elapsed() >= NOBODY_THERE
        {
            return Err(Error::new(Cause::NoAddress(faults.clone())).context(request.doing).of(&self.log.connection));
        }
        if !looked.told && deadline.elapsed() >= SILENCE && deadline.remaining() >= SILENCE / 2 {
            looked.told = true;
            let reason = faults.map(|faults| connection_fault::describe_all(&faults)).or_else(|| self.log.last());
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            self.connection.log_wait(&format!("still {}{reason}", request.doing));
        }
        Ok(())
    }
}
