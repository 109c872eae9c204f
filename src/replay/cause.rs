//! Owns the causes: the named reasons for which a replay's metrics may differ, each with its numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::state::{Digest, Loss, TopicId};

/// Why a replay did not find the same. The words of [`Cause::name`] are part of the contract with readers of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Records that were counted are not there any more: retention, deletion or compaction.
    RecordsGone {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The log start when the state began.
        log_start_before: i64,
        /// The log start now.
        log_start_after: i64,
        /// Records counted in the range, as far as the state says.
        records_before: Option<u64>,
        /// Records in the range now.
        records_after: u64,
    },
    /// As many records as before, and not the same ones.
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
    /// The topic was deleted and created again: its id is another one; or, where the state has none, the log begins earlier than
    /// when the state began, which no log does.
    TopicRecreated {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The frozen end.
        end: i64,
        /// The high watermark now.
        high_watermark: i64,
        /// The log start when the state began, as far as there is a state.
        log_start_before: Option<i64>,
        /// The log start now.
        log_start_after: i64,
        /// The id of the topic that was counted; an optional field of the document, as the next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id_before: Option<TopicId>,
        /// The topic's id now.
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
        /// The topic's id, then and now; an optional field of the document: without it, it may be another topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic_id: Option<TopicId>,
    },
    /// The group has an offset here and no state, or only some of it.
    StateLost {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// The group's offset.
        committed: i64,
        /// What of the state is gone; an optional field of the document: without it, there is none at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<Loss>,
    },
    /// The state was not counted from these records up to this offset: it disagrees with one or the other.
    StateForeign {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// Where the state stands.
        position: i64,
        /// The group's offset.
        committed: i64,
        /// Records counted, as far as the state says.
        records_before: Option<u64>,
        /// Records in the range now.
        records_after: u64,
    },
    /// The group has state here and no offset.
    OffsetsLost {
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
        /// Where the state stands.
        position: i64,
    },
    /// No record was read again, and that proves nothing.
    NothingRead,
    /// The records are the same and the metrics are not: the fault is ours.
    Defect {
        /// Number of metrics that differ.
        differences: u64,
    },
}

impl Cause {
    /// The word that names it in the document.
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
    /// A sentence for people, with the numbers.
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
                write!(f, "records of {topic}/{partition} that were counted are gone: ")?;
                if log_start_before == log_start_after {
                    write!(f, "the log still begins at {log_start_after}, but inside the range ")?;
                } else {
                    write!(f, "the log began at {log_start_before} and begins at {log_start_after} now; ")?;
                }
                match records_before {
                    Some(before) => write!(f, "of {before} records {records_after} are left"),
                    None => write!(f, "{records_after} records are left"),
                }
            }
            Self::RecordsChanged { topic, partition, records, digest_before, digest_after } => write!(
                f,
                "records of {topic}/{partition} are not those that were counted: there are {records} as before, \
                 and their digest was {digest_before} and is {digest_after} now"
            ),
            Self::TopicRecreated {
                topic, partition, log_start_before, log_start_after, id_before, id_after, ..
            } => {
                write!(f, "{topic}/{partition} is another log than the one that was counted: ")?;
                match (id_before, id_after, log_start_before) {
                    (Some(before), Some(after), _) => {
                        write!(f, "the topic was deleted and created again, its id was {before} and is {after} now")
                    }
                    (.., Some(before)) => write!(f, "the log began at {before} and begins at {log_start_after} now"),
                    _ => write!(f, "it begins at {log_start_after}"),
                }
            }
            Self::LogTruncated { topic, partition, end, high_watermark, topic_id } => {
                write!(
                    f,
                    "the log of {topic}/{partition} has lost its tail: the group stands at {end}, and the log ends at {high_watermark}"
                )?;
                match topic_id {
                    Some(_) => Ok(()),
                    None => {
                        write!(f, "; or it is that of another topic of this name, as an older version has kept no id")
                    }
                }
            }
            Self::StateLost { topic, partition, committed, loss } => {
                write!(f, "the state of {topic}/{partition} is lost: the group stands at {committed} and ")?;
                match loss {
                    Some(loss) => write!(f, "{loss}"),
                    None => write!(f, "has counted nothing"),
                }
            }
            Self::StateForeign { topic, partition, position, committed, records_before, records_after } => {
                write!(f, "the state of {topic}/{partition} does not belong to ")?;
                if position != committed {
                    return write!(f, "the group's offset: it stands at {position}, the group at {committed}");
                }
                write!(f, "these records: it counted ")?;
                match records_before {
                    Some(before) => write!(f, "{before}")?,
                    None => write!(f, "an unknown number")?,
                }
                write!(f, " up to {position}, and there are {records_after}")
            }
            Self::OffsetsLost { topic, partition, position } => {
                write!(f, "the group's offset for {topic}/{partition} is lost: its state stands at {position}")
            }
            Self::NothingRead => write!(f, "no record was read again, which proves nothing"),
            Self::Defect { differences } => write!(
                f,
                "the records are the same, byte for byte, yet metrics differ ({differences}): a defect in foodstream"
            ),
        }
    }
}
