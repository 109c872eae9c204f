//! Tests of transactions on a `Core`: requests, and the contents of logs and groups.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, CreateTopicsRequest, DeleteTopicsRequest, EndTxnRequest, FetchRequest, GroupId,
    InitProducerIdRequest, OffsetFetchRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use uuid::Uuid;

use crate::broker::core::{Core, NodeSettings, Storage};
use crate::broker::directory::Directory;
use crate::broker::log::AbortedTransaction;
use crate::broker::produce::CheckedProduce;
use crate::broker::response::{Client, MaybeDeferred, RequestContext};
use crate::broker::transactions::{
    Marker, TransactionCoordinator, TransactionResult, TransactionState, TransactionVersion,
};

const TOPIC: &str = "orders";
const NOW: i64 = 1_800_000_000_000;

type Producer = (i64, i16);

struct Node {
    core: Core,
    client: Client,
    now: i64,
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn till() -> TransactionalId {
    TransactionalId(text("till"))
}

/// A transactional batch of one record.
fn batch(producer: Producer, sequence: i32) -> Bytes {
    let record = Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: producer.0,
        producer_epoch: producer.1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence,
        timestamp: NOW,
        key: None,
        value: Some(Bytes::from_static(b"soup")),
        headers: indexmap::IndexMap::default(),
    };
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).unwrap();
    bytes.freeze()
}

impl Node {
    fn open(storage: Storage) -> Self {
        let core = Core::open(storage, NodeSettings::default(), Uuid::nil(), NOW).unwrap();
        let client = Client { connection: 1, id: String::new(), host: "/127.0.0.1".to_owned() };
        Self { core, client, now: NOW }
    }

    fn in_folder(folder: &Path) -> Self {
        Self::open(Storage::Directory(Directory::for_test(folder)))
    }

    /// Creates a topic of three partitions and initialises a producer.
    fn begin(&mut self) -> Producer {
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_num_partitions(3)
            .with_replication_factor(-1);
        let made = self.ask(7, CreateTopicsRequest::default().with_topics(vec![topic]), |core, ask, context| {
            core.create_topics(ask, context)
        });
        assert_eq!(made.topics[0].error_code, 0);
        self.init().unwrap()
    }

    fn ask<Q, A>(
        &mut self,
        version: i16,
        request: Q,
        method: impl FnOnce(&mut Core, Q, &RequestContext<'_>) -> A,
    ) -> A {
        let context = RequestContext { version, now: self.now, client: &self.client };
        method(&mut self.core, request, &context)
    }

    fn init(&mut self) -> Result<Producer, i16> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(till()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let response = self.ask(5, request, Core::init_producer_id);
        if response.error_code == 0 {
            Ok((response.producer_id.0, response.producer_epoch))
        } else {
            Err(response.error_code)
        }
    }

    fn produce(&mut self, version: i16, producer: Producer, partition: i32, sequence: i32) -> i16 {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch(producer, sequence)));
        let topic = TopicProduceData::default().with_name(TopicName(text(TOPIC))).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_transactional_id(Some(till())).with_acks(-1).with_topic_data(vec![topic]);
        let response = self.ask(version, CheckedProduce::new(request, version), Core::produce);
        response.responses[0].partition_responses[0].error_code
    }

    fn add(&mut self, version: i16, producer: Producer, partitions: &[i32]) -> Vec<i16> {
        let topic =
            AddPartitionsToTxnTopic::default().with_name(TopicName(text(TOPIC))).with_partitions(partitions.to_vec());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(till())
            .with_v3_and_below_producer_id(ProducerId(producer.0))
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![topic]);
        let response = self.ask(version, request, Core::add_partitions_to_txn);
        let topics = response.results_by_topic_v3_and_below.iter();
        topics.flat_map(|topic| &topic.results_by_partition).map(|one| one.partition_error_code).collect()
    }

    fn commit_offset(&mut self, version: i16, producer: Producer, offset: i64) -> i16 {
        let partition =
            TxnOffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(TopicName(text(TOPIC))).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(till())
            .with_group_id(GroupId(text("kitchen")))
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_topics(vec![topic]);
        let response = self.ask(version, request, |core, ask, context| core.txn_offset_commit(&ask, context));
        response.topics[0].partitions[0].error_code
    }

    fn committed_offset(&mut self) -> i64 {
        let topic =
            OffsetFetchRequestTopic::default().with_name(TopicName(text(TOPIC))).with_partition_indexes(vec![0]);
        let request =
            OffsetFetchRequest::default().with_group_id(GroupId(text("kitchen"))).with_topics(Some(vec![topic]));
        let response = self.ask(5, request, |core, ask, context| core.offset_fetch(&ask, context));
        response.topics[0].partitions[0].committed_offset
    }

    fn end(&mut self, version: i16, producer: Producer, committed: bool) -> (i16, Producer) {
        let request = EndTxnRequest::default()
            .with_transactional_id(till())
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(committed);
        let response = self.ask(version, request, Core::end_txn);
        (response.error_code, (response.producer_id.0, response.producer_epoch))
    }

    /// High watermark and last stable offset.
    fn ends(&self, partition: i32) -> (i64, i64) {
        let log = self.core.topics.log(TOPIC, partition).unwrap();
        (log.high_watermark(), log.last_stable_offset())
    }

    fn aborted(&self, partition: i32) -> Vec<AbortedTransaction> {
        self.core.topics.log(TOPIC, partition).unwrap().aborted(0, i64::MAX)
    }

    fn state(&self) -> TransactionState {
        self.core.transactions.get("till").unwrap().state
    }
}

#[test]
fn produce_adds_partitions_and_end_marks_them() {
    let mut node = Node::open(Storage::Memory);
    let me = node.begin();
    assert_eq!((node.produce(12, me, 0, 0), node.produce(12, me, 1, 0)), (0, 0));
    assert_eq!([node.ends(0), node.ends(1), node.ends(2)], [(1, 0), (1, 0), (0, 0)]);
    let (error, next) = node.end(5, me, true);
    assert_eq!((error, next), (0, (me.0, 1)));
    assert_eq!([node.ends(0), node.ends(1), node.ends(2)], [(2, 2), (2, 2), (0, 0)]);
    assert_eq!(node.produce(12, me, 0, 1), ResponseError::InvalidProducerEpoch.code(), "a late record");
    assert_eq!(node.produce(12, next, 0, 0), 0, "the sequence restarts with the epoch");
    assert_eq!(node.end(5, next, false), (0, (me.0, 2)));
    assert_eq!(node.ends(0), (4, 4));
    assert_eq!(node.aborted(0), [AbortedTransaction { producer_id: me.0, first_offset: 2 }]);
}

#[test]
fn older_clients_add_partitions_first() {
    let mut node = Node::open(Storage::Memory);
    let me = node.begin();
    assert_eq!(node.produce(9, me, 0, 0), ResponseError::InvalidTxnState.code());
    assert_eq!(node.produce(11, me, 0, 0), ResponseError::TransactionAbortable.code());
    assert_eq!(node.add(0, me, &[0, 2]), [0, 0]);
    assert_eq!(node.add(0, (me.0, 1), &[0]), [ResponseError::InvalidProducerEpoch.code()]);
    assert_eq!(node.add(2, (me.0, 1), &[0]), [ResponseError::ProducerFenced.code()]);
    assert_eq!(
        node.add(0, me, &[1, 3]),
        [ResponseError::OperationNotAttempted, ResponseError::UnknownTopicOrPartition].map(|error| error.code())
    );
    assert_eq!(node.produce(9, me, 0, 0), 0);
    assert_eq!(node.produce(9, me, 1, 0), ResponseError::InvalidTxnState.code());
    assert_eq!(node.end(1, me, true).0, 0);
    assert_eq!(
        [node.ends(0), node.ends(1), node.ends(2)],
        [(2, 2), (0, 0), (1, 1)],
        "partitions without records get markers, too"
    );
    assert_eq!(node.add(0, me, &[0]), [0]);
    assert_eq!(node.produce(9, me, 0, 1), 0, "the epoch is unchanged and the sequence continues");
}

#[test]
fn offsets_are_committed_with_their_transaction() {
    let mut node = Node::open(Storage::Memory);
    let me = node.begin();
    assert_eq!(node.commit_offset(3, me, 5), ResponseError::InvalidTxnState.code());
    assert_eq!(node.commit_offset(5, me, 5), 0);
    assert_eq!(node.committed_offset(), -1);
    let (_, me) = node.end(5, me, false);
    assert_eq!(node.committed_offset(), -1);
    assert_eq!(node.commit_offset(5, me, 7), 0);
    assert_eq!(node.end(5, me, true).0, 0);
    assert_eq!(node.committed_offset(), 7);
}

#[test]
fn end_wakes_read_committed_fetches() {
    let mut node = Node::open(Storage::Memory);
    let me = node.begin();
    assert_eq!(node.produce(12, me, 0, 0), 0);
    let partition = FetchPartition::default().with_partition(0).with_partition_max_bytes(1_000);
    let topic = FetchTopic::default().with_topic(TopicName(text(TOPIC))).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_session_epoch(-1)
        .with_isolation_level(1)
        .with_min_bytes(1)
        .with_max_bytes(1_000)
        .with_max_wait_ms(500)
        .with_topics(vec![topic]);
    let response = node.ask(12, request, |core, ask, context| core.fetch(&ask, context));
    let MaybeDeferred::Later(ticket) = response else { panic!("{response:?}") };
    assert!(node.core.take_ready().is_empty());
    assert_eq!(node.end(5, me, true).0, 0);
    assert_eq!(node.core.take_ready().iter().map(|(ready, _)| *ready).collect::<Vec<_>>(), [ticket]);
}

#[test]
fn restart_completes_a_prepared_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::in_folder(folder.path());
    let me = node.begin();
    assert_eq!([0, 1].map(|partition| node.produce(12, me, partition, 0)), [0, 0]);
    assert_eq!(node.commit_offset(5, me, 7), 0);
    // Killed after the first of two markers.
    let decided = node.core.transactions.get("till").unwrap().prepare_end(
        TransactionResult::Commit,
        TransactionVersion::V2,
        None,
        NOW,
    );
    let (producer, result) = (decided.producer(), TransactionResult::Commit);
    node.core.replace("till", decided).unwrap();
    node.core.append_marker(&Marker { topic: TOPIC.to_owned(), partition: 0, producer, result }, NOW).unwrap();
    assert_eq!([node.ends(0), node.ends(1)], [(2, 2), (1, 0)]);
    assert_eq!(node.init(), Err(ResponseError::ConcurrentTransactions.code()));
    drop(node);

    let mut node = Node::in_folder(folder.path());
    assert_eq!(node.state(), TransactionState::CompleteCommit);
    assert_eq!([node.ends(0), node.ends(1), node.ends(2)], [(2, 2), (2, 2), (0, 0)]);
    assert_eq!(node.committed_offset(), 7);
    assert_eq!(node.end(5, me, true), (0, (me.0, 1)), "the retry of the client");
    drop(node);

    let node = Node::in_folder(folder.path());
    assert_eq!([node.ends(0), node.ends(1), node.ends(2)], [(2, 2), (2, 2), (0, 0)], "no second marker");
}

#[test]
fn open_transaction_survives_a_restart_and_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::in_folder(folder.path());
    let me = node.begin();
    assert_eq!(node.produce(12, me, 0, 0), 0);
    drop(node);

    let mut node = Node::in_folder(folder.path());
    assert_eq!((node.state(), node.ends(0)), (TransactionState::Ongoing, (1, 0)));
    assert!(node.core.tick(NOW + 60_000).is_some_and(|next| next <= NOW + 60_001));
    assert_eq!(node.state(), TransactionState::Ongoing);
    node.core.tick(NOW + 60_001);
    assert_eq!((node.state(), node.ends(0)), (TransactionState::CompleteAbort, (2, 2)));
    assert_eq!(node.aborted(0), [AbortedTransaction { producer_id: me.0, first_offset: 0 }]);
    assert_eq!(node.produce(12, me, 0, 1), ResponseError::InvalidProducerEpoch.code());
}

#[test]
fn transaction_with_a_deleted_topic_ends() {
    let mut node = Node::open(Storage::Memory);
    let me = node.begin();
    assert_eq!(node.produce(12, me, 0, 0), 0);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text(TOPIC))]);
    node.ask(5, request, Core::delete_topics);
    assert!(node.core.topics.get(TOPIC).is_none());
    assert_eq!(node.end(5, me, true), (0, (me.0, 1)));
    assert_eq!(node.state(), TransactionState::CompleteCommit);
}
