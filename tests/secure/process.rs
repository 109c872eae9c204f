//! Runs of the program: time limit, exit code and output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::STEP_TIMEOUT;

/// Exit code and output of a run.
#[derive(Debug)]
pub struct Run {
    code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(mut command: Command, args: &str) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let streams = [collect(child.stdout.take().expect("piped")), collect(child.stderr.take().expect("piped"))];
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("waited for") {
                break status;
            }
            if start.elapsed() > STEP_TIMEOUT {
                child.kill().expect("killed");
                panic!("`foodstream {args}` hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = streams.map(|stream| stream.join().expect("read"));
        Self { code: status.code(), stdout, stderr }
    }

    /// The exit code; -1 if a signal ended the process.
    pub fn code(&self) -> i32 {
        self.code.unwrap_or(-1)
    }

    /// Requires this exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
