//! Decoder of `InventoryEvent`.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::values::{id, id_or_empty, money, quantity, text, text_or_null, timestamp, whole, whole_or_null};
use super::visitor::{FieldValue, Fields, ReadContext, ValueVisitor, read_fields};
use super::{Slot, Taken, optional, read_record, required};
use crate::domain::decode_error::{DecodeError, Problem};
use crate::domain::{Action, BadRecord, Cents, Decision, DecisionRecord, DecisionSource, EventTime, Reason};

/// The known fields of an event in `inventory-events`.
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

/// The known fields of a decision's source.
#[derive(Clone, Copy)]
enum SourceField {
    Partition,
    Offset,
}

/// Decodes a record of `inventory-events` as described in `docs/reference/events.md`. Ordinary records need no
/// allocation.
///
/// # Errors
///
/// When the record is bad.
pub fn decode_decision(value: Option<&[u8]>) -> Result<DecisionRecord<'_>, BadRecord> {
    Ok(read_record::<DecisionSlots>(value)?.finish()?)
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
    source: Slot<DecisionSource, DecodeError>,
    timestamp: Slot<EventTime>,
}

impl<'a> Fields<'a> for DecisionSlots<'a> {
    type Field = Field;

    const NAMES: &'static [(&'static str, Field)] = &[
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

    #[inline]
    fn take<A: MapAccess<'a>>(&mut self, field: Field, value: FieldValue<'_, A>) -> Result<(), A::Error> {
        match field {
            Field::EventType => self.event_type = Some(text(value)?),
            Field::OrderId => self.order_id = Some(id(value)?),
            Field::RestaurantId => self.restaurant_id = Some(id_or_empty(value)?),
            Field::ItemId => self.item_id = Some(id(value)?),
            Field::Quantity => self.quantity = Some(quantity(value)?),
            Field::Price => self.price = Some(money(value)?),
            Field::Action => self.action = Some(action(value)?),
            Field::Reason => self.reason = Some(reason(value)?),
            Field::Restocked => self.restocked = Some(whole(value, 0..=u64::MAX, Problem::NoUnits)?),
            Field::OnHand => self.on_hand = Some(whole_or_null(value, 0..=u64::MAX, Problem::NoUnits)?),
            Field::Line => self.line = Some(whole(value, 0..=9_999, Problem::NoLineNumber)?),
            Field::Lines => self.lines = Some(whole(value, 1..=10_000, Problem::NoLineCount)?),
            Field::Source => self.source = Some(value.read(SourceObject)?),
            Field::Timestamp => self.timestamp = Some(timestamp(value)?),
        }
        Ok(())
    }
}

impl<'a> DecisionSlots<'a> {
    fn finish(self) -> Result<DecisionRecord<'a>, DecodeError> {
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
            source: self.source.unwrap_or_else(|| Err(DecodeError::of_field("source", Problem::Missing)))?,
            timestamp: required(self.timestamp, "timestamp")?,
        };
        if decision.line >= decision.lines {
            return Err(DecodeError::of_field("line", Problem::LineBeyondLines));
        }
        match (decision.action, decision.reason) {
            (Action::Reject, None) => Err(DecodeError::of_field("reason", Problem::MissingReason)),
            (Action::Reserve | Action::Release, Some(_)) => {
                Err(DecodeError::of_field("reason", Problem::NeedlessReason))
            }
            _ => Ok(DecisionRecord::Decision(decision)),
        }
    }
}

fn action<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Action, A::Error> {
    Ok(text(value)?.and_then(|action| match &*action {
        "reserve" => Ok(Action::Reserve),
        "reject" => Ok(Action::Reject),
        "release" => Ok(Action::Release),
        _ => Err(Problem::NoAction),
    }))
}

fn reason<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<Option<Reason>, A::Error> {
    Ok(text_or_null(value)?.and_then(|reason| match reason.as_deref() {
        None => Ok(None),
        Some("out_of_stock") => Ok(Some(Reason::OutOfStock)),
        Some("order_incomplete") => Ok(Some(Reason::OrderIncomplete)),
        Some(_) => Err(Problem::NoReason),
    }))
}

/// A decision's source.
struct SourceObject;

impl<'a> ValueVisitor<'a> for SourceObject {
    type Value = Result<DecisionSource, DecodeError>;

    fn wrong_type(self) -> Self::Value {
        Err(DecodeError::of_field("source", Problem::NoObject))
    }

    #[inline]
    fn object<A: MapAccess<'a>>(self, fields: A, context: &ReadContext) -> Result<Self::Value, A::Error> {
        let mut slots = SourceSlots::default();
        read_fields(&mut slots, fields, context).inspect_err(|_| context.map_error(DecodeError::in_source))?;
        Ok(slots.finish().map_err(DecodeError::in_source))
    }
}

#[derive(Default)]
struct SourceSlots {
    partition: Slot<i32>,
    offset: Slot<i64>,
}

impl<'a> Fields<'a> for SourceSlots {
    type Field = SourceField;

    const NAMES: &'static [(&'static str, SourceField)] =
        &[("partition", SourceField::Partition), ("offset", SourceField::Offset)];

    #[inline]
    fn take<A: MapAccess<'a>>(&mut self, field: SourceField, value: FieldValue<'_, A>) -> Result<(), A::Error> {
        match field {
            SourceField::Partition => self.partition = Some(whole(value, 0..=u64::MAX, Problem::NoPartition)?),
            SourceField::Offset => self.offset = Some(whole(value, 0..=u64::MAX, Problem::NoOffset)?),
        }
        Ok(())
    }
}

impl SourceSlots {
    #[inline]
    fn finish(self) -> Result<DecisionSource, DecodeError> {
        Ok(DecisionSource {
            partition: required(self.partition, "partition")?,
            offset: required(self.offset, "offset")?,
        })
    }
}
