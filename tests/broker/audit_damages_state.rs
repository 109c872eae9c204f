//! Damages to orders, offsets, ledger, dead letters and the state of analytics groups of a good run, each with the checks
//! that it violates.

use serde_json::{Value, json};

use super::audit_copy::{At, DEAD_LETTERS, DECISIONS, End, LEDGER, Logs, ORDERS, STATE};
use super::audit_damages::{Damage, damage, followed, with};
use super::invariants::{POSITION, number};
use super::support::StoredRecord;

fn is_position(record: &StoredRecord) -> bool {
    record.key.as_deref() == Some(POSITION)
}

/// The last position record of partition 0.
fn position(logs: &Logs) -> At {
    logs.rfind(LEDGER, |record| record.partition == 0 && is_position(record))
}

/// The last record of an item in partition 0: nothing changes this item later.
fn item(logs: &Logs) -> At {
    logs.rfind(LEDGER, |record| record.partition == 0 && !is_position(record))
}

fn edit(logs: &mut Logs, at: At, change: impl FnOnce(&mut Value)) {
    let record = logs.at(at);
    let mut value = record.json();
    change(&mut value);
    record.value = Some(value.to_string().into_bytes());
}

fn edit_position(logs: &mut Logs, change: impl FnOnce(&mut Value)) {
    edit(logs, position(logs), change);
}

/// Replaces a name in the last position of partition 0.
fn rename_position(logs: &mut Logs, name: &str, by: &str) {
    rename(logs, position(logs), name, by);
}

fn rename(logs: &mut Logs, at: At, name: &str, by: &str) {
    let value = String::from_utf8(logs.get(at).value.clone().expect("a value")).expect("text");
    assert!(value.contains(name), "{value}");
    logs.at(at).value = Some(value.replacen(name, by, 1).into_bytes());
}

fn edit_item(logs: &mut Logs, change: impl FnOnce(&mut Value)) {
    edit(logs, item(logs), change);
}

fn header<'a>(record: &'a mut StoredRecord, name: &str) -> &'a mut Option<Vec<u8>> {
    let name = format!("foodstream.dlq.{name}");
    &mut record.headers.iter_mut().find(|(key, _)| *key == name).expect("a header").1
}

fn set_header(logs: &mut Logs, name: &str, value: &str) {
    let at = logs.find(DEAD_LETTERS, |record| record.partition == 0);
    *header(logs.at(at), name) = Some(value.as_bytes().to_vec());
}

/// The order of the first decision in partition 0 that reserved stock and is followed by another about the item.
fn placed(logs: &Logs) -> At {
    let decision = logs.get(followed(logs, "reserve")).json();
    let source = (number(&decision["source"]["partition"]), number(&decision["source"]["offset"]));
    logs.find(ORDERS, |record| (i64::from(record.partition), record.offset) == source)
}

/// A bad record of partition 0 with a value.
fn bad(logs: &Logs) -> At {
    let offset = logs.find(DEAD_LETTERS, |record| record.partition == 0 && record.value.is_some());
    let value = logs.get(offset).value.clone();
    logs.find(ORDERS, |record| record.partition == 0 && record.value == value)
}

/// The ends of partition 0: of the orders, and the committed offset.
fn ends(logs: &Logs) -> (i64, i64) {
    let records = logs.spans[ORDERS][0].iter().map(|span| span.records.len()).sum::<usize>();
    (i64::try_from(records).expect("a count"), logs.committed[0].expect("an offset"))
}

/// The offset of the last order of partition 0 below the committed offset.
fn last_decided(logs: &Logs) -> i64 {
    let committed = ends(logs).1;
    let fits = |record: &StoredRecord| {
        record.partition == 0
            && record.offset < committed
            && (with(record, "status", "placed") || with(record, "status", "failed"))
    };
    logs.get(logs.rfind(ORDERS, fits)).offset
}

pub const OFFSET_DAMAGES: &[Damage] = &[
    damage("offset too far", "one-decision-per-line dead-letters-once position-equals-offset", |logs| {
        logs.committed[0] = Some(ends(logs).0);
    }),
    damage("offset beyond the end", "position-equals-offset", |logs| {
        logs.committed[0] = Some(ends(logs).0 + 1000);
    }),
    damage("offset not far enough", "one-decision-per-line position-equals-offset", |logs| {
        logs.committed[0] = Some(last_decided(logs));
    }),
    damage("offset at the start", "one-decision-per-line dead-letters-once position-equals-offset", |logs| {
        logs.committed[0] = Some(0);
    }),
    damage("no offset", "one-decision-per-line dead-letters-once position-equals-offset", |logs| {
        logs.committed[0] = None;
    }),
];

pub const LEDGER_DAMAGES: &[Damage] = &[
    damage("tail of the ledger lost", "position-equals-offset", |logs| {
        logs.partition(LEDGER, 0).pop();
    }),
    damage("ledger lost", "position-equals-offset", |logs| logs.partition(LEDGER, 0).clear()),
    damage("last position lost", "ledger-agrees position-equals-offset", |logs| drop(logs.remove(position(logs)))),
    damage("position deleted", "position-equals-offset", |logs| logs.at(position(logs)).value = None),
    damage("position unreadable", "position-equals-offset", |logs| {
        logs.at(position(logs)).value = Some(b"{".to_vec());
    }),
    damage("item deleted", "ledger-agrees", |logs| logs.at(item(logs)).value = None),
    damage("last value of an item lost", "ledger-agrees", |logs| drop(logs.remove(item(logs)))),
    damage("item unreadable", "ledger-agrees stock-balances", |logs| logs.at(item(logs)).value = Some(b"{".to_vec())),
    damage("units on hand of an item", "ledger-agrees stock-balances", |logs| {
        edit_item(logs, |value| value["on_hand"] = json!(number(&value["on_hand"]) + 1));
    }),
    damage("units of an item moved", "ledger-agrees", |logs| {
        edit_item(logs, |value| {
            value["on_hand"] = json!(number(&value["on_hand"]) + 1);
            value["reserved"] = json!(number(&value["reserved"]) - 1);
        });
    }),
    damage("reserved units of an item", "ledger-agrees stock-balances", |logs| {
        edit_item(logs, |value| value["reserved"] = json!(7_777));
    }),
    damage("period of an item", "ledger-agrees", |logs| edit_item(logs, |value| value["period"] = json!(1))),
    damage("source offset of an item", "ledger-agrees", |logs| {
        edit_item(logs, |value| value["source_offset"] = json!(7_777_777));
    }),
    damage("unknown item", "ledger-agrees", |logs| {
        let mut record = logs.get(item(logs)).clone();
        record.key = Some(b"[\"unknown\",\"unknown\"]".to_vec());
        record.value = Some(br#"{"on_hand":10,"reserved":0,"period":1,"source_offset":0}"#.to_vec());
        logs.append(LEDGER, 0, record, End::Commit);
    }),
    damage("key that is not an item", "ledger-agrees", |logs| {
        let mut record = logs.get(item(logs)).clone();
        record.key = Some(b"unknown".to_vec());
        record.value = Some(br#"{"on_hand":10,"reserved":0,"period":1,"source_offset":0}"#.to_vec());
        logs.append(LEDGER, 0, record, End::Plain);
    }),
    damage(
        "next offset too small",
        "stock-balances ledger-agrees position-equals-offset counts-agree records-unchanged",
        |logs| {
            let offset = logs.get(placed(logs)).offset;
            edit_position(logs, |value| value["next_offset"] = json!(offset));
        },
    ),
    damage("group altered", "position-equals-offset", |logs| {
        edit_position(logs, |value| value["group"] = json!("another"));
    }),
    damage("settings removed", "position-equals-offset", |logs| {
        edit_position(logs, |value| value["settings"] = json!(null));
    }),
    damage("name of a count altered", "counts-agree", |logs| rename_position(logs, "\"orders\":", "\"ordert\":")),
    damage("name of the count of records altered", "counts-agree", |logs| {
        rename_position(logs, "\"records\":", "\"recorde\":");
    }),
    damage("reserved count altered", "counts-agree", |logs| {
        edit_position(logs, |value| value["counts"]["reserved"] = json!(7_777));
    }),
    damage("count of records altered", "counts-agree", |logs| {
        edit_position(logs, |value| value["counts"]["records"] = json!(7_777));
    }),
    damage("count of dead letters altered", "counts-agree", |logs| {
        edit_position(logs, |value| value["counts"]["dead_letters"] = json!(0));
    }),
    damage("count of skipped records altered", "counts-agree", |logs| {
        edit_position(logs, |value| value["counts"]["skipped"] = json!(1));
    }),
    damage("name of a size altered", "counts-agree", |logs| rename_position(logs, "\"items\":", "\"itemt\":")),
    damage("name of the counts altered", "position-equals-offset counts-agree", |logs| {
        rename_position(logs, "\"counts\":", "\"countt\":");
    }),
    damage("name of the sizes altered", "position-equals-offset counts-agree", |logs| {
        rename_position(logs, "\"holds\":", "\"holdt\":");
    }),
    damage("name of the digest altered", "position-equals-offset records-unchanged", |logs| {
        rename_position(logs, "\"digest\":", "\"digesu\":");
    }),
    damage("name of the position altered", "position-equals-offset", |logs| {
        rename_position(logs, "\"next_offset\":", "\"next_offseu\":");
    }),
    damage("unknown field in the position", "position-equals-offset", |logs| {
        rename_position(logs, "\"log_start\":", "\"topic_ie\":\"x\",\"log_start\":");
    }),
    damage("digest altered", "records-unchanged", |logs| {
        edit_position(logs, |value| value["digest"] = json!("0123456789abcdef0123456789abcdef"));
    }),
    damage(
        "ledgers of partitions exchanged",
        "ledger-agrees position-equals-offset counts-agree records-unchanged",
        |logs| {
            let first = std::mem::take(logs.partition(LEDGER, 0));
            let second = std::mem::replace(logs.partition(LEDGER, 1), first);
            *logs.partition(LEDGER, 0) = second;
        },
    ),
];

pub const ORDER_DAMAGES: &[Damage] = &[
    damage("user of an order altered", "records-unchanged committed-readers-agree", |logs| {
        logs.set(placed(logs), "user_id", "\"another\"");
    }),
    damage("id of an order altered", "decisions-have-a-source records-unchanged committed-readers-agree", |logs| {
        logs.set(placed(logs), "order_id", "\"another\"");
    }),
    damage("price of an order altered", "decisions-recompute records-unchanged committed-readers-agree", |logs| {
        logs.set(placed(logs), "price", "0.01");
    }),
    damage("key of an order altered", "decisions-recompute records-unchanged committed-readers-agree", |logs| {
        logs.at(placed(logs)).key = Some(b"another".to_vec());
    }),
    damage(
        "quantity of an order altered",
        "decisions-have-a-source decisions-recompute ledger-agrees counts-agree records-unchanged \
         committed-readers-agree",
        |logs| logs.set(placed(logs), "quantity", "19"),
    ),
    damage(
        "placed order failed",
        "decisions-recompute ledger-agrees counts-agree records-unchanged committed-readers-agree",
        |logs| logs.set(placed(logs), "status", "\"failed\""),
    ),
    damage(
        "order made bad",
        "decisions-have-a-source decisions-recompute ledger-agrees counts-agree records-unchanged dead-letters-once \
         committed-readers-agree",
        |logs| logs.set(placed(logs), "status", "\"unknown\""),
    ),
    damage(
        "order made another event",
        "decisions-have-a-source decisions-recompute ledger-agrees counts-agree records-unchanged \
         committed-readers-agree",
        |logs| logs.set(placed(logs), "event_type", "\"OrderMoved\""),
    ),
    damage("bad record altered", "records-unchanged dead-letters-once committed-readers-agree", |logs| {
        let at = bad(logs);
        logs.at(at).value.as_mut().expect("a value").push(b'x');
    }),
    damage("timestamp of a bad record altered", "dead-letters-once", |logs| {
        let at = bad(logs);
        logs.at(at).timestamp += 1;
    }),
    damage("order above the offset altered", "", |logs| {
        let (end, _) = ends(logs);
        let at = logs.rfind(ORDERS, |record| record.partition == 0 && with(record, "status", "placed"));
        assert!(logs.get(at).offset < end, "an order above the offset");
        logs.set(at, "user_id", "\"another\"");
    }),
];

pub const DEAD_LETTER_DAMAGES: &[Damage] = &[
    damage("dead letter dropped", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |_| true);
        drop(logs.remove(at));
    }),
    damage("dead letter doubled", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |_| true);
        let record = logs.get(at).clone();
        logs.insert_after(at, record);
    }),
    damage("dead letter doubled later", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |_| true);
        let record = logs.get(at).clone();
        logs.append(DEAD_LETTERS, at.partition, record, End::Plain);
    }),
    damage("value of a dead letter altered", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |record| record.value.is_some());
        logs.at(at).value = Some(b"another".to_vec());
    }),
    damage("key of a dead letter altered", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |_| true);
        logs.at(at).key = Some(b"another".to_vec());
    }),
    damage("headers of a dead letter removed", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |_| true);
        logs.at(at).headers.clear();
    }),
    damage("topic of a dead letter altered", "dead-letters-once", |logs| set_header(logs, "topic", "another")),
    damage("partition of a dead letter altered", "dead-letters-once", |logs| set_header(logs, "partition", "77")),
    damage("offset of a dead letter altered", "dead-letters-once", |logs| set_header(logs, "offset", "777777")),
    damage("timestamp of a dead letter altered", "dead-letters-once", |logs| set_header(logs, "timestamp", "1")),
    damage("reason of a dead letter altered", "dead-letters-once", |logs| set_header(logs, "reason", "too_good: x")),
    damage("dead letter in another partition", "dead-letters-once", |logs| {
        let at = logs.find(DEAD_LETTERS, |record| record.partition == 0);
        let record = logs.remove(at);
        logs.append(DEAD_LETTERS, 1, record, End::Commit);
    }),
    damage("good order in the dead letters", "dead-letters-once", |logs| {
        let order = logs.get(placed(logs)).clone();
        let at = logs.find(DEAD_LETTERS, |record| record.partition == 0);
        let mut record = logs.get(at).clone();
        *header(&mut record, "offset") = Some(order.offset.to_string().into_bytes());
        *header(&mut record, "timestamp") = Some(order.timestamp.to_string().into_bytes());
        (record.key, record.value) = (order.key, order.value);
        logs.append(DEAD_LETTERS, 0, record, End::Commit);
    }),
    damage("dead letters of partitions exchanged", "dead-letters-once", |logs| {
        let first = std::mem::take(logs.partition(DEAD_LETTERS, 0));
        let second = std::mem::replace(logs.partition(DEAD_LETTERS, 1), first);
        *logs.partition(DEAD_LETTERS, 0) = second;
    }),
];

/// The position of the analytics group for a partition of a source topic.
fn reader(logs: &Logs, source: &str) -> At {
    logs.rfind(STATE, |record| {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
        key.starts_with("[\"@position\"") && key.contains(source) && record.value.is_some()
    })
}

pub const READER_DAMAGES: &[Damage] = &[
    damage("position of a reader unreadable", "committed-readers-agree", |logs| {
        let at = reader(logs, "order-events");
        logs.at(at).value = Some(b"{".to_vec());
    }),
    damage("name of the count of a reader altered", "committed-readers-agree", |logs| {
        rename(logs, reader(logs, "order-events"), "\"records\":", "\"recorde\":");
    }),
    damage("digest of a reader of orders altered", "committed-readers-agree", |logs| {
        let at = reader(logs, "order-events");
        logs.set(at, "digest", "\"0123456789abcdef0123456789abcdef\"");
    }),
    damage("digest of a reader of decisions altered", "committed-readers-agree", |logs| {
        let at = reader(logs, "inventory-events");
        logs.set(at, "digest", "\"0123456789abcdef0123456789abcdef\"");
    }),
    damage("count of a reader altered", "committed-readers-agree", |logs| {
        edit(logs, reader(logs, "order-events"), |value| value["counts"]["records"] = json!(7_777));
    }),
    damage("name of the counts of a reader altered", "committed-readers-agree", |logs| {
        rename(logs, reader(logs, "inventory-events"), "\"counts\":", "\"countt\":");
    }),
    damage("name of the epoch of a reader altered", "committed-readers-agree", |logs| {
        rename(logs, reader(logs, "order-events"), "\"epoch\":", "\"epoci\":");
    }),
    damage("start of a reader beyond the end", "committed-readers-agree", |logs| {
        edit(logs, reader(logs, "order-events"), |value| value["log_start"] = json!(7_777_777));
    }),
    damage("start of a reader altered", "committed-readers-agree", |logs| {
        edit(logs, reader(logs, "order-events"), |value| value["log_start"] = json!(2));
    }),
];

/// An audit waits for a minute before it reports these.
pub const OPEN_TRANSACTIONS: &[Damage] = &[
    damage("open transaction of decisions", "no-hanging-transaction", |logs| {
        let record = logs.get(logs.find(DECISIONS, |record| record.partition == 0)).clone();
        logs.append(DECISIONS, 0, record, End::Open);
    }),
    damage("open transaction of the ledger", "no-hanging-transaction", |logs| {
        let record = logs.get(item(logs)).clone();
        logs.append(LEDGER, 0, record, End::Open);
    }),
    damage("open transaction of dead letters", "no-hanging-transaction", |logs| {
        let record = logs.get(logs.find(DEAD_LETTERS, |record| record.partition == 0)).clone();
        logs.append(DEAD_LETTERS, 0, record, End::Open);
    }),
];
