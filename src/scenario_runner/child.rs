//! Child process of a step: started in a separate process group, signalled, and waited for; its stdout and last stderr
//! lines are kept.

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
use crate::scenario::ProcessSignal;
use crate::settings::BOOTSTRAP_VARIABLE;

/// The most bytes of stdout that are kept. A document is far smaller.
const MAX_STDOUT: u64 = 64 << 20;
/// The most lines of stderr that are kept.
const MAX_LINES: usize = 40;
/// The most bytes of a line of stderr that are kept.
const MAX_LINE: usize = 2_000;

/// How a process ended, and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChildResult {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// Everything on its stdout.
    pub stdout: String,
    /// The last lines of its stderr.
    pub stderr: Vec<String>,
}

/// A child process.
///
/// Its stdin is a pipe on which it reads the client properties. The pipe then stays open: when this process ends for
/// any reason, the pipe is closed, and a child with `--leash` stops.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    _leash: Option<ChildStdin>,
    stdout: Option<JoinHandle<String>>,
    stderr_reader: Option<JoinHandle<()>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl ChildProcess {
    /// Starts the program with these arguments in this directory, and writes these properties to its stdin.
    ///
    /// # Errors
    ///
    /// When the system cannot start it.
    pub fn start(program: &Path, arguments: &[String], directory: &Path, properties: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Code::Unexpected, format!("cannot start {}: {error}", program.display()))
        };
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            // The variable would override the properties on stdin.
            .env_remove(BOOTSTRAP_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal must reach only the runner, which then stops its processes in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut leash = child.stdin.take();
        if let Some(leash) = &mut leash {
            // The child reads this first. A write error means that it has already ended, which its exit code will
            // explain.
            leash.write_all(&[properties.as_bytes(), &[0]].concat()).unwrap_or_default();
        }
        let stdout = child.stdout.take().map(|mut stdout| {
            std::thread::spawn(move || {
                let mut output = Vec::new();
                // If the output is cut by an error or by the limit, it does not parse as a document and is reported as
                // missing.
                stdout.by_ref().take(MAX_STDOUT).read_to_end(&mut output).unwrap_or_default();
                std::io::copy(&mut stdout, &mut std::io::sink()).unwrap_or_default();
                String::from_utf8_lossy(&output).into_owned()
            })
        });
        let last = Arc::new(Mutex::new(VecDeque::with_capacity(MAX_LINES)));
        let stderr_reader = child.stderr.take().map(|stderr| {
            let last = Arc::clone(&last);
            std::thread::spawn(move || keep_last_lines(stderr, &last))
        });
        Ok(Self { _leash: leash, child, stdout, stderr_reader, last })
    }

    pub fn has_ended(&mut self) -> bool {
        // An error means that the child does not exist any more.
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, unless the process has ended.
    pub fn send(&mut self, signal: ProcessSignal) {
        if self.has_ended() {
            return;
        }
        let signal = match signal {
            ProcessSignal::Stop => Signal::INT,
            ProcessSignal::Kill => Signal::KILL,
            ProcessSignal::Pause => Signal::STOP,
            ProcessSignal::Resume => Signal::CONT,
        };
        // The child was not reaped, so its process id was not reused. An error means that it has just ended.
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_default();
    }

    /// Stops the process with SIGINT, and with SIGKILL if it has not ended within the timeout.
    pub fn stop(&mut self, timeout: Duration) {
        // A paused process does not handle signals.
        self.send(ProcessSignal::Resume);
        self.send(ProcessSignal::Stop);
        let deadline = Deadline::after(timeout);
        while !self.has_ended() && !deadline.has_passed() {
            clock::pause(Duration::from_millis(5));
        }
        self.send(ProcessSignal::Kill);
    }

    /// Waits for the process and returns its output. Call it when the process has ended or was killed.
    pub fn wait(mut self) -> ChildResult {
        let status: Option<ExitStatus> = self.child.wait().ok();
        if let Some(stderr_reader) = self.stderr_reader.take() {
            stderr_reader.join().unwrap_or_default();
        }
        let stdout = self.stdout.take().and_then(|stdout| stdout.join().ok()).unwrap_or_default();
        let stderr = self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        ChildResult {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stdout,
            stderr,
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.send(ProcessSignal::Kill);
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}

fn keep_last_lines(stderr: impl Read, last: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // An overlong line is split.
        match stderr.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == MAX_LINES {
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
    fn keeps_stdout_last_lines_and_exit_code() {
        let process = shell("echo stdout; for i in $(seq 100); do echo word $i >&2; done; exit 7");
        let result = process.wait();
        assert_eq!((result.code, result.signal, result.stdout.as_str()), (Some(7), None, "stdout\n"));
        assert_eq!(result.stderr.len(), MAX_LINES);
        assert_eq!(result.stderr.last().map(String::as_str), Some("word 100"));
    }

    #[test]
    fn stop_kills_after_the_timeout_and_resumes_first() {
        let mut stubborn = shell("trap '' INT; echo stubborn >&2; while :; do sleep 0.01; done");
        while stubborn.last.lock().expect("whole").is_empty() {
            clock::pause(Duration::from_millis(1));
        }
        stubborn.stop(Duration::from_millis(100));
        assert_eq!(stubborn.wait().signal, Some(9));
        let mut paused = shell("while :; do sleep 0.01; done");
        paused.send(ProcessSignal::Pause);
        assert!(!paused.has_ended());
        paused.stop(Duration::from_secs(10));
        assert_eq!(paused.wait().signal, Some(2));
    }

    #[test]
    fn killed_process_has_a_signal_and_no_code() {
        let mut process = shell("while :; do sleep 0.01; done");
        process.send(ProcessSignal::Kill);
        let result = process.wait();
        assert_eq!((result.code, result.signal), (None, Some(9)));
    }
}
