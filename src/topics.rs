//! Owns the names of topics and groups, and how the topics are made.

/// The topic and group names of one run on a cluster: the contract's names behind the user's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

/// The partition count where neither a topic nor the user says another.
pub const DEFAULT_PARTITIONS: i32 = 6;

impl Names {
    /// The names behind a prefix; empty for none.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The prefix; empty for none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Orders, as they were placed.
    #[must_use]
    pub fn orders(&self) -> String {
        self.name("order-events")
    }

    /// Inventory decisions, one per order line.
    #[must_use]
    pub fn decisions(&self) -> String {
        self.name("inventory-events")
    }

    /// The changelog of the stock.
    #[must_use]
    pub fn ledger(&self) -> String {
        self.name("inventory-ledger")
    }

    /// Bad records.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        self.name("order-events-dlq")
    }

    /// The changelog of the metrics.
    #[must_use]
    pub fn analytics_state(&self) -> String {
        self.name("analytics-state")
    }

    /// The inventory group, or another that the user names.
    #[must_use]
    pub fn inventory_group(&self, other: Option<&str>) -> String {
        self.name(other.unwrap_or("inventory-consumer-group"))
    }

    /// The analytics group, or another that the user names.
    #[must_use]
    pub fn analytics_group(&self, other: Option<&str>) -> String {
        self.name(other.unwrap_or("analytics-consumer-group"))
    }

    /// All five topics.
    #[must_use]
    pub fn topics(&self) -> [String; 5] {
        [self.orders(), self.decisions(), self.ledger(), self.dead_letters(), self.analytics_state()]
    }

    /// Both groups, as they are called where nobody says otherwise.
    #[must_use]
    pub fn groups(&self) -> [String; 2] {
        [self.inventory_group(None), self.analytics_group(None)]
    }

    /// The prefix of a topic that is some run's order topic.
    #[must_use]
    pub fn prefix_of_orders(topic: &str) -> Option<&str> {
        topic.strip_suffix("order-events")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Settings of a compacted topic: small segments and an eager cleaner, or a laboratory's changelog never compacts.
pub const COMPACTED: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("segment.bytes", "52428800"), ("min.cleanable.dirty.ratio", "0.1")];

/// What a changelog takes at least: its largest record has three names of 256 bytes, each as much as six times as long in JSON,
/// or a position with the one before it.
pub const MIN_CHANGELOG_RECORD_BYTES: u64 = 16_384;

/// Room that a dead letter needs beyond the bad record: its headers and the batch around it.
pub const DEAD_LETTER_OVERHEAD: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_stands_before_every_name() {
        let names = Names::new("lab1.");
        assert_eq!(names.orders(), "lab1.order-events");
        assert_eq!(names.inventory_group(None), "lab1.inventory-consumer-group");
        assert_eq!(names.analytics_group(Some("mine")), "lab1.mine");
        assert_eq!(Names::prefix_of_orders("lab1.order-events"), Some("lab1."));
        assert_eq!(Names::prefix_of_orders("order-events-dlq"), None);
    }
}
