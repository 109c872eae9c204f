//! Hashes by which expected and actual records are compared: XXH3 of bytes that must be equal.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

use crate::domain::Decision;

/// The hash of a key and a value. A key of no bytes differs from none.
#[must_use]
pub fn content_hash(key: Option<&[u8]>, value: Option<&[u8]>) -> u128 {
    let key = key.map_or(1, xxh3_64);
    value.map_or(u128::from(key), |value| xxh3_128_with_seed(value, key))
}

/// The hash of what names the order line of a decision, and of what an order says about it.
#[must_use]
pub fn identity_hash(decision: &Decision<'_>) -> u64 {
    let hash = xxh3_64_with_seed(decision.order_id.as_bytes(), decision.quantity.into());
    xxh3_64_with_seed(decision.item_id.as_bytes(), hash)
}

/// The hash of an item of a restaurant.
#[must_use]
pub fn item_hash(restaurant: &str, item: &str) -> u64 {
    xxh3_64_with_seed(item.as_bytes(), xxh3_64(restaurant.as_bytes()))
}

/// Spreads a hash over 128 bits, for sums.
#[must_use]
pub fn spread(hash: u64, more: u64) -> u128 {
    xxh3_128_with_seed(&hash.to_le_bytes(), more)
}
