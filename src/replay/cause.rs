//! Causes: the reasons why the metrics of a replay may differ, with their numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::state::{Digest, Loss, TopicId};
use crate::units::{counted, grouped};

/// Why the metrics of a replay differ. The names are part of the document format (`docs/reference/replay.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Counted records were removed by retention, deletion or compaction.
    RecordsGone {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The log start when the state began.
        log_start_before: i64,
        /// The log start now.
        log_start_after: i64,
        /// Records counted in the range, if the state contains it.
        records_before: Option<u64>,
        /// Records in the range now.
        records_after: u64,
    },
    /// The number of records is the same, but the records are not.
    RecordsChanged {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// Records in the range, before and now.
        records: u64,
        /// Their digest when they were counted.
        digest_before: Digest,
        /// Their digest now.
        digest_after: Digest,
    },
    /// The topic was deleted and recreated: its id has changed. If the state has no topic id, the log start has
    /// decreased, which does not happen within one topic.
    TopicRecreated {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The frozen end.
        end: i64,
        /// The high watermark now.
        high_watermark: i64,
        /// The log start when the state began, if there is a state.
        log_start_before: Option<i64>,
        /// The log start now.
        log_start_after: i64,
        /// The id of the topic that was counted; an optional field of the document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id_before: Option<TopicId>,
        /// The topic's id now; an optional field of the document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id_after: Option<TopicId>,
    },
    /// The log ends before the frozen end: its last records are lost.
    LogTruncated {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The frozen end.
        end: i64,
        /// The high watermark now.
        high_watermark: i64,
        /// The topic's id, which has not changed; an optional field of the document. Without it, this may be another
        /// topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic_id: Option<TopicId>,
    },
    /// The group has a committed offset here, but no state or only part of it.
    StateLost {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The group's offset.
        committed: i64,
        /// The part of the state that is lost; an optional field of the document. Without it, all of the state is lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<Loss>,
    },
    /// The state does not match the records or the committed offset.
    StateForeign {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The offset that the state was counted up to.
        position: i64,
        /// The group's offset.
        committed: i64,
        /// Records counted, if the state contains it.
        records_before: Option<u64>,
        /// Records in the range now.
        records_after: u64,
    },
    /// The group has state here, but no committed offset.
    OffsetsLost {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The offset that the state was counted up to.
        position: i64,
    },
    /// No record was read again, which proves nothing.
    NothingRead,
    /// The records are the same, but the metrics are not: a defect in foodstream.
    Defect {
        /// Number of metrics that differ.
        differences: u64,
    },
}

impl Cause {
    /// Its name in the document.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RecordsGone { .. } => "records_gone",
            Self::RecordsChanged { .. } => "records_changed",
            Self::TopicRecreated { .. } => "topic_recreated",
            Self::LogTruncated { .. } => "log_truncated",
            Self::StateLost { .. } => "state_lost",
            Self::StateForeign { .. } => "state_foreign",
            Self::OffsetsLost { .. } => "offsets_lost",
            Self::NothingRead => "nothing_read",
            Self::Defect { .. } => "defect",
        }
    }
}

impl fmt::Display for Cause {
    /// A sentence with the numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordsGone {
                topic,
                partition,
                log_start_before,
                log_start_after,
                records_before,
                records_after,
            } => {
                write!(f, "counted records of {topic}/{partition} were deleted: ")?;
                if log_start_before == log_start_after {
                    write!(f, "the log start is still {log_start_after}, but records inside the range are missing, ")?;
                } else {
                    write!(f, "the log start moved from {log_start_before} to {log_start_after}, ")?;
                }
                match records_before {
                    Some(before) => write!(f, "{} of {} left", grouped(*records_after), counted(*before, "record")),
                    None => write!(f, "{} left", counted(*records_after, "record")),
                }
            }
            Self::RecordsChanged { topic, partition, records, digest_before, digest_after } => write!(
                f,
                "the records of {topic}/{partition} are not the ones that were counted: still {}, but their digest \
                 changed from {digest_before} to {digest_after}",
                counted(*records, "record")
            ),
            Self::TopicRecreated {
                topic, partition, log_start_before, log_start_after, id_before, id_after, ..
            } => {
                write!(f, "{topic}/{partition} is not the log that was counted: ")?;
                match (id_before, id_after, log_start_before) {
                    (Some(before), Some(after), _) => {
                        write!(f, "the topic was deleted and recreated, its id changed from {before} to {after}")
                    }
                    (.., Some(before)) => write!(f, "the log start went back from {before} to {log_start_after}"),
                    _ => write!(f, "its log start is {log_start_after}"),
                }
            }
            Self::LogTruncated { topic, partition, end, high_watermark, topic_id } => {
                write!(
                    f,
                    "the log of {topic}/{partition} was truncated: the group's offset is {end}, but the log ends at {high_watermark}"
                )?;
                match topic_id {
                    Some(_) => Ok(()),
                    None => {
                        write!(f, "; or this is another topic of the same name: the state is older and has no topic id")
                    }
                }
            }
            Self::StateLost { topic, partition, committed, loss } => {
                write!(f, "the state of {topic}/{partition} is lost: the group's offset is {committed}, but ")?;
                match loss {
                    Some(loss) => write!(f, "{loss}"),
                    None => write!(f, "it has no state"),
                }
            }
            Self::StateForeign { topic, partition, position, committed, records_before, records_after } => {
                write!(f, "the state of {topic}/{partition} does not match ")?;
                if position != committed {
                    return write!(f, "the group's offset: the state is at {position}, the group at {committed}");
                }
                write!(f, "its records: it counted ")?;
                match records_before {
                    Some(before) => write!(f, "{}", counted(*before, "record"))?,
                    None => write!(f, "an unknown number of records")?,
                }
                write!(f, " up to offset {position}, but the log has {}", grouped(*records_after))
            }
            Self::OffsetsLost { topic, partition, position } => {
                write!(f, "the group's offset for {topic}/{partition} is lost: its state is at {position}")
            }
            Self::NothingRead => write!(f, "no record was read again, which proves nothing"),
            Self::Defect { differences } => write!(
                f,
                "the records are identical byte for byte, but {} not the same: a defect in foodstream",
                if *differences == 1 {
                    "1 metric is".to_owned()
                } else {
                    format!("{} metrics are", grouped(*differences))
                }
            ),
        }
    }
}
