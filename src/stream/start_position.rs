//! The rule by which a source partition begins: state, offset and topic belong together, or nothing runs.

use super::Processor;
use super::settings::ErrorTexts;
use super::tasks::Assigning;
use super::topic_ids::recreated;
use crate::exit::{Code, Failure};
use crate::kafka::TopicPartition;
use crate::state::{Position, is_another_topic};

/// What the cluster says of a source partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The group's committed offset.
    pub offset: Option<i64>,
    /// The log start.
    pub start: i64,
    /// The high watermark.
    pub end: i64,
}

/// Where a source partition begins, and with what.
pub(super) struct Beginning<T> {
    pub state: T,
    pub position: Position,
    /// Offset or position are not on the broker yet.
    pub must_commit: bool,
    /// Keys of a state that was given up.
    pub given_up: Vec<Vec<u8>>,
}

/// The rule: state and offset are equal and of this topic, and the state is whole, or nothing runs.
pub(super) fn begin<P: Processor>(
    processor: &P,
    source: &TopicPartition,
    state: P::Task,
    position: Option<Position>,
    facts: Facts,
    assigning: &Assigning<'_>,
) -> Result<Beginning<P::Task>, Failure> {
    let Facts { offset, start, end } = facts;
    let words = assigning.words;
    if let Some(kept) = &position {
        processor.validate_position(source, kept)?;
        let found = assigning.identity.of(&source.topic);
        let is_another = is_another_topic(kept.topic_id.as_ref(), found);
        // With a topic its offsets are deleted; of which topic the state is, an older version did not write.
        let may_be_another = kept.topic_id.is_none() && offset.is_none();
        if assigning.start_over && (is_another || may_be_another) {
            let (state, given_up) = processor.give_up(source, &state, kept);
            return Ok(Beginning { state, position: processor.first_position(start), must_commit: true, given_up });
        }
        if let (true, Some(kept), Some(found)) = (is_another, &kept.topic_id, found) {
            return Err(recreated(&source.topic, kept, found, words));
        }
        if let Some(loss) = processor.loss(&state, kept) {
            return Err(Failure::new(
                Code::Refused,
                format!("state_lost: the {} of {source} is not whole any more: {loss}", words.state_name),
            )
            .hint(words.state_incomplete_hint));
        }
    }
    let (position, must_commit) = match (offset, position) {
        (None, None) => (processor.first_position(start), true),
        (Some(offset), Some(position)) if offset == position.next_offset => (position, false),
        (_, Some(position)) if assigning.resume => (position, true),
        (offset, position) => return Err(unequal(source, offset, position.as_ref(), words)),
    };
    let next = position.next_offset;
    if next < start {
        return Err(Failure::new(
            Code::Refused,
            format!("{source}: the next record to read is at offset {next}, but the log starts at {start}: {} offsets are gone unread", start - next),
        )
        .hint(words.records_missing_hint));
    }
    if next > end {
        let why = if position.topic_id.is_some() {
            "it lost its tail"
        } else {
            "it lost its tail, or the topic was deleted and created again: an older version has not kept its id"
        };
        return Err(Failure::new(
            Code::Refused,
            format!("{source}: the next record to read is at offset {next}, but the log ends at {end}: {why}"),
        )
        .hint(words.records_missing_hint));
    }
    Ok(Beginning { state, position, must_commit, given_up: Vec::new() })
}

fn unequal(source: &TopicPartition, offset: Option<i64>, position: Option<&Position>, words: &ErrorTexts) -> Failure {
    let told = offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
    let (stands, hint) = match position {
        // The offset may have gone with the topic, and the state must then not be gone on with.
        Some(position) if offset.is_none() && position.topic_id.is_none() => (
            position.next_offset.to_string(),
            format!(
                "if the topic was deleted and created again, {}; if only the offset is gone, `foodstream {} {}` commits the {}'s and goes on from there",
                words.topic_recreated_hint, words.command, words.resume_flag, words.state_name
            ),
        ),
        Some(position) => (
            position.next_offset.to_string(),
            format!(
                "the {} is the truth: `foodstream {} {}` commits its offset and goes on from there",
                words.state_name, words.command, words.resume_flag
            ),
        ),
        None => (
            "none".to_owned(),
            format!(
                "the {} is gone, or the offsets are another program's: {}",
                words.state_name, words.state_missing_hint
            ),
        ),
    };
    Failure::new(
        Code::Refused,
        format!("{source}: the group's committed offset ({told}) and the {}'s position ({stands}) are not equal: somebody moved one of them", words.state_name),
    )
    .hint(hint)
}
