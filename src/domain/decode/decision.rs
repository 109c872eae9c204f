//! Owns reading `InventoryEvent`.

use std::borrow::Cow;

use super::values::{id, id_or_empty, is_event_type, money, nullable, quantity, timestamp, whole, word};
use super::{Slot, Taken, fill, read_record, required};
use crate::domain::bad_record::Fault;
use crate::domain::json::JsonReader;
use crate::domain::{Action, BadRecord, Cents, Decision, DecisionRecord, EventTime, Reason, Source};

/// Reads a record of `inventory-events`, by section 3 of the contract. An ordinary record costs no allocation.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_decision(value: Option<&[u8]>) -> Result<DecisionRecord<'_>, BadRecord> {
    let mut fields = DecisionFields::default();
    read_record(value, |reader, key| fields.take(reader, key))?;
    Ok(fields.judge()?)
}

#[derive(Default)]
struct DecisionFields<'a> {
    is_decision: Slot<bool>,
    order_id: Slot<Cow<'a, str>>,
    restaurant_id: Slot<Cow<'a, str>>,
    item_id: Slot<Cow<'a, str>>,
    quantity: Slot<u32>,
    price: Slot<Cents>,
    action: Slot<Action>,
    reason: Slot<Option<Reason>>,
    restocked: Slot<u64>,
    on_hand: Slot<Option<u64>>,
    line: Slot<u32>,
    lines: Slot<u32>,
    source: Slot<Source>,
    timestamp: Slot<EventTime>,
}

impl<'a> DecisionFields<'a> {
    fn take(&mut self, reader: &mut JsonReader<'a>, key: &str) -> Result<(), Fault> {
        match key {
            "event_type" => {
                fill(&mut self.is_decision, "event_type", |name| is_event_type(reader, name, "InventoryEvent"))
            }
            "order_id" => fill(&mut self.order_id, "order_id", |name| id(reader, name)),
            "restaurant_id" => fill(&mut self.restaurant_id, "restaurant_id", |name| id_or_empty(reader, name)),
            "item_id" => fill(&mut self.item_id, "item_id", |name| id(reader, name)),
            "quantity" => fill(&mut self.quantity, "quantity", |name| quantity(reader, name)),
            "price" => fill(&mut self.price, "price", |name| money(reader, name)),
            "action" => fill(&mut self.action, "action", |name| action(reader, name)),
            "reason" => fill(&mut self.reason, "reason", |name| nullable(reader, |reader| reason(reader, name))),
            "restocked" => fill(&mut self.restocked, "restocked", |name| units(reader, name)),
            "on_hand" => fill(&mut self.on_hand, "on_hand", |name| nullable(reader, |reader| units(reader, name))),
            "line" => fill(&mut self.line, "line", |name| {
                whole(reader, name, 0..=9_999, "is not a whole number from 0 to 9999")
            }),
            "lines" => fill(&mut self.lines, "lines", |name| {
                whole(reader, name, 1..=10_000, "is not a whole number from 1 to 10000")
            }),
            "source" => fill(&mut self.source, "source", |name| source(reader, name)),
            "timestamp" => fill(&mut self.timestamp, "timestamp", |name| timestamp(reader, name)),
            _ => reader.skip(),
        }
    }

    fn judge(self) -> Result<DecisionRecord<'a>, Fault> {
        if !required(self.is_decision, "event_type")? || self.line.is_none() {
            return Ok(DecisionRecord::Skipped);
        }
        let decision = Decision {
            order_id: required(self.order_id, "order_id")?,
            restaurant_id: self.restaurant_id.unwrap_or(Ok(Cow::Borrowed("")))?,
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
            action: required(self.action, "action")?,
            reason: required(self.reason, "reason")?,
            restocked: required(self.restocked, "restocked")?,
            on_hand: required(self.on_hand, "on_hand")?,
            line: required(self.line, "line")?,
            lines: required(self.lines, "lines")?,
            source: required(self.source, "source")?,
            timestamp: required(self.timestamp, "timestamp")?,
        };
        if decision.line >= decision.lines {
            return Err(Fault::bad_value("line", "is not below lines"));
        }
        match (decision.action, decision.reason) {
            (Action::Reject, None) => Err(Fault::bad_value("reason", "is null though the action is reject")),
            (Action::Reserve | Action::Release, Some(_)) => {
                Err(Fault::bad_value("reason", "is given though the action is not reject"))
            }
            _ => Ok(DecisionRecord::Decision(decision)),
        }
    }
}

fn action(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<Action> {
    word(reader, name, "is neither reserve, reject nor release", |word| match word {
        "reserve" => Some(Action::Reserve),
        "reject" => Some(Action::Reject),
        "release" => Some(Action::Release),
        _ => None,
    })
}

fn reason(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<Reason> {
    word(reader, name, "is neither out_of_stock nor order_incomplete", |word| match word {
        "out_of_stock" => Some(Reason::OutOfStock),
        "order_incomplete" => Some(Reason::OrderIncomplete),
        _ => None,
    })
}

fn units(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<u64> {
    whole(reader, name, 0..=u64::MAX, "is not a whole number of units")
}

fn source(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<Source> {
    if reader.peek()? != b'{' {
        reader.skip()?;
        return Ok(Err(Fault::wrong_type(name, "is not an object")));
    }
    let (mut partition, mut offset) = (Slot::default(), Slot::default());
    reader.object(|reader, key| match key {
        "partition" => {
            fill(&mut partition, PARTITION, |name| whole(reader, name, 0..=u64::MAX, "is not a partition number"))
        }
        "offset" => fill(&mut offset, OFFSET, |name| whole(reader, name, 0..=u64::MAX, "is not an offset")),
        _ => reader.skip(),
    })?;
    Ok(required(partition, PARTITION).and_then(|partition| Ok(Source { partition, offset: required(offset, OFFSET)? })))
}

const PARTITION: &str = "source.partition";
const OFFSET: &str = "source.offset";
