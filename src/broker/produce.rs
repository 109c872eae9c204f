//! Owns produce requests: which batch goes to which log, and what each partition is answered.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use kafka_protocol::protocol::StrBytes;

use super::answer::Call;
use super::core::Core;
use super::entry::Entry;
use super::log::{AppendError, Appended, Batch, BatchError};
use super::transactions::Speaker;

/// From this version on a produce names its topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;
/// From this version on a produce makes its partitions part of the transaction by itself (KIP-890).
const JOINS: i16 = 12;

/// A produce request whose batches were looked through. That costs the most of it, and needs nothing of the broker.
#[derive(Debug)]
pub struct CheckedProduce {
    /// The request, its batches taken out.
    request: ProduceRequest,
    /// Each partition's batch, in the request's order.
    batches: Vec<Result<Batch, Refusal>>,
}

/// Why a partition's batch was not appended.
#[derive(Debug, Clone)]
struct Refusal {
    error: ResponseError,
    message: Option<String>,
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::Corrupt => ResponseError::CorruptMessage,
            BatchError::OldFormat | BatchError::Invalid(_) => ResponseError::InvalidRecord,
        };
        Self { error: code, message: Some(error.to_string()) }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let code = match error {
            AppendError::OutOfOrderSequence => ResponseError::OutOfOrderSequenceNumber,
            AppendError::InvalidProducerEpoch => ResponseError::InvalidProducerEpoch,
            AppendError::TooLarge => ResponseError::MessageTooLarge,
            AppendError::InvalidTimestamp => ResponseError::InvalidTimestamp,
            AppendError::Invalid(_) => ResponseError::InvalidRecord,
            AppendError::Storage(_) => ResponseError::KafkaStorageError,
        };
        Self { error: code, message: Some(error.to_string()) }
    }
}

impl CheckedProduce {
    /// Looks through the batches of a request.
    #[must_use]
    pub fn new(mut request: ProduceRequest) -> Self {
        let batches = request
            .topic_data
            .iter_mut()
            .flat_map(|topic| &mut topic.partition_data)
            .map(|partition| match partition.records.take() {
                Some(records) => Batch::parse(records).map_err(Refusal::from),
                None => Err(Refusal::from(BatchError::Invalid("no batch"))),
            })
            .collect();
        Self { request, batches }
    }

    /// Whether the client waits for an answer.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.request.acks != 0
    }
}

fn answer(partition: &PartitionProduceData, outcome: Result<(Appended, i64), Refusal>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(partition.index);
    match outcome {
        Ok((appended, log_start)) => answer
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_time)
            .with_log_start_offset(log_start),
        Err(refusal) => answer
            .with_error_code(refusal.error.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message(refusal.message.map(StrBytes::from_string)),
    }
}

impl Core {
    /// Appends what a produce brings, each partition by itself.
    pub fn produce(&mut self, checked: CheckedProduce, call: &Call<'_>) -> ProduceResponse {
        let CheckedProduce { request, batches } = checked;
        // Kafka checks the right to the transactional id once for the request, and nobody has the right to none.
        let unnamed = request.transactional_id.is_none()
            && batches.iter().any(|batch| batch.as_ref().is_ok_and(Batch::is_transactional));
        let refused = if unnamed {
            Some(ResponseError::TransactionalIdAuthorizationFailed)
        } else if matches!(request.acks, -1..=1) {
            None
        } else {
            Some(ResponseError::InvalidRequiredAcks)
        };
        let transactional_id = request.transactional_id.as_ref().map(|id| id.0.as_str());
        let mut batches = batches.into_iter();
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for topic in &request.topic_data {
            let name = if call.version >= TOPIC_IDS {
                self.topics.by_id(topic.topic_id).map(|topic| topic.name.clone()).ok_or(ResponseError::UnknownTopicId)
            } else {
                Ok(topic.name.to_string())
            };
            let mut partitions = Vec::with_capacity(topic.partition_data.len());
            for partition in &topic.partition_data {
                let batch = batches.next();
                let outcome = match (refused, &name, batch) {
                    (Some(error), _, _) => Err(error.into()),
                    (None, Err(error), _) => Err((*error).into()),
                    (None, Ok(name), Some(Ok(batch))) => {
                        self.append(name, partition.index, &batch, transactional_id, call)
                    }
                    (None, Ok(name), Some(Err(refusal))) => Err(match self.topics.log(name, partition.index) {
                        Some(_) => refusal,
                        None => ResponseError::UnknownTopicOrPartition.into(),
                    }),
                    (None, Ok(_), None) => Err(ResponseError::InvalidRequest.into()),
                };
                partitions.push(answer(partition, outcome));
            }
            responses.push(
                TopicProduceResponse::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partition_responses(partitions),
            );
        }
        ProduceResponse::default().with_responses(responses)
    }

    fn append(
        &mut self,
        topic: &str,
        partition: i32,
        batch: &Batch,
        transactional_id: Option<&str>,
        call: &Call<'_>,
    ) -> Result<(Appended, i64), Refusal> {
        if self.topics.log(topic, partition).is_none() {
            return Err(ResponseError::UnknownTopicOrPartition.into());
        }
        if let Some(transactional_id) = transactional_id.filter(|_| batch.is_transactional()) {
            let speaker = Speaker { transactional_id, producer_id: batch.producer_id(), epoch: batch.producer_epoch() };
            let joins = call.version >= JOINS;
            if let Some(entry) = self.transactions.enter_partition(speaker, topic, partition, joins, call.now)? {
                self.record(&[Entry::Transaction(entry)])?;
            }
        }
        let log = self.topics.log_mut(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let appended = log.append(batch, call.now)?;
        let log_start = log.start_offset();
        if !appended.duplicate {
            self.wake(topic, partition);
        }
        Ok((appended, log_start))
    }
}
