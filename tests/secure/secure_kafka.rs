//! The secure Kafka under test: listeners, client files, users, and runs of the program as a user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::grants::{Admin, Grant};
use super::process::Run;

/// The program's `--timeout`. A refusal must take less time.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The password of every user that the tests create.
const PASSWORD: &str = "correct horse";

pub struct SecureKafka {
    dir: PathBuf,
    admin: Admin,
}

impl SecureKafka {
    /// Opens the directory that `scripts/kafka start --secure` prints.
    pub fn open(dir: PathBuf) -> Self {
        let config = configuration(&read(&dir.join("admin.properties")));
        Self { admin: Admin::open(&config), dir }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The address of a listener by its name.
    pub fn listener(&self, name: &str) -> String {
        let listeners = read(&self.file("listeners"));
        let line = listeners.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).expect("a listener");
        line.to_owned()
    }

    /// Creates users and ACLs in two calls, and waits until the broker knows them. Its controller has accepted them a
    /// moment before.
    pub fn create_users(&self, users: &[String], grants: &[Grant]) {
        // Create the users last: a broker that knows them also knows the ACLs.
        if !grants.is_empty() {
            self.admin.grant(grants);
        }
        self.admin.create_users(users, PASSWORD);
        if let Some(user) = users.last() {
            self.until_known(user);
        }
    }

    fn until_known(&self, user: &str) {
        let config = configuration(&self.properties(user));
        let begun = Instant::now();
        // A client that was refused retries slowly, so each attempt uses a new one.
        while !logs_in(&config) {
            assert!(begun.elapsed() < TIMEOUT, "{user} is not known to the broker");
        }
    }

    /// The client file of a user that the tests created.
    fn properties(&self, user: &str) -> String {
        let of_another = read(&self.file("foodstream.properties"));
        of_another
            .lines()
            .map(|line| match line.split_once('=').expect("a property").0 {
                "sasl.username" => format!("sasl.username={user}\n"),
                "sasl.password" => format!("sasl.password={PASSWORD}\n"),
                _ => format!("{line}\n"),
            })
            .collect()
    }

    /// A new topic prefix and working directory.
    pub fn env(&'static self, name: &str) -> TestEnv {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        TestEnv {
            kafka: self,
            prefix: format!("s{since}-{number}-{name}."),
            dir: tempfile::tempdir().expect("a folder"),
        }
    }
}

fn configuration(properties: &str) -> ClientConfig {
    let property = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    properties.lines().map(|line| property(line).expect("a property")).collect()
}

fn logs_in(config: &ClientConfig) -> bool {
    let client: BaseConsumer = config.create().expect("a client");
    client.fetch_metadata(Some("none"), Duration::from_millis(500)).is_ok()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A topic prefix and a working directory on the secure Kafka.
pub struct TestEnv {
    pub kafka: &'static SecureKafka,
    pub prefix: String,
    dir: tempfile::TempDir,
}

impl TestEnv {
    /// A user name with the prefix.
    pub fn user(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Runs the program with a client file and arguments; returns the time it took.
    pub fn run_with(&self, file: &Path, args: &str) -> (Run, Duration) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
        command
            .args(args.split_whitespace())
            .arg("-F")
            .arg(file)
            .args(["--prefix", &self.prefix])
            .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
            .current_dir(self.dir.path());
        if !args.contains("--timeout") {
            command.arg("--timeout").arg(format!("{}s", TIMEOUT.as_secs()));
        }
        let start = Instant::now();
        let run = Run::of(command, args);
        (run, start.elapsed())
    }

    /// Runs the program as the super user.
    pub fn run_as_admin(&self, args: &str) -> Run {
        self.run_with(&self.kafka.file("admin.properties"), args).0.expect(0)
    }

    /// Runs the program as a user that the tests created.
    pub fn run_as(&self, user: &str, args: &str) -> (Run, Duration) {
        let file = self.dir.path().join(format!("{user}.properties"));
        std::fs::write(&file, self.kafka.properties(user)).expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("private");
        self.run_with(&file, args)
    }

    /// Runs one of Kafka's own tools as the super user; returns its stdout.
    pub fn tool(args: &[String]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let output = Command::new(script).arg("tool").args(args).stdin(Stdio::null()).output().expect("the tool runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}:\n{stdout}\n{stderr}");
        stdout.into_owned()
    }
}
