//! Owns reading `InventoryEvent`.

use std::borrow::Cow;

use super::values::{id, id_or_empty, money, nullable, quantity, text, timestamp, whole};
use super::{Slot, Taken, optional, read_record, required};
use crate::domain::fault::{Fault, Problem};
use crate::domain::json::{Broken, JsonReader};
use crate::domain::{Action, BadRecord, Cents, Decision, DecisionRecord, EventTime, Reason, Source};

/// A known field of an event on the decisions' topic.
#[derive(Clone, Copy)]
enum Field {
    EventType,
    OrderId,
    RestaurantId,
    ItemId,
    Quantity,
    Price,
    Action,
    Reason,
    Restocked,
    OnHand,
    Line,
    Lines,
    Source,
    Timestamp,
}

/// The fields by their names, in the order in which we write them.
const FIELDS: [(&str, Field); 14] = [
    ("event_type", Field::EventType),
    ("order_id", Field::OrderId),
    ("restaurant_id", Field::RestaurantId),
    ("item_id", Field::ItemId),
    ("quantity", Field::Quantity),
    ("price", Field::Price),
    ("action", Field::Action),
    ("reason", Field::Reason),
    ("restocked", Field::Restocked),
    ("on_hand", Field::OnHand),
    ("line", Field::Line),
    ("lines", Field::Lines),
    ("source", Field::Source),
    ("timestamp", Field::Timestamp),
];

/// A known field of a decision's source.
#[derive(Clone, Copy)]
enum SourceField {
    Partition,
    Offset,
}

/// The fields of a source by their names, in the order in which we write them.
const SOURCE_FIELDS: [(&str, SourceField); 2] =
    [("partition", SourceField::Partition), ("offset", SourceField::Offset)];

/// Reads a record of `inventory-events`, by section 3 of the contract. An ordinary record costs no allocation.
///
/// # Errors
///
/// When the record is bad by the contract's list, read for the fields of an `InventoryEvent`.
pub fn decode_decision(value: Option<&[u8]>) -> Result<DecisionRecord<'_>, BadRecord> {
    let mut slots = DecisionSlots::default();
    read_record(value, &FIELDS, |reader, field| slots.take(reader, field))?;
    Ok(slots.judge()?)
}

#[derive(Default)]
struct DecisionSlots<'a> {
    event_type: Slot<Cow<'a, str>>,
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
    source: Slot<Source, Fault>,
    timestamp: Slot<EventTime>,
}

impl<'a> DecisionSlots<'a> {
    #[inline]
    fn take(&mut self, reader: &mut JsonReader<'a>, field: Field) -> Result<(), Broken> {
        match field {
            Field::EventType => self.event_type = Some(text(reader)?),
            Field::OrderId => self.order_id = Some(id(reader)?),
            Field::RestaurantId => self.restaurant_id = Some(id_or_empty(reader)?),
            Field::ItemId => self.item_id = Some(id(reader)?),
            Field::Quantity => self.quantity = Some(quantity(reader)?),
            Field::Price => self.price = Some(money(reader)?),
            Field::Action => self.action = Some(action(reader)?),
            Field::Reason => self.reason = Some(nullable(reader, reason)?),
            Field::Restocked => self.restocked = Some(units(reader)?),
            Field::OnHand => self.on_hand = Some(nullable(reader, units)?),
            Field::Line => self.line = Some(whole(reader, 0..=9_999, Problem::NoLineNumber)?),
            Field::Lines => self.lines = Some(whole(reader, 1..=10_000, Problem::NoLineCount)?),
            Field::Source => self.source = Some(source(reader)?),
            Field::Timestamp => self.timestamp = Some(timestamp(reader)?),
        }
        Ok(())
    }

    fn judge(self) -> Result<DecisionRecord<'a>, Fault> {
        if required(self.event_type, "event_type")? != "InventoryEvent" || self.line.is_none() {
            return Ok(DecisionRecord::Skipped);
        }
        let decision = Decision {
            order_id: required(self.order_id, "order_id")?,
            restaurant_id: optional(self.restaurant_id, "restaurant_id", Cow::Borrowed(""))?,
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
            action: required(self.action, "action")?,
            reason: required(self.reason, "reason")?,
            restocked: required(self.restocked, "restocked")?,
            on_hand: required(self.on_hand, "on_hand")?,
            line: required(self.line, "line")?,
            lines: required(self.lines, "lines")?,
            source: self.source.unwrap_or_else(|| Err(Fault::of_field("source", Problem::Missing)))?,
            timestamp: required(self.timestamp, "timestamp")?,
        };
        if decision.line >= decision.lines {
            return Err(Fault::of_field("line", Problem::LineBeyondLines));
        }
        match (decision.action, decision.reason) {
            (Action::Reject, None) => Err(Fault::of_field("reason", Problem::MissingReason)),
            (Action::Reserve | Action::Release, Some(_)) => Err(Fault::of_field("reason", Problem::NeedlessReason)),
            _ => Ok(DecisionRecord::Decision(decision)),
        }
    }
}

fn action(reader: &mut JsonReader<'_>) -> Taken<Action> {
    Ok(text(reader)?.and_then(|action| match &*action {
        "reserve" => Ok(Action::Reserve),
        "reject" => Ok(Action::Reject),
        "release" => Ok(Action::Release),
        _ => Err(Problem::NoAction),
    }))
}

fn reason(reader: &mut JsonReader<'_>) -> Taken<Reason> {
    Ok(text(reader)?.and_then(|reason| match &*reason {
        "out_of_stock" => Ok(Reason::OutOfStock),
        "order_incomplete" => Ok(Reason::OrderIncomplete),
        _ => Err(Problem::NoReason),
    }))
}

fn units(reader: &mut JsonReader<'_>) -> Taken<u64> {
    whole(reader, 0..=u64::MAX, Problem::NoUnits)
}

fn source(reader: &mut JsonReader<'_>) -> Taken<Source, Fault> {
    if reader.peek()? != b'{' {
        reader.skip()?;
        return Ok(Err(Fault::of_field("source", Problem::NoObject)));
    }
    let (mut partition, mut offset) = (Slot::default(), Slot::default());
    let read = reader.object(&SOURCE_FIELDS, |reader, field| {
        match field {
            SourceField::Partition => partition = Some(whole(reader, 0..=u64::MAX, Problem::NoPartition)?),
            SourceField::Offset => offset = Some(whole(reader, 0..=u64::MAX, Problem::NoOffset)?),
        }
        Ok(())
    });
    read.map_err(|broken| reader.refine(broken, Fault::in_source))?;
    let source = required(partition, "partition")
        .and_then(|partition| Ok(Source { partition, offset: required(offset, "offset")? }));
    Ok(source.map_err(Fault::in_source))
}
