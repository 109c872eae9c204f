//! Owns fetch requests: what a fetch gets now, and the fetches that wait for more.
//!
//! A fetch makes a plan under the broker's lock; the bytes are read by whoever answers, outside of it. A fetch whose minimum of bytes is not
//! there yet is waiting_fetches under a ticket, and asked again when enough has been appended or its time is up.
//! Fetch sessions (KIP-227) are an optimisation that a broker may decline: every answer carries session id 0, and clients then send full requests.

use std::collections::BTreeMap;
use std::io;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{BrokerId, ProducerId};

use super::core::Core;
use super::events::BrokerEvent;
use super::log::{IsolationLevel, Log, LogSlice};
use super::response::{DeferredResponse, MaybeDeferred, RequestContext, Ticket};

/// From this version on a fetch names its topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;
/// Bytes of batches in one answer, whatever was asked for: what is in flight to all fetches together must stay small.
const MAX_BYTES: usize = 8 << 20;
/// What a fetch waits at most, whatever it asks for: one that is gone is noticed when it is answered. No client asks for more
/// (`fetch.wait.max.ms` of librdkafka).
const MAX_WAIT_MS: i32 = 5 * 60 * 1000;
/// The epoch of the only leader that a partition ever has.
const LEADER_EPOCH: i32 = 0;
/// Epochs of requests that name everything they want: the first of a session, and one that belongs to none.
const FULL: [i32; 2] = [0, -1];

/// An answer whose bytes are still to be read.
#[derive(Debug)]
pub struct FetchPlan {
    response: FetchResponse,
    /// Which topic and partition of the response each slice belongs to.
    slices: Vec<(usize, usize, LogSlice)>,
}

impl FetchPlan {
    /// Bytes of the batches that are to be read.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slices.iter().map(|(_, _, slice)| slice.size()).sum()
    }

    /// Reads the bytes, without the broker's lock.
    ///
    /// # Errors
    ///
    /// When a segment cannot be read. A batch that is not the one that was written is its partition's error.
    pub fn read(mut self) -> io::Result<FetchResponse> {
        for (topic, partition, slice) in self.slices {
            let records = slice.read();
            let Some(data) =
                self.response.responses.get_mut(topic).and_then(|topic| topic.partitions.get_mut(partition))
            else {
                continue;
            };
            match records {
                Ok(records) => data.records = Some(records),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    data.error_code = ResponseError::CorruptMessage.code();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.response)
    }
}

impl Core {
    /// Tells which partitions of an answer could not be read, and from where.
    pub fn report_corrupt_batches(
        &mut self,
        request: &FetchRequest,
        response: &FetchResponse,
        context: &RequestContext<'_>,
    ) {
        let corrupt = ResponseError::CorruptMessage.code();
        for (topic, answers) in request.topics.iter().zip(&response.responses) {
            let pairs = topic.partitions.iter().zip(&answers.partitions);
            for (asked, _) in pairs.filter(|(_, answer)| answer.error_code == corrupt) {
                let name = self.name_in(topic, context.version).unwrap_or_default();
                let (partition, offset) = (asked.partition, asked.fetch_offset);
                let what = format!(
                    "{name}-{partition} cannot be read from offset {offset} on: a batch does not agree with its checksum"
                );
                self.events.push(BrokerEvent::BackgroundError { what });
            }
        }
    }
}

/// The fetches that wait for more than there is.
#[derive(Debug, Default)]
pub struct WaitingFetches {
    fetches: BTreeMap<Ticket, WaitingFetch>,
}

#[derive(Debug)]
struct WaitingFetch {
    /// Milliseconds by the broker's clock at which it is answered with whatever there is.
    until: i64,
    min_bytes: usize,
    isolation: IsolationLevel,
    positions: Vec<(String, i32, i64)>,
}

impl WaitingFetches {
    /// When the first of them is to be answered.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.fetches.values().map(|fetch| fetch.until).min()
    }
}

fn isolation(request: &FetchRequest) -> IsolationLevel {
    if request.isolation_level == 1 { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted }
}

/// Checks one partition's part of a request against its log.
fn check<'a>(
    log: Option<&'a Log>,
    unknown: ResponseError,
    partition: &FetchPartition,
) -> Result<&'a Log, ResponseError> {
    let log = log.ok_or(unknown)?;
    if partition.current_leader_epoch > LEADER_EPOCH {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    // There was no later epoch in which anything could have been fetched.
    if partition.last_fetched_epoch > LEADER_EPOCH {
        return Err(ResponseError::OffsetOutOfRange);
    }
    if partition.fetch_offset < log.start_offset() || partition.fetch_offset > log.high_watermark() {
        return Err(ResponseError::OffsetOutOfRange);
    }
    Ok(log)
}

/// Errors of what does not exist. Kafka finds out about these before it comes to reading.
const UNKNOWN: [ResponseError; 2] = [ResponseError::UnknownTopicOrPartition, ResponseError::UnknownTopicId];

fn is_unknown(data: &PartitionData) -> bool {
    UNKNOWN.iter().any(|error| error.code() == data.error_code)
}

fn error_data(partition: &FetchPartition, error: ResponseError) -> PartitionData {
    // Only where it came to reading the list is left out.
    let unknown = UNKNOWN.contains(&error);
    PartitionData::default()
        .with_partition_index(partition.partition)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(unknown.then(Vec::new))
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(bytes::Bytes::new()))
}

impl Core {
    /// Answers a fetch, or parks it until more is there or its time is up.
    pub fn fetch(&mut self, request: &FetchRequest, context: &RequestContext<'_>) -> MaybeDeferred<FetchPlan> {
        let plan = self.plan(request, context);
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(MAX_BYTES);
        let bytes = plan.size();
        let told = || plan.response.responses.iter().flat_map(|topic| &topic.partitions);
        let failed = plan.response.error_code != 0 || told().any(|data| data.error_code != 0 && !is_unknown(data));
        // As Kafka: a request that asks for nothing that exists, has an error to tell or may not wait is answered at once.
        // What does not exist is told with the rest, and is not waited for: not even if it is made meanwhile.
        if failed || bytes >= min_bytes || request.max_wait_ms <= 0 || told().all(is_unknown) || self.stopping {
            return MaybeDeferred::Now(plan);
        }
        let ticket = self.outbox.ticket();
        let mut positions = Vec::new();
        for topic in &request.topics {
            let Some(name) = self.name_in(topic, context.version) else { continue };
            let known = topic.partitions.iter().filter(|asked| self.topics.log(&name, asked.partition).is_some());
            positions.extend(known.map(|asked| (name.clone(), asked.partition, asked.fetch_offset)));
        }
        let until = context.now.saturating_add(i64::from(request.max_wait_ms.min(MAX_WAIT_MS)));
        let fetch = WaitingFetch { until, min_bytes, isolation: isolation(request), positions };
        self.waiting_fetches.fetches.insert(ticket, fetch);
        MaybeDeferred::Later(ticket)
    }

    /// What a fetch is answered when it may not wait any longer.
    #[must_use]
    pub fn plan(&self, request: &FetchRequest, context: &RequestContext<'_>) -> FetchPlan {
        let mut response = FetchResponse::default();
        let mut slices = Vec::new();
        if !FULL.contains(&request.session_epoch) {
            response.error_code = ResponseError::FetchSessionIdNotFound.code();
            return FetchPlan { response, slices };
        }
        let isolation = isolation(request);
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES);
        let mut nothing_yet = true;
        for topic in &request.topics {
            let name = self.name_in(topic, context.version);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let unknown = if context.version >= TOPIC_IDS && name.is_none() {
                    ResponseError::UnknownTopicId
                } else {
                    ResponseError::UnknownTopicOrPartition
                };
                let log = name.as_deref().and_then(|name| self.topics.log(name, asked.partition));
                let data = match check(log, unknown, asked) {
                    Err(error) => error_data(asked, error),
                    Ok(log) => {
                        let most = left.min(usize::try_from(asked.partition_max_bytes).unwrap_or(0));
                        let slice = if most > 0 || nothing_yet {
                            log.read(asked.fetch_offset, most, isolation, nothing_yet)
                        } else {
                            LogSlice::empty()
                        };
                        let data = partition_data(asked, log, isolation);
                        if slice.size() > 0 {
                            nothing_yet = false;
                            left = left.saturating_sub(slice.size());
                            slices.push((response.responses.len(), partitions.len(), slice));
                        }
                        data
                    }
                };
                partitions.push(data);
            }
            response.responses.push(
                FetchableTopicResponse::default()
                    .with_topic(topic.topic.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions),
            );
        }
        FetchPlan { response, slices }
    }

    fn name_in(&self, topic: &FetchTopic, version: i16) -> Option<String> {
        if version >= TOPIC_IDS {
            return self.topics.by_id(topic.topic_id).map(|topic| topic.name.clone());
        }
        Some(topic.topic.to_string())
    }

    /// A partition has more to read, or begins later: answers the fetches for whom there is enough now, or who would be
    /// told of an error. Whoever changes that calls this; nobody looks for it.
    pub(super) fn wake(&mut self, topic: &str, partition: i32) {
        self.wake_if(|fetch| fetch.positions.iter().any(|(name, index, _)| *index == partition && name == topic));
    }

    /// A topic is gone: answers the fetches who wait for anything of it.
    pub(super) fn wake_topic(&mut self, topic: &str) {
        self.wake_if(|fetch| fetch.positions.iter().any(|(name, ..)| name == topic));
    }

    fn wake_if(&mut self, concerns: impl Fn(&WaitingFetch) -> bool) {
        if self.waiting_fetches.fetches.is_empty() {
            return;
        }
        let topics = &self.topics;
        let has_enough = |fetch: &WaitingFetch| {
            let mut bytes = 0;
            for (name, partition, offset) in &fetch.positions {
                let Some(log) = topics.log(name, *partition).filter(|log| log.start_offset() <= *offset) else {
                    return true;
                };
                bytes += log.available(*offset, fetch.isolation, fetch.min_bytes - bytes);
                if bytes >= fetch.min_bytes {
                    return true;
                }
            }
            false
        };
        let ready: Vec<Ticket> = self
            .waiting_fetches
            .fetches
            .iter()
            .filter(|(_, fetch)| concerns(fetch) && has_enough(fetch))
            .map(|(ticket, _)| *ticket)
            .collect();
        self.release(&ready);
    }

    /// Answers the fetches whose time is up.
    pub(super) fn tick_fetches(&mut self, now: i64) {
        let due: Vec<Ticket> = self
            .waiting_fetches
            .fetches
            .iter()
            .filter(|(_, fetch)| fetch.until <= now)
            .map(|(ticket, _)| *ticket)
            .collect();
        self.release(&due);
    }

    /// Answers every fetch that waits.
    pub(super) fn release_fetches(&mut self) {
        let all: Vec<Ticket> = self.waiting_fetches.fetches.keys().copied().collect();
        self.release(&all);
    }

    fn release(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            self.waiting_fetches.fetches.remove(ticket);
            self.outbox.put(*ticket, DeferredResponse::Fetch);
        }
    }
}

/// The answer for a partition that can be read, its batches still missing.
fn partition_data(asked: &FetchPartition, log: &Log, isolation: IsolationLevel) -> PartitionData {
    let aborted = match isolation {
        IsolationLevel::ReadUncommitted => None,
        IsolationLevel::ReadCommitted => Some(
            log.aborted(asked.fetch_offset, log.last_stable_offset())
                .into_iter()
                .map(|aborted| {
                    AbortedTransaction::default()
                        .with_producer_id(ProducerId(aborted.producer_id))
                        .with_first_offset(aborted.first_offset)
                })
                .collect(),
        ),
    };
    PartitionData::default()
        .with_partition_index(asked.partition)
        .with_high_watermark(log.high_watermark())
        .with_last_stable_offset(log.last_stable_offset())
        .with_log_start_offset(log.start_offset())
        .with_aborted_transactions(aborted)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(bytes::Bytes::new()))
}
