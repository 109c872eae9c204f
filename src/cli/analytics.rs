//! Arguments of `analytics`.

use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::duration;
use crate::workload::Rate;

#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Analytics {
    /// Count the whole log in one fast pass, then make the result the group's state and offsets
    #[arg(long, conflicts_with_all = ["until_end", "throttle", "instance_id", "resume_from_state", "start_over"])]
    pub from_beginning: bool,
    /// With --from-beginning: do not change the group
    #[arg(long, requires = "from_beginning")]
    pub no_commit: bool,
    /// Stop when the group has reached the current end of each partition
    #[arg(long)]
    pub until_end: bool,
    /// Read at most this many records per unit of time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// How often to show the live metrics
    #[arg(long, value_name = "DURATION", default_value = "5s", allow_hyphen_values = true, value_parser = duration)]
    pub every: Duration,
    /// Write the metrics report to this file at the end
    #[arg(long, value_name = "FILE", default_value = "metrics_output.txt")]
    pub metrics_file: PathBuf,
    /// Show all minutes, restaurants and partitions, as in the metrics file
    ///
    /// Without it, text has the totals, and JSON at most 10000 minutes and 10000 restaurants.
    #[arg(long)]
    pub full: bool,
    /// How long to collect records before a transaction is committed
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration, hide = true)]
    pub commit_interval: Duration,
    /// Static member name: a restarted process takes over at once, and a second process fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// If the group's offset and the state's position differ: commit the state's position and continue from it
    #[arg(long)]
    pub resume_from_state: bool,
    /// If a topic was deleted and created again: count it from its first record
    #[arg(long)]
    pub start_over: bool,
    /// Consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
