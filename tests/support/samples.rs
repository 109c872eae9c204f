//! Sample records for readers of `order-events`, each with a name and the expected result.
//!
//! Uses only the standard library, so that the broker suite can send the same records to Kafka. Every value is smaller
//! than 1,000,000 bytes unless its name says otherwise. Keys and headers are free.

/// A record value and its expected result.
pub struct Sample {
    /// What is special about the value; unique.
    #[allow(dead_code, reason = "the broker suite does not use names")]
    pub name: &'static str,
    pub value: Option<Vec<u8>>,
    pub expected: Expected,
}

/// What a reader of `order-events` does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It becomes a dead letter with this reason (`BadReason::as_str`).
    Bad(&'static str),
    /// It is an order.
    Accepted,
    /// It is an event of another type.
    Skipped,
}

use Expected::{Accepted, Bad, Skipped};

/// Every field of a valid order, by name and JSON.
const FIELDS: [(&str, &str); 8] = [
    ("event_type", r#""OrderPlaced""#),
    ("order_id", r#""specimen""#),
    ("user_id", r#""user_42""#),
    ("restaurant_id", r#""restaurant_07""#),
    ("items", r#"[{"item_id":"item_3","quantity":2,"price":8.50}]"#),
    ("total_amount", "17.00"),
    ("status", r#""placed""#),
    ("timestamp", r#""2026-11-22T12:00:00.123Z""#),
];

fn object(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn order() -> String {
    object(&FIELDS)
}

/// A valid order except for the JSON of one field.
fn with(name: &str, json: &str) -> String {
    assert!(FIELDS.iter().any(|(field, _)| *field == name), "{name} is a field");
    object(&FIELDS.map(|field| if field.0 == name { (name, json) } else { field }))
}

fn without(name: &str) -> String {
    object(&FIELDS.into_iter().filter(|field| field.0 != name).collect::<Vec<_>>())
}

/// A valid order with one more field at the end.
fn and(name: &str, json: &str) -> String {
    object(&[FIELDS.as_slice(), &[(name, json)]].concat())
}

/// A valid order whose only line is this JSON.
fn with_line(json: &str) -> String {
    with("items", &format!("[{json}]"))
}

fn with_quantity(json: &str) -> String {
    with_line(&format!(r#"{{"item_id":"item_3","quantity":{json},"price":8.50}}"#))
}

fn with_price(json: &str) -> String {
    with_line(&format!(r#"{{"item_id":"item_3","quantity":2,"price":{json}}}"#))
}

fn with_lines(count: usize) -> String {
    let lines: Vec<_> =
        (0..count).map(|item| format!(r#"{{"item_id":"i{item}","quantity":1,"price":1.00}}"#)).collect();
    with("items", &format!("[{}]", lines.join(",")))
}

/// A valid order with an unknown field whose nesting makes the whole `depth` levels deep.
fn nested(depth: usize, open: &str, close: &str) -> String {
    and("unknown", &format!("{}0{}", open.repeat(depth - 1), close.repeat(depth - 1)))
}

/// A valid order of exactly this many bytes.
fn padded(bytes: usize) -> String {
    let bare = and("padding", r#""""#).len();
    and("padding", &format!("\"{}\"", "x".repeat(bytes - bare)))
}

/// A valid order with bytes in a string of an unknown field.
fn with_bytes(bytes: &[u8]) -> Vec<u8> {
    let (head, tail) = (format!("{},\"unknown\":\"", order().trim_end_matches('}').to_owned()), "\"}");
    [head.as_bytes(), bytes, tail.as_bytes()].concat()
}

fn sample(name: &'static str, value: impl Into<Vec<u8>>, expected: Expected) -> Sample {
    Sample { name, value: Some(value.into()), expected }
}

/// All samples.
pub fn order_samples() -> Vec<Sample> {
    let mut samples = vec![Sample { name: "null value", value: None, expected: Bad("no_value") }];
    samples.extend(texts());
    samples.extend(nestings());
    samples.extend(fields());
    samples.extend(event_types());
    samples.extend(numbers());
    samples.extend(lines());
    samples.extend(ids());
    samples.extend(timestamps());
    samples.extend(sizes());
    samples
}

/// Values that are, or are not, one JSON object in UTF-8.
fn texts() -> Vec<Sample> {
    let good = order();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        sample("an ordinary order", good.clone(), Accepted),
        sample("a failed order", with("status", r#""failed""#), Accepted),
        sample("white space around and inside", format!(" \r\n\t{} \n", good.replace("\":", "\" :\t")), Accepted),
        sample("empty value", "", Bad("not_json")),
        sample("white space alone", " \n", Bad("not_json")),
        sample("not JSON", "order 7, please", Bad("not_json")),
        sample("NUL byte", "\0", Bad("not_json")),
        sample("NUL after the object", format!("{good}\0"), Bad("not_json")),
        sample("byte order mark", format!("\u{feff}{good}"), Bad("not_json")),
        sample("UTF-16", utf16, Bad("not_json")),
        sample("truncated JSON", &good.as_bytes()[..good.len() / 2], Bad("not_json")),
        sample("all but the last byte", &good.as_bytes()[..good.len() - 1], Bad("not_json")),
        sample("trailing bytes", format!("{good}x"), Bad("not_json")),
        sample("two objects", format!("{good}{good}"), Bad("not_json")),
        sample("trailing comma", format!("{},}}", good.trim_end_matches('}')), Bad("not_json")),
        sample("comment", format!("/* */{good}"), Bad("not_json")),
        sample("single quotes", good.replace('"', "'"), Bad("not_json")),
        sample("Confluent magic byte and schema id", [&[0, 0, 0, 0, 7], good.as_bytes()].concat(), Bad("not_json")),
        sample("Avro object container", *b"Obj\x01\x04\x16avro.schema\x02{", Bad("not_json")),
        sample("array for the object", format!("[{good}]"), Bad("not_json")),
        sample("string for the object", r#""OrderPlaced""#, Bad("not_json")),
        sample("number for the object", "17", Bad("not_json")),
        sample("the text null", "null", Bad("not_json")),
        sample("empty object", "{}", Bad("missing_field")),
        sample("truncated UTF-8", with_bytes(b"\xe2\x82"), Bad("not_utf8")),
        sample("overlong UTF-8", with_bytes(b"\xc0\xaf"), Bad("not_utf8")),
        sample("invalid UTF-8", with_bytes(b"\xff"), Bad("not_utf8")),
        sample("surrogate in UTF-8", with_bytes(b"\xed\xa0\x80"), Bad("not_utf8")),
        sample("bare control character", with_bytes(b"\x1b[31m"), Bad("not_json")),
        sample("bare line break in a string", with_bytes(b"\n"), Bad("not_json")),
        sample("no such escape", with_bytes(br"\x41"), Bad("not_json")),
        sample("lone surrogate in a known field", with("user_id", r#""\ud83d""#), Bad("not_json")),
        sample("lone low surrogate in an unknown field", and("unknown", r#""\ude00""#), Bad("not_json")),
        sample("lone surrogate deep in an unknown field", and("unknown", r#"[{"a":["\ud83d."]}]"#), Bad("not_json")),
        sample("lone surrogate in a key", and(r"\ud83d", "0"), Bad("not_json")),
        sample("surrogate pair", with("user_id", r#""\ud83d\ude00""#), Accepted),
        sample("NaN as a number", with("total_amount", "NaN"), Bad("not_json")),
        sample("Infinity as a number", and("unknown", "-Infinity"), Bad("not_json")),
        sample("leading zero", with("total_amount", "017.00"), Bad("not_json")),
        sample("leading plus", with("total_amount", "+17.00"), Bad("not_json")),
        sample("no digits after the point", with("total_amount", "17."), Bad("not_json")),
    ]
}

fn nestings() -> Vec<Sample> {
    vec![
        sample("nesting 127 of arrays", nested(127, "[", "]"), Accepted),
        sample("nesting 127 of objects", nested(127, r#"{"a":"#, "}"), Accepted),
        sample("nesting 128 of arrays", nested(128, "[", "]"), Bad("too_deep")),
        sample("nesting 128 of objects", nested(128, r#"{"a":"#, "}"), Bad("too_deep")),
        sample("nesting 129", nested(129, "[", "]"), Bad("too_deep")),
        sample("nesting 100,000", nested(100_000, "[", "]"), Bad("too_deep")),
        sample("nesting 100,000 that never closes", "{\"unknown\":".repeat(80_000), Bad("too_deep")),
        sample("nesting 128 in a known field", with("status", &nested(127, "[", "]")), Bad("too_deep")),
    ]
}

/// Fields that are missing, repeated, unknown, of other types or in another order.
fn fields() -> Vec<Sample> {
    let mut backwards = FIELDS;
    backwards.reverse();
    let line = |json: &str| with_line(json);
    vec![
        sample("fields backwards", object(&backwards), Accepted),
        sample("key with an escape", order().replace("order_id", r"order\u005fid"), Accepted),
        sample("unknown field", and("coupon", r#"{"code":[1,null,true]}"#), Accepted),
        sample("unknown field twice", order().replacen('{', r#"{"a":1,"a":2,"#, 1), Accepted),
        sample("unknown field in a line", line(r#"{"item_id":"a","quantity":1,"price":1,"x":{}}"#), Accepted),
        sample("1e400 in an unknown field", and("unknown", "1e400"), Accepted),
        sample("known field twice", and("order_id", r#""specimen""#), Bad("duplicate_field")),
        sample("known field twice, once escaped", and(r"\u006frder_id", r#""other""#), Bad("duplicate_field")),
        sample("event_type twice", and("event_type", r#""OrderPlaced""#), Bad("duplicate_field")),
        sample(
            "line's field twice",
            line(r#"{"item_id":"a","quantity":1,"quantity":1,"price":1}"#),
            Bad("duplicate_field"),
        ),
        sample("no order_id", without("order_id"), Bad("missing_field")),
        sample("no user_id", without("user_id"), Bad("missing_field")),
        sample("no restaurant_id", without("restaurant_id"), Accepted),
        sample("no items", without("items"), Bad("missing_field")),
        sample("no total_amount", without("total_amount"), Bad("missing_field")),
        sample("no status", without("status"), Bad("missing_field")),
        sample("no timestamp", without("timestamp"), Bad("missing_field")),
        sample("order_id is a number", with("order_id", "7"), Bad("wrong_type")),
        sample("user_id is null", with("user_id", "null"), Bad("wrong_type")),
        sample("restaurant_id is null", with("restaurant_id", "null"), Bad("wrong_type")),
        sample("items is an object", with("items", r#"{"item_id":"a"}"#), Bad("wrong_type")),
        sample("total_amount is a string", with("total_amount", r#""17.00""#), Bad("wrong_type")),
        sample("total_amount is NaN as text", with("total_amount", r#""NaN""#), Bad("wrong_type")),
        sample("status is an array", with("status", r#"["placed"]"#), Bad("wrong_type")),
        sample("timestamp is a number", with("timestamp", "1795348800123"), Bad("wrong_type")),
        sample("another status", with("status", r#""cancelled""#), Bad("bad_value")),
        sample("status in capitals", with("status", r#""Placed""#), Bad("bad_value")),
    ]
}

fn event_types() -> Vec<Sample> {
    let other = || with("event_type", r#""OrderCancelled""#);
    let other_and = |json: &str| format!("{},{json}}}", other().trim_end_matches('}'));
    vec![
        sample("no event_type", without("event_type"), Bad("missing_field")),
        sample("event_type is null", with("event_type", "null"), Bad("wrong_type")),
        sample("event_type is a number", with("event_type", "1"), Bad("wrong_type")),
        sample("another event type", other(), Skipped),
        sample("empty event type", with("event_type", r#""""#), Skipped),
        sample("event type in other letters", with("event_type", r#""orderplaced""#), Skipped),
        sample("another event type alone", r#"{"event_type":"Heartbeat"}"#, Skipped),
        sample("another event type last", r#"{"order_id":7,"items":{},"event_type":"Heartbeat"}"#, Skipped),
        sample("another event type, not JSON", other_and(r#""unknown":nul"#), Bad("not_json")),
        sample("another event type, known field twice", other_and(r#""status":1"#), Bad("duplicate_field")),
        sample("another event type, lone surrogate", other_and(r#""unknown":"\udc00""#), Bad("not_json")),
        sample(
            "another event type, nested 128 deep",
            nested(128, "[", "]").replace("OrderPlaced", "OrderCancelled"),
            Bad("too_deep"),
        ),
    ]
}

/// Quantities, prices and totals on both sides of their limits.
fn numbers() -> Vec<Sample> {
    let total = |json: &str| with("total_amount", json);
    vec![
        sample("quantity 1,000,000", with_quantity("1000000"), Accepted),
        sample("quantity 2.0", with_quantity("2.0"), Accepted),
        sample("quantity 2e0", with_quantity("2e0"), Accepted),
        sample("quantity 1,000,001", with_quantity("1000001"), Bad("bad_value")),
        sample("quantity 0", with_quantity("0"), Bad("bad_value")),
        sample("quantity -0", with_quantity("-0"), Bad("bad_value")),
        sample("quantity -1", with_quantity("-1"), Bad("bad_value")),
        sample("quantity 1.5", with_quantity("1.5"), Bad("bad_value")),
        sample("quantity 2^32 + 2", with_quantity("4294967298"), Bad("bad_value")),
        sample("quantity 2^53 + 1", with_quantity("9007199254740993"), Bad("bad_value")),
        sample("quantity 2^64 + 2", with_quantity("18446744073709551618"), Bad("bad_value")),
        sample("quantity 1e400", with_quantity("1e400"), Bad("bad_value")),
        sample("quantity is a string", with_quantity(r#""2""#), Bad("wrong_type")),
        sample("quantity is null", with_quantity("null"), Bad("wrong_type")),
        sample("quantity is true", with_quantity("true"), Bad("wrong_type")),
        sample("price 0", with_price("0"), Accepted),
        sample("price -0", with_price("-0"), Accepted),
        sample("price -0.0", with_price("-0.0"), Accepted),
        sample("price is an integer", with_price("8"), Accepted),
        sample("price with an exponent", with_price("85E-1"), Accepted),
        sample("price with float noise", with_price("8.499999999999999"), Accepted),
        sample("price a millionth from a cent", with_price("8.500001"), Accepted),
        sample("price more than a millionth from a cent", with_price("8.5000011"), Bad("bad_value")),
        sample("price with three decimals", with_price("8.505"), Bad("bad_value")),
        sample("price negative", with_price("-8.50"), Bad("bad_value")),
        sample("price is a string", with_price(r#""8.50""#), Bad("wrong_type")),
        sample("price at the limit", with_price("10000000.00"), Accepted),
        sample("price a cent above the limit", with_price("10000000.01"), Bad("bad_value")),
        sample("price 1e400", with_price("1e400"), Bad("bad_value")),
        sample("total is not the sum", total("1.00"), Accepted),
        sample("total -0", total("-0"), Accepted),
        sample("total at the limit", total("1e7"), Accepted),
        sample("total a cent above the limit", total("10000000.01"), Bad("bad_value")),
        sample("total a cent below 0", total("-0.01"), Bad("bad_value")),
        sample("total 2^53 + 1", total("9007199254740993"), Bad("bad_value")),
        sample("total 2^64", total("18446744073709551616"), Bad("bad_value")),
        sample("total 1e400", total("1e400"), Bad("bad_value")),
        sample("total -1e400", total("-1e400"), Bad("bad_value")),
        sample("total 1e-400", total("1e-400"), Accepted),
    ]
}

fn lines() -> Vec<Sample> {
    let twice = r#"[{"item_id":"a","quantity":1,"price":1},{"item_id":"a","quantity":2,"price":1}]"#;
    vec![
        sample("no lines", with("items", "[]"), Bad("bad_value")),
        sample("1,000 lines", with_lines(1_000), Accepted),
        sample("10,000 lines", with_lines(10_000), Accepted),
        sample("10,001 lines", with_lines(10_001), Bad("bad_value")),
        sample("the same item twice", with("items", twice), Accepted),
        sample("line is null", with_line("null"), Bad("wrong_type")),
        sample("line is an array", with_line("[]"), Bad("wrong_type")),
        sample("line without item_id", with_line(r#"{"quantity":1,"price":1}"#), Bad("missing_field")),
        sample("line without quantity", with_line(r#"{"item_id":"a","price":1}"#), Bad("missing_field")),
        sample("line without price", with_line(r#"{"item_id":"a","quantity":1}"#), Bad("missing_field")),
        sample("the same order again", order(), Accepted),
        sample("the same order with other content", with_quantity("3"), Accepted),
    ]
}

fn ids() -> Vec<Sample> {
    let id = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let item = |json: &str| with_line(&format!(r#"{{"item_id":{json},"quantity":1,"price":1}}"#));
    vec![
        sample("order_id of 256 bytes", with("order_id", &id(256)), Accepted),
        sample(
            "order_id of 256 bytes in escapes",
            with("order_id", &format!("\"{}\"", r"\u0041".repeat(256))),
            Accepted,
        ),
        sample("order_id of 257 bytes", with("order_id", &id(257)), Bad("bad_value")),
        sample(
            "user_id of 257 bytes in 129 characters",
            with("user_id", &format!("\"x{}\"", "é".repeat(128))),
            Bad("bad_value"),
        ),
        sample("restaurant_id of 256 bytes", with("restaurant_id", &id(256)), Accepted),
        sample("restaurant_id of 257 bytes", with("restaurant_id", &id(257)), Bad("bad_value")),
        sample("item_id of 256 bytes", item(&id(256)), Accepted),
        sample("item_id of 257 bytes", item(&id(257)), Bad("bad_value")),
        sample("order_id of 64 KiB", with("order_id", &id(65_536)), Bad("bad_value")),
        sample("order_id empty", with("order_id", r#""""#), Bad("bad_value")),
        sample("user_id empty", with("user_id", r#""""#), Bad("bad_value")),
        sample("restaurant_id empty", with("restaurant_id", r#""""#), Accepted),
        sample("item_id empty", item(r#""""#), Bad("bad_value")),
        sample("control characters in ids", with("user_id", r#""\u0000\u0007\b\n\r\t\u007f""#), Accepted),
        sample("ANSI sequence in an id", with("restaurant_id", r#""\u001b[31mred\u001b[0m""#), Accepted),
        sample("script in an item", item(r#""<script>alert(1)</script>""#), Accepted),
        sample("formula in an id", with("user_id", r#""=1+1""#), Accepted),
        sample("path in an id", with("restaurant_id", r#""..\/..\/etc\/passwd""#), Accepted),
        sample("quotes and backslashes in an id", with("order_id", r#""\"\\\"""#), Accepted),
    ]
}

fn timestamps() -> Vec<Sample> {
    let at = |text: &str| with("timestamp", &format!("\"{text}\""));
    vec![
        sample("timestamp without zone", at("2026-11-22T12:00:00.123456"), Accepted),
        sample("timestamp without decimals", at("2026-11-22T12:00:00Z"), Accepted),
        sample("timestamp with nine decimals", at("2026-11-22T12:00:00.123456789Z"), Accepted),
        sample("timestamp with ten decimals", at("2026-11-22T12:00:00.1234567890Z"), Bad("bad_value")),
        sample("timestamp with an offset", at("2026-11-22T14:30:00.123+02:30"), Accepted),
        sample("timestamp with a space and small letters", at("2026-11-22 12:00:00z"), Accepted),
        sample("timestamp empty", at(""), Bad("bad_value")),
        sample("timestamp of a date alone", at("2026-11-22"), Bad("bad_value")),
        sample("timestamp with a zone's name", at("2026-11-22T12:00:00Z[UTC]"), Bad("bad_value")),
        sample("timestamp of February 29 in a common year", at("2026-02-29T12:00:00Z"), Bad("bad_value")),
        sample("timestamp with hour 24", at("2026-11-22T24:00:00Z"), Bad("bad_value")),
        sample("timestamp with a leap second", at("2016-12-31T23:59:60Z"), Bad("bad_value")),
        sample("timestamp in year 0", at("0000-01-01T00:00:00Z"), Bad("bad_value")),
        sample("timestamp just before 1970", at("1969-12-31T23:59:59.999Z"), Bad("bad_value")),
        sample("timestamp at the epoch", at("1970-01-01T00:00:00.000Z"), Accepted),
        sample("timestamp carried into 1970", at("1969-12-31T23:30:00-01:00"), Accepted),
        sample("timestamp in year 9999", at("9999-12-31T23:59:59.999Z"), Accepted),
        sample("timestamp carried beyond 9999", at("9999-12-31T23:59:59.999-00:01"), Bad("bad_value")),
        sample("timestamp in year 10000", at("10000-01-01T00:00:00Z"), Bad("bad_value")),
    ]
}

/// Values around Kafka's default limit of 1,048,588 bytes per batch; the codec itself has no limit.
fn sizes() -> Vec<Sample> {
    vec![
        sample("just under a million bytes", padded(999_999), Accepted),
        sample("over the size limit of 1 MiB", padded(1_100_000), Accepted),
    ]
}
