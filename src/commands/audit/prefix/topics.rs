//! The topics of a prefix as an audit finds them: which exist, their ids, and the offsets up to which they are read.

use crate::audit::{Anomaly, Check, Finding, Findings, PrefixTopic};
use crate::commands::Context;
use crate::commands::audit::watched_scan::WatchedTopic;
use crate::commands::topic_set::{self, Topic, TopicUse};
use crate::exit::Failure;
use crate::kafka::{EndOffset, Inspector, OffsetRange, Operation, TopicPartition};
use crate::state::TopicId;

const READ: &[Operation] = &[Operation::Read];

/// What an audit reads.
const AUDITING: &[TopicUse] = &[
    Topic::Orders.to(READ),
    Topic::Decisions.to(READ),
    Topic::Ledger.to(READ),
    Topic::DeadLetters.to(READ),
    Topic::AnalyticsState.to(READ),
];

/// The topics of the prefix.
#[derive(Debug)]
pub(super) struct PrefixTopics {
    pub partitions: i32,
    topics: Vec<FoundTopic>,
}

/// A topic of the prefix.
#[derive(Debug)]
struct FoundTopic {
    topic: PrefixTopic,
    name: String,
    exists: bool,
    id: Option<TopicId>,
    /// Whether compaction may remove its records.
    is_compacted: bool,
}

/// The offsets of a topic, by partition.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicOffsets {
    pub starts: Vec<i64>,
    pub ends: Vec<i64>,
    /// Partitions with a transaction that does not end.
    pub stuck: Vec<usize>,
}

impl TopicOffsets {
    const EMPTY: Self = Self { starts: Vec::new(), ends: Vec::new(), stuck: Vec::new() };

    /// Moves the ends to those that were read again. A broker that answers with a lower one does not know the end yet.
    pub fn extend(&mut self, later: &Self) {
        for (end, later) in self.ends.iter_mut().zip(&later.ends) {
            *end = (*end).max(*later);
        }
    }
}

impl PrefixTopics {
    /// Finds them. Fails with exit code 7 without `order-events`.
    pub fn find(context: &Context, inspector: &Inspector) -> Result<Self, Failure> {
        let found = topic_set::require(context, inspector, AUDITING)?;
        let names = &context.common.names;
        let pairs = [
            (PrefixTopic::Orders, Topic::Orders),
            (PrefixTopic::Decisions, Topic::Decisions),
            (PrefixTopic::Ledger, Topic::Ledger),
            (PrefixTopic::DeadLetters, Topic::DeadLetters),
            (PrefixTopic::State, Topic::AnalyticsState),
        ];
        let mut topics = Vec::new();
        for (topic, used) in pairs {
            let (name, exists) = (used.name(names), found.has(used));
            // Changelogs are always compacted.
            let is_log = !matches!(topic, PrefixTopic::Ledger | PrefixTopic::State);
            let is_compacted = exists && is_log && inspector.topic_settings(&name)?.is_compacted();
            topics.push(FoundTopic { topic, name, exists, id: None, is_compacted });
        }
        let mut found = Self { partitions: found.partitions, topics };
        for (index, id) in found.ids(context, inspector)? {
            found.topics[index].id = id;
        }
        Ok(found)
    }

    /// The current id of each topic that exists, by its index.
    fn ids(&self, context: &Context, inspector: &Inspector) -> Result<Vec<(usize, Option<TopicId>)>, Failure> {
        let existing = || self.topics.iter().enumerate().filter(|(_, topic)| topic.exists);
        let names: Vec<String> = existing().map(|(_, topic)| topic.name.clone()).collect();
        let ids = inspector.topic_ids(&names, context.common.connection.timeout)?;
        Ok(existing().map(|(index, _)| index).zip(ids).collect())
    }

    /// A topic as it was found, to be read up to these offsets; `None` if it does not exist.
    pub fn watched(&self, topic: PrefixTopic, offsets: &TopicOffsets) -> Option<WatchedTopic> {
        let TopicOffsets { starts, ends, .. } = offsets.clone();
        let watched = || WatchedTopic { partitions: self.all(topic), id: self.id(topic), starts, ends };
        self.exists(topic).then(watched)
    }

    fn of(&self, topic: PrefixTopic) -> &FoundTopic {
        // Every topic is in the list.
        self.topics.iter().find(|found| found.topic == topic).unwrap_or(&self.topics[0])
    }

    pub fn name(&self, topic: PrefixTopic) -> &str {
        &self.of(topic).name
    }

    pub fn exists(&self, topic: PrefixTopic) -> bool {
        self.of(topic).exists
    }

    pub fn id(&self, topic: PrefixTopic) -> Option<TopicId> {
        self.of(topic).id.clone()
    }

    /// The topics whose records compaction may have removed, by name.
    pub fn compacted(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().filter(|topic| topic.is_compacted).map(|topic| &*topic.name)
    }

    /// All partitions of a topic.
    pub fn all(&self, topic: PrefixTopic) -> Vec<TopicPartition> {
        TopicPartition::all(self.name(topic), self.partitions)
    }

    /// Log start and this end of each partition; zero for a topic that does not exist.
    pub fn offsets(&self, inspector: &Inspector, topic: PrefixTopic, end: EndOffset) -> Result<TopicOffsets, Failure> {
        let all = self.all(topic);
        if !self.exists(topic) {
            return Ok(TopicOffsets { starts: vec![0; all.len()], ends: vec![0; all.len()], stuck: Vec::new() });
        }
        let ends = inspector.ends(&all, end)?;
        Ok(TopicOffsets { starts: inspector.starts(&all)?, ends, stuck: Vec::new() })
    }

    /// The ranges to read of a topic.
    pub fn ranges(&self, topic: PrefixTopic, offsets: &TopicOffsets) -> Vec<OffsetRange> {
        OffsetRange::between(self.all(topic), &offsets.starts, &offsets.ends)
    }

    /// The offsets up to which these outputs are read, in their order: their last stable offsets, once the transactions
    /// have ended that are open now. A high watermark may be in the middle of a transaction, whose last record is the
    /// position.
    ///
    /// The offsets of a transaction may be visible before its outputs are. So a live group is waited for as well: its
    /// transactions end at its next commits. A transaction that does not end is a violation if the group has no
    /// members; partitions with one are read up to it, and listed in `stuck`.
    pub fn output_offsets<const COUNT: usize>(
        &self,
        context: &Context,
        inspector: &Inspector,
        outputs: [PrefixTopic; COUNT],
        is_live: bool,
        findings: &mut Findings,
    ) -> Result<[TopicOffsets; COUNT], Failure> {
        let check = Check::NoHangingTransaction;
        let existing = outputs.iter().filter(|topic| self.exists(**topic));
        let all: Vec<TopicPartition> = existing.flat_map(|topic| self.all(*topic)).collect();
        let ends = inspector.ends(&all, EndOffset::HighWatermark)?;
        findings.checked(check, if is_live { 0 } else { all.len() as u64 });
        let is_stable = inspector.become_stable(&all, &ends, &mut |text| context.console.note(text))?;
        let mut found = [const { TopicOffsets::EMPTY }; COUNT];
        for (topic, offsets) in outputs.into_iter().zip(&mut found) {
            *offsets = self.offsets(inspector, topic, EndOffset::LastStable)?;
        }
        if is_stable {
            return Ok(found);
        }
        for (topic, offsets) in outputs.into_iter().zip(&mut found) {
            for (topic_partition, stable) in self.all(topic).into_iter().zip(&offsets.ends) {
                let Some(end) = all.iter().position(|other| *other == topic_partition).map(|index| ends[index]) else {
                    continue;
                };
                if *stable >= end {
                    continue;
                }
                offsets.stuck.extend(usize::try_from(topic_partition.partition));
                if !is_live {
                    findings.violated(check, || {
                        let summary =
                            format!("{topic_partition} has an open transaction, and the group has no members");
                        Finding::new(Anomaly::HangingTransaction, summary)
                            .values(format!("last stable offset {end}"), format!("last stable offset {stable}"))
                            .record("first open record", topic, topic_partition.partition, *stable)
                    });
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_was_seen_is_kept() {
        let offsets = |ends: [i64; 2]| TopicOffsets { starts: vec![1, 1], ends: ends.to_vec(), stuck: vec![1] };
        let mut first = offsets([5, 9]);
        first.extend(&TopicOffsets { starts: vec![4, 4], ..offsets([7, 8]) });
        assert_eq!((first.starts, first.ends, first.stuck), (vec![1, 1], vec![7, 9], vec![1]));
    }
}
