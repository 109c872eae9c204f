//! Position record of a source partition: the last record of every transaction in the changelog.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, TopicId};

/// The first element of a position record's key. It cannot be confused with a group or restaurant: those keys are JSON
/// arrays of another length.
const MARK: &str = "@position";

/// The position of a source partition: everything that a restart needs to continue, or to refuse to.
///
/// The fields are described in `docs/reference/exactly-once.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Offset of the next record to read; must equal the group's committed offset.
    pub next_offset: i64,
    /// Log start offset of the partition when this state was empty.
    pub log_start: i64,
    /// The id of the source topic; absent in records of older versions and on clusters without topic ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<TopicId>,
    /// The group that owns this state.
    pub group: String,
    /// The valid epoch of the state's keys; absent in the ledger, whose keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The settings that the state depends on, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// Counts since the state was empty; `records` is the number of records read.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// The size of the state by name, which a restore must find again. Empty in records of older versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, u64>,
    /// Digest of the records read.
    #[serde(default)]
    pub digest: Digest,
    /// End of the range that a replay is reading; absent once it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Whether the state began again with a topic that was created again: outputs about the old topic are still there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started_over: bool,
    /// The position before the last switch of epochs: an undo returns to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Checkpoint>,
}

/// The position before a switch of epochs; its state is still in the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The epoch of the state's keys.
    pub epoch: String,
    /// As in [`Position`].
    pub next_offset: i64,
    /// As in [`Position`].
    pub log_start: i64,
    /// As in [`Position`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<TopicId>,
    /// As in [`Position`].
    pub counts: BTreeMap<String, u64>,
    /// As in [`Position`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, u64>,
    /// As in [`Position`].
    pub digest: Digest,
}

/// The difference between a state and what its position record says: records of its changelog are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What was counted, as in `items`.
    pub of: String,
    /// The expected number.
    pub expected: u64,
    /// The number found.
    pub found: u64,
}

impl Loss {
    /// The first size by name that differs between the position record (`kept`) and the restored state (`found`).
    #[must_use]
    pub fn between(kept: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Option<Self> {
        kept.iter().find_map(|(of, &expected)| {
            // A size that only an older or a newer version knows is not compared.
            let found = *found.get(of)?;
            (found != expected).then(|| Self { of: of.clone(), expected, found })
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, expected, found } = self;
        write!(f, "{found} of {expected} {of} are present")
    }
}

/// The key of a position record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionKey {
    /// `["@position"]`: in the ledger, whose partitions are those of the source.
    Ledger,
    /// `["@position",GROUP,SOURCE TOPIC,PARTITION]`: in a changelog that groups and sources share.
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

    /// Reads a changelog key; `None` if it is not that of a position record.
    #[must_use]
    pub fn decode(key: &[u8]) -> Option<Self> {
        // Most keys are others: skip the JSON parser for them.
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
    /// When this version cannot read the record.
    pub fn decode(value: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(value)
    }

    /// The checkpoint that a switch of epochs keeps for an undo; `None` for a state without epochs.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            epoch: self.epoch.clone()?,
            next_offset: self.next_offset,
            log_start: self.log_start,
            topic_id: self.topic_id.clone(),
            counts: self.counts.clone(),
            holds: self.holds.clone(),
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
            topic_id: TopicId::of_bits(7),
            group: "g".into(),
            epoch: Some("e1".into()),
            settings: None,
            counts: BTreeMap::from([("records".into(), 9)]),
            holds: BTreeMap::from([("keys".into(), 4)]),
            digest: Digest::default(),
            until: None,
            started_over: false,
            previous: None,
        }
    }

    #[test]
    fn round_trips_through_its_record() {
        let mut position = position();
        position.previous = position.checkpoint();
        position.until = Some(40);
        assert_eq!(Position::decode(&position.encode()).expect("decodes"), position);
    }

    #[test]
    fn reads_records_of_older_versions() {
        let older = br#"{"next_offset":12,"log_start":3,"group":"g","epoch":"e1","counts":{"records":9}}"#;
        let read = Position::decode(older).expect("decodes");
        assert_eq!(read, Position { topic_id: None, holds: BTreeMap::new(), ..position() });
        assert!(!String::from_utf8(read.encode()).expect("text").contains("topic_id"), "and is written unchanged");
    }

    #[test]
    fn detects_a_state_of_another_size() {
        let held = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let kept = held(&[("items", 4), ("of a newer version", 9)]);
        assert_eq!(Loss::between(&kept, &held(&[("items", 4), ("more", 1)])), None);
        let loss = Loss::between(&kept, &held(&[("items", 3)])).expect("one is missing");
        assert_eq!(loss.to_string(), "3 of 4 items are present");
        assert_eq!(Loss::between(&held(&[]), &held(&[("items", 3)])), None, "an older version counted nothing");
    }

    #[test]
    fn reads_position_keys_and_rejects_others() {
        let shared = PositionKey::Shared { group: "a\"b".into(), topic: "order-events".into(), partition: 5 };
        assert_eq!(PositionKey::decode(&shared.encode()), Some(shared));
        assert_eq!(PositionKey::Ledger.encode(), b"[\"@position\"]");
        assert_eq!(PositionKey::decode(b"[\"@position\"]"), Some(PositionKey::Ledger));
        assert_eq!(PositionKey::decode(b"[\"@position\",\"item_1\"]"), None, "a restaurant may have that name");
        assert_eq!(PositionKey::decode(b"not json"), None);
    }
}
