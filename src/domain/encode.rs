//! JSON encoder of events: the exact bytes that `produce` and `inventory` write. See `docs/reference/events.md`.
//!
//! Written by hand, because the order of fields and the two decimals of a price are documented, and because a run
//! writes millions of events: only `out` is allocated.

use super::{Decision, Order, OrderStatus};

/// Appends the order's JSON: one compact object with its fields in the documented order.
pub fn encode_order(order: &Order<'_>, out: &mut Vec<u8>) {
    put(out, "{\"event_type\":\"OrderPlaced\",\"order_id\":");
    put_string(out, &order.order_id);
    put(out, ",\"user_id\":");
    put_string(out, &order.user_id);
    put(out, ",\"restaurant_id\":");
    put_string(out, &order.restaurant_id);
    put(out, ",\"items\":[");
    for (index, line) in order.lines.iter().enumerate() {
        put(out, if index == 0 { "{\"item_id\":" } else { ",{\"item_id\":" });
        put_string(out, &line.item_id);
        put(out, ",\"quantity\":");
        put_integer(out, line.quantity);
        put(out, ",\"price\":");
        line.price.write(out);
        put(out, "}");
    }
    put(out, "],\"total_amount\":");
    order.total.write(out);
    put(
        out,
        match order.status {
            OrderStatus::Placed => ",\"status\":\"placed\",\"timestamp\":\"",
            OrderStatus::Failed => ",\"status\":\"failed\",\"timestamp\":\"",
        },
    );
    order.timestamp.write(out);
    put(out, "\"}");
}

/// Appends the decision's JSON: one compact object with its fields in the documented order.
pub fn encode_decision(decision: &Decision<'_>, out: &mut Vec<u8>) {
    put(out, "{\"event_type\":\"InventoryEvent\",\"order_id\":");
    put_string(out, &decision.order_id);
    put(out, ",\"restaurant_id\":");
    put_string(out, &decision.restaurant_id);
    put(out, ",\"item_id\":");
    put_string(out, &decision.item_id);
    put(out, ",\"quantity\":");
    put_integer(out, decision.quantity);
    put(out, ",\"price\":");
    decision.price.write(out);
    put(out, ",\"action\":\"");
    put(out, decision.action.as_str());
    put(out, "\",\"reason\":");
    match decision.reason {
        Some(reason) => {
            put(out, "\"");
            put(out, reason.as_str());
            put(out, "\"");
        }
        None => put(out, "null"),
    }
    put(out, ",\"restocked\":");
    put_integer(out, decision.restocked);
    put(out, ",\"on_hand\":");
    match decision.on_hand {
        Some(on_hand) => put_integer(out, on_hand),
        None => put(out, "null"),
    }
    put(out, ",\"line\":");
    put_integer(out, decision.line);
    put(out, ",\"lines\":");
    put_integer(out, decision.lines);
    put(out, ",\"source\":{\"partition\":");
    put_integer(out, decision.source.partition);
    put(out, ",\"offset\":");
    put_integer(out, decision.source.offset);
    put(out, "},\"timestamp\":\"");
    decision.timestamp.write(out);
    put(out, "\"}");
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn put_integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    put(out, itoa::Buffer::new().format(number));
}

/// Appends a JSON string; escapes only what must be escaped.
fn put_string(out: &mut Vec<u8>, text: &str) {
    // A count without early exit is vectorized; a search would branch at each byte.
    let special = text.bytes().filter(|byte| matches!(byte, ..b' ' | b'"' | b'\\')).count();
    if special == 0 {
        out.push(b'"');
        put(out, text);
        out.push(b'"');
    } else {
        put_escaped(out, text);
    }
}

#[cold]
fn put_escaped(out: &mut Vec<u8>, text: &str) {
    // Serializing a string into a vector cannot fail.
    serde_json::to_writer(out, text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        Action, Cents, DecisionRecord, DecisionSource, EventTime, Lines, OrderLine, OrderRecord, Reason,
        decode_decision, decode_order,
    };

    fn time(text: &str) -> EventTime {
        EventTime::parse(text).expect("a timestamp")
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn encodes_an_order_as_documented() {
        let line = OrderLine { item_id: "item_3".into(), quantity: 2, price: Cents(850) };
        let order = Order {
            order_id: "0192".into(),
            user_id: "user_42".into(),
            restaurant_id: "restaurant_07".into(),
            lines: Lines::from_iter([line]),
            total: Cents(1_700),
            status: OrderStatus::Placed,
            timestamp: time("2026-11-22T12:00:00.123Z"),
        };
        assert_eq!(
            written(|out| encode_order(&order, out)),
            concat!(
                r#"{"event_type":"OrderPlaced","order_id":"0192","user_id":"user_42","restaurant_id":"restaurant_07","#,
                r#""items":[{"item_id":"item_3","quantity":2,"price":8.50}],"total_amount":17.00,"status":"placed","#,
                r#""timestamp":"2026-11-22T12:00:00.123Z"}"#,
            )
        );
    }

    #[test]
    fn encodes_a_decision_as_documented() {
        let decision = Decision {
            order_id: "0192".into(),
            restaurant_id: "restaurant_07".into(),
            item_id: "item_3".into(),
            quantity: 2,
            price: Cents(850),
            action: Action::Reserve,
            reason: None,
            restocked: 0,
            on_hand: Some(98),
            line: 0,
            lines: 1,
            source: DecisionSource { partition: 4, offset: 1_234 },
            timestamp: time("2026-11-22T12:00:00.123Z"),
        };
        assert_eq!(
            written(|out| encode_decision(&decision, out)),
            concat!(
                r#"{"event_type":"InventoryEvent","order_id":"0192","restaurant_id":"restaurant_07","#,
                r#""item_id":"item_3","quantity":2,"price":8.50,"action":"reserve","reason":null,"restocked":0,"#,
                r#""on_hand":98,"line":0,"lines":1,"source":{"partition":4,"offset":1234},"#,
                r#""timestamp":"2026-11-22T12:00:00.123Z"}"#,
            )
        );
        let rejected = Decision { action: Action::Reject, reason: Some(Reason::OutOfStock), on_hand: None, ..decision };
        let rejected = written(|out| encode_decision(&rejected, out));
        assert!(rejected.contains(r#""action":"reject","reason":"out_of_stock","restocked":0,"on_hand":null"#));
    }

    /// Ids of at most 256 bytes, with and without characters to escape.
    fn ids(shortest: usize) -> impl Strategy<Value = Cow<'static, str>> {
        prop_oneof!["[a-z0-9_-]{1,40}", any::<String>(), "[\\x00-\\x20\"\\\\a/<>\u{7f}é😀]{1,64}"]
            .prop_filter("an id is bounded", move |id| (shortest..=256).contains(&id.len()))
            .prop_map(Cow::Owned)
    }

    fn cents() -> impl Strategy<Value = Cents> {
        (0..=Cents::LIMIT.0).prop_map(Cents)
    }

    fn times() -> impl Strategy<Value = EventTime> {
        (0..=EventTime::MAX.millis()).prop_map(|millis| EventTime::from_millis(millis).expect("in range"))
    }

    prop_compose! {
        fn order_lines()(item_id in ids(1), quantity in 1..=1_000_000_u32, price in cents()) -> OrderLine<'static> {
            OrderLine { item_id, quantity, price }
        }
    }

    prop_compose! {
        fn orders()(
            (order_id, user_id, restaurant_id) in (ids(1), ids(1), ids(0)),
            lines in prop::collection::vec(order_lines(), 1..7),
            total in cents(),
            placed: bool,
            timestamp in times(),
        ) -> Order<'static> {
            let status = if placed { OrderStatus::Placed } else { OrderStatus::Failed };
            Order { order_id, user_id, restaurant_id, lines: lines.into(), total, status, timestamp }
        }
    }

    prop_compose! {
        fn decisions()(
            (order_id, restaurant_id, item_id) in (ids(1), ids(0), ids(1)),
            (quantity, price, timestamp) in (1..=1_000_000_u32, cents(), times()),
            (action, reason) in prop::sample::select(vec![
                (Action::Reserve, None),
                (Action::Release, None),
                (Action::Reject, Some(Reason::OutOfStock)),
                (Action::Reject, Some(Reason::OrderIncomplete)),
            ]),
            (restocked, on_hand) in (any::<u64>(), any::<Option<u64>>()),
            (line, lines) in (1..=10_000_u32).prop_flat_map(|lines| (0..lines, Just(lines))),
            (partition, offset) in (0..=i32::MAX, 0..=i64::MAX),
        ) -> Decision<'static> {
            let source = DecisionSource { partition, offset };
            Decision {
                order_id, restaurant_id, item_id, quantity, price, action, reason, restocked, on_hand, line, lines,
                source, timestamp,
            }
        }
    }

    proptest! {
        #[test]
        fn an_order_round_trips(order in orders()) {
            // Leaked, because the generated order is `'static` and `SmallVec` is invariant in its lifetime.
            let json = written(|out| encode_order(&order, out)).leak();
            prop_assert_eq!(decode_order(Some(json.as_bytes())), Ok(OrderRecord::Order(order)));
        }

        #[test]
        fn a_decision_round_trips(decision in decisions()) {
            let json = written(|out| encode_decision(&decision, out));
            prop_assert_eq!(decode_decision(Some(json.as_bytes())), Ok(DecisionRecord::Decision(decision)));
        }

        #[test]
        fn strings_are_those_of_serde_json(text in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}"]) {
            prop_assert_eq!(
                written(|out| put_string(out, &text)),
                serde_json::to_string(&text).expect("a string is JSON")
            );
        }
    }
}
