//! Damages to the decisions of a good run, each with the checks that it violates.

use serde_json::Value;

use super::audit_copy::{At, DEAD_LETTERS, DECISIONS, End, Logs, ORDERS};
use super::support::StoredRecord;

/// A damage: its name, the checks that it violates, and what it does to a good run.
#[derive(Clone, Copy)]
pub struct Damage {
    pub name: &'static str,
    /// The names of the checks, separated by blanks.
    pub violated: &'static str,
    pub change: fn(&mut Logs),
}

pub const fn damage(name: &'static str, violated: &'static str, change: fn(&mut Logs)) -> Damage {
    Damage { name, violated, change }
}

/// The first decision with this action that is followed by another one with stock of the same item.
pub fn followed(logs: &Logs, action: &str) -> At {
    let places = logs.places(DECISIONS);
    let item = |decision: &Value| [decision["restaurant_id"].clone(), decision["item_id"].clone()];
    let found = places.iter().enumerate().find(|(index, at)| {
        let decision = logs.get(**at).json();
        let is_later = |later: &&At| {
            let other = logs.get(**later).json();
            // A restock makes the level independent of the decisions before it.
            other["action"] != "release" && item(&other) == item(&decision)
        };
        let next = places[index + 1..].iter().filter(|later| later.partition == at.partition).find(is_later);
        decision["action"] == action && next.is_some_and(|next| logs.get(*next).json()["restocked"] == 0)
    });
    *found.expect("a decision that is followed").1
}

pub fn with(record: &StoredRecord, field: &str, value: &str) -> bool {
    record.value.is_some() && record.json()[field] == value
}

/// A release that is not the last decision of its partition.
fn release(logs: &Logs) -> At {
    logs.find(DECISIONS, |record| with(record, "action", "release"))
}

/// The last decision of partition 0.
fn last(logs: &Logs) -> At {
    logs.rfind(DECISIONS, |record| record.partition == 0)
}

/// Two decisions directly after each other, of lines of one order with different items.
fn neighbours(logs: &Logs, fits: impl Fn(&Value, &Value) -> bool) -> (At, At) {
    let places = logs.places(DECISIONS);
    let pair = places.windows(2).find(|pair| {
        let close = (pair[0].partition, pair[0].span) == (pair[1].partition, pair[1].span);
        close && fits(&logs.get(pair[0]).json(), &logs.get(pair[1]).json())
    });
    let pair = pair.expect("neighbours");
    (pair[0], pair[1])
}

/// The place of the first record of a transaction that was aborted.
fn aborted(logs: &Logs, topic: &'static str) -> At {
    let mut places = logs.spans[topic].iter().enumerate().flat_map(|(partition, spans)| {
        spans.iter().enumerate().map(move |(span, records)| (partition, span, records.end))
    });
    let found = places.find(|(.., end)| *end == End::Abort).expect("an aborted transaction");
    At { topic, partition: found.0, span: found.1, index: 0 }
}

fn duplicate(logs: &mut Logs, at: At) {
    let record = logs.get(at).clone();
    logs.insert_after(at, record);
}

fn set_first(logs: &mut Logs, action: &str, field: &str, value: &str) {
    let at = followed(logs, action);
    logs.set(at, field, value);
}

/// An invented decision about an order that does not exist, as the last record of partition 0.
fn invent(logs: &mut Logs, offset: &str) {
    let mut record = logs.get(last(logs)).clone();
    let at = last(logs);
    record.partition = 0;
    logs.append(DECISIONS, 0, record, End::Commit);
    let at = At { span: at.span + 1, index: 0, ..at };
    logs.set(at, "offset", offset);
}

/// Every change of decisions is a change of what analytics groups have read.
pub const DECISION_DAMAGES: &[Damage] = &[
    damage("reserve dropped", "one-decision-per-line stock-balances committed-readers-agree", |logs| {
        drop(logs.remove(followed(logs, "reserve")));
    }),
    damage("release dropped", "one-decision-per-line committed-readers-agree", |logs| drop(logs.remove(release(logs)))),
    damage("last transaction aborted", "one-decision-per-line committed-readers-agree", |logs| {
        logs.span(last(logs)).end = End::Abort;
    }),
    damage("last decision dropped", "one-decision-per-line committed-readers-agree", |logs| {
        drop(logs.remove(last(logs)));
    }),
    damage("last transaction dropped", "one-decision-per-line committed-readers-agree", |logs| {
        logs.partition(DECISIONS, 0).pop();
    }),
    damage("all decisions dropped", "one-decision-per-line committed-readers-agree", |logs| {
        logs.partition(DECISIONS, 0).clear();
    }),
    damage("reserve doubled", "one-decision-per-line stock-balances committed-readers-agree", |logs| {
        duplicate(logs, followed(logs, "reserve"));
    }),
    damage("release doubled", "one-decision-per-line committed-readers-agree", |logs| duplicate(logs, release(logs))),
    damage("release doubled later", "one-decision-per-line order-is-kept", |logs| {
        let at = release(logs);
        let record = logs.get(at).clone();
        logs.append(DECISIONS, at.partition, record, End::Commit);
    }),
    damage("release doubled outside of a transaction", "one-decision-per-line order-is-kept", |logs| {
        let at = release(logs);
        let record = logs.get(at).clone();
        logs.append(DECISIONS, at.partition, record, End::Plain);
    }),
    damage(
        "all decisions doubled",
        "one-decision-per-line order-is-kept stock-never-negative stock-balances",
        |logs| {
            let again = logs.partition(DECISIONS, 0).clone();
            logs.partition(DECISIONS, 0).extend(again);
        },
    ),
    damage(
        "aborted decisions leaked",
        "one-decision-per-line order-is-kept stock-balances committed-readers-agree",
        |logs| {
            logs.span(aborted(logs, DECISIONS)).end = End::Commit;
        },
    ),
    damage("lines of an order swapped", "order-is-kept committed-readers-agree", |logs| {
        let (one, other) =
            neighbours(logs, |one, other| one["source"] == other["source"] && one["item_id"] != other["item_id"]);
        logs.swap(one, other);
    }),
    damage("decisions of an item swapped", "order-is-kept stock-balances committed-readers-agree", |logs| {
        let (one, other) = neighbours(logs, |one, other| {
            let same = ["restaurant_id", "item_id"].iter().all(|field| one[field] == other[field]);
            let reserves = [one, other].iter().all(|decision| decision["action"] == "reserve");
            same && reserves && one["source"] != other["source"] && other["restocked"] == 0
        });
        logs.swap(one, other);
    }),
    damage("order id altered", "decisions-have-a-source committed-readers-agree", |logs| {
        set_first(logs, "reserve", "order_id", "\"another\"");
    }),
    damage("item altered", "decisions-have-a-source stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "item_id", "\"another\"");
    }),
    damage("item of a release altered", "decisions-have-a-source committed-readers-agree", |logs| {
        logs.set(release(logs), "item_id", "\"another\"");
    }),
    damage("quantity altered", "decisions-have-a-source stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "quantity", "7");
    }),
    damage(
        "quantity beyond the stock",
        "decisions-have-a-source stock-never-negative stock-balances committed-readers-agree",
        |logs| set_first(logs, "reserve", "quantity", "1000000"),
    ),
    damage("units on hand altered", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "on_hand", "777");
    }),
    damage("units on hand missing", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "on_hand", "null");
    }),
    damage("units on hand of a release", "decisions-recompute committed-readers-agree", |logs| {
        logs.set(release(logs), "on_hand", "1");
    }),
    damage("restock altered", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "restocked", "77");
    }),
    damage("reserve rejected", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        let at = followed(logs, "reserve");
        logs.set(at, "action", "\"reject\"");
        logs.set(at, "reason", "\"out_of_stock\"");
    }),
    damage(
        "reject reserved",
        "decisions-recompute stock-never-negative stock-balances committed-readers-agree",
        |logs| {
            let at = logs.find(DECISIONS, |record| with(record, "reason", "out_of_stock"));
            logs.set(at, "action", "\"reserve\"");
            logs.set(at, "reason", "null");
        },
    ),
    damage("release reserved", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        logs.set(release(logs), "action", "\"reserve\"");
    }),
    damage("reason altered", "decisions-recompute committed-readers-agree", |logs| {
        let at = logs.find(DECISIONS, |record| with(record, "reason", "out_of_stock"));
        logs.set(at, "reason", "\"order_incomplete\"");
    }),
    damage("price altered", "decisions-recompute committed-readers-agree", |logs| {
        set_first(logs, "reserve", "price", "0.01");
    }),
    damage("price with one decimal", "decisions-recompute committed-readers-agree", |logs| {
        let at = logs.find(DECISIONS, |record| {
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).contains("0,\"action\"")
        });
        let price = logs.get(at).json()["price"].to_string();
        logs.set(at, "price", &price);
    }),
    damage("number of lines altered", "decisions-recompute committed-readers-agree", |logs| {
        set_first(logs, "reserve", "lines", "77");
    }),
    damage("timestamp altered", "decisions-recompute committed-readers-agree", |logs| {
        set_first(logs, "reserve", "timestamp", "\"2020-01-01T00:00:00.000Z\"");
    }),
    damage("restaurant altered", "decisions-recompute stock-balances committed-readers-agree", |logs| {
        set_first(logs, "reserve", "restaurant_id", "\"another\"");
    }),
    damage("blank added", "decisions-recompute committed-readers-agree", |logs| {
        let at = followed(logs, "reserve");
        logs.at(at).value.as_mut().expect("a value").push(b' ');
    }),
    damage("field added", "decisions-recompute committed-readers-agree", |logs| {
        set_first(logs, "reserve", "reason", "null,\"more\":1");
    }),
    damage("key altered", "decisions-recompute committed-readers-agree", |logs| {
        logs.at(followed(logs, "reserve")).key = Some(b"another".to_vec());
    }),
    damage("key removed", "decisions-recompute committed-readers-agree", |logs| {
        logs.at(followed(logs, "reserve")).key = None;
    }),
    damage(
        "source partition altered",
        "one-decision-per-line decisions-have-a-source committed-readers-agree",
        |logs| logs.set(release(logs), "partition", "77"),
    ),
    damage("source offset altered", "one-decision-per-line decisions-have-a-source committed-readers-agree", |logs| {
        logs.set(last(logs), "offset", "777777");
    }),
    damage(
        "source offset of a bad record",
        "one-decision-per-line decisions-have-a-source order-is-kept committed-readers-agree",
        |logs| {
            let letter = logs.get(logs.find(DEAD_LETTERS, |record| record.partition == 0)).value.clone();
            let bad = logs.find(ORDERS, |record| record.partition == 0 && record.value == letter).index;
            logs.set(last(logs), "offset", &bad.to_string());
        },
    ),
    damage("line altered", "one-decision-per-line decisions-have-a-source committed-readers-agree", |logs| {
        let at = last(logs);
        logs.set(at, "line", "77");
        logs.set(at, "lines", "78");
    }),
    damage("decision cut", "one-decision-per-line decisions-have-a-source committed-readers-agree", |logs| {
        let at = release(logs);
        logs.at(at).value.as_mut().expect("a value").truncate(40);
    }),
    damage("decision without value", "one-decision-per-line decisions-have-a-source committed-readers-agree", |logs| {
        logs.at(release(logs)).value = None;
    }),
    damage(
        "field of a decision bad",
        "one-decision-per-line decisions-have-a-source committed-readers-agree",
        |logs| {
            logs.set(release(logs), "action", "\"reverse\"");
        },
    ),
    damage("event type altered", "one-decision-per-line committed-readers-agree", |logs| {
        logs.set(release(logs), "event_type", "\"InventoryFact\"");
    }),
    damage(
        "moved to another partition",
        "one-decision-per-line decisions-have-a-source committed-readers-agree",
        |logs| {
            let at = release(logs);
            let record = logs.remove(at);
            logs.append(DECISIONS, 1 - at.partition, record, End::Commit);
        },
    ),
    damage("decision invented", "decisions-have-a-source", |logs| invent(logs, "777777")),
    damage("decision without an event", "decisions-have-a-source", |logs| {
        let mut record = logs.get(last(logs)).clone();
        record.value = Some(b"\xff\x00 no event".to_vec());
        logs.append(DECISIONS, 0, record, End::Plain);
    }),
    damage("order above the offset decided", "one-decision-per-line", |logs| {
        let above = logs.rfind(ORDERS, |record| record.partition == 0 && with(record, "status", "placed")).index;
        invent(logs, &above.to_string());
    }),
];
