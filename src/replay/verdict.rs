//! The verdict of a replay: the differences between two metrics documents, and the causes that explain them.

use super::{
    Cause, Differences, Note, PartitionFacts, PlanRow, ReplayDocument, ReplaySchema, ReplayVerdict, differences,
};
use crate::{
    analytics::MetricsDocument,
    state::{Checkpoint, Digest, Loss, Position, TopicId, is_another_topic},
};

/// Everything that a replay has found.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The old and new offset of each partition.
    pub plan: Vec<PlanRow>,
    /// Records read again, over all partitions.
    pub records: u64,
    /// Every selected source partition, including those that did not move; ordered by topic and partition. Partitions
    /// that were not selected contribute equally to `before` and `after`, and are not listed.
    pub partitions: Vec<PartitionEvidence>,
    /// A fact that qualifies the verdict.
    pub note: Option<Note>,
    /// The metrics from the group's state.
    pub before: MetricsDocument,
    /// The metrics from the records.
    pub after: MetricsDocument,
    /// The most differences that the document lists. All of them are counted.
    pub rows: usize,
}

/// What is known about one source partition.
#[derive(Debug, Clone)]
pub struct PartitionEvidence {
    /// The log as it is now, and the committed offset at which the range was frozen.
    pub facts: PartitionFacts,
    /// The state that `before` was computed from; `None` without a position record.
    pub state: Option<StateFacts>,
    /// The part of that state that is lost.
    pub loss: Option<Loss>,
    /// The topic's current id, if known.
    pub topic_id: Option<TopicId>,
    /// Records from the log start to the frozen end, as read now.
    pub records: u64,
}

/// What a position record says about its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFacts {
    /// The offset of the next record to count.
    pub position: i64,
    /// The log start when the state began.
    pub log_start: i64,
    /// The id of the topic that was counted, if known.
    pub topic_id: Option<TopicId>,
    /// Records counted; `None` if the position record does not contain it.
    pub records: Option<u64>,
}

impl From<&Position> for StateFacts {
    fn from(position: &Position) -> Self {
        let records = position.counts.get("records").copied();
        let topic_id = position.topic_id.clone();
        Self { position: position.next_offset, log_start: position.log_start, topic_id, records }
    }
}

impl From<&Checkpoint> for StateFacts {
    fn from(checkpoint: &Checkpoint) -> Self {
        let records = checkpoint.counts.get("records").copied();
        let topic_id = checkpoint.topic_id.clone();
        Self { position: checkpoint.next_offset, log_start: checkpoint.log_start, topic_id, records }
    }
}

/// Compares the metrics and finds the causes. The verdict is identical only without a difference and without a cause.
#[must_use]
pub fn judge(evidence: Evidence) -> ReplayDocument {
    let Evidence { plan, records, partitions, note, before, after, rows } = evidence;
    let Differences { first, count, .. } = differences(&before, &after, rows);
    let differences = first;
    let mut causes: Vec<_> = partitions.iter().filter_map(|partition| cause(partition, &before, &after)).collect();
    if causes.is_empty() && !differences.is_empty() {
        causes.push(Cause::Defect { differences: count });
    }
    if records == 0 {
        causes.push(Cause::NothingRead);
    }
    let proved = differences.is_empty() && causes.is_empty();
    let verdict = if proved { ReplayVerdict::Identical } else { ReplayVerdict::Different };
    let left_out = count - differences.len() as u64;
    ReplayDocument {
        schema: ReplaySchema::Version1,
        verdict,
        records,
        plan,
        differences,
        differences_left_out: (left_out > 0).then_some(left_out),
        causes,
        note,
        before,
        after,
    }
}

/// What is wrong with one partition: the first cause that applies, since each makes the later ones meaningless.
fn cause(evidence: &PartitionEvidence, before: &MetricsDocument, after: &MetricsDocument) -> Option<Cause> {
    let PartitionEvidence { facts, state, loss, topic_id, records: records_after } = evidence;
    let PartitionFacts { topic, partition, log_start, high_watermark, committed } = facts;
    let (topic, partition, records_after) = (topic.clone(), *partition, *records_after);
    let state = state.as_ref();
    let end = committed.or(state.map(|state| state.position))?;
    let counted_id = state.and_then(|state| state.topic_id.as_ref());
    // A log start never decreases. State of an older version has no topic id, so this is the only sign of a recreated
    // topic.
    let went_back = counted_id.is_none() && state.is_some_and(|state| state.log_start > *log_start);
    if went_back || is_another_topic(counted_id, topic_id.as_ref()) {
        return Some(Cause::TopicRecreated {
            topic,
            partition,
            end,
            high_watermark: *high_watermark,
            log_start_before: state.map(|state| state.log_start),
            log_start_after: *log_start,
            id_before: counted_id.cloned(),
            id_after: topic_id.clone(),
        });
    }
    if end > *high_watermark {
        let topic_id = counted_id.and(topic_id.clone());
        return Some(Cause::LogTruncated { topic, partition, end, high_watermark: *high_watermark, topic_id });
    }
    let (state, committed) = match (state, committed) {
        (Some(state), Some(committed)) => (state, *committed),
        (None, Some(committed)) => {
            return Some(Cause::StateLost { topic, partition, committed: *committed, loss: None });
        }
        (Some(state), None) => return Some(Cause::OffsetsLost { topic, partition, position: state.position }),
        (None, None) => return None,
    };
    if loss.is_some() {
        return Some(Cause::StateLost { topic, partition, committed, loss: loss.clone() });
    }
    let records_before = state.records;
    let foreign = |topic| Cause::StateForeign {
        topic,
        partition,
        position: state.position,
        committed,
        records_before,
        records_after,
    };
    if state.position != committed {
        return Some(foreign(topic));
    }
    let gone = |topic| Cause::RecordsGone {
        topic,
        partition,
        log_start_before: state.log_start,
        log_start_after: *log_start,
        records_before,
        records_after,
    };
    if *log_start > state.log_start {
        return Some(gone(topic));
    }
    let digest_before = digest_of(before, &topic, partition);
    let digest_after = digest_of(after, &topic, partition);
    match records_before {
        Some(records) if digest_before == digest_after && records == records_after => None,
        None if digest_before == digest_after => None,
        Some(records) if records_after < records && digest_before != digest_after => Some(gone(topic)),
        Some(records) if records_after == records => {
            Some(Cause::RecordsChanged { topic, partition, records, digest_before, digest_after })
        }
        // More records below the offset than were counted, a count that contradicts its own digest, or no count at all.
        _ => Some(foreign(topic)),
    }
}

/// The digest of a partition's range; for a missing range, the digest of an empty one.
fn digest_of(document: &MetricsDocument, topic: &str, partition: i32) -> Digest {
    let row = document.range.iter().find(|row| row.topic == topic && row.partition == partition);
    row.map(|row| row.digest).unwrap_or_default()
}
