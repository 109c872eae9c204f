//! Owns what can be typed after `lag`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use humantime::Duration;

use super::values::duration;

/// `lag`
#[derive(Debug, Clone, Args)]
pub struct Lag {
    /// A consumer group of the cluster, as it is called there; may be repeated [default: the groups of this prefix]
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// Only this topic, as it is called there; `NAME:0,1` for some of its partitions; may be repeated [default: all that the group has offsets for]
    #[arg(long, value_name = "NAME[:PARTITIONS]")]
    pub topic: Vec<String>,
    /// Up to which end is counted: the last stable offset, or the high watermark
    #[arg(long, value_enum, default_value = "read_committed")]
    pub isolation: LagIsolation,
    /// Look again this often, until stopped
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub watch: Option<Duration>,
    /// Exit 3 when this holds for a group: messages as in `>1000`, seconds as in `>30s`
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    pub fail_if: Option<String>,
    /// Also write every sample to this file, a row per partition
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

/// Which end of a partition lag is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LagIsolation {
    /// The last stable offset: what a reader of committed records could have read.
    ReadCommitted,
    /// The high watermark.
    ReadUncommitted,
}
