//! Arguments of `replay`.

use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, event_time, offset, shift, span, topic_filter};
use crate::domain::EventTime;
use crate::replay::TopicFilter;

#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Replay {
    /// Rewind to the log start (default)
    #[arg(long, group = "target", conflicts_with = "undo")]
    pub to_earliest: bool,
    /// Rewind every partition to this offset
    #[arg(long, value_name = "OFFSET", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = offset)]
    pub to_offset: Option<i64>,
    /// Rewind to the first record at or after this time, by record timestamp; UTC without a zone
    #[arg(long, value_name = "TIME", group = "target", conflicts_with = "undo", value_parser = event_time)]
    pub to_datetime: Option<EventTime>,
    /// Rewind to the first record not older than this, by record timestamp: `5m`, `1h30m`, or `PT5M`, `P1DT2H`
    #[arg(long, value_name = "DURATION", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = span)]
    pub by_duration: Option<Duration>,
    /// Rewind every partition by this many offsets from the group's position
    #[arg(long, value_name = "-N", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = shift)]
    pub shift_by: Option<i64>,
    /// Rewind to the offsets in this file (`-` for stdin): rows of `topic,partition,offset`, as exported by Kafka's
    /// tool
    #[arg(long, value_name = "CSV", group = "target", conflicts_with = "undo")]
    pub from_file: Option<PathBuf>,
    /// Rewind only this topic, or only these partitions of it; repeatable
    #[arg(long, value_name = "NAME[:0,1]", conflicts_with = "undo", value_parser = topic_filter)]
    pub topic: Vec<TopicFilter>,
    /// Write the plan to this file, for `kafka-consumer-groups --reset-offsets --from-file`
    #[arg(long, value_name = "CSV", conflicts_with = "undo")]
    pub export: Option<PathBuf>,
    /// Also write a comparison of before and after to one self-contained HTML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "undo"])]
    pub html: Option<PathBuf>,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["shadow", "undo"])]
    pub dry_run: bool,
    /// Recompute without changing the group, even while it is running
    #[arg(long, conflicts_with = "undo")]
    pub shadow: bool,
    /// Restore offsets and state from before the last replay or --from-beginning
    #[arg(long)]
    pub undo: bool,
    /// Show all minutes, restaurants, partitions, differences and causes
    ///
    /// Without it, text has the totals, the first differences and their causes, and JSON at most 10000 minutes, 10000
    /// restaurants and 10000 differences.
    #[arg(long)]
    pub full: bool,
    /// Wait this long for the group's members to leave
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub wait_empty: Option<Duration>,
    /// Write the metrics from before the replay to this file
    #[arg(long, value_name = "FILE", default_value = "metrics_initial.txt", hide_short_help = true)]
    pub initial_file: PathBuf,
    /// Write the recomputed metrics to this file
    #[arg(long, value_name = "FILE", default_value = "metrics_after_replay.txt", hide_short_help = true)]
    pub after_file: PathBuf,
    /// Consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
