//! Test environment: a topic prefix, a working directory, and the program run in it. `inspect.rs` reads from the broker
//! and `mutations.rs` changes it, both without the program's code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clients::Clients;

pub use super::inspect::StoredRecord;
pub use super::mutations::NewRecord;
pub use super::process::{Run, Running};

/// Time limit of a single step.
pub const STEP_TIMEOUT: Duration = Duration::from_mins(3);

/// Polls until `holds` returns a value; panics after the time limit.
pub fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(start.elapsed() < STEP_TIMEOUT, "timed out after {STEP_TIMEOUT:?} waiting until {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Runs one of Kafka's own tools; returns its stdout.
pub fn kafka_tool(servers: &str, name: &str, args: &str) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    let output = Command::new(script)
        .args(["tool", name, "--bootstrap-server", servers])
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("the tool runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {args}:\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// Broker address, topic prefix and working directory of one test.
pub struct TestEnv {
    pub broker: String,
    pub prefix: String,
    dir: tempfile::TempDir,
    pub(super) clients: Clients,
}

impl TestEnv {
    pub fn new(name: &str, broker: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        Self {
            broker: broker.to_owned(),
            prefix: format!("t{since}-{}-{number}-{name}.", std::process::id()),
            dir: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// An environment with a longer prefix and another directory.
    pub fn other(&self, name: &str) -> Self {
        Self {
            broker: self.broker.clone(),
            prefix: format!("{}{name}.", self.prefix),
            dir: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// An environment with this prefix.
    pub fn named(&self, prefix: &str) -> Self {
        let mut env = self.other("");
        prefix.clone_into(&mut env.prefix);
        env
    }

    /// An environment on another broker.
    pub fn on(&self, broker: &str) -> Self {
        let mut env = self.other("");
        broker.clone_into(&mut env.broker);
        env
    }

    /// The same topics through another address of the broker, such as a proxy.
    pub fn through(&self, address: &str) -> Self {
        let mut env = self.named(&self.prefix);
        address.clone_into(&mut env.broker);
        env
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The program with these arguments.
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(args.split_whitespace())
            .args(["-b", &self.broker, "--prefix", &self.prefix])
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn start(&self, args: &str) -> Running {
        Running::start(self.command(args), args)
    }

    pub fn run(&self, args: &str) -> Run {
        self.start(args).end()
    }

    /// The JSON document of a command that exits 0.
    pub fn document(&self, args: &str) -> Value {
        self.run(&format!("{args} --output json")).expect(0).document()
    }

    /// Whether the broker is a Kafka, for which Kafka's own tools are available.
    pub fn is_kafka(&self) -> bool {
        super::brokers::named().is_some_and(|named| named == self.broker)
    }

    /// Runs one of Kafka's own tools; returns its stdout.
    pub fn tool(&self, name: &str, args: &str) -> String {
        kafka_tool(&self.broker, name, args)
    }
}
