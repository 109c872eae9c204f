//! Ledger records: key and value of an item's stock in `inventory-ledger`. See `docs/reference/stock.md`.

use std::hash::{Hash, Hasher};

use indexmap::Equivalent;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::{OpeningStock, StockSettings};

/// Why a record cannot belong to this ledger.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The key is not a JSON array of restaurant and item.
    #[error("ledger key is not [restaurant, item]")]
    Key(#[source] serde_json::Error),
    /// The value is not an item's stock.
    #[error("ledger value is not an item's stock")]
    Value(#[source] serde_json::Error),
    /// The value contradicts the settings: units although stock is unlimited, no units although it is limited, or more
    /// units than the opening stock.
    #[error("ledger value does not fit the opening stock of {0}")]
    OpeningStock(OpeningStock),
}

/// The stock of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stock {
    /// Units on hand, at most the opening stock; `None` for unlimited stock.
    #[serde(deserialize_with = "present")]
    pub on_hand: Option<u64>,
    /// Units reserved since the ledger was empty.
    pub reserved: u64,
    /// The period in which the item was first ordered or last restocked.
    pub period: i64,
    /// Offset of the order record that last changed the item.
    pub source_offset: i64,
}

impl Stock {
    /// The stock of a new item.
    pub const fn opened(settings: &StockSettings, period: i64, source_offset: i64) -> Self {
        let on_hand = match settings.opening() {
            OpeningStock::Units(units) => Some(units),
            OpeningStock::Unlimited => None,
        };
        Self { on_hand, reserved: 0, period, source_offset }
    }

    /// Whether `wanted` units are on hand.
    pub fn covers(&self, wanted: u64) -> bool {
        self.on_hand.is_none_or(|units| units >= wanted)
    }

    /// Reserves units that are on hand.
    pub const fn take(&mut self, quantity: u64) {
        if let Some(units) = &mut self.on_hand {
            *units = units.saturating_sub(quantity);
        }
        // 2^64 units are a billion of the largest orders. A saturated count is still a pure function of the records; a
        // panic would stop the partition for good.
        self.reserved = self.reserved.saturating_add(quantity);
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        // Serializing integers into a vector cannot fail.
        serde_json::to_writer(out, self).unwrap_or_default();
    }

    pub fn decode(value: &[u8], settings: &StockSettings) -> Result<Self, LedgerError> {
        let stock: Self = serde_json::from_slice(value).map_err(LedgerError::Value)?;
        let fits = match (settings.opening(), stock.on_hand) {
            (OpeningStock::Units(opening), Some(units)) => units <= opening,
            (OpeningStock::Unlimited, None) => true,
            _ => false,
        };
        if fits { Ok(stock) } else { Err(LedgerError::OpeningStock(settings.opening())) }
    }
}

/// Reads an optional value whose field is required: `null` means unlimited, a missing field is an error.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}

/// An item of a restaurant, with its ledger key.
#[derive(Debug)]
pub(super) struct ItemKey {
    restaurant: Box<str>,
    item: Box<str>,
    /// The ledger key, encoded once: every transaction that changes the item writes it.
    json: Box<[u8]>,
}

/// An item of a restaurant, borrowed from an order.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct ItemName<'a> {
    pub restaurant: &'a str,
    pub item: &'a str,
}

impl ItemKey {
    pub fn new(name: ItemName<'_>) -> Self {
        // Strings always serialize.
        let json = serde_json::to_vec(&(name.restaurant, name.item)).unwrap_or_default();
        Self { restaurant: name.restaurant.into(), item: name.item.into(), json: json.into() }
    }

    pub fn decode(key: &[u8]) -> Result<Self, LedgerError> {
        let (restaurant, item): (String, String) = serde_json::from_slice(key).map_err(LedgerError::Key)?;
        Ok(Self::new(ItemName { restaurant: &restaurant, item: &item }))
    }

    pub fn name(&self) -> ItemName<'_> {
        ItemName { restaurant: &self.restaurant, item: &self.item }
    }

    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

impl Hash for ItemKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl PartialEq for ItemKey {
    fn eq(&self, other: &Self) -> bool {
        other.name().equivalent(self)
    }
}

impl Eq for ItemKey {}

impl Equivalent<ItemKey> for ItemName<'_> {
    fn equivalent(&self, key: &ItemKey) -> bool {
        *self.item == *key.item && *self.restaurant == *key.restaurant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_documented_json() {
        let key = ItemKey::new(ItemName { restaurant: "restaurant_07", item: "item_\"3\"\n" });
        assert_eq!(key.json(), br#"["restaurant_07","item_\"3\"\n"]"#);
        assert!(ItemKey::decode(key.json()).expect("decodes") == key);
        let mut value = Vec::new();
        let settings = StockSettings::default();
        let stock = Stock { on_hand: Some(98), reserved: 2, period: 498_612, source_offset: 1234 };
        stock.encode(&mut value);
        assert_eq!(value, br#"{"on_hand":98,"reserved":2,"period":498612,"source_offset":1234}"#);
        assert_eq!(Stock::decode(&value, &settings).expect("decodes"), stock);
    }

    #[test]
    fn restaurant_and_item_are_compared_separately() {
        let key = ItemKey::new(ItemName { restaurant: "ab", item: "c" });
        assert!(!ItemName { restaurant: "a", item: "bc" }.equivalent(&key));
        assert!(!ItemName { restaurant: "ab", item: "d" }.equivalent(&key));
        assert!(ItemName { restaurant: "ab", item: "c" }.equivalent(&key));
    }

    #[test]
    fn invalid_records_are_errors() {
        for key in [r#"["@position"]"#, r#"["a","b","c"]"#, r#"["a",1]"#, r#"{"a":"b"}"#, "", "\"a\""] {
            assert!(matches!(ItemKey::decode(key.as_bytes()), Err(LedgerError::Key(_))), "{key}");
        }
        let settings = StockSettings::default();
        for value in [
            r#"{"reserved":2,"period":1,"source_offset":0}"#,
            r#"{"on_hand":-1,"reserved":2,"period":1,"source_offset":0}"#,
            r#"{"on_hand":1,"reserved":2,"period":1}"#,
            "7",
        ] {
            assert!(matches!(Stock::decode(value.as_bytes(), &settings), Err(LedgerError::Value(_))), "{value}");
        }
        for value in [
            r#"{"on_hand":101,"reserved":2,"period":1,"source_offset":0}"#,
            r#"{"on_hand":null,"reserved":2,"period":1,"source_offset":0}"#,
        ] {
            let error = Stock::decode(value.as_bytes(), &settings).expect_err("does not fit");
            assert_eq!(error.to_string(), "ledger value does not fit the opening stock of 100");
        }
    }
}
