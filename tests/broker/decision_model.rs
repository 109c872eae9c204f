//! Model of a reader of `inventory-events`: which records are decisions by "Events" in docs/REFERENCE.md, in the simplest
//! code possible.

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::inventory_model::{is_id, is_money, is_short, millis};

/// What a record of `inventory-events` is.
pub enum Event {
    Decision(Decision),
    /// Another type of event, or one of the original, without `line`.
    Skipped,
    /// Not an event.
    Bad,
}

/// The fields of a decision that invariants compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub order_id: String,
    pub restaurant_id: String,
    pub item_id: String,
    pub quantity: i64,
    pub action: String,
    pub restocked: i64,
    pub on_hand: Option<i64>,
    pub line: i64,
    pub source_partition: i64,
    pub source_offset: i64,
}

#[derive(Deserialize)]
struct Fields {
    order_id: String,
    #[serde(default)]
    restaurant_id: String,
    item_id: String,
    quantity: Number,
    price: f64,
    action: String,
    #[serde(deserialize_with = "present")]
    reason: Option<String>,
    restocked: Number,
    #[serde(deserialize_with = "present")]
    on_hand: Option<Number>,
    line: Number,
    lines: Number,
    source: Source,
    timestamp: String,
}

#[derive(Deserialize)]
struct Source {
    partition: Number,
    offset: Number,
}

/// `null` is a value; a missing field is an error.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A whole number that is not negative. Numbers above 2^63 are larger than anything that a test writes.
fn whole(number: &Number) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    let of_double = |double: f64| (double.fract() == 0.0 && double.abs() < 9e15).then_some(double as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(of_double)).filter(|number| *number >= 0)
}

/// Reads a record of `inventory-events`.
pub fn event(value: Option<&[u8]>) -> Event {
    let Some(bytes) = value else { return Event::Bad };
    let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else { return Event::Bad };
    match object.get("event_type") {
        Some(Value::String(name)) if name == "InventoryEvent" && object.contains_key("line") => {}
        Some(Value::String(_)) => return Event::Skipped,
        _ => return Event::Bad,
    }
    let fields: Option<Fields> = serde_json::from_slice(bytes).ok();
    fields.and_then(checked).map_or(Event::Bad, Event::Decision)
}

fn checked(fields: Fields) -> Option<Decision> {
    let within = |number: &Number, least: i64, most: i64| whole(number).filter(|n| (least..=most).contains(n));
    let (line, lines) = (within(&fields.line, 0, 9_999)?, within(&fields.lines, 1, 10_000)?);
    let has_reason = match fields.reason.as_deref() {
        None => false,
        Some("out_of_stock" | "order_incomplete") => true,
        Some(_) => return None,
    };
    let action_fits = match fields.action.as_str() {
        "reserve" | "release" => !has_reason,
        "reject" => has_reason,
        _ => return None,
    };
    let on_hand = match &fields.on_hand {
        Some(number) => Some(whole(number)?),
        None => None,
    };
    let good = action_fits
        && line < lines
        && is_id(&fields.order_id)
        && is_id(&fields.item_id)
        && is_short(&fields.restaurant_id)
        && is_money(fields.price)
        && millis(&fields.timestamp).is_some();
    good.then_some(Decision {
        quantity: within(&fields.quantity, 1, 1_000_000)?,
        restocked: whole(&fields.restocked)?,
        source_partition: within(&fields.source.partition, 0, i32::MAX.into())?,
        source_offset: whole(&fields.source.offset)?,
        order_id: fields.order_id,
        restaurant_id: fields.restaurant_id,
        item_id: fields.item_id,
        action: fields.action,
        on_hand,
        line,
    })
}
