//! Names of topics and groups behind a prefix, and the settings of created topics.

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

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
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
}
