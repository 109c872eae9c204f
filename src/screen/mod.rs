//! The live screen of a command on the terminal's alternate screen.
//!
//! One thread owns the terminal. It draws the last frame of the command: after each change, after a resize, and every
//! second, because the age of the numbers changes. So the command never waits for the terminal, and a resize never waits
//! for the command.
//!
//! The alternate screen has no scrollback, and a resize does not rewrap its lines. It is left when the command ends,
//! when the process exits at once or reports a panic ([`restore`]), and during a stop by Ctrl-Z.

mod terminal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{getpgrp, getpid, getsid, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, timeout};

use crate::clock;
use crate::exit;
use crate::frame::{Frame, Surroundings, Text, fit};
use crate::shutdown::{Shutdown, Signal};
use terminal::Terminal;

pub use terminal::Output;

/// How often the screen is drawn without a change.
const TICK: Duration = Duration::from_secs(1);
/// How often keys are read. A wait for them would be a blocking call, and while this process is in the background it would
/// return for keys that are meant for others.
const KEYS: Duration = Duration::from_millis(50);
/// How long a message is shown.
const MESSAGE: Duration = Duration::from_secs(10);
/// How long a stop by Ctrl-Z may take to begin.
const STOP: Duration = Duration::from_secs(10);
/// The most messages that are kept for the end.
const MAX_MESSAGES: usize = 200;

/// The open screen of this process, for messages and exits on any thread.
static CURRENT: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

/// Whether the thread of [`handle_signals`] runs.
static HANDLES_SIGNALS: Mutex<bool> = Mutex::new(false);

/// A live screen. The terminal is restored when it is dropped.
#[derive(Debug)]
pub struct Screen {
    shared: Arc<Shared>,
    /// Receives when the thread draws no more.
    ended: Receiver<()>,
}

impl Screen {
    /// Starts the thread of a screen. The first [`Screen::draw`] changes the terminal, once this process is in the
    /// foreground.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn open(output: Output, colour: bool, shutdown: &Shutdown) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            terminal: Terminal::new(output, colour),
            shutdown: shutdown.clone(),
            content: Mutex::default(),
            changed: Notify::new(),
            has_ended: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        start_signals()?;
        let (sender, ended) = mpsc::channel();
        let runtime = runtime()?;
        let served = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || runtime.block_on(serve(&served, &sender)))?;
        exit::before_exit(restore);
        *lock(&CURRENT) = Some(Arc::clone(&shared));
        Ok(Self { shared, ended })
    }

    /// Shows a frame. Returns `false` if the terminal is closed.
    pub fn draw(&self, frame: Frame) -> bool {
        lock(&self.shared.content).frame = Some((frame, clock::now()));
        self.shared.changed.notify_one();
        !self.shared.is_closed.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        self.shared.changed.notify_one();
        // An error means that the thread has ended already.
        let _reason = self.ended.recv();
        self.shared.terminal.end();
        lock(&CURRENT).take();
        self.shared.print_messages();
    }
}

/// Keeps a message for the end of the open screen, which also shows it. Returns `false` without a screen, or if
/// stderr is not a terminal.
#[must_use]
pub fn keeps_message(text: &str) -> bool {
    let Some(shared) = lock(&CURRENT).clone() else { return false };
    if shared.has_ended.load(Ordering::Relaxed) || !io::stderr().is_terminal() {
        return false;
    }
    let mut content = lock(&shared.content);
    content.messages.push_back(text.to_owned());
    content.last_message = Some(clock::now());
    if content.messages.len() > MAX_MESSAGES {
        content.messages.pop_front();
        content.left_out += 1;
    }
    drop(content);
    shared.changed.notify_one();
    true
}

/// Restores the terminal at once, from any thread: before the process exits, and before it reports a panic.
pub fn restore() {
    let Some(shared) = lock(&CURRENT).take() else { return };
    shared.has_ended.store(true, Ordering::Relaxed);
    if shared.terminal.leave_at_once() {
        shared.print_messages();
    }
}

#[derive(Debug)]
struct Shared {
    terminal: Terminal,
    shutdown: Shutdown,
    content: Mutex<Content>,
    changed: Notify,
    has_ended: AtomicBool,
    /// The terminal was closed.
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Content {
    /// The last frame, and when it was made.
    frame: Option<(Frame, Instant)>,
    messages: VecDeque<String>,
    /// When the last message came.
    last_message: Option<Instant>,
    /// Messages that were not kept.
    left_out: u64,
}

impl Shared {
    fn draw(&self) {
        let size = self.terminal.size();
        let lines = {
            let content = lock(&self.content);
            let Some((frame, made)) = &content.frame else { return };
            // Without colours: their escape sequences would be escaped.
            let is_recent = content.last_message.is_some_and(|time| time.elapsed() < MESSAGE);
            let message = content.messages.back().filter(|_| is_recent).and_then(|text| text.lines().next());
            let message = message.map(|line| console::strip_ansi_codes(line).into_owned());
            fit(frame, &Surroundings { footer: self.footer(), message, elapsed: made.elapsed() }, size)
        };
        if self.terminal.draw(size, lines).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
        }
    }

    fn footer(&self) -> Text {
        match (self.shutdown.requested(), self.terminal.has_keys) {
            (Some(_), _) => Text::new("ending (Ctrl-C again: at once)").or("ending"),
            (None, true) => Text::new("q or Ctrl-C ends").or("q: end"),
            (None, false) => Text::new("Ctrl-C ends").or("Ctrl-C"),
        }
    }

    /// Prints the messages that came while the screen was shown.
    fn print_messages(&self) {
        let mut content = lock(&self.content);
        let mut stderr = io::stderr().lock();
        let left_out = std::mem::take(&mut content.left_out);
        if left_out > 0 {
            // With stderr closed nothing can report this.
            drop(writeln!(stderr, "{left_out} earlier messages are left out"));
        }
        for message in content.messages.drain(..) {
            // As above.
            drop(writeln!(stderr, "{message}"));
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Serves a screen until it ends.
async fn serve(shared: &Shared, ended: &Sender<()>) {
    let Ok(mut resized) = signal(SignalKind::window_change()) else { return };
    let (mut ticks, mut keys) = (interval(TICK), interval(KEYS));
    while !shared.has_ended.load(Ordering::Relaxed) {
        let is_stopping = shared.shutdown.requested().is_some();
        tokio::select! {
            () = shared.changed.notified() => {}
            _ = resized.recv() => {}
            _ = keys.tick(), if shared.terminal.has_keys => {
                // Unlike a second Ctrl-C, a second q does not end the process at once.
                if shared.terminal.reads_quit() && !is_stopping {
                    let _is_first = shared.shutdown.request(Signal::Interrupt);
                }
                continue;
            }
            _ = shared.shutdown.wait(), if !is_stopping => {}
            _ = ticks.tick() => {}
        }
        if !shared.has_ended.load(Ordering::Relaxed) && !shared.is_closed.load(Ordering::Relaxed) {
            shared.draw();
        }
    }
    shared.terminal.end();
    // The receiver waits for this.
    let _is_awaited = ended.send(());
}

/// Ticks at this interval. After a stop of the process, those that it has missed are skipped.
fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Starts the thread of [`handle_signals`] with the first screen of this process.
fn start_signals() -> io::Result<()> {
    let mut is_started = lock(&HANDLES_SIGNALS);
    if *is_started {
        return Ok(());
    }
    let runtime = runtime()?;
    let signals = {
        let _context = runtime.enter();
        let listen = |number: rustix::process::Signal| signal(SignalKind::from_raw(number.as_raw()));
        [
            listen(rustix::process::Signal::TSTP)?,
            listen(rustix::process::Signal::CONT)?,
            listen(rustix::process::Signal::QUIT)?,
        ]
    };
    std::thread::Builder::new()
        .name("screen signals".to_owned())
        .spawn(move || runtime.block_on(handle_signals(signals)))?;
    *is_started = true;
    Ok(())
}

/// Handles the signals whose default action a screen replaces, also after its end: a handler cannot be removed.
async fn handle_signals([mut stopped, mut continued, mut quit]: [unix::Signal; 3]) {
    loop {
        tokio::select! {
            // In this order: an old SIGCONT must not end the wait after the next stop.
            biased;
            _ = continued.recv() => {
                let current = lock(&CURRENT).clone();
                if let Some(shared) = current {
                    shared.terminal.refresh();
                    shared.changed.notify_one();
                }
            }
            _ = stopped.recv() => if can_stop() {
                let current = lock(&CURRENT).clone();
                if let Some(shared) = &current {
                    shared.terminal.suspend();
                }
                if stop() {
                    // The process may run on for a moment after it has sent the signal. The time passes during the stop
                    // too, so the wait may end before SIGCONT arrives here.
                    drop(timeout(STOP, continued.recv()).await);
                }
                if let Some(shared) = &current {
                    shared.terminal.resume();
                    shared.changed.notify_one();
                }
            },
            _ = quit.recv() => abort(),
        }
    }
}

/// Whether a shell can continue this process after a stop. The process group of a session's first process has none, as
/// in a container; the system ignores Ctrl-Z there too.
fn can_stop() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this process as Ctrl-Z does. The default action cannot be used: a handler has replaced it.
///
/// Returns `false` without the right to send signals, as in a sandbox.
fn stop() -> bool {
    kill_process(getpid(), rustix::process::Signal::STOP).is_ok()
}

/// Ctrl-\ asks for an abort with a core file.
fn abort() {
    restore();
    std::process::abort();
}

// The locks only guard what is shown, so a panic elsewhere does not invalidate it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
