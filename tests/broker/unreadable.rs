//! Owns batches that cannot be read: damaged on their way by a proxy, or larger than the client takes. Every command that reads them
//! ends with 7 and says where, none counts what is not as it was written, and damage that passes is lived through.

use super::Case;
use super::chaos::{FAST, GROUP, OPENING, RESTOCK_MILLIS};
use super::letters::{order, producer, put, repeated_noise, text};
use super::proxy::{Damage, Deed, Harm, Proxy, Rule};
use super::support::{Lab, Run};
use super::truth;
use foodstream::broker::ApiKey;
use rdkafka::message::OwnedHeaders;

pub const CASES: &[Case] = &[
    ("unreadable::a_flipped_bit_ends_every_command_that_reads_it", flipped_bits),
    ("unreadable::a_flipped_bit_in_a_changelog_ends_the_restore", flipped_in_changelogs),
    ("unreadable::whatever_is_wrong_with_a_batch_ends_inventory_and_scan", harms),
    ("unreadable::records_that_do_not_parse_are_not_waited_for_without_end", unparsed),
    ("unreadable::what_was_read_before_is_committed_and_the_way_on_loses_nothing", committed_before),
    ("unreadable::damage_that_passes_is_lived_through_and_told", passing),
    ("unreadable::damage_behind_what_is_read_does_not_matter", behind_what_is_read),
    ("unreadable::batches_that_are_too_large_for_the_client_are_told_with_the_property", too_large),
];

const ORDERS: &str = "produce --count 400 --partitions 2 --seed 51 -X batch.num.messages=20";

/// A batch in the middle of the orders' first partition.
fn damaged(lab: &Lab, topic: &str, offset: i64, how: Harm, times: u64) -> (Proxy, Lab) {
    let proxy = Proxy::new(&lab.broker);
    let topic: &'static str = lab.topic(topic).leak();
    proxy.add(Rule::new(ApiKey::Fetch, Deed::Damage(Damage { topic, partition: 0, offset, how, times })));
    let through = lab.through(&proxy.address());
    (proxy, through)
}

/// The offset at which the refused batch begins; the message names topic and partition, the hint says what to do.
fn refused_at(lab: &Lab, topic: &str, run: &Run) -> i64 {
    assert_eq!(run.code(), 7, "\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
    let told = run.stderr.split_once("error: the batch at offset ").map(|(_, rest)| rest);
    let (offset, rest) = told.and_then(|rest| rest.split_once(" of ")).expect(&run.stderr);
    assert!(rest.starts_with(&format!("{}/0 cannot be read: ", lab.topic(topic))), "{}", run.stderr);
    let hints = ["kafka-delete-records", "-X receive.message.max.bytes=1000000000"];
    assert!(hints.iter().any(|hint| run.stderr.contains(hint)), "{}", run.stderr);
    offset.parse().expect("an offset")
}

fn flipped_bits(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    // Each in the middle of its work: a group that has read nothing, and one whose next record is in the batch.
    let (proxy, through) = damaged(lab, "order-events", 60, Harm::Bit, u64::MAX);
    let mut found = Vec::new();
    for words in ["inventory --until-end", "lag", "analytics --from-beginning", "analytics --until-end", "analytics"] {
        found.push(refused_at(lab, "order-events", &through.run(words)));
    }
    assert!(found.iter().all(|offset| (1..=60).contains(offset) && *offset == found[0]), "{found:?}");
    assert!(proxy.counts().damaged > 10, "{}", proxy.counts().damaged);
    let refused = lab.run("analytics --from-beginning -X check.crcs=false").expect(2);
    assert!(refused.stderr.contains("check.crcs"), "{}", refused.stderr);
    // Without the damage everything is there, and a replay reads it again.
    lab.run("analytics --until-end").expect(0);
    for words in ["replay", "replay --shadow"] {
        assert_eq!(refused_at(lab, "order-events", &through.run(words)), found[0], "{words}");
    }
}

fn flipped_in_changelogs(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    lab.run("inventory --until-end").expect(0);
    lab.run("analytics --until-end").expect(0);
    for (topic, words) in [("inventory-ledger", "inventory --until-end"), ("analytics-state", "analytics --until-end")]
    {
        let (_proxy, through) = damaged(lab, topic, 0, Harm::Bit, u64::MAX);
        assert_eq!(refused_at(lab, topic, &through.run(words)), 0, "{words}");
        lab.run(words).expect(0);
    }
    let (_proxy, through) = damaged(lab, "inventory-events", 0, Harm::Bit, u64::MAX);
    assert_eq!(refused_at(lab, "inventory-events", &through.run("analytics --from-beginning")), 0);
}

fn harms(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    for how in [Harm::Compression, Harm::Codec, Harm::Format] {
        let (_proxy, through) = damaged(lab, "order-events", 60, how, u64::MAX);
        for words in ["inventory --until-end", "analytics --from-beginning"] {
            let at = refused_at(lab, "order-events", &through.run(words));
            assert!((1..=60).contains(&at), "{how:?} {words}: {at}");
        }
    }
}

/// The library says nothing of them: whoever reads must notice that nothing comes.
fn unparsed(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    let (_proxy, through) = damaged(lab, "order-events", 60, Harm::Records, u64::MAX);
    for words in ["inventory", "analytics --from-beginning"] {
        let run = through.run(&format!("{words} --timeout 6s")).expect(4);
        let said = format!("nothing came at {}/0 offset 41", lab.topic("order-events"));
        assert!(run.stderr.contains(&said), "{words}: {}", run.stderr);
    }
    assert_eq!(lab.committed(GROUP, "order-events")[0], Some(41));
}

fn committed_before(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    let (proxy, through) = damaged(lab, "order-events", 60, Harm::Bit, u64::MAX);
    // A transaction that would be open for long.
    let words = "inventory --until-end --commit-interval 9s";
    let at = refused_at(lab, "order-events", &through.run(words));
    assert_eq!(lab.committed(GROUP, "order-events")[0], Some(at), "everything before it is decided");
    proxy.clear();
    through.run(&format!("inventory {FAST} --until-end")).expect(0);
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

fn passing(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    let wanted = lab.document("analytics --from-beginning");
    let (proxy, through) = damaged(lab, "order-events", 60, Harm::Bit, 2);
    let run = through.run("analytics --from-beginning --output json").expect(0);
    assert!(run.stderr.contains("could not be read and is fetched again"), "{}", run.stderr);
    assert_eq!(run.document()["total_orders"], wanted["total_orders"]);
    assert_eq!(proxy.counts().damaged, 2);
    let (proxy, through) = damaged(lab, "order-events", 60, Harm::Bit, 2);
    let run = through.run(&format!("inventory {FAST} --until-end")).expect(0);
    assert!(run.stderr.contains("could not be read and is fetched again"), "{}", run.stderr);
    assert_eq!(proxy.counts().damaged, 2);
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

fn behind_what_is_read(lab: &Lab) {
    lab.run(ORDERS).expect(0);
    let (_proxy, through) = damaged(lab, "order-events", 60, Harm::Bit, u64::MAX);
    let at = refused_at(lab, "order-events", &through.run(&format!("inventory {FAST} --until-end")));
    // As far as it is whole.
    lab.set_offsets("looked-at", "order-events", &[(0, at - 5), (1, 0)]);
    through.run(&format!("lag --group {}", lab.topic("looked-at"))).expect(0);
    // As its hint says.
    lab.delete_records("order-events", 0, 100);
    through.run("analytics --from-beginning").expect(0);
    let gone = through.run("inventory --until-end").expect(7);
    assert!(gone.stderr.contains("offsets are gone unread"), "{}", gone.stderr);
}

/// The client's own limits, instead of batches of 100 MB.
fn too_large(lab: &Lab) {
    lab.create_topic("order-events", 2, &[("max.message.bytes", "4000000")]);
    let topic = lab.topic("order-events");
    let small = "-X receive.message.max.bytes=1500000 -X fetch.max.bytes=1000000";
    let large = "-X receive.message.max.bytes=200000000";
    put(&producer(lab, "none"), &topic, None, &order("before"), OwnedHeaders::new());
    // Larger than an answer may be.
    put(&producer(lab, "none"), &topic, None, &repeated_noise(1_800_000, 1), OwnedHeaders::new());
    // Larger when it is decompressed.
    put(&producer(lab, "zstd"), &topic, None, &text(5_000_000), OwnedHeaders::new());
    put(&producer(lab, "none"), &topic, None, &order("behind"), OwnedHeaders::new());
    for (at, read) in [(1, small), (2, "-X receive.message.max.bytes=2500000 -X fetch.max.bytes=1000000")] {
        for words in ["inventory --until-end", "analytics --from-beginning"] {
            let run = lab.run(&format!("{words} {read}"));
            assert_eq!(refused_at(lab, "order-events", &run), at, "{words}");
            assert!(run.stderr.contains("-X receive.message.max.bytes=1000000000"), "{}", run.stderr);
        }
        assert_eq!(lab.committed(GROUP, "order-events")[0], Some(at));
    }
    let document = lab.document(&format!("inventory --until-end {large}"));
    assert_eq!((&document["orders"], &document["dead_letters"]), (&1.into(), &1.into()), "{document}");
}
