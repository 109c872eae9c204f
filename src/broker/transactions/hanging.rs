//! Hanging transactions: open in a log, but unknown to the coordinator. They would block the last stable offset
//! forever. `WriteTxnMarkers`, with which an administrator ends one (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::coordinator::TransactionCoordinator;
use super::requests::COORDINATOR_EPOCH;
use super::{TransactionEntry, TransactionResult, TransactionState};
use crate::broker::core::Core;
use crate::broker::events::BrokerEvent;
use crate::broker::log::{DecidedMarker, ProducerState};
use crate::broker::response::RequestContext;

/// The number of outcomes that are kept for a partition.
const OUTCOMES_PER_PARTITION: usize = 16;

/// The last outcomes of transactions in the journal, by topic and partition.
#[derive(Debug, Default)]
pub struct TransactionOutcomes {
    by_partition: BTreeMap<(String, i32), Vec<DecidedMarker>>,
}

impl TransactionOutcomes {
    /// Adds the outcome of a journal entry that prepares an end.
    pub fn add(&mut self, entry: &TransactionEntry) {
        let TransactionEntry::Became { transaction, .. } = entry else { return };
        let Some(result) = transaction.state.prepared_result() else { return };
        let decided = DecidedMarker {
            producer_id: transaction.producer_id,
            epoch: transaction.epoch,
            commit: result == TransactionResult::Commit,
            coordinator_epoch: COORDINATOR_EPOCH,
            at: transaction.updated,
        };
        for (topic, partitions) in &transaction.partitions {
            for partition in partitions {
                let known = self.by_partition.entry((topic.clone(), *partition)).or_default();
                if known.len() == OUTCOMES_PER_PARTITION {
                    known.remove(0);
                }
                known.push(decided);
            }
        }
    }

    /// The outcomes of a partition, the latest last.
    pub fn of(&self, topic: &str, partition: i32) -> &[DecidedMarker] {
        self.by_partition.get(&(topic.to_owned(), partition)).map_or(&[], Vec::as_slice)
    }
}

impl Core {
    /// Ends hanging transactions with the outcome in the journal. Aborts those without one, since they can no longer be
    /// committed.
    pub(in crate::broker) fn end_hanging_transactions(&mut self, outcomes: &TransactionOutcomes, now: i64) {
        for (topic, partition, producer) in self.hanging_transactions() {
            let known = outcomes.of(&topic, partition);
            let last = known.iter().rev().find(|decided| decided.producer_id == producer.producer_id);
            let (committed, epoch) =
                last.map_or((false, producer.epoch), |last| (last.commit, last.epoch.max(producer.epoch)));
            let Some(log) = self.topics.log_mut(&topic, partition) else { continue };
            match log.end_transaction(producer.producer_id, epoch, committed, COORDINATOR_EPOCH, now) {
                Ok(_) => self.events.push(BrokerEvent::TransactionEnded { topic, partition, committed }),
                Err(error) => self.warn(format!(
                    "cannot end the transaction of producer {} in {topic}-{partition}: {error}",
                    producer.producer_id
                )),
            }
        }
    }

    fn hanging_transactions(&self) -> Vec<(String, i32, ProducerState)> {
        let is_known = |topic: &str, partition: i32, producer_id: i64| {
            self.transactions.iter().any(|(_, transaction)| {
                let open =
                    transaction.state == TransactionState::Ongoing || transaction.state.prepared_result().is_some();
                let has = transaction
                    .partitions
                    .get(topic)
                    .is_some_and(|topic_partitions| topic_partitions.contains(&partition));
                transaction.producer_id == producer_id && open && has
            })
        };
        let logs =
            self.topics.iter().flat_map(|topic| (0..).zip(&topic.logs).map(move |(number, log)| (topic, number, log)));
        let open = logs.flat_map(|(topic, number, log)| {
            let open = log.producers().into_iter().filter(|producer| producer.transaction_start.is_some());
            open.map(move |producer| (topic.name.clone(), number, producer))
        });
        open.filter(|(topic, number, producer)| !is_known(topic, *number, producer.producer_id)).collect()
    }
}

impl Core {
    /// `WriteTxnMarkers`, version 1. It does not change the coordinator's transaction, which writes its own markers
    /// when it ends.
    pub fn write_txn_markers(
        &mut self,
        request: WriteTxnMarkersRequest,
        context: &RequestContext<'_>,
    ) -> WriteTxnMarkersResponse {
        let markers = request.markers.into_iter().map(|marker| {
            let topics = marker.topics.iter().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    let error = self.write_marker(&marker, &topic.name, *partition, context.now).err();
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(*partition)
                        .with_error_code(error.map_or(0, |error| error.code()))
                });
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics.collect())
        });
        WriteTxnMarkersResponse::default().with_markers(markers.collect())
    }

    fn write_marker(
        &mut self,
        marker: &WritableTxnMarker,
        topic: &str,
        partition: i32,
        now: i64,
    ) -> Result<(), ResponseError> {
        let log = self.topics.log_mut(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let known = log.producers().into_iter().find(|producer| producer.producer_id == marker.producer_id.0);
        if known.is_some_and(|known| known.coordinator_epoch > marker.coordinator_epoch) {
            return Err(ResponseError::TransactionCoordinatorFenced);
        }
        let (id, epoch, commit) = (marker.producer_id.0, marker.producer_epoch, marker.transaction_result);
        let written = log.end_transaction(id, epoch, commit, marker.coordinator_epoch, now);
        match written.map_err(|_| ResponseError::KafkaStorageError)? {
            Some(_) => {
                self.wake(topic, partition);
                Ok(())
            }
            None => Err(ResponseError::InvalidProducerEpoch),
        }
    }
}
