//! Owns reading `OrderPlaced`.

use std::borrow::Cow;

use super::values::{id, id_or_empty, money, quantity, text, timestamp};
use super::{Slot, Taken, optional, read_record, required};
use crate::domain::fault::{Fault, Place, Problem};
use crate::domain::json::{Broken, JsonReader};
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

/// The fields by their names, in the order in which we write them.
const FIELDS: [(&str, Field); 8] = [
    ("event_type", Field::EventType),
    ("order_id", Field::OrderId),
    ("user_id", Field::UserId),
    ("restaurant_id", Field::RestaurantId),
    ("items", Field::Items),
    ("total_amount", Field::TotalAmount),
    ("status", Field::Status),
    ("timestamp", Field::Timestamp),
];

/// A known field of an order's line.
#[derive(Clone, Copy)]
enum LineField {
    ItemId,
    Quantity,
    Price,
}

/// The fields of a line by their names, in the order in which we write them.
const LINE_FIELDS: [(&str, LineField); 3] =
    [("item_id", LineField::ItemId), ("quantity", LineField::Quantity), ("price", LineField::Price)];

/// Reads a record of `order-events`, by section 3 of the contract. An ordinary record costs no allocation.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_order(value: Option<&[u8]>) -> Result<OrderRecord<'_>, BadRecord> {
    let mut slots = OrderSlots::default();
    read_record(value, &FIELDS, |reader, field| slots.take(reader, field))?;
    Ok(slots.judge()?)
}

#[derive(Default)]
struct OrderSlots<'a> {
    event_type: Slot<Cow<'a, str>>,
    order_id: Slot<Cow<'a, str>>,
    user_id: Slot<Cow<'a, str>>,
    restaurant_id: Slot<Cow<'a, str>>,
    items: Slot<Lines<'a>, Fault>,
    total_amount: Slot<Cents>,
    status: Slot<OrderStatus>,
    timestamp: Slot<EventTime>,
}

impl<'a> OrderSlots<'a> {
    #[inline]
    fn take(&mut self, reader: &mut JsonReader<'a>, field: Field) -> Result<(), Broken> {
        match field {
            Field::EventType => self.event_type = Some(text(reader)?),
            Field::OrderId => self.order_id = Some(id(reader)?),
            Field::UserId => self.user_id = Some(id(reader)?),
            Field::RestaurantId => self.restaurant_id = Some(id_or_empty(reader)?),
            Field::Items => self.items = Some(lines(reader)?),
            Field::TotalAmount => self.total_amount = Some(money(reader)?),
            Field::Status => self.status = Some(status(reader)?),
            Field::Timestamp => self.timestamp = Some(timestamp(reader)?),
        }
        Ok(())
    }

    fn judge(self) -> Result<OrderRecord<'a>, Fault> {
        if required(self.event_type, "event_type")? != "OrderPlaced" {
            return Ok(OrderRecord::Skipped);
        }
        Ok(OrderRecord::Order(Order {
            order_id: required(self.order_id, "order_id")?,
            user_id: required(self.user_id, "user_id")?,
            restaurant_id: optional(self.restaurant_id, "restaurant_id", Cow::Borrowed(""))?,
            lines: self.items.unwrap_or_else(|| Err(Fault::of_field("items", Problem::Missing)))?,
            total: required(self.total_amount, "total_amount")?,
            status: required(self.status, "status")?,
            timestamp: required(self.timestamp, "timestamp")?,
        }))
    }
}

fn status(reader: &mut JsonReader<'_>) -> Taken<OrderStatus> {
    Ok(text(reader)?.and_then(|status| match &*status {
        "placed" => Ok(OrderStatus::Placed),
        "failed" => Ok(OrderStatus::Failed),
        _ => Err(Problem::NoStatus),
    }))
}

fn lines<'a>(reader: &mut JsonReader<'a>) -> Taken<Lines<'a>, Fault> {
    if reader.peek()? != b'[' {
        reader.skip()?;
        return Ok(Err(Fault::of_field("items", Problem::NoArray)));
    }
    let mut lines = Lines::new();
    let mut first_fault = None;
    let mut count = 0;
    reader.array(|reader| {
        let line = line(reader, count)?;
        count += 1;
        match line {
            // What is beyond the bound is judged as JSON and dropped: a bad record must not decide how much is kept.
            Ok(line) if count <= MOST_LINES => lines.push(line),
            Ok(_) => {}
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
        Ok(())
    })?;
    Ok(match first_fault {
        Some(fault) => Err(fault),
        None if count == 0 => Err(Fault::of_field("items", Problem::NoLines)),
        None if count > MOST_LINES => Err(Fault::of_field("items", Problem::TooManyLines)),
        None => Ok(lines),
    })
}

#[derive(Default)]
struct LineSlots<'a> {
    item_id: Slot<Cow<'a, str>>,
    quantity: Slot<u32>,
    price: Slot<Cents>,
}

#[inline]
fn line<'a>(reader: &mut JsonReader<'a>, index: usize) -> Taken<OrderLine<'a>, Fault> {
    if reader.peek()? != b'{' {
        reader.skip()?;
        return Ok(Err(Fault { place: Place::Line(index), problem: Problem::NoObject }));
    }
    let mut slots = LineSlots::default();
    let read = reader.object(&LINE_FIELDS, |reader, field| {
        match field {
            LineField::ItemId => slots.item_id = Some(id(reader)?),
            LineField::Quantity => slots.quantity = Some(quantity(reader)?),
            LineField::Price => slots.price = Some(money(reader)?),
        }
        Ok(())
    });
    read.map_err(|broken| reader.refine(broken, |fault| fault.in_line(index)))?;
    Ok(slots.judge().map_err(|fault| fault.in_line(index)))
}

impl<'a> LineSlots<'a> {
    #[inline]
    fn judge(self) -> Result<OrderLine<'a>, Fault> {
        Ok(OrderLine {
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
        })
    }
}
