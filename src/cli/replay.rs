//! Owns what can be typed after `replay`.

use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::values::{duration, offset};

/// `replay`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Replay {
    /// Rewind to the start of the log; this is the default
    #[arg(long, conflicts_with_all = ["to_offset", "undo"])]
    pub to_earliest: bool,
    /// Rewind every partition to this offset
    #[arg(long, value_name = "OFFSET", conflicts_with = "undo", allow_hyphen_values = true, value_parser = offset)]
    pub to_offset: Option<i64>,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["shadow", "undo"])]
    pub dry_run: bool,
    /// Recompute beside the group and leave it alone; also while it is live
    #[arg(long, conflicts_with = "undo")]
    pub shadow: bool,
    /// Go back to where the group stood before the last replay or --from-beginning: offsets and state
    #[arg(long)]
    pub undo: bool,
    /// Wait this long for the group's members to leave
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub wait_empty: Option<Duration>,
    /// Where the report from before goes
    #[arg(long, value_name = "FILE", default_value = "metrics_initial.txt")]
    pub initial_file: PathBuf,
    /// Where the report from after goes
    #[arg(long, value_name = "FILE", default_value = "metrics_after_replay.txt")]
    pub after_file: PathBuf,
    /// The consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
