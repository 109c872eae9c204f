//! A program on a pseudo-terminal, and what a terminal emulator shows of its output.

use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Pts, Pty};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};

/// Time limit of a step.
const TIMEOUT: Duration = Duration::from_mins(2);

/// What the emulator has received.
struct Received {
    emulator: vt100::Parser,
    bytes: Vec<u8>,
}

/// The program and its terminal. Both end when it is dropped.
pub struct PseudoTerminal {
    pty: Option<Arc<Pty>>,
    /// Kept open: the modes are read from it, also after the end of the program.
    pts: Option<Pts>,
    received: Arc<Mutex<Received>>,
    /// Ends the reader.
    is_closing: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    child: Child,
}

/// A terminal after the end of its program.
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The whole output.
    pub bytes: Vec<u8>,
    /// The lines of the screen.
    pub text: String,
    /// Number of lines that have scrolled off the screen.
    pub scrolled: usize,
}

fn size(rows: u16, columns: u16) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(rows).expect("rows"), NonZeroU16::new(columns).expect("columns"))
}

impl PseudoTerminal {
    /// Starts a program as the first process of a session on a terminal of this size. `stdin` replaces the terminal.
    pub fn start(command: Command, stdin: Option<Stdio>, rows: u16, columns: u16) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(Size::new(rows, columns)).expect("resized");
        let mut command = pty_process::blocking::Command::from(command);
        if let Some(stdin) = stdin {
            command = command.stdin(stdin);
        }
        let child = command.spawn_borrowed(&pts).expect("started");
        let (height, width) = size(rows, columns);
        let received = Received { emulator: vt100::Parser::new(height, width, 1_000), bytes: Vec::new() };
        // So that the reader can end before the terminal is closed.
        fcntl_setfl(&pty, fcntl_getfl(&pty).expect("flags") | OFlags::NONBLOCK).expect("set");
        let (pty, received) = (Arc::new(pty), Arc::new(Mutex::new(received)));
        let is_closing = Arc::new(AtomicBool::new(false));
        let (from, to, stop) = (Arc::clone(&pty), Arc::clone(&received), Arc::clone(&is_closing));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while !stop.load(Ordering::Relaxed) {
                match (&*from).read(&mut bytes) {
                    Ok(read) => {
                        let mut received = to.lock().expect("not poisoned");
                        received.emulator.process(&bytes[..read]);
                        received.bytes.extend(&bytes[..read]);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    // The program has ended, and nothing else has the terminal open.
                    Err(_) => break,
                }
            }
        });
        Self { pty: Some(pty), pts: Some(pts), received, is_closing, reader: Some(reader), child }
    }

    fn pty(&self) -> &Pty {
        self.pty.as_ref().expect("not closed")
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().expect("not poisoned")
    }

    /// Changes the size, which sends SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        // Before the program is informed, so that its bytes meet the new size.
        let (height, width) = size(rows, columns);
        self.received().emulator.set_size(height, width);
        self.pty().resize(Size::new(rows, columns)).expect("resized");
    }

    pub fn press(&self, keys: &[u8]) {
        { self.pty() }.write_all(keys).expect("written");
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("signalled");
    }

    /// The rows of the screen, without blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        let received = self.received();
        let screen = received.emulator.screen();
        let (height, width) = screen.size();
        for row in 0..height.get() {
            // A shell may wrap its own lines.
            assert!(
                !screen.alternate_screen() || !screen.row_wrapped(row),
                "row {row} is wrapped: {}",
                screen.contents()
            );
        }
        screen.rows(0, width.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    pub fn text(&self) -> String {
        self.rows().join("\n")
    }

    /// Waits until the screen is as expected, and returns it.
    pub fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            assert!(start.elapsed() < TIMEOUT, "timed out waiting until {what}; the terminal shows:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn is_alternate(&self) -> bool {
        self.received().emulator.screen().alternate_screen()
    }

    pub fn modes(&self) -> Termios {
        // The pseudo-terminal and its terminal have the same modes.
        tcgetattr(self.pty()).expect("modes")
    }

    /// Whether keys are read without an echo and without Enter.
    pub fn reads_keys(&self) -> bool {
        !self.modes().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end of the program, and requires that its terminal is as before: the normal screen, with a cursor and
    /// the usual modes.
    pub fn end(mut self) -> Ended {
        let status = self.wait();
        let modes = self.modes().local_modes;
        let usual = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.contains(usual), "the modes are not restored: {modes:?}");
        drop(self.pts.take());
        self.reader.take().expect("ended once").join().expect("read");
        let received = self.received();
        let screen = received.emulator.screen();
        assert!(!screen.alternate_screen(), "the normal screen is not restored");
        assert!(!screen.hide_cursor(), "the cursor is not restored");
        let text = screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned() + "\n").collect();
        Ended { code: status.code(), bytes: received.bytes.clone(), text, scrolled: screen.scrollback_len() }
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                return status;
            }
            assert!(start.elapsed() < TIMEOUT, "the program does not end; the terminal shows:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes the terminal, as when its window is closed, and waits for the end of the program.
    pub fn close(mut self) -> ExitStatus {
        self.is_closing.store(true, Ordering::Relaxed);
        self.reader.take().expect("ended once").join().expect("read");
        drop(self.pts.take());
        drop(self.pty.take());
        self.wait()
    }
}

impl Drop for PseudoTerminal {
    fn drop(&mut self) {
        // After a failure, a shell may have jobs.
        for pid in session(self.child.id()) {
            // It may have ended.
            let _outcome = kill_process(pid, Signal::KILL);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The other processes of a session, on Linux.
fn session(leader: u32) -> Vec<Pid> {
    let is_member = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name of the program, in parentheses, may contain spaces: state, parent, group and session follow it.
        let session = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(3)?.parse().ok());
        session == Some(leader)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(is_member);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| u32::try_from(*pid) != Ok(leader)).filter_map(Pid::from_raw).collect()
}

/// A screen with `N` for each number, so that it can be compared.
pub fn normalized(text: &str) -> String {
    let mut shown = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_ascii_digit() {
            while characters.next_if(|next| next.is_ascii_digit() || matches!(next, ',' | '.')).is_some() {}
            shown.push('N');
        } else if character == ' ' && characters.peek() == Some(&' ') {
            while characters.next_if_eq(&' ').is_some() {}
            shown.push_str("  ");
        } else {
            shown.push(character);
        }
    }
    shown
}
