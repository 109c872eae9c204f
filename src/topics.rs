//! Names of topics and groups behind a prefix, and the settings of created topics.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Topic and group names behind the user's prefix; see docs/reference/topics.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

/// Partitions of created topics, unless `order-events` exists or the user chooses a number.
pub const DEFAULT_PARTITIONS: i32 = 6;

impl Names {
    /// `prefix` may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a prefix ends with a letter or a digit, so that it runs into the names: `lab1order-events`.
    #[must_use]
    pub fn lacks_separator(&self) -> bool {
        self.prefix.ends_with(|last: char| last.is_ascii_alphanumeric())
    }

    /// Orders as placed.
    #[must_use]
    pub fn orders(&self) -> String {
        self.name("order-events")
    }

    /// Inventory decisions, one per order line.
    #[must_use]
    pub fn decisions(&self) -> String {
        self.name("inventory-events")
    }

    /// Changelog of the stock.
    #[must_use]
    pub fn ledger(&self) -> String {
        self.name("inventory-ledger")
    }

    /// Bad records.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        self.name("order-events-dlq")
    }

    /// Changelog of the metrics.
    #[must_use]
    pub fn analytics_state(&self) -> String {
        self.name("analytics-state")
    }

    #[must_use]
    pub fn inventory_group(&self, other: Option<&str>) -> String {
        self.name(other.unwrap_or("inventory-consumer-group"))
    }

    #[must_use]
    pub fn analytics_group(&self, other: Option<&str>) -> String {
        self.name(other.unwrap_or("analytics-consumer-group"))
    }

    #[must_use]
    pub fn topics(&self) -> [String; 5] {
        [self.orders(), self.decisions(), self.ledger(), self.dead_letters(), self.analytics_state()]
    }

    /// Both groups with their default names.
    #[must_use]
    pub fn groups(&self) -> [String; 2] {
        [self.inventory_group(None), self.analytics_group(None)]
    }

    /// The prefix of a topic that has the name of an order topic.
    #[must_use]
    pub fn prefix_of_orders(topic: &str) -> Option<&str> {
        topic.strip_suffix("order-events")
    }

    /// The options that select names which exist on a cluster, where those of this prefix do not: `--prefix lab1.`, or
    /// `no prefix`. `existing` are names of topics or groups; `None` without any of this program.
    #[must_use]
    pub fn other_prefixes<'a>(&self, existing: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let usual = Self::new("");
        let [inventory, analytics] = usual.groups();
        let endings = [usual.orders(), inventory, analytics];
        // The most similar prefixes come first: a separator or a part may have been forgotten.
        let in_common = |prefix: &str| prefix.bytes().zip(self.prefix.bytes()).take_while(|(a, b)| a == b).count();
        let found: BTreeSet<(Reverse<usize>, &str)> = existing
            .into_iter()
            .filter_map(|name| endings.iter().find_map(|ending| name.strip_suffix(ending.as_str())))
            .filter(|prefix| *prefix != self.prefix && is_legal(prefix))
            .map(|prefix| (Reverse(in_common(prefix)), prefix))
            .collect();
        let option = |(_, prefix): &(Reverse<usize>, &str)| match *prefix {
            "" => "no prefix".to_owned(),
            prefix => format!("--prefix {prefix}"),
        };
        let mut options: Vec<String> = found.iter().take(MAX_PREFIXES).map(option).collect();
        options.extend((found.len() > MAX_PREFIXES).then(|| format!("{} more", found.len() - MAX_PREFIXES)));
        (!options.is_empty()).then(|| options.join(", "))
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A name that exists and is this one behind a prefix with a separator.
#[must_use]
pub fn behind_a_prefix<'a>(name: &str, existing: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_prefix = |prefix: &str| prefix.ends_with(['.', '_', '-']) && is_legal(prefix);
    existing.into_iter().find(|other| other.strip_suffix(name).is_some_and(is_prefix))
}

/// The most prefixes that a message lists.
const MAX_PREFIXES: usize = 5;

/// Kafka's rule for the bytes of a topic name. It also applies to groups, which have the same prefix.
#[must_use]
pub fn is_legal(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Settings of a changelog. Small segments and an eager cleaner, because a small demo would never compact otherwise.
pub const COMPACTED: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("segment.bytes", "52428800"), ("min.cleanable.dirty.ratio", "0.1")];

/// The least `max.message.bytes` of a changelog. Its largest record has three names of 256 bytes, each up to six times
/// longer in JSON, or a position together with the previous one.
pub const MIN_CHANGELOG_RECORD_BYTES: u64 = 16_384;

/// What a dead letter adds to the bad record: its headers and the batch overhead.
pub const DEAD_LETTER_OVERHEAD: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_precedes_every_name() {
        let names = Names::new("lab1.");
        assert_eq!(names.orders(), "lab1.order-events");
        assert_eq!(names.inventory_group(None), "lab1.inventory-consumer-group");
        assert_eq!(names.analytics_group(Some("mine")), "lab1.mine");
        assert_eq!(Names::prefix_of_orders("lab1.order-events"), Some("lab1."));
        assert_eq!(Names::prefix_of_orders("order-events-dlq"), None);
    }

    #[test]
    fn a_prefix_ends_with_a_separator() {
        for prefix in ["", "lab1.", "lab1-", "lab1_", "."] {
            assert!(!Names::new(prefix).lacks_separator(), "{prefix}");
        }
        for prefix in ["lab1", "lab", ".1"] {
            assert!(Names::new(prefix).lacks_separator(), "{prefix}");
        }
    }

    #[test]
    fn a_name_behind_a_prefix_has_a_separator() {
        let existing = ["orders", "myorders", "a b.orders", "lab1.orders", "lab2.orders"];
        assert_eq!(behind_a_prefix("orders", existing), Some("lab1.orders"));
        assert_eq!(behind_a_prefix("rders", existing), None);
    }

    #[test]
    fn other_prefixes_are_listed_as_options() {
        let others = |prefix: &str, names: &[&str]| Names::new(prefix).other_prefixes(names.iter().copied());
        assert_eq!(others("", &["payments", "order-events", "inventory-events"]), None);
        let lab = ["lab1.order-events", "lab1.inventory-consumer-group", "lab1.order-events-dlq", "x"];
        assert_eq!(others("", &lab).as_deref(), Some("--prefix lab1."));
        assert_eq!(others("lab1.", &lab), None);
        // A separator was forgotten.
        assert_eq!(others("lab1", &lab).as_deref(), Some("--prefix lab1."));
        let further = [&lab[..], &["a.order-events"]].concat();
        assert_eq!(others("lab1", &further).as_deref(), Some("--prefix lab1., --prefix a."));
        assert_eq!(others("lab1.none.", &further).as_deref(), Some("--prefix lab1., --prefix a."));
        assert_eq!(others("lab1.", &["analytics-consumer-group"]).as_deref(), Some("no prefix"));
        assert_eq!(others("", &["a b\u{1b}inventory-consumer-group"]), None, "no prefix of this program");
        let many: Vec<String> = (0..9).map(|number| format!("lab{number}.order-events")).collect();
        let many = Names::new("").other_prefixes(many.iter().map(String::as_str)).expect("some");
        assert!(many.starts_with("--prefix lab0., --prefix lab1.") && many.ends_with("lab4., 4 more"), "{many}");
    }
}
