//! Owns what can be typed after `analytics`.

use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::duration;
use crate::workload::Rate;

/// `analytics`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Analytics {
    /// One pass at scan speed over the whole log; the result becomes the group's state and offsets
    #[arg(long, conflicts_with_all = ["until_end", "throttle", "instance_id", "resume_from_state", "start_over"])]
    pub from_beginning: bool,
    /// With --from-beginning: leave the group alone
    #[arg(long, requires = "from_beginning")]
    pub no_commit: bool,
    /// Stop when the group has reached the ends that the partitions have now
    #[arg(long)]
    pub until_end: bool,
    /// Take no more than this many records in a time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// How often the live metrics are shown
    #[arg(long, value_name = "DURATION", default_value = "5s", allow_hyphen_values = true, value_parser = duration)]
    pub every: Duration,
    /// Where the report goes at the end
    #[arg(long, value_name = "FILE", default_value = "metrics_output.txt")]
    pub metrics_file: PathBuf,
    /// All rows of the answer's tables; of more than 10000 minutes or restaurants it has 10000 otherwise
    #[arg(long)]
    pub full: bool,
    /// How long records are collected in a transaction
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration, hide = true)]
    pub commit_interval: Duration,
    /// Name of this instance: a restart under it takes over at once, a second process under it fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// Commit the state's position where the group's offset differs, and go on from there
    #[arg(long)]
    pub resume_from_state: bool,
    /// Where a topic was deleted and created again: count it from its first record on
    #[arg(long)]
    pub start_over: bool,
    /// The consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
