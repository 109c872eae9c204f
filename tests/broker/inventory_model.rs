//! Model of `inventory`: the decisions, stock and dead letters that follow from a partition of `order-events` by "Events"
//! and "Stock" in docs/REFERENCE.md, in the simplest code possible.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::support::StoredRecord;

#[derive(Deserialize)]
struct Head {
    event_type: String,
}

#[derive(Deserialize)]
#[allow(clippy::struct_field_names, reason = "field names of the event")]
struct Order {
    order_id: String,
    user_id: String,
    #[serde(default)]
    restaurant_id: String,
    items: Vec<Line>,
    total_amount: f64,
    status: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct Line {
    item_id: String,
    quantity: f64,
    price: f64,
}

enum Decoded {
    Order(Order, i64),
    Skipped,
    Bad,
}

/// Decodes a record of `order-events` ("Events" in docs/REFERENCE.md).
fn decode(value: Option<&[u8]>) -> Decoded {
    // Parse it as generic JSON first: this checks syntax, UTF-8, surrogates, and a nesting of at most 127 (the limit of
    // the parser).
    let Some(value) = value.filter(|value| matches!(serde_json::from_slice(value), Ok(Value::Object(_)))) else {
        return Decoded::Bad;
    };
    match serde_json::from_slice::<Head>(value) {
        Ok(head) if head.event_type != "OrderPlaced" => return Decoded::Skipped,
        Ok(_) => {}
        Err(_) => return Decoded::Bad,
    }
    let Ok(order) = serde_json::from_slice::<Order>(value) else { return Decoded::Bad };
    let line = |line: &Line| {
        is_id(&line.item_id)
            && line.quantity.fract() == 0.0
            && (1.0..=1_000_000.0).contains(&line.quantity)
            && is_money(line.price)
    };
    let good = is_id(&order.order_id)
        && is_id(&order.user_id)
        && is_short(&order.restaurant_id)
        && (1..=10_000).contains(&order.items.len())
        && order.items.iter().all(line)
        && is_money(order.total_amount)
        && ["placed", "failed"].contains(&order.status.as_str());
    match millis(&order.timestamp) {
        Some(millis) if good => Decoded::Order(order, millis),
        _ => Decoded::Bad,
    }
}

pub fn is_short(id: &str) -> bool {
    id.len() <= 256
}

pub fn is_id(id: &str) -> bool {
    !id.is_empty() && is_short(id)
}

/// Whether a price or total is legal.
pub fn is_money(amount: f64) -> bool {
    (0.0..=10_000_000.0).contains(&amount) && ((amount * 100.0).round() / 100.0 - amount).abs() <= 0.000_001
}

/// The first word of the reason of a bad record. Of several errors it may be that of another one than the program's.
pub fn reason(value: Option<&[u8]>) -> &'static str {
    let Some(value) = value else { return "no_value" };
    if std::str::from_utf8(value).is_err() {
        return "not_utf8";
    }
    let error = match serde_json::from_slice::<Value>(value) {
        Ok(Value::Object(_)) => serde_json::from_slice::<Head>(value)
            .err()
            .or_else(|| serde_json::from_slice::<Order>(value).err())
            .map(|error| error.to_string()),
        Err(error) if error.to_string().starts_with("recursion limit") => return "too_deep",
        Ok(_) | Err(_) => return "not_json",
    };
    let words =
        [("duplicate field", "duplicate_field"), ("missing field", "missing_field"), ("invalid type", "wrong_type")];
    let word = words.iter().find(|(start, _)| error.as_deref().is_some_and(|error| error.starts_with(start)));
    word.map_or("bad_value", |(_, word)| word)
}

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.fraction][Z]`.
pub fn millis(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let numbers = |text: &str, mark| text.split(mark).map(str::parse).collect::<Result<Vec<i64>, _>>().ok();
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let [year, month, day] = date[..] else { return None };
    let [hour, minute, second] = time[..] else { return None };
    let legal = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !legal || hour > 23 || minute > 59 || second > 59 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Days since 1970 by the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    let fraction: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + fraction)
}

#[derive(Default)]
pub struct Stock {
    /// `None` for unlimited stock.
    pub on_hand: Option<i64>,
    pub reserved: i64,
    pub period: i64,
    pub source_offset: i64,
    /// The sum of all restocks.
    pub restocked: i64,
}

/// Expected state after the records of a partition below its committed offset.
#[derive(Default)]
pub struct InventoryModel<'a> {
    /// Each decision with the record that caused it.
    pub decisions: Vec<(&'a StoredRecord, Value)>,
    pub stock: BTreeMap<(String, String), Stock>,
    pub dead_letters: Vec<&'a StoredRecord>,
    pub counts: BTreeMap<&'static str, u64>,
    stream_times: BTreeMap<String, i64>,
}

impl<'a> InventoryModel<'a> {
    fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// Applies the next record of the partition. Without an opening stock it is unlimited.
    pub fn apply(&mut self, record: &'a StoredRecord, opening: impl Into<Option<i64>>, restock_millis: i64) {
        let opening = opening.into();
        self.count("records");
        match decode(record.value.as_deref()) {
            Decoded::Skipped => self.count("skipped"),
            Decoded::Bad => {
                self.count("dead_letters");
                self.dead_letters.push(record);
            }
            Decoded::Order(order, time) => {
                self.count("orders");
                self.decide(record, &order, time, opening, restock_millis);
            }
        }
    }

    fn decide(
        &mut self,
        record: &'a StoredRecord,
        order: &Order,
        time: i64,
        opening: Option<i64>,
        restock_millis: i64,
    ) {
        let key = |line: &Line| (order.restaurant_id.clone(), line.item_id.clone());
        if order.status == "failed" {
            self.count("released");
            for (index, line) in order.items.iter().enumerate() {
                self.emit(record, order, time, index, line, ("release", None, 0, None));
            }
            return;
        }
        let stream_time = self.stream_times.entry(order.restaurant_id.clone()).or_insert(time);
        *stream_time = time.max(*stream_time);
        let period = stream_time.div_euclid(restock_millis);
        let (mut requested, mut restocked) = (BTreeMap::new(), BTreeMap::new());
        for line in &order.items {
            *requested.entry(key(line)).or_insert(0) += to_i64(line.quantity);
        }
        for name in requested.keys() {
            let offset = record.offset;
            let new_stock = Stock { on_hand: opening, reserved: 0, period, source_offset: offset, restocked: 0 };
            let stock = self.stock.entry(name.clone()).or_insert(new_stock);
            if stock.period < period {
                let added = opening.zip(stock.on_hand).map_or(0, |(opening, on_hand)| opening - on_hand);
                restocked.insert(name.clone(), added);
                stock.restocked += added;
                (stock.on_hand, stock.period, stock.source_offset) = (opening, period, offset);
            }
        }
        let is_short = |stock: &BTreeMap<(String, String), Stock>, name: &(String, String)| {
            stock[name].on_hand.is_some_and(|on_hand| on_hand < requested[name])
        };
        let is_rejected = requested.keys().any(|name| is_short(&self.stock, name));
        self.count(if is_rejected { "rejected" } else { "reserved" });
        for (index, line) in order.items.iter().enumerate() {
            let name = key(line);
            let restocked = restocked.remove(&name).unwrap_or(0);
            let (action, reason) = match is_rejected {
                true if is_short(&self.stock, &name) => ("reject", Some("out_of_stock")),
                true => ("reject", Some("order_incomplete")),
                false => ("reserve", None),
            };
            let stock = self.stock.get_mut(&name).expect("opened above");
            if !is_rejected {
                stock.on_hand = stock.on_hand.map(|on_hand| on_hand - to_i64(line.quantity));
                stock.reserved += to_i64(line.quantity);
                stock.source_offset = record.offset;
            }
            let on_hand = stock.on_hand;
            self.emit(record, order, time, index, line, (action, reason, restocked, on_hand));
        }
    }

    fn emit(
        &mut self,
        record: &'a StoredRecord,
        order: &Order,
        time: i64,
        index: usize,
        line: &Line,
        (action, reason, restocked, on_hand): (&str, Option<&str>, i64, Option<i64>),
    ) {
        let decision = json!({
            "event_type": "InventoryEvent", "order_id": order.order_id, "restaurant_id": order.restaurant_id,
            "item_id": line.item_id, "quantity": to_i64(line.quantity), "price": line.price, "action": action,
            "reason": reason, "restocked": restocked, "on_hand": on_hand, "line": index, "lines": order.items.len(),
            "source": { "partition": record.partition, "offset": record.offset }, "timestamp": time,
        });
        self.decisions.push((record, decision));
    }
}

/// The inverse of [`millis`], with three decimals and `Z`.
fn timestamp(millis: i64) -> String {
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // The year begins in March; an era has 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next;
    let (second, milli) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The bytes of a decision of the model: the documented order of fields, prices with two decimals.
pub fn encoded(decision: &Value) -> Vec<u8> {
    let field = |name: &str| format!("\"{name}\":{}", decision[name]);
    let cents = to_i64((decision["price"].as_f64().expect("a price") * 100.0).round());
    let time = timestamp(decision["timestamp"].as_i64().expect("a time"));
    let mut fields: Vec<String> = ["event_type", "order_id", "restaurant_id", "item_id", "quantity"].map(field).into();
    fields.push(format!("\"price\":{}.{:02}", cents / 100, cents % 100));
    fields.extend(["action", "reason", "restocked", "on_hand", "line", "lines", "source"].map(field));
    fields.push(format!("\"timestamp\":\"{time}\""));
    format!("{{{}}}", fields.join(",")).into_bytes()
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and at most a million")]
fn to_i64(number: f64) -> i64 {
    number as i64
}
