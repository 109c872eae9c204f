//! Batches that cannot be read: corrupted by a proxy, or larger than the client accepts. Every command that reads them
//! exits 7 and names the position, no corrupt record is counted, and transient corruption is retried.

use super::Case;
use super::dead_letters::{order, producer, put, repeated_noise, text};
use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::proxy::{Action, Corruption, CorruptionKind, Proxy, Rule};
use super::support::{Run, TestEnv};
use foodstream::broker::ApiKey;
use rdkafka::message::OwnedHeaders;

pub const CASES: &[Case] = &[
    ("unreadable_batches::flipped_bit_ends_every_reader", flipped_bits),
    ("unreadable_batches::flipped_bit_in_a_changelog_ends_restore", flipped_bits_in_changelogs),
    ("unreadable_batches::every_corruption_ends_inventory_and_scan", every_kind),
    ("unreadable_batches::unparsable_records_time_out", unparsed),
    ("unreadable_batches::records_before_the_batch_are_committed", committed_before),
    ("unreadable_batches::transient_corruption_is_retried", transient),
    ("unreadable_batches::corruption_outside_the_range_is_ignored", behind_what_is_read),
    ("unreadable_batches::batches_over_client_limits_are_refused", too_large),
];

const ORDERS: &str = "produce --count 400 --partitions 2 --seed 51 -X batch.num.messages=20";

/// A proxy that corrupts the batch at this offset, and the environment behind it.
fn corrupted(env: &TestEnv, topic: &str, offset: i64, how: CorruptionKind, times: u64) -> (Proxy, TestEnv) {
    let proxy = Proxy::new(&env.broker);
    let topic: &'static str = env.topic(topic).leak();
    proxy.add(Rule::new(ApiKey::Fetch, Action::Corrupt(Corruption { topic, partition: 0, offset, how, times })));
    let through = env.through(&proxy.address());
    (proxy, through)
}

/// The offset of the refused batch. Also requires topic and partition in the message, and a hint.
fn refused_at(env: &TestEnv, topic: &str, run: &Run) -> i64 {
    assert_eq!(run.code(), 7, "\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
    let found = run.stderr.split_once("error: the batch at offset ").map(|(_, rest)| rest);
    let (offset, rest) = found.and_then(|rest| rest.split_once(" of ")).expect(&run.stderr);
    assert!(rest.starts_with(&format!("{}/0 cannot be read: ", env.topic(topic))), "{}", run.stderr);
    let hints = ["kafka-delete-records", "-X receive.message.max.bytes=1000000000"];
    assert!(hints.iter().any(|hint| run.stderr.contains(hint)), "{}", run.stderr);
    offset.parse().expect("an offset")
}

fn flipped_bits(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    // A group that has read nothing, and one whose next record is in the batch.
    let (proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Bit, u64::MAX);
    let mut found = Vec::new();
    for args in ["inventory --until-end", "lag", "analytics --from-beginning", "analytics --until-end", "analytics"] {
        found.push(refused_at(env, "order-events", &through.run(args)));
    }
    assert!(found.iter().all(|offset| (1..=60).contains(offset) && *offset == found[0]), "{found:?}");
    assert!(proxy.counts().corrupted > 10, "{}", proxy.counts().corrupted);
    let refused = env.run("analytics --from-beginning -X check.crcs=false").expect(2);
    assert!(refused.stderr.contains("check.crcs"), "{}", refused.stderr);
    // Without the corruption everything can be read, and a replay reads it again.
    env.run("analytics --until-end").expect(0);
    for args in ["replay", "replay --shadow"] {
        assert_eq!(refused_at(env, "order-events", &through.run(args)), found[0], "{args}");
    }
}

fn flipped_bits_in_changelogs(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    env.run("inventory --until-end").expect(0);
    env.run("analytics --until-end").expect(0);
    for (topic, args) in [("inventory-ledger", "inventory --until-end"), ("analytics-state", "analytics --until-end")] {
        let (_proxy, through) = corrupted(env, topic, 0, CorruptionKind::Bit, u64::MAX);
        assert_eq!(refused_at(env, topic, &through.run(args)), 0, "{args}");
        env.run(args).expect(0);
    }
    let (_proxy, through) = corrupted(env, "inventory-events", 0, CorruptionKind::Bit, u64::MAX);
    assert_eq!(refused_at(env, "inventory-events", &through.run("analytics --from-beginning")), 0);
}

fn every_kind(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    for how in [CorruptionKind::Compression, CorruptionKind::Codec, CorruptionKind::Format] {
        let (_proxy, through) = corrupted(env, "order-events", 60, how, u64::MAX);
        for args in ["inventory --until-end", "analytics --from-beginning"] {
            let at = refused_at(env, "order-events", &through.run(args));
            assert!((1..=60).contains(&at), "{how:?} {args}: {at}");
        }
    }
}

/// librdkafka reports nothing for such records: the reader must notice that none arrive.
fn unparsed(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    let (_proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Records, u64::MAX);
    for args in ["inventory", "analytics --from-beginning"] {
        let run = through.run(&format!("{args} --timeout 6s")).expect(4);
        let said = format!("nothing came at {}/0 offset 41", env.topic("order-events"));
        assert!(run.stderr.contains(&said), "{args}: {}", run.stderr);
    }
    assert_eq!(env.committed(GROUP, "order-events")[0], Some(41));
}

fn committed_before(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    let (proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Bit, u64::MAX);
    // A transaction that would stay open for long.
    let args = "inventory --until-end --commit-interval 9s";
    let at = refused_at(env, "order-events", &through.run(args));
    assert_eq!(env.committed(GROUP, "order-events")[0], Some(at), "everything before the batch is decided");
    proxy.clear();
    through.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn transient(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    let wanted = env.document("analytics --from-beginning");
    let (proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Bit, 2);
    let run = through.run("analytics --from-beginning --output json").expect(0);
    assert!(run.stderr.contains("could not be read and is fetched again"), "{}", run.stderr);
    assert_eq!(run.document()["total_orders"], wanted["total_orders"]);
    assert_eq!(proxy.counts().corrupted, 2);
    let (proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Bit, 2);
    let run = through.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    assert!(run.stderr.contains("could not be read and is fetched again"), "{}", run.stderr);
    assert_eq!(proxy.counts().corrupted, 2);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn behind_what_is_read(env: &TestEnv) {
    env.run(ORDERS).expect(0);
    let (_proxy, through) = corrupted(env, "order-events", 60, CorruptionKind::Bit, u64::MAX);
    let at = refused_at(env, "order-events", &through.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")));
    // Up to the batch all records are readable.
    env.set_offsets("looked-at", "order-events", &[(0, at - 5), (1, 0)]);
    through.run(&format!("lag --group {}", env.topic("looked-at"))).expect(0);
    // The command of the hint.
    env.delete_records("order-events", 0, 100);
    through.run("analytics --from-beginning").expect(0);
    let gone = through.run("inventory --until-end").expect(7);
    assert!(gone.stderr.contains("offsets were deleted unread"), "{}", gone.stderr);
}

/// Lowers the limits of the client, instead of writing batches of 100 MB.
fn too_large(env: &TestEnv) {
    env.create_topic("order-events", 2, &[("max.message.bytes", "4000000")]);
    let topic = env.topic("order-events");
    let small = "-X receive.message.max.bytes=1500000 -X fetch.max.bytes=1000000";
    let large = "-X receive.message.max.bytes=200000000";
    put(&producer(env, "none"), &topic, None, &order("before"), OwnedHeaders::new());
    // Larger than a response may be.
    put(&producer(env, "none"), &topic, None, &repeated_noise(1_800_000, 1), OwnedHeaders::new());
    // Larger after decompression.
    put(&producer(env, "zstd"), &topic, None, &text(5_000_000), OwnedHeaders::new());
    put(&producer(env, "none"), &topic, None, &order("behind"), OwnedHeaders::new());
    for (at, read) in [(1, small), (2, "-X receive.message.max.bytes=2500000 -X fetch.max.bytes=1000000")] {
        for args in ["inventory --until-end", "analytics --from-beginning"] {
            let run = env.run(&format!("{args} {read}"));
            assert_eq!(refused_at(env, "order-events", &run), at, "{args}");
            assert!(run.stderr.contains("-X receive.message.max.bytes=1000000000"), "{}", run.stderr);
        }
        assert_eq!(env.committed(GROUP, "order-events")[0], Some(at));
    }
    let document = env.document(&format!("inventory --until-end {large}"));
    assert_eq!((&document["orders"], &document["dead_letters"]), (&1.into(), &1.into()), "{document}");
}
