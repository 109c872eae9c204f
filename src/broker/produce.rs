//! Owns produce requests: which batch goes to which log, and what each partition is answered.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use kafka_protocol::protocol::StrBytes;

use super::answer::Call;
use super::core::Core;
use super::log::{AppendError, Appended, Batch, BatchError};
use super::transactions::{Entrance, Speaker};

/// From this version on a produce names its topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;

/// A produce request whose batches were looked through. That costs the most of it, and needs nothing of the broker.
#[derive(Debug)]
pub struct CheckedProduce {
    /// The request, its batches taken out.
    request: ProduceRequest,
    /// Each partition's batch, in the request's order.
    batches: Vec<Result<Batch, Refusal>>,
}

/// A batch and where it is to go.
#[derive(Debug)]
struct Write<'a> {
    topic: &'a str,
    partition: i32,
    batch: Batch,
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
            AppendError::InvalidTransactionState => ResponseError::InvalidTxnState,
            AppendError::LargerThanSegment => ResponseError::RecordListTooLarge,
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
        let names: Vec<_> = request.topic_data.iter().map(|topic| self.produced_topic(topic, call.version)).collect();
        let places = || {
            request.topic_data.iter().zip(&names).flat_map(|(topic, name)| {
                topic.partition_data.iter().map(move |partition| (name.as_deref(), partition.index))
            })
        };
        // What may be written, before the transaction hears of it: a partition that does not exist cannot become part of one.
        let mut writes: Vec<Result<Write<'_>, Refusal>> = places()
            .zip(batches)
            .map(|((name, partition), batch)| match (refused, name) {
                (Some(error), _) => Err(error.into()),
                (None, Err(error)) => Err((*error).into()),
                (None, Ok(topic)) if self.topics.log(topic, partition).is_none() => {
                    Err(ResponseError::UnknownTopicOrPartition.into())
                }
                (None, Ok(topic)) => batch.map(|batch| Write { topic, partition, batch }),
            })
            .collect();
        if let Some(id) = &request.transactional_id {
            self.enter(id, &mut writes, call);
        }
        let mut outcomes = writes.into_iter().map(|write| self.append(&write?, call)).collect::<Vec<_>>().into_iter();
        let topics = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().zip(&mut outcomes);
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions.map(|(asked, outcome)| answer(asked, outcome)).collect())
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn produced_topic(&self, topic: &TopicProduceData, version: i16) -> Result<String, ResponseError> {
        if version < TOPIC_IDS {
            return Ok(topic.name.to_string());
        }
        self.topics.by_id(topic.topic_id).map(|topic| topic.name.clone()).ok_or(ResponseError::UnknownTopicId)
    }

    /// Asks the transaction about what is to be written in it, all at once: a request's first partition may begin it.
    fn enter(&mut self, id: &TransactionalId, writes: &mut [Result<Write<'_>, Refusal>], call: &Call<'_>) {
        let (mut speaker, mut places, mut asked) = (None, Vec::new(), Vec::new());
        for (index, write) in writes.iter().enumerate() {
            let Ok(write) = write else { continue };
            if write.batch.is_transactional() {
                let (producer_id, epoch) = (write.batch.producer_id(), write.batch.producer_epoch());
                speaker = Some(Speaker { transactional_id: id.0.as_str(), producer_id, epoch });
                places.push((write.topic, write.partition));
                asked.push(index);
            }
        }
        let Some(speaker) = speaker else { return };
        let verdicts = self.enter_partitions(speaker, &places, Entrance::of_produce(call.version), call.now);
        for (index, verdict) in asked.into_iter().zip(verdicts) {
            if let Err(error) = verdict {
                writes[index] = Err(error.into());
            }
        }
    }

    fn append(&mut self, write: &Write<'_>, call: &Call<'_>) -> Result<(Appended, i64), Refusal> {
        let log = self.topics.log_mut(write.topic, write.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let appended = log.append(&write.batch, call.now)?;
        let log_start = log.start_offset();
        if !appended.duplicate {
            self.wake(write.topic, write.partition);
        }
        Ok((appended, log_start))
    }
}
