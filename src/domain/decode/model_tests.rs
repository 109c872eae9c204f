//! Property tests of the decoder against a model: a slow second implementation of `docs/reference/events.md` on a JSON
//! tree, which only distinguishes good, bad and skipped records.

use std::borrow::Cow;
use std::fmt;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{decode_decision, decode_order};
use crate::domain::{Cents, DecisionRecord, EventTime, OrderRecord};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelVerdict {
    Good,
    Bad,
    Skipped,
}

/// JSON with duplicate keys.
enum Tree {
    Null,
    Bool,
    Natural(u64),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyTree;

        #[allow(clippy::cast_precision_loss, reason = "only negative numbers, and no field is one")]
        impl<'de> Visitor<'de> for AnyTree {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Bool)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Natural(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Tree::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Tree::Object(fields))
            }
        }

        deserializer.deserialize_any(AnyTree)
    }
}

impl Tree {
    fn fields(&self) -> Option<&[(String, Self)]> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    fn field(&self, name: &str) -> Option<&Self> {
        self.fields()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn repeats(&self, known: &[&str]) -> bool {
        let fields = self.fields().unwrap_or_default();
        known.iter().any(|name| fields.iter().filter(|(key, _)| key == name).count() > 1)
    }

    fn text(&self, name: &str) -> Option<&str> {
        if let Self::Text(text) = self.field(name)? { Some(text) } else { None }
    }

    fn has_id(&self, name: &str) -> bool {
        self.text(name).is_some_and(|id| (1..=256).contains(&id.len()))
    }

    fn may_have_id(&self, name: &str) -> bool {
        self.field(name).is_none() || self.text(name).is_some_and(|id| id.len() <= 256)
    }

    fn has_word(&self, name: &str, words: &[&str]) -> bool {
        self.text(name).is_some_and(|word| words.contains(&word))
    }

    #[allow(clippy::cast_precision_loss, reason = "all bounds are far below 2^53")]
    fn number(&self, name: &str) -> Option<f64> {
        match self.field(name)? {
            Self::Natural(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn has_whole(&self, name: &str, least: f64, most: f64) -> bool {
        self.number(name).is_some_and(|value| value.fract() == 0.0 && (least..=most).contains(&value))
    }

    /// Integers that fit, and other numbers that a double holds exactly.
    fn has_natural(&self, name: &str, most: u64) -> bool {
        match self.field(name) {
            Some(Self::Natural(number)) => *number <= most,
            _ => self.has_whole(name, 0.0, 2f64.powi(53)),
        }
    }

    fn has_money(&self, name: &str) -> bool {
        self.number(name).is_some_and(|units| Cents::from_units(units).is_some())
    }

    fn has_time(&self) -> bool {
        self.text("timestamp").is_some_and(|text| EventTime::parse(text).is_ok())
    }

    fn is_null(&self, name: &str) -> bool {
        matches!(self.field(name), Some(Self::Null))
    }
}

const ORDER_FIELDS: [&str; 8] =
    ["event_type", "order_id", "user_id", "restaurant_id", "items", "total_amount", "status", "timestamp"];
const LINE_FIELDS: [&str; 3] = ["item_id", "quantity", "price"];
const DECISION_FIELDS: [&str; 14] = [
    "event_type",
    "order_id",
    "restaurant_id",
    "item_id",
    "quantity",
    "price",
    "action",
    "reason",
    "restocked",
    "on_hand",
    "line",
    "lines",
    "source",
    "timestamp",
];
const SOURCE_FIELDS: [&str; 2] = ["partition", "offset"];

/// The verdict of the model; `None` where it has none, because `serde_json` rejects a number beyond a double even in an
/// unknown field.
fn verdict(value: &[u8], check_tree: impl FnOnce(&Tree) -> ModelVerdict) -> Option<ModelVerdict> {
    match serde_json::from_slice::<Tree>(value) {
        Ok(tree) if tree.fields().is_some() => Some(check_tree(&tree)),
        Err(error) if error.to_string().contains("out of range") => None,
        _ => Some(ModelVerdict::Bad),
    }
}

fn check_order(tree: &Tree) -> ModelVerdict {
    let no_lines = Vec::new();
    let lines = if let Some(Tree::List(lines)) = tree.field("items") { lines } else { &no_lines };
    if tree.repeats(&ORDER_FIELDS) || lines.iter().any(|line| line.repeats(&LINE_FIELDS)) {
        return ModelVerdict::Bad;
    }
    let good_line =
        |line: &Tree| line.has_id("item_id") && line.has_whole("quantity", 1.0, 1e6) && line.has_money("price");
    match tree.text("event_type") {
        None => ModelVerdict::Bad,
        Some("OrderPlaced") => {
            let good = tree.has_id("order_id")
                && tree.has_id("user_id")
                && tree.may_have_id("restaurant_id")
                && (1..=10_000).contains(&lines.len())
                && lines.iter().all(good_line)
                && tree.has_money("total_amount")
                && tree.has_word("status", &["placed", "failed"])
                && tree.has_time();
            if good { ModelVerdict::Good } else { ModelVerdict::Bad }
        }
        Some(_) => ModelVerdict::Skipped,
    }
}

fn check_decision(tree: &Tree) -> ModelVerdict {
    let source = tree.field("source").unwrap_or(&Tree::Null);
    if tree.repeats(&DECISION_FIELDS) || source.repeats(&SOURCE_FIELDS) {
        return ModelVerdict::Bad;
    }
    match tree.text("event_type") {
        None => ModelVerdict::Bad,
        Some("InventoryEvent") if tree.field("line").is_some() => {
            let lines = tree.number("lines").unwrap_or(0.0);
            let reason = if tree.has_word("action", &["reject"]) {
                tree.has_word("reason", &["out_of_stock", "order_incomplete"])
            } else {
                tree.has_word("action", &["reserve", "release"]) && tree.is_null("reason")
            };
            let good = tree.has_id("order_id")
                && tree.may_have_id("restaurant_id")
                && tree.has_id("item_id")
                && tree.has_whole("quantity", 1.0, 1e6)
                && tree.has_money("price")
                && reason
                && tree.has_natural("restocked", u64::MAX)
                && (tree.is_null("on_hand") || tree.has_natural("on_hand", u64::MAX))
                && tree.has_whole("lines", 1.0, 10_000.0)
                && tree.has_whole("line", 0.0, lines - 1.0)
                && source.has_whole("partition", 0.0, f64::from(i32::MAX))
                && source.has_natural("offset", i64::MAX as u64)
                && tree.has_time();
            if good { ModelVerdict::Good } else { ModelVerdict::Bad }
        }
        Some(_) => ModelVerdict::Skipped,
    }
}

/// Values at the bounds of what is valid: JSON without white space, separated by white space.
const VALUES: &str = r#"
    null true "" "a" 0 -0 1 2.0 2e0 1.5 -1 1000000 1000001 10000000.00 10000000.01 8.505 8.499999999999999 1e400
    9007199254740993 18446744073709551615 9007199254740994.0 "placed" "reject" "out_of_stock" "OrderPlaced"
    "InventoryEvent" "Other" "2026-11-22T12:00:60Z" [] {} [1] [{}] {"a":1} "\ud83d" "\ud83d\ude00" [[["\udead"]]] 01
    +1 nul [{"item_id":"a","quantity":1,"price":1},{"item_id":"a","quantity":0,"price":1,"x":[]}]
    [{"item_id":"a","item_id":"a","quantity":1,"price":1}] {"partition":1,"offset":2,"partition":1}
    {"offset":2,"partition":-0}
"#;

/// A change to a list of fields.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, &'static str),
    Remove(Index),
    Repeat(Index, Index),
    Move(Index, Index),
    Unknown(Index, &'static str),
    EscapeKey(Index),
}

fn changes() -> impl Strategy<Value = Change> {
    let field = any::<Index>;
    let value = || select(VALUES.split_whitespace().collect::<Vec<_>>());
    prop_oneof![
        4 => (field(), value()).prop_map(|(at, value)| Change::Replace(at, value)),
        1 => field().prop_map(Change::Remove),
        1 => (field(), field()).prop_map(|(from, to)| Change::Repeat(from, to)),
        2 => (field(), field()).prop_map(|(from, to)| Change::Move(from, to)),
        2 => (field(), value()).prop_map(|(at, value)| Change::Unknown(at, value)),
        1 => field().prop_map(Change::EscapeKey),
    ]
}

/// The fields of a good record with a few changes, then a few corrupt bytes, mostly none.
fn records(good: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![5 => Just(0), 1 => 1..3_usize].prop_flat_map(|count| {
        let byte = prop_oneof![select(b"{}[]\",:\\ 0159.eE-u\0\x1b\xff\xc3".to_vec()), any::<u8>()];
        prop::collection::vec((any::<Index>(), 0..4, byte), count)
    });
    (prop::collection::vec(changes(), 0..4), bytes).prop_map(move |(changes, damage)| {
        let mut fields: Vec<_> = good.iter().map(|(key, value)| (Cow::from(*key), *value)).collect();
        for change in changes {
            if fields.is_empty() {
                break;
            }
            let len = fields.len();
            match change {
                Change::Replace(at, value) => fields[at.index(len)].1 = value,
                Change::Remove(at) => drop(fields.remove(at.index(len))),
                Change::Repeat(from, to) => fields.insert(to.index(len), fields[from.index(len)].clone()),
                Change::Move(from, to) => fields.swap(from.index(len), to.index(len)),
                Change::Unknown(at, value) => fields.insert(at.index(len), ("x".into(), value)),
                Change::EscapeKey(at) => {
                    let key = &mut fields[at.index(len)].0;
                    let escaped = key.strip_prefix('o').map(|rest| format!("\\u006f{rest}"));
                    *key = escaped.map_or_else(|| key.clone(), Cow::from);
                }
            }
        }
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let mut record = format!("{{{}}}", fields.join(",")).into_bytes();
        for (at, how, byte) in damage {
            let at = at.index(record.len());
            match how {
                0 => record[at] = byte,
                1 => record.insert(at, byte),
                2 if record.len() > 1 => drop(record.remove(at)),
                _ => record.truncate(at.max(1)),
            }
        }
        record
    })
}

const GOOD_ORDER: &[(&str, &str)] = &[
    ("event_type", "\"OrderPlaced\""),
    ("order_id", "\"o-1\""),
    ("user_id", "\"u-1\""),
    ("restaurant_id", "\"r-1\""),
    ("items", "[{\"item_id\":\"i-1\",\"quantity\":2,\"price\":8.50},{\"price\":1,\"item_id\":\"i-2\",\"quantity\":1}]"),
    ("total_amount", "18.00"),
    ("status", "\"placed\""),
    ("timestamp", "\"2026-11-22T12:00:00.123Z\""),
];

const GOOD_DECISION: &[(&str, &str)] = &[
    ("event_type", "\"InventoryEvent\""),
    ("order_id", "\"o-1\""),
    ("restaurant_id", "\"r-1\""),
    ("item_id", "\"i-1\""),
    ("quantity", "2"),
    ("price", "8.50"),
    ("action", "\"reserve\""),
    ("reason", "null"),
    ("restocked", "0"),
    ("on_hand", "98"),
    ("line", "0"),
    ("lines", "2"),
    ("source", "{\"partition\":4,\"offset\":1234}"),
    ("timestamp", "\"2026-11-22T12:00:00.123Z\""),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn orders_agree_with_the_model(record in records(GOOD_ORDER)) {
        let Some(expected) = verdict(&record, check_order) else { return Ok(()) };
        let decoded = match decode_order(Some(&record)) {
            Ok(OrderRecord::Order(_)) => ModelVerdict::Good,
            Ok(OrderRecord::Skipped) => ModelVerdict::Skipped,
            Err(_) => ModelVerdict::Bad,
        };
        prop_assert_eq!(decoded, expected, "{}", String::from_utf8_lossy(&record));
    }

    #[test]
    fn decisions_agree_with_the_model(record in records(GOOD_DECISION)) {
        let Some(expected) = verdict(&record, check_decision) else { return Ok(()) };
        let decoded = match decode_decision(Some(&record)) {
            Ok(DecisionRecord::Decision(_)) => ModelVerdict::Good,
            Ok(DecisionRecord::Skipped) => ModelVerdict::Skipped,
            Err(_) => ModelVerdict::Bad,
        };
        prop_assert_eq!(decoded, expected, "{}", String::from_utf8_lossy(&record));
    }

    #[test]
    fn details_are_short_ascii(record in records(GOOD_ORDER)) {
        if let Err(bad) = decode_order(Some(&record)) {
            prop_assert!(bad.detail.len() <= 80, "{}", bad.detail);
            prop_assert!(bad.detail.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", bad.detail);
        }
    }
}
