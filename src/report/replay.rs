//! Text report of a replay and of its plan: tables, the causes of differences, advice, and the verdict last.

use std::fmt::{self, Write};

pub(super) use super::replay_parts::note_text;
use super::replay_parts::{advice, differences_table, plan_table, write_note};
use super::replay_summary::{write_plan_summary, write_replay_summary};
use super::{Detail, metrics_report, tables_line};
use crate::printable::printable;
use crate::replay::{PlanRow, ReplayDocument, ReplayVerdict};
use crate::units::{counted, grouped};

/// The largest plan whose table is part of a [`Detail::Summary`]: two topics with six partitions.
const PLAN_ROWS: usize = 12;

/// What a replay did to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEffect {
    /// It was rewound and has read the records again.
    Rewound,
    /// Its offsets and its state are unchanged: `--shadow`, or a group that could not be rewound.
    Unchanged,
}

/// The report of a replay, whose verdict is the last line. `files` have all rows of the metrics, `report` has the whole
/// document.
#[must_use]
pub fn replay_report(
    document: &ReplayDocument,
    effect: GroupEffect,
    detail: Detail,
    files: &[String],
    report: Option<&str>,
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    match detail {
        Detail::Summary => write_replay_summary(&mut out, document, files, report),
        Detail::Full => write_full(&mut out, document),
    }
    .and_then(|()| write_verdict(&mut out, document, effect))
    .unwrap_or_default();
    out
}

/// A plan: what would change, and the number of offsets to read again, which is the last line. A [`Detail::Summary`] has
/// the table of a short plan too. `files` have the offset of every partition.
#[must_use]
pub fn plan_report(rows: &[PlanRow], detail: Detail, files: &[String]) -> String {
    let mut out = String::new();
    // As above.
    write_plan(&mut out, rows, detail, files).unwrap_or_default();
    out
}

fn write_plan(out: &mut String, rows: &[PlanRow], detail: Detail, files: &[String]) -> fmt::Result {
    if rows.len() <= PLAN_ROWS || detail == Detail::Full {
        write!(out, "Plan:\n{}", plan_table(rows))?;
    } else {
        write_plan_summary(out, rows)?;
        writeln!(out, "{}", tables_line(&format!("Offsets of {}", counted(rows.len() as u64, "partition")), files))?;
    }
    let offsets: i64 = rows.iter().map(PlanRow::offsets_to_read).sum();
    let partitions = rows.iter().filter(|row| row.offsets_to_read() > 0).count() as u64;
    writeln!(
        out,
        "To be read again: {} of {}, transaction markers included; nothing was changed",
        counted(offsets, "offset"),
        counted(partitions, "partition")
    )
}

fn write_full(out: &mut String, document: &ReplayDocument) -> fmt::Result {
    let ReplayDocument { plan, differences, causes, note, after, .. } = document;
    write!(out, "{}\nPlan:\n{}", metrics_report(after), plan_table(plan))?;
    if !differences.is_empty() {
        writeln!(out, "\nDifferences:")?;
        write!(out, "{}", differences_table(differences.iter()))?;
    }
    if !causes.is_empty() {
        writeln!(out, "\nCauses:")?;
    }
    for cause in causes {
        writeln!(out, "  {}: {}", cause.name(), printable(&cause.to_string()))?;
        writeln!(out, "    {}", advice(cause))?;
    }
    writeln!(out)?;
    write_note(out, *note)
}

fn write_verdict(out: &mut String, document: &ReplayDocument, effect: GroupEffect) -> fmt::Result {
    let records = counted(document.records, "record");
    match document.verdict {
        ReplayVerdict::Identical => {
            write!(out, "Verdict: identical: {records} read again, every metric and every digest the same")?;
        }
        ReplayVerdict::Different => {
            let differing = document.differing();
            let metrics = if differing == 1 { "metric differs" } else { "metrics differ" };
            let mut causes: Vec<&str> = Vec::new();
            for cause in &document.causes {
                if !causes.contains(&cause.name()) {
                    causes.push(cause.name());
                }
            }
            let because = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
            write!(out, "Verdict: different: {records} read again, {} {metrics}{because}", grouped(differing))?;
        }
    }
    match effect {
        GroupEffect::Rewound => writeln!(out),
        GroupEffect::Unchanged => writeln!(out, "; nothing moved: the group's offsets and state are unchanged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analytics::{MetricsDocument, test_support::example},
        replay::{Cause, Evidence, Note, PartitionEvidence, PartitionFacts, PartitionTarget, StateFacts, judge, plan},
        state::Digest,
    };

    const REWOUND: GroupEffect = GroupEffect::Rewound;

    fn files() -> Vec<String> {
        vec!["metrics_initial.txt".to_owned(), "metrics_after_replay.txt".to_owned()]
    }

    fn summary(document: &ReplayDocument) -> String {
        replay_report(document, REWOUND, Detail::Summary, &files(), None)
    }

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
        let document = judge(evidence);
        insta::assert_snapshot!("replay_identical", summary(&document));
        insta::assert_snapshot!(
            "replay_identical_full",
            replay_report(&document, REWOUND, Detail::Full, &files(), None)
        );
        for detail in [Detail::Summary, Detail::Full] {
            let text = replay_report(&document, GroupEffect::Unchanged, detail, &files(), None);
            let last = "and every digest the same; nothing moved: the group's offsets and state are unchanged\n";
            assert!(text.ends_with(last), "{text}");
        }
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
        let document = judge(evidence);
        insta::assert_snapshot!("replay_different", summary(&document));
        insta::assert_snapshot!(
            "replay_different_full",
            replay_report(&document, REWOUND, Detail::Full, &files(), None)
        );
    }

    #[test]
    fn lists_some_differences_and_counts_the_rest() {
        let document = judge(evidence(|after| {
            for minute in 0..40 {
                after.orders_by_minute.insert(format!("2026-11-23T12:{minute:02}Z"), 1);
            }
            after.skipped_records = 1_234;
        }));
        let text = summary(&document);
        let row = |number| text.lines().nth(number).map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(row(3), Some(vec!["skipped_records", "1", "1,234"]), "totals come first: {text}");
        assert!(text.contains("\n  and 36 more; `--report FILE` lists them\n") && !text.contains("--full"), "{text}");
        let reported = replay_report(&document, REWOUND, Detail::Summary, &files(), Some("report.json"));
        assert!(reported.contains("\n  and 36 more: report.json\n"), "{reported}");
        assert_eq!(text.matches("orders_by_minute").count(), 4);
        assert!(text.contains("defect: the records are identical byte for byte, but 41 metrics are not the same"));
        let full = replay_report(&document, REWOUND, Detail::Full, &files(), None);
        let differences = full.split("Differences:").nth(1).expect("differences");
        assert_eq!(differences.matches("orders_by_minute").count(), 40);
    }

    /// The largest summary: many partitions of every kind of cause, long tables and a note.
    #[test]
    fn a_summary_fits_a_terminal() {
        let mut evidence = evidence(|after| {
            for minute in 0..40 {
                after.orders_by_minute.insert(format!("2026-11-23T12:{minute:02}Z"), 1);
            }
        });
        evidence.note = Some(Note::FirstPass);
        let mut document = judge(evidence);
        let topic = || "order-events".to_owned();
        document.causes = (0..50)
            .flat_map(|partition| {
                [
                    Cause::OffsetsLost { topic: topic(), partition, position: 1 },
                    Cause::StateLost { topic: topic(), partition, committed: 1, loss: None },
                    Cause::LogTruncated { topic: topic(), partition, end: 9, high_watermark: 5, topic_id: None },
                ]
            })
            .collect();
        let text = summary(&document);
        assert!(text.lines().count() <= 20, "{}: {text}", text.lines().count());
        assert!(text.contains("; also in 49 other partitions\n"), "{text}");
        for cause in ["offsets_lost", "state_lost", "log_truncated"] {
            assert_eq!(text.matches(&format!("\n  {cause}: ")).count(), 1, "{text}");
        }
        assert!(text.lines().last().is_some_and(|line| line.starts_with("Verdict: different: ")), "{text}");
        let full = replay_report(&document, REWOUND, Detail::Full, &files(), None);
        assert_eq!(full.matches("\n  offsets_lost: ").count(), 50, "{full}");
    }

    #[test]
    fn plan_has_offsets_and_notes() {
        let all = [
            facts("order-events", 0, 5, Some(40)),
            facts("order-events", 1, 15, Some(40)),
            facts("order-events", 2, 5, Some(9)),
            facts("order-events", 3, 5, None),
        ];
        let text = |rows: &[PlanRow]| plan_report(rows, Detail::Summary, &[]);
        insta::assert_snapshot!("plan", text(&plan(&all, |_| PartitionTarget::Offset(10))));
        insta::assert_snapshot!("plan_of_nothing", text(&[]));
        let since = text(&plan(&all, |_| PartitionTarget::Since(None)));
        assert!(since.contains("  no record at or after that time: lowered from the end, 60\n"), "{since}");
        assert!(text(&plan(&all, |_| PartitionTarget::Stay)).contains("  unchanged\n"));
    }

    #[test]
    fn a_long_plan_has_a_row_for_each_topic() {
        let places = |topic: &'static str| (0..100).map(move |partition| (topic, partition));
        let all: Vec<PartitionFacts> = places("inventory-events")
            .chain(places("order-events"))
            .map(|(topic, partition)| match partition {
                0..10 => facts(topic, partition, 5, None),
                10..30 => facts(topic, partition, 15, Some(40)),
                _ => facts(topic, partition, 5, Some(40)),
            })
            .collect();
        let rows = plan(&all, |facts| match facts.partition {
            90.. => PartitionTarget::Stay,
            _ => PartitionTarget::Offset(10),
        });
        let text = plan_report(&rows, Detail::Summary, &["plan.csv".to_owned()]);
        insta::assert_snapshot!("plan_of_many_partitions", text);
        assert_eq!(plan_report(&rows, Detail::Full, &[]).lines().count(), 200 + 3);
    }

    /// A cause's topic is a name from the cluster, and a metric's path may contain a name from a record.
    #[test]
    fn names_are_escaped() {
        let mut document = judge(evidence(|after| after.by_restaurant[1].failed = 7));
        document.causes = vec![Cause::OffsetsLost { topic: "\u{1b}[2J".into(), partition: 0, position: 1 }];
        for detail in [Detail::Summary, Detail::Full] {
            let report = replay_report(&document, REWOUND, detail, &["\u{1b}[2J".to_owned()], Some("\u{1b}[2J"));
            assert!(!report.chars().any(|character| character.is_control() && character != '\n'), "{report:?}");
            assert!(report.contains(r"offset for \u{1b}[2J/0"));
        }
    }
}
