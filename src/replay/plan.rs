//! The plan of a replay: the old and new offset of each partition, and the range that is read again.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::PartitionTarget;

/// Offsets of a source partition when the range is frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The log start offset.
    pub log_start: i64,
    /// The high watermark.
    pub high_watermark: i64,
    /// The group's committed offset.
    pub committed: Option<i64>,
}

/// What a replay does to one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The group's offset; null if it has none, and then the partition does not move.
    pub from: Option<i64>,
    /// The offset to go back to.
    pub to: i64,
    /// The frozen end, exclusive: the group's offset. Without one it equals `to`, an empty range.
    pub end: i64,
    /// Why `to` is not the requested offset; an optional field of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<PlanNote>,
}

/// Why a partition is not rewound to the requested offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanNote {
    /// The log start is above the requested offset.
    Raised {
        /// The requested offset.
        asked: i64,
    },
    /// The group's offset is below the requested one; a replay only goes back.
    Lowered {
        /// The requested offset.
        asked: i64,
    },
    /// No record has a timestamp at or after the requested time. As in Kafka's own tool this selects the end of the
    /// log, and since a replay only goes back, the partition stays at the group's offset.
    NoRecordSince {
        /// The end: the high watermark.
        asked: i64,
    },
    /// The group has no offset here: an empty range.
    NoOffset,
    /// The partition was not selected: its offset and state are unchanged, and nothing is read.
    Stays,
}

/// What an undo did to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredPartition {
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The offset of the state before the undo.
    pub from: i64,
    /// The offset that was restored, with its state.
    pub to: i64,
}

impl PlanRow {
    /// The plan for one partition.
    #[must_use]
    pub fn new(target: PartitionTarget, facts: &PartitionFacts) -> Self {
        let asked = match target {
            PartitionTarget::Earliest => facts.log_start,
            PartitionTarget::Offset(offset) | PartitionTarget::Since(Some(offset)) => offset,
            PartitionTarget::Since(None) => facts.high_watermark,
            PartitionTarget::Stay => facts.committed.unwrap_or(facts.log_start),
        };
        // The group's offset is the last bound: a group below the log start has nothing to read, whatever the target
        // is.
        let to = facts.committed.map_or(facts.log_start, |committed| match target {
            PartitionTarget::Stay => committed,
            _ => asked.max(facts.log_start).min(committed),
        });
        let note = match (target, facts.committed, to.cmp(&asked)) {
            (PartitionTarget::Stay, ..) => Some(PlanNote::Stays),
            (_, None, _) => Some(PlanNote::NoOffset),
            (PartitionTarget::Since(None), ..) => Some(PlanNote::NoRecordSince { asked }),
            (.., Ordering::Greater) => Some(PlanNote::Raised { asked }),
            (.., Ordering::Less) => Some(PlanNote::Lowered { asked }),
            (.., Ordering::Equal) => None,
        };
        Self {
            topic: facts.topic.clone(),
            partition: facts.partition,
            from: facts.committed,
            to,
            end: facts.committed.unwrap_or(to),
            note,
        }
    }

    /// The change of the group's offset: 0 or less.
    #[must_use]
    pub fn delta(&self) -> i64 {
        self.from.map_or(0, |from| self.to - from)
    }

    /// Number of offsets that are read again, including markers and compacted records, so the number of records may be
    /// smaller.
    #[must_use]
    pub const fn offsets_to_read(&self) -> i64 {
        self.end - self.to
    }

    /// Whether the group's offset changes at all.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.delta() != 0
    }
}

/// The plan of the given partitions, ordered by topic and partition; `target` resolves the target of each.
#[must_use]
pub fn plan(facts: &[PartitionFacts], target: impl Fn(&PartitionFacts) -> PartitionTarget) -> Vec<PlanRow> {
    let mut rows: Vec<_> = facts.iter().map(|facts| PlanRow::new(target(facts), facts)).collect();
    rows.sort_by(|left, right| (&left.topic, left.partition).cmp(&(&right.topic, right.partition)));
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(log_start: i64, committed: Option<i64>) -> PartitionFacts {
        PartitionFacts { topic: "order-events".into(), partition: 0, log_start, high_watermark: 100, committed }
    }

    fn to(target: PartitionTarget, facts: &PartitionFacts) -> (i64, i64, Option<PlanNote>) {
        let row = PlanRow::new(target, facts);
        (row.to, row.delta(), row.note)
    }

    #[test]
    fn offsets_between_log_start_and_group_are_used() {
        assert_eq!(to(PartitionTarget::Earliest, &facts(5, Some(40))), (5, -35, None));
        assert_eq!(to(PartitionTarget::Offset(5), &facts(5, Some(40))), (5, -35, None));
        assert_eq!(to(PartitionTarget::Offset(40), &facts(5, Some(40))), (40, 0, None));
    }

    #[test]
    fn other_offsets_are_raised_or_lowered_with_a_note() {
        assert_eq!(
            to(PartitionTarget::Offset(-3), &facts(5, Some(40))),
            (5, -35, Some(PlanNote::Raised { asked: -3 }))
        );
        assert_eq!(
            to(PartitionTarget::Offset(41), &facts(5, Some(40))),
            (40, 0, Some(PlanNote::Lowered { asked: 41 }))
        );
    }

    #[test]
    fn group_below_the_log_start_does_not_move() {
        assert_eq!(to(PartitionTarget::Earliest, &facts(50, Some(40))), (40, 0, Some(PlanNote::Lowered { asked: 50 })));
        assert_eq!(to(PartitionTarget::Offset(0), &facts(50, Some(40))), (40, 0, Some(PlanNote::Raised { asked: 0 })));
    }

    #[test]
    fn time_selects_the_first_later_record_or_the_end() {
        assert_eq!(to(PartitionTarget::Since(Some(9)), &facts(5, Some(40))), (9, -31, None));
        assert_eq!(
            to(PartitionTarget::Since(Some(41)), &facts(5, Some(40))),
            (40, 0, Some(PlanNote::Lowered { asked: 41 }))
        );
        assert_eq!(
            to(PartitionTarget::Since(None), &facts(5, Some(40))),
            (40, 0, Some(PlanNote::NoRecordSince { asked: 100 }))
        );
        assert_eq!(
            to(PartitionTarget::Since(None), &facts(5, Some(100))),
            (100, 0, Some(PlanNote::NoRecordSince { asked: 100 }))
        );
        assert_eq!(to(PartitionTarget::Since(None), &facts(5, None)), (5, 0, Some(PlanNote::NoOffset)));
    }

    #[test]
    fn unselected_partitions_do_not_move() {
        for committed in [Some(40), Some(3), None] {
            let row = PlanRow::new(PartitionTarget::Stay, &facts(5, committed));
            assert_eq!((row.note, row.moves(), row.offsets_to_read()), (Some(PlanNote::Stays), false, 0));
            assert_eq!(row.from, committed);
        }
        assert_eq!(PlanRow::new(PartitionTarget::Stay, &facts(5, Some(3))).to, 3, "below the log start too");
    }

    #[test]
    fn partition_without_offset_does_not_move() {
        let row = PlanRow::new(PartitionTarget::Offset(7), &facts(5, None));
        assert_eq!((row.from, row.moves(), row.offsets_to_read()), (None, false, 0));
        assert_eq!(row.note, Some(PlanNote::NoOffset));
        let json = serde_json::to_string(&row).expect("serializes");
        assert_eq!(json, r#"{"topic":"order-events","partition":0,"from":null,"to":5,"end":5,"note":"no_offset"}"#);
        assert_eq!(serde_json::from_str::<PlanRow>(&json).expect("parses"), row);
    }

    #[test]
    fn rows_are_ordered_and_have_separate_targets() {
        let of = |topic: &str, partition| PartitionFacts { topic: topic.into(), partition, ..facts(0, Some(9)) };
        let all = [of("order-events", 1), of("order-events", 0), of("inventory-events", 2)];
        let rows = plan(&all, |facts| PartitionTarget::Offset(facts.partition.into()));
        let shown: Vec<_> = rows.iter().map(|row| (row.topic.as_str(), row.partition, row.to)).collect();
        assert_eq!(shown, [("inventory-events", 2, 2), ("order-events", 0, 0), ("order-events", 1, 1)]);
    }

    proptest! {
        #[test]
        fn plans_never_go_forward_or_below_the_log_start(
            asked in -50i64..150, log_start in 0i64..100, committed in prop::option::of(0i64..100), kind in 0..3,
        ) {
            let (target, requested) = match kind {
                0 => (PartitionTarget::Earliest, log_start),
                1 => (PartitionTarget::Offset(asked), asked),
                _ => (PartitionTarget::Since(Some(asked)), asked),
            };
            let row = PlanRow::new(target, &facts(log_start, committed));
            prop_assert!(row.delta() <= 0 && row.offsets_to_read() >= 0);
            prop_assert!(row.to >= log_start || !row.moves());
            prop_assert_eq!(row.offsets_to_read(), -row.delta());
            prop_assert_eq!(row.note.is_none(), committed.is_some() && row.to == requested);
        }
    }
}
