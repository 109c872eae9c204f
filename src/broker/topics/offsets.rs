//! Owns questions about a partition's offsets and producers: `ListOffsets`, `OffsetForLeaderEpoch`, `DescribeProducers`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as ProducerOnTheWire, TopicResponse,
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

/// In place of a timestamp: the end, as the isolation sees it.
const LATEST: i64 = -1;
/// The log's start.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The start of what is kept on this broker (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// The end of what is kept elsewhere (KIP-1005): nothing is.
const LATEST_TIERED: i64 = -5;

/// The only epoch that a leader here has ever had.
const LEADER_EPOCH: i32 = 0;
/// In place of an epoch, an offset or a timestamp: there is none.
const NONE: i32 = -1;

impl Core {
    /// `ListOffsets`, versions 1 to 10.
    pub fn list_offsets(&mut self, request: ListOffsetsRequest, context: &RequestContext<'_>) -> ListOffsetsResponse {
        let isolation = match request.isolation_level {
            0 => Ok(IsolationLevel::ReadUncommitted),
            1 => Ok(IsolationLevel::ReadCommitted),
            // Kafka stumbles over it.
            _ => Err(ResponseError::UnknownServerError),
        };
        let mut seen = BTreeSet::new();
        let mut twice = BTreeSet::new();
        for topic in &request.topics {
            for partition in &topic.partitions {
                let place = (topic.name.clone(), partition.partition_index);
                if !seen.insert(place.clone()) {
                    twice.insert(place);
                }
            }
        }
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let place = (topic.name.clone(), asked.partition_index);
                // A partition that is asked for twice is refused once.
                let (is_twice, is_first) = (twice.contains(&place), seen.remove(&place));
                if is_twice && !is_first {
                    continue;
                }
                let answer = if is_twice {
                    Err(ResponseError::InvalidRequest)
                } else {
                    self.asked_log(&topic.name, asked.partition_index, asked.current_leader_epoch)
                        .and_then(|log| look_up(log, asked.timestamp, isolation?, context.version))
                };
                partitions.push(listed(asked.partition_index, &answer, context.version));
            }
            topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
        }
        ListOffsetsResponse::default().with_topics(topics)
    }

    /// The log of a partition, for a client that believes its leader to be in this epoch (-1 for any, KIP-320).
    fn asked_log(&self, topic: &str, partition: i32, epoch: i32) -> Result<&Log, ResponseError> {
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
            let partitions = topic.partitions.iter().map(|asked| {
                let end = EpochEndOffset::default().with_partition(asked.partition);
                match self.asked_log(&topic.topic, asked.partition, asked.current_leader_epoch) {
                    Err(error) => end.with_error_code(error.code()),
                    Ok(log) => match asked.leader_epoch {
                        LEADER_EPOCH => end.with_leader_epoch(LEADER_EPOCH).with_end_offset(log.high_watermark()),
                        // Before the first epoch: where that one begins, under the epoch asked for.
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
            let refused = match (self.topics.get(&topic.name), names::refusal(&topic.name)) {
                (Some(_), _) => None,
                (None, Some(why)) => Some((ResponseError::InvalidTopicException, StrBytes::from_string(why))),
                (None, None) => {
                    Some((ResponseError::UnknownTopicOrPartition, StrBytes::from_static_str(UNKNOWN_TOPIC)))
                }
            };
            let partitions = topic.partition_indexes.iter().map(|partition| {
                let answer = PartitionResponse::default().with_partition_index(*partition);
                if let Some((error, why)) = &refused {
                    return answer.with_error_code(error.code()).with_error_message(Some(why.clone()));
                }
                match self.topics.log(&topic.name, *partition) {
                    None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                    Some(log) => {
                        let producers = log.producers().into_iter().map(on_the_wire);
                        answer.with_active_producers(producers.collect())
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

/// What a client is told of an offset.
enum Found {
    /// The offset, and its timestamp if it was found by time.
    Offset(i64, i64),
    /// There is no such record.
    Nothing,
}

fn look_up(log: &Log, timestamp: i64, isolation: IsolationLevel, version: i16) -> Result<Found, ResponseError> {
    let end = log.end_offset(isolation);
    let by_time = |found: Option<TimedOffset>| match found.filter(|found| found.offset < end) {
        Some(TimedOffset { offset, timestamp }) => Found::Offset(offset, timestamp),
        None => Found::Nothing,
    };
    match timestamp {
        LATEST => Ok(Found::Offset(end, i64::from(NONE))),
        EARLIEST => Ok(Found::Offset(log.start_offset(), i64::from(NONE))),
        MAX_TIMESTAMP if version >= 7 => Ok(by_time(log.max_timestamp().map_err(unreadable)?)),
        EARLIEST_LOCAL if version >= 8 => Ok(Found::Offset(log.start_offset(), i64::from(NONE))),
        LATEST_TIERED if version >= 9 => Ok(Found::Nothing),
        timestamp if timestamp >= 0 => Ok(by_time(log.offset_for_time(timestamp, isolation).map_err(unreadable)?)),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

fn unreadable(_: std::io::Error) -> ResponseError {
    ResponseError::KafkaStorageError
}

fn listed(partition: i32, answer: &Result<Found, ResponseError>, version: i16) -> ListOffsetsPartitionResponse {
    let mut listed = ListOffsetsPartitionResponse::default().with_partition_index(partition);
    match answer {
        Ok(Found::Offset(offset, timestamp)) => {
            listed.offset = *offset;
            listed.timestamp = *timestamp;
            if version >= 4 {
                listed.leader_epoch = LEADER_EPOCH;
            }
        }
        Ok(Found::Nothing) => {}
        Err(error) => listed.error_code = error.code(),
    }
    listed
}

fn on_the_wire(producer: ProducerState) -> ProducerOnTheWire {
    ProducerOnTheWire::default()
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
