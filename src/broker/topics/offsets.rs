//! Offsets and producers of a partition: `ListOffsets`, `OffsetForLeaderEpoch`, `DescribeProducers`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as DescribedProducer, TopicResponse,
};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::super::core::Core;
use super::super::log::{IsolationLevel, Log, ProducerState, TimedOffset};
use super::super::response::RequestContext;
use super::{UNKNOWN_TOPIC, names};

/// Special timestamp: the end of the log at the isolation level.
const LATEST: i64 = -1;
/// Special timestamp: the log start offset.
const EARLIEST: i64 = -2;
/// Special timestamp: the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// Special timestamp: the start of the local log (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// Special timestamp: the end of the tiered log (KIP-1005), which does not exist here.
const LATEST_TIERED: i64 = -5;

/// The leader epoch of every partition: the leader never changes.
const LEADER_EPOCH: i32 = 0;
/// No epoch, offset or timestamp.
const NONE: i32 = -1;

impl Core {
    /// `ListOffsets`, versions 1 to 10.
    pub fn list_offsets(&mut self, request: ListOffsetsRequest, context: &RequestContext<'_>) -> ListOffsetsResponse {
        let isolation = match request.isolation_level {
            0 => Ok(IsolationLevel::ReadUncommitted),
            1 => Ok(IsolationLevel::ReadCommitted),
            // Kafka fails with an exception here.
            _ => Err(ResponseError::UnknownServerError),
        };
        let mut seen = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            for partition in &topic.partitions {
                let key = (topic.name.clone(), partition.partition_index);
                if !seen.insert(key.clone()) {
                    duplicates.insert(key);
                }
            }
        }
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let key = (topic.name.clone(), partition.partition_index);
                // The response has one error for a duplicate partition.
                let (is_duplicate, is_first) = (duplicates.contains(&key), seen.remove(&key));
                if is_duplicate && !is_first {
                    continue;
                }
                let result = if is_duplicate {
                    Err(ResponseError::InvalidRequest)
                } else {
                    self.log_at_epoch(&topic.name, partition.partition_index, partition.current_leader_epoch)
                        .and_then(|log| look_up(log, partition.timestamp, isolation?, context.version))
                };
                partitions.push(list_result(partition.partition_index, &result, context.version));
            }
            topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
        }
        ListOffsetsResponse::default().with_topics(topics)
    }

    /// The log of a partition, if the leader epoch of the client is the current one (KIP-320). -1 matches any epoch.
    fn log_at_epoch(&self, topic: &str, partition: i32, epoch: i32) -> Result<&Log, ResponseError> {
        let log = self.topics.log(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        match epoch {
            NONE | LEADER_EPOCH => Ok(log),
            newer if newer > LEADER_EPOCH => Err(ResponseError::UnknownLeaderEpoch),
            _ => Err(ResponseError::FencedLeaderEpoch),
        }
    }

    /// `OffsetForLeaderEpoch`, versions 2 to 4.
    pub fn offset_for_leader_epoch(
        &mut self,
        request: OffsetForLeaderEpochRequest,
        _call: &RequestContext<'_>,
    ) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let end = EpochEndOffset::default().with_partition(partition.partition);
                match self.log_at_epoch(&topic.topic, partition.partition, partition.current_leader_epoch) {
                    Err(error) => end.with_error_code(error.code()),
                    Ok(log) => match partition.leader_epoch {
                        LEADER_EPOCH => end.with_leader_epoch(LEADER_EPOCH).with_end_offset(log.high_watermark()),
                        // An epoch before the first one ends where the first one begins.
                        older if older < NONE => end.with_leader_epoch(older).with_end_offset(log.start_offset()),
                        _ => end,
                    },
                }
            });
            let partitions = partitions.collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
        });
        let topics = topics.collect();
        OffsetForLeaderEpochResponse::default().with_topics(topics)
    }

    /// `DescribeProducers` (KIP-664), version 0.
    pub fn describe_producers(
        &mut self,
        request: DescribeProducersRequest,
        _call: &RequestContext<'_>,
    ) -> DescribeProducersResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let error = match (self.topics.get(&topic.name), names::invalid_reason(&topic.name)) {
                (Some(_), _) => None,
                (None, Some(reason)) => Some((ResponseError::InvalidTopicException, StrBytes::from_string(reason))),
                (None, None) => {
                    Some((ResponseError::UnknownTopicOrPartition, StrBytes::from_static_str(UNKNOWN_TOPIC)))
                }
            };
            let partitions = topic.partition_indexes.iter().map(|partition| {
                let response = PartitionResponse::default().with_partition_index(*partition);
                if let Some((error, message)) = &error {
                    return response.with_error_code(error.code()).with_error_message(Some(message.clone()));
                }
                match self.topics.log(&topic.name, *partition) {
                    None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                    Some(log) => {
                        let producers = log.producers().into_iter().map(describe_producer);
                        response.with_active_producers(producers.collect())
                    }
                }
            });
            let partitions = partitions.collect();
            TopicResponse::default().with_name(topic.name).with_partitions(partitions)
        });
        let topics = topics.collect();
        DescribeProducersResponse::default().with_topics(topics)
    }
}

/// A result of `ListOffsets`.
enum ListedOffset {
    /// An offset, and its timestamp if it was found by time.
    Offset(i64, i64),
    /// No record matches.
    None,
}

fn look_up(log: &Log, timestamp: i64, isolation: IsolationLevel, version: i16) -> Result<ListedOffset, ResponseError> {
    let end = log.end_offset(isolation);
    let by_time = |found: Option<TimedOffset>| match found.filter(|found| found.offset < end) {
        Some(TimedOffset { offset, timestamp }) => ListedOffset::Offset(offset, timestamp),
        None => ListedOffset::None,
    };
    match timestamp {
        LATEST => Ok(ListedOffset::Offset(end, i64::from(NONE))),
        EARLIEST => Ok(ListedOffset::Offset(log.start_offset(), i64::from(NONE))),
        MAX_TIMESTAMP if version >= 7 => Ok(by_time(log.max_timestamp().map_err(unreadable)?)),
        EARLIEST_LOCAL if version >= 8 => Ok(ListedOffset::Offset(log.start_offset(), i64::from(NONE))),
        LATEST_TIERED if version >= 9 => Ok(ListedOffset::None),
        timestamp if timestamp >= 0 => Ok(by_time(log.offset_for_time(timestamp, isolation).map_err(unreadable)?)),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

fn unreadable(_: std::io::Error) -> ResponseError {
    ResponseError::KafkaStorageError
}

fn list_result(
    partition: i32,
    result: &Result<ListedOffset, ResponseError>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse::default().with_partition_index(partition);
    match result {
        Ok(ListedOffset::Offset(offset, timestamp)) => {
            response.offset = *offset;
            response.timestamp = *timestamp;
            if version >= 4 {
                response.leader_epoch = LEADER_EPOCH;
            }
        }
        Ok(ListedOffset::None) => {}
        Err(error) => response.error_code = error.code(),
    }
    response
}

fn describe_producer(producer: ProducerState) -> DescribedProducer {
    DescribedProducer::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction_start.unwrap_or(-1))
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
