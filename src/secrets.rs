//! Secret values, and their redaction from output.

use std::borrow::Cow;
use std::fmt;

pub const REDACTED: &str = "[redacted]";

/// Shorter values are not redacted: they occur in other words by chance.
const SHORTEST: usize = 4;

/// The shortest value of a `name=value` pair that is redacted alone.
const SHORTEST_PIECE: usize = 6;

/// The shortest line of a multi-line secret that is redacted alone.
const SHORTEST_LINE: usize = 16;

#[derive(Clone, Default)]
pub struct Secrets {
    /// Longer ones first: a secret may be the start of another.
    values: Vec<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// Adds a value, and the single lines of a multi-line key.
    pub fn add(&mut self, value: &str) {
        let lines =
            value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
        let whole = Some(value.trim()).filter(|whole| whole.len() >= SHORTEST);
        self.add_all(lines.chain(whole));
    }

    /// Adds `name=value` pairs separated by blanks, and each value alone, since a message may quote just one.
    pub fn add_pairs(&mut self, text: &str) {
        let values = text.split_whitespace().map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        self.add_all(values.filter(|value| value.len() >= SHORTEST_PIECE));
        self.add(text);
    }

    fn add_all<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        for value in values {
            if !self.values.iter().any(|kept| kept == value) {
                self.values.push(value.to_owned());
            }
        }
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Removes a value that is also public, such as a user name.
    pub fn allow(&mut self, value: &str) {
        self.values.retain(|kept| kept != value);
    }

    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut hidden = Cow::Borrowed(text);
        for value in &self.values {
            if hidden.contains(value.as_str()) {
                hidden = Cow::Owned(hidden.replace(value.as_str(), REDACTED));
            }
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets_of(values: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for value in values {
            secrets.add(value);
        }
        secrets
    }

    #[test]
    fn redacts_secrets_and_longer_ones() {
        let mut secrets = secrets_of(&[
            "hush-hush",
            "hush-hush-longer",
            "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhki\n-----END KEY-----",
        ]);
        secrets.add_pairs("principal=canary42 scope=x loose-word");
        assert_eq!(secrets.redact("said hush-hush-longer to hush-hush"), "said [redacted] to [redacted]");
        assert_eq!(secrets.redact("beginning at: canary42 scope=x"), "beginning at: [redacted] scope=x");
        assert_eq!(secrets.redact("at loose-word, at MIIEvQIBADANBgkqhki"), "at [redacted], at [redacted]");
        assert_eq!(secrets.redact("principal and nothing"), "principal and nothing");
        assert_eq!(format!("{secrets:?}"), "Secrets(7)");
    }

    #[test]
    fn short_and_public_values_stay() {
        let mut secrets = secrets_of(&["abc", "admin"]);
        secrets.allow("admin");
        assert_eq!(secrets.redact("abc admin"), "abc admin");
    }

    proptest! {
        #[test]
        fn redacts_in_any_text(secret in "[A-Z]{6,12}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}") {
            let secrets = secrets_of(&[&secret]);
            let text = format!("{before}{secret}{after}{secret}");
            prop_assert!(!secrets.redact(&text).contains(&secret));
        }
    }
}
