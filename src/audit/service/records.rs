//! Reading of orders and events into entries.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::content::{ClaimedField, FIELD, LineAction, MAX_QUANTITY, PENDING, field_bits, id_key, pack, wanted_action};
use crate::audit::{Entry, Place};
use crate::domain::{OrderRecord, decode_order};

/// Entries of an order record: one for each line, and one for the claimed field if there is one and it is not empty.
///
/// `pending` is an order at or above the group's committed offset. Returns the number of lines: 0 for a bad record and
/// for another event type, which need no events.
///
/// # Errors
///
/// Those of `push`.
pub fn order_entries<E>(
    value: Option<&[u8]>,
    place: Place,
    pending: bool,
    field: Option<ClaimedField>,
    mut push: impl FnMut(Entry) -> Result<(), E>,
) -> Result<usize, E> {
    let Ok(OrderRecord::Order(order)) = decode_order(value) else { return Ok(0) };
    let key = id_key(&order.order_id);
    let mark = if pending { PENDING } else { 0 };
    for line in &order.lines {
        let content = pack(&line.item_id, line.quantity, wanted_action(order.status));
        push(Entry { key, place, detail: content | mark })?;
    }
    if let Some(value) = field.map(|field| field.of(&order)).filter(|value| !value.is_empty()) {
        push(Entry { key, place, detail: FIELD | field_bits(value.as_bytes()) })?;
    }
    Ok(order.lines.len())
}

/// What a record of the decisions' topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRead {
    /// An `InventoryEvent`.
    Event,
    /// An event of another type: skipped.
    Other,
    /// Neither: not a JSON object with an `event_type`, or an `InventoryEvent` without order or item.
    Unreadable,
}

/// Entries of an event: one for its content, and one for its key if `keyed` and it has one.
///
/// # Errors
///
/// Those of `push`.
pub fn event_entries<E>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    place: Place,
    keyed: bool,
    mut push: impl FnMut(Entry) -> Result<(), E>,
) -> Result<EventRead, E> {
    let event = match read_event(value) {
        Ok(Some(event)) => event,
        Ok(None) => return Ok(EventRead::Other),
        Err(_) => return Ok(EventRead::Unreadable),
    };
    let id = id_key(&event.order_id);
    push(Entry { key: id, place, detail: pack(&event.item_id, event.quantity.unwrap_or(0), event.action()) })?;
    if let Some(bytes) = key.filter(|_| keyed) {
        push(Entry { key: id, place, detail: FIELD | field_bits(bytes) })?;
    }
    Ok(EventRead::Event)
}

/// An `InventoryEvent`, as far as it is judged.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub order_id: Cow<'a, str>,
    pub item_id: Cow<'a, str>,
    /// `None` if it is not a quantity that an order line can have.
    pub quantity: Option<u32>,
    /// The action's text; empty if it is missing or has another type.
    pub action_name: Cow<'a, str>,
    has_reason: bool,
}

impl Event<'_> {
    pub fn action(&self) -> LineAction {
        match &*self.action_name {
            "reserve" => LineAction::Decide,
            // A service that keeps stock may reject, if it says why.
            "reject" if self.has_reason => LineAction::Decide,
            "release" => LineAction::Release,
            _ => LineAction::Other,
        }
    }
}

/// Reads an event; `None` for another event type, and what is wrong with a record that is not an event.
pub(super) fn read_event(value: Option<&[u8]>) -> Result<Option<Event<'_>>, &'static str> {
    let value = value.ok_or("it has no value")?;
    // serde would also accept an array of the fields' values.
    if value.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object");
    }
    let fields: EventFields<'_> = serde_json::from_slice(value).map_err(|_| "it is not one JSON object")?;
    match fields.event_type {
        Some(Scalar::Text(name)) if name == "InventoryEvent" => {}
        Some(Scalar::Text(_)) => return Ok(None),
        _ => return Err("it has no event_type"),
    }
    let (Some(order_id), Some(item_id)) = (text(fields.order_id), text(fields.item_id)) else {
        return Err("it has no order_id, or no item_id");
    };
    let quantity = match fields.quantity {
        Some(Scalar::Number(quantity)) => Some(quantity),
        _ => None,
    };
    let has_reason = text(fields.reason).is_some_and(|reason| !reason.is_empty());
    Ok(Some(Event { order_id, item_id, quantity, action_name: text(fields.action).unwrap_or_default(), has_reason }))
}

fn text(field: Option<Scalar<'_>>) -> Option<Cow<'_, str>> {
    match field {
        Some(Scalar::Text(text)) => Some(text),
        _ => None,
    }
}

/// The fields that are read; others are ignored. A field twice is an error.
#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(borrow)]
    event_type: Option<Scalar<'a>>,
    #[serde(borrow)]
    order_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    item_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    quantity: Option<Scalar<'a>>,
    #[serde(borrow)]
    action: Option<Scalar<'a>>,
    #[serde(borrow)]
    reason: Option<Scalar<'a>>,
}

/// A value of any type. Types that are not needed are only skipped.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// A quantity that an order line can have, also as `2.0`.
    Number(u32),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        let quantity = u32::try_from(number).ok().filter(|quantity| (1..=MAX_QUANTITY).contains(quantity));
        Ok(quantity.map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'de>, E> {
        // Only negative numbers.
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        let is_quantity = number.fract() == 0.0 && (1.0..=f64::from(MAX_QUANTITY)).contains(&number);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in the range of u32"
        )]
        Ok(if is_quantity { Scalar::Number(number as u32) } else { Scalar::Other })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Scalar<'de>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Scalar<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = (String, String, Option<u32>, LineAction);

    fn read(text: &str) -> Result<Option<Fields>, &'static str> {
        read_event(Some(text.as_bytes())).map(|event| {
            event.map(|event| {
                let action = event.action();
                (event.order_id.into_owned(), event.item_id.into_owned(), event.quantity, action)
            })
        })
    }

    #[test]
    fn the_originals_event_and_ours_are_read() {
        let original = r#"{"event_type": "InventoryEvent", "order_id": "o\u00e9", "item_id": "i", "quantity": 3, "action": "reserve", "timestamp": "2025-03-01T09:30:16"}"#;
        assert_eq!(read(original), Ok(Some(("oé".into(), "i".into(), Some(3), LineAction::Decide))));
        let ours = r#"{"event_type":"InventoryEvent","order_id":"o","restaurant_id":"r","item_id":"i","quantity":2,"price":8.50,"action":"reject","reason":"out_of_stock","restocked":0,"on_hand":1,"line":0,"lines":1,"source":{"partition":4,"offset":1234},"timestamp":"2026-11-22T12:00:00.123Z"}"#;
        assert_eq!(read(ours), Ok(Some(("o".into(), "i".into(), Some(2), LineAction::Decide))));
    }

    #[test]
    fn a_rejection_needs_a_reason() {
        let action = |rest: &str| {
            let text = format!(r#"{{"event_type":"InventoryEvent","order_id":"o","item_id":"i"{rest}}}"#);
            read(&text).expect("readable").expect("an event").3
        };
        assert_eq!(action(r#","action":"release""#), LineAction::Release);
        for rest in [
            "",
            r#","action":"reject""#,
            r#","action":"reject","reason":null"#,
            r#","action":7"#,
            r#","action":"Reserve""#,
        ] {
            assert_eq!(action(rest), LineAction::Other, "{rest}");
        }
    }

    #[test]
    fn quantities_are_whole_numbers() {
        for (text, expected) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("1000000", Some(1_000_000)),
            ("0", None),
            ("-3", None),
            ("2.5", None),
            ("1000001", None),
            ("1e99", None),
            (r#""3""#, None),
            ("[3]", None),
            (r#"{"3":3}"#, None),
            ("null", None),
        ] {
            let text = format!(r#"{{"event_type":"InventoryEvent","order_id":"o","item_id":"i","quantity":{text}}}"#);
            assert_eq!(read(&text).expect("readable").expect("an event").2, expected, "{text}");
        }
    }

    #[test]
    fn other_records_are_skipped_or_unreadable() {
        assert_eq!(read(r#" {"event_type":"StockCounted","order_id":7}"#), Ok(None));
        assert!(read_event(None).is_err());
        for text in [
            "",
            "hello",
            "[]",
            r#"["InventoryEvent","o","i",1,"reserve",null]"#,
            "{}",
            r#"{"event_type":7}"#,
            r#"{"event_type":"InventoryEvent","item_id":"i"}"#,
            r#"{"event_type":"InventoryEvent","order_id":7,"item_id":"i"}"#,
            r#"{"event_type":"InventoryEvent","order_id":"o"}"#,
            r#"{"event_type":"InventoryEvent","order_id":"o","order_id":"p","item_id":"i"}"#,
            r#"{"event_type":"StockCounted"} x"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
