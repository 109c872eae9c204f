//! Compatibility with the Python original: its records are processed, and a reader of its fields can read ours.

use serde::Deserialize;
use serde_json::json;

use super::Case;
use super::invariants;
use super::inventory_kills::{OPENING_STOCK, RESTOCK_MILLIS};
use super::records::{Outgoing, write};
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[
    ("python_original::its_records_are_decided_and_counted", process_originals),
    ("python_original::our_records_have_its_fields", read_like_the_original),
];

/// The fields of an order that the original's consumers read.
#[derive(Deserialize)]
#[allow(clippy::struct_field_names, reason = "field names of the event")]
struct Order {
    event_type: String,
    order_id: String,
    user_id: String,
    items: Vec<Line>,
    total_amount: f64,
    status: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct Line {
    item_id: String,
    quantity: u32,
    price: f64,
}

/// The fields of a decision that the original's consumers read.
#[derive(Deserialize)]
struct Decision {
    event_type: String,
    order_id: String,
    item_id: String,
    quantity: u32,
    action: String,
    timestamp: String,
}

fn process_originals(env: &TestEnv) {
    env.create_topic("order-events", 3, &[]);
    env.create_topic("inventory-events", 3, &[]);
    // As `json.dumps` and `datetime.isoformat()` write them, keyed by order id.
    let originals = |id: &str, price: &str, total: &str, status: &str, time: &str| {
        format!(
            r#"{{"event_type": "OrderPlaced", "order_id": "{id}", "user_id": "user_17", "items": [{{"item_id": "item_4", "quantity": 3, "price": {price}}}], "total_amount": {total}, "status": "{status}", "timestamp": "{time}"}}"#
        )
    };
    let values = [
        ("order-1", originals("order-1", "12.989999999999998", "38.97", "placed", "2025-03-01T09:30:15.987654")),
        ("order-2", originals("order-2", "0.1", "0.30000000000000004", "placed", "2025-03-01T09:30:59")),
        ("order-3", originals("order-3", "8.5", "25.499999999999996", "failed", "2025-03-01T09:31:00.000001")),
    ];
    let records: Vec<Outgoing> = (0..)
        .zip(&values)
        .map(|(partition, (key, value))| Outgoing::new(partition, Some(key.as_bytes()), Some(value.as_bytes())))
        .collect();
    write(env, "order-events", &records);
    // The original's inventory event has no line, so it is not counted as a decision.
    let foreign = r#"{"event_type": "InventoryEvent", "order_id": "order-1", "item_id": "item_4", "quantity": 3, "action": "reserve", "timestamp": "2025-03-01T09:30:16"}"#;
    write(env, "inventory-events", &[Outgoing::new(0, Some(b"order-1"), Some(foreign.as_bytes()))]);

    let document = env.document("inventory --until-end");
    let counts = ["orders", "reserved", "released", "dead_letters"].map(|name| document[name].as_u64());
    assert_eq!(counts, [3, 2, 1, 0].map(Some), "{document}");
    let decisions: Vec<StoredRecord> =
        env.read("inventory-events").into_iter().filter(|record| !record.json()["line"].is_null()).collect();
    let keys: Vec<_> = decisions.iter().map(|record| record.key.clone().expect("a key")).collect();
    assert_eq!(keys, values.iter().map(|(key, _)| key.as_bytes().to_vec()).collect::<Vec<_>>());
    let prices: Vec<String> = decisions.iter().map(|record| record.json()["price"].to_string()).collect();
    assert_eq!(prices, ["12.99", "0.1", "8.5"], "rounded to cents");
    assert!(decisions.iter().all(|record| record.json()["restaurant_id"] == ""));

    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);

    let metrics = env.document("analytics --from-beginning");
    assert_eq!((&metrics["total_orders"], &metrics["failed_orders"]), (&json!(3), &json!(1)));
    assert_eq!(metrics["orders_by_minute"], json!({"2025-03-01T09:30Z": 2, "2025-03-01T09:31Z": 1}));
    assert_eq!((&metrics["skipped_records"], &metrics["bad_records"]), (&json!(1), &json!(0)));
    assert_eq!(metrics["inventory"]["reserved_revenue"], "39.27");
}

fn read_like_the_original(ours: &TestEnv) {
    ours.run("produce --count 500 --seed 3").expect(0);
    ours.run("inventory --until-end").expect(0);
    for record in ours.read("order-events") {
        let order: Order = serde_json::from_slice(&record.value.expect("a value")).expect("the original reads it");
        assert!(order.event_type == "OrderPlaced" && !order.order_id.is_empty() && !order.user_id.is_empty());
        let sum: f64 = order.items.iter().map(|line| f64::from(line.quantity) * line.price).sum();
        assert!((sum - order.total_amount).abs() < 0.001, "{sum} {}", order.total_amount);
        assert!(order.items.iter().all(|line| !line.item_id.is_empty()));
        assert!(["placed", "failed"].contains(&&*order.status) && order.timestamp.ends_with('Z'));
    }
    for record in ours.read("inventory-events") {
        let decision: Decision =
            serde_json::from_slice(&record.value.expect("a value")).expect("the original reads it");
        assert!(decision.event_type == "InventoryEvent" && !decision.order_id.is_empty() && decision.quantity > 0);
        assert!(!decision.item_id.is_empty() && decision.timestamp.ends_with('Z'));
        assert!(["reserve", "reject", "release"].contains(&&*decision.action));
    }
}
