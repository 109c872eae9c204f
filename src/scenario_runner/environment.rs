//! Owns where a script is played: a private broker in memory, or a cluster under a prefix of its own; and its folder.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::broker::{BrokerConfig, Server};
use crate::exit::{Code, Failure};
use crate::kafka::{Admin, Connection, Inspector};
use crate::shutdown::Shutdown;
use crate::topics::Names;

/// Where a script is played. What it leaves in its folder is gone with it.
pub struct Environment {
    /// How to reach its broker.
    pub connection: Connection,
    /// The names behind its prefix.
    pub names: Names,
    /// Whether the broker is a private one.
    pub embedded: bool,
    /// The lines of a properties file by which the processes reach the broker.
    properties: String,
    folder: TempDir,
    server: Option<Server>,
    runtime: Handle,
}

impl Environment {
    /// A broker in memory, of nobody else.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or there is no room for a folder.
    pub fn embedded(common: &Connection, prefix: &str, runtime: &Handle) -> Result<Self, Failure> {
        let server = runtime
            .block_on(Server::start(BrokerConfig::in_memory()))
            .map_err(|error| Failure::new(Code::Unexpected, format!("a private broker cannot be started: {error}")))?;
        let mut connection = common.clone();
        connection.use_broker(server.address().to_string(), Some("the script's private broker".to_owned()));
        Self::of(connection, Names::new(prefix), true, Some(server), runtime)
    }

    /// A cluster, where nothing but what begins with the prefix is touched.
    ///
    /// # Errors
    ///
    /// With exit code 8 when there is no room for a folder.
    pub fn cluster(connection: &Connection, prefix: String, runtime: &Handle) -> Result<Self, Failure> {
        Self::of(connection.clone(), Names::new(prefix), false, None, runtime)
    }

    fn of(
        connection: Connection,
        names: Names,
        embedded: bool,
        server: Option<Server>,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Code::Output, format!("no folder for the script's processes: {error}"))
                .hint("make room in the system's temporary folder, or name another with TMPDIR")
        };
        // What the processes leave in it is this user's, whatever the umask says.
        let permissions = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix("foodstream-scenario-")
            .permissions(permissions)
            .tempdir()
            .map_err(failed)?;
        let properties = properties_of(&connection);
        Ok(Self { connection, names, embedded, properties, folder, server, runtime: runtime.clone() })
    }

    /// Where the processes work and write.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How the processes reach the broker: secrets among it, and therefore told to each on its stdin. A file would stay when this
    /// process is killed, and a command line or an environment can be read by others.
    #[must_use]
    pub fn properties(&self) -> &str {
        &self.properties
    }

    /// A topic or group of this place, by its name without a prefix.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        format!("{}{name}", self.names.prefix())
    }

    /// The command line that shows the same by hand.
    #[must_use]
    pub fn by_hand(&self, typed: &str) -> String {
        let mut line = format!("foodstream {typed}");
        if !self.embedded {
            line.push_str(" -b ");
            line.push_str(self.connection.bootstrap());
        }
        if !self.names.prefix().is_empty() {
            line.push_str(" --prefix ");
            line.push_str(self.names.prefix());
        }
        line
    }

    /// Deletes what the script's processes have made on a cluster: the topics at once, the groups as far as they are empty.
    ///
    /// A process that was killed stays a member until its session expires. Its group has lost its offsets with the topics
    /// then, and the broker forgets a group that has neither.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer, 5 when it refuses.
    pub fn remove(&self) -> Result<(), Failure> {
        let admin = Admin::open(&self.connection, &self.runtime, &Shutdown::default())?;
        let topics = self.names.topics();
        admin.delete_topics(&topics)?;
        let inspector = Inspector::open(&self.connection, &self.names.inventory_group(None), &Shutdown::default())?;
        inspector.delete_groups(&self.names.groups())?;
        Ok(inspector.wait_deleted(&topics)?)
    }

    /// What every process is given beside the words of its step: no secret among them, as everybody may see them.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = ["--output", "json", "--progress", "none", "--leash"].map(str::to_owned).into();
        if self.connection.timeout_is_explicit {
            let timeout = humantime::format_duration(self.connection.timeout).to_string();
            words.extend(["--timeout".to_owned(), timeout.replace(' ', "")]);
        }
        if !self.names.prefix().is_empty() {
            words.extend(["--prefix".to_owned(), self.names.prefix().to_owned()]);
        }
        words
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // In memory: there is nothing that a failed end could lose.
            self.runtime.block_on(server.stop()).unwrap_or_default();
        }
    }
}

/// The user's properties for the processes, in the form of a properties file.
fn properties_of(connection: &Connection) -> String {
    let mut text = String::new();
    let mut written: Vec<&str> = Vec::new();
    for (key, _) in &connection.properties {
        if let (false, Some(value)) = (written.contains(&key.as_str()), connection.property(key)) {
            written.push(key);
            // A string takes every text.
            writeln!(text, "{key}={}", value.replace('\\', "\\\\").replace('\n', "\\n")).unwrap_or_default();
        }
    }
    text
}
