//! Inventory decisions (`InventoryEvent`), one per order line; `decode` reads them, `encode` writes them.

use std::borrow::Cow;

use super::{Cents, EventTime};

/// An `InventoryEvent`: the decision about one line of one order record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The order's id.
    pub order_id: Cow<'a, str>,
    /// The order's restaurant; may be empty.
    pub restaurant_id: Cow<'a, str>,
    /// The line's item.
    pub item_id: Cow<'a, str>,
    /// The line's quantity, 1 to 1,000,000.
    pub quantity: u32,
    /// The price of one piece.
    pub price: Cents,
    /// The decision.
    pub action: Action,
    /// Why the line was rejected; `None` unless `action` is [`Action::Reject`].
    pub reason: Option<Reason>,
    /// Units that the restock of a new period added to the item; on the first line of the order with that item.
    pub restocked: u64,
    /// Units on hand after this line; `None` for unlimited stock and on release lines.
    pub on_hand: Option<u64>,
    /// Index of the line within its order, from 0.
    pub line: u32,
    /// Number of lines of the order.
    pub lines: u32,
    /// The order record that caused the decision.
    pub source: DecisionSource,
    /// The order's timestamp.
    pub timestamp: EventTime,
}

/// The decision about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The units of the line were reserved.
    Reserve,
    /// An item of the order was out of stock, so no units were reserved.
    Reject,
    /// The payment had failed: the stock is unchanged.
    Release,
}

impl Action {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Reject => "reject",
            Self::Release => "release",
        }
    }
}

/// Why a line was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The line's item was out of stock.
    OutOfStock,
    /// Another line's item was out of stock: an order is all or nothing.
    OrderIncomplete,
}

impl Reason {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::OrderIncomplete => "order_incomplete",
        }
    }
}

/// The position of an order record in `order-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionSource {
    /// Partition of the order record.
    pub partition: i32,
    /// Offset of the order record.
    pub offset: i64,
}

/// A valid record of `inventory-events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionRecord<'a> {
    /// A decision about an order line.
    Decision(Decision<'a>),
    /// Another event type, or an `InventoryEvent` without `line` (of the Python original): skipped and counted.
    Skipped,
}
