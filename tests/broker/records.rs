//! Sample records through the pipeline: bad ones become dead letters, valid ones are decided, and neither affects the
//! other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Case;
use super::invariants;
use super::inventory_kills::{OPENING_STOCK, RESTOCK_MILLIS};
use super::samples::{Expected, order_samples};
use super::support::{STEP_TIMEOUT, StoredRecord, TestEnv};

pub const CASES: &[Case] = &[
    ("records::each_bad_record_becomes_one_dead_letter", bad_records),
    ("records::bad_record_at_the_size_limit_is_processed", size_limit),
    ("records::small_dead_letter_limit_is_refused", small_dead_letters),
    ("records::poison_and_duplicate_rates_hold", poison_and_duplicates),
];

#[derive(Debug, Clone)]
pub struct Outgoing {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Outgoing {
    pub fn new(partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        Self { partition, key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) }
    }
}

/// Delivery results by index of the record.
#[derive(Default)]
struct Reports(Mutex<BTreeMap<usize, Result<i64, RDKafkaErrorCode>>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().expect("a code")),
        };
        self.0.lock().expect("not poisoned").insert(*index, result);
    }
}

/// Writes records of any size, one batch each, and returns the offset or error of each.
pub fn write(env: &TestEnv, topic: &str, records: &[Outgoing]) -> Vec<Result<i64, RDKafkaErrorCode>> {
    let name = env.topic(topic);
    let producer: BaseProducer<Reports> = ClientConfig::new()
        .set("bootstrap.servers", &env.broker)
        .set("acks", "all")
        .set("message.max.bytes", "8000000")
        .set("batch.num.messages", "1")
        .create_with_context(Reports::default())
        .expect("a producer");
    for (index, record) in records.iter().enumerate() {
        let mut outgoing: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(&name, Box::new(index)).partition(record.partition);
        outgoing.key = record.key.as_deref();
        outgoing.payload = record.value.as_deref();
        // A header value that is not UTF-8.
        outgoing.headers =
            Some(OwnedHeaders::new().insert(Header { key: "trace", value: Some(b"\xff\xfe".as_slice()) }));
        producer.send(outgoing).map_err(|(error, _)| error).expect("sent");
    }
    producer.flush(STEP_TIMEOUT).expect("flushed");
    let reports = std::mem::take(&mut *producer.context().0.lock().expect("not poisoned"));
    assert_eq!(reports.len(), records.len());
    reports.into_values().collect()
}

fn order(id: &str, restaurant: &str, item: &str, quantity: u32, status: &str, minute: usize) -> Vec<u8> {
    json!({
        "event_type": "OrderPlaced", "order_id": id, "user_id": "user_1", "restaurant_id": restaurant,
        "items": [{"item_id": item, "quantity": quantity, "price": 2.50}, {"item_id": "always", "quantity": 1, "price": 1}],
        "total_amount": 3.5, "status": status, "timestamp": format!("2026-11-22T12:{minute:02}:00.000Z"),
    })
    .to_string()
    .into_bytes()
}

fn header<'a>(record: &'a StoredRecord, name: &str) -> &'a str {
    let found: Vec<_> = record.headers.iter().filter(|(key, _)| key == name).collect();
    assert_eq!(found.len(), 1, "{name} in {:?}", record.headers);
    std::str::from_utf8(found[0].1.as_deref().expect("a value")).expect("text")
}

/// The source position in the headers of a dead letter.
fn origin(dead_letter: &StoredRecord) -> (i32, i64) {
    let number = |name: &str| header(dead_letter, name).parse::<i64>().expect("a number");
    let partition = i32::try_from(number("foodstream.dlq.partition")).expect("a partition");
    (partition, number("foodstream.dlq.offset"))
}

/// Requires exactly one dead letter per bad record, on the same partition, with equal bytes and the source in its
/// headers.
fn assert_dead_letters(env: &TestEnv, bad: &BTreeMap<(i32, i64), &str>, orders: &[StoredRecord]) {
    let dead_letters = env.read("order-events-dlq");
    let origins: Vec<_> = dead_letters.iter().map(origin).collect();
    let expected: Vec<_> = bad.keys().copied().collect();
    let mut sorted = origins.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "one dead letter per bad record");
    let by_position: HashMap<_, _> = orders.iter().map(|record| ((record.partition, record.offset), record)).collect();
    for (dead_letter, position) in dead_letters.iter().zip(origins) {
        let original = by_position[&position];
        let reason = header(dead_letter, "foodstream.dlq.reason");
        assert!(
            reason.starts_with(&format!("{}: ", bad[&position])),
            "{position:?}: {reason}, expected {}",
            bad[&position]
        );
        assert_eq!(dead_letter.partition, original.partition);
        assert_eq!(dead_letter.key, original.key, "{position:?}");
        assert_eq!(dead_letter.value, original.value, "{position:?}");
        let own = original.headers.len();
        assert_eq!(dead_letter.headers[..own], original.headers, "{position:?}: the original headers come first");
        assert!(dead_letter.headers[own..].iter().all(|(name, _)| name.starts_with("foodstream.dlq.")), "{position:?}");
        assert_eq!(header(dead_letter, "foodstream.dlq.topic"), env.topic("order-events"));
        assert_eq!(header(dead_letter, "foodstream.dlq.timestamp"), original.timestamp.to_string());
    }
}

fn bad_records(env: &TestEnv) {
    let clean = env.other("clean");
    for env in [env, &clean] {
        env.create_topic("order-events", 2, &[("max.message.bytes", "2000000")]);
    }
    let keys: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"restaurant_07"), Some(b"\xff\x00\xfe"), Some(b"order 7")];
    let mut records = Vec::new();
    let mut expectations = Vec::new();
    for (index, sample) in order_samples().into_iter().enumerate() {
        let partition = i32::try_from(index % 2).expect("small");
        let status = if index % 7 == 0 { "failed" } else { "placed" };
        // The restaurant and item of the samples, so that an effect on their stock becomes visible.
        let order_before = order(&format!("good-{index}"), "restaurant_07", "item_3", 1, status, index % 60);
        records.push(Outgoing::new(partition, Some(b"restaurant_07"), Some(&order_before)));
        expectations.push(Expected::Accepted);
        records.push(Outgoing::new(partition, keys[index % keys.len()], sample.value.as_deref()));
        expectations.push(sample.expected);
    }
    let written: Vec<i64> =
        write(env, "order-events", &records).into_iter().map(|result| result.expect("accepted")).collect();
    let accepted: Vec<usize> = (0..records.len()).filter(|&index| expectations[index] == Expected::Accepted).collect();
    let only_accepted: Vec<Outgoing> = accepted.iter().map(|&index| records[index].clone()).collect();
    let written_clean = write(&clean, "order-events", &only_accepted);

    let bad: BTreeMap<(i32, i64), &str> = (0..records.len())
        .filter_map(|index| match expectations[index] {
            Expected::Bad(reason) => Some(((records[index].partition, written[index]), reason)),
            _ => None,
        })
        .collect();
    let skipped = expectations.iter().filter(|expected| **expected == Expected::Skipped).count();
    assert!(bad.len() > 80 && skipped >= 5, "{} bad, {skipped} skipped", bad.len());

    // Little stock, so that each decision depends on the decisions before it.
    let command = "inventory --until-end --opening-stock 60";
    let document = env.document(command);
    let expected = clean.document(command);
    assert_eq!(document["dead_letters"], bad.len());
    assert_eq!(document["skipped"], skipped);
    for count in ["orders", "reserved", "rejected", "released"] {
        assert_eq!(document[count], expected[count], "{count}");
    }
    assert_eq!(document["orders"], accepted.len());
    assert!(document["rejected"].as_u64() > Some(0) && document["released"].as_u64() > Some(0), "{document}");
    let again = env.document(command);
    assert_eq!((&again["orders"], &again["dead_letters"]), (&json!(0), &json!(0)), "a second run decides nothing");
    assert_dead_letters(env, &bad, &env.read("order-events"));
    // The samples say what is bad, beyond what the independent checker knows.
    invariants::audit_agrees(env);

    // The same decisions in the same order, except for the offsets that bad records occupy.
    let renumbered: HashMap<(i32, i64), i64> = accepted
        .iter()
        .zip(&written_clean)
        .map(|(&index, clean)| ((records[index].partition, written[index]), clean.expect("accepted")))
        .collect();
    let decisions = |env: &TestEnv, renumber: bool| -> Vec<(i32, Option<Vec<u8>>, Value)> {
        let decisions = env.read("inventory-events").into_iter().map(|record| {
            let mut decision = record.json();
            if renumber {
                let offset = decision["source"]["offset"].as_i64().expect("an offset");
                decision["source"]["offset"] = json!(renumbered[&(record.partition, offset)]);
            }
            (record.partition, record.key, decision)
        });
        decisions.collect()
    };
    let (found, wanted) = (decisions(env, true), decisions(&clean, false));
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }

    let counts = |document: &Value| {
        ["total_orders", "bad_records", "skipped_records"].map(|name| document[name].as_u64().expect("a count"))
    };
    let metrics = env.document("analytics --from-beginning");
    assert_eq!(counts(&metrics), [accepted.len(), bad.len(), skipped].map(|count| count as u64));
    assert_eq!(metrics["inventory"]["reserved_orders"], document["reserved"]);
    let live = env.document("analytics --until-end --group live");
    assert_eq!(counts(&live), counts(&metrics));
    assert_eq!(env.document("replay")["verdict"], "identical");
}

/// Size of a batch beyond the value of its only record, with no key and the header that `write` adds.
fn overhead(env: &TestEnv, limit: usize) -> usize {
    // Measured: the largest accepted value is `limit` minus the overhead.
    let probe = env.other("probe");
    probe.create_topic("order-events", 1, &[("max.message.bytes", &limit.to_string())]);
    let is_accepted = |overhead: usize| {
        write(&probe, "order-events", &[Outgoing::new(0, None, Some(&vec![b'x'; limit - overhead]))])[0].is_ok()
    };
    (60..120).find(|&overhead| is_accepted(overhead)).expect("a batch's overhead is below 120 bytes")
}

fn size_limit(env: &TestEnv) {
    const LIMIT: usize = 100_000;
    let at = LIMIT - overhead(env, LIMIT);
    env.create_topic("order-events", 1, &[("max.message.bytes", &LIMIT.to_string())]);
    let bad = |bytes: usize| Outgoing::new(0, None, Some(&vec![b'x'; bytes]));
    let good = |id: &str| Outgoing::new(0, None, Some(&order(id, "r", "i", 1, "placed", 0)));
    // Several at the limit in a row do not fit into one batch.
    let records = [good("a"), bad(at - 1), bad(at), bad(at), bad(at), good("b"), bad(at + 1), good("c")];
    let result = write(env, "order-events", &records);
    let refused: Vec<bool> = result.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, false, false, false, false, true, false]);
    assert_eq!(result[6], Err(RDKafkaErrorCode::MessageSizeTooLarge));

    let document = env.document("inventory --until-end");
    assert_eq!((&document["orders"], &document["dead_letters"]), (&json!(3), &json!(4)), "{document}");
    let expected = (1..=4).map(|offset| ((0, offset), "not_json")).collect();
    assert_dead_letters(env, &expected, &env.read("order-events"));
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn small_dead_letters(env: &TestEnv) {
    env.create_topic("order-events", 1, &[("max.message.bytes", "100000")]);
    env.create_topic("order-events-dlq", 1, &[("max.message.bytes", "100000")]);
    let refused = env.run("inventory --until-end").expect(7);
    assert!(refused.stderr.contains("100,000 bytes") && refused.stderr.contains("165,536 bytes"), "{}", refused.stderr);
    // The hint is a complete command.
    let hint =
        refused.stderr.lines().find_map(|line| line.trim().strip_prefix("hint: kafka-configs ")).expect("a hint");
    let args = hint.replace(&format!("--bootstrap-server {} ", env.broker), "");
    assert_ne!(args, hint, "the hint contains the bootstrap server: {hint}");
    let (key, value) =
        args.trim().split_once("--add-config ").and_then(|(_, config)| config.split_once('=')).expect("a config");
    if env.is_kafka() {
        env.tool("kafka-configs", &args);
        env.until_config("order-events-dlq", key, value);
    } else {
        env.set_config("order-events-dlq", key, value);
    }
    let bad = vec![b'x'; 99_000];
    write(env, "order-events", &[Outgoing::new(0, None, Some(&bad))]);
    assert_eq!(env.document("inventory --until-end")["dead_letters"], 1);
}

/// Whether a record is bad, by an independent reader that covers what `--poison-rate` does.
fn is_bad(value: Option<&[u8]>) -> bool {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "deserialising requires each field and its type")]
    struct Strict {
        event_type: String,
        order_id: String,
        user_id: String,
        restaurant_id: String,
        items: Vec<Line>,
        total_amount: f64,
        status: String,
        timestamp: String,
    }
    #[derive(Deserialize)]
    struct Line {
        quantity: u32,
        price: f64,
    }
    // Also parsed as a `Value`, which checks unknown fields and limits the nesting.
    let whole = |value| serde_json::from_slice::<Value>(value).ok().and_then(|_| serde_json::from_slice(value).ok());
    let Some(order): Option<Strict> = value.and_then(whole) else { return true };
    let whole_cents = |amount: f64| (amount * 100.0 - (amount * 100.0).round()).abs() < 1e-4 && amount >= 0.0;
    let seconds = order.timestamp.get(17..19).and_then(|seconds| seconds.parse::<u32>().ok());
    order.order_id.is_empty()
        || !["placed", "failed"].contains(&&*order.status)
        || order.items.is_empty()
        || order.items.iter().any(|line| line.quantity == 0 || !whole_cents(line.price))
        || seconds.is_none_or(|seconds| seconds > 59)
}

fn poison_and_duplicates(env: &TestEnv) {
    const COUNT: usize = 4_000;
    env.run("produce --count 4000 --seed 11 --poison-rate 5% --duplicate-rate 5%").expect(0);
    let orders = env.read("order-events");
    assert_eq!(orders.len(), COUNT);
    let (bad, good): (Vec<&StoredRecord>, Vec<&StoredRecord>) =
        orders.iter().partition(|record| is_bad(record.value.as_deref()));
    // Five percent of 4,000 are 200; a difference of 40 is more than three standard deviations.
    assert!((160..=240).contains(&bad.len()), "{} bad records", bad.len());
    let mut seen: HashMap<String, &StoredRecord> = HashMap::new();
    let mut repeated = 0;
    for record in &good {
        let id = record.json()["order_id"].as_str().expect("an id").to_owned();
        if let Some(first) = seen.insert(id, record) {
            repeated += 1;
            assert_eq!((&first.key, &first.value, first.partition), (&record.key, &record.value, record.partition));
        }
    }
    assert!((150..=240).contains(&repeated), "{repeated} repeated orders");

    let document = env.document("inventory --until-end");
    assert_eq!(document["dead_letters"], bad.len());
    assert_eq!(document["orders"], good.len(), "a repeated order is decided again");
    let dead_letters: BTreeSet<_> = env.read("order-events-dlq").iter().map(origin).collect();
    assert_eq!(dead_letters, bad.iter().map(|record| (record.partition, record.offset)).collect());
    let decided: BTreeSet<(i32, i64)> = env
        .read("inventory-events")
        .iter()
        .map(|decision| (decision.partition, decision.json()["source"]["offset"].as_i64().expect("an offset")))
        .collect();
    assert_eq!(decided, good.iter().map(|record| (record.partition, record.offset)).collect());
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}
