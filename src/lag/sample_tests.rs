//! Tests of the lag arithmetic, and the samples that other tests use.

use proptest::prelude::*;

use super::sample::LogBounds;
use super::{GroupLag, GroupSample, Isolation, Lag, LagDocument, NextRecord, PartitionSample};

/// Partition 0 of `orders`, without an open transaction.
pub fn partition(committed: Option<i64>, log_start: i64, end: i64, next: NextRecord) -> PartitionSample {
    PartitionSample {
        topic: "orders".to_owned(),
        partition: 0,
        committed,
        bounds: Some(LogBounds { log_start, last_stable: end, high_watermark: end }),
        next,
        owner: None,
    }
}

/// A group without members.
pub fn group(at_millis: i64, partitions: Vec<PartitionSample>) -> GroupSample {
    GroupSample {
        group: "readers".to_owned(),
        state: "Empty".to_owned(),
        members: 0,
        kind: None,
        isolation: Isolation::ReadCommitted,
        at_millis,
        partitions,
    }
}

#[test]
fn lag_needs_a_commit_within_the_log() {
    let lag = |committed, end| partition(committed, 0, end, NextRecord::Unknown).lag(Isolation::ReadCommitted);
    assert_eq!(lag(None, 9), Lag::NoCommit);
    assert_eq!(lag(Some(0), 9), Lag::Messages(9));
    assert_eq!(lag(Some(9), 9), Lag::Messages(0));
    assert_eq!(lag(Some(11), 9), Lag::BeyondEnd(2));
    let gone = PartitionSample { bounds: None, ..partition(Some(3), 0, 9, NextRecord::Unknown) };
    assert_eq!((gone.lag(Isolation::ReadCommitted), gone.lost()), (Lag::NoEnd, None));
}

#[test]
fn isolation_decides_the_end() {
    let mut open = partition(Some(4), 0, 9, NextRecord::Absent);
    open.bounds = Some(LogBounds { log_start: 0, last_stable: 6, high_watermark: 9 });
    assert_eq!(open.lag(Isolation::ReadCommitted), Lag::Messages(2));
    assert_eq!(open.lag(Isolation::ReadUncommitted), Lag::Messages(5));
    open.committed = Some(8);
    assert_eq!(open.lag(Isolation::ReadCommitted), Lag::BeyondEnd(2));
    assert_eq!(open.lag(Isolation::ReadUncommitted), Lag::Messages(1));
}

#[test]
fn deleted_unread_records_are_lost_and_count_as_lag() {
    let behind = partition(Some(3), 7, 9, NextRecord::Timestamp(0));
    assert_eq!((behind.lost(), behind.lag(Isolation::ReadCommitted)), (Some(4), Lag::Messages(6)));
    assert_eq!(partition(Some(8), 7, 9, NextRecord::Unknown).lost(), Some(0));
    assert_eq!(partition(None, 7, 9, NextRecord::Unknown).lost(), None);
}

#[test]
fn seconds_are_the_age_of_the_next_unread_record() {
    let age = |committed, next, now| partition(Some(committed), 0, 9, next).seconds(Isolation::ReadCommitted, now);
    assert_eq!(age(3, NextRecord::Timestamp(1_000), 3_500), Some(2.5));
    assert_eq!(age(3, NextRecord::Timestamp(4_500), 3_500), Some(0.0), "a writer's clock may be ahead");
    assert_eq!(age(3, NextRecord::Timestamp(4_501), 3_500), None, "a timestamp in the future");
    let ahead = |committed, millis| {
        partition(Some(committed), 0, 9, NextRecord::Timestamp(millis)).ahead_seconds(Isolation::ReadCommitted, 3_500)
    };
    assert_eq!((ahead(3, 4_500), ahead(3, 9_000), ahead(9, 9_000)), (None, Some(5.5), None));
    assert_eq!(age(3, NextRecord::Absent, 3_500), Some(0.0), "only markers are left");
    assert_eq!(age(9, NextRecord::Unknown, 3_500), Some(0.0), "no lag");
    assert_eq!(age(3, NextRecord::Unknown, 3_500), None);
    assert_eq!(age(10, NextRecord::Unknown, 3_500), None, "beyond the end");
}

#[test]
fn group_is_as_old_as_its_oldest_partition() {
    let known = |millis| partition(Some(0), 0, 5, NextRecord::Timestamp(millis));
    let both = group(10_000, vec![known(9_000), known(4_000), partition(None, 0, 5, NextRecord::Unknown)]);
    assert_eq!((both.messages(), both.seconds(), both.without_number()), (Some(10), Some(6.0), 1));
    let dark = group(10_000, vec![known(9_000), partition(Some(0), 0, 5, NextRecord::Unknown)]);
    assert_eq!((dark.seconds(), dark.seconds_at_least()), (None, Some(1.0)));
    let never = group(10_000, vec![partition(None, 0, 5, NextRecord::Unknown)]);
    assert_eq!((never.messages(), never.seconds(), never.lost()), (None, None, None));
    assert!(never.exists() && !GroupSample { state: "Dead".to_owned(), ..never }.exists());
}

fn any_partition() -> impl Strategy<Value = PartitionSample> {
    let next =
        prop_oneof![Just(NextRecord::Absent), Just(NextRecord::Unknown), any::<i64>().prop_map(NextRecord::Timestamp)];
    let bounds = proptest::option::of((0i64..1_000, 0i64..1_000, 0i64..1_000));
    (proptest::option::of(prop_oneof![0i64..3_500, Just(i64::MAX)]), bounds, next, 0..3i32).prop_map(
        |(committed, bounds, next, number)| PartitionSample {
            topic: "orders".to_owned(),
            partition: number,
            committed,
            bounds: bounds.map(|(log_start, stable, open)| LogBounds {
                log_start,
                last_stable: log_start + stable,
                high_watermark: log_start + stable + open,
            }),
            next,
            owner: None,
        },
    )
}

proptest! {
    #[test]
    fn committed_plus_lag_is_the_end(seen in any_partition()) {
        for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
            match (seen.lag(isolation), seen.committed, seen.bounds) {
                (Lag::Messages(messages), Some(committed), Some(bounds)) => {
                    prop_assert_eq!(committed + messages, bounds.end(isolation));
                }
                (Lag::BeyondEnd(beyond), Some(committed), Some(bounds)) => {
                    prop_assert!(beyond > 0);
                    prop_assert_eq!(committed - beyond, bounds.end(isolation));
                }
                (Lag::NoCommit, None, _) | (Lag::NoEnd, Some(_), None) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn totals_add_up_and_nothing_is_negative(
        partitions in proptest::collection::vec(any_partition(), 0..8), now: i64,
    ) {
        let seen = group(now, partitions);
        let document = GroupLag::of(&seen, None);
        let numbers: Vec<i64> = document.partitions.iter().filter_map(|row| row.messages).collect();
        prop_assert_eq!(document.messages, (!numbers.is_empty()).then(|| numbers.iter().sum()));
        prop_assert_eq!(document.without_number + numbers.len(), document.partitions.len());
        for row in &document.partitions {
            prop_assert!(row.seconds.is_none_or(|seconds| seconds >= 0.0));
            prop_assert!(row.messages.is_none_or(|messages| messages >= 0) && row.lost.is_none_or(|lost| lost >= 0));
            prop_assert!(!(row.beyond_end && row.messages.is_some()));
        }
        let text = serde_json::to_string(&LagDocument::one(document)).expect("JSON");
        prop_assert!(serde_json::from_str::<LagDocument>(&text).is_ok());
    }
}
