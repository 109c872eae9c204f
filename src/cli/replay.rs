//! Owns what can be typed after `replay`.

use std::path::PathBuf;

use clap::Args;
use humantime::Duration;

use super::value_parsers::{duration, event_time, offset, shift, span, topic_filter};
use crate::domain::EventTime;
use crate::replay::TopicFilter;

/// `replay`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Replay {
    /// Rewind to the start of the log; this is the default
    #[arg(long, group = "target", conflicts_with = "undo")]
    pub to_earliest: bool,
    /// Rewind every partition to this offset
    #[arg(long, value_name = "OFFSET", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = offset)]
    pub to_offset: Option<i64>,
    /// Rewind to the first record at or after this time, by the records' own timestamps; without a zone it is UTC
    #[arg(long, value_name = "TIME", group = "target", conflicts_with = "undo", value_parser = event_time)]
    pub to_datetime: Option<EventTime>,
    /// Rewind to the first record that is no older than this, by the records' own timestamps: `5m`, `1h30m`, or `PT5M`, `P1DT2H`
    #[arg(long, value_name = "DURATION", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = span)]
    pub by_duration: Option<Duration>,
    /// Rewind every partition by this many offsets from where the group stands
    #[arg(long, value_name = "-N", group = "target", conflicts_with = "undo", allow_hyphen_values = true, value_parser = shift)]
    pub shift_by: Option<i64>,
    /// Rewind to the offsets of this file (`-` for stdin), rows of `topic,partition,offset` as Kafka's tool exports them
    #[arg(long, value_name = "CSV", group = "target", conflicts_with = "undo")]
    pub from_file: Option<PathBuf>,
    /// Rewind only this topic, or these of its partitions; may be repeated; all others stay as they are
    #[arg(long, value_name = "NAME[:0,1]", conflicts_with = "undo", value_parser = topic_filter)]
    pub topic: Vec<TopicFilter>,
    /// Write the plan to this file, as `kafka-consumer-groups --reset-offsets --from-file` reads it
    #[arg(long, value_name = "CSV", conflicts_with = "undo")]
    pub export: Option<PathBuf>,
    /// Also draw before and after on a page: one HTML file that loads nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "undo"])]
    pub html: Option<PathBuf>,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["shadow", "undo"])]
    pub dry_run: bool,
    /// Recompute beside the group and leave it alone; also while it is live
    #[arg(long, conflicts_with = "undo")]
    pub shadow: bool,
    /// Go back to where the group stood before the last replay or --from-beginning: offsets and state
    #[arg(long)]
    pub undo: bool,
    /// All rows of the answer's tables; of more than 10000 minutes or restaurants it has 10000 otherwise
    #[arg(long, conflicts_with = "dry_run", hide_short_help = true)]
    pub full: bool,
    /// Wait this long for the group's members to leave
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub wait_empty: Option<Duration>,
    /// Where the report from before goes
    #[arg(long, value_name = "FILE", default_value = "metrics_initial.txt", hide_short_help = true)]
    pub initial_file: PathBuf,
    /// Where the report from after goes
    #[arg(long, value_name = "FILE", default_value = "metrics_after_replay.txt", hide_short_help = true)]
    pub after_file: PathBuf,
    /// The consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}
