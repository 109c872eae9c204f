//! Owns what the journal keeps of groups: members and assignment of a completed rebalance, offsets, and their ends.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::serde_hex;

/// What the journal keeps of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupEntry {
    /// A group has this generation. Written where Kafka writes its group metadata record, so a restart finds the last
    /// generation whose assignment was handed out.
    Generation(Generation),
    /// Offsets were committed, or wait for the end of a transaction.
    Offsets(CommittedOffsets),
    /// Offsets were deleted or have expired, pending ones too.
    OffsetsDeleted {
        /// The group.
        group: String,
        /// Topics and their partitions.
        topics: BTreeMap<String, Vec<i32>>,
    },
    /// A transaction has ended, and the offsets pending in it became committed or are dropped.
    TransactionEnded {
        /// Whose.
        producer_id: i64,
        /// It was committed.
        committed: bool,
    },
    /// A topic was deleted, and with it every group's offsets for it.
    TopicDeleted {
        /// Its name.
        topic: String,
    },
    /// A group was deleted, with its offsets.
    Deleted {
        /// The group.
        group: String,
    },
}

/// A generation as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The group.
    pub group: String,
    /// Counts rebalances.
    pub number: i32,
    /// `consumer`, `connect`, …; none before a first member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_type: Option<String>,
    /// The protocol that was chosen; none without members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The leader's member id; none without members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Since when the group is in its state, in milliseconds.
    pub since: i64,
    /// The members in the order in which they joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<GenerationMember>,
}

/// A member as it is remembered: of its protocols only the chosen one, as in Kafka's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationMember {
    /// Its member id.
    pub id: String,
    /// Its `group.instance.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connected from.
    pub client_host: String,
    /// `max.poll.interval.ms` of a consumer.
    pub rebalance_timeout_ms: i32,
    /// `session.timeout.ms`
    pub session_timeout_ms: i32,
    /// What it said of itself under the chosen protocol.
    #[serde(with = "serde_hex")]
    pub subscription: Bytes,
    /// What the leader gave it.
    #[serde(with = "serde_hex")]
    pub assignment: Bytes,
}

/// Offsets of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffsets {
    /// The group.
    pub group: String,
    /// Set if they wait for the end of this producer's transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<i64>,
    /// Counts requests: decides which commit is the newer one when a transaction ends.
    pub position: u64,
    /// When, in milliseconds.
    pub time: i64,
    /// When they expire, if the request said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// The offsets, by topic.
    pub topics: BTreeMap<String, Vec<PartitionOffset>>,
}

/// A partition's offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOffset {
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the leader of the last record read, -1 for unknown.
    #[serde(default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub leader_epoch: i32,
    /// The committer's note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
}

fn no_epoch() -> i32 {
    -1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_no_epoch(epoch: &i32) -> bool {
    *epoch == -1
}
