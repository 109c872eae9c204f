//! Local broker: selects the broker of a command, and finds, starts and holds the embedded one that processes share.
//!
//! A probe of `localhost:9092` comes first, then the address file in the data directory, then a start in the
//! background. Leases on the control connection keep the broker running.
//!
//! Layer 22. The broker process itself is `commands/broker/`.

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

/// The default data directory of the embedded broker, in the working directory.
pub const DEFAULT_DIRECTORY: &str = ".foodstream";

/// The address that is probed for a Kafka before the embedded broker is started.
pub const KAFKA: &str = "localhost:9092";

/// The broker that the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerTarget {
    /// An address.
    Address,
    /// The embedded broker with this data directory.
    Embedded(PathBuf),
    /// Not specified: a Kafka on this machine, or else the embedded broker.
    Auto,
}

impl BrokerTarget {
    /// Parses the bootstrap servers, if the user set them.
    ///
    /// # Errors
    ///
    /// With exit code 2 for `embedded:` without a directory.
    pub fn parse(servers: Option<&str>) -> Result<Self, Failure> {
        let Some(servers) = servers else { return Ok(Self::Auto) };
        match servers.trim().strip_prefix("embedded") {
            Some("") => Ok(Self::Embedded(DEFAULT_DIRECTORY.into())),
            Some(":") => Err(Failure::new(Code::Usage, "-b embedded: needs a directory")
                .hint("for example -b embedded:DIR; -b embedded uses .foodstream")),
            Some(rest) => Ok(rest.strip_prefix(':').map_or(Self::Address, |folder| Self::Embedded(folder.into()))),
            None => Ok(Self::Address),
        }
    }
}

/// The name of an embedded broker in messages.
#[must_use]
pub fn name_of(folder: &Path) -> String {
    format!("the embedded broker over {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_embedded_with_and_without_directory() {
        let of = |servers| BrokerTarget::parse(servers).expect("parsed");
        assert_eq!(of(None), BrokerTarget::Auto);
        assert_eq!(of(Some("embedded")), BrokerTarget::Embedded(".foodstream".into()));
        assert_eq!(of(Some("embedded:/var/lab 1")), BrokerTarget::Embedded("/var/lab 1".into()));
        assert_eq!(of(Some("embedded.example.org:9092")), BrokerTarget::Address);
        assert_eq!(of(Some("localhost:9092")), BrokerTarget::Address);
        assert_eq!(BrokerTarget::parse(Some("embedded:")).expect_err("refused").code, Code::Usage);
    }
}
