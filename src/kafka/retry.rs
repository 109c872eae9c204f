//! Retries: sends a request again while its errors are retriable, with attempt timeouts that adapt to the cluster's
//! speed; and the deadline of a repeated call, extended once if the process was suspended (SIGSTOP, laptop sleep).

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

/// The first attempt timeout of a client without any response yet. It is short, so that a request to a dead broker is
/// soon sent to another one.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// How long a wait is not reported.
const QUIET: Duration = Duration::from_secs(1);

/// How long addresses that cannot be connected to are tried when the user set no timeout: the broker may be starting.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(4);

/// The pause before the next attempt after an immediate error.
const PAUSE: Duration = Duration::from_millis(20);

/// When a connection fault is checked first, and how often after that. A check may probe the port.
const FIRST_PROBE: Duration = Duration::from_millis(100);
const NEXT_PROBE: Duration = Duration::from_millis(500);

/// The extra time that an attempt gets after its timeout inside librdkafka, before it is abandoned.
const GRACE: Duration = Duration::from_millis(500);

/// The timeout of one attempt. librdkafka drops a late response, so the timeout doubles on a slow cluster, and returns
/// to twice the last response time.
#[derive(Debug)]
pub(super) struct AttemptTimeout(AtomicU64);

impl Default for AttemptTimeout {
    fn default() -> Self {
        Self::of(FIRST_ATTEMPT)
    }
}

impl AttemptTimeout {
    /// Starts with another first attempt timeout.
    pub fn of(first_attempt: Duration) -> Self {
        Self(AtomicU64::new(millis(first_attempt)))
    }

    /// The timeout of the next attempt.
    pub fn attempt(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn grow(&self) {
        self.0.store(millis(self.attempt() * 2), Ordering::Relaxed);
    }

    /// Adapts to a response time.
    pub fn answered_after(&self, duration: Duration) {
        self.0.store(millis(FIRST_ATTEMPT.max(duration * 2)), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request to send until it is answered.
pub(super) struct Request<'a> {
    /// The work, in the user's words.
    pub doing: &'a str,
    /// The permissions for it.
    pub needs: &'a [Permission],
    /// How long a missing topic counts as one that was just created.
    pub missing_for: Duration,
    /// The timeout of all attempts together.
    pub timeout: Duration,
}

/// The checks during the wait for a request.
struct WaitChecks {
    reported: bool,
    probe: Deadline,
}

/// Sends requests of one client.
pub(super) struct Retry<'a> {
    pub connection: &'a Connection,
    pub log: &'a ErrorLog,
    pub attempt_timeout: &'a AttemptTimeout,
    pub shutdown: &'a Shutdown,
    /// Polls the client's queues for errors.
    pub drain_events: &'a dyn Fn(),
}

impl Retry<'_> {
    /// Sends a request until it is answered, its error is not retriable, or its timeout has passed.
    ///
    /// `refresh` runs between two attempts when the leader or the coordinator may have moved.
    ///
    /// # Errors
    ///
    /// The last error, at the latest shortly after the timeout. Returns at once after a signal, when a permission is
    /// missing, or when the connection has a fault that no retry can fix.
    pub fn send<T, A>(&self, request: &Request<'_>, attempt: A, mut refresh: impl FnMut(Duration)) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(Duration) -> Result<T, KafkaError> + Clone + Send + 'static,
    {
        let Request { doing, needs, .. } = *request;
        let deadline = Deadline::after(request.timeout);
        let mut checks = WaitChecks { reported: false, probe: Deadline::after(FIRST_PROBE) };
        loop {
            let bound = deadline.remaining().min(self.attempt_timeout.attempt()).max(Duration::from_millis(1));
            let started = clock::now();
            let answer = {
                let attempt = attempt.clone();
                blocking_call::with_check(
                    bound + GRACE,
                    move || attempt(bound),
                    || self.check_wait(request, &deadline, &mut checks),
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
            self.check_wait(request, &deadline, &mut checks)?;
            let kind = error::kind(&error);
            let retriable =
                kind.is_retriable() || kind == ErrorKind::Missing && deadline.elapsed() < request.missing_for;
            if !retriable || deadline.has_passed() {
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

    /// Returns the errors that end the wait early, and reports a long wait.
    fn check_wait(&self, request: &Request<'_>, deadline: &Deadline, checks: &mut WaitChecks) -> Result<(), Error> {
        Error::check(self.shutdown)?;
        (self.drain_events)();
        if let Some((code, message)) = self.log.authorization_error(request.needs) {
            return Err(error::of_code(code, &message, request.doing, request.needs, self.log));
        }
        let probes = checks.probe.has_passed();
        if probes {
            checks.probe = Deadline::after(NEXT_PROBE);
        }
        if probes && let Some(fault) = self.log.confirmed_fault() {
            return Err(Error::new(Cause::Connection(fault)).context(request.doing).of(&self.log.connection));
        }
        let faults = self.log.unreachable_addresses();
        if let Some(faults) = &faults
            && !self.connection.timeout_is_explicit
            && deadline.elapsed() >= UNREACHABLE_LIMIT
        {
            return Err(Error::new(Cause::NoAddress(faults.clone())).context(request.doing).of(&self.log.connection));
        }
        if !checks.reported && deadline.elapsed() >= QUIET && deadline.remaining() >= QUIET / 2 {
            checks.reported = true;
            let reason = faults.map(|faults| connection_fault::describe_all(&faults)).or_else(|| self.log.last());
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            self.connection.log_wait(&format!("still {}{reason}", request.doing));
        }
        Ok(())
    }
}

/// The extra time, once, for a call whose process was suspended: the broker's response may be waiting.
const SUSPENSION_GRACE: Duration = Duration::from_secs(2);

/// How much later than its timeout a call returns if the process was suspended in it.
const SUSPENSION_THRESHOLD: Duration = Duration::from_millis(500);

/// The deadline for a call and its repetitions.
///
/// A process that is suspended during a call resumes after the deadline, with the response waiting; then the call is
/// repeated once more.
pub(super) struct CallDeadline {
    bound: Duration,
    deadline: Deadline,
    extended: bool,
}

impl CallDeadline {
    pub fn new(timeout: Duration) -> Self {
        Self { bound: timeout, deadline: Deadline::after(timeout), extended: false }
    }

    pub fn bound(&self) -> Duration {
        self.deadline.remaining().max(if self.extended { SUSPENSION_GRACE } else { Duration::from_millis(1) })
    }

    /// Whether the call may be repeated.
    pub fn may_retry(&mut self) -> bool {
        let was_suspended = self.deadline.elapsed() > self.bound + SUSPENSION_THRESHOLD;
        !self.deadline.has_passed() || was_suspended && !std::mem::replace(&mut self.extended, true)
    }
}
