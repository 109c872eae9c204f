//! Owns the secure Kafka as the tests see it: its listeners, its client files, and the program run as some user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::grants::{Admin, Grant};
use super::process::Run;

/// What the program gets as `--timeout`; a refusal must not take as long.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The password of every user that the tests make.
const PASSWORD: &str = "correct horse";

/// A secure Kafka.
pub struct SecureKafka {
    dir: PathBuf,
    admin: Admin,
}

impl SecureKafka {
    /// By the folder that `scripts/kafka start --secure` prints.
    pub fn open(dir: PathBuf) -> Self {
        let config = configuration(&read(&dir.join("admin.properties")));
        Self { admin: Admin::open(&config), dir }
    }

    /// A client file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The address of a listener by its name.
    pub fn listener(&self, name: &str) -> String {
        let listeners = read(&self.file("listeners"));
        let line = listeners.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).expect("a listener");
        line.to_owned()
    }

    /// Makes users with rights, all in two calls, and waits until the broker knows them: its controller has taken them in a
    /// moment earlier.
    pub fn create_users(&self, users: &[String], grants: &[Grant]) {
        // Users last: who knows them knows what was granted before.
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
        // A client that was refused is slow to try again.
        while !logs_in(&config) {
            assert!(begun.elapsed() < TIMEOUT, "{user} is not known to the broker");
        }
    }

    /// The client file of a user that the tests made.
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

    /// A topic set of its own, with a folder for what commands leave.
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

/// A topic set on the site.
pub struct TestEnv {
    pub kafka: &'static SecureKafka,
    pub prefix: String,
    dir: tempfile::TempDir,
}

impl TestEnv {
    /// A user's name that no other place has.
    pub fn user(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The program with a client file and other words, in this place; how long it took.
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

    /// As the super user, who may do everything.
    pub fn run_as_admin(&self, args: &str) -> Run {
        self.run_with(&self.kafka.file("admin.properties"), args).0.expect(0)
    }

    /// As a user that the tests made.
    pub fn run_as(&self, user: &str, args: &str) -> (Run, Duration) {
        let file = self.dir.path().join(format!("{user}.properties"));
        std::fs::write(&file, self.kafka.properties(user)).expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("private");
        self.run_with(&file, args)
    }

    /// One of Kafka's own tools as the super user; its stdout.
    pub fn tool(args: &[String]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let output = Command::new(script).arg("tool").args(args).stdin(Stdio::null()).output().expect("the tool runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}:\n{stdout}\n{stderr}");
        stdout.into_owned()
    }
}
