//! Selection of partitions: `--topic NAME[:0,1]`, with the syntax of `kafka-consumer-groups`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A topic, or some of its partitions, selected by `--topic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFilter {
    topic: String,
    partitions: Option<Vec<i32>>,
}

/// A text that is not a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a topic, or a topic and partitions, as in order-events or order-events:0,2")]
pub struct FilterError;

/// A filter that matches no source partition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterMismatch {
    /// The topic is not a source of the metrics.
    #[error("--topic {filter}: analytics does not read this topic, only {sources}")]
    Topic {
        /// The filter.
        filter: TopicFilter,
        /// The source topics.
        sources: String,
    },
    /// The topic does not have the partition.
    #[error("--topic {filter}: partition {partition} does not exist, only {}", partitions_up_to(*last))]
    Partition {
        /// The filter.
        filter: TopicFilter,
        /// The partition.
        partition: i32,
        /// The topic's last partition.
        last: i32,
    },
}

/// The partitions of a topic, by its last one.
fn partitions_up_to(last: i32) -> String {
    if last == 0 { "partition 0".to_owned() } else { format!("0 to {last}") }
}

impl TopicFilter {
    /// The filter has the topic's name on the cluster, or the name without the prefix.
    fn names(&self, topic: &str, prefix: &str) -> bool {
        self.topic == topic || topic.strip_prefix(prefix) == Some(self.topic.as_str())
    }

    fn matches(&self, topic: &str, partition: i32, prefix: &str) -> bool {
        self.names(topic, prefix) && self.partitions.as_ref().is_none_or(|partitions| partitions.contains(&partition))
    }

    /// Checks that the filter names existing source partitions.
    ///
    /// # Errors
    ///
    /// When the topic is not a source, or a partition does not exist.
    pub fn check(&self, prefix: &str, sources: &[String], partitions: i32) -> Result<(), FilterMismatch> {
        if !sources.iter().any(|topic| self.names(topic, prefix)) {
            return Err(FilterMismatch::Topic { filter: self.clone(), sources: sources.join(" and ") });
        }
        let outside = self.partitions.iter().flatten().find(|partition| !(0..partitions).contains(*partition));
        outside.map_or(Ok(()), |partition| {
            Err(FilterMismatch::Partition { filter: self.clone(), partition: *partition, last: partitions - 1 })
        })
    }
}

/// Whether one of the filters matches a partition. Without filters every partition is selected.
#[must_use]
pub fn is_selected(filters: &[TopicFilter], prefix: &str, topic: &str, partition: i32) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter.matches(topic, partition, prefix))
}

impl FromStr for TopicFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        // Topic names have no colon.
        let (topic, partitions) = match text.split_once(':') {
            Some((topic, list)) => {
                let number =
                    |number: &str| number.trim().parse::<u32>().ok().and_then(|number| i32::try_from(number).ok());
                let list = list.split(',').map(number).collect::<Option<Vec<i32>>>().ok_or(FilterError)?;
                (topic, Some(list))
            }
            None => (text, None),
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if topic.is_empty() || !topic.bytes().all(legal) {
            return Err(FilterError);
        }
        Ok(Self { topic: topic.to_owned(), partitions })
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.topic)?;
        for (index, partition) in self.partitions.iter().flatten().enumerate() {
            write!(f, "{}{partition}", if index == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<TopicFilter> {
        texts.iter().map(|text| text.parse().expect("parses")).collect()
    }

    #[test]
    fn filter_selects_a_topic_or_its_partitions() {
        let some = filters(&["order-events:0,2", "lab.inventory-events"]);
        let chosen = |topic: &str, partition| is_selected(&some, "lab.", topic, partition);
        assert!(chosen("lab.order-events", 0) && chosen("lab.order-events", 2));
        assert!(!chosen("lab.order-events", 1));
        assert!(chosen("lab.inventory-events", 7));
        assert!(is_selected(&[], "lab.", "lab.order-events", 1), "no filter selects everything");
        let both = filters(&["order-events:0", "order-events:1"]);
        assert!(is_selected(&both, "", "order-events", 0) && is_selected(&both, "", "order-events", 1));
        assert_eq!(some[0].to_string(), "order-events:0,2");
    }

    #[test]
    fn unknown_topics_and_partitions_are_errors() {
        for text in ["", ":0", "a:", "a:x", "a:-1", "a:0,,1", "a:0:1", "a b", "a:99999999999"] {
            assert_eq!(text.parse::<TopicFilter>(), Err(FilterError), "{text}");
        }
        let sources = ["lab.inventory-events".to_owned(), "lab.order-events".to_owned()];
        let checked = |text: &str| filters(&[text])[0].check("lab.", &sources, 3).map_err(|error| error.to_string());
        assert_eq!(checked("order-events:0,2"), Ok(()));
        assert_eq!(checked("lab.order-events"), Ok(()));
        assert_eq!(
            checked("order-events-dlq"),
            Err("--topic order-events-dlq: analytics does not read this topic, only lab.inventory-events and lab.order-events"
                .into())
        );
        assert_eq!(
            checked("order-events:0,3"),
            Err("--topic order-events:0,3: partition 3 does not exist, only 0 to 2".into())
        );
        let single = filters(&["order-events:1"])[0].check("lab.", &sources, 1).map_err(|error| error.to_string());
        assert_eq!(single, Err("--topic order-events:1: partition 1 does not exist, only partition 0".into()));
    }
}
