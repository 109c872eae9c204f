//! Keys of `analytics-state`: JSON arrays of group, epoch, source topic, source partition and what is counted.

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
    /// Converts into a key that owns its text.
    #[must_use]
    pub fn into_owned(self) -> CountKey<'static> {
        match self {
            Self::Minute(minute) => CountKey::Minute(minute),
            Self::Restaurant(name) => CountKey::Restaurant(Cow::Owned(name.into_owned())),
            Self::Totals => CountKey::Totals,
        }
    }
}

/// The start of the keys of one source partition under one epoch of one group, encoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKeyPrefix {
    prefix: Vec<u8>,
}

impl StateKeyPrefix {
    /// The prefix for `partition` of `topic`, for `group` under `epoch`.
    #[must_use]
    pub fn new(group: &str, epoch: &str, topic: &str, partition: i32) -> Self {
        let mut prefix = serde_json::json!([group, epoch, topic, partition]).to_string().into_bytes();
        if let Some(last) = prefix.last_mut() {
            *last = b',';
        }
        Self { prefix }
    }

    /// Replaces the content of `out` by the key of `counted`.
    pub fn write_key(&self, counted: &CountKey<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.prefix);
        match counted {
            CountKey::Minute(minute) => write!(out, "\"minute\",\"{minute}\"]"),
            CountKey::Restaurant(name) => write!(out, "\"restaurant\",{}]", Value::from(name.as_ref())),
            CountKey::Totals => write!(out, "\"totals\"]"),
        }
        .unwrap_or_default(); // Writing to a vector cannot fail.
    }
}

/// A parsed key of `analytics-state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKey<'a> {
    /// The analytics group.
    pub group: Cow<'a, str>,
    /// The epoch.
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

    /// The start of every key of a group: used to skip the keys of other groups without parsing them.
    #[must_use]
    pub fn prefix_of(group: &str) -> Vec<u8> {
        format!("[{},", Value::from(group)).into_bytes()
    }

    /// Reads a key; `None` for that of a position record and for any other.
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

/// Reads `YYYY-MM-DDTHH:mmZ`.
fn parse_minute(text: &str) -> Option<Minute> {
    const FORMAT: &[u8; 17] = b"dddd-dd-ddTdd:ddZ";
    let fits = text.len() == FORMAT.len()
        && text
            .bytes()
            .zip(FORMAT)
            .all(|(byte, format)| if *format == b'd' { byte.is_ascii_digit() } else { byte == *format });
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
    fn encodes_the_documented_json() {
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
        let prefix = r#"["analytics-consumer-group","e1","order-events",3,"#;
        assert_eq!(key(CountKey::Minute(minute(0))), format!(r#"{prefix}"minute","2026-11-22T12:00Z"]"#));
        assert_eq!(key(CountKey::Restaurant("a\"\n".into())), format!(r#"{prefix}"restaurant","a\"\n"]"#));
        assert_eq!(key(CountKey::Totals), format!(r#"{prefix}"totals"]"#));
    }

    #[test]
    fn other_keys_are_rejected() {
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
        fn round_trips_and_starts_with_its_group(
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
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            prop_assert_eq!(StateKey::decode(&bytes), None);
        }
    }
}
