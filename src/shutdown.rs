//! Owns the wish to stop: the first signal asks, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{self, Deadline};
use crate::exit::{self, Code, Failure};

/// Which signal asked the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM, as service managers send it.
    Terminate,
}

impl Signal {
    /// The exit code of a command that was stopped before its goal.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Interrupt => Code::Interrupted,
            Self::Terminate => Code::Terminated,
        }
    }

    /// The failure of work that is abandoned because of it.
    #[must_use]
    pub fn failure(self) -> Failure {
        Failure::new(self.code(), "stopped before it was done")
    }
}

/// A handle that every long-running part looks at; cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    mark: AtomicU8,
    asked: Notify,
}

impl Shutdown {
    /// The signal that asked to stop, if one did.
    #[must_use]
    pub fn requested(&self) -> Option<Signal> {
        match self.0.mark.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Signal::Interrupt),
            _ => Some(Signal::Terminate),
        }
    }

    /// Tells of a signal. The first is remembered and `true` is returned; a later one returns `false`: the caller insists.
    #[must_use]
    pub fn request(&self, signal: Signal) -> bool {
        let mark = match signal {
            Signal::Interrupt => 1,
            Signal::Terminate => 2,
        };
        let first = self.0.mark.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.0.asked.notify_waiters();
        first
    }

    /// Resolves once a stop was asked for.
    pub async fn asked(&self) -> Signal {
        loop {
            // Made before the look: a signal between look and wait is not missed.
            let asked = self.0.asked.notified();
            if let Some(signal) = self.requested() {
                return signal;
            }
            asked.await;
        }
    }

    /// An error once a stop was asked for: for work that is abandoned rather than finished.
    ///
    /// # Errors
    ///
    /// With the signal's exit code when a stop was asked for.
    pub fn check(&self) -> Result<(), Failure> {
        self.requested().map_or(Ok(()), |signal| Err(signal.failure()))
    }

    /// Pauses for a while, at most until a stop is asked for.
    pub fn pause(&self, duration: Duration) {
        let deadline = Deadline::after(duration);
        while !deadline.has_passed() && self.requested().is_none() {
            clock::pause(deadline.remaining().min(Duration::from_millis(20)));
        }
    }

    /// Listens for SIGINT and SIGTERM on the current tokio runtime, until the process ends.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the handlers.
    pub fn listen(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [(SignalKind::interrupt(), Signal::Interrupt), (SignalKind::terminate(), Signal::Terminate)];
        for (kind, meaning) in kinds {
            let mut signals = signal(kind)?;
            let shutdown = self.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if !shutdown.request(meaning) {
                        exit::abandon(meaning.code());
                    }
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_asks_and_the_second_insists() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.requested(), None);
        assert!(shutdown.check().is_ok());
        assert!(shutdown.request(Signal::Terminate));
        assert!(!shutdown.request(Signal::Interrupt));
        assert_eq!(shutdown.requested(), Some(Signal::Terminate));
        assert_eq!(shutdown.check().expect_err("asked to stop").code, Code::Terminated);
    }

    #[tokio::test]
    async fn a_wait_for_the_wish_ends_with_it_and_at_once_after_it() {
        let shutdown = Shutdown::default();
        let (signal, first) = tokio::join!(shutdown.asked(), async { shutdown.request(Signal::Interrupt) });
        assert!(first);
        assert_eq!(signal, Signal::Interrupt);
        assert_eq!(shutdown.asked().await, Signal::Interrupt);
    }
}
