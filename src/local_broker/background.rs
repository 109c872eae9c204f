//! Background start of the embedded broker, and finding a running one by its address file.
//!
//! Several processes may start one at the same time. The brokers compete for the lock of the data directory: one gets
//! it, the others exit, and every process finds the one that runs by the address file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address_file::AddressFile;
use super::control_connection::Lease;
use super::data_directory::{open_existing, open_or_create, unreadable, unwritable};
use super::name_of;
use crate::broker::Directory;
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::shutdown::Shutdown;
use crate::units::duration;

/// The log of the background broker. The parent reports a failed start; the log has the details.
const LOG: &str = "broker.log";

/// A larger log is truncated at the next start.
const MAX_LOG_BYTES: u64 = 1 << 20;

/// How long a broker may take to grant a lease. After its death another process may listen on its port and send
/// nothing.
const LEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval between two reads of the address file.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The pause before the next start while another broker has the lock and does not answer.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// Starts brokers.
#[derive(Debug, Clone)]
pub struct Starter {
    /// The path of this program.
    pub program: PathBuf,
    /// How long the broker keeps running after its last client.
    pub idle: Duration,
    /// The timeout of a start.
    pub timeout: Duration,
    pub shutdown: Shutdown,
}

/// A running broker with a lease.
#[derive(Debug)]
pub struct FoundBroker {
    pub broker: AddressFile,
    pub lease: Lease,
    /// Whether it was started for this process.
    pub started: bool,
    /// Its messages about its data from the start.
    pub notes: Vec<String>,
}

/// The one line that a background broker writes to its parent: the result of the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartupMessage {
    /// It is listening.
    Ready {
        broker: AddressFile,
        /// Messages about its data.
        notes: Vec<String>,
    },
    /// Another broker has the lock of the data directory.
    Locked {
        /// The process that has the lock, if known.
        holder: Option<u32>,
    },
    Failed {
        /// The exit code.
        code: u8,
        message: String,
        hint: Option<String>,
    },
}

/// `--idle` for a duration.
fn idle_argument(idle: Duration) -> String {
    format!("{}ms", idle.as_millis().max(1))
}

/// The running broker of a data directory, with a lease; `None` when none answers.
pub(super) fn find(folder: &Path, timeout: Duration) -> Result<Option<(AddressFile, Lease)>, Failure> {
    let Some(directory) = open_existing(folder)? else { return Ok(None) };
    let unknown = |error: io::Error| unreadable(folder, &error);
    let Some(broker) = AddressFile::read(&directory).map_err(unknown)? else { return Ok(None) };
    let lease = Lease::acquire(&broker, timeout.min(LEASE_TIMEOUT)).map_err(unknown)?;
    Ok(lease.map(|lease| (broker, lease)))
}

/// Finds the running broker of a data directory, or starts one.
pub(super) fn find_or_start(folder: &Path, starter: &Starter) -> Result<FoundBroker, Failure> {
    let deadline = Deadline::after(starter.timeout);
    let mut child: Option<Receiver<StartupMessage>> = None;
    let mut next_start = Deadline::after(Duration::ZERO);
    let mut notes = Vec::new();
    let (mut own, mut lock_holder) = (None, None);
    loop {
        starter.shutdown.check()?;
        // While a broker of this process is starting, its message says more than the file.
        if child.is_none()
            && let Some((broker, lease)) = find(folder, deadline.remaining().max(POLL_INTERVAL))?
        {
            return Ok(FoundBroker { started: own.as_ref() == Some(&broker.id), broker, lease, notes });
        }
        if deadline.has_passed() {
            return Err(no_broker(folder, starter.timeout, lock_holder));
        }
        if child.is_none() && next_start.has_passed() {
            child = Some(start(&open_or_create(folder)?, starter)?);
        }
        match child.as_ref().map_or(Err(RecvTimeoutError::Timeout), |child| child.recv_timeout(POLL_INTERVAL)) {
            Ok(StartupMessage::Ready { broker, notes: messages }) => {
                own = Some(broker.id);
                notes = messages;
                child = None;
                // It is listening. If it stops before it grants a lease, start the next one soon.
                next_start = Deadline::after(RESTART_PAUSE);
            }
            Ok(StartupMessage::Failed { code, message, hint }) => {
                let code = Code::of(code).unwrap_or(Code::Unexpected);
                return Err(Failure { hint, ..Failure::new(code, format!("{}: {message}", name_of(folder))) });
            }
            // Another broker is starting or stopping.
            Ok(StartupMessage::Locked { holder }) => {
                child = None;
                lock_holder = holder;
                next_start = Deadline::after(RESTART_PAUSE);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(died(folder)),
            Err(RecvTimeoutError::Timeout) if child.is_none() => clock::pause(POLL_INTERVAL),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn no_broker(folder: &Path, timeout: Duration, lock_holder: Option<u32>) -> Failure {
    let message = match lock_holder {
        Some(pid) => format!("process {pid} has the data directory locked and does not answer"),
        None => "no broker is listening yet".to_owned(),
    };
    Failure::new(
        Code::Unreachable,
        format!("{} did not start within {}: {message}", name_of(folder), duration(timeout)),
    )
    .hint(format!(
        "--timeout sets how long to wait; check {}, end the process, or use another directory with -b embedded:DIR",
        folder.join(LOG).display()
    ))
}

fn died(folder: &Path) -> Failure {
    Failure::new(Code::Unexpected, format!("{} exited at its start without a message", name_of(folder)))
        .hint(format!("check the end of {}", folder.join(LOG).display()))
}

/// Starts a broker that outlives this process. It has its own process group, which the terminal's Ctrl-C does not
/// reach, and none of this process's streams, so that a reader of a pipe does not wait for it.
fn start(directory: &Directory, starter: &Starter) -> Result<Receiver<StartupMessage>, Failure> {
    let folder = directory.path();
    let log = open_log(directory).map_err(|error| unwritable(&folder, &error))?;
    let mut command = Command::new(&starter.program);
    command
        .args(["broker", "--background", "--listen", "127.0.0.1:0", "--idle", &idle_argument(starter.idle), "--data"])
        .arg(&folder)
        // It does not keep a directory of the user in use, except for its own.
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0);
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(Code::Unexpected, format!("{} could not be started: {error}", starter.program.display()))
            .hint("start it in another terminal with `foodstream broker`, or use a Kafka with -b HOST:PORT")
    };
    let mut child = command.spawn().map_err(|error| failure(&error))?;
    let stdout = child.stdout.take().ok_or_else(|| failure(&"it has no stdout"))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line).is_ok()
            && let Ok(message) = serde_json::from_str(&line)
        {
            // The receiver is dropped when this process is about to end.
            drop(sender.send(message));
        }
        drop(sender);
        // Reaps the broker if it ends before this process.
        drop(child.wait());
    });
    Ok(receiver)
}

fn open_log(folder: &Directory) -> io::Result<File> {
    let file = folder.open_to_append(LOG)?;
    if file.metadata()?.len() > MAX_LOG_BYTES {
        file.set_len(0)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A shell instead of a broker: the first argument, `broker`, is the script that it runs.
    fn starter(folder: &Path, script: &str, timeout: Duration) -> Starter {
        open_or_create(folder).expect("made");
        fs::write(folder.join("broker"), script).expect("written");
        let idle = Duration::from_secs(30);
        Starter { program: "/bin/sh".into(), idle, timeout, shutdown: Shutdown::default() }
    }

    fn refused(script: &str, timeout: Duration) -> Failure {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".foodstream");
        find_or_start(&folder, &starter(&folder, script, timeout)).expect_err("refused")
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_failed_start_is_reported_with_its_message() {
        let word = StartupMessage::Failed {
            code: 7,
            message: "format 9 is newer".into(),
            hint: Some("get a newer one".into()),
        };
        let script = format!("echo '{}'", serde_json::to_string(&word).expect("written"));
        let failure = refused(&script, LONG);
        assert_eq!(failure.code, Code::Refused);
        assert!(
            failure.message.starts_with("the embedded broker over ") && failure.message.ends_with("format 9 is newer")
        );
        assert_eq!(failure.hint.as_deref(), Some("get a newer one"));
    }

    #[test]
    fn a_broker_that_dies_at_its_start_is_reported() {
        let failure = refused("echo oh no >&2; exit 1", LONG);
        assert_eq!(failure.code, Code::Unexpected);
        assert!(failure.hint.expect("a hint").contains(".foodstream/broker.log"));
    }

    #[test]
    fn a_silent_lock_holder_is_given_up() {
        let failure = refused("echo '{\"locked\":{\"holder\":4711}}'", Duration::from_millis(120));
        assert_eq!(failure.code, Code::Unreachable);
        assert!(failure.message.contains("process 4711 has the data directory locked"), "{failure}");
        assert!(failure.hint.expect("a hint").contains("-b embedded:DIR"));
    }

    #[test]
    fn a_signal_ends_the_wait_for_a_broker() {
        let home = tempfile::tempdir().expect("a folder");
        let starter = starter(home.path(), "echo '{\"locked\":{\"holder\":4711}}'", LONG);
        assert!(starter.shutdown.request(crate::shutdown::Signal::Interrupt));
        let failure = find_or_start(home.path(), &starter).expect_err("stopped");
        assert_eq!(failure.code, Code::Interrupted);
    }

    #[test]
    fn the_broker_gets_its_arguments_and_no_streams() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".foodstream");
        let script = "pwd >&2; for word in \"$@\"; do echo \"$word\" >&2; done";
        find_or_start(&folder, &starter(&folder, script, LONG)).expect_err("no broker");
        let folder = fs::canonicalize(folder).expect("made");
        let log = fs::read_to_string(folder.join(LOG)).expect("read");
        let folder = folder.display().to_string();
        let expected = ["--background", "--listen", "127.0.0.1:0", "--idle", "30000ms", "--data"];
        let expected: Vec<&str> = [&[folder.as_str()][..], &expected, &[folder.as_str()]].concat();
        assert_eq!(log.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_missing_program_is_reported() {
        let home = tempfile::tempdir().expect("a folder");
        let starter = Starter { program: home.path().join("gone"), ..starter(home.path(), "", LONG) };
        let failure = find_or_start(home.path(), &starter).expect_err("refused");
        assert!(failure.message.contains("gone could not be started"), "{failure}");
    }
}
