//! Owns a step's process: started in a process group of its own, its answer and last words kept, signalled, and gone in the end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::settings::BOOTSTRAP_VARIABLE;

/// Bytes of an answer that are kept: a document is far smaller.
const MOST_ANSWER: u64 = 64 << 20;
/// Lines of stderr that are kept.
const LAST_LINES: usize = 40;
/// Bytes of a line of stderr that are kept.
const LONGEST_LINE: usize = 2_000;

/// What can be done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// SIGINT: as Ctrl-C.
    Stop,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
}

/// What a process left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChildResult {
    /// `None` for one that a signal ended.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// Everything on its stdout.
    pub answer: String,
    /// The last lines of its stderr.
    pub stderr: Vec<String>,
}

/// A process under way.
///
/// Its stdin is a pipe, on which it is told how to reach the broker, and nothing more: when this process is gone, however that
/// came, the pipe is closed, and a process that was started with `--leash` stops by itself.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    _leash: Option<ChildStdin>,
    answer: Option<JoinHandle<String>>,
    listening: Option<JoinHandle<()>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl ChildProcess {
    /// Starts the program with these words in this folder, and hands it these properties.
    ///
    /// # Errors
    ///
    /// When the system cannot start it.
    pub fn start(program: &Path, words: &[String], folder: &Path, properties: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Code::Unexpected, format!("{} cannot be started: {error}", program.display()))
        };
        let mut child = Command::new(program)
            .args(words)
            .current_dir(folder)
            // It would win over the properties that the process is handed.
            .env_remove(BOOTSTRAP_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the one who runs the script, who then stops its processes in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut leash = child.stdin.take();
        if let Some(leash) = &mut leash {
            // Read before anything else; one that has ended already does not read it, and is judged by its end.
            leash.write_all(&[properties.as_bytes(), &[0]].concat()).unwrap_or_default();
        }
        let answer = child.stdout.take().map(|stdout| {
            std::thread::spawn(move || {
                let mut answer = Vec::new();
                let mut stdout = stdout;
                // Whatever is lost by an error or beyond the bound is no whole document, and is told as none.
                stdout.by_ref().take(MOST_ANSWER).read_to_end(&mut answer).unwrap_or_default();
                std::io::copy(&mut stdout, &mut std::io::sink()).unwrap_or_default();
                String::from_utf8_lossy(&answer).into_owned()
            })
        });
        let last = Arc::new(Mutex::new(VecDeque::with_capacity(LAST_LINES)));
        let listening = child.stderr.take().map(|stderr| {
            let last = Arc::clone(&last);
            std::thread::spawn(move || keep_last_lines(stderr, &last))
        });
        Ok(Self { _leash: leash, child, answer, listening, last })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        // An error means that there is no such child any more.
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal; nothing happens to one that has ended.
    pub fn push(&mut self, push: Push) {
        if self.has_ended() {
            return;
        }
        let signal = match push {
            Push::Stop => Signal::INT,
            Push::Kill => Signal::KILL,
            Push::Pause => Signal::STOP,
            Push::Resume => Signal::CONT,
        };
        // Not waited for yet, so the number is still its own; an error means that it has just ended.
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_default();
    }

    /// Ends it in order, and by force when it does not follow within the bound.
    pub fn end(&mut self, bound: Duration) {
        // One that stands still would not hear it.
        self.push(Push::Resume);
        self.push(Push::Stop);
        let deadline = Deadline::after(bound);
        while !self.has_ended() && !deadline.has_passed() {
            clock::pause(Duration::from_millis(5));
        }
        self.push(Push::Kill);
    }

    /// Waits for it and takes what it left; to be called once it has ended or was killed.
    pub fn remains(mut self) -> ChildResult {
        let status: Option<ExitStatus> = self.child.wait().ok();
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap_or_default();
        }
        let answer = self.answer.take().and_then(|answer| answer.join().ok()).unwrap_or_default();
        let stderr = self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        ChildResult {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            answer,
            stderr,
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.push(Push::Kill);
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}

fn keep_last_lines(stderr: impl Read, last: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that never ends is told in pieces.
        match stderr.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ChildProcess {
        let words = ["-c".to_owned(), script.to_owned()];
        ChildProcess::start(Path::new("/bin/sh"), &words, Path::new("/"), "").expect("started")
    }

    #[test]
    fn the_answer_the_last_words_and_the_code_are_kept() {
        let process = shell("echo answer; for i in $(seq 100); do echo word $i >&2; done; exit 7");
        let remains = process.remains();
        assert_eq!((remains.code, remains.signal, remains.answer.as_str()), (Some(7), None, "answer\n"));
        assert_eq!(remains.stderr.len(), LAST_LINES);
        assert_eq!(remains.stderr.last().map(String::as_str), Some("word 100"));
    }

    #[test]
    fn one_that_does_not_follow_is_ended_by_force_and_so_is_one_that_stands_still() {
        let mut deaf = shell("trap '' INT; echo deaf >&2; while :; do sleep 0.01; done");
        while deaf.last.lock().expect("whole").is_empty() {
            clock::pause(Duration::from_millis(1));
        }
        deaf.end(Duration::from_millis(100));
        assert_eq!(deaf.remains().signal, Some(9));
        let mut paused = shell("while :; do sleep 0.01; done");
        paused.push(Push::Pause);
        assert!(!paused.has_ended());
        paused.end(Duration::from_secs(10));
        assert_eq!(paused.remains().signal, Some(2));
    }

    #[test]
    fn a_killed_one_has_a_signal_and_no_code() {
        let mut process = shell("while :; do sleep 0.01; done");
        process.push(Push::Kill);
        let remains = process.remains();
        assert_eq!((remains.code, remains.signal), (None, Some(9)));
    }
}
