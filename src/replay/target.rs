//! Replay targets: where a replay begins, for the group and for one partition.

use std::fmt;

use super::{OffsetFile, PartitionFacts};
use crate::domain::EventTime;

/// Where a replay begins. A replay only goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The log start.
    Earliest,
    /// This offset.
    Offset(i64),
    /// The first record whose record timestamp (not the event time in its value) is at or after this time.
    Time(EventTime),
    /// This many offsets from the group's offset; below zero.
    ShiftBy(i64),
    /// The offset of each partition, from a file.
    File(OffsetFile),
}

/// A target resolved for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTarget {
    /// The log start.
    Earliest,
    /// This offset.
    Offset(i64),
    /// The offset of the first record at or after a time; `None` without such a record, which selects the end.
    Since(Option<i64>),
    /// The partition is not selected and stays unchanged.
    Stay,
}

impl Target {
    /// Whether the target selects a partition. A file may leave it out.
    #[must_use]
    pub fn includes(&self, topic: &str, partition: i32) -> bool {
        match self {
            Self::File(file) => file.offset(topic, partition).is_some(),
            _ => true,
        }
    }

    /// Resolves the target for a partition. `found` is the offset that was found for the time.
    #[must_use]
    pub fn for_partition(&self, facts: &PartitionFacts, found: Option<i64>) -> PartitionTarget {
        match self {
            Self::Earliest => PartitionTarget::Earliest,
            Self::Offset(offset) => PartitionTarget::Offset(*offset),
            Self::Time(_) => PartitionTarget::Since(found),
            // Without a committed offset the partition does not move, and the plan has a note.
            Self::ShiftBy(by) => facts.committed.map_or(PartitionTarget::Earliest, |committed| {
                // A negative offset is below every log start, so the plan raises it.
                PartitionTarget::Offset(committed.saturating_add(*by))
            }),
            Self::File(file) => {
                file.offset(&facts.topic, facts.partition).map_or(PartitionTarget::Stay, PartitionTarget::Offset)
            }
        }
    }
}

impl fmt::Display for Target {
    /// The flag that selects it. A duration is shown as the resolved time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => write!(f, "--to-earliest"),
            Self::Offset(offset) => write!(f, "--to-offset {offset}"),
            Self::Time(time) => write!(f, "--to-datetime {time}"),
            Self::ShiftBy(by) => write!(f, "--shift-by {by}"),
            Self::File(file) => write!(f, "--from-file {}", file.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(committed: Option<i64>) -> PartitionFacts {
        PartitionFacts { topic: "order-events".into(), partition: 1, log_start: 5, high_watermark: 60, committed }
    }

    #[test]
    fn shift_starts_at_the_groups_offset() {
        assert_eq!(Target::ShiftBy(-7).for_partition(&facts(Some(40)), None), PartitionTarget::Offset(33));
        assert_eq!(Target::ShiftBy(-70).for_partition(&facts(Some(40)), None), PartitionTarget::Offset(-30));
        assert_eq!(Target::ShiftBy(i64::MIN).for_partition(&facts(Some(0)), None), PartitionTarget::Offset(i64::MIN));
        assert_eq!(Target::ShiftBy(-7).for_partition(&facts(None), None), PartitionTarget::Earliest);
    }

    #[test]
    fn time_and_file_resolve_per_partition() {
        let time = Target::Time(EventTime::default());
        assert_eq!(time.for_partition(&facts(Some(40)), Some(9)), PartitionTarget::Since(Some(9)));
        assert_eq!(time.for_partition(&facts(Some(40)), None), PartitionTarget::Since(None));
        let file = |text: &str| Target::File(OffsetFile::parse("plan.csv", text.as_bytes(), "g").expect("parses"));
        assert_eq!(file("order-events,1,9\n").for_partition(&facts(Some(40)), None), PartitionTarget::Offset(9));
        assert_eq!(file("order-events,2,9\n").for_partition(&facts(Some(40)), None), PartitionTarget::Stay);
        assert!(file("order-events,1,9\n").includes("order-events", 1));
        assert!(!file("order-events,1,9\n").includes("order-events", 2));
    }

    #[test]
    fn target_is_shown_as_its_flag() {
        let shown = [
            (Target::Earliest, "--to-earliest"),
            (Target::Offset(7), "--to-offset 7"),
            (Target::Time(EventTime::default()), "--to-datetime 1970-01-01T00:00:00.000Z"),
            (Target::ShiftBy(-7), "--shift-by -7"),
        ];
        for (target, flag) in shown {
            assert_eq!(target.to_string(), flag);
        }
    }
}
