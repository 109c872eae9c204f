//! Owns the shape of an order as it was placed; how it is read and written is `decode` and `encode`.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Cents, EventTime};

/// The lines of one order; four fit without an allocation, as most orders have fewer.
pub type Lines<'a> = SmallVec<[OrderLine<'a>; 4]>;

/// One valid `OrderPlaced` event, borrowed from the record's bytes wherever JSON escapes allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<'a> {
    /// 1 to 256 bytes. Not unique: an order is a record, and a producer may repeat one.
    pub order_id: Cow<'a, str>,
    /// 1 to 256 bytes.
    pub user_id: Cow<'a, str>,
    /// 0 to 256 bytes; empty where the producer knows no restaurants.
    pub restaurant_id: Cow<'a, str>,
    /// 1 to 10,000 lines; the same item may stand in several.
    pub lines: Lines<'a>,
    /// The total as stated by the producer; it need not be the sum of the lines.
    pub total: Cents,
    /// Whether the payment went through.
    pub status: OrderStatus,
    /// When the order was placed, by the producer's account.
    pub timestamp: EventTime,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine<'a> {
    /// 1 to 256 bytes.
    pub item_id: Cow<'a, str>,
    /// 1 to 1,000,000 pieces.
    pub quantity: u32,
    /// Price of one piece.
    pub price: Cents,
}

/// What became of the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStatus {
    /// Paid: stock is to be reserved.
    Placed,
    /// Payment failed: nothing is reserved.
    Failed,
}

/// What a record of `order-events` is, when it is not bad.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every record is an order, and a box would be an allocation each")]
pub enum OrderRecord<'a> {
    /// An `OrderPlaced` event.
    Order(Order<'a>),
    /// An event of another type: not ours to judge, skipped and counted.
    Skipped,
}
