//! Tests of the fields and versions of transactional requests. The expected responses were recorded from Apache Kafka
//! 4.1.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, GroupId,
    InitProducerIdRequest, ListTransactionsRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::core::{Core, NodeSettings, Storage};
use crate::broker::response::{Client, RequestContext};

type Producer = (i64, i16);

struct TestNode {
    core: Core,
    client: Client,
    now: i64,
}

impl TestNode {
    fn new() -> Self {
        let core = Core::open(Storage::Memory, NodeSettings::default(), Uuid::nil(), 0).unwrap();
        let client = Client { connection: 1, id: String::new(), host: "/127.0.0.1".to_owned() };
        Self { core, client, now: 1_000 }
    }

    fn ask<Q, A>(&mut self, version: i16, request: Q, method: fn(&mut Core, Q, &RequestContext<'_>) -> A) -> A {
        let context = RequestContext { version, now: self.now, client: &self.client };
        method(&mut self.core, request, &context)
    }

    fn init(&mut self, version: i16, id: Option<&str>, timeout_ms: i32, expected: Producer) -> Result<Producer, i16> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(id.map(transactional_id))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(expected.0))
            .with_producer_epoch(expected.1);
        let response = self.ask(version, request, Core::init_producer_id);
        let producer = (response.producer_id.0, response.producer_epoch);
        if response.error_code == 0 {
            return Ok(producer);
        }
        assert_eq!(producer, NO_PRODUCER);
        Err(response.error_code)
    }

    fn add_offsets(&mut self, version: i16, id: &str, producer: Producer, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_group_id(GroupId(text(group)));
        self.ask(version, request, Core::add_offsets_to_txn).error_code
    }

    fn end(&mut self, version: i16, id: &str, producer: Producer, committed: bool) -> (i16, Producer) {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(committed);
        let response = self.ask(version, request, Core::end_txn);
        (response.error_code, (response.producer_id.0, response.producer_epoch))
    }

    fn list(&mut self, request: ListTransactionsRequest) -> (i16, Vec<String>, Vec<String>) {
        let response = self.ask(2, request, Core::list_transactions);
        let listed = response.transaction_states.iter();
        let listed = listed.map(|one| format!("{} {}", one.transactional_id.as_str(), one.transaction_state.as_str()));
        (
            response.error_code,
            listed.collect(),
            response.unknown_state_filters.iter().map(ToString::to_string).collect(),
        )
    }
}

const NO_PRODUCER: Producer = (-1, -1);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn transactional_id(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

#[test]
fn idempotent_producer_gets_a_new_id_each_time() {
    let mut node = TestNode::new();
    assert_eq!(node.init(0, None, 0, NO_PRODUCER), Ok((0, 0)));
    assert_eq!(node.init(5, None, -1, NO_PRODUCER), Ok((1, 0)));
    assert_eq!(node.init(5, None, -1, (1, 0)), Ok((2, 0)), "its current id is ignored");
}

#[test]
fn init_checks_producer_id_and_timeout() {
    let mut node = TestNode::new();
    let invalid = Err(ResponseError::InvalidRequest.code());
    assert_eq!(node.init(5, None, -1, (5, -1)), invalid);
    assert_eq!(node.init(5, Some("till"), 1_000, (-1, 3)), invalid);
    assert_eq!(node.init(5, Some(""), 1_000, NO_PRODUCER), invalid);
    for timeout_ms in [0, -1, 900_001, i32::MAX] {
        let refused = Err(ResponseError::InvalidTransactionTimeout.code());
        assert_eq!(node.init(5, Some("till"), timeout_ms, NO_PRODUCER), refused);
    }
    assert_eq!(
        node.init(5, Some("till"), 900_000, NO_PRODUCER),
        Ok((0, 0)),
        "the refused requests used no producer id"
    );
}

#[test]
fn fenced_error_depends_on_the_version() {
    let mut node = TestNode::new();
    let (id, _) = node.init(5, Some("till"), 1_000, NO_PRODUCER).unwrap();
    node.init(5, Some("till"), 1_000, NO_PRODUCER).unwrap();
    let (fenced, older) = (ResponseError::ProducerFenced.code(), ResponseError::InvalidProducerEpoch.code());
    assert_eq!(node.init(3, Some("till"), 1_000, (id, 0)), Err(older));
    assert_eq!(node.init(4, Some("till"), 1_000, (id, 0)), Err(fenced));
    assert_eq!(node.add_offsets(1, "till", (id, 0), "kitchen"), older);
    assert_eq!(node.add_offsets(2, "till", (id, 0), "kitchen"), fenced);
    assert_eq!(node.end(1, "till", (id, 0), true), (older, NO_PRODUCER));
    assert_eq!(node.end(2, "till", (id, 0), true), (fenced, NO_PRODUCER));
    assert_eq!(node.end(5, "till", (id, 0), true), (fenced, NO_PRODUCER));
}

#[test]
fn end_returns_the_next_epoch_since_version_5() {
    let mut node = TestNode::new();
    let me = node.init(5, Some("till"), 1_000, NO_PRODUCER).unwrap();
    assert_eq!(node.add_offsets(3, "till", me, ""), 0);
    assert_eq!(node.end(4, "till", me, true), (0, NO_PRODUCER));
    assert_eq!(node.add_offsets(3, "till", me, ""), 0);
    assert_eq!(node.end(5, "till", me, true), (0, (me.0, 1)));
    assert_eq!(node.end(5, "till", me, true), (0, (me.0, 1)));
    for (name, error) in [("", ResponseError::InvalidRequest), ("unknown", ResponseError::InvalidProducerIdMapping)] {
        assert_eq!(node.end(5, name, me, true), (error.code(), NO_PRODUCER));
        assert_eq!(node.end(1, name, me, true), (error.code(), NO_PRODUCER));
        assert_eq!(node.add_offsets(3, name, me, "kitchen"), error.code());
    }
}

#[test]
fn add_partitions_adds_all_or_none() {
    let mut node = TestNode::new();
    let me = node.init(5, Some("till"), 1_000, NO_PRODUCER).unwrap();
    let topics =
        vec![AddPartitionsToTxnTopic::default().with_name(TopicName(text("gone"))).with_partitions(vec![0, 7])];
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let flat = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id("till"))
        .with_v3_and_below_producer_id(ProducerId(me.0))
        .with_v3_and_below_producer_epoch(me.1);
    let response = node.ask(0, flat.clone().with_v3_and_below_topics(topics.clone()), Core::add_partitions_to_txn);
    let [topic] = &response.results_by_topic_v3_and_below[..] else { panic!("{response:?}") };
    assert_eq!(topic.results_by_partition.iter().map(|one| one.partition_error_code).collect::<Vec<_>>(), [unknown; 2]);
    let batch = AddPartitionsToTxnRequest::default().with_transactions(vec![
        AddPartitionsToTxnTransaction::default().with_transactional_id(transactional_id("till")).with_topics(topics),
    ]);
    let response = node.ask(4, batch, Core::add_partitions_to_txn);
    assert_eq!(
        response.results_by_transaction[0].topic_results[0].results_by_partition[1].partition_error_code,
        unknown
    );
    assert_eq!(node.core.transactions.get("till").unwrap().state.name(), "Empty");
    node.ask(0, flat, Core::add_partitions_to_txn);
    assert_eq!(
        node.core.transactions.get("till").unwrap().state.name(),
        "Ongoing",
        "an empty request starts the transaction"
    );
}

#[test]
fn describe_shows_groups_as_offsets_partitions() {
    let mut node = TestNode::new();
    let me = node.init(5, Some("till"), 7_000, NO_PRODUCER).unwrap();
    node.add_offsets(3, "till", me, "kitchen");
    let request = DescribeTransactionsRequest::default()
        .with_transactional_ids(["till", "", "unknown"].map(transactional_id).to_vec());
    let response = node.ask(0, request, Core::describe_transactions);
    let [till, empty, unknown] = &response.transaction_states[..] else { panic!("{response:?}") };
    assert_eq!((till.error_code, till.transaction_state.as_str()), (0, "Ongoing"));
    assert_eq!((till.producer_id.0, till.producer_epoch), me);
    assert_eq!((till.transaction_timeout_ms, till.transaction_start_time_ms), (7_000, 1_000));
    assert_eq!(till.topics[0].topic.as_str(), "__consumer_offsets");
    // `("kitchen".hashCode() & Integer.MAX_VALUE) % 50` in Java.
    assert_eq!(till.topics[0].partitions, [42]);
    assert_eq!(empty.error_code, ResponseError::InvalidRequest.code());
    assert_eq!(unknown.error_code, ResponseError::TransactionalIdNotFound.code());
    assert_eq!(unknown.transactional_id.as_str(), "unknown");
}

#[test]
fn list_filters_transactions() {
    let mut node = TestNode::new();
    let me = node.init(5, Some("till-1"), 7_000, NO_PRODUCER).unwrap();
    let other = node.init(5, Some("oven"), 7_000, NO_PRODUCER).unwrap();
    node.add_offsets(3, "till-1", me, "kitchen");
    node.now = 2_000;
    let all = ListTransactionsRequest::default;
    let states = |names: &[&str]| all().with_state_filters(names.iter().map(|name| text(name)).collect());
    let pattern = |pattern: &str| all().with_transactional_id_pattern(Some(text(pattern)));
    let (till, oven) = ("till-1 Ongoing".to_owned(), "oven Empty".to_owned());
    let both = vec![oven.clone(), till.clone()];
    assert_eq!(node.list(all()), (0, both.clone(), vec![]));
    assert_eq!(node.list(states(&["Ongoing", "Bogus"])), (0, vec![till.clone()], vec!["Bogus".to_owned()]));
    assert_eq!(node.list(states(&["Bogus"])), (0, vec![], vec!["Bogus".to_owned()]));
    assert_eq!(node.list(states(&["Dead", "PrepareEpochFence", "ongoing"])), (0, vec![], vec!["ongoing".to_owned()]));
    assert_eq!(node.list(all().with_producer_id_filters(vec![ProducerId(other.0)])), (0, vec![oven.clone()], vec![]));
    assert_eq!(node.list(all().with_duration_filter(999)), (0, both.clone(), vec![]));
    assert_eq!(
        node.list(all().with_duration_filter(1_000)),
        (0, vec![oven.clone()], vec![]),
        "an id without a transaction matches every duration"
    );
    assert_eq!(node.list(pattern("")), (0, both, vec![]));
    assert_eq!(node.list(pattern("till-[0-9]+")), (0, vec![till], vec![]));
    assert_eq!(node.list(pattern("till")), (0, vec![], vec![]), "the pattern must match the whole id");
    for wrong in ["(", "a)(b"] {
        assert_eq!(node.list(pattern(wrong)), (ResponseError::InvalidRegularExpression.code(), vec![], vec![]));
    }
}
