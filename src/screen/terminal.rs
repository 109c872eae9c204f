//! The terminal of a live screen: its size, modes, alternate screen and keys.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use console::{Style, Term};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use super::lock;
use crate::clock::{self, Deadline};
use crate::frame::{Line, Size, Tone};

/// Enters and leaves the alternate screen; the terminal keeps the normal one and its cursor. The terminal crate has no
/// functions for this.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// How long [`Terminal::leave_at_once`] waits for a frame that is being written. A terminal that was paused with Ctrl-S
/// takes no bytes.
const WAIT: Duration = Duration::from_millis(200);
/// The size of a terminal that does not report one.
const DEFAULT_SIZE: Size = Size { rows: 24, columns: 80 };

/// The stream whose terminal shows the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// The terminal. A process in the background must not change it or read from it: that would stop the process.
#[derive(Debug)]
pub(super) struct Terminal {
    output: Output,
    colour: bool,
    /// Whether keys can be read: stdin is a terminal.
    pub has_keys: bool,
    /// The modes before the screen, as long as they are changed.
    modes: Mutex<Option<Termios>>,
    pub picture: Mutex<Picture>,
    is_writing: AtomicBool,
}

/// What is on the terminal.
#[derive(Debug)]
pub(super) struct Picture {
    term: Term,
    is_shown: bool,
    /// The process is being stopped: nothing may be drawn.
    is_suspended: bool,
    /// Nothing more may be drawn.
    has_ended: bool,
    size: Size,
    /// The lines of the last frame; empty if all of them must be drawn.
    lines: Vec<Line>,
}

impl Terminal {
    pub fn new(output: Output, colour: bool) -> Self {
        let term = match output {
            Output::Stdout => Term::buffered_stdout(),
            Output::Stderr => Term::buffered_stderr(),
        };
        let picture = Picture {
            term,
            is_shown: false,
            is_suspended: false,
            has_ended: false,
            size: DEFAULT_SIZE,
            lines: Vec::new(),
        };
        Self {
            output,
            colour,
            has_keys: io::stdin().is_terminal(),
            modes: Mutex::default(),
            picture: Mutex::new(picture),
            is_writing: AtomicBool::new(false),
        }
    }

    /// Whether this process is in the foreground of the terminal.
    pub fn is_foreground(&self) -> bool {
        let group = match self.output {
            Output::Stdout => tcgetpgrp(io::stdout()),
            Output::Stderr => tcgetpgrp(io::stderr()),
        };
        // A terminal that does not control this process has no background, and one that was closed stops nothing.
        group.map_or(true, |group| group == getpgrp())
    }

    pub fn size(&self) -> Size {
        let size = match self.output {
            Output::Stdout => tcgetwinsize(io::stdout()),
            Output::Stderr => tcgetwinsize(io::stderr()),
        };
        match size {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                Size { rows: size.ws_row.into(), columns: size.ws_col.into() }
            }
            _ => DEFAULT_SIZE,
        }
    }

    /// Draws the lines that have changed, and all of them after a change of the size.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written: it was closed.
    pub fn draw(&self, size: Size, lines: Vec<Line>) -> io::Result<()> {
        let mut picture = lock(&self.picture);
        if picture.has_ended || picture.is_suspended || !self.is_foreground() {
            return Ok(());
        }
        if !picture.is_shown {
            self.set_modes();
            picture.is_shown = true;
            picture.lines.clear();
            picture.term.write_str(ENTER)?;
        }
        if picture.size != size || picture.lines.len() != lines.len() {
            picture.size = size;
            picture.lines.clear();
            picture.term.hide_cursor()?;
            picture.term.clear_screen()?;
        }
        for (row, line) in lines.iter().enumerate() {
            if picture.lines.get(row) != Some(line) {
                picture.term.move_cursor_to(0, row)?;
                // Before the text: after a text that fills the row, the cursor is still in its last column.
                picture.term.clear_line()?;
                picture.term.write_str(&self.styled(line))?;
            }
        }
        picture.lines = lines;
        self.flush(&picture)
    }

    fn styled(&self, line: &Line) -> String {
        let style = match line.tone {
            Tone::Plain => return line.text.clone(),
            Tone::Title => Style::new().bold(),
            Tone::Heading => Style::new().underlined(),
            Tone::Alert => Style::new().yellow().reverse(),
            Tone::Hint => Style::new().dim(),
        };
        style.force_styling(self.colour).apply_to(&line.text).to_string()
    }

    fn flush(&self, picture: &Picture) -> io::Result<()> {
        self.is_writing.store(true, Ordering::Relaxed);
        let flushed = picture.term.flush();
        self.is_writing.store(false, Ordering::Relaxed);
        flushed
    }

    /// Shows the normal screen again; until [`Terminal::resume`], draws do nothing.
    pub fn suspend(&self) {
        let mut picture = lock(&self.picture);
        picture.is_suspended = true;
        self.take_off(&mut picture);
    }

    /// From now on, draws show the screen again.
    pub fn resume(&self) {
        lock(&self.picture).is_suspended = false;
    }

    /// Shows the normal screen again; later draws do nothing.
    pub fn end(&self) {
        let mut picture = lock(&self.picture);
        picture.has_ended = true;
        self.take_off(&mut picture);
    }

    fn take_off(&self, picture: &mut Picture) {
        if !picture.is_shown {
            return;
        }
        picture.is_shown = false;
        let written = picture.term.show_cursor().and_then(|()| picture.term.write_str(LEAVE));
        // A terminal that was closed needs nothing.
        drop(written.and_then(|()| self.flush(picture)));
        self.restore_modes();
    }

    /// Like [`Terminal::end`], but it never waits for long: from any thread, before the process ends.
    ///
    /// Returns whether the terminal takes bytes.
    pub fn leave_at_once(&self) -> bool {
        let deadline = Deadline::after(WAIT);
        loop {
            let picture = match self.picture.try_lock() {
                Ok(picture) => Some(picture),
                Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut picture) = picture {
                picture.has_ended = true;
                self.take_off(&mut picture);
                return true;
            }
            if deadline.has_passed() {
                break;
            }
            clock::pause(Duration::from_millis(5));
        }
        // Either the terminal takes no bytes, or the thread that draws has a panic.
        let takes_bytes = !self.is_writing.load(Ordering::Relaxed);
        if takes_bytes {
            let text = format!("\x1b[0m\x1b[?25h{LEAVE}");
            // As above.
            drop(match self.output {
                Output::Stdout => io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()),
                Output::Stderr => io::stderr().write_all(text.as_bytes()),
            });
        }
        self.restore_modes();
        takes_bytes
    }

    /// After a stop that could not be handled (SIGSTOP): another program may have used the terminal.
    pub fn refresh(&self) {
        let mut picture = lock(&self.picture);
        if picture.is_shown && self.is_foreground() {
            self.set_modes();
            picture.lines.clear();
        }
    }

    /// Keys are read at once and without an echo. Ctrl-C, Ctrl-Z and Ctrl-S keep their effects.
    fn set_modes(&self) {
        if !self.has_keys {
            return;
        }
        let mut saved = lock(&self.modes);
        if saved.is_none() {
            *saved = tcgetattr(io::stdin()).ok();
        }
        let Some(mut modes) = saved.clone() else { return };
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // Otherwise Ctrl-C and Ctrl-Z discard output that the terminal has not read: lines that are not drawn again.
        modes.local_modes |= LocalModes::NOFLSH;
        // A read returns at once, even without a key.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Without these modes q needs Enter. Ctrl-C works in any case.
        let _outcome = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }

    fn restore_modes(&self) {
        // The lock is never held for long: nothing that it guards waits.
        let saved = lock(&self.modes).take();
        // In the background, the shell has already set its own modes.
        if let Some(modes) = saved.filter(|_| self.is_foreground()) {
            // Fails for a terminal that was closed.
            let _outcome = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
    }

    /// Reads the keys that were pressed. Returns whether one of them ends the command.
    pub fn reads_quit(&self) -> bool {
        // While the lock is held, Ctrl-Z is not handled, so the process stays in the foreground until the read is done.
        let picture = lock(&self.picture);
        if !picture.is_shown || !self.is_foreground() {
            return false;
        }
        let (mut keys, mut ends) = ([0; 64], false);
        // Another program may have changed the modes, during a stop that could not be handled (SIGSTOP): a read could
        // then wait for a line.
        while is_readable() {
            match rustix::io::read(io::stdin(), &mut keys) {
                Ok(read) if read > 0 => ends |= keys[..read].iter().any(|key| matches!(key, b'q' | b'Q')),
                // The terminal was closed.
                _ => break,
            }
        }
        ends
    }
}

/// Whether a read of stdin returns at once.
fn is_readable() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
