//! Journal entries of groups: generations with members and assignments, committed and pending offsets, and deletions.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupEntry {
    /// A generation of a group. Written where Kafka writes its group metadata record, so that a restart finds the last
    /// generation whose assignments were sent.
    Generation(Generation),
    /// Offsets were committed, or are pending in a transaction.
    Offsets(CommittedOffsets),
    /// Offsets were deleted or have expired, pending ones included.
    OffsetsDeleted { group: String, topics: BTreeMap<String, Vec<i32>> },
    /// A transaction has ended, which committed or discarded its pending offsets.
    TransactionEnded { producer_id: i64, committed: bool },
    /// A topic was deleted, and every group's offsets of it.
    TopicDeleted { topic: String },
    /// A group and its offsets were deleted.
    Deleted { group: String },
}

/// A generation of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    pub group: String,
    /// The generation id.
    pub number: i32,
    /// `consumer`, `connect`, …; `None` before the first member joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_type: Option<String>,
    /// The selected protocol; `None` without members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The leader's member id; `None` without members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// When the group entered its state, in milliseconds.
    pub since: i64,
    /// The members, in the order in which they joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<GenerationMember>,
}

/// A member of a generation. Only the selected protocol is stored, as in Kafka's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationMember {
    pub id: String,
    /// `group.instance.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// `max.poll.interval.ms` of a consumer.
    pub rebalance_timeout_ms: i32,
    /// `session.timeout.ms`
    pub session_timeout_ms: i32,
    /// The member's metadata for the selected protocol.
    #[serde(with = "serde_hex")]
    pub subscription: Bytes,
    #[serde(with = "serde_hex")]
    pub assignment: Bytes,
}

/// The offsets of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffsets {
    pub group: String,
    /// Set if the offsets are pending in this producer's transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<i64>,
    /// The number of the commit. It decides which offset is newer when a transaction ends.
    pub position: u64,
    /// Time of the commit, in milliseconds.
    pub time: i64,
    /// When the offsets expire, if the request set a retention time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    pub topics: BTreeMap<String, Vec<PartitionOffset>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOffset {
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the last consumed record; -1 if unknown.
    #[serde(default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub leader_epoch: i32,
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

/// `Bytes` as a string of hexadecimal digits, for the journal's JSON.
mod serde_hex {
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|half| char::from(DIGITS[usize::from(half)]))
            .collect();
        serializer.serialize_str(&digits)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let half = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| match *pair {
                [high, low] => Some(half(high)? << 4 | half(low)?),
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()
            .map(Bytes::from)
            .ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
    }
}
