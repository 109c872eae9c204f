//! Transactional producers: their requests, and waiting for the coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    InitProducerIdRequest, ProduceRequest, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::batch::Batch;
use super::membership::Member;
use super::requests::{self, Target, text};
use super::test_support::Recorder;

/// A transactional id with its producer id and epoch.
#[derive(Clone)]
pub struct Producer {
    pub id: StrBytes,
    /// Its producer id.
    pub number: i64,
    pub epoch: i16,
    /// The timestamp of its records.
    pub time: i64,
}

impl Producer {
    /// A new incarnation of a transactional id of the case.
    pub fn init(recorder: &mut Recorder, name: &str) -> Self {
        let id = recorder.name(name);
        let response = recorder.request(4, &requests::init_producer_id(Some(&id)));
        assert_eq!(response.error_code, 0, "a producer id");
        Self { id, number: *response.producer_id, epoch: response.producer_epoch, time: recorder.zero }
    }

    pub fn at(&self, epoch: i16) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// Takes producer id and epoch from a response.
    pub fn update(&mut self, producer_id: ProducerId, epoch: i16) {
        (self.number, self.epoch) = (*producer_id, epoch);
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(self.id.clone())
    }

    /// `InitProducerId` with the producer's current id and epoch.
    pub fn init_again(&self) -> InitProducerIdRequest {
        requests::init_producer_id(Some(&self.id))
            .with_producer_id(ProducerId(self.number))
            .with_producer_epoch(self.epoch)
    }

    /// `AddPartitionsToTxn` below version 4, which clients use.
    pub fn add(&self, topic: &StrBytes, partitions: &[i32]) -> AddPartitionsToTxnRequest {
        let topic =
            AddPartitionsToTxnTopic::default().with_name(TopicName(topic.clone())).with_partitions(partitions.to_vec());
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(ProducerId(self.number))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic])
    }

    pub fn add_offsets(&self, group: &StrBytes) -> AddOffsetsToTxnRequest {
        AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(self.number))
            .with_producer_epoch(self.epoch)
            .with_group_id(group.clone().into())
    }

    pub fn batch(&self, sequence: i32, values: &[&str]) -> Batch {
        Batch::of(self.time, values).by((self.number, self.epoch), sequence).in_transaction()
    }

    pub fn produce(&self, version: i16, to: (&Target, i32), sequence: i32, values: &[&str]) -> ProduceRequest {
        requests::produce(version, to.0, &[(to.1, self.batch(sequence, values).bytes())])
            .with_transactional_id(Some(self.transactional_id()))
    }

    /// An offset commit for a group without members.
    pub fn commit_offset(&self, group: &StrBytes, topic: &StrBytes, offset: i64) -> TxnOffsetCommitRequest {
        let no_member = Member { group: group.clone(), id: text(""), generation: -1, instance: None };
        self.commit_offset_as(&no_member, topic, offset)
    }

    /// An offset commit for partition 0 by a member; members need version 3.
    pub fn commit_offset_as(&self, member: &Member, topic: &StrBytes, offset: i64) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("")));
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(TopicName(topic.clone())).with_partitions(vec![partition]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(member.group.clone().into())
            .with_producer_id(ProducerId(self.number))
            .with_producer_epoch(self.epoch)
            .with_member_id(member.id.clone())
            .with_generation_id(member.generation)
            .with_group_instance_id(member.instance.clone())
            .with_topics(vec![topic])
    }

    pub fn end(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(self.number))
            .with_producer_epoch(self.epoch)
            .with_committed(committed)
    }

    pub fn describe(&self) -> DescribeTransactionsRequest {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![self.transactional_id()])
    }

    /// Waits until the coordinator has written its markers and is in this state.
    pub fn await_state(&self, recorder: &mut Recorder, state: &str) {
        recorder
            .request_until(0, &self.describe(), |response| &*response.transaction_states[0].transaction_state == state);
    }
}

/// Records the offsets of a partition: earliest, latest, and latest with `read_committed`.
pub fn record_ends(recorder: &mut Recorder, target: &Target, partition: i32) {
    for (at, isolation) in [(-2, 0), (-1, 0), (-1, 1)] {
        recorder.record(7, &requests::list_offsets(&target.name, &[(partition, at)], isolation));
    }
}

/// The error for a partition that is not in the transaction, for newer and older versions.
///
/// Kafka asks its coordinator about several producers in one request and then uses the error of the first one's version
/// for all of them (KIP-890). Cases retry until they get the error of their own version.
pub fn not_in_transaction(newer: bool) -> i16 {
    if newer { ResponseError::TransactionAbortable } else { ResponseError::InvalidTxnState }.code()
}
