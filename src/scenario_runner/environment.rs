//! Environment of a run: a private in-memory broker, or a cluster with a prefix for this run; and a temporary
//! directory.

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

/// The broker and the directory of a run. Dropping it stops a private broker and deletes the directory.
pub struct Environment {
    /// The connection to the broker.
    pub connection: Connection,
    /// Names of topics and groups with the run's prefix.
    pub names: Names,
    /// Whether the broker is a private embedded one.
    pub embedded: bool,
    /// The client properties of the processes, in the format of a properties file.
    properties: String,
    directory: TempDir,
    server: Option<Server>,
    runtime: Handle,
}

impl Environment {
    /// A private broker in memory.
    ///
    /// # Errors
    ///
    /// When the broker cannot listen, or the directory cannot be created.
    pub fn embedded(common: &Connection, prefix: &str, runtime: &Handle) -> Result<Self, Failure> {
        let server = runtime
            .block_on(Server::start(BrokerConfig::in_memory()))
            .map_err(|error| Failure::new(Code::Unexpected, format!("cannot start a private broker: {error}")))?;
        let mut connection = common.clone();
        connection.use_broker(server.address().to_string(), Some("the script's private broker".to_owned()));
        Self::of(connection, Names::new(prefix), true, Some(server), runtime)
    }

    /// A cluster. Only topics and groups with the prefix are changed.
    ///
    /// # Errors
    ///
    /// With exit code 8 when the directory cannot be created.
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
            Failure::new(Code::Output, format!("cannot create a directory for the script's processes: {error}"))
                .hint("free space in the temporary directory, or set TMPDIR to another one")
        };
        // Files of the processes are readable for this user only, whatever the umask is.
        let permissions = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .prefix("foodstream-scenario-")
            .permissions(permissions)
            .tempdir()
            .map_err(failed)?;
        let properties = properties_text(&connection);
        Ok(Self { connection, names, embedded, properties, directory, server, runtime: runtime.clone() })
    }

    /// The working directory of the processes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The client properties of the processes. They may contain secrets, so each process reads them from its stdin: a
    /// file would remain if this process were killed, and other users may read command lines and environments.
    #[must_use]
    pub fn properties(&self) -> &str {
        &self.properties
    }

    /// The name of a topic or group with the run's prefix.
    #[must_use]
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.names.prefix())
    }

    /// The command line that runs the same step in a shell.
    #[must_use]
    pub fn shell_command(&self, command_line: &str) -> String {
        let mut line = format!("foodstream {command_line}");
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

    /// Deletes the topics of the run and its empty groups from a cluster.
    ///
    /// A killed process remains a member until its session expires. By then its group has lost its offsets with the
    /// topics, and the broker removes a group that has neither members nor offsets.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer, 5 when it denies the request.
    pub fn remove(&self) -> Result<(), Failure> {
        let admin = Admin::open(&self.connection, &self.runtime, &Shutdown::default())?;
        let topics = self.names.topics();
        admin.delete_topics(&topics)?;
        let inspector = Inspector::open(&self.connection, &self.names.inventory_group(None), &Shutdown::default())?;
        inspector.delete_groups(&self.names.groups())?;
        Ok(inspector.wait_deleted(&topics)?)
    }

    /// Arguments that every process gets in addition to those of its step. No secrets: command lines are visible to
    /// other users.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["--output", "json", "--progress", "none", "--leash"].map(str::to_owned).into();
        if self.connection.timeout_is_explicit {
            let timeout = humantime::format_duration(self.connection.timeout).to_string();
            arguments.extend(["--timeout".to_owned(), timeout.replace(' ', "")]);
        }
        if !self.names.prefix().is_empty() {
            arguments.extend(["--prefix".to_owned(), self.names.prefix().to_owned()]);
        }
        arguments
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // An in-memory broker has no data to lose, so errors do not matter.
            self.runtime.block_on(server.stop()).unwrap_or_default();
        }
    }
}

/// The client properties of a connection, in the format of a properties file.
fn properties_text(connection: &Connection) -> String {
    let mut text = String::new();
    let mut written: Vec<&str> = Vec::new();
    for (key, _) in &connection.properties {
        if let (false, Some(value)) = (written.contains(&key.as_str()), connection.property(key)) {
            written.push(key);
            // Writing to a string cannot fail.
            writeln!(text, "{key}={}", value.replace('\\', "\\\\").replace('\n', "\\n")).unwrap_or_default();
        }
    }
    text
}
