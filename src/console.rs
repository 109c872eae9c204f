//! Stdout, stderr and questions at the terminal: a command's result goes to stdout, everything else to stderr.
//!
//! Text to print may contain names from a cluster, messages of a server or lines of a file. Everything is therefore
//! escaped here, except the colours of this module and the line breaks of a result.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rustix::io::Errno;

use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::printable;
use crate::screen::{self, Output, Screen};
use crate::secrets::Secrets;
use crate::shutdown::Shutdown;
use crate::units::grouped;

/// Time between two progress lines without a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar on a terminal, a line every ten seconds elsewhere.
    Auto,
    /// Lines, even on a terminal.
    Plain,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorMode {
    /// On a terminal only.
    Auto,
    Always,
    Never,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Console {
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Whether a screen on stdout has colours.
    screen_color: bool,
    /// Whether the live result of a command is a screen, if stdout is a terminal.
    screens: bool,
    progress: ProgressMode,
    /// Stored at the start: a terminal that has hung up is no longer reported as one.
    stdout_is_terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
    secrets: OnceLock<Secrets>,
}

impl Console {
    #[must_use]
    pub fn new(quiet: bool, verbose: bool, color: ColorMode, progress: ProgressMode) -> Self {
        let terminal = io::stderr().is_terminal();
        let (screen_color, screens) = (color != ColorMode::Never, progress == ProgressMode::Auto);
        let color = match color {
            ColorMode::Auto => terminal,
            ColorMode::Always => true,
            ColorMode::Never => false,
        };
        let progress = match progress {
            ProgressMode::Auto if !terminal => ProgressMode::Plain,
            other => other,
        };
        let progress = if quiet { ProgressMode::None } else { progress };
        Self {
            quiet,
            verbose,
            color,
            screen_color,
            screens,
            progress,
            stdout_is_terminal: io::stdout().is_terminal(),
            bar: Mutex::new(None),
            secrets: OnceLock::new(),
        }
    }

    /// Redacts these values in everything printed from now on, except in results and hints: these are the program's own
    /// text and must stay exact.
    pub fn redact(&self, secrets: Secrets) {
        // Only the first call has an effect; there is one call per process.
        drop(self.secrets.set(secrets));
    }

    #[must_use]
    pub fn stdout_is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Whether a person sees both streams.
    #[must_use]
    pub fn is_watched() -> bool {
        io::stdout().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether a person can see a question and answer it.
    #[must_use]
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question at the terminal and delivers the line typed, or nothing at the end of the input.
    ///
    /// A separate thread reads the line, so the caller can still be stopped.
    #[must_use]
    pub fn ask(question: &str) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        {
            let mut stderr = io::stderr().lock();
            // Without stderr the question cannot be seen, and the end of the input means no.
            drop(stderr.write_all(printable::line(question).as_bytes()).and_then(|()| stderr.flush()));
        }
        std::thread::spawn(move || {
            let mut line = String::new();
            if io::stdin().read_line(&mut line).is_ok() {
                // The receiver is gone when the process is about to exit.
                drop(sender.send(line));
            }
        });
        receiver
    }

    /// Reads stdin to its end, at most `most` bytes, on a separate thread as in [`Console::ask`].
    #[must_use]
    pub fn stdin(most: u64) -> Receiver<io::Result<Vec<u8>>> {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut content = Vec::new();
            let read = io::stdin().lock().take(most).read_to_end(&mut content);
            // As above.
            drop(sender.send(read.map(|_| content)));
        });
        receiver
    }

    /// Prints a result to stdout. Foreign text in it must have passed [`printable::printable`]. Returns `false` if the
    /// reader is gone, which is a clean stop, and fails with exit code 8 on any other write error.
    pub fn print(&self, text: &str) -> Result<bool, Failure> {
        self.write_stdout(&printable::lines(text))
    }

    fn write_stdout(&self, text: &str) -> Result<bool, Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if self.has_no_reader(&error) => Ok(false),
            Err(error) => Err(Failure::new(Code::Output, format!("stdout cannot be written: {error}"))),
        }
    }

    /// Whether a failed write means that the reader of a pipe is gone or the terminal was closed.
    fn has_no_reader(&self, error: &io::Error) -> bool {
        let hung_up = || self.stdout_is_terminal && error.raw_os_error() == Some(Errno::IO.raw_os_error());
        error.kind() == io::ErrorKind::BrokenPipe || hung_up()
    }

    /// A screen for the live result of a command; `None` if lines are printed instead: without a terminal on stdout, and
    /// with `--progress plain` or `none`.
    #[must_use]
    pub fn result_screen(&self, shutdown: &Shutdown) -> Option<Screen> {
        // Without another thread there are lines.
        self.has_result_screen().then(|| Screen::open(Output::Stdout, self.screen_color, shutdown).ok()).flatten()
    }

    /// Whether [`Console::result_screen`] is possible.
    #[must_use]
    pub fn has_result_screen(&self) -> bool {
        self.screens && self.stdout_is_terminal()
    }

    /// A screen for the progress of a command on stderr; `None` if lines are printed instead.
    #[must_use]
    pub fn progress_screen(&self, shutdown: &Shutdown) -> Option<Screen> {
        let is_wanted = self.progress == ProgressMode::Auto;
        // As above.
        is_wanted.then(|| Screen::open(Output::Stderr, self.color, shutdown).ok()).flatten()
    }

    /// Prints a line about the progress of the work; silent with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Prints a line with `-v` only.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line(text);
        }
    }

    /// Prints a warning, even with `-q`.
    pub fn warn(&self, text: &str) {
        self.write(&format!("{}: {}", self.paint("warning", "33"), self.shown(text)));
    }

    /// Prints why the command failed: the message, its details and the hint.
    pub fn error(&self, failure: &Failure) {
        self.write(&self.failure(failure));
    }

    /// Shows the progress of long work. `total` uses the unit of [`Progress::set`].
    #[must_use]
    pub fn progress(&self, label: &'static str, total: Option<u64>) -> Progress<'_> {
        if self.progress == ProgressMode::Auto {
            let bar = match total {
                Some(total) => ProgressBar::new(total)
                    .with_style(style("{msg} [{bar:30}] {human_pos}/{human_len} {per_sec}, {eta} left")),
                None => ProgressBar::no_length().with_style(style("{msg} {spinner} {human_pos} {per_sec}")),
            };
            bar.set_message(label);
            *lock(&self.bar) = Some(bar);
        }
        Progress { console: self, label, total, next_line: Deadline::after(PLAIN_INTERVAL) }
    }

    fn paint(&self, word: &str, color: &str) -> String {
        if self.color { format!("\x1b[1;{color}m{word}\x1b[0m") } else { word.to_owned() }
    }

    fn failure(&self, failure: &Failure) -> String {
        let mut text = format!("{}: {}", self.paint("error", "31"), self.shown(&failure.message));
        for line in &failure.details {
            text.extend(["\n", &self.shown(line)]);
        }
        if let Some(hint) = &failure.hint {
            text.extend(["\n  hint: ", &printable::line(hint)]);
        }
        text
    }

    /// The text as one line, without secrets and control characters.
    fn shown(&self, text: &str) -> String {
        let text = self.secrets.get().map_or(Cow::Borrowed(text), |secrets| secrets.redact(text));
        printable::line(&text).into_owned()
    }

    fn line(&self, text: &str) {
        self.write(&self.shown(text));
    }

    /// Writes text that is already escaped.
    fn write(&self, text: &str) {
        if screen::keeps_message(text) {
            return;
        }
        let write = || {
            // With stderr closed nothing can report this, and the work continues.
            drop(writeln!(io::stderr().lock(), "{text}"));
        };
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A progress display, removed from the screen when dropped.
#[derive(Debug)]
pub struct Progress<'a> {
    console: &'a Console,
    label: &'static str,
    total: Option<u64>,
    next_line: Deadline,
}

impl Progress<'_> {
    /// Updates the display. Cheap enough for every batch, not for every record.
    pub fn set(&mut self, done: u64) {
        match self.console.progress {
            ProgressMode::Auto => {
                if let Some(bar) = &*lock(&self.console.bar) {
                    bar.set_position(done);
                }
            }
            ProgressMode::Plain if self.next_line.has_passed() => {
                self.next_line.renew();
                let of = self.total.map_or_else(String::new, |total| format!(" of {}", grouped(total)));
                self.console.line(&format!("{}: {}{of}", self.label, grouped(done)));
            }
            ProgressMode::Plain | ProgressMode::None => {}
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = lock(&self.console.bar).take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

// The lock only guards what is on the screen, so a panic elsewhere does not invalidate it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Prints a fatal error that happens outside of any [`Console`].
pub fn fatal_error(text: &str) {
    screen::restore();
    // As in `Console::write`.
    drop(writeln!(io::stderr().lock(), "error: {}", printable::lines(text)));
}

/// Prints a log line of the client library, from any thread.
pub fn log_line(text: &str) {
    let line = printable::line(text);
    if !screen::keeps_message(&line) {
        // As in `Console::write`.
        drop(writeln!(io::stderr().lock(), "{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clipboard write, a colour, a forged hint line and a change of the writing direction.
    const HOSTILE: &str = "x\u{1b}]52;c;eA==\u{7}\r\u{9b}31m\n  hint: rm -rf /\u{202e}";
    const SHOWN: &str = r"x\u{1b}]52;c;eA==\u{7}\r\u{9b}31m\n  hint: rm -rf /\u{202e}";

    #[test]
    fn foreign_text_adds_no_lines() {
        let failure = Failure::new(Code::Refused, format!("the group {HOSTILE} is live"))
            .details([HOSTILE.to_owned()])
            .hint(format!("stop {HOSTILE}"));
        let plain = Console::new(true, false, ColorMode::Never, ProgressMode::None);
        let text = plain.failure(&failure);
        assert_eq!(text, format!("error: the group {SHOWN} is live\n{SHOWN}\n  hint: stop {SHOWN}"));
        assert_eq!(plain.shown(HOSTILE), SHOWN);
        let coloured = Console::new(true, false, ColorMode::Always, ProgressMode::None).failure(&failure);
        assert_eq!(coloured, text.replacen("error", "\u{1b}[1;31merror\u{1b}[0m", 1));
    }

    #[test]
    fn redacts_before_escaping_and_keeps_hints() {
        let console = Console::new(true, false, ColorMode::Never, ProgressMode::None);
        let mut secrets = Secrets::default();
        secrets.add("hush\u{7}hush");
        console.redact(secrets);
        let failure = Failure::new(Code::Denied, "hush\u{7}hush").hint("hush\u{7}hush");
        assert_eq!(console.failure(&failure), "error: [redacted]\n  hint: hush\\u{7}hush");
    }

    #[test]
    fn a_terminal_that_hung_up_has_no_reader() {
        let mut console = Console::new(true, false, ColorMode::Never, ProgressMode::None);
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        console.stdout_is_terminal = true;
        assert!(console.has_no_reader(&error(Errno::IO)) && console.has_no_reader(&error(Errno::PIPE)));
        assert!(!console.has_no_reader(&error(Errno::NOSPC)));
        // For a file, EIO means a broken disk.
        console.stdout_is_terminal = false;
        assert!(!console.has_no_reader(&error(Errno::IO)) && console.has_no_reader(&error(Errno::PIPE)));
    }
}
