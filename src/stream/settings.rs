//! Settings of the loop, the events of its run, and its summary.

use std::time::Duration;

use super::CommittedPosition;
use crate::kafka::{Output, Sizes, TopicPartition};

/// The words of one consumer in messages.
#[derive(Debug, Clone)]
pub struct ErrorTexts {
    /// The command, as in `inventory`.
    pub command: &'static str,
    /// Its flag that takes the position as committed.
    pub resume_flag: &'static str,
    /// What its state is called.
    pub state_name: &'static str,
    /// The way on when the state is gone.
    pub state_missing_hint: &'static str,
    /// The way on when unread records are gone.
    pub records_missing_hint: &'static str,
    /// The way on when a source topic was deleted and created again.
    pub topic_recreated_hint: &'static str,
    /// The way on when some of the state is gone.
    pub state_incomplete_hint: &'static str,
}

/// What the loop is to do.
#[derive(Debug, Clone)]
pub struct LoopSettings {
    /// The consumer group.
    pub group: String,
    /// The static member's name.
    pub instance_id: Option<String>,
    /// Makes the transactional ids of a process without an instance id its own.
    pub process_id: String,
    /// The source topics.
    pub sources: Vec<String>,
    /// Partitions of each source topic.
    pub partitions: i32,
    /// The topics written to; a processor names them by their place.
    pub outputs: Vec<String>,
    /// The changelog among them.
    pub changelog: Output,
    /// How large records and batches may be.
    pub sizes: Sizes,
    /// The topic among them whose batches are compressed: what comes to it was large and compressed where it was read.
    pub compressed: Option<Output>,
    /// How long records are collected before a commit.
    pub commit_interval: Duration,
    /// Records a second, where the pace is limited.
    pub throttle: Option<f64>,
    /// The ends at which the work is done; without them it goes on until stopped.
    pub until: Option<Vec<(TopicPartition, i64)>>,
    /// Whether an outage of the cluster is lived through however long it lasts, rather than for the connection's timeout.
    pub survives_outages: bool,
    /// Take a position as committed where the group's offset differs.
    pub resume: bool,
    /// Begin anew, with no state and from the log's start, where a source topic was deleted and created again.
    pub start_over: bool,
    /// The words for messages.
    pub error_texts: ErrorTexts,
}

/// What the loop tells while it runs.
#[derive(Debug)]
pub enum LoopEvent<'a> {
    /// Something worth a line.
    Note(&'a str),
    /// A transaction was aborted; its records are processed again.
    Aborted(&'a str),
    /// A transaction was committed, or some time has passed.
    Progress(&'a LoopSummary),
    /// Some time has passed in which the cluster did not answer: what was shown before is as old as this.
    Outage(Duration),
}

/// What the loop has done.
#[derive(Debug, Clone, Default)]
pub struct LoopSummary {
    /// Records processed in committed transactions.
    pub records: u64,
    /// Committed transactions.
    pub commits: u64,
    /// Aborted transactions.
    pub aborts: u64,
    /// Changelog records read to restore state.
    pub restored: u64,
    /// Assignments got from the group.
    pub assignments: u64,
    /// Where this member's partitions stand.
    pub committed: Vec<CommittedPosition>,
    /// Whether the ends were reached, rather than a stop asked for.
    pub reached_end: bool,
}
