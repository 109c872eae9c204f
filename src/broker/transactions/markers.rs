//! `WriteTxnMarkers`, which an administrator uses to end a hanging transaction (KIP-664).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::broker::core::Core;
use crate::broker::response::RequestContext;

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
