//! Normalization of transcripts: replaces names, ids and times that differ between runs, and leaves out default values.

use kafka_protocol::ResponseError;

use super::batch::Batch;
use super::codec;
use super::response_tree::Tree;

/// Fields that transcripts leave out: the broker's address and load, and its error messages.
const IGNORED: &[&str] = &[
    "throttle_time_ms",
    "error_message",
    "batch_index_error_message",
    "host",
    "port",
    "cluster_id",
    "node_endpoints",
    "unknown_tagged_fields",
    // 0 from a broker without fetch sessions.
    "session_id",
    // Counts the starts of a transaction coordinator.
    "coordinator_epoch",
    "finalized_features_epoch",
    "documentation",
];

/// Default values, which transcripts leave out. Most are what a version without the field is decoded as.
const DEFAULTS: &[(&str, &str)] = &[
    ("record_errors", "[]"),
    ("log_append_time_ms", "-1"),
    ("current_leader", "{leader_id=-1 leader_epoch=-1}"),
    ("diverging_epoch", "{epoch=-1 end_offset=-1}"),
    ("snapshot_id", "{end_offset=-1 epoch=-1}"),
    ("preferred_read_replica", "-1"),
    ("topic_id", NIL),
    ("name", "\"\""),
    ("topic", "\"\""),
    ("cluster_authorized_operations", "-2147483648"),
    ("topic_authorized_operations", "-2147483648"),
    ("authorized_operations", "-2147483648"),
    ("ongoing_txn_producer_id", "-1"),
    ("ongoing_txn_producer_epoch", "-1"),
    ("offline_replicas", "[]"),
    ("is_internal", "false"),
    ("zk_migration_ready", "false"),
    ("supported_features", "[]"),
    ("finalized_features", "[]"),
    ("api_keys", "[]"),
    ("coordinators", "[]"),
    ("is_sensitive", "false"),
    ("is_fenced", "false"),
    ("topic_config_error_code", "NONE"),
];

/// Fields that differ in every run.
const RANDOM: &[&str] = &["topic_id", "member_id", "producer_id"];

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// A case's own timestamps are at most this far from its zero.
const REACH: i64 = HOUR / 2;

pub const HOUR: i64 = 3_600_000;

/// Replaces values that differ between runs by names in the order of their appearance.
pub struct Normalizer {
    prefix: String,
    /// The zero of the case's timestamps, in the past. Close timestamps are written as distances from it.
    zero: i64,
    members: Vec<String>,
    producers: Vec<String>,
    topics: Vec<String>,
}

impl Normalizer {
    pub fn new(prefix: String, zero: i64) -> Self {
        Self { prefix, zero, members: Vec::new(), producers: Vec::new(), topics: Vec::new() }
    }

    /// The value of a field for the transcript; `None` to leave it out.
    pub fn normalize(&mut self, field: &str, value: Tree) -> Option<Tree> {
        if IGNORED.contains(&field) {
            return None;
        }
        let value = match value {
            Tree::None => return None,
            Tree::Struct(fields) => Tree::Struct(
                fields
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.normalize(&name, value)?)))
                    .collect(),
            ),
            Tree::List(items) => self.list(field, items),
            Tree::Bytes(bytes) if field == "records" => self.batches(&Batch::read(bytes)),
            Tree::Bytes(bytes) => self.text(field, String::from_utf8_lossy(&bytes).into_owned()),
            Tree::Text(text) => self.text(field, text),
            Tree::Atom(word) => Tree::Atom(self.word(field, word)),
        };
        let is_default = DEFAULTS.iter().any(|(name, default)| *name == field && *default == value.compact());
        (!is_default).then_some(value)
    }

    /// Sorts lists, since Kafka keeps most things in hash maps. Aborted transactions have an order.
    fn list(&mut self, field: &str, mut items: Vec<Tree>) -> Tree {
        if field == "aborted_transactions" {
            return Tree::List(items.into_iter().filter_map(|item| self.normalize("", item)).collect());
        }
        // Ids are numbered in the order of their appearance, so the first sort ignores them.
        items.sort_by_key(|item| item.without(RANDOM).compact());
        let mut items: Vec<Tree> = items.into_iter().filter_map(|item| self.normalize("", item)).collect();
        items.sort_by_key(Tree::compact);
        Tree::List(items)
    }

    fn text(&mut self, field: &str, text: String) -> Tree {
        match field {
            "member_id" | "leader" if !text.is_empty() => Tree::Atom(self.member(text)),
            "client_host" if text.starts_with('/') => Tree::atom("an-address"),
            _ => Tree::Text(text.replace(&self.prefix, "")),
        }
    }

    fn member(&mut self, id: String) -> String {
        // Member ids that the case invented stay.
        if id.starts_with("no-") { id } else { format!("M{}", index_of(&mut self.members, id)) }
    }

    fn word(&mut self, field: &str, word: String) -> String {
        match field {
            name if name.ends_with("error_code") => error_name(word.parse().expect("a code")),
            "producer_id" if word.starts_with('-') => word,
            "producer_id" => self.producer(word),
            "topic_id" if word != NIL => format!("T{}", index_of(&mut self.topics, word)),
            "log_append_time_ms" | "timestamp" | "last_timestamp" | "transaction_start_time_ms" => {
                self.time(word.parse().expect("a time"))
            }
            _ => word,
        }
    }

    fn producer(&mut self, id: String) -> String {
        format!("P{}", index_of(&mut self.producers, id))
    }

    fn time(&self, time: i64) -> String {
        let distance = time - self.zero;
        match distance.abs() {
            ..REACH => format!("t{distance:+}"),
            // The zero is an hour ago.
            _ if (REACH..HOUR + 120_000).contains(&distance) => "now".to_owned(),
            _ => time.to_string(),
        }
    }

    /// Formats whole batches. A broker may cut the last one at the limit or leave it out.
    fn batches(&mut self, batches: &[Batch]) -> Tree {
        Tree::List(batches.iter().map(|batch| Tree::atom(self.batch(batch))).collect())
    }

    fn batch(&mut self, batch: &Batch) -> String {
        let (first, last) = (batch.base_offset, batch.base_offset + i64::from(batch.last_offset_delta));
        let mut words = vec![if first == last { format!("@{first}") } else { format!("@{first}..{last}") }];
        if batch.is_control() {
            let kind =
                batch.records.first().and_then(|record| record.key.as_ref()).expect("a control record has a key");
            assert_eq!(batch.records.len(), 1, "a control batch has one record");
            // Version 0, then the type.
            words.push(match kind[..] {
                [0, 0, 0, 0] => "ABORT".to_owned(),
                [0, 0, 0, 1] => "COMMIT".to_owned(),
                _ => panic!("unknown type of marker: {kind:?}"),
            });
        }
        if batch.producer_id >= 0 {
            let id = self.producer(batch.producer_id.to_string());
            words.push(format!("{id}/{} sequence {}", batch.producer_epoch, batch.base_sequence));
        }
        if batch.is_transactional() {
            words.push("transactional".to_owned());
        }
        if batch.codec() != codec::NONE {
            words.push(codec::name(batch.codec()).to_owned());
        }
        words.push(format!("epoch {}", batch.leader_epoch));
        let clock = if batch.is_log_append_time() { "appended" } else { "created" };
        let times: Vec<String> =
            batch.records.iter().map(|record| self.time(batch.first_timestamp + record.timestamp_delta)).collect();
        words.push(format!("{clock} {} max {}", times.join(","), self.time(batch.max_timestamp)));
        if !batch.is_control() {
            let values: Vec<String> = batch
                .records
                .iter()
                .map(|record| match &record.value {
                    Some(value) if value.len() > 40 => format!("{} bytes", value.len()),
                    Some(value) => format!("{:?}", String::from_utf8_lossy(value)),
                    None => "null".to_owned(),
                })
                .collect();
            words.push(values.join(","));
        }
        format!("({})", words.join(" "))
    }
}

/// The index of a name among those seen so far, from 1.
fn index_of(seen: &mut Vec<String>, name: String) -> usize {
    seen.iter().position(|known| *known == name).unwrap_or_else(|| {
        seen.push(name);
        seen.len() - 1
    }) + 1
}

/// Kafka's name of an error code.
fn error_name(code: i16) -> String {
    let Some(error) = ResponseError::try_from_code(code) else { return "NONE".to_owned() };
    let mut name = String::new();
    for c in format!("{error:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
