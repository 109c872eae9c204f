//! Owns the values that must not be told, and takes them out of whatever is.

use std::borrow::Cow;
use std::fmt;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The shortest text that is taken out: shorter ones stand in many words by chance, and protect nothing.
const SHORTEST: usize = 4;

/// The shortest piece of a secret that is taken out where it stands alone.
const SHORTEST_PIECE: usize = 6;

/// The shortest line of a secret of many lines that is taken out where it stands alone.
const SHORTEST_LINE: usize = 16;

/// Values that must not be told.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Longer ones first: a secret may be the beginning of another.
    values: Vec<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// Keeps a value from being told, and the lines of a key that has many.
    pub fn add(&mut self, value: &str) {
        let lines =
            value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
        let whole = Some(value.trim()).filter(|whole| whole.len() >= SHORTEST);
        self.add_all(lines.chain(whole));
    }

    /// Keeps a text of `name=value`, separated by blanks, and each value in it: a message may quote one alone.
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

    /// Lets a value be told after all: what also stands in the open is no secret.
    pub fn allow(&mut self, value: &str) {
        self.values.retain(|kept| kept != value);
    }

    /// The text without what must not be told.
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

    fn keeping(values: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for value in values {
            secrets.add(value);
        }
        secrets
    }

    #[test]
    fn a_secret_and_longer_ones_with_it_are_taken_out() {
        let mut secrets =
            keeping(&["hush-hush", "hush-hush-longer", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhki\n-----END KEY-----"]);
        secrets.add_pairs("principal=canary42 scope=x loose-word");
        assert_eq!(secrets.redact("said hush-hush-longer to hush-hush"), "said [redacted] to [redacted]");
        assert_eq!(secrets.redact("beginning at: canary42 scope=x"), "beginning at: [redacted] scope=x");
        assert_eq!(secrets.redact("at loose-word, at MIIEvQIBADANBgkqhki"), "at [redacted], at [redacted]");
        assert_eq!(secrets.redact("principal and nothing"), "principal and nothing");
        assert_eq!(format!("{secrets:?}"), "Secrets(7)");
    }

    #[test]
    fn what_is_too_short_or_stands_in_the_open_is_told() {
        let mut secrets = keeping(&["abc", "admin"]);
        secrets.allow("admin");
        assert_eq!(secrets.redact("abc admin"), "abc admin");
    }

    proptest! {
        #[test]
        fn no_kept_value_is_left_in_any_text(secret in "[A-Z]{6,12}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}") {
            let secrets = keeping(&[&secret]);
            let text = format!("{before}{secret}{after}{secret}");
            prop_assert!(!secrets.redact(&text).contains(&secret));
        }
    }
}
