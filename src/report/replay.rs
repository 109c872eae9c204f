//! Text report of a replay: its plan, its verdict, the causes of differences, and advice.

use std::fmt::{self, Write};

use serde_json::Value;

use super::text_table::{Align, TextTable};
use crate::printable::printable;
use crate::replay::{Cause, Note, PlanNote, PlanRow, ReplayDocument, ReplayVerdict};
use crate::units::{counted, grouped};

/// The most differences in a report. The document has more.
const SHOWN: usize = 20;

/// The report of a replay, without the metrics.
#[must_use]
pub fn replay_report(document: &ReplayDocument) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, document).unwrap_or_default();
    out
}

/// A plan: each partition's old and new offset, the change, and the number of offsets to read again.
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
    format!("Plan:\n{table}  {} to read again\n", counted(offsets, "offset"))
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

fn write_report(out: &mut String, document: &ReplayDocument) -> fmt::Result {
    let ReplayDocument { verdict, records, plan, differences, causes, note, .. } = document;
    match verdict {
        ReplayVerdict::Identical => {
            writeln!(
                out,
                "Verdict: identical: {} read again, every metric and every digest the same",
                counted(*records, "record")
            )?;
        }
        ReplayVerdict::Different => {
            let differing = document.differing();
            let metrics = if differing == 1 { "metric differs" } else { "metrics differ" };
            let records = counted(*records, "record");
            writeln!(out, "Verdict: different: {records} read again, {} {metrics}", grouped(differing))?;
        }
    }
    match note {
        Some(Note::FirstPass) => writeln!(
            out,
            "Note: the group had neither offsets nor state; the metrics before are from a first pass, just before the replay"
        )?,
        Some(Note::LeftAlone) => {
            writeln!(out, "Note: the group was not rewound; its offsets and its state are unchanged")?;
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
            more => writeln!(out, "  and {} more", grouped(more))?,
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

/// A metric's value: a number or a text, `-` for a missing one, `present` for a whole row.
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
                position: facts.committed.expect("an offset"),
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
    fn reports_an_identical_replay() {
        let mut evidence = evidence(|_| {});
        evidence.note = Some(Note::FirstPass);
        insta::assert_snapshot!("replay_identical", replay_report(&judge(evidence.clone())));
        evidence.note = Some(Note::LeftAlone);
        assert!(replay_report(&judge(evidence)).contains("Note: the group was not rewound"));
    }

    #[test]
    fn reports_differences_causes_and_advice() {
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
    fn lists_some_differences_and_counts_the_rest() {
        let report = replay_report(&judge(evidence(|after| {
            for minute in 0..40 {
                after.orders_by_minute.insert(format!("2026-11-23T12:{minute:02}Z"), 1);
            }
        })));
        assert!(report.contains("\n  and 20 more\n"), "{report}");
        assert_eq!(report.matches("orders_by_minute").count(), SHOWN);
        assert!(report.contains("defect: the records are identical byte for byte, but 40 metrics are not the same"));
    }

    #[test]
    fn plan_has_offsets_and_notes() {
        let all = [
            facts("order-events", 0, 5, Some(40)),
            facts("order-events", 1, 15, Some(40)),
            facts("order-events", 2, 5, Some(9)),
            facts("order-events", 3, 5, None),
        ];
        insta::assert_snapshot!("plan", plan_report(&plan(&all, |_| PartitionTarget::Offset(10))));
        insta::assert_snapshot!("plan_of_nothing", plan_report(&[]));
        let since = plan_report(&plan(&all, |_| PartitionTarget::Since(None)));
        assert!(since.contains("  no record at or after that time: lowered from the end, 60\n"), "{since}");
        assert!(plan_report(&plan(&all, |_| PartitionTarget::Stay)).contains("  unchanged\n"));
    }

    /// A cause's topic is a name from the cluster, and a metric's path may contain a name from a record.
    #[test]
    fn names_are_escaped() {
        let mut document = judge(evidence(|after| after.by_restaurant[1].failed = 7));
        document.causes = vec![Cause::OffsetsLost { topic: "\u{1b}[2J".into(), partition: 0, position: 1 }];
        let report = replay_report(&document);
        assert!(!report.chars().any(|character| character.is_control() && character != '\n'), "{report:?}");
        assert!(report.contains(r"offset for \u{1b}[2J/0"));
    }
}
