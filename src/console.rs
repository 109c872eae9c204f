//! Owns stdout and stderr: the answer goes to the one, everything else to the other. Nothing else writes to either, and
//! nothing else asks at a terminal.
//!
//! Whatever is written holds text of others: names of a cluster, words of a server, files of somebody. Each text that is written
//! here is escaped but for the colours and the line breaks that this file puts in itself, and the line breaks of an answer.

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
use crate::secrets::Secrets;

/// How often a line of progress is written where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar on a terminal, a line every ten seconds elsewhere.
    Auto,
    /// Lines, also on a terminal.
    Plain,
    /// Nothing.
    None,
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorMode {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams and what the user wants to see on them.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the streams")]
pub struct Console {
    quiet: bool,
    verbose: bool,
    color: bool,
    progress: ProgressMode,
    /// Whether stdout was a terminal at the start: one that has hung up no longer says so.
    stdout_is_terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
    drawn_lines: Mutex<usize>,
    secrets: OnceLock<Secrets>,
}

impl Console {
    /// A console for this process's streams.
    #[must_use]
    pub fn new(quiet: bool, verbose: bool, color: ColorMode, progress: ProgressMode) -> Self {
        let terminal = io::stderr().is_terminal();
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
            progress,
            stdout_is_terminal: io::stdout().is_terminal(),
            bar: Mutex::new(None),
            drawn_lines: Mutex::new(0),
            secrets: OnceLock::new(),
        }
    }

    /// Takes these values out of whatever is told from now on. The answer and hints are spared: they are this program's own
    /// words, and have to be right to the letter.
    pub fn redact(&self, secrets: Secrets) {
        drop(self.secrets.set(secrets));
    }

    /// Whether the answer goes to a person at a terminal.
    #[must_use]
    pub fn stdout_is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Whether a question is seen, and answered by a person.
    #[must_use]
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks at the terminal; the line that is typed arrives, or nothing at the end of the input.
    ///
    /// The line is read on a thread of its own, which nothing waits for: whoever asks stays able to stop.
    #[must_use]
    pub fn ask(question: &str) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        {
            let mut stderr = io::stderr().lock();
            drop(stderr.write_all(printable::line(question).as_bytes()).and_then(|()| stderr.flush()));
        }
        std::thread::spawn(move || {
            let mut line = String::new();
            if io::stdin().read_line(&mut line).is_ok() {
                // Nobody waits for it any more when the process is about to end.
                drop(sender.send(line));
            }
        });
        receiver
    }

    /// Reads stdin to its end, as far as that many bytes; as [`Console::ask`], whoever waits for it stays able to stop.
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

    /// Writes the answer to stdout: lines of ours, in which [`printable::printable`] has met what is not. `false` when nobody
    /// reads it any more, which is a clean stop.
    ///
    /// # Errors
    ///
    /// With exit code 8 when stdout cannot be written for another reason than a closed reader.
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

    /// Whether a failed write says that nobody reads: the reader of a pipe is gone, or the terminal was closed.
    fn has_no_reader(&self, error: &io::Error) -> bool {
        let hung_up = || self.stdout_is_terminal && error.raw_os_error() == Some(Errno::IO.raw_os_error());
        error.kind() == io::ErrorKind::BrokenPipe || hung_up()
    }

    /// Writes the answer over what the last redraw wrote; for a terminal only.
    ///
    /// # Errors
    ///
    /// As [`Console::print`].
    pub fn redraw(&self, text: &str) -> Result<bool, Failure> {
        let mut drawn = lock(&self.drawn_lines);
        // Up to the first line of the last picture, and clear from there to the end of the screen.
        let back = if *drawn == 0 { String::new() } else { format!("\x1b[{drawn}F\x1b[J") };
        *drawn = text.lines().count();
        self.write_stdout(&format!("{back}{}", printable::lines(text)))
    }

    /// Tells what is going on, in a line; silent with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Tells in a line what only a curious user wants to know: shown with `-v`.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line(text);
        }
    }

    /// Tells in a line what the user must not miss, also with `-q`.
    pub fn warn(&self, text: &str) {
        self.write(&format!("{}: {}", self.paint("warning", "33"), self.shown(text)));
    }

    /// Tells why the command failed: a line, what was wrong one by one, and the way on.
    pub fn error(&self, failure: &Failure) {
        self.write(&self.failure(failure));
    }

    /// Starts to show the progress of a long work; `total` in the unit of [`Progress::set`], where it is known.
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

    /// Several lines on stderr that are drawn over and over; `None` where there is no terminal for them.
    #[must_use]
    pub fn live_text(&self) -> Option<LiveText<'_>> {
        if self.progress != ProgressMode::Auto {
            return None;
        }
        *lock(&self.bar) = Some(ProgressBar::no_length().with_style(style("{msg}")));
        Some(LiveText { console: self })
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

    /// One line without secrets, in which nothing steers a terminal.
    fn shown(&self, text: &str) -> String {
        let text = self.secrets.get().map_or(Cow::Borrowed(text), |secrets| secrets.redact(text));
        printable::line(&text).into_owned()
    }

    fn line(&self, text: &str) {
        self.write(&self.shown(text));
    }

    /// Writes what is safe to be written.
    fn write(&self, text: &str) {
        let write = || {
            // Nothing is left to tell it to when stderr is closed, and no reason to stop the work.
            drop(writeln!(io::stderr().lock(), "{text}"));
        };
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A shown progress; gone from the screen when dropped.
#[derive(Debug)]
pub struct Progress<'a> {
    console: &'a Console,
    label: &'static str,
    total: Option<u64>,
    next_line: Deadline,
}

impl Progress<'_> {
    /// Shows how far the work is. Cheap enough for every batch, not meant for every record.
    pub fn set(&mut self, done: u64) {
        match self.console.progress {
            ProgressMode::Auto => {
                if let Some(bar) = &*lock(&self.console.bar) {
                    bar.set_position(done);
                }
            }
            ProgressMode::Plain if self.next_line.has_passed() => {
                self.next_line.renew();
                let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
                self.console.line(&format!("{}: {done}{of}", self.label));
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

/// A picture on the screen; gone from it when dropped.
#[derive(Debug)]
pub struct LiveText<'a> {
    console: &'a Console,
}

impl LiveText<'_> {
    /// Draws it anew.
    pub fn draw(&mut self, text: impl FnOnce() -> String) {
        if let Some(bar) = &*lock(&self.console.bar) {
            bar.set_message(printable::lines(&text()).into_owned());
            bar.tick();
        }
    }
}

impl Drop for LiveText<'_> {
    fn drop(&mut self) {
        if let Some(bar) = lock(&self.console.bar).take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What these locks guard is only what is on the screen: a panic elsewhere leaves nothing to distrust.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tells why the process ends where no [`Console`] can be reached any more; of a defect that are many lines.
pub fn fatal_error(text: &str) {
    drop(writeln!(io::stderr().lock(), "error: {}", printable::lines(text)));
}

/// Passes on a line of the client library, from whatever thread it speaks on.
pub fn log_line(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", printable::line(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others put into a name: a clipboard write, a colour, a line of ours and a text from right to left.
    const HOSTILE: &str = "x\u{1b}]52;c;eA==\u{7}\r\u{9b}31m\n  hint: rm -rf /\u{202e}";
    const SHOWN: &str = r"x\u{1b}]52;c;eA==\u{7}\r\u{9b}31m\n  hint: rm -rf /\u{202e}";

    #[test]
    fn a_failure_is_as_many_lines_as_it_has_and_no_text_of_others_makes_one() {
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
    fn a_secret_is_hidden_before_it_is_escaped_and_a_hint_is_spared() {
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
        // Of a file it is a broken disk.
        console.stdout_is_terminal = false;
        assert!(!console.has_no_reader(&error(Errno::IO)) && console.has_no_reader(&error(Errno::PIPE)));
    }
}
