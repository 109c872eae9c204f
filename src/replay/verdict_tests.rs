//! Tests of `verdict`: what is damaged is seen, and called by its name.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::{
    Cause, Evidence, Note, PartitionEvidence, PartitionFacts, PartitionTarget, ReplayDocument, ReplayVerdict,
    StateFacts, judge, plan,
};
use crate::{
    analytics::test_support::{TOPICS, TestLog, any_logs, fold, order},
    state::{Digest, Loss, Position, TopicId},
};

/// A replay of `now` by a group whose state is the fold of `then`.
fn evidence(then: &[TestLog], now: &[TestLog]) -> Evidence {
    let partitions: Vec<_> = then
        .iter()
        .zip(now)
        .map(|(then, now)| PartitionEvidence {
            facts: PartitionFacts {
                topic: now.topic.into(),
                partition: now.partition,
                log_start: now.start,
                high_watermark: then.end,
                committed: Some(then.end),
            },
            state: Some(StateFacts {
                position: then.end,
                log_start: then.start,
                topic_id: TopicId::of_bits(7),
                records: Some(then.records.len() as u64),
            }),
            loss: None,
            topic_id: TopicId::of_bits(7),
            records: now.records.len() as u64,
        })
        .collect();
    let facts: Vec<_> = partitions.iter().map(|partition| partition.facts.clone()).collect();
    Evidence {
        plan: plan(&facts, |_| PartitionTarget::Earliest),
        records: partitions.iter().map(|partition| partition.records).sum(),
        partitions,
        note: None,
        before: fold(then).document(),
        after: fold(now).document(),
        rows: usize::MAX,
    }
}

fn log() -> TestLog {
    let records =
        vec![order(0, "restaurant_01", false), order(0, "restaurant_01", true), order(2, "restaurant_02", false)];
    TestLog::new(TOPICS[1], 3, 10, records)
}

fn words(document: &ReplayDocument) -> Vec<&'static str> {
    document.causes.iter().map(Cause::name).collect()
}

/// A verdict that is not identical, and its causes.
fn refused(evidence: Evidence) -> Vec<&'static str> {
    let document = judge(evidence);
    assert_eq!(document.verdict, ReplayVerdict::Different);
    words(&document)
}

#[test]
fn the_same_records_are_identical_and_the_document_survives_json() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.note = Some(Note::FirstPass);
    let document = judge(evidence);
    assert_eq!((document.verdict, document.differences.len(), words(&document)), (ReplayVerdict::Identical, 0, vec![]));
    let json = serde_json::to_string(&document).expect("serializes");
    assert_eq!(serde_json::from_str::<ReplayDocument>(&json).expect("parses"), document);
}

#[test]
fn the_document_is_the_contracts() {
    let mut now = log();
    now.records.remove(0);
    now.start += 1;
    let json = serde_json::to_string_pretty(&judge(evidence(&[log()], &[now]))).expect("serializes");
    insta::assert_snapshot!("replay_document", json);
}

#[test]
fn records_behind_a_moved_log_start_are_gone_and_the_range_says_so_too() {
    let mut now = log();
    now.records.remove(0);
    now.start += 1;
    let document = judge(evidence(&[log()], &[now]));
    assert_eq!(words(&document), ["records_gone"]);
    assert!(document.differences.iter().any(|found| found.metric == "range[order-events/3].start"));
    let sentence = document.causes[0].to_string();
    assert!(sentence.contains("began at 10 and begins at 11 now; of 3 records 2 are left"), "{sentence}");
}

#[test]
fn a_log_start_that_moved_over_nothing_is_no_identity_either() {
    let mut empty = TestLog::new(TOPICS[0], 0, 10, Vec::new());
    empty.end = 14;
    let moved = TestLog { start: 12, ..empty.clone() };
    assert_eq!(refused(evidence(&[empty, log()], &[moved, log()])), ["records_gone"]);
}

#[test]
fn a_topic_was_recreated_where_its_id_is_another_and_a_log_that_ends_too_early_lost_its_tail() {
    let shorter = |topic_id: Option<TopicId>| {
        let mut shorter = evidence(&[log()], &[log()]);
        shorter.partitions[0].facts.high_watermark = 12;
        shorter.partitions[0].topic_id = topic_id;
        shorter
    };
    let document = judge(shorter(TopicId::of_bits(8)));
    assert_eq!(words(&document), ["topic_recreated"]);
    let sentence = document.causes[0].to_string();
    assert!(sentence.ends_with("its id was AAAAAAAAAAAAAAAAAAAABw and is AAAAAAAAAAAAAAAAAAAACA now"), "{sentence}");
    let document = judge(shorter(TopicId::of_bits(7)));
    assert_eq!(words(&document), ["log_truncated"]);
    assert!(document.causes[0].to_string().ends_with("stands at 13, and the log ends at 12"));

    // Whatever else is the same: records and digest may be, too.
    let mut same = evidence(&[log()], &[log()]);
    same.partitions[0].topic_id = TopicId::of_bits(8);
    assert_eq!(refused(same), ["topic_recreated"]);
}

#[test]
fn an_older_state_has_no_id_and_what_it_cannot_know_is_not_said() {
    let older = |change: &dyn Fn(&mut PartitionFacts)| {
        let mut evidence = evidence(&[log()], &[log()]);
        change(&mut evidence.partitions[0].facts);
        evidence.partitions[0].state.as_mut().expect("a state").topic_id = None;
        evidence
    };
    let document = judge(older(&|facts| facts.high_watermark = 12));
    assert_eq!(words(&document), ["log_truncated"]);
    assert!(document.causes[0].to_string().contains("another topic of this name"));
    assert_eq!(refused(older(&|facts| facts.log_start = 0)), ["topic_recreated"], "no log does that");
    assert_eq!(words(&judge(older(&|_| {}))), [""; 0]);
}

#[test]
fn a_state_that_is_not_whole_is_lost_and_no_defect() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.before.total_orders -= 1;
    evidence.partitions[0].loss = Some(Loss { of: "counts".into(), expected: 9, found: 8 });
    let document = judge(evidence);
    assert_eq!(words(&document), ["state_lost"]);
    assert!(document.causes[0].to_string().ends_with("8 of 9 counts are present"));
}

#[test]
fn state_and_offsets_that_are_missing_or_disagree_are_named() {
    let mut lost = evidence(&[log()], &[log()]);
    lost.partitions[0].state = None;
    assert_eq!(refused(lost), ["state_lost"]);
    let mut lost = evidence(&[log()], &[log()]);
    lost.partitions[0].facts.committed = None;
    assert_eq!(refused(lost), ["offsets_lost"]);
    let mut apart = evidence(&[log()], &[log()]);
    apart.partitions[0].facts.committed = Some(11);
    let document = judge(apart);
    assert_eq!(words(&document), ["state_foreign"]);
    assert!(document.causes[0].to_string().ends_with("it stands at 13, the group at 11"));
}

#[test]
fn a_partition_of_which_nothing_was_ever_counted_speaks_against_nothing() {
    let mut evidence = evidence(&[log()], &[log()]);
    let mut untouched = evidence.partitions[0].clone();
    untouched.facts.partition = 4;
    untouched.facts.committed = None;
    untouched.state = None;
    evidence.partitions.push(untouched);
    assert_eq!(judge(evidence).verdict, ReplayVerdict::Identical);
}

#[test]
fn a_state_that_counted_fewer_records_than_there_are_is_foreign() {
    let mut holed = log();
    holed.records.remove(1);
    assert_eq!(refused(evidence(&[holed], &[log()])), ["state_foreign"]);
}

#[test]
fn a_count_that_its_own_digest_belies_is_foreign() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.partitions[0].state.as_mut().expect("stands").records = Some(9);
    assert_eq!(refused(evidence), ["state_foreign"]);
}

#[test]
fn other_numbers_from_the_same_records_are_a_defect() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.after.by_minute[0].total += 1;
    evidence.after.total_orders += 1;
    let document = judge(evidence);
    assert_eq!(document.causes, [Cause::Defect { differences: 2 }]);
}

#[test]
fn a_replay_that_read_nothing_proves_nothing() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.records = 0;
    assert_eq!(refused(evidence), ["nothing_read"]);
}

#[test]
fn a_position_record_says_what_the_state_is() {
    let position = Position {
        next_offset: 9,
        log_start: 4,
        topic_id: TopicId::of_bits(3),
        group: "g".into(),
        epoch: Some("e".into()),
        settings: None,
        counts: BTreeMap::from([("records".into(), 5)]),
        holds: BTreeMap::new(),
        digest: Digest::default(),
        until: None,
        previous: None,
    };
    let facts = StateFacts { position: 9, log_start: 4, topic_id: TopicId::of_bits(3), records: Some(5) };
    assert_eq!(StateFacts::from(&position), facts);
    assert_eq!(StateFacts::from(&position.checkpoint().expect("has an epoch")), facts);
}

proptest! {
    #[test]
    fn a_good_log_is_identical(logs in any_logs(10)) {
        let read = logs.iter().any(|log| !log.records.is_empty());
        let document = judge(evidence(&logs, &logs));
        prop_assert_eq!(document.verdict == ReplayVerdict::Identical, read);
    }

    /// Any byte of any record, in a field that some metric looks at or in none.
    #[test]
    fn a_changed_byte_is_seen(logs in any_logs(10), which: Index, at: Index, by in 1u8..) {
        let mut damaged = logs.clone();
        let mut values: Vec<_> = records(&mut damaged).filter_map(|(_, record)| record.as_mut()).collect();
        values.retain(|value| !value.is_empty());
        prop_assume!(!values.is_empty());
        let which = which.index(values.len());
        let at = at.index(values[which].len());
        values[which][at] ^= by;
        prop_assert_eq!(refused(evidence(&logs, &damaged)), ["records_changed"]);
    }

    #[test]
    fn a_dropped_record_is_seen(logs in any_logs(10), which: Index) {
        let mut damaged = logs.clone();
        let count = records(&mut damaged).count();
        prop_assume!(count > 1);
        let (mut index, which) = (0, which.index(count));
        for log in &mut damaged {
            log.records.retain(|_| { index += 1; index - 1 != which });
        }
        prop_assert_eq!(refused(evidence(&logs, &damaged)), ["records_gone"]);
    }

    #[test]
    fn two_swapped_records_are_seen(logs in any_logs(10), left: Index, right: Index) {
        let mut damaged = logs.clone();
        let mut records: Vec<_> = records(&mut damaged).map(|(_, record)| record).collect();
        prop_assume!(!records.is_empty());
        let (left, right) = (left.index(records.len()), right.index(records.len()));
        prop_assume!(records[left] != records[right]);
        let kept = records[left].clone();
        *records[left] = records[right].clone();
        *records[right] = kept;
        let words = refused(evidence(&logs, &damaged));
        prop_assert!(words == ["records_changed"] || words == ["records_changed"; 2], "{:?}", words);
    }

    /// Whatever else is wrong: a digest that differs has a cause that is not ours.
    #[test]
    fn a_differing_digest_is_never_called_a_defect(
        logs in any_logs(6), others in any_logs(6), odd in prop::collection::vec((0usize..4, 0u8..4), 0..3),
    ) {
        let mut evidence = evidence(&logs, &others);
        for (index, what) in odd {
            let partition = &mut evidence.partitions[index];
            match what {
                0 => partition.state = None,
                1 => partition.facts.committed = None,
                2 => partition.facts.high_watermark -= 1,
                _ => partition.state.iter_mut().for_each(|state| state.records = None),
            }
        }
        let differ = evidence.before.range.iter().zip(&evidence.after.range).any(|(before, after)| before.digest != after.digest);
        let document = judge(evidence);
        if differ {
            prop_assert!(!document.causes.is_empty() && !words(&document).contains(&"defect"), "{:?}", document.causes);
        }
        prop_assert_eq!(document.verdict == ReplayVerdict::Identical, document.differences.is_empty() && document.causes.is_empty());
    }
}

fn records(logs: &mut [TestLog]) -> impl Iterator<Item = &mut (i64, Option<Vec<u8>>)> {
    logs.iter_mut().flat_map(|log| &mut log.records)
}
