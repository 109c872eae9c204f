//! Workload for the fuzz tests: topics of every type, transactions in every state, groups with members and offsets.
//! Also the state of a broker as clients can see it.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    GroupId, JoinGroupRequest, OffsetCommitRequest, ProducerId, SyncGroupRequest, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use uuid::Uuid;

use crate::broker::core::{Core, NodeSettings, Storage};
use crate::broker::corruption::OpenError;
use crate::broker::data_dir::DataDir;
use crate::broker::events::BrokerEvent;
use crate::broker::journal::JournalEntry;
use crate::broker::log::{Batch, IsolationLevel, Log};
use crate::broker::response::{Client, MaybeDeferred, RequestContext};
use crate::broker::topics::test_support::{NOW, make, name, text};
use crate::broker::transactions::{
    Partitions, ProducerIdAndEpoch, ProducerIdentity, TransactionCoordinator, TransactionEntry, TransactionResult,
    TransactionVersion,
};

/// Starts a broker over a data directory, as a server does.
pub fn start(dir: &Path) -> Result<(Core, Vec<BrokerEvent>, DataDir), String> {
    let data = DataDir::open(dir, 1).map_err(|error| error.to_string())?;
    let settings = NodeSettings { auto_create_topics: false, ..NodeSettings::default() };
    let opened = Core::open(Storage::Directory(data.directory.clone()), settings, data.cluster_id, NOW);
    let mut core = opened.map_err(|error| match error {
        OpenError::Corrupted(damage) => damage.to_string(),
        OpenError::Storage { .. } => panic!("no disk was full: {error}"),
    })?;
    data.upgrade().map_err(|error| error.to_string())?;
    let events = core.take_events();
    Ok((core, events, data))
}

/// A log as clients can see it.
#[derive(Debug, PartialEq, Eq)]
pub struct LogState {
    start: i64,
    end: i64,
    stable: i64,
    /// With their last offsets.
    batches: Vec<(i64, Bytes)>,
    aborted: Vec<(i64, i64)>,
    producers: Vec<(i64, i16, i32, Option<i64>)>,
}

/// Name, id, configs and logs.
type TopicState = (String, Uuid, Vec<(String, String)>, Vec<LogState>);

/// The state of a broker as clients can see it.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokerState {
    cluster_id: Uuid,
    topics: Vec<TopicState>,
    /// Groups with their members and offsets, and transactional ids.
    rest: Vec<JournalEntry>,
}

impl LogState {
    fn is_between(&self, before: &Self, after: &Self) -> bool {
        let known = |batch| before.batches.contains(batch) || after.batches.contains(batch);
        let stays = |batch: &&(i64, Bytes)| batch.0 >= self.start && after.batches.contains(batch);
        (before.start..=after.start).contains(&self.start)
            && (before.end..=after.end).contains(&self.end)
            && self.batches.iter().all(known)
            && before.batches.iter().filter(stays).all(|batch| self.batches.contains(batch))
    }

    fn describe(&self) -> String {
        let batches: Vec<_> = self.batches.iter().map(|(last, bytes)| (last, bytes.len())).collect();
        format!("{} to {} ({}): {batches:?}", self.start, self.end, self.stable)
    }
}

impl BrokerState {
    /// Number of records by topic.
    pub fn records(&self) -> std::collections::BTreeMap<String, i64> {
        let all = |logs: &[LogState]| logs.iter().map(|log| log.end - log.start).sum();
        self.topics.iter().map(|(name, _, _, logs)| (name.clone(), all(logs))).collect()
    }

    /// Returns a difference if this state is not between the two others.
    pub fn not_between(&self, before: &Self, after: &Self) -> Option<String> {
        let of = |seen: &Self, id: Uuid| seen.topics.iter().position(|topic| topic.1 == id);
        for (name, id, ..) in &before.topics {
            if of(after, *id).is_some() && of(self, *id).is_none() {
                return Some(format!("{name} is lost"));
            }
        }
        for (name, id, _, logs) in &self.topics {
            let (old, new) = (of(before, *id), of(after, *id));
            let none: &[LogState] = &[];
            let old = old.map_or(none, |at| &before.topics[at].3);
            let new = new.map_or(none, |at| &after.topics[at].3);
            for (number, log) in logs.iter().enumerate() {
                let agrees = match (old.get(number), new.get(number)) {
                    (Some(old), Some(new)) => log.is_between(old, new),
                    (Some(one), None) | (None, Some(one)) => log == one,
                    (None, None) => false,
                };
                if !agrees {
                    let described = |logs: &[LogState]| logs.get(number).map(LogState::describe);
                    return Some(format!(
                        "{name}-{number}: {}, before {:?}, after {:?}",
                        log.describe(),
                        described(old),
                        described(new)
                    ));
                }
            }
        }
        None
    }
}

fn log_state(log: &Log) -> Result<LogState, String> {
    let (mut at, mut batches) = (log.start_offset(), Vec::new());
    while at < log.high_watermark() {
        let bytes =
            log.read(at, 1 << 20, IsolationLevel::ReadUncommitted, true).read().map_err(|error| error.to_string())?;
        let each = Batch::split_batches(bytes);
        let Some((last, _)) = each.last() else { panic!("no batch at {at} of {log:#?}") };
        at = last + 1;
        batches.extend(each);
    }
    let aborted = log.aborted(0, i64::MAX);
    let producers = log.producers();
    Ok(LogState {
        start: log.start_offset(),
        end: log.high_watermark(),
        stable: log.last_stable_offset(),
        batches,
        aborted: aborted.iter().map(|it| (it.producer_id, it.first_offset)).collect(),
        producers: producers
            .iter()
            .map(|it| (it.producer_id, it.epoch, it.last_sequence, it.transaction_start))
            .collect(),
    })
}

/// The state of a broker, or why something cannot be read.
pub fn broker_state(core: &Core) -> Result<BrokerState, String> {
    let topics = core.topics.iter().map(|topic| {
        let overrides = topic.overrides.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let logs: Result<Vec<LogState>, String> = topic.logs.iter().map(log_state).collect();
        Ok((topic.name.clone(), topic.id, overrides, logs?))
    });
    let is_state = |entry: &JournalEntry| {
        !matches!(
            entry,
            JournalEntry::Head(_)
                | JournalEntry::Topic(_)
                | JournalEntry::Transaction(TransactionEntry::ProducerIds { .. })
        )
    };
    Ok(BrokerState {
        cluster_id: core.cluster_id,
        topics: topics.collect::<Result<_, String>>()?,
        rest: core.snapshot().into_iter().filter(is_state).collect(),
    })
}

fn with_call<T>(version: i16, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let client = Client { connection: 1, id: "test".to_owned(), host: "/127.0.0.1".to_owned() };
    work(&RequestContext { version, now: NOW, client: &client })
}

fn append(
    core: &mut Core,
    topic: &str,
    partition: i32,
    producer: Option<ProducerIdAndEpoch>,
    sequence: i32,
    rows: &[(&str, String)],
) {
    let (producer_id, producer_epoch) = producer.map_or((-1, -1), |producer| (producer.id, producer.epoch));
    let records: Vec<Record> = (0..)
        .zip(rows)
        .map(|(number, (key, value))| Record {
            transactional: producer.is_some(),
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(number),
            sequence: if producer.is_some() { sequence + number } else { number - 1 },
            timestamp: NOW,
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: Some(Bytes::from(value.clone())),
            headers: indexmap::IndexMap::new(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("a batch");
    let batch = Batch::parse(bytes.freeze()).expect("a batch");
    core.topics.log_mut(topic, partition).expect("the topic").append(&batch, NOW).expect("appended");
}

fn commit(core: &mut Core, group: &str, topic: &str, partition: i32, offset: i64) {
    let partition =
        OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let answer = with_call(7, |context| core.offset_commit(&request, context));
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

fn commit_in_transaction(core: &mut Core, id: &str, producer: ProducerIdAndEpoch, offset: i64) {
    let partition = TxnOffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(text(id)))
        .with_group_id(GroupId(text("kitchen")))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    let answer = with_call(5, |context| core.txn_offset_commit(&request, context));
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

/// Joins a group as its only, static member.
fn join(core: &mut Core, group: &str, instance: &str) {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(b"subscription"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_group_instance_id(Some(text(instance)))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let MaybeDeferred::Now(joined) = with_call(7, |context| core.join_group(&request, context)) else {
        panic!("alone")
    };
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"everything"));
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id)
        .with_group_instance_id(Some(text(instance)))
        .with_assignments(vec![assignment]);
    let MaybeDeferred::Now(synced) = with_call(3, |context| core.sync_group(&request, context)) else {
        panic!("alone")
    };
    assert_eq!(synced.error_code, 0);
}

/// A transaction over these partitions of `paid`, ended or left open.
fn transact(core: &mut Core, id: &str, partitions: &[i32], outcome: Option<TransactionResult>) {
    let producer = core.init_transactional_id(id, None, 60_000, NOW).expect("initialised");
    let identity = ProducerIdentity { transactional_id: id, producer_id: producer.id, epoch: producer.epoch };
    let entered = Partitions::from([("paid".to_owned(), partitions.iter().copied().collect())]);
    core.add_to_transaction(identity, entered, BTreeSet::from(["kitchen".to_owned()]), NOW).expect("entered");
    for partition in partitions {
        append(core, "paid", *partition, Some(producer), 0, &[("k", format!("{id} {}", producer.epoch))]);
        append(core, "paid", *partition, Some(producer), 1, &[("k", "two".into()), ("l", "three".into())]);
    }
    commit_in_transaction(core, id, producer, i64::from(producer.epoch) + 3);
    if let Some(outcome) = outcome {
        core.end(identity, outcome, TransactionVersion::V2, NOW).expect("ended");
    }
}

fn compact(core: &mut Core, now: i64) {
    core.clean(now);
    let job = core.take_compaction(now).expect("due");
    drop(core.finish_compaction(job.run()));
}

/// The first part of the workload; a backup is made after it.
pub fn begin(core: &mut Core) {
    make(core, "orders", 2, &[("internal.segment.bytes", "600")]);
    make(core, "paid", 2, &[]);
    make(
        core,
        "stock",
        1,
        &[("cleanup.policy", "compact"), ("internal.segment.bytes", "500"), ("min.cleanable.dirty.ratio", "0.01")],
    );
    make(core, "old", 1, &[("internal.segment.bytes", "300"), ("retention.bytes", "400")]);
    make(core, "empty", 1, &[]);
    for number in 0..6 {
        append(core, "orders", number % 2, None, 0, &[("k", format!("order {number}")), ("l", "v".repeat(60))]);
        append(core, "stock", 0, None, 0, &[("a", number.to_string()), ("b", number.to_string())]);
        append(core, "old", 0, None, 0, &[("k", "v".repeat(80))]);
    }
    transact(core, "till", &[0, 1], Some(TransactionResult::Commit));
    commit(core, "kitchen", "orders", 0, 2);
    join(core, "bar", "tap");
}

/// One action of a client or the clock.
pub type Step = Box<dyn Fn(&mut Core)>;

fn step(step: impl Fn(&mut Core) + 'static) -> Step {
    Box::new(step)
}

/// The rest of the workload, step by step.
pub fn steps() -> Vec<Step> {
    let mut steps = vec![
        step(|core| {
            make(core, "gone", 2, &[]);
        }),
        step(|core| append(core, "gone", 1, None, 0, &[("k", "v".into())])),
    ];
    for number in 6..30 {
        let row = move |at: i32| {
            let keys = ["a", "b", "c", "d"];
            (keys[usize::try_from((number + at) % 4).expect("few")], format!("{number} pieces"))
        };
        steps.push(step(move |core| {
            append(core, "orders", number % 2, None, 0, &[("k", format!("order {number}")), ("l", "v".repeat(60))]);
        }));
        steps.push(step(move |core| append(core, "stock", 0, None, 0, &[row(0), row(1)])));
        steps.push(step(|core| append(core, "old", 0, None, 0, &[("k", "v".repeat(80))])));
        if number == 18 || number == 28 {
            steps.push(step(move |core| compact(core, NOW + i64::from(number) * 20_000)));
        }
    }
    steps.extend([
        step(|core| {
            let gone = core.topics.get("gone").expect("made").id;
            core.remove_topic(gone).expect("deleted");
        }),
        step(|core| transact(core, "till", &[0], Some(TransactionResult::Abort))),
        step(|core| transact(core, "tray", &[1], None)),
        step(|core| transact(core, "till", &[0, 1], Some(TransactionResult::Commit))),
        step(|core| commit(core, "kitchen", "orders", 1, 9)),
        step(|core| commit(core, "guests", "stock", 0, 4)),
        step(|core| {
            let old = core.topics.get("old").expect("made").id;
            let limit = [("retention.bytes".to_owned(), "500".to_owned())];
            core.configure_topic(old, limit.into(), NOW).expect("configured");
        }),
        step(|core| core.clean(NOW + 1_000_000)),
        step(|core| append(core, "old", 0, None, 0, &[("k", "last".into())])),
        step(|core| transact(core, "till", &[1], Some(TransactionResult::Commit))),
    ]);
    steps
}

/// A topic with an open transaction that the journal does not list.
pub fn begin_foreign(core: &mut Core) {
    make(core, "paid", 1, &[]);
    append(core, "paid", 0, Some(ProducerIdAndEpoch { id: 999, epoch: 0 }), 0, &[("k", "v".into())]);
}

/// Rewrites the journal.
pub fn shorten(core: &mut Core) {
    let entries = core.snapshot();
    core.journal.rewrite(&entries).expect("written");
}
