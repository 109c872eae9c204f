//! Owns reading `OrderPlaced`.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};

use super::values::{id, id_or_empty, money, quantity, text, timestamp};
use super::visitor::{Any, FieldValue, Fields, Reading, ValueVisitor, read_fields};
use super::{Slot, Taken, optional, read_record, required};
use crate::domain::decode_error::{DecodeError, Location, Problem};
use crate::domain::{BadRecord, Cents, EventTime, Lines, Order, OrderLine, OrderRecord, OrderStatus};

/// The most lines an order may have.
const MOST_LINES: usize = 10_000;

/// A known field of an event on the orders' topic.
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

/// A known field of an order's line.
#[derive(Clone, Copy)]
enum LineField {
    ItemId,
    Quantity,
    Price,
}

/// Reads a record of `order-events`, by section 3 of the contract. An ordinary record costs no allocation.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_order(value: Option<&[u8]>) -> Result<OrderRecord<'_>, BadRecord> {
    Ok(read_record::<OrderSlots>(value)?.judge()?)
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
    fn judge(self) -> Result<OrderRecord<'a>, DecodeError> {
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

    fn wrong(self) -> Self::Value {
        Err(DecodeError::of_field("items", Problem::NoArray))
    }

    #[inline]
    fn array<A: SeqAccess<'a>>(self, mut elements: A, reading: &Reading) -> Result<Self::Value, A::Error> {
        let mut lines = Lines::new();
        let mut first_fault = None;
        let mut count = 0;
        while let Some(line) = elements.next_element_seed(Any { wanted: Line { index: count }, reading })? {
            count += 1;
            match line {
                // What is beyond the bound is judged as JSON and dropped: a bad record must not decide how much is kept.
                Ok(line) if count <= MOST_LINES => lines.push(line),
                Ok(_) => {}
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        Ok(match first_fault {
            Some(fault) => Err(fault),
            None if count == 0 => Err(DecodeError::of_field("items", Problem::NoLines)),
            None if count > MOST_LINES => Err(DecodeError::of_field("items", Problem::TooManyLines)),
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

    fn wrong(self) -> Self::Value {
        Err(DecodeError { place: Location::Line(self.index), problem: Problem::NoObject })
    }

    #[inline]
    fn object<A: MapAccess<'a>>(self, fields: A, reading: &Reading) -> Result<Self::Value, A::Error> {
        let mut slots = LineSlots::default();
        let told = |fault: DecodeError| fault.in_line(self.index);
        read_fields(&mut slots, fields, reading).inspect_err(|_| reading.refine(told))?;
        Ok(slots.judge().map_err(told))
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
    fn judge(self) -> Result<OrderLine<'a>, DecodeError> {
        Ok(OrderLine {
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
        })
    }
}
