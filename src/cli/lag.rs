//! Arguments of `lag`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use humantime::Duration;

use super::value_parsers::duration;

#[derive(Debug, Clone, Args)]
pub struct Lag {
    /// Name of a consumer group, used without adding --prefix; repeatable [default: the two groups of this prefix]
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// Every group of the cluster, in one line each, by lag
    #[arg(long, conflicts_with = "group")]
    pub all_groups: bool,
    /// All partitions of each group; with `--all-groups`, also the groups without lag
    #[arg(long)]
    pub full: bool,
    /// Name of a topic, used without adding --prefix; repeatable [default: all topics with offsets of the group]
    ///
    /// `NAME:0,1` selects some of its partitions.
    #[arg(long, value_name = "NAME[:PARTITIONS]")]
    pub topic: Vec<String>,
    /// Offset up to which lag is counted
    #[arg(long, value_enum, default_value = "read_committed")]
    pub isolation: LagIsolation,
    /// Repeat until stopped, every second or at this interval: a table on a terminal, one line per sample elsewhere
    // Not `allow_hyphen_values`, which would take the next option as the interval.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "1s", allow_negative_numbers = true,
        value_parser = duration)]
    pub watch: Option<Duration>,
    /// Exit with code 3 if a group's lag meets this condition, as in `>1000` (messages) or `>30s`, or cannot be
    /// determined; ends --watch
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    pub fail_if: Option<String>,
    /// With `--fail-if`: missing groups and missing offsets are not a failure
    #[arg(long, requires = "fail_if")]
    pub allow_missing: bool,
    /// Also write every sample to this file, one row per partition
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write a chart over time to one self-contained HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LagIsolation {
    /// The last stable offset, which a `read_committed` consumer can read up to
    ReadCommitted,
    /// The high watermark, as in kafka-consumer-groups
    ReadUncommitted,
}
