//! Evidence: compares expected and actual records one by one, where their sums differ.

use std::ops::Range;

use super::decision_fold::Actual;
use super::findings::{Finding, Findings, PrefixTopic};
use super::order_fold::Expected;
use crate::audit::check::{Anomaly, Check};
use crate::audit::entry::{Entry, Place, Side};
use crate::units::counted;

/// The most records of one line that a finding names.
const MOST_RECORDS: usize = 8;

/// What an entry is about, in the order in which partitions are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A line of an order.
    Line = 0,
    /// A bad record.
    DeadLetter = 1,
    /// A record of the decisions that cannot be read as an event.
    Unreadable = 2,
    /// A decision that names another partition.
    OtherPartition = 3,
    /// A dead letter that names no record of its partition.
    Stray = 4,
}

const CONTENT_BITS: u32 = 40;

fn key(partition: i32, kind: Kind, offset: i64, line: u32) -> u128 {
    let (partition, offset) = (u128::from(partition.unsigned_abs()), u128::from(offset.unsigned_abs()));
    partition << 104 | u128::from(kind as u8) << 96 | offset << 32 | u128::from(line)
}

fn parts(key: u128) -> (i32, Kind, i64, u32) {
    let field = |shift: u32, bits: u32| u64::try_from(key >> shift & ((1 << bits) - 1)).unwrap_or(0);
    let kind = match field(96, 8) {
        0 => Kind::Line,
        1 => Kind::DeadLetter,
        2 => Kind::Unreadable,
        3 => Kind::OtherPartition,
        _ => Kind::Stray,
    };
    let number = |field: u64| i64::try_from(field).unwrap_or(i64::MAX);
    (
        i32::try_from(field(104, 24)).unwrap_or(i32::MAX),
        kind,
        number(field(32, 64)),
        u32::try_from(field(0, 32)).unwrap_or(u32::MAX),
    )
}

/// Hashes of identity and content in one number: 24 and 40 bits of them.
#[allow(clippy::cast_possible_truncation, reason = "the low bits of a hash")]
const fn detail(identity: u64, content: u128) -> u64 {
    identity << CONTENT_BITS | (content as u64) & ((1 << CONTENT_BITS) - 1)
}

/// The entry of what must be there because of the order record at an offset.
#[must_use]
pub fn expected_entry(partition: i32, offset: i64, expected: Expected<'_>) -> Entry {
    let place = Place::new(Side::Cause, partition, offset);
    match expected {
        Expected::Decision { line, content, identity, .. } => {
            Entry { key: key(partition, Kind::Line, offset, line), place, detail: detail(identity, content) }
        }
        Expected::DeadLetter { content } => {
            Entry { key: key(partition, Kind::DeadLetter, offset, 0), place, detail: content }
        }
    }
}

/// The entry of a record of the decisions; `None` for a skipped one.
#[must_use]
pub fn decision_entry(partition: i32, offset: i64, actual: Actual) -> Option<Entry> {
    let (key, detail) = match actual {
        Actual::Decision { source, line, content, identity } => {
            (key(partition, Kind::Line, source, line), detail(identity, content))
        }
        Actual::OtherPartition => (key(partition, Kind::OtherPartition, offset, 0), 0),
        Actual::Unreadable => (key(partition, Kind::Unreadable, offset, 0), 0),
        Actual::Skipped => return None,
    };
    Some(Entry { key, place: Place::new(Side::Effect, partition, offset), detail })
}

/// The entry of a dead letter.
#[must_use]
pub fn letter_entry(partition: i32, offset: i64, source: Option<i64>, content: u64) -> Entry {
    let key = match source {
        Some(source) => key(partition, Kind::DeadLetter, source, 0),
        None => key(partition, Kind::Stray, offset, 0),
    };
    Entry { key, place: Place::new(Side::Effect, partition, offset), detail: content }
}

/// What is claimed about the outputs of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The offsets whose orders must have decisions.
    pub decided: Range<i64>,
    /// The offsets whose bad records must have dead letters.
    pub dead_letters: Range<i64>,
    /// Whether there was never an order before the first of them. Otherwise nothing is claimed about those.
    pub begins_at_start: bool,
    /// The offsets at and above this one must have neither.
    pub undecided_from: i64,
    /// The end of the orders.
    pub orders_end: i64,
}

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
    /// Offset and detail of the first records.
    records: Vec<(i64, u64)>,
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
            last.records.push((entry.place.offset(), entry.detail));
        }
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
        let claims = usize::try_from(partition).ok().and_then(|index| self.claims.get(index)?.as_ref());
        let Some(claims) = claims else { return };
        match kind {
            Kind::Line => self.judge_lines(claims, partition, offset, &lines),
            Kind::DeadLetter => self.judge_letter(claims, partition, offset, &lines),
            Kind::Unreadable => self.findings.violated(Check::DecisionsHaveASource, || {
                let summary = "the record is not an event".to_owned();
                Finding::new(Anomaly::WrongValue, summary).record("record", PrefixTopic::Decisions, partition, offset)
            }),
            Kind::OtherPartition => self.findings.violated(Check::DecisionsHaveASource, || {
                let summary = "the decision names an order of another partition".to_owned();
                Finding::new(Anomaly::InventedWrite, summary).record(
                    "decision",
                    PrefixTopic::Decisions,
                    partition,
                    offset,
                )
            }),
            Kind::Stray => self.findings.violated(Check::DeadLettersOnce, || {
                let summary = "the dead letter names no record of its partition".to_owned();
                Finding::new(Anomaly::InventedWrite, summary).record(
                    "dead letter",
                    PrefixTopic::DeadLetters,
                    partition,
                    offset,
                )
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
                .filter_map(|line| line.records.first().map(|(offset, _)| *offset))
                .collect();
            self.findings.violated_by(Check::OneDecisionPerLine, lost.len() as u64, || {
                let anomaly = if present.is_empty() { Anomaly::LostWrite } else { Anomaly::TornTransaction };
                let summary = format!(
                    "{} of order {partition}/{order} without a decision: {}",
                    counted(lost.len() as u64, "line"),
                    numbers(&lost)
                );
                let mut finding = Finding::new(anomaly, summary).record("order", PrefixTopic::Orders, partition, order);
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
            let mut finding = Finding::new(anomaly, summary).record("order", PrefixTopic::Orders, partition, order);
            finding.about = Some((partition, order, number));
            line.records.iter().fold(finding, |finding, (offset, _)| {
                finding.record("decision", PrefixTopic::Decisions, partition, *offset)
            })
        };
        let Some(expected) = line.expected else {
            self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                let summary = format!("a decision about order {partition}/{order} line {number}, which does not exist");
                let mut finding = finding(Anomaly::InventedWrite, summary);
                finding.about = None;
                finding
            });
            return;
        };
        if line.actual > 1 {
            self.findings.violated_by(Check::OneDecisionPerLine, line.actual - 1, || {
                let times = line.actual;
                let summary = format!("order {partition}/{order} line {number} has {times} decisions");
                finding(Anomaly::Duplicate, summary)
            });
        }
        for (_, actual) in &line.records {
            if actual >> CONTENT_BITS != expected >> CONTENT_BITS {
                self.findings.violated(Check::DecisionsHaveASource, || {
                    let summary = format!(
                        "the decision about order {partition}/{order} line {number} has another order id, item or quantity"
                    );
                    finding(Anomaly::WrongValue, summary)
                });
            } else if *actual != expected {
                self.findings.violated(Check::DecisionsRecompute, || {
                    let summary = format!(
                        "the decision about order {partition}/{order} line {number} is not the one that follows from the orders"
                    );
                    finding(Anomaly::WrongValue, summary)
                });
            }
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
                line.records.iter().fold(finding, |finding, (offset, _)| {
                    finding.record("decision", PrefixTopic::Decisions, partition, *offset)
                })
            };
            if order >= claims.orders_end {
                self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                    let end = claims.orders_end;
                    finding(
                        Anomaly::InventedWrite,
                        format!("a decision about order {partition}/{order}, but the orders end at {end}"),
                    )
                });
            } else if order < claims.decided.start && claims.begins_at_start {
                self.findings.violated_by(Check::DecisionsHaveASource, line.actual, || {
                    finding(
                        Anomaly::InventedWrite,
                        format!("a decision about order {partition}/{order}, which is before the first order"),
                    )
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
                });
            }
        }
    }

    fn judge_letter(&mut self, claims: &Claims, partition: i32, source: i64, lines: &[Line]) {
        let Some(line) = lines.first() else { return };
        let is_there = (source < claims.orders_end).then_some(source);
        let finding = |anomaly: Anomaly, summary: String| {
            let finding = Finding::new(anomaly, summary).record("bad record", PrefixTopic::Orders, partition, is_there);
            line.records.iter().fold(finding, |finding, (offset, _)| {
                finding.record("dead letter", PrefixTopic::DeadLetters, partition, *offset)
            })
        };
        let findings = &mut self.findings;
        let check = Check::DeadLettersOnce;
        if !claims.dead_letters.contains(&source) {
            if source < claims.dead_letters.start && claims.begins_at_start {
                findings.violated_by(check, line.actual, || {
                    let summary =
                        format!("a dead letter of record {partition}/{source}, which is before the first record");
                    finding(Anomaly::InventedWrite, summary)
                });
            }
            if source >= claims.undecided_from && line.actual > 0 {
                findings.violated_by(check, line.actual, || {
                    let committed = claims.undecided_from;
                    let summary = format!(
                        "a dead letter of record {partition}/{source}, but the committed offset is {committed}"
                    );
                    finding(Anomaly::InconsistentOffset, summary)
                });
            }
            return;
        }
        match line.expected {
            None => findings.violated_by(check, line.actual, || {
                let summary = format!("a dead letter of record {partition}/{source}, which is not bad");
                finding(Anomaly::InventedWrite, summary)
            }),
            Some(_) if line.actual == 0 => findings.violated(check, || {
                finding(Anomaly::LostWrite, format!("the bad record {partition}/{source} has no dead letter"))
            }),
            Some(expected) => {
                if line.actual > 1 {
                    findings.violated_by(check, line.actual - 1, || {
                        let times = line.actual;
                        finding(
                            Anomaly::Duplicate,
                            format!("the bad record {partition}/{source} has {times} dead letters"),
                        )
                    });
                }
                for _ in line.records.iter().filter(|(_, actual)| *actual != expected) {
                    findings.violated(check, || {
                        let summary = format!(
                            "the dead letter of record {partition}/{source} has another key, value, timestamp or reason"
                        );
                        finding(Anomaly::WrongValue, summary)
                    });
                }
            }
        }
    }
}

/// `0, 1, 2 and 7 more`
fn numbers(lines: &[u32]) -> String {
    let mut text = lines.iter().take(MOST_RECORDS).map(u32::to_string).collect::<Vec<_>>().join(", ");
    if lines.len() > MOST_RECORDS {
        text.extend([" and ", &(lines.len() - MOST_RECORDS).to_string(), " more"]);
    }
    text
}
