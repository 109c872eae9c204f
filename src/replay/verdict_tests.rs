//! Tests of the verdict: damage is detected and has the right cause.

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

fn causes(document: &ReplayDocument) -> Vec<&'static str> {
    document.causes.iter().map(Cause::name).collect()
}

/// The causes of a verdict, which must be `Different`.
fn different(evidence: Evidence) -> Vec<&'static str> {
    let document = judge(evidence);
    assert_eq!(document.verdict, ReplayVerdict::Different);
    causes(&document)
}

#[test]
fn same_records_are_identical() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.note = Some(Note::FirstPass);
    let document = judge(evidence);
    assert_eq!(
        (document.verdict, document.differences.len(), causes(&document)),
        (ReplayVerdict::Identical, 0, vec![])
    );
    let json = serde_json::to_string(&document).expect("serializes");
    assert_eq!(serde_json::from_str::<ReplayDocument>(&json).expect("parses"), document);
}

#[test]
fn document_format_is_stable() {
    let mut now = log();
    now.records.remove(0);
    now.start += 1;
    let json = serde_json::to_string_pretty(&judge(evidence(&[log()], &[now]))).expect("serializes");
    insta::assert_snapshot!("replay_document", json);
}

#[test]
fn moved_log_start_is_records_gone() {
    let mut now = log();
    now.records.remove(0);
    now.start += 1;
    let document = judge(evidence(&[log()], &[now]));
    assert_eq!(causes(&document), ["records_gone"]);
    assert!(document.differences.iter().any(|found| found.metric == "range[order-events/3].start"));
    let sentence = document.causes[0].to_string();
    assert!(sentence.contains("the log start moved from 10 to 11, 2 of 3 records left"), "{sentence}");
}

#[test]
fn moved_log_start_of_an_empty_log_differs() {
    let mut empty = TestLog::new(TOPICS[0], 0, 10, Vec::new());
    empty.end = 14;
    let moved = TestLog { start: 12, ..empty.clone() };
    assert_eq!(different(evidence(&[empty, log()], &[moved, log()])), ["records_gone"]);
}

#[test]
fn topic_id_decides_recreated_or_truncated() {
    let shorter = |topic_id: Option<TopicId>| {
        let mut shorter = evidence(&[log()], &[log()]);
        shorter.partitions[0].facts.high_watermark = 12;
        shorter.partitions[0].topic_id = topic_id;
        shorter
    };
    let document = judge(shorter(TopicId::of_bits(8)));
    assert_eq!(causes(&document), ["topic_recreated"]);
    let sentence = document.causes[0].to_string();
    assert!(sentence.ends_with("its id changed from AAAAAAAAAAAAAAAAAAAABw to AAAAAAAAAAAAAAAAAAAACA"), "{sentence}");
    let document = judge(shorter(TopicId::of_bits(7)));
    assert_eq!(causes(&document), ["log_truncated"]);
    assert!(document.causes[0].to_string().ends_with("offset is 13, but the log ends at 12"));

    // Another id decides, even if records and digest are the same.
    let mut same = evidence(&[log()], &[log()]);
    same.partitions[0].topic_id = TopicId::of_bits(8);
    assert_eq!(different(same), ["topic_recreated"]);
}

#[test]
fn state_without_a_topic_id_is_compared_by_offsets() {
    let older = |change: &dyn Fn(&mut PartitionFacts)| {
        let mut evidence = evidence(&[log()], &[log()]);
        change(&mut evidence.partitions[0].facts);
        evidence.partitions[0].state.as_mut().expect("a state").topic_id = None;
        evidence
    };
    let document = judge(older(&|facts| facts.high_watermark = 12));
    assert_eq!(causes(&document), ["log_truncated"]);
    assert!(document.causes[0].to_string().contains("another topic of the same name"));
    assert_eq!(different(older(&|facts| facts.log_start = 0)), ["topic_recreated"], "a log start never decreases");
    assert_eq!(causes(&judge(older(&|_| {}))), [""; 0]);
}

#[test]
fn incomplete_state_is_state_lost() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.before.total_orders -= 1;
    evidence.partitions[0].loss = Some(Loss { of: "counts".into(), expected: 9, found: 8 });
    let document = judge(evidence);
    assert_eq!(causes(&document), ["state_lost"]);
    let loss = Loss { of: "counts".into(), expected: 9, found: 8 };
    assert!(document.causes[0].to_string().ends_with(&loss.to_string()));
}

#[test]
fn missing_or_mismatched_state_has_a_cause() {
    let mut lost = evidence(&[log()], &[log()]);
    lost.partitions[0].state = None;
    assert_eq!(different(lost), ["state_lost"]);
    let mut lost = evidence(&[log()], &[log()]);
    lost.partitions[0].facts.committed = None;
    assert_eq!(different(lost), ["offsets_lost"]);
    let mut mismatched = evidence(&[log()], &[log()]);
    mismatched.partitions[0].facts.committed = Some(11);
    let document = judge(mismatched);
    assert_eq!(causes(&document), ["state_foreign"]);
    assert!(document.causes[0].to_string().ends_with("the state is at 13, the group at 11"));
}

#[test]
fn uncounted_partition_is_no_cause() {
    let mut evidence = evidence(&[log()], &[log()]);
    let mut untouched = evidence.partitions[0].clone();
    untouched.facts.partition = 4;
    untouched.facts.committed = None;
    untouched.state = None;
    evidence.partitions.push(untouched);
    assert_eq!(judge(evidence).verdict, ReplayVerdict::Identical);
}

#[test]
fn state_with_fewer_records_than_the_log_is_foreign() {
    let mut incomplete = log();
    incomplete.records.remove(1);
    assert_eq!(different(evidence(&[incomplete], &[log()])), ["state_foreign"]);
}

#[test]
fn count_that_contradicts_its_digest_is_foreign() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.partitions[0].state.as_mut().expect("a state").records = Some(9);
    assert_eq!(different(evidence), ["state_foreign"]);
}

#[test]
fn other_metrics_from_the_same_records_are_a_defect() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.after.by_minute[0].total += 1;
    evidence.after.total_orders += 1;
    let document = judge(evidence);
    assert_eq!(document.causes, [Cause::Defect { differences: 2 }]);
}

#[test]
fn replay_without_records_is_nothing_read() {
    let mut evidence = evidence(&[log()], &[log()]);
    evidence.records = 0;
    assert_eq!(different(evidence), ["nothing_read"]);
}

#[test]
fn position_record_describes_the_state() {
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
        started_over: false,
        previous: None,
    };
    let facts = StateFacts { position: 9, log_start: 4, topic_id: TopicId::of_bits(3), records: Some(5) };
    assert_eq!(StateFacts::from(&position), facts);
    assert_eq!(StateFacts::from(&position.checkpoint().expect("has an epoch")), facts);
}

proptest! {
    #[test]
    fn unchanged_log_is_identical(logs in any_logs(10)) {
        let read = logs.iter().any(|log| !log.records.is_empty());
        let document = judge(evidence(&logs, &logs));
        prop_assert_eq!(document.verdict == ReplayVerdict::Identical, read);
    }

    /// Any byte of any record, whether a metric uses its field or not.
    #[test]
    fn changed_byte_is_detected(logs in any_logs(10), which: Index, at: Index, by in 1u8..) {
        let mut damaged = logs.clone();
        let mut values: Vec<_> = records(&mut damaged).filter_map(|(_, record)| record.as_mut()).collect();
        values.retain(|value| !value.is_empty());
        prop_assume!(!values.is_empty());
        let which = which.index(values.len());
        let at = at.index(values[which].len());
        values[which][at] ^= by;
        prop_assert_eq!(different(evidence(&logs, &damaged)), ["records_changed"]);
    }

    #[test]
    fn dropped_record_is_detected(logs in any_logs(10), which: Index) {
        let mut damaged = logs.clone();
        let count = records(&mut damaged).count();
        prop_assume!(count > 1);
        let (mut index, which) = (0, which.index(count));
        for log in &mut damaged {
            log.records.retain(|_| { index += 1; index - 1 != which });
        }
        prop_assert_eq!(different(evidence(&logs, &damaged)), ["records_gone"]);
    }

    #[test]
    fn swapped_records_are_detected(logs in any_logs(10), left: Index, right: Index) {
        let mut damaged = logs.clone();
        let mut records: Vec<_> = records(&mut damaged).map(|(_, record)| record).collect();
        prop_assume!(!records.is_empty());
        let (left, right) = (left.index(records.len()), right.index(records.len()));
        prop_assume!(records[left] != records[right]);
        let kept = records[left].clone();
        *records[left] = records[right].clone();
        *records[right] = kept;
        let causes = different(evidence(&logs, &damaged));
        prop_assert!(causes == ["records_changed"] || causes == ["records_changed"; 2], "{:?}", causes);
    }

    /// Whatever else is wrong, different records are never reported as a defect of the program.
    #[test]
    fn different_digest_is_never_a_defect(
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
            prop_assert!(!document.causes.is_empty() && !causes(&document).contains(&"defect"), "{:?}", document.causes);
        }
        prop_assert_eq!(document.verdict == ReplayVerdict::Identical, document.differences.is_empty() && document.causes.is_empty());
    }
}

fn records(logs: &mut [TestLog]) -> impl Iterator<Item = &mut (i64, Option<Vec<u8>>)> {
    logs.iter_mut().flat_map(|log| &mut log.records)
}
