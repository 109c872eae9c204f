//! Fold over the ledger of one partition, and its comparison with the recomputed stock.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::digest_marks::DigestMarks;
use super::findings::{Finding, Findings, PrefixTopic};
use super::log_record::LogRecord;
use super::order_fold::LedgerState;
use super::position_record::PositionRecord;
use crate::audit::check::{Anomaly, Check};
use crate::audit::document::shown_bytes;
use crate::inventory::{OpeningStock, StockSettings};
use crate::printable::printable;
use crate::state::{Digest, Position, PositionKey};

/// The last record of each key.
#[derive(Debug, Clone, Default)]
pub struct LedgerFold {
    items: BTreeMap<Box<[u8]>, ItemRecord>,
    /// The last position record.
    position: Option<PositionRecord>,
    /// The positions before it that the log still has, in the order of their offsets.
    older: Thinned,
}

/// Value and offset of an item's record.
type ItemRecord = (Box<[u8]>, i64);

/// The most older positions that are kept.
const MOST_OLDER: usize = 4_096;

/// What a position record says about the orders before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrdersBefore {
    next_offset: i64,
    digest: Digest,
    /// The offset of the record.
    record: i64,
}

impl OrdersBefore {
    const fn of(position: &Position, record: i64) -> Self {
        Self { next_offset: position.next_offset, digest: position.digest, record }
    }
}

/// Positions, of which every second is left out, and then every fourth and so on, when there are too many.
#[derive(Debug, Clone, Default)]
struct Thinned {
    kept: Vec<OrdersBefore>,
    /// How many are left out after each that is kept, and how many are still to be left out.
    gap: u64,
    left: u64,
}

impl Thinned {
    fn push(&mut self, position: OrdersBefore) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        if self.kept.len() == MOST_OLDER {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.gap = self.gap * 2 + 1;
        }
        self.kept.push(position);
        self.left = self.gap;
    }
}

/// Orders that are not those that were decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedOrders {
    /// Their offsets.
    pub range: Range<i64>,
    /// Their digest when they were decided.
    pub expected: Digest,
    /// Their digest now.
    pub found: Digest,
    /// The offsets of the position records at their start, unless it is the log's, and at their end.
    pub records: (Option<i64>, i64),
}

impl LedgerFold {
    /// Adds the next record.
    pub fn record(&mut self, record: LogRecord<'_>) {
        // Every record of `inventory` has a key.
        let Some(key) = record.key else { return };
        if PositionKey::decode(key) == Some(PositionKey::Ledger) {
            let before = self.position.take();
            self.position = PositionRecord::read(&record);
            self.keep(before.as_ref());
            return;
        }
        match (record.value, self.items.get_mut(key)) {
            (Some(value), Some(kept)) => *kept = (value.into(), record.offset),
            (Some(value), None) => drop(self.items.insert(key.into(), (value.into(), record.offset))),
            (None, _) => drop(self.items.remove(key)),
        }
    }

    /// Keeps the position before the last one, if both are about the same records.
    fn keep(&mut self, before: Option<&PositionRecord>) {
        let continues = |before: &Position, now: &Position| {
            (before.log_start, &before.topic_id) == (now.log_start, &now.topic_id)
                && before.next_offset < now.next_offset
        };
        let position = before.and_then(|before| Some((before.position()?, before.offset)));
        match position.zip(self.position()) {
            Some(((before, record), now)) if continues(before, now) => {
                self.older.push(OrdersBefore::of(before, record));
            }
            _ => self.older = Thinned::default(),
        }
    }

    /// The offsets of the orders up to which the log still has position records, in their order.
    pub fn older_offsets(&self) -> impl Iterator<Item = i64> {
        self.older.kept.iter().map(|older| older.next_offset)
    }

    /// The smallest range of orders whose digest is not the one that they had when they were decided.
    ///
    /// It begins at the last position up to which all orders are the same.
    #[must_use]
    pub fn changed_orders(&self, marks: &DigestMarks) -> Option<ChangedOrders> {
        let (position, record) = (self.position()?, self.position.as_ref()?.offset);
        let digest = |end: i64| marks.between(position.log_start, end).map(|(digest, _)| digest);
        let positions = self.older.kept.iter().copied().chain([OrdersBefore::of(position, record)]);
        let known: Vec<(OrdersBefore, Digest)> =
            positions.filter_map(|position| Some((position, digest(position.next_offset)?))).collect();
        let same = known.iter().rposition(|(position, now)| position.digest == *now);
        let (end, now) = known.get(same.map_or(0, |index| index + 1))?;
        let start = same.map(|index| known[index].0);
        let before = start.map_or_else(Digest::default, |start| start.digest);
        Some(ChangedOrders {
            range: start.map_or(position.log_start, |start| start.next_offset)..end.next_offset,
            expected: end.digest.since(before),
            found: now.since(before),
            records: (start.map(|start| start.record), end.record),
        })
    }

    /// The last position, if it can be read.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()?.position()
    }

    /// The last position record.
    #[must_use]
    pub const fn position_record(&self) -> Option<&PositionRecord> {
        self.position.as_ref()
    }

    /// The offset of the first record with stock.
    #[must_use]
    pub fn first_item(&self) -> Option<i64> {
        self.items.values().map(|(_, offset)| *offset).min()
    }

    /// The offset of the first record that is neither of an item nor a position.
    #[must_use]
    pub fn first_unknown(&self) -> Option<i64> {
        let unknown = self.items.iter().filter(|(key, _)| serde_json::from_slice::<(String, String)>(key).is_err());
        unknown.map(|(_, (_, offset))| *offset).min()
    }

    /// Compares the ledger with what it must hold at its position.
    pub fn compare(&self, partition: i32, expected: &LedgerState, settings: &StockSettings, findings: &mut Findings) {
        // Unknown items come first: a record with an altered key is the evidence, not that another one is missing.
        for (key, (actual, offset)) in self.items.iter().filter(|(key, _)| !expected.items.contains_key(*key)) {
            findings.checked(Check::LedgerAgrees, 1);
            findings.violated(Check::LedgerAgrees, || {
                let summary = format!("the ledger has stock of {}, which no order names", item(key));
                Finding::new(Anomaly::InventedWrite, summary)
                    .values("nothing: no order names the item".to_owned(), shown_bytes(actual))
                    .record("ledger", PrefixTopic::Ledger, partition, *offset)
            });
        }
        for (key, (value, restocked)) in &expected.items {
            findings.checked(Check::LedgerAgrees, 1);
            let shown = |bytes: &[u8]| shown_bytes(bytes);
            let Some((actual, offset)) = self.items.get(key) else {
                findings.violated(Check::LedgerAgrees, || {
                    let summary = format!("the ledger has no stock of {}", item(key));
                    Finding::new(Anomaly::LostWrite, summary).values(shown(value), None).record(
                        "order",
                        PrefixTopic::Orders,
                        partition,
                        source_of(value),
                    )
                });
                continue;
            };
            let finding = |summary: String| {
                let finding = Finding::new(Anomaly::WrongValue, summary).values(shown(value), shown(actual));
                finding.record("order", PrefixTopic::Orders, partition, source_of(value)).record(
                    "ledger",
                    PrefixTopic::Ledger,
                    partition,
                    *offset,
                )
            };
            if actual != value {
                findings.violated(Check::LedgerAgrees, || {
                    finding(format!("the stock of {} in the ledger differs", item(key)))
                });
            }
            findings.checked(Check::StockBalances, 1);
            if !balances(actual, settings, *restocked) {
                findings.violated(Check::StockBalances, || {
                    finding(format!(
                        "units on hand and reserved of {} do not add up to the opening stock and {restocked} restocked",
                        item(key)
                    ))
                });
            }
        }
    }
}

fn field(value: &[u8], name: &str) -> Option<i128> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let number = value.get(name)?;
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Unlimited stock has nothing to add up.
fn balances(value: &[u8], settings: &StockSettings, restocked: u64) -> bool {
    let OpeningStock::Units(opening) = settings.opening() else { return true };
    let sum = field(value, "on_hand").zip(field(value, "reserved")).map(|(on_hand, reserved)| on_hand + reserved);
    sum == Some(i128::from(opening) + i128::from(restocked))
}

fn source_of(value: &[u8]) -> Option<i64> {
    i64::try_from(field(value, "source_offset")?).ok()
}

/// `item_3 of restaurant_07`
fn item(key: &[u8]) -> String {
    match serde_json::from_slice::<(String, String)>(key) {
        Ok((restaurant, item)) => format!("{} of {}", printable(&item), printable(&restaurant)),
        Err(_) => shown_bytes(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(offsets: Range<i64>, changed: i64) -> Digest {
        let mut digest = Digest::default();
        offsets.for_each(|offset| digest.add(offset, None, Some(if offset == changed { b"y" } else { b"x" })));
        digest
    }

    /// A fold over a ledger with a position after each of these numbers of orders, from the log start 2 on.
    fn ledger(ends: impl IntoIterator<Item = i64>) -> LedgerFold {
        let mut fold = LedgerFold::default();
        let key = PositionKey::Ledger.encode();
        for (offset, next_offset) in (100..).zip(ends) {
            let value = serde_json::json!({
                "next_offset": next_offset, "log_start": 2, "group": "g", "counts": {"records": next_offset - 2},
                "digest": digest_of(2..next_offset, -1).to_string(),
            });
            let value = value.to_string();
            fold.record(LogRecord { offset, timestamp: None, key: Some(&key), value: Some(value.as_bytes()) });
        }
        fold
    }

    /// What is found after one order was changed.
    fn changed(fold: &LedgerFold, changed: i64) -> Option<ChangedOrders> {
        let position = fold.position().expect("a position");
        let (start, end) = (position.log_start, position.next_offset);
        let mut marks = DigestMarks::new(fold.older_offsets().chain([start, end]).collect());
        for offset in start..end {
            marks.add(offset, None, Some(if offset == changed { b"y" } else { b"x" }));
        }
        marks.reached(end);
        fold.changed_orders(&marks)
    }

    #[test]
    fn a_changed_order_is_between_two_positions() {
        let fold = ledger([5, 9, 20, 30]);
        let found = |at: i64| changed(&fold, at).map(|changed| (changed.range, changed.records));
        assert_eq!(found(-1), None);
        assert_eq!(found(2), Some((2..5, (None, 100))));
        assert_eq!(found(8), Some((5..9, (Some(100), 101))));
        assert_eq!(found(29), Some((20..30, (Some(102), 103))));
        let last = changed(&fold, 29).expect("changed");
        assert_eq!((last.expected, last.found), (digest_of(20..30, -1), digest_of(20..30, 29)));
        // Compaction has removed the others.
        let compacted = ledger([20, 30]);
        assert_eq!(changed(&compacted, 8).map(|changed| changed.range), Some(2..20));
        // The group began again.
        assert_eq!(changed(&ledger([20, 5, 30]), 8).map(|changed| changed.range), Some(5..30));
    }

    #[test]
    fn many_positions_are_thinned_evenly() {
        let mut thinned = Thinned::default();
        for next_offset in (0..).take(MOST_OLDER * 3) {
            thinned.push(OrdersBefore { next_offset, digest: Digest::default(), record: next_offset });
        }
        let kept: Vec<i64> = thinned.kept.iter().map(|older| older.next_offset).collect();
        assert!(kept.len() <= MOST_OLDER && kept.len() > MOST_OLDER / 2, "{}", kept.len());
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] == 4), "{kept:?}");
    }
}
