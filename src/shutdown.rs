//! Stop by signal: the first one requests a stop, the second one exits at once.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use std::{fs, io};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::clock::{self, Deadline};
use crate::exit::{self, Code, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    /// As service managers send it.
    Terminate,
    /// As a closed terminal sends it.
    HangUp,
}

/// What SIGHUP does to the process.
///
/// A process started with SIGHUP ignored, as by `nohup`, always keeps ignoring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHangUp {
    /// It stops, as on SIGTERM.
    Stop,
    Ignore,
}

impl Signal {
    /// The exit code of a command that was stopped before its work was done.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Interrupt => Code::Interrupted,
            Self::Terminate => Code::Terminated,
            Self::HangUp => Code::HungUp,
        }
    }

    #[must_use]
    pub fn failure(self) -> Failure {
        Failure::new(self.code(), "stopped before the work was done")
    }

    /// Whether a second signal of this kind exits at once.
    ///
    /// SIGHUP never does. Closing a terminal sends two, one from the kernel and one from the shell, and a service
    /// manager may send one right after its SIGTERM: neither is a request to hurry.
    const fn forces_exit(self) -> bool {
        !matches!(self, Self::HangUp)
    }
}

/// A cheap handle that all long-running work checks.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<StopRequest>);

#[derive(Debug, Default)]
struct StopRequest {
    mark: AtomicU8,
    asked: Notify,
}

impl Shutdown {
    /// The first signal received, if any.
    #[must_use]
    pub fn requested(&self) -> Option<Signal> {
        match self.0.mark.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Signal::Interrupt),
            2 => Some(Signal::Terminate),
            _ => Some(Signal::HangUp),
        }
    }

    /// Records a signal. Returns whether it is the first one.
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

    /// Waits until a stop is requested.
    pub async fn wait(&self) -> Signal {
        loop {
            // Created before the check, so that a signal between check and wait is not missed.
            let asked = self.0.asked.notified();
            if let Some(signal) = self.requested() {
                return signal;
            }
            asked.await;
        }
    }

    /// Fails once a stop is requested.
    ///
    /// # Errors
    ///
    /// With the signal's exit code.
    pub fn check(&self) -> Result<(), Failure> {
        self.requested().map_or(Ok(()), |signal| Err(signal.failure()))
    }

    /// Sleeps, at most until a stop is requested.
    pub fn pause(&self, duration: Duration) {
        let deadline = Deadline::after(duration);
        while !deadline.has_passed() && self.requested().is_none() {
            clock::pause(deadline.remaining().min(Duration::from_millis(20)));
        }
    }

    /// Installs handlers for SIGINT, SIGTERM and SIGHUP on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the handlers.
    pub fn listen(&self, on_hang_up: OnHangUp) -> io::Result<()> {
        self.on(SignalKind::interrupt(), Some(Signal::Interrupt))?;
        self.on(SignalKind::terminate(), Some(Signal::Terminate))?;
        // At the file size limit a write then fails, as on a full disk, instead of killing the process.
        self.on(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()), None)?;
        // Read before a handler is installed, which would replace the inherited disposition.
        if !hang_up_is_ignored() {
            self.on(SignalKind::hangup(), (on_hang_up == OnHangUp::Stop).then_some(Signal::HangUp))?;
        }
        Ok(())
    }

    /// Installs a handler. A signal without an action is caught too, because its default would kill the process.
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

/// Whether the process was started with SIGHUP ignored, as by `nohup`. A handler would undo that.
fn hang_up_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").ok();
    status.as_deref().and_then(ignored_by_status).unwrap_or_else(child_ignores_hang_up)
}

/// Linux: the mask of ignored signals, with SIGHUP as the lowest bit.
fn ignored_by_status(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok().map(|mask| mask & 1 == 1)
}

/// Other systems: a child inherits ignored signals, so one that survives its own SIGHUP ignores it. Asking the system
/// directly needs unsafe code.
fn child_ignores_hang_up() -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_requests_a_stop() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.requested(), None);
        assert!(shutdown.check().is_ok());
        assert!(shutdown.request(Signal::Terminate));
        assert!(!shutdown.request(Signal::Interrupt));
        assert_eq!(shutdown.requested(), Some(Signal::Terminate));
        assert_eq!(shutdown.check().expect_err("stopped").code, Code::Terminated);
    }

    #[test]
    fn a_hang_up_is_kept_and_never_forces_exit() {
        let shutdown = Shutdown::default();
        assert!(shutdown.request(Signal::HangUp));
        assert_eq!(shutdown.check().expect_err("stopped").code, Code::HungUp);
        assert!(Signal::Interrupt.forces_exit() && Signal::Terminate.forces_exit() && !Signal::HangUp.forces_exit());
    }

    #[test]
    fn reads_the_mask_of_ignored_signals() {
        let status = |mask: &str| ignored_by_status(&format!("Name:\tx\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n"));
        assert_eq!(status("0000000000001000"), Some(false));
        assert_eq!(status("0000000000001001"), Some(true));
        assert_eq!(status("?"), None);
        assert_eq!(ignored_by_status("no such line"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_agrees_with_the_mask() {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        assert_eq!(Some(child_ignores_hang_up()), ignored_by_status(&status));
    }

    #[tokio::test]
    async fn wait_ends_with_the_first_signal() {
        let shutdown = Shutdown::default();
        let (signal, first) = tokio::join!(shutdown.wait(), async { shutdown.request(Signal::Interrupt) });
        assert!(first);
        assert_eq!(signal, Signal::Interrupt);
        assert_eq!(shutdown.wait().await, Signal::Interrupt);
    }
}
