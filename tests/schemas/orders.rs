//! Comparison of the event schemas with the program's decoders of events.

use foodstream::domain::{DecisionRecord, decode_decision};
use serde_json::Value;

use crate::samples::{Expected, order_samples};
use crate::schemas::schemas;

/// Bad records that the schema accepts, because JSON Schema cannot express what is wrong with them.
const BEYOND_A_SCHEMA: [&str; 9] = [
    "known field twice",
    "known field twice, once escaped",
    "event_type twice",
    "line's field twice",
    "price more than a millionth from a cent",
    "price with three decimals",
    "user_id of 257 bytes in 129 characters",
    "timestamp of February 29 in a common year",
    "timestamp carried beyond 9999",
];

/// Orders that this test's JSON parser cannot parse, because of a number in an unknown field.
const BEYOND_THE_PARSER: [&str; 1] = ["1e400 in an unknown field"];

#[test]
fn order_schema_agrees_with_the_decoder() {
    let schema = &schemas()["events/order-placed"];
    let (mut beyond_a_schema, mut beyond_the_parser, mut agreed) = (Vec::new(), Vec::new(), 0);
    for sample in order_samples() {
        let value: Option<Value> = sample.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
        let takes = value.as_ref().is_some_and(|value| schema.takes(value));
        match (sample.expected, takes) {
            (Expected::Accepted, true) | (Expected::Bad(_) | Expected::Skipped, false) => agreed += 1,
            (Expected::Accepted, false) if value.is_none() => beyond_the_parser.push(sample.name),
            (Expected::Accepted, false) => {
                panic!("{}: {:#?}", sample.name, value.map(|value| schema.problems(&value)));
            }
            (Expected::Bad(_), true) => beyond_a_schema.push(sample.name),
            (Expected::Skipped, true) => panic!("{} is another event, but the schema accepts it", sample.name),
        }
    }
    assert_eq!(beyond_a_schema, BEYOND_A_SCHEMA);
    assert_eq!(beyond_the_parser, BEYOND_THE_PARSER);
    assert!(agreed > 160, "{agreed}");
}

const DECISION: &str = r#"{"event_type":"InventoryEvent","order_id":"a","restaurant_id":"","item_id":"b","quantity":2,"price":8.50,"action":"reject","reason":"out_of_stock","restocked":0,"on_hand":98,"line":0,"lines":1,"source":{"partition":4,"offset":1234},"timestamp":"2026-11-22T12:00:00.123Z"}"#;

#[test]
fn decision_schema_agrees_with_the_decoder() {
    let schema = &schemas()["events/inventory-event"];
    for (from, to) in [
        ("", ""),
        (r#""restaurant_id":"","#, ""),
        (r#"{"event"#, r#"{"unknown":[{}],"event"#),
        (r#""on_hand":98"#, r#""on_hand":null"#),
        (r#""on_hand":98"#, r#""on_hand":18446744073709551615"#),
        (r#""offset":1234"#, r#""offset":9223372036854775807,"more":1"#),
        (r#""action":"reject","reason":"out_of_stock""#, r#""action":"reserve","reason":null"#),
        (r#""reason":"out_of_stock""#, r#""reason":null"#),
        ("reject", "reserve"),
        ("reject", "release"),
        ("reject", "refuse"),
        ("out_of_stock", "sold_out"),
        ("InventoryEvent", "OrderPlaced"),
        (r#""lines":1"#, r#""lines":0"#),
        (r#""lines":1"#, r#""lines":10001"#),
        (r#""line":0,"#, ""),
        (r#""line":0"#, r#""line":-1"#),
        (r#""line":0"#, r#""line":null"#),
        (r#""partition":4"#, r#""partition":-1"#),
        (r#""partition":4"#, r#""partition":2147483648"#),
        (r#""offset":1234"#, r#""offset":-1"#),
        (r#""offset":1234"#, r#""offset":9223372036854775808"#),
        (r#","offset":1234"#, ""),
        (r#""on_hand":98"#, r#""on_hand":-1"#),
        (r#""on_hand":98"#, r#""on_hand":18446744073709551616"#),
        (r#""on_hand":98,"#, ""),
        (r#""reason":"out_of_stock","#, ""),
        (r#""restocked":0"#, r#""restocked":null"#),
        (r#""restocked":0"#, r#""restocked":0.5"#),
        (r#""item_id":"b""#, r#""item_id":"""#),
        (r#""quantity":2"#, r#""quantity":0"#),
        ("8.50", "-8.50"),
        ("2026-11-22T12", "2026-11-22T24"),
    ] {
        let text = DECISION.replacen(from, to, 1);
        assert!(from == to || text != DECISION, "{from}");
        let read = decode_decision(Some(text.as_bytes()));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let problems = schema.problems(&value);
        assert_eq!(
            matches!(read, Ok(DecisionRecord::Decision(_))),
            problems.is_empty(),
            "{text}\n{read:?}\n{problems:?}"
        );
    }
}
