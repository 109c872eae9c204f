//! Owns how a process comes to the broker over a folder: by its address file, or by starting one in the background.
//!
//! Any number may start at once. Each of their brokers wants the folder's lock, one gets it, and the others end without a
//! word; everybody finds the one that is left by the address file.

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

/// What the background broker writes to; the parent tells a failure, this has what led to it.
const LOG: &str = "broker.log";

/// A log as large as this is begun anew at the next start.
const LONGEST_LOG: u64 = 1 << 20;

/// How long a broker has to say that it may be held; a port that somebody else took after it died may say nothing.
const ANSWER: Duration = Duration::from_secs(2);

/// Between two looks at the address file.
const LOOK: Duration = Duration::from_millis(2);

/// Between two starts while a broker that neither answers nor leaves has the lock.
const START_AGAIN: Duration = Duration::from_millis(50);

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct Starter {
    /// This program.
    pub program: PathBuf,
    /// How long the broker stays after its last client.
    pub idle: Duration,
    /// How long all of it may take.
    pub timeout: Duration,
    /// The user may not want to wait.
    pub shutdown: Shutdown,
}

/// A broker that is held.
#[derive(Debug)]
pub struct FoundBroker {
    /// Where it is.
    pub broker: AddressFile,
    /// Keeps it.
    pub lease: Lease,
    /// Whether it was started for this process.
    pub started: bool,
    /// What it had to tell about its data at its start.
    pub notes: Vec<String>,
}

/// The one line by which a background broker tells its parent how its start went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartupMessage {
    /// It listens.
    Ready {
        /// Where.
        broker: AddressFile,
        /// What its data had to be told.
        notes: Vec<String>,
    },
    /// Another one has the folder, and is the broker then.
    Locked {
        /// Its process, if it is known.
        holder: Option<u32>,
    },
    /// It cannot.
    Failed {
        /// The exit code.
        code: u8,
        /// Why.
        message: String,
        /// The way on.
        hint: Option<String>,
    },
}

/// A duration as the command line takes it.
fn idle_argument(idle: Duration) -> String {
    format!("{}ms", idle.as_millis().max(1))
}

/// The running broker over a folder, held; `None` when none answers.
pub(super) fn find(folder: &Path, timeout: Duration) -> Result<Option<(AddressFile, Lease)>, Failure> {
    let Some(directory) = open_existing(folder)? else { return Ok(None) };
    let unknown = |error: io::Error| unreadable(folder, &error);
    let Some(broker) = AddressFile::read(&directory).map_err(unknown)? else { return Ok(None) };
    let lease = Lease::acquire(&broker, timeout.min(ANSWER)).map_err(unknown)?;
    Ok(lease.map(|lease| (broker, lease)))
}

/// The broker over a folder: the running one, or one that is started.
pub(super) fn find_or_start(folder: &Path, starter: &Starter) -> Result<FoundBroker, Failure> {
    let deadline = Deadline::after(starter.timeout);
    let mut child: Option<Receiver<StartupMessage>> = None;
    let mut next_start = Deadline::after(Duration::ZERO);
    let mut notes = Vec::new();
    let (mut own, mut rival) = (None, None);
    loop {
        starter.shutdown.check()?;
        // While one is starting for this process its own word is awaited, which says more than the file.
        if child.is_none()
            && let Some((broker, lease)) = find(folder, deadline.remaining().max(LOOK))?
        {
            return Ok(FoundBroker { started: own.as_ref() == Some(&broker.id), broker, lease, notes });
        }
        if deadline.has_passed() {
            return Err(no_broker(folder, starter.timeout, rival));
        }
        if child.is_none() && next_start.has_passed() {
            child = Some(start(&open_or_create(folder)?, starter)?);
        }
        match child.as_ref().map_or(Err(RecvTimeoutError::Timeout), |child| child.recv_timeout(LOOK)) {
            Ok(StartupMessage::Ready { broker, notes: told }) => {
                own = Some(broker.id);
                notes = told;
                child = None;
                // It is there; should it be gone again before it is asked, the next one is not far.
                next_start = Deadline::after(START_AGAIN);
            }
            Ok(StartupMessage::Failed { code, message, hint }) => {
                let code = Code::of(code).unwrap_or(Code::Unexpected);
                return Err(Failure { hint, ..Failure::new(code, format!("{}: {message}", name_of(folder))) });
            }
            // It is another's broker, which is about to listen, or about to be gone.
            Ok(StartupMessage::Locked { holder }) => {
                child = None;
                rival = holder;
                next_start = Deadline::after(START_AGAIN);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(died(folder)),
            Err(RecvTimeoutError::Timeout) if child.is_none() => clock::pause(LOOK),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn no_broker(folder: &Path, timeout: Duration, rival: Option<u32>) -> Failure {
    let message = match rival {
        Some(pid) => format!("process {pid} has its folder and does not say where it listens"),
        None => "it did not say that it listens".to_owned(),
    };
    Failure::new(Code::Unreachable, format!("{}: not within {timeout:?}: {message}", name_of(folder))).hint(format!(
        "--timeout sets how long to wait; look at {}, end the process, or take another folder with -b embedded:DIR",
        folder.join(LOG).display()
    ))
}

fn died(folder: &Path) -> Failure {
    Failure::new(Code::Unexpected, format!("{} ended at its start without saying why", name_of(folder)))
        .hint(format!("look at the end of {}", folder.join(LOG).display()))
}

/// Starts a broker that outlives this process: in a process group of its own, where the terminal's Ctrl-C is not heard,
/// and with none of this process's streams, so that nobody waits for it at the end of a pipe.
fn start(directory: &Directory, starter: &Starter) -> Result<Receiver<StartupMessage>, Failure> {
    let folder = directory.path();
    let log = open_log(directory).map_err(|error| unwritable(&folder, &error))?;
    let mut command = Command::new(&starter.program);
    command
        .args(["broker", "--background", "--listen", "127.0.0.1:0", "--idle", &idle_argument(starter.idle), "--data"])
        .arg(&folder)
        // It keeps no folder of the user's busy but its own.
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0);
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(Code::Unexpected, format!("{} cannot be started: {error}", starter.program.display()))
            .hint("start it in another terminal with `foodstream broker`, or name a Kafka with -b HOST:PORT")
    };
    let mut child = command.spawn().map_err(|error| failure(&error))?;
    let stdout = child.stdout.take().ok_or_else(|| failure(&"it has no stdout"))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line).is_ok()
            && let Ok(word) = serde_json::from_str(&line)
        {
            // Nobody listens any more when this process is about to end.
            drop(sender.send(word));
        }
        drop(sender);
        // A process that lives longer than its broker does not keep it as a zombie.
        drop(child.wait());
    });
    Ok(receiver)
}

fn open_log(folder: &Directory) -> io::Result<File> {
    let file = folder.open_to_append(LOG)?;
    if file.metadata()?.len() > LONGEST_LOG {
        file.set_len(0)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A shell that does this instead of being a broker: `broker`, the first word it is told, is its script.
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
    fn why_a_broker_could_not_start_is_told_as_it_told_it() {
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
    fn a_broker_that_dies_at_its_start_is_told_with_its_log() {
        let failure = refused("echo oh no >&2; exit 1", LONG);
        assert_eq!(failure.code, Code::Unexpected);
        assert!(failure.hint.expect("a hint").contains(".foodstream/broker.log"));
    }

    #[test]
    fn a_folder_whose_holder_stays_silent_is_given_up_within_the_timeout() {
        let failure = refused("echo '{\"locked\":{\"holder\":4711}}'", Duration::from_millis(120));
        assert_eq!(failure.code, Code::Unreachable);
        assert!(failure.message.contains("process 4711 has its folder"), "{failure}");
        assert!(failure.hint.expect("a hint").contains("-b embedded:DIR"));
    }

    #[test]
    fn who_wants_to_stop_does_not_wait_for_a_broker() {
        let home = tempfile::tempdir().expect("a folder");
        let starter = starter(home.path(), "echo '{\"locked\":{\"holder\":4711}}'", LONG);
        assert!(starter.shutdown.request(crate::shutdown::Signal::Interrupt));
        let failure = find_or_start(home.path(), &starter).expect_err("stopped");
        assert_eq!(failure.code, Code::Interrupted);
    }

    #[test]
    fn the_broker_is_told_where_and_how_long_and_sees_none_of_this_process() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".foodstream");
        let script = "pwd >&2; for word in \"$@\"; do echo \"$word\" >&2; done";
        find_or_start(&folder, &starter(&folder, script, LONG)).expect_err("no broker");
        let folder = fs::canonicalize(folder).expect("made");
        let log = fs::read_to_string(folder.join(LOG)).expect("read");
        let folder = folder.display().to_string();
        let told = ["--background", "--listen", "127.0.0.1:0", "--idle", "30000ms", "--data"];
        let told: Vec<&str> = [&[folder.as_str()][..], &told, &[folder.as_str()]].concat();
        assert_eq!(log.lines().collect::<Vec<_>>(), told);
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let home = tempfile::tempdir().expect("a folder");
        let starter = Starter { program: home.path().join("gone"), ..starter(home.path(), "", LONG) };
        let failure = find_or_start(home.path(), &starter).expect_err("refused");
        assert!(failure.message.contains("gone cannot be started"), "{failure}");
    }
}
