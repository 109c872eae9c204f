//! Owns what can be typed after `broker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, host_and_port, listen};
use crate::local_broker::DEFAULT_DIRECTORY;

/// `broker`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Broker {
    /// Where it listens; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9092", value_parser = listen)]
    pub listen: SocketAddr,
    /// Folder of its data
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub data: PathBuf,
    /// Keep everything in memory, gone with the process
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// What clients are told to connect to, where it differs from --listen
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub advertise: Option<(String, u16)>,
    /// Flush to the disk before anything is acknowledged
    #[arg(long)]
    pub fsync: bool,
    /// Leave this long after the last client [default: never]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub idle: Option<Duration>,
    /// Tell what runs over the folder: exit 0 if a broker does, 3 if none
    #[arg(long, conflicts_with_all = ["stop", "memory", "listen", "advertise", "fsync", "idle"])]
    pub status: bool,
    /// End the broker over the folder and wait until it is gone; none running is no error
    #[arg(long, conflicts_with_all = ["memory", "listen", "advertise", "fsync", "idle"])]
    pub stop: bool,
    /// What commands start: the first line on stdout is for them
    #[arg(long, hide = true, conflicts_with_all = ["status", "stop", "memory"])]
    pub background: bool,
}
