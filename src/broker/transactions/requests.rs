//! Requests of transactional producers, and the coordinator's access to the journal, logs and groups of the `Core`.

use std::collections::BTreeSet;
use std::io;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
};

use super::transaction::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use super::{
    Marker, Partitions, ProducerIdAndEpoch, ProducerIdentity, TransactionCoordinator, TransactionResult,
    TransactionSupport, TransactionVersion, Transactions,
};
use crate::broker::core::Core;
use crate::broker::events::BrokerEvent;
use crate::broker::journal::JournalEntry;
use crate::broker::response::RequestContext;
use crate::broker::storage_error::describe_io_error;

/// The epoch of the only coordinator.
pub(super) const COORDINATOR_EPOCH: i32 = 0;

impl TransactionCoordinator for Core {
    fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    fn transactions_mut(&mut self) -> &mut Transactions {
        &mut self.transactions
    }

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        Self::record(self, entries)
    }

    fn append_marker(&mut self, marker: &Marker, now: i64) -> io::Result<()> {
        let Some(log) = self.topics.log_mut(&marker.topic, marker.partition) else { return Ok(()) };
        let ProducerIdAndEpoch { id, epoch } = marker.producer;
        // No offset: the log has a newer epoch of this producer, so the marker was not written.
        let ended = log.end_transaction(id, epoch, marker.result == TransactionResult::Commit, COORDINATOR_EPOCH, now);
        let offset = ended.inspect_err(|error| {
            let what = format!("{}-{}", marker.topic, marker.partition);
            self.events.push(BrokerEvent::WriteFailed { what, reason: describe_io_error(error) });
        })?;
        if offset.is_some() {
            // The last stable offset has advanced.
            self.wake(&marker.topic, marker.partition);
        }
        Ok(())
    }

    fn is_open(&self, topic: &str, partition: i32, producer_id: i64) -> bool {
        self.topics.log(topic, partition).is_some_and(|log| {
            log.producers()
                .iter()
                .any(|producer| producer.producer_id == producer_id && producer.transaction_start.is_some())
        })
    }

    fn end_offsets(&mut self, producer_id: i64, result: TransactionResult, now: i64) -> Vec<JournalEntry> {
        self.groups.end_transaction(producer_id, result == TransactionResult::Commit, now)
    }

    fn warn(&mut self, what: String) {
        self.events.push(BrokerEvent::BackgroundError { what });
    }
}

impl Core {
    /// See [`TransactionCoordinator::add_or_verify_partitions`].
    pub(in crate::broker) fn add_or_verify_partitions(
        &mut self,
        identity: ProducerIdentity<'_>,
        partitions: &[(&str, i32)],
        support: TransactionSupport,
        now: i64,
    ) -> Vec<Result<(), ResponseError>> {
        TransactionCoordinator::add_or_verify_partitions(self, identity, partitions, support, now)
    }

    /// See [`TransactionCoordinator::add_or_verify_group`].
    pub(in crate::broker) fn add_or_verify_group(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        TransactionCoordinator::add_or_verify_group(self, identity, group, support, now)
    }

    /// See [`TransactionCoordinator::finish_prepared`].
    pub fn finish_prepared(&mut self, now: i64) {
        TransactionCoordinator::finish_prepared(self, now);
    }

    /// See [`TransactionCoordinator::tick`].
    pub fn tick_transactions(&mut self, now: i64) {
        TransactionCoordinator::tick(self, now);
    }

    /// `InitProducerId`
    pub fn init_producer_id(
        &mut self,
        request: InitProducerIdRequest,
        context: &RequestContext<'_>,
    ) -> InitProducerIdResponse {
        let (error, producer) = match self.try_init_producer_id(request, context) {
            Ok(producer) => (0, producer),
            Err(error) => (error_for_version(4, context.version, error).code(), ProducerIdAndEpoch::NONE),
        };
        InitProducerIdResponse::default()
            .with_error_code(error)
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
    }

    fn try_init_producer_id(
        &mut self,
        request: InitProducerIdRequest,
        context: &RequestContext<'_>,
    ) -> Result<ProducerIdAndEpoch, ResponseError> {
        let expected = match (request.producer_id.0, request.producer_epoch) {
            (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
            (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => return Err(ResponseError::InvalidRequest),
            (id, epoch) => Some(ProducerIdAndEpoch { id, epoch }),
        };
        let Some(transactional_id) = request.transactional_id else {
            // An idempotent producer without transactions gets a new id for each call.
            return Ok(ProducerIdAndEpoch { id: self.generate_producer_id()?, epoch: 0 });
        };
        if transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let timeout_ms = request.transaction_timeout_ms;
        if timeout_ms <= 0 || timeout_ms > self.settings.transaction_max_timeout_ms {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        self.init_transactional_id(&transactional_id, expected, timeout_ms, context.now)
    }

    /// `AddPartitionsToTxn`: up to version 3 for one producer, from version 4 on a batch as brokers send it to each
    /// other, which clients may send, too.
    pub fn add_partitions_to_txn(
        &mut self,
        request: AddPartitionsToTxnRequest,
        context: &RequestContext<'_>,
    ) -> AddPartitionsToTxnResponse {
        if context.version >= 4 {
            let results = request.transactions.into_iter().map(|transaction| {
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(transaction.transactional_id.clone())
                    .with_topic_results(self.add_partitions(transaction, context))
            });
            return AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect());
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = self.add_partitions(transaction, context);
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
    }

    fn add_partitions(
        &mut self,
        transaction: AddPartitionsToTxnTransaction,
        context: &RequestContext<'_>,
    ) -> Vec<AddPartitionsToTxnTopicResult> {
        let AddPartitionsToTxnTransaction {
            transactional_id, producer_id, producer_epoch, verify_only, topics, ..
        } = transaction;
        let identity =
            ProducerIdentity { transactional_id: &transactional_id, producer_id: producer_id.0, epoch: producer_epoch };
        let exists = |topic: &str, partition: i32| self.topics.log(topic, partition).is_some();
        let all_exist =
            topics.iter().all(|topic| topic.partitions.iter().all(|partition| exists(&topic.name, *partition)));
        if !all_exist {
            return results(topics, |topic, partition| {
                Some(if exists(topic, partition) {
                    ResponseError::OperationNotAttempted
                } else {
                    ResponseError::UnknownTopicOrPartition
                })
            });
        }
        if verify_only {
            return results(topics, |topic, partition| self.verify(identity, topic, partition).err());
        }
        let mut partitions = Partitions::new();
        for topic in &topics {
            partitions.entry(topic.name.to_string()).or_default().extend(&topic.partitions);
        }
        let error = self.add_to_transaction(identity, partitions, BTreeSet::new(), context.now).err();
        let error = error.map(|error| error_for_version(2, context.version, error));
        results(topics, |_, _| error)
    }

    /// `AddOffsetsToTxn`
    pub fn add_offsets_to_txn(
        &mut self,
        request: AddOffsetsToTxnRequest,
        context: &RequestContext<'_>,
    ) -> AddOffsetsToTxnResponse {
        let AddOffsetsToTxnRequest { transactional_id, producer_id, producer_epoch, group_id, .. } = request;
        let identity =
            ProducerIdentity { transactional_id: &transactional_id, producer_id: producer_id.0, epoch: producer_epoch };
        let groups = BTreeSet::from([group_id.to_string()]);
        let error = self.add_to_transaction(identity, Partitions::new(), groups, context.now).err();
        let error = error.map_or(0, |error| error_for_version(2, context.version, error).code());
        AddOffsetsToTxnResponse::default().with_error_code(error)
    }

    /// `EndTxn`: from version 5 on the epoch is bumped and returned (KIP-890).
    pub fn end_txn(&mut self, request: EndTxnRequest, context: &RequestContext<'_>) -> EndTxnResponse {
        let EndTxnRequest { transactional_id, producer_id, producer_epoch, committed, .. } = request;
        let identity =
            ProducerIdentity { transactional_id: &transactional_id, producer_id: producer_id.0, epoch: producer_epoch };
        let result = if committed { TransactionResult::Commit } else { TransactionResult::Abort };
        let version = if context.version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V1 };
        match self.end(identity, result, version, context.now) {
            Err(error) => {
                EndTxnResponse::default().with_error_code(error_for_version(2, context.version, error).code())
            }
            Ok(_) if version == TransactionVersion::V1 => EndTxnResponse::default(),
            Ok(producer) => {
                EndTxnResponse::default().with_producer_id(ProducerId(producer.id)).with_producer_epoch(producer.epoch)
            }
        }
    }
}

/// Converts `PRODUCER_FENCED` to `INVALID_PRODUCER_EPOCH` for versions before `known_from` (KIP-588).
fn error_for_version(known_from: i16, version: i16, error: ResponseError) -> ResponseError {
    if version < known_from && error == ResponseError::ProducerFenced {
        ResponseError::InvalidProducerEpoch
    } else {
        error
    }
}

fn results(
    topics: Vec<AddPartitionsToTxnTopic>,
    error: impl Fn(&str, i32) -> Option<ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topic_result = |topic: AddPartitionsToTxnTopic| {
        let partition_result = |partition: &i32| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(error(&topic.name, *partition).map_or(0, |error| error.code()))
        };
        let by_partition = topic.partitions.iter().map(partition_result).collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(by_partition)
    };
    topics.into_iter().map(topic_result).collect()
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "node_tests.rs"]
mod node_tests;
