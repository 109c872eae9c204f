//! What is compared of an order line and of an event: item, quantity and action, packed into 62 bits.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::domain::{Order, OrderStatus};

/// Marks the entry of an order's claimed field, or of an event's key. The other bits are its hash.
pub(super) const FIELD: u64 = 1 << 63;
/// Marks a line of an order at or above the group's committed offset.
pub(super) const PENDING: u64 = 1 << 62;
/// The bits of an item, a quantity and an action, or of the hash of a field.
pub(super) const CONTENT: u64 = PENDING - 1;

const QUANTITY_SHIFT: u32 = 2;
const ITEM_SHIFT: u32 = 22;

/// The largest quantity of an order line.
pub(super) const MAX_QUANTITY: u32 = 1_000_000;

/// What an event does with the stock of its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineAction {
    /// The decision about a line of a placed order: `reserve`, or `reject` with a reason.
    Decide = 0,
    /// The line of a failed order.
    Release = 1,
    /// Anything else, which no order asks for.
    Other = 2,
}

/// The field of an order that a service claims as key and order of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedField {
    /// `restaurant_id`
    RestaurantId,
    /// `user_id`
    UserId,
    /// `order_id`
    OrderId,
}

impl ClaimedField {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RestaurantId => "restaurant_id",
            Self::UserId => "user_id",
            Self::OrderId => "order_id",
        }
    }

    /// The value in an order.
    #[must_use]
    pub fn of<'a>(self, order: &'a Order<'_>) -> &'a str {
        match self {
            Self::RestaurantId => &order.restaurant_id,
            Self::UserId => &order.user_id,
            Self::OrderId => &order.order_id,
        }
    }
}

/// The action that an order's lines need.
pub(super) const fn wanted_action(status: OrderStatus) -> LineAction {
    match status {
        OrderStatus::Placed => LineAction::Decide,
        OrderStatus::Failed => LineAction::Release,
    }
}

/// The key of all entries of an order id.
pub(super) fn id_key(order_id: &str) -> u128 {
    xxh3_128(order_id.as_bytes())
}

/// Packs a line. A quantity of 0 is one that no order line can have.
pub(super) fn pack(item_id: &str, quantity: u32, action: LineAction) -> u64 {
    // 40 bits are enough to distinguish the items of one order id.
    let item = xxh3_64(item_id.as_bytes()) << ITEM_SHIFT;
    (item | u64::from(quantity) << QUANTITY_SHIFT | action as u64) & CONTENT
}

/// The bits of the item. Lines that are sorted by content are sorted by item, too.
pub(super) const fn item_bits(content: u64) -> u64 {
    (content & CONTENT) >> ITEM_SHIFT
}

/// The hash of a key or of a claimed field.
pub(super) fn field_bits(bytes: &[u8]) -> u64 {
    xxh3_64(bytes) & CONTENT
}
