//! Arguments of `broker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, host_and_port, listen};
use crate::local_broker::DEFAULT_DIRECTORY;

#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Broker {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9092", value_parser = listen)]
    pub listen: SocketAddr,
    /// Data directory
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub data: PathBuf,
    /// Keep all data in memory; it is lost when the process ends
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// Address that clients connect to, if it differs from --listen
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub advertise: Option<(String, u16)>,
    /// Flush to disk before acknowledging a write
    #[arg(long)]
    pub fsync: bool,
    /// Stop this long after the last client has left [default: never]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub idle: Option<Duration>,
    /// Show the broker that uses the data directory: exit code 0 if one is running, 3 if not
    #[arg(long, conflicts_with_all = ["stop", "memory", "listen", "advertise", "fsync", "idle"])]
    pub status: bool,
    /// Stop the broker that uses the data directory and wait for its end; no error if none is running
    #[arg(long, conflicts_with_all = ["memory", "listen", "advertise", "fsync", "idle"])]
    pub stop: bool,
    /// With --status: show all topics and groups
    #[arg(long, requires = "status")]
    pub full: bool,
    /// Started by another command, which reads the first line on stdout
    #[arg(long, hide = true, conflicts_with_all = ["status", "stop", "memory"])]
    pub background: bool,
}
