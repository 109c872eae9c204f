//! Copies of all topics of a run in memory, which can be damaged and written under another prefix: with the same offsets,
//! timestamps, headers, transactions and committed offsets.

#![allow(clippy::disallowed_methods, reason = "uses its own producers")]

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::groups;
use super::invariants::GROUP;
use super::support::{STEP_TIMEOUT, StoredRecord, TestEnv, until};

pub const ORDERS: &str = "order-events";
pub const DECISIONS: &str = "inventory-events";
pub const LEDGER: &str = "inventory-ledger";
pub const DEAD_LETTERS: &str = "order-events-dlq";
pub const STATE: &str = "analytics-state";
const TOPICS: [&str; 5] = [ORDERS, DECISIONS, LEDGER, DEAD_LETTERS, STATE];

/// How a run of records ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Written without a transaction.
    Plain,
    Commit,
    Abort,
    /// A transaction that never ends.
    Open,
}

/// The records of one transaction in one partition. Their offsets are ignored.
#[derive(Debug, Clone)]
pub struct Span {
    pub records: Vec<StoredRecord>,
    pub end: End,
}

/// A span with its topic and partition.
type OwnedSpan<'a> = (&'a str, i32, &'a Span);

/// The place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub topic: &'static str,
    pub partition: usize,
    pub span: usize,
    pub index: usize,
}

/// The topics of a run, the offsets of its inventory group, and those of the analytics group.
#[derive(Debug, Clone)]
pub struct Logs {
    pub spans: BTreeMap<&'static str, Vec<Vec<Span>>>,
    pub committed: Vec<Option<i64>>,
    readers: Vec<Vec<Option<i64>>>,
    prefix: String,
}

/// A written copy.
pub struct Copy {
    pub env: TestEnv,
    /// Keeps a transaction open.
    _open: Option<BaseProducer>,
}

impl Logs {
    /// Reads the topics of a finished run.
    pub fn read(env: &TestEnv) -> Self {
        let names = env.topics();
        let exist = TOPICS.into_iter().filter(|topic| names.contains(&env.topic(topic)));
        Self {
            spans: exist.map(|topic| (topic, spans(env, topic))).collect(),
            committed: env.committed(GROUP, ORDERS),
            readers: groups::offsets(env, groups::GROUP),
            prefix: env.prefix.clone(),
        }
    }

    /// These topics with the ledger of another run.
    pub fn with_ledger_of(&self, mut other: Self) -> Self {
        other.rename(&self.prefix);
        let mut logs = self.clone();
        logs.spans.insert(LEDGER, other.spans.remove(LEDGER).expect("a ledger"));
        logs
    }

    /// Writes the topics under the prefix of `to`.
    pub fn write(mut self, to: TestEnv) -> Copy {
        self.rename(&to.prefix);
        let compact: &[_] = &[("cleanup.policy", "compact")];
        let new = |(topic, partitions): (&&'static str, &Vec<Vec<Span>>)| {
            let settings = if [LEDGER, STATE].contains(topic) { compact } else { &[] };
            (*topic, i32::try_from(partitions.len()).expect("few"), settings)
        };
        to.create_topics(&self.spans.iter().map(new).collect::<Vec<_>>());
        let open = self.write_spans(&to);
        for (topic, partitions) in &self.spans {
            let expected: Vec<i64> = partitions.iter().map(|spans| end_of(spans)).collect();
            until("the copy is complete", || {
                let is_open = partitions.iter().flatten().any(|span| span.end == End::Open);
                let ranges = if is_open { Some(to.watermarks(topic)) } else { to.try_settled_watermarks(topic) };
                let ends: Vec<i64> = ranges?.into_iter().map(|(_, end)| end).collect();
                assert!(ends.iter().zip(&expected).all(|(end, expected)| end <= expected), "{topic}: {ends:?}");
                (ends == expected).then_some(())
            });
        }
        let committed: Vec<(i32, i64)> =
            (0..).zip(&self.committed).filter_map(|(partition, offset)| Some((partition, (*offset)?))).collect();
        if !committed.is_empty() {
            to.set_offsets(GROUP, ORDERS, &committed);
        }
        if self.readers.iter().flatten().any(Option::is_some) {
            groups::set_offsets(&to, groups::GROUP, &self.readers);
        }
        Copy { env: to, _open: open }
    }

    /// Replaces the prefix in names, and removes the ids of the topics: those of the copies are others.
    fn rename(&mut self, prefix: &str) {
        let from = self.prefix.clone();
        let renamed = |bytes: &mut Option<Vec<u8>>| {
            if let Some(bytes) = bytes
                && let Ok(text) = std::str::from_utf8(bytes)
                && text.contains(&from)
            {
                *bytes = text.replace(&from, prefix).into_bytes();
            }
        };
        for (topic, partitions) in &mut self.spans {
            for record in partitions.iter_mut().flatten().flat_map(|span| &mut span.records) {
                if *topic == DEAD_LETTERS {
                    record.headers.iter_mut().for_each(|(_, value)| renamed(value));
                } else if [LEDGER, STATE].contains(topic) {
                    renamed(&mut record.key);
                    renamed(&mut record.value);
                    record.value = record.value.take().map(without_ids);
                }
            }
        }
    }

    /// Returns a producer with an open transaction, if there must be one.
    fn write_spans(&self, to: &TestEnv) -> Option<BaseProducer> {
        // The n-th spans of all partitions with the same end are one transaction.
        let mut rounds: BTreeMap<(usize, End), Vec<OwnedSpan<'_>>> = BTreeMap::new();
        for (topic, partitions) in &self.spans {
            for (partition, spans) in (0..).zip(partitions) {
                for (number, span) in spans.iter().enumerate() {
                    rounds.entry((number, span.end)).or_default().push((topic, partition, span));
                }
            }
        }
        let mut plain = None;
        let mut transactional: Option<BaseProducer> = None;
        let mut open = None;
        for ((number, end), spans) in rounds {
            let producer = match end {
                End::Plain => plain.get_or_insert_with(|| producer(to, None)),
                End::Open => open.get_or_insert_with(|| producer(to, Some("open"))),
                End::Commit | End::Abort => transactional.get_or_insert_with(|| producer(to, Some("copy"))),
            };
            if end != End::Plain {
                producer.begin_transaction().expect("begun");
            }
            for (topic, partition, span) in spans {
                if end == End::Plain && number > 0 {
                    // Kafka writes the marker of a transaction a moment after its commit; a transaction would wait.
                    to.settled_watermarks(topic);
                }
                span.records.iter().for_each(|record| send(producer, &to.topic(topic), partition, record));
            }
            // The flush of the crate polls in long intervals.
            until("all records are acknowledged", || {
                producer.poll(Duration::from_millis(1));
                (producer.in_flight_count() == 0).then_some(())
            });
            match end {
                End::Commit => producer.commit_transaction(STEP_TIMEOUT).expect("committed"),
                End::Abort => producer.abort_transaction(STEP_TIMEOUT).expect("aborted"),
                End::Plain | End::Open => {}
            }
        }
        open
    }

    /// The places of all records that committed readers see, in the order of partitions and offsets.
    pub fn places(&self, topic: &'static str) -> Vec<At> {
        let mut places = Vec::new();
        for (partition, spans) in self.spans[topic].iter().enumerate() {
            for (span, records) in spans.iter().enumerate() {
                if [End::Plain, End::Commit].contains(&records.end) {
                    places.extend((0..records.records.len()).map(|index| At { topic, partition, span, index }));
                }
            }
        }
        places
    }

    /// The first record that fits.
    pub fn find(&self, topic: &'static str, fits: impl Fn(&StoredRecord) -> bool) -> At {
        self.places(topic).into_iter().find(|at| fits(self.get(*at))).expect("a record that fits")
    }

    /// The last record that fits.
    pub fn rfind(&self, topic: &'static str, fits: impl Fn(&StoredRecord) -> bool) -> At {
        self.places(topic).into_iter().rfind(|at| fits(self.get(*at))).expect("a record that fits")
    }

    pub fn get(&self, at: At) -> &StoredRecord {
        &self.spans[at.topic][at.partition][at.span].records[at.index]
    }

    pub fn at(&mut self, at: At) -> &mut StoredRecord {
        &mut self.span(at).records[at.index]
    }

    pub fn span(&mut self, at: At) -> &mut Span {
        &mut self.partition(at.topic, at.partition)[at.span]
    }

    pub fn partition(&mut self, topic: &'static str, partition: usize) -> &mut Vec<Span> {
        &mut self.spans.get_mut(topic).expect("a topic")[partition]
    }

    /// Removes the state of analytics groups.
    pub fn forget_readers(&mut self) {
        self.spans.remove(STATE);
        self.readers.clear();
    }

    /// Removes a record; later ones of its partition move to other offsets.
    pub fn remove(&mut self, at: At) -> StoredRecord {
        let record = self.span(at).records.remove(at.index);
        if self.span(at).records.is_empty() {
            self.partition(at.topic, at.partition).remove(at.span);
        }
        record
    }

    pub fn insert_after(&mut self, at: At, record: StoredRecord) {
        self.span(at).records.insert(at.index + 1, record);
    }

    /// Adds a record in its own transaction at the end of a partition.
    pub fn append(&mut self, topic: &'static str, partition: usize, record: StoredRecord, end: End) {
        self.partition(topic, partition).push(Span { records: vec![record], end });
    }

    /// Exchanges the keys, values and headers of two records.
    pub fn swap(&mut self, one: At, other: At) {
        let (first, second) = (self.get(one).clone(), self.get(other).clone());
        *self.at(one) = second;
        *self.at(other) = first;
    }

    /// Replaces a field of a JSON value in place; every other byte stays.
    pub fn set(&mut self, at: At, field: &str, value: &str) {
        let bytes = self.at(at).value.as_mut().expect("a value");
        let name = format!("\"{field}\":");
        let found = bytes.windows(name.len()).position(|window| window == name.as_bytes());
        let start = found.unwrap_or_else(|| panic!("no {field} in {}", String::from_utf8_lossy(bytes))) + name.len();
        let mut old = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<Value>();
        old.next().expect("a value").expect("JSON");
        let end = start + old.byte_offset();
        bytes.splice(start..end, value.bytes());
    }
}

fn end_of(spans: &[Span]) -> i64 {
    let length = |span: &Span| span.records.len() + usize::from([End::Commit, End::Abort].contains(&span.end));
    i64::try_from(spans.iter().map(length).sum::<usize>()).expect("a count")
}

/// Splits a topic at its transaction markers, which occupy offsets without a record.
fn spans(env: &TestEnv, topic: &str) -> Vec<Vec<Span>> {
    let ends = env.settled_watermarks(topic);
    let (all, committed) = (env.read_with_isolation(topic, "read_uncommitted"), env.read(topic));
    let seen: std::collections::BTreeSet<(i32, i64)> =
        committed.iter().map(|record| (record.partition, record.offset)).collect();
    let split = |(partition, (start, end)): (i32, (i64, i64))| {
        assert_eq!(start, 0, "{topic}/{partition} is complete");
        let mut spans = Vec::new();
        let mut records: Vec<StoredRecord> = Vec::new();
        for record in all.iter().filter(|record| record.partition == partition) {
            if let Some(last) = records.last().filter(|last| last.offset + 1 < record.offset) {
                assert_eq!(last.offset + 2, record.offset, "{topic}/{partition}: one marker between transactions");
                let end = if seen.contains(&(partition, last.offset)) { End::Commit } else { End::Abort };
                spans.push(Span { records: std::mem::take(&mut records), end });
            }
            records.push(record.clone());
        }
        if let Some(last) = records.last() {
            let end = match (end - last.offset, seen.contains(&(partition, last.offset))) {
                (1, _) => End::Plain,
                (2, true) => End::Commit,
                (2, false) => End::Abort,
                other => panic!("{topic}/{partition}: {other:?} after {last:?}"),
            };
            spans.push(Span { records, end });
        }
        spans
    };
    (0..).zip(ends).map(split).collect()
}

/// A position without its topic id.
fn without_ids(value: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(mut position)) = serde_json::from_slice(&value) else { return value };
    let previous = position.get_mut("previous").and_then(Value::as_object_mut);
    let removed = previous.and_then(|previous| previous.shift_remove("topic_id"));
    if position.shift_remove("topic_id").or(removed).is_none() {
        return value;
    }
    Value::Object(position).to_string().into_bytes()
}

fn producer(to: &TestEnv, transactional: Option<&str>) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &to.broker).set("enable.idempotence", "true").set("linger.ms", "1");
    if let Some(name) = transactional {
        config.set("transactional.id", to.topic(name)).set("transaction.timeout.ms", "600000");
    }
    let producer: BaseProducer = config.create().expect("a producer");
    if transactional.is_some() {
        producer.init_transactions(STEP_TIMEOUT).expect("initialised");
    }
    producer
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, record: &StoredRecord) {
    let mut copy: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).timestamp(record.timestamp);
    copy.key = record.key.as_deref();
    copy.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
        copy.headers = Some(headers);
    }
    producer.send(copy).map_err(|(error, _)| error).expect("sent");
}
