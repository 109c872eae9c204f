//! Owns the plan of a replay: from where to where each partition goes, and how far it is read again.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::PartitionTarget;

/// What is known of a source partition when the range is frozen.
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
    /// The group's offset; absent (null) where it has none, and then the partition does not move.
    pub from: Option<i64>,
    /// The offset to go back to.
    pub to: i64,
    /// The frozen end, exclusive: the group's offset, or, without one, `to`: an empty range.
    pub end: i64,
    /// Why `to` is not what was asked for; an optional field of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<PlanNote>,
}

/// Why a partition does not go where it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanNote {
    /// The log begins later than the offset asked for.
    Raised {
        /// The offset asked for.
        asked: i64,
    },
    /// The group stands before the offset asked for; a replay goes backwards only.
    Lowered {
        /// The offset asked for.
        asked: i64,
    },
    /// No record stands at or after the time asked for. That means the end, as for Kafka's own tool, and a replay goes
    /// backwards only: the partition stays where the group is.
    NoRecordSince {
        /// The end: the high watermark.
        asked: i64,
    },
    /// The group has no offset here: an empty range.
    NoOffset,
    /// It was not asked for: offset and state stay as they are, and nothing is read.
    Stays,
}

impl PlanRow {
    /// The plan for one partition.
    #[must_use]
    pub fn new(aim: PartitionTarget, facts: &PartitionFacts) -> Self {
        let asked = match aim {
            PartitionTarget::Earliest => facts.log_start,
            PartitionTarget::Offset(offset) | PartitionTarget::Since(Some(offset)) => offset,
            PartitionTarget::Since(None) => facts.high_watermark,
            PartitionTarget::Stay => facts.committed.unwrap_or(facts.log_start),
        };
        // The group's offset bounds it last: a group below the log start has nothing to read, wherever it is sent.
        let to = facts.committed.map_or(facts.log_start, |committed| match aim {
            PartitionTarget::Stay => committed,
            _ => asked.max(facts.log_start).min(committed),
        });
        let note = match (aim, facts.committed, to.cmp(&asked)) {
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

    /// By how much the group's offset changes: 0 or less.
    #[must_use]
    pub fn delta(&self) -> i64 {
        self.from.map_or(0, |from| self.to - from)
    }

    /// How many offsets are read again; markers and compacted records among them, so that the records are at most as many.
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

/// The plan for the partitions given, ordered by topic and partition; `aim` says for each where it is to begin.
#[must_use]
pub fn plan(facts: &[PartitionFacts], aim: impl Fn(&PartitionFacts) -> PartitionTarget) -> Vec<PlanRow> {
    let mut rows: Vec<_> = facts.iter().map(|facts| PlanRow::new(aim(facts), facts)).collect();
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

    fn to(aim: PartitionTarget, facts: &PartitionFacts) -> (i64, i64, Option<PlanNote>) {
        let row = PlanRow::new(aim, facts);
        (row.to, row.delta(), row.note)
    }

    #[test]
    fn a_target_within_the_log_and_behind_the_group_is_taken_as_it_is() {
        assert_eq!(to(PartitionTarget::Earliest, &facts(5, Some(40))), (5, -35, None));
        assert_eq!(to(PartitionTarget::Offset(5), &facts(5, Some(40))), (5, -35, None));
        assert_eq!(to(PartitionTarget::Offset(40), &facts(5, Some(40))), (40, 0, None));
    }

    #[test]
    fn other_targets_are_raised_or_lowered_and_the_plan_says_so() {
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
    fn a_group_below_the_log_start_stays_where_it_is() {
        assert_eq!(to(PartitionTarget::Earliest, &facts(50, Some(40))), (40, 0, Some(PlanNote::Lowered { asked: 50 })));
        assert_eq!(to(PartitionTarget::Offset(0), &facts(50, Some(40))), (40, 0, Some(PlanNote::Raised { asked: 0 })));
    }

    #[test]
    fn a_time_is_the_first_record_since_then_or_the_end() {
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
    fn what_was_not_asked_for_stays_wherever_it_is() {
        for committed in [Some(40), Some(3), None] {
            let row = PlanRow::new(PartitionTarget::Stay, &facts(5, committed));
            assert_eq!((row.note, row.moves(), row.offsets_to_read()), (Some(PlanNote::Stays), false, 0));
            assert_eq!(row.from, committed);
        }
        assert_eq!(PlanRow::new(PartitionTarget::Stay, &facts(5, Some(3))).to, 3, "below the log start too");
    }

    #[test]
    fn a_partition_without_an_offset_is_an_empty_range_that_does_not_move() {
        let row = PlanRow::new(PartitionTarget::Offset(7), &facts(5, None));
        assert_eq!((row.from, row.moves(), row.offsets_to_read()), (None, false, 0));
        assert_eq!(row.note, Some(PlanNote::NoOffset));
        let json = serde_json::to_string(&row).expect("serializes");
        assert_eq!(json, r#"{"topic":"order-events","partition":0,"from":null,"to":5,"end":5,"note":"no_offset"}"#);
        assert_eq!(serde_json::from_str::<PlanRow>(&json).expect("parses"), row);
    }

    #[test]
    fn each_partition_may_have_a_target_of_its_own_and_rows_are_ordered() {
        let of = |topic: &str, partition| PartitionFacts { topic: topic.into(), partition, ..facts(0, Some(9)) };
        let all = [of("order-events", 1), of("order-events", 0), of("inventory-events", 2)];
        let rows = plan(&all, |facts| PartitionTarget::Offset(facts.partition.into()));
        let shown: Vec<_> = rows.iter().map(|row| (row.topic.as_str(), row.partition, row.to)).collect();
        assert_eq!(shown, [("inventory-events", 2, 2), ("order-events", 0, 0), ("order-events", 1, 1)]);
    }

    proptest! {
        #[test]
        fn a_plan_never_goes_forwards_nor_below_the_log_start(
            asked in -50i64..150, log_start in 0i64..100, committed in prop::option::of(0i64..100), kind in 0..3,
        ) {
            let (aim, wanted) = match kind {
                0 => (PartitionTarget::Earliest, log_start),
                1 => (PartitionTarget::Offset(asked), asked),
                _ => (PartitionTarget::Since(Some(asked)), asked),
            };
            let row = PlanRow::new(aim, &facts(log_start, committed));
            prop_assert!(row.delta() <= 0 && row.offsets_to_read() >= 0);
            prop_assert!(row.to >= log_start || !row.moves());
            prop_assert_eq!(row.offsets_to_read(), -row.delta());
            prop_assert_eq!(row.note.is_none(), committed.is_some() && row.to == wanted);
        }
    }
}
