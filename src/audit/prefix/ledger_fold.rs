//! Fold over the ledger of one partition, and its comparison with the recomputed stock.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::{Finding, Findings, PrefixTopic};
use super::log_record::LogRecord;
use super::order_fold::LedgerState;
use crate::audit::check::{Anomaly, Check};
use crate::audit::document::shown_bytes;
use crate::inventory::{OpeningStock, StockSettings};
use crate::printable::printable;
use crate::state::{Position, PositionKey};

/// The last record of each key.
#[derive(Debug, Clone, Default)]
pub struct LedgerFold {
    items: BTreeMap<Box<[u8]>, ItemRecord>,
    /// The position record and its offset.
    position: Option<(Position, i64)>,
    /// Offset and error of a position record that cannot be read.
    unreadable: Option<(i64, String)>,
}

/// Value and offset of an item's record.
type ItemRecord = (Box<[u8]>, i64);

impl LedgerFold {
    /// Adds the next record.
    pub fn record(&mut self, record: LogRecord<'_>) {
        // Every record of `inventory` has a key.
        let Some(key) = record.key else { return };
        if PositionKey::decode(key) == Some(PositionKey::Ledger) {
            self.unreadable = None;
            self.position = record.value.and_then(|value| match Position::decode(value) {
                Ok(position) => Some((position, record.offset)),
                Err(error) => {
                    self.unreadable = Some((record.offset, error.to_string()));
                    None
                }
            });
            return;
        }
        match (record.value, self.items.get_mut(key)) {
            (Some(value), Some(kept)) => *kept = (value.into(), record.offset),
            (Some(value), None) => drop(self.items.insert(key.into(), (value.into(), record.offset))),
            (None, _) => drop(self.items.remove(key)),
        }
    }

    /// The last position record.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref().map(|(position, _)| position)
    }

    /// The offset of the last position record.
    #[must_use]
    pub fn position_offset(&self) -> Option<i64> {
        self.position.as_ref().map(|(_, offset)| *offset)
    }

    /// Offset and error of a last position record that cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&(i64, String)> {
        self.unreadable.as_ref()
    }

    /// Compares the ledger with what it must hold at its position.
    pub fn compare(&self, partition: i32, expected: &LedgerState, settings: &StockSettings, findings: &mut Findings) {
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
                    finding(format!("the ledger has another stock of {}", item(key)))
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
        for (key, (actual, offset)) in self.items.iter().filter(|(key, _)| !expected.items.contains_key(*key)) {
            findings.checked(Check::LedgerAgrees, 1);
            findings.violated(Check::LedgerAgrees, || {
                let summary = format!("the ledger has stock of {}, which no order names", item(key));
                Finding::new(Anomaly::InventedWrite, summary).values(None, shown_bytes(actual)).record(
                    "ledger",
                    PrefixTopic::Ledger,
                    partition,
                    *offset,
                )
            });
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
