//! Decoder of `OrderPlaced`.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};

use super::values::{id, id_or_empty, money, quantity, text, timestamp};
use super::visitor::{AnyValue, FieldValue, Fields, ReadContext, ValueVisitor, read_fields};
use super::{Slot, Taken, optional, read_record, required};
use crate::domain::decode_error::{DecodeError, Location, Problem};
use crate::domain::{BadRecord, Cents, EventTime, Lines, Order, OrderLine, OrderRecord, OrderStatus};

/// The largest number of lines of an order.
const MAX_LINES: usize = 10_000;

/// The known fields of an event in `order-events`.
#[derive(Clone, Copy)]
enum Field {
    EventType,
    OrderId,
    UserId,
    RestaurantId,
    Items,
    TotalAmount,
    Status,
    Timestamp,
}

/// The known fields of an order line.
#[derive(Clone, Copy)]
enum LineField {
    ItemId,
    Quantity,
    Price,
}

/// Decodes a record of `order-events` as described in `docs/reference/events.md`. Ordinary records need no allocation.
///
/// # Errors
///
/// When the record is bad.
pub fn decode_order(value: Option<&[u8]>) -> Result<OrderRecord<'_>, BadRecord> {
    Ok(read_record::<OrderSlots>(value)?.finish()?)
}

#[derive(Default)]
struct OrderSlots<'a> {
    event_type: Slot<Cow<'a, str>>,
    order_id: Slot<Cow<'a, str>>,
    user_id: Slot<Cow<'a, str>>,
    restaurant_id: Slot<Cow<'a, str>>,
    items: Slot<Lines<'a>, DecodeError>,
    total_amount: Slot<Cents>,
    status: Slot<OrderStatus>,
    timestamp: Slot<EventTime>,
}

impl<'a> Fields<'a> for OrderSlots<'a> {
    type Field = Field;

    const NAMES: &'static [(&'static str, Field)] = &[
        ("event_type", Field::EventType),
        ("order_id", Field::OrderId),
        ("user_id", Field::UserId),
        ("restaurant_id", Field::RestaurantId),
        ("items", Field::Items),
        ("total_amount", Field::TotalAmount),
        ("status", Field::Status),
        ("timestamp", Field::Timestamp),
    ];

    #[inline]
    fn take<A: MapAccess<'a>>(&mut self, field: Field, value: FieldValue<'_, A>) -> Result<(), A::Error> {
        match field {
            Field::EventType => self.event_type = Some(text(value)?),
            Field::OrderId => self.order_id = Some(id(value)?),
            Field::UserId => self.user_id = Some(id(value)?),
            Field::RestaurantId => self.restaurant_id = Some(id_or_empty(value)?),
            Field::Items => self.items = Some(value.read(Items)?),
            Field::TotalAmount => self.total_amount = Some(money(value)?),
            Field::Status => self.status = Some(status(value)?),
            Field::Timestamp => self.timestamp = Some(timestamp(value)?),
        }
        Ok(())
    }
}

impl<'a> OrderSlots<'a> {
    fn finish(self) -> Result<OrderRecord<'a>, DecodeError> {
        if required(self.event_type, "event_type")? != "OrderPlaced" {
            return Ok(OrderRecord::Skipped);
        }
        Ok(OrderRecord::Order(Order {
            order_id: required(self.order_id, "order_id")?,
            user_id: required(self.user_id, "user_id")?,
            restaurant_id: optional(self.restaurant_id, "restaurant_id", Cow::Borrowed(""))?,
            lines: self.items.unwrap_or_else(|| Err(DecodeError::of_field("items", Problem::Missing)))?,
            total: required(self.total_amount, "total_amount")?,
            status: required(self.status, "status")?,
            timestamp: required(self.timestamp, "timestamp")?,
        }))
    }
}

fn status<'a, A: MapAccess<'a>>(value: FieldValue<'_, A>) -> Taken<OrderStatus, A::Error> {
    Ok(text(value)?.and_then(|status| match &*status {
        "placed" => Ok(OrderStatus::Placed),
        "failed" => Ok(OrderStatus::Failed),
        _ => Err(Problem::NoStatus),
    }))
}

/// The lines of an order.
struct Items;

impl<'a> ValueVisitor<'a> for Items {
    type Value = Result<Lines<'a>, DecodeError>;

    fn wrong_type(self) -> Self::Value {
        Err(DecodeError::of_field("items", Problem::NoArray))
    }

    #[inline]
    fn array<A: SeqAccess<'a>>(self, mut elements: A, context: &ReadContext) -> Result<Self::Value, A::Error> {
        let mut lines = Lines::new();
        let mut first_error = None;
        let mut count = 0;
        while let Some(line) = elements.next_element_seed(AnyValue { visitor: Line { index: count }, context })? {
            count += 1;
            match line {
                // Lines above the limit are parsed and dropped: a bad record must not use unbounded memory.
                Ok(line) if count <= MAX_LINES => lines.push(line),
                Ok(_) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Ok(match first_error {
            Some(error) => Err(error),
            None if count == 0 => Err(DecodeError::of_field("items", Problem::NoLines)),
            None if count > MAX_LINES => Err(DecodeError::of_field("items", Problem::TooManyLines)),
            None => Ok(lines),
        })
    }
}

/// A line of an order, from 0.
struct Line {
    index: usize,
}

impl<'a> ValueVisitor<'a> for Line {
    type Value = Result<OrderLine<'a>, DecodeError>;

    fn wrong_type(self) -> Self::Value {
        Err(DecodeError { location: Location::Line(self.index), problem: Problem::NoObject })
    }

    #[inline]
    fn object<A: MapAccess<'a>>(self, fields: A, context: &ReadContext) -> Result<Self::Value, A::Error> {
        let mut slots = LineSlots::default();
        let in_line = |error: DecodeError| error.in_line(self.index);
        read_fields(&mut slots, fields, context).inspect_err(|_| context.map_error(in_line))?;
        Ok(slots.finish().map_err(in_line))
    }
}

#[derive(Default)]
struct LineSlots<'a> {
    item_id: Slot<Cow<'a, str>>,
    quantity: Slot<u32>,
    price: Slot<Cents>,
}

impl<'a> Fields<'a> for LineSlots<'a> {
    type Field = LineField;

    const NAMES: &'static [(&'static str, LineField)] =
        &[("item_id", LineField::ItemId), ("quantity", LineField::Quantity), ("price", LineField::Price)];

    #[inline]
    fn take<A: MapAccess<'a>>(&mut self, field: LineField, value: FieldValue<'_, A>) -> Result<(), A::Error> {
        match field {
            LineField::ItemId => self.item_id = Some(id(value)?),
            LineField::Quantity => self.quantity = Some(quantity(value)?),
            LineField::Price => self.price = Some(money(value)?),
        }
        Ok(())
    }
}

impl<'a> LineSlots<'a> {
    #[inline]
    fn finish(self) -> Result<OrderLine<'a>, DecodeError> {
        Ok(OrderLine {
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
        })
    }
}
