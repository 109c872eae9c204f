//! Owns the position record: where a source partition stands in its changelog, written last in every transaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Digest;

/// The first element of a position record's key; no group or restaurant can be taken for it, as keys are JSON arrays
/// of another length.
const MARK: &str = "@position";

/// Where one source partition stands: everything a restart needs to go on, or to refuse to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Offset of the next record to read; equal to the group's committed offset, or nothing runs.
    pub next_offset: i64,
    /// Log start offset of the partition when this state began.
    pub log_start: i64,
    /// The group that owns this state.
    pub group: String,
    /// The valid epoch of the state's keys; absent in the ledger, whose keys carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The settings on which the state depends; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// What was counted on the way; `records` is the number of records read.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Digest of the records read.
    #[serde(default)]
    pub digest: Digest,
    /// End of the range that a replay is reading again; gone once it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Where the group stood before the last switch of epochs: what an undo goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Checkpoint>,
}

/// A position left by a switch of epochs, whose state still stands in the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The epoch of the state's keys.
    pub epoch: String,
    /// As in [`Position`].
    pub next_offset: i64,
    /// As in [`Position`].
    pub log_start: i64,
    /// As in [`Position`].
    pub counts: BTreeMap<String, u64>,
    /// As in [`Position`].
    pub digest: Digest,
}

/// The key of a position record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionKey {
    /// `["@position"]`: the ledger, whose partition is the source's.
    Ledger,
    /// `["@position",GROUP,SOURCE TOPIC,PARTITION]`: one of several groups and sources that share a topic.
    Shared {
        /// The owning group.
        group: String,
        /// The source topic.
        topic: String,
        /// The source partition.
        partition: i32,
    },
}

impl PositionKey {
    /// The key's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ledger => serde_json::json!([MARK]),
            Self::Shared { group, topic, partition } => serde_json::json!([MARK, group, topic, partition]),
        }
        .to_string()
        .into_bytes()
    }

    /// Reads a changelog key; `None` for the key of anything else.
    #[must_use]
    pub fn decode(key: &[u8]) -> Option<Self> {
        // Most keys are no position: spare them the JSON parser.
        if !key.starts_with(b"[\"@position\"") {
            return None;
        }
        let parts: Vec<Value> = serde_json::from_slice(key).ok()?;
        match parts.as_slice() {
            [_] => Some(Self::Ledger),
            [_, Value::String(group), Value::String(topic), Value::Number(partition)] => Some(Self::Shared {
                group: group.clone(),
                topic: topic.clone(),
                partition: i32::try_from(partition.as_i64()?).ok()?,
            }),
            _ => None,
        }
    }
}

impl Position {
    /// The value's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings, integers and string-keyed maps always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a position record's value.
    ///
    /// # Errors
    ///
    /// When it is no position record of this version.
    pub fn decode(value: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(value)
    }

    /// What a switch away from this position leaves for an undo; `None` for a state without epochs.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            epoch: self.epoch.clone()?,
            next_offset: self.next_offset,
            log_start: self.log_start,
            counts: self.counts.clone(),
            digest: self.digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            next_offset: 12,
            log_start: 3,
            group: "g".into(),
            epoch: Some("e1".into()),
            settings: None,
            counts: BTreeMap::from([("records".into(), 9)]),
            digest: Digest::default(),
            until: None,
            previous: None,
        }
    }

    #[test]
    fn a_position_survives_its_record() {
        let mut position = position();
        position.previous = position.checkpoint();
        position.until = Some(40);
        assert_eq!(Position::decode(&position.encode()).expect("decodes"), position);
    }

    #[test]
    fn keys_survive_and_other_keys_are_no_positions() {
        let shared = PositionKey::Shared { group: "a\"b".into(), topic: "order-events".into(), partition: 5 };
        assert_eq!(PositionKey::decode(&shared.encode()), Some(shared));
        assert_eq!(PositionKey::Ledger.encode(), b"[\"@position\"]");
        assert_eq!(PositionKey::decode(b"[\"@position\"]"), Some(PositionKey::Ledger));
        assert_eq!(PositionKey::decode(b"[\"@position\",\"item_1\"]"), None, "a restaurant may have that name");
        assert_eq!(PositionKey::decode(b"not json"), None);
    }
}
