//! Owns reading `OrderPlaced`.

use std::borrow::Cow;

use super::values::{id, id_or_empty, is_event_type, money, quantity, timestamp, word};
use super::{Slot, Taken, fill, read_record, required};
use crate::domain::bad_record::Fault;
use crate::domain::json::JsonReader;
use crate::domain::{BadRecord, Cents, EventTime, Lines, Order, OrderLine, OrderRecord, OrderStatus};

/// The most lines an order may have.
const MOST_LINES: usize = 10_000;

/// Reads a record of `order-events`, by section 3 of the contract. An ordinary record costs no allocation.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_order(value: Option<&[u8]>) -> Result<OrderRecord<'_>, BadRecord> {
    let mut fields = OrderFields::default();
    read_record(value, |reader, key| fields.take(reader, key))?;
    Ok(fields.judge()?)
}

#[derive(Default)]
struct OrderFields<'a> {
    is_order: Slot<bool>,
    order_id: Slot<Cow<'a, str>>,
    user_id: Slot<Cow<'a, str>>,
    restaurant_id: Slot<Cow<'a, str>>,
    lines: Slot<Lines<'a>>,
    total: Slot<Cents>,
    status: Slot<OrderStatus>,
    timestamp: Slot<EventTime>,
}

impl<'a> OrderFields<'a> {
    fn take(&mut self, reader: &mut JsonReader<'a>, key: &str) -> Result<(), Fault> {
        match key {
            "event_type" => fill(&mut self.is_order, "event_type", |name| is_event_type(reader, name, "OrderPlaced")),
            "order_id" => fill(&mut self.order_id, "order_id", |name| id(reader, name)),
            "user_id" => fill(&mut self.user_id, "user_id", |name| id(reader, name)),
            "restaurant_id" => fill(&mut self.restaurant_id, "restaurant_id", |name| id_or_empty(reader, name)),
            "items" => fill(&mut self.lines, "items", |name| lines(reader, name)),
            "total_amount" => fill(&mut self.total, "total_amount", |name| money(reader, name)),
            "status" => fill(&mut self.status, "status", |name| status(reader, name)),
            "timestamp" => fill(&mut self.timestamp, "timestamp", |name| timestamp(reader, name)),
            _ => reader.skip(),
        }
    }

    fn judge(self) -> Result<OrderRecord<'a>, Fault> {
        if !required(self.is_order, "event_type")? {
            return Ok(OrderRecord::Skipped);
        }
        Ok(OrderRecord::Order(Order {
            order_id: required(self.order_id, "order_id")?,
            user_id: required(self.user_id, "user_id")?,
            restaurant_id: self.restaurant_id.unwrap_or(Ok(Cow::Borrowed("")))?,
            lines: required(self.lines, "items")?,
            total: required(self.total, "total_amount")?,
            status: required(self.status, "status")?,
            timestamp: required(self.timestamp, "timestamp")?,
        }))
    }
}

fn status(reader: &mut JsonReader<'_>, name: &'static str) -> Taken<OrderStatus> {
    word(reader, name, "is neither placed nor failed", |word| match word {
        "placed" => Some(OrderStatus::Placed),
        "failed" => Some(OrderStatus::Failed),
        _ => None,
    })
}

fn lines<'a>(reader: &mut JsonReader<'a>, name: &'static str) -> Taken<Lines<'a>> {
    if reader.peek()? != b'[' {
        reader.skip()?;
        return Ok(Err(Fault::wrong_type(name, "is not an array")));
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
        None if count == 0 => Err(Fault::bad_value(name, "has no lines")),
        None if count > MOST_LINES => Err(Fault::bad_value(name, "has more than 10000 lines")),
        None => Ok(lines),
    })
}

fn line<'a>(reader: &mut JsonReader<'a>, index: usize) -> Taken<OrderLine<'a>> {
    if reader.peek()? != b'{' {
        reader.skip()?;
        return Ok(Err(Fault::line_is_no_object(index)));
    }
    let mut fields = LineFields::default();
    reader.object(|reader, key| fields.take(reader, key)).map_err(|fault| fault.in_line(index))?;
    Ok(fields.judge().map_err(|fault| fault.in_line(index)))
}

#[derive(Default)]
struct LineFields<'a> {
    item_id: Slot<Cow<'a, str>>,
    quantity: Slot<u32>,
    price: Slot<Cents>,
}

impl<'a> LineFields<'a> {
    fn take(&mut self, reader: &mut JsonReader<'a>, key: &str) -> Result<(), Fault> {
        match key {
            "item_id" => fill(&mut self.item_id, "item_id", |name| id(reader, name)),
            "quantity" => fill(&mut self.quantity, "quantity", |name| quantity(reader, name)),
            "price" => fill(&mut self.price, "price", |name| money(reader, name)),
            _ => reader.skip(),
        }
    }

    fn judge(self) -> Result<OrderLine<'a>, Fault> {
        Ok(OrderLine {
            item_id: required(self.item_id, "item_id")?,
            quantity: required(self.quantity, "quantity")?,
            price: required(self.price, "price")?,
        })
    }
}
