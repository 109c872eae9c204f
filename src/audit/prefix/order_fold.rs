//! Fold over the orders of one partition: recomputes every decision, dead letter, count and stock level.

use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashMap;

use super::chunk_sums::ChunkSums;
use super::dead_letter::source_hash;
use super::digest_marks::DigestMarks;
use super::hashes::{content_hash, identity_hash, spread};
use super::log_record::LogRecord;
use crate::domain::{Decision, DecisionSource, Order, OrderRecord, decode_order, encode_decision};
use crate::inventory::{CUT_VALUE, StockSettings, StockStore};

/// After how many orders the stock is committed. A commit keeps the list of changed items short.
const COMMIT_EVERY: u32 = 1_024;

/// The bounds of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBounds {
    /// The partition.
    pub partition: i32,
    /// The offsets whose orders must be decided.
    pub required: Range<i64>,
    /// The end of the orders that decide the stock of the ledger, or the end of the required ones if that is higher.
    pub fold_end: i64,
    /// The position of the ledger, at which its stock and its counts are compared; `None` without a ledger.
    pub ledger_position: Option<i64>,
    /// The settings of the stock; `None` if it cannot be recomputed, because they or the first orders are gone. Then
    /// only order, item and quantity of each line are known.
    pub settings: Option<StockSettings>,
}

/// What must be there because of one order record.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// A decision. `json` is empty if the stock is not recomputed.
    Decision {
        /// Index of the line.
        line: u32,
        /// Hash of its record, or of its identity if the stock is not recomputed.
        content: u128,
        /// Hash of order id, item and quantity.
        identity: u64,
        /// The value of its record.
        json: &'a [u8],
    },
    /// A dead letter.
    DeadLetter {
        /// Hash of what it has in common with its record.
        content: u64,
    },
}

/// The fold.
#[derive(Debug)]
pub struct OrderFold {
    bounds: OrderBounds,
    stock: StockStore,
    since_commit: u32,
    /// Buffer of an encoded decision.
    json: Vec<u8>,
    /// Sums of the expected decisions.
    pub decisions: ChunkSums,
    /// Sums of the expected dead letters.
    pub dead_letters: ChunkSums,
    /// Orders, bad records and order lines, packed as in [`Sizes`].
    sizes: ChunkSums,
    /// Digests of the records.
    pub marks: DigestMarks,
    counts: OrderCounts,
    /// The state at the ledger's position, once it was reached.
    pub at_position: Option<LedgerState>,
    /// Units that restocks added, by the key of the ledger record.
    restocked: HashMap<Box<[u8]>, u64>,
    /// How many bytes dead letters keep of values that were cut more than usual, where that is known.
    pub short_values: BTreeMap<i64, usize>,
    /// Everything before it was read.
    pub position: i64,
}

/// Counts of records, as in a position record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// All records.
    pub records: u64,
    /// Orders.
    pub orders: u64,
    /// Orders reserved, rejected and released; 0 if the stock is not recomputed.
    pub by_decision: [u64; 3],
    /// Bad records.
    pub dead_letters: u64,
    /// Records of other event types.
    pub skipped: u64,
}

impl OrderCounts {
    /// The counts by their names in a position record.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 7] {
        let [reserved, rejected, released] = self.by_decision;
        [
            ("records", self.records),
            ("orders", self.orders),
            ("reserved", reserved),
            ("rejected", rejected),
            ("released", released),
            ("dead_letters", self.dead_letters),
            ("skipped", self.skipped),
        ]
    }
}

/// How much there is in a range of offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Orders.
    pub orders: u64,
    /// Order lines.
    pub lines: u64,
    /// Bad records.
    pub dead_letters: u64,
}

impl Sizes {
    /// The bits of each number: enough for the lines of any partition.
    const BITS: u32 = 42;

    const fn packed(self) -> u128 {
        (self.orders as u128) << (2 * Self::BITS) | (self.dead_letters as u128) << Self::BITS | self.lines as u128
    }

    fn of(packed: u128) -> Self {
        let field = |index: u32| u64::try_from(packed >> (index * Self::BITS) & ((1 << Self::BITS) - 1)).unwrap_or(0);
        Self { orders: field(2), lines: field(0), dead_letters: field(1) }
    }
}

/// What a ledger must hold at its position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// The counts of the position record.
    pub counts: OrderCounts,
    /// The size of the stock, as in the position record.
    pub holds: Vec<(&'static str, u64)>,
    /// The items, by the key of the ledger record.
    pub items: BTreeMap<Box<[u8]>, ExpectedItem>,
}

/// Value of an item's ledger record, and units that restocks have added.
pub type ExpectedItem = (Box<[u8]>, u64);

impl OrderFold {
    /// A fold that has read nothing.
    #[must_use]
    pub fn new(bounds: OrderBounds, marks: Vec<i64>) -> Self {
        let Range { start, end } = bounds.required;
        Self {
            stock: StockStore::new(bounds.settings.unwrap_or_default()),
            since_commit: 0,
            json: Vec::with_capacity(512),
            decisions: ChunkSums::new(start, end),
            dead_letters: ChunkSums::new(start, end),
            sizes: ChunkSums::new(start, end),
            marks: DigestMarks::new(marks),
            counts: OrderCounts::default(),
            at_position: None,
            restocked: HashMap::new(),
            short_values: BTreeMap::new(),
            position: start,
            bounds,
        }
    }

    /// Adds the next record. `each` gets what must be there because of it, if the record is in the required range, and
    /// the id of each order.
    pub fn record(&mut self, record: LogRecord<'_>, each: &mut impl FnMut(Option<&str>, Option<Expected<'_>>)) {
        self.reached(record.offset);
        self.marks.add(record.offset, record.key, record.value);
        self.position = record.offset + 1;
        if record.offset < self.bounds.required.start || record.offset >= self.bounds.fold_end {
            return;
        }
        let is_required = self.bounds.required.contains(&record.offset);
        self.counts.records += 1;
        match decode_order(record.value) {
            Ok(OrderRecord::Order(order)) => {
                if is_required {
                    each(Some(&order.order_id), None);
                }
                self.order(&order, record, is_required, each);
            }
            Ok(OrderRecord::Skipped) => self.counts.skipped += 1,
            Err(bad) => {
                self.counts.dead_letters += 1;
                self.sizes.add(record.offset, Sizes { dead_letters: 1, ..Sizes::default() }.packed());
                if is_required {
                    let kept = self.short_values.get(&record.offset).copied().unwrap_or(CUT_VALUE);
                    let content = source_hash(record, bad.reason.as_str(), kept);
                    self.dead_letters.add(record.offset, spread(content, 0));
                    each(None, Some(Expected::DeadLetter { content }));
                }
            }
        }
    }

    fn order(
        &mut self,
        order: &Order<'_>,
        record: LogRecord<'_>,
        is_required: bool,
        each: &mut impl FnMut(Option<&str>, Option<Expected<'_>>),
    ) {
        self.counts.orders += 1;
        let lines = order.lines.len() as u64;
        self.sizes.add(record.offset, Sizes { orders: 1, lines, dead_letters: 0 }.packed());
        let recomputes = self.bounds.settings.is_some();
        let source = DecisionSource { partition: self.bounds.partition, offset: record.offset };
        let (sums, json, restocked) = (&mut self.decisions, &mut self.json, &mut self.restocked);
        self.stock.decide(order, source, &mut |decision| {
            if decision.restocked > 0 {
                *restocked.entry(ledger_key(decision)).or_default() += decision.restocked;
            }
            if !is_required {
                return;
            }
            let identity = identity_hash(decision);
            json.clear();
            let content = if recomputes {
                encode_decision(decision, json);
                content_hash(record.key, Some(json))
            } else {
                spread(identity, decision.line.into())
            };
            sums.add(record.offset, content);
            each(None, Some(Expected::Decision { line: decision.line, content, identity, json }));
        });
        let now = self.stock.counts();
        self.counts.by_decision = [now.reserved, now.rejected, now.released];
        self.since_commit += 1;
        if self.since_commit == COMMIT_EVERY {
            self.stock.commit();
            self.since_commit = 0;
        }
    }

    /// Everything before a position was read.
    pub fn reached(&mut self, position: i64) {
        self.marks.reached(position);
        if self.at_position.is_none() && self.bounds.ledger_position.is_some_and(|ledger| ledger <= position) {
            let mut items = BTreeMap::new();
            self.stock.records(&mut |key, value| {
                let restocked = self.restocked.get(key).copied().unwrap_or(0);
                items.insert(key.into(), (value.into(), restocked));
            });
            self.at_position = Some(LedgerState { counts: self.counts, holds: self.stock.holds().into(), items });
        }
        self.position = self.position.max(position);
    }

    /// What there is in the chunks between two offsets.
    #[must_use]
    pub fn sizes(&self, between: &Range<i64>) -> Sizes {
        Sizes::of(self.sizes.total(between))
    }

    /// The bounds.
    #[must_use]
    pub const fn bounds(&self) -> &OrderBounds {
        &self.bounds
    }
}

/// The key of an item's ledger record.
fn ledger_key(decision: &Decision<'_>) -> Box<[u8]> {
    // Strings always serialize.
    serde_json::to_vec(&(&*decision.restaurant_id, &*decision.item_id)).unwrap_or_default().into()
}
