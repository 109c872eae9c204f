//! Settings of the transactional loop, the events that it reports, and the summary of its run.

use std::time::{Duration, Instant};

use super::CommittedPosition;
use crate::kafka::{Output, Sizes, TopicPartition};

/// Names and hints of one consumer for error messages.
#[derive(Debug, Clone)]
pub struct ErrorTexts {
    /// The command, as in `inventory`.
    pub command: &'static str,
    /// The command's flag that commits the offset of the state.
    pub resume_flag: &'static str,
    /// What the state is called in messages, as in `ledger`.
    pub state_name: &'static str,
    /// What to do when the state does not exist any more.
    pub state_missing_hint: &'static str,
    /// What to do when records were deleted before they were read.
    pub records_missing_hint: &'static str,
    /// What to do when a source topic was deleted and created again.
    pub topic_recreated_hint: &'static str,
    /// What to do when part of the state is missing.
    pub state_incomplete_hint: &'static str,
}

/// Settings of the loop.
#[derive(Debug, Clone)]
pub struct LoopSettings {
    pub group: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// Unique id of this process: part of the transactional id of a member without an instance id.
    pub process_id: String,
    pub sources: Vec<String>,
    /// Partitions of each source topic.
    pub partitions: i32,
    /// The output topics; a processor names them by their index.
    pub outputs: Vec<String>,
    /// The changelog, one of the outputs.
    pub changelog: Output,
    /// Size limits of records and batches.
    pub sizes: Sizes,
    /// The output whose batches are compressed: a record may come from a compressed batch of a source, and be too large
    /// for the topic uncompressed.
    pub compressed: Option<Output>,
    /// Time between commits while records arrive.
    pub commit_interval: Duration,
    /// Records per second at most; unlimited without it.
    pub throttle: Option<f64>,
    /// End offsets at which a finite run ends; without them the loop runs until it is stopped.
    pub until: Option<Vec<(TopicPartition, i64)>>,
    /// Whether to retry without limit in an outage, instead of for the connection's timeout.
    pub survives_outages: bool,
    /// Whether to take the position of the state where the committed offset differs.
    pub resume: bool,
    /// Whether to start with empty state at the log start where a source topic was deleted and created again.
    pub start_over: bool,
    /// Names and hints for error messages.
    pub error_texts: ErrorTexts,
}

/// What the loop reports while it runs.
#[derive(Debug)]
pub enum LoopEvent<'a> {
    /// A note for the user, one line.
    Note(&'a str),
    /// A transaction was aborted; its records are processed again.
    Aborted(&'a str),
    /// A transaction was committed, or some time has passed.
    Progress(&'a LoopSummary),
    /// The cluster has not responded for this long: figures shown before are that old.
    Outage(Duration),
}

/// What the loop has done so far.
#[derive(Debug, Clone, Default)]
pub struct LoopSummary {
    /// Records processed in committed transactions.
    pub records: u64,
    pub commits: u64,
    pub aborts: u64,
    /// Changelog records read to restore state.
    pub restored: u64,
    pub assignments: u64,
    /// The committed position of each partition of this member.
    pub committed: Vec<CommittedPosition>,
    /// Whether the run ended because the end offsets were reached.
    pub reached_end: bool,
    /// When the cluster last responded; `None` before the first check of the loop.
    pub last_answer: Option<Instant>,
}
