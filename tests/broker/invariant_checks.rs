//! The invariants of one partition, by the definitions in docs/reference/audit.md.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decision_model::{Decision, Event, event};
use super::invariants::{POSITION, Violations, is_as_written, latest, number, read_between};
use super::inventory_model::{InventoryModel, encoded, reason};
use super::support::StoredRecord;

/// The records of a partition, and what was committed of it.
pub struct Partition {
    pub number: i32,
    /// The full names of the orders and of the group.
    pub topic: String,
    pub group: String,
    pub orders: Vec<StoredRecord>,
    pub decisions: Vec<StoredRecord>,
    pub ledger: Vec<StoredRecord>,
    pub dead_letters: Vec<StoredRecord>,
    /// The position record, or `null`.
    pub position: Value,
    pub committed: Option<i64>,
    pub log_start: i64,
    /// The end of the orders.
    pub end: i64,
    /// The settings that most positions have, or those that a test knows.
    pub settings: Value,
}

/// A line of an order: its offset and index.
type Line = (i64, i64);

/// The order, its recomputed decision, and the decisions that are there.
type ExpectedLine<'a> = (&'a StoredRecord, &'a Value, Vec<(&'a StoredRecord, &'a Decision)>);

impl Partition {
    pub fn check(&self, violations: &mut Violations) {
        if self.committed.is_none() && self.position.is_null() {
            let written = self.decisions.len() + self.ledger.len() + self.dead_letters.len();
            violations.require(written == 0, "position-equals-offset", || format!("{}: no offset", self.number));
            return;
        }
        self.check_position(violations);
        let decisions: Vec<(&StoredRecord, Event)> =
            self.decisions.iter().map(|record| (record, event(record.value.as_deref()))).collect();
        let Some((opening, restock_millis)) = settings(&self.settings) else {
            return violations.require(false, "position-equals-offset", || format!("settings {}", self.settings));
        };
        self.check_order(violations, &decisions);
        Self::check_stock(violations, opening, &decisions);
        if self.committed > Some(self.end) {
            // Orders are gone: nothing is known about their decisions.
            return;
        }
        let below = |end: i64| {
            let mut model = InventoryModel::default();
            for record in self.orders.iter().filter(|record| record.offset < end) {
                model.apply(record, opening, restock_millis);
            }
            model
        };
        let (committed, next) = (self.committed.unwrap_or(0), number(&self.position["next_offset"]));
        let at_committed = below(committed);
        self.check_decisions(violations, &at_committed, committed, &decisions);
        self.check_dead_letters(violations, &at_committed);
        if !self.position.is_null() {
            let at_position = if next == committed { at_committed } else { below(next) };
            self.check_ledger(violations, opening, &at_position);
            self.check_counts(violations, &at_position);
        }
    }

    fn check_position(&self, violations: &mut Violations) {
        let (position, committed) = (&self.position, self.committed.unwrap_or(-1));
        violations.require(
            number(&position["next_offset"]) == committed
                && position["group"] == self.group.as_str()
                && number(&position["log_start"]) == self.log_start
                && position["settings"] == self.settings
                && is_as_written(position),
            "position-equals-offset",
            || format!("committed {committed}: {position}"),
        );
    }

    /// `order-is-kept`
    fn check_order(&self, violations: &mut Violations, decisions: &[(&StoredRecord, Event)]) {
        let mut last = (i64::MIN, 0);
        for (_, event) in decisions {
            let Event::Decision(decision) = event else { continue };
            if decision.source_partition == i64::from(self.number) {
                let line = (decision.source_offset, decision.line);
                violations.require(line >= last, "order-is-kept", || format!("{line:?} after {last:?}"));
                last = line.max(last);
            }
        }
    }

    /// `one-decision-per-line`, `decisions-have-a-source`, `decisions-recompute`.
    fn check_decisions(
        &self,
        violations: &mut Violations,
        model: &InventoryModel<'_>,
        committed: i64,
        decisions: &[(&StoredRecord, Event)],
    ) {
        let mut lines: BTreeMap<Line, ExpectedLine<'_>> = BTreeMap::new();
        for (source, expected) in &model.decisions {
            lines.insert((source.offset, number(&expected["line"])), (*source, expected, Vec::new()));
        }
        for (record, event) in decisions {
            let decision = match event {
                Event::Decision(decision) => decision,
                Event::Skipped => continue,
                Event::Bad => {
                    violations.require(false, "decisions-have-a-source", || format!("not an event: {record:?}"));
                    continue;
                }
            };
            let is_own = decision.source_partition == i64::from(self.number);
            let line = (decision.source_offset, decision.line);
            if is_own && (committed..self.end).contains(&line.0) {
                // Nothing is claimed about such an order, except that it has no decision.
                violations.require(false, "one-decision-per-line", || format!("{committed} committed: {decision:?}"));
                continue;
            }
            let found = lines.get_mut(&line).filter(|_| is_own);
            let has_source = found.as_ref().is_some_and(|(_, expected, _)| agrees(decision, expected));
            violations.require(has_source, "decisions-have-a-source", || format!("{decision:?}"));
            if let Some((.., decided)) = found {
                decided.push((record, decision));
            }
        }
        for (line, (source, expected, decided)) in &lines {
            violations.require(decided.len() == 1, "one-decision-per-line", || {
                format!("{}: {} decisions of {line:?}, {committed} committed", self.number, decided.len())
            });
            if let [(record, decision)] = &decided[..]
                && agrees(decision, expected)
            {
                let same = record.key == source.key && record.value.as_deref() == Some(&encoded(expected));
                violations.require(same, "decisions-recompute", || format!("{record:?}\nexpected {expected}"));
            }
        }
    }

    /// `stock-never-negative` and `stock-balances` of the decisions alone.
    fn check_stock(violations: &mut Violations, opening: Option<i64>, decisions: &[(&StoredRecord, Event)]) {
        let mut levels: BTreeMap<(&str, &str), Option<i64>> = BTreeMap::new();
        for (_, event) in decisions {
            let Event::Decision(decision) = event else { continue };
            if decision.action == "release" {
                continue;
            }
            let level = levels.entry((&decision.restaurant_id, &decision.item_id)).or_insert(opening);
            let taken = if decision.action == "reserve" { decision.quantity } else { 0 };
            *level = level.map(|level| level + decision.restocked - taken);
            violations.require(level.is_none_or(|level| level >= 0), "stock-never-negative", || {
                format!("{level:?} after {decision:?}")
            });
            violations.require(*level == decision.on_hand, "stock-balances", || format!("{level:?}: {decision:?}"));
            if level.is_some() && decision.on_hand.is_some() {
                *level = decision.on_hand;
            }
        }
    }

    /// `ledger-agrees`, and `stock-balances` of the ledger.
    fn check_ledger(&self, violations: &mut Violations, opening: Option<i64>, model: &InventoryModel<'_>) {
        let mut state = latest(&self.ledger);
        state.remove(POSITION);
        for ((restaurant, item), stock) in &model.stock {
            let expected = json!({
                "on_hand": stock.on_hand.map_or(json!(null), |units| json!(units)),
                "reserved": stock.reserved, "period": stock.period, "source_offset": stock.source_offset,
            });
            let key = serde_json::to_vec(&(restaurant, item)).expect("strings");
            let actual: Option<Value> =
                state.remove(&key[..]).map(|value| serde_json::from_slice(value).unwrap_or_default());
            violations.require(actual.as_ref() == Some(&expected), "ledger-agrees", || {
                format!("{restaurant} {item}: {expected}, the ledger has {actual:?}")
            });
            if let (Some(opening), Some(actual)) = (opening, actual) {
                let units = number(&actual["on_hand"]).saturating_add(number(&actual["reserved"]));
                violations.require(units == opening + stock.restocked, "stock-balances", || {
                    format!("{restaurant} {item}: {} restocked: {actual}", stock.restocked)
                });
            }
        }
        violations.require(state.is_empty(), "ledger-agrees", || format!("keys without an order: {state:?}"));
    }

    /// `counts-agree` and `records-unchanged`.
    fn check_counts(&self, violations: &mut Violations, model: &InventoryModel<'_>) {
        for name in ["records", "orders", "reserved", "rejected", "released", "dead_letters", "skipped"] {
            let (actual, count) = (&self.position["counts"][name], model.counts.get(name).copied().unwrap_or(0));
            violations.require(actual.as_u64() == Some(count), "counts-agree", || {
                format!("{name}: {count}, the position record has {actual}")
            });
        }
        let reserved = model.stock.values().map(|stock| stock.reserved).sum::<i64>();
        let items = i64::try_from(model.stock.len()).expect("a count");
        for (name, count) in [("items", items), ("reserved units", reserved)] {
            let actual = &self.position["holds"][name];
            violations.require(number(actual) == count, "counts-agree", || {
                format!("{name}: {count}, the position record has {actual:?}")
            });
        }
        let (_, digest) = read_between(self.orders.iter(), &self.position);
        violations.require(self.position["digest"] == digest.as_str(), "records-unchanged", || {
            format!("{digest}: {}", self.position)
        });
    }

    fn check_dead_letters(&self, violations: &mut Violations, model: &InventoryModel<'_>) {
        let mut expected: BTreeMap<i64, &StoredRecord> = BTreeMap::new();
        expected.extend(model.dead_letters.iter().map(|record| (record.offset, *record)));
        for dead_letter in &self.dead_letters {
            let offset = header(dead_letter, "offset").parse().unwrap_or(-1);
            let record = expected.remove(&offset);
            violations.require(
                record.is_some_and(|record| self.is_of(dead_letter, record)),
                "dead-letters-once",
                || format!("{record:?}\n{dead_letter:?}"),
            );
        }
        violations.require(expected.is_empty(), "dead-letters-once", || format!("without a dead letter: {expected:?}"));
    }

    /// Whether a dead letter is that of the record.
    fn is_of(&self, dead_letter: &StoredRecord, record: &StoredRecord) -> bool {
        let part = |name: &str, found: &Option<Vec<u8>>, original: &Option<Vec<u8>>| {
            let (size, sum) =
                (header(dead_letter, &format!("{name}.size")), header(dead_letter, &format!("{name}.sha256")));
            let Some(original) = original.as_deref().filter(|_| !size.is_empty()) else { return found == original };
            let is_kept = match found.as_deref() {
                None => name == "key",
                Some(start) => {
                    let said = format!("; the value is cut: the first {} of {size} bytes", start.len());
                    name == "value" && original.starts_with(start) && header(dead_letter, "reason").ends_with(&said)
                }
            };
            size == original.len().to_string() && sum == sha256(original) && is_kept
        };
        part("key", &dead_letter.key, &record.key)
            && part("value", &dead_letter.value, &record.value)
            && header(dead_letter, "topic") == self.topic
            && header(dead_letter, "partition") == self.number.to_string()
            && header(dead_letter, "timestamp") == record.timestamp.to_string()
            && header(dead_letter, "reason").split(':').next() == Some(reason(record.value.as_deref()))
    }
}

fn agrees(decision: &Decision, expected: &Value) -> bool {
    expected["order_id"] == decision.order_id.as_str()
        && expected["item_id"] == decision.item_id.as_str()
        && expected["quantity"] == decision.quantity
}

/// Opening stock (`None` for unlimited) and milliseconds of a period.
fn settings(settings: &Value) -> Option<(Option<i64>, i64)> {
    let opening = match &settings["opening_stock"] {
        Value::String(word) if word == "unlimited" => None,
        units => Some(units.as_i64()?),
    };
    Some((opening, settings["restock_every_ms"].as_i64().filter(|millis| *millis > 0)?))
}

/// The newest header of this name, as text.
fn header(dead_letter: &StoredRecord, name: &str) -> String {
    let name = format!("foodstream.dlq.{name}");
    let found = dead_letter.headers.iter().rfind(|(key, _)| *key == name);
    found.map_or_else(String::new, |(_, value)| {
        String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
    })
}

fn sha256(bytes: &[u8]) -> String {
    let digits: Vec<String> = hmac_sha256::Hash::hash(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
