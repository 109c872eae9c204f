//! Parts of the texts of a replay: tables, notes and advice.

use std::fmt::{self, Write};

use serde_json::Value;

use super::text_table::{Align, TextTable};
use crate::printable::printable;
use crate::replay::{Cause, Difference, Note, PlanNote, PlanRow};
use crate::units::{grouped, grouped_decimal};

/// Each partition's old and new offset, the change, and the number of offsets to read again.
pub(super) fn plan_table(rows: &[PlanRow]) -> String {
    let columns = ["partition", "old", "new", "delta", "offsets to read"].map(|name| (name, Align::Right));
    let [partition, old, new, delta, read] = columns;
    let mut table = TextTable::new([("topic", Align::Left), partition, old, new, delta, read, ("", Align::Left)]);
    for row in rows {
        table.row([
            printable(&row.topic).into(),
            row.partition.to_string(),
            row.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
            row.from.map_or_else(|| "-".to_owned(), |_| row.to.to_string()),
            row.delta().to_string(),
            grouped(row.offsets_to_read()),
            row.note.map(note_text).unwrap_or_default(),
        ]);
    }
    table.to_string()
}

/// Why a partition is not rewound to the requested offset.
pub(super) fn note_text(note: PlanNote) -> String {
    match note {
        PlanNote::Raised { asked } => format!("raised from {asked}, below the log start"),
        PlanNote::Lowered { asked } => format!("lowered from {asked}, ahead of the group"),
        PlanNote::NoRecordSince { asked } => {
            format!("no record at or after that time: lowered from the end, {asked}")
        }
        PlanNote::NoOffset => "no committed offset, nothing to read again".to_owned(),
        PlanNote::Stays => "unchanged".to_owned(),
    }
}

/// A group that is unchanged is part of the verdict.
pub(super) fn write_note(out: &mut String, note: Option<Note>) -> fmt::Result {
    match note {
        Some(Note::FirstPass) => writeln!(
            out,
            "Note: the group had neither offsets nor state; the metrics before are from a first pass, just before the replay"
        ),
        Some(Note::LeftAlone) | None => Ok(()),
    }
}

/// The value of each metric before and after.
pub(super) fn differences_table<'a>(differences: impl Iterator<Item = &'a Difference>) -> String {
    let mut table = TextTable::new([("metric", Align::Left), ("before", Align::Right), ("after", Align::Right)]);
    for found in differences {
        table.row([printable(&found.metric).into(), value_text(&found.before), value_text(&found.after)]);
    }
    table.to_string()
}

/// A metric's value: a number or a text, `-` for a missing one, `present` for a whole row.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text).into(),
        Value::Object(_) | Value::Array(_) => "present".to_owned(),
        Value::Number(number) => number.as_i64().map_or_else(|| grouped_decimal(number), grouped),
        Value::Bool(_) => value.to_string(),
    }
}

/// What to do about a cause.
pub(super) const fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::RecordsGone { .. } => {
            "to keep records longer, raise the topic's retention (with cleanup.policy=delete); \
             `foodstream analytics --from-beginning` counts the remaining records"
        }
        Cause::RecordsChanged { .. } => {
            "a log does not change its records, so it was deleted and filled again; \
             `foodstream analytics --from-beginning` counts the current records"
        }
        Cause::TopicRecreated { .. } => {
            "the old records are lost; `foodstream analytics --from-beginning` counts the current records"
        }
        Cause::LogTruncated { .. } => {
            "look for the reason in the broker's log; `foodstream analytics --from-beginning` counts the remaining records"
        }
        Cause::StateLost { .. } => {
            "check whether the state topic was deleted or is not compacted; `foodstream analytics --from-beginning` counts again"
        }
        Cause::StateForeign { .. } => {
            "another program has set the group's offsets or written to its state; `foodstream analytics --resume-from-state` \
             continues from the state, `foodstream analytics --from-beginning` counts again"
        }
        Cause::OffsetsLost { .. } => {
            "it expired or was deleted; `foodstream analytics --resume-from-state` continues from the state's offset"
        }
        Cause::NothingRead => {
            "choose a target below the group's offsets; a group that has not counted yet needs `foodstream analytics` first"
        }
        Cause::Defect { .. } => {
            "please report it with this document (`--output json`); `foodstream replay --undo` restores the previous state"
        }
    }
}
