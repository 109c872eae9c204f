//! Precedence of property values: which source wins, and how a value and its source are shown.

use std::collections::BTreeMap;
use std::fmt;

use crate::kafka::{is_secret, property_names};
use crate::report::printable;
use crate::secrets::REDACTED;

/// Where a value comes from. Later variants win over earlier ones, and within one variant the last value wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PropertySource {
    File {
        /// As in the argument.
        name: String,
        /// From 1.
        line: usize,
    },
    Environment(&'static str),
    Property,
    Flag(&'static str),
}

impl PropertySource {
    /// Lines of a file have equal rank.
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

/// A value of a librdkafka property, with its source.
#[derive(Clone)]
pub(super) struct PropertyValue {
    /// The canonical name.
    pub key: String,
    /// May be a secret.
    pub value: String,
    pub source: PropertySource,
    /// The name in the source, if it differs.
    pub alias: Option<String>,
}

impl PropertyValue {
    /// The source and the name in it: `client.properties:12, sasl.jaas.config`.
    pub fn origin(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{}, {}", self.source, printable(alias)),
            None => self.source.to_string(),
        }
    }

    /// The place for an error message: `client.properties:12` or `-X linger.ms`.
    pub fn place(&self) -> String {
        place(&self.source, self.alias.as_ref().unwrap_or(&self.key))
    }

    /// The place with the name, as in [`named`].
    pub fn named(&self) -> String {
        named(&self.source, shown_name(self.alias.as_ref().unwrap_or(&self.key)))
    }

    /// Place and value, for an error about a value that is not secret.
    pub fn with_value(&self, value: &str) -> String {
        match &self.source {
            PropertySource::Flag(name) => format!("{name} {value}"),
            PropertySource::Environment(name) => format!("{name}={value}"),
            PropertySource::Property => format!("{}={value}", self.place()),
            PropertySource::File { .. } => {
                format!("{}: {}={value}", self.place(), self.alias.as_ref().unwrap_or(&self.key))
            }
        }
    }

    fn shown(&self) -> String {
        let value = if is_secret(&self.key) { REDACTED.into() } else { printable(&self.value) };
        format!("{value} ({})", self.origin())
    }
}

/// The place of a setting, for an error message.
pub(super) fn place(source: &PropertySource, name: &str) -> String {
    match source {
        PropertySource::Property => format!("-X {}", shown_name(name).unwrap_or_default()).trim_end().to_owned(),
        other => other.to_string(),
    }
}

/// The place of a setting with its name, for an error about the name: `-X acks` or `client.properties:12: acks`.
pub(super) fn named(source: &PropertySource, name: Option<&str>) -> String {
    match (source, name) {
        (PropertySource::Property, Some(name)) => format!("-X {}", printable(name)),
        (source, Some(name)) => format!("{source}: {}", printable(name)),
        (source, None) => source.to_string(),
    }
}

/// The name, if it is known or looks like a property name. Other text may be part of a secret, such as an unjoined line
/// of a key.
pub(super) fn shown_name(name: &str) -> Option<&str> {
    let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    let plausible = name.len() <= 60 && name.bytes().all(byte) && name.contains('.');
    let known = || !name.contains('.') && property_names().iter().any(|known| known == name);
    (plausible || known()).then_some(name)
}

/// All values of each property, in order of precedence.
#[derive(Default)]
pub(super) struct Properties(BTreeMap<String, Vec<PropertyValue>>);

impl Properties {
    /// Adds a value, which overrides earlier values of equal or lower rank.
    pub fn add(&mut self, setting: PropertyValue) {
        let values = self.0.entry(setting.key.clone()).or_default();
        let at = values.partition_point(|other| other.source.rank() <= setting.source.rank());
        values.insert(at, setting);
    }

    /// The effective value of a property.
    pub fn get(&self, key: &str) -> Option<&PropertyValue> {
        self.0.get(key)?.last()
    }

    /// Replaces the effective value of a property.
    pub fn set(&mut self, key: &str, value: String) {
        if let Some(setting) = self.0.get_mut(key).and_then(|values| values.last_mut()) {
            setting.value = value;
        }
    }

    /// Removes a property.
    pub fn take(&mut self, key: &str) -> Option<PropertyValue> {
        self.0.remove(key)?.pop()
    }

    /// Of alternative properties, keeps those with the highest source.
    pub fn keep_highest(&mut self, alternatives: &[&str]) {
        let rank = |values: &Self, key: &str| values.get(key).map(|setting| setting.source.rank());
        let highest = alternatives.iter().filter_map(|key| rank(self, key)).max();
        for key in alternatives {
            if rank(self, key) < highest {
                self.0.remove(*key);
            }
        }
    }

    /// All values, by name.
    pub fn all(&self) -> impl Iterator<Item = &PropertyValue> {
        self.0.values().flatten()
    }

    /// Effective values, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PropertyValue> {
        self.0.values().filter_map(|values| values.last())
    }

    /// A line for each property: its value, its source and what it overrides. Secrets are redacted.
    pub fn lines(&self, defaults: &[(&str, &str)]) -> Vec<String> {
        let mut lines: Vec<String> = defaults.iter().map(|(key, value)| format!("{key}={value} (default)")).collect();
        for values in self.0.values() {
            let Some((winner, overridden)) = values.split_last() else { continue };
            let values: Vec<String> =
                std::iter::once(winner).chain(overridden.iter().rev()).map(PropertyValue::shown).collect();
            lines.push(format!("{}={}", printable(&winner.key), values.join(", overrides ")));
        }
        lines.sort();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str, value: &str, source: PropertySource) -> PropertyValue {
        PropertyValue { key: key.into(), value: value.into(), source, alias: None }
    }

    fn line(line: usize) -> PropertySource {
        PropertySource::File { name: "client.properties".into(), line }
    }

    #[test]
    fn the_highest_source_wins_then_the_last_value() {
        let mut properties = Properties::default();
        properties.add(value("linger.ms", "1", PropertySource::Property));
        properties.add(value("linger.ms", "5", line(3)));
        properties.add(value("linger.ms", "6", line(9)));
        properties.add(value("linger.ms", "2", PropertySource::Property));
        assert_eq!(
            properties.lines(&[("client.id", "foodstream")]),
            [
                "client.id=foodstream (default)",
                "linger.ms=2 (-X), overrides 1 (-X), overrides 6 (client.properties:9), overrides 5 (client.properties:3)"
            ]
        );
    }

    #[test]
    fn a_secret_is_shown_without_its_value() {
        let mut properties = Properties::default();
        properties.add(value("sasl.password", "hush-hush", PropertySource::Property));
        let alias = Some("sasl.jaas.config".to_owned());
        properties.add(PropertyValue { alias, ..value("sasl.password", "hush-hush", line(12)) });
        let expected = ["sasl.password=[redacted] (-X), overrides [redacted] (client.properties:12, sasl.jaas.config)"];
        assert_eq!(properties.lines(&[]), expected);
    }

    #[test]
    fn keeps_the_alternative_of_the_highest_source() {
        let mut properties = Properties::default();
        properties.add(value("ssl.ca.pem", "x", line(1)));
        properties.add(value("ssl.ca.location", "/ca.pem", PropertySource::Property));
        properties.keep_highest(&["ssl.ca.location", "ssl.ca.pem"]);
        assert!(properties.get("ssl.ca.pem").is_none() && properties.get("ssl.ca.location").is_some());
    }

    #[test]
    fn only_property_names_are_shown() {
        for name in ["sasl.pasword", "acks", "debug"] {
            assert_eq!(shown_name(name), Some(name));
        }
        for name in ["MIIEvQIBADANBgkqhki", "hunter2", "", "a.b c"] {
            assert_eq!(shown_name(name), None);
        }
    }
}
