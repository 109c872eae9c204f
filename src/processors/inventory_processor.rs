//! Stream processor of `inventory`: reads orders, and writes decisions, ledger records and dead letters.

use std::collections::BTreeMap;

use super::dead_letter::{DeadLetterLimits, send_to_dlq};
use crate::domain::{DecisionSource, OrderRecord, decode_order, encode_decision};
use crate::exit::{Code, Failure};
use crate::inventory::{DeadLetters, DecisionCounts, StockSettings, StockStore};
use crate::kafka::{Output, TopicPartition, TransactionError};
use crate::state::{Digest, Loss, Position, PositionKey};
use crate::stream::{Changed, Outputs, Processor, SourceRecord};

/// Index of `inventory-events` among the loop's outputs.
pub const DECISIONS: Output = Output(0);
/// Index of `inventory-ledger` among the loop's outputs.
pub const LEDGER: Output = Output(1);
/// Index of `order-events-dlq` among the loop's outputs.
pub const DEAD_LETTERS: Output = Output(2);

/// How far an order may be ahead of its record's timestamp without a warning.
const MAX_AHEAD_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Decides orders.
#[derive(Debug)]
pub struct InventoryProcessor {
    group: String,
    topic: String,
    settings: StockSettings,
    dead_letter_limits: DeadLetterLimits,
    /// Counts of the committed transactions of this process.
    total: RecordCounts,
    /// Dead letters of the committed transactions of this process.
    dead_letters: DeadLetters,
    /// Buffer of an encoded decision.
    value: Vec<u8>,
}

/// Counts of processed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordCounts {
    /// Orders by decision.
    pub orders: DecisionCounts,
    /// Bad records.
    pub dead_letters: u64,
    /// Events of other types.
    pub skipped: u64,
    /// Orders more than a day ahead of their record's timestamp.
    pub ahead: u64,
}

/// The stock of a source partition and its counts.
#[derive(Debug)]
pub struct InventoryTask {
    stock: StockStore,
    /// Counts of the restored position record.
    restored: BTreeMap<String, u64>,
    /// Counts since the restore, including the open transaction; `orders` is taken from `stock`.
    current: RecordCounts,
    /// Counts at the last commit.
    committed: RecordCounts,
    /// Dead letters of the open transaction.
    dead_letters: DeadLetters,
}

/// The restore of a ledger partition.
#[derive(Debug)]
pub struct InventoryRestore {
    stock: Option<StockStore>,
    position: Option<Position>,
}

impl InventoryProcessor {
    /// A processor of the order topic `topic` for `group`.
    #[must_use]
    pub fn new(group: &str, topic: &str, settings: StockSettings, dead_letter_limits: DeadLetterLimits) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.to_owned(),
            settings,
            dead_letter_limits,
            total: RecordCounts::default(),
            dead_letters: DeadLetters::default(),
            value: Vec::new(),
        }
    }

    /// Counts of the committed transactions of this process.
    #[must_use]
    pub const fn total(&self) -> &RecordCounts {
        &self.total
    }

    /// Dead letters of the committed transactions of this process.
    #[must_use]
    pub const fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }
}

impl InventoryTask {
    fn new(stock: StockStore, restored: BTreeMap<String, u64>) -> Self {
        let (current, committed) = (RecordCounts::default(), RecordCounts::default());
        Self { stock, restored, current, committed, dead_letters: DeadLetters::default() }
    }

    fn counts(&self) -> RecordCounts {
        RecordCounts { orders: self.stock.counts(), ..self.current }
    }
}

impl Processor for InventoryProcessor {
    type Task = InventoryTask;
    type Restore = InventoryRestore;

    fn position_key(&self, _source: &TopicPartition) -> PositionKey {
        PositionKey::Ledger
    }

    fn initial_position(&self, log_start: i64) -> Position {
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
            started_over: false,
            previous: None,
        }
    }

    fn validate_position(&self, source: &TopicPartition, position: &Position) -> Result<(), Failure> {
        if position.group != self.group {
            return Err(Failure::new(
                Code::Refused,
                format!("the ledger of {source} belongs to the group {}, not to {}", position.group, self.group),
            )
            .hint(
                "a topic set has one inventory group: use --group with that name, or --prefix for another topic set",
            ));
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
                .hint(format!("continue with `foodstream inventory {kept}`, or start a new topic set with --prefix")))
            }
        }
    }

    fn begin_restore(&self) -> InventoryRestore {
        InventoryRestore { stock: Some(StockStore::new(self.settings)), position: None }
    }

    fn restore(&self, restore: &mut InventoryRestore, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        if PositionKey::decode(key) == Some(PositionKey::Ledger) {
            restore.position = value.map(Position::decode).transpose().map_err(|error| error.to_string())?;
            return Ok(());
        }
        match &mut restore.stock {
            Some(stock) => stock.restore(key, value).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn finish_restore(
        &self,
        restore: &mut InventoryRestore,
        _source: &TopicPartition,
    ) -> (InventoryTask, Option<Position>) {
        let stock = restore.stock.take().unwrap_or_else(|| StockStore::new(self.settings));
        let position = restore.position.take();
        let counts = position.as_ref().map_or_else(BTreeMap::new, |position| position.counts.clone());
        (InventoryTask::new(stock, counts), position)
    }

    fn loss(&self, task: &InventoryTask, position: &Position) -> Option<Loss> {
        Loss::between(&position.holds, &self.holds(task))
    }

    fn reset(
        &self,
        _source: &TopicPartition,
        task: &InventoryTask,
        _position: &Position,
    ) -> (InventoryTask, Vec<Vec<u8>>) {
        let mut keys = Vec::new();
        task.stock.keys(&mut |key| keys.push(key.to_vec()));
        (InventoryTask::new(StockStore::new(self.settings), BTreeMap::new()), keys)
    }

    fn process(
        &mut self,
        task: &mut InventoryTask,
        record: &SourceRecord<'_>,
        outputs: &mut dyn Outputs,
    ) -> Result<(), TransactionError> {
        let order = match decode_order(record.value) {
            Ok(OrderRecord::Order(order)) => order,
            Ok(OrderRecord::Skipped) => {
                task.current.skipped += 1;
                return Ok(());
            }
            Err(bad) => {
                task.current.dead_letters += 1;
                task.dead_letters.add(&bad, &self.topic, (record.partition, record.offset), record.value);
                return send_to_dlq(&self.topic, record, &bad, self.dead_letter_limits, outputs);
            }
        };
        if record.timestamp_millis.is_some_and(|written| order.timestamp.millis() - written > MAX_AHEAD_MILLIS) {
            task.current.ahead += 1;
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
        task: &InventoryTask,
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

    fn counts(&self, task: &InventoryTask, counts: &mut BTreeMap<String, u64>) {
        let now = task.counts();
        let named = [
            ("orders", now.orders.orders),
            ("reserved", now.orders.reserved),
            ("rejected", now.orders.rejected),
            ("released", now.orders.released),
            ("dead_letters", now.dead_letters),
            ("skipped", now.skipped),
        ];
        for (name, count) in named {
            let restored = task.restored.get(name).copied().unwrap_or(0);
            counts.insert(name.to_owned(), restored + count);
        }
    }

    fn holds(&self, task: &InventoryTask) -> BTreeMap<String, u64> {
        task.stock.holds().into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    fn committed(&mut self, task: &mut InventoryTask) {
        let (now, before) = (task.counts(), task.committed);
        self.total.orders.orders += now.orders.orders - before.orders.orders;
        self.total.orders.reserved += now.orders.reserved - before.orders.reserved;
        self.total.orders.rejected += now.orders.rejected - before.orders.rejected;
        self.total.orders.released += now.orders.released - before.orders.released;
        self.total.dead_letters += now.dead_letters - before.dead_letters;
        self.dead_letters.append(&mut task.dead_letters);
        self.total.skipped += now.skipped - before.skipped;
        self.total.ahead += now.ahead - before.ahead;
        task.stock.commit();
        task.committed = now;
    }

    fn aborted(&mut self, task: &mut InventoryTask) {
        task.stock.abort();
        task.current = task.committed;
        task.dead_letters.clear();
    }
}
