//! Owns where a replay is to begin: the target as it was meant, and what it comes to for one partition.

use std::fmt;

use super::{OffsetFile, PartitionFacts};
use crate::domain::EventTime;

/// Where a replay is to begin; a replay goes backwards only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The log start, wherever that is.
    Earliest,
    /// This offset.
    Offset(i64),
    /// The first record whose own timestamp, not that of the event in it, is at or after this time.
    Time(EventTime),
    /// This many offsets from where the group stands; below zero.
    ShiftBy(i64),
    /// What a file says of each partition.
    File(OffsetFile),
}

/// What a target comes to for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTarget {
    /// The log start.
    Earliest,
    /// This offset.
    Offset(i64),
    /// The offset of the first record at or after a time; `None` if there is none, and that is the end.
    Since(Option<i64>),
    /// Nowhere: the partition is left as it is.
    Stay,
}

impl Target {
    /// Whether a partition is meant at all: a file may leave it out.
    #[must_use]
    pub fn includes(&self, topic: &str, partition: i32) -> bool {
        match self {
            Self::File(file) => file.offset(topic, partition).is_some(),
            _ => true,
        }
    }

    /// What this comes to for a partition; `found` is what a look-up of the time has given for it.
    #[must_use]
    pub fn for_partition(&self, facts: &PartitionFacts, found: Option<i64>) -> PartitionTarget {
        match self {
            Self::Earliest => PartitionTarget::Earliest,
            Self::Offset(offset) => PartitionTarget::Offset(*offset),
            Self::Time(_) => PartitionTarget::Since(found),
            // Without an offset there is nothing to shift; the plan says so.
            Self::ShiftBy(by) => facts.committed.map_or(PartitionTarget::Earliest, |committed| {
                // Below zero is below every log start.
                PartitionTarget::Offset(committed.saturating_add(*by))
            }),
            Self::File(file) => {
                file.offset(&facts.topic, facts.partition).map_or(PartitionTarget::Stay, PartitionTarget::Offset)
            }
        }
    }
}

impl fmt::Display for Target {
    /// The flag that asks for it; a duration has become the time that it meant.
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
    fn a_shift_counts_from_where_the_group_stands_and_needs_an_offset() {
        assert_eq!(Target::ShiftBy(-7).for_partition(&facts(Some(40)), None), PartitionTarget::Offset(33));
        assert_eq!(Target::ShiftBy(-70).for_partition(&facts(Some(40)), None), PartitionTarget::Offset(-30));
        assert_eq!(Target::ShiftBy(i64::MIN).for_partition(&facts(Some(0)), None), PartitionTarget::Offset(i64::MIN));
        assert_eq!(Target::ShiftBy(-7).for_partition(&facts(None), None), PartitionTarget::Earliest);
    }

    #[test]
    fn a_time_is_what_was_found_and_a_file_may_leave_a_partition_out() {
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
    fn a_target_is_told_as_the_flag_that_asks_for_it() {
        let told = [
            (Target::Earliest, "--to-earliest"),
            (Target::Offset(7), "--to-offset 7"),
            (Target::Time(EventTime::default()), "--to-datetime 1970-01-01T00:00:00.000Z"),
            (Target::ShiftBy(-7), "--shift-by -7"),
        ];
        for (target, words) in told {
            assert_eq!(target.to_string(), words);
        }
    }
}
