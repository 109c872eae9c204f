//! Owns the position record: where a source partition stands in its changelog, written last in every transaction.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, TopicId};

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
    /// The id of the source topic; absent where an older version wrote it, and on clusters that give no ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<TopicId>,
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
    /// What the state holds here, by name: a restore must find as much again. Empty where an older version wrote it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, u64>,
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

/// What a state has not that it must have: records of its changelog are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What is counted, in words.
    pub of: String,
    /// How much of it there must be.
    pub expected: u64,
    /// How much there is.
    pub found: u64,
}

impl Loss {
    /// The first of these, by name, of which a state that holds `found` has not as much as it held at its position.
    #[must_use]
    pub fn between(kept: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Option<Self> {
        kept.iter().find_map(|(of, &expected)| {
            // What an older version did not count, or a newer one counts, says nothing.
            let found = *found.get(of)?;
            (found != expected).then(|| Self { of: of.clone(), expected, found })
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, expected, found } = self;
        write!(f, "of {expected} {of} there are {found}")
    }
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
    fn a_position_of_an_older_version_is_read() {
        let older = br#"{"next_offset":12,"log_start":3,"group":"g","epoch":"e1","counts":{"records":9}}"#;
        let read = Position::decode(older).expect("decodes");
        assert_eq!(read, Position { topic_id: None, holds: BTreeMap::new(), ..position() });
        assert!(!String::from_utf8(read.encode()).expect("text").contains("topic_id"), "and is written as it was");
    }

    #[test]
    fn a_state_that_holds_another_number_has_lost_something() {
        let held = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let kept = held(&[("items", 4), ("of a newer version", 9)]);
        assert_eq!(Loss::between(&kept, &held(&[("items", 4), ("more", 1)])), None);
        let loss = Loss::between(&kept, &held(&[("items", 3)])).expect("one is gone");
        assert_eq!(loss.to_string(), "of 4 items there are 3");
        assert_eq!(Loss::between(&held(&[]), &held(&[("items", 3)])), None, "an older version counted nothing");
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
