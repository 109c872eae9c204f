//! Owns the keys of `analytics-state`: JSON arrays of group, epoch, source topic, source partition and what is counted.

use std::{borrow::Cow, io::Write};

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{EventTime, Minute};

/// What one record of `analytics-state` counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountKey<'a> {
    /// Orders of one minute of event time.
    Minute(Minute),
    /// Orders of one restaurant; the name may be empty.
    Restaurant(Cow<'a, str>),
    /// The source partition's totals.
    Totals,
}

impl CountKey<'_> {
    /// The same, owning its text.
    #[must_use]
    pub fn into_owned(self) -> CountKey<'static> {
        match self {
            Self::Minute(minute) => CountKey::Minute(minute),
            Self::Restaurant(name) => CountKey::Restaurant(Cow::Owned(name.into_owned())),
            Self::Totals => CountKey::Totals,
        }
    }
}

/// Whose counts: one source partition under one epoch of one group. Every key begins with it, so it is spelled once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKeyPrefix {
    prefix: Vec<u8>,
}

impl StateKeyPrefix {
    /// The owner of the counts of `partition` of `topic`, for `group` under `epoch`.
    #[must_use]
    pub fn new(group: &str, epoch: &str, topic: &str, partition: i32) -> Self {
        let mut prefix = serde_json::json!([group, epoch, topic, partition]).to_string().into_bytes();
        if let Some(last) = prefix.last_mut() {
            *last = b',';
        }
        Self { prefix }
    }

    /// Writes the key of what is counted into `out`, in place of what was there.
    pub fn write_key(&self, counted: &CountKey<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.prefix);
        match counted {
            CountKey::Minute(minute) => write!(out, "\"minute\",\"{minute}\"]"),
            CountKey::Restaurant(name) => write!(out, "\"restaurant\",{}]", Value::from(name.as_ref())),
            CountKey::Totals => write!(out, "\"totals\"]"),
        }
        .unwrap_or_default(); // A vector takes every byte.
    }
}

/// A key of `analytics-state`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKey<'a> {
    /// The analytics group.
    pub group: Cow<'a, str>,
    /// The epoch under which it was counted.
    pub epoch: Cow<'a, str>,
    /// The source topic.
    pub topic: Cow<'a, str>,
    /// The source partition.
    pub partition: i32,
    /// What is counted.
    pub counted: CountKey<'a>,
}

impl<'a> StateKey<'a> {
    /// The key's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut key = Vec::new();
        StateKeyPrefix::new(&self.group, &self.epoch, &self.topic, self.partition).write_key(&self.counted, &mut key);
        key
    }

    /// With what every key of a group begins: enough to pass over the keys of other groups without parsing them.
    #[must_use]
    pub fn prefix_of(group: &str) -> Vec<u8> {
        format!("[{},", Value::from(group)).into_bytes()
    }

    /// Reads a key; `None` for a position record's key and for anything else that is no key of a count.
    #[must_use]
    pub fn decode(key: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        #[derive(Deserialize)]
        struct Parts<'a>(
            #[serde(borrow)] Cow<'a, str>,
            #[serde(borrow)] Cow<'a, str>,
            #[serde(borrow)] Cow<'a, str>,
            i32,
            #[serde(borrow)] Cow<'a, str>,
            #[serde(borrow, default)] Option<Text<'a>>,
        );

        let Parts(group, epoch, topic, partition, kind, name) = serde_json::from_slice(key).ok()?;
        let counted = match (kind.as_ref(), name) {
            ("minute", Some(Text(text))) => CountKey::Minute(parse_minute(&text)?),
            ("restaurant", Some(Text(name))) => CountKey::Restaurant(name),
            ("totals", None) => CountKey::Totals,
            _ => return None,
        };
        Some(Self { group, epoch, topic, partition, counted })
    }
}

/// Reads `YYYY-MM-DDTHH:mmZ` and nothing else.
fn parse_minute(text: &str) -> Option<Minute> {
    const SHAPE: &[u8; 17] = b"dddd-dd-ddTdd:ddZ";
    let fits = text.len() == SHAPE.len()
        && text
            .bytes()
            .zip(SHAPE)
            .all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == *shape });
    if !fits {
        return None;
    }
    let instant = format!("{}:00Z", text.strip_suffix('Z')?);
    EventTime::parse(&instant).ok().map(EventTime::minute)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{analytics::test_support::minute, state::PositionKey};

    #[test]
    fn keys_are_spelled_as_the_contract_says() {
        let key = |counted| {
            let key = StateKey {
                group: "analytics-consumer-group".into(),
                epoch: "e1".into(),
                topic: "order-events".into(),
                partition: 3,
                counted,
            };
            String::from_utf8(key.encode()).expect("JSON is UTF-8")
        };
        let owner = r#"["analytics-consumer-group","e1","order-events",3,"#;
        assert_eq!(key(CountKey::Minute(minute(0))), format!(r#"{owner}"minute","2026-11-22T12:00Z"]"#));
        assert_eq!(key(CountKey::Restaurant("a\"\n".into())), format!(r#"{owner}"restaurant","a\"\n"]"#));
        assert_eq!(key(CountKey::Totals), format!(r#"{owner}"totals"]"#));
    }

    #[test]
    fn other_keys_are_no_counts() {
        let position = PositionKey::Shared { group: "g".into(), topic: "order-events".into(), partition: 0 }.encode();
        assert_eq!(StateKey::decode(&position), None);
        for key in [
            "",
            "[",
            "7",
            r#"["g","e","t",0]"#,
            r#"["g","e","t",0,"minute"]"#,
            r#"["g","e","t",0,"restaurant",null]"#,
            r#"["g","e","t",0,"restaurant",7]"#,
            r#"["g","e","t",0,"totals","x"]"#,
            r#"["g","e","t",0,"hour","x"]"#,
            r#"["g","e","t","0","totals"]"#,
            r#"["g","e","t",0,"minute","2026-11-22T12:00:00Z"]"#,
            r#"["g","e","t",0,"minute","2026-11-22T24:00Z"]"#,
            r#"["g","e","t",0,"minute","2026-02-30T12:00Z"]"#,
            r#"["g","e","t",0,"totals"] "x""#,
            r#"["g","e","t",0,"restaurant","a","b"]"#,
        ] {
            assert_eq!(StateKey::decode(key.as_bytes()), None, "{key}");
        }
    }

    fn counted() -> impl Strategy<Value = CountKey<'static>> {
        prop_oneof![
            (0i64..4_000_000_000).prop_map(|minute| CountKey::Minute(Minute(minute))),
            any::<String>().prop_map(|name| CountKey::Restaurant(Cow::Owned(name))),
            Just(CountKey::Totals),
        ]
    }

    proptest! {
        #[test]
        fn a_key_survives_its_bytes_and_begins_with_its_group(
            (group, epoch, topic) in any::<(String, String, String)>(), partition in 0i32.., counted in counted(),
        ) {
            let key = StateKey { group: group.clone().into(), epoch: epoch.into(), topic: topic.into(), partition, counted };
            let bytes = key.encode();
            prop_assert!(bytes.starts_with(&StateKey::prefix_of(&group)));
            let other = StateKey::prefix_of(&format!("{group}2"));
            prop_assert!(!bytes.starts_with(&other));
            prop_assert_eq!(StateKey::decode(&bytes), Some(key.clone()));
        }

        #[test]
        fn no_bytes_bring_the_reader_down(bytes: Vec<u8>) {
            prop_assert_eq!(StateKey::decode(&bytes), None);
        }
    }
}
