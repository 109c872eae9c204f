//! Owns the wish to stop: the first signal asks, the second ends the process at once.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use std::{fs, io};

use tokio::signal::unix::{SignalKind, signal};
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
    /// SIGHUP, as a terminal sends it that is closed.
    HangUp,
}

/// What SIGHUP does to a process.
///
/// A process that was started with SIGHUP ignored, as by `nohup`, goes on ignoring it in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHangUp {
    /// It stops, as by SIGTERM.
    Stop,
    /// Nothing.
    Ignore,
}

impl Signal {
    /// The exit code of a command that was stopped before its goal.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Interrupt => Code::Interrupted,
            Self::Terminate => Code::Terminated,
            Self::HangUp => Code::HungUp,
        }
    }

    /// The failure of work that is abandoned because of it.
    #[must_use]
    pub fn failure(self) -> Failure {
        Failure::new(self.code(), "stopped before it was done")
    }

    /// Whether a second signal of this kind ends the process at once.
    ///
    /// SIGHUP never does. Closing a terminal sends two of them, one from the kernel and one from the shell, and a service
    /// manager may send one right after its SIGTERM: neither asks for a hurry.
    const fn forces_exit(self) -> bool {
        !matches!(self, Self::HangUp)
    }
}

/// A handle that every long-running part looks at; cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<StopRequest>);

#[derive(Debug, Default)]
struct StopRequest {
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
            2 => Some(Signal::Terminate),
            _ => Some(Signal::HangUp),
        }
    }

    /// Tells of a signal. The first is remembered and `true` is returned; a later one returns `false`.
    #[must_use]
    pub fn request(&self, signal: Signal) -> bool {
        let mark = match signal {
            Signal::Interrupt => 1,
            Signal::Terminate => 2,
            Signal::HangUp => 3,
        };
        let first = self.0.mark.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.0.asked.notify_waiters();
        first
    }

    /// Resolves once a stop was asked for.
    pub async fn wait(&self) -> Signal {
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

    /// Listens for SIGINT, SIGTERM and SIGHUP on the current tokio runtime, until the process ends.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the handlers.
    pub fn listen(&self, on_hang_up: OnHangUp) -> io::Result<()> {
        self.on(SignalKind::interrupt(), Some(Signal::Interrupt))?;
        self.on(SignalKind::terminate(), Some(Signal::Terminate))?;
        // A file that reaches the limit of its size is as a full disk: the write fails, and is told.
        self.on(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()), None)?;
        // Asked before the handler is installed: afterwards the inherited disposition is gone.
        if !hang_up_is_ignored() {
            self.on(SignalKind::hangup(), (on_hang_up == OnHangUp::Stop).then_some(Signal::HangUp))?;
        }
        Ok(())
    }

    /// Catches one kind of signal. One without a meaning is caught all the same: its default would end the process.
    fn on(&self, kind: SignalKind, meaning: Option<Signal>) -> io::Result<()> {
        let mut signals = signal(kind)?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let Some(meaning) = meaning else { continue };
                if !shutdown.request(meaning) && meaning.forces_exit() {
                    exit::exit_now(meaning.code());
                }
            }
        });
        Ok(())
    }
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does; a handler would undo that.
fn hang_up_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").ok();
    status.as_deref().and_then(ignored_by_status).unwrap_or_else(child_ignores_hang_up)
}

/// What Linux says about it: a mask of the ignored signals, in which SIGHUP is the lowest bit.
fn ignored_by_status(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok().map(|mask| mask & 1 == 1)
}

/// On other systems, asks a child, which inherits what is ignored: one that survives its own SIGHUP ignores it. To ask
/// the system itself takes unsafe code.
fn child_ignores_hang_up() -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
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

    #[test]
    fn a_hang_up_is_remembered_and_never_insists() {
        let shutdown = Shutdown::default();
        assert!(shutdown.request(Signal::HangUp));
        assert_eq!(shutdown.check().expect_err("asked to stop").code, Code::HungUp);
        assert!(Signal::Interrupt.forces_exit() && Signal::Terminate.forces_exit() && !Signal::HangUp.forces_exit());
    }

    #[test]
    fn linux_says_which_signals_are_ignored() {
        let status = |mask: &str| ignored_by_status(&format!("Name:\tx\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n"));
        assert_eq!(status("0000000000001000"), Some(false));
        assert_eq!(status("0000000000001001"), Some(true));
        assert_eq!(status("?"), None);
        assert_eq!(ignored_by_status("no such line"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_says_the_same_as_linux() {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        assert_eq!(Some(child_ignores_hang_up()), ignored_by_status(&status));
    }

    #[tokio::test]
    async fn a_wait_for_the_wish_ends_with_it_and_at_once_after_it() {
        let shutdown = Shutdown::default();
        let (signal, first) = tokio::join!(shutdown.wait(), async { shutdown.request(Signal::Interrupt) });
        assert!(first);
        assert_eq!(signal, Signal::Interrupt);
        assert_eq!(shutdown.wait().await, Signal::Interrupt);
    }
}
