//! Produce requests: validation of their batches, appends, and the response for every partition.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::core::Core;
use super::events::BrokerEvent;
use super::log::{self, AppendError, Appended, Batch, BatchError, Log};
use super::response::RequestContext;
use super::storage_error::describe_io_error;
use super::transactions::{ProducerIdentity, TransactionSupport};

/// From this version on, a produce names topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;

/// From this version on, zstd is allowed (KIP-110).
const ZSTD: i16 = 7;

/// A produce request with validated batches. Validation is the most expensive part, and needs no lock.
#[derive(Debug)]
pub struct CheckedProduce {
    /// Without its batches.
    request: ProduceRequest,
    /// In the request's order.
    batches: Vec<Result<Batch, ProduceError>>,
    /// Whether any batch has the transactional attribute, valid or not.
    transactional: bool,
}

#[derive(Debug)]
struct PendingBatch<'a> {
    topic: &'a str,
    partition: i32,
    batch: Batch,
}

/// Why a partition's batch was not appended.
#[derive(Debug, Clone)]
struct ProduceError {
    code: ResponseError,
    message: Option<String>,
    /// Whether the log was involved; then the response has its log start offset.
    log_checked: bool,
    /// Indexes of the rejected records in the batch.
    records: Vec<i32>,
}

impl From<ResponseError> for ProduceError {
    fn from(code: ResponseError) -> Self {
        Self { code, message: None, log_checked: false, records: Vec::new() }
    }
}

impl From<BatchError> for ProduceError {
    fn from(error: BatchError) -> Self {
        let (code, log_checked) = match error {
            BatchError::Corrupt => (ResponseError::CorruptMessage, false),
            BatchError::NotSingleBatch(_) => (ResponseError::InvalidRecord, false),
            BatchError::Invalid(_) => (ResponseError::InvalidRecord, true),
            BatchError::Compression => (ResponseError::UnknownServerError, true),
        };
        Self { code, message: Some(error.to_string()), log_checked, records: Vec::new() }
    }
}

impl From<AppendError> for ProduceError {
    fn from(error: AppendError) -> Self {
        let message = Some(error.to_string());
        let (code, records) = match error {
            AppendError::OutOfOrderSequence => (ResponseError::OutOfOrderSequenceNumber, Vec::new()),
            AppendError::InvalidTransactionState => (ResponseError::InvalidTxnState, Vec::new()),
            AppendError::InvalidProducerEpoch => (ResponseError::InvalidProducerEpoch, Vec::new()),
            AppendError::TooLarge => (ResponseError::MessageTooLarge, Vec::new()),
            AppendError::LargerThanSegment => (ResponseError::RecordListTooLarge, Vec::new()),
            AppendError::InvalidTimestamp(records) => (ResponseError::InvalidTimestamp, records),
            AppendError::NoKey(records) => (ResponseError::InvalidRecord, records),
            AppendError::Storage(_) => (ResponseError::KafkaStorageError, Vec::new()),
        };
        // Kafka returns the log start offset for errors of records, but not for errors of the whole batch.
        let log_checked = !matches!(
            code,
            ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge | ResponseError::KafkaStorageError
        );
        Self { code, message, log_checked, records }
    }
}

impl CheckedProduce {
    /// Validates the batches of a request.
    #[must_use]
    pub fn new(mut request: ProduceRequest, version: i16) -> Self {
        let transactional = request
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data)
            .any(|partition| partition.records.as_deref().is_some_and(log::has_transactional_attribute));
        let batches = request
            .topic_data
            .iter_mut()
            .flat_map(|topic| &mut topic.partition_data)
            .map(|partition| match partition.records.take() {
                Some(records) => match Batch::parse(records) {
                    Ok(batch) if batch.is_zstd() && version < ZSTD => {
                        Err(ResponseError::UnsupportedCompressionType.into())
                    }
                    batch => batch.map_err(ProduceError::from),
                },
                None => Err(BatchError::NotSingleBatch("no batch").into()),
            })
            .collect();
        Self { request, batches, transactional }
    }

    /// Whether the client expects a response.
    #[must_use]
    pub fn needs_response(&self) -> bool {
        self.request.acks != 0
    }
}

fn partition_response(
    partition: &PartitionProduceData,
    outcome: Result<Appended, ProduceError>,
    log_start: i64,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(partition.index);
    match outcome {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_time)
            .with_log_start_offset(log_start),
        Err(error) => {
            let record_error = |index| BatchIndexAndErrorMessage::default().with_batch_index(index);
            response
                .with_error_code(error.code.code())
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(if error.log_checked { log_start } else { -1 })
                .with_record_errors(error.records.into_iter().map(record_error).collect())
                .with_error_message(error.message.map(StrBytes::from_string))
        }
    }
}

impl Core {
    /// Appends the batches of a request, each partition independently.
    pub(super) fn produce(&mut self, checked: CheckedProduce, context: &RequestContext<'_>) -> ProduceResponse {
        let CheckedProduce { request, batches, transactional } = checked;
        // Kafka authorizes the transactional id once per request. A transactional batch without one is not authorized.
        let unnamed = request.transactional_id.is_none() && transactional;
        let refused = if unnamed {
            Some(ResponseError::TransactionalIdAuthorizationFailed)
        } else if matches!(request.acks, -1..=1) {
            None
        } else {
            Some(ResponseError::InvalidRequiredAcks)
        };
        let names: Vec<_> =
            request.topic_data.iter().map(|topic| self.produced_topic(topic, context.version)).collect();
        let places = || {
            request.topic_data.iter().zip(&names).flat_map(|(topic, name)| {
                topic.partition_data.iter().map(move |partition| (name.as_deref(), partition.index))
            })
        };
        let joins = transactional && TransactionSupport::of_produce(context.version) == TransactionSupport::Add;
        // Check this before the transaction: a partition that does not exist cannot be added to it.
        let mut writes: Vec<Result<PendingBatch<'_>, ProduceError>> = places()
            .zip(batches)
            .map(|((name, partition), batch)| match (refused, name) {
                (Some(error), _) => Err(error.into()),
                (None, Err(error)) => Err((*error).into()),
                (None, Ok(topic)) if self.topics.log(topic, partition).is_none() => {
                    Err(ResponseError::UnknownTopicOrPartition.into())
                }
                (None, Ok(topic)) => batch.map(|batch| {
                    let batch = if joins { batch.starting_at_zero() } else { batch };
                    PendingBatch { topic, partition, batch }
                }),
            })
            .collect();
        if let Some(id) = &request.transactional_id {
            self.enter(id, &mut writes, context);
        }
        let outcomes: Vec<_> = writes.into_iter().map(|write| self.append(&write?, context.now)).collect();
        let log_start = |(name, partition): (Result<&str, &ResponseError>, i32)| {
            name.ok().and_then(|topic| self.topics.log(topic, partition)).map_or(-1, Log::start_offset)
        };
        let mut outcomes = outcomes.into_iter().zip(places().map(log_start));
        let topics = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().zip(&mut outcomes);
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(
                    partitions.map(|(asked, (outcome, start))| partition_response(asked, outcome, start)).collect(),
                )
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn produced_topic(&self, topic: &TopicProduceData, version: i16) -> Result<String, ResponseError> {
        if version < TOPIC_IDS {
            return Ok(topic.name.to_string());
        }
        self.topics.by_id(topic.topic_id).map(|topic| topic.name.clone()).ok_or(ResponseError::UnknownTopicId)
    }

    /// Adds the partitions to the transaction, all at once: the first one may begin it.
    fn enter(
        &mut self,
        id: &TransactionalId,
        writes: &mut [Result<PendingBatch<'_>, ProduceError>],
        context: &RequestContext<'_>,
    ) {
        let asked: Vec<usize> = (0..writes.len())
            .filter(|at| writes[*at].as_ref().is_ok_and(|write| write.batch.is_transactional()))
            .collect();
        let batches: Vec<&PendingBatch<'_>> = asked.iter().filter_map(|at| writes[*at].as_ref().ok()).collect();
        let Some(first) = batches.first().map(|write| &write.batch) else { return };
        let (producer_id, epoch) = (first.producer_id(), first.producer_epoch());
        let results = if batches.iter().all(|write| write.batch.producer_id() == producer_id) {
            let places: Vec<_> = batches.iter().map(|write| (write.topic, write.partition)).collect();
            let identity = ProducerIdentity { transactional_id: id.0.as_str(), producer_id, epoch };
            self.add_or_verify_partitions(
                identity,
                &places,
                TransactionSupport::of_produce(context.version),
                context.now,
            )
        } else {
            // A request may only have one producer id.
            vec![Err(ResponseError::InvalidProducerIdMapping); asked.len()]
        };
        for (at, result) in asked.into_iter().zip(results) {
            if let Err(error) = result {
                writes[at] = Err(error.into());
            }
        }
    }

    fn append(&mut self, write: &PendingBatch<'_>, now: i64) -> Result<Appended, ProduceError> {
        let log = self.topics.log_mut(write.topic, write.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let appended = log.append(&write.batch, now).inspect_err(|error| {
            if let AppendError::Storage(error) = error {
                let what = format!("{}-{}", write.topic, write.partition);
                self.events.push(BrokerEvent::WriteFailed { what, reason: describe_io_error(error) });
            }
        })?;
        if !appended.duplicate {
            self.wake(write.topic, write.partition);
        }
        Ok(appended)
    }
}
