//! Start position of a task: the committed offset, the changelog position and the topic id must agree, and the restored
//! state must be complete. Otherwise the command is refused. See `docs/reference/exactly-once.md`.

use super::Processor;
use super::settings::ErrorTexts;
use super::tasks::RestoreContext;
use super::topic_ids::recreated;
use crate::exit::{Code, Failure};
use crate::kafka::TopicPartition;
use crate::state::{Position, is_another_topic};
use crate::units::counted;

/// Offsets of a source partition on the cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartitionOffsets {
    /// The committed offset of the group.
    pub committed: Option<i64>,
    pub log_start: i64,
    pub high_watermark: i64,
}

/// The state and position that a task starts with.
pub(super) struct StartPosition<T> {
    pub state: T,
    pub position: Position,
    /// Whether the offset or the position is not on the broker yet.
    pub must_commit: bool,
    /// Changelog keys of a state that was reset.
    pub keys_to_delete: Vec<Vec<u8>>,
}

/// Determines where a task starts.
///
/// # Errors
///
/// With exit code 7 when offset, position, topic id or state disagree.
pub(super) fn start_position<P: Processor>(
    processor: &P,
    source: &TopicPartition,
    state: P::Task,
    position: Option<Position>,
    offsets: PartitionOffsets,
    context: &RestoreContext<'_>,
) -> Result<StartPosition<P::Task>, Failure> {
    let PartitionOffsets { committed, log_start, high_watermark } = offsets;
    let texts = context.texts;
    if let Some(restored) = &position {
        processor.validate_position(source, restored)?;
        let found = context.topic_ids.get(&source.topic);
        let is_another = is_another_topic(restored.topic_id.as_ref(), found);
        // Older versions did not store the topic id. Kafka deletes the offsets of a topic with the topic.
        let may_be_another = restored.topic_id.is_none() && committed.is_none();
        if context.start_over && (is_another || may_be_another) {
            let (state, keys_to_delete) = processor.reset(source, &state, restored);
            let position = Position { started_over: true, ..processor.initial_position(log_start) };
            return Ok(StartPosition { state, position, must_commit: true, keys_to_delete });
        }
        if let (true, Some(kept), Some(found)) = (is_another, &restored.topic_id, found) {
            return Err(recreated(&source.topic, kept, found, texts));
        }
        if let Some(loss) = processor.loss(&state, restored) {
            return Err(Failure::new(
                Code::Refused,
                format!("state_lost: the {} of {source} is incomplete: {loss}", texts.state_name),
            )
            .hint(texts.state_incomplete_hint));
        }
    }
    let (position, must_commit) = match (committed, position) {
        (None, None) => (processor.initial_position(log_start), true),
        (Some(offset), Some(position)) if offset == position.next_offset => (position, false),
        (_, Some(position)) if context.resume => (position, true),
        (offset, position) => return Err(offsets_differ(source, offset, position.as_ref(), texts)),
    };
    let next = position.next_offset;
    if next < log_start {
        return Err(Failure::new(
            Code::Refused,
            format!(
                "{source}: the next record to read is at offset {next}, but the log starts at {log_start}: {} deleted unread",
                were(log_start - next)
            ),
        )
        .hint(texts.records_missing_hint));
    }
    if next > high_watermark {
        let why = if position.topic_id.is_some() {
            "the log was truncated"
        } else {
            "the log was truncated, or the topic was deleted and created again (an older version did not store the topic id)"
        };
        return Err(Failure::new(
            Code::Refused,
            format!(
                "{source}: the next record to read is at offset {next}, but the log ends at {high_watermark}: {why}"
            ),
        )
        .hint(texts.records_missing_hint));
    }
    Ok(StartPosition { state, position, must_commit, keys_to_delete: Vec::new() })
}

/// `1 offset was`, `2,000 offsets were`
fn were(offsets: i64) -> String {
    format!("{} {}", counted(offsets, "offset"), if offsets == 1 { "was" } else { "were" })
}

fn offsets_differ(
    source: &TopicPartition,
    committed: Option<i64>,
    position: Option<&Position>,
    texts: &ErrorTexts,
) -> Failure {
    let ErrorTexts { command, resume_flag, state_name, state_missing_hint, topic_recreated_hint, .. } = texts;
    let hint = match position {
        // The offset may have been deleted with the topic, and then the state belongs to the deleted topic.
        Some(position) if committed.is_none() && position.topic_id.is_none() => format!(
            "if the topic was deleted and created again, {topic_recreated_hint}; if only the offset is missing, `foodstream {command} {resume_flag}` commits the offset of the {state_name} and continues from there"
        ),
        Some(_) => format!(
            "the {state_name} is authoritative: `foodstream {command} {resume_flag}` commits its offset and continues from there"
        ),
        None => {
            format!("the {state_name} is missing, or another program committed the offsets: {state_missing_hint}")
        }
    };
    let text = |offset: Option<i64>| offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
    let (committed, position) = (text(committed), text(position.map(|position| position.next_offset)));
    Failure::new(
        Code::Refused,
        format!(
            "{source}: committed offset ({committed}) and {state_name} position ({position}) differ: one of them was changed or deleted outside foodstream"
        ),
    )
    .hint(hint)
}
