//! Owns what can be typed after `lag`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use humantime::Duration;

use super::value_parsers::duration;

/// `lag`
#[derive(Debug, Clone, Args)]
pub struct Lag {
    /// A consumer group, as the cluster knows it; may be repeated [default: the two groups of this prefix]
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// Only this topic, as the cluster knows it; may be repeated [default: all that the group has offsets for]
    ///
    /// `NAME:0,1` is some of its partitions.
    #[arg(long, value_name = "NAME[:PARTITIONS]")]
    pub topic: Vec<String>,
    /// Which end is counted to
    #[arg(long, value_enum, default_value = "read_committed")]
    pub isolation: LagIsolation,
    /// Look again this often, until stopped: a table on a terminal, a line per look elsewhere
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub watch: Option<Duration>,
    /// Exit 3 when this holds for a group or cannot be judged, as in `>1000` (messages) or `>30s`; ends a watch
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    pub fail_if: Option<String>,
    /// With `--fail-if`: a group or offsets that are not there let it pass
    #[arg(long, requires = "fail_if")]
    pub allow_missing: bool,
    /// Also write every look to this file, a row per partition
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also draw it over time on a page: one HTML file that loads nothing
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Which end of a partition lag is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LagIsolation {
    /// The last stable offset: what a reader of committed records could have read
    ReadCommitted,
    /// The high watermark, as Kafka's own tool
    ReadUncommitted,
}
