//! A log for replays, with transactions, markers, aborts, deleted records and chosen timestamps; and the metrics that a
//! group must have counted from it.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use super::groups::{GROUP, SOURCES, assert_offsets_match_positions, positions};
use super::invariants::{self, number};
use super::inventory_model::InventoryModel;
use super::support::{STEP_TIMEOUT, StoredRecord, TestEnv, until};

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;

/// Writes transactions of orders with given record timestamps.
pub struct Writer<'a> {
    env: &'a TestEnv,
    producer: BaseProducer,
    orders: Vec<Vec<StoredRecord>>,
}

impl<'a> Writer<'a> {
    pub fn new(env: &'a TestEnv) -> Self {
        let source = env.other("orders");
        source.run("produce --count 1500 --seed 7 --partitions 3").expect(0);
        let mut orders = vec![Vec::new(); 3];
        for record in source.read("order-events").into_iter().rev() {
            orders[usize::try_from(record.partition).expect("a partition")].push(record);
        }
        env.create_topic("order-events", 3, &[]);
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &env.broker)
            .set("transactional.id", env.topic("writer"))
            .create()
            .expect("a producer");
        producer.init_transactions(STEP_TIMEOUT).expect("initialised");
        Self { env, producer, orders }
    }

    /// Writes `count` orders with each timestamp to every partition, in one transaction.
    pub fn transaction(&mut self, runs: &[(usize, i64)], commits: bool) {
        let (topic, producer) = (self.env.topic("order-events"), &self.producer);
        producer.begin_transaction().expect("begun");
        for (count, timestamp) in runs {
            for (partition, orders) in (0..).zip(&mut self.orders) {
                for order in orders.split_off(orders.len() - count).iter().rev() {
                    let mut record: BaseRecord<'_, [u8], [u8]> =
                        BaseRecord::to(&topic).partition(partition).timestamp(*timestamp);
                    record.key = order.key.as_deref();
                    record.payload = order.value.as_deref();
                    producer.send(record).map_err(|(error, _)| error).expect("sent");
                }
            }
        }
        // Wait for the acknowledgements here, because the flush of the crate polls in long intervals.
        until("all records are acknowledged", || {
            producer.poll(std::time::Duration::from_millis(1));
            (producer.in_flight_count() == 0).then_some(())
        });
        if commits {
            producer.commit_transaction(STEP_TIMEOUT).expect("committed");
        } else {
            producer.abort_transaction(STEP_TIMEOUT).expect("aborted");
        }
    }
}

/// Timestamps within the log of [`log`].
pub struct Times {
    /// Start of the later decisions, in milliseconds since 1970.
    pub decisions: i64,
    /// Among the later orders, after every decision.
    pub orders: i64,
}

/// Writes orders and decisions with markers, gaps and deleted records; all are counted except the last few orders.
pub fn log(env: &TestEnv) -> Times {
    let now = now();
    let mut writer = Writer::new(env);
    writer.transaction(&[(20, now - 3 * HOUR), (20, now - HOUR)], true);
    writer.transaction(&[(5, now - HOUR)], false);
    writer.transaction(&[(20, now - HOUR / 2)], true);
    // In the middle of the oldest transaction, and in the middle of the gap.
    env.delete_records("order-events", 0, 7);
    env.delete_records("order-events", 1, 43);
    env.run("inventory --until-end").expect(0);
    let decided: Vec<i64> = env.settled_watermarks("inventory-events").iter().map(|(_, end)| *end).collect();
    for minute in 1..=4 {
        writer.transaction(&[(10, now + minute * MINUTE)], true);
        writer.transaction(&[(3, now + minute * MINUTE)], false);
    }
    env.run("inventory --until-end").expect(0);
    invariants::check(env, 100, HOUR);
    env.run("analytics --until-end").expect(0);
    let later = env.read("inventory-events").into_iter();
    let later =
        later.filter(|record| record.offset >= decided[usize::try_from(record.partition).expect("a partition")]);
    let decisions = later.map(|record| record.timestamp).min().expect("a decision");
    writer.transaction(&[(5, now + 30 * MINUTE)], true);
    Times { decisions, orders: now + 5 * MINUTE / 2 }
}

#[allow(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
pub fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// With the `Z` of RFC 3339, which Kafka's tool omits.
pub fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).expect("a time").strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The expected metrics of the group, from the orders below its committed offsets.
pub fn expected_metrics(env: &TestEnv) -> Value {
    let (records, offsets) = (env.read("order-events"), env.committed(GROUP, "order-events"));
    let (mut counts, mut minutes, mut failed, mut cents) = (BTreeMap::new(), BTreeMap::new(), 0, 0);
    for (partition, offset) in (0..).zip(offsets) {
        let mut model = InventoryModel::default();
        let own = records.iter().filter(|record| record.partition == partition);
        for record in own.filter(|record| Some(record.offset) < offset) {
            model.apply(record, 100, HOUR);
            let order = record.json();
            let minute = format!("{}Z", &order["timestamp"].as_str().expect("a time")[..16]);
            *minutes.entry(minute).or_insert(0) += 1;
            failed += i64::from(order["status"] == "failed");
        }
        for (name, count) in &model.counts {
            *counts.entry(*name).or_insert(0) += count;
        }
        for (_, decision) in model.decisions.iter().filter(|(_, decision)| decision["action"] == "reserve") {
            #[allow(clippy::cast_possible_truncation, reason = "a price in cents")]
            let price = (decision["price"].as_f64().expect("a price") * 100.0).round() as i64;
            cents += number(&decision["quantity"]) * price;
        }
    }
    json!({
        "total_orders": counts["orders"], "failed_orders": failed, "orders_by_minute": minutes,
        "reserved_orders": counts["reserved"], "rejected_orders": counts.get("rejected").copied().unwrap_or(0),
        "released_orders": counts["released"], "reserved_revenue": format!("{}.{:02}", cents / 100, cents % 100),
    })
}

pub fn assert_metrics(document: &Value, expected_metrics: &Value, what: &str) {
    for (name, value) in expected_metrics.as_object().expect("an object") {
        let actual = document.get(name).unwrap_or(&document["inventory"][name]);
        assert_eq!(actual, value, "{what}: {name}");
    }
}

/// Requires that offsets and positions agree, and that count and digest of each position match the records below it.
pub fn assert_positions_match_log(env: &TestEnv, group: &str) {
    assert_offsets_match_positions(env, group);
    for topic in SOURCES {
        let records = env.read(topic);
        for ((source, partition), position) in positions(env, group) {
            if source != env.topic(topic) {
                continue;
            }
            let next = number(&position["next_offset"]);
            let own = records.iter().filter(|record| i64::from(record.partition) == partition);
            let (count, digest) = invariants::read_between(own, &position);
            assert_eq!(position["counts"]["records"], count, "{group}: {source}/{partition} at {next}");
            assert_eq!(position["digest"], digest, "{group}: {source}/{partition} at {next}");
        }
    }
}
