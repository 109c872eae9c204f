//! Running processes of the program: signals, exit code and output.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::schemas::output_problems;
use super::support::STEP_TIMEOUT;

/// Exit status and output of a process.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Requires this exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON document on stdout.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A running process; killed when dropped.
pub struct Running {
    child: Child,
    readers: Option<[std::thread::JoinHandle<String>; 2]>,
    args: String,
}

impl Running {
    /// Starts a command; `args` appear in panic messages.
    pub fn start(mut command: Command, args: &str) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        Self { child, readers: Some([collect(stdout), collect(stderr)]), args: args.to_owned() }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("signalled");
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("waited for").is_some()
    }

    /// Waits for the end, and validates the documents on stdout against their schemas.
    pub fn end(mut self) -> Run {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                break status;
            }
            if start.elapsed() > STEP_TIMEOUT {
                self.child.kill().expect("killed");
                panic!("`foodstream {}` hangs", self.args);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = self.readers.take().expect("ended once");
        let run = Run { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") };
        let problems = output_problems(&run.stdout);
        assert!(problems.is_empty(), "`foodstream {}`: {problems:#?}\n{}", self.args, run.stdout);
        run
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
