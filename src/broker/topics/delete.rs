//! Deletion of topics and records: `DeleteTopics` and `DeleteRecords`.

use indexmap::IndexMap;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::core::Core;
use super::super::events::BrokerEvent;
use super::super::journal::JournalEntry;
use super::super::response::RequestContext;
use super::{ApiError, TopicEntry, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, configs, names};

/// Special offset: delete all records.
const HIGH_WATERMARK: i64 = -1;

/// The topic that an element of `DeleteTopics` names.
#[derive(PartialEq, Eq, Hash)]
enum DeletionTarget {
    /// An existing topic, by its id even if it was named by its name.
    Topic(Uuid),
    /// A name or an id that does not exist, or neither.
    Unknown(Option<TopicName>, Uuid),
}

impl Core {
    /// `DeleteTopics`, versions 1 to 6; by id from version 6 on (KIP-516).
    pub fn delete_topics(
        &mut self,
        request: DeleteTopicsRequest,
        context: &RequestContext<'_>,
    ) -> DeleteTopicsResponse {
        let states: Vec<DeleteTopicState> = if context.version >= 6 {
            request.topics
        } else {
            request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
        };
        // The response has one element per topic, at its first position.
        let mut topics: IndexMap<DeletionTarget, Vec<DeleteTopicState>> = IndexMap::with_capacity(states.len());
        for state in states {
            topics.entry(self.deletion_target(&state)).or_default().push(state);
        }
        let responses = topics.into_iter().filter_map(|(target, states)| {
            let mut states = states.into_iter();
            let first = states.next()?;
            Some(self.delete_once(&target, first, states.as_slice(), context.version))
        });
        DeleteTopicsResponse::default().with_responses(responses.collect())
    }

    fn deletion_target(&self, state: &DeleteTopicState) -> DeletionTarget {
        let DeleteTopicState { name, topic_id, .. } = state;
        let topic = name.as_ref().map_or_else(|| self.topics.by_id(*topic_id), |name| self.topics.get(name));
        topic.map_or_else(|| DeletionTarget::Unknown(name.clone(), *topic_id), |topic| DeletionTarget::Topic(topic.id))
    }

    /// Deletes a topic that the request names once. If it is named again in `duplicates`, the result is an error.
    fn delete_once(
        &mut self,
        target: &DeletionTarget,
        state: DeleteTopicState,
        duplicates: &[DeleteTopicState],
        version: i16,
    ) -> DeletableTopicResult {
        let DeleteTopicState { name, topic_id, .. } = state;
        let duplicate = |message: String| Err(ApiError::new(ResponseError::InvalidRequest, message));
        if let DeletionTarget::Topic(id) = target
            && duplicates.iter().any(|other| (&other.name, other.topic_id) != (&name, topic_id))
        {
            // Kafka returns both name and id here.
            let name = self.topics.by_id(*id).map(|topic| TopicName(StrBytes::from_string(topic.name.clone())));
            return deletion_result(
                name,
                *id,
                duplicate("The topic is named by its name and its id.".to_owned()),
                version,
            );
        }
        let result = if duplicates.is_empty() || (name.is_none() && topic_id.is_nil()) {
            self.delete_topic(name.as_ref(), topic_id)
        } else {
            duplicate(format!("Duplicate topic {}.", if name.is_some() { "name" } else { "id" }))
        };
        deletion_result(name, topic_id, result, version)
    }

    /// Returns name and id of the deleted topic.
    fn delete_topic(&mut self, name: Option<&TopicName>, id: Uuid) -> Result<(String, Uuid), ApiError> {
        let invalid = |message| Err(ApiError::new(ResponseError::InvalidRequest, message));
        let topic = match name {
            Some(_) if !id.is_nil() => return invalid("You may not specify both topic name and topic id."),
            None if id.is_nil() => return invalid("Neither topic name nor id were specified."),
            Some(name) => self
                .topics
                .get(name)
                .ok_or_else(|| ApiError::new(ResponseError::UnknownTopicOrPartition, UNKNOWN_TOPIC))?,
            None => {
                self.topics.by_id(id).ok_or_else(|| ApiError::new(ResponseError::UnknownTopicId, UNKNOWN_TOPIC_ID))?
            }
        };
        let (name, id) = (topic.name.clone(), topic.id);
        self.remove_topic(id)?;
        Ok((name, id))
    }

    /// `DeleteRecords`, versions 0 to 2.
    pub fn delete_records(
        &mut self,
        request: DeleteRecordsRequest,
        _call: &RequestContext<'_>,
    ) -> DeleteRecordsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let result = DeleteRecordsPartitionResult::default().with_partition_index(partition.partition_index);
                match self.delete_records_of(&topic.name, partition.partition_index, partition.offset) {
                    Ok(start) => result.with_low_watermark(start),
                    Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
                }
            });
            let partitions = partitions.collect();
            topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
        }
        DeleteRecordsResponse::default().with_topics(topics)
    }

    /// Returns the new log start offset.
    fn delete_records_of(&mut self, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
        let unknown = ResponseError::UnknownTopicOrPartition;
        let index = usize::try_from(partition).map_err(|_| unknown)?;
        let topic = self.topics.get(topic).ok_or(unknown)?;
        let log = topic.logs.get(index).ok_or(unknown)?;
        if names::is_internal(&topic.name) {
            return Err(ResponseError::InvalidTopicException);
        }
        if !configs::has_policy(&topic.overrides, "delete") {
            return Err(ResponseError::PolicyViolation);
        }
        let end = log.high_watermark();
        let offset = if offset == HIGH_WATERMARK { end } else { offset };
        if offset < 0 || offset > end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let (id, name, start) = (topic.id, topic.name.clone(), log.start_offset());
        if offset <= start {
            return Ok(start);
        }
        self.record(&[JournalEntry::Topic(TopicEntry::LogStart { id, partition: index, offset })])?;
        let log = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(index)).ok_or(unknown)?;
        if let Err(error) = log.delete_records_before(offset) {
            // The log start has moved; only a file is left over.
            self.events.push(BrokerEvent::BackgroundError { what: format!("cannot remove a segment: {error}") });
        }
        self.wake(&name, partition);
        Ok(offset)
    }
}

fn deletion_result(
    name: Option<TopicName>,
    id: Uuid,
    result: Result<(String, Uuid), ApiError>,
    version: i16,
) -> DeletableTopicResult {
    let mut response = DeletableTopicResult::default();
    let id = match result {
        Ok((name, id)) => {
            response.name = Some(TopicName(StrBytes::from_string(name)));
            id
        }
        Err(error) => {
            response.name = name;
            response.error_code = error.error.code();
            if version >= 5 {
                response.error_message = error.into_message();
            }
            id
        }
    };
    if version >= 6 {
        response.topic_id = id;
    }
    response
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
