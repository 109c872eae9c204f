//! Owns the join of the stock to the loop: orders in, decisions, ledger and dead letters out.

use std::collections::BTreeMap;

use super::dead_letter::{DeadLetterLimits, send_to_dlq};
use crate::domain::{DecisionSource, OrderRecord, decode_order, encode_decision};
use crate::exit::{Code, Failure};
use crate::inventory::{DecisionCounts, StockSettings, StockStore};
use crate::kafka::{Output, TopicPartition, TransactionError};
use crate::state::{Digest, Loss, Position, PositionKey};
use crate::stream::{Changed, Outputs, Processor, SourceRecord};

/// Place of `inventory-events` among the loop's outputs.
pub const DECISIONS: Output = Output(0);
/// Place of `inventory-ledger` among the loop's outputs.
pub const LEDGER: Output = Output(1);
/// Place of `order-events-dlq` among the loop's outputs.
pub const DEAD_LETTERS: Output = Output(2);

/// A day: an order further ahead of its record's timestamp is worth a warning.
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Decides orders, exactly once.
#[derive(Debug)]
pub struct InventoryProcessor {
    group: String,
    topic: String,
    settings: StockSettings,
    /// How large its dead letters may be.
    room: DeadLetterLimits,
    /// What this process has decided in committed transactions.
    total: Counted,
    value: Vec<u8>,
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Orders and how they were decided.
    pub orders: DecisionCounts,
    /// Bad records.
    pub dead_letters: u64,
    /// Events of other types.
    pub skipped: u64,
    /// Orders more than a day ahead of their record's timestamp.
    pub ahead: u64,
}

/// The stock of a source partition and what was counted on the way.
#[derive(Debug)]
pub struct Floor {
    stock: StockStore,
    /// As the position record keeps it: since the partition's beginning.
    kept: BTreeMap<String, u64>,
    /// Since this task began, the open transaction included; the orders are the floor's own.
    counted: Counted,
    /// As of the last commit.
    committed: Counted,
}

/// What collects a ledger partition.
#[derive(Debug)]
pub struct FloorRestore {
    floor: Option<StockStore>,
    position: Option<Position>,
}

impl InventoryProcessor {
    /// A keeper for a group on an order topic, whose dead letters may be this large.
    #[must_use]
    pub fn new(group: &str, topic: &str, settings: StockSettings, room: DeadLetterLimits) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.to_owned(),
            settings,
            room,
            total: Counted::default(),
            value: Vec::new(),
        }
    }

    /// What was decided in committed transactions of this process.
    #[must_use]
    pub const fn total(&self) -> &Counted {
        &self.total
    }
}

impl Floor {
    fn new(stock: StockStore, kept: BTreeMap<String, u64>) -> Self {
        Self { stock, kept, counted: Counted::default(), committed: Counted::default() }
    }

    fn now(&self) -> Counted {
        Counted { orders: self.stock.counts(), ..self.counted }
    }
}

impl Processor for InventoryProcessor {
    type Task = Floor;
    type Restore = FloorRestore;

    fn position_key(&self, _source: &TopicPartition) -> PositionKey {
        PositionKey::Ledger
    }

    fn first_position(&self, log_start: i64) -> Position {
        Position {
            next_offset: log_start,
            log_start,
            topic_id: None,
            group: self.group.clone(),
            epoch: None,
            settings: Some(self.settings.to_value()),
            counts: BTreeMap::new(),
            holds: BTreeMap::new(),
            digest: Digest::default(),
            until: None,
            previous: None,
        }
    }

    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure> {
        if position.group != self.group {
            return Err(Failure::new(
                Code::Refused,
                format!("the ledger of {source} belongs to the group {}, not to {}", position.group, self.group),
            )
            .hint("one topic set has one inventory group: use --prefix for another set, or --group with that name"));
        }
        match &position.settings {
            Some(kept) if self.settings.agree_with(kept) => Ok(()),
            kept => {
                let kept = kept.as_ref().and_then(|kept| StockSettings::from_value(kept).ok());
                let kept = kept.map_or_else(|| "settings of another version".to_owned(), |kept| kept.to_string());
                Err(Failure::new(
                    Code::Refused,
                    format!(
                        "the ledger of {source} was kept with {kept}, this run has {}: every decision depends on them",
                        self.settings
                    ),
                )
                .hint(format!("go on with `foodstream inventory {kept}`, or begin another topic set with --prefix")))
            }
        }
    }

    fn begin_restore(&self) -> FloorRestore {
        FloorRestore { floor: Some(StockStore::new(self.settings)), position: None }
    }

    fn restore(&self, restore: &mut FloorRestore, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        if PositionKey::decode(key) == Some(PositionKey::Ledger) {
            restore.position = value.map(Position::decode).transpose().map_err(|error| error.to_string())?;
            return Ok(());
        }
        match &mut restore.floor {
            Some(floor) => floor.restore(key, value).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn finish_restore(&self, restore: &mut FloorRestore, _source: &TopicPartition) -> (Floor, Option<Position>) {
        let floor = restore.floor.take().unwrap_or_else(|| StockStore::new(self.settings));
        let position = restore.position.take();
        let kept = position.as_ref().map_or_else(BTreeMap::new, |position| position.counts.clone());
        (Floor::new(floor, kept), position)
    }

    fn loss(&self, task: &Floor, position: &Position) -> Option<Loss> {
        Loss::between(&position.holds, &self.holds(task))
    }

    fn give_up(&self, _source: &TopicPartition, task: &Floor, _position: &Position) -> (Floor, Vec<Vec<u8>>) {
        let mut keys = Vec::new();
        task.stock.keys(&mut |key| keys.push(key.to_vec()));
        (Floor::new(StockStore::new(self.settings), BTreeMap::new()), keys)
    }

    fn process(
        &mut self,
        task: &mut Floor,
        record: &SourceRecord<'_>,
        outputs: &mut dyn Outputs,
    ) -> Result<(), TransactionError> {
        let order = match decode_order(record.value) {
            Ok(OrderRecord::Order(order)) => order,
            Ok(OrderRecord::Skipped) => {
                task.counted.skipped += 1;
                return Ok(());
            }
            Err(bad) => {
                task.counted.dead_letters += 1;
                return send_to_dlq(&self.topic, record, &bad, self.room, outputs);
            }
        };
        if record.timestamp_millis.is_some_and(|written| order.timestamp.millis() - written > DAY_MILLIS) {
            task.counted.ahead += 1;
        }
        let source = DecisionSource { partition: record.partition, offset: record.offset };
        let (value, mut result) = (&mut self.value, Ok(()));
        task.stock.decide(&order, source, &mut |decision| {
            if result.is_ok() {
                value.clear();
                encode_decision(decision, value);
                result = outputs.send(DECISIONS, record.key, Some(value));
            }
        });
        result
    }

    fn changes(
        &self,
        _source: &TopicPartition,
        task: &Floor,
        _position: &Position,
        each: &mut Changed<'_>,
    ) -> Result<(), TransactionError> {
        let mut result = Ok(());
        task.stock.changes(&mut |key, value| {
            if result.is_ok() {
                result = each(key, value);
            }
        });
        result
    }

    fn counts(&self, task: &Floor, counts: &mut BTreeMap<String, u64>) {
        let now = task.now();
        let named = [
            ("orders", now.orders.orders),
            ("reserved", now.orders.reserved),
            ("rejected", now.orders.rejected),
            ("released", now.orders.released),
            ("dead_letters", now.dead_letters),
            ("skipped", now.skipped),
        ];
        for (name, count) in named {
            let kept = task.kept.get(name).copied().unwrap_or(0);
            counts.insert(name.to_owned(), kept + count);
        }
    }

    fn holds(&self, task: &Floor) -> BTreeMap<String, u64> {
        task.stock.holds().into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    fn committed(&mut self, task: &mut Floor) {
        let (now, before) = (task.now(), task.committed);
        self.total.orders.orders += now.orders.orders - before.orders.orders;
        self.total.orders.reserved += now.orders.reserved - before.orders.reserved;
        self.total.orders.rejected += now.orders.rejected - before.orders.rejected;
        self.total.orders.released += now.orders.released - before.orders.released;
        self.total.dead_letters += now.dead_letters - before.dead_letters;
        self.total.skipped += now.skipped - before.skipped;
        self.total.ahead += now.ahead - before.ahead;
        task.stock.commit();
        task.committed = now;
    }

    fn aborted(&mut self, task: &mut Floor) {
        task.stock.abort();
        task.counted = task.committed;
    }
}
