//! One altered byte anywhere: `audit` finds it and names the record. The byte is altered in what readers get, with a right
//! checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use foodstream::broker::ApiKey;
use serde_json::Value;

use super::Case;
use super::audit::{parallel, violated};
use super::audit_copy::{DEAD_LETTERS, DECISIONS, LEDGER, ORDERS};
use super::invariants::{POSITION, TopicSnapshot};
use super::inventory_kills::Random;
use super::proxy::{Action, AlteredByte, Corruption, CorruptionKind, Proxy, Rule};
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[("audit::one_altered_byte_is_found_with_its_record", altered_bytes)];

/// A record and the byte that is altered in it.
struct Place {
    topic: &'static str,
    record: StoredRecord,
    byte: AlteredByte,
}

/// A random byte of a key or value.
fn place(random: &mut Random, topic: &'static str, records: &[StoredRecord]) -> Place {
    loop {
        let record = &records[random.index(records.len())];
        let is_key = random.below(8) == 0;
        let part = if is_key { &record.key } else { &record.value };
        let length = part.as_ref().map_or(0, Vec::len);
        if length > 0 {
            let byte = AlteredByte { is_key, index: random.index(length), bits: 1 << random.below(8) };
            return Place { topic, record: record.clone(), byte };
        }
    }
}

/// A byte of the user in an order in the middle. No decision has the user: only the digest of the orders knows it.
fn user(orders: &[StoredRecord]) -> Place {
    let name = b"\"user_id\":\"";
    let user = |record: &StoredRecord| {
        let value = record.value.as_deref().unwrap_or_default();
        // Bad records are of no use here.
        let is_order = serde_json::from_slice(value).is_ok_and(|order: Value| order["status"] == "placed");
        value.windows(name.len()).position(|window| window == name).filter(|_| is_order)
    };
    let find = |record: &StoredRecord| Some((record.clone(), user(record)? + name.len()));
    let (record, index) = orders[orders.len() / 2..].iter().find_map(find).expect("an order");
    Place { topic: ORDERS, record, byte: AlteredByte { is_key: false, index, bits: 1 } }
}

fn number_of(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn altered_bytes(env: &TestEnv) {
    let orders = number_of("FOODSTREAM_AUDIT_ORDERS", 600);
    let places = number_of("FOODSTREAM_AUDIT_PLACES", 16);
    let mut random = Random::seeded_or(|| 1);
    env.run(&format!("produce --count {orders} --seed 9 --poison-rate 1% --duplicate-rate 1%")).expect(0);
    // Several transactions: a range of orders is that of one of them.
    env.run("inventory --until-end --commit-interval 40ms --throttle 2000/s").expect(0);
    env.run("analytics --until-end").expect(0);
    let transactions = transactions(&env.read(LEDGER));
    // Older records of a key in the ledger say nothing.
    let mut keys = BTreeSet::new();
    let mut ledger = env.read(LEDGER);
    ledger.reverse();
    ledger.retain(|record| keys.insert((record.partition, record.key.clone())));
    let topics = [
        (ORDERS, env.read(ORDERS)),
        (DECISIONS, env.read(DECISIONS)),
        (LEDGER, ledger),
        (DEAD_LETTERS, env.read(DEAD_LETTERS)),
    ];
    // Of ten places, four are in orders, four in decisions.
    let share = [0, 0, 0, 0, 1, 1, 1, 1, 2, 3];
    let mut places: Vec<Place> = (0..places)
        .map(|index| {
            let (topic, records) = &topics[share[index % share.len()]];
            place(&mut random, topic, records)
        })
        .collect();
    places.push(user(&topics[0].1));
    // A large snapshot is not kept 16 times.
    let opinions = orders <= 10_000;
    let found = parallel(&places, |_, place| Some(found(env, place, &transactions, opinions)));
    let problems: Vec<&String> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    assert!(problems.is_empty(), "{} of {}: {problems:#?}", problems.len(), places.len());
    assert!(found.contains(&Ok(Named::Range)), "the user is in a range");
    let ranges = found.iter().filter(|found| **found == Ok(Named::Range)).count();
    assert!(4 * ranges <= places.len(), "{ranges} of {} are named by a range of records only", places.len());
    eprintln!("{} altered bytes in {orders} orders: {ranges} are named by a range of records only", places.len());
}

/// The orders of each transaction, by partition, from the positions in the ledger.
fn transactions(ledger: &[StoredRecord]) -> BTreeMap<i32, Vec<Range<i64>>> {
    let mut found: BTreeMap<i32, Vec<Range<i64>>> = BTreeMap::new();
    for record in ledger.iter().filter(|record| record.key.as_deref() == Some(POSITION)) {
        let of_partition = found.entry(record.partition).or_default();
        let start = of_partition.last().map_or(0, |last| last.end);
        let end = record.json()["next_offset"].as_i64().expect("an offset");
        of_partition.push(start..end);
    }
    assert!(found.values().all(|transactions| transactions.len() > 1), "several transactions: {found:?}");
    found
}

/// How evidence names a record.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Record,
    /// The orders of its transaction have another digest.
    Range,
}

fn found(
    env: &TestEnv,
    place: &Place,
    transactions: &BTreeMap<i32, Vec<Range<i64>>>,
    opinions: bool,
) -> Result<Named, String> {
    let Place { topic, record, byte } = place;
    let proxy = Proxy::new(&env.broker);
    let name: &'static str = env.topic(topic).leak();
    let corruption = Corruption {
        topic: name,
        partition: record.partition,
        offset: record.offset,
        how: CorruptionKind::Record(*byte),
        times: u64::MAX,
    };
    proxy.add(Rule::new(ApiKey::Fetch, Action::Corrupt(corruption)));
    let through = env.through(&proxy.address());
    let what = format!("{name}/{} offset {} {byte:?}: {}", record.partition, record.offset, shown(record));
    let run = through.run("audit --output json");
    assert!(proxy.counts().corrupted > 0, "{what}: not altered");
    let document = run.document();
    let fail = |problem: &str| Err(format!("{what}\n{problem}: exit {}, {}", run.code(), brief(&document)));
    if run.code() != 3 || document["verdict"] == "clean" {
        return fail("not found");
    }
    // An altered topic id is that of another topic.
    let is_position = record.key.as_deref() == Some(POSITION);
    if document["verdict"] != "violated" && !is_position {
        return fail("not violated");
    }
    if opinions && document["verdict"] == "violated" {
        let truth = TopicSnapshot::of(&through).violations();
        let names: BTreeSet<String> = truth.names().into_iter().map(str::to_owned).collect();
        if names != violated(&document) {
            return fail(&format!("the checker found {:?}", truth.names()));
        }
    }
    let witnesses: Vec<&Value> =
        document["checks"].as_array().expect("checks").iter().map(|check| &check["first"]).collect();
    let is_own = |shown: &Value| {
        shown["topic"] == name && shown["partition"] == record.partition && shown["offset"] == record.offset
    };
    if witnesses.iter().filter_map(|witness| witness["records"].as_array()).flatten().any(is_own) {
        return Ok(Named::Record);
    }
    let transaction = transactions.get(&record.partition).and_then(|all| {
        let found = all.iter().find(|range| range.contains(&record.offset));
        found.map(|Range { start, end }| format!("records {start} to {end} of {name}/{} are", record.partition))
    });
    let in_range = |witness: &&Value| {
        let summary = witness["summary"].as_str();
        *topic == ORDERS && transaction.as_ref().zip(summary).is_some_and(|(range, text)| text.starts_with(range))
    };
    if witnesses.iter().any(in_range) || document["verdict"] == "unproved" {
        return Ok(Named::Range);
    }
    fail("not named")
}

fn shown(record: &StoredRecord) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// The summaries of a document.
fn brief(document: &Value) -> String {
    let checks = document["checks"].as_array().expect("checks").iter();
    let found = checks.filter(|check| !check["first"].is_null());
    let lines = found.map(|check| format!("\n  {}: {}", check["name"], check["first"]["summary"]));
    format!("{} {}{}", document["verdict"], document["unproved"], lines.collect::<String>())
}
