//! Owns the text of a replay: its plan, its verdict, and what to do about a difference.

use std::fmt::{self, Write};

use serde_json::Value;

use super::text_table::{Align, TextTable};
use crate::printable::printable;
use crate::replay::{Cause, Note, PlanNote, PlanRow, ReplayDocument, ReplayVerdict};

/// Differences that a report shows; the document has them all.
const SHOWN: usize = 20;

/// What a replay has found, without the metrics themselves.
#[must_use]
pub fn replay_report(document: &ReplayDocument) -> String {
    let mut out = String::new();
    // A string takes every text.
    write_report(&mut out, document).unwrap_or_default();
    out
}

/// A plan: each partition's old and new offset, the change, and what is read again. For a dry run and for the report.
#[must_use]
pub fn plan_report(rows: &[PlanRow]) -> String {
    let columns = ["partition", "old", "new", "delta", "read again"].map(|name| (name, Align::Right));
    let [partition, old, new, delta, read] = columns;
    let mut table = TextTable::new([("topic", Align::Left), partition, old, new, delta, read, ("", Align::Left)]);
    for row in rows {
        table.row([
            printable(&row.topic).into(),
            row.partition.to_string(),
            row.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
            row.from.map_or_else(|| "-".to_owned(), |_| row.to.to_string()),
            row.delta().to_string(),
            row.offsets_to_read().to_string(),
            row.note.map(note_text).unwrap_or_default(),
        ]);
    }
    let offsets: i64 = rows.iter().map(PlanRow::offsets_to_read).sum();
    format!("Plan:\n{table}  {offsets} offsets to read again\n")
}

/// Why a partition does not go where it was asked to.
pub(super) fn note_text(note: PlanNote) -> String {
    match note {
        PlanNote::Raised { asked } => format!("raised from {asked}, below the log start"),
        PlanNote::Lowered { asked } => format!("lowered from {asked}, ahead of the group"),
        PlanNote::NoRecordSince { asked } => {
            format!("no record at or after that time: the end ({asked}), lowered to the group")
        }
        PlanNote::NoOffset => "no offset: nothing to read again".to_owned(),
        PlanNote::Stays => "stays as it is".to_owned(),
    }
}

fn write_report(out: &mut String, document: &ReplayDocument) -> fmt::Result {
    let ReplayDocument { verdict, records, plan, differences, causes, note, .. } = document;
    match verdict {
        ReplayVerdict::Identical => {
            writeln!(
                out,
                "ReplayVerdict: identical: {records} records read again, every metric and every digest the same"
            )?;
        }
        ReplayVerdict::Different => {
            let differing = document.differing();
            let metrics = if differing == 1 { "metric differs" } else { "metrics differ" };
            writeln!(out, "ReplayVerdict: different: {records} records read again, {differing} {metrics}")?;
        }
    }
    match note {
        Some(Note::FirstPass) => writeln!(
            out,
            "Note: the group had neither offsets nor state; what is compared with was counted by a first pass just before"
        )?,
        Some(Note::LeftAlone) => {
            writeln!(out, "Note: the group was not rewound; its offsets and its state are as they were")?;
        }
        None => {}
    }
    write!(out, "\n{}", plan_report(plan))?;
    if !differences.is_empty() {
        writeln!(out, "\nDifferences:")?;
        let mut table = TextTable::new([("metric", Align::Left), ("before", Align::Right), ("after", Align::Right)]);
        for found in differences.iter().take(SHOWN) {
            table.row([printable(&found.metric).into(), value_text(&found.before), value_text(&found.after)]);
        }
        write!(out, "{table}")?;
        match document.differing().saturating_sub(SHOWN as u64) {
            0 => {}
            more => writeln!(out, "  and {more} more")?,
        }
    }
    if !causes.is_empty() {
        writeln!(out, "\nCauses:")?;
    }
    for cause in causes {
        writeln!(out, "  {}: {}", cause.name(), printable(&cause.to_string()))?;
        writeln!(out, "    {}", advice(cause))?;
    }
    Ok(())
}

/// A metric's value: a number or text as it stands, `-` where there is none, a row as the number of its values.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text).into(),
        Value::Object(_) | Value::Array(_) => "present".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What to do about a cause.
const fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::RecordsGone { .. } => {
            "raise the topic's retention (and keep cleanup.policy=delete) if they are to last; \
             `foodstream analytics --from-beginning` counts what is left"
        }
        Cause::RecordsChanged { .. } => {
            "no log changes its records: find out who deleted and filled it again; \
             `foodstream analytics --from-beginning` counts what it holds now"
        }
        Cause::TopicRecreated { .. } => {
            "the old records cannot be had back; `foodstream analytics --from-beginning` counts those that the topics hold now"
        }
        Cause::LogTruncated { .. } => {
            "see in the broker's log what became of the last records; `foodstream analytics --from-beginning` counts what is left"
        }
        Cause::StateLost { .. } => {
            "see whether the state topic was deleted or is not compacted; `foodstream analytics --from-beginning` counts again"
        }
        Cause::StateForeign { .. } => {
            "see who set the group's offsets or wrote to its state; `foodstream analytics --resume-from-state` goes on from \
             the state, `foodstream analytics --from-beginning` counts again"
        }
        Cause::OffsetsLost { .. } => {
            "they expired or were deleted; `foodstream analytics --resume-from-state` takes the state's position as committed"
        }
        Cause::NothingRead => {
            "choose a target before the group's offsets; a group that has counted nothing needs `foodstream analytics` first"
        }
        Cause::Defect { .. } => {
            "please report it with this document (`--output json`); `foodstream replay --undo` goes back to the state before"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analytics::{MetricsDocument, test_support::example},
        replay::{Evidence, PartitionEvidence, PartitionFacts, PartitionTarget, StateFacts, judge, plan},
        state::Digest,
    };

    fn facts(topic: &str, partition: i32, log_start: i64, committed: Option<i64>) -> PartitionFacts {
        PartitionFacts { topic: topic.into(), partition, log_start, high_watermark: 60, committed }
    }

    fn evidence(change: impl FnOnce(&mut MetricsDocument)) -> Evidence {
        let facts = [facts("inventory-events", 0, 0, Some(7)), facts("order-events", 0, 40, Some(49))];
        let partition = |facts: &PartitionFacts, records| PartitionEvidence {
            facts: facts.clone(),
            state: Some(StateFacts {
                position: facts.committed.expect("stands"),
                log_start: facts.log_start,
                topic_id: None,
                records: Some(records),
            }),
            loss: None,
            topic_id: None,
            records,
        };
        let mut after = example();
        change(&mut after);
        Evidence {
            plan: plan(&facts, |_| PartitionTarget::Earliest),
            records: 16,
            partitions: vec![partition(&facts[0], 7), partition(&facts[1], 9)],
            note: None,
            before: example(),
            after,
            rows: usize::MAX,
        }
    }

    #[test]
    fn an_identical_replay_says_so_and_what_it_read() {
        let mut evidence = evidence(|_| {});
        evidence.note = Some(Note::FirstPass);
        insta::assert_snapshot!("replay_identical", replay_report(&judge(evidence.clone())));
        evidence.note = Some(Note::LeftAlone);
        assert!(replay_report(&judge(evidence)).contains("Note: the group was not rewound"));
    }

    #[test]
    fn a_different_one_says_what_and_why_and_what_to_do() {
        let mut evidence = evidence(|after| {
            after.total_orders -= 1;
            after.by_restaurant.remove(1);
            after.by_restaurant[1].failed = 0;
            after.range[1].start = 41;
            after.range[1].digest = Digest::default();
        });
        evidence.partitions[1].facts.log_start = 41;
        evidence.partitions[1].records = 8;
        insta::assert_snapshot!("replay_different", replay_report(&judge(evidence)));
    }

    #[test]
    fn differences_are_bounded_and_the_rest_is_counted() {
        let report = replay_report(&judge(evidence(|after| {
            for minute in 0..40 {
                after.orders_by_minute.insert(format!("2026-11-23T12:{minute:02}Z"), 1);
            }
        })));
        assert!(report.contains("\n  and 20 more\n"), "{report}");
        assert_eq!(report.matches("orders_by_minute").count(), SHOWN);
        assert!(report.contains("defect: the records are the same, byte for byte, yet metrics differ (40)"));
    }

    #[test]
    fn a_plan_shows_old_new_delta_and_what_is_read_again() {
        let all = [
            facts("order-events", 0, 5, Some(40)),
            facts("order-events", 1, 15, Some(40)),
            facts("order-events", 2, 5, Some(9)),
            facts("order-events", 3, 5, None),
        ];
        insta::assert_snapshot!("plan", plan_report(&plan(&all, |_| PartitionTarget::Offset(10))));
        insta::assert_snapshot!("plan_of_nothing", plan_report(&[]));
        let since = plan_report(&plan(&all, |_| PartitionTarget::Since(None)));
        assert!(since.contains("  no record at or after that time: the end (60), lowered to the group\n"), "{since}");
        assert!(plan_report(&plan(&all, |_| PartitionTarget::Stay)).contains("  stays as it is\n"));
    }

    /// A cause's topic is a name from the cluster, a metric's path may hold a name from a record.
    #[test]
    fn no_text_of_others_steers_a_terminal() {
        let mut document = judge(evidence(|after| after.by_restaurant[1].failed = 7));
        document.causes = vec![Cause::OffsetsLost { topic: "\u{1b}[2J".into(), partition: 0, position: 1 }];
        let report = replay_report(&document);
        assert!(!report.chars().any(|character| character.is_control() && character != '\n'), "{report:?}");
        assert!(report.contains(r"offset for \u{1b}[2J/0"));
    }
}
