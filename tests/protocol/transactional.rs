//! Owns transactional producers: their requests, and waiting for what a coordinator does after it has answered.

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
use super::lab::Lab;
use super::membership::Member;
use super::requests::{self, Target, text};

/// A transactional id with the producer id and the epoch that it was given.
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
    pub fn init(lab: &mut Lab, name: &str) -> Self {
        let id = lab.name(name);
        let answer = lab.put(4, &requests::init_producer_id(Some(&id)));
        assert_eq!(answer.error_code, 0, "a producer id");
        Self { id, number: *answer.producer_id, epoch: answer.producer_epoch, time: lab.zero }
    }

    pub fn at(&self, epoch: i16) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// The producer after an answer that gave it another epoch.
    pub fn go_on(&mut self, producer_id: ProducerId, epoch: i16) {
        (self.number, self.epoch) = (*producer_id, epoch);
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(self.id.clone())
    }

    /// `InitProducerId` with what the producer believes of itself.
    pub fn init_again(&self) -> InitProducerIdRequest {
        requests::init_producer_id(Some(&self.id))
            .with_producer_id(ProducerId(self.number))
            .with_producer_epoch(self.epoch)
    }

    /// `AddPartitionsToTxn` below version 4, as clients say it.
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

    /// Offsets in the name of a group without members.
    pub fn commit_offset(&self, group: &StrBytes, topic: &StrBytes, offset: i64) -> TxnOffsetCommitRequest {
        let nobody = Member { group: group.clone(), id: text(""), generation: -1, instance: None };
        self.commit_offset_as(&nobody, topic, offset)
    }

    /// The offset of partition 0 in the name of a member, which only versions from 3 on can tell.
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

    /// Waits until the coordinator has written its markers and forgotten the transaction.
    pub fn await_state(&self, lab: &mut Lab, state: &str) {
        lab.put_until(0, &self.describe(), |answer| &*answer.transaction_states[0].transaction_state == state);
    }
}

/// Tells a partition's ends: earliest, latest, and latest for readers of committed records.
pub fn tell_ends(lab: &mut Lab, target: &Target, partition: i32) {
    for (at, isolation) in [(-2, 0), (-1, 0), (-1, 1)] {
        lab.ask(7, &requests::list_offsets(&target.name, &[(partition, at)], isolation));
    }
}

/// What is said of a partition that is not in the transaction, to those who know the newer word and to those who do not.
///
/// Kafka asks its coordinator about several producers at once, and then tells all of them in the words of the first one's
/// version (KIP-890). Another answer than the version's own is to be asked for again.
pub fn not_in_transaction(newer: bool) -> i16 {
    if newer { ResponseError::TransactionAbortable } else { ResponseError::InvalidTxnState }.code()
}
