//! Owns which of several values of a property holds: where each stands, which one wins, and how that is told.

use std::collections::BTreeMap;
use std::fmt;

use crate::kafka::is_secret;
use crate::report::printable;
use crate::secrets::REDACTED;

/// Where a setting stands. A later one wins over an earlier one, and within one the last that was said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PropertySource {
    /// A line of a properties file.
    File {
        /// As it was typed.
        name: String,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(&'static str),
    /// `-X`.
    Property,
    /// A flag.
    Flag(&'static str),
}

impl PropertySource {
    /// Its rank among the sources; lines of one file are of one rank.
    fn rank(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Environment(_) => 1,
            Self::Property => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for PropertySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{}:{line}", printable(name)),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
            Self::Property => f.write_str("-X"),
        }
    }
}

/// A value of a property of librdkafka, and where it was said.
#[derive(Clone)]
pub(super) struct PropertyValue {
    /// The property, by its one name.
    pub key: String,
    /// Its value, which may be a secret.
    pub value: String,
    /// Where it stands.
    pub source: PropertySource,
    /// How it was spelled there, where that is another name.
    pub spelled: Option<String>,
}

impl PropertyValue {
    /// Where it stands and as what: `client.properties:12, sasl.jaas.config`.
    pub fn origin(&self) -> String {
        match &self.spelled {
            Some(spelled) => format!("{}, {}", self.source, printable(spelled)),
            None => self.source.to_string(),
        }
    }

    /// Where it stands, for an error: `client.properties:12` or `-X linger.ms`.
    pub fn place(&self) -> String {
        place(&self.source, self.spelled.as_ref().unwrap_or(&self.key))
    }

    /// Where it stands and what it says, for an error about a value that is no secret.
    pub fn with_value(&self, value: &str) -> String {
        match &self.source {
            PropertySource::Flag(name) => format!("{name} {value}"),
            PropertySource::Environment(name) => format!("{name}={value}"),
            PropertySource::Property => format!("{}={value}", self.place()),
            PropertySource::File { .. } => {
                format!("{}: {}={value}", self.place(), self.spelled.as_ref().unwrap_or(&self.key))
            }
        }
    }

    fn shown(&self) -> String {
        let value = if is_secret(&self.key) { REDACTED.into() } else { printable(&self.value) };
        format!("{value} ({})", self.origin())
    }
}

/// Where a setting of a name stands, for an error.
pub(super) fn place(source: &PropertySource, name: &str) -> String {
    match source {
        PropertySource::Property => format!("-X {}", shown_name(name).unwrap_or_default()).trim_end().to_owned(),
        other => other.to_string(),
    }
}

/// A name, if it may be told: what looks like no property's name may be a piece of a secret, as of a key whose lines are not
/// joined.
pub(super) fn shown_name(name: &str) -> Option<&str> {
    let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    let plausible = name.len() <= 60 && name.bytes().all(byte) && name.contains('.');
    plausible.then_some(name)
}

/// What holds, and what it was said over; by name.
#[derive(Default)]
pub(super) struct Properties(BTreeMap<String, Vec<PropertyValue>>);

impl Properties {
    /// Adds what was said; it wins over what was said of the same property at the same or a lower rank.
    pub fn say(&mut self, setting: PropertyValue) {
        let said = self.0.entry(setting.key.clone()).or_default();
        let at = said.partition_point(|other| other.source.rank() <= setting.source.rank());
        said.insert(at, setting);
    }

    /// What holds of a property.
    pub fn get(&self, key: &str) -> Option<&PropertyValue> {
        self.0.get(key)?.last()
    }

    /// Replaces the value that holds of a property.
    pub fn set(&mut self, key: &str, value: String) {
        if let Some(setting) = self.0.get_mut(key).and_then(|said| said.last_mut()) {
            setting.value = value;
        }
    }

    /// Takes a property out of what holds.
    pub fn take(&mut self, key: &str) -> Option<PropertyValue> {
        self.0.remove(key)?.pop()
    }

    /// Of properties that say the same in different ways, keeps those of the highest source that says one.
    pub fn keep_highest(&mut self, alternatives: &[&str]) {
        let rank = |said: &Self, key: &str| said.get(key).map(|setting| setting.source.rank());
        let highest = alternatives.iter().filter_map(|key| rank(self, key)).max();
        for key in alternatives {
            if rank(self, key) < highest {
                self.0.remove(*key);
            }
        }
    }

    /// Everything that was said, by name.
    pub fn all(&self) -> impl Iterator<Item = &PropertyValue> {
        self.0.values().flatten()
    }

    /// What holds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PropertyValue> {
        self.0.values().filter_map(|said| said.last())
    }

    /// A line for each property: its value, where it stands, and what it was said over. Secrets are not in it.
    pub fn lines(&self, defaults: &[(&str, &str)]) -> Vec<String> {
        let mut lines: Vec<String> = defaults.iter().map(|(key, value)| format!("{key}={value} (default)")).collect();
        for said in self.0.values() {
            let Some((holds, over)) = said.split_last() else { continue };
            let told: Vec<String> = std::iter::once(holds).chain(over.iter().rev()).map(PropertyValue::shown).collect();
            lines.push(format!("{}={}", printable(&holds.key), told.join(", over ")));
        }
        lines.sort();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(key: &str, value: &str, source: PropertySource) -> PropertyValue {
        PropertyValue { key: key.into(), value: value.into(), source, spelled: None }
    }

    fn line(line: usize) -> PropertySource {
        PropertySource::File { name: "client.properties".into(), line }
    }

    #[test]
    fn the_highest_source_holds_and_within_one_the_last_word() {
        let mut effective = Properties::default();
        effective.say(said("linger.ms", "1", PropertySource::Property));
        effective.say(said("linger.ms", "5", line(3)));
        effective.say(said("linger.ms", "6", line(9)));
        effective.say(said("linger.ms", "2", PropertySource::Property));
        assert_eq!(
            effective.lines(&[("client.id", "foodstream")]),
            [
                "client.id=foodstream (default)",
                "linger.ms=2 (-X), over 1 (-X), over 6 (client.properties:9), over 5 (client.properties:3)"
            ]
        );
    }

    #[test]
    fn a_secret_is_told_with_its_origin_and_without_its_value() {
        let mut effective = Properties::default();
        effective.say(said("sasl.password", "hush-hush", PropertySource::Property));
        let spelled = Some("sasl.jaas.config".to_owned());
        effective.say(PropertyValue { spelled, ..said("sasl.password", "hush-hush", line(12)) });
        let told = ["sasl.password=[redacted] (-X), over [redacted] (client.properties:12, sasl.jaas.config)"];
        assert_eq!(effective.lines(&[]), told);
    }

    #[test]
    fn of_two_ways_to_say_the_same_the_higher_source_holds() {
        let mut effective = Properties::default();
        effective.say(said("ssl.ca.pem", "x", line(1)));
        effective.say(said("ssl.ca.location", "/ca.pem", PropertySource::Property));
        effective.keep_highest(&["ssl.ca.location", "ssl.ca.pem"]);
        assert!(effective.get("ssl.ca.pem").is_none() && effective.get("ssl.ca.location").is_some());
    }

    #[test]
    fn only_what_looks_like_a_property_is_told_by_its_name() {
        assert_eq!(shown_name("sasl.pasword"), Some("sasl.pasword"));
        for name in ["MIIEvQIBADANBgkqhki", "hunter2", "", "a.b c"] {
            assert_eq!(shown_name(name), None);
        }
    }
}
