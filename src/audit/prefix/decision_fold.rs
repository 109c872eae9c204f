//! Fold over the decisions of one partition: their order, the stock levels that they add up to, and their sums.

use std::ops::Range;

use hashbrown::HashMap;

use super::chunk_sums::ChunkSums;
use super::digest_marks::DigestMarks;
use super::findings::{Finding, Findings, PrefixTopic};
use super::hashes::{content_hash, identity_hash, item_hash, spread};
use super::log_record::LogRecord;
use crate::audit::check::{Anomaly, Check};
use crate::domain::{Action, Decision, DecisionRecord, decode_decision};
use crate::inventory::{OpeningStock, StockSettings};
use crate::printable::printable;

/// The bounds of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionBounds {
    /// The partition.
    pub partition: i32,
    /// The offsets of the orders that must be decided, as in the fold over the orders.
    pub required: Range<i64>,
    /// The settings of the stock; `None` if the decisions are only compared by order, item and quantity.
    pub settings: Option<StockSettings>,
    /// Whether the topic has its first record. Otherwise an item's first level is unknown.
    pub is_complete: bool,
}

/// A record of `inventory-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actual {
    /// A decision about a line of an order of this partition.
    Decision {
        /// Offset of the order.
        source: i64,
        /// Index of the line.
        line: u32,
        /// Hash of the record, as in the fold over the orders.
        content: u128,
        /// Hash of its identity.
        identity: u64,
    },
    /// A decision that names another partition.
    OtherPartition,
    /// A record that cannot be read as an event.
    Unreadable,
    /// An event of another type, or one of another inventory service.
    Skipped,
}

/// The fold.
#[derive(Debug)]
pub struct DecisionFold {
    bounds: DecisionBounds,
    /// Sums of the decisions.
    pub sums: ChunkSums,
    /// Order and stock.
    findings: Findings,
    /// Decisions whose order was compared, and those whose stock was.
    checked: [u64; 2],
    /// Decisions read.
    pub decisions: u64,
    /// Digests of the records.
    pub marks: DigestMarks,
    /// Whether there are records that name no order of this partition.
    pub has_strays: bool,
    /// The lowest and the highest offset of an order that a decision names.
    pub sources: Option<(i64, i64)>,
    /// Source and offset of the first decision.
    pub first: Option<(i64, i64)>,
    /// Source, line and offset of the last decision.
    last: Option<(i64, u32, i64)>,
    levels: HashMap<u64, Level>,
    /// Where committed readers see nothing.
    holes: Vec<Hole>,
    /// Everything before it was read.
    pub position: i64,
}

/// The most holes of a partition that are kept.
const MOST_HOLES: usize = 1_000;

/// Several offsets without a committed record: more than the marker of a transaction, mostly one that was aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Its offsets.
    pub range: Range<i64>,
    /// Source and line of the last decision before it.
    after: Option<(i64, u32)>,
    /// Source and line of the first decision after it.
    before: Option<(i64, u32)>,
}

impl Hole {
    /// Whether a decision about this line of an order would be here.
    #[must_use]
    pub fn fits(&self, line: (i64, u32)) -> bool {
        self.after.is_none_or(|after| after < line) && self.before.is_none_or(|before| before > line)
    }
}

/// The stock of an item, from the decisions alone.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// `None` until a decision has named it, if earlier decisions are gone.
    on_hand: Option<i128>,
    /// Offset of the last decision about it.
    offset: Option<i64>,
}

impl DecisionFold {
    /// A fold that has read nothing. It keeps at most this many violations of each check.
    #[must_use]
    pub fn new(bounds: DecisionBounds, start: i64, marks: Vec<i64>, most: usize) -> Self {
        let Range { start: first, end } = bounds.required;
        Self {
            sums: ChunkSums::new(first, end),
            findings: Findings::new(most),
            checked: [0; 2],
            decisions: 0,
            marks: DigestMarks::new(marks),
            has_strays: false,
            sources: None,
            first: None,
            last: None,
            levels: HashMap::new(),
            holes: Vec::new(),
            position: start,
            bounds,
        }
    }

    /// Adds the next record, and returns what it is.
    pub fn record(&mut self, record: LogRecord<'_>) -> Actual {
        self.marks.add(record.offset, record.key, record.value);
        self.hole(record.offset);
        self.position = record.offset + 1;
        let decision = match decode_decision(record.value) {
            Ok(DecisionRecord::Decision(decision)) => decision,
            Ok(DecisionRecord::Skipped) => return Actual::Skipped,
            Err(_) => {
                self.has_strays = true;
                return Actual::Unreadable;
            }
        };
        self.decisions += 1;
        self.stock(&decision, record.offset);
        if decision.source.partition != self.bounds.partition {
            self.has_strays = true;
            return Actual::OtherPartition;
        }
        let (source, line) = (decision.source.offset, decision.line);
        self.order(source, line, record.offset);
        let identity = identity_hash(&decision);
        let content = if self.bounds.settings.is_some() {
            content_hash(record.key, record.value)
        } else {
            spread(identity, line.into())
        };
        self.sums.add(source, content);
        let (lowest, highest) = self.sources.unwrap_or((source, source));
        self.sources = Some((lowest.min(source), highest.max(source)));
        Actual::Decision { source, line, content, identity }
    }

    /// Everything before a position was read.
    pub fn reached(&mut self, position: i64) {
        self.marks.reached(position);
        self.hole(position);
        self.position = self.position.max(position);
    }

    /// Where committed readers see nothing, in the order of the log.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// The next record, or the end, is here.
    fn hole(&mut self, next: i64) {
        if next > self.position + 1 && self.holes.len() < MOST_HOLES {
            self.holes.push(Hole { range: self.position..next, after: self.last(), before: None });
        }
    }

    /// What was found about order and stock. It is moved out of the fold.
    pub fn take_findings(&mut self) -> Findings {
        let [ordered, stocked] = self.checked;
        self.findings.checked(Check::OrderIsKept, ordered);
        if self.bounds.settings.is_some() {
            self.findings.checked(Check::StockNeverNegative, stocked);
            self.findings.checked(Check::StockBalances, stocked);
        }
        std::mem::take(&mut self.findings)
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> i32 {
        self.bounds.partition
    }

    /// Source and line of the last decision.
    #[must_use]
    pub fn last(&self) -> Option<(i64, u32)> {
        self.last.map(|(source, line, _)| (source, line))
    }

    fn order(&mut self, source: i64, line: u32, offset: i64) {
        let partition = self.bounds.partition;
        self.first.get_or_insert((source, offset));
        let open = self.holes.iter_mut().rev().take_while(|hole| hole.before.is_none());
        open.for_each(|hole| hole.before = Some((source, line)));
        if let Some((last_source, last_line, last_offset)) = self.last
            && (source, line) < (last_source, last_line)
        {
            self.findings.violated(Check::OrderIsKept, || {
                let summary = format!(
                    "the decision about order {partition}/{source} line {line} comes after the one about order {partition}/{last_source} line {last_line}"
                );
                let places = [(source, line), (last_source, last_line)]
                    .map(|(source, line)| format!("order {partition}/{source} line {line}"));
                let [earlier, later] = places;
                Finding::new(Anomaly::NonMonotonic, summary)
                    .values(format!("{earlier} before {later}"), format!("{earlier} after {later}"))
                    .record("order", PrefixTopic::Orders, partition, source)
                    .record("later order", PrefixTopic::Orders, partition, last_source)
                    .record("its decision", PrefixTopic::Decisions, partition, last_offset)
                    .record("decision", PrefixTopic::Decisions, partition, offset)
            });
        }
        self.checked[0] += 1;
        self.last = Some((source, line, offset));
    }

    fn stock(&mut self, decision: &Decision<'_>, offset: i64) {
        let Some(settings) = self.bounds.settings.filter(|_| decision.action != Action::Release) else { return };
        let OpeningStock::Units(opening) = settings.opening() else {
            self.unlimited(decision, offset);
            return;
        };
        let opening = self.bounds.is_complete.then_some(i128::from(opening));
        let item = item_hash(&decision.restaurant_id, &decision.item_id);
        let level = self.levels.entry(item).or_insert(Level { on_hand: opening, offset: None });
        let stated = decision.on_hand.map(i128::from);
        let before = std::mem::replace(level, Level { on_hand: stated, offset: Some(offset) });
        let findings = &mut self.findings;
        self.checked[1] += 1;
        let Some(on_hand) = before.on_hand else { return };
        let taken = if decision.action == Action::Reserve { i128::from(decision.quantity) } else { 0 };
        let computed = on_hand + i128::from(decision.restocked) - taken;
        let partition = self.bounds.partition;
        let finding = |summary: String, expected: String, seen: String| {
            let finding = Finding::new(Anomaly::WrongValue, summary).values(expected, seen).record(
                "order",
                PrefixTopic::Orders,
                decision.source.partition,
                decision.source.offset,
            );
            let earlier = before.offset.into_iter();
            earlier
                .fold(finding, |finding, offset| {
                    finding.record("decision before", PrefixTopic::Decisions, partition, offset)
                })
                .record("decision", PrefixTopic::Decisions, partition, offset)
        };
        let about = || format!("{} of {}", printable(&decision.item_id), printable(&decision.restaurant_id));
        if computed < 0 {
            findings.violated(Check::StockNeverNegative, || {
                let most = computed + taken;
                finding(
                    format!("{taken} units of {} are reserved, but {most} are on hand", about()),
                    format!("at most {most} reserved"),
                    format!("{taken} reserved"),
                )
            });
        }
        if stated != Some(computed) {
            findings.violated(Check::StockBalances, || {
                let restocked = decision.restocked;
                finding(
                    format!(
                        "of {}, {on_hand} units before, {restocked} restocked and {taken} reserved do not give the level after it",
                        about()
                    ),
                    format!("{computed} on hand"),
                    level_words(stated),
                )
            });
        }
    }

    /// Unlimited stock has no level.
    fn unlimited(&mut self, decision: &Decision<'_>, offset: i64) {
        self.checked[1] += 1;
        if decision.on_hand.is_none() && decision.restocked == 0 {
            return;
        }
        let partition = self.bounds.partition;
        self.findings.violated(Check::StockBalances, || {
            Finding::new(
                Anomaly::WrongValue,
                "stock is unlimited, but the decision has a level or a restock".to_owned(),
            )
            .values(
                "no level and no restock".to_owned(),
                format!("{}, {} restocked", level_words(decision.on_hand.map(i128::from)), decision.restocked),
            )
            .record("order", PrefixTopic::Orders, decision.source.partition, decision.source.offset)
            .record("decision", PrefixTopic::Decisions, partition, offset)
        });
    }
}

fn level_words(on_hand: Option<i128>) -> String {
    on_hand.map_or_else(|| "no level".to_owned(), |units| format!("{units} on hand"))
}
