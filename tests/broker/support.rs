//! Owns a laboratory: a topic prefix and a folder of its own, and the program run in it. What is on its broker is looked
//! at in `looks.rs` and changed in `changes.rs`, neither through the program's own code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clients::Clients;

pub use super::changes::Put;
pub use super::looks::Stored;
pub use super::process::{Run, Running};

/// No single step of a test takes longer; whoever hits it has found a hang.
pub const BOUND: Duration = Duration::from_mins(3);

/// Waits until something holds, and fails with what was missing.
pub fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(start.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// One of Kafka's own tools, run on the cluster of these bootstrap servers; its stdout, if it succeeds.
pub fn kafka_tool(servers: &str, name: &str, words: &str) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    let output = Command::new(script)
        .args(["tool", name, "--bootstrap-server", servers])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("the tool runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {words}:\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// One test's place on the broker and on disk.
pub struct Lab {
    pub broker: String,
    pub prefix: String,
    folder: tempfile::TempDir,
    pub(super) clients: Clients,
}

impl Lab {
    pub fn new(name: &str, broker: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        Self {
            broker: broker.to_owned(),
            prefix: format!("t{since}-{}-{number}-{name}.", std::process::id()),
            folder: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// Another topic set of the same test.
    pub fn other(&self, name: &str) -> Self {
        Self {
            broker: self.broker.clone(),
            prefix: format!("{}{name}.", self.prefix),
            folder: tempfile::tempdir().expect("a folder"),
            clients: Clients::default(),
        }
    }

    /// A topic set with this prefix.
    pub fn named(&self, prefix: &str) -> Self {
        let mut lab = self.other("");
        prefix.clone_into(&mut lab.prefix);
        lab
    }

    /// The same place on another broker.
    pub fn on(&self, broker: &str) -> Self {
        let mut lab = self.other("");
        broker.clone_into(&mut lab.broker);
        lab
    }

    /// The same topics through another address of the broker, as that of a proxy before it.
    pub fn through(&self, address: &str) -> Self {
        let mut lab = self.named(&self.prefix);
        address.clone_into(&mut lab.broker);
        lab
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The program with the words of a command line, in this laboratory.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(words.split_whitespace())
            .args(["-b", &self.broker, "--prefix", &self.prefix])
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn start(&self, words: &str) -> Running {
        Running::start(self.command(words), words)
    }

    pub fn run(&self, words: &str) -> Run {
        self.start(words).end()
    }

    /// The JSON document of a command that ends with 0.
    pub fn document(&self, words: &str) -> Value {
        self.run(&format!("{words} --output json")).expect(0).document()
    }

    /// Whether the broker is a Kafka, to which Kafka's own tools belong.
    pub fn is_kafka(&self) -> bool {
        super::brokers::named().is_some_and(|named| named == self.broker)
    }

    /// One of Kafka's own tools; its stdout.
    pub fn tool(&self, name: &str, words: &str) -> String {
        kafka_tool(&self.broker, name, words)
    }
}
