//! Judge of the evidence: compares expected and actual records one by one, where their sums differ.

use super::evidence::{CONTENT_BITS, Claims, Kind, parts};
use super::findings::{Finding, Findings, PrefixTopic};
use crate::audit::check::{Anomaly, Check};
use crate::audit::entry::{Entry, Side};
use crate::units::counted;

/// The most records of one line that a finding names.
const MOST_RECORDS: usize = 8;

/// A record of the decisions without a decision, and the decisions around it: source and line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedRecord {
    /// Its offset.
    pub offset: i64,
    /// The last decision before it.
    pub after: Option<(i64, u32)>,
    /// The first decision after it.
    pub before: Option<(i64, u32)>,
}

/// Judges entries in their order.
#[derive(Debug)]
pub struct EvidenceJudge<'a> {
    /// By partition; partitions without claims are not judged.
    claims: &'a [Option<Claims>],
    /// What was found.
    pub findings: Findings,
    /// The lines of the order that is being read, with its coordinates.
    order: Option<(i32, Kind, i64)>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// Its index in the order.
    number: u32,
    expected: Option<u64>,
    actual: u64,
    /// Offsets of the first records.
    records: Vec<i64>,
}

impl<'a> EvidenceJudge<'a> {
    /// A judge that keeps at most this many violations of each check.
    #[must_use]
    pub fn new(claims: &'a [Option<Claims>], most: usize) -> Self {
        Self { claims, findings: Findings::new(most), order: None, lines: Vec::new() }
    }

    /// Adds the next entry, in the order of entries.
    pub fn entry(&mut self, entry: Entry) {
        let (partition, kind, offset, line) = parts(entry.key);
        if self.order != Some((partition, kind, offset)) {
            self.finish();
            self.order = Some((partition, kind, offset));
        }
        if self.lines.last().is_none_or(|last| last.number != line) {
            self.lines.push(Line { number: line, expected: None, actual: 0, records: Vec::new() });
        }
        let Some(last) = self.lines.last_mut() else { return };
        if entry.place.side() == Side::Cause {
            last.expected = Some(entry.detail);
            return;
        }
        last.actual += 1;
        if last.records.len() < MOST_RECORDS {
            last.records.push(entry.place.offset());
        }
        if let Some(expected) = last.expected.filter(|expected| *expected != entry.detail) {
            self.judge_content(entry, expected);
        }
    }

    fn claims(&self, partition: i32) -> Option<&'a Claims> {
        usize::try_from(partition).ok().and_then(|index| self.claims.get(index)?.as_ref())
    }

    /// A record that has something else than expected. What is expected comes before all records of its line.
    fn judge_content(&mut self, entry: Entry, expected: u64) {
        let (partition, kind, source, line) = parts(entry.key);
        let Some(claims) = self.claims(partition) else { return };
        let actual = entry.place.offset();
        if kind == Kind::DeadLetter && claims.dead_letters.contains(&source) {
            self.findings.violated(Check::DeadLettersOnce, || {
                let summary = format!(
                    "the dead letter of record {partition}/{source} has another key, value, timestamp or reason"
                );
                Finding::new(Anomaly::WrongValue, summary)
                    .expects("key, value, timestamp and reason of the bad record")
                    .record("bad record", PrefixTopic::Orders, partition, source)
                    .record("dead letter", PrefixTopic::DeadLetters, partition, actual)
            });
        }
        if kind != Kind::Line || !claims.decided.contains(&source) {
            return;
        }
        let (check, has, expects) = if entry.detail >> CONTENT_BITS == expected >> CONTENT_BITS {
            (
                Check::DecisionsRecompute,
                "is not the one that follows from the orders",
                "the decision that follows from the orders",
            )
        } else {
            (
                Check::DecisionsHaveASource,
                "has another order id, item or quantity",
                "order id, item and quantity of the line",
            )
        };
        self.findings.violated(check, || {
            let summary = format!("the decision about order {partition}/{source} line {line} {has}");
            let mut finding = Finding::new(Anomaly::WrongValue, summary).expects(expects);
            finding.about = Some((partition, source, line));
            finding.record("order", PrefixTopic::Orders, partition, source).record(
                "decision",
                PrefixTopic::Decisions,
                partition,
                actual,
            )
        });
    }

    /// Adds records that were skipped, where a lost decision would have been: perhaps they are what became of it.
    pub fn add_skipped(&mut self, partition: i32, skipped: &[SkippedRecord]) {
        for finding in self.findings.first_mut(Check::OneDecisionPerLine) {
            let about = finding.about.filter(|(of, ..)| *of == partition && finding.anomaly != Anomaly::Duplicate);
            let Some((_, order, line)) = about else { continue };
            let between = skipped.iter().filter(|record| {
                record.after.is_none_or(|after| after < (order, line))
                    && record.before.is_none_or(|before| before > (order, line))
            });
            let places = between.take(MOST_RECORDS);
            finding
                .records
                .extend(places.map(|record| ("skipped record", PrefixTopic::Decisions, partition, record.offset)));
        }
    }

    /// Judges the last order.
    pub fn finish(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let Some((partition, kind, offset)) = self.order.take() else { return };
        let Some(claims) = self.claims(partition) else { return };
        match kind {
            Kind::Line => self.judge_lines(claims, partition, offset, &lines),
            Kind::DeadLetter => self.judge_letter(claims, partition, offset, &lines),
            Kind::Unreadable => self.findings.violated(Check::DecisionsHaveASource, || {
                let summary = "the record is not an event".to_owned();
                Finding::new(Anomaly::WrongValue, summary).expects("an event").record(
                    "record",
                    PrefixTopic::Decisions,
                    partition,
                    offset,
                )
            }),
            Kind::OtherPartition => self.findings.violated(Check::DecisionsHaveASource, || {
                let summary = "the decision names an order of another partition".to_owned();
                Finding::new(Anomaly::InventedWrite, summary)
                    .expects(format!("a decision about an order of partition {partition}"))
                    .record("decision", PrefixTopic::Decisions, partition, offset)
            }),
            Kind::Stray => self.findings.violated(Check::DeadLettersOnce, || {
                let summary = "the dead letter names no record of its partition".to_owned();
                Finding::new(Anomaly::InventedWrite, summary)
                    .expects(format!("headers that name a record of partition {partition}"))
                    .record("dead letter", PrefixTopic::DeadLetters, partition, offset)
            }),
        }
    }

    fn judge_lines(&mut self, claims: &Claims, partition: i32, order: i64, lines: &[Line]) {
        if !claims.decided.contains(&order) {
            self.judge_unclaimed(claims, partition, order, lines);
            return;
        }
        let lost: Vec<u32> =
            lines.iter().filter(|line| line.expected.is_some() && line.actual == 0).map(|line| line.number).collect();
        if let Some(&first) = lost.first() {
            let present: Vec<i64> = lines
                .iter()
                .filter(|line| line.expected.is_some())
                .filter_map(|line| line.records.first().copied())
                .collect();
            self.findings.violated_by(Check::OneDecisionPerLine, lost.len() as u64, || {
                let anomaly = if present.is_empty() { Anomaly::LostWrite } else { Anomaly::TornTransaction };
                let summary = format!(
                    "{} of order {partition}/{order} without a decision: {}",
                    counted(lost.len() as u64, "line"),
                    numbers(&lost)
                );
                let mut finding = Finding::new(anomaly, summary)
                    .expects(format!("a decision about line {first}"))
                    .record("order", PrefixTopic::Orders, partition, order);
                finding.about = Some((partition, order, first));
                present.iter().take(MOST_RECORDS).fold(finding, |finding, offset| {
                    finding.record("decision of another line", PrefixTopic::Decisions, partition, *offset)
                })
            });
        }
        for line in lines {
            self.judge_line(partition, order, line);
        }
    }

    fn judge_line(&mut self, partition: i32, order: i64, line: &Line) {
        let number = line.number;
        let finding = |anomaly: Anomaly, summary: String| {
            let finding = Finding::new(anomaly, summary).record("order", PrefixTopic::Orders, partition, order);
            with_records(finding, "decision", PrefixTopic::Decisions, partition, line)
        };
        match line.expected {
            None => self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                let summary = format!("a decision about order {partition}/{order} line {number}, which does not exist");
                finding(Anomaly::InventedWrite, summary).expects("nothing: the line does not exist")
            }),
            Some(_) if line.actual > 1 => {
                self.findings.violated_by(Check::OneDecisionPerLine, line.actual - 1, || {
                    let times = line.actual;
                    let summary = format!("order {partition}/{order} line {number} has {times} decisions");
                    finding(Anomaly::Duplicate, summary).values(counted(1, "decision"), line.count("decision"))
                });
            }
            Some(_) => {}
        }
    }

    /// Decisions about an order that need not or must not be decided.
    fn judge_unclaimed(&mut self, claims: &Claims, partition: i32, order: i64, lines: &[Line]) {
        for line in lines.iter().filter(|line| line.actual > 0) {
            let number = line.number;
            let finding = |anomaly: Anomaly, summary: String| {
                let is_there = order < claims.orders_end;
                let order = is_there.then_some(order);
                let finding = Finding::new(anomaly, summary).record("order", PrefixTopic::Orders, partition, order);
                with_records(finding, "decision", PrefixTopic::Decisions, partition, line)
            };
            if order >= claims.orders_end {
                self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                    let end = claims.orders_end;
                    finding(
                        Anomaly::InventedWrite,
                        format!("a decision about order {partition}/{order}, but the orders end at {end}"),
                    )
                    .expects("nothing: the order does not exist")
                });
            } else if order < claims.decided.start && claims.begins_at_start {
                self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                    finding(
                        Anomaly::InventedWrite,
                        format!("a decision about order {partition}/{order}, which is before the first order"),
                    )
                    .expects("nothing: the order never existed")
                });
            } else if order >= claims.undecided_from {
                self.findings.violated_by(Check::OneDecisionPerLine, line.actual, || {
                    let committed = claims.undecided_from;
                    finding(
                        Anomaly::InconsistentOffset,
                        format!(
                            "a decision about order {partition}/{order} line {number}, but the committed offset is {committed}"
                        ),
                    )
                    .expects(format!("decisions about orders below offset {committed} only"))
                });
            }
        }
    }

    fn judge_letter(&mut self, claims: &Claims, partition: i32, source: i64, lines: &[Line]) {
        let Some(line) = lines.first() else { return };
        let is_there = (source < claims.orders_end).then_some(source);
        let finding = |anomaly: Anomaly, summary: String| {
            let finding = Finding::new(anomaly, summary).record("bad record", PrefixTopic::Orders, partition, is_there);
            with_records(finding, "dead letter", PrefixTopic::DeadLetters, partition, line)
        };
        let findings = &mut self.findings;
        let check = Check::DeadLettersOnce;
        if !claims.dead_letters.contains(&source) {
            if source < claims.dead_letters.start && claims.begins_at_start {
                findings.violated_by(check, line.actual, || {
                    let summary =
                        format!("a dead letter of record {partition}/{source}, which is before the first record");
                    finding(Anomaly::InventedWrite, summary).expects("nothing: the record never existed")
                });
            }
            if source >= claims.undecided_from && line.actual > 0 {
                findings.violated_by(check, line.actual, || {
                    let committed = claims.undecided_from;
                    let summary = format!(
                        "a dead letter of record {partition}/{source}, but the committed offset is {committed}"
                    );
                    finding(Anomaly::InconsistentOffset, summary)
                        .expects(format!("dead letters of records below offset {committed} only"))
                });
            }
            return;
        }
        match line.expected {
            None => findings.violated_by(check, line.actual, || {
                let summary = format!("a dead letter of record {partition}/{source}, which is not bad");
                finding(Anomaly::InventedWrite, summary).expects("nothing: the record is not bad")
            }),
            Some(_) if line.actual == 0 => findings.violated(check, || {
                finding(Anomaly::LostWrite, format!("the bad record {partition}/{source} has no dead letter"))
                    .expects(counted(1, "dead letter"))
            }),
            Some(_) if line.actual > 1 => findings.violated_by(check, line.actual - 1, || {
                let times = line.actual;
                finding(Anomaly::Duplicate, format!("the bad record {partition}/{source} has {times} dead letters"))
                    .values(counted(1, "dead letter"), line.count("dead letter"))
            }),
            Some(_) => {}
        }
    }
}

impl Line {
    /// `12 decisions, of which the first 8 are shown`
    fn count(&self, noun: &str) -> String {
        let shown = self.records.len();
        let more =
            if self.actual > shown as u64 { format!(", of which the first {shown} are shown") } else { String::new() };
        format!("{}{more}", counted(self.actual, noun))
    }
}

/// A finding with the first records of a line.
fn with_records(finding: Finding, role: &'static str, topic: PrefixTopic, partition: i32, line: &Line) -> Finding {
    line.records.iter().fold(finding, |finding, offset| finding.record(role, topic, partition, *offset))
}

/// `0, 1, 2 and 7 more`
fn numbers(lines: &[u32]) -> String {
    let mut text = lines.iter().take(MOST_RECORDS).map(u32::to_string).collect::<Vec<_>>().join(", ");
    if lines.len() > MOST_RECORDS {
        text.extend([" and ", &(lines.len() - MOST_RECORDS).to_string(), " more"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::decision_fold::Actual;
    use super::super::evidence::{decision_entry, expected_entry, letter_entry};
    use super::super::order_fold::Expected;
    use super::*;

    /// What was found of a check in partition 0, whose orders 0 to 10 exist, and are decided below 8.
    fn found(check: Check, mut entries: Vec<Entry>) -> (u64, Vec<Finding>) {
        let claims =
            Claims { decided: 2..8, dead_letters: 2..8, begins_at_start: true, undecided_from: 8, orders_end: 10 };
        let claims = [Some(claims)];
        let mut judge = EvidenceJudge::new(&claims, 100);
        entries.sort_unstable();
        for entry in entries {
            judge.entry(entry);
        }
        judge.finish();
        let found = judge.findings.by_check().find(|(of, _)| *of == check).expect("violated");
        (found.1.violations, found.1.first.clone())
    }

    fn line(order: i64, identity: u64) -> Entry {
        expected_entry(0, order, Expected::Decision { line: 0, content: 5, identity, json: b"" })
    }

    fn decision(offset: i64, source: i64, identity: u64, content: u128) -> Entry {
        decision_entry(0, offset, Actual::Decision { source, line: 0, content, identity }).expect("an entry")
    }

    fn last(finding: &Finding) -> Option<i64> {
        finding.records.last().map(|(.., offset)| *offset)
    }

    #[test]
    fn the_wrong_one_of_many_decisions_is_shown() {
        let mut entries = vec![line(3, 7)];
        entries.extend((20..40).map(|offset| decision(offset, 3, 7, if offset == 35 { 6 } else { 5 })));
        entries.extend([decision(40, 3, 8, 5), decision(41, 3, 8, 5)]);
        let (violations, wrong) = found(Check::DecisionsRecompute, entries.clone());
        assert_eq!((violations, last(&wrong[0]), wrong[0].about), (1, Some(35), Some((0, 3, 0))));
        let (violations, wrong) = found(Check::DecisionsHaveASource, entries.clone());
        assert_eq!((violations, last(&wrong[0]), last(&wrong[1])), (2, Some(40), Some(41)));
        let (violations, doubled) = found(Check::OneDecisionPerLine, entries);
        assert_eq!((violations, doubled[0].expected.as_deref(), doubled[0].about), (21, Some("1 decision"), None));
        assert_eq!(doubled[0].seen.as_deref(), Some("22 decisions, of which the first 8 are shown"));
        assert_eq!(doubled[0].records.len(), 9, "the order and 8 decisions");
        let twice = vec![line(3, 7), decision(20, 3, 7, 5), decision(30, 3, 7, 5)];
        assert_eq!(found(Check::OneDecisionPerLine, twice).1[0].seen.as_deref(), Some("2 decisions"));
    }

    #[test]
    fn the_wrong_one_of_many_dead_letters_is_shown() {
        let mut entries = vec![expected_entry(0, 3, Expected::DeadLetter { content: 5 })];
        entries.extend((20..40).map(|offset| letter_entry(0, offset, Some(3), if offset == 35 { 6 } else { 5 })));
        let (violations, findings) = found(Check::DeadLettersOnce, entries);
        let [wrong, doubled] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((violations, wrong.anomaly, last(wrong)), (20, Anomaly::WrongValue, Some(35)));
        assert_eq!((doubled.anomaly, doubled.expected.as_deref()), (Anomaly::Duplicate, Some("1 dead letter")));
    }

    #[test]
    fn every_finding_says_what_is_expected() {
        let stray = |actual| decision_entry(0, 50, actual).expect("an entry");
        let letter = |source| vec![letter_entry(0, 50, source, 5)];
        let sources = [
            vec![stray(Actual::Unreadable)],
            vec![stray(Actual::OtherPartition)],
            vec![decision(50, 12, 7, 5)],
            vec![decision(50, 1, 7, 5)],
            vec![decision(50, 3, 7, 5)],
            vec![line(3, 7), decision(50, 3, 8, 5)],
        ];
        let lines = [vec![decision(50, 9, 7, 5)], vec![line(3, 7)]];
        let letters = [letter(None), letter(Some(1)), letter(Some(3)), letter(Some(9))];
        let all = [
            (Check::DecisionsHaveASource, &sources[..]),
            (Check::OneDecisionPerLine, &lines),
            (Check::DeadLettersOnce, &letters),
        ];
        for (check, cases) in all {
            for entries in cases {
                let (violations, findings) = found(check, entries.clone());
                assert_eq!((violations, findings.len()), (1, 1), "{entries:?}");
                let finding = &findings[0];
                assert!(finding.expected.is_some(), "{finding:?}");
                // What is forbidden is the last record, and the one that is shown as seen.
                let is_lost = finding.anomaly == Anomaly::LostWrite;
                assert_eq!((last(finding), finding.seen.is_some()), (Some(if is_lost { 3 } else { 50 }), false));
            }
        }
    }
}
