//! Owns the shape of an inventory decision, one per order line; how it is read and written is `decode` and `encode`.

use std::borrow::Cow;

use super::{Cents, EventTime};

/// One `InventoryEvent`: what was decided about one line of one order record.
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
    /// The line's price of one piece.
    pub price: Cents,
    /// What was decided.
    pub action: Action,
    /// Why it was rejected; `None` unless `action` is [`Action::Reject`].
    pub reason: Option<Reason>,
    /// Units that a new period's top-up added to the item, told on the first line of the order that names it.
    pub restocked: u64,
    /// Units on hand after this line; `None` for unlimited stock and on release lines.
    pub on_hand: Option<u64>,
    /// Index of the line within its order, from 0.
    pub line: u32,
    /// Number of lines of the order.
    pub lines: u32,
    /// The order record that caused the decision: the anchor of every proof.
    pub source: DecisionSource,
    /// The order's timestamp.
    pub timestamp: EventTime,
}

/// What was decided about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The whole order was covered and this line took its units.
    Reserve,
    /// Some line of the order was short, so nothing of it was taken.
    Reject,
    /// The payment had failed: no stock moved.
    Release,
}

impl Action {
    /// The word on the wire.
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
    /// The line's own item was short.
    OutOfStock,
    /// Another line's item was short; an order is all or nothing.
    OrderIncomplete,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::OrderIncomplete => "order_incomplete",
        }
    }
}

/// Where an order record stands in `order-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionSource {
    /// Partition of the order record.
    pub partition: i32,
    /// Offset of the order record.
    pub offset: i64,
}

/// What a record of `inventory-events` is, when it is not bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionRecord<'a> {
    /// A decision about an order line.
    Decision(Decision<'a>),
    /// Another event type, or an `InventoryEvent` without `line` (the original's): skipped and counted.
    Skipped,
}
