//! Invariant checker: recomputes every decision from the orders as "Stock" in docs/REFERENCE.md defines it, and compares
//! the result with the topics. It uses no code of the program, and is a second opinion on its `audit`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::invariant_checks::Partition;
use super::support::{StoredRecord, TestEnv};

/// The key of a partition's position record.
pub const POSITION: &[u8] = b"[\"@position\"]";
pub const GROUP: &str = "inventory-consumer-group";

/// Topics that `inventory` writes to.
pub const OUTPUTS: [&str; 3] = ["inventory-events", "inventory-ledger", "order-events-dlq"];

/// Panics with the violated invariants, and requires that `audit` finds the topics clean. No process may be
/// running.
pub fn check(env: &TestEnv, opening: i64, restock_millis: i64) {
    let violations = TopicSnapshot::read(env, opening, restock_millis).violations();
    assert!(violations.is_empty(), "{}: {violations:#?}", env.prefix);
    audit_agrees(env);
}

/// Requires that `audit` finds the topics clean.
pub fn audit_agrees(env: &TestEnv) {
    let run = env.run("audit --output json");
    assert_eq!(run.code(), 0, "{}: audit\n{}\n{}", env.prefix, run.stdout, run.stderr);
    let document = run.document();
    assert_eq!(document["verdict"], "clean", "{document:#}");
}

/// The records of the topics, and the settings that they depend on.
#[derive(Clone)]
pub struct TopicSnapshot {
    pub orders: Vec<StoredRecord>,
    pub decisions: Vec<StoredRecord>,
    pub ledger: Vec<StoredRecord>,
    pub dead_letters: Vec<StoredRecord>,
    pub state: Vec<StoredRecord>,
    pub committed: Vec<Option<i64>>,
    /// The log start offsets and ends of the orders; they need not be the offset of a record.
    pub order_ranges: Vec<(i64, i64)>,
    /// Partitions of outputs with an open transaction.
    pub open: BTreeSet<(&'static str, i32)>,
    prefix: String,
    /// The settings that the position records must have, if a test knows them.
    settings: Option<Value>,
}

/// The first violation of each invariant, by its name.
#[derive(Debug, Default)]
pub struct Violations(pub BTreeMap<&'static str, String>);

impl Violations {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> BTreeSet<&'static str> {
        self.0.keys().copied().collect()
    }

    pub fn require(&mut self, holds: bool, name: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.entry(name).or_insert_with(what);
        }
    }
}

pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

impl TopicSnapshot {
    /// The topics of a run with these settings.
    pub fn read(env: &TestEnv, opening: i64, restock_millis: i64) -> Self {
        for topic in OUTPUTS {
            env.settled_watermarks(topic);
        }
        let settings = Some(json!({ "opening_stock": opening, "restock_every_ms": restock_millis }));
        Self { settings, ..Self::of(env) }
    }

    /// The topics of a run with the settings of its ledger.
    pub fn of(env: &TestEnv) -> Self {
        let names = env.topics();
        let has = |topic: &str| names.contains(&env.topic(topic));
        let read = |topic: &str| if has(topic) { env.read_stable(topic) } else { Vec::new() };
        let ranges = |topic: &str| if has(topic) { env.watermarks(topic) } else { Vec::new() };
        let mut open = BTreeSet::new();
        for topic in OUTPUTS.into_iter().filter(|topic| has(topic)) {
            let stable = env.last_stable_offsets(topic);
            let ends = (0..).zip(stable.iter().zip(ranges(topic)));
            open.extend(
                ends.filter(|(_, (stable, (_, high)))| *stable < high).map(|(partition, _)| (topic, partition)),
            );
        }
        Self {
            committed: env.committed(GROUP, "order-events"),
            order_ranges: ranges("order-events"),
            open,
            orders: read("order-events"),
            decisions: read("inventory-events"),
            ledger: read("inventory-ledger"),
            dead_letters: read("order-events-dlq"),
            state: read("analytics-state"),
            prefix: env.prefix.clone(),
            settings: None,
        }
    }

    pub fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        let settings = self.settings.clone().unwrap_or_else(|| self.kept_settings());
        for (index, committed) in self.committed.iter().enumerate() {
            let partition = i32::try_from(index).expect("few");
            let of = |records: &'_ [StoredRecord]| -> Vec<StoredRecord> {
                records.iter().filter(|record| record.partition == partition).cloned().collect()
            };
            let ledger = of(&self.ledger);
            let own = Partition {
                number: partition,
                topic: format!("{}order-events", self.prefix),
                group: format!("{}{GROUP}", self.prefix),
                orders: of(&self.orders),
                decisions: of(&self.decisions),
                dead_letters: of(&self.dead_letters),
                position: position(&ledger),
                ledger,
                committed: *committed,
                log_start: self.order_ranges[index].0,
                end: self.order_ranges[index].1,
                settings: settings.clone(),
            };
            if self.settings.is_some() {
                // After a finished run every partition with orders has an offset.
                violations.require(committed.is_some() || own.log_start == own.end, "position-equals-offset", || {
                    format!("{partition}: no committed offset")
                });
            }
            own.check(&mut violations);
        }
        self.check_readers(&mut violations);
        violations.require(self.open.is_empty(), "no-hanging-transaction", || format!("{:?}", self.open));
        violations
    }

    /// The settings that most position records have.
    fn kept_settings(&self) -> Value {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (partition, _) in (0..).zip(&self.committed) {
            let own: Vec<StoredRecord> =
                self.ledger.iter().filter(|record| record.partition == partition).cloned().collect();
            let settings = &position(&own)["settings"];
            if settings.is_object() {
                *counts.entry(settings.to_string()).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or(Value::Null, |(settings, _)| serde_json::from_str(&settings).expect("JSON"))
    }

    /// Recomputes what analytics groups have read.
    fn check_readers(&self, violations: &mut Violations) {
        for (partition, _) in (0..).zip(&self.committed) {
            let state: Vec<StoredRecord> =
                self.state.iter().filter(|record| record.partition == partition).cloned().collect();
            for (key, value) in latest(&state) {
                let Ok(Value::Array(parts)) = serde_json::from_slice(key) else { continue };
                if parts.first() != Some(&json!("@position")) {
                    continue;
                }
                let topic = parts.get(2).and_then(|name| name.as_str()?.strip_prefix(&self.prefix));
                let records = match topic {
                    Some("order-events") => &self.orders,
                    Some("inventory-events") => &self.decisions,
                    _ => continue,
                };
                let position: Value = serde_json::from_slice(value).unwrap_or_default();
                violations.require(is_as_written(&position), "committed-readers-agree", || position.to_string());
                let own = records.iter().filter(|record| i64::from(record.partition) == number(&parts[3]));
                let (count, digest) = read_between(own, &position);
                violations.require(
                    position["digest"] == digest.as_str() && position["counts"]["records"] == count,
                    "committed-readers-agree",
                    || format!("{}: {count} records, {digest}: {position}", String::from_utf8_lossy(key)),
                );
            }
        }
    }
}

/// The latest value of each key; a record without a value deletes its key.
pub fn latest(records: &[StoredRecord]) -> BTreeMap<&[u8], &[u8]> {
    let mut latest = BTreeMap::new();
    for record in records {
        let key = record.key.as_deref().unwrap_or_default();
        match record.value.as_deref() {
            Some(value) => latest.insert(key, value),
            None => latest.remove(key),
        };
    }
    latest
}

/// The position of a ledger; `null` without one, or if it has no position.
fn position(ledger: &[StoredRecord]) -> Value {
    let value = latest(ledger).remove(POSITION).unwrap_or_default();
    let position: Value = serde_json::from_slice(value).unwrap_or_default();
    if position["next_offset"].is_i64() && position["log_start"].is_i64() { position } else { Value::Null }
}

/// Whether a position record has no other fields than docs/reference/exactly-once.md says.
pub fn is_as_written(position: &Value) -> bool {
    const FIELDS: [&str; 12] = [
        "next_offset",
        "log_start",
        "topic_id",
        "group",
        "epoch",
        "settings",
        "counts",
        "holds",
        "digest",
        "until",
        "started_over",
        "previous",
    ];
    let is_known = |fields: &serde_json::Map<String, Value>| {
        fields.iter().all(|(name, value)| FIELDS.contains(&name.as_str()) && !value.is_null())
    };
    position.as_object().is_some_and(is_known) && position["previous"].as_object().is_none_or(is_known)
}

/// Number and digest of the records in the range of a position.
pub fn read_between<'a>(records: impl Iterator<Item = &'a StoredRecord>, position: &Value) -> (usize, String) {
    let range = number(&position["log_start"])..number(&position["next_offset"]);
    let read: Vec<&StoredRecord> = records.filter(|record| range.contains(&record.offset)).collect();
    let digest = read.iter().fold(0u128, |sum, record| sum.wrapping_add(hash(record)));
    (read.len(), format!("{digest:032x}"))
}

/// The digest of a record.
pub fn hash(record: &StoredRecord) -> u128 {
    let mut frame = record.offset.to_le_bytes().to_vec();
    for part in [&record.key, &record.value] {
        let length = part.as_ref().map_or(-1, |part| i32::try_from(part.len()).expect("short"));
        frame.extend(length.to_le_bytes());
        frame.extend(part.iter().flatten());
    }
    xxhash_rust::xxh3::xxh3_128(&frame)
}
