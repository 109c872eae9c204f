//! A topic of a service or a chain with frozen ends: which offsets are read, which are judged, and what is missing.

use crate::audit::{CoveredRange, Place};
use crate::commands::Context;
use crate::commands::audit::watched_scan::WatchedTopic;
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, OffsetRange, Operation, TopicPartition};
use crate::lag::Isolation;
use crate::state::TopicId;
use crate::units::counted;

/// The lists are in the order of the partitions, which is that of their numbers.
#[derive(Debug)]
pub(super) struct FrozenTopic {
    pub partitions: Vec<TopicPartition>,
    /// The first offsets.
    pub starts: Vec<i64>,
    /// The positions after the last offsets to read.
    pub ends: Vec<i64>,
    /// What is below this offset is judged; `None` for a partition of which the group has no committed offset.
    pub required: Vec<Option<i64>>,
    /// The partitions with an open transaction. What comes after its start is not read.
    pub open: Vec<TopicPartition>,
    /// Whether records may be removed from the middle of the log.
    pub is_compacted: bool,
    id: Option<TopicId>,
}

impl FrozenTopic {
    /// The topic without anything to read yet; `None` if it does not exist.
    pub fn find(context: &Context, inspector: &Inspector, topic: &str) -> Result<Option<Self>, Failure> {
        let Some(partitions) = inspector.partitions(topic, &[Operation::Read])? else { return Ok(None) };
        if partitions > Place::MAX_PARTITION + 1 {
            let found = counted(partitions, "partition");
            return Err(Failure::new(Code::Refused, format!("topic {topic} has {found}, too many for an audit")));
        }
        let is_compacted = inspector.topic_settings(topic)?.is_compacted();
        let id = inspector.topic_ids(&[topic.to_owned()], context.common.connection.timeout)?.pop().flatten();
        let partitions = TopicPartition::all(topic, partitions);
        let starts = inspector.starts(&partitions)?;
        Ok(Some(Self {
            ends: starts.clone(),
            required: vec![None; starts.len()],
            open: Vec::new(),
            partitions,
            starts,
            is_compacted,
            id,
        }))
    }

    /// Sets the ends to the current ones. With `read_committed` it waits until the transactions below them have ended,
    /// at most for twice `--timeout` or a minute; where one is still open then, its start is the end.
    pub fn end_now(&mut self, context: &Context, inspector: &Inspector, isolation: Isolation) -> Result<(), Failure> {
        self.ends = inspector.ends(&self.partitions, EndOffset::HighWatermark)?;
        if isolation == Isolation::ReadCommitted {
            let mut note = |text: &str| context.console.note(text);
            if !inspector.become_stable(&self.partitions, &self.ends, &mut note)? {
                self.end_at_open_transactions(inspector)?;
            }
        }
        // Records may have been deleted up to the end in the meantime.
        for (end, start) in self.ends.iter_mut().zip(&self.starts) {
            *end = (*end).max(*start);
        }
        Ok(())
    }

    fn end_at_open_transactions(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        let stable = inspector.ends(&self.partitions, EndOffset::LastStable)?;
        for ((source, end), stable) in self.partitions.iter().zip(&mut self.ends).zip(stable) {
            if stable < *end {
                *end = stable;
                self.open.push(source.clone());
            }
        }
        Ok(())
    }

    /// A topic that was found like this.
    #[cfg(test)]
    pub fn of(topic: &str, bounds: &[(i64, i64)], is_compacted: bool) -> Self {
        let partitions = TopicPartition::all(topic, i32::try_from(bounds.len()).unwrap_or(0));
        let [starts, ends] = [|bound: &(i64, i64)| bound.0, |bound: &(i64, i64)| bound.1]
            .map(|part| bounds.iter().map(part).collect::<Vec<i64>>());
        let required = ends.iter().copied().map(Some).collect();
        Self { partitions, starts, ends, required, open: Vec::new(), is_compacted, id: None }
    }

    pub fn topic(&self) -> &str {
        self.partitions.first().map_or("", |source| &source.topic)
    }

    /// The topic as it was found.
    pub fn watched(&self) -> WatchedTopic {
        WatchedTopic {
            partitions: self.partitions.clone(),
            id: self.id.clone(),
            starts: self.starts.clone(),
            ends: self.ends.clone(),
        }
    }

    pub fn ranges(&self) -> Vec<OffsetRange> {
        OffsetRange::between(self.partitions.clone(), &self.starts, &self.ends)
    }

    /// The number of offsets to read.
    pub fn offsets(&self) -> u64 {
        offsets_between(&self.starts, &self.ends)
    }

    /// The number of offsets that the group has not committed.
    pub fn uncommitted(&self) -> u64 {
        uncommitted(&self.starts, &self.ends, &self.required)
    }

    /// Whether these positions are the ends.
    pub fn is_read(&self, positions: &[i64]) -> bool {
        positions.iter().zip(&self.ends).all(|(position, end)| position >= end)
    }

    /// Whether the group's committed offset of a partition is above its end, although no open transaction explains it;
    /// the reason why less is proved.
    pub fn ahead(&self, group: &str) -> Option<String> {
        let bounds = self.partitions.iter().zip(self.required.iter().zip(&self.ends));
        let ahead = bounds.filter(|(_, (required, end))| required.is_some_and(|required| required > **end));
        // An offset may be above the start of an open transaction.
        let ahead: Vec<_> = ahead.map(|(source, _)| source).filter(|source| !self.open.contains(source)).collect();
        let listed = listed(ahead.first()?, ahead.len());
        Some(format!(
            "the offset that group {group} committed on {listed} is above its end: it belongs to records that are gone"
        ))
    }

    /// Why records may be missing, of which `noun` says what they are; empty if all that were ever there are read.
    pub fn gaps(&self, noun: &str) -> Vec<String> {
        let mut gaps = Vec::new();
        let begun: Vec<_> = self.partitions.iter().zip(&self.starts).filter(|(_, start)| **start > 0).collect();
        if let Some((source, start)) = begun.first() {
            let more = match begun.len() - 1 {
                0 => String::new(),
                more => format!(", and {} more", counted(more as u64, "partition")),
            };
            gaps.push(format!("{noun} are gone: {source} begins at offset {start}{more}"));
        }
        if self.is_compacted {
            gaps.push(format!("{noun} may be gone: topic {} is compacted", self.topic()));
        }
        if let Some(first) = self.open.first() {
            let listed = listed(first, self.open.len());
            gaps.push(format!("{noun} were not read after the start of an open transaction on {listed}"));
        }
        gaps
    }

    /// Of these positions what was judged.
    pub fn covered(&self, positions: &[i64]) -> Vec<CoveredRange> {
        let sources = self.partitions.iter().zip(self.starts.iter().zip(&self.required)).zip(positions);
        let range = |((source, (start, required)), position): ((&TopicPartition, (&i64, &Option<i64>)), &i64)| {
            let end = (*position).min((*required)?).max(*start);
            Some(CoveredRange { topic: source.topic.clone(), partition: source.partition, start: *start, end })
        };
        sources.filter_map(range).collect()
    }
}

/// How many offsets are between these positions of each partition.
pub(super) fn offsets_between(starts: &[i64], positions: &[i64]) -> u64 {
    positions.iter().zip(starts).map(|(position, start)| u64::try_from(position - start).unwrap_or(0)).sum()
}

/// How many offsets a group has not committed, of its committed offset of each partition.
pub(super) fn uncommitted(starts: &[i64], ends: &[i64], committed: &[Option<i64>]) -> u64 {
    let bounds = starts.iter().zip(ends).zip(committed);
    let left = bounds.map(|((start, end), committed)| end - committed.unwrap_or(0).max(*start));
    left.map(|offsets| u64::try_from(offsets).unwrap_or(0)).sum()
}

/// `orders/0 and 2 partitions more`
fn listed(first: &TopicPartition, count: usize) -> String {
    match count {
        0 | 1 => first.to_string(),
        several => format!("{first} and {} more", counted((several - 1) as u64, "partition")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_above_an_open_transaction_belongs_to_no_other_records() {
        let mut topic = FrozenTopic::of("t", &[(0, 5), (0, 5), (0, 5)], false);
        assert_eq!(topic.ahead("g"), None);
        topic.required = vec![Some(7), None, Some(6)];
        let ahead = topic.ahead("g").expect("a reason");
        assert!(ahead.contains("group g committed on t/0 and 1 partition more is above its end"), "{ahead}");
        topic.open = vec![topic.partitions[0].clone(), topic.partitions[2].clone()];
        assert_eq!(topic.ahead("g"), None);
        assert_eq!(
            topic.gaps("orders"),
            ["orders were not read after the start of an open transaction on t/0 and 1 partition more"]
        );
    }

    #[test]
    fn what_is_not_committed_is_counted() {
        let mut topic = FrozenTopic::of("t", &[(2, 9), (0, 5), (3, 4), (0, 5)], false);
        topic.required = vec![Some(7), None, Some(1), Some(8)];
        assert_eq!(topic.uncommitted(), 2 + 5 + 1);
    }

    #[test]
    fn what_is_required_and_read_is_covered() {
        let mut topic = FrozenTopic::of("t", &[(2, 9), (0, 5), (3, 3)], false);
        topic.required = vec![Some(7), None, Some(1)];
        let covered = |positions: &[i64]| -> Vec<(i32, i64, i64)> {
            let ranges = topic.covered(positions).into_iter();
            ranges.map(|range| (range.partition, range.start, range.end)).collect()
        };
        assert_eq!(covered(&[9, 5, 3]), [(0, 2, 7), (2, 3, 3)]);
        assert_eq!(covered(&[4, 5, 3]), [(0, 2, 4), (2, 3, 3)]);
        assert!(topic.is_read(&[9, 5, 3]) && !topic.is_read(&[8, 5, 3]));
        assert_eq!((topic.offsets(), offsets_between(&topic.starts, &[4, 0, 3])), (12, 2));
    }
}
