//! Orders (`OrderPlaced`); `decode` reads them, `encode` writes them.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Cents, EventTime};

/// The lines of an order; four fit without an allocation, and most orders have fewer.
pub type Lines<'a> = SmallVec<[OrderLine<'a>; 4]>;

/// One valid `OrderPlaced` event, borrowed from the record's bytes wherever JSON escapes allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<'a> {
    /// 1 to 256 bytes. Not unique: a producer may repeat an order.
    pub order_id: Cow<'a, str>,
    /// 1 to 256 bytes.
    pub user_id: Cow<'a, str>,
    /// 0 to 256 bytes; empty if the producer sends none.
    pub restaurant_id: Cow<'a, str>,
    /// 1 to 10,000 lines; several may have the same item.
    pub lines: Lines<'a>,
    /// The total stated by the producer; it need not be the sum of the lines.
    pub total: Cents,
    /// Whether the payment went through.
    pub status: OrderStatus,
    /// When the order was placed, according to the producer.
    pub timestamp: EventTime,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine<'a> {
    /// 1 to 256 bytes.
    pub item_id: Cow<'a, str>,
    /// 1 to 1,000,000 pieces.
    pub quantity: u32,
    /// The price of one piece.
    pub price: Cents,
}

/// The result of the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStatus {
    /// Paid: stock is to be reserved.
    Placed,
    /// Payment failed: nothing is reserved.
    Failed,
}

/// A valid record of `order-events`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every record is an order, and a box would be an allocation each")]
pub enum OrderRecord<'a> {
    /// An `OrderPlaced` event.
    Order(Order<'a>),
    /// An event of another type: skipped and counted.
    Skipped,
}
