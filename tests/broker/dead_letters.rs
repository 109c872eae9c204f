//! Dead letters of unusual size: large and compressed records, cut values, and headers.

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use super::Case;
use super::audit::violated;
use super::audit_copy::{DEAD_LETTERS, Logs};
use super::invariants::{self, TopicSnapshot};
use super::inventory_kills::{OPENING_STOCK, RESTOCK_MILLIS};
use super::support::{STEP_TIMEOUT, StoredRecord, TestEnv};

pub const CASES: &[Case] = &[
    ("dead_letters::large_compressed_records_are_kept_whole", large_records),
    ("dead_letters::oversized_record_is_cut_with_size_and_digest", oversized),
    ("dead_letters::kept_bytes_of_cut_values_are_audited", kept_bytes),
    ("dead_letters::original_headers_come_first", original_headers),
    ("dead_letters::size_error_names_the_topic", size_errors),
];

const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];

/// A producer of batches with one record.
pub fn producer(env: &TestEnv, codec: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", &env.broker)
        .set("acks", "all")
        .set("compression.type", codec)
        .set("message.max.bytes", "100000000")
        .set("batch.num.messages", "1")
        .create()
        .expect("a producer")
}

pub fn put(producer: &BaseProducer, topic: &str, key: Option<&[u8]>, value: &[u8], headers: OwnedHeaders) {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0).payload(value).headers(headers);
    record.key = key;
    producer.send(record).map_err(|(error, _)| error).expect("sent");
    producer.flush(STEP_TIMEOUT).expect("flushed");
}

pub fn order(id: &str) -> Vec<u8> {
    json!({
        "event_type": "OrderPlaced", "order_id": id, "user_id": "u", "restaurant_id": "r",
        "items": [{"item_id": "i", "quantity": 1, "price": 1.0}], "total_amount": 1.0, "status": "placed",
        "timestamp": "2026-11-22T12:00:00.000Z",
    })
    .to_string()
    .into_bytes()
}

fn header<'a>(dead_letter: &'a StoredRecord, name: &str) -> &'a str {
    let (_, value) = dead_letter.headers.iter().rfind(|(found, _)| found == name).expect(name);
    std::str::from_utf8(value.as_deref().expect("a value")).expect("text")
}

/// Text like a log of orders: not repetitive, but it compresses well.
pub fn text(bytes: usize) -> Vec<u8> {
    let line = |number: usize| format!("{{\"order_id\":\"{:05}\",\"status\":\"placed\"}}\n", number % 997);
    (0..).flat_map(|number| line(number).into_bytes()).take(bytes).collect()
}

fn large_records(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    let topic = env.topic("order-events");
    let sizes = [1_200_000, 5_000_000];
    for codec in CODECS {
        let producer = producer(env, codec);
        for bytes in sizes {
            let headers = || OwnedHeaders::new().insert(Header { key: "codec", value: Some(codec) });
            put(&producer, &topic, Some(b"key"), &text(bytes), headers());
            put(&producer, &topic, None, &order(codec), headers());
        }
    }
    let document = env.document("inventory --until-end");
    assert_eq!((&document["orders"], &document["dead_letters"]), (&json!(8), &json!(8)), "{document}");
    let dead_letters = env.read("order-events-dlq");
    assert_eq!(dead_letters.len(), 8);
    let expected = CODECS.iter().flat_map(|codec| sizes.map(|bytes| (codec, bytes)));
    for (dead_letter, (codec, bytes)) in dead_letters.iter().zip(expected) {
        assert_eq!(header(dead_letter, "codec"), *codec);
        assert_eq!(dead_letter.key.as_deref(), Some(&b"key"[..]));
        assert!(dead_letter.value.as_deref() == Some(&text(bytes)), "{codec}: the value of {bytes} bytes is unchanged");
        assert!(header(dead_letter, "foodstream.dlq.reason").starts_with("not_json: "), "{dead_letter:?}");
    }
    // `analytics` counts the same records.
    assert_eq!(env.document("analytics --from-beginning")["bad_records"], 8);
    assert_eq!(env.document("inventory --until-end")["dead_letters"], 0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Repeated incompressible blocks: a codec with a large window finds the repetition, gzip does not.
pub fn repeated_noise(block: usize, times: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut noise = Vec::with_capacity(block);
    while noise.len() < block {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push(state.to_be_bytes()[0]);
    }
    noise.repeat(times)
}

fn oversized(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    let topic = env.topic("order-events");
    let (value, zstd) = (repeated_noise(600_000, 8), producer(env, "zstd"));
    put(
        &zstd,
        &topic,
        Some(b"key"),
        &value,
        OwnedHeaders::new().insert(Header { key: "traceparent", value: Some("00-1") }),
    );
    put(&zstd, &topic, None, &order("behind"), OwnedHeaders::new());
    let document = env.document("inventory --until-end");
    assert_eq!((&document["orders"], &document["dead_letters"]), (&json!(1), &json!(1)), "{document}");
    let dead_letters = env.read("order-events-dlq");
    let [dead_letter] = dead_letters.as_slice() else { panic!("one dead letter: {}", dead_letters.len()) };
    assert_eq!(dead_letter.key.as_deref(), Some(&b"key"[..]));
    assert!(dead_letter.value.as_deref() == Some(&value[..65_536]), "the first 64 KiB");
    assert_eq!(
        header(dead_letter, "foodstream.dlq.reason").split_once("; ").expect("a note").1,
        "the value is cut: the first 65536 of 4800000 bytes"
    );
    assert_eq!(header(dead_letter, "foodstream.dlq.value.size"), "4800000");
    // Computed with `sha256sum`.
    assert_eq!(header(dead_letter, "foodstream.dlq.value.sha256"), REPEATED_NOISE);
    assert_eq!(dead_letter.headers[0], ("traceparent".to_owned(), Some(b"00-1".to_vec())));
    // A cut value is compared by its checksum.
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// The client's limit is so small that values are cut, the second one more than usual.
fn kept_bytes(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    let (topic, zstd) = (env.topic("order-events"), producer(env, "zstd"));
    put(&zstd, &topic, None, &repeated_noise(200_000, 1), OwnedHeaders::new());
    env.run("inventory --until-end -X message.max.bytes=100000").expect(0);
    put(&zstd, &topic, None, &repeated_noise(40_000, 1), OwnedHeaders::new());
    env.run("inventory --until-end -X message.max.bytes=30000").expect(0);
    let kept: Vec<usize> =
        env.read(DEAD_LETTERS).iter().map(|letter| letter.value.as_deref().map_or(0, <[u8]>::len)).collect();
    assert_eq!(kept, [65_536, 30_000 - 4_096]);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
    let good = Logs::read(env);
    for (number, index) in [0, 1, 0, 1].into_iter().enumerate() {
        let mut logs = good.clone();
        let at = logs.places(DEAD_LETTERS)[index];
        let value = &mut logs.at(at).value;
        match number {
            0 | 1 => value.as_mut().expect("a value")[25_000] ^= 1,
            _ => *value = None,
        }
        let copy = logs.write(env.other(&format!("{number}")));
        let run = copy.env.run("audit --output json").expect(3);
        let truth = TopicSnapshot::of(&copy.env).violations().names();
        assert_eq!(truth.into_iter().collect::<Vec<_>>(), ["dead-letters-once"]);
        assert_eq!(violated(&run.document()).into_iter().collect::<Vec<_>>(), ["dead-letters-once"], "{}", run.stdout);
    }
}

const REPEATED_NOISE: &str = "8612bdd04c7ef25db89c26c8c202e51118c7511f2bef39cfa2d28e9ee0e30b82";

fn original_headers(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    let topic = env.topic("order-events");
    let plain = producer(env, "none");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "traceparent", value: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") })
        .insert(Header { key: "__TypeId__", value: Some("com.example.Order") })
        .insert(Header { key: "twice", value: Some("first") })
        .insert(Header { key: "null", value: None::<&str> })
        .insert(Header { key: "empty", value: Some("") })
        .insert(Header { key: "", value: Some(b"\xff\x00".as_slice()) })
        .insert(Header { key: "twice", value: Some("second") });
    put(&plain, &topic, Some(b"k"), b"no order", headers);
    put(&plain, &topic, None, b"bare", OwnedHeaders::new());
    env.run("inventory --until-end").expect(0);
    let first = env.read("order-events-dlq").remove(0);
    let header_pair = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let original = [
        header_pair("traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        header_pair("__TypeId__", Some(b"com.example.Order")),
        header_pair("twice", Some(b"first")),
        header_pair("null", None),
        header_pair("empty", Some(b"")),
        header_pair("", Some(b"\xff\x00")),
        header_pair("twice", Some(b"second")),
    ];
    assert_eq!(first.headers[..original.len()], original);
    let names: Vec<&str> = first.headers[original.len()..].iter().map(|(name, _)| name.as_str()).collect();
    let ours = ["reason", "topic", "partition", "offset", "timestamp"].map(|name| format!("foodstream.dlq.{name}"));
    assert_eq!(names, ours);

    // A dead letter that is produced again unchanged: the newest headers follow its earlier ones.
    let again = first.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: name, value: value.as_deref() })
    });
    put(&plain, &topic, first.key.as_deref(), first.value.as_deref().expect("a value"), again);
    env.run("inventory --until-end").expect(0);
    let second = env.read("order-events-dlq").remove(2);
    assert_eq!(second.headers[..first.headers.len()], first.headers);
    assert_eq!((header(&first, "foodstream.dlq.offset"), header(&second, "foodstream.dlq.offset")), ("0", "2"));
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn size_errors(env: &TestEnv) {
    env.create_topic("order-events", 1, &[]);
    let topic = env.topic("order-events");
    let gzip = producer(env, "gzip");
    put(&gzip, &topic, None, &order("before"), OwnedHeaders::new());
    // A valid order whose key is repeated in each of its decisions.
    put(&gzip, &topic, Some(&text(1_200_000)), &order("with a key"), OwnedHeaders::new());
    put(&gzip, &topic, None, &order("behind"), OwnedHeaders::new());
    // The call that fails the transaction is not always the one that reports it.
    for args in ["", "--commit-interval 1ms", "--commit-interval 5s", "--throttle 20/s"] {
        let refused = env.run(&format!("inventory --until-end {args}")).expect(7);
        let decisions = env.topic("inventory-events");
        let said = format!("writing to {decisions}: MessageSizeTooLarge");
        assert!(refused.stderr.contains(&said), "{args}: {}", refused.stderr);
        let hint = format!("--entity-name {decisions} --add-config max.message.bytes=");
        assert!(refused.stderr.contains(&hint), "{args}: {}", refused.stderr);
    }
    env.set_config("inventory-events", "max.message.bytes", "2000000");
    env.run("inventory --until-end").expect(0);
    assert_eq!(env.read("inventory-events").len(), 3);
}
