//! Fetch requests: what a fetch returns now, and fetches that wait for more data.
//!
//! A fetch is planned under the broker's lock, and its batches are read outside of it. If there are fewer than
//! `min.bytes`, it waits under a ticket and is planned again when enough was appended or its time is up (Kafka's fetch
//! purgatory).
//!
//! Fetch sessions (KIP-227) are optional for a broker. Every response has session id 0, so clients send full requests.

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

/// From this version on, a fetch names topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;
/// Largest response, whatever the request allows: the total memory of all responses must stay small.
const MAX_BYTES: usize = 8 << 20;
/// Longest wait, whatever the request allows: a client that has gone is noticed when it gets its response. Clients do
/// not ask for more (`fetch.wait.max.ms` of librdkafka).
const MAX_WAIT_MS: i32 = 5 * 60 * 1000;
/// Partitions of a single node only ever have one leader epoch.
const LEADER_EPOCH: i32 = 0;
/// Session epochs of full requests: the first of a session, and one without a session.
const FULL: [i32; 2] = [0, -1];

/// A response whose batches are still to be read.
#[derive(Debug)]
pub struct FetchPlan {
    response: FetchResponse,
    /// Index of topic and partition in the response, and the batches for them.
    slices: Vec<(usize, usize, LogSlice)>,
}

impl FetchPlan {
    /// Upper bound of the bytes to read.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slices.iter().map(|(_, _, slice)| slice.size()).sum()
    }

    /// Reads the batches, without the broker's lock. A corrupt batch is an error of its partition only.
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
    /// Adds a notice for every partition whose batches could not be read.
    pub(super) fn report_corrupt_batches(
        &mut self,
        request: &FetchRequest,
        response: &FetchResponse,
        context: &RequestContext<'_>,
    ) {
        let corrupt = ResponseError::CorruptMessage.code();
        for (topic, responses) in request.topics.iter().zip(&response.responses) {
            let pairs = topic.partitions.iter().zip(&responses.partitions);
            for (asked, _) in pairs.filter(|(_, data)| data.error_code == corrupt) {
                let name = self.name_in(topic, context.version).unwrap_or_default();
                let (partition, offset) = (asked.partition, asked.fetch_offset);
                let what = format!(
                    "{name}-{partition} cannot be read from offset {offset} on: a batch does not match its checksum"
                );
                self.events.push(BrokerEvent::BackgroundError { what });
            }
        }
    }
}

/// Fetches that wait for more data.
#[derive(Debug, Default)]
pub struct WaitingFetches {
    fetches: BTreeMap<Ticket, WaitingFetch>,
}

#[derive(Debug)]
struct WaitingFetch {
    /// Time of the response, whatever there is by then, in milliseconds of the broker's clock.
    until: i64,
    min_bytes: usize,
    isolation: IsolationLevel,
    positions: Vec<(String, i32, i64)>,
}

impl WaitingFetches {
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.fetches.values().map(|fetch| fetch.until).min()
    }
}

fn isolation(request: &FetchRequest) -> IsolationLevel {
    if request.isolation_level == 1 { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted }
}

/// Checks the request for one partition against its log.
fn check<'a>(
    log: Option<&'a Log>,
    unknown: ResponseError,
    partition: &FetchPartition,
) -> Result<&'a Log, ResponseError> {
    let log = log.ok_or(unknown)?;
    if partition.current_leader_epoch > LEADER_EPOCH {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    // The client cannot have fetched in a later epoch.
    if partition.last_fetched_epoch > LEADER_EPOCH {
        return Err(ResponseError::OffsetOutOfRange);
    }
    if partition.fetch_offset < log.start_offset() || partition.fetch_offset > log.high_watermark() {
        return Err(ResponseError::OffsetOutOfRange);
    }
    Ok(log)
}

/// Errors of unknown topics and partitions, which Kafka detects before reading.
const UNKNOWN: [ResponseError; 2] = [ResponseError::UnknownTopicOrPartition, ResponseError::UnknownTopicId];

fn is_unknown(data: &PartitionData) -> bool {
    UNKNOWN.iter().any(|error| error.code() == data.error_code)
}

fn error_data(partition: &FetchPartition, error: ResponseError) -> PartitionData {
    // Kafka omits the list only if it has read from the log.
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
    /// Responds to a fetch, or lets it wait.
    pub(super) fn fetch(&mut self, request: &FetchRequest, context: &RequestContext<'_>) -> MaybeDeferred<FetchPlan> {
        let plan = self.plan(request, context);
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(MAX_BYTES);
        let bytes = plan.size();
        let partitions = || plan.response.responses.iter().flat_map(|topic| &topic.partitions);
        let failed =
            plan.response.error_code != 0 || partitions().any(|data| data.error_code != 0 && !is_unknown(data));
        // As in Kafka, respond at once if no partition exists, if a partition has an error, or if the request may not
        // wait. Unknown partitions alone do not end the wait of the others, and are not waited for.
        if failed || bytes >= min_bytes || request.max_wait_ms <= 0 || partitions().all(is_unknown) || self.stopping {
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

    /// The response to a fetch that does not wait any longer.
    #[must_use]
    pub(super) fn plan(&self, request: &FetchRequest, context: &RequestContext<'_>) -> FetchPlan {
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

    /// Responds to waiting fetches after an append to a partition or a change of its log start offset. Every such
    /// change must call this.
    pub(super) fn wake(&mut self, topic: &str, partition: i32) {
        self.wake_if(|fetch| fetch.positions.iter().any(|(name, index, _)| *index == partition && name == topic));
    }

    /// Responds to waiting fetches of a deleted topic.
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

    /// Responds to waiting fetches whose time is up.
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

    /// Responds to all waiting fetches.
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

/// The response for a readable partition, still without its batches.
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
