//! Owns which broker a command talks to where nobody says, and how the processes of a folder share the embedded one:
//! the question to `localhost:9092`, the address file, the control line, the start in the background.
//!
//! Rank 22. It finds a broker or starts a process that is one; being one is `commands/broker/mod.rs`.

mod address_file;
mod background;
mod control_connection;
mod data_directory;
mod kafka_probe;
mod selection;
mod status;

use std::path::{Path, PathBuf};

pub use address_file::AddressFile;
pub use background::{Starter, StartupMessage};
pub use control_connection::{ControlRequest, Lease, Leases, StopResult, serve, status, stop};
pub use data_directory::{distrusted, open_existing, open_or_create, unreadable, unwritable};
pub use selection::{SelectionMessage, select_broker};
pub use status::{BrokerDocument, GroupRow, TopicRow, broker_report};

use crate::exit::{Code, Failure};

/// The folder of the embedded broker where none is named, in the working directory.
pub const DEFAULT_DIRECTORY: &str = ".foodstream";

/// Where a Kafka is looked for before the embedded broker is started.
pub const KAFKA: &str = "localhost:9092";

/// What was said about the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerTarget {
    /// An address, which is used and nothing else.
    Address,
    /// The embedded broker over this folder, by name.
    Embedded(PathBuf),
    /// Nothing.
    Auto,
}

impl BrokerTarget {
    /// What the bootstrap servers say, if anybody gave them.
    ///
    /// # Errors
    ///
    /// With exit code 2 for `embedded:` without a folder.
    pub fn parse(servers: Option<&str>) -> Result<Self, Failure> {
        let Some(servers) = servers else { return Ok(Self::Auto) };
        match servers.trim().strip_prefix("embedded") {
            Some("") => Ok(Self::Embedded(DEFAULT_DIRECTORY.into())),
            Some(":") => Err(Failure::new(Code::Usage, "-b embedded: names no folder")
                .hint("as in -b embedded:DIR; -b embedded is the one over .foodstream")),
            Some(rest) => Ok(rest.strip_prefix(':').map_or(Self::Address, |folder| Self::Embedded(folder.into()))),
            None => Ok(Self::Address),
        }
    }
}

/// The embedded broker over a folder, as messages name it.
#[must_use]
pub fn name_of(folder: &Path) -> String {
    format!("the embedded broker over {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_is_a_word_and_everything_else_an_address() {
        let of = |servers| BrokerTarget::parse(servers).expect("meant");
        assert_eq!(of(None), BrokerTarget::Auto);
        assert_eq!(of(Some("embedded")), BrokerTarget::Embedded(".foodstream".into()));
        assert_eq!(of(Some("embedded:/var/lab 1")), BrokerTarget::Embedded("/var/lab 1".into()));
        assert_eq!(of(Some("embedded.example.org:9092")), BrokerTarget::Address);
        assert_eq!(of(Some("localhost:9092")), BrokerTarget::Address);
        assert_eq!(BrokerTarget::parse(Some("embedded:")).expect_err("refused").code, Code::Usage);
    }
}
